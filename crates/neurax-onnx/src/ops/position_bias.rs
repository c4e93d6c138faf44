//! Attention by positions: `RelativePositionBias`, `GatedRelativePositionBias`,
//! `LongformerAttention` of ONNX Runtime.

use super::attending::Attention;
use super::attention::{flattened, split_heads};
use super::axes::size_of;
use super::contrib_attention::heads_of;
use super::normalization::wide;
use super::packed_attention::restored;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{MICROSOFT, Operator, op};
use neurax_tensor::{DType, Tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("RelativePositionBias", &[1], 3..=3, relative)
        .domain(MICROSOFT)
        .attributes(&["is_bidirectional", "max_distance"]),
    op("GatedRelativePositionBias", &[1], 6..=7, gated)
        .domain(MICROSOFT)
        .attributes(&["num_heads"]),
    op("LongformerAttention", &[1], 7..=7, longformer)
        .domain(MICROSOFT)
        .attributes(&["num_heads", "window"]),
];

/// Returns the bias of each distance of a key from a query, `[1, heads, queries, keys]`. Large
/// distances share the entries of the table. Raffel et al., T5
/// (<https://arxiv.org/abs/1910.10683>).
///
/// The table is declared as `[buckets, heads]`, but its elements are in the order of `[heads,
/// buckets]`.
fn relative(c: &NodeCall) -> RuleOutcome {
    let table = c.x(0)?;
    let &[buckets, heads] = &table.shape()[..] else {
        return fail(format!("expected a table [buckets, heads], got {}", table.ty()?));
    };
    let length = |i: usize| size_of(c.required("length", c.known_int(i)?)?);
    let (queries, keys) = (length(1)?, length(2)?);
    let is_bidirectional = c.flag("is_bidirectional", false)?;
    let farthest = size_of(c.required("max_distance", c.int("max_distance")?)?)?;
    let distance = Tensor::arange(keys) - Tensor::arange(queries).expand_dims(1);
    let bucket = bucket(&distance, buckets, farthest, is_bidirectional)?;
    one(table.reshape([heads, buckets]).take(bucket, 1).expand_dims(0))
}

/// Returns the bucket of each distance: small ones have their own, larger ones share buckets whose
/// sizes grow exponentially up to `farthest`.
fn bucket(
    distance: &Tensor,
    buckets: usize,
    farthest: usize,
    is_bidirectional: bool,
) -> Result<Tensor, RuleFailure> {
    let half = if is_bidirectional { buckets / 2 } else { buckets };
    let exact = half / 2;
    if exact == 0 || farthest <= exact {
        return fail(format!("expected a max_distance above {exact}, got {farthest}"));
    }
    let (first, distance) = match is_bidirectional {
        true => (distance.gt(0).to(DType::I32) * half, distance.abs()),
        // Keys behind the query are at the distance 0.
        false => (distance.zeros_like(), distance.minimum(0).abs()),
    };
    let ratio = (distance.maximum(1).to(DType::F32) / exact as f64).log();
    let growth = (farthest as f64 / exact as f64).ln();
    let large = (ratio / growth * (half - exact) as f64).to(DType::I32) + exact;
    Ok(first + distance.lt(exact).select(&distance, large.minimum(half - 1)))
}

/// Multiplies the bias of positions by a gate of the queries. Chi et al., WavLM
/// (<https://arxiv.org/abs/2110.13900>).
fn gated(c: &NodeCall) -> RuleOutcome {
    let heads = heads_of(c)?;
    let query = c.x(0)? + c.x(1)?;
    let query = match c.maybe(6)? {
        Some(offsets) => restored(&query, &offsets)?,
        None => query,
    };
    let (x, dtype) = (split_heads(&query, heads)?, query.dtype());
    let projected = (x.matmul(c.x(3)?) + c.x(4)?).to(wide(&query));
    if !projected.dim(-1).is_multiple_of(2) {
        return fail(format!("expected an even number of gates, got {}", projected.ty()?));
    }
    let halves = projected.split(2, -1);
    let [update, reset] = [0, 1].map(|i| halves[i].sum(neurax_tensor::keep(-1)).sigmoid());
    let factor = update * (reset * c.x(5)? - 1.0) + 2.0;
    one((factor * c.x(2)?).to(dtype))
}

/// Computes the attention to the `window` tokens on both sides and to global tokens, which see all
/// tokens and have separate projections. Beltagy et al., Longformer
/// (<https://arxiv.org/abs/2004.05150>).
///
/// All scores are computed and masked, which costs more time than scores of windows alone.
fn longformer(c: &NodeCall) -> RuleOutcome {
    let (x, heads) = (c.x(0)?, heads_of(c)?);
    let window = size_of(c.required("window", c.int("window")?)?)?;
    let (mask, global) = (c.x(3)?, c.x(6)?);
    let &[batch, length, width] = &x.shape()[..] else {
        return fail(format!("expected [batch, length, width], got {}", x.ty()?));
    };
    if mask.shape() != [batch, length] || global.shape() != [batch, length] {
        return fail(format!("expected masks {:?}, got {}", [batch, length], mask.ty()?));
    }
    let attention = |weights: Tensor, bias: Tensor| -> Result<Attention, RuleFailure> {
        let all = x.matmul(weights) + bias;
        if all.dim(-1) != 3 * width {
            return fail(format!("expected projections of width {}, got {}", 3 * width, all.ty()?));
        }
        let parts = all.split(3, -1);
        let part = |i: usize| split_heads(&parts[i], heads);
        let mut a = Attention::new(part(0)?, part(1)?, part(2)?);
        a.bias = Some(mask.reshape([batch, 1, 1, length]));
        Ok(a)
    };
    let (mut local, of_global) = (attention(c.x(1)?, c.x(2)?)?, attention(c.x(4)?, c.x(5)?)?);
    let is_global = global.not_equal(0);
    let at = Tensor::arange(length);
    let is_near = (&at - at.expand_dims(1)).abs().le(window.min(length));
    local.mask = Some(is_near.logical_or(is_global.reshape([batch, 1, 1, length])));
    let y = is_global
        .reshape([batch, length, 1])
        .select(flattened(&of_global.result()), flattened(&local.result()));
    one(y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_distances_share_buckets() {
        let distance = Tensor::from_vec(vec![0i32, -1, -7, -8, -100, 5], [6]);
        let of = |is_bidirectional, buckets| {
            bucket(&distance, buckets, 20, is_bidirectional).unwrap().to_vec::<i32>().unwrap()
        };
        assert_eq!(of(false, 16), [0, 1, 7, 8, 15, 0]);
        assert_eq!(of(true, 32), [0, 1, 7, 8, 15, 21]);
        assert!(bucket(&distance, 16, 8, false).is_err());
    }
}
