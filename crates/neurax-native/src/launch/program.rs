//! Programs: a graph's steps with their code and memory, and how they are made.

#![allow(unsafe_code, reason = "steps run over addresses, which are set up here")]

use super::{
    control::{self, ControlTask},
    convolution::ConvolutionTask,
    frame::{Address, Frame},
    kernel::KernelTask,
    pool::Pool,
    product::ProductTask,
    reference::ReferenceTask,
    windows::WindowsTask,
};
use crate::{
    code::Code,
    emit::Target,
    kernel::{Kernel, verify},
    lower,
    plan::{Gives, Home, Plan, plan},
    schedule::{self, BufferId, Class, Nest, Schedule, Step, classify},
};
use neurax_ir::{Bytes, Error, Graph, Literal, Op, Result, Type, Value};
use neurax_runtime::{Buffer, Cache};
use rustc_hash::FxHasher;
use std::{
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

/// Makes programs. Kernels of one structure share their machine code.
#[derive(Debug)]
pub struct Compiler {
    target: Target,
    kernels: Cache<Kernel, Arc<Code>>,
}

/// Kernels that are kept. Beyond that the one unused for longest is compiled again when it is needed.
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

    /// The program of a graph.
    ///
    /// # Errors
    /// When an op cannot be compiled, with its place.
    pub fn program(&self, graph: &Graph) -> Result<Program> {
        let graph = lower::lower(graph)?;
        let schedule = schedule::schedule(&graph, self.target.has_fma)?;
        let plan = plan(&schedule);
        let constant = |v: Value| {
            let made = graph.eqns().iter().find(|e| e.outputs.contains(&v));
            match made.map(|e| &e.op) {
                Some(Op::Constant(c)) => Ok(c.value.clone()),
                _ => Err(Error::new("native", format!("%{} is not a constant", v.0))),
            }
        };
        let constants = schedule.constants.iter().map(|&(_, v)| constant(v)).collect::<Result<_>>()?;
        let mut inner = vec![];
        let mut tasks = vec![];
        for step in &schedule.steps {
            tasks.push(self.task(&graph, &schedule, step, &mut inner)?);
        }
        Ok(Program { outputs: graph.output_types(), schedule, plan, constants, tasks, inner })
    }

    fn code(&self, kernel: &Kernel) -> Result<Arc<Code>> {
        let mut h = FxHasher::default();
        kernel.hash(&mut h);
        self.kernels.get_or_compute(h.finish(), |k| k == kernel, || kernel.clone(), |k| Ok(Arc::new(self.target.compile(k)?)))
    }

    fn kernel(&self, n: &Nest) -> Result<KernelTask> {
        verify(&n.kernel, n.params.len())?;
        Ok(KernelTask::new(n, self.code(&n.kernel)?))
    }

    fn task(&self, graph: &Graph, s: &Schedule, step: &Step, inner: &mut Vec<Arc<Program>>) -> Result<Task> {
        Ok(match step {
            Step::Kernel(n) => Task::Kernel(self.kernel(n)?),
            Step::Copy(from, to) => Task::Copy { from: *from, to: *to, bytes: s.buffers[*to].bytes()? },
            Step::Equation { eqn, reads, writes, then } => {
                let e = &graph.eqns()[*eqn];
                let then = then.as_ref().map(|n| self.kernel(n)).transpose()?;
                match (&e.op, classify(graph, e)) {
                    (Op::DotGeneral(op), Class::Product) => Task::Product(ProductTask::new(graph, e, op, reads, writes[0], then)?),
                    (Op::Convolution(op), Class::Convolution) => Task::Convolution(ConvolutionTask::new(graph, e, op, reads, writes[0], then)?),
                    (op, Class::Windows) => Task::Windows(WindowsTask::new(graph, e, op, reads, writes[0])?),
                    (Op::Scan(_) | Op::While(_) | Op::Cond(_), Class::Control) => {
                        let first = inner.len();
                        for g in e.op.graphs() {
                            inner.push(Arc::new(self.program(&g).map_err(|x| x.at_origin(&e.at))?));
                        }
                        Task::Control(ControlTask::new(&e.op, graph, e, reads, writes, first)?)
                    }
                    (op, _) => {
                        let types = e.inputs.iter().map(|&v| graph.ty(v).clone());
                        let reads = reads.iter().copied().zip(types).collect();
                        Task::Reference(ReferenceTask { op: op.clone(), at: e.at.clone(), reads, writes: writes.clone().into() })
                    }
                }
            }
        })
    }
}

/// A compiled graph.
#[derive(Debug)]
pub struct Program {
    /// The types of the results.
    outputs: Vec<Type>,
    schedule: Schedule,
    pub(super) plan: Plan,
    constants: Vec<Literal>,
    tasks: Vec<Task>,
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
    Control(ControlTask),
    Reference(ReferenceTask),
    Copy { from: BufferId, to: BufferId, bytes: usize },
}

impl Program {
    /// Memory for one call.
    pub fn frame(&self) -> Frame {
        let inner = self.inner.iter().map(|p| p.frame()).collect();
        let scratch: usize = self.tasks.iter().map(|t| if let Task::Control(c) = t { c.scratch() } else { 0 }).max().unwrap_or(0);
        let mut f = Frame::new(self.plan.block + scratch, self.schedule.buffers.len(), inner);
        for (b, home) in self.plan.homes.iter().enumerate() {
            match *home {
                Home::Block(at) => f.slots[b] = f.place(at),
                Home::Constant(i) => f.slots[b] = Address(self.constants[i].bytes().as_ptr().cast_mut()),
                Home::Input(_) | Home::Output(_) => {}
            }
        }
        f
    }

    /// The array of an input.
    pub(super) fn input(&self, i: usize) -> BufferId {
        self.schedule.inputs[i]
    }

    /// The array of a result.
    pub(super) fn output(&self, o: usize) -> BufferId {
        self.schedule.outputs[o]
    }

    /// Runs all steps.
    ///
    /// # Errors
    /// What an op that is left to the language says.
    ///
    /// # Safety
    /// The frame is one of this program, and its slots hold the addresses of arguments and results, which nobody else writes, nor reads if they
    /// are written.
    pub unsafe fn run(&self, f: &mut Frame, pool: &Pool) -> Result<()> {
        for task in &self.tasks {
            // SAFETY: as promised by the caller; everything else in the slots is the frame's own, or a constant.
            unsafe {
                match task {
                    Task::Kernel(k) => k.run(&f.slots, pool),
                    Task::Product(p) => p.run(&f.slots, pool)?,
                    Task::Convolution(c) => c.run(&f.slots, pool)?,
                    Task::Windows(w) => w.run(&f.slots, pool),
                    Task::Control(c) => control::run(c, self, f, pool)?,
                    Task::Reference(r) => r.run(&f.slots)?,
                    Task::Copy { from, to, bytes } => f.slots[*to].copy_from(f.slots[*from], *bytes),
                }
            }
        }
        Ok(())
    }

    /// Copies results that are another array into `to`.
    ///
    /// # Safety
    /// As [`Program::run`], and `to` has room for the result.
    pub(super) unsafe fn give(&self, f: &Frame, o: usize, to: Address) {
        if let Gives::CopyOf(b) = self.plan.gives[o] {
            let bytes = self.schedule.buffers[b].bytes().unwrap_or(0);
            // SAFETY: as promised by the caller.
            unsafe { to.copy_from(f.slots[b], bytes) }
        }
    }
}

/// A program with memory for its calls.
#[derive(Debug)]
pub struct Executable {
    program: Program,
    types: Vec<Type>,
    /// Memory of calls that are done.
    frames: Mutex<Vec<Frame>>,
}

/// Frames that are kept for the next calls.
const FRAMES: usize = 4;

impl Executable {
    /// A program that can be called.
    pub fn new(program: Program, types: Vec<Type>) -> Executable {
        Executable { program, types, frames: Mutex::new(vec![]) }
    }

    fn take(&self) -> Frame {
        let kept = self.frames.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| self.program.frame())
    }

    fn put(&self, f: Frame) {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if frames.len() < FRAMES {
            frames.push(f);
        }
    }

    /// Runs it on arguments in memory, into results in memory.
    fn call(&self, inputs: &[Address], outputs: &[Address]) -> Result<()> {
        let (p, mut f) = (&self.program, self.take());
        for (i, &a) in inputs.iter().enumerate() {
            f.slots[p.input(i)] = a;
        }
        for (o, &a) in outputs.iter().enumerate() {
            if p.plan.gives[o] == Gives::Own {
                f.slots[p.output(o)] = a;
            }
        }
        // SAFETY: the frame is this program's; callers give live memory of the right types, their own for every result.
        let done = unsafe { p.run(&mut f, Pool::global()) };
        if done.is_ok() {
            // SAFETY: as above.
            outputs.iter().enumerate().for_each(|(o, &a)| unsafe { p.give(&f, o, a) });
        }
        self.put(f);
        done
    }
}

impl neurax_runtime::Executable for Executable {
    fn run(&self, args: Vec<Buffer>) -> Result<Vec<Buffer>> {
        let mut args = args.into_iter().map(Buffer::into_literal).collect::<Result<Vec<_>>>()?;
        if !args.iter().map(Literal::ty).eq(&self.types) {
            return Err(Error::new("native", "the arguments do not have the types of the graph's inputs"));
        }
        let inputs: Vec<Address> = args.iter().map(|a| Address(a.bytes().as_ptr().cast_mut())).collect();
        let mut results: Vec<Literal> = vec![];
        for (o, ty) in self.program.outputs.iter().enumerate() {
            let reused = self.program.plan.reuse.iter().find(|r| r.1 == o && args[r.0].bytes().is_unique());
            results.push(match reused {
                Some(&(i, _)) => std::mem::replace(&mut args[i], Literal::zeros(Type::new(ty.dtype, [0]))).with_type(ty.clone())?,
                None => Literal::new(ty.clone(), Bytes::zeroed(ty.bytes()?))?,
            });
        }
        let outputs: Vec<Address> = results.iter().map(|r| Address(r.bytes().as_ptr().cast_mut())).collect();
        self.call(&inputs, &outputs)?;
        Ok(results.into_iter().map(Buffer::from).collect())
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        writeln!(f, "{}", self.schedule)?;
        self.inner.iter().enumerate().try_for_each(|(i, p)| writeln!(f, "inner program {i}:\n{p}"))
    }
}
