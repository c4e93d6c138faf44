//! `Attention`, `FlexAttention`, and `TensorScatter`, which writes into the cache of an attention.
//!
//! Queries, keys and values have heads as an axis, `[batch, heads, length, depth]`, or are split
//! into heads: `[batch, length, heads * depth]`.

use super::attending::{Attention, Offset, Window, both};
use super::axes::{axis_of, same_dtype, size_of};
use super::normalization::{float_of, wide};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::value::{OnnxValue, Strings};
use neurax_tensor::{DType, Index, Tensor, concat};
use std::ops::Bound;

pub(crate) const OPERATORS: &[Operator] = &[
    op("Attention", &[23, 24, 25], 3..=7, attention).attributes(&[
        "is_causal",
        "kv_num_heads",
        "left_window_size",
        "q_num_heads",
        "qk_matmul_output_mode",
        "right_window_size",
        "scale",
        "softcap",
        "softmax_precision",
    ]),
    op("FlexAttention", &[1], 3..=3, flex_attention).domain("ai.onnx.preview").attributes(&[
        "prob_mod",
        "scale",
        "score_mod",
        "softmax_precision",
    ]),
    op("TensorScatter", &[24], 2..=3, tensor_scatter).attributes(&["axis", "mode"]),
];

fn attention(c: &NodeCall) -> RuleOutcome {
    let (q, k, v) = (c.x(0)?, c.x(1)?, c.x(2)?);
    same_dtype(&q, &k)?;
    let is_flat = q.rank() == 3;
    let query = in_heads(c, &q, "q_num_heads")?;
    let [key, value] = [in_heads(c, &k, "kv_num_heads")?, in_heads(c, &v, "kv_num_heads")?];
    check_heads(&query, &key, &value)?;
    let (past_key, past_value) = (c.maybe(4)?, c.maybe(5)?);
    let past = match (&past_key, &past_value) {
        (Some(key), Some(_)) => key.dim(2),
        (None, None) => 0,
        _ => return fail("expected both a past key and a past value"),
    };
    let appended = |past: Option<Tensor>, new: Tensor| match past {
        Some(past) => same_dtype(&past, &new).map(|()| concat([past, new], 2)),
        None => Ok(new),
    };
    let (key, value) = (appended(past_key, key)?, appended(past_value, value)?);
    let mut a = Attention::new(query, key.clone(), value.clone());
    a.scale = c.float("scale")?.map(f64::from);
    a.soft_cap = c.float_or("softcap", 0.0)?.into();
    a.softmax = c.int("softmax_precision")?.map(float_of).transpose()?;
    a.window = window(c, &a, past)?;
    mask(c, &mut a)?;
    let mut ys = match c.wants(3) {
        true => with_scores(c, &a)?,
        false => vec![a.result()],
    };
    if is_flat {
        ys[0] = flattened(&ys[0]);
    }
    ys.splice(1..1, [key, value]);
    Ok(ys.into_iter().map(OnnxValue::Tensor).collect())
}

/// Returns a tensor with heads as axis 1, of which an attribute has the number for one without.
fn in_heads(c: &NodeCall, x: &Tensor, name: &str) -> Result<Tensor, RuleFailure> {
    match x.rank() {
        4 => Ok(x.clone()),
        3 => split_heads(x, size_of(c.required(name, c.int(name)?)?)?),
        _ => fail(format!("expected a tensor of 3 or 4 axes, got {}", x.ty()?)),
    }
}

/// Splits the last axis of `[batch, length, heads * depth]` into heads, which become axis 1.
pub(crate) fn split_heads(x: &Tensor, heads: usize) -> Result<Tensor, RuleFailure> {
    let shape = x.shape();
    match shape[..] {
        [batch, length, width] if heads > 0 && width.is_multiple_of(heads) => {
            Ok(x.reshape([batch, length, heads, width / heads]).swap_axes(1, 2))
        }
        _ => fail(format!("expected [batch, length, width] of {heads} heads, got {}", x.ty()?)),
    }
}

/// Joins heads, axis 1, to the last axis: the inverse of [`split_heads`].
pub(crate) fn flattened(x: &Tensor) -> Tensor {
    let (batch, heads, length, depth) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
    x.swap_axes(1, 2).reshape([batch, length, heads * depth])
}

/// Checks the numbers of axes and heads.
pub(crate) fn check_heads(query: &Tensor, key: &Tensor, value: &Tensor) -> Result<(), RuleFailure> {
    let (heads, shared) = (query.dim(1), key.dim(1));
    let fits = [query, key, value].iter().all(|x| x.rank() == 4)
        && shared > 0
        && heads.is_multiple_of(shared)
        && value.dim(1) == shared;
    match fits {
        true => Ok(()),
        false => fail(format!(
            "expected heads that share those of key and value, got {}, {} and {}",
            query.ty()?,
            key.ty()?,
            value.ty()?
        )),
    }
}

/// Returns the keys that a query sees by their positions: the last query has the position of the
/// last key that is no padding.
fn window(c: &NodeCall, a: &Attention, past: usize) -> Result<Window, RuleFailure> {
    let side = |name: &str| match c.int_or(name, -1)? {
        -1 => Ok(None),
        size => size_of(size).map(Some),
    };
    let (before, mut after) = (side("left_window_size")?, side("right_window_size")?);
    if c.flag("is_causal", false)? {
        after = Some(0);
    }
    let offset = match c.maybe(6)? {
        Some(_) if past > 0 => return fail("expected either past keys or lengths of keys"),
        Some(lengths) => Offset::OfBatch(lengths - a.query.dim(2)),
        None => Offset::Known(past),
    };
    Ok(Window { before, after, offset })
}

/// Sets the mask and the bias of the inputs: a mask of numbers is a bias.
fn mask(c: &NodeCall, a: &mut Attention) -> Result<(), RuleFailure> {
    let (batch, keys) = (a.query.dim(0), a.key.dim(2));
    if let Some(lengths) = c.maybe(6)? {
        if lengths.shape() != [batch] {
            return fail(format!("expected the lengths of {batch} keys, got {}", lengths.ty()?));
        }
        let is_key = Tensor::arange(keys).lt(lengths.reshape([batch, 1, 1, 1]));
        a.mask = Some(is_key);
    }
    let Some(mut mask) = c.maybe(3)? else { return Ok(()) };
    if mask.rank() == 0 || mask.rank() > 4 {
        return fail(format!("expected a mask of 1 to 4 axes, got {}", mask.ty()?));
    }
    let is_bool = mask.dtype() == DType::Bool;
    if !is_bool && !mask.dtype().is_float() {
        mask = mask.to(a.query.dtype());
    }
    let missing = keys.saturating_sub(mask.dim(-1)) as i64;
    // Masks may be shorter than the keys since version 24; before, one key is that of all.
    if missing > 0 && (c.version() >= 24 || mask.dim(-1) != 1) {
        let mut widths = vec![(0, 0, 0); mask.rank()];
        widths[mask.rank() - 1].1 = missing;
        let masked = match is_bool {
            true => Tensor::scalar(DType::Bool, false),
            false => Tensor::scalar(mask.dtype(), f64::NEG_INFINITY),
        };
        mask = mask.pad_dilated(widths, masked);
    }
    match is_bool {
        true => a.mask = both(a.mask.take(), Some(mask)),
        false => a.bias = Some(mask),
    }
    Ok(())
}

/// Returns the result, and the scores or probabilities that the node asks for.
fn with_scores(c: &NodeCall, a: &Attention) -> Result<Vec<Tensor>, RuleFailure> {
    let p = a.probabilities();
    let wanted = match c.int_or("qk_matmul_output_mode", 0)? {
        0 => a.scores(),
        1 => a.capped(),
        2 => a.biased(),
        3 => p.clone(),
        mode => return fail(format!("expected a mode from 0 to 3, got {mode}")),
    };
    Ok(vec![a.weighted(&p), wanted.to(a.query.dtype())])
}

/// Computes an attention with functions of its scores and of its probabilities, which are graphs.
fn flex_attention(c: &NodeCall) -> RuleOutcome {
    let (query, key, value) = (c.x(0)?, c.x(1)?, c.x(2)?);
    check_heads(&query, &key, &value)?;
    same_dtype(&query, &key)?;
    same_dtype(&query, &value)?;
    let precision = match c.int("softmax_precision")? {
        Some(number) => float_of(number)?,
        None => wide(&query),
    };
    let mut a = Attention::new(query, key, value);
    a.scale = c.float("scale")?.map(f64::from);
    a.softmax = Some(precision);
    if !c.has("score_mod") && !c.has("prob_mod") {
        return one(a.result());
    }
    let scores = modified(c, "score_mod", a.scores().to(precision))?;
    let p = modified(c, "prob_mod", super::attending::softmax(&scores))?;
    one(a.weighted(&p))
}

/// Returns the result of a graph of one input and one output, or the input if there is no graph.
fn modified(c: &NodeCall, name: &str, x: Tensor) -> Result<Tensor, RuleFailure> {
    if !c.has(name) {
        return Ok(x);
    }
    match &c.run(c.graph(name)?, vec![OnnxValue::Tensor(x.clone())])?[..] {
        [OnnxValue::Tensor(y)] if y.shape() == x.shape() => Ok(y.to(x.dtype())),
        [OnnxValue::Tensor(y)] => {
            fail(format!("expected {} of `{name}`, got {}", x.ty()?, y.ty()?))
        }
        ys => fail(format!("expected one tensor of `{name}`, got {} values", ys.len())),
    }
}

/// Writes rows into a cache, from an index on that each of the batch has. Strings are replaced by
/// their indices meanwhile.
fn tensor_scatter(c: &NodeCall) -> RuleOutcome {
    if let (OnnxValue::Strings(cache), OnnxValue::Strings(update)) = (c.value(0)?, c.value(1)?) {
        let count = cache.elements().len() as i64;
        let end = count + update.elements().len() as i64;
        let indices = Tensor::from_vec((0..count).collect::<Vec<i64>>(), cache.shape());
        let others = Tensor::from_vec((count..end).collect::<Vec<i64>>(), update.shape());
        let y = scattered(c, indices, others)?;
        let all = [cache.elements(), update.elements()].concat();
        let chosen = y.to_vec::<i64>()?.into_iter().map(|i| all[i as usize].clone()).collect();
        return one(Strings::new(y.shape().to_vec(), chosen)?);
    }
    let (cache, update) = (c.x(0)?, c.x(1)?);
    same_dtype(&cache, &update)?;
    one(scattered(c, cache, update)?)
}

fn scattered(c: &NodeCall, cache: Tensor, update: Tensor) -> Result<Tensor, RuleFailure> {
    let axis = axis_of(c.int_or("axis", -2)?, cache.rank())?;
    let (size, rows, batch) = (cache.shape()[axis], update.dim(axis as i64), cache.dim(0));
    let mut expected = cache.shape().to_vec();
    expected[axis] = rows;
    if axis == 0 || update.shape() != expected || rows > size {
        let (cache, update) = (cache.ty()?, update.ty()?);
        return fail(format!("cannot write {update} into {cache} along axis {axis}"));
    }
    let first = match c.maybe(2)? {
        Some(first) if first.shape() == [batch] => first.to(DType::I64),
        Some(first) => return fail(format!("expected {batch} indices, got {}", first.ty()?)),
        None => Tensor::zeros_of(DType::I64, [batch]),
    };
    let places = first.expand_dims(1) + Tensor::arange(rows).to(DType::I64);
    let places = match c.str_or("mode", "linear")?.as_str() {
        "linear" => places,
        "circular" => places.fmod(size.max(1)),
        other => return fail(format!("expected the mode linear or circular, got `{other}`")),
    };
    let moved = |x: &Tensor| x.move_axis(axis, 1);
    let of_batch = Index::Tensor(Tensor::arange(batch).expand_dims(1));
    let mut index = vec![of_batch, Index::Tensor(places)];
    index.resize(cache.rank(), Index::Range(Bound::Unbounded, Bound::Unbounded, 1));
    Ok(moved(&cache).at(index).set(moved(&update)).move_axis(1, axis))
}
