//! Checks and shapes that the functions of this module share.

use crate::Batch;
use neurax_tensor::{Error, Key, Place, Result, Tensor, Tree};
use std::ops::RangeInclusive;
use std::panic::Location;

/// The sizes of a batch of images.
#[derive(Clone, Copy)]
pub(super) struct ImageSizes {
    pub(super) count: usize,
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// Returns the sizes of a batch of images.
///
/// # Errors
/// If `x` is no float tensor of four axes.
pub(super) fn image_sizes(op: &str, x: &Tensor) -> Result<ImageSizes> {
    let ty = x.ty()?;
    match ty.shape[..] {
        [count, channels, height, width] if ty.dtype.is_float() => {
            Ok(ImageSizes { count, channels, height, width })
        }
        _ => {
            let why = format!("expected floats of shape [n, channels, height, width], got {ty}");
            Err(Error::new(op, why))
        }
    }
}

/// Returns the result of `f`, a tensor that carries its error, with the line of the caller.
#[track_caller]
pub(super) fn or_error(f: impl FnOnce() -> Result<Tensor>) -> Tensor {
    let at = Location::caller();
    f().unwrap_or_else(|e| Tensor::from_error(e.at(&Place::from(at))))
}

/// Returns the result of `f`, or `batch` with tensors that carry its error, with the line of the
/// caller.
#[track_caller]
pub(super) fn batch_or_error(batch: &Batch, f: impl FnOnce() -> Result<Batch>) -> Batch {
    let at = Location::caller();
    f().unwrap_or_else(|e| {
        let e = e.at(&Place::from(at));
        batch.map_leaves(|_| Tensor::from_error(e.clone()))
    })
}

/// Checks a parameter.
///
/// # Errors
/// If `value` is not in `range`.
pub(super) fn check_parameter(
    op: &str,
    name: &str,
    value: f64,
    range: RangeInclusive<f64>,
) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let (low, high) = (range.start(), range.end());
    Err(Error::new(op, format!("expected `{name}` in {low}..={high}, got {value}")))
}

/// Returns a random number in `[low, high)` for each image, `[n, 1, 1, 1]` of the dtype of `x`.
pub(super) fn number_each(key: &Key, x: &Tensor, low: f64, high: f64) -> Tensor {
    let count = x.dim(0);
    numbers(key, count, low, high).to(x.dtype()).reshape([count, 1, 1, 1])
}

/// Returns `count` random numbers from `low` to `high`, which may be equal, f32.
pub(super) fn numbers(key: &Key, count: usize, low: f64, high: f64) -> Tensor {
    key.uniform([count]) * (high - low) + low
}
