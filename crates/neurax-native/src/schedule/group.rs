//! What a group of equations computes: its iteration space, its results and what becomes of them.

use crate::{
    affine::Affine,
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
pub enum Source {
    /// An element of an array, `at` elements further on.
    Load {
        /// Which array.
        buffer: BufferId,
        /// The place.
        place: Affine,
        /// Elements found at run time.
        at: Option<Id>,
    },
    /// A number made of loop counters.
    Index(Affine),
    /// A number that is given at run time, as the bits of its dtype.
    Number(u64),
    /// The accumulator of that root.
    Fold(usize),
}

/// A node of the expressions.
pub type Node = Inst<Source>;

/// The iteration space of a group: its loops, and which of them are joined away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// The sizes of the loops.
    pub sizes: Vec<usize>,
    /// Which loops are reduced.
    pub reduced: Vec<bool>,
}

impl std::fmt::Display for Space {
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
pub struct Root {
    /// The value that is computed or joined.
    pub value: Value,
    /// What becomes of it.
    pub end: End,
}

/// What becomes of a computed value.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It is written, at the same place.
    Store(BufferId),
    /// It is written into a part of an array: the axes of the value are those of the array,
    /// `scale * index + offset`.
    Part {
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
    Window {
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
    Fold {
        /// How.
        kind: ReduceKind,
        /// The equation's result.
        result: Value,
        /// Where it goes.
        buffer: BufferId,
    },
}

impl End {
    /// The array that is written.
    pub fn buffer(&self) -> BufferId {
        match self {
            End::Store(b) | End::Fill(b) => *b,
            End::Part { buffer, .. }
            | End::Window { buffer, .. }
            | End::Scatter { buffer, .. }
            | End::Fold { buffer, .. } => *buffer,
        }
    }

    /// Does it go where only the run shows?
    pub fn is_dynamic(&self) -> bool {
        matches!(self, End::Window { .. } | End::Scatter { .. })
    }
}

/// A root with its nodes.
#[derive(Clone, Debug)]
pub struct Made {
    /// The root.
    pub root: Root,
    /// Its value.
    pub node: Id,
    /// Where it is written.
    pub place: Affine,
    /// Elements added to the place, found at run time.
    pub at: Option<Id>,
    /// Written only if this is true.
    pub guard: Option<Id>,
}

/// Why equations do not become one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A value must be written to memory first.
    Materialise(Value),
    /// The iteration spaces differ.
    Spaces(Space, Space),
    /// A value is read at other places than the group makes it.
    Elsewhere(Value),
    /// Anything else.
    Says(Cow<'static, str>),
}
