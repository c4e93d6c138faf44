//! [`CachedTrace`]: a trace of a jitted function with its compiled graph, and how it is called.

use crate::{
    Result, Tensor, Tree,
    device::{Device, unless_default},
    dispatch::{Outs, apply_graph, device_of, tensors},
    tensor::CallSite,
    trace::is_in_body,
    traced_fn::TracedFn,
    tuning::{MAX_PROFILED_CALLS, PROFILE_TIME},
};
use neurax_ir::Place;
use neurax_runtime::{Buffer, CompiledGraph, Profile};
use smallvec::SmallVec;
use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

/// One trace, with its compiled graph.
pub(crate) struct CachedTrace<O> {
    pub traced: TracedFn<O>,
    /// The line of the call of `jit`.
    pub at: CallSite,
    /// The device on which it ran first, and the compiled graph there.
    pub(super) compiled: OnceLock<(Device, Arc<CompiledGraph>)>,
}

/// The arguments of a run.
type Buffers<'a> = SmallVec<[Cow<'a, Buffer>; 8]>;

/// Returns true if a call may reuse the memory of `x`, which is moved into it.
pub(crate) fn is_donated(x: &Tensor) -> bool {
    x.is_unshared() == Some(true)
}

impl<O: Tree> CachedTrace<O> {
    /// Runs the trace on the leaves of an argument.
    ///
    /// # Errors
    /// The error of an operand, of compiling or of running.
    pub fn call(&self, leaves: Vec<Tensor>) -> Result<Outs> {
        let compiled = self.compiled_to_run(leaves.iter())?;
        self.execute(compiled, leaves)
    }

    /// Returns the compiled graph as [`CachedTrace::compiled`] does, after a check of memory, or
    /// `None` if a trace records the call.
    ///
    /// # Errors
    /// The error of tracing or compiling; when there is not enough memory.
    pub fn compiled_to_run<'t>(
        &'t self,
        leaves: impl Iterator<Item = &'t Tensor> + Clone,
    ) -> Result<Option<(Device, Arc<CompiledGraph>)>> {
        if is_in_body() {
            return Ok(None);
        }
        let compiled = self.compiled(leaves.clone())?;
        if let Some((_, compiled)) = &compiled {
            self.check_memory(compiled, leaves)?;
        }
        Ok(compiled)
    }

    /// Returns the device on which the trace runs on `leaves`.
    ///
    /// # Errors
    /// As [`crate::default_device`].
    pub(super) fn device_for<'t>(
        &'t self,
        leaves: impl Iterator<Item = &'t Tensor>,
    ) -> Result<&'t Device> {
        device_of(leaves.chain(&self.traced.captures))
    }

    /// Returns the compiled graph for the device of the leaves and captures, or `None` if one of
    /// them is traced.
    ///
    /// # Errors
    /// The error of tracing or compiling.
    pub fn compiled<'t>(
        &'t self,
        leaves: impl Iterator<Item = &'t Tensor> + Clone,
    ) -> Result<Option<(Device, Arc<CompiledGraph>)>> {
        if !leaves.clone().chain(&self.traced.captures).all(Tensor::has_value) {
            return Ok(None);
        }
        let device = self.device_for(leaves)?;
        if let Some(compiled) = self.compiled.get().filter(|(d, _)| d == device) {
            return Ok(Some(compiled.clone()));
        }
        let program = self.traced.graph().and_then(|graph| device.compile(graph));
        let program = program.map_err(|e| e.at(&Place::Source(self.at)))?;
        let compiled = (device.clone(), program);
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
    fn check_memory<'t>(
        &self,
        compiled: &CompiledGraph,
        leaves: impl Iterator<Item = &'t Tensor>,
    ) -> Result<()> {
        let inputs = leaves.zip(&self.traced.is_input).filter(|(_, i)| **i);
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
        let Some((device, compiled)) = self.compiled(leaves.iter())? else {
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

    /// Runs the compiled graph, whose memory the caller has checked. Without one, a trace records
    /// the equations.
    ///
    /// # Errors
    /// The error of an operand or of running.
    pub fn execute(
        &self,
        compiled: Option<(Device, Arc<CompiledGraph>)>,
        mut leaves: Vec<Tensor>,
    ) -> Result<Outs> {
        let Some((device, compiled)) = compiled else {
            return apply_graph(self.traced.graph()?, self.traced.operands(leaves), self.at);
        };
        let args = self.buffers(&mut leaves, &device);
        let mut args = args.map_err(|e| e.at(&Place::Source(self.at)))?;
        // The lookup of the trace has compared the types of the leaves; captures keep theirs.
        let results = compiled.run_checked(compiled.assume_args(&mut args));
        let results = results.map_err(|e| e.at(&Place::Source(self.at)))?;
        Ok(tensors(results, unless_default(&device)))
    }
}
