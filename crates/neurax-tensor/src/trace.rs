//! Tracing: records the operations of a user's function in a graph.
//!
//! The problem: `jit`, `grad` and `vmap` need the computation of a Rust closure as data. The method
//! is the operator overloading of JAX and Autograd: the closure runs once on *tracers*, tensors
//! that have a type but no value, and each operation on a tracer adds an equation to the graph
//! instead of computing.
//!
//! # Which trace records
//!
//! Transforms nest: `grad(|x| vmap(|y| x * y)(z))` runs two traces, one inside the other. A tracer
//! holds its [`Trace`], traces are numbered as they begin, and the youngest of these records an
//! operation:
//!
//! - the traces of its operands;
//! - the innermost *open body* of the thread. The closure of a branch, of a loop's body or
//!   condition, of a checkpoint or of a custom derivative computes only if and when the op that
//!   holds its graph runs. While such a closure runs, its trace records every operation of the
//!   thread, also those on tensors from outside alone. `cond(&p, || x.sqrt(), || ..)` must not
//!   compute the root, or its derivative, where `p` is false.
//!
//! For the recording trace every operand that is not its own (a tracer of an outer trace, a
//! concrete tensor, a lazy constant) is data from outside. It is *lifted* into the trace:
//!
//! - a lazy constant that was made by the traced function is inlined as equations, and so are
//!   constants like `zeros` and `arange`, which then cost no memory;
//! - a value of up to 64 bytes becomes a constant, except in transforms ([`TraceKind`]);
//! - everything else becomes a *capture*, an extra input behind the arguments. A tensor is captured
//!   once, found by identity, however often it is used.
//!
//! When the inner trace ends, its closed graph is applied to arguments and captures by
//! [`crate::dispatch::apply_graph`], which records its equations in whatever trace they belong to.
//!
//! # Example
//!
//! `jit(|x: Tensor| (x * &w).sum(..))` with a concrete `w: f32[1000]` gives the graph below, with
//! `w` as its only capture, `%1`.
//!
//! ```text
//! graph(%0: f32[1000], %1: f32[1000]) {
//!   %2: f32[1000] = multiply(%0, %1)
//!   %3: f32[] = reduce[kind=sum, axes=[0]](%2)
//!   return %3
//! }
//! ```
//!
//! # Invariants
//!
//! - Arguments are added before the first operation, so inputs are `(arguments.., captures..)`.
//! - After `finish` a tracer that escaped from the function gives an error, never a wrong graph.
//! - If several threads recorded, the order of equations depends on timing. `finish` then sorts
//!   them by a depth-first walk from the outputs, so that equal functions give equal graphs and hit
//!   the cache of compiled graphs.
//!
//! - A body is open on the thread that runs its closure, and until the closure returns or panics.
//!
//! # Rejected
//!
//! - A stack of all traces, as JAX had: threads of the user's function would not share it, and a
//!   function would not compute with concrete tensors while it is traced (`docs/decisions/0008`).
//! - To let the operands alone decide: operations on captured tensors would leave the branch or
//!   loop whose closure computes them.

use crate::{
    Error, Result, Tensor, Type,
    dispatch::{Outs, promote_and_broadcast},
    tensor::{CallSite, Repr},
    tuning::MAX_INLINED_BYTES,
};
use neurax_ir::{Builder, Graph, Op, Place, Value, Values, op::Checkpoint};
use rustc_hash::FxHashMap;
use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
};

/// The kind of function that a trace records.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum TraceKind {
    /// A function that is compiled once and run often. Small values are written into its graph.
    /// Inside of an open body it is recorded like a body: its trace is kept, and must not contain
    /// values of the body around its first call.
    Jit,
    /// The closure of a branch, a loop, a checkpoint or a custom derivative, which is an open body
    /// while it runs. Small values are written into its graph.
    Body,
    /// A function that is traced in every call. Small values are captured: a learning rate that
    /// changes must not need another compilation.
    Transform,
}

thread_local! {
    /// The traces of the open bodies of this thread, the innermost one last.
    static OPEN_BODIES: RefCell<Vec<Arc<Trace>>> = const { RefCell::new(Vec::new()) };
}

/// Returns the trace of the innermost body whose closure runs on this thread.
pub(crate) fn open_body() -> Option<Arc<Trace>> {
    // A tensor can be used while the thread ends, when the list is gone and no body is open.
    OPEN_BODIES.try_with(|bodies| bodies.borrow().last().cloned()).ok().flatten()
}

/// Returns true if the closure of a body runs on this thread.
pub(crate) fn is_in_body() -> bool {
    OPEN_BODIES.try_with(|bodies| !bodies.borrow().is_empty()).unwrap_or(false)
}

/// Keeps a body open until it is dropped, also by a panic.
pub(crate) struct OpenBody;

impl OpenBody {
    fn new(trace: Arc<Trace>) -> OpenBody {
        OPEN_BODIES.with(|bodies| bodies.borrow_mut().push(trace));
        OpenBody
    }
}

impl Drop for OpenBody {
    fn drop(&mut self) {
        OPEN_BODIES.with(|bodies| bodies.borrow_mut().pop());
    }
}

/// Runs `f` with no open body: operations on tensors that have values are computed, also while the
/// closure of a branch or loop is traced. The results become captured values of the body.
///
/// ```
/// use neurax::{outside_of_bodies, prelude::*};
/// let is_known = |x: &Tensor| !x.is_traced();
/// fori(0..1, tensor(0.0), |_, x: Tensor| {
///     let (inside, outside) = (tensor(1) + 1, outside_of_bodies(|| tensor(1) + 1));
///     assert!(!is_known(&inside) && is_known(&outside));
///     x
/// });
/// ```
#[doc(hidden)]
pub fn outside_of_bodies<O>(f: impl FnOnce() -> O) -> O {
    struct Restore(Vec<Arc<Trace>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            OPEN_BODIES.with(|bodies| *bodies.borrow_mut() = std::mem::take(&mut self.0));
        }
    }
    let _restore = Restore(OPEN_BODIES.with(|bodies| std::mem::take(&mut *bodies.borrow_mut())));
    f()
}

/// A value of a function that is being traced.
pub(crate) struct Tracer {
    /// The trace that the value belongs to.
    pub trace: Arc<Trace>,
    value: Value,
    pub ty: Type,
}

/// The trace that records the operations of a model, if there is one. Layers put their names on its
/// equations, which then appear in errors, profiles and reports of NaN.
#[doc(hidden)]
pub struct Recorder(Option<Arc<Trace>>);

impl Recorder {
    /// Returns the trace that would record an operation on `tensors`.
    pub fn of<'t>(tensors: impl IntoIterator<Item = &'t Tensor>) -> Recorder {
        let trace = |t: &'t Tensor| match &t.0 {
            Repr::Traced(t) => Some(&t.trace),
            _ => None,
        };
        let traces = tensors.into_iter().filter_map(trace).cloned().chain(open_body());
        Recorder(traces.max_by_key(|t| t.id))
    }

    /// Runs the function of a layer. The equations that it records carry the name `layer`, and the
    /// source line `at` where they have none of the user's.
    pub fn within<O>(&self, layer: &str, at: CallSite, f: impl FnOnce() -> O) -> O {
        self.run(Some(layer), at, f)
    }

    /// Runs a function of this library that cannot see its caller. The equations that it records
    /// carry the source line `at` where they have none of the user's.
    pub fn at<O>(&self, at: CallSite, f: impl FnOnce() -> O) -> O {
        self.run(None, at, f)
    }

    fn run<O>(&self, layer: Option<&str>, at: CallSite, f: impl FnOnce() -> O) -> O {
        let from = self.0.as_ref().map_or(0, |t| t.lock().builder.eqn_count());
        let out = f();
        if let Some(trace) = &self.0 {
            trace.lock().builder.within(from, layer, &Place::Source(at));
        }
        out
    }
}

/// The number of the trace that begins next.
static NEXT_TRACE: AtomicU64 = AtomicU64::new(1);

/// Returns the time of this call, counted in traces: it is greater than the numbers of the traces
/// that have begun.
pub(crate) fn now() -> u64 {
    NEXT_TRACE.load(Ordering::Relaxed)
}

/// One run of a user's function on tracers.
pub(crate) struct Trace {
    /// The number of the trace; younger traces have larger numbers.
    pub id: u64,
    /// True once the function has returned.
    finished: AtomicBool,
    state: Mutex<TraceState>,
    kind: TraceKind,
}

/// The graph so far.
struct TraceState {
    builder: Builder,
    captures: Vec<Tensor>,
    /// The value of each tensor that was lifted, by its identity.
    lifted: FxHashMap<usize, Value>,
    /// The lifted tensors: identities are addresses, which must not be reused.
    kept_alive: Vec<Tensor>,
    /// The thread that began the trace.
    owner: ThreadId,
    /// True if another thread recorded, too: then `finish` sorts the equations.
    is_concurrent: bool,
}

impl Trace {
    /// Begins a trace in the current thread.
    pub fn new(kind: TraceKind) -> Arc<Trace> {
        let state = TraceState {
            builder: Builder::new(),
            captures: vec![],
            lifted: FxHashMap::default(),
            kept_alive: vec![],
            owner: thread::current().id(),
            is_concurrent: false,
        };
        Arc::new(Trace {
            id: NEXT_TRACE.fetch_add(1, Ordering::Relaxed),
            finished: AtomicBool::new(false),
            state: Mutex::new(state),
            kind,
        })
    }

    /// Opens the body that this trace records, if it is one, while the function runs.
    pub fn open_if_body(self: &Arc<Trace>) -> Option<OpenBody> {
        let is_body = match self.kind {
            TraceKind::Body => true,
            TraceKind::Jit => is_in_body(),
            TraceKind::Transform => false,
        };
        is_body.then(|| OpenBody::new(self.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, TraceState> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_concurrent |= state.owner != thread::current().id();
        state
    }

    /// Locks the state to record an operation of the source line `at`.
    ///
    /// # Errors
    /// When the trace is finished.
    fn open(&self, at: CallSite) -> Result<MutexGuard<'_, TraceState>> {
        let mut state = self.lock();
        if self.finished.load(Ordering::Acquire) {
            let why = "a tensor of a finished trace is used: it was carried out of jit, grad, vmap \
                       or another transform by something other than the function's result; \
                       return it instead";
            return Err(Error::new("trace", why).at(&Place::Source(at)));
        }
        state.builder.set_origin(Place::Source(at).into());
        Ok(state)
    }

    /// Adds an argument of type `ty`. All arguments are added before the first operation.
    pub fn argument(self: &Arc<Trace>, ty: Type) -> Tensor {
        let value = self.lock().builder.input(ty.clone());
        self.tracer(value, ty)
    }

    /// Returns the tensor of `value`.
    fn tracer(self: &Arc<Trace>, value: Value, ty: Type) -> Tensor {
        Tensor(Repr::Traced(Arc::new(Tracer { trace: self.clone(), value, ty })))
    }

    fn tracers(self: &Arc<Trace>, state: &TraceState, values: &[Value]) -> Outs {
        values.iter().map(|&v| self.tracer(v, state.builder.ty(v).clone())).collect()
    }

    /// Records one operation on `xs`, which are first promoted and broadcast if `is_implicit`.
    ///
    /// # Errors
    /// When the op is not defined for the operand types, or the trace is finished.
    pub fn record(
        self: &Arc<Trace>,
        op: Op,
        xs: &[Tensor],
        is_implicit: bool,
        at: CallSite,
    ) -> Result<Outs> {
        let mut state = self.open(at)?;
        let mut vs = self.lift_all(&mut state, xs)?;
        if is_implicit {
            vs = promote_and_broadcast(&mut state.builder, &op, &vs)?;
        }
        let ys = state.builder.try_emit(op, &vs)?;
        Ok(self.tracers(&state, &ys))
    }

    /// Records all equations of `graph` applied to `xs`.
    ///
    /// # Errors
    /// When the trace is finished or an operand carries an error.
    pub fn inline(self: &Arc<Trace>, graph: &Graph, xs: &[Tensor], at: CallSite) -> Result<Outs> {
        let mut state = self.open(at)?;
        let vs = self.lift_all(&mut state, xs)?;
        let ys = state.builder.inline(graph, &vs);
        match state.builder.error() {
            Some(e) => Err(e.clone()),
            None => Ok(self.tracers(&state, &ys)),
        }
    }

    /// Returns the op that computes `x`, a value of this trace, and its only operand; `None` for
    /// arguments, ops of several operands, and when the trace is finished. If a checkpoint computes
    /// `x`, this is the last op inside of it, and the operand is that of a checkpoint without it.
    pub fn producer(self: &Arc<Trace>, x: &Tracer) -> Option<(Op, Tensor)> {
        let mut state = self.lock();
        let eqn = state.builder.eqns().iter().rfind(|e| e.outputs.contains(&x.value))?;
        let (op, operand) = match (&eqn.op, &eqn.inputs[..]) {
            (Op::Checkpoint(c), inputs) => {
                let i = eqn.outputs.iter().position(|y| *y == x.value)?;
                let (op, body) = c.body.without_last(i)?;
                let (at, inputs) = (eqn.at.clone(), inputs.to_vec());
                state.builder.set_origin(at);
                let rest = Checkpoint { body: Arc::new(body) };
                (op, *state.builder.try_emit(rest, &inputs).ok()?.first()?)
            }
            (op, &[only]) => (op.clone(), only),
            _ => return None,
        };
        Some((op, self.tracer(operand, state.builder.ty(operand).clone())))
    }

    fn lift_all(self: &Arc<Trace>, state: &mut TraceState, xs: &[Tensor]) -> Result<Values> {
        xs.iter().map(|x| self.lift(state, x)).collect()
    }

    /// Returns the value of `x` in this trace; a tensor from outside is lifted once.
    fn lift(self: &Arc<Trace>, state: &mut TraceState, x: &Tensor) -> Result<Value> {
        match &x.0 {
            Repr::Traced(t) if Arc::ptr_eq(&t.trace, self) => return Ok(t.value),
            Repr::Error(e) => return Err(e.clone()),
            _ => {}
        }
        let key = x.identity();
        if let Some(&v) = state.lifted.get(&key) {
            return Ok(v);
        }
        let is_small = self.kind != TraceKind::Transform && x.ty()?.bytes()? <= MAX_INLINED_BYTES;
        let inlined = match &x.0 {
            Repr::Lazy(r) => r.inlined_source(self.id),
            _ => None,
        };
        let value = if let Some(source) = inlined {
            let args = self.lift_all(state, &source.args)?;
            state.builder.inline(&source.graph, &args)[0]
        } else if is_small && x.has_value() {
            let literal = x.to_literal()?;
            state.builder.constant(literal)
        } else {
            state.captures.push(x.clone());
            state.builder.input(x.ty()?)
        };
        state.lifted.insert(key, value);
        state.kept_alive.push(x.clone());
        Ok(value)
    }

    /// Ends the trace. Returns the graph from `args` arguments and the captures to `outs`, and the
    /// captures.
    ///
    /// # Errors
    /// When an output carries an error or the graph is invalid.
    pub fn finish(
        self: &Arc<Trace>,
        args: usize,
        outs: &[Tensor],
        at: CallSite,
    ) -> Result<(Graph, Vec<Tensor>)> {
        let mut state = self.lock();
        let values = self.lift_all(&mut state, outs);
        self.finished.store(true, Ordering::Release);
        let builder = std::mem::take(&mut state.builder);
        let captures = std::mem::take(&mut state.captures);
        (state.lifted, state.kept_alive) = Default::default();
        let graph = builder.finish(&values?).map_err(|e| e.at(&Place::Source(at)))?;
        if state.is_concurrent {
            canonicalize(&graph, args, &captures)
        } else {
            Ok((graph, captures))
        }
    }
}

/// Sorts the equations of a graph with `args` arguments by a depth-first walk from its outputs, and
/// its captures by their first use. Equations and captures that no output needs are dropped.
fn canonicalize(graph: &Graph, args: usize, captures: &[Tensor]) -> Result<(Graph, Vec<Tensor>)> {
    let eqns = graph.depth_first_eqns();
    let inputs = graph.input_types().len();
    let mut is_new = vec![true; inputs];
    let reads = eqns.iter().flat_map(|&i| &graph.eqns()[i].inputs).chain(graph.outputs());
    let used: Vec<usize> = reads
        .map(|v| v.index())
        .filter(|i| (args..inputs).contains(i) && std::mem::replace(&mut is_new[*i], false))
        .collect();
    let inputs: Vec<usize> = (0..args).chain(used.iter().copied()).collect();
    let captures = used.iter().map(|i| captures[i - args].clone()).collect();
    Ok((graph.reordered(&inputs, &eqns)?, captures))
}
