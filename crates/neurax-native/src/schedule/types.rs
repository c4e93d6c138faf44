//! The result of scheduling: steps over buffers.

use super::{
    classify::EqnClass,
    kernel_builder::KernelCall,
    outputs::{BufferId, NotFused},
};
use neurax_ir::{Origin, Type, Value};

/// A graph as steps over buffers.
#[derive(Debug)]
pub struct ScheduledGraph {
    /// The types of the buffers.
    pub buffers: Vec<Type>,
    /// The value that each buffer holds; of several names (a reshape is one) the first.
    pub(super) values: Vec<Option<Value>>,
    /// The buffers of the graph's inputs.
    pub inputs: Vec<BufferId>,
    /// The buffers of the graph's results.
    pub outputs: Vec<BufferId>,
    /// The buffers that are part of the program, with the constants that they hold.
    pub constants: Vec<(BufferId, Value)>,
    /// The steps, in the order in which they run.
    pub steps: Vec<ScheduledStep>,
    /// For each step, the equations that it computes, by op and origin.
    pub equations: Vec<Vec<(&'static str, Origin)>>,
    /// Pairs of groups that were not fused, with the reason.
    pub notes: Vec<Note>,
}

/// A step.
#[derive(Debug)]
pub enum ScheduledStep {
    /// A fused loop nest.
    Kernel(KernelCall),
    /// An equation whose operands and results are buffers: a library step, control flow, or an op
    /// on the reference interpreter.
    Equation {
        /// The index of the equation in the graph.
        eqn: usize,
        /// The class of the equation.
        class: EqnClass,
        /// The buffers of the operands; of products and convolutions, those behind transposes.
        reads: Vec<BufferId>,
        /// The buffers of the results.
        writes: Vec<BufferId>,
        /// The kernel that runs over the rows of the first result while they are in the cache.
        epilogue: Option<KernelCall>,
    },
    /// A copy from the first buffer to the second, unless both share memory.
    Copy(BufferId, BufferId),
}

/// The reason why two groups were not fused.
#[derive(Clone, Debug)]
pub struct Note {
    /// The buffers that the first group writes.
    pub first: Vec<BufferId>,
    /// The buffers that the second group writes.
    pub second: Vec<BufferId>,
    /// The reason.
    pub(super) why: NotFused,
}

impl ScheduledStep {
    /// Returns the buffers that the step accesses, and whether each access is a write.
    pub fn uses(&self) -> impl Iterator<Item = (BufferId, bool)> {
        let mut out: Vec<(BufferId, bool)> = vec![];
        let mut call = |c: &KernelCall| out.extend(c.args.iter().map(|a| (a.buffer, a.writes)));
        match self {
            ScheduledStep::Kernel(c) => call(c),
            ScheduledStep::Copy(from, to) => out.extend([(*from, false), (*to, true)]),
            ScheduledStep::Equation { reads, writes, epilogue, .. } => {
                epilogue.iter().for_each(&mut call);
                out.extend(reads.iter().map(|&b| (b, false)));
                out.extend(writes.iter().map(|&b| (b, true)));
            }
        }
        out.into_iter()
    }
}

impl ScheduledGraph {
    /// Returns the kernel calls, in the order of the steps.
    pub fn kernel_calls(&self) -> impl Iterator<Item = &KernelCall> {
        self.steps.iter().filter_map(|s| match s {
            ScheduledStep::Kernel(c) => Some(c),
            ScheduledStep::Equation { epilogue, .. } => epilogue.as_ref(),
            ScheduledStep::Copy(..) => None,
        })
    }

    /// Returns the first value that a kernel computes in memory.
    pub fn first_result(&self, call: &KernelCall) -> Option<Value> {
        call.args.iter().filter(|a| a.writes).find_map(|a| self.values[a.buffer])
    }

    /// Returns true if a step reads or writes the buffer, or if it is an input or output. All other
    /// values live in registers only.
    pub fn is_in_memory(&self, b: BufferId) -> bool {
        self.inputs.contains(&b)
            || self.outputs.contains(&b)
            || self.steps.iter().any(|s| s.uses().any(|u| u.0 == b))
    }
}
