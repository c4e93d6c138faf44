//! Attention.

use super::common::{promote_operands, tensor_or_error};
use crate::{AttentionOptions, Tensor, dispatch::dispatch, tensor::CallSite};
use neurax_ir::composite::DotProductAttention;
use std::panic::Location;

/// Computes scaled dot-product attention: for each query, the mean of the values, weighted by the
/// softmax of the products of the query with the keys.
///
/// `query` is `[batch .., queries, heads, depth]`, `key` is `[batch .., keys, key heads, depth]`,
/// and `value` is `[batch .., keys, key heads, value depth]`; the result is
/// `[batch .., queries, heads, value depth]`. The number of heads is a multiple of the number of
/// key heads: consecutive heads share one, as in grouped-query attention (Ainslie et al., GQA,
/// <https://arxiv.org/abs/2305.13245>). Operands are promoted to one dtype; integers and bool are
/// converted to f32; floats below 32 bits are computed in f32 and rounded once.
///
/// The result of a query that attends to no key is 0. (`jax.nn.dot_product_attention`, which the
/// layout follows, returns the mean of all values.) The gradient computes the probabilities again,
/// so that no matrix of queries by keys is kept for it.
///
/// # Errors
///
/// The result carries an error if the shapes do not fit, if the mask is not bool, or if an option
/// is out of its range.
///
/// # Examples
///
/// ```
/// use neurax::{AttentionOptions, dot_product_attention, prelude::*};
/// // Two positions, one head, equal weights.
/// let x = tensor([[[0.0]], [[0.0]]]);
/// let value = tensor([[[10.0]], [[20.0]]]);
/// let causal = AttentionOptions::new().causal();
/// let y = dot_product_attention(&x, &x, &value, causal);
/// assert_eq!(y.to_vec::<f32>()?, [10.0, 15.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn dot_product_attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    options: AttentionOptions,
) -> Tensor {
    let at = Location::caller();
    let attend = || {
        let mut xs = vec![];
        for x in [query, key, value] {
            xs.push(x.real_float(DotProductAttention::NAME, at)?);
        }
        let mut xs = promote_operands(DotProductAttention::NAME, &xs, at)?;
        let op = options.op(&xs[0]);
        xs.extend(options.operands(&xs, at)?);
        Ok(dispatch(op, xs, at))
    };
    tensor_or_error(attend())
}

impl AttentionOptions {
    /// Returns the op for the operand `query`.
    fn op(&self, query: &Tensor) -> DotProductAttention {
        let depth = query.shape().last().copied().unwrap_or(1).max(1);
        let scale = self.scale.unwrap_or(1.0 / (depth as f64).sqrt());
        DotProductAttention {
            before: self.before,
            after: self.after,
            soft_cap: self.soft_cap.map(Into::into),
            mask: self.mask.is_some(),
            bias: self.bias.is_some(),
            dropout: self.dropout.as_ref().map(|(rate, _)| (*rate).into()),
            ..DotProductAttention::scaled(scale)
        }
    }

    /// Returns the optional operands: mask, bias, and where the dropout keeps probabilities.
    fn operands(&self, xs: &[Tensor], at: CallSite) -> Result<Vec<Tensor>, Tensor> {
        let rank = xs[0].rank();
        let mut operands = vec![];
        if let Some(mask) = &self.mask {
            mask.type_or_error()?;
            operands.push(with_leading_axes(mask, rank, at));
        }
        if let Some(bias) = &self.bias {
            let bias = bias.real_float(DotProductAttention::NAME, at)?;
            let dtype = xs[0].dtype();
            let bias =
                if bias.dtype() == dtype { bias } else { bias.convert(dtype.at_least_f32(), at) };
            operands.push(with_leading_axes(&bias, rank, at));
        }
        if let Some((rate, key)) = &self.dropout {
            // The op refuses other rates, which are no probabilities.
            let kept = if (0.0..1.0).contains(rate) { 1.0 - rate } else { 1.0 };
            operands.push(key.bernoulli(kept, scores_shape(xs)));
        }
        Ok(operands)
    }
}

/// Returns `x` with axes of size 1 in front up to `rank`.
fn with_leading_axes(x: &Tensor, rank: usize, at: CallSite) -> Tensor {
    let missing = rank.saturating_sub(x.rank());
    let shape: Vec<usize> = vec![1; missing].into_iter().chain(x.shape().to_vec()).collect();
    x.reshaped(shape, at)
}

/// Returns `[batch .., heads, queries, keys]`, if the ranks of query and key admit it.
fn scores_shape(xs: &[Tensor]) -> Vec<usize> {
    let (q, k) = (xs[0].shape(), xs[1].shape());
    match (q.len().checked_sub(3), k.len().checked_sub(3)) {
        (Some(n), Some(m)) => [&q[..n], &[q[n + 1], q[n], k[m]]].concat(),
        // The op refuses operands of these ranks.
        _ => vec![],
    }
}
