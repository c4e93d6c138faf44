//! The compiler of Neurax: whole graphs to machine code for the CPU that it runs on.
//!
//! A graph goes through these stages, each a module: `lower` (calls and composites become their
//! bodies), `schedule` (which values are written to memory, what shares a loop nest), `kernel` (the
//! loop nests and their own small language), `emit` (machine code, by Cranelift), `plan` (where
//! arrays lie) and `launch` (steps over addresses). [`Native`] is the backend.
//!
//! ```
//! use neurax_ir::{Graph, Literal};
//! use neurax_native::Native;
//! use neurax_runtime::Device;
//! use std::sync::Arc;
//!
//! let device = Device::from_backend(Arc::new(Native::new()?), 0)?;
//! let graph = Graph::parse("graph(%0: f32[2]) {
//!   %1: f32[2] = multiply(%0, %0)
//!   return %1
//! }")?;
//! let x = device.upload(Literal::from_slice([2], &[1.0f32, 3.0])?)?;
//! let y = device.compile(&graph)?.run(vec![x])?;
//! assert_eq!(device.download(&y[0])?.to_vec::<f32>()?, [1.0, 9.0]);
//! # Ok::<(), neurax_ir::Error>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod affine;
mod code;
mod compile;
mod emit;
mod kernel;
mod launch;
mod lower;
mod plan;
mod schedule;
mod strided_view;
mod support;
mod tuning;

use compile::Compiler;
use launch::Pool;
use neurax_ir::{Error, Graph, Literal, Result};
use neurax_runtime::{Backend, Buffer, Executable, Stages};
use std::sync::Arc;

/// The backend. Clones share what was compiled.
///
/// While a program runs, subnormal numbers of f32, f64 and bf16 count as zeros, as in XLA on CPUs:
/// they would slow it down many times.
#[derive(Clone, Debug)]
pub struct Native {
    compiler: Arc<Compiler>,
    /// How many threads run a program; `None` is the usual number.
    threads: Option<usize>,
}

impl Native {
    /// A backend for this machine's CPU. Programs run on as many threads as `NEURAX_THREADS` says,
    /// or as the machine runs at once.
    ///
    /// # Errors
    /// When the CPU is not supported; `NEURAX_DEVICE=interp` works everywhere.
    pub fn new() -> Result<Native> {
        Ok(Native { compiler: Arc::new(Compiler::new()?), threads: None })
    }

    /// The same backend, sharing what it compiles, whose programs run on that many threads, the
    /// caller's own among them. The number changes no bit of a result.
    ///
    /// ```
    /// use neurax_native::Native;
    /// use neurax_runtime::Device;
    /// use std::sync::Arc;
    /// let device = Device::from_backend(Arc::new(Native::new()?.with_threads(1)), 0)?;
    /// assert_eq!(device.to_string(), "native:0");
    /// # Ok::<(), neurax_ir::Error>(())
    /// ```
    pub fn with_threads(&self, threads: usize) -> Native {
        Native { threads: Some(threads), ..self.clone() }
    }

    /// What a graph becomes, stage by stage, as text: the lowered graph, the schedule (which values
    /// are in memory, the steps, and why they are not fewer), the kernels, the memory plan. A
    /// jitted function shows the same with `stages`, an example with `neurax inspect NAME --stage
    /// schedule`.
    ///
    /// # Errors
    /// When an op cannot be compiled.
    pub fn explain(&self, graph: &Graph) -> Result<String> {
        let mut stages = Stages::with_texts();
        self.compiler.program(graph, &mut stages)?;
        Ok(stages.to_string())
    }

    /// How long each step of a graph takes on those arguments, on average over some rounds, as
    /// text. Below a loop or branch stand its own steps, with the time of all their runs in a
    /// round, and how many those are.
    ///
    /// # Errors
    /// When an op cannot be compiled or run, or arguments have other types than the graph's inputs.
    pub fn profile(&self, graph: &Graph, args: &[Literal], rounds: u32) -> Result<String> {
        if !args.iter().map(Literal::ty).eq(graph.input_types()) {
            return Err(Error::new(
                "profile",
                "the arguments do not have the types of the graph's inputs",
            ));
        }
        self.executable(graph, &mut Stages::muted())?.profile(args, rounds)
    }

    /// How many kernels were turned into machine code so far.
    pub fn kernels(&self) -> usize {
        self.compiler.generated()
    }

    fn executable(&self, graph: &Graph, stages: &mut Stages) -> Result<launch::NativeExecutable> {
        let program = self.compiler.program(graph, stages)?;
        let pool = self.threads.map_or_else(Pool::global, Pool::of);
        Ok(launch::NativeExecutable::new(program, graph.input_types().to_vec(), pool))
    }
}

impl Backend for Native {
    fn name(&self) -> &str {
        "native"
    }

    fn devices(&self) -> usize {
        1
    }

    fn compile(&self, graph: &Graph, device: usize) -> Result<Arc<dyn Executable>> {
        self.compile_logged(graph, device, &mut Stages::muted())
    }

    fn compile_logged(
        &self,
        graph: &Graph,
        _: usize,
        stages: &mut Stages,
    ) -> Result<Arc<dyn Executable>> {
        Ok(Arc::new(self.executable(graph, stages)?))
    }

    fn upload(&self, value: Literal, _: usize) -> Result<Buffer> {
        Ok(value.into())
    }

    fn download(&self, buffer: &Buffer) -> Result<Literal> {
        buffer.to_literal()
    }
}
