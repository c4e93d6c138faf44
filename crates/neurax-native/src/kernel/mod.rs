//! The language of kernels: one loop nest over fused elementwise work, with accumulators.
//!
//! A kernel has *outer* loops, whose iterations are independent of each other, and *stages* that
//! run one after the other in each of them. A stage has loops of its own (*inner*), a straight-line
//! body, accumulators (folds) that later stages read, and stores. Sizes and strides are run-time
//! parameters unless they are small, so that one piece of machine code serves all sizes; what is
//! fixed is part of the structure, by which kernels are cached.

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

/// A value of a stage: the index of the instruction that makes it.
pub type InstId = u32;

/// One loop nest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Sizes of the outer loops, outermost first.
    pub outer: Vec<Size>,
    /// Which loop is cut into vectors.
    pub vector_axis: VectorAxis,
    /// The arrays that it reads and writes.
    pub operands: Vec<Operand>,
    /// What runs in each iteration of the outer loops.
    pub stages: Vec<Stage>,
}

/// Which loop is cut into vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VectorAxis {
    /// The innermost loop of every stage.
    Inner,
    /// The last outer loop: every accumulator is a vector.
    Outer,
}

/// The trip count of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// Known.
    Fixed(u32),
    /// Parameter of that number.
    Param(u16),
}

/// How far one step of a loop moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stride {
    /// Not at all.
    Zero,
    /// One element.
    Unit,
    /// Parameter of that number: bytes for an operand, a count for an index.
    Param(u16),
}

/// An array as a stage walks it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operand {
    /// What it holds.
    pub dtype: DType,
    /// The stage that uses it.
    pub stage: u16,
    /// One stride for every outer loop, then one for every inner loop of the stage.
    pub strides: Vec<Stride>,
}

/// Loops inside the outer ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stage {
    /// Sizes of its loops, outermost first; may be empty.
    pub inner: Vec<Size>,
    /// The body; operands come before users.
    pub insts: Vec<Inst<InstSource>>,
    /// Accumulators over the inner loops.
    pub accumulators: Vec<Accumulator>,
    /// What is written.
    pub stores: Vec<Store>,
}

/// An accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Accumulator {
    /// How elements are joined.
    pub kind: ReduceKind,
    /// What is joined.
    pub value: InstId,
}

/// A value written to an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// Where to.
    pub operand: u16,
    /// What.
    pub value: InstId,
    /// Bytes added to the place, found at run time.
    pub at: Option<InstId>,
    /// Written only if this is true; where it differs between lanes there are no vectors.
    pub guard: Option<InstId>,
}

/// One instruction and the dtype of its result. Narrow floats are computed in f32.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inst<L> {
    /// What it does.
    pub op: InstKind<L>,
    /// What it gives.
    pub ty: DType,
}

/// What an instruction does; `L` is where values come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InstKind<L> {
    /// From outside the body.
    Source(L),
    /// A number, as the bits of its dtype.
    Const(u64),
    /// A function of one value.
    Unary(Unary, InstId),
    /// A function of two values.
    Binary(Binary, InstId, InstId),
    /// A comparison; gives bool.
    Compare(Direction, InstId, InstId),
    /// `pred ? x : y`
    Select(InstId, InstId, InstId),
    /// `x * y + z`, rounded once.
    Fma(InstId, InstId, InstId),
    /// The same number in this dtype.
    Convert(InstId),
    /// The same bits in this dtype.
    Bitcast(InstId),
    /// An f32 rounded to what a narrower float dtype can hold.
    Round(DType, InstId),
    /// A function of one value by the scalar library, lane by lane.
    Call1(Unary, InstId),
    /// A function of two values by the scalar library, lane by lane.
    Call2(Binary, InstId, InstId),
    /// Where the predicate holds, the scalar library's function of the value; else the third.
    Patch(Unary, InstId, InstId, InstId),
}

/// Where values of a stage come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InstSource {
    /// An element of an operand, `at` bytes further on.
    Load {
        /// Which operand.
        operand: u16,
        /// Bytes found at run time.
        at: Option<InstId>,
    },
    /// A number made of loop counters: `base + sum(stride * counter)`, strides as for an operand.
    Index {
        /// One stride for every outer loop, then for every inner loop of the stage.
        strides: Vec<Stride>,
        /// A parameter that is added.
        base: Option<u16>,
    },
    /// A parameter, as the bits of this dtype.
    Param(u16),
    /// An accumulator of an earlier stage.
    Accumulator {
        /// The stage.
        stage: u16,
        /// Its number there.
        fold: u16,
    },
}

impl<L> InstKind<L> {
    /// The values that it reads.
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
    /// The run-time offset of a load.
    pub fn at(&self) -> Option<InstId> {
        match self {
            InstSource::Load { at, .. } => *at,
            _ => None,
        }
    }
}

impl Inst<InstSource> {
    /// All values that it reads, run-time offsets included.
    pub fn all_reads(&self) -> impl Iterator<Item = InstId> {
        let at = match &self.op {
            InstKind::Source(l) => l.at(),
            _ => None,
        };
        self.op.reads().chain(at)
    }
}

impl Kernel {
    /// The number of loops around the body of a stage.
    pub fn depth(&self, stage: usize) -> usize {
        self.outer.len() + self.stages[stage].inner.len()
    }

    /// Which loop of a stage is cut into vectors, if any.
    pub fn lane_loop(&self, stage: usize) -> Option<usize> {
        let depth = match self.vector_axis {
            VectorAxis::Inner => self.depth(stage),
            VectorAxis::Outer => self.outer.len(),
        };
        let inner = self.stages[stage].inner.is_empty() && self.vector_axis == VectorAxis::Inner;
        depth.checked_sub(1).filter(|_| !inner)
    }

    /// Which values of a stage differ between the lanes of a vector.
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

    /// How many elements a vector of 16 bytes holds in this kernel: 4 if all that differs between
    /// lanes is 4 bytes wide or bool, 2 for 8 bytes, else 1.
    pub fn lane_width(&self) -> usize {
        let mut widths = [false; 3];
        for (s, stage) in self.stages.iter().enumerate() {
            let varying = self.varying(s);
            // Lanes are stored together or not at all.
            if stage.stores.iter().any(|st| st.guard.is_some_and(|g| varying[g as usize])) {
                return 1;
            }
            // What is stored or joined stands in lanes, even if it is the same in all of them.
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
            _ => 1,
        }
    }

    /// Is a narrow integer only loaded and turned into 4 bytes, or made of them and stored?
    fn only_widened(&self, stage: &Stage, x: InstId) -> bool {
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
