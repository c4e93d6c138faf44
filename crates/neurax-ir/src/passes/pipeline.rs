//! The pass pipeline: the passes in order, repeated until none of them changes the graph, at most
//! [`MAX_PIPELINE_ROUNDS`] times.
//!
//! The order is chosen so that a round usually suffices: `simplify` inlines small calls and removes
//! operations, which exposes constants to `fold`; folded loop bodies show `hoist` what is
//! invariant; hoisted equations of several loops are merged by `cse`; and `dce` removes what the
//! others left unused. A second round handles what the first exposed. Later rounds rarely change
//! anything, so the number of rounds is limited instead of iterating to a fixed point at any cost.
//!
//! ```
//! use neurax_ir::{Graph, passes};
//! let graph = Graph::parse("graph(%0: f32[2]) {
//!   %1: f32[] = constant[value=f32[] 3.0]()
//!   %2: f32[2] = broadcast_in_dim[shape=[2], dims=[]](%1)
//!   %3: f32[2] = sine(%0)
//!   %4: f32[2] = sine(%0)
//!   %5: f32[2] = add(%3, %4)
//!   %6: f32[2] = negate(%5)
//!   %7: f32[2] = negate(%6)
//!   %8: f32[2] = multiply(%2, %2)
//!   %9: f32[2] = multiply(%7, %8)
//!   return %9
//! }")?;
//! // `simplify` removes both negations, `fold` computes 3 * 3, `cse` merges the sines,
//! // `dce` removes what is unused.
//! let small = passes::optimize(&graph, &mut |_, _| {})?;
//! assert_eq!(small.to_string(), "\
//! graph(%0: f32[2]) {
//!   %1: f32[2] = sine(%0)
//!   %2: f32[2] = add(%1, %1)
//!   %3: f32[] = constant[value=f32[] 9.0]()
//!   %4: f32[2] = broadcast_in_dim[shape=[2], dims=[]](%3)
//!   %5: f32[2] = multiply(%2, %4)
//!   return %5
//! }");
//! # Ok::<(), neurax_ir::Error>(())
//! ```
//!
//! Invariants: each step keeps the signature and the value; debug builds verify the graph and
//! compare the signature after each step. If the last round changed nothing, running the pipeline
//! again changes nothing; after [`MAX_PIPELINE_ROUNDS`] rounds the graph is correct, but a further
//! run may improve it.

use super::{cse, dce, fold, hoist, rewriter, simplify};
use crate::tuning::MAX_PIPELINE_ROUNDS;
use crate::{Error, Graph, Result, verify};

/// A pass and its name in timings and dumps.
#[derive(Clone, Copy, Debug)]
pub struct PassStep {
    /// The name.
    pub name: &'static str,
    /// The pass; returns `None` if it changes nothing.
    pub run: fn(&Graph) -> Result<Option<Graph>>,
}

/// The steps of a round. Rounds are repeated until all steps have run without a change.
pub const PIPELINE: &[PassStep] = &[
    PassStep { name: "simplify", run: simplify::pass },
    PassStep { name: "fold", run: fold::pass },
    PassStep { name: "hoist", run: hoist::pass },
    PassStep { name: "cse", run: cse::pass },
    PassStep { name: "dce", run: dce::pass },
];

impl PassStep {
    /// Runs the pass; returns a copy of `graph` if it changes nothing.
    ///
    /// # Errors
    /// The error of the pass.
    pub fn apply(&self, graph: &Graph) -> Result<Graph> {
        rewriter::apply(self.run, graph)
    }
}

/// Runs the steps of [`PIPELINE`]. `log` receives the name of each step and the resulting graph
/// when the step ends, so that a caller can time the steps.
///
/// ```
/// use neurax_ir::{Graph, passes};
/// let graph = Graph::parse("graph() {
///   %0: i8[] = constant[value=i8[] 5]()
///   %1: i8[] = constant[value=i8[] 5]()
///   return %0, %1
/// }")?;
/// let mut names = vec![];
/// let small = passes::optimize(&graph, &mut |name, _| names.push(name))?;
/// assert_eq!(small.eqns().len(), 1);
/// assert!(names.contains(&"cse"));
/// # Ok::<(), neurax_ir::Error>(())
/// ```
///
/// # Errors
/// If a pass fails, with its name.
pub fn optimize(graph: &Graph, log: &mut dyn FnMut(&'static str, &Graph)) -> Result<Graph> {
    let mut graph = graph.clone();
    // The number of steps since the last change.
    let mut quiet = 0;
    for step in PIPELINE.iter().cycle().take(MAX_PIPELINE_ROUNDS * PIPELINE.len()) {
        let new = (step.run)(&graph).map_err(|e| e.inside(step.name))?;
        quiet = if new.is_some() { 0 } else { quiet + 1 };
        if let Some(new) = new {
            graph = if cfg!(debug_assertions) { checked(step, &graph, new)? } else { new };
        }
        log(step.name, &graph);
        if quiet == PIPELINE.len() {
            break;
        }
    }
    Ok(graph)
}

/// Returns `after` if it verifies and has the signature of `before`.
fn checked(step: &PassStep, before: &Graph, after: Graph) -> Result<Graph> {
    verify(&after).map_err(|e| e.inside(step.name))?;
    let same = before.input_types() == after.input_types()
        && before.output_types() == after.output_types();
    if same {
        Ok(after)
    } else {
        Err(Error::bug("the pass changed the types of the arguments or results").inside(step.name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::same_value;
    use super::*;
    use crate::{Builder, DType, Literal, Type, Value, op::Scan, transform};

    fn row() -> Type {
        Type::new(DType::F64, [3])
    }

    fn names(g: &Graph) -> Vec<&'static str> {
        g.eqns().iter().map(|e| e.op.name()).collect()
    }

    fn step(make: impl FnOnce(&mut Builder, Value, Value) -> Value) -> Graph {
        let mut b = Builder::new();
        let (k, c) = (b.input(row()), b.input(row()));
        let y = make(&mut b, k, c);
        b.finish(&[y]).unwrap()
    }

    #[test]
    fn invariant_code_leaves_the_loop_once() {
        let body = step(|b, k, c| {
            let (s, t) = (b.sin(k), b.sin(k));
            let (f, one) = (b.mul(s, t), b.full(row(), 1.0));
            let c = b.mul(c, one);
            b.mul(c, f)
        });
        let mut b = Builder::new();
        let (k, c) = (b.input(row()), b.input(row()));
        let scan = Scan { body: body.into(), length: 4, reverse: false, consts: 1, carries: 1 };
        let y = b.emit_n(scan, &[k, c], 1);
        let g = b.finish(&y).unwrap();
        let small = optimize(&g, &mut |_, _| {}).unwrap();
        assert_eq!(names(&small), ["sine", "multiply", "scan"]);
        assert_eq!(names(&small.eqns()[2].op.graphs()[0]), ["multiply"]);
        let args = [0.5, 2.0].map(|x| Literal::from_f64s(DType::F64, [3], &[x, -x, 0.1]));
        same_value(&g, &small, args.to_vec());
    }

    #[test]
    fn a_second_run_changes_nothing() {
        let g = step(|b, k, c| {
            let p = b.emit(crate::composite::Softmax { axis: 0 }, &[k]);
            let q = b.mul(p, c);
            let r = b.logistic(q);
            b.sum(r, &[0])
        });
        let g = transform::grad(&g, &[true, true]).unwrap();
        let mut steps = vec![];
        let small = optimize(&g, &mut |name, _| steps.push(name)).unwrap();
        assert_eq!(steps[..PIPELINE.len()], PIPELINE.iter().map(|s| s.name).collect::<Vec<_>>());
        assert_eq!(optimize(&small, &mut |_, _| {}).unwrap(), small);
        assert!(small.count_eqns() < g.count_eqns());
        let args = [0.5, 2.0].map(|x| Literal::from_f64s(DType::F64, [3], &[x, -x, 0.1]));
        same_value(&g, &small, args.to_vec());
    }
}
