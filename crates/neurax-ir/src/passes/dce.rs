//! Dead code elimination and a canonical order of the equations.

use super::rewriter::{apply, apply_inside};
use crate::{Eqn, Graph, Result, Value, graph::Liveness};
use std::borrow::Cow;

/// Removes equations that no result needs, also in nested graphs, and orders the others depth-first
/// from the results. Graphs that differ only in the order of their equations become equal. The
/// signature is unchanged.
///
/// ```
/// use neurax_ir::{Graph, passes};
/// let graph = Graph::parse("graph() {
///   %0: f32[1] = constant[value=f32[1] {1.0}]()
///   %1: f32[1] = constant[value=f32[1] {2.0}]()
///   return %1
/// }")?;
/// assert_eq!(passes::dce(&graph)?.to_string(), "\
/// graph() {
///   %0: f32[1] = constant[value=f32[1] {2.0}]()
///   return %0
/// }");
/// # Ok::<(), neurax_ir::Error>(())
/// ```
///
/// # Errors
/// If an op cannot be rebuilt with changed nested graphs; not the case for a graph that verifies.
pub fn dce(graph: &Graph) -> Result<Graph> {
    apply(pass, graph)
}

pub(super) fn pass(graph: &Graph) -> Result<Option<Graph>> {
    let (outputs, inputs) = (graph.outputs().len(), graph.input_types().len());
    let mut live = Liveness::default();
    live.add(graph, &vec![true; outputs]);
    let is_whole = live.is_whole(graph);
    let kept = if is_whole {
        Cow::Borrowed(graph)
    } else {
        Cow::Owned(live.restrict(graph, &vec![true; outputs], &vec![true; inputs]))
    };
    let inside = |e: &Eqn| apply_inside(&e.op, pass);
    let mut ops = kept.eqns().iter().map(inside).collect::<Result<Vec<_>>>()?;
    let order = kept.depth_first_eqns();
    let is_ordered = order.iter().copied().eq(0..kept.eqns().len());
    if is_whole && is_ordered && ops.iter().all(Option::is_none) {
        return Ok(None);
    }
    let eqn = |i: usize| {
        let e = kept.eqns()[i].clone();
        Eqn { op: ops[i].take().unwrap_or(e.op), ..e }
    };
    let eqns = order.into_iter().map(eqn).collect();
    let inputs: Vec<Value> = kept.inputs().collect();
    Ok(Some(Graph::renumbered(kept.types().to_vec(), &inputs, eqns, kept.outputs())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Literal, op::OptimizationBarrier};

    fn scalar(b: &mut Builder, x: f32) -> Value {
        b.constant(Literal::from_slice([], &[x]).unwrap())
    }

    #[test]
    fn the_order_of_construction_does_not_matter() {
        let build = |first: f32| {
            let mut b = Builder::new();
            let (u, v) = (scalar(&mut b, first), scalar(&mut b, 3.0 - first));
            b.finish(&if first == 1.0 { [u, v] } else { [v, u] }).unwrap()
        };
        let (one, two) = (build(1.0), build(2.0));
        assert_ne!(one, two);
        assert_eq!(dce(&one).unwrap(), dce(&two).unwrap());
        assert_eq!(
            dce(&one).unwrap(),
            one,
            "the order of the results is the order of the equations"
        );
    }

    #[test]
    fn unused_inputs_are_kept() {
        let mut b = Builder::new();
        let xs = b.inputs(&vec![crate::Type::scalar(crate::DType::F32); 2]);
        scalar(&mut b, 1.0);
        let g = dce(&b.finish(&xs[1..]).unwrap()).unwrap();
        assert_eq!((g.input_types().len(), g.eqns().len()), (2, 0));
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let mut b = Builder::new();
        let x = b.input(crate::Type::scalar(crate::DType::F32));
        let y = (0..100_000).fold(x, |y, _| b.emit(OptimizationBarrier {}, &[y]));
        let g = b.finish(&[y]).unwrap();
        assert_eq!(dce(&g).unwrap(), g);
    }
}
