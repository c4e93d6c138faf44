//! Operators of ONNX Runtime on sequences without padding: `RemovePadding`, `RestorePadding`,
//! `PackedAttention`, `PackedMultiHeadAttention`.
//!
//! The tokens of all sequences are one list. `token_offset`, `[batch, length]`, has the place of
//! each token in the padded tensor, then the places of the padding. Attention is computed on the
//! padded tensors, of which the padding is masked.

use super::attending::Attention;
use super::attention::{flattened, split_heads};
use super::axes::size_of;
use super::contrib_attention::{heads_of, scale_of};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{MICROSOFT, Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::Tensor;

pub(crate) const OPERATORS: &[Operator] =
    &[
        op("RemovePadding", &[1], 2..=2, remove_padding).domain(MICROSOFT),
        op("RestorePadding", &[1], 2..=2, |c| one(restored(&c.x(0)?, &c.x(1)?)?)).domain(MICROSOFT),
        op("PackedAttention", &[1], 5..=6, packed_attention).domain(MICROSOFT).attributes(&[
            "num_heads",
            "qkv_hidden_sizes",
            "scale",
        ]),
        op("PackedMultiHeadAttention", &[1], 1..=7, packed_multi_head)
            .domain(MICROSOFT)
            .attributes(&["mask_filter_value", "num_heads", "scale"]),
    ];

/// Joins the tokens of all sequences, whose numbers must be known: they decide the shape.
fn remove_padding(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let &[batch, length, width] = &x.shape()[..] else {
        return fail(format!("expected [batch, length, width], got {}", x.ty()?));
    };
    let counts = c.known_ints(1)?.unwrap_or_default();
    if counts.len() != batch || counts.iter().any(|&n| !(0..=length as i64).contains(&n)) {
        return fail(format!("expected {batch} numbers of at most {length}, got {counts:?}"));
    }
    let (mut tokens, mut padding, mut ends) = (Vec::new(), Vec::new(), vec![0i32]);
    for (b, &count) in counts.iter().enumerate() {
        let places = (0..length).map(|i| (b * length + i) as i32);
        let (of_tokens, others): (Vec<_>, Vec<_>) =
            places.enumerate().partition(|&(i, _)| (i as i64) < count);
        tokens.extend(of_tokens.into_iter().map(|(_, place)| place));
        padding.extend(others.into_iter().map(|(_, place)| place));
        ends.push(tokens.len() as i32);
    }
    let count = tokens.len();
    let most = counts.iter().max().copied().unwrap_or(0) as i32;
    let y = x.reshape([batch * length, width]).take(Tensor::from_vec(tokens.clone(), count), 0);
    let offsets = Tensor::from_vec([tokens, padding].concat(), [batch, length]);
    let ends = Tensor::from_vec(ends, batch + 1);
    Ok([y, offsets, ends, Tensor::from_vec(vec![most], 1)].map(OnnxValue::Tensor).to_vec())
}

/// Returns tokens at their places in a tensor `[batch, length, ..]` of zeros.
pub(crate) fn restored(tokens: &Tensor, offsets: &Tensor) -> Result<Tensor, RuleFailure> {
    let shape = tokens.shape();
    let (&[batch, length], Some((&count, row))) = (&offsets.shape()[..], shape.split_first())
    else {
        let (tokens, offsets) = (tokens.ty()?, offsets.ty()?);
        return fail(format!("expected [tokens, ..] and offsets, got {tokens} and {offsets}"));
    };
    if count > batch * length {
        return fail(format!("expected at most {} tokens, got {count}", batch * length));
    }
    let places = offsets.flatten().slice(0, ..count as i64);
    let zeros = Tensor::zeros_of(tokens.dtype(), [&[batch * length], row].concat());
    Ok(zeros.at(places).set(tokens).reshape([&[batch, length], row].concat()))
}

fn packed_attention(c: &NodeCall) -> RuleOutcome {
    let projected = c.x(0)?.matmul(c.x(1)?) + c.x(2)?;
    let sizes = match c.ints("qkv_hidden_sizes")? {
        Some(&[q, k, v]) => [size_of(q)?, size_of(k)?, size_of(v)?],
        Some(other) => return fail(format!("expected 3 hidden sizes, got {other:?}")),
        None => [projected.dim(-1) / 3; 3],
    };
    let total = sizes.iter().try_fold(0usize, |sum, &n| sum.checked_add(n));
    if total != Some(projected.dim(-1)) {
        return fail(format!("expected the sizes {sizes:?}, got {}", projected.ty()?));
    }
    let mut start = 0;
    let parts = sizes.map(|size| {
        let part = projected.slice(-1, start..start + size as i64);
        start += size as i64;
        part
    });
    packed(c, parts, &c.x(3)?, &c.x(4)?, c.maybe(5)?)
}

fn packed_multi_head(c: &NodeCall) -> RuleOutcome {
    let query = c.x(0)?;
    let mut parts = match (query.rank(), c.maybe(1)?, c.maybe(2)?) {
        (4, None, None) => query.unstack(2).iter().map(joined_heads).collect(),
        (2, Some(key), Some(value)) => vec![query, key, value],
        _ => return fail(format!("expected query, key and value, got a query {}", query.ty()?)),
    };
    if let Some(bias) = c.maybe(3)? {
        let mut start = 0;
        for part in &mut parts {
            let end = start + part.dim(-1) as i64;
            *part = &*part + bias.slice(0, start..end);
            start = end;
        }
    }
    // The padding that is masked by this value is not in the result.
    c.float("mask_filter_value")?;
    match <[Tensor; 3]>::try_from(parts) {
        Ok(parts) => packed(c, parts, &c.x(4)?, &c.x(5)?, c.maybe(6)?),
        Err(parts) => fail(format!("expected a packed tensor of 3 parts, got {}", parts.len())),
    }
}

fn joined_heads(x: &Tensor) -> Tensor {
    x.reshape([x.dim(0), x.dim(1) * x.dim(2)])
}

/// Computes the attention of queries, keys and values `[tokens, width]`.
fn packed(
    c: &NodeCall,
    parts: [Tensor; 3],
    offsets: &Tensor,
    ends: &Tensor,
    bias: Option<Tensor>,
) -> RuleOutcome {
    let (heads, tokens) = (heads_of(c)?, parts[0].dim(0));
    let mut padded = Vec::with_capacity(3);
    for part in &parts {
        padded.push(split_heads(&restored(part, offsets)?, heads)?);
    }
    let (batch, length) = (offsets.dim(0), offsets.dim(1));
    if ends.shape() != [batch + 1] {
        return fail(format!("expected {} cumulative lengths, got {}", batch + 1, ends.ty()?));
    }
    let lengths = ends.slice(0, 1..) - ends.slice(0, ..-1);
    let [query, key, value] = [0, 1, 2].map(|i| padded[i].clone());
    let mut a = Attention::new(query, key, value);
    a.scale = scale_of(c)?;
    a.mask = Some(Tensor::arange(length).lt(lengths.reshape([batch, 1, 1, 1])));
    a.bias = bias;
    let y = flattened(&a.result());
    let rows = y.reshape([batch * length, y.dim(-1)]);
    one(rows.take(offsets.flatten().slice(0, ..tokens as i64), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_return_to_their_places() {
        let tokens = Tensor::from_vec(vec![1.0f32, 2.0, 3.0], [3, 1]);
        let offsets = Tensor::from_vec(vec![0i32, 2, 3, 1], [2, 2]);
        let y = restored(&tokens, &offsets).unwrap();
        assert_eq!(y.shape(), [2, 2, 1]);
        assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 0.0, 2.0, 3.0]);
        assert!(restored(&tokens.tile([2, 1]), &offsets).is_err());
    }
}
