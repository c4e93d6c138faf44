//! `RotaryEmbedding`: pairs of elements, rotated by angles that grow with the position.
//!
//! Su et al., RoFormer (<https://arxiv.org/abs/2104.09864>). The pairs are the elements of the two
//! halves of a head, or adjacent elements (`interleaved`); elements behind `rotary_embedding_dim`
//! stay. The cosines and sines of all positions are inputs.

use super::attention::{flattened, split_heads};
use super::axes::size_of;
use super::normalization::wide;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::{Tensor, concat, stack};

pub(crate) const OPERATORS: &[Operator] =
    &[
        op("RotaryEmbedding", &[23], 3..=4, rotary).attributes(&[
            "interleaved",
            "num_heads",
            "rotary_embedding_dim",
        ]),
        op("RotaryEmbedding", &[1], 4..=4, rotary_of_microsoft).domain("com.microsoft").attributes(
            &["interleaved", "is_packed_batching", "num_heads", "rotary_embedding_dim", "scale"],
        ),
    ];

fn rotary(c: &NodeCall) -> RuleOutcome {
    let [cos, sin] = [c.x(1)?, c.x(2)?];
    let of_positions = |table: Tensor| match c.maybe(3)? {
        Some(positions) => Ok::<_, RuleFailure>(table.take(positions, 0)),
        None => Ok(table),
    };
    let (cos, sin) = (of_positions(cos)?, of_positions(sin)?);
    rotated_heads(c, &cos, &sin, false)
}

/// Rotates with the inputs in another order. One position is that of the first element.
fn rotary_of_microsoft(c: &NodeCall) -> RuleOutcome {
    // ONNX Runtime does not use the scale, whatever the documentation says; and whether sequences
    // are packed has no part in the results, as their positions are given.
    c.float("scale")?;
    c.flag("is_packed_batching", false)?;
    let (x, positions) = (c.x(0)?, c.x(1)?);
    let length = if x.rank() == 4 { x.dim(2) } else { x.dim(1) };
    let positions = match positions.rank() {
        2 => positions,
        _ => positions.reshape([1, 1]) + Tensor::arange(length).to(positions.dtype()),
    };
    let (cos, sin) = (c.x(2)?.take(&positions, 0), c.x(3)?.take(&positions, 0));
    rotated_heads(c, &cos, &sin, true)
}

/// Rotates the heads of the first input. `is_default` is true if their number has a default: heads
/// as large as the table's rows.
fn rotated_heads(c: &NodeCall, cos: &Tensor, sin: &Tensor, is_default: bool) -> RuleOutcome {
    let x = c.x(0)?;
    let is_flat = x.rank() == 3;
    let heads = match (c.int_or("num_heads", 0)?, is_default) {
        (0, true) => x.dim(-1) / (2 * cos.dim(-1)).max(1),
        (heads, _) => size_of(heads)?,
    };
    let x = if is_flat { split_heads(&x, heads)? } else { x };
    let width = match size_of(c.int_or("rotary_embedding_dim", 0)?)? {
        0 => x.dim(-1),
        width => width,
    };
    let expected = [cos, sin].iter().all(|t| t.rank() == 3 && 2 * t.dim(-1) == width);
    if x.rank() != 4 || !expected || width > x.dim(-1) {
        let (x, cos) = (x.ty()?, cos.ty()?);
        return fail(format!("cannot rotate {width} elements of {x} by the cosines {cos}"));
    }
    let y = rotated(&x, cos, sin, c.flag("interleaved", false)?);
    one(if is_flat { flattened(&y) } else { y })
}

/// Rotates the first elements of heads `[batch, heads, length, depth]` by angles with the given
/// cosines and sines, `[batch or 1, length, pairs]`.
pub(crate) fn rotated(x: &Tensor, cos: &Tensor, sin: &Tensor, is_interleaved: bool) -> Tensor {
    let pairs = cos.dim(-1);
    let [cos, sin] = [cos, sin].map(|t| t.to(wide(x)).expand_dims(1));
    let turned = x.slice(3, ..2 * pairs as i64).to(wide(x));
    let mut shape = x.shape().to_vec();
    let axis = if is_interleaved { 4 } else { 3 };
    shape.splice(3.., if is_interleaved { [pairs, 2] } else { [2, pairs] });
    let parts = turned.reshape(shape).unstack(axis);
    let (real, imaginary) = match &parts[..] {
        [a, b] => (a * &cos - b * &sin, a * &sin + b * &cos),
        // A tensor with an error has no parts.
        _ => return turned,
    };
    let turned = stack([real, imaginary], axis).reshape(turned.shape()).to(x.dtype());
    match 2 * pairs == x.dim(-1) {
        true => turned,
        false => concat([turned, x.slice(3, 2 * pairs as i64..)], 3),
    }
}
