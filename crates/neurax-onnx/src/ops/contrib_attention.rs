//! Attention operators of ONNX Runtime: `MultiHeadAttention`, `Attention`, `QAttention`.
//!
//! The optimizer of ONNX Runtime replaces the nodes of an attention layer by one of these. They
//! differ in where the projections of queries, keys and values come from. All mask keys by adding
//! `mask_filter_value`, so that a query with masked keys alone still has a result.

use super::attending::{Attention, Offset};
use super::attention::{check_heads, flattened, split_heads};
use super::axes::{same_dtype, size_of};
use super::normalization::wide;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail};
use crate::operator::{MICROSOFT, Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{DType, Index, Tensor, concat, stack};
use std::ops::Bound;

pub(crate) const OPERATORS: &[Operator] = &[
    op("MultiHeadAttention", &[1], 1..=10, multi_head).domain(MICROSOFT).attributes(&[
        "mask_filter_value",
        "num_heads",
        "scale",
        "unidirectional",
    ]),
    op("Attention", &[1], 2..=7, attention).domain(MICROSOFT).attributes(&[
        "do_rotary",
        "mask_filter_value",
        "num_heads",
        "past_present_share_buffer",
        "qkv_hidden_sizes",
        "rotary_embedding_dim",
        "scale",
        "unidirectional",
    ]),
    op("QAttention", &[1], 5..=9, quantized).domain(MICROSOFT).attributes(&[
        "do_rotary",
        "mask_filter_value",
        "num_heads",
        "past_present_share_buffer",
        "scale",
        "unidirectional",
    ]),
];

/// Returns the number of heads, which is an attribute.
pub(crate) fn heads_of(c: &NodeCall) -> Result<usize, RuleFailure> {
    match size_of(c.required("num_heads", c.int("num_heads")?)?)? {
        0 => fail("expected at least one head"),
        heads => Ok(heads),
    }
}

/// Returns the factor of the scores; 0 and an absent one are the default.
pub(crate) fn scale_of(c: &NodeCall) -> Result<Option<f64>, RuleFailure> {
    Ok(c.float("scale")?.filter(|&scale| scale != 0.0).map(f64::from))
}

fn multi_head(c: &NodeCall) -> RuleOutcome {
    let heads = heads_of(c)?;
    if c.optional_value(9).is_some() {
        return fail("cache_indirection is not supported; export the model without beam search");
    }
    let [query, key, value] = projections(c, heads)?;
    check_heads(&query, &key, &value)?;
    let (past, cache) = (c.maybe(6)?.zip(c.maybe(7)?), c.maybe(8)?);
    let cached = with_past(key, value, past, cache)?;
    let mut a = Attention::new(query, cached.key, cached.value);
    a.window.offset = cached.offset;
    a.bias = c.maybe(5)?;
    let mask = c.maybe(4)?;
    finish(c, &mut a, mask)?;
    if !c.wants(3) {
        return outputs(&a, vec![flattened(&a.result())]);
    }
    let (scores, p) = (a.biased(), a.probabilities());
    let mut ys = outputs(&a, vec![flattened(&a.weighted(&p))])?;
    ys.push(OnnxValue::Tensor(scores.to(a.query.dtype())));
    Ok(ys)
}

/// Returns the result, and the keys and values.
fn outputs(a: &Attention, mut ys: Vec<Tensor>) -> RuleOutcome {
    ys.extend([a.key.clone(), a.value.clone()]);
    Ok(ys.into_iter().map(OnnxValue::Tensor).collect())
}

/// Returns queries, keys and values in heads, which may be packed into one tensor or two.
fn projections(c: &NodeCall, heads: usize) -> Result<[Tensor; 3], RuleFailure> {
    let (query, key, value) = (c.x(0)?, c.maybe(1)?, c.maybe(2)?);
    let packed = |x: &Tensor| x.unstack(3).iter().map(|x| x.swap_axes(1, 2)).collect::<Vec<_>>();
    let bias = Bias::of(c.maybe(3)?, heads);
    let parts = match (query.rank(), key, value) {
        (5, None, None) => packed(&query),
        (3, Some(key), None) if key.rank() == 5 => {
            [vec![split_heads(&query, heads)?], packed(&key)].concat()
        }
        (3, Some(key), Some(value)) if key.rank() == 4 => {
            // Keys and values that another node projected have their bias.
            let query = bias.add(0, split_heads(&query, heads)?, None);
            return Ok([query, key, value]);
        }
        (3, Some(key), Some(value)) => vec![
            split_heads(&query, heads)?,
            split_heads(&key, heads)?,
            split_heads(&value, heads)?,
        ],
        _ => return fail(format!("expected query, key and value, got a query {}", query.ty()?)),
    };
    match <[Tensor; 3]>::try_from(parts) {
        Ok([query, key, value]) => {
            let width = heads * query.dim(-1);
            Ok([
                bias.add(0, query, None),
                bias.add(width, key, None),
                bias.add(2 * width, value, None),
            ])
        }
        Err(parts) => fail(format!("expected packed tensors of 3 parts, got {}", parts.len())),
    }
}

/// The biases of queries, keys and values in one vector.
struct Bias {
    all: Option<Tensor>,
    heads: usize,
}

impl Bias {
    fn of(all: Option<Tensor>, heads: usize) -> Bias {
        Bias { all, heads }
    }

    /// Adds the bias that begins at `start` to heads.
    fn add(&self, start: usize, x: Tensor, scale: Option<f64>) -> Tensor {
        let Some(all) = &self.all else { return x };
        let (start, depth) = (start as i64, x.dim(-1));
        let bias = all.slice(0, start..start + (self.heads * depth) as i64);
        let bias = scale.map_or(bias.clone(), |scale| bias * scale);
        x + bias.reshape([self.heads, 1, depth])
    }
}

/// Keys and values with those of the past in front.
pub(crate) struct Cached {
    pub(crate) key: Tensor,
    pub(crate) value: Tensor,
    /// The position of the first new key.
    pub(crate) offset: Offset,
}

/// Joins keys and values with those of the past: in front of them, or in a cache that has room for
/// them, of which `length` rows are in use.
pub(crate) fn with_past(
    key: Tensor,
    value: Tensor,
    past: Option<(Tensor, Tensor)>,
    length: Option<Tensor>,
) -> Result<Cached, RuleFailure> {
    let Some((past_key, past_value)) = past else {
        return Ok(Cached { key, value, offset: Offset::Known(0) });
    };
    same_dtype(&past_key, &key)?;
    same_dtype(&past_value, &value)?;
    let Some(length) = length else {
        let offset = Offset::Known(past_key.dim(2));
        let (key, value) = (concat([past_key, key], 2), concat([past_value, value], 2));
        return Ok(Cached { key, value, offset });
    };
    let first = length.reshape([1]).broadcast_to([key.dim(0)]);
    let [key, value] = [(past_key, key), (past_value, value)]
        .map(|(cache, new)| written(&cache, &new, &first, None));
    Ok(Cached { key, value, offset: Offset::OfBatch(first) })
}

/// Writes rows, axis 2, into a cache, from the row on that each of the batch has in `first`. Only
/// the first `count` rows of each are written, if that is given.
pub(crate) fn written(
    cache: &Tensor,
    rows: &Tensor,
    first: &Tensor,
    count: Option<&Tensor>,
) -> Tensor {
    let (batch, length) = (rows.dim(0), rows.dim(2));
    let row = Tensor::arange(length).to(DType::I64);
    let places = first.to(DType::I64).expand_dims(1) + &row;
    let swapped = rows.swap_axes(1, 2);
    let all = Index::Range(Bound::Unbounded, Bound::Unbounded, 1);
    let at = |places: &Tensor| {
        let of_batch = Index::Tensor(Tensor::arange(batch).expand_dims(1));
        vec![of_batch, Index::Tensor(places.clone()), all.clone(), all.clone()]
    };
    let cache = cache.swap_axes(1, 2);
    let new = match count {
        // The rows beyond the count keep what is there.
        Some(count) => {
            let is_row = row.lt(count.to(DType::I64).expand_dims(1)).reshape([batch, length, 1, 1]);
            is_row.select(swapped, cache.index(at(&places)))
        }
        None => swapped,
    };
    cache.at(at(&places)).set(new).swap_axes(1, 2)
}

/// Sets what the attributes and the mask say.
fn finish(c: &NodeCall, a: &mut Attention, mask: Option<Tensor>) -> Result<(), RuleFailure> {
    a.scale = scale_of(c)?;
    if c.flag("unidirectional", false)? {
        a.window.after = Some(0);
    }
    let filter = c.float_or("mask_filter_value", -10000.0)?;
    if let Some(mask) = mask {
        let is_seen = seen(a, &mask)?;
        let penalty = is_seen.select(Tensor::scalar(wide(&a.query), 0.0), f64::from(filter));
        a.bias = Some(match a.bias.take() {
            Some(bias) => bias.to(wide(&a.query)) + penalty,
            None => penalty,
        });
    }
    // Rows of a cache that are not in use are behind all queries.
    if let Offset::OfBatch(first) = &a.window.offset
        && a.window.after.is_none()
    {
        let end = first + a.query.dim(2);
        let is_used = Tensor::arange(a.key.dim(2)).lt(end.reshape([end.dim(0), 1, 1, 1]));
        a.mask = Some(is_used);
    }
    Ok(())
}

/// Returns where keys are seen, which broadcasts to `[batch, heads, queries, keys]`.
///
/// A mask is not 0 there; its axes are `[batch, keys]`, `[batch, queries, keys]`, or
/// `[batch, 1, length, length]` of which the last rows are those of the queries. A vector has the
/// ends of all sequences, and then their starts or other numbers.
fn seen(a: &Attention, mask: &Tensor) -> Result<Tensor, RuleFailure> {
    let (batch, queries, keys) = (a.query.dim(0), a.query.dim(2), a.key.dim(2));
    let shape = mask.shape();
    let key = Tensor::arange(keys);
    let part = |range: std::ops::Range<usize>| {
        let range = range.start as i64..range.end as i64;
        mask.slice(0, range).reshape([batch, 1, 1, 1])
    };
    match shape[..] {
        [n] if n == batch || n == 3 * batch + 2 => Ok(key.lt(part(0..batch))),
        [n] if n == 2 * batch => {
            Ok(key.lt(part(0..batch)).logical_and(key.ge(part(batch..2 * batch))))
        }
        [b, t] if b == batch && t == keys => Ok(mask.gt(0).reshape([b, 1, 1, t])),
        [b, s, t] if b == batch && s == queries && t == keys => {
            Ok(mask.gt(0).reshape([b, 1, s, t]))
        }
        [b, 1, rows, t] if b == batch && rows >= keys && t >= keys && keys >= queries => {
            let rows = mask.slice(2, (keys - queries) as i64..keys as i64);
            Ok(rows.slice(3, ..keys as i64).gt(0))
        }
        _ => fail(format!(
            "expected a mask of {batch} sequences, {queries} queries and {keys} keys, got {}",
            mask.ty()?
        )),
    }
}

fn attention(c: &NodeCall) -> RuleOutcome {
    let (x, weights) = (c.x(0)?, c.x(1)?);
    same_dtype(&x, &weights)?;
    let projected = x.matmul(weights);
    let projected = match c.maybe(2)? {
        Some(bias) => projected + bias,
        None => projected,
    };
    let sizes = match c.ints("qkv_hidden_sizes")? {
        Some(&[q, k, v]) => [size_of(q)?, size_of(k)?, size_of(v)?],
        Some(other) => return fail(format!("expected 3 hidden sizes, got {other:?}")),
        None => [projected.dim(-1) / 3; 3],
    };
    let other = PackedInputs { mask: c.maybe(3)?, past: c.maybe(4)?, bias: c.maybe(5)? };
    projected_attention(c, &projected, sizes, other, c.maybe(6)?)
}

/// The optional inputs of an attention of one tensor.
struct PackedInputs {
    mask: Option<Tensor>,
    /// The keys and values of the past, `[2, batch, heads, length, depth]`.
    past: Option<Tensor>,
    bias: Option<Tensor>,
}

/// Computes the attention of queries, keys and values of these sizes in the last axis.
fn projected_attention(
    c: &NodeCall,
    projected: &Tensor,
    sizes: [usize; 3],
    inputs: PackedInputs,
    length: Option<Tensor>,
) -> RuleOutcome {
    let (heads, [q, k, v]) = (heads_of(c)?, sizes);
    if c.flag("do_rotary", false)? {
        return fail("do_rotary is not supported; export the model with RotaryEmbedding nodes");
    }
    c.int("rotary_embedding_dim")?;
    let total = q.checked_add(k).and_then(|sum| sum.checked_add(v));
    if projected.rank() != 3 || total != Some(projected.dim(-1)) {
        return fail(format!("expected the sizes {sizes:?}, got {}", projected.ty()?));
    }
    let part = |start: usize, size: usize| {
        split_heads(&projected.slice(2, start as i64..(start + size) as i64), heads)
    };
    let (query, key, value) = (part(0, q)?, part(q, k)?, part(q + k, v)?);
    let is_shared = c.flag("past_present_share_buffer", false)?;
    if is_shared && (length.is_none() || inputs.past.is_none()) {
        return fail("expected the past and its length for a shared buffer");
    }
    let past = match inputs.past {
        Some(past) if past.rank() == 5 && past.dim(0) == 2 => Some((past.get(0), past.get(1))),
        Some(past) => return fail(format!("expected a past of 2 parts, got {}", past.ty()?)),
        None => None,
    };
    let cached = with_past(key, value, past, length.filter(|_| is_shared))?;
    let mut a = Attention::new(query, cached.key, cached.value);
    a.window.offset = cached.offset;
    a.bias = inputs.bias;
    finish(c, &mut a, inputs.mask)?;
    let y = flattened(&a.result());
    let mut ys = vec![OnnxValue::Tensor(y)];
    if c.wants(1) {
        ys.push(OnnxValue::Tensor(stack([&a.key, &a.value], 0)));
    }
    Ok(ys)
}

/// Computes an attention of which input and weights are 8-bit integers.
fn quantized(c: &NodeCall) -> RuleOutcome {
    let bias = c.x(2)?;
    let shifted = |i: usize, zero: usize| {
        let x = c.x(i)?.to(DType::I32);
        Ok::<_, RuleFailure>(match c.maybe(zero)? {
            Some(zero) => x - zero.to(DType::I32),
            None => x,
        })
    };
    let scale = c.x(3)?.reshape(()) * c.x(4)?;
    let projected = shifted(0, 6)?.matmul(shifted(1, 7)?).to(bias.dtype()) * scale + &bias;
    let sizes = [bias.dim(0) / 3; 3];
    let inputs = PackedInputs { mask: c.maybe(5)?, past: c.maybe(8)?, bias: None };
    projected_attention(c, &projected.to(bias.dtype()), sizes, inputs, None)
}
