//! Long sums, block by block.
//!
//! The rounding error of a plain sum grows with the number of additions. A stage that sums floats
//! adds at most [`SUM_BLOCK`] values for each lane in its own dtype, adds this partial sum to a
//! total, and starts again from zero. The totals of f32 are f64, so that only the additions inside
//! of a block round:
//!
//! ```text
//! total = 0                                   // f64
//! for block in n / SUM_BLOCK:
//!     sum = 0                                 // f32, in vectors
//!     for i in block: sum += x[i]
//!     total += sum
//! ```
//!
//! One of the inner loops is divided into blocks: the outermost one whose iterations still have a
//! known number of values below [`SUM_BLOCK`], which is the innermost loop unless that is short.
//! The loops around it carry totals, those inside of it partial sums. All other accumulators of
//! the stage take the same path, which changes nothing for them. Whether a loop is long is not
//! known here, as trip counts are parameters: a short one is a single block.

use super::{
    lane_value::{LaneValue, VectorShape},
    state::{Env, KernelEmitter, LoopPosition, LoopRange, StageRef},
};
use crate::{
    kernel::{Accumulator, Size, VectorAxis},
    tuning::SUM_BLOCK,
};
use cranelift_codegen::ir::{ConstantData, InstBuilder, Value, condcodes::IntCC, types};
use neurax_ir::{DType, op::ReduceKind};
use smallvec::SmallVec;

/// The loop that is divided into blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockedLoop {
    /// The depth of the loop.
    pub level: usize,
    /// The iterations of a block.
    pub iterations: usize,
}

/// The bytes of the upper half of a vector, twice.
const UPPER_HALF: [u8; 16] = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
/// The bytes of the lower halves of two vectors.
const LOWER_HALVES: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];

impl KernelEmitter<'_, '_> {
    /// Returns the loop of a stage that is divided into blocks, if any.
    pub fn blocked_loop(&self, s: usize) -> Option<BlockedLoop> {
        let stage = &self.k.stages[s];
        let is_float_sum = |f: &Accumulator| {
            f.kind == ReduceKind::Sum && stage.insts[f.value as usize].ty.is_float()
        };
        if !stage.accumulators.iter().any(is_float_sum) {
            return None;
        }
        let mut iterations = SUM_BLOCK;
        for (i, size) in stage.inner.iter().enumerate().rev() {
            match size {
                Size::Fixed(n) if *n as usize <= iterations => {
                    iterations /= (*n as usize).max(1);
                }
                Size::Fixed(_) | Size::Param(_) => {
                    return Some(BlockedLoop { level: self.k.outer.len() + i, iterations });
                }
            }
        }
        None
    }

    /// Emits the loop at the position's level block by block. Returns the totals.
    pub fn blocks(
        &mut self,
        blocked: BlockedLoop,
        range: LoopRange,
        stage: StageRef,
        position: &LoopPosition,
        env: &Env,
        totals: Vec<LaneValue>,
    ) -> Vec<LaneValue> {
        let s = stage.index;
        let is_last = blocked.level + 1 == self.k.depth(s);
        let is_vectorized = is_last && self.k.vector_axis == VectorAxis::Inner;
        let lanes = if is_vectorized { self.shape().step() } else { 1 };
        let step = blocked.iterations * lanes;
        let carried: Vec<Value> = totals.iter().flat_map(LaneValue::values).collect();
        let out = self.emit_for(LoopRange { step, ..range }, &carried, |e, from, carried| {
            let end = e.b.ins().iadd_imm_s(from, step as i64);
            let is_whole = e.b.ins().icmp(IntCC::SignedLessThan, end, range.to);
            let to = e.b.ins().select(is_whole, end, range.to);
            let block = LoopRange { from, to, step: 1 };
            let sums = e.initial(s, position);
            let sums = if is_last {
                e.last_loop(block, stage, position, env, sums)
            } else {
                e.inner_loop(block, stage, position, env, sums, position.shape)
            };
            let totals = LaneValue::like(&totals, carried);
            let totals = e.add_to_totals(s, totals, sums, position.shape);
            totals.iter().flat_map(LaneValue::values).collect()
        });
        LaneValue::like(&totals, &out)
    }

    /// Returns accumulators as totals: sums of f32 become f64.
    pub fn totals(&mut self, s: usize, accumulators: Vec<LaneValue>) -> Vec<LaneValue> {
        let all = accumulators.into_iter().enumerate();
        all.map(|(i, x)| if self.is_widened(s, i) { self.widened(x) } else { x }).collect()
    }

    /// Returns totals as accumulators.
    pub fn round_totals(&mut self, s: usize, totals: Vec<LaneValue>) -> Vec<LaneValue> {
        let all = totals.into_iter().enumerate();
        all.map(|(i, x)| if self.is_widened(s, i) { self.narrowed(x) } else { x }).collect()
    }

    /// Adds the accumulators of a block to the totals.
    fn add_to_totals(
        &mut self,
        s: usize,
        totals: Vec<LaneValue>,
        sums: Vec<LaneValue>,
        shape: VectorShape,
    ) -> Vec<LaneValue> {
        let k = self.k;
        let mut out = vec![];
        for (i, (total, sum)) in totals.into_iter().zip(sums).enumerate() {
            let f = k.stages[s].accumulators[i];
            let ty = k.stages[s].insts[f.value as usize].ty;
            if !self.is_widened(s, i) {
                out.push(self.map(&[total, sum], [ty, ty], shape, |e, v, is_vector| {
                    e.combine(f.kind, v[0], v[1], ty, is_vector.then_some(shape))
                }));
                continue;
            }
            let sum = self.widened(sum);
            let pairs = total.values().into_iter().zip(sum.values());
            let added: Vec<Value> = pairs.map(|(x, y)| self.b.ins().fadd(x, y)).collect();
            out.extend(LaneValue::like(&[total], &added));
        }
        out
    }

    /// Returns true if the total of an accumulator is wider than its sums.
    fn is_widened(&self, s: usize, accumulator: usize) -> bool {
        let stage = &self.k.stages[s];
        let f = stage.accumulators[accumulator];
        f.kind == ReduceKind::Sum && stage.insts[f.value as usize].ty == DType::F32
    }

    /// Converts f32 to f64: a vector becomes two, of its lower and its upper half.
    fn widened(&mut self, x: LaneValue) -> LaneValue {
        match x {
            LaneValue::Uniform(v) => LaneValue::Uniform(self.b.ins().fpromote(types::F64, v)),
            LaneValue::Varying(vs) => {
                let mut out = SmallVec::new();
                for v in vs {
                    let upper = self.shuffled(v, v, UPPER_HALF);
                    out.push(self.b.ins().fvpromote_low(v));
                    out.push(self.b.ins().fvpromote_low(upper));
                }
                LaneValue::Varying(out)
            }
        }
    }

    /// Converts what [`KernelEmitter::widened`] returns back to f32.
    fn narrowed(&mut self, x: LaneValue) -> LaneValue {
        match x {
            LaneValue::Uniform(v) => LaneValue::Uniform(self.b.ins().fdemote(types::F32, v)),
            LaneValue::Varying(vs) => {
                let mut out = SmallVec::new();
                for halves in vs.chunks_exact(2) {
                    let lower = self.b.ins().fvdemote(halves[0]);
                    let upper = self.b.ins().fvdemote(halves[1]);
                    out.push(self.shuffled(lower, upper, LOWER_HALVES));
                }
                LaneValue::Varying(out)
            }
        }
    }

    /// Returns the bytes of two vectors of f32 that `bytes` selects.
    fn shuffled(&mut self, x: Value, y: Value, bytes: [u8; 16]) -> Value {
        let (x, y) = (self.bitcast(x, types::I8X16), self.bitcast(y, types::I8X16));
        let mask = self.b.func.dfg.immediates.push(ConstantData::from(&bytes[..]));
        let z = self.b.ins().shuffle(x, y, mask);
        self.bitcast(z, types::F32X4)
    }
}
