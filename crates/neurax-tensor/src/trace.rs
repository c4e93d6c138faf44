//! Tracing: running a user's function on tensors that record what is done to them.
//!
//! There is no global state. A traced tensor holds its trace; traces are numbered; the youngest
//! trace among the operands of an operation records it. Every other operand (a tracer of an outer
//! trace, a concrete tensor) becomes an extra input of the graph, once, by identity: a *capture*. A
//! closed graph applied to arguments and captures lands in whatever trace those belong to.

use crate::{
    Error, Result, Tensor, Type,
    emit::{Outs, implicit},
    tensor::{At, Repr},
};
use neurax_ir::{Builder, Graph, Op, Place, Value, Values};
use rustc_hash::FxHashMap;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
};

/// A value of a function that is being traced.
pub(crate) struct Tracer {
    pub trace: Arc<Trace>,
    value: Value,
    pub ty: Type,
}

/// The trace that records what a model does: layers put their names on its equations, for errors,
/// profiles and reports of NaN.
#[doc(hidden)]
pub struct Recorder(Option<Arc<Trace>>);

impl Recorder {
    /// The trace that an operation on all of these tensors would be recorded in, if there is one.
    pub fn of<'t>(tensors: impl IntoIterator<Item = &'t Tensor>) -> Recorder {
        let trace = |t: &'t Tensor| match &t.0 {
            Repr::Traced(t) => Some(&t.trace),
            _ => None,
        };
        Recorder(tensors.into_iter().filter_map(trace).max_by_key(|t| t.id).cloned())
    }

    /// Runs a layer; the equations that it records carry its name, and its place where they have
    /// none of the user's.
    pub fn within<O>(&self, layer: &str, at: At, f: impl FnOnce() -> O) -> O {
        self.run(Some(layer), at, f)
    }

    /// Runs a function of ours that cannot see its caller; the equations that it records get this
    /// place where they have none of the user's.
    pub fn at<O>(&self, at: At, f: impl FnOnce() -> O) -> O {
        self.run(None, at, f)
    }

    fn run<O>(&self, layer: Option<&str>, at: At, f: impl FnOnce() -> O) -> O {
        let from = self.0.as_ref().map_or(0, |t| t.lock().builder.eqn_count());
        let out = f();
        if let Some(trace) = &self.0 {
            trace.lock().builder.within(from, layer, &Place::Source(at));
        }
        out
    }
}

/// One run of a user's function on tracers.
pub(crate) struct Trace {
    /// Later traces have larger numbers.
    pub id: u64,
    closed: AtomicBool,
    body: Mutex<Body>,
    /// Are small concrete operands written into the graph? `jit` and the bodies of loops do;
    /// transforms that run at once do not, so that a learning rate that changes does not make
    /// another program.
    constants: bool,
}

struct Body {
    builder: Builder,
    captures: Vec<Tensor>,
    seen: FxHashMap<usize, Value>,
    /// Keeps what `seen` knows by address alive.
    held: Vec<Tensor>,
    writer: ThreadId,
    /// Did several threads record? Then the order of the equations says nothing and is made
    /// canonical.
    mixed: bool,
}

/// Values up to this many bytes are written into the graph.
const INLINE: usize = 64;

impl Trace {
    pub fn new(constants: bool) -> Arc<Trace> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let body = Body {
            builder: Builder::new(),
            captures: vec![],
            seen: FxHashMap::default(),
            held: vec![],
            writer: thread::current().id(),
            mixed: false,
        };
        Arc::new(Trace {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            closed: AtomicBool::new(false),
            body: Mutex::new(body),
            constants,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Body> {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        body.mixed |= body.writer != thread::current().id();
        body
    }

    fn open(&self, at: At) -> Result<MutexGuard<'_, Body>> {
        let mut body = self.lock();
        if self.closed.load(Ordering::Acquire) {
            let why = "a tensor of a finished trace is used: it was carried out of jit, grad, vmap or another transform by something other than \
                       the function's result; return it instead";
            return Err(Error::new("trace", why).at(&Place::Source(at)));
        }
        body.builder.set_origin(Place::Source(at).into());
        Ok(body)
    }

    /// A new argument. All arguments come before the first operation.
    pub fn argument(self: &Arc<Trace>, ty: Type) -> Tensor {
        let value = self.lock().builder.input(ty.clone());
        self.tracer(value, ty)
    }

    fn tracer(self: &Arc<Trace>, value: Value, ty: Type) -> Tensor {
        Tensor(Repr::Traced(Arc::new(Tracer { trace: self.clone(), value, ty })))
    }

    fn tracers(self: &Arc<Trace>, body: &Body, values: &[Value]) -> Outs {
        values.iter().map(|&v| self.tracer(v, body.builder.ty(v).clone())).collect()
    }

    /// Records one operation.
    pub fn record(
        self: &Arc<Trace>,
        op: Op,
        xs: &[Tensor],
        is_implicit: bool,
        at: At,
    ) -> Result<Outs> {
        let mut body = self.open(at)?;
        let mut vs = self.lift_all(&mut body, xs)?;
        if is_implicit {
            vs = implicit(&mut body.builder, &op, &vs)?;
        }
        let ys = body.builder.try_emit(op, &vs)?;
        Ok(self.tracers(&body, &ys))
    }

    /// Records all equations of a graph.
    pub fn inline(self: &Arc<Trace>, graph: &Graph, xs: &[Tensor], at: At) -> Result<Outs> {
        let mut body = self.open(at)?;
        let vs = self.lift_all(&mut body, xs)?;
        let ys = body.builder.inline(graph, &vs);
        match body.builder.error() {
            Some(e) => Err(e.clone()),
            None => Ok(self.tracers(&body, &ys)),
        }
    }

    fn lift_all(self: &Arc<Trace>, body: &mut Body, xs: &[Tensor]) -> Result<Values> {
        xs.iter().map(|x| self.lift(body, x)).collect()
    }

    /// The value that stands for `x` in this trace.
    fn lift(self: &Arc<Trace>, body: &mut Body, x: &Tensor) -> Result<Value> {
        match &x.0 {
            Repr::Traced(t) if Arc::ptr_eq(&t.trace, self) => return Ok(t.value),
            Repr::Error(e) => return Err(e.clone()),
            _ => {}
        }
        let key = x.identity();
        if let Some(&v) = body.seen.get(&key) {
            return Ok(v);
        }
        let value = match &x.0 {
            Repr::Recipe(r) => {
                let args = self.lift_all(body, &r.args)?;
                body.builder.inline(&r.graph, &args)[0]
            }
            Repr::Concrete(c) if self.constants && c.buffer.ty().bytes()? <= INLINE => {
                let literal = x.to_literal()?;
                body.builder.constant(literal)
            }
            _ => {
                body.captures.push(x.clone());
                body.builder.input(x.ty()?)
            }
        };
        body.seen.insert(key, value);
        body.held.push(x.clone());
        Ok(value)
    }

    /// Ends the trace: the graph from the arguments and captures to `outs`, and the captures.
    pub fn finish(
        self: &Arc<Trace>,
        args: usize,
        outs: &[Tensor],
        at: At,
    ) -> Result<(Graph, Vec<Tensor>)> {
        let mut body = self.lock();
        let values = self.lift_all(&mut body, outs);
        self.closed.store(true, Ordering::Release);
        let builder = std::mem::take(&mut body.builder);
        let captures = std::mem::take(&mut body.captures);
        (body.seen, body.held) = Default::default();
        let graph = builder.finish(&values?).map_err(|e| e.at(&Place::Source(at)))?;
        if body.mixed { canonical(&graph, args, captures) } else { Ok((graph, captures)) }
    }
}

/// The same graph with equations and captures in the order in which a depth-first walk from the
/// outputs first needs them.
fn canonical(graph: &Graph, args: usize, captures: Vec<Tensor>) -> Result<(Graph, Vec<Tensor>)> {
    let inputs = graph.input_types().len();
    let mut producer = vec![usize::MAX; graph.types().len()];
    for (i, e) in graph.eqns().iter().enumerate() {
        e.outputs.iter().for_each(|v| producer[v.index()] = i);
    }
    let (mut eqns, mut order, mut seen) = (vec![], vec![], vec![false; graph.types().len()]);
    let mut stack: Vec<(Value, bool)> = graph.outputs().iter().rev().map(|&v| (v, false)).collect();
    while let Some((v, ready)) = stack.pop() {
        if ready {
            eqns.push(producer[v.index()]);
        } else if !std::mem::replace(&mut seen[v.index()], true) {
            if v.index() < inputs {
                order.extend((v.index() >= args).then(|| v.index() - args));
                continue;
            }
            let e = &graph.eqns()[producer[v.index()]];
            e.outputs.iter().for_each(|o| seen[o.index()] = true);
            stack.push((v, true));
            stack.extend(e.inputs.iter().rev().map(|&x| (x, false)));
        }
    }
    let mut b = Builder::new();
    let mut env: Vec<Option<Value>> = vec![None; graph.types().len()];
    for i in (0..args).chain(order.iter().map(|i| i + args)) {
        env[i] = Some(b.input(graph.input_types()[i].clone()));
    }
    let lost = || Error::new("trace", "an equation is read before it is written");
    for i in eqns {
        let e = &graph.eqns()[i];
        let xs =
            e.inputs.iter().map(|v| env[v.index()].ok_or_else(lost)).collect::<Result<Values>>()?;
        b.set_origin(e.at.clone());
        let ys = b.try_emit(e.op.clone(), &xs)?;
        e.outputs.iter().zip(ys).for_each(|(v, y)| env[v.index()] = Some(y));
    }
    let outs = graph
        .outputs()
        .iter()
        .map(|v| env[v.index()].ok_or_else(lost))
        .collect::<Result<Values>>()?;
    let captures = order.into_iter().map(|i| captures[i].clone()).collect();
    Ok((b.finish(&outs)?, captures))
}
