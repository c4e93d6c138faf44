//! Attention: `softmax(scale q k^T) v`, where numbers scale the queries, the keys or the scores,
//! and queries, keys and values are in any order of their axes.
//!
//! ```text
//! s = q k^T                     for each batch and head
//! p = softmax(s)
//! p = softmax(s + (mask ? 0 : -inf)), then 0 instead of NaN        a masked query has no key
//! y = p v
//! ```
//!
//! Without the last step, a query without a key has the result NaN, which
//! [`DotProductAttention`] has not: such masks are no pattern, and neither are other sums with
//! scores.

use super::search::{PatternSearch, Replacement, composite_by};
use crate::composite::{Composite, DotProductAttention, Softmax};
use crate::op::{Binary, Broadcast, Direction, DotGeneral, Transpose};
use crate::{Builder, Eqn, Op, Shape, Value};

/// The order of the axes of an operand: those of `[batch .., length, heads, depth]`, without heads
/// if there are none.
#[derive(Clone)]
struct OperandAxes {
    order: Vec<usize>,
    has_heads: bool,
}

/// Scaled products of queries and keys.
struct ScoreProducts {
    query: Value,
    key: Value,
    query_axes: OperandAxes,
    key_axes: OperandAxes,
    /// The factor of the products.
    scale: f64,
    /// The factor of queries and keys together.
    operand_scale: f64,
}

/// A mask, and the axes of the scores that its axes are.
struct ScoreMask {
    mask: Value,
    dims: Vec<usize>,
}

/// Recognizes attention that ends with the product `e` of probabilities and values.
pub(super) fn attention(s: &mut PatternSearch, e: &Eqn) -> Option<Replacement> {
    let Op::DotGeneral(op) = &e.op else { return None };
    let p = e.inputs[0];
    let (batch, rank) = (op.lhs_batch.len(), s.ty(p).rank());
    let is_in_order = op.lhs_batch.iter().copied().eq(0..batch)
        && rank == batch + 2
        && op.lhs_contract == [batch + 1];
    let (scores, mask) = if is_in_order { s.scores_behind(p)? } else { return None };
    let products = s.score_products(scores, batch)?;
    let value = e.inputs[1];
    let value_axes = OperandAxes::of(&op.rhs_batch, &op.rhs_contract, s.ty(value).rank(), true)?;
    let dtype = s.ty(e.outputs[0]).dtype;
    let values = [products.query, products.key, value];
    if !dtype.is_float() || values.iter().any(|v| s.ty(*v).dtype != dtype) {
        return None;
    }
    let attention =
        DotProductAttention { mask: mask.is_some(), ..DotProductAttention::scaled(products.scale) };
    let operand_scale = products.operand_scale;
    let axes = [products.query_axes, products.key_axes, value_axes];
    let shape = s.ty(e.outputs[0]).shape.clone();
    let mut inputs = values.to_vec();
    inputs.extend(mask.as_ref().map(|m| m.mask));
    let dims = mask.map(|m| m.dims);
    composite_by(attention.clone(), &inputs, move |b, xs| {
        let mut operands: Vec<Value> =
            axes.iter().zip(xs).map(|(axes, x)| axes.ordered(b, *x)).collect();
        // There are fewer queries than scores: the composite would scale the scores.
        if operand_scale != 1.0 {
            operands[0] = b.mul_scalar(operands[0], operand_scale);
        }
        if let (Some(dims), Some(mask)) = (&dims, xs.get(3)) {
            operands.push(as_scores(b, *mask, dims, rank.max(3)));
        }
        let y = b.emit(attention.clone(), &operands);
        heads_first(b, y, &shape)
    })
}

impl OperandAxes {
    /// Returns the order of the axes of an operand with batch axes, one contracted and one other
    /// axis. `is_value` is true if the length is contracted, else the depth is.
    fn of(batch: &[usize], contract: &[usize], rank: usize, is_value: bool) -> Option<OperandAxes> {
        let [contracted] = contract[..] else { return None };
        let mut others = (0..rank).filter(|a| !batch.contains(a) && *a != contracted);
        let (Some(other), None) = (others.next(), others.next()) else { return None };
        let (length, depth) = if is_value { (contracted, other) } else { (other, contracted) };
        let (heads, batch) = match batch.split_last() {
            Some((heads, batch)) => (Some(*heads), batch),
            None => (None, batch),
        };
        let order = batch.iter().copied().chain([length]).chain(heads).chain([depth]).collect();
        Some(OperandAxes { order, has_heads: heads.is_some() })
    }

    /// Returns the order of the axes of `x` if `self` is that of `x` transposed by `permutation`.
    fn behind(&self, permutation: &[usize]) -> OperandAxes {
        let order = self.order.iter().map(|&a| permutation[a]).collect();
        OperandAxes { order, ..*self }
    }

    /// Emits `x` as `[batch .., length, heads, depth]`.
    fn ordered(&self, b: &mut Builder, x: Value) -> Value {
        let x = b.transpose(x, &self.order);
        if self.has_heads {
            return x;
        }
        let shape = b.ty(x).shape.clone();
        b.reshape(x, shape.inserted(1, 1))
    }
}

/// Emits a mask as `[batch .., heads, queries, keys]`, of `rank` axes; axis `i` of the mask is axis
/// `dims[i]` from the left of the scores, which lack the heads if they have two axes.
fn as_scores(b: &mut Builder, mask: Value, dims: &[usize], rank: usize) -> Value {
    let own = b.ty(mask).shape.clone();
    let mut shape = vec![1; rank];
    dims.iter().zip(own.iter()).for_each(|(&d, &n)| shape[d] = n);
    b.reshape(mask, shape)
}

/// Emits `[batch .., queries, heads, depth]` as `shape`, which is `[batch .., heads, queries,
/// depth]` or without heads.
fn heads_first(b: &mut Builder, y: Value, shape: &Shape) -> Value {
    let rank = b.ty(y).rank();
    let mut permutation: Vec<usize> = (0..rank).collect();
    permutation.swap(rank - 3, rank - 2);
    let y = b.transpose(y, &permutation);
    if b.ty(y).shape == *shape { y } else { b.reshape(y, shape.clone()) }
}

impl PatternSearch<'_> {
    /// Returns the scores whose softmax along the last axis `p` is, and their mask.
    fn scores_behind(&mut self, p: Value) -> Option<(Value, Option<ScoreMask>)> {
        let masked = self.attempt(|s| {
            let [is_nan, zero, probabilities] = s.select(p)?;
            let [x, y] = s.compare(is_nan, Direction::Ne)?;
            let is_guard = s.number(zero)? == 0.0 && x == probabilities && y == probabilities;
            is_guard.then_some(())?;
            let scores = s.softmax_operand(probabilities)?;
            let both = s.binary(scores, Binary::Add)?;
            s.in_any_order(both, |s, scores, mask| Some((scores, Some(s.score_mask(mask)?))))
        });
        masked.or_else(|| Some((self.softmax_operand(p)?, None)))
    }

    fn softmax_operand(&mut self, p: Value) -> Option<Value> {
        let e = self.enter(p)?;
        let Op::Composite(Composite::Softmax(Softmax { axis })) = e.op else { return None };
        (axis + 1 == self.ty(p).rank()).then(|| e.inputs[0])
    }

    /// Returns the mask of `mask ? 0 : -inf`, broadcast to the scores.
    fn score_mask(&mut self, v: Value) -> Option<ScoreMask> {
        let rank = self.ty(v).rank();
        let found = self.attempt(|s| {
            let e = s.producer(v)?;
            let Op::Broadcast(Broadcast { dims, .. }) = &e.op else { return None };
            Some((e.inputs[0], dims.clone()))
        });
        let (bias, dims) = found.unwrap_or_else(|| (v, (0..rank).collect()));
        let e = self.producer(bias)?;
        let (Op::Select(_), &[mask, zero, lowest]) = (&e.op, &e.inputs[..]) else { return None };
        let is_mask =
            self.number(zero)? == 0.0 && self.number(lowest)? == f64::NEG_INFINITY && rank > 2;
        is_mask.then_some(ScoreMask { mask, dims })
    }

    /// Returns the product of queries and keys with `batch` batch axes that the scores are.
    fn score_products(&mut self, scores: Value, batch: usize) -> Option<ScoreProducts> {
        let (scale, product) = self.multiple(scores);
        let e = self.enter(product)?;
        let Op::DotGeneral(op) = &e.op else { return None };
        let DotGeneral { lhs_batch, rhs_batch, lhs_contract, rhs_contract, .. } = op;
        let [query, key] = [e.inputs[0], e.inputs[1]];
        let query_axes = OperandAxes::of(lhs_batch, lhs_contract, self.ty(query).rank(), false)?;
        let key_axes = OperandAxes::of(rhs_batch, rhs_contract, self.ty(key).rank(), false)?;
        if lhs_batch.len() != batch {
            return None;
        }
        let (q, query, query_axes) = self.scaled_operand(query, query_axes);
        let (k, key, key_axes) = self.scaled_operand(key, key_axes);
        let operand_scale = q * k;
        Some(ScoreProducts { query, key, query_axes, key_axes, scale, operand_scale })
    }

    /// Returns the number that scales an operand, in front of it or in front of transposes, and the
    /// operand without it.
    fn scaled_operand(&mut self, v: Value, axes: OperandAxes) -> (f64, Value, OperandAxes) {
        let found = self.attempt(|s| {
            let (factor, inner) = s.multiple(v);
            if factor != 1.0 {
                return Some((factor, inner, axes.clone()));
            }
            let e = s.enter(v)?;
            let Op::Transpose(Transpose { permutation }) = &e.op else { return None };
            let (factor, inner) = s.multiple(e.inputs[0]);
            (factor != 1.0).then(|| (factor, inner, axes.behind(permutation)))
        });
        found.unwrap_or((1.0, v, axes))
    }
}
