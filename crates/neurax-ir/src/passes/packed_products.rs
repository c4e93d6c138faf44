//! Products with constant weights, which are packed once.
//!
//! The problem: a matrix kernel reads its operands in blocks, and a product with weights packs
//! these for every call. With few rows, as in the inference of small batches, this takes as long as
//! the product. A convolution with its features last takes packed weights; with one tap it is a
//! product, so that the pass turns one into the other:
//!
//! ```text
//! dot_general(x: f32[32, 384], w: f32[384, 1536]) + bias
//!   -> channels_last_convolution(x: f32[1, 32, 384], packed w: f32[96, 1, 384, 16], bias)
//! ```
//!
//! A bias and the limit 0 of an activation become parts of the convolution.
//!
//! # Invariants
//!
//! - The value is kept up to the order of the sums.
//! - The packed weights are constant equations, which [`freeze`](super::freeze()) moves out of the
//!   program.

use super::channels_last::MAX_SUMMED_DEPTH;
use super::constant_facts::ConstantFacts;
use super::{RewrittenGraph, replace::replace_equations};
use crate::composite::{ChannelsLastConvolution, FEATURE_BLOCK};
use crate::op::{Binary, DotGeneral, Slide};
use crate::{Builder, DType, Eqn, Graph, Op, Result, Value};

/// The least rows of a product whose weights are packed: one row reads each weight once. Not
/// measured.
const MIN_ROWS: usize = 4;

/// Packs the weights of products, where these are constant and the product has several rows;
/// `is_constant` has an element for each input. Returns `None` if there are none.
///
/// ```
/// use neurax_ir::{Graph, passes};
/// let graph = Graph::parse("graph(%0: f32[8, 3], %1: f32[3, 20]) {
///   %2: f32[8, 20] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[0], \
///     dtype=f32](%0, %1)
///   return %2
/// }")?;
/// let packed = passes::packed_products(&graph, &[false, true])?.expect("a product of weights");
/// assert_eq!(packed.applied, [("packed_product", 1)]);
/// assert!(packed.graph.to_string().contains("f32[2, 1, 3, 16]"), "two blocks of columns");
/// # Ok::<(), neurax_ir::Error>(())
/// ```
///
/// # Errors
/// If the graph is invalid; not the case for a graph that verifies.
pub fn packed_products(graph: &Graph, is_constant: &[bool]) -> Result<Option<RewrittenGraph>> {
    let search = DotSearch::new(graph, is_constant);
    let found: Vec<Option<PackedProduct>> = graph.eqns().iter().map(|e| search.dot(e)).collect();
    if found.iter().all(Option::is_none) {
        return Ok(None);
    }
    let new = replace_equations(graph, |b, i, env| {
        Ok(found[i].as_ref().map(|product| {
            let y = product.emit(b, &|v| env[v.index()]);
            b.reshape(y, graph.ty(graph.eqns()[i].outputs[0]).shape.clone())
        }))
    })?;
    let applied = vec![("packed_product", found.iter().flatten().filter(|p| p.is_dot).count())];
    Ok(Some(RewrittenGraph { graph: new, applied }))
}

/// A product with constant weights, and what is part of it. Values are those of the graph.
struct PackedProduct {
    x: Value,
    weights: Value,
    /// The axis of the weights that is contracted.
    depth_axis: usize,
    /// One number, or one for each column.
    bias: Option<Value>,
    /// The least element of the result.
    low: f64,
    /// True if the product alone was found: one with a bias has it inside, too.
    is_dot: bool,
}

/// The facts about a graph that the search needs.
struct DotSearch<'g> {
    facts: ConstantFacts<'g>,
    uses: Vec<usize>,
}

impl<'g> DotSearch<'g> {
    fn new(graph: &'g Graph, is_constant: &[bool]) -> DotSearch<'g> {
        DotSearch { facts: ConstantFacts::new(graph, is_constant), uses: graph.use_counts() }
    }

    /// Returns the product whose result is that of `e`.
    fn dot(&self, e: &Eqn) -> Option<PackedProduct> {
        match &e.op {
            Op::DotGeneral(op) => self.plain(e, op),
            Op::Binary(Binary::Add) => self.with_bias(e),
            Op::Binary(Binary::Max) => self.with_limit(e),
            _ => None,
        }
    }

    fn plain(&self, e: &Eqn, op: &DotGeneral) -> Option<PackedProduct> {
        let [x, weights] = [e.inputs[0], e.inputs[1]];
        let (tx, tw) = (self.facts.ty(x), self.facts.ty(weights));
        let depth = tx.shape.last().copied()?;
        let is_plain = op.dtype == DType::F32
            && [tx, tw].iter().all(|t| t.dtype == DType::F32)
            && op.lhs_batch.is_empty()
            && op.lhs_contract[..] == [tx.rank() - 1]
            && op.rhs_contract.len() == 1
            && tw.rank() == 2;
        if !is_plain || depth == 0 || depth > MAX_SUMMED_DEPTH {
            return None;
        }
        let depth_axis = op.rhs_contract[0];
        let suits = self.facts.is_constant(weights)
            && !self.facts.is_constant(x)
            && tx.size() / depth >= MIN_ROWS
            && tw.shape[1 - depth_axis] >= FEATURE_BLOCK;
        let low = f64::NEG_INFINITY;
        suits.then_some(PackedProduct { x, weights, depth_axis, bias: None, low, is_dot: true })
    }

    /// Returns the product to which `e` adds a bias.
    fn with_bias(&self, e: &Eqn) -> Option<PackedProduct> {
        let last = self.facts.ty(e.outputs[0]).rank().checked_sub(1)?;
        let with = |y: Value, bias: Value| {
            let bias = Some(bias).filter(|v| self.facts.is_constant(*v))?;
            let bias = self.facts.along(bias, last)?;
            let inner = self.inner(y).filter(|e| matches!(e.op, Op::DotGeneral(_)))?;
            Some(PackedProduct { bias: Some(bias), is_dot: false, ..self.dot(inner)? })
        };
        with(e.inputs[0], e.inputs[1]).or_else(|| with(e.inputs[1], e.inputs[0]))
    }

    /// Returns the product whose negative elements `e` replaces by 0.
    fn with_limit(&self, e: &Eqn) -> Option<PackedProduct> {
        let with = |y: Value, limit: Value| {
            self.facts.number(limit).filter(|x| *x == 0.0 && x.is_sign_positive())?;
            let product = self.dot(self.inner(y)?)?;
            Some(PackedProduct { low: 0.0, is_dot: false, ..product })
        };
        with(e.inputs[0], e.inputs[1]).or_else(|| with(e.inputs[1], e.inputs[0]))
    }

    /// Returns the equation of a value that nothing else reads, unless it has a limit.
    fn inner(&self, v: Value) -> Option<&'g Eqn> {
        let e = self.facts.producer(v).filter(|_| self.uses[v.index()] == 1)?;
        (e.op != Op::Binary(Binary::Max)).then_some(e)
    }
}

impl PackedProduct {
    /// Emits the product as a convolution of one line, with one tap; `of` returns the new value of
    /// one of the graph.
    fn emit(&self, b: &mut Builder, of: &dyn Fn(Value) -> Value) -> Value {
        let (x, weights) = (of(self.x), of(self.weights));
        let by_results = if self.depth_axis == 0 { b.transpose(weights, &[1, 0]) } else { weights };
        let [results, depth] = [0, 1].map(|axis| b.ty(by_results).shape[axis]);
        let taps = b.reshape(by_results, [results, depth, 1]);
        let packed = ChannelsLastConvolution::packed(b, taps, false);
        let rows = b.ty(x).size() / depth;
        let line = b.reshape(x, [1, rows, depth]);
        let bias = match self.bias.map(of) {
            Some(bias) if b.ty(bias).size() == results => b.reshape(bias, [results]),
            Some(bias) => {
                let number = b.reshape(bias, []);
                b.broadcast(number, [results], &[])
            }
            None => b.zeros(crate::Type::new(DType::F32, [results])),
        };
        let op = ChannelsLastConvolution {
            slides: vec![Slide::default()],
            results,
            depthwise: false,
            low: self.low.into(),
            high: f64::INFINITY.into(),
        };
        b.emit(op, &[line, packed, bias])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Literal, Type, transform};

    /// Rewrites a graph whose inputs but the first are constant, and compares the values.
    fn rewritten(text: &str) -> Option<Graph> {
        let graph = Graph::parse(text).unwrap();
        let is_constant: Vec<bool> = (0..graph.input_types().len()).map(|i| i > 0).collect();
        let new = packed_products(&graph, &is_constant).unwrap()?.graph;
        let number = |i: usize, ty: &Type| {
            // Small integers, whose sums are exact in any order, and one NaN.
            let x = (0..ty.size()).map(|k| ((k * 7 + i * 3) % 11) as f64 - 5.0);
            let x: Vec<f64> =
                x.enumerate().map(|(k, x)| if i + k == 1 { f64::NAN } else { x }).collect();
            Literal::from_f64s(ty.dtype, ty.shape.clone(), &x)
        };
        let args: Vec<Literal> =
            graph.input_types().iter().enumerate().map(|(i, ty)| number(i, ty)).collect();
        let have = transform::eval(&new, args.clone()).unwrap();
        let want = transform::eval(&graph, args).unwrap();
        for (have, want) in have.iter().zip(&want) {
            assert_eq!(have.ty(), want.ty());
            let bits =
                |x: &Literal| x.to_f64s().iter().map(|x| (x + 0.0).to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(have), bits(want), "{new}");
        }
        Some(new)
    }

    fn names(graph: &Graph) -> Vec<&'static str> {
        graph.eqns().iter().map(|e| e.op.name()).collect()
    }

    #[test]
    fn a_bias_and_a_limit_become_part_of_the_product() {
        let new = rewritten(
            "graph(%0: f32[2, 3, 5], %1: f32[18, 5], %2: f32[18]) {
  %3: f32[2, 3, 18] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[2], rhs_contract=[1], \
     dtype=f32](%0, %1)
  %4: f32[2, 3, 18] = broadcast_in_dim[shape=[2, 3, 18], dims=[2]](%2)
  %5: f32[2, 3, 18] = add(%4, %3)
  %6: f32[] = constant[value=f32[] 0.0]()
  %7: f32[2, 3, 18] = broadcast_in_dim[shape=[2, 3, 18], dims=[]](%6)
  %8: f32[2, 3, 18] = maximum(%5, %7)
  return %8
}",
        )
        .unwrap();
        assert!(!names(&new).contains(&"maximum") && !names(&new).contains(&"add"), "{new}");
        assert!(names(&new).contains(&"channels_last_convolution"), "{new}");
    }

    #[test]
    fn what_other_equations_read_stays() {
        let new = rewritten(
            "graph(%0: f32[4, 5], %1: f32[5, 16], %2: f32[]) {
  %3: f32[4, 16] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[0], \
     dtype=f32](%0, %1)
  %4: f32[4, 16] = broadcast_in_dim[shape=[4, 16], dims=[]](%2)
  %5: f32[4, 16] = add(%3, %4)
  return %5, %3
}",
        )
        .unwrap();
        let convolutions =
            names(&new).iter().filter(|n| **n == "channels_last_convolution").count();
        assert_eq!((convolutions, names(&new).contains(&"add")), (1, true), "{new}");
    }

    #[test]
    fn few_rows_narrow_results_and_variable_weights_stay() {
        let text = |rows: usize, columns: usize| {
            format!(
                "graph(%0: f32[{rows}, 5], %1: f32[5, {columns}]) {{
  %2: f32[{rows}, {columns}] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1], \
     rhs_contract=[0], dtype=f32](%0, %1)
  return %2
}}"
            )
        };
        assert!(rewritten(&text(4, 16)).is_some());
        assert!(rewritten(&text(3, 16)).is_none());
        assert!(rewritten(&text(4, 15)).is_none());
        let graph = Graph::parse(&text(4, 16)).unwrap();
        assert!(packed_products(&graph, &[false, false]).unwrap().is_none());
    }
}
