//! Common subexpressions: what was computed once is not computed again.

use crate::{Graph, Op, Result, Value, Values};
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;

/// The same op on the same values gives the same values, so the second equation goes; constants are compared by their bytes.
/// Nothing is joined across an optimization barrier, whose results are values of their own. Nested graphs are done by
/// themselves.
///
/// # Errors
/// When an op cannot be rebuilt with its nested graphs changed; a graph that verifies has none.
pub fn cse(graph: &Graph) -> Result<Graph> {
    let mut is: Vec<Value> = (0..graph.types().len() as u32).map(Value).collect();
    let mut known: FxHashMap<(Op, Values), Values> = FxHashMap::default();
    let mut eqns = vec![];
    for e in graph.eqns() {
        let mut e = e.clone();
        e.inputs.iter_mut().for_each(|v| *v = is[v.index()]);
        if let Some(region) = e.op.region() {
            e.op = region.map_graphs(&mut cse)?;
        }
        if !matches!(e.op, Op::OptimizationBarrier(_)) {
            match known.entry((e.op.clone(), e.inputs.clone())) {
                Entry::Occupied(first) => {
                    e.outputs.iter().zip(first.get()).for_each(|(v, &w)| is[v.index()] = w);
                    continue;
                }
                Entry::Vacant(new) => new.insert(e.outputs.clone()),
            };
        }
        eqns.push(e);
    }
    let outputs: Vec<Value> = graph.outputs().iter().map(|v| is[v.index()]).collect();
    let inputs: Vec<Value> = graph.inputs().collect();
    Ok(Graph::renumbered(graph.types().to_vec(), &inputs, eqns, &outputs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Literal, op::OptimizationBarrier};

    #[test]
    fn constants_are_joined_by_their_bytes() {
        let mut b = Builder::new();
        let xs: Vec<Value> = [0.0f32, -0.0, 0.0, f32::NAN, f32::NAN].map(|x| b.constant(Literal::from_slice([], &[x]).unwrap())).into();
        let g = cse(&b.finish(&xs).unwrap()).unwrap();
        assert_eq!(g.eqns().len(), 3);
        assert_eq!(g.outputs(), [0, 1, 0, 2, 2].map(Value));
    }

    #[test]
    fn barriers_are_not_joined() {
        let mut b = Builder::new();
        let x = b.input(crate::Type::scalar(crate::DType::F32));
        let ys = [0; 2].map(|_| b.emit(OptimizationBarrier {}, &[x]));
        let g = b.finish(&ys).unwrap();
        assert_eq!(cse(&g).unwrap(), g);
    }
}
