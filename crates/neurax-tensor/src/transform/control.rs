//! Control flow as ops that hold graphs: `scan`, `fori`, `while_loop`, `cond` and `switch`.
//!
//! A Rust loop inside a traced function is unrolled: each iteration adds its equations. The
//! functions here trace the body once and record one op that holds its graph. As in JAX, tensors
//! that a closure captures become operands of the op; they stay the same in every iteration.
//!
//! # Example
//!
//! `scan(c, xs, |c, x| { let c = c + x; (c.clone(), c) })` with `c: f32[]` and `xs: f32[5]`:
//!
//! ```text
//! %2: f32[], %3: f32[5] = scan[body=graph(%0: f32[], %1: f32[]) {
//!   %2: f32[] = add(%0, %1)
//!   return %2, %2
//! }, length=5, reverse=false, consts=0, carries=1](%0, %1)
//! ```
//!
//! # Invariants
//!
//! - The operands are `(captures.., carries.., scanned inputs..)`, the inputs of the body likewise.
//! - A carry keeps its type; the error names the leaf that does not.
//! - The branches of `cond` and `switch` have no arguments: they see their data as captures, and
//!   [`unify_captures`] gives all branches the same list of them.
//! - While a closure runs, every operation of the thread belongs to its graph, also on captured
//!   tensors alone (see [`crate::trace`]). A branch that is not taken is traced and checked, but
//!   nothing of it runs.

use crate::{
    DType, Error, Result, Tensor, Tree, Type,
    args::AxisInt,
    dispatch::{Outs, dispatch_multi},
    tensor::CallSite,
    trace::TraceKind,
    traced_fn::{TracedFn, trace_fn, trace_fn_as, unify_captures},
    tree::{AnyTree, all_errors, first_error, into_vec, leaves, paths, rebuild, to_vec},
};
use neurax_ir::{Graph, OrBug, list_types, op};
use std::{ops::Range, panic::Location, sync::Arc};

/// Loops over axis 0 of every leaf of `xs`: `(carry, y) = body(carry, x)`. Returns the last carry
/// and the stacked `y`s.
///
/// Both differentiation modes are supported; reverse mode stores the residuals of each step. The
/// body is traced once; tensors that it captures are constants of the loop.
///
/// ```
/// use neurax::prelude::*;
/// let (total, sums) = scan(tensor(0.0), tensor([1.0, 2.0, 3.0]), |sum, x| {
///     let sum = sum + x;
///     (sum.clone(), sum)
/// });
/// assert_eq!((total.item()?, sums.to_vec::<f32>()?), (6.0, vec![1.0, 3.0, 6.0]));
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn scan<C: Tree, X: Tree, Y: Tree>(init: C, xs: X, body: impl Fn(C, X) -> (C, Y)) -> (C, Y) {
    run_scan(init, xs, &body, false, Location::caller())
}

/// Loops as [`scan`] does, from the last index to the first. Each `y` has the index of its `x`.
///
/// ```
/// use neurax::prelude::*;
/// let (_, sums) = scan_reverse(tensor(0.0), tensor([1.0, 2.0, 3.0]), |sum, x| {
///     let sum = sum + x;
///     (sum.clone(), sum)
/// });
/// assert_eq!(sums.to_vec::<f32>()?, [6.0, 5.0, 3.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn scan_reverse<C: Tree, X: Tree, Y: Tree>(
    init: C,
    xs: X,
    body: impl Fn(C, X) -> (C, Y),
) -> (C, Y) {
    run_scan(init, xs, &body, true, Location::caller())
}

/// Loops over a range of integers: `carry = body(i, carry)`, with `i` an i32 scalar. It is a
/// [`scan`] and can be differentiated. A range with integers outside of i32 is an error.
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(fori(1..5, tensor(1), |i, c| c * i).item()?, 24.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn fori<C: Tree>(range: Range<impl AxisInt>, init: C, body: impl Fn(Tensor, C) -> C) -> C {
    let at = Location::caller();
    let (start, end) = (range.start.to_i64(), range.end.to_i64());
    let count = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
    let i32_range = i32::MIN as i64..=i32::MAX as i64;
    if count > 0 && !(i32_range.contains(&start) && i32_range.contains(&(end - 1))) {
        return all_errors(
            &init,
            &Error::new(
                "fori",
                format!(
                    "expected a range of i32 integers, got {start}..{end}; count from 0 and add \
                     the start"
                ),
            ),
            at,
        );
    }
    let indices =
        Tensor::arange(count).binary(Tensor::scalar(DType::I32, start), op::Binary::Add, at);
    run_scan(init, indices, &|c, i| (body(i, c), ()), false, at).0
}

/// Loops while `cond(&carry)`, one bool, is true: `carry = body(carry)`. Only forward mode is
/// supported; `scan` and `fori` support both.
///
/// ```
/// use neurax::prelude::*;
/// let y = while_loop(tensor(1.0), |x| x.lt(100.0), |x| x * 2.0);
/// assert_eq!(y.item()?, 128.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn while_loop<C: Tree>(init: C, cond: impl Fn(&C) -> Tensor, body: impl Fn(C) -> C) -> C {
    let at = Location::caller();
    let (cond_fn, _) = trace_fn(&|c: C| cond(&c), &init, TraceKind::Body, at);
    let (body_fn, out) = trace_fn(&body, &init, TraceKind::Body, at);
    rebuild(&out, apply_while(&cond_fn, &body_fn, &paths(&out), &init, at))
}

/// Dispatches the loop of a traced condition and body, whose result has leaves at `paths`. Returns
/// the leaves of the last carry.
fn apply_while(
    cond_fn: &TracedFn,
    body_fn: &TracedFn,
    paths: &[String],
    init: &dyn AnyTree,
    at: CallSite,
) -> Outs {
    let run = || -> Result<Outs> {
        if let Some(e) = first_error(init) {
            return Err(e);
        }
        let (cond, cond_captures) = closed_graph(cond_fn)?;
        match &cond.output_types()[..] {
            [t] if t.dtype == DType::Bool && t.rank() == 0 => {}
            other => {
                return Err(Error::new(
                    "while_loop",
                    format!("expected a condition of one bool, got {}", list_types(other)),
                ));
            }
        }
        let (body, body_captures) = closed_graph(body_fn)?;
        check_carries("while_loop", paths, &types(&to_vec(init))?, &body.output_types())?;
        let op = op::While {
            cond_consts: cond_captures.len(),
            body_consts: body_captures.len(),
            cond: Arc::new(cond),
            body: Arc::new(body),
        };
        dispatch_multi(op, cond_captures.into_iter().chain(body_captures).chain(to_vec(init)), at)
    };
    body_fn.fill_or_fail(run(), at)
}

/// Returns one of two results, chosen by a bool. Both closures are traced; they capture the tensors
/// that they use. Only the chosen one runs, and only its operations contribute to derivatives.
///
/// Under `vmap` with a predicate for each example, both run on all examples; an example has the
/// value and the derivative of the branch that it selects.
///
/// ```
/// use neurax::prelude::*;
/// let safe = |x: Tensor| cond(&x.gt(0.0), || x.log(), || x.clone() * 0.0);
/// assert_eq!(safe(tensor(1.0)).item()?, 0.0);
/// assert_eq!(safe(tensor(-1.0)).item()?, 0.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn cond<O: Tree>(pred: &Tensor, then: impl Fn() -> O, otherwise: impl Fn() -> O) -> O {
    let at = Location::caller();
    let index = match pred.type_ref() {
        Ok(t) if t.dtype == DType::Bool && t.rank() == 0 => pred.convert(DType::I32, at),
        Ok(t) => Tensor::fail(
            "cond",
            format!("expected a predicate of one bool, got {t}; `select` chooses elementwise"),
            at,
        ),
        Err(_) => pred.clone(),
    };
    branch("cond", index, &[&otherwise, &then], at)
}

/// Returns one of several results, chosen by an integer that is clamped to the range of indices.
/// All closures are traced; only the chosen one runs, as in [`cond`].
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor(2.0);
/// let pick = |i: i32| switch(&tensor(i), &[&|| x.clone(), &|| &x * &x, &|| &x * 0.0]);
/// assert_eq!((pick(1).item()?, pick(7).item()?), (4.0, 0.0));
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn switch<O: Tree, const N: usize>(index: &Tensor, branches: &[&dyn Fn() -> O; N]) -> O {
    const { assert!(N > 0, "switch needs a branch") };
    let at = Location::caller();
    let index = match index.type_ref() {
        // Clamped in its own dtype: an index that i32 does not hold would wrap around.
        Ok(t) if t.dtype.is_int() && t.rank() == 0 => index.clip(0, N - 1).convert(DType::I32, at),
        Ok(t) => Tensor::fail("switch", format!("expected an index of one integer, got {t}"), at),
        Err(_) => index.clone(),
    };
    branch("switch", index, branches, at)
}

/// Dispatches the choice between `branches`, of which there is at least one.
fn branch<O: Tree>(op: &str, index: Tensor, branches: &[&dyn Fn() -> O], at: CallSite) -> O {
    let (mut traced, mut outs) = (vec![], vec![]);
    for f in branches {
        let (branch, out) = trace_fn(&|()| f(), &(), TraceKind::Body, at);
        traced.push((branch, paths(&out)));
        outs.push(out);
    }
    rebuild(&outs[0], apply_branch(op, index, &traced, at))
}

/// Dispatches the choice between traced branches, each with the paths of the leaves of its result.
/// Returns the leaves of the result.
fn apply_branch(
    op: &str,
    index: Tensor,
    branches: &[(TracedFn, Vec<String>)],
    at: CallSite,
) -> Outs {
    let run = || -> Result<Outs> {
        let index = index.ok()?;
        branches.iter().try_for_each(|(f, _)| f.check())?;
        let parts =
            branches.iter().map(|(f, _)| f.capturing_graph()).collect::<Result<Vec<_>>>()?;
        let (first, paths) = (&parts[0].graph.output_types(), &branches[0].1);
        for (i, (part, (_, c))) in parts.iter().zip(branches).enumerate().skip(1) {
            if c != paths {
                return Err(Error::new(
                    op,
                    format!("expected branches of one tree structure, got another in branch {i}"),
                ));
            }
            let differ =
                first.iter().zip(part.graph.output_types()).zip(c).find(|((a, b), _)| *a != b);
            if let Some(((a, b), path)) = differ {
                return Err(Error::new(
                    op,
                    format!(
                        "{}: expected branches of one type, got {a} and {b}; convert or broadcast \
                         one of them",
                        leaf(path)
                    ),
                ));
            }
        }
        let unified = unify_captures(&parts)?;
        let op = op::Cond { branches: unified.graphs.into_iter().map(Arc::new).collect() };
        dispatch_multi(op, std::iter::once(index).chain(unified.captures), at)
    };
    branches[0].0.fill_or_fail(run(), at)
}

/// Traces `body` and dispatches the scan.
fn run_scan<C: Tree, X: Tree, Y: Tree>(
    init: C,
    xs: X,
    body: &dyn Fn(C, X) -> (C, Y),
    reverse: bool,
    at: CallSite,
) -> (C, Y) {
    let args = (init, xs);
    let carries = leaves(&args.0).len();
    let (traced, out) =
        trace_fn_as(&|(c, x): (C, X)| body(c, x), &args, TraceKind::Body, at, &mut |i, t| {
            if i < carries { Ok(t.clone()) } else { step_type(t) }
        });
    let (paths, leaves) = (paths(&args), into_vec(args));
    rebuild(&out, apply_scan(&traced, &paths, leaves, carries, reverse, at))
}

/// Returns the type of an input of one step, for the type `t` of the scanned input.
fn step_type(t: &Type) -> Result<Type> {
    match t.rank() {
        0 => Err(Error::new("scan", "cannot scan over a scalar; the input needs a leading axis")),
        _ => Ok(t.with_shape(t.shape.removed(0))),
    }
}

/// Dispatches the scan of a traced body over `args`: `carries` carries, then the scanned inputs,
/// with the paths `0..` and `1..`. Returns the leaves of the result.
fn apply_scan(
    traced: &TracedFn,
    paths: &[String],
    args: Vec<Tensor>,
    carries: usize,
    reverse: bool,
    at: CallSite,
) -> Outs {
    let run = || -> Result<Outs> {
        if let Some(e) = args.iter().find_map(Tensor::error) {
            return Err(e.clone());
        }
        let paths: Vec<&str> = paths.iter().map(|p| within_part(p)).collect();
        let (init, xs) = args.split_at(carries);
        let length = length_of(&paths[carries..], xs)?;
        let (body, captures) = closed_graph(traced)?;
        check_carries("scan", &paths[..carries], &types(init)?, &body.output_types())?;
        let op =
            op::Scan { body: Arc::new(body), length, reverse, consts: captures.len(), carries };
        dispatch_multi(op, captures.into_iter().chain(args), at)
    };
    traced.fill_or_fail(run(), at)
}

/// Returns the path of a leaf within its part of a pair: without the first key.
fn within_part(path: &str) -> &str {
    path.split_once('.').map_or("", |(_, rest)| rest)
}

/// Returns the graph of a traced function with its captures in front, and the captures.
fn closed_graph(traced: &TracedFn) -> Result<(Graph, Vec<Tensor>)> {
    traced.check()?;
    let mut unified = unify_captures(&[traced.capturing_graph()?])?;
    unified.graphs.pop().map(|g| (g, unified.captures)).or_bug("a traced function has no graph")
}

/// Returns the common size of the leading axes of `xs`, the leaves at `paths`.
fn length_of(paths: &[&str], xs: &[Tensor]) -> Result<usize> {
    let mut length: Option<(usize, String)> = None;
    for (path, x) in paths.iter().zip(xs) {
        let n = x.dim(0);
        match &length {
            Some((m, other)) if *m != n => {
                return Err(Error::new(
                    "scan",
                    format!(
                        "expected leading axes of one size, got {m} for {other} and {n} for {}",
                        leaf(path)
                    ),
                ));
            }
            _ => length = Some((n, leaf(path))),
        }
    }
    let none = || {
        Error::new(
            "scan",
            "expected at least one tensor to scan over, which has the number of steps; use fori to \
             repeat without one",
        )
    };
    length.map(|(n, _)| n).ok_or_else(none)
}

/// Checks that the carries keep their types: `before` and `after` a step.
fn check_carries<S: AsRef<str>>(
    op: &str,
    paths: &[S],
    before: &[Type],
    after: &[Type],
) -> Result<()> {
    if after.len() < before.len() {
        return Err(Error::new(
            op,
            format!(
                "expected a carry of {} leaves after a step, got {}",
                before.len(),
                after.len()
            ),
        ));
    }
    match paths.iter().zip(before.iter().zip(after)).find(|(_, (a, b))| a != b) {
        Some((path, (a, b))) => {
            let path = path.as_ref();
            let name = if path.is_empty() { String::new() } else { format!(", leaf `{path}`,") };
            Err(Error::new(
                op,
                format!(
                    "the carry{name} is {a} at the start, but {b} after a step; it must keep its \
                     type: convert or broadcast it"
                ),
            ))
        }
        None => Ok(()),
    }
}

fn types(xs: &[Tensor]) -> Result<Vec<Type>> {
    xs.iter().map(Tensor::ty).collect()
}

/// Returns the name of a leaf in messages.
fn leaf(path: &str) -> String {
    if path.is_empty() { "the tensor".into() } else { format!("leaf `{path}`") }
}
