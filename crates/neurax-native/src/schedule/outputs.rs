//! The outputs of a group: its iteration space, the values it computes, and where each goes.

use crate::{
    affine::AffineOffset,
    kernel::{Inst, InstId},
};
use neurax_ir::{
    Shape, Value,
    op::{ReduceKind, Scatter},
};

/// The source of a value in an expression graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExprSource {
    /// An element of a buffer, `at` elements after `offset`.
    Load {
        /// The buffer.
        buffer: BufferId,
        /// The offset of the element, in elements.
        offset: AffineOffset,
        /// An offset that is computed at run time, in elements.
        at: Option<InstId>,
    },
    /// An affine function of the loop counters.
    Index(AffineOffset),
    /// A constant that is passed as a parameter, as the bits of its dtype. It is not part of the
    /// kernel's structure, so that another value needs no new machine code.
    RuntimeConstant(u64),
    /// The accumulator of the output of this index.
    Accumulator(usize),
}

/// A node of an expression graph.
pub type ExprNode = Inst<ExprSource>;

/// The iteration space of a group: loop sizes, and which loops are reduced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IterSpace {
    /// The sizes of the loops.
    pub sizes: Vec<usize>,
    /// True for the loops that are reduced.
    pub reduced: Vec<bool>,
}

impl std::fmt::Display for IterSpace {
    /// Writes the space as `[32, (784)]`, with reduced loops in parentheses.
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let one =
            |(n, reduced): (&usize, &bool)| if *reduced { format!("({n})") } else { n.to_string() };
        write!(
            f,
            "[{}]",
            self.sizes.iter().zip(&self.reduced).map(one).collect::<Vec<_>>().join(", ")
        )
    }
}

/// A buffer, by index: an array in memory.
pub type BufferId = usize;

/// A value that a group computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The value that is computed for each point of the iteration space.
    pub value: Value,
    /// The destination of the value.
    pub sink: Sink,
}

/// The destination of a computed value.
#[derive(Clone, Debug, PartialEq)]
pub enum Sink {
    /// The whole buffer, at the value's own index.
    Store(BufferId),
    /// A strided slice of a buffer: the value's index along each axis becomes
    /// `scale * index + offset`.
    Slice {
        /// The buffer.
        buffer: BufferId,
        /// The shape of the buffer.
        shape: Shape,
        /// The scale of the index along each axis.
        scale: Vec<usize>,
        /// The start of the slice along each axis.
        offset: Vec<usize>,
    },
    /// All elements of a buffer: the value is a scalar.
    Fill(BufferId),
    /// A slice of a buffer whose start is found at run time.
    DynamicSlice {
        /// The buffer.
        buffer: BufferId,
        /// The shape of the buffer.
        shape: Shape,
        /// The vector of starts.
        start: Value,
    },
    /// Windows of a buffer whose starts are found at run time; updates are applied in order.
    Scatter {
        /// The buffer.
        buffer: BufferId,
        /// The shape of the buffer.
        shape: Shape,
        /// The index vectors.
        indices: Value,
        /// The op, with its combiner.
        op: Scatter,
    },
    /// An accumulator over the reduced loops, whose result is written to a buffer.
    Reduce {
        /// The reduction.
        kind: ReduceKind,
        /// The equation's result.
        result: Value,
        /// The buffer of the result.
        buffer: BufferId,
    },
}

impl Sink {
    /// Returns the buffer that is written.
    pub fn buffer(&self) -> BufferId {
        match self {
            Sink::Store(b) | Sink::Fill(b) => *b,
            Sink::Slice { buffer, .. }
            | Sink::DynamicSlice { buffer, .. }
            | Sink::Scatter { buffer, .. }
            | Sink::Reduce { buffer, .. } => *buffer,
        }
    }

    /// Returns true if the destination is found at run time.
    pub fn is_dynamic(&self) -> bool {
        matches!(self, Sink::DynamicSlice { .. } | Sink::Scatter { .. })
    }
}

/// An output with its nodes in the expression graph.
#[derive(Clone, Debug)]
pub struct LoweredOutput {
    /// The output.
    pub output: Output,
    /// The node of the value.
    pub node: InstId,
    /// The offset of the destination, in elements.
    pub offset: AffineOffset,
    /// An offset that is computed at run time, in elements.
    pub at: Option<InstId>,
    /// A condition: the value is written only where it is true.
    pub guard: Option<InstId>,
}

/// The reason why equations are not fused into one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFused {
    /// A value must be written to memory first.
    Materialize(Value),
    /// The iteration spaces differ.
    DifferentSpaces(IterSpace, IterSpace),
    /// A value is read at a different index than it is produced.
    DifferentIndex(Value),
    /// The kernel would have more than [`crate::tuning::MAX_FUSED_OUTPUTS`] outputs.
    TooManyOutputs,
    /// The kernel would have more than [`crate::tuning::MAX_FUSED_NODES`] nodes.
    TooManyNodes,
    /// The kernel would have more than [`crate::tuning::MAX_FUSED_STAGES`] dependent reductions.
    TooManyStages,
    /// One of the two writes at an offset that is found at run time.
    DynamicWrite,
    /// One of the two fills a buffer, parts of which another step then writes.
    Fill,
    /// A large array would be written along the columns of a reduction, a cache line for each few
    /// elements.
    ColumnWrite,
    /// The kernel would read elements of a buffer that it has not written yet.
    ReadBeforeWrite,
    /// Another step must run between the two.
    StepBetween,
    /// The second does not read the result of the product row by row.
    NotByRows,
    /// A broken invariant of the scheduler, which becomes an error at the line of the value, if one
    /// is known.
    Bug(String, Option<Value>),
}
