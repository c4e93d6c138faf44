//! Scaled dot-product attention.
//!
//! Vaswani et al., Attention Is All You Need (<https://arxiv.org/abs/1706.03762>). For each query
//! `i` of a head, with scores `s`, probabilities `p` and the result `o`:
//!
//! ```text
//! s[j] = scale * q[i] . k[j]            capped, plus the bias
//! p    = softmax(s) over the keys j that the query attends to, 0 for the other keys
//! o[i] = sum(p[j] * v[j])
//! ```
//!
//! Scores and probabilities are a matrix of queries by keys for every head. The derivative computes
//! them again from the operands, so that none of these matrices is kept from the forward to the
//! backward pass, as in Dao et al., FlashAttention (<https://arxiv.org/abs/2205.14135>), section 3.

mod samples;
mod sizes;

use self::samples::ATTENTION_ROWS;
use self::sizes::AttentionSizes;
use super::{Composite, Derivative, Named, Softmax, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Bound, Direction, Sample, Tangent, rules::*};
use crate::{Builder, DType, FloatAttr, Result, Shape, Type, Value, Values};

attrs! {
    /// Attention of queries to keys, with operands `(query, key, value)`, then `mask`, `bias` and
    /// `kept` if the attributes say so. The layout is that of `jax.nn.dot_product_attention`, with
    /// any number of batch axes in front:
    ///
    /// - query `[batch .., queries, heads, depth]`, key `[batch .., keys, key heads, depth]`, value
    ///   `[batch .., keys, key heads, value depth]`, of one dtype. The number of heads is a
    ///   multiple of the number of key heads: consecutive heads share one (grouped-query
    ///   attention).
    /// - mask, bias and kept `[batch .., heads, queries, keys]`, where each axis may have size 1.
    ///   The mask is true at the keys that a query attends to. The bias, of the dtype of the query
    ///   or f32, is added to the scores. Of the probabilities, only those where kept is true
    ///   remain, divided by `1 - dropout`.
    ///
    /// The result is `[batch .., queries, heads, value depth]`. A query that attends to no key has
    /// the result 0, as has one whose scores are all negative infinity.
    pub struct DotProductAttention = "dot_product_attention" {
        /// The factor of the products of queries and keys.
        scale: FloatAttr,
        /// The number of keys that a query attends to before the key of its index; `None`
        /// for all.
        before: Option<usize>,
        /// The number of keys after the key of its index; `None` for all, 0 if causal.
        after: Option<usize>,
        /// The bound `c` of the scaled products `s`, which become `c * tanh(s / c)`.
        soft_cap: Option<FloatAttr>,
        /// True if there is a mask.
        mask: bool,
        /// True if there is a bias.
        bias: bool,
        /// The fraction of the probabilities that are dropped; `None` if there is no `kept`.
        dropout: Option<FloatAttr>,
    }
}

/// The optional operands.
struct OptionalOperands {
    mask: Option<Value>,
    bias: Option<Value>,
    kept: Option<Value>,
}

impl Named for DotProductAttention {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let flags = [self.mask, self.bias, self.dropout.is_some()];
        arity(Self::NAME, xs, 3 + flags.iter().filter(|&&f| f).count())?;
        self.check_numbers()?;
        let sizes = AttentionSizes::of(xs)?;
        let scores = sizes.scores();
        scores.check_rank().map_err(|e| e.inside(Self::NAME))?;
        let wide = xs[0].dtype.at_least_f32();
        let names = ["mask", "bias", "kept"].into_iter().zip(flags).filter(|(_, f)| *f);
        for ((name, _), x) in names.zip(&xs[3..]) {
            let admits = match name {
                "bias" => x.dtype == xs[0].dtype || x.dtype == wide,
                _ => x.dtype == DType::Bool,
            };
            if !admits || !broadcasts(&x.shape, &scores) {
                let dtype = if name == "bias" { xs[0].dtype } else { DType::Bool };
                let want = Type::new(dtype, &scores);
                let why = format!("expected a {name} {want}, where sizes may be 1, got {x}");
                return refuse(Self::NAME, why);
            }
        }
        Ok(vec![xs[0].with_shape(sizes.result())])
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        match AttentionSizes::of(&b.types_of(xs)) {
            Ok(sizes) => {
                let p = self.probabilities(b, &sizes, xs);
                Values::from_slice(&[sizes.weighted_values(b, p, xs[2])])
            }
            Err(e) => {
                b.fail(e);
                Values::new()
            }
        }
    }

    /// Emits the derivative of the body, with the operands as its only residuals. Its transpose is
    /// that of FlashAttention: with the cotangent `c` of the result and `u = c . v`,
    /// `ds = p (u - sum(p u))`, `dq = ds k`, `dk = ds^T q` and `dv = p^T c`.
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        Some(linear_of_body(b, self.clone(), at, dxs))
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        Some(self.clone().into())
    }

    fn samples() -> Vec<Sample> {
        let floats = DType::ALL.into_iter().filter(|d| d.is_float());
        floats.flat_map(|d| ATTENTION_ROWS.iter().map(move |row| row.sample(d))).collect()
    }
}

impl DotProductAttention {
    /// Creates attention without limits, mask, bias and dropout.
    pub fn scaled(scale: f64) -> DotProductAttention {
        DotProductAttention {
            scale: scale.into(),
            before: None,
            after: None,
            soft_cap: None,
            mask: false,
            bias: false,
            dropout: None,
        }
    }

    fn check_numbers(&self) -> Result<()> {
        if let Some(c) = self.soft_cap.map(FloatAttr::get).filter(|&c| c.is_nan() || c <= 0.0) {
            return refuse(Self::NAME, format!("expected a soft cap above 0, got {c:?}"));
        }
        match self.dropout.map(FloatAttr::get).filter(|r| !(0.0..1.0).contains(r)) {
            Some(r) => refuse(Self::NAME, format!("expected a dropout rate in 0..1, got {r:?}")),
            None => Ok(()),
        }
    }

    /// Returns the optional operands among `xs`.
    fn extras(&self, xs: &[Value]) -> OptionalOperands {
        let mut rest = xs.iter().skip(3).copied();
        let mut next = |given: bool| if given { rest.next() } else { None };
        OptionalOperands {
            mask: next(self.mask),
            bias: next(self.bias),
            kept: next(self.dropout.is_some()),
        }
    }

    /// Emits the probabilities, in the shape of [`AttentionSizes::rows`], as all that follows.
    fn probabilities(&self, b: &mut Builder, sizes: &AttentionSizes, xs: &[Value]) -> Value {
        let extras = self.extras(xs);
        let s = self.biased_scores(b, sizes, xs, &extras);
        let axis = b.ty(s).rank() - 1;
        let p = match self.attended(b, sizes, s, &extras) {
            // The lowest finite number instead of negative infinity: a row of these is no NaN.
            Some(at) => {
                let lowest = b.full_like(s, lowest_finite(b.dtype(s)));
                let s = b.select(at, s, lowest);
                let p = b.emit(Softmax { axis }, &[s]);
                b.select_or_zero(at, p)
            }
            None => b.emit(Softmax { axis }, &[s]),
        };
        let (Some(rate), Some(kept)) = (self.dropout, extras.kept) else { return p };
        let kept = sizes.broadcast_to_rows(b, kept);
        let p = b.mul_scalar(p, 1.0 / (1.0 - rate.get()));
        b.select_or_zero(kept, p)
    }

    /// Emits the products of queries and keys, scaled, capped, plus the bias.
    fn biased_scores(
        &self,
        b: &mut Builder,
        sizes: &AttentionSizes,
        xs: &[Value],
        extras: &OptionalOperands,
    ) -> Value {
        let mut s = sizes.products(b, xs[0], xs[1]);
        s = b.mul_scalar(s, self.scale.get());
        if let Some(cap) = self.soft_cap {
            s = b.mul_scalar(s, 1.0 / cap.get());
            s = b.tanh(s);
            s = b.mul_scalar(s, cap.get());
        }
        let Some(bias) = extras.bias else { return s };
        let bias = b.convert(bias, b.dtype(s));
        let bias = sizes.broadcast_to_rows(b, bias);
        b.add(s, bias)
    }

    /// Emits where queries attend to keys; `None` if every query attends to every key.
    fn attended(
        &self,
        b: &mut Builder,
        sizes: &AttentionSizes,
        scores: Value,
        extras: &OptionalOperands,
    ) -> Option<Value> {
        let mut at = self.within(b, sizes);
        if let Some(mask) = extras.mask {
            let mask = sizes.broadcast_to_rows(b, mask);
            at = Some(and(b, at, mask));
        }
        if extras.bias.is_some() {
            // NaN differs from negative infinity, so that it is not hidden.
            let lowest = b.full_like(scores, f64::NEG_INFINITY);
            let above = b.compare(Direction::Ne, scores, lowest);
            at = Some(and(b, at, above));
        }
        at
    }

    /// Emits where keys lie within the limits `before` and `after`; `None` if all do.
    fn within(&self, b: &mut Builder, sizes: &AttentionSizes) -> Option<Value> {
        let longest = sizes.queries.max(sizes.keys);
        let dtype = if i32::try_from(longest).is_ok() { DType::I32 } else { DType::I64 };
        let rows = sizes.rows();
        let rank = rows.rank();
        let mut at = None;
        // The index of the query, or of the key, bounds the other one.
        for (limit, of_query) in [(self.after, true), (self.before, false)] {
            let Some(n) = limit.filter(|&n| n < longest) else { continue };
            let query = sizes.query_of_row(b, dtype);
            let key = b.iota(b.ty(query).clone(), 1);
            let (low, high) = if of_query { (query, key) } else { (key, query) };
            let bound = b.add_scalar(low, n as f64);
            let within = b.compare(Direction::Le, high, bound);
            at = Some(and(b, at, within));
        }
        at.map(|at| b.broadcast(at, rows, &[rank - 2, rank - 1]))
    }
}

/// Emits the conjunction of two conditions, of which `None` is true.
fn and(b: &mut Builder, x: Option<Value>, y: Value) -> Value {
    match x {
        Some(x) => b.and(x, y),
        None => y,
    }
}

/// Returns true if `from` has the rank of `to` and each size is equal or 1.
fn broadcasts(from: &Shape, to: &Shape) -> bool {
    from.rank() == to.rank() && from.iter().zip(to.iter()).all(|(&n, &m)| n == m || n == 1)
}

/// Returns the lowest finite number of `dtype`, in which the body computes.
fn lowest_finite(dtype: DType) -> f64 {
    if dtype == DType::F64 { f64::MIN } else { f32::MIN.into() }
}
