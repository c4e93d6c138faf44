//! Dispatch: every tensor operation is run eagerly, recorded in a trace, or deferred here.
//!
//! A tensor is concrete (a buffer), traced (a value of a function that is being traced), lazy (a
//! constant that is computed when it is needed, see [`crate::lazy`]), or it carries an error. An
//! operation looks at its operands and does the first of these that applies:
//!
//! 1. An operand carries an error: the result carries the same error.
//! 2. An operand is traced, or the closure of a body (of a branch, a loop, ..) runs on this thread:
//!    the youngest of these traces records the operation ([`Dispatch::Record`], `trace.rs`). With
//!    nested transforms the youngest trace is the innermost one; tensors of outer traces become its
//!    captures.
//! 3. An operand, or the op itself, reads a named `vmap` axis and has no value yet: the result is a
//!    lazy constant ([`Dispatch::Defer`]).
//! 4. Otherwise the operation runs now ([`Dispatch::Eager`]).
//!
//! An op with effects is never deferred: without values of its operands it is an error.
//!
//! An eager operation is a graph of one equation. The device keeps its compiled form, found by the
//! op and the operand types, so that an operation on known types neither builds nor compiles a
//! graph. There is no second implementation of any op: eager and compiled results agree.
//!
//! # Example
//!
//! `&x * 2.0` with `x: f32[2, 3]` calls [`dispatch_broadcast`]. Eagerly it looks up the key
//! `(multiply, [f32[2, 3], f32[]], implicit)`; the first time, this graph is compiled:
//!
//! ```text
//! graph(%0: f32[2, 3], %1: f32[]) {
//!   %2: f32[2, 3] = broadcast_in_dim[shape=[2, 3], dims=[]](%1)
//!   %3: f32[2, 3] = multiply(%0, %2)
//!   return %3
//! }
//! ```
//!
//! Inside `jit` the same two equations are added to the trace of `x`.
//!
//! # Invariants
//!
//! - Operands are taken by value. If the caller moves the last reference in, the operation may
//!   write its result into that memory (donation).
//! - An error gets the caller's source line here, once; a line that it already has is kept.
//!
//! # Rejected
//!
//! - A second type for traced tensors, which would need no dispatch: a function would have to be
//!   generic to run both eagerly and under `jit` (`docs/decisions/0001`).

use crate::{
    Error, Result, Tensor, Type,
    debug::{WatchedArgs, watch},
    device::{Device, or_default, scope_device},
    lazy::LazyConstant,
    tensor::{CallSite, Repr},
    trace::{Trace, open_body},
};
use neurax_ir::{
    Builder, Eval, Graph, Literal, Op, OrBug, Place, Shape, Value, Values, list_types,
};
use neurax_runtime::{Buffer, Results};
use smallvec::SmallVec;
use std::{borrow::Cow, sync::Arc};

/// The operands of one operation.
pub(crate) type Operands = SmallVec<[Tensor; 4]>;
/// The results of one operation.
pub(crate) type Outs = SmallVec<[Tensor; 2]>;

/// Dispatches an op with one result. The operands must have the types that the op expects.
pub(crate) fn dispatch(
    op: impl Into<Op>,
    xs: impl IntoIterator<Item = Tensor>,
    at: CallSite,
) -> Tensor {
    single(execute(op.into(), xs.into_iter().collect(), false, at), at)
}

/// Dispatches an op with one result on operands that are first promoted to one dtype and broadcast
/// to one shape, as NumPy does.
pub(crate) fn dispatch_broadcast(
    op: impl Into<Op>,
    xs: impl IntoIterator<Item = Tensor>,
    at: CallSite,
) -> Tensor {
    single(execute(op.into(), xs.into_iter().collect(), true, at), at)
}

/// Dispatches an op with any number of results.
///
/// # Errors
/// The error of an operand, or of the op on these operand types.
pub(crate) fn dispatch_multi(
    op: impl Into<Op>,
    xs: impl IntoIterator<Item = Tensor>,
    at: CallSite,
) -> Result<Outs> {
    execute(op.into(), xs.into_iter().collect(), false, at)
}

/// Applies a graph to `xs`: records its equations in the youngest trace among them, or compiles and
/// runs the graph.
///
/// # Errors
/// The error of an operand, of compiling or of running.
pub(crate) fn apply_graph(graph: &Graph, xs: Vec<Tensor>, at: CallSite) -> Result<Outs> {
    let place = Place::Source(at);
    match dispatch_of(&xs)? {
        Dispatch::Record(t) => t.inline(graph, &xs, at),
        Dispatch::Defer => defer_all(graph.outputs().len(), &xs, at, |b, vs| {
            Ok(b.inline(graph, vs).into_iter().collect())
        }),
        Dispatch::Eager => {
            let explicit = explicit_device(&xs);
            let device = or_default(explicit.as_ref())?;
            let graph = graph.with_default_origin(&place.clone().into())?;
            let compiled = device.compile(&graph).map_err(|e| e.at(&place))?;
            let args = xs.into_iter().map(|x| x.into_buffer("run", device));
            let args: Vec<Buffer> = args.collect::<Result<_>>()?;
            let results = match watch() {
                Some(watch) => watch.run(device, &graph, &compiled, args, WatchedArgs::Operands),
                None => compiled.run(args),
            };
            let results = results.map_err(|e| e.at(&place))?;
            Ok(tensors(results.into(), explicit.as_ref()))
        }
    }
}

/// Applies a graph with one result and small arguments: returns a lazy constant, unless an argument
/// is traced.
pub(crate) fn apply_graph_lazily(graph: Graph, xs: Vec<Tensor>, at: CallSite) -> Tensor {
    match dispatch_of(&xs) {
        Err(e) => Tensor::error_at(e, at),
        Ok(Dispatch::Eager) => LazyConstant::tensor(graph, xs, at),
        Ok(_) => single(apply_graph(&graph, xs, at), at),
    }
}

/// Returns the lazy constant of the value that `build` adds to an empty graph.
pub(crate) fn lazy_constant(at: CallSite, build: impl FnOnce(&mut Builder) -> Value) -> Tensor {
    let mut b = Builder::new();
    b.set_origin(Place::Source(at).into());
    let y = build(&mut b);
    finish_constant(b, y, at)
}

/// Returns the lazy constant of the value `y` of a graph without inputs.
fn finish_constant(b: Builder, y: Value, at: CallSite) -> Tensor {
    match b.finish(&[y]) {
        Ok(graph) => LazyConstant::tensor(graph, vec![], at),
        Err(e) => Tensor::error_at(e, at),
    }
}

/// Returns the only result, or a tensor with the error.
fn single(outs: Result<Outs>, at: CallSite) -> Tensor {
    match outs {
        Ok(outs) => outs
            .into_iter()
            .next()
            .unwrap_or_else(|| Tensor::error_at(Error::bug("an op has no result"), at)),
        Err(e) => Tensor::error_at(e, at),
    }
}

/// The way in which an operation is executed.
enum Dispatch {
    /// Run now.
    Eager,
    /// Recorded in this trace.
    Record(Arc<Trace>),
    /// Turned into a lazy constant: an operand has a value only inside `vmap`, and so does the
    /// result.
    Defer,
}

/// Chooses how an operation on `xs` is executed.
///
/// # Errors
/// The first error that an operand carries.
fn dispatch_of(xs: &[Tensor]) -> Result<Dispatch> {
    let (mut youngest, mut deferred): (Option<&Arc<Trace>>, bool) = (None, false);
    for x in xs {
        match &x.0 {
            Repr::Error(e) => return Err(e.clone()),
            Repr::Traced(t) if youngest.is_none_or(|y| t.trace.id > y.id) => {
                youngest = Some(&t.trace)
            }
            Repr::Lazy(r) => deferred |= r.reads_named_axis,
            _ => {}
        }
    }
    Ok(match (youngest, open_body()) {
        (Some(t), Some(body)) if body.id < t.id => Dispatch::Record(t.clone()),
        (_, Some(body)) => Dispatch::Record(body),
        (Some(t), None) => Dispatch::Record(t.clone()),
        (None, None) if deferred => Dispatch::Defer,
        (None, None) => Dispatch::Eager,
    })
}

/// Executes one op in the way that its operands ask for.
fn execute(op: Op, xs: Operands, is_implicit: bool, at: CallSite) -> Result<Outs> {
    match dispatch_of(&xs)? {
        Dispatch::Record(t) => t.record(op, &xs, is_implicit, at),
        Dispatch::Eager if op.has_effects() => {
            evaluate(&op, &xs, at).map_err(|e| e.at(&Place::Source(at)))
        }
        Dispatch::Defer if op.has_effects() => {
            let why = "it runs when its operands have values, and these depend only on the named \
                       axis of a `vmap`; pass a tensor that is mapped over as well";
            Err(Error::new(op.name(), why).at(&Place::Source(at)))
        }
        Dispatch::Eager if !op.uses_axis(None) => {
            run_eagerly(&op, xs, is_implicit, at).map_err(|e| e.at(&Place::Source(at)))
        }
        Dispatch::Defer | Dispatch::Eager => {
            let types = xs.iter().map(Tensor::ty).collect::<Result<Vec<_>>>()?;
            let count = one_op_graph(&op, types.iter(), is_implicit, at)?.outputs().len();
            defer_all(count, &xs, at, |b, vs| emit_in(b, op.clone(), vs, is_implicit))
        }
    }
}

/// Evaluates one op with effects now. No device keeps a compiled form of it: the closure that it
/// calls may be a new one each time.
fn evaluate(op: &Op, xs: &Operands, at: CallSite) -> Result<Outs> {
    let explicit = explicit_device(xs);
    let xs = xs.iter().map(|x| x.literal_for(op.name(), at)).collect::<Result<Vec<_>>>()?;
    if let Some(watch) = watch() {
        let graph = one_op_graph(op, xs.iter().map(Literal::ty), false, at)?;
        let device = or_default(explicit.as_ref())?;
        let args = xs.into_iter().map(|x| device.upload(x)).collect::<Result<Vec<_>>>()?;
        let ys = watch.run_by_equation(device, &graph, &args, WatchedArgs::Operands)?;
        return Ok(tensors(ys.into(), explicit.as_ref()));
    }
    let ys = op.eval(&mut Eval::default(), xs)?;
    let on = |y: Literal| {
        let y = Tensor::from(y);
        explicit.as_ref().map_or(y.clone(), |device| y.on(device))
    };
    Ok(ys.into_iter().map(on).collect())
}

/// Runs one op now, with the compiled form that the device keeps for its operand types.
fn run_eagerly(op: &Op, mut xs: Operands, is_implicit: bool, at: CallSite) -> Result<Outs> {
    let explicit = explicit_device(&xs);
    let device = or_default(explicit.as_ref())?;
    let mut args: SmallVec<[Cow<'_, Buffer>; 4]> = SmallVec::new();
    for x in &mut xs {
        args.push(x.take_arg(op.name(), device)?);
    }
    let types = args.iter().map(|b| b.ty());
    let graph = || one_op_graph(op, types.clone(), is_implicit, at);
    let compiled = device.op(op, types.clone(), is_implicit, graph)?;
    if let Some(watch) = watch() {
        let graph = graph()?;
        let args = args.into_iter().map(Cow::into_owned).collect();
        let results = watch.run(device, &graph, &compiled, args, WatchedArgs::Operands)?;
        return Ok(tensors(results.into(), explicit.as_ref()));
    }
    compiled.check_memory(&|i| matches!(&args[i], Cow::Owned(b) if b.is_unique()))?;
    // The compiled form was found by the types of the arguments.
    let results = compiled.run_checked(compiled.assume_args(&mut args))?;
    Ok(tensors(results, explicit.as_ref()))
}

/// Returns the device that one of `xs` was put on explicitly, the first one of several, or that of
/// the scope of [`crate::with_default_device`].
pub(crate) fn explicit_device<'t>(xs: impl IntoIterator<Item = &'t Tensor>) -> Option<Device> {
    xs.into_iter().find_map(Tensor::explicit_device).cloned().or_else(scope_device)
}

/// Returns the device on which a program of the operands `xs` runs: [`explicit_device`], or the
/// default device.
///
/// # Errors
/// As [`default_device`].
pub(crate) fn device_of<'t>(xs: impl IntoIterator<Item = &'t Tensor>) -> Result<Device> {
    or_default(explicit_device(xs).as_ref()).cloned()
}

/// Returns the tensors of the results of a run. They remember `device`, which is `None` for the
/// default device.
pub(crate) fn tensors(results: Results, device: Option<&Device>) -> Outs {
    let mut outs = Outs::new();
    for buffer in results {
        outs.push(Tensor::concrete(buffer, device.cloned()));
    }
    outs
}

/// Returns the graph of one op on inputs of `types`.
fn one_op_graph<'t>(
    op: &Op,
    types: impl Iterator<Item = &'t Type>,
    is_implicit: bool,
    at: CallSite,
) -> Result<Graph> {
    let mut b = Builder::new();
    b.set_origin(Place::Source(at).into());
    let xs: Values = types.map(|t| b.input(t.clone())).collect();
    let ys = emit_in(&mut b, op.clone(), &xs, is_implicit)?;
    b.finish(&ys)
}

/// Adds one op to `b`, after promotion and broadcasting if `is_implicit`.
fn emit_in(b: &mut Builder, op: Op, xs: &[Value], is_implicit: bool) -> Result<Values> {
    if is_implicit {
        let xs = promote_and_broadcast(b, &op, xs)?;
        b.try_emit(op, &xs)
    } else {
        b.try_emit(op, xs)
    }
}

/// Returns the lazy constants of the `count` results of `build` applied to `xs`, as [`defer`] does.
fn defer_all(
    count: usize,
    xs: &[Tensor],
    at: CallSite,
    build: impl Fn(&mut Builder, &[Value]) -> Result<Values>,
) -> Result<Outs> {
    let result = |i: usize| {
        let y = |b: &mut Builder, vs: &[Value]| {
            build(b, vs)?.get(i).copied().or_bug("a deferred op has too few results")
        };
        defer(xs.iter(), at, y)
    };
    Ok((0..count).map(result).collect())
}

/// Returns the lazy constant of `build` applied to `xs`, which are concrete or lazy. The graph of
/// an operand that reads a named axis is inlined; other operands become arguments.
fn defer<'t>(
    xs: impl Iterator<Item = &'t Tensor>,
    at: CallSite,
    build: impl FnOnce(&mut Builder, &[Value]) -> Result<Value>,
) -> Tensor {
    let mut b = Builder::new();
    b.set_origin(Place::Source(at).into());
    let (mut args, mut vs) = (vec![], Values::new());
    for x in xs {
        let mut input = |b: &mut Builder, x: &Tensor| -> Result<Value> {
            let v = b.input(x.ty()?);
            args.push(x.clone());
            Ok(v)
        };
        let v = match &x.0 {
            Repr::Lazy(r) if r.reads_named_axis => r
                .source()
                .or_bug("a constant that reads a named axis has no graph")
                .and_then(|source| {
                    let args = source.args.iter().map(|a| input(&mut b, a));
                    let args = args.collect::<Result<Values>>()?;
                    Ok(b.inline(&source.graph, &args)[0])
                }),
            _ => input(&mut b, x),
        };
        match v {
            Ok(v) => vs.push(v),
            Err(e) => return Tensor::error_at(e, at),
        }
    }
    match build(&mut b, &vs).and_then(|y| b.finish(&[y])) {
        Ok(graph) => LazyConstant::tensor(graph, args, at),
        Err(e) => Tensor::error_at(e, at),
    }
}

/// Promotes the operands of `op` to one dtype (JAX's lattice) and broadcasts them to one shape
/// (NumPy's rule). The predicate of a select keeps its dtype.
///
/// # Errors
/// When the operands have no common dtype or shape.
pub(crate) fn promote_and_broadcast(b: &mut Builder, op: &Op, xs: &[Value]) -> Result<Values> {
    let types = b.types_of(xs);
    // The number of leading operands that keep their dtype.
    let kept = matches!(op, Op::Select(_)) as usize;
    let shape = common_shape(op.name(), &types)?;
    let dtype = types[kept..].iter().skip(1).try_fold(types[kept].dtype, |d, t| {
        d.promote(t.dtype).ok_or_else(|| {
            Error::new(
                op.name(),
                format!("{} and {} have no common dtype; convert one with `to`", d, t.dtype),
            )
        })
    })?;
    let convert = |(i, &x): (usize, &Value)| {
        let x = if i < kept { x } else { b.convert(x, dtype) };
        let rank = b.ty(x).rank();
        let dims: Vec<usize> = (shape.rank() - rank..shape.rank()).collect();
        b.broadcast(x, shape.clone(), &dims)
    };
    Ok(xs.iter().enumerate().map(convert).collect())
}

/// Returns the shape that operands of `types` broadcast to.
///
/// # Errors
/// When there is none; the message is from `op`.
pub(crate) fn common_shape(op: &str, types: &[Type]) -> Result<Shape> {
    let mut out = Shape::default();
    for (i, t) in types.iter().enumerate() {
        let (a, b) = (&out, &t.shape);
        let rank = a.rank().max(b.rank());
        let size =
            |s: &Shape, i: usize| if i + s.rank() < rank { 1 } else { s[i + s.rank() - rank] };
        let sizes = (0..rank).map(|i| match (size(a, i), size(b, i)) {
            (x, y) if x == y || y == 1 => Some(x),
            (1, y) => Some(y),
            _ => None,
        });
        out = match sizes.collect::<Option<Shape>>() {
            Some(s) => s,
            None => {
                let before = list_types(&types[..i]);
                return Err(Error::new(op, format!("cannot broadcast {before} with {t}")));
            }
        };
    }
    Ok(out)
}
