//! The native compiler of Neurax: whole graphs to machine code for the CPU of this machine.
//!
//! [`Native`] is the backend. `compile.rs` has the pipeline in one function, `lower -> schedule ->
//! codegen -> plan -> Program`:
//!
//! | module | what it does |
//! |---|---|
//! | `lower` | inlines calls and composites, expands ops that have no kernel |
//! | `schedule` | chooses stored values, fuses equations into kernels, orders the steps |
//! | `kernel`, `emit` | the kernel IR, and its translation to machine code by Cranelift |
//! | `plan` | memory planning: in-place reuse, live ranges, donation |
//! | `launch` | runs programs: kernels, matrix products, convolutions, loops, fallbacks, threads |
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

mod address;
mod affine;
mod code;
mod compile;
mod emit;
mod kernel;
mod launch;
mod library;
mod lower;
mod plan;
mod schedule;
mod strided_view;
mod support;
mod tuning;
mod visits;

use compile::Compiler;
use launch::Pool;
use neurax_ir::{Graph, Literal, Result};
use neurax_runtime::{Backend, Buffer, Executable, Stages};
use std::sync::Arc;

/// The backend that compiles for the CPU. Clones share compiled kernels.
///
/// While a program runs, subnormal numbers of f32, f64 and bf16 count as zeros, as in XLA on CPUs,
/// since they slow it down many times.
#[derive(Clone, Debug)]
pub struct Native {
    compiler: Arc<Compiler>,
    /// The number of threads that run a program; `None` is the default.
    threads: Option<usize>,
}

impl Native {
    /// Creates a backend for the CPU of this machine. Programs run on `NEURAX_THREADS` threads, by
    /// default the number that the machine runs simultaneously; another value of the variable is an
    /// error of compiling.
    ///
    /// # Errors
    /// If the CPU is not supported; `NEURAX_DEVICE=interp` works everywhere.
    pub fn new() -> Result<Native> {
        Ok(Native { compiler: Arc::new(Compiler::new()?), threads: None })
    }

    /// Returns the same backend, sharing compiled kernels, whose programs run on `threads` threads,
    /// the caller's among them. The number of threads changes no bit of a result.
    ///
    /// # Examples
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

    /// Compiles `graph` and returns its stages as text: the lowered graph, the schedule (buffers,
    /// steps, and why steps were not fused), the kernels, the memory plan. The `stages` of a jitted
    /// function and `neurax inspect NAME --stage schedule` show the same.
    ///
    /// # Errors
    /// If an op cannot be compiled.
    pub fn explain(&self, graph: &Graph) -> Result<String> {
        let mut stages = Stages::with_texts();
        self.compiler.program(graph, &mut stages)?;
        Ok(stages.to_string())
    }

    /// Runs `graph` on `args` `rounds` times and returns the average time of each step as text. The
    /// steps of a loop or branch stand below it, with the time and number of their runs in a round.
    ///
    /// # Errors
    /// If an op cannot be compiled or run, or the types of `args` are not those of the inputs.
    pub fn profile(&self, graph: &Graph, args: &[Literal], rounds: u32) -> Result<String> {
        let args: Vec<Buffer> = args.iter().cloned().map(Buffer::from).collect();
        let profile = self.executable(graph, &mut Stages::muted())?.profile(&args, rounds)?;
        Ok(profile.steps().iter().map(|step| format!("{step}\n")).collect())
    }

    /// Returns the number of kernels that were compiled to machine code so far.
    pub fn kernels(&self) -> usize {
        self.compiler.generated()
    }

    fn executable(&self, graph: &Graph, stages: &mut Stages) -> Result<launch::NativeExecutable> {
        let program = self.compiler.program(graph, stages)?;
        launch::NativeExecutable::new(program, graph.input_types().to_vec(), self.pool()?)
    }

    /// Returns the threads that run programs.
    ///
    /// # Errors
    /// If `NEURAX_THREADS` is not a number of threads.
    fn pool(&self) -> Result<&'static Pool> {
        self.threads.map_or_else(Pool::global, |n| Ok(Pool::of(n)))
    }
}

impl Backend for Native {
    fn name(&self) -> &str {
        "native"
    }

    fn devices(&self) -> usize {
        1
    }

    fn description(&self) -> String {
        match self.pool() {
            Ok(pool) => format!("the compiler for this CPU, {} threads", pool.threads()),
            Err(e) => format!("the compiler for this CPU; {e}"),
        }
    }

    fn prefers_channels_last(&self) -> bool {
        true
    }

    fn prefers_integer_products(&self) -> bool {
        true
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
