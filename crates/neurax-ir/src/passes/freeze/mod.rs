//! Constants of a program: what depends on them alone is computed once, before all calls.
//!
//! The problem: a compiled network has its weights as inputs that never change, and each call would
//! compute again what depends on them alone: the scales of a batch normalization, a transposed or
//! dequantized weight. The method is *partial evaluation* with a binding-time analysis: an equation
//! is constant if all its operands are; constant equations move to a separate graph, whose results
//! become inputs of the rest.
//!
//! ```
//! use neurax_ir::{Graph, passes};
//! let graph = Graph::parse("graph(%0: f32[2, 3], %1: f32[3, 4]) {
//!   %2: f32[3, 4] = tanh(%1)
//!   %3: f32[2, 4] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[0], \
//!     dtype=f32](%0, %2)
//!   return %3
//! }")?;
//! let frozen = passes::freeze(&graph, &[false, true])?.expect("`tanh` is constant");
//! assert_eq!(frozen.constants.to_string(), "\
//! graph(%0: f32[3, 4]) {
//!   %1: f32[3, 4] = tanh(%0)
//!   return %1
//! }");
//! assert_eq!(frozen.rest.eqns()[0].op.name(), "dot_general");
//! # Ok::<(), neurax_ir::Error>(())
//! ```
//!
//! # Invariants
//!
//! - Equations with effects stay.
//! - What is cheaper to compute than to read stays: constants, counters, broadcasts, and functions
//!   of elements that are larger than what they are computed from, such as masks, unless a product,
//!   a convolution or a gather reads them from memory; and so do reshapes, which cost nothing.
//! - The value is kept.

mod batch_norm;
mod binding_times;
mod free;

use crate::{Builder, Eqn, Graph, OrBug, Result, Value, Values};
pub use batch_norm::fold_batch_norms;
pub(super) use binding_times::constant_values;
use free::free_equations;

/// A program whose constants are computed before its calls.
#[derive(Clone, Debug)]
pub struct FrozenGraph {
    /// The function from the constant inputs, in order, to the computed constants of `rest`.
    pub constants: Graph,
    /// The constant inputs that `rest` reads themselves, by their index in the graph.
    pub kept: Vec<usize>,
    /// The function from the other inputs, in order, the kept ones and the computed constants to
    /// the results.
    pub rest: Graph,
}

impl FrozenGraph {
    /// Returns the function that computes the constants `which` alone, from all constant inputs.
    ///
    /// # Errors
    /// If there is no such constant.
    pub fn constants_of(&self, which: &[usize]) -> Result<Graph> {
        let mut b = Builder::new();
        let inputs = b.inputs(self.constants.input_types());
        let all = b.inline(&self.constants, &inputs);
        let of = |i: &usize| all.get(*i).copied().or_bug("a constant that a graph does not have");
        let outputs = which.iter().map(of).collect::<Result<Vec<_>>>()?;
        super::dce(&b.finish(&outputs)?)
    }
}

/// Separates what depends only on the inputs that are constant; `is_constant` has an element for
/// each input. Returns `None` if there is nothing to compute before.
///
/// # Errors
/// If the graph is invalid; not the case for a graph that verifies.
pub fn freeze(graph: &Graph, is_constant: &[bool]) -> Result<Option<FrozenGraph>> {
    freeze_where(graph, is_constant, &|_| true)
}

/// Separates what depends only on the inputs that are constant, as [`freeze`] does, but leaves
/// the equations in the rest for whose index `may_move` is false.
///
/// ```
/// use neurax_ir::{Graph, passes};
/// let graph = Graph::parse("graph(%0: f32[3], %1: f32[3]) {
///   %2: f32[3] = tanh(%1)
///   %3: f32[3] = exponential(%2)
///   %4: f32[3] = add(%0, %3)
///   return %4
/// }")?;
/// let frozen = passes::freeze_where(&graph, &[false, true], &|i| i == 0)?.expect("a constant");
/// assert_eq!(frozen.constants.eqns()[0].op.name(), "tanh");
/// assert_eq!(frozen.rest.eqns()[0].op.name(), "exponential");
/// # Ok::<(), neurax_ir::Error>(())
/// ```
///
/// # Errors
/// As [`freeze`].
pub fn freeze_where(
    graph: &Graph,
    is_constant: &[bool],
    may_move: &dyn Fn(usize) -> bool,
) -> Result<Option<FrozenGraph>> {
    let constant = constant_values(graph, is_constant, may_move);
    let free = free_equations(graph, &constant);
    let needed = needed_constants(graph, &constant, &free);
    let is_input = |v: &Value| v.index() < graph.input_types().len();
    let (kept, computed): (Vec<Value>, Vec<Value>) = needed.iter().partition(|v| is_input(v));
    if computed.is_empty() {
        return Ok(None);
    }
    Ok(Some(FrozenGraph {
        constants: constants(graph, is_constant, &constant, &computed)?,
        kept: kept.iter().map(|v| v.index()).collect(),
        rest: rest(graph, is_constant, &constant, &free, &needed)?,
    }))
}

/// Returns the constant values that the rest reads, in order, inputs included.
fn needed_constants(graph: &Graph, constant: &[bool], free: &[bool]) -> Vec<Value> {
    let producers = graph.producers();
    let mut is_needed = vec![false; constant.len()];
    let reads = graph.eqns().iter().filter(|e| e.outputs.iter().any(|v| !constant[v.index()]));
    let mut open: Vec<Value> = reads.flat_map(|e| e.inputs.iter().copied()).collect();
    open.extend(graph.outputs());
    let mut seen = vec![false; constant.len()];
    while let Some(v) = open.pop() {
        if !constant[v.index()] || std::mem::replace(&mut seen[v.index()], true) {
            continue;
        }
        match producers[v.index()].filter(|i| free[*i]) {
            Some(i) => open.extend(&graph.eqns()[i].inputs),
            None => is_needed[v.index()] = true,
        }
    }
    let values = graph.inputs().chain(graph.eqns().iter().flat_map(|e| e.outputs.iter().copied()));
    values.filter(|v| is_needed[v.index()]).collect()
}

/// Returns the graph that computes the needed constants.
fn constants(
    graph: &Graph,
    is_constant: &[bool],
    constant: &[bool],
    needed: &[Value],
) -> Result<Graph> {
    let mut part = GraphPart::new(graph);
    let inputs = graph.inputs().zip(is_constant);
    inputs.filter(|(_, is_constant)| **is_constant).for_each(|(v, _)| part.input(v));
    part.copy(|_, e| e.outputs.iter().all(|v| constant[v.index()]))?;
    part.finish(needed)
}

/// Returns the graph of everything else.
fn rest(
    graph: &Graph,
    is_constant: &[bool],
    constant: &[bool],
    free: &[bool],
    needed: &[Value],
) -> Result<Graph> {
    let mut part = GraphPart::new(graph);
    let inputs = graph.inputs().zip(is_constant);
    inputs.filter(|(_, is_constant)| !**is_constant).for_each(|(v, _)| part.input(v));
    needed.iter().for_each(|v| part.input(*v));
    part.copy(|i, e| free[i] || e.outputs.iter().any(|v| !constant[v.index()]))?;
    part.finish(graph.outputs())
}

/// A graph of some equations of another one.
struct GraphPart<'g> {
    source: &'g Graph,
    b: Builder,
    /// The value in the new graph of each value that it has.
    env: Vec<Option<Value>>,
}

impl GraphPart<'_> {
    fn new(source: &Graph) -> GraphPart<'_> {
        GraphPart { source, b: Builder::new(), env: vec![None; source.types().len()] }
    }

    /// Adds an input for the value `v` of the source.
    fn input(&mut self, v: Value) {
        self.env[v.index()] = Some(self.b.input(self.source.ty(v).clone()));
    }

    /// Adds the equations that `is_part` selects, unless the graph has no value for an operand: of
    /// constants that are computed where they are read, not all are read.
    fn copy(&mut self, is_part: impl Fn(usize, &Eqn) -> bool) -> Result<()> {
        for (_, e) in self.source.eqns().iter().enumerate().filter(|(i, e)| is_part(*i, e)) {
            let inputs = e.inputs.iter().map(|v| self.env[v.index()]);
            let Some(inputs) = inputs.collect::<Option<Values>>() else { continue };
            self.b.set_origin(e.at.clone());
            let results = self.b.try_emit(e.op.clone(), &inputs)?;
            e.outputs.iter().zip(results).for_each(|(v, new)| self.env[v.index()] = Some(new));
        }
        Ok(())
    }

    /// Returns the graph with the values `outputs` of the source as results.
    fn finish(self, outputs: &[Value]) -> Result<Graph> {
        let outputs = outputs.iter().map(|v| self.env[v.index()].or_bug("a value has no equation"));
        let outputs = outputs.collect::<Result<Vec<_>>>()?;
        super::dce(&self.b.finish(&outputs)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Literal, Type, transform};

    /// Freezes a graph, compares it on numbers, and returns both parts as text.
    pub(super) fn frozen(text: &str, is_constant: &[bool], tolerance: f64) -> Option<[String; 2]> {
        let graph = Graph::parse(text).unwrap();
        let folded = fold_batch_norms(&graph, is_constant).unwrap();
        // empty: nothing to fold.
        let frozen = freeze(folded.as_ref().unwrap_or(&graph), is_constant).unwrap()?;
        let number = |i: usize, ty: &Type| {
            let x: Vec<f64> =
                (0..ty.size()).map(|k| ((k * 7 + i * 3) % 11) as f64 / 4.0 + 0.25).collect();
            Literal::from_f64s(ty.dtype, ty.shape.clone(), &x)
        };
        let args: Vec<Literal> =
            graph.input_types().iter().enumerate().map(|(i, ty)| number(i, ty)).collect();
        let pick = |constant: bool| -> Vec<Literal> {
            let own = args.iter().zip(is_constant).filter(|(_, c)| **c == constant);
            own.map(|(x, _)| x.clone()).collect()
        };
        let mut rest = pick(false);
        rest.extend(frozen.kept.iter().map(|&i| args[i].clone()));
        rest.extend(transform::eval(&frozen.constants, pick(true)).unwrap());
        for i in 0..frozen.constants.outputs().len() {
            let alone = frozen.constants_of(&[i]).unwrap();
            let value = transform::eval(&alone, pick(true)).unwrap();
            assert_eq!(value[0], rest[rest.len() - frozen.constants.outputs().len() + i]);
        }
        let have = transform::eval(&frozen.rest, rest).unwrap();
        let want = transform::eval(&graph, args).unwrap();
        for (have, want) in have.iter().zip(&want) {
            assert_eq!(have.ty(), want.ty());
            for (a, b) in have.to_f64s().iter().zip(want.to_f64s()) {
                assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{a} instead of {b}");
            }
        }
        Some([frozen.constants.to_string(), frozen.rest.to_string()])
    }

    #[test]
    fn what_is_cheap_stays_with_its_readers() {
        let text = "graph(%0: f32[2, 3], %1: f32[3]) {
  %2: f32[3] = exponential(%1)
  %3: f32[2, 3] = broadcast_in_dim[shape=[2, 3], dims=[1]](%2)
  %4: f32[] = constant[value=f32[] 2.0]()
  %5: f32[2, 3] = broadcast_in_dim[shape=[2, 3], dims=[]](%4)
  %6: f32[2, 3] = multiply(%3, %5)
  %7: f32[2, 3] = add(%0, %3)
  return %7, %5, %1
}";
        let [constants, rest] = frozen(text, &[false, true], 0.0).unwrap();
        assert_eq!(
            constants,
            "graph(%0: f32[3]) {\n  %1: f32[3] = exponential(%0)\n  return %1\n}"
        );
        assert_eq!(
            rest,
            "graph(%0: f32[2, 3], %1: f32[3], %2: f32[3]) {
  %3: f32[2, 3] = broadcast_in_dim[shape=[2, 3], dims=[1]](%2)
  %4: f32[2, 3] = add(%0, %3)
  %5: f32[] = constant[value=f32[] 2.0]()
  %6: f32[2, 3] = broadcast_in_dim[shape=[2, 3], dims=[]](%5)
  return %4, %6, %1
}"
        );
    }

    #[test]
    fn masks_and_dequantized_weights_stay() {
        let text = "graph(%0: f32[4, 4], %1: i8[4, 4]) {
  %2: i32[4, 4] = iota[ty=i32[4, 4], axis=0]()
  %3: i32[4, 4] = iota[ty=i32[4, 4], axis=1]()
  %4: bool[4, 4] = compare[direction=LT](%2, %3)
  %5: f32[4, 4] = convert[dtype=f32](%1)
  %6: f32[4, 4] = select(%4, %0, %5)
  return %6
}";
        assert!(frozen(text, &[false, true], 0.0).is_none());
    }

    #[test]
    fn nothing_to_compute_is_none() {
        let text = "graph(%0: f32[2], %1: f32[]) {
  %2: f32[2] = broadcast_in_dim[shape=[2], dims=[]](%1)
  %3: f32[2] = add(%0, %2)
  return %3
}";
        assert!(frozen(text, &[false, true], 0.0).is_none());
        assert!(frozen(text, &[false, false], 0.0).is_none());
    }
}
