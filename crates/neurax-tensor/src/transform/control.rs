//! Loops and branches in the graph.

use crate::{
    DType, Error, Result, Tensor, Tree, Type,
    args::AxisInt,
    dispatch::{Outs, dispatch_multi},
    tensor::CallSite,
    traced_fn::{Constants, TracedFn, trace_fn, trace_fn_as, unify_captures},
    tree::{all_errors, first_error, into_vec, to_vec},
};
use neurax_ir::{Graph, op};
use std::{ops::Range, panic::Location, sync::Arc};

/// A loop over axis 0 of every leaf of `xs`: `(carry, y) = body(carry, x)`. Gives the last carry
/// and the stacked `y`s.
///
/// It can be differentiated in both modes; reverse mode keeps what each step needs. The body is
/// traced once; tensors that it captures are constants of the loop.
///
/// ```
/// use neurax::prelude::*;
/// let (total, sums) = scan(tensor(0.0), tensor([1.0, 2.0, 3.0]), |sum, x| { let sum = sum + x; (sum.clone(), sum) });
/// assert_eq!((total.item()?, sums.to_vec::<f32>()?), (6.0, vec![1.0, 3.0, 6.0]));
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn scan<C: Tree, X: Tree, Y: Tree>(init: C, xs: X, body: impl Fn(C, X) -> (C, Y)) -> (C, Y) {
    run_scan(init, xs, &body, false, Location::caller())
}

/// Like [`scan`], from the last index to the first; `y`s stand at the index of their `x`.
#[track_caller]
pub fn scan_reverse<C: Tree, X: Tree, Y: Tree>(
    init: C,
    xs: X,
    body: impl Fn(C, X) -> (C, Y),
) -> (C, Y) {
    run_scan(init, xs, &body, true, Location::caller())
}

/// A loop over a range of integers: `carry = body(i, carry)`, with `i` an i32 scalar. It can be
/// differentiated, as it is a [`scan`]. A range with integers beyond i32 is an error.
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
    let i32s = i32::MIN as i64..=i32::MAX as i64;
    if count > 0 && !(i32s.contains(&start) && i32s.contains(&(end - 1))) {
        return all_errors(
            &init,
            &Error::new(
                "fori",
                format!(
                    "{start}..{end} has integers beyond i32; count from 0 and add what they start with"
                ),
            ),
            at,
        );
    }
    let indices =
        Tensor::arange(count).binary(Tensor::scalar(DType::I32, start), op::Binary::Add, at);
    run_scan(init, indices, &|c, i| (body(i, c), ()), false, at).0
}

/// A loop that ends when `cond(&carry)`, one bool, is false: `carry = body(carry)`. Forward mode
/// only; `scan` and `fori` have both modes.
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
    let test = trace_fn(&|c: C| cond(&c), &init, Constants::Inline, at);
    let step = trace_fn(&body, &init, Constants::Inline, at);
    let run = || -> Result<Outs> {
        if let Some(e) = first_error(&init) {
            return Err(e);
        }
        let (cond, cond_captures) = alone(&test)?;
        match &cond.output_types()[..] {
            [t] if t.dtype == DType::Bool && t.rank() == 0 => {}
            other => {
                return Err(Error::new(
                    "while_loop",
                    format!("the condition must give one bool, not {}", list(other)),
                ));
            }
        }
        let (body, body_captures) = alone(&step)?;
        check_carries("while_loop", &step.out.paths(), &types(&init)?, &body.output_types())?;
        let op = op::While {
            cond_consts: cond_captures.len(),
            body_consts: body_captures.len(),
            cond: Arc::new(cond),
            body: Arc::new(body),
        };
        dispatch_multi(op, cond_captures.into_iter().chain(body_captures).chain(to_vec(&init)), at)
    };
    step.out.fill_or_fail(run(), at)
}

/// One of two results, chosen by a bool: both closures are traced, one of them runs. What they need
/// they capture.
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
            format!("the predicate must be one bool, not {t}; `select` chooses element by element"),
            at,
        ),
        Err(_) => pred.clone(),
    };
    branch("cond", index, &[&otherwise, &then], at)
}

/// One of several results, chosen by an integer, which is clamped into range: all closures are
/// traced, one of them runs.
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
        Ok(t) if t.dtype.is_int() && t.rank() == 0 => index.convert(DType::I32, at),
        Ok(t) => Tensor::fail("switch", format!("the index must be one integer, not {t}"), at),
        Err(_) => index.clone(),
    };
    branch("switch", index, branches, at)
}

/// There is at least one branch.
fn branch<O: Tree>(op: &str, index: Tensor, branches: &[&dyn Fn() -> O], at: CallSite) -> O {
    let closed: Vec<TracedFn<O>> =
        branches.iter().map(|f| trace_fn(&|()| f(), &(), Constants::Inline, at)).collect();
    let run = || -> Result<Outs> {
        let index = index.ok()?;
        closed.iter().try_for_each(TracedFn::check)?;
        let parts = closed.iter().map(TracedFn::capturing_graph).collect::<Result<Vec<_>>>()?;
        let first = &parts[0].graph.output_types();
        for (i, (part, c)) in parts.iter().zip(&closed).enumerate().skip(1) {
            if c.out.paths() != closed[0].out.paths() {
                return Err(Error::new(
                    op,
                    format!("branch {i} gives a tree of another structure than branch 0"),
                ));
            }
            let differ = first
                .iter()
                .zip(part.graph.output_types())
                .zip(c.out.paths())
                .find(|((a, b), _)| *a != b);
            if let Some(((a, b), path)) = differ {
                return Err(Error::new(
                    op,
                    format!(
                        "{}: one branch gives {a}, another {b}; convert or broadcast one of them",
                        leaf(&path)
                    ),
                ));
            }
        }
        let unified = unify_captures(&parts)?;
        let op = op::Cond { branches: unified.graphs.into_iter().map(Arc::new).collect() };
        dispatch_multi(op, std::iter::once(index).chain(unified.captures), at)
    };
    closed[0].out.fill_or_fail(run(), at)
}

fn run_scan<C: Tree, X: Tree, Y: Tree>(
    init: C,
    xs: X,
    body: &dyn Fn(C, X) -> (C, Y),
    reverse: bool,
    at: CallSite,
) -> (C, Y) {
    let args = (init, xs);
    let mut carries = 0;
    args.0.each_leaf(|_| carries += 1);
    let member = |i: usize, t: &Type| match t.rank() {
        _ if i < carries => Ok(t.clone()),
        0 => {
            Err(Error::new("scan", "what is scanned over needs a leading axis, a scalar has none"))
        }
        _ => Ok(t.with_shape(t.shape.removed(0))),
    };
    let closed =
        trace_fn_as(&|(c, x): (C, X)| body(c, x), &args, Constants::Inline, at, &mut { member });
    let run = |args: (C, X)| -> Result<Outs> {
        if let Some(e) = first_error(&args) {
            return Err(e);
        }
        let length = length_of(&args.1)?;
        let (body, captures) = alone(&closed)?;
        let paths = args.0.leaves().into_iter().map(|(p, _)| p).collect::<Vec<_>>();
        check_carries("scan", &paths, &types(&args.0)?, &body.output_types())?;
        let op =
            op::Scan { body: Arc::new(body), length, reverse, consts: captures.len(), carries };
        dispatch_multi(op, captures.into_iter().chain(into_vec(args)), at)
    };
    let outs = run(args);
    closed.out.fill_or_fail(outs, at)
}

/// The graph of a traced function with its captures in front, and the captures.
fn alone<O: Tree>(closed: &TracedFn<O>) -> Result<(Graph, Vec<Tensor>)> {
    closed.check()?;
    let mut unified = unify_captures(&[closed.capturing_graph()?])?;
    unified
        .graphs
        .pop()
        .map(|g| (g, unified.captures))
        .ok_or_else(|| Error::new("trace", "one graph was expected"))
}

/// The common size of the leading axes.
fn length_of<X: Tree>(xs: &X) -> Result<usize> {
    let mut length: Option<(usize, String)> = None;
    for (path, x) in xs.leaves() {
        let n = x.dim(0);
        match &length {
            Some((m, other)) if *m != n => {
                return Err(Error::new(
                    "scan",
                    format!(
                        "the leading axes differ: {other} has {m} steps, {} has {n}",
                        leaf(&path)
                    ),
                ));
            }
            _ => length = Some((n, leaf(&path))),
        }
    }
    let none = || {
        Error::new(
            "scan",
            "there is nothing to scan over, so the number of steps is unknown; use fori to repeat",
        )
    };
    length.map(|(n, _)| n).ok_or_else(none)
}

fn check_carries(op: &str, paths: &[String], before: &[Type], after: &[Type]) -> Result<()> {
    if after.len() < before.len() {
        return Err(Error::new(
            op,
            format!(
                "the carry has {} leaves at the start, but only {} after a step",
                before.len(),
                after.len()
            ),
        ));
    }
    match paths.iter().zip(before.iter().zip(after)).find(|(_, (a, b))| a != b) {
        Some((path, (a, b))) => {
            let name = if path.is_empty() { String::new() } else { format!(", leaf `{path}`,") };
            Err(Error::new(
                op,
                format!(
                    "the carry{name} is {a} at the start, but {b} after a step; it must keep its type: convert or broadcast it"
                ),
            ))
        }
        None => Ok(()),
    }
}

fn types<T: Tree>(t: &T) -> Result<Vec<Type>> {
    t.leaves().into_iter().map(|(_, x)| x.ty()).collect()
}

fn leaf(path: &str) -> String {
    if path.is_empty() { "the tensor".into() } else { format!("leaf `{path}`") }
}

fn list(types: &[Type]) -> String {
    types.iter().map(Type::to_string).collect::<Vec<_>>().join(", ")
}
