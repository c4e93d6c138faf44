//! Calls of the user's code from inside a program: `debug_print`, `io_call`, `host_call`.
//!
//! The problem: a traced function runs once, on tensors without values; what it prints or writes
//! happens while it is traced, not when the program runs. These functions record an op that calls
//! the host with the values each time that the program reaches it, as `jax.debug.print`,
//! `jax.experimental.io_callback` and Nx's `print_value`, `hook` and `runtime_call` do. On tensors
//! that have values, the call happens immediately.
//!
//! # Example
//!
//! `io_call(f, x + 1.0)` in a jitted function of `f32[2]`:
//!
//! ```text
//! %1: f32[2] = add(%0, ..)
//! custom_call[target="io_call", params="1"](%1)
//! ```
//!
//! # Invariants
//!
//! - The op is a [`CustomOp`] with effects: no pass drops, merges, hoists or folds it, and backends
//!   keep its order among the others. It runs as often as the equation is reached.
//! - `vmap`: the call happens for each member of the axis, in order; once if no operand has the
//!   axis. A loop or branch that holds a call runs as a whole for each member.
//! - `scan` and `while`: in each iteration. `cond`: only in the branch that is taken.
//! - `grad` and `jvp`: once, with the values. A function in a `checkpoint` makes the calls once;
//!   only a `host_call` whose result is needed again is repeated.
//! - A panic of the closure is an error of the program.

use crate::{
    Error, Result, Tensor, Tree,
    dispatch::dispatch_multi,
    tensor::CallSite,
    tree::{all_errors, first_error, into_vec, placeholders, rebuild, to_vec},
};
use neurax_ir::{
    Axis, Batched, Bound, Builder, Literal, Tangent, Transposed, Type, Value, list_types,
    op::{Custom, CustomOp},
};
use std::{
    fmt,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Prints the leaves of `args`, each in the place of one `{}` of `template`, and a line break to
/// the standard output, and returns `args`. In a traced function it prints when the program runs.
/// Follows `jax.debug.print`.
///
/// # Errors
/// The leaves of the result carry an error if `template` has not one `{}` for each leaf.
///
/// ```
/// use neurax::prelude::*;
/// let double = jit(|x: Tensor| debug_print("twice {} is:", x) * 2.0);
/// // Prints "twice f32[2] [1.0, 2.0] is:".
/// assert_eq!(double.run(tensor([1.0, 2.0]))?.to_vec::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn debug_print<A: Tree>(template: &str, args: A) -> A {
    let at = Location::caller();
    let parts: Vec<String> = template.split("{}").map(String::from).collect();
    let (places, leaves) = (parts.len() - 1, to_vec(&args).len());
    if places != leaves {
        let why = format!("expected one {{}} for each of {leaves} tensors, got {places}");
        return all_errors(&args, &Error::new("debug_print", why), at);
    }
    let print = move |xs: Vec<Tensor>| {
        let values = xs.iter().map(Tensor::to_string).chain([String::new()]);
        println!(
            "{}",
            parts.iter().zip(values).map(|(p, x)| format!("{p}{x}")).collect::<String>()
        );
        Ok(vec![])
    };
    effect("debug_print", template.into(), Box::new(print), args, at)
}

/// Calls `f` with the values of `args` for what it does besides, such as writing a log, and returns
/// `args`. In a traced function the call happens when the program runs, on the thread that runs it.
/// Follows `jax.experimental.io_callback`, ordered, and Nx's hooks.
///
/// In a function that is not jitted, each call of a transform (`grad`, `vmap`) compiles it again,
/// as the closure is part of the program.
///
/// # Errors
/// If `f` returns an error or panics, the run of the program does; without a trace, the leaves of
/// the result carry it.
///
/// ```
/// use neurax::prelude::*;
/// use std::sync::{Arc, Mutex};
/// let losses = Arc::new(Mutex::new(vec![]));
/// let log = losses.clone();
/// let loss = move |w: Tensor| {
///     let log = log.clone();
///     let record = move |x: Tensor| {
///         let x = x.item()?;
///         log.lock().map(|mut all| all.push(x)).map_err(|e| Error::new("log", e.to_string()))
///     };
///     io_call(record, w.square())
/// };
/// let gradient = jit(grad(loss));
/// for w in [1.0, 3.0] {
///     gradient.run(tensor(w))?;
/// }
/// assert_eq!(*losses.lock().unwrap(), [1.0, 9.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn io_call<A: Tree>(f: impl Fn(A) -> Result<()> + Send + Sync + 'static, args: A) -> A {
    let at = Location::caller();
    let like = rebuild(&args, placeholders(&args));
    let call = move |xs: Vec<Tensor>| f(rebuild(&like, xs.into())).map(|()| vec![]);
    effect("io_call", unique(), Box::new(call), args, at)
}

/// Computes a tree of tensors by the user's code: returns `f` of the values of `args`, which must
/// have the types of `like`; the values of `like` are not read. In a traced function the call
/// happens when the program runs, on the thread that runs it. Follows
/// `jax.experimental.io_callback` and Nx's `runtime_call`.
///
/// There is no derivative: `custom_vjp` adds one, `stop_gradient` of the arguments makes it zero.
///
/// # Errors
/// If `f` returns an error, panics, or returns other types than those of `like`, the run of the
/// program does; without a trace, the leaves of the result carry it.
///
/// ```
/// use neurax::prelude::*;
/// let sorted = |x: Tensor| {
///     let mut values = x.to_vec::<f32>()?;
///     values.sort_by(f32::total_cmp);
///     Ok(tensor(values))
/// };
/// let f = jit(move |x: Tensor| host_call(sorted, &Tensor::zeros([3]), x) + 1.0);
/// assert_eq!(f.run(tensor([3.0, 1.0, 2.0]))?.to_vec::<f32>()?, [2.0, 3.0, 4.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn host_call<A: Tree, R: Tree>(
    f: impl Fn(A) -> Result<R> + Send + Sync + 'static,
    like: &R,
    args: A,
) -> R {
    let at = Location::caller();
    let structure = rebuild(&args, placeholders(&args));
    let call = move |xs: Vec<Tensor>| f(rebuild(&structure, xs.into())).map(into_vec);
    let op = to_vec(like).iter().map(Tensor::ty).collect::<Result<Vec<_>>>().and_then(|results| {
        HostCall::op("host_call", unique(), results, Box::new(call), &to_vec(&args))
    });
    match op.and_then(|op| dispatch_multi(op, into_vec(args), at)) {
        Ok(outs) => rebuild(like, outs),
        Err(e) => all_errors(like, &e, at),
    }
}

/// Dispatches a call without results, and returns `args`, with the error in each leaf if it fails.
fn effect<A: Tree>(name: &'static str, id: String, call: Box<HostFn>, args: A, at: CallSite) -> A {
    if first_error(&args).is_some() {
        return args;
    }
    let leaves = to_vec(&args);
    let op = HostCall::op(name, id, vec![], call, &leaves);
    match op.and_then(|op| dispatch_multi(op, leaves, at)) {
        Ok(_) => args,
        Err(e) => all_errors(&args, &e, at),
    }
}

/// Returns a text that no other call in this process has.
fn unique() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

type HostFn = dyn Fn(Vec<Tensor>) -> Result<Vec<Tensor>> + Send + Sync;

/// An op that calls a closure with the values of its operands.
struct HostCall {
    name: &'static str,
    /// The text that identifies the closure among those of the same name.
    id: String,
    operands: Vec<Type>,
    results: Vec<Type>,
    call: Box<HostFn>,
}

impl HostCall {
    /// Returns the op for operands of the types of `xs`.
    ///
    /// # Errors
    /// The error that one of them carries.
    fn op(
        name: &'static str,
        id: String,
        results: Vec<Type>,
        call: Box<HostFn>,
        xs: &[Tensor],
    ) -> Result<Custom> {
        let operands = xs.iter().map(Tensor::ty).collect::<Result<_>>()?;
        Ok(Custom(Arc::new(HostCall { name, id, operands, results, call })))
    }

    /// Returns an error in the name of the function that the user called.
    fn error(&self, why: String) -> Error {
        Error::new(self.name, why)
    }
}

impl fmt::Debug for HostCall {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}({:?})", self.name, self.id)
    }
}

impl CustomOp for HostCall {
    fn name(&self) -> &str {
        self.name
    }

    fn params(&self) -> String {
        self.id.clone()
    }

    fn has_effects(&self) -> bool {
        true
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        if xs == self.operands {
            return Ok(self.results.clone());
        }
        let (want, have) = (list_types(&self.operands), list_types(xs));
        Err(self.error(format!("expected operands ({want}), got ({have})")))
    }

    fn eval(&self, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let tensors = xs.into_iter().map(Tensor::from).collect();
        let ys = catch_unwind(AssertUnwindSafe(|| (self.call)(tensors)))
            .map_err(|panic| self.error(format!("the closure panicked: {}", message(&*panic))))??;
        let ys: Vec<Literal> = ys.iter().map(Tensor::to_literal).collect::<Result<_>>()?;
        let have: Vec<Type> = ys.iter().map(|y| y.ty().clone()).collect();
        if have == self.results {
            return Ok(ys);
        }
        let (want, have) = (list_types(&self.results), list_types(&have));
        Err(self.error(format!("expected results ({want}) of the closure, got ({have})")))
    }

    fn jvp(&self, _: &mut Builder, _: &Bound, _: &[Tangent]) -> Result<Vec<Tangent>> {
        if self.results.iter().any(|t| t.dtype.is_differentiable()) {
            let why = "it has no derivative; use custom_vjp, or stop_gradient of its arguments";
            return Err(self.error(why.into()));
        }
        Ok(vec![None; self.results.len()])
    }

    fn transpose(&self, _: &mut Builder, _: &Bound, _: &[bool], _: &[Option<Value>]) -> Transposed {
        Transposed::NotLinear
    }

    /// Fails: `vmap` batches an op with effects by a loop over the members, without this rule.
    fn batch(
        &self,
        _: &mut Builder,
        _: &Axis,
        _: &[Value],
        _: &[Option<usize>],
    ) -> Result<Batched> {
        Err(Error::bug("an op with effects was asked for its batched form"))
    }
}

/// Returns the message of a panic.
fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
