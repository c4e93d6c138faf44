//! Normalizations: deviations from the mean, divided by the standard deviation or by another norm.
//!
//! Moments of floats below 32 bits are computed in f32, as the standard asks for by default
//! (`stash_type` 1). Where a tensor function has the same meaning it is called, so that the
//! compiler sees one operation: `LayerNormalization` from axis 1 on of `[2, 3, 4]` is `layer_norm`
//! of `[2, 12]`.

use super::axes::{as_axes, axes_of, axis_of, same_dtype, size_of};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::dtype::ElementType;
use crate::operator::{MICROSOFT, Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{DType, Tensor, keep};

pub(crate) const OPERATORS: &[Operator] = &[
    op("BatchNormalization", &[1, 6, 7, 9, 14, 15], 5..=5, batch).attributes(&[
        "consumed_inputs",
        "epsilon",
        "is_test",
        "momentum",
        "spatial",
        "training_mode",
    ]),
    op("InstanceNormalization", &[1, 6, 22], 3..=3, instance)
        .attributes(&["epsilon", "consumed_inputs"]),
    op("GroupNormalization", &[18, 21], 3..=3, group).attributes(&[
        "epsilon",
        "num_groups",
        "stash_type",
    ]),
    // ONNX Runtime's optimizer writes this operator into models of older opsets, too.
    op("LayerNormalization", &[1, 17], 2..=3, layer).attributes(LAYER),
    op("RMSNormalization", &[23], 2..=2, rms).attributes(LAYER),
    op("MeanVarianceNormalization", &[9, 13], 1..=1, mean_variance).attributes(&["axes"]),
    op("LpNormalization", &[1, 22], 1..=1, lp).attributes(&["axis", "p"]),
    // ONNX Runtime's optimizer writes this operator into the default domain, too.
    op("SimplifiedLayerNormalization", &[1], 2..=2, rms).attributes(LAYER),
    op("SimplifiedLayerNormalization", &[1], 2..=2, rms).attributes(LAYER).domain(MICROSOFT),
    op("SkipLayerNormalization", &[1], 3..=5, skip_layer)
        .attributes(&["epsilon"])
        .domain(MICROSOFT),
    op("SkipSimplifiedLayerNormalization", &[1], 3..=4, skip_rms)
        .attributes(&["epsilon"])
        .domain(MICROSOFT),
    op("EmbedLayerNormalization", &[1], 7..=9, embed_layer)
        .attributes(&["epsilon", "mask_index_type"])
        .domain(MICROSOFT),
];

const LAYER: &[&str] = &["axis", "epsilon", "stash_type"];
/// The default of `epsilon`; that of the operators of ONNX Runtime is [`SMALL`].
const EPSILON: f32 = 1e-5;
const SMALL: f32 = 1e-12;

/// Returns the dtype in which sums of `dtype` are computed.
pub(crate) fn wide(x: &Tensor) -> DType {
    x.dtype().at_least_f32()
}

/// Returns the float dtype with this number, which an attribute has.
///
/// # Errors
/// If there is no such dtype, or it is no float.
pub(crate) fn float_of(number: i64) -> Result<DType, RuleFailure> {
    match ElementType::of_number(number) {
        Some(ElementType::Number(dtype)) if dtype.is_float() => Ok(dtype),
        _ => fail(format!("expected the number of a float dtype, got {number}")),
    }
}

/// Returns a tensor of at least `rank` axes, of floats.
fn floats(c: &NodeCall, i: usize, rank: usize) -> Result<Tensor, RuleFailure> {
    let x = c.x(i)?;
    match x.dtype().is_float() && x.rank() >= rank {
        true => Ok(x),
        false => fail(format!("expected floats of at least {rank} axes, got {}", x.ty()?)),
    }
}

fn epsilon(c: &NodeCall, default: f32) -> Result<f64, RuleFailure> {
    match c.float_or("epsilon", default)? {
        e if e >= 0.0 => Ok(e.into()),
        e => fail(format!("expected an epsilon that is not negative, got {e}")),
    }
}

/// Normalizes channels, axis 1, by given moments, or by those of the batch in training.
fn batch(c: &NodeCall) -> RuleOutcome {
    let x = floats(c, 0, 1)?;
    let epsilon = epsilon(c, EPSILON)?;
    let is_spatial = c.flag("spatial", true)?;
    let x_by_channel = match x.rank() {
        // A vector is a batch of one channel.
        1 => x.expand_dims(1),
        // Each element of the channels has its own moments.
        _ if !is_spatial => x.reshape([x.dim(0), x.shape()[1..].iter().product()]),
        _ => x.clone(),
    };
    let mut weights = Vec::new();
    for i in 1..5 {
        weights.push(c.x(i)?.flatten());
    }
    let [scale, bias, mean, var] = [0, 1, 2, 3].map(|i| weights[i].to(wide(&x)));
    if !is_training(c)? {
        let y = x_by_channel.batch_norm_inference(&scale, &bias, &mean, &var, 1, epsilon);
        return one(y.to(x.dtype()).reshape(x.shape()));
    }
    let (y, batch_mean, batch_var) = x_by_channel.batch_norm_training(&scale, &bias, 1, epsilon);
    let momentum = f64::from(c.float_or("momentum", 0.9)?);
    let running = |old: &Tensor, new: &Tensor, like: Tensor| {
        let new = old * momentum + new * (1.0 - momentum);
        new.to(like.dtype()).reshape(like.shape())
    };
    let saved = |new: &Tensor| new.to(x.dtype());
    let ys = [
        y.to(x.dtype()).reshape(x.shape()),
        running(&mean, &batch_mean, c.x(3)?),
        running(&var, &batch_var, c.x(4)?),
        saved(&batch_mean),
        saved(&batch_var),
    ];
    Ok(ys.into_iter().map(OnnxValue::Tensor).collect())
}

/// Returns true if the moments are those of the batch. Before version 14, a node in training is one
/// with more outputs than the result, since `is_test` is missing in many old files for inference.
fn is_training(c: &NodeCall) -> Result<bool, RuleFailure> {
    match c.version() >= 14 {
        true => c.flag("training_mode", false),
        false => Ok(!c.flag("is_test", false)? && (1..c.outputs()).any(|i| c.wants(i))),
    }
}

/// Normalizes each channel of each instance.
fn instance(c: &NodeCall) -> RuleOutcome {
    let x = floats(c, 0, 2)?;
    let channels = x.dim(1);
    let (scale, bias) = (c.x(1)?, c.x(2)?);
    one(normalized_groups(&x, channels, [&scale, &bias], epsilon(c, EPSILON)?)?)
}

/// Normalizes each group of channels of each instance. The weights are those of groups in version
/// 18, of channels from 21 on.
fn group(c: &NodeCall) -> RuleOutcome {
    let x = floats(c, 0, 2)?;
    float_of(c.int_or("stash_type", 1)?)?;
    let groups = size_of(c.required("num_groups", c.int("num_groups")?)?)?;
    let channels = x.dim(1);
    if groups == 0 || !channels.is_multiple_of(groups) {
        return fail(format!("expected groups of {channels} channels, got {groups} groups"));
    }
    let (mut scale, mut bias) = (c.x(1)?, c.x(2)?);
    if c.version() < 21 {
        let per_channel = |w: Tensor| w.repeat(channels / groups, 0);
        (scale, bias) = (per_channel(scale), per_channel(bias));
    }
    one(normalized_groups(&x, groups, [&scale, &bias], epsilon(c, EPSILON)?)?)
}

/// Normalizes groups of channels, axis 1, and multiplies by and adds weights of channels.
fn normalized_groups(
    x: &Tensor,
    groups: usize,
    weights: [&Tensor; 2],
    epsilon: f64,
) -> Result<Tensor, RuleFailure> {
    let channels = x.dim(1);
    for w in weights {
        if w.shape() != [channels] {
            return fail(format!("expected weights of {channels} channels, got {}", w.ty()?));
        }
    }
    let size = x.shape()[1..].iter().product::<usize>() / groups.max(1);
    let rows = x.to(wide(x)).reshape([x.dim(0), groups, size]);
    let y = rows.layer_norm(None, None, epsilon).reshape(x.shape());
    let by_channel = |w: &Tensor| {
        let shape = [vec![channels], vec![1; x.rank() - 2]].concat();
        w.to(wide(x)).reshape(shape)
    };
    Ok((y * by_channel(weights[0]) + by_channel(weights[1])).to(x.dtype()))
}

/// Normalizes over `axis` and those behind it; also returns the mean and the reciprocal deviation.
fn layer(c: &NodeCall) -> RuleOutcome {
    let x = floats(c, 0, 1)?;
    let axis = axis_of(c.int_or("axis", -1)?, x.rank())?;
    let stash = float_of(c.int_or("stash_type", 1)?)?;
    let (scale, bias) = (c.x(1)?, c.maybe(2)?);
    for w in [Some(&scale), bias.as_ref()].into_iter().flatten() {
        same_dtype(&x, w)?;
    }
    let epsilon = epsilon(c, EPSILON)?;
    let mut ys = vec![layer_norm(&x, axis, &scale, bias.as_ref(), epsilon)];
    if c.outputs() > 1 {
        ys.extend(moments(&x, axis, epsilon).map(|m| m.to(stash)));
    }
    Ok(ys.into_iter().map(OnnxValue::Tensor).collect())
}

/// Computes the layer normalization from `axis` on, with weights that broadcast.
fn layer_norm(
    x: &Tensor,
    axis: usize,
    scale: &Tensor,
    bias: Option<&Tensor>,
    epsilon: f64,
) -> Tensor {
    let rows = rows_of(x, axis);
    let (width, is_whole) = (rows.dim(-1), |w: &Tensor| w.shape()[..] == x.shape()[axis..]);
    if is_whole(scale) && bias.is_none_or(is_whole) {
        let flat = |w: &Tensor| w.reshape([width]);
        let bias = bias.map(flat);
        let y = rows.layer_norm(Some(&flat(scale)), bias.as_ref(), epsilon);
        return y.to(x.dtype()).reshape(x.shape());
    }
    let y = rows.to(wide(x)).layer_norm(None, None, epsilon).reshape(x.shape());
    let y = y * scale.to(wide(x));
    bias.map_or(y.clone(), |bias| y + bias.to(wide(x))).to(x.dtype())
}

/// Reshapes a tensor such that `axis` and those behind it are one axis.
fn rows_of(x: &Tensor, axis: usize) -> Tensor {
    let shape = x.shape();
    let (before, behind) = shape.split_at(axis);
    x.reshape([before, &[behind.iter().product()]].concat())
}

/// Returns the mean and the reciprocal deviation over `axis` and those behind it, with size 1.
fn moments(x: &Tensor, axis: usize, epsilon: f64) -> [Tensor; 2] {
    let x = x.to(wide(x));
    let deviation = (x.var(keep(axis..), 0) + epsilon).rsqrt();
    [x.mean(keep(axis..)), deviation]
}

/// Divides by the root of the mean square over `axis` and those behind it; also returns the
/// reciprocal of the root. The result has the dtype of the scale.
fn rms(c: &NodeCall) -> RuleOutcome {
    let x = floats(c, 0, 1)?;
    let axis = axis_of(c.int_or("axis", -1)?, x.rank())?;
    float_of(c.int_or("stash_type", 1)?)?;
    let (scale, epsilon) = (floats(c, 1, 0)?, epsilon(c, EPSILON)?);
    let mut ys = vec![rms_norm(&x, axis, &scale, epsilon)];
    if c.wants(1) {
        ys.push(root_mean_square(&x, axis, epsilon).reciprocal());
    }
    Ok(ys.into_iter().map(OnnxValue::Tensor).collect())
}

/// Computes the root mean square normalization from `axis` on, with a scale that broadcasts.
fn rms_norm(x: &Tensor, axis: usize, scale: &Tensor, epsilon: f64) -> Tensor {
    let rows = rows_of(x, axis);
    if scale.shape()[..] == x.shape()[axis..] && scale.dtype() == x.dtype() {
        let y = rows.rms_norm(Some(&scale.reshape([rows.dim(-1)])), epsilon);
        return y.reshape(x.shape());
    }
    let y = rows.to(wide(x)).rms_norm(None, epsilon).reshape(x.shape());
    (y * scale.to(wide(x))).to(scale.dtype())
}

fn root_mean_square(x: &Tensor, axis: usize, epsilon: f64) -> Tensor {
    (x.to(wide(x)).square().mean(keep(axis..)) + epsilon).sqrt()
}

/// Subtracts the mean over `axes` and divides by the deviation, to which 1e-9 is added.
fn mean_variance(c: &NodeCall) -> RuleOutcome {
    let x = floats(c, 0, 0)?;
    let axes = as_axes(&axes_of(c.ints("axes")?.unwrap_or(&[0, 2, 3]), x.rank())?);
    let w = x.to(wide(&x));
    let deviation = w.var(keep(&axes[..]), 0).sqrt() + 1e-9;
    one(((&w - w.mean(keep(&axes[..]))) / deviation).to(x.dtype()))
}

/// Divides by the norm of order 1 or 2 along an axis; vectors of zeros stay.
fn lp(c: &NodeCall) -> RuleOutcome {
    let x = floats(c, 0, 1)?;
    let axis = axis_of(c.int_or("axis", -1)?, x.rank())?;
    let w = x.to(wide(&x));
    // The derivative of the root at 0 is infinite, so that the zeros are replaced before it.
    let nonzero = |norm: Tensor| norm.equal(0.0).select(1.0, norm);
    let norm = match c.int_or("p", 2)? {
        1 => nonzero(w.abs().sum(keep(axis))),
        2 => nonzero(w.square().sum(keep(axis))).sqrt(),
        p => return fail(format!("expected p 1 or 2, got {p}")),
    };
    one((w / norm).to(x.dtype()))
}

/// Normalizes the sum of the inputs, and also returns it.
fn skip_layer(c: &NodeCall) -> RuleOutcome {
    let (x, scale) = (skip_sum(c, 4)?, c.x(2)?);
    let (axis, epsilon, bias) = (x.rank() - 1, epsilon(c, SMALL)?, c.maybe(3)?);
    let y = layer_norm(&x, axis, &scale, bias.as_ref(), epsilon);
    let [mean, deviation] = moments(&x, axis, epsilon);
    Ok([y, mean, deviation, x].map(OnnxValue::Tensor).to_vec())
}

/// Divides the sum of the inputs by its root mean square, and also returns it. The mean, which has
/// no part in this, is 0.
fn skip_rms(c: &NodeCall) -> RuleOutcome {
    let (x, scale) = (skip_sum(c, 3)?, c.x(2)?);
    let (axis, epsilon) = (x.rank() - 1, epsilon(c, SMALL)?);
    let y = rms_norm(&x, axis, &scale, epsilon);
    let deviation = root_mean_square(&x, axis, epsilon).reciprocal();
    Ok([y, deviation.zeros_like(), deviation, x].map(OnnxValue::Tensor).to_vec())
}

/// Returns the sum of the input, of `skip`, which broadcasts to it, and of the bias, which is input
/// `bias`.
fn skip_sum(c: &NodeCall, bias: usize) -> Result<Tensor, RuleFailure> {
    let (x, skip) = (floats(c, 0, 1)?, c.x(1)?);
    same_dtype(&x, &skip)?;
    let sum = &x + skip;
    let sum = c.maybe(bias)?.map_or(sum.clone(), |bias| sum + bias);
    match sum.shape() == x.shape() && sum.dtype() == x.dtype() {
        true => Ok(sum),
        false => fail(format!("expected a sum {}, got {}", x.ty()?, sum.ty()?)),
    }
}

/// Adds the embeddings of words, positions and segments, and normalizes the sum; also counts the
/// words that the mask selects.
fn embed_layer(c: &NodeCall) -> RuleOutcome {
    // The mask's dtype is known without this attribute, which is for inferring shapes.
    c.int("mask_index_type")?;
    let rows = |i: usize, ids: &Tensor| Ok(c.x(i)?.take(ids, 0));
    let outputs = embedded(c, &rows, [c.x(5)?, c.x(6)?], c.maybe(8)?)?;
    Ok(outputs.map(OnnxValue::Tensor).to_vec())
}

/// Returns the normalized sum of the embeddings of words, positions and segments, the number of
/// words of each text that input 7, a mask, counts, and the sum. `rows` returns the rows of the
/// embedding that is input `i`; the scale and the bias are those of the normalization.
pub(crate) fn embedded(
    c: &NodeCall,
    rows: &dyn Fn(usize, &Tensor) -> Result<Tensor, RuleFailure>,
    [scale, bias]: [Tensor; 2],
    positions: Option<Tensor>,
) -> Result<[Tensor; 3], RuleFailure> {
    let ids = c.x(0)?;
    let &[batch, length] = &ids.shape()[..] else {
        return fail(format!("expected ids [batch, length], got {}", ids.ty()?));
    };
    let positions = positions.unwrap_or_else(|| Tensor::arange(length).expand_dims(0));
    let mut sum = rows(2, &ids)? + rows(3, &positions)?;
    match (c.maybe(1)?, c.optional_value(4).is_some()) {
        (Some(segments), true) => sum += rows(4, &segments)?,
        (None, false) => {}
        _ => return fail("expected segments together with their embedding"),
    }
    let axis = axis_of(-1, sum.rank())?;
    let y = layer_norm(&sum, axis, &scale, Some(&bias), epsilon(c, SMALL)?);
    let count = match c.maybe(7)? {
        Some(mask) => mask.equal(1).to(DType::I32).sum(1),
        None => Tensor::zeros_of(DType::I32, [batch]),
    };
    Ok([y, count, sum])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_broadcast_are_those_of_whole_rows() {
        let x = Tensor::from_vec(vec![1.0f32, 3.0, 2.0, 8.0], [1, 2, 2]);
        let (whole, row) = (Tensor::full([2, 2], 2.0), Tensor::full([2], 2.0));
        let y = layer_norm(&x, 1, &whole, Some(&whole), 1e-5);
        let z = layer_norm(&x, 1, &row, Some(&row), 1e-5);
        assert_eq!(y.to_vec::<f32>().unwrap(), z.to_vec::<f32>().unwrap());
        let y = rms_norm(&x, 1, &whole, 1e-5).to_vec::<f32>().unwrap();
        assert_eq!(y, rms_norm(&x, 1, &row, 1e-5).to_vec::<f32>().unwrap());
    }

    #[test]
    fn stash_types_are_floats() {
        assert_eq!(float_of(16).unwrap(), DType::BF16);
        assert!(float_of(7).is_err() && float_of(99).is_err());
    }
}
