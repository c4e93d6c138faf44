//! Padding and cropping: `Pad`, `CenterCropPad`.

use super::axes::{axes_of, size_of};
use super::shapes::{ints_of, missing, taken};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{DType, PadMode, Tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("Pad", &[1, 2, 11, 13, 18, 19, 21, 23, 24, 25], 1..=4, pad)
        .attributes(&["paddings", "pads", "mode", "value"]),
    op("CenterCropPad", &[18], 2..=2, center_crop_pad).attributes(&["axes"]),
];

fn pad(c: &NodeCall) -> RuleOutcome {
    match c.value(0)? {
        OnnxValue::Tensor(x) => {
            let value = match c.version() >= 11 {
                true => c.maybe(2)?,
                false => Some(Tensor::scalar(x.dtype(), c.float_or("value", 0.0)?)),
            };
            let value = value.unwrap_or_else(|| Tensor::zeros_of(x.dtype(), ()));
            one(padded(c, x, value)?)
        }
        OnnxValue::Strings(x) => {
            let value = match c.optional_value(2) {
                Some(_) => c.strings(2)?.elements().to_vec(),
                None => vec![String::new()],
            };
            let [value] = &value[..] else {
                return fail(format!("expected one string to pad with, got {}", value.len()));
            };
            // The string behind the last one is that of the padding.
            let end = x.elements().len();
            let places = Tensor::from_vec((0..end as i64).collect(), x.shape());
            let places = padded(c, &places, Tensor::scalar(DType::I64, end as i64))?;
            one(taken(&x.elements().iter().chain([value]).collect::<Vec<_>>(), &places)?)
        }
        other => fail(format!("expected a tensor as input 0, got {}", other.kind())),
    }
}

/// Pads a tensor as the attributes and the other inputs of a `Pad` say, in the mode `constant` with
/// `value`.
fn padded(c: &NodeCall, x: &Tensor, value: Tensor) -> Result<Tensor, RuleFailure> {
    let pairs = padding_widths(c, x.rank())?;
    let mode = match c.str_or("mode", "constant")?.as_str() {
        "constant" => {
            let dilated: Vec<_> = pairs.iter().map(|&(a, b)| (a, b, 0)).collect();
            return Ok(x.pad_dilated(dilated, value.reshape(())));
        }
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Edge,
        "wrap" => PadMode::Wrap,
        other => return fail(format!("expected a mode of padding, got `{other}`")),
    };
    // Negative widths crop; the modes apply to what is left.
    let cropped: Vec<_> = pairs.iter().map(|&(a, b)| (a.min(0), b.min(0), 0)).collect();
    let widths: Vec<_> =
        pairs.iter().map(|&(a, b)| (a.max(0) as usize, b.max(0) as usize)).collect();
    let zero = Tensor::zeros_of(x.dtype(), ());
    Ok(x.pad_dilated(cropped, zero).pad_with(widths, mode))
}

/// Returns the widths of the padding in front of and behind each of `rank` axes.
fn padding_widths(c: &NodeCall, rank: usize) -> Result<Vec<(i64, i64)>, RuleFailure> {
    let name = if c.version() == 1 { "paddings" } else { "pads" };
    let Some(widths) = ints_of(c, name, 1, 11)? else { return missing("widths of padding") };
    let axes = match c.version() >= 18 {
        true => c.known_ints(3)?.map(|axes| axes_of(&axes, rank)).transpose()?,
        false => None,
    };
    let axes = axes.unwrap_or_else(|| (0..rank).collect());
    if widths.len() != 2 * axes.len() {
        return fail(format!("expected widths of {} axes, got {widths:?}", axes.len()));
    }
    let mut pairs = vec![(0, 0); rank];
    for (i, &axis) in axes.iter().enumerate() {
        pairs[axis] = (widths[i], widths[i + axes.len()]);
    }
    Ok(pairs)
}

/// Crops or pads axes to sizes, evenly at both ends; an odd element is at the end.
fn center_crop_pad(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let Some(sizes) = c.known_ints(1)? else { return missing("a shape") };
    let axes = match c.ints("axes")? {
        Some(axes) => axes_of(axes, x.rank())?,
        None => (0..x.rank()).collect(),
    };
    if sizes.len() != axes.len() {
        return fail(format!("expected sizes of {} axes, got {sizes:?}", axes.len()));
    }
    let mut widths = vec![(0, 0, 0); x.rank()];
    for (&axis, &size) in axes.iter().zip(&sizes) {
        let more = size_of(size)? as i64 - x.dim(axis as i64) as i64;
        let front = more / 2;
        widths[axis] = (front, more - front, 0);
    }
    one(x.pad_dilated(widths, Tensor::zeros_of(x.dtype(), ())))
}
