//! Common subexpressions: what was computed once is not computed again.

use super::rewriter::inside;
use crate::{Eqn, Graph, Op, Result, Value, Values};
use rustc_hash::FxHashMap;
use std::{borrow::Cow, collections::hash_map::Entry};

/// The same op on the same values gives the same values, so the second equation goes; constants are
/// compared by their bytes. Nothing is joined across an optimization barrier, whose results are
/// values of their own. Nested graphs are done by themselves.
///
/// # Errors
/// When an op cannot be rebuilt with its nested graphs changed; a graph that verifies has none.
pub fn cse(graph: &Graph) -> Result<Graph> {
    Ok(pass(graph)?.unwrap_or_else(|| graph.clone()))
}

pub(super) fn pass(graph: &Graph) -> Result<Option<Graph>> {
    let mut nested = false;
    let ops = graph.eqns().iter().map(|e| {
        let changed = inside(&e.op, pass)?;
        nested |= changed.is_some();
        Ok(changed.map_or(Cow::Borrowed(&e.op), Cow::Owned))
    });
    let ops: Vec<Cow<Op>> = ops.collect::<Result<_>>()?;
    let mut is: Vec<Value> = (0..graph.types().len() as u32).map(Value).collect();
    let mut known: FxHashMap<(&Op, Values), &Values> = FxHashMap::default();
    let mut kept = Vec::with_capacity(ops.len());
    for (i, (e, op)) in graph.eqns().iter().zip(&ops).enumerate() {
        if !matches!(**op, Op::OptimizationBarrier(_)) {
            let inputs = e.inputs.iter().map(|v| is[v.index()]).collect();
            match known.entry((op, inputs)) {
                Entry::Occupied(first) => {
                    e.outputs.iter().zip(*first.get()).for_each(|(v, &w)| is[v.index()] = w);
                    continue;
                }
                Entry::Vacant(new) => new.insert(&e.outputs),
            };
        }
        kept.push(i);
    }
    if kept.len() == ops.len() && !nested {
        return Ok(None);
    }
    let eqn = |i: usize| {
        let e = &graph.eqns()[i];
        let inputs = e.inputs.iter().map(|v| is[v.index()]).collect();
        Eqn {
            op: ops[i].clone().into_owned(),
            inputs,
            outputs: e.outputs.clone(),
            at: e.at.clone(),
        }
    };
    let eqns = kept.into_iter().map(eqn).collect();
    let outputs: Vec<Value> = graph.outputs().iter().map(|v| is[v.index()]).collect();
    let inputs: Vec<Value> = graph.inputs().collect();
    Ok(Some(Graph::renumbered(graph.types().to_vec(), &inputs, eqns, &outputs)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Literal, op::OptimizationBarrier};

    #[test]
    fn constants_are_joined_by_their_bytes() {
        let mut b = Builder::new();
        let xs: Vec<Value> = [0.0f32, -0.0, 0.0, f32::NAN, f32::NAN]
            .map(|x| b.constant(Literal::from_slice([], &[x]).unwrap()))
            .into();
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
