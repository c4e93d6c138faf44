//! Products of quantized numbers: dequantized operands become integer products.
//!
//! The problem: a quantized network describes its products in floats. Both operands are
//! dequantized, and the result is often quantized again:
//!
//! ```text
//! y = dot_general((x - zero) scale, w scales);  q = limit(round(y / s) + z)
//! ```
//!
//! The method is that of Jacob et al. (2018, <https://arxiv.org/abs/1712.05877>, section 2.2): the
//! scales leave the sums, the zero point of `x` becomes a number for each column, which is constant
//! if the zero point is, and the integers are multiplied with sums in i32:
//!
//! ```text
//! q = quantized_dot(x, w, -zero sum(w), scale scales / s)
//! ```
//!
//! | form | result of [`QuantizedDot`] |
//! |---|---|
//! | product of dequantized numbers | f32 |
//! | the same, with or without a bias, quantized again | u8 or i8 |
//! | product of integers less a zero point | i32 |
//! | [`ChannelsLastConvolution`], as a product of [patches](convolution) | f32, u8 or i8 |
//!
//! Weights are constants of i8, whose zero points are 0; others stay as they are. Numbers of i8 are
//! moved into u8 by adding 128 to them and to their zero point.
//!
//! # Invariants
//!
//! - Sums are exact, where those of floats are rounded: a product whose sums could exceed i32
//!   stays. The product of the scales, and the quotients by the step of the result, are rounded
//!   once more.
//! - The weights' order and the numbers for columns are constant equations, which
//!   [`freeze`](super::freeze()) moves out of the program.

mod convolution;
mod emit;
mod form;
mod search;
#[cfg(test)]
mod tests;

use super::{RewrittenGraph, replace::replace_equations};
use crate::composite::Composite;
use crate::{Eqn, Graph, Op, Result};
use search::ProductSearch;

#[cfg(doc)]
use crate::composite::{ChannelsLastConvolution, QuantizedDot};

/// Replaces products of quantized numbers with constant weights by integer products. `is_constant`
/// and `is_zero` have an element for each input: whether it is constant, and then whether all its
/// elements are known to be 0. Returns `None` if there are no such products.
///
/// # Errors
/// If the graph is invalid; not the case for a graph that verifies.
pub fn integer_products(
    graph: &Graph,
    is_constant: &[bool],
    is_zero: &[bool],
) -> Result<Option<RewrittenGraph>> {
    let search = ProductSearch::new(graph, is_constant, is_zero);
    let found: Vec<_> = graph.eqns().iter().map(|e| search.product(e)).collect();
    if found.iter().all(Option::is_none) {
        return Ok(None);
    }
    // Of a product that is quantized, the form without quantization has no readers.
    let new = replace_equations(graph, |b, i, env| {
        Ok(found[i].as_ref().map(|product| product.emit(b, &|v| env[v.index()])))
    })?;
    let count = products(&new) - products(graph);
    Ok(Some(RewrittenGraph { graph: new, applied: vec![("integer_product", count)] }))
}

/// Returns the number of integer products of a graph.
fn products(graph: &Graph) -> usize {
    let is_product = |e: &&Eqn| matches!(&e.op, Op::Composite(Composite::QuantizedDot(_)));
    graph.eqns().iter().filter(is_product).count()
}
