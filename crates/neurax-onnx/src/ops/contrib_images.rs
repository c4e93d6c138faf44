//! Operators of ONNX Runtime for images: normalization of groups of channels.

use super::axes::{same_dtype, size_of};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{MICROSOFT, Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::Tensor;

pub(crate) const OPERATORS: &[Operator] = &[
    op("GroupNorm", &[1], 3..=3, group_norm).domain(MICROSOFT).attributes(GROUP_NORM),
    op("SkipGroupNorm", &[1], 4..=5, skip_group_norm).domain(MICROSOFT).attributes(GROUP_NORM),
];

const GROUP_NORM: &[&str] = &["activation", "channels_last", "epsilon", "groups"];

fn group_norm(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    one(normalized(c, &x.to(x.dtype().at_least_f32()))?.to(x.dtype()))
}

/// Normalizes the sum of two tensors and a bias for each channel. Returns it, and the sum.
fn skip_group_norm(c: &NodeCall) -> RuleOutcome {
    let (x, skip) = (c.x(0)?, c.x(3)?);
    same_dtype(&x, &skip)?;
    let wide = x.dtype().at_least_f32();
    let mut sum = x.to(wide) + aligned(c, &x, &skip)?.to(wide);
    if let Some(bias) = c.maybe(4)? {
        same_dtype(&x, &bias)?;
        sum += of_channels(c, &x, &bias)?.to(wide);
    }
    let y = normalized(c, &sum)?;
    Ok(vec![OnnxValue::Tensor(y.to(x.dtype())), OnnxValue::Tensor(sum.to(x.dtype()))])
}

/// Returns the axis of the channels.
fn channel_axis(c: &NodeCall, x: &Tensor) -> Result<usize, RuleFailure> {
    match (c.flag("channels_last", true)?, x.rank()) {
        (true, 3..) => Ok(x.rank() - 1),
        (false, 3..) => Ok(1),
        _ => fail(format!("expected batch, space and channels, got {}", x.ty()?)),
    }
}

/// Returns numbers for channels in the shape of `x`.
fn of_channels(c: &NodeCall, x: &Tensor, numbers: &Tensor) -> Result<Tensor, RuleFailure> {
    let axis = channel_axis(c, x)?;
    let mut shape = vec![1; x.rank()];
    shape[axis] = x.shape()[axis];
    match numbers.rank() == 1 && numbers.size() == shape[axis] {
        true => Ok(numbers.reshape(shape)),
        false => fail(format!("expected {} channels, got {}", shape[axis], numbers.ty()?)),
    }
}

/// Returns a second summand, which may have no space axes, or some of size 1.
fn aligned(c: &NodeCall, x: &Tensor, skip: &Tensor) -> Result<Tensor, RuleFailure> {
    let axis = channel_axis(c, x)?;
    let mut shape = vec![1; x.rank()];
    (shape[0], shape[axis]) = (x.shape()[0], x.shape()[axis]);
    let sizes = skip.shape().to_vec();
    let fits = sizes == shape || sizes == [shape[0], shape[axis]];
    match (fits, sizes == x.shape().to_vec()) {
        (_, true) => Ok(skip.clone()),
        (true, _) => Ok(skip.reshape(shape)),
        _ => fail(format!("cannot add {} to {}", skip.ty()?, x.ty()?)),
    }
}

/// Normalizes groups of channels, scales and moves them, and computes the activation function.
fn normalized(c: &NodeCall, x: &Tensor) -> Result<Tensor, RuleFailure> {
    let axis = channel_axis(c, x)?;
    let first = x.move_axis(axis, 1);
    let groups = size_of(c.required("groups", c.int("groups")?)?)?;
    let Some(0) = first.dim(1).checked_rem(groups) else {
        return fail(format!("expected a divisor of {} channels, got {groups}", first.dim(1)));
    };
    let of_group = first.size().checked_div(first.dim(0) * groups).unwrap_or(0);
    let epsilon = c.float_or("epsilon", 1e-5)?;
    let grouped = first.reshape([first.dim(0), groups, of_group]);
    let y = grouped.layer_norm(None, None, epsilon.into()).reshape(first.shape());
    let (gamma, beta) = (c.x(1)?.to(x.dtype()), c.x(2)?.to(x.dtype()));
    let y = y.move_axis(1, axis) * of_channels(c, x, &gamma)? + of_channels(c, x, &beta)?;
    match c.required("activation", c.int("activation")?)? {
        0 => Ok(y),
        1 => Ok(y.silu()),
        other => fail(format!("expected 0 or 1 (SiLU) as `activation`, got {other}")),
    }
}
