//! What a backend answers.

use crate::{Buffer, Stages};
use neurax_ir::{Graph, Literal, Result};
use std::{fmt::Debug, sync::Arc};

/// Something that compiles graphs and runs them: the oracle, the compiler for this machine's CPU,
/// an accelerator.
pub trait Backend: Debug + Send + Sync {
    /// The name that `NEURAX_DEVICE` and messages use, e.g. `interp`.
    fn name(&self) -> &str;

    /// How many devices it has; they are numbered from 0.
    fn devices(&self) -> usize;

    /// Compiles a graph for one of its devices.
    ///
    /// # Errors
    /// When the backend cannot run an op of the graph; the message names it.
    fn compile(&self, graph: &Graph, device: usize) -> Result<Arc<dyn Executable>>;

    /// Compiles a graph as `compile` does, and logs the stages that it goes through. The default
    /// logs one; a backend with stages of its own logs each, named `NAME/STAGE`.
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

    /// Brings a value to a device. Host backends share its memory.
    ///
    /// # Errors
    /// When the device has no room.
    fn upload(&self, value: Literal, device: usize) -> Result<Buffer>;

    /// Brings a value back. Host backends share its memory.
    ///
    /// # Errors
    /// When the device cannot be read.
    fn download(&self, buffer: &Buffer) -> Result<Literal>;
}

/// A compiled graph. Any number of threads may run it at once.
pub trait Executable: Debug + Send + Sync {
    /// Runs it. An argument that nobody else holds may be reused for a result (donation by
    /// ownership).
    ///
    /// # Errors
    /// When a value has no result, or memory is short.
    fn run(&self, args: Vec<Buffer>) -> Result<Vec<Buffer>>;

    /// Runs it on `args`, and behind them `held` (what stays the same from call to call), and
    /// writes the results into the memory of `outs`, which have the results' types. An output whose
    /// memory is shared is replaced instead. The default runs and copies.
    ///
    /// # Errors
    /// As [`Executable::run`].
    fn run_into(&self, args: &[&Buffer], held: &[Buffer], outs: &mut [&mut Buffer]) -> Result<()> {
        let results = self.run(args.iter().copied().chain(held).cloned().collect())?;
        for (out, result) in outs.iter_mut().zip(results) {
            out.assign(result);
        }
        Ok(())
    }
}
