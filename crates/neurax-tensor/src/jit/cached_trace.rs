//! [`CachedTrace`]: a trace of a jitted function with its compiled graph, and how it is called.

use crate::{
    Error, Result, Tensor, Tree,
    debug::{ValueWatch, WatchedArgs, nan_cause, watch},
    device::{Device, unless_default},
    dispatch::{Outs, apply_graph, device_of, tensors},
    tensor::CallSite,
    trace::is_in_body,
    traced_fn::TracedFn,
    tree::{AnyTree, rebuild},
    tuning::{MAX_PROFILED_CALLS, PROFILE_TIME},
};
use neurax_ir::{OrBug, Place};
use neurax_runtime::{Buffer, CompiledGraph, Profile};
use smallvec::SmallVec;
use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

/// One trace, with its compiled graph.
pub(crate) struct CachedTrace {
    pub traced: TracedFn,
    /// The structure of the result, with placeholders for leaves.
    out: Box<dyn AnyTree>,
    /// The line of the call of `jit`.
    pub at: CallSite,
    /// The device on which it ran first, and the compiled graph there.
    compiled: OnceLock<(Device, Arc<CompiledGraph>)>,
}

/// References to the leaves of an argument.
pub(crate) type LeafRefs<'t> = SmallVec<[&'t Tensor; 16]>;

/// Returns references to `leaves`.
pub(crate) fn refs(leaves: &[Tensor]) -> LeafRefs<'_> {
    leaves.iter().collect()
}

/// The arguments of a run.
type Buffers<'a> = SmallVec<[Cow<'a, Buffer>; 8]>;

/// Returns true if a call may reuse the memory of `x`, which is moved into it.
pub(crate) fn is_donated(x: &Tensor) -> bool {
    x.is_unshared() == Some(true)
}

impl CachedTrace {
    /// Creates the entry of a traced function whose result has the structure of `out`.
    pub fn new(traced: TracedFn, out: Box<dyn AnyTree>, at: CallSite) -> CachedTrace {
        CachedTrace { traced, out, at, compiled: OnceLock::new() }
    }

    /// Returns the result with `leaves`.
    ///
    /// # Errors
    /// If the result of the function is no `O`, which would be a bug.
    pub fn result<O: Tree>(&self, leaves: Outs) -> Result<O> {
        let out = self.out.downcast().or_bug("a trace has a result of another type")?;
        Ok(rebuild(out, leaves))
    }

    /// Runs the trace on the leaves of an argument. Returns the leaves of the result: all with the
    /// error, if an operand carries one, or if compiling or running fails.
    pub fn call(&self, leaves: Vec<Tensor>, at: CallSite) -> Outs {
        let compiled = self.compiled_to_run(&refs(&leaves));
        let outs = compiled.and_then(|compiled| self.execute(compiled.as_ref(), leaves, watch()));
        self.traced.fill_or_fail(outs, at)
    }

    /// Returns the compiled graph as [`CachedTrace::compiled`] does, after a check of memory, or
    /// `None` if a trace records the call.
    ///
    /// # Errors
    /// The error of tracing or compiling; when there is not enough memory.
    pub fn compiled_to_run(
        &self,
        leaves: &[&Tensor],
    ) -> Result<Option<(Device, Arc<CompiledGraph>)>> {
        if is_in_body() {
            return Ok(None);
        }
        let compiled = self.compiled(leaves)?;
        if let Some((device, compiled)) = &compiled {
            let inputs = leaves.iter().zip(&self.traced.is_input).filter(|(_, i)| **i);
            for x in inputs.map(|(x, _)| *x).chain(&self.traced.captures) {
                x.keep_lazy_value(device)?;
            }
            self.check_memory(compiled, leaves)?;
        }
        Ok(compiled)
    }

    /// Returns the device on which the trace runs on `leaves`.
    ///
    /// # Errors
    /// As [`crate::default_device`].
    pub fn device_for(&self, leaves: &[&Tensor]) -> Result<Device> {
        device_of(leaves.iter().copied().chain(&self.traced.captures))
    }

    /// Returns the compiled graph for the device of the leaves and captures, or `None` if one of
    /// them is traced.
    ///
    /// # Errors
    /// The error of tracing or compiling.
    pub fn compiled(&self, leaves: &[&Tensor]) -> Result<Option<(Device, Arc<CompiledGraph>)>> {
        let captures = self.traced.captures.iter();
        if !leaves.iter().copied().chain(captures).all(Tensor::has_value) {
            return Ok(None);
        }
        let device = self.device_for(leaves)?;
        if let Some(compiled) = self.compiled.get().filter(|(d, _)| *d == device) {
            return Ok(Some(compiled.clone()));
        }
        let program = self.traced.graph().and_then(|graph| device.compile(graph));
        let program = program.map_err(|e| e.at(&Place::Source(self.at)))?;
        let compiled = (device, program);
        // Has no effect if there is one for another device.
        let _ = self.compiled.set(compiled.clone());
        Ok(Some(compiled))
    }

    /// Moves the arguments of a run out of `leaves`, and returns them followed by the captures.
    ///
    /// # Errors
    /// The error of an operand, or of moving one to `device`.
    fn buffers<'a>(&'a self, leaves: &'a mut [Tensor], device: &Device) -> Result<Buffers<'a>> {
        let mut args = Buffers::new();
        for (x, _) in leaves.iter_mut().zip(&self.traced.is_input).filter(|(_, i)| **i) {
            args.push(x.take_arg("jit", device)?);
        }
        for x in &self.traced.captures {
            args.push(x.as_arg("jit", device)?);
        }
        Ok(args)
    }

    /// Checks that there is memory for a call on `leaves`, those of which that no other tensor
    /// shares are donated.
    ///
    /// # Errors
    /// When there is not enough memory.
    fn check_memory(&self, compiled: &CompiledGraph, leaves: &[&Tensor]) -> Result<()> {
        let inputs = leaves.iter().zip(&self.traced.is_input).filter(|(_, i)| **i);
        let donated: SmallVec<[bool; 64]> = inputs.map(|(x, _)| is_donated(x)).collect();
        // empty: captures follow, and are not donated.
        let is_donated = |i: usize| donated.get(i) == Some(&true);
        compiled.check_memory(&is_donated).map_err(|e| e.at(&Place::Source(self.at)))
    }

    /// Measures the steps of the compiled graph on `leaves`.
    ///
    /// # Errors
    /// The error of an operand, of compiling or running, or if the device does not measure steps.
    pub(super) fn profile(&self, mut leaves: Vec<Tensor>) -> Result<Profile> {
        let Some((device, compiled)) = self.compiled(&refs(&leaves))? else {
            return Err(crate::tensor::no_value("profile"));
        };
        let args = self.buffers(&mut leaves, &device)?;
        let args: Vec<Buffer> = args.into_iter().map(Cow::into_owned).collect();
        let first = compiled.profile(&args, 1)?;
        let calls = PROFILE_TIME.as_nanos() / first.total().as_nanos().max(1);
        match calls.min(MAX_PROFILED_CALLS as u128) as u32 {
            0 | 1 => Ok(first),
            calls => compiled.profile(&args, calls),
        }
    }

    /// Runs the graph on `leaves`, equation by equation. Returns the error that names what made the
    /// first NaN or infinity, if there is one.
    ///
    /// # Errors
    /// The error of an operand or of running.
    pub(super) fn nan_cause(&self, mut leaves: Vec<Tensor>) -> Result<Option<Error>> {
        if !leaves.iter().chain(&self.traced.captures).all(Tensor::has_value) {
            return Err(crate::tensor::no_value("nan_cause"));
        }
        let device = self.device_for(&refs(&leaves))?;
        let args = self.buffers(&mut leaves, &device)?;
        let args: Vec<Buffer> = args.into_iter().map(Cow::into_owned).collect();
        let kind = WatchedArgs::Leaves(self.traced.arg_count());
        nan_cause(&device, self.traced.graph()?, &args, kind)
    }

    /// Runs the compiled graph on `device` with checks of values.
    ///
    /// # Errors
    /// The findings of the checks; else as [`CachedTrace::execute`].
    pub fn execute_watched(
        &self,
        watch: ValueWatch,
        device: &Device,
        compiled: &CompiledGraph,
        mut leaves: Vec<Tensor>,
    ) -> Result<Outs> {
        let args = self.buffers(&mut leaves, device)?.into_iter().map(Cow::into_owned).collect();
        let kind = WatchedArgs::Leaves(self.traced.arg_count());
        let results = watch.run(device, self.traced.graph()?, compiled, args, kind)?;
        Ok(tensors(results.into(), unless_default(device)))
    }

    /// Runs the compiled graph, whose memory the caller has checked, with checks of values if there
    /// is a `watch`. Without a compiled graph, a trace records the equations.
    ///
    /// # Errors
    /// The error of an operand or of running.
    pub fn execute(
        &self,
        compiled: Option<&(Device, Arc<CompiledGraph>)>,
        mut leaves: Vec<Tensor>,
        watch: Option<ValueWatch>,
    ) -> Result<Outs> {
        let Some((device, compiled)) = compiled else {
            return apply_graph(self.traced.graph()?, self.traced.operands(leaves), self.at);
        };
        if let Some(watch) = watch {
            let outs = self.execute_watched(watch, device, compiled, leaves);
            return outs.map_err(|e| e.at(&Place::Source(self.at)));
        }
        let args = self.buffers(&mut leaves, device);
        let mut args = args.map_err(|e| e.at(&Place::Source(self.at)))?;
        // The lookup of the trace has compared the types of the leaves; captures keep theirs.
        let results = compiled.run_checked(compiled.assume_args(&mut args));
        let results = results.map_err(|e| e.at(&Place::Source(self.at)))?;
        Ok(tensors(results, unless_default(device)))
    }
}
