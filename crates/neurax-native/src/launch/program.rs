//! A compiled program: the tasks of a schedule with their memory plan, and how they run.

#![allow(unsafe_code, reason = "tasks run over addresses, which are set up here")]

use super::{
    control::{self, ControlTask},
    convolution::ConvolutionTask,
    fallback::FallbackTask,
    fft::FftTask,
    frame::Frame,
    kernel::KernelTask,
    pool::Pool,
    product::ProductTask,
    sort::SortTask,
    subnormal::with_subnormals,
    windows::WindowsTask,
};
use crate::address::Address;
use crate::{
    plan::{Location, MemoryPlan, OutputSource, StepMemory},
    schedule::{BufferId, ScheduledGraph, ScheduledStep},
    support::producer,
};
use neurax_ir::{Error, Graph, Literal, Op, Result, Type, Value};
use neurax_runtime::{ProfiledStep, ProgramSummary};
use std::{collections::BTreeSet, sync::Arc, time::Instant};

/// A compiled graph.
#[derive(Debug)]
pub struct Program {
    /// The types of the results.
    pub(super) outputs: Vec<Type>,
    pub(super) schedule: ScheduledGraph,
    pub(super) plan: MemoryPlan,
    constants: Vec<Literal>,
    tasks: Vec<Task>,
    /// For each result, the buffers that live in its memory, one after the other.
    output_buffers: Vec<Vec<BufferId>>,
    /// For each result that is a copy of another buffer, that buffer and the size in bytes.
    aliased_outputs: Vec<Option<(BufferId, usize)>>,
    /// The programs of loops and branches.
    pub(super) inner: Vec<Arc<Program>>,
}

/// A step that is ready to run.
#[derive(Debug)]
pub enum Task {
    /// A fused loop nest.
    Kernel(KernelTask),
    /// A matrix product.
    Product(Box<ProductTask>),
    /// A convolution.
    Convolution(ConvolutionTask),
    /// A convolution with features last.
    ChannelsLast(Box<super::ChannelsLastTask>),
    /// A product of quantized numbers.
    QuantizedDot(Box<super::QuantizedDotTask>),
    /// Sliding windows.
    Windows(WindowsTask),
    /// A sort.
    Sort(SortTask),
    /// A discrete Fourier transform.
    Fft(FftTask),
    /// A product of a sparse matrix.
    SparseDot(super::SparseDotTask),
    /// A factorization of matrices.
    #[cfg(feature = "linalg")]
    Factor(super::FactorTask),
    /// A loop or a branch.
    Control(ControlTask),
    /// An op on the reference interpreter.
    Fallback(FallbackTask),
    /// A copy, unless both buffers share memory.
    Copy {
        /// The buffer that is read.
        from: BufferId,
        /// The buffer that is written.
        to: BufferId,
        /// The size in bytes.
        bytes: usize,
    },
}

impl Task {
    /// Returns the memory that the task asks of the plan.
    pub fn memory(&self) -> StepMemory {
        match self {
            Task::Control(c) => c.memory(),
            Task::Product(p) => StepMemory { scratch: p.scratch(), ..StepMemory::default() },
            Task::Sort(s) => StepMemory { in_place: s.in_place(), ..StepMemory::default() },
            Task::Fft(t) => StepMemory { in_place: t.in_place(), scratch: t.spare() },
            Task::Kernel(_)
            | Task::ChannelsLast(_)
            | Task::QuantizedDot(_)
            | Task::Convolution(_)
            | Task::Windows(_)
            | Task::SparseDot(_)
            | Task::Fallback(_)
            | Task::Copy { .. } => StepMemory::default(),
            #[cfg(feature = "linalg")]
            Task::Factor(_) => StepMemory::default(),
        }
    }
}

impl Task {
    /// Returns the kind of the step in one or two words.
    fn kind(&self) -> &'static str {
        match self {
            Task::Kernel(_) => "kernel",
            Task::Product(_) => "product",
            Task::QuantizedDot(_) => "quantized product",
            Task::ChannelsLast(_) | Task::Convolution(_) => "convolution",
            Task::Windows(_) => "windows",
            Task::Sort(_) => "sort",
            Task::Fft(_) => "Fourier transform",
            Task::SparseDot(_) => "sparse product",
            #[cfg(feature = "linalg")]
            Task::Factor(_) => "factorization",
            Task::Control(_) => "loop or branch",
            Task::Fallback(_) => "reference interpreter",
            Task::Copy { .. } => "copy",
        }
    }

    /// Returns the bytes that the task allocates at most at a time when it runs on `threads`
    /// threads.
    fn scratch(&self, threads: usize) -> usize {
        match self {
            Task::ChannelsLast(c) => c.scratch(threads),
            Task::Convolution(c) => c.scratch(threads),
            Task::Windows(w) => w.scratch(threads),
            Task::Sort(s) => s.scratch(threads),
            Task::Fft(t) => t.scratch(threads),
            Task::SparseDot(t) => t.scratch(),
            #[cfg(feature = "linalg")]
            Task::Factor(t) => t.scratch(threads),
            Task::Fallback(f) => f.scratch(),
            // empty: the plan has their memory, or it is bounded by a constant.
            Task::Kernel(_)
            | Task::Product(_)
            | Task::QuantizedDot(_)
            | Task::Control(_)
            | Task::Copy { .. } => 0,
        }
    }
}

/// The tasks of a schedule, in the order of its steps.
#[derive(Debug, Default)]
pub struct Tasks {
    /// One task for every step.
    pub tasks: Vec<Task>,
    /// The programs of loops and branches.
    pub inner: Vec<Arc<Program>>,
}

impl Tasks {
    /// Returns the memory that every task asks for.
    pub fn memory(&self) -> Vec<StepMemory> {
        self.tasks.iter().map(Task::memory).collect()
    }
}

impl Program {
    /// Creates the program of `graph` from what the compiler's stages left.
    ///
    /// # Errors
    /// If a constant of the schedule is not a constant of the graph, an error of this crate.
    pub fn new(
        graph: &Graph,
        schedule: ScheduledGraph,
        Tasks { tasks, inner }: Tasks,
        plan: MemoryPlan,
    ) -> Result<Program> {
        let constant = |v: Value| match producer(graph, v).map(|e| &e.op) {
            Some(Op::Constant(c)) => Ok(c.value.clone()),
            _ => Err(Error::bug(format!("value %{} is not a constant", v.0))),
        };
        let constants =
            schedule.constants.iter().map(|&(_, v)| constant(v)).collect::<Result<_>>()?;
        let mut output_buffers = vec![vec![]; schedule.outputs.len()];
        for (b, location) in plan.locations.iter().enumerate() {
            if let Location::Output(o) = *location {
                output_buffers[o].push(b);
            }
        }
        let aliased = |source: &OutputSource| match *source {
            OutputSource::Own => Ok(None),
            OutputSource::CopyOf(b) => Ok(Some((b, schedule.buffers[b].bytes()?))),
        };
        let aliased_outputs = plan.outputs.iter().map(aliased).collect::<Result<_>>()?;
        Ok(Program {
            outputs: graph.output_types(),
            schedule,
            plan,
            constants,
            tasks,
            output_buffers,
            aliased_outputs,
            inner,
        })
    }

    /// Creates the frame of a call whose block begins at `base`.
    pub fn frame(&self, base: Address) -> Frame {
        let mut inner = vec![];
        for (task, &at) in self.tasks.iter().zip(&self.plan.scratch) {
            if let Task::Control(c) = task {
                let block = base.plus((at + c.inner_block()) as isize);
                inner.extend(self.inner[c.programs()].iter().map(|p| p.frame(block)));
            }
        }
        let address = |location: &Location| match *location {
            Location::Block(at) => base.plus(at as isize),
            Location::Constant(i) => Address(self.constants[i].bytes().as_ptr().cast_mut()),
            Location::Input(_) | Location::Output(_) => base,
        };
        Frame {
            base,
            slots: self.plan.locations.iter().map(address).collect(),
            inner,
            operands: vec![],
            step_times: vec![],
        }
    }

    /// Sets the addresses of the arguments.
    pub(super) fn set_inputs(&self, f: &mut Frame, inputs: &[Address]) {
        self.schedule.inputs.iter().zip(inputs).for_each(|(&b, &a)| f.slots[b] = a);
    }

    /// Sets the addresses of the results.
    pub(super) fn set_outputs(&self, f: &mut Frame, outputs: &[Address]) {
        outputs.iter().enumerate().for_each(|(o, &a)| self.set_output(f, o, a));
    }

    /// Sets the address of result `o` to `a`, and of the buffers that live in its memory before it.
    /// A result that is a copy of another buffer has none: see [`Program::copy_aliased_output`].
    pub(super) fn set_output(&self, f: &mut Frame, o: usize, a: Address) {
        self.output_buffers[o].iter().for_each(|&b| f.slots[b] = a);
    }

    /// Returns the buffer of input `i`.
    pub(super) fn input(&self, i: usize) -> BufferId {
        self.schedule.inputs[i]
    }

    /// Runs all tasks in order.
    ///
    /// # Errors
    /// The errors of an op that runs on the reference interpreter.
    ///
    /// # Safety
    /// The frame is of this program, and its slots hold the addresses of the arguments and results.
    /// No other thread writes them, or reads those that are written.
    pub unsafe fn run(&self, f: &mut Frame, pool: &Pool) -> Result<()> {
        for i in 0..self.tasks.len() {
            let start = (!f.step_times.is_empty()).then(Instant::now);
            // SAFETY: as promised by the caller; all other slots point into the frame's own block,
            // or to constants.
            unsafe { self.step(i, f, pool)? }
            if let Some(start) = start {
                f.step_times[i].0 += start.elapsed();
                f.step_times[i].1 += 1;
            }
        }
        Ok(())
    }

    /// Runs task `i`.
    ///
    /// # Safety
    /// As [`Program::run`]; the tasks before task `i` have run.
    unsafe fn step(&self, i: usize, f: &mut Frame, pool: &Pool) -> Result<()> {
        let scratch = f.base.plus(self.plan.scratch[i] as isize);
        // SAFETY: as promised by the caller of `run`.
        unsafe {
            match &self.tasks[i] {
                Task::Kernel(k) => k.run(f, pool),
                Task::Product(p) => p.run(f, pool, scratch),
                Task::ChannelsLast(c) => c.run(f, pool),
                Task::QuantizedDot(q) => q.run(f, pool),
                Task::Convolution(c) => c.run(f, pool),
                Task::Windows(w) => w.run(&f.slots, pool),
                Task::Sort(s) => s.run(&f.slots, pool),
                Task::Fft(t) => t.run(&f.slots, pool, scratch),
                Task::SparseDot(t) => t.run(&f.slots, pool),
                #[cfg(feature = "linalg")]
                Task::Factor(t) => t.run(&f.slots, pool),
                Task::Control(c) => control::run(c, self, f, pool, scratch)?,
                Task::Fallback(r) => with_subnormals(|| r.run(&f.slots))?,
                Task::Copy { from, to, bytes } => f.slots[*to].copy_from(f.slots[*from], *bytes),
            }
        }
        Ok(())
    }

    /// Returns the bytes that its tasks allocate at most at a time when they run on `threads`
    /// threads: scratch memory and the results of the reference interpreter.
    pub(super) fn scratch(&self, threads: usize) -> usize {
        let own = self.tasks.iter().map(|task| task.scratch(threads)).fold(0, usize::max);
        self.inner.iter().map(|p| p.scratch(threads)).fold(own, usize::max)
    }

    /// Adds the steps of the program, and of those of its loops and branches.
    pub(super) fn summarize(&self, out: &mut ProgramSummary) {
        out.equations += self.schedule.equations.iter().map(Vec::len).sum::<usize>();
        out.constant_bytes += self.constants.iter().map(|c| c.bytes().len()).sum::<usize>();
        self.tasks.iter().for_each(|task| *out.steps.entry(task.kind()).or_default() += 1);
        self.inner.iter().for_each(|p| p.summarize(out));
    }

    /// Starts to measure the time of every step that runs in `f`.
    pub(super) fn start_profiling(&self, f: &mut Frame) {
        f.step_times = vec![Default::default(); self.tasks.len()];
        self.inner.iter().zip(&mut f.inner).for_each(|(p, f)| p.start_profiling(f));
    }

    /// Appends every step to `out` with its time divided by `rounds`, and below loops and branches
    /// the steps of their programs.
    ///
    /// # Errors
    /// If a buffer has no size, which would be a bug.
    pub(super) fn times(
        &self,
        f: &Frame,
        rounds: u32,
        depth: usize,
        out: &mut Vec<ProfiledStep>,
    ) -> Result<()> {
        let steps = self.schedule.steps.iter().zip(&self.schedule.equations);
        for (((step, equations), task), &(time, runs)) in steps.zip(&self.tasks).zip(&f.step_times)
        {
            out.push(ProfiledStep {
                equations: equations.clone(),
                text: step.brief(),
                time: time / rounds,
                runs: runs as f64 / rounds as f64,
                bytes: self.bytes_of(step)?,
                depth,
            });
            if let Task::Control(c) = task {
                let each = |i: usize| self.inner[i].times(&f.inner[i], rounds, depth + 1, out);
                c.programs().try_for_each(each)?;
            }
        }
        Ok(())
    }

    /// Returns the bytes that a step reads and writes: those of its arrays, each once for reading
    /// and once for writing.
    ///
    /// # Errors
    /// If a buffer has no size, which would be a bug.
    fn bytes_of(&self, step: &ScheduledStep) -> Result<u64> {
        let uses: BTreeSet<(BufferId, bool)> = step.uses().collect();
        uses.iter().map(|(b, _)| Ok(self.schedule.buffers[*b].bytes()? as u64)).sum()
    }

    /// Copies result `o` to `to` if it is an alias of another buffer (an input, a constant, or a
    /// buffer that is another result, too).
    ///
    /// # Safety
    /// As [`Program::run`], and `to` has room for the result.
    pub(super) unsafe fn copy_aliased_output(&self, f: &Frame, o: usize, to: Address) {
        if let Some((b, bytes)) = self.aliased_outputs[o] {
            // SAFETY: as promised by the caller.
            unsafe { to.copy_from(f.slots[b], bytes) }
        }
    }
}
