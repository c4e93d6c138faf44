//! Constant folding: small values that depend on nothing are computed now.

use super::rewriter::{Rewriter, inside};
use crate::{Eqn, Eval, Graph, Literal, Op, Result, Type, Value, Values};

/// The most elements that a folded value has: larger ones would make the program larger than what
/// they save.
const MOST: usize = 64;

/// Replaces equations on constants by their values. Values of equal elements are one scalar that is
/// broadcast, whatever their size. Ops that hold graphs stay, as they may loop; so do recipes that
/// take no more room than their value.
///
/// # Errors
/// When an op cannot be rebuilt with its nested graphs changed; a graph that verifies has none.
pub fn fold(graph: &Graph) -> Result<Graph> {
    Ok(pass(graph)?.unwrap_or_else(|| graph.clone()))
}

pub(super) fn pass(graph: &Graph) -> Result<Option<Graph>> {
    Rewriter::rewrite(graph, each)
}

fn each(w: &mut Rewriter, e: &Eqn) -> Result<Option<Values>> {
    if e.op.region().is_some() {
        return inside(&e.op, pass)?.map(|op| w.emit(op, &e.inputs)).transpose();
    }
    if stays(&e.op) {
        return Ok(None);
    }
    Ok(equal_elements(w, e).or_else(|| few_elements(w, e)))
}

/// Recipes, walls, and what has no value of its own.
fn stays(op: &Op) -> bool {
    is_recipe(op)
        || matches!(
            op,
            Op::OptimizationBarrier(_) | Op::AllReduce(_) | Op::AxisIndex(_) | Op::Custom(_)
        )
}

/// What takes no more room than its value, and has no operands that are not known.
fn is_recipe(op: &Op) -> bool {
    matches!(op, Op::Constant(_) | Op::Iota(_) | Op::Broadcast(_))
}

/// An op that works element by element, on operands of equal elements: one element says all.
fn equal_elements(w: &mut Rewriter, e: &Eqn) -> Option<Values> {
    let by_element = matches!(
        e.op,
        Op::Unary(_)
            | Op::Binary(_)
            | Op::Compare(_)
            | Op::Select(_)
            | Op::Clamp(_)
            | Op::Convert(_)
            | Op::BitcastConvert(_)
            | Op::Threefry(_)
    );
    if !by_element {
        return None;
    }
    let xs = e.inputs.iter().map(|&v| w.splat(v)).collect::<Option<Vec<_>>>()?;
    let types = e.op.infer(&w.types_of(&e.inputs)).ok()?;
    let ys = e.op.eval(&mut Eval::default(), xs).ok()?;
    Some(ys.into_iter().zip(types).map(|(y, t)| w.splat_of(y, t)).collect())
}

/// Any op on known operands whose results are small.
fn few_elements(w: &mut Rewriter, e: &Eqn) -> Option<Values> {
    if !e.inputs.iter().all(|&v| w.maker(v).is_some_and(|m| is_recipe(&m.op))) {
        return None;
    }
    let types = e.op.infer(&w.types_of(&e.inputs)).ok()?;
    if types.iter().map(Type::size).sum::<usize>() > MOST {
        return None;
    }
    let xs = e.inputs.iter().map(|&v| known(w, v)).collect::<Option<Vec<_>>>()?;
    let ys = e.op.eval(&mut Eval::default(), xs).ok()?;
    Some(ys.into_iter().map(|y| w.literal(y)).collect())
}

/// The value of a constant, or of a small recipe.
fn known(w: &Rewriter, v: Value) -> Option<Literal> {
    let e = w.maker(v)?;
    match &e.op {
        Op::Constant(c) => Some(c.value.clone()),
        Op::Iota(_) | Op::Broadcast(_) if w.ty(v).size() <= MOST => {
            let xs = e.inputs.iter().map(|&x| known(w, x)).collect::<Option<Vec<_>>>()?;
            e.op.eval(&mut Eval::default(), xs).ok()?.pop()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{dce, tests::same_value};
    use super::*;
    use crate::{Builder, DType};

    fn folded(make: impl FnOnce(&mut Builder) -> Value) -> Graph {
        let mut b = Builder::new();
        let y = make(&mut b);
        let g = b.finish(&[y]).unwrap();
        let small = dce(&fold(&g).unwrap()).unwrap();
        same_value(&g, &small, vec![]);
        small
    }

    #[test]
    fn equal_elements_stay_one_scalar() {
        let g = folded(|b| {
            let x = b.full(Type::new(DType::F32, [100, 100]), 2.0);
            let y = b.square(x);
            b.add(x, y)
        });
        let want = "graph() {\n  %0: f32[] = constant[value=f32[] 6.0]()\n  %1: f32[100, 100] = broadcast_in_dim[shape=[100, 100], dims=[]](%0)\n  return %1\n}";
        assert_eq!(g.to_string(), want);
    }

    #[test]
    fn recipes_are_folded_into_what_uses_them() {
        let g = folded(|b| {
            let i = b.emit(crate::op::Iota { ty: Type::new(DType::I32, [3]), axis: 0 }, &[]);
            b.square(i)
        });
        assert_eq!(
            g.to_string(),
            "graph() {\n  %0: i32[3] = constant[value=i32[3] {0, 1, 4}]()\n  return %0\n}"
        );
    }

    #[test]
    fn large_values_are_not_folded() {
        let g = folded(|b| {
            let i = b.emit(crate::op::Iota { ty: Type::new(DType::I32, [MOST + 1]), axis: 0 }, &[]);
            b.square(i)
        });
        assert_eq!(g.eqns().len(), 2);
    }
}
