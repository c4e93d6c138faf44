//! `GroupQueryAttention` of ONNX Runtime: attention with a cache of keys and values, and with
//! rotary embedding.
//!
//! Each of the batch has its own number of tokens in the cache. Its new keys and values are written
//! behind these, so that the position of its query `i` is the number of its former tokens plus `i`:
//! it sees the keys up to there.

use super::attending::{Attention, Offset};
use super::attention::{check_heads, flattened, split_heads};
use super::axes::size_of;
use super::contrib_attention::{heads_of, scale_of, written};
use super::rotary::rotated;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{DType, Tensor};

pub(crate) const OPERATORS: &[Operator] =
    &[op("GroupQueryAttention", &[1], 7..=17, grouped).domain("com.microsoft").attributes(&[
        "causal",
        "do_rotary",
        "k_norm_epsilon",
        "k_quant_type",
        "kv_cache_bit_width",
        "kv_num_heads",
        "local_window_size",
        "num_heads",
        "q_norm_epsilon",
        "qk_norm_epsilon",
        "qk_output",
        "rotary_interleaved",
        "scale",
        "sliding_window_cache",
        "smooth_softmax",
        "softcap",
        "v_quant_type",
    ])];

/// The indices of inputs.
mod input {
    pub(super) const PAST_KEY: usize = 3;
    pub(super) const PAST_VALUE: usize = 4;
    pub(super) const LAST_POSITIONS: usize = 5;
    pub(super) const TOTAL_LENGTH: usize = 6;
    pub(super) const COS: usize = 7;
    pub(super) const SIN: usize = 8;
    pub(super) const POSITIONS: usize = 9;
    pub(super) const BIAS: usize = 10;
    pub(super) const SINKS: usize = 11;
    pub(super) const QUERY_NORM: usize = 14;
    pub(super) const KEY_NORM: usize = 15;
    pub(super) const QUERY_LENGTHS: usize = 16;
}

fn grouped(c: &NodeCall) -> RuleOutcome {
    check_options(c)?;
    let (mut query, mut key, value) = projections(c)?;
    check_heads(&query, &key, &value)?;
    let (batch, length) = (query.dim(0), query.dim(2));
    let lengths = Lengths::of(c, batch, length)?;
    query = normalized(c, &query, input::QUERY_NORM, "q_norm_epsilon")?;
    key = normalized(c, &key, input::KEY_NORM, "k_norm_epsilon")?;
    if c.flag("do_rotary", false)? {
        let (q, k) = (rotary(c, &query, &lengths)?, rotary(c, &key, &lengths)?);
        (query, key) = (q, k);
    }
    let total = size_of(c.required("total_sequence_length", c.known_int(input::TOTAL_LENGTH)?)?)?;
    let cached = |i: usize, new: &Tensor| cache(c, i, new, total, &lengths);
    let (key, value) = (cached(input::PAST_KEY, &key)?, cached(input::PAST_VALUE, &value)?);
    let mut a = Attention::new(query, key.clone(), value.clone());
    set_options(c, &mut a, &lengths)?;
    let (y, scores) = match c.int_or("qk_output", 0)? {
        0 => (a.result(), None),
        1 => {
            // Keys that are not seen have the score 0.
            let scores = a.biased();
            let scores = scores.is_neg_inf().select(0.0, &scores);
            (a.weighted(&a.probabilities()), Some(scores))
        }
        2 => (a.weighted(&a.probabilities()), Some(a.probabilities())),
        other => return fail(format!("expected qk_output 0, 1 or 2, got {other}")),
    };
    let mut ys = vec![flattened(&y), key, value];
    ys.extend(scores.map(|scores| scores.slice(3, ..total as i64).to(ys[0].dtype())));
    Ok(ys.into_iter().map(OnnxValue::Tensor).collect())
}

/// Refuses what is not supported: caches of integers, and caches of a window.
fn check_options(c: &NodeCall) -> Result<(), RuleFailure> {
    let is_quantized =
        c.str_or("k_quant_type", "NONE")? != "NONE" || c.str_or("v_quant_type", "NONE")? != "NONE";
    if is_quantized {
        return fail("quantized caches are not supported; export the model with a float cache");
    }
    c.int("kv_cache_bit_width")?;
    if c.flag("sliding_window_cache", false)? {
        return fail("sliding_window_cache is not supported; export the model with a full cache");
    }
    Ok(())
}

/// Returns queries, keys and values in heads, which may be packed into one tensor.
fn projections(c: &NodeCall) -> Result<(Tensor, Tensor, Tensor), RuleFailure> {
    let (heads, query) = (heads_of(c)?, c.x(0)?);
    let shared = size_of(c.required("kv_num_heads", c.int("kv_num_heads")?)?)?;
    match (c.maybe(1)?, c.maybe(2)?) {
        (Some(key), Some(value)) => Ok((
            split_heads(&query, heads)?,
            split_heads(&key, shared)?,
            split_heads(&value, shared)?,
        )),
        (None, None) => {
            let all = split_heads(&query, heads.saturating_add(shared.saturating_mul(2)))?;
            let (a, b) = (heads as i64, (heads + shared) as i64);
            Ok((all.slice(1, ..a), all.slice(1, a..b), all.slice(1, b..)))
        }
        _ => fail("expected both key and value, or none of them"),
    }
}

/// The numbers of tokens of the batch, `[batch]`.
struct Lengths {
    /// The tokens in the cache behind the step.
    total: Tensor,
    /// The tokens in the cache before it.
    past: Tensor,
    /// The new tokens; the other rows are padding. `None` if all are written.
    new: Option<Tensor>,
}

impl Lengths {
    fn of(c: &NodeCall, batch: usize, rows: usize) -> Result<Lengths, RuleFailure> {
        let last = c.x(input::LAST_POSITIONS)?;
        if last.shape().iter().product::<usize>() != batch {
            return fail(format!("expected {batch} last positions, got {}", last.ty()?));
        }
        let total = last.reshape([batch]).to(DType::I64) + 1;
        let new = c.maybe(input::QUERY_LENGTHS)?.map(|new| new.reshape([batch]).to(DType::I64));
        let count = new.clone().unwrap_or_else(|| total.minimum(rows));
        Ok(Lengths { past: &total - count, total, new })
    }

    /// Returns the position of each row, `[batch, rows]`.
    fn positions(&self, rows: usize) -> Tensor {
        self.past.expand_dims(1) + Tensor::arange(rows).to(DType::I64)
    }
}

/// Divides heads by their root mean squares, if there are weights for it.
fn normalized(c: &NodeCall, x: &Tensor, i: usize, name: &str) -> Result<Tensor, RuleFailure> {
    let Some(scale) = c.maybe(i)? else { return Ok(x.clone()) };
    let epsilon = c.float_or(name, c.float_or("qk_norm_epsilon", 1e-6)?)?;
    Ok(x.rms_norm(Some(&scale), epsilon.into()))
}

/// Rotates heads by the angles of their positions.
fn rotary(c: &NodeCall, x: &Tensor, lengths: &Lengths) -> Result<Tensor, RuleFailure> {
    let (cos, sin) = (c.x(input::COS)?, c.x(input::SIN)?);
    if cos.rank() != 2 || cos.shape() != sin.shape() || 2 * cos.dim(1) > x.dim(3) {
        return fail(format!("cannot rotate {} by the cosines {}", x.ty()?, cos.ty()?));
    }
    let positions = match c.maybe(input::POSITIONS)? {
        Some(positions) => positions,
        None => lengths.positions(x.dim(2)),
    };
    let [cos, sin] = [cos, sin].map(|table| table.take(&positions, 0));
    Ok(rotated(x, &cos, &sin, c.flag("rotary_interleaved", false)?))
}

/// Returns the cache with new rows, of at least `total` rows.
fn cache(
    c: &NodeCall,
    i: usize,
    new: &Tensor,
    total: usize,
    lengths: &Lengths,
) -> Result<Tensor, RuleFailure> {
    let past = match c.maybe(i)? {
        Some(past) if past.dtype() == new.dtype() && past.rank() == 4 => past,
        Some(past) => {
            return fail(format!("expected a cache of {}, got {}", new.ty()?, past.ty()?));
        }
        None => Tensor::zeros_of(new.dtype(), [new.dim(0), new.dim(1), 0, new.dim(3)]),
    };
    if total == new.dim(2) && past.dim(2) == 0 && lengths.new.is_none() {
        return Ok(new.clone());
    }
    let missing = total.saturating_sub(past.dim(2)) as i64;
    let zero = Tensor::zeros_of(new.dtype(), ());
    let cache = past.pad_dilated([(0, 0, 0), (0, 0, 0), (0, missing, 0), (0, 0, 0)], zero);
    Ok(written(&cache, new, &lengths.past, lengths.new.as_ref()))
}

/// Sets the options of the attributes, and the keys that a query sees.
fn set_options(c: &NodeCall, a: &mut Attention, lengths: &Lengths) -> Result<(), RuleFailure> {
    a.scale = scale_of(c)?;
    a.soft_cap = c.float_or("softcap", 0.0)?.into();
    a.window.offset = Offset::OfBatch(lengths.past.clone());
    let keys = a.key.dim(2);
    match c.flag("causal", true)? {
        true => a.window.after = Some(0),
        false => {
            let end = lengths.total.reshape([a.query.dim(0), 1, 1, 1]);
            a.mask = Some(Tensor::arange(keys).lt(end));
        }
    }
    a.window.before = match c.int_or("local_window_size", -1)? {
        -1 => None,
        // The window also has the key of the query.
        size => Some(size_of(size)?.saturating_sub(1)),
    };
    if let Some(bias) = c.maybe(input::BIAS)? {
        let mut widths = vec![(0, 0, 0); bias.rank()];
        if let Some(last) = widths.last_mut() {
            last.1 = keys as i64 - bias.dim(-1) as i64;
        }
        let zero = Tensor::zeros_of(bias.dtype(), ());
        a.bias = Some(bias.pad_dilated(widths, zero));
    }
    a.sinks = match (c.maybe(input::SINKS)?, c.int_or("smooth_softmax", -1)?) {
        (Some(sinks), _) if sinks.shape() == [a.query.dim(1)] => Some(sinks),
        (Some(sinks), _) => return fail(format!("expected a sink per head, got {}", sinks.ty()?)),
        (None, 1) => Some(Tensor::zeros_of(a.query.dtype(), [a.query.dim(1)])),
        (None, _) => None,
    };
    Ok(())
}
