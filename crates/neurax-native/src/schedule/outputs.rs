//! What a group of equations computes: its iteration space, its results and what becomes of them.

use crate::{
    affine::AffineOffset,
    kernel::{Id, Inst},
};
use neurax_ir::{
    Shape, Value,
    op::{ReduceKind, Scatter},
};
use std::borrow::Cow;

/// An array in memory, by number.
pub type BufferId = usize;

/// Where values of an expression come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExprSource {
    /// An element of an array, `at` elements further on.
    Load {
        /// Which array.
        buffer: BufferId,
        /// The place.
        place: AffineOffset,
        /// Elements found at run time.
        at: Option<Id>,
    },
    /// A number made of loop counters.
    AffineIndex(AffineOffset),
    /// A number that is given at run time, as the bits of its dtype.
    RuntimeConstant(u64),
    /// The accumulator of that root.
    Accumulator(usize),
}

/// A node of the expressions.
pub type Node = Inst<ExprSource>;

/// The iteration space of a group: its loops, and which of them are joined away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IterSpace {
    /// The sizes of the loops.
    pub sizes: Vec<usize>,
    /// Which loops are reduced.
    pub reduced: Vec<bool>,
}

impl std::fmt::Display for IterSpace {
    /// `[32, (784)]`: a loop that is reduced is in brackets.
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

/// Something that a group computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The value that is computed or joined.
    pub value: Value,
    /// What becomes of it.
    pub sink: Sink,
}

/// What becomes of a computed value.
#[derive(Clone, Debug, PartialEq)]
pub enum Sink {
    /// It is written, at the same place.
    Store(BufferId),
    /// It is written into a part of an array: the axes of the value are those of the array,
    /// `scale * index + offset`.
    Slice {
        /// The array.
        buffer: BufferId,
        /// Its shape.
        shape: Shape,
        /// Steps along its axes.
        scale: Vec<usize>,
        /// Where the part begins.
        offset: Vec<usize>,
    },
    /// It is written everywhere into an array: the value is a scalar.
    Fill(BufferId),
    /// It is written into a window of an array at a place found at run time.
    DynamicSlice {
        /// The array.
        buffer: BufferId,
        /// Its shape.
        shape: Shape,
        /// The vector of starts.
        start: Value,
    },
    /// Its windows meet what an array holds at places found at run time, in order.
    Scatter {
        /// The array.
        buffer: BufferId,
        /// Its shape.
        shape: Shape,
        /// The index vectors.
        indices: Value,
        /// How.
        op: Scatter,
    },
    /// It is joined over the reduced loops; the result is the other value, written to the array.
    Reduce {
        /// How.
        kind: ReduceKind,
        /// The equation's result.
        result: Value,
        /// Where it goes.
        buffer: BufferId,
    },
}

impl Sink {
    /// The array that is written.
    pub fn buffer(&self) -> BufferId {
        match self {
            Sink::Store(b) | Sink::Fill(b) => *b,
            Sink::Slice { buffer, .. }
            | Sink::DynamicSlice { buffer, .. }
            | Sink::Scatter { buffer, .. }
            | Sink::Reduce { buffer, .. } => *buffer,
        }
    }

    /// Does it go where only the run shows?
    pub fn is_dynamic(&self) -> bool {
        matches!(self, Sink::DynamicSlice { .. } | Sink::Scatter { .. })
    }
}

/// A root with its nodes.
#[derive(Clone, Debug)]
pub struct LoweredOutput {
    /// The root.
    pub root: Output,
    /// Its value.
    pub node: Id,
    /// Where it is written.
    pub place: AffineOffset,
    /// Elements added to the place, found at run time.
    pub at: Option<Id>,
    /// Written only if this is true.
    pub guard: Option<Id>,
}

/// Why equations do not become one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFused {
    /// A value must be written to memory first.
    Materialise(Value),
    /// The iteration spaces differ.
    Spaces(IterSpace, IterSpace),
    /// A value is read at other places than the group makes it.
    Elsewhere(Value),
    /// Anything else.
    Says(Cow<'static, str>),
}
