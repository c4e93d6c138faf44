//! Weighted entries of images at positions that are computed: deformable convolutions, grids of
//! points and regions.
//!
//! Along each axis, a point has a few entries near it, each with a weight. The entries in space are
//! all combinations of those along the axes; their weights are products. One gather reads a
//! combination for all points:
//!
//! ```text
//! images   [batch, channels, 4, 5]
//! points   [batch, 7]: along each axis two entries with weights 1 - f and f
//! terms    2 x 2 tensors [batch, channels, 7], whose sum is the bilinear interpolation
//! ```

use crate::call::{RuleFailure, fail};
use neurax_tensor::{DType, Tensor};

/// The entries of an axis that count at points.
pub(crate) struct SampledAxis {
    /// The number of entries of the axis.
    pub(crate) size: usize,
    pub(crate) taps: Vec<Tap>,
}

/// An entry of an axis for each point.
pub(crate) struct Tap {
    /// The indices, whole numbers in a float dtype. Those out of range have the weight 0.
    pub(crate) index: Tensor,
    pub(crate) weight: Tensor,
}

/// Returns the two entries around positions with their weights for linear interpolation.
pub(crate) fn linear_taps(position: &Tensor) -> Vec<Tap> {
    let low = position.floor();
    let part = position - &low;
    vec![Tap { index: low.clone(), weight: 1 - &part }, Tap { index: low + 1, weight: part }]
}

/// Returns the four entries around positions with their weights for cubic interpolation with the
/// coefficient `a`: R. Keys, "Cubic convolution interpolation for digital image processing", 1981.
pub(crate) fn cubic_taps(position: &Tensor, a: f64) -> Vec<Tap> {
    let low = position.floor();
    let part = position - &low;
    let near = |d: &Tensor| ((d * (a + 2.0) - (a + 3.0)) * d * d) + 1.0;
    let far = |d: &Tensor| ((d * a - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
    let behind = 1 - &part;
    vec![
        Tap { index: &low - 1, weight: far(&(&part + 1)) },
        Tap { index: low.clone(), weight: near(&part) },
        Tap { index: &low + 1, weight: near(&behind) },
        Tap { index: low + 2, weight: far(&(&behind + 1)) },
    ]
}

/// Returns the weighted entries of `images`, `[batch, channels, space ..]`: one tensor
/// `[batch, channels, points]` for each combination of taps. The indices of all axes broadcast to
/// `[batch, points ..]`, whose points become one axis.
///
/// # Errors
/// If the axes do not fit the images.
pub(crate) fn terms(images: &Tensor, axes: &[SampledAxis]) -> Result<Vec<Tensor>, RuleFailure> {
    let (batch, channels) = (images.dim(0), images.dim(1));
    if images.rank() != axes.len() + 2 {
        return fail(format!("expected {} space axes, got {}", axes.len(), images.ty()?));
    }
    let plane: usize = axes.iter().map(|axis| axis.size).product();
    let dtype = if i32::try_from(plane).is_ok() { DType::I32 } else { DType::I64 };
    let mut corners = vec![(Tensor::scalar(dtype, 0), Tensor::scalar(images.dtype(), 1))];
    let mut stride = plane;
    for axis in axes {
        stride = stride.checked_div(axis.size).unwrap_or(0);
        let taps: Vec<(Tensor, Tensor)> =
            axis.taps.iter().map(|tap| in_range(tap, axis.size, stride, dtype)).collect();
        let with = |(at, weight): &(Tensor, Tensor)| {
            let next = taps.iter().map(|tap| (at + &tap.0, weight * &tap.1));
            next.collect::<Vec<_>>()
        };
        corners = corners.iter().flat_map(with).collect();
    }
    let flat = images.reshape([batch, channels, plane]);
    let term = |(at, weight): &(Tensor, Tensor)| {
        let points = at.size().checked_div(batch).unwrap_or(0);
        if plane == 0 {
            return Tensor::zeros_of(images.dtype(), [batch, channels, points]);
        }
        let row = [batch, 1, points];
        let read = flat.take_along_axis(&at.reshape(row), 2);
        read * weight.broadcast_to(at.shape()).reshape(row).to(images.dtype())
    };
    Ok(corners.iter().map(term).collect())
}

/// Returns the places of a tap in the flattened space, and its weights, which are 0 out of range.
fn in_range(tap: &Tap, size: usize, stride: usize, dtype: DType) -> (Tensor, Tensor) {
    let last = size.saturating_sub(1) as i64;
    let is_inside = tap.index.ge(0) & tap.index.le(last);
    let place = tap.index.clip(0, last).to(dtype) * stride as i64;
    (place, is_inside.select(&tap.weight, 0))
}

/// Returns the dtype in which elements of `dtype` are interpolated.
pub(crate) fn interpolation_dtype(dtype: DType) -> DType {
    match dtype {
        DType::F64 => DType::F64,
        _ if dtype.is_complex() => dtype,
        // Wide integers are exact in f64 alone.
        _ if dtype.is_int() && dtype.bits() > 16 => DType::F64,
        _ => DType::F32,
    }
}

/// Returns the sum of tensors, at least one.
pub(crate) fn sum_of(terms: &[Tensor]) -> Tensor {
    let (first, rest) = terms.split_at(1.min(terms.len()));
    let zero = || Tensor::zeros(());
    rest.iter().fold(first.first().cloned().unwrap_or_else(zero), |sum, term| sum + term)
}
