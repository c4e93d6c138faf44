//! The compiler's pipeline: `lower -> schedule -> codegen -> plan -> Program`.
//!
//! [`Compiler::compile`] is the whole pipeline, one named stage a line. Every stage is a pure
//! function of the results before it; `launch` runs what comes out and compiles nothing.
//!
//! | stage | from | to |
//! |---|---|---|
//! | `lower` | a graph | a graph without calls and composites, of ops that `schedule` classifies |
//! | `schedule` | a lowered graph | steps over buffers: fused kernels, library steps, copies |
//! | `codegen` | steps | tasks: kernels as machine code, library steps with their tiling |
//! | `plan` | steps and the memory that tasks ask for | an offset or an owner for every buffer |
//!
//! The bodies of loops and branches go through the same pipeline (`codegen` compiles them). Each
//! stage is logged by name with its time, its size and, on request, its text: `neurax inspect NAME
//! --stage schedule` prints it.

use crate::{
    code::Code,
    emit::CodegenTarget,
    kernel::{Kernel, verify},
    launch::{
        ChannelsLastTask, ControlTask, ConvolutionTask, FallbackTask, FftTask, KernelTask,
        ProductTask, Program, QuantizedDotTask, SortTask, SparseDotTask, Task, Tasks, WindowsTask,
        carried,
    },
    lower,
    plan::{self, Carried, MemoryPlan},
    schedule::{self, BufferId, EqnClass, KernelCall, ScheduledGraph, ScheduledStep},
    support::producer,
    tuning::MAX_CACHED_KERNELS,
};
use neurax_ir::{Eqn, Error, Graph, Op, Result, Value, composite::Composite};
use neurax_runtime::{Cache, Stages};
use rustc_hash::FxHasher;
use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

/// The compiler for one CPU. Kernels of one structure share their machine code.
#[derive(Debug)]
pub struct Compiler {
    target: CodegenTarget,
    kernels: Cache<Kernel, Arc<Code>>,
}

impl Compiler {
    /// Creates a compiler for the CPU of this machine.
    ///
    /// # Errors
    /// If the CPU is not supported.
    pub fn new() -> Result<Compiler> {
        Ok(Compiler { target: CodegenTarget::host()?, kernels: Cache::new(MAX_CACHED_KERNELS) })
    }

    /// Returns the number of kernels that were turned into machine code so far.
    pub fn generated(&self) -> usize {
        self.kernels.computed()
    }

    /// Compiles `graph` and logs every stage.
    ///
    /// # Errors
    /// If an op cannot be compiled; the error names its line.
    pub fn program(&self, graph: &Graph, log: &mut Stages) -> Result<Program> {
        self.compile("native", graph, None, log)
    }

    /// Compiles `graph`. Stages are logged below `name`; `carried` are the carried arguments if
    /// `graph` is the body of a loop.
    fn compile(
        &self,
        name: &str,
        graph: &Graph,
        carried: Option<Carried>,
        log: &mut Stages,
    ) -> Result<Program> {
        let mut log = StageLog { name, log };
        let graph = log.lower(graph)?;
        let schedule = log.schedule(|| schedule::schedule(&graph, self.target.has_fma), &graph)?;
        let tasks = log.codegen(|log| self.codegen(name, &graph, &schedule, log), &schedule)?;
        let plan = log.plan(|| plan::plan(&schedule, &tasks.memory(), carried), &schedule)?;
        Program::new(&graph, schedule, tasks, plan)
    }

    /// Generates code: one task for every step of `schedule`, and the programs of the graphs that
    /// loops and branches hold.
    fn codegen(
        &self,
        name: &str,
        graph: &Graph,
        schedule: &ScheduledGraph,
        log: &mut Stages,
    ) -> Result<Tasks> {
        let mut out = Tasks::default();
        for step in &schedule.steps {
            let task = match step {
                ScheduledStep::Kernel(call) => Task::Kernel(self.kernel(graph, schedule, call)?),
                ScheduledStep::Copy(from, to) => {
                    Task::Copy { from: *from, to: *to, bytes: schedule.buffers[*to].bytes()? }
                }
                ScheduledStep::Equation { eqn, class, reads, writes, epilogue } => {
                    let e = &graph.eqns()[*eqn];
                    let epilogue = epilogue.as_ref();
                    let epilogue = epilogue.map(|call| self.kernel(graph, schedule, call));
                    let epilogue = epilogue.transpose()?;
                    match *class {
                        EqnClass::Control => {
                            let first = out.inner.len();
                            self.regions(name, e, &mut out.inner, log)?;
                            let inner = &out.inner[first..];
                            Task::Control(ControlTask::new(graph, e, reads, writes, first, inner)?)
                        }
                        class => library_task(graph, e, class, reads, writes, epilogue)?,
                    }
                }
            };
            out.tasks.push(task);
        }
        Ok(out)
    }

    /// Compiles the graphs that `e`, a loop or a branch, holds, and appends them to `inner`.
    fn regions(
        &self,
        name: &str,
        e: &Eqn,
        inner: &mut Vec<Arc<Program>>,
        log: &mut Stages,
    ) -> Result<()> {
        for (i, region) in e.op.graphs().into_iter().enumerate() {
            let name = format!("{name}/{}-{}", e.op.name(), inner.len());
            let program = self.compile(&name, &region, carried(&e.op, i), log);
            inner.push(Arc::new(program.map_err(|x| x.at_origin(&e.at))?));
        }
        Ok(())
    }

    /// Returns the task of a kernel. An error names the line of the first value that it computes.
    fn kernel(
        &self,
        graph: &Graph,
        schedule: &ScheduledGraph,
        call: &KernelCall,
    ) -> Result<KernelTask> {
        let code = verify(&call.kernel, call.params.len()).and_then(|()| self.code(&call.kernel));
        let eqn = || producer(graph, schedule.first_result(call)?);
        let code = code.map_err(|x| match eqn() {
            Some(e) => x.at_origin(&e.at),
            None => x,
        })?;
        Ok(KernelTask::new(call, code))
    }

    /// Returns the machine code of `kernel`, from the cache if its structure was compiled before.
    fn code(&self, kernel: &Kernel) -> Result<Arc<Code>> {
        self.kernels.get_or_compute(
            hash_of(kernel),
            |k| k == kernel,
            || kernel.clone(),
            |k| Ok(Arc::new(self.target.compile(k)?)),
        )
    }
}

/// Returns the task of an equation that runs as a library step: a matrix product, a convolution,
/// windows, a sort, a Fourier transform, a factorization, or the fallback to the reference
/// interpreter.
fn library_task(
    graph: &Graph,
    e: &Eqn,
    class: EqnClass,
    reads: &[BufferId],
    writes: &[BufferId],
    epilogue: Option<KernelTask>,
) -> Result<Task> {
    Ok(match (&e.op, class) {
        (Op::DotGeneral(op), EqnClass::Product) => {
            let product = ProductTask::new(graph, e, op, reads, writes[0], epilogue)?;
            Task::Product(Box::new(product))
        }
        (Op::Convolution(op), EqnClass::Convolution) => {
            Task::Convolution(ConvolutionTask::new(graph, e, op, reads, writes[0], epilogue)?)
        }
        (Op::Composite(Composite::ChannelsLastConvolution(op)), EqnClass::ChannelsLast) => {
            let task = ChannelsLastTask::new(graph, e, op, reads, writes[0], epilogue);
            Task::ChannelsLast(Box::new(task.map_err(|bug| bug.at_origin(&e.at))?))
        }
        (Op::Composite(Composite::QuantizedDot(op)), EqnClass::QuantizedDot) => {
            let task = QuantizedDotTask::new(graph, e, op, reads, writes[0], epilogue);
            Task::QuantizedDot(Box::new(task.map_err(|bug| bug.at_origin(&e.at))?))
        }
        (op, EqnClass::Windows) => Task::Windows(WindowsTask::new(graph, e, op, reads, writes[0])?),
        (Op::Sort(op), EqnClass::Sort) => Task::Sort(SortTask::new(graph, e, op, reads, writes)?),
        (Op::Fft(op), EqnClass::Fft) => Task::Fft(FftTask::new(graph, e, op, reads[0], writes[0])),
        (_, EqnClass::SparseDot) => Task::SparseDot(SparseDotTask::new(graph, e, reads, writes)?),
        #[cfg(feature = "linalg")]
        (_, EqnClass::Factor) => {
            Task::Factor(crate::launch::FactorTask::new(graph, e, reads, writes)?)
        }
        (op, EqnClass::Fallback) => {
            let typed = |buffers: &[BufferId], values: &[Value]| {
                let types = values.iter().map(|&v| graph.ty(v).clone());
                buffers.iter().copied().zip(types).collect::<Vec<_>>()
            };
            let (reads, writes) = (typed(reads, &e.inputs), typed(writes, &e.outputs));
            Task::Fallback(FallbackTask::new(op, e.at.clone(), &reads, &writes)?)
        }
        (op, class) => {
            let what = format!("{} of class {class:?} has no task", op.name());
            return Err(Error::bug(what).at_origin(&e.at));
        }
    })
}

/// The log of one graph's stages. Each method runs a stage and logs its name, time, size and text.
struct StageLog<'a> {
    name: &'a str,
    log: &'a mut Stages,
}

impl StageLog<'_> {
    fn lower(&mut self, graph: &Graph) -> Result<Graph> {
        self.log.run(&format!("{}/lower", self.name), || lower::lower(graph))
    }

    fn schedule(
        &mut self,
        stage: impl FnOnce() -> Result<ScheduledGraph>,
        graph: &Graph,
    ) -> Result<ScheduledGraph> {
        self.run("schedule", |_| stage(), |s| (s.steps.len(), "steps"), |s| s.text(graph))
    }

    fn codegen(
        &mut self,
        stage: impl FnOnce(&mut Stages) -> Result<Tasks>,
        s: &ScheduledGraph,
    ) -> Result<Tasks> {
        self.run("kernels", stage, |_| (s.kernel_calls().count(), "kernels"), |_| s.kernels())
    }

    fn plan(
        &mut self,
        stage: impl FnOnce() -> Result<MemoryPlan>,
        s: &ScheduledGraph,
    ) -> Result<MemoryPlan> {
        self.run("plan", |_| stage(), |p| (p.block, "bytes"), |p| p.text(s))
    }

    fn run<T>(
        &mut self,
        stage: &str,
        run: impl FnOnce(&mut Stages) -> Result<T>,
        size: impl FnOnce(&T) -> (usize, &'static str),
        text: impl FnOnce(&T) -> String,
    ) -> Result<T> {
        let start = self.log.start();
        let out = run(self.log)?;
        self.log.add_other(format!("{}/{stage}", self.name), start, || size(&out), || text(&out));
        Ok(out)
    }
}

fn hash_of(kernel: &Kernel) -> u64 {
    let mut h = FxHasher::default();
    kernel.hash(&mut h);
    h.finish()
}
