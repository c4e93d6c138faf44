//! The traits that a backend implements.

use crate::{Buffer, CheckedArgs, CheckedCall, Profile, ProgramSummary, Stages};
use neurax_ir::{Error, Graph, Literal, Result};
use smallvec::SmallVec;
use std::{fmt::Debug, sync::Arc};

/// A compiler and executor of graphs: the reference interpreter, the compiler for the CPU, an
/// accelerator.
pub trait Backend: Debug + Send + Sync {
    /// Returns the name in `NEURAX_DEVICE` and in messages, e.g. `interp`.
    fn name(&self) -> &str;

    /// Returns the number of devices; they are numbered from 0.
    fn devices(&self) -> usize;

    /// Returns what the backend is, in one line, for a list of devices. Empty by default.
    fn description(&self) -> String {
        String::new()
    }

    /// Returns true if convolutions with constant weights are faster with their features last: see
    /// [`neurax_ir::passes::channels_last`]. False by default.
    fn prefers_channels_last(&self) -> bool {
        false
    }

    /// Returns true if products of quantized numbers are faster with integers than with floats: see
    /// [`neurax_ir::passes::integer_products`]. False by default.
    fn prefers_integer_products(&self) -> bool {
        false
    }

    /// Compiles `graph` for the device with index `device`.
    ///
    /// # Errors
    /// When the backend cannot run an op of the graph; the message names it.
    fn compile(&self, graph: &Graph, device: usize) -> Result<Arc<dyn Executable>>;

    /// Compiles `graph` as [`Backend::compile`] does, and logs its stages. The default
    /// implementation logs one stage; a backend with several logs each as `NAME/STAGE`.
    ///
    /// # Errors
    /// As [`Backend::compile`].
    fn compile_logged(
        &self,
        graph: &Graph,
        device: usize,
        stages: &mut Stages,
    ) -> Result<Arc<dyn Executable>> {
        let start = stages.start();
        let executable = self.compile(graph, device)?;
        stages.add(format!("{}/compile", self.name()), start, graph);
        Ok(executable)
    }

    /// Copies a value to a device. Backends that use host memory share it instead.
    ///
    /// # Errors
    /// When the device has not enough memory.
    fn upload(&self, value: Literal, device: usize) -> Result<Buffer>;

    /// Copies a value back to the host. Backends that use host memory share it instead.
    ///
    /// # Errors
    /// When the device cannot be read.
    fn download(&self, buffer: &Buffer) -> Result<Literal>;
}

/// The results of a run; most graphs that run eagerly have one.
pub type Results = SmallVec<[Buffer; 1]>;

/// The executable form of a graph. Any number of threads may run it simultaneously.
///
/// Types of arguments are compared once per call. [`Executable::run`] and [`Executable::run_into`]
/// are called with arguments of any types and compare them. The methods whose names end in
/// `_checked` take calls whose types were compared; an implementation need not do it again, but
/// must not rely on it for memory safety: see [`crate::CompiledGraph::assume_args`].
pub trait Executable: Debug + Send + Sync {
    /// Runs the graph on `args`. The memory of an argument that no other reference shares may be
    /// reused for a result (donation by ownership).
    ///
    /// # Errors
    /// When the arguments have other types than the inputs of the graph, an op fails at run time,
    /// or memory is short.
    fn run(&self, args: Vec<Buffer>) -> Result<Vec<Buffer>>;

    /// Runs the graph on `args` followed by `captures`, which stay the same from call to call, and
    /// writes the results into the memory of `outs`, which have the types of the results. An output
    /// whose memory is shared is replaced instead. The default implementation runs and copies.
    ///
    /// # Errors
    /// As [`Executable::run`].
    fn run_into(
        &self,
        args: &[&Buffer],
        captures: &[Buffer],
        outs: &mut [&mut Buffer],
    ) -> Result<()> {
        let results = self.run(args.iter().copied().chain(captures).cloned().collect())?;
        if results.len() != outs.len() {
            let (n, want) = (results.len(), outs.len());
            return Err(Error::bug(format!("a backend returned {n} results for {want} outputs")));
        }
        for (out, result) in outs.iter_mut().zip(results) {
            out.assign(result);
        }
        Ok(())
    }

    /// Returns the bytes that a call needs at most at a time, besides its arguments: results,
    /// intermediate values, scratch memory. `own` is true for results that the caller has memory
    /// for, and `is_donated` for arguments whose memory a result may reuse. The default is `None`,
    /// not known: it is checked that there is memory for the largest value.
    fn memory(&self, own: bool, is_donated: &dyn Fn(usize) -> bool) -> Option<usize> {
        let _ = (own, is_donated);
        None
    }

    /// Returns the steps of the program and its constants. The default is `None`, not known.
    fn summary(&self) -> Option<ProgramSummary> {
        None
    }

    /// Runs the graph `calls` times on `args`, at least once, and measures its steps.
    ///
    /// # Errors
    /// When the backend does not measure steps, which is the default; else as
    /// [`Executable::run`].
    fn profile(&self, args: &[Buffer], calls: u32) -> Result<Profile> {
        let _ = (args, calls);
        let why = "this device does not measure the steps of a program; \
                   the default device, native, does";
        Err(Error::new("profile", why))
    }

    /// Runs the graph as [`Executable::run`] does, on arguments whose types were compared.
    ///
    /// # Errors
    /// When an op fails at run time or memory is short.
    fn run_checked(&self, args: CheckedArgs) -> Result<Results> {
        Ok(self.run(args.into_inner().iter_mut().map(Buffer::take_from).collect())?.into())
    }

    /// Runs the graph as [`Executable::run_into`] does, on arguments and into outputs whose types
    /// were compared.
    ///
    /// # Errors
    /// As [`Executable::run_checked`].
    fn run_into_checked(&self, call: CheckedCall) -> Result<()> {
        let (args, captures, outs) = call.into_parts();
        self.run_into(args, captures, outs)
    }
}
