//! Conversion of narrow floats (f16, bf16, f8 and smaller) around computations that would overflow
//! or lose digits in them.

use neurax_tensor::{DType, Tensor};

/// Converts `x` to f32 if its dtype is a narrower float; otherwise returns `x` as it is.
#[track_caller]
pub(super) fn at_least_f32(x: &Tensor) -> Tensor {
    if is_narrow(x) { x.to(DType::F32) } else { x.clone() }
}

/// Converts `y`, a result of computing with [`at_least_f32`] of `x`, back to the dtype of `x`.
#[track_caller]
pub(super) fn narrow_as(x: &Tensor, y: Tensor) -> Tensor {
    if is_narrow(x) { y.to(x.dtype()) } else { y }
}

/// Returns true if the dtype of `x` is a float of fewer than 32 bits.
fn is_narrow(x: &Tensor) -> bool {
    x.dtype().is_float() && x.dtype().bits() < 32
}
