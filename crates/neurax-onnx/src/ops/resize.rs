//! Resizing of tensors: `Resize`, `Upsample`.
//!
//! The axes are resized one after the other. An element of the result has a position in the input,
//! which `coordinate_transformation_mode` defines; it is the nearest element there, or a weighted
//! sum of those around it. The sizes are known, so that all positions and weights are computed on
//! the host, in f64: an axis becomes a gather, or a product with a matrix of weights.
//!
//! ```text
//! 3 elements to 6, linear, half_pixel    positions -1/4, 1/4, 3/4, 5/4, 7/4, 9/4
//! weights of the first elements          [1, 0, 0], [3/4, 1/4, 0], [1/4, 3/4, 0], ..
//! ```

use super::axes::{axes_of, size_of};
use super::resize_weights::{Coordinates, NearestRounding, ResizeMode, ResizedAxis, Weighting};
use super::sampling::interpolation_dtype;
use super::shapes::{moved, shape_of};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{DType, Tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("Resize", &[10, 11, 13, 18, 19], 1..=4, resize).attributes(&[
        "antialias",
        "axes",
        "coordinate_transformation_mode",
        "cubic_coeff_a",
        "exclude_outside",
        "extrapolation_value",
        "keep_aspect_ratio_policy",
        "mode",
        "nearest_mode",
    ]),
    op("Upsample", &[1, 7, 9], 1..=2, upsample).until(10).attributes(&[
        "height_scale",
        "mode",
        "scales",
        "width_scale",
    ]),
];

fn upsample(c: &NodeCall) -> RuleOutcome {
    let shape = shape_of(c.value(0)?)?;
    let scales = match c.version() {
        1 => {
            let height = c.required("height_scale", c.float("height_scale")?)?;
            let width = c.required("width_scale", c.float("width_scale")?)?;
            vec![1.0, 1.0, height, width]
        }
        7 => c.required("scales", c.floats("scales")?)?.to_vec(),
        _ => scales(c, 1)?.unwrap_or_default(),
    };
    let all: Vec<usize> = (0..shape.len()).collect();
    let axes = scaled(&shape, &all, &scales)?;
    resized(c.value(0)?, &axes, &simple(c, NearestRounding::Floor)?)
}

/// Returns the weights of operators before version 11, which have positions `i / scale`.
fn simple(c: &NodeCall, rounding: NearestRounding) -> Result<Weighting, RuleFailure> {
    Ok(Weighting {
        coordinates: Coordinates::Asymmetric,
        interpolation: match c.str_or("mode", "nearest")?.as_str() {
            "nearest" => ResizeMode::Nearest(rounding),
            "linear" | "bilinear" => ResizeMode::Linear,
            other => return fail(format!("expected nearest or linear as `mode`, got {other}")),
        },
        is_antialiased: false,
        excludes_outside: false,
        extrapolation: 0.0,
    })
}

fn resize(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let shape = shape_of(x)?;
    if c.version() == 10 {
        // ONNX Runtime, where version 10 comes from, rounds down or up by the direction.
        let all: Vec<usize> = (0..shape.len()).collect();
        let axes = scaled(&shape, &all, &scales(c, 1)?.unwrap_or_default())?;
        return resized(x, &axes, &simple(c, NearestRounding::ByDirection)?);
    }
    let chosen = match c.ints("axes")? {
        Some(axes) => axes_of(axes, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    let sizes = c.known_ints(3)?.filter(|sizes| !sizes.is_empty());
    let mut axes = match (scales(c, 2)?, sizes) {
        (Some(scales), None) => scaled(&shape, &chosen, &scales)?,
        (None, Some(sizes)) => sized(c, &shape, &chosen, &sizes)?,
        _ => return fail("expected either scales or sizes"),
    };
    let weighting = weighting(c)?;
    if weighting.coordinates == Coordinates::CropAndResize {
        let roi = c.known_floats(1)?.unwrap_or_default();
        if roi.len() != 2 * axes.len() {
            return fail(format!("expected a region of {} axes, got {roi:?}", axes.len()));
        }
        let count = axes.len();
        for (i, axis) in axes.iter_mut().enumerate() {
            axis.region = (roi[i], roi[i + count]);
        }
    }
    resized(x, &axes, &weighting)
}

/// Returns input `i`, scales, unless it is absent or empty.
fn scales(c: &NodeCall, i: usize) -> Result<Option<Vec<f32>>, RuleFailure> {
    let scales = c.known_floats(i)?.filter(|scales| !scales.is_empty());
    Ok(scales.map(|scales| scales.into_iter().map(|x| x as f32).collect()))
}

/// Reads the attributes that define the weights.
fn weighting(c: &NodeCall) -> Result<Weighting, RuleFailure> {
    let coordinates = c.str_or("coordinate_transformation_mode", "half_pixel")?;
    let Some(coordinates) = Coordinates::of_name(&coordinates) else {
        return fail(format!("unknown `coordinate_transformation_mode` {coordinates}"));
    };
    let interpolation = match c.str_or("mode", "nearest")?.as_str() {
        "nearest" => {
            let rounding = c.str_or("nearest_mode", "round_prefer_floor")?;
            let Some(rounding) = NearestRounding::of_name(&rounding) else {
                return fail(format!("unknown `nearest_mode` {rounding}"));
            };
            ResizeMode::Nearest(rounding)
        }
        "linear" => ResizeMode::Linear,
        "cubic" => ResizeMode::Cubic(c.float_or("cubic_coeff_a", -0.75)?.into()),
        other => {
            return fail(format!("expected nearest, linear or cubic as `mode`, got {other}"));
        }
    };
    Ok(Weighting {
        coordinates,
        interpolation,
        is_antialiased: c.flag("antialias", false)?,
        excludes_outside: c.flag("exclude_outside", false)?,
        extrapolation: c.float_or("extrapolation_value", 0.0)?.into(),
    })
}

/// Returns the axes resized by scales.
fn scaled(
    shape: &[usize],
    axes: &[usize],
    scales: &[f32],
) -> Result<Vec<ResizedAxis>, RuleFailure> {
    if scales.len() != axes.len() || !scales.iter().all(|&s| s > 0.0 && s.is_finite()) {
        return fail(format!("expected positive scales of {} axes, got {scales:?}", axes.len()));
    }
    axes.iter().zip(scales).map(|(&axis, &scale)| scaled_axis(axis, shape[axis], scale)).collect()
}

/// Returns an axis of size `from` resized by a scale.
fn scaled_axis(axis: usize, from: usize, scale: f32) -> Result<ResizedAxis, RuleFailure> {
    let product = from as f64 * f64::from(scale);
    // Files have scales that are rounded to f32: the one that is rounded from the quotient of two
    // sizes means these sizes, and not a little more or less.
    let whole = product.round() / from as f64;
    let (to, scale) = match whole as f32 == scale {
        true => (product.round(), whole),
        false => (product.floor(), scale.into()),
    };
    match to < i64::MAX as f64 {
        true => Ok(ResizedAxis::new(axis, from, to as usize, scale)),
        false => fail(format!("the scale {scale} is too large")),
    }
}

/// Returns the axes resized to sizes, or to those with the aspect ratio of the input.
fn sized(
    c: &NodeCall,
    shape: &[usize],
    axes: &[usize],
    sizes: &[i64],
) -> Result<Vec<ResizedAxis>, RuleFailure> {
    if sizes.len() != axes.len() {
        return fail(format!("expected the sizes of {} axes, got {sizes:?}", axes.len()));
    }
    let sizes: Vec<usize> = sizes.iter().map(|&n| size_of(n)).collect::<Result<_, _>>()?;
    let pairs = || axes.iter().copied().zip(sizes.iter().copied());
    let ratio = |(axis, to): (usize, usize)| to as f64 / shape[axis] as f64;
    let common = match c.str_or("keep_aspect_ratio_policy", "stretch")?.as_str() {
        "stretch" => {
            let axis =
                |pair: (usize, usize)| ResizedAxis::new(pair.0, shape[pair.0], pair.1, ratio(pair));
            return Ok(pairs().map(axis).collect());
        }
        "not_larger" => pairs().map(ratio).fold(f64::INFINITY, f64::min),
        "not_smaller" => pairs().map(ratio).fold(0.0, f64::max),
        other => return fail(format!("unknown `keep_aspect_ratio_policy` {other}")),
    };
    if !common.is_finite() {
        return fail(format!("cannot resize {shape:?} to {sizes:?} and keep the aspect ratio"));
    }
    let axis = |(axis, _): (usize, usize)| {
        let to = (common * shape[axis] as f64 + 0.5).floor() as usize;
        ResizedAxis::new(axis, shape[axis], to, common)
    };
    Ok(pairs().map(axis).collect())
}

/// Resizes axes one after the other, those that do not change left out.
fn resized(x: &OnnxValue, axes: &[ResizedAxis], weighting: &Weighting) -> RuleOutcome {
    let changed: Vec<&ResizedAxis> = axes.iter().filter(|axis| !axis.is_identity()).collect();
    if let Some(axis) = changed.iter().find(|axis| axis.from == 0 && axis.to > 0) {
        return fail(format!("cannot resize the empty axis {}", axis.axis));
    }
    if let ResizeMode::Nearest(rounding) = weighting.interpolation {
        if weighting.is_antialiased {
            return fail("expected linear or cubic as `mode` with `antialias`");
        }
        return nearest(x, &changed, weighting, rounding);
    }
    let OnnxValue::Tensor(x) = x else {
        return fail(format!("expected numbers to interpolate, got {}", x.kind()));
    };
    let wide = interpolation_dtype(x.dtype());
    let mut y = x.to(wide);
    for axis in changed {
        let weights = weighting.matrix(axis)?;
        let weights = Tensor::from_vec(weights, [axis.from, axis.to]).to(wide);
        let at = axis.axis as i64;
        y = y.move_axis(at, -1).matmul(weights).move_axis(-1, at);
    }
    one(extrapolated(rounded(y, x.dtype()), axes, weighting)?)
}

/// Takes the nearest elements.
fn nearest(
    x: &OnnxValue,
    axes: &[&ResizedAxis],
    weighting: &Weighting,
    rounding: NearestRounding,
) -> RuleOutcome {
    if weighting.coordinates == Coordinates::CropAndResize && matches!(x, OnnxValue::Strings(_)) {
        return fail("expected numbers to crop and resize, got strings");
    }
    let axes: Vec<ResizedAxis> = axes.iter().map(|&axis| *axis).collect();
    moved(x, |x| {
        let mut y = x.clone();
        for axis in &axes {
            let indices = weighting.nearest(axis, rounding)?;
            y = y.take(Tensor::from_vec(indices, axis.to), axis.axis as i64);
        }
        extrapolated(y, &axes, weighting)
    })
}

/// Converts a result to the dtype of the input, integers to the nearest one in range.
fn rounded(y: Tensor, dtype: DType) -> Tensor {
    match dtype.int_range() {
        Some(range) if dtype.is_int() => {
            y.round().clip(*range.start() as f64, *range.end() as f64).to(dtype)
        }
        _ => y.to(dtype),
    }
}

/// Replaces the elements whose position is outside of the input.
fn extrapolated(
    mut y: Tensor,
    axes: &[ResizedAxis],
    weighting: &Weighting,
) -> Result<Tensor, RuleFailure> {
    for axis in axes {
        let outside = weighting.outside(axis)?;
        if !outside.contains(&true) {
            continue;
        }
        let mut shape = vec![1; y.rank()];
        shape[axis.axis] = axis.to;
        let value = Tensor::scalar(DType::F64, weighting.extrapolation).to(y.dtype());
        y = Tensor::from_vec(outside, shape).select(value, y);
    }
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_that_is_rounded_from_sizes_means_these_sizes() {
        let to = |from, scale| scaled_axis(0, from, scale).ok().map(|axis| axis.to);
        assert_eq!(to(10, 0.7), Some(7), "10 times the f32 is a little less than 7");
        assert_eq!(to(3, 10.0 / 3.0), Some(10));
        assert_eq!(to(7, 0.6), Some(4));
        assert_eq!(to(0, 2.0), Some(0));
        assert_eq!(to(usize::MAX, f32::MAX), None);
    }
}
