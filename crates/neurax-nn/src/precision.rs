//! Conversion of narrow floats (f16, bf16, f8 and smaller) around computations that would overflow
//! or lose digits in them.

use neurax_tensor::Tensor;

/// Converts `x` to f32 if its dtype is a narrower float; otherwise returns `x` as it is.
#[track_caller]
pub(super) fn at_least_f32(x: &Tensor) -> Tensor {
    x.to(x.dtype().at_least_f32())
}

/// Converts `y`, a result of computing with [`at_least_f32`] of `x`, back to the dtype of `x`.
#[track_caller]
pub(super) fn narrow_as(x: &Tensor, y: Tensor) -> Tensor {
    if x.dtype() == x.dtype().at_least_f32() { y } else { y.to(x.dtype()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::DType;

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
}
