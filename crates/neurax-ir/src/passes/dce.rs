//! Dead code: equations that no result needs are dropped, and the others get an order that depends
//! on nothing but the graph.

use super::rewriter::inside;
use crate::{Eqn, Graph, Result, Value};

/// Drops what no result needs, through ops that hold graphs, and orders the equations depth-first
/// from the results. Two graphs that differ only in the order in which they were filled come out
/// equal. The signature stays as it is.
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
/// When an op cannot be rebuilt with its nested graphs swept; a graph that verifies has none.
pub fn dce(graph: &Graph) -> Result<Graph> {
    Ok(pass(graph)?.unwrap_or_else(|| graph.clone()))
}

pub(super) fn pass(graph: &Graph) -> Result<Option<Graph>> {
    let order = ordered(graph.eqns(), graph.types().len(), graph.outputs());
    if order.into_iter().eq(0..graph.eqns().len()) && is_swept_inside(graph)? {
        return Ok(None);
    }
    let new = swept(graph)?;
    Ok((new != *graph).then_some(new))
}

/// Is there nothing to drop in the ops that hold graphs, of a graph whose equations are all needed?
fn is_swept_inside(graph: &Graph) -> Result<bool> {
    let last = graph.last_uses();
    for e in graph.eqns() {
        let Some(region) = e.op.region() else { continue };
        let live: Vec<bool> = e.outputs.iter().map(|v| last[v.index()].is_some()).collect();
        if region.dce(&live).is_some() || inside(&e.op, pass)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The graph without what no result needs, in its own order.
fn swept(graph: &Graph) -> Result<Graph> {
    let kept = graph
        .restricted(&vec![true; graph.outputs().len()], &vec![true; graph.input_types().len()]);
    let order = ordered(kept.eqns(), kept.types().len(), kept.outputs());
    let mut eqns: Vec<Eqn> = order.into_iter().map(|i| kept.eqns()[i].clone()).collect();
    for e in &mut eqns {
        if let Some(op) = inside(&e.op, pass)? {
            e.op = op;
        }
    }
    let inputs: Vec<Value> = kept.inputs().collect();
    Ok(Graph::renumbered(kept.types().to_vec(), &inputs, eqns, kept.outputs()))
}

/// The equations depth-first from `roots`, operands from left to right: each after those it depends
/// on. With a stack of its own, as graphs may be deeper than the thread's stack.
fn ordered(eqns: &[Eqn], values: usize, roots: &[Value]) -> Vec<usize> {
    let mut maker = vec![None; values];
    for (i, e) in eqns.iter().enumerate() {
        e.outputs.iter().for_each(|v| maker[v.index()] = Some(i));
    }
    let mut seen = vec![false; eqns.len()];
    let mut order = Vec::with_capacity(eqns.len());
    for root in roots {
        let mut stack: Vec<(usize, usize)> = vec![];
        let enter = |v: Value, seen: &mut Vec<bool>| {
            maker[v.index()].filter(|&i| !std::mem::replace(&mut seen[i], true))
        };
        stack.extend(enter(*root, &mut seen).map(|i| (i, 0)));
        while let Some((i, next)) = stack.pop() {
            match eqns[i].inputs.get(next) {
                Some(&v) => {
                    stack.push((i, next + 1));
                    stack.extend(enter(v, &mut seen).map(|j| (j, 0)));
                }
                None => order.push(i),
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Literal, op::OptimizationBarrier};

    fn scalar(b: &mut Builder, x: f32) -> Value {
        b.constant(Literal::from_slice([], &[x]).unwrap())
    }

    #[test]
    fn the_order_of_filling_does_not_matter() {
        let fill = |first: f32| {
            let mut b = Builder::new();
            let (u, v) = (scalar(&mut b, first), scalar(&mut b, 3.0 - first));
            b.finish(&if first == 1.0 { [u, v] } else { [v, u] }).unwrap()
        };
        let (one, two) = (fill(1.0), fill(2.0));
        assert_ne!(one, two);
        assert_eq!(dce(&one).unwrap(), dce(&two).unwrap());
        assert_eq!(
            dce(&one).unwrap(),
            one,
            "the order of the results is the order of the equations"
        );
    }

    #[test]
    fn inputs_stay() {
        let mut b = Builder::new();
        let xs = b.inputs(&vec![crate::Type::scalar(crate::DType::F32); 2]);
        scalar(&mut b, 1.0);
        let g = dce(&b.finish(&xs[1..]).unwrap()).unwrap();
        assert_eq!((g.input_types().len(), g.eqns().len()), (2, 0));
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let mut b = Builder::new();
        let x = b.input(crate::Type::scalar(crate::DType::F32));
        let y = (0..100_000).fold(x, |y, _| b.emit(OptimizationBarrier {}, &[y]));
        let g = b.finish(&[y]).unwrap();
        assert_eq!(dce(&g).unwrap(), g);
    }
}
