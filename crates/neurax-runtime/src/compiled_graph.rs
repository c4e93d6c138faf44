//! [`CompiledGraph`]: an executable with its signature, which checks calls before they run.

use crate::{
    Buffer, CheckedArgs, CheckedCall, Executable, Profile, ProgramSummary, Results,
    tuning::{CHECKED_BYTES, LARGE_VALUE_BYTES},
};
use neurax_ir::{Error, Graph, Result, Type, check_memory, check_types};
use std::{borrow::Cow, sync::Arc};

/// A compiled graph with its signature: an [`Executable`] of a backend, and the types of its
/// arguments and results.
#[derive(Debug)]
pub struct CompiledGraph {
    inputs: Vec<Type>,
    outputs: Vec<Type>,
    /// The type of the largest value, for the error of a call that does not fit into memory.
    largest: Option<Type>,
    /// The bytes that a call needs besides its arguments and results, if they are known.
    call_bytes: Option<usize>,
    executable: Arc<dyn Executable>,
}

impl CompiledGraph {
    /// Creates the compiled form of `graph`.
    pub(crate) fn new(graph: &Graph, executable: Arc<dyn Executable>) -> CompiledGraph {
        CompiledGraph {
            inputs: graph.input_types().to_vec(),
            outputs: graph.output_types(),
            largest: largest(graph),
            // Asked before the first call, whose memory the executable may keep.
            call_bytes: executable.memory(true, &|_| false),
            executable,
        }
    }

    /// Returns the types of the arguments.
    pub fn inputs(&self) -> &[Type] {
        &self.inputs
    }

    /// Returns the types of the results.
    pub fn outputs(&self) -> &[Type] {
        &self.outputs
    }

    /// Returns the bytes that a call needs besides its arguments and results: intermediate values
    /// and scratch memory. `None` if the backend does not know.
    pub fn call_bytes(&self) -> Option<usize> {
        self.call_bytes
    }

    /// Returns the steps of the program and its constants; `None` if the backend does not know.
    pub fn summary(&self) -> Option<ProgramSummary> {
        self.executable.summary()
    }

    /// Runs the graph; see [`Executable::run`].
    ///
    /// # Errors
    /// When the arguments have other types than the inputs; else the error of the executable.
    pub fn run(&self, args: Vec<Buffer>) -> Result<Vec<Buffer>> {
        let mut args: Vec<Cow<'_, Buffer>> = args.into_iter().map(Cow::Owned).collect();
        let args = self.check_args(&mut args)?;
        self.check_memory(&|i| args.0[i].is_unique())?;
        Ok(self.run_checked(args)?.into_vec())
    }

    /// Runs the graph and writes the results into `outs`; see [`Executable::run_into`].
    ///
    /// # Errors
    /// When the arguments or `outs` have other types than the graph; else the error of the
    /// executable.
    pub fn run_into(
        &self,
        args: &[&Buffer],
        captures: &[Buffer],
        outs: &mut [&mut Buffer],
    ) -> Result<()> {
        let call = self.check_call(args, captures, outs)?;
        self.check_memory_into()?;
        self.run_into_checked(call)
    }

    /// Measures the steps of `calls` runs on `args`; see [`Executable::profile`].
    ///
    /// # Errors
    /// When the arguments have other types than the inputs, or the backend does not measure steps;
    /// else the error of the executable.
    pub fn profile(&self, args: &[Buffer], calls: u32) -> Result<Profile> {
        check_types("profile", "arguments", self.inputs(), args.iter().map(Buffer::ty))?;
        self.check_memory(&|_| false)?;
        self.executable.profile(args, calls)
    }

    /// Runs the graph on arguments of [`CompiledGraph::check_args`] or
    /// [`CompiledGraph::assume_args`], after [`CompiledGraph::check_memory`]: neither types nor
    /// memory are checked again.
    ///
    /// # Errors
    /// The error of the executable.
    pub fn run_checked(&self, args: CheckedArgs) -> Result<Results> {
        if cfg!(debug_assertions) && !args.0.iter().map(|b| b.ty()).eq(&self.inputs) {
            return Err(wrong_types());
        }
        self.executable.run_checked(args)
    }

    /// Runs a call of [`CompiledGraph::check_call`] or [`CompiledGraph::assume_call`], as
    /// [`CompiledGraph::run_checked`] does.
    ///
    /// # Errors
    /// The error of the executable.
    pub fn run_into_checked(&self, call: CheckedCall) -> Result<()> {
        let args = call.args.iter().copied().chain(call.captures).map(Buffer::ty);
        let outs = call.outs.iter().map(|b| b.ty());
        if cfg!(debug_assertions) && !(args.eq(&self.inputs) && outs.eq(&self.outputs)) {
            return Err(wrong_types());
        }
        self.executable.run_into_checked(call)
    }

    /// Compares the types of `args` with those of the inputs.
    ///
    /// # Errors
    /// When they differ.
    pub fn check_args<'a, 'b>(
        &self,
        args: &'a mut [Cow<'b, Buffer>],
    ) -> Result<CheckedArgs<'a, 'b>> {
        let types = args.iter().map(|b| b.ty());
        check_types("run", "arguments", self.inputs(), types)?;
        Ok(CheckedArgs(args))
    }

    /// Trusts the caller that `args` have the types of the inputs, because it found this
    /// graph by them. If they have not, the call may fail or give any result, but it is not
    /// undefined behavior; with debug assertions it is an error.
    pub fn assume_args<'a, 'b>(&self, args: &'a mut [Cow<'b, Buffer>]) -> CheckedArgs<'a, 'b> {
        CheckedArgs(args)
    }

    /// Compares the types of a call that writes its results into `outs`. The arguments are `args`,
    /// followed by `captures`, which stay the same from call to call.
    ///
    /// # Errors
    /// When the arguments or the outputs have other types than the graph.
    pub fn check_call<'a, 'b>(
        &self,
        args: &'a [&'a Buffer],
        captures: &'a [Buffer],
        outs: &'a mut [&'b mut Buffer],
    ) -> Result<CheckedCall<'a, 'b>> {
        let types = args.iter().copied().chain(captures).map(Buffer::ty);
        check_types("run", "arguments", self.inputs(), types)?;
        let types = outs.iter().map(|b| b.ty());
        check_types("run", "outputs", self.outputs(), types)?;
        Ok(CheckedCall { args, captures, outs })
    }

    /// Trusts the caller that a call has the types of the graph, as
    /// [`CompiledGraph::assume_args`] does.
    pub fn assume_call<'a, 'b>(
        &self,
        args: &'a [&'a Buffer],
        captures: &'a [Buffer],
        outs: &'a mut [&'b mut Buffer],
    ) -> CheckedCall<'a, 'b> {
        CheckedCall { args, captures, outs }
    }

    /// Checks that there is memory for a call: for the results, all intermediate values that exist
    /// simultaneously, and scratch memory. [`CompiledGraph::run`] does this, too; a caller that
    /// donates arguments checks before, so that an allocation that would fail consumes none of
    /// them. `is_donated` is true for arguments that it donates.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn check_memory(&self, is_donated: &dyn Fn(usize) -> bool) -> Result<()> {
        self.check_bytes(self.executable.memory(false, is_donated))
    }

    /// Checks as [`CompiledGraph::check_memory`] does, for a call that writes its results into
    /// buffers of the caller.
    ///
    /// # Errors
    /// As [`CompiledGraph::check_memory`].
    pub fn check_memory_into(&self) -> Result<()> {
        self.check_bytes(self.executable.memory(true, &|_| false))
    }

    /// Checks that there is memory for `bytes`, or for the largest value if they are not known, or
    /// if it is so large that a program which only passes through its elements would not end.
    fn check_bytes(&self, bytes: Option<usize>) -> Result<()> {
        // empty: the graph has no values.
        let largest = self.largest.as_ref().map_or(Ok(0), Type::bytes)?;
        let least = if largest >= LARGE_VALUE_BYTES { largest } else { 0 };
        let bytes = bytes.map_or(largest, |bytes| bytes.max(least));
        if bytes < CHECKED_BYTES {
            return Ok(());
        }
        check_memory(bytes).map_err(|e| match &self.largest {
            Some(ty) => {
                let why = format!(
                    "not enough memory for {ty} and what is computed with it, {bytes} bytes; \
                     use smaller shapes or batches"
                );
                Error::new("memory", why)
            }
            None => e,
        })
    }
}

/// Returns the error of a call whose types were taken for granted and are wrong.
fn wrong_types() -> Error {
    Error::new(
        "run",
        "expected the types that the graph was found by, got others; \
         if a type implements `Tree` by hand, its `visit` and `into_leaves` disagree",
    )
}

/// Returns the type of the largest value of a graph and of the graphs in it.
fn largest(graph: &Graph) -> Option<Type> {
    let own = graph.types().iter().cloned();
    let nested = graph.eqns().iter().flat_map(|e| e.op.graphs()).filter_map(|g| largest(&g));
    own.chain(nested).max_by_key(|t| t.bytes().unwrap_or(usize::MAX))
}
