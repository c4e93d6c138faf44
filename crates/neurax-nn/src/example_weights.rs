//! Weights and masks of examples, whose shape is a prefix of that of what they count.

use neurax_tensor::{DType, Error, Tensor};
use std::panic::Location;

/// Appends axes of size 1 to `x` up to `rank` axes.
#[track_caller]
pub(crate) fn spread(x: &Tensor, rank: usize) -> Tensor {
    let mut shape = x.shape().to_vec();
    shape.resize(rank.max(shape.len()), 1);
    x.reshape(shape)
}

/// Returns the error of weights or a mask, named `what`, that do not fit `counted` of this shape.
#[track_caller]
pub(crate) fn not_a_prefix(
    op: &str,
    what: &str,
    x: &Tensor,
    counted: &str,
    shape: &[usize],
) -> Option<Tensor> {
    let ty = match x.ty() {
        Ok(ty) => ty,
        Err(e) => return Some(Tensor::from_error(e)),
    };
    let (kind, is_right_kind) = match what {
        "a mask" => ("a bool mask", ty.dtype == DType::Bool),
        _ => (what, true),
    };
    let fits = shape.starts_with(&ty.shape) && is_right_kind;
    let why = format!(
        "expected {kind} of the shape of the {counted}, {shape:?}, or a prefix of it, got {ty}"
    );
    (!fits).then(|| Tensor::from_error(Error::new(op, why).at(&Location::caller().into())))
}
