//! Programs: a graph's steps with their code and memory, and how they are made.

#![allow(unsafe_code, reason = "steps run over addresses, which are set up here")]

use super::{
    control::{self, ControlTask},
    convolution::ConvolutionTask,
    fallback::FallbackTask,
    frame::{Address, Frame},
    kernel::KernelTask,
    pool::Pool,
    product::ProductTask,
    sort::SortTask,
    subnormal::with_subnormals,
    windows::WindowsTask,
};
use crate::{
    code::Code,
    emit::Target,
    kernel::{Kernel, verify},
    lower,
    plan::{Location, MemoryPlan, OutputSource, StepMemory, plan},
    schedule::{self, BufferId, EqnClass, KernelCall, Schedule, Step, classify},
};
use neurax_ir::{Error, Graph, Literal, Op, Result, Type, Value};
use neurax_runtime::{Cache, Stages};
use rustc_hash::FxHasher;
use std::{
    hash::{Hash, Hasher},
    sync::Arc,
    time::Instant,
};

/// Makes programs. Kernels of one structure share their machine code.
#[derive(Debug)]
pub struct Compiler {
    target: Target,
    kernels: Cache<Kernel, Arc<Code>>,
}

/// Kernels that are kept. Beyond that the one unused for longest is compiled again when it is
/// needed.
const KERNELS: usize = 4096;

impl Compiler {
    /// A compiler for this machine's CPU.
    ///
    /// # Errors
    /// When it is not supported.
    pub fn new() -> Result<Compiler> {
        Ok(Compiler { target: Target::host()?, kernels: Cache::new(KERNELS) })
    }

    /// How many kernels were turned into machine code.
    pub fn generated(&self) -> usize {
        self.kernels.computed()
    }

    /// The program of a graph; its stages are logged.
    ///
    /// # Errors
    /// When an op cannot be compiled, with its place.
    pub fn program(&self, graph: &Graph, log: &mut Stages) -> Result<Program> {
        self.program_of("native", graph, None, log)
    }

    /// The program of a graph that goes by that name, and may be the body of a loop, which carries
    /// that many values, the first of them argument number so-and-so.
    fn program_of(
        &self,
        name: &str,
        graph: &Graph,
        carried: Option<(usize, usize)>,
        log: &mut Stages,
    ) -> Result<Program> {
        let graph = log.run(&format!("{name}/lower"), || lower::lower(graph))?;
        let start = log.start();
        let schedule = schedule::schedule(&graph, self.target.has_fma)?;
        log.add_other(
            format!("{name}/schedule"),
            start,
            || (schedule.steps.len(), "steps"),
            || schedule.text(&graph),
        );
        let constant = |v: Value| match schedule::producer(&graph, v).map(|e| &e.op) {
            Some(Op::Constant(c)) => Ok(c.value.clone()),
            _ => Err(Error::new("native", format!("%{} is not a constant", v.0))),
        };
        let constants =
            schedule.constants.iter().map(|&(_, v)| constant(v)).collect::<Result<_>>()?;
        let start = log.start();
        let mut inner = vec![];
        let mut tasks = vec![];
        for step in &schedule.steps {
            tasks.push(self.task(name, &graph, &schedule, step, &mut inner, log)?);
        }
        log.add_other(
            format!("{name}/kernels"),
            start,
            || (schedule.nests().count(), "kernels"),
            || schedule.kernels(),
        );
        let start = log.start();
        let needs: Vec<StepMemory> = tasks.iter().map(Task::needs).collect();
        let plan = plan(&schedule, &needs, carried);
        log.add_other(
            format!("{name}/plan"),
            start,
            || (plan.block, "bytes"),
            || plan.text(&schedule),
        );
        let in_memory_of = |o| {
            (0..schedule.buffers.len()).filter(|&b| plan.homes[b] == Location::Output(o)).collect()
        };
        let tenants = (0..schedule.outputs.len()).map(in_memory_of).collect();
        Ok(Program {
            outputs: graph.output_types(),
            schedule,
            plan,
            constants,
            tasks,
            tenants,
            inner,
        })
    }

    fn code(&self, kernel: &Kernel) -> Result<Arc<Code>> {
        self.kernels.get_or_compute(
            hash_of(kernel),
            |k| k == kernel,
            || kernel.clone(),
            |k| Ok(Arc::new(self.target.compile(k)?)),
        )
    }

    fn kernel(&self, n: &KernelCall) -> Result<KernelTask> {
        verify(&n.kernel, n.params.len())?;
        Ok(KernelTask::new(n, self.code(&n.kernel)?))
    }

    fn task(
        &self,
        name: &str,
        graph: &Graph,
        s: &Schedule,
        step: &Step,
        inner: &mut Vec<Arc<Program>>,
        log: &mut Stages,
    ) -> Result<Task> {
        Ok(match step {
            Step::Kernel(n) => Task::Kernel(self.kernel(n)?),
            Step::Copy(from, to) => {
                Task::Copy { from: *from, to: *to, bytes: s.buffers[*to].bytes()? }
            }
            Step::Equation { eqn, reads, writes, epilogue } => {
                let e = &graph.eqns()[*eqn];
                let epilogue = epilogue.as_ref().map(|n| self.kernel(n)).transpose()?;
                match (&e.op, classify(graph, e)) {
                    (Op::DotGeneral(op), EqnClass::Product) => {
                        Task::Product(ProductTask::new(graph, e, op, reads, writes[0], epilogue)?)
                    }
                    (Op::Convolution(op), EqnClass::Convolution) => Task::Convolution(
                        ConvolutionTask::new(graph, e, op, reads, writes[0], epilogue)?,
                    ),
                    (op, EqnClass::Windows) => {
                        Task::Windows(WindowsTask::new(graph, e, op, reads, writes[0])?)
                    }
                    (Op::Sort(op), EqnClass::Sort) => {
                        Task::Sort(SortTask::new(graph, e, op, reads, writes))
                    }
                    (Op::Scan(_) | Op::While(_) | Op::Cond(_), EqnClass::Control) => {
                        let first = inner.len();
                        for g in e.op.graphs() {
                            let name = format!("{name}/{}-{}", e.op.name(), inner.len());
                            let inside = self
                                .program_of(&name, &g, control::carried(&e.op), log)
                                .map_err(|x| x.at_origin(&e.at))?;
                            inner.push(Arc::new(inside));
                        }
                        Task::Control(ControlTask::new(
                            graph,
                            e,
                            reads,
                            writes,
                            first,
                            &inner[first..],
                        )?)
                    }
                    (op, _) => {
                        let types = e.inputs.iter().map(|&v| graph.ty(v).clone());
                        let reads = reads.iter().copied().zip(types).collect();
                        Task::Fallback(FallbackTask::new(
                            op,
                            e.at.clone(),
                            reads,
                            writes.clone().into(),
                        ))
                    }
                }
            }
        })
    }
}

fn hash_of(kernel: &Kernel) -> u64 {
    let mut h = FxHasher::default();
    kernel.hash(&mut h);
    h.finish()
}

/// A compiled graph.
#[derive(Debug)]
pub struct Program {
    /// The types of the results.
    pub(super) outputs: Vec<Type>,
    pub(super) schedule: Schedule,
    pub(super) plan: MemoryPlan,
    constants: Vec<Literal>,
    tasks: Vec<Task>,
    /// The arrays that are, one after the other, in the memory of each result that is written
    /// there.
    tenants: Vec<Vec<BufferId>>,
    /// The programs of loops and branches.
    pub(super) inner: Vec<Arc<Program>>,
}

/// One step, ready to run.
#[derive(Debug)]
enum Task {
    Kernel(KernelTask),
    Product(ProductTask),
    Convolution(ConvolutionTask),
    Windows(WindowsTask),
    Sort(SortTask),
    Control(ControlTask),
    Fallback(FallbackTask),
    Copy { from: BufferId, to: BufferId, bytes: usize },
}

impl Task {
    /// What it asks of the plan.
    fn needs(&self) -> StepMemory {
        match self {
            Task::Control(c) => c.needs(),
            Task::Product(p) => StepMemory { scratch: p.scratch(), ..StepMemory::default() },
            Task::Sort(s) => StepMemory { shares: s.shares(), ..StepMemory::default() },
            _ => StepMemory::default(),
        }
    }
}

impl Program {
    /// The places of one call whose block begins there.
    pub fn frame(&self, base: Address) -> Frame {
        let mut inner = vec![];
        for (task, &at) in self.tasks.iter().zip(&self.plan.scratch) {
            if let Task::Control(c) = task {
                let block = base.plus((at + c.inner_block()) as isize);
                inner.extend(self.inner[c.programs()].iter().map(|p| p.frame(block)));
            }
        }
        let address = |home: &Location| match *home {
            Location::Block(at) => base.plus(at as isize),
            Location::Constant(i) => Address(self.constants[i].bytes().as_ptr().cast_mut()),
            Location::Input(_) | Location::Output(_) => base,
        };
        Frame {
            base,
            slots: self.plan.homes.iter().map(address).collect(),
            inner,
            operands: vec![],
            results: vec![],
            step_times: vec![],
        }
    }

    /// Sets the places of the arguments.
    pub(super) fn set_inputs(&self, f: &mut Frame, inputs: impl Iterator<Item = Address>) {
        self.schedule.inputs.iter().zip(inputs).for_each(|(&b, a)| f.slots[b] = a);
    }

    /// Sets the places of the results.
    pub(super) fn set_outputs(&self, f: &mut Frame, outputs: impl Iterator<Item = Address>) {
        f.results.clear();
        f.results.extend(outputs);
        for o in 0..f.results.len() {
            self.set_output(f, o, f.results[o]);
        }
    }

    /// Sets the place of a result, unless it is a copy, and of all that is in its memory before.
    pub(super) fn set_output(&self, f: &mut Frame, o: usize, a: Address) {
        self.tenants[o].iter().for_each(|&b| f.slots[b] = a);
    }

    /// The array of an input.
    pub(super) fn input(&self, i: usize) -> BufferId {
        self.schedule.inputs[i]
    }

    /// Runs all steps.
    ///
    /// # Errors
    /// What an op that is left to the language says.
    ///
    /// # Safety
    /// The frame is one of this program, and its slots hold the addresses of arguments and results,
    /// which nobody else writes, nor reads if they are written.
    pub unsafe fn run(&self, f: &mut Frame, pool: &Pool) -> Result<()> {
        for i in 0..self.tasks.len() {
            let start = (!f.step_times.is_empty()).then(Instant::now);
            // SAFETY: as promised by the caller; everything else in the slots is the frame's own,
            // or a constant.
            unsafe { self.step(i, f, pool)? }
            if let Some(start) = start {
                f.step_times[i].0 += start.elapsed();
                f.step_times[i].1 += 1;
            }
        }
        Ok(())
    }

    unsafe fn step(&self, i: usize, f: &mut Frame, pool: &Pool) -> Result<()> {
        let scratch = f.base.plus(self.plan.scratch[i] as isize);
        // SAFETY: as promised by the caller of `run`.
        unsafe {
            match &self.tasks[i] {
                Task::Kernel(k) => k.run(f, pool),
                Task::Product(p) => p.run(f, pool, scratch)?,
                Task::Convolution(c) => c.run(f, pool)?,
                Task::Windows(w) => w.run(&f.slots, pool),
                Task::Sort(s) => s.run(&f.slots, pool),
                Task::Control(c) => control::run(c, self, f, pool, scratch)?,
                Task::Fallback(r) => with_subnormals(|| r.run(&f.slots))?,
                Task::Copy { from, to, bytes } => f.slots[*to].copy_from(f.slots[*from], *bytes),
            }
        }
        Ok(())
    }

    /// From now on the time is taken of every step that runs in that frame.
    pub(super) fn start_profiling(&self, f: &mut Frame) {
        f.step_times = vec![Default::default(); self.tasks.len()];
        self.inner.iter().zip(&mut f.inner).for_each(|(p, f)| p.start_profiling(f));
    }

    /// What was seen: for every step its time, divided by the rounds, and below loops and branches
    /// the steps in them.
    pub(super) fn times(&self, f: &Frame, rounds: u32, indent: usize, out: &mut String) {
        for ((step, task), &(time, runs)) in
            self.schedule.steps.iter().zip(&self.tasks).zip(&f.step_times)
        {
            let each = if runs == rounds {
                String::new()
            } else {
                format!(" ({} times)", runs as f64 / rounds as f64)
            };
            out.push_str(&format!(
                "{:9.1} us  {:indent$}{}{each}\n",
                time.as_secs_f64() * 1e6 / rounds as f64,
                "",
                step.brief()
            ));
            if let Task::Control(c) = task {
                c.programs()
                    .for_each(|i| self.inner[i].times(&f.inner[i], rounds, indent + 2, out));
            }
        }
    }

    /// Copies results that are another array into `to`.
    ///
    /// # Safety
    /// As [`Program::run`], and `to` has room for the result.
    pub(super) unsafe fn give(&self, f: &Frame, o: usize, to: Address) {
        if let OutputSource::CopyOf(b) = self.plan.gives[o] {
            let bytes = self.schedule.buffers[b].bytes().unwrap_or(0);
            // SAFETY: as promised by the caller.
            unsafe { to.copy_from(f.slots[b], bytes) }
        }
    }
}
