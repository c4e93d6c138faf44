//! Lazy constants: values that do not depend on a traced tensor and are computed when needed.
//!
//! `Tensor::zeros`, `arange`, `eye`, random numbers of a concrete key and the like return a
//! [`LazyConstant`]: a small closed graph with small concrete arguments. Two things can happen to
//! it:
//!
//! - Its value is needed (`to_vec`, an eager operation, an argument of a compiled function): the
//!   graph is compiled and run. The value is kept while other references exist.
//! - It meets a traced tensor: the equations of the graph are recorded in the trace.
//!
//! Without this, `Tensor::zeros([4096, 4096])` inside a jitted function would be computed while
//! tracing, captured as an input of 64 MiB, and read from memory in every call. As equations it is
//! a broadcast of one constant, which the compiler fuses into its consumers.
//!
//! A constant that reads a named `vmap` axis (`axis_index`) has no value outside of `vmap`;
//! operations on it are deferred as well ([`LazyConstant::reads_named_axis`]).

use crate::{
    Error, Result, Tensor, Type,
    device::{Device, default_device, is_default},
    tensor::{CallSite, Repr},
};
use neurax_ir::{Graph, OrBug, Place};
use neurax_runtime::Buffer;
use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

/// The graph of a constant, and its value once it was computed.
pub(crate) struct LazyConstant {
    /// The graph, with one output.
    pub graph: Graph,
    /// The concrete arguments of the graph.
    pub args: Vec<Tensor>,
    pub ty: Type,
    /// True if the graph reads a named axis, so that it has a value only inside `vmap`.
    pub reads_named_axis: bool,
    /// The value on the default device. An error is not kept: a clone that is computed later, when
    /// there is memory again, has a value.
    value: OnceLock<Buffer>,
    at: CallSite,
}

impl LazyConstant {
    /// Creates the tensor of the only output of `graph`.
    pub fn tensor(graph: Graph, args: Vec<Tensor>, at: CallSite) -> Tensor {
        let reads_named_axis = graph.eqns().iter().any(|e| e.op.uses_axis(None));
        let Some(&out) = graph.outputs().first() else {
            return Tensor::error_at(Error::bug("a lazy constant has no output"), at);
        };
        let ty = graph.ty(out).clone();
        Tensor(Repr::Lazy(Arc::new(LazyConstant {
            graph,
            args,
            ty,
            reads_named_axis,
            value: OnceLock::new(),
            at,
        })))
    }

    /// Returns the value on `device`; it is moved out if this is the last reference.
    ///
    /// # Errors
    /// The error of compiling or running the graph.
    pub fn into_buffer(this: Arc<LazyConstant>, device: &Device) -> Result<Buffer> {
        if !is_default(device) {
            return this.compute(device);
        }
        match Arc::try_unwrap(this) {
            Ok(mut r) => match r.value.take() {
                Some(v) => Ok(v),
                None => r.compute(device),
            },
            Err(shared) => shared.kept_value(device).cloned(),
        }
    }

    /// Returns the value if it was computed and is on `device`.
    pub fn computed_on(&self, device: &Device) -> Option<&Buffer> {
        self.value.get().filter(|_| is_default(device))
    }

    /// Returns the value on `device` for reading. On the default device it is computed once.
    ///
    /// # Errors
    /// The error of compiling or running the graph.
    pub fn as_arg(&self, device: &Device) -> Result<Cow<'_, Buffer>> {
        if !is_default(device) {
            return self.compute(device).map(Cow::Owned);
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
                Ok(self.value.get_or_init(|| value))
            }
        }
    }

    /// Returns the address of the value, which is computed for it; 0 if that fails.
    pub fn address(&self) -> usize {
        let Ok(device) = default_device() else { return 0 };
        self.kept_value(device).map_or(0, Buffer::address)
    }

    fn compute(&self, device: &Device) -> Result<Buffer> {
        let run = || {
            let args = self
                .args
                .iter()
                .map(|x| x.clone().into_buffer("constant", device))
                .collect::<Result<Vec<_>>>()?;
            device.compile(&self.graph)?.run(args)?.pop().or_bug("a lazy constant has no result")
        };
        run().map_err(|e: Error| e.at(&Place::Source(self.at)))
    }
}
