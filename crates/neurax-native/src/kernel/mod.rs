//! The kernel IR: a fused loop nest of elementwise code with reductions.
//!
//! A kernel has *outer* loops, whose iterations are independent, and *stages* that run one after
//! the other in each outer iteration. A stage has *inner* loops, a straight-line body in SSA form,
//! accumulators that later stages read, and stores. Trip counts and strides are parameters unless
//! they are small, so that one piece of machine code serves all sizes; what is fixed is the
//! structure, by which machine code is cached.
//!
//! The mean of each row of `b0: f32[32, 784]`, in the text form:
//!
//! ```text
//! kernel [#0] vectorize inner
//!   @0: f32 stage 0 [#1, 1]        operand 0: a stride for the outer loop, contiguous in the inner
//!   @1: f32 stage 1 [#2]
//!   stage [#3]                     an inner loop of parameter 3 iterations
//!     %0: f32 = load @0
//!     accumulate 0: sum %0
//!   stage []
//!     %0: f32 = accumulator 0.0    the sum of stage 0
//!     %1: f32 = param #4           a runtime constant: 1 / 784
//!     %2: f32 = multiply %0, %1
//!     store @1 %2
//! ```
//!
//! One loop is vectorized: the innermost loop of every stage (`vectorize inner`: an accumulator is
//! a vector that is reduced at the end) or the last outer loop (`vectorize outer`: lane `i` of
//! every accumulator belongs to iteration `i`). A value is *uniform* if it is the same in all
//! lanes, and *varying* otherwise. Narrow floats are computed in f32. `verify` checks the
//! invariants, `print` and `parse` are the text form, `expand` spells functions as polynomials.

mod builder;
pub mod expand;
#[cfg(test)]
mod parse;
mod print;
mod verify;

pub use builder::{ExprBuilder, computed_in, first_bits};
pub use verify::verify;

use neurax_ir::{
    DType, Error, OrBug, Result,
    op::{Binary, Direction, ReduceKind, Unary},
};

/// A value of a stage: the index of its instruction.
pub type InstId = u32;

/// A kernel: one loop nest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The trip counts of the outer loops, outermost first.
    pub outer: Vec<Size>,
    /// The loop that is vectorized.
    pub vector_axis: VectorAxis,
    /// The operands that it reads and writes.
    pub operands: Vec<ArrayOperand>,
    /// The stages of each iteration of the outer loops.
    pub stages: Vec<LoopStage>,
}

/// The loop that is vectorized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VectorAxis {
    /// The innermost loop of every stage.
    Inner,
    /// The last outer loop: every accumulator is a vector of independent ones.
    Outer,
}

/// The trip count of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// A constant.
    Fixed(u32),
    /// The parameter of this index.
    Param(u16),
}

/// The stride of an access along a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stride {
    /// 0: the access is invariant.
    Zero,
    /// One element: the access is contiguous.
    Unit,
    /// The parameter of this index: bytes for an operand, a count for an index.
    Param(u16),
}

/// An access of a stage to a buffer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArrayOperand {
    /// The dtype of the elements.
    pub dtype: DType,
    /// The stage that the access belongs to.
    pub stage: u16,
    /// The strides of the outer loops, then of the inner loops of the stage.
    pub strides: Vec<Stride>,
}

/// A stage: inner loops, a body, accumulators and stores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LoopStage {
    /// The trip counts of the inner loops, outermost first; may be empty.
    pub inner: Vec<Size>,
    /// The body; operands precede users.
    pub insts: Vec<Inst<InstSource>>,
    /// The accumulators over the inner loops.
    pub accumulators: Vec<Accumulator>,
    /// The stores at the end of the body.
    pub stores: Vec<Store>,
    /// True if the float sums of the stage are long enough to be added block by block.
    pub in_blocks: bool,
}

/// An accumulator of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Accumulator {
    /// The reduction.
    pub kind: ReduceKind,
    /// The value that is accumulated.
    pub value: InstId,
}

/// A store of a value to an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// The operand.
    pub operand: u16,
    /// The value.
    pub value: InstId,
    /// An offset that is computed at run time, in bytes.
    pub at: Option<InstId>,
    /// A condition of the store. A kernel whose condition varies between lanes is not vectorized.
    pub guard: Option<InstId>,
}

/// An instruction and the dtype of its result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inst<L> {
    /// The operation.
    pub op: InstKind<L>,
    /// The dtype of the result.
    pub ty: DType,
}

/// The operation of an instruction; `L` is the type of its sources.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InstKind<L> {
    /// A value from outside of the body.
    Source(L),
    /// An immediate, as the bits of its dtype.
    Const(u64),
    /// A unary function with machine code.
    Unary(Unary, InstId),
    /// A binary function with machine code.
    Binary(Binary, InstId, InstId),
    /// A comparison, with a bool as the result.
    Compare(Direction, InstId, InstId),
    /// `pred ? x : y`
    Select(InstId, InstId, InstId),
    /// `x * y + z`, rounded once.
    Fma(InstId, InstId, InstId),
    /// A conversion of the number to the result's dtype.
    Convert(InstId),
    /// The same bits in the result's dtype.
    Bitcast(InstId),
    /// An f32 rounded to what a narrower float dtype can hold.
    Round(DType, InstId),
    /// A call of a unary function of the scalar library, lane by lane.
    Call1(Unary, InstId),
    /// A call of a binary function of the scalar library, lane by lane.
    Call2(Binary, InstId, InstId),
    /// `pred ? f(x) : y`, where `f` is a function of the scalar library.
    Patch(Unary, InstId, InstId, InstId),
}

/// The source of a value of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InstSource {
    /// An element of an operand, at an additional offset.
    Load {
        /// The operand.
        operand: u16,
        /// The additional offset, computed at run time, in bytes.
        at: Option<InstId>,
    },
    /// An affine function of the loop counters: `base + sum(stride * counter)`.
    Index {
        /// The strides of the outer loops, then of the inner loops of the stage.
        strides: Vec<Stride>,
        /// The parameter that is added.
        base: Option<u16>,
    },
    /// A parameter, as the bits of the dtype.
    Param(u16),
    /// An accumulator of an earlier stage.
    Accumulator {
        /// The index of the stage.
        stage: u16,
        /// The index of the accumulator.
        accumulator: u16,
    },
}

impl<L> InstKind<L> {
    /// Returns the values that the operation reads.
    pub fn reads(&self) -> impl Iterator<Item = InstId> {
        let (a, b, c) = match *self {
            InstKind::Source(_) | InstKind::Const(_) => (None, None, None),
            InstKind::Unary(_, x)
            | InstKind::Convert(x)
            | InstKind::Bitcast(x)
            | InstKind::Round(_, x)
            | InstKind::Call1(_, x) => (Some(x), None, None),
            InstKind::Binary(_, x, y) | InstKind::Compare(_, x, y) | InstKind::Call2(_, x, y) => {
                (Some(x), Some(y), None)
            }
            InstKind::Select(x, y, z) | InstKind::Fma(x, y, z) | InstKind::Patch(_, x, y, z) => {
                (Some(x), Some(y), Some(z))
            }
        };
        [a, b, c].into_iter().flatten()
    }

    /// Returns the same instruction on the operands that `operand` returns.
    ///
    /// # Errors
    /// If it has no operand for a value, or if the instruction is a source.
    pub fn with_operands<M>(
        &self,
        operand: impl Fn(InstId) -> Option<InstId>,
    ) -> Result<InstKind<M>> {
        let id = |x: InstId| operand(x).or_bug(format!("operand %{x} is not in the stage"));
        Ok(match *self {
            InstKind::Source(_) => return Err(Error::bug("a source has no operands to replace")),
            InstKind::Const(c) => InstKind::Const(c),
            InstKind::Unary(f, x) => InstKind::Unary(f, id(x)?),
            InstKind::Binary(f, x, y) => InstKind::Binary(f, id(x)?, id(y)?),
            InstKind::Compare(f, x, y) => InstKind::Compare(f, id(x)?, id(y)?),
            InstKind::Select(x, y, z) => InstKind::Select(id(x)?, id(y)?, id(z)?),
            InstKind::Fma(x, y, z) => InstKind::Fma(id(x)?, id(y)?, id(z)?),
            InstKind::Convert(x) => InstKind::Convert(id(x)?),
            InstKind::Bitcast(x) => InstKind::Bitcast(id(x)?),
            InstKind::Round(d, x) => InstKind::Round(d, id(x)?),
            InstKind::Call1(f, x) => InstKind::Call1(f, id(x)?),
            InstKind::Call2(f, x, y) => InstKind::Call2(f, id(x)?, id(y)?),
            InstKind::Patch(f, x, y, z) => InstKind::Patch(f, id(x)?, id(y)?, id(z)?),
        })
    }
}

impl InstSource {
    /// Returns the run-time offset of a load.
    pub fn at(&self) -> Option<InstId> {
        match self {
            InstSource::Load { at, .. } => *at,
            _ => None,
        }
    }
}

impl Inst<InstSource> {
    /// Returns all values that the instruction reads, run-time offsets included.
    pub fn all_reads(&self) -> impl Iterator<Item = InstId> {
        let at = match &self.op {
            InstKind::Source(l) => l.at(),
            _ => None,
        };
        self.op.reads().chain(at)
    }
}

impl Kernel {
    /// Returns the error of an invariant that this kernel breaks, with the kernel as text.
    pub fn bug(&self, what: impl std::fmt::Display) -> Error {
        Error::bug(format!("{what} in the kernel\n{}\n", self.to_string().trim_end()))
    }

    /// Returns the number of loops around the body of a stage.
    pub fn depth(&self, stage: usize) -> usize {
        self.outer.len() + self.stages[stage].inner.len()
    }

    /// Returns true if an accumulator of a stage is a sum of floats, which rounds.
    pub fn has_float_sum(&self, stage: usize) -> bool {
        let stage = &self.stages[stage];
        let is_float_sum = |f: &Accumulator| {
            f.kind == ReduceKind::Sum && stage.insts[f.value as usize].ty.is_float()
        };
        stage.accumulators.iter().any(is_float_sum)
    }

    /// Returns the loop of a stage that is vectorized, if any.
    pub fn lane_loop(&self, stage: usize) -> Option<usize> {
        let depth = match self.vector_axis {
            VectorAxis::Inner => self.depth(stage),
            VectorAxis::Outer => self.outer.len(),
        };
        let inner = self.stages[stage].inner.is_empty() && self.vector_axis == VectorAxis::Inner;
        depth.checked_sub(1).filter(|_| !inner)
    }

    /// Returns for every value of a stage whether it varies between lanes.
    pub fn varying(&self, stage: usize) -> Vec<bool> {
        let Some(lane) = self.lane_loop(stage) else {
            return vec![false; self.stages[stage].insts.len()];
        };
        let mut out: Vec<bool> = vec![];
        for inst in &self.stages[stage].insts {
            let own = match &inst.op {
                InstKind::Source(InstSource::Load { operand, .. }) => {
                    self.operands[*operand as usize].strides[lane] != Stride::Zero
                }
                InstKind::Source(InstSource::Index { strides, .. }) => {
                    strides[lane] != Stride::Zero
                }
                InstKind::Source(InstSource::Accumulator { .. }) => {
                    self.vector_axis == VectorAxis::Outer
                }
                _ => false,
            };
            out.push(own || inst.all_reads().any(|x| out[x as usize]));
        }
        out
    }

    /// Returns the lanes of a 16-byte vector in this kernel: 4 if all varying values are 4 bytes
    /// wide or bool, 2 if they are 8 bytes wide, otherwise 1 (the kernel is not vectorized).
    pub fn lane_width(&self) -> usize {
        let mut widths = [false; 3];
        for (s, stage) in self.stages.iter().enumerate() {
            let varying = self.varying(s);
            // There are no masked stores.
            if stage.stores.iter().any(|st| st.guard.is_some_and(|g| varying[g as usize])) {
                return 1;
            }
            // A value that is stored or accumulated is a vector, even if it is uniform.
            let lanes = |i: usize| {
                varying[i]
                    || stage.stores.iter().any(|st| st.value as usize == i)
                    || stage.accumulators.iter().any(|f| f.value as usize == i)
            };
            for (i, inst) in stage.insts.iter().enumerate().filter(|&(i, _)| lanes(i)) {
                let narrow = |d: DType| d != DType::Bool && d.bits() < 32;
                match inst.ty {
                    DType::Bool => {}
                    d if narrow(d) && self.only_widened(stage, i as InstId) => {}
                    d if narrow(d) => widths[2] = true,
                    d => widths[(d.bits() == 64) as usize] = true,
                }
            }
        }
        match widths {
            [_, false, false] => 4,
            [false, true, false] => 2,
            // other: mixed sizes are not vectorized.
            _ => 1,
        }
    }

    /// Returns true if a narrow integer is only loaded and widened to 4 bytes, or narrowed from
    /// them and stored.
    fn only_widened(&self, stage: &LoopStage, x: InstId) -> bool {
        let makes = match &stage.insts[x as usize].op {
            InstKind::Source(InstSource::Load { .. }) => true,
            InstKind::Convert(y) => stage.insts[*y as usize].ty.bits() == 32,
            _ => false,
        };
        let uses = |i: &Inst<InstSource>| i.all_reads().any(|y| y == x);
        let widens =
            |i: &Inst<InstSource>| matches!(i.op, InstKind::Convert(_)) && i.ty.bits() == 32;
        makes
            && stage.insts.iter().filter(|i| uses(i)).all(widens)
            && !stage.accumulators.iter().any(|f| f.value == x)
    }
}
