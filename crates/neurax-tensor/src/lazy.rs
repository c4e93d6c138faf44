//! Lazy constants: values that do not depend on a traced tensor and are computed when needed.
//!
//! `Tensor::zeros`, `arange`, `eye`, random numbers of a concrete key and the like return a
//! [`LazyConstant`]: a small closed graph with concrete arguments. Three things can happen to it:
//!
//! - Its value is needed (`to_vec`, an eager operation, an argument or a capture of a compiled
//!   function): the graph is compiled and run, once. The value is kept while other references
//!   exist, and what it was made from is dropped.
//! - The function that made it uses it together with a traced tensor: the equations of the graph
//!   are recorded in the trace.
//! - A function that did not make it uses it with a traced tensor: it is a capture, except for
//!   constants that cost less to compute than to read ([`is_cheap`]).
//!
//! Without this, `Tensor::zeros([4096, 4096])` inside a jitted function would be computed while
//! tracing, captured as an input of 64 MiB, and read from memory in every call. As equations it is
//! a broadcast of one constant, which the compiler fuses into its consumers. Random numbers that
//! are made outside of a jitted function, on the other hand, must not be computed in every call.
//!
//! A constant that reads a named `vmap` axis (`axis_index`) has no value outside of `vmap`;
//! operations on it are deferred as well ([`LazyConstant::reads_named_axis`]).
//!
//! # Invariants
//!
//! - The arguments of a lazy constant are computed before it is made, unless they read a named
//!   axis. So there are no chains of lazy constants, such as `(k, _) = k.split()` in a loop would
//!   make, whose length is that of the loop.

use crate::{
    Error, Result, Tensor, Type,
    debug::{WatchedArgs, watch},
    device::{Device, default_device, is_default},
    tensor::{CallSite, Repr},
    trace,
    tuning::MAX_CHEAP_EQNS,
};
use neurax_ir::{Graph, Op, OrBug, Place, op::Binary};
use neurax_runtime::Buffer;
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

/// A constant with the graph that computes it, or with its value once it was computed.
pub(crate) struct LazyConstant {
    /// The graph and its arguments; `None` once the value was computed, unless it is cheap.
    source: Mutex<Option<Arc<LazyGraph>>>,
    /// The time at which it was made, as [`trace::now`] counts it.
    made: u64,
    /// True if computing it costs less than reading its value from memory.
    is_cheap: bool,
    pub ty: Type,
    /// True if the graph reads a named axis, so that it has a value only inside `vmap`.
    pub reads_named_axis: bool,
    /// The value on the default device. An error is not kept: a clone that is computed later, when
    /// there is memory again, has a value.
    value: OnceLock<Buffer>,
    /// The values on other devices.
    elsewhere: Mutex<Vec<(Device, Buffer)>>,
    at: CallSite,
}

/// The computation of a lazy constant.
pub(crate) struct LazyGraph {
    /// The graph, with one output.
    pub graph: Graph,
    /// The arguments of the graph, which are concrete or read a named axis.
    pub args: Vec<Tensor>,
}

impl LazyConstant {
    /// Creates the tensor of the only output of `graph`. The arguments are computed.
    pub fn tensor(graph: Graph, mut args: Vec<Tensor>, at: CallSite) -> Tensor {
        for x in &mut args {
            if let Err(e) = x.compute_lazy() {
                return Tensor::error_at(e, at);
            }
        }
        let reads_named_axis = graph.eqns().iter().any(|e| e.op.uses_axis(None));
        let Some(&out) = graph.outputs().first() else {
            return Tensor::error_at(Error::bug("a lazy constant has no output"), at);
        };
        let ty = graph.ty(out).clone();
        Tensor(Repr::Lazy(Arc::new(LazyConstant {
            made: trace::now(),
            is_cheap: args.is_empty() && is_cheap(&graph),
            source: Mutex::new(Some(Arc::new(LazyGraph { graph, args }))),
            ty,
            reads_named_axis,
            value: OnceLock::new(),
            elsewhere: Mutex::default(),
            at,
        })))
    }

    /// Returns the value on `device`; it is moved out if this is the last reference.
    ///
    /// # Errors
    /// The error of compiling or running the graph.
    pub fn into_buffer(this: Arc<LazyConstant>, device: &Device) -> Result<Buffer> {
        match Arc::try_unwrap(this) {
            Ok(mut r) if is_default(device) => match r.value.take() {
                Some(v) => Ok(v),
                None => r.compute(device),
            },
            Ok(r) => r.value_on(device),
            Err(shared) => shared.as_arg(device).map(Cow::into_owned),
        }
    }

    /// Returns the value if it was computed and is on `device`.
    pub fn computed_on(&self, device: &Device) -> Option<&Buffer> {
        self.value.get().filter(|_| is_default(device))
    }

    /// Returns the value on `device` for reading. It is computed once.
    ///
    /// # Errors
    /// The error of compiling or running the graph.
    pub fn as_arg(&self, device: &Device) -> Result<Cow<'_, Buffer>> {
        if !is_default(device) {
            return self.value_on(device).map(Cow::Owned);
        }
        self.kept_value(device).map(Cow::Borrowed)
    }

    /// Returns the value on `device`, the default device. It is computed if there is none yet; of
    /// the results of threads that compute simultaneously, one is kept.
    ///
    /// # Errors
    /// The error of compiling or running the graph.
    fn kept_value(&self, device: &Device) -> Result<&Buffer> {
        match self.value.get() {
            Some(value) => Ok(value),
            None => {
                let value = self.compute(device)?;
                let value = self.value.get_or_init(|| value);
                self.release_source();
                Ok(value)
            }
        }
    }

    /// Returns the value on `device`, another one than the default device, as
    /// [`LazyConstant::kept_value`] does.
    ///
    /// # Errors
    /// The error of compiling or running the graph.
    fn value_on(&self, device: &Device) -> Result<Buffer> {
        let kept = lock(&self.elsewhere).iter().find(|(d, _)| d == device).map(|(_, v)| v.clone());
        if let Some(value) = kept {
            return Ok(value);
        }
        let value = self.compute(device)?;
        lock(&self.elsewhere).push((device.clone(), value.clone()));
        self.release_source();
        Ok(value)
    }

    /// Drops the graph and its arguments, as there is a value. A cheap constant keeps its graph,
    /// which fuses into the functions that use it.
    fn release_source(&self) {
        if !self.is_cheap {
            *lock(&self.source) = None;
        }
    }

    /// Returns the graph and its arguments; `None` if the value was computed and has replaced them.
    pub fn source(&self) -> Option<Arc<LazyGraph>> {
        lock(&self.source).clone()
    }

    /// Returns the computation if trace `id` records it again instead of capturing the value: the
    /// constant has no value, it is cheap, or the traced function has made it.
    pub fn inlined_source(&self, id: u64) -> Option<Arc<LazyGraph>> {
        let is_inlined = self.reads_named_axis || self.is_cheap || self.made > id;
        self.source().filter(|_| is_inlined)
    }

    /// Returns the address of the value, which is computed for it; 0 if that fails.
    pub fn address(&self) -> usize {
        let Ok(device) = default_device() else { return 0 };
        self.kept_value(device).map_or(0, Buffer::address)
    }

    /// Returns the value on any device, once it was computed and has replaced the graph.
    fn any_value(&self) -> Result<Tensor> {
        if let Some(value) = self.value.get() {
            return Ok(Tensor::concrete(value.clone(), None));
        }
        let value = lock(&self.elsewhere).first().cloned();
        let (device, value) = value.or_bug("a lazy constant has neither a graph nor a value")?;
        Ok(Tensor::concrete(value, Some(device)))
    }

    fn compute(&self, device: &Device) -> Result<Buffer> {
        let run = || {
            let Some(source) = self.source() else {
                return self.any_value()?.into_buffer("constant", device);
            };
            let args = source.args.iter().map(|x| x.clone().into_buffer("constant", device));
            let (args, graph) = (args.collect::<Result<Vec<_>>>()?, &source.graph);
            let compiled = device.compile(graph)?;
            let mut results = match watch() {
                Some(watch) => watch.run(device, graph, &compiled, args, WatchedArgs::Operands)?,
                None => compiled.run(args)?,
            };
            results.pop().or_bug("a lazy constant has no result")
        };
        run().map_err(|e: Error| e.at(&Place::Source(self.at)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns true if computing the graph costs less than reading its result: a few of the operations
/// that a fused loop performs faster than memory is read.
fn is_cheap(graph: &Graph) -> bool {
    let is_cheap = |op: &Op| match op {
        Op::Binary(op) => matches!(op, Binary::Add | Binary::Sub | Binary::Mul),
        Op::Constant(_)
        | Op::Iota(_)
        | Op::Broadcast(_)
        | Op::Reshape(_)
        | Op::Convert(_)
        | Op::Compare(_)
        | Op::Select(_) => true,
        _ => false,
    };
    graph.eqns().len() <= MAX_CHEAP_EQNS && graph.eqns().iter().all(|e| is_cheap(&e.op))
}
