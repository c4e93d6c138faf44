//! Pools of regions of interest: `RoiAlign`, `MaxRoiPool`.
//!
//! `RoiAlign` samples each bin of a region at the points of a regular grid, by bilinear
//! interpolation. Without `sampling_ratio`, the number of points of a region follows from its size:
//! then the regions must be known, and points beyond those of a region have no weight.

use super::axes::{same_dtype, size_of};
use super::sampling::{SampledAxis, Tap, linear_taps, sum_of, terms};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::{DType, Tensor, scan, stack};

pub(crate) const OPERATORS: &[Operator] = &[
    op("RoiAlign", &[10, 16, 22], 3..=3, roi_align).attributes(&[
        "coordinate_transformation_mode",
        "mode",
        "output_height",
        "output_width",
        "sampling_ratio",
        "spatial_scale",
    ]),
    op("MaxRoiPool", &[1, 22], 2..=2, max_roi_pool).attributes(&["pooled_shape", "spatial_scale"]),
];

/// The largest number of sampled elements: more are a sign of a region that is no region.
const MOST_SAMPLES: usize = 1 << 33;

/// The sampled points of all regions along one axis.
struct Points {
    /// The positions `[regions, bins, points of a bin]`.
    at: Tensor,
    /// Whether a point is one of the region, of the same shape or smaller.
    is_own: Tensor,
    /// The number of points of a bin, `[regions, 1, 1]`.
    counts: Tensor,
}

fn roi_align(c: &NodeCall) -> RuleOutcome {
    let (x, rois, batch) = (c.x(0)?, c.x(1)?, c.x(2)?);
    same_dtype(&x, &rois)?;
    let regions = rois.dim(0);
    if x.rank() != 4 || rois.rank() != 2 || rois.dim(1) != 4 || batch.shape()[..] != [regions] {
        let (x, rois, batch) = (x.ty()?, rois.ty()?, batch.ty()?);
        return fail(format!(
            "expected images [batch, channels, height, width], regions [regions, 4] and the \
             indices of their images, got {x}, {rois} and {batch}"
        ));
    }
    let axes = [points(c, "output_height", 1)?, points(c, "output_width", 0)?];
    let sizes = axes.iter().flat_map(|axis| [axis.at.dim(1), axis.at.dim(2)]);
    let shape = [x.dim(1), regions].into_iter().chain(sizes).collect::<Vec<usize>>();
    let total = shape.iter().try_fold(1usize, |n, &m| n.checked_mul(m));
    if total.is_none_or(|total| total > MOST_SAMPLES) {
        return fail(format!("too many samples: {shape:?}"));
    }
    if regions == 0 {
        return one(Tensor::zeros_of(x.dtype(), [0, shape[0], shape[2], shape[4]]));
    }
    let terms = corners(&x, &batch, &axes, &shape)?;
    let y = match c.str_or("mode", "avg")?.as_str() {
        "avg" => {
            let counts = &axes[0].counts * &axes[1].counts;
            sum_of(&terms).reshape(&shape).sum([3, 5]) / counts.maximum(1)
        }
        // The operator takes the maximum of the weighted corners, not of the interpolations.
        "max" => {
            let corners = terms.iter().skip(1).fold(terms[0].clone(), |a, b| a.maximum(b));
            let own = axes[0].is_own.reshape([regions, 1, shape[3], 1, 1])
                & axes[1].is_own.reshape([regions, 1, 1, 1, shape[5]]);
            let largest = own.select(corners.reshape(&shape), f64::NEG_INFINITY).max([3, 5]);
            largest.is_neg_inf().select(0, &largest)
        }
        other => return fail(format!("expected avg or max as `mode`, got {other}")),
    };
    one(y.move_axis(0, 1).to(x.dtype()))
}

/// Returns the weighted corners of the cells in which points are: each of the shape
/// `[channels, regions, bins, points, bins, points]`, with the points as one axis.
fn corners(
    x: &Tensor,
    batch: &Tensor,
    axes: &[Points; 2],
    shape: &[usize],
) -> Result<Vec<Tensor>, RuleFailure> {
    let (regions, wide) = (shape[1], x.dtype().at_least_f32());
    // The images are an axis of the space, so that a point is in one of them.
    let index = batch.to(wide).reshape([1, regions, 1, 1, 1, 1]);
    let image = Tap { index, weight: Tensor::scalar(wide, 1) };
    let sampled = [
        SampledAxis { size: x.dim(0), taps: vec![image] },
        sampled_axis(&axes[0], x.dim(2), [1, regions, shape[2], shape[3], 1, 1]),
        sampled_axis(&axes[1], x.dim(3), [1, regions, 1, 1, shape[4], shape[5]]),
    ];
    terms(&x.to(wide).move_axis(1, 0).expand_dims(0), &sampled)
}

/// Returns the points along the axis whose bounds are columns `column` and `column + 2`.
fn points(c: &NodeCall, bins: &str, column: i64) -> Result<Points, RuleFailure> {
    let bins = size_of(c.int_or(bins, 1)?)?.max(1);
    let sampling = size_of(c.int_or("sampling_ratio", 0)?)?;
    let is_half_pixel = match c.str("coordinate_transformation_mode")?.as_deref() {
        None => c.version() >= 16,
        Some("half_pixel") => true,
        Some("output_half_pixel") => false,
        Some(other) => {
            return fail(format!("unknown `coordinate_transformation_mode` {other}"));
        }
    };
    let rois = if sampling == 0 { c.known(1)? } else { c.x(1)? };
    let wide = rois.dtype().at_least_f32();
    let scaled = rois.to(wide) * f64::from(c.float_or("spatial_scale", 1.0)?);
    let scaled = if is_half_pixel { scaled - 0.5 } else { scaled };
    let bound = |i: i64| scaled.slice(1, i..i + 1).expand_dims(-1);
    let (start, end) = (bound(column), bound(column + 2));
    let size = &end - &start;
    let size = if is_half_pixel { size } else { size.maximum(1) };
    let bin = &size / bins as i64;
    let (counts, most) = match sampling {
        0 => {
            let counts = bin.ceil().maximum(0);
            let most = if counts.size() == 0 { 0.0 } else { counts.max(..).item()? };
            // The next check of the number of samples refuses infinite ones.
            (counts, most.clamp(1.0, 1e12) as usize)
        }
        n => (Tensor::full_of(wide, bin.shape(), n as f64), n),
    };
    if most > MOST_SAMPLES {
        return fail(format!("too many samples in a bin: {most}"));
    }
    let count = |n: usize| Tensor::arange(n).to(wide);
    let index = count(most);
    let place = (&index + 0.5) * &bin / counts.maximum(1);
    let at = &start + count(bins).reshape([bins, 1]) * &bin + place;
    Ok(Points { at, is_own: index.lt(&counts), counts })
}

/// Returns the entries of an axis for its points. Those more than 1 outside have no weight, others
/// outside are at the edge.
fn sampled_axis(points: &Points, size: usize, shape: [usize; 6]) -> SampledAxis {
    let at = &points.at;
    let counts = (at.ge(-1) & at.le(size as i64) & &points.is_own).reshape(shape);
    let inside = at.clip(0, size.saturating_sub(1) as i64).reshape(shape);
    let weighted = |tap: Tap| Tap { weight: counts.select(&tap.weight, 0), ..tap };
    SampledAxis { size, taps: linear_taps(&inside).into_iter().map(weighted).collect() }
}

/// Computes the maxima of the bins of regions, whose bounds are rounded to whole numbers.
fn max_roi_pool(c: &NodeCall) -> RuleOutcome {
    let (x, rois) = (c.x(0)?, c.x(1)?);
    same_dtype(&x, &rois)?;
    let bins = c.required("pooled_shape", c.ints("pooled_shape")?)?;
    if x.rank() != 4 || rois.rank() != 2 || rois.dim(1) != 5 || bins.len() != 2 {
        let (x, rois) = (x.ty()?, rois.ty()?);
        return fail(format!(
            "expected images [batch, channels, height, width], regions [regions, 5] and a pooled \
             shape of two sizes, got {x}, {rois} and {bins:?}"
        ));
    }
    let bins = [size_of(bins[0])?, size_of(bins[1])?];
    if bins.contains(&0) || bins.iter().any(|&n| n > 1 << 16) {
        return fail(format!("expected a pooled shape, got {bins:?}"));
    }
    let wide = rois.dtype().at_least_f32();
    let scale = f64::from(c.float_or("spatial_scale", 1.0)?);
    let masks = [
        is_in_bin(&rois.to(wide), scale, 2, bins[0], x.dim(2)),
        is_in_bin(&rois.to(wide), scale, 1, bins[1], x.dim(3)),
    ];
    let images = rois.slice(1, ..1).reshape([rois.dim(0)]).to(DType::I32);
    let (_, y) = scan((), (images, masks), |(), (image, [rows, columns])| {
        let x = x.take(image, 0);
        let least = Tensor::scalar(x.dtype(), f64::NEG_INFINITY);
        // One bin after the other: all together would need an image for each.
        let parts = (0..bins[1]).map(|i| columns.get(i).select(&x, &least).max(-1));
        let of_columns = stack(parts, -1);
        let parts =
            (0..bins[0]).map(|i| rows.get(i).expand_dims(-1).select(&of_columns, &least).max(-2));
        let largest = stack(parts, 1);
        let is_empty = rows.any(-1).logical_not().expand_dims(-1) | columns.any(-1).logical_not();
        ((), is_empty.select(0, largest))
    });
    one(y)
}

/// Returns the positions that are in each bin of each region: `[regions, bins, size]`.
fn is_in_bin(rois: &Tensor, scale: f64, column: i64, bins: usize, size: usize) -> Tensor {
    let bound = |i: i64| (rois.slice(1, i..i + 1) * scale).round_half_away().expand_dims(-1);
    let (start, end) = (bound(column), bound(column + 2));
    let bin = (&end - &start + 1).maximum(1) / bins as i64;
    let count = |n: usize| Tensor::arange(n).to(rois.dtype());
    let index = count(bins).reshape([bins, 1]);
    let (from, to) = ((&index * &bin).floor() + &start, ((&index + 1) * &bin).ceil() + &start);
    count(size).ge(from) & count(size).lt(to)
}
