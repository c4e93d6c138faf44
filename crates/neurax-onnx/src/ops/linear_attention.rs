//! `LinearAttention` and the gates of its models.
//!
//! The state of a head is a matrix `s`, to which each step adds the outer product of its key `k`
//! and value `v`; the result is the product with the query. Yang et al., Gated Delta Networks
//! (<https://arxiv.org/abs/2412.06464>):
//!
//! ```text
//! s = exp(decay) s                          if the rule is gated
//! v = beta (v - s^T k)                      if it is a delta rule
//! s = s + k v^T
//! y = scale s^T q
//! ```
//!
//! The steps are one `scan`, computed in f32.

use super::axes::{same_dtype, size_of};
use super::normalization::wide;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{MICROSOFT, Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{DType, Tensor, scan};

pub(crate) const OPERATORS: &[Operator] = &[
    op("LinearAttention", &[27], 3..=6, linear_attention).attributes(&[
        "chunk_size",
        "kv_num_heads",
        "q_num_heads",
        "scale",
        "update_rule",
    ]),
    op("LinearAttention", &[1], 3..=6, linear_attention).domain(MICROSOFT).attributes(&[
        "chunk_size",
        "kv_num_heads",
        "q_num_heads",
        "scale",
        "state_window",
        "update_rule",
    ]),
    op("LinearAttentionGate", &[1], 3..=4, gate).domain(MICROSOFT),
    op("GatedRMSNorm", &[1], 3..=3, gated_rms_norm)
        .domain(MICROSOFT)
        .attributes(&["activation", "epsilon"]),
    op("GatedAdd", &[1], 3..=4, gated_add).domain(MICROSOFT),
];

fn linear_attention(c: &NodeCall) -> RuleOutcome {
    // Sizes of chunks are for the speed of other implementations.
    c.int("chunk_size")?;
    let heads = |name: &str| size_of(c.required(name, c.int(name)?)?);
    let (heads, shared) = (heads("q_num_heads")?, heads("kv_num_heads")?);
    if heads == 0 || shared == 0 || !heads.max(shared).is_multiple_of(heads.min(shared)) {
        return fail(format!("expected heads that share others, got {heads} and {shared} heads"));
    }
    let (q, k, v) = (c.x(0)?, c.x(1)?, c.x(2)?);
    same_dtype(&q, &k)?;
    same_dtype(&q, &v)?;
    let (query, value) = (by_step(&q, heads)?, by_step(&v, shared)?);
    let key = by_step(&k, key_heads(&k, query.dim(-1), shared)?)?;
    // With fewer queries or keys than states, consecutive states share one.
    let for_each = |x: Tensor| match shared / x.dim(2).max(1) {
        0 | 1 => x,
        times => x.repeat(times, 2),
    };
    let (query, key) = (for_each(query), for_each(key));
    let depth = key.dim(-1);
    let (gate, rate) = gates(c, shared, depth)?;
    let window = size_of(c.int_or("state_window", 0)?)?;
    let shape = [q.dim(0), shared, depth, value.dim(-1)];
    let (start, dtype) = match c.maybe(3)? {
        Some(past) => (first_state(&past, shape, window)?.to(wide(&q)), past.dtype()),
        None => (Tensor::zeros_of(wide(&q), shape), q.dtype()),
    };
    let scale = match c.float_or("scale", 0.0)? {
        0.0 => 1.0 / (query.dim(-1).max(1) as f64).sqrt(),
        scale => scale.into(),
    };
    let steps = Steps { has_gate: gate.is_some(), has_rate: rate.is_some(), keeps: window > 0 };
    let xs: Vec<Tensor> =
        [Some(query * scale), Some(key), Some(value), gate, rate].into_iter().flatten().collect();
    let (state, ys) = scan(start, xs, |state, xs: Vec<Tensor>| steps.next(state, &xs));
    let state = if window > 0 { last_states(&ys[1], window) } else { state };
    // `[time, batch, heads, depth]` to `[batch, time, heads * depth]`.
    let y = ys[0].swap_axes(0, 1).reshape([q.dim(0), q.dim(1), heads.max(shared) * shape[3]]);
    Ok([y.to(q.dtype()), state.to(dtype)].map(OnnxValue::Tensor).to_vec())
}

/// Returns the number of heads of the keys, of which ONNX Runtime admits fewer than of states.
fn key_heads(key: &Tensor, depth: usize, heads: usize) -> Result<usize, RuleFailure> {
    let count = key.dim(-1).checked_div(depth).unwrap_or(0);
    match count > 0 && heads.is_multiple_of(count) {
        true => Ok(count),
        false => fail(format!("expected keys of {heads} heads of {depth}, got {}", key.ty()?)),
    }
}

/// Returns `[time, batch, heads, depth]` of `[batch, time, heads * depth]`, in f32 at least.
fn by_step(x: &Tensor, heads: usize) -> Result<Tensor, RuleFailure> {
    match x.shape()[..] {
        [batch, time, width] if width.is_multiple_of(heads) => {
            let split = x.to(wide(x)).reshape([batch, time, heads, width / heads]);
            Ok(split.swap_axes(0, 1))
        }
        _ => fail(format!("expected [batch, time, width] of {heads} heads, got {}", x.ty()?)),
    }
}

/// Returns the factor of the state, `[time, batch, heads, depth or 1]`, and the rate of updates,
/// `[time, batch, heads or 1, 1]`, which the update rule has.
fn gates(
    c: &NodeCall,
    heads: usize,
    depth: usize,
) -> Result<(Option<Tensor>, Option<Tensor>), RuleFailure> {
    let rule = c.str_or("update_rule", "gated_delta")?;
    let (has_gate, has_rate) = match rule.as_str() {
        "linear" => (false, false),
        "gated" => (true, false),
        "delta" => (false, true),
        "gated_delta" => (true, true),
        other => return fail(format!("expected an update rule, got `{other}`")),
    };
    let (decay, rate) = (c.maybe(4)?, c.maybe(5)?);
    if decay.is_some() != has_gate || rate.is_some() != has_rate {
        return fail(format!("the inputs decay and beta are not those of the rule `{rule}`"));
    }
    let gate = match decay {
        Some(x) if x.dim(-1) != heads && x.dim(-1) != heads * depth => {
            return fail(format!("expected a decay of {heads} heads, got {}", x.ty()?));
        }
        Some(x) => Some(by_step(&x, heads)?.exp()),
        None => None,
    };
    let rate = match rate {
        Some(x) if x.dim(-1) != heads && x.dim(-1) != 1 => {
            return fail(format!("expected a beta of {heads} heads, got {}", x.ty()?));
        }
        Some(x) => Some(by_step(&x, x.dim(-1).max(1))?),
        None => None,
    };
    Ok((gate, rate))
}

/// Returns the state to begin with: the last one of a window.
fn first_state(past: &Tensor, shape: [usize; 4], window: usize) -> Result<Tensor, RuleFailure> {
    let last = if window > 0 && past.rank() == 5 { past.get(-1) } else { past.clone() };
    match last.shape() == shape {
        true => Ok(last),
        false => fail(format!("expected a past state {shape:?}, got {}", past.ty()?)),
    }
}

/// Returns the last states of all steps, with zeros in front if there are too few.
fn last_states(states: &Tensor, window: usize) -> Tensor {
    let missing = window.saturating_sub(states.dim(0)) as i64;
    let mut widths = vec![(0, 0, 0); states.rank()];
    widths[0].0 = missing;
    let zero = Tensor::zeros_of(states.dtype(), ());
    states.slice(0, -(window as i64)..).pad_dilated(widths, zero)
}

/// The inputs of the steps of a rule.
struct Steps {
    has_gate: bool,
    has_rate: bool,
    /// True if the states of all steps are wanted.
    keeps: bool,
}

impl Steps {
    /// Returns the state `[batch, heads, depth, value depth]` after a step, and its results.
    fn next(&self, state: Tensor, xs: &[Tensor]) -> (Tensor, Vec<Tensor>) {
        let (query, key, mut value) = (&xs[0], &xs[1], xs[2].clone());
        let state = if self.has_gate { state * xs[3].expand_dims(3) } else { state };
        if self.has_rate {
            let known = key.expand_dims(2).matmul(&state).squeeze(2);
            value = &xs[xs.len() - 1] * (value - known);
        }
        let state = state + key.expand_dims(3) * value.expand_dims(2);
        let (batch, heads) = (state.dim(0), state.dim(1));
        let group = query.dim(1) / heads.max(1);
        let grouped = query.reshape([batch, heads, group, query.dim(2)]);
        let y = grouped.matmul(&state).reshape([batch, heads * group, state.dim(3)]);
        let ys = if self.keeps { vec![y, state.clone()] } else { vec![y] };
        (state, ys)
    }
}

/// Computes the decay and the rate of updates from their projections.
fn gate(c: &NodeCall) -> RuleOutcome {
    let a = c.x(0)?;
    let decay = (a.to(DType::F32) + c.x(1)?).softplus() * c.x(2)?;
    let mut ys = vec![OnnxValue::Tensor(decay.to(a.dtype()))];
    if let Some(b) = c.maybe(3)? {
        ys.push(OnnxValue::Tensor(b.to(DType::F32).sigmoid().to(a.dtype())));
    }
    Ok(ys)
}

/// Normalizes groups of elements of the size of the scale, and multiplies by an activated gate.
fn gated_rms_norm(c: &NodeCall) -> RuleOutcome {
    let (x, scale, gate) = (c.x(0)?, c.x(1)?, c.x(2)?);
    let size = scale.dim(-1);
    if scale.rank() != 1 || size == 0 || !x.dim(-1).is_multiple_of(size) {
        return fail(format!("expected groups of {} in {}", scale.ty()?, x.ty()?));
    }
    let groups = x.to(DType::F32).reshape([x.shape().iter().product::<usize>() / size, size]);
    let epsilon = f64::from(c.float_or("epsilon", 1e-5)?);
    let y = groups.rms_norm(Some(&scale.to(DType::F32)), epsilon).reshape(x.shape());
    let gate = gate.to(DType::F32);
    let gate = match c.str_or("activation", "silu")?.as_str() {
        "silu" | "swish" => gate.silu(),
        "sigmoid" => gate.sigmoid(),
        other => return fail(format!("expected silu, swish or sigmoid, got `{other}`")),
    };
    one((y * gate).to(x.dtype()))
}

/// Adds a tensor multiplied by a gate: an input, or the sigmoid of its product with weights.
fn gated_add(c: &NodeCall) -> RuleOutcome {
    let (x, y, gate) = (c.x(0)?, c.x(1)?, c.x(2)?);
    same_dtype(&x, &y)?;
    let gate = match c.maybe(3)? {
        Some(weights) => {
            let projected = gate.to(wide(&x)).matmul(weights.to(wide(&x))).to(x.dtype());
            projected.to(wide(&x)).sigmoid().to(x.dtype())
        }
        None => gate,
    };
    one(x + y * gate)
}
