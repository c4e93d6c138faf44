//! Softmax, its logarithm, and the logarithm of a sum of exponentials.

use super::search::{PatternSearch, Replacement, composite_by, composite_of};
use crate::composite::{Composite, LogSoftmax, LogSumExp, Softmax};
use crate::op::{Binary, Reduce, ReduceKind, Reshape, Unary};
use crate::{Eqn, Op, Value};

/// Recognizes `e / sum(e)` with `e = exp(x - max(x))`.
pub(super) fn softmax(s: &mut PatternSearch, e: &Eqn) -> Option<Replacement> {
    let list = s.factors(e)?;
    let [(x, false), (y, divides)] = list.factors[..] else { return None };
    if list.coefficient != 1.0 {
        return None;
    }
    let of = |s: &mut PatternSearch, e: Value, total: Value, divides: bool| {
        let (x, axis) = shifted_exponential(s, e)?;
        let total = s.repeated(total, axis)?;
        let total = if divides { total } else { reciprocal(s, total)? };
        (s.reduced(total, ReduceKind::Sum, axis)? == e).then_some(())?;
        composite_of(Softmax { axis }, &[x])
    };
    if divides {
        return of(s, x, y, true);
    }
    s.in_any_order([x, y], |s, e, total| of(s, e, total, false))
}

/// Recognizes `(x - max(x)) - log(sum(exp(x - max(x))))`.
pub(super) fn log_softmax(s: &mut PatternSearch, e: &Eqn) -> Option<Replacement> {
    let Op::Binary(Binary::Sub) = e.op else { return None };
    let shifted = e.inputs[0];
    let (x, axis) = without_maximum(s, shifted)?;
    let log = s.repeated(e.inputs[1], axis)?;
    let total = s.unary(log, Unary::Log)?;
    let exponential = s.reduced(total, ReduceKind::Sum, axis)?;
    (s.unary(exponential, Unary::Exp)? == shifted).then_some(())?;
    composite_of(LogSoftmax { axis }, &[x])
}

/// Recognizes `log(sum(exp(x - m))) + m`, where `m` is the maximum of `x` if that is finite, and
/// else 0. Without this condition the result of infinite numbers is NaN, and there is no rewrite.
pub(super) fn logsumexp(s: &mut PatternSearch, e: &Eqn) -> Option<Replacement> {
    let Op::Binary(Binary::Add) = e.op else { return None };
    let shape = s.ty(e.outputs[0]).shape.clone();
    s.in_any_order([e.inputs[0], e.inputs[1]], |s, log, shift| {
        let shift = s.without_unit_moves(shift);
        let log = s.without_unit_moves(log);
        let total = s.unary(log, Unary::Log)?;
        let total = s.without_unit_moves(total);
        let axis = reduced_axis(s, total)?;
        let exponential = s.reduced(total, ReduceKind::Sum, axis)?;
        let shifted = s.unary(exponential, Unary::Exp)?;
        let [x, repeated] = s.binary(shifted, Binary::Sub)?;
        (s.repeated(repeated, axis)? == shift).then_some(())?;
        let [is_finite, max, zero] = s.select(shift)?;
        (s.unary(is_finite, Unary::IsFinite)? == max && s.number(zero)? == 0.0).then_some(())?;
        (s.reduced(max, ReduceKind::Max, axis)? == x).then_some(())?;
        let shape = shape.clone();
        composite_by(LogSumExp { axis }, &[x], move |b, xs| {
            let y = b.emit(LogSumExp { axis }, xs);
            if b.ty(y).shape == shape { y } else { b.reshape(y, shape.clone()) }
        })
    })
}

/// Replaces the reshaped softmax of a reshaped value by a softmax of the value, if the last axis is
/// the same: operator sets below 13 have a softmax of matrices.
pub(super) fn softmax_of_reshape(s: &mut PatternSearch, e: &Eqn) -> Option<Replacement> {
    let Op::Reshape(Reshape { shape }) = &e.op else { return None };
    let inner = s.enter(e.inputs[0])?;
    let Op::Composite(Composite::Softmax(Softmax { axis })) = inner.op else { return None };
    let reshape = s.producer(inner.inputs[0])?;
    let x = *reshape.inputs.first().filter(|_| matches!(reshape.op, Op::Reshape(_)))?;
    let is_last = axis + 1 == s.ty(inner.inputs[0]).rank();
    let has_axis = s.ty(inner.inputs[0]).shape.last() == shape.last();
    let last = shape.rank().checked_sub(1)?;
    (is_last && has_axis && s.ty(x).shape == *shape).then_some(())?;
    composite_of(Softmax { axis: last }, &[x])
}

/// Returns `x` and the axis of `exp(x - max(x))`.
fn shifted_exponential(s: &mut PatternSearch, v: Value) -> Option<(Value, usize)> {
    let shifted = s.unary(v, Unary::Exp)?;
    without_maximum(s, shifted)
}

/// Returns `x` and the axis of `x - max(x)`.
fn without_maximum(s: &mut PatternSearch, v: Value) -> Option<(Value, usize)> {
    let [x, max] = s.binary(v, Binary::Sub)?;
    let axis = (0..s.ty(v).rank()).find(|&axis| {
        let found = s.attempt(|s| {
            let max = s.repeated(max, axis)?;
            let max = maximum_above_all(s, max);
            (s.reduced(max, ReduceKind::Max, axis)? == x).then_some(())
        });
        found.is_some()
    })?;
    Some((x, axis))
}

/// Returns `x` of `max(x, -inf)`, as JAX writes it, or the value itself.
fn maximum_above_all(s: &mut PatternSearch, v: Value) -> Value {
    let v = s.without_unit_moves(v);
    let found = s.attempt(|s| {
        let both = s.binary(v, Binary::Max)?;
        s.in_any_order(both, |s, x, y| (s.number(y)? == f64::NEG_INFINITY).then_some(x))
    });
    found.map_or(v, |x| s.without_unit_moves(x))
}

/// Returns `x` of `1 / x`.
fn reciprocal(s: &mut PatternSearch, v: Value) -> Option<Value> {
    let [one, x] = s.binary(v, Binary::Div)?;
    (s.number(one)? == 1.0).then(|| s.without_unit_moves(x))
}

/// Returns the axis that a reduction of one axis reduces.
fn reduced_axis(s: &PatternSearch, v: Value) -> Option<usize> {
    match &s.producer(v)?.op {
        Op::Reduce(Reduce { axes, .. }) if axes.len() == 1 => axes.first().copied(),
        _ => None,
    }
}
