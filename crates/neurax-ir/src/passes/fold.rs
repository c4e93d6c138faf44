//! Constant folding: evaluates small constant expressions at compile time.

use super::elementwise::is_elementwise;
use super::rewriter::{Rewriter, apply, apply_inside};
use crate::transform::has_no_iterations;
use crate::tuning::MAX_FOLDED_ELEMENTS;
use crate::{Eqn, Eval, Graph, Literal, Op, Result, Type, Value, Values};

/// Replaces equations on constants by their values. A value of equal elements is stored as a scalar
/// broadcast, whatever its size. Ops that hold graphs are kept, as they may loop; so are generators
/// that are no larger than their value.
///
/// # Errors
/// If an op cannot be rebuilt with changed nested graphs; not the case for a graph that verifies.
pub fn fold(graph: &Graph) -> Result<Graph> {
    apply(pass, graph)
}

pub(super) fn pass(graph: &Graph) -> Result<Option<Graph>> {
    Rewriter::rewrite(graph, rewrite_eqn)
}

fn rewrite_eqn(w: &mut Rewriter, e: &Eqn) -> Result<Option<Values>> {
    if e.op.region().is_some() {
        return apply_inside(&e.op, pass)?.map(|op| w.emit(op, &e.inputs)).transpose();
    }
    if is_never_folded(&e.op) {
        return Ok(None);
    }
    Ok(fold_splats(w, e).or_else(|| fold_small(w, e)))
}

/// Returns true if `op` is never folded: generators, barriers, collectives and custom ops.
fn is_never_folded(op: &Op) -> bool {
    is_generator(op)
        || matches!(
            op,
            Op::OptimizationBarrier(_)
                | Op::AllReduce(_)
                | Op::AllGather(_)
                | Op::AxisIndex(_)
                | Op::Custom(_)
        )
}

/// Returns true if `op` generates its value from constants in less memory than the value needs.
fn is_generator(op: &Op) -> bool {
    matches!(op, Op::Constant(_) | Op::Iota(_) | Op::Broadcast(_))
}

/// Folds an elementwise op on splats by evaluating it for one element.
fn fold_splats(w: &mut Rewriter, e: &Eqn) -> Option<Values> {
    let elementwise =
        is_elementwise(&e.op) || matches!(e.op, Op::IncompleteBeta(_) | Op::Threefry(_));
    if !elementwise {
        return None;
    }
    let xs = e.inputs.iter().map(|&v| w.splat(v)).collect::<Option<Vec<_>>>()?;
    let types = e.op.infer(&w.types_of(&e.inputs)).ok()?;
    let ys = e.op.eval(&mut Eval::default(), xs).ok()?;
    Some(ys.into_iter().zip(types).map(|(y, t)| w.splat_of(y, t)).collect())
}

/// Folds an op on constant operands whose results are small.
fn fold_small(w: &mut Rewriter, e: &Eqn) -> Option<Values> {
    if !e.inputs.iter().all(|&v| w.producer(v).is_some_and(|p| is_generator(&p.op))) {
        return None;
    }
    let types = e.op.infer(&w.types_of(&e.inputs)).ok()?;
    if types.iter().map(Type::size).sum::<usize>() > MAX_FOLDED_ELEMENTS {
        return None;
    }
    if has_no_iterations(&e.op, types.iter()) {
        return Some(types.into_iter().map(|t| w.literal(Literal::zeros(t))).collect());
    }
    let xs = e.inputs.iter().map(|&v| known_value(w, v)).collect::<Option<Vec<_>>>()?;
    let ys = e.op.eval(&mut Eval::default(), xs).ok()?;
    Some(ys.into_iter().map(|y| w.literal(y)).collect())
}

/// Returns the value of a constant or of a small generator.
fn known_value(w: &Rewriter, v: Value) -> Option<Literal> {
    let e = w.producer(v)?;
    match &e.op {
        Op::Constant(c) => Some(c.value.clone()),
        Op::Iota(_) | Op::Broadcast(_) if w.ty(v).size() <= MAX_FOLDED_ELEMENTS => {
            let xs = e.inputs.iter().map(|&x| known_value(w, x)).collect::<Option<Vec<_>>>()?;
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
    fn equal_elements_stay_a_scalar_broadcast() {
        let g = folded(|b| {
            let x = b.full(Type::new(DType::F32, [100, 100]), 2.0);
            let y = b.square(x);
            b.add(x, y)
        });
        let want = "\
graph() {
  %0: f32[] = constant[value=f32[] 6.0]()
  %1: f32[100, 100] = broadcast_in_dim[shape=[100, 100], dims=[]](%0)
  return %1
}";
        assert_eq!(g.to_string(), want);
    }

    #[test]
    fn generators_are_folded_into_their_readers() {
        let g = folded(|b| {
            let i = b.iota(Type::new(DType::I32, [3]), 0);
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
            let ty = Type::new(DType::I32, [MAX_FOLDED_ELEMENTS + 1]);
            let i = b.iota(ty, 0);
            b.square(i)
        });
        assert_eq!(g.eqns().len(), 2);
    }
}
