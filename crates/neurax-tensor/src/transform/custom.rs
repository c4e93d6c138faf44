//! Custom derivatives: `custom_jvp`, `custom_tangent` and `custom_vjp`.
//!
//! A call is recorded as one composite op, `function`, that holds the graph of the function and
//! the graphs of its rules. Evaluating the op means evaluating the body; differentiating it means
//! using the rule; `vmap` batches body and rules alike (`CustomFunction::batch` in
//! neurax-ir), so a custom derivative survives it.
//!
//! # Example
//!
//! `custom_jvp(|x| x.abs(), |(x, dx)| (x.abs(), dx * 10.0))` on `f32[]`:
//!
//! ```text
//! %1: f32[] = function[callee="custom_jvp", captures=0, body=graph(%0: f32[]) {
//!   %1: f32[] = abs(%0)
//!   return %1
//! }, jvp=graph(%0: f32[], %1: f32[]) {
//!   %2: f32[] = abs(%0)
//!   %3: f32[] = constant[value=f32[] 10.0]()
//!   %4: f32[] = multiply(%1, %3)
//!   return %2, %4
//! }, tangent=none, forward=none, backward=none](%0)
//! ```
//!
//! # Invariants
//!
//! - Function and rules are called with the same captures, in front of their arguments.
//! - Rules see tangents and cotangents of differentiable leaves only; in the user's trees the other
//!   leaves are filled with zeros.
//! - A rule's results have the types that the function's results ask for; the error names the rule.
//! - A value that a rule returns replaces the function's: derivatives of higher order differentiate
//!   it like any other code, as in JAX. Only `custom_tangent` keeps the call of the function, and
//!   with it the rule.

use crate::{
    Error, Func, Function, Result, Tensor, Tree, Type,
    dispatch::{Outs, dispatch, dispatch_multi},
    tensor::CallSite,
    trace::TraceKind,
    traced_fn::{TracedFn, trace_fn, unify_captures},
    tree::{AnyTree, first_error, into_vec, map, rebuild, to_vec, visit_leaves},
};
use neurax_ir::{Builder, Graph, composite, mismatch};
use std::{panic::Location, sync::Arc};

/// Returns `f` with a custom forward derivative: `rule((x, dx))` returns `(y, dy)`, where `dy` is
/// linear in `dx` and `y` does not depend on it. Reverse mode transposes the rule. Follows
/// `jax.custom_jvp`.
///
/// Higher derivatives differentiate the `y` and `dy` that the rule returns, without the rule: the
/// second derivative of a `y` that is rounded is 0. See [`custom_tangent`] for a rule that holds
/// for derivatives of every order, JAX's rule that calls the function itself or `defjvps`.
///
/// Tensors that the function or the rule captures have no derivative: differentiating with respect
/// to a captured tensor is an error.
///
/// ```
/// use neurax::prelude::*;
/// let f = custom_jvp(|x: Tensor| x.abs(), |(x, dx): (Tensor, Tensor)| (x.abs(), dx * 10.0));
/// assert_eq!(grad(&f).run(tensor(-3.0))?.item()?, 10.0);
/// // The second derivative of the square is 2 · 10 · sign(x), not 2 · 10 · 10.
/// let square = |x: Tensor| f.apply(x).square();
/// assert_eq!(grad(grad(&square)).run(tensor(-3.0))?.item()?, -20.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn custom_jvp<'f, A: Tree, O: Tree>(
    f: impl Function<A, Out = O> + 'f,
    rule: impl Function<(A, A), Out = (O, O)> + 'f,
) -> Func<'f, A, O> {
    let at = Location::caller();
    let trace_rule = move |a: &A, body: &TracedFn, _: &O| jvp_graph(&rule, a, body, at);
    with_rule(f, trace_rule, DerivativeRule::Jvp, at)
}

/// Returns `f` with a custom tangent: `rule((x, y, dx))` returns the tangent of `y = f(x)` and must
/// be linear in `dx`. Reverse mode transposes the rule.
///
/// Unlike that of [`custom_jvp`], the rule holds for derivatives of every order: `y` in the rule is
/// a call of the function with its rule. Follows `jax.custom_jvp.defjvps`, for all arguments
/// together.
///
/// Tensors that the function or the rule captures have no derivative: differentiating with respect
/// to a captured tensor is an error.
///
/// ```
/// use neurax::prelude::*;
/// let round = custom_tangent(|x: Tensor| x.round(), |(_, _, dx): (Tensor, Tensor, Tensor)| dx);
/// let square = |x: Tensor| round.apply(x).square();
/// assert_eq!(grad(&square).run(tensor(2.7))?.item()?, 6.0);
/// assert_eq!(grad(grad(&square)).run(tensor(2.7))?.item()?, 2.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn custom_tangent<'f, A: Tree, O: Tree>(
    f: impl Function<A, Out = O> + 'f,
    rule: impl Function<(A, O, A), Out = O> + 'f,
) -> Func<'f, A, O> {
    let at = Location::caller();
    let trace_rule = move |a: &A, body: &TracedFn, out: &O| tangent_graph(&rule, a, body, out, at);
    with_rule(f, trace_rule, DerivativeRule::Tangent, at)
}

/// Returns `f` with a custom backward derivative: `forward(x)` returns `(y, residuals)`, and
/// `backward((residuals, dy))` the cotangent of `x` for the cotangent `dy` of the result. Forward
/// mode over it is an error.
///
/// Tensors that the closures capture have no derivative: differentiating with respect to a captured
/// tensor is an error.
///
/// ```
/// use neurax::prelude::*;
/// let f = custom_vjp(
///     |x: Tensor| x.sin(),
///     |x: Tensor| (x.sin(), x),
///     |(x, dy): (Tensor, Tensor)| dy * x.cos() * 10.0,
/// );
/// assert_eq!(grad(&f).run(tensor(0.0))?.item()?, 10.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn custom_vjp<'f, A: Tree, O: Tree, R: Tree>(
    f: impl Function<A, Out = O> + 'f,
    forward: impl Function<A, Out = (O, R)> + 'f,
    backward: impl Function<(R, O), Out = A> + 'f,
) -> Func<'f, A, O> {
    let at = Location::caller();
    Func::new(move |a: A| {
        let (body, out) = trace_fn(&|a| f.apply(a), &a, TraceKind::Body, at);
        if first_error(&a).is_some() || body.check().is_err() {
            return rebuild(&out, body.call(into_vec(a), at));
        }
        let rules = vjp_graphs(&forward, &backward, &a, &body, at);
        rebuild(&out, apply_vjp(&body, rules, into_vec(a), at))
    })
}

/// Dispatches the call of a traced function with traced `(forward, backward)` rules at `leaves`.
/// Returns the leaves of the result.
fn apply_vjp(
    body: &TracedFn,
    rules: Result<(TracedFn, TracedFn)>,
    leaves: Vec<Tensor>,
    at: CallSite,
) -> Outs {
    let outs = rules.and_then(|(fwd, bwd)| {
        let unified = unify_captures(&[
            body.capturing_graph()?,
            fwd.capturing_graph()?,
            bwd.capturing_graph()?,
        ])?;
        let count = unified.captures.len();
        let [f, fwd, bwd] = three(unified.graphs)?;
        let ys = f.outputs().len();
        let residuals = fwd.outputs().len() - ys;
        let rule = DerivativeRule::Vjp {
            forward: captures_as_residuals(&fwd, count)?,
            backward: residuals_first(&bwd, count, residuals)?,
        };
        dispatch_function(f, rule, unified.captures, leaves, at)
    });
    body.fill_or_fail(outs.map_err(|e| e.inside("custom_vjp")), at)
}

/// The graphs of a custom derivative.
enum DerivativeRule {
    Jvp(Graph),
    Tangent(Graph),
    Vjp { forward: Graph, backward: Graph },
}

/// Dispatches the call of a function with custom derivatives.
fn dispatch_function(
    body: Graph,
    rule: DerivativeRule,
    captures: Vec<Tensor>,
    leaves: Vec<Tensor>,
    at: CallSite,
) -> Result<Outs> {
    let op = custom_function(body, rule, captures.len());
    dispatch_multi(op, captures.into_iter().chain(leaves), at)
}

/// Returns the op of a function with a custom derivative and `captures` captured values.
fn custom_function(
    body: Graph,
    rule: DerivativeRule,
    captures: usize,
) -> composite::CustomFunction {
    let op = composite::CustomFunction {
        callee: "custom_vjp".into(),
        captures,
        body: Arc::new(body),
        jvp: None,
        tangent: None,
        forward: None,
        backward: None,
    };
    match rule {
        DerivativeRule::Jvp(jvp) => {
            let jvp = Some(Arc::new(jvp));
            composite::CustomFunction { callee: "custom_jvp".into(), jvp, ..op }
        }
        DerivativeRule::Tangent(tangent) => {
            let tangent = Some(Arc::new(tangent));
            composite::CustomFunction { callee: "custom_tangent".into(), tangent, ..op }
        }
        DerivativeRule::Vjp { forward, backward } => {
            let (forward, backward) = (Some(Arc::new(forward)), Some(Arc::new(backward)));
            composite::CustomFunction { forward, backward, ..op }
        }
    }
}

/// Traces the rule as `(xs.., tangents of differentiable xs..) -> (ys.., tangents of differentiable
/// ys..)`.
fn jvp_graph<A: Tree, O: Tree>(
    rule: &impl Function<(A, A), Out = (O, O)>,
    a: &A,
    body: &TracedFn,
    at: CallSite,
) -> Result<TracedFn> {
    let flat = |(p, ds): (A, Vec<Tensor>)| {
        let t = fill_in(&p, ds, at);
        let (y, dy) = rule.apply((p, t));
        (y, differentiable_leaves(&dy))
    };
    let like = (rebuild(a, to_vec(a).into()), differentiable_leaves(a));
    let (traced, _) = trace_fn(&flat, &like, TraceKind::Body, at);
    check_jvp(&traced, body)?;
    Ok(traced)
}

/// Checks the result types of the traced rule of `custom_jvp` for the traced function `body`.
fn check_jvp(rule: &TracedFn, body: &TracedFn) -> Result<()> {
    rule.check()?;
    let ys = body.graph()?.output_types();
    let dys = ys.iter().filter(|t| t.dtype.is_differentiable()).cloned();
    same_types(
        "the rule of custom_jvp",
        &rule.graph()?.output_types(),
        &ys.iter().cloned().chain(dys).collect::<Vec<_>>(),
    )
}

/// Returns `f` with the rule that `trace_rule` traces for an argument, the traced `f` and the
/// structure of its result.
fn with_rule<'f, A: Tree, O: Tree>(
    f: impl Function<A, Out = O> + 'f,
    trace_rule: impl Fn(&A, &TracedFn, &O) -> Result<TracedFn> + Send + Sync + 'f,
    rule: fn(Graph) -> DerivativeRule,
    at: CallSite,
) -> Func<'f, A, O> {
    Func::new(move |a: A| {
        let (body, out) = trace_fn(&|a| f.apply(a), &a, TraceKind::Body, at);
        if first_error(&a).is_some() || body.check().is_err() {
            return rebuild(&out, body.call(into_vec(a), at));
        }
        let traced = trace_rule(&a, &body, &out);
        rebuild(&out, apply_with_rule(&body, traced, rule, into_vec(a), at))
    })
}

/// Dispatches the call of a traced function with a traced rule at `leaves`. Returns the leaves of
/// the result.
fn apply_with_rule(
    body: &TracedFn,
    traced: Result<TracedFn>,
    rule: fn(Graph) -> DerivativeRule,
    leaves: Vec<Tensor>,
    at: CallSite,
) -> Outs {
    let outs = traced.and_then(|r| {
        let unified = unify_captures(&[body.capturing_graph()?, r.capturing_graph()?])?;
        let [f, derivative] = two(unified.graphs)?;
        dispatch_function(f, rule(derivative), unified.captures, leaves, at)
    });
    body.fill_or_fail(outs, at)
}

/// Traces the rule of `custom_tangent` as `(xs.., ys.., tangents of differentiable xs..) ->
/// tangents of differentiable ys..`.
fn tangent_graph<A: Tree, O: Tree>(
    rule: &impl Function<(A, O, A), Out = O>,
    a: &A,
    body: &TracedFn,
    out: &O,
    at: CallSite,
) -> Result<TracedFn> {
    let y = rebuild(out, body.fill(zeros(&body.graph()?.output_types())));
    let flat = |(p, y, ds): (A, O, Vec<Tensor>)| {
        let t = fill_in(&p, ds, at);
        differentiable_leaves(&rule.apply((p, y, t)))
    };
    let like = (rebuild(a, to_vec(a).into()), y, differentiable_leaves(a));
    let (traced, _) = trace_fn(&flat, &like, TraceKind::Body, at);
    traced.check()?;
    let types = body.graph()?.output_types().into_iter();
    let want: Vec<Type> = types.filter(|t| t.dtype.is_differentiable()).collect();
    same_types("the rule of custom_tangent", &traced.graph()?.output_types(), &want)?;
    Ok(traced)
}

/// Returns zeros of `types`.
fn zeros(types: &[Type]) -> Outs {
    types.iter().map(|t| Tensor::zeros_of(t.dtype, &t.shape)).collect()
}

/// Traces the two rules: `xs.. -> (ys.., residuals..)` and `(residuals.., cotangents of
/// differentiable ys..) -> cotangents of differentiable xs..`.
fn vjp_graphs<A: Tree, O: Tree, R: Tree>(
    forward: &impl Function<A, Out = (O, R)>,
    backward: &impl Function<(R, O), Out = A>,
    a: &A,
    body: &TracedFn,
    at: CallSite,
) -> Result<(TracedFn, TracedFn)> {
    let (fwd, out) = trace_fn(&|a| forward.apply(a), a, TraceKind::Body, at);
    let (y, r) = rebuild(&out, forward_results(&fwd, body)?);
    let cotangents = differentiable_leaves(&y);
    let flat = |(r, cotangents): (R, Vec<Tensor>)| {
        differentiable_leaves(&backward.apply((r, fill_in(&y, cotangents, at))))
    };
    let (bwd, _) = trace_fn(&flat, &(r, cotangents), TraceKind::Body, at);
    check_backward(&bwd, a)?;
    Ok((fwd, bwd))
}

/// Checks the result types of the traced forward rule for the traced function `body`. Returns zeros
/// of these types.
fn forward_results(fwd: &TracedFn, body: &TracedFn) -> Result<Outs> {
    fwd.check()?;
    let (types, ys) = (fwd.graph()?.output_types(), body.graph()?.output_types());
    same_types("the forward rule", &types[..ys.len().min(types.len())], &ys)?;
    Ok(fwd.fill(zeros(&types)))
}

/// Checks the result types of the traced backward rule for the argument `a`.
fn check_backward(bwd: &TracedFn, a: &dyn AnyTree) -> Result<()> {
    bwd.check()?;
    let want: Vec<Type> = differentiable_leaves(a).iter().map(Tensor::ty).collect::<Result<_>>()?;
    same_types("the backward rule", &bwd.graph()?.output_types(), &want)
}

/// Returns the leaves that have a derivative, and those that carry an error.
fn differentiable_leaves(t: &dyn AnyTree) -> Vec<Tensor> {
    let mut v = vec![];
    visit_leaves(t, false, &mut |_, x| {
        v.extend((x.error().is_some() || x.dtype().is_differentiable()).then(|| x.clone()))
    });
    v
}

/// Returns a tree like `like` with the next of `ds` in each differentiable leaf and zeros in the
/// others.
fn fill_in<T: Tree>(like: &T, ds: Vec<Tensor>, at: CallSite) -> T {
    let mut ds = ds.into_iter();
    let leaf = &mut |x: &Tensor| {
        if x.dtype().is_differentiable() {
            ds.next().unwrap_or_else(Tensor::placeholder)
        } else {
            x.zeros_at(at)
        }
    };
    rebuild(like, map(like, leaf))
}

/// Checks the types of a rule's results; `what` names the rule.
fn same_types(what: &str, have: &[Type], want: &[Type]) -> Result<()> {
    if have == want {
        return Ok(());
    }
    Err(mismatch("custom rule", &format!("{what} to return"), want, have))
}

/// Appends the captures of `(captures.., xs..) -> outs..` to its results, as residuals.
fn captures_as_residuals(g: &Graph, captures: usize) -> Result<Graph> {
    let mut b = Builder::new();
    let xs = b.inputs(g.input_types());
    let mut outs = b.inline(g, &xs);
    outs.extend(&xs[..captures]);
    b.finish(&outs)
}

/// Reorders the inputs `(captures.., residuals.., cotangents..)` to `(residuals.., captures..,
/// cotangents..)`.
fn residuals_first(g: &Graph, captures: usize, residuals: usize) -> Result<Graph> {
    let (types, mut b) = (g.input_types(), Builder::new());
    let rs = b.inputs(&types[captures..captures + residuals]);
    let cs = b.inputs(&types[..captures]);
    let ws = b.inputs(&types[captures + residuals..]);
    let outs = b.inline(g, &[cs, rs, ws].concat());
    b.finish(&outs)
}

fn two(graphs: Vec<Graph>) -> Result<[Graph; 2]> {
    graphs.try_into().map_err(|_| Error::bug("expected two graphs"))
}

fn three(graphs: Vec<Graph>) -> Result<[Graph; 3]> {
    graphs.try_into().map_err(|_| Error::bug("expected three graphs"))
}

/// Returns `x` with a custom tangent of zero, in derivatives of every order.
pub(super) fn without_derivative(x: &Tensor, at: CallSite) -> Tensor {
    let identity = || -> Result<composite::CustomFunction> {
        let ty = x.ty()?;
        let mut b = Builder::new();
        let v = b.input(ty.clone());
        let body = b.finish(&[v])?;
        let mut b = Builder::new();
        let mut outs = vec![];
        b.inputs(&[ty.clone(), ty.clone()]);
        if ty.dtype.is_differentiable() {
            b.input(ty.clone());
            outs.push(b.zeros(ty));
        }
        let op = custom_function(body, DerivativeRule::Tangent(b.finish(&outs)?), 0);
        Ok(composite::CustomFunction { callee: "stop_gradient".into(), ..op })
    };
    match identity() {
        Ok(op) => dispatch(op, [x.clone()], at),
        Err(e) => Tensor::error_at(e, at),
    }
}
