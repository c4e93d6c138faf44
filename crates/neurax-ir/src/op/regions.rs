//! Helpers shared by the ops that hold graphs: flags, batching, loop-invariant code motion.

use super::{Op, Tangent, rules::*};
use crate::{Builder, Error, Graph, Result, Type, Value, Values, visits::visit};

/// Checks that graph `g`, called `what` in messages, takes operands of types `xs`.
///
/// # Errors
/// If it does not; the message has both signatures.
pub(crate) fn accepts(op: &str, what: &str, g: &Graph, xs: &[Type]) -> Result<()> {
    match g.input_types() == xs {
        true => Ok(()),
        false => Err(Error::new(
            op,
            format!("{what} expected ({}), got ({})", list_types(g.input_types()), list_types(xs)),
        )),
    }
}

/// Counts the flags that are set.
pub(crate) fn count_marked(flags: &[bool]) -> usize {
    flags.iter().filter(|&&f| f).count()
}

/// Returns the items whose flag is set.
pub(crate) fn select<T: Clone>(items: &[T], flags: &[bool]) -> Vec<T> {
    items.iter().zip(flags).filter(|(_, f)| **f).map(|(x, _)| x.clone()).collect()
}

/// Returns the elementwise or.
pub(crate) fn either(a: &[bool], b: &[bool]) -> Vec<bool> {
    a.iter().zip(b).map(|(x, y)| x | y).collect()
}

/// Returns the next of `values` for each flag that is set, `None` for the others.
pub(crate) fn spread_marked(flags: &[bool], values: &[Value]) -> Vec<Tangent> {
    let mut next = values.iter().copied();
    flags.iter().map(|&f| if f { next.next() } else { None }).collect()
}

/// Moves the new axis of batched operands to the front; leaves the others as they are.
pub(crate) fn front_where_batched(
    b: &mut Builder,
    xs: &[Value],
    dims: &[Option<usize>],
    size: usize,
) -> Vec<Value> {
    xs.iter()
        .zip(dims)
        .map(|(&x, &d)| if d.is_some() { b.batched_at_front(x, d, size) } else { x })
        .collect()
}

/// Batches the operands that `force` marks, with the new axis at the front; leaves the others as
/// they are.
pub(crate) fn front_where(
    b: &mut Builder,
    xs: &[Value],
    dims: &[Option<usize>],
    force: &[bool],
    size: usize,
) -> Vec<Value> {
    let each = |((&x, &d), &f): ((&Value, &Option<usize>), &bool)| {
        if f { b.batched_at_front(x, d, size) } else { x }
    };
    xs.iter().zip(dims).zip(force).map(each).collect()
}

/// The number of times that a loop runs the equations that may move in front of it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum TripCount {
    /// At least once.
    Positive,
    /// Perhaps never. Then a slow equation, or a nested loop that does not end, must stay inside.
    Unknown,
}

/// Splits loop-invariant equations off a loop body: those that depend on the first `consts` inputs
/// only and are worth moving. Returns a graph `consts.. -> invariants..`, and a body that takes the
/// invariants after the constants; `None` if there are no such equations.
pub(crate) fn loop_invariants(
    body: &Graph,
    consts: usize,
    trips: TripCount,
) -> Option<(Graph, Graph)> {
    let moves = invariant_eqns(body, consts, trips);
    let used = |i: usize| body.eqns()[i].outputs.clone();
    let read_inside = invariant_outputs(body, &moves);
    if read_inside.is_empty() {
        return None;
    }
    let mut outside = Builder::new();
    let mut env: Vec<Option<Value>> = vec![None; body.types().len()];
    body.inputs()
        .take(consts)
        .for_each(|v| env[v.index()] = Some(outside.input(body.ty(v).clone())));
    for (i, _) in moves.iter().enumerate().filter(|(_, m)| **m) {
        let e = &body.eqns()[i];
        let xs: Values = e.inputs.iter().filter_map(|v| env[v.index()]).collect();
        outside.set_origin(e.at.clone());
        let ys = outside.emit_n(e.op.clone(), &xs, e.outputs.len());
        used(i).iter().zip(ys).for_each(|(v, y)| env[v.index()] = Some(y));
    }
    let outs: Vec<Value> = read_inside.iter().filter_map(|v| env[v.index()]).collect();
    let outside = outside.finish(&outs).ok()?;
    Some((outside, body_without(body, consts, &moves, &read_inside)?))
}

/// Returns true if the work of the op is at most a few operations for each element of its operands
/// and results, so that computing it in vain is no more than reading them.
fn is_cheap(op: &Op) -> bool {
    match op {
        Op::DotGeneral(_)
        | Op::Convolution(_)
        | Op::ReduceWindow(_)
        | Op::SelectAndGather(_)
        | Op::SelectAndScatter(_)
        | Op::Scatter(_)
        | Op::Sort(_)
        | Op::Fft(_)
        | Op::AllReduce(_)
        | Op::AllGather(_)
        // A user's op may fail or be slow.
        | Op::Custom(_) => false,
        Op::Composite(_) | Op::Call(_) => {
            op.graphs().iter().all(|g| g.eqns().iter().all(|e| is_cheap(&e.op)))
        }
        op => op.region().is_none(),
    }
}

/// Marks the equations that can leave the loop: those that depend on constants only. Broadcasts
/// stay, as storing them would only take memory.
fn invariant_eqns(body: &Graph, consts: usize, trips: TripCount) -> Vec<bool> {
    #[derive(Clone, Copy, PartialEq, PartialOrd)]
    enum Depends {
        Nothing,
        Consts,
        Loop,
    }
    let mut on: Vec<Depends> = (0..body.input_types().len())
        .map(|i| if i < consts { Depends::Consts } else { Depends::Loop })
        .collect();
    let mut moves = vec![];
    for e in body.eqns() {
        visit();
        let stays =
            matches!(e.op, Op::Broadcast(_) | Op::AxisIndex(_) | Op::OptimizationBarrier(_));
        let mut d = e
            .inputs
            .iter()
            .map(|v| on[v.index()])
            .fold(Depends::Nothing, |a, b| if b > a { b } else { a });
        // Equations without operands are copied to wherever they are read: see `nullary_values`.
        let may_fail = trips == TripCount::Unknown && !is_cheap(&e.op);
        if stays && d == Depends::Consts || may_fail || e.op.has_effects() {
            d = Depends::Loop;
        }
        moves.push(d != Depends::Loop);
        on.extend(e.outputs.iter().map(|_| d));
    }
    moves
}

/// Returns the results of moved equations that the rest of the body reads, nullary values excepted.
fn invariant_outputs(body: &Graph, moves: &[bool]) -> Vec<Value> {
    let mut from: Vec<Option<usize>> = vec![None; body.types().len()];
    for (i, e) in body.eqns().iter().enumerate() {
        e.outputs.iter().for_each(|v| from[v.index()] = Some(i));
    }
    let nullary = nullary_values(body);
    let stays =
        body.eqns().iter().zip(moves).filter(|(_, m)| !**m).flat_map(|(e, _)| e.inputs.iter());
    let mut out: Vec<Value> = vec![];
    for &v in stays.chain(body.outputs()) {
        let moved = from[v.index()].is_some_and(|i| moves[i]) && !nullary[v.index()];
        if moved && !out.contains(&v) {
            out.push(v);
        }
    }
    out
}

/// Marks the values that depend on no input.
fn nullary_values(g: &Graph) -> Vec<bool> {
    let mut nullary = vec![false; g.input_types().len()];
    for e in g.eqns() {
        let n = e.inputs.iter().all(|v| nullary[v.index()]);
        nullary.extend(e.outputs.iter().map(|_| n));
    }
    nullary
}

/// Returns the body without the moved equations, taking `invariants` after the constants.
fn body_without(
    body: &Graph,
    consts: usize,
    moves: &[bool],
    invariants: &[Value],
) -> Option<Graph> {
    let nullary = nullary_values(body);
    let mut b = Builder::new();
    let mut env: Vec<Option<Value>> = vec![None; body.types().len()];
    for v in body
        .inputs()
        .take(consts)
        .chain(invariants.iter().copied())
        .chain(body.inputs().skip(consts))
    {
        env[v.index()] = Some(b.input(body.ty(v).clone()));
    }
    for (e, m) in body.eqns().iter().zip(moves) {
        let free = e.outputs.iter().all(|v| nullary[v.index()]);
        if *m && !free {
            continue;
        }
        let xs: Option<Values> = e.inputs.iter().map(|v| env[v.index()]).collect();
        b.set_origin(e.at.clone());
        let ys = b.emit_n(e.op.clone(), &xs?, e.outputs.len());
        e.outputs.iter().zip(ys).for_each(|(v, y)| env[v.index()] = Some(y));
    }
    let outs: Option<Vec<Value>> = body.outputs().iter().map(|v| env[v.index()]).collect();
    b.finish(&outs?).ok()
}
