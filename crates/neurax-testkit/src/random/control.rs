//! Generator rules for ops that hold graphs.

use super::generate::{BOUND, BoundedValue, Gen, GenRule};
use neurax_ir::op::*;
use neurax_ir::{Builder, DType, Graph, Result, Shape, Type, Value, transform};
use std::sync::Arc;

pub(super) const CONTROL_RULES: &[GenRule] =
    &[call, checkpoint, cond, cond, scan, scan, scan, while_loop, linear, function];

/// Picks `least` to three values of the pool; returns them with their types and bounds.
fn pick_operands(g: &mut Gen, least: usize) -> (Vec<Value>, Vec<(Type, f64)>) {
    let count = g.rng.between(least, 3);
    let picked: Vec<BoundedValue> = (0..count)
        .map(|_| {
            let d = g.dtype();
            g.pick_value(d)
        })
        .collect();
    let types = picked.iter().map(|&s| (g.ty(s), s.bound)).collect();
    (picked.iter().map(|s| s.v).collect(), types)
}

/// Picks types for results from those of available values, so that the results can be computed.
fn result_types(g: &mut Gen, inputs: &[(Type, f64)], count: usize) -> Vec<Type> {
    (0..count)
        .map(|_| {
            if inputs.is_empty() || g.rng.one_in(3) {
                Type::new(DType::F64, [2])
            } else {
                g.rng.pick(inputs).0
            }
        })
        .collect()
}

/// Emits an op and adds its results to the pool.
fn emit_to_pool(g: &mut Gen, op: impl Into<Op>, xs: &[Value], count: usize) -> Option<()> {
    let ys = g.b.emit_n(op, xs, count);
    ys.iter().for_each(|&v| g.pool.push(body_result(g, v)));
    Some(())
}

/// Returns the slot of a result of a body, with the bound that all bodies keep.
fn body_result(g: &Gen, v: Value) -> BoundedValue {
    BoundedValue { v, bound: result_bound(g.b.dtype(v)) }
}

fn result_bound(d: DType) -> f64 {
    if d == DType::I32 { 1000.0 } else { 2.0 * BOUND }
}

fn call(g: &mut Gen) -> Option<()> {
    let (xs, types) = pick_operands(g, 1);
    let count = g.rng.between(1, 2);
    let outs = result_types(g, &types, count);
    let body = Arc::new(g.body(&types, &outs)?);
    emit_to_pool(g, Call { callee: "f".into(), body }, &xs, outs.len())
}

fn checkpoint(g: &mut Gen) -> Option<()> {
    let (xs, types) = pick_operands(g, 1);
    let count = g.rng.between(1, 2);
    let outs = result_types(g, &types, count);
    let body = Arc::new(g.body(&types, &outs)?);
    emit_to_pool(g, Checkpoint { body }, &xs, outs.len())
}

fn cond(g: &mut Gen) -> Option<()> {
    let (xs, types) = pick_operands(g, 1);
    let count = g.rng.between(1, 2);
    let outs = result_types(g, &types, count);
    let index = g.pick_shaped(DType::I32, &Shape::scalar()).v;
    let count = g.rng.between(1, 3);
    let branches =
        (0..count).map(|_| g.body(&types, &outs).map(Arc::new)).collect::<Option<Vec<_>>>()?;
    emit_to_pool(g, Cond { branches }, &[&[index], &xs[..]].concat(), outs.len())
}

fn scan(g: &mut Gen) -> Option<()> {
    let length = g.rng.pick(&[0, 1, 2, 3, 3, 4]);
    let (mut xs, mut types) = (vec![], vec![]);
    let consts = g.rng.below(3);
    for _ in 0..consts {
        let d = g.dtype();
        let s = g.pick_value(d);
        xs.push(s.v);
        types.push((g.ty(s), s.bound));
    }
    let carries = g.rng.below(3);
    for _ in 0..carries {
        let d = g.dtype();
        let s = g.pick_value(d);
        xs.push(s.v);
        types.push((g.ty(s), result_bound(d)));
    }
    for _ in 0..g.rng.below(3) {
        let (d, shape) =
            (g.dtype(), g.rng.pick(&[Shape::scalar(), Shape::from([2]), Shape::from([2, 1])]));
        let s = g.pick_shaped(d, &shape.inserted(0, length));
        xs.push(s.v);
        types.push((Type::new(d, shape), s.bound));
    }
    let mut outs: Vec<Type> = types[consts..consts + carries].iter().map(|t| t.0.clone()).collect();
    let ys = g.rng.below(3).max((carries == 0) as usize);
    outs.extend(result_types(g, &types, ys));
    let body = Arc::new(g.body(&types, &outs)?);
    if outs[carries..].iter().any(|t| g.is_too_large(&t.shape.inserted(0, length))) {
        return None;
    }
    let reverse = g.rng.one_in(2);
    emit_to_pool(g, Scan { body, length, reverse, consts, carries }, &xs, outs.len())
}

/// Emits a `while` loop that counts an integer up to a limit, which is an operand or a constant.
fn while_loop(g: &mut Gen) -> Option<()> {
    let known = g.rng.one_in(2);
    let end = if known { None } else { Some(g.small_index(4)) };
    let start = g.small_index(3);
    let (consts, const_types) = pick_operands(g, 0);
    let mut carries = vec![start];
    let mut types = vec![(Type::scalar(DType::I32), 4.0)];
    for _ in 0..g.rng.between(1, 2) {
        let d = if g.smooth_while {
            g.dtype()
        } else {
            g.rng.pick(&[DType::I32, DType::F32, DType::Bool])
        };
        let s = g.pick_value(d);
        carries.push(s.v);
        types.push((g.ty(s), result_bound(d)));
    }
    let all: Vec<(Type, f64)> = const_types.iter().chain(&types).cloned().collect();
    let inner = g.body(&all, &types[1..].iter().map(|t| t.0.clone()).collect::<Vec<_>>())?;
    let op = loop_of(&inner, const_types.len(), &types, known).map_err(|e| g.b.fail(e)).ok()?;
    let args: Vec<Value> = end.into_iter().chain(consts).chain(carries).collect();
    emit_to_pool(g, op, &args, types.len())
}

fn loop_of(
    inner: &Graph,
    body_consts: usize,
    carries: &[(Type, f64)],
    known: bool,
) -> Result<While> {
    let mut c = Builder::new();
    let end = if known { c.scalar(DType::I32, 3.0) } else { c.input(Type::scalar(DType::I32)) };
    let state: Vec<Value> = carries.iter().map(|t| c.input(t.0.clone())).collect();
    let more = c.compare(Direction::Lt, state[0], end);
    let cond = Arc::new(c.finish(&[more])?);

    let mut b = Builder::new();
    let xs = b.inputs(inner.input_types());
    let mut outs = vec![b.add_scalar(xs[body_consts], 1.0)];
    outs.extend(b.inline(inner, &xs));
    Ok(While { cond, body: Arc::new(b.finish(&outs)?), cond_consts: !known as usize, body_consts })
}

/// Emits `r * x` as a `linear` op with an explicit transpose.
fn linear(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F64);
    let ty = g.ty(x);
    let r = g.pick_shaped(DType::F64, &ty.shape);
    let scaled = || {
        let mut b = Builder::new();
        let (r, x) = (b.input(ty.clone()), b.input(ty.clone()));
        let y = b.mul(r, x);
        b.finish(&[y]).map(Arc::new)
    };
    let (forward, backward) = (scaled().ok()?, scaled().ok()?);
    let op = Linear {
        callee: "scale".into(),
        residuals: 1,
        forward: Some(forward),
        backward: Some(backward),
        from: vec![ty.clone()],
        to: vec![ty],
    };
    let y = g.emit(op, &[r.v, x.v]);
    g.keep(y, r.bound * x.bound)
}

/// Emits a function with a custom forward rule, which is its jvp; one of two keeps the rule in
/// derivatives of every order.
fn function(g: &mut Gen) -> Option<()> {
    let count = g.rng.between(1, 2);
    let xs: Vec<BoundedValue> = (0..count).map(|_| g.pick_value(DType::F64)).collect();
    let types: Vec<(Type, f64)> = xs.iter().map(|&s| (g.ty(s), s.bound)).collect();
    let outs = result_types(g, &types, 1);
    let smooth_while = std::mem::replace(&mut g.smooth_while, false);
    let body = g.body(&types, &outs);
    g.smooth_while = smooth_while;
    let body = body?;
    let jvp = jvp_of(&body).map_err(|e| g.b.fail(e)).ok()?;
    let keeps = g.rng.one_in(2);
    let tangent = keeps.then(|| tangent_of(&body, &jvp).map_err(|e| g.b.fail(e)).ok()).flatten();
    let op = Composite::from(neurax_ir::composite::CustomFunction {
        callee: "g".into(),
        captures: 0,
        body: Arc::new(body),
        jvp: (!keeps).then(|| Arc::new(jvp)),
        tangent: tangent.map(Arc::new),
        forward: None,
        backward: None,
    });
    emit_to_pool(g, op, &xs.iter().map(|s| s.v).collect::<Vec<_>>(), 1)
}

/// Returns the jvp of a body with a tangent for each result.
fn jvp_of(body: &Graph) -> Result<Graph> {
    let d = transform::jvp(body, &vec![true; body.input_types().len()])?;
    let mut b = Builder::new();
    let xs = b.inputs(d.graph.input_types());
    let all = b.inline(&d.graph, &xs);
    let (ys, mut known) =
        (&all[..body.outputs().len()], all[body.outputs().len()..].iter().copied());
    let tangents: Vec<Value> = ys
        .iter()
        .zip(&d.outputs)
        .map(|(&y, &m)| if m { known.next() } else { None }.unwrap_or_else(|| b.full_like(y, 0.0)))
        .collect();
    b.finish(&[ys, &tangents].concat())
}

/// Returns the tangents of a jvp as a graph of operands, results and tangents.
fn tangent_of(body: &Graph, jvp: &Graph) -> Result<Graph> {
    let (primal, tangents) = jvp.input_types().split_at(body.input_types().len());
    let mut b = Builder::new();
    let xs = b.inputs(primal);
    b.inputs(&body.output_types());
    let dxs = b.inputs(tangents);
    let all = b.inline(jvp, &[xs, dxs].concat());
    b.finish(&all[body.outputs().len()..])
}
