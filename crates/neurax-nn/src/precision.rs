//! Conversion of narrow floats (f16, bf16, f8 and smaller) around computations that would overflow
//! or lose digits in them.

use neurax_tensor::{DType, Tensor};

/// Converts `x` to f32 if its dtype is a narrower float; otherwise returns `x` as it is.
#[track_caller]
pub(crate) fn at_least_f32(x: &Tensor) -> Tensor {
    x.to(x.dtype().at_least_f32())
}

/// Converts `y`, a result of computing with [`at_least_f32`] of `x`, back to the dtype of `x`.
#[track_caller]
pub(crate) fn narrow_as(x: &Tensor, y: Tensor) -> Tensor {
    if x.dtype() == x.dtype().at_least_f32() { y } else { y.to(x.dtype()) }
}

/// Returns `epsilon`, raised to the smallest normal number of the dtype in which `x` is computed
/// with: a smaller one, which is 0 there, would not prevent a division of 0 by 0.
pub(crate) fn normal_epsilon(epsilon: f64, x: &Tensor) -> f64 {
    epsilon.max(match x.dtype().at_least_f32() {
        DType::F64 => f64::MIN_POSITIVE,
        _ => f32::MIN_POSITIVE.into(),
    })
}

/// Converts indices of fewer than 32 bits to i32, which holds every number that they are compared
/// with.
pub(crate) fn wide_index(x: &Tensor) -> Tensor {
    if x.dtype().bits() < 32 { x.to(DType::I32) } else { x.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_narrow_floats_are_converted() {
        for (dtype, wide) in [
            (DType::F16, DType::F32),
            (DType::BF16, DType::F32),
            (DType::F8E4M3FN, DType::F32),
            (DType::F32, DType::F32),
            (DType::F64, DType::F64),
            (DType::I8, DType::I8),
        ] {
            let x = Tensor::zeros(2).to(dtype);
            let y = at_least_f32(&x);
            assert_eq!(y.dtype(), wide, "{dtype}");
            assert_eq!(narrow_as(&x, y).dtype(), dtype);
        }
    }

    #[test]
    fn an_epsilon_is_a_normal_number_of_the_dtype() {
        for (dtype, least) in [
            (DType::F16, f32::MIN_POSITIVE as f64),
            (DType::F32, f32::MIN_POSITIVE as f64),
            (DType::F64, f64::MIN_POSITIVE),
        ] {
            let x = Tensor::zeros(2).to(dtype);
            let raised = [0.0, f64::MIN_POSITIVE / 2.0].map(|e| normal_epsilon(e, &x));
            assert_eq!(raised, [least; 2], "{dtype}");
            assert_eq!(normal_epsilon(1e-5, &x), 1e-5);
        }
    }
}
