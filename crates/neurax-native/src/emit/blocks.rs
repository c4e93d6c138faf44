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
//! the stage take the same path, which changes nothing for them. The kernel says which stages have
//! long sums, as trip counts are parameters here. The totals of f32 are in memory, as the sums of
//! the block need the registers, and are added vector by vector: where more values are live after a
//! block, the register allocator spills sums inside of it.

use super::{
    lane_value::{LaneValue, VectorShape},
    state::{Env, KernelEmitter, LoopPosition, LoopRange, StageRef},
};
use crate::{
    kernel::{Accumulator, Size, VectorAxis},
    tuning::SUM_BLOCK,
};
use cranelift_codegen::ir::{
    ConstantData, InstBuilder, StackSlot, StackSlotData, StackSlotKind, Value, condcodes::IntCC,
    types,
};
use neurax_ir::{DType, op::ReduceKind};
use smallvec::{SmallVec, smallvec};

/// The loop that is divided into blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockedLoop {
    /// The depth of the loop.
    pub level: usize,
    /// The iterations of a block.
    pub iterations: usize,
}

/// The bytes of a vector.
const VECTOR_BYTES: usize = 16;
/// The logarithm of their alignment.
const VECTOR_ALIGN_SHIFT: u8 = 4;
/// The bytes of the upper half of a vector, twice.
const UPPER_HALF: [u8; 16] = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
/// The bytes of the lower halves of two vectors.
const LOWER_HALVES: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];

impl KernelEmitter<'_, '_> {
    /// Returns the loop of a stage that is divided into blocks, if any.
    pub fn blocked_loop(&self, s: usize) -> Option<BlockedLoop> {
        let stage = &self.k.stages[s];
        if !stage.in_blocks {
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
        let slots = self.total_slots(s, &totals);
        let kept = self.store_totals(&slots, &totals);
        let carried: Vec<Value> = kept.iter().flat_map(LaneValue::values).collect();
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
            let kept = LaneValue::like(&kept, carried);
            let kept = e.add_to_totals(s, &slots, kept, sums, position.shape);
            kept.iter().flat_map(LaneValue::values).collect()
        });
        self.load_totals(&slots, &totals, &out)
    }

    /// Returns accumulators as totals: sums of f32 become f64.
    pub fn totals(&mut self, s: usize, accumulators: Vec<LaneValue>) -> Vec<LaneValue> {
        let all = accumulators.into_iter().enumerate();
        all.map(|(i, x)| if self.is_widened(s, i) { self.widened_sum(x) } else { x }).collect()
    }

    /// Returns totals as accumulators.
    pub fn round_totals(&mut self, s: usize, totals: Vec<LaneValue>) -> Vec<LaneValue> {
        let all = totals.into_iter().enumerate();
        all.map(|(i, x)| if self.is_widened(s, i) { self.narrowed(x) } else { x }).collect()
    }

    /// Creates a stack slot for every total that is wider than its sums; the others stay in
    /// registers.
    fn total_slots(&mut self, s: usize, totals: &[LaneValue]) -> Vec<Option<StackSlot>> {
        let slot = |(i, total): (usize, &LaneValue)| {
            let bytes = (VECTOR_BYTES * total.values().len()) as u32;
            let data = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, VECTOR_ALIGN_SHIFT);
            self.is_widened(s, i).then(|| self.b.create_sized_stack_slot(data))
        };
        totals.iter().enumerate().map(slot).collect()
    }

    /// Stores the totals that have a slot. Returns the others.
    fn store_totals(
        &mut self,
        slots: &[Option<StackSlot>],
        totals: &[LaneValue],
    ) -> Vec<LaneValue> {
        let mut kept = vec![];
        for (slot, total) in slots.iter().zip(totals) {
            let Some(slot) = slot else {
                kept.push(total.clone());
                continue;
            };
            for (i, v) in total.values().into_iter().enumerate() {
                self.b.ins().stack_store(types::I64, v, *slot, (VECTOR_BYTES * i) as i32);
            }
        }
        kept
    }

    /// Returns totals like `totals`: from their slots, and from the values of the others.
    fn load_totals(
        &mut self,
        slots: &[Option<StackSlot>],
        totals: &[LaneValue],
        carried: &[Value],
    ) -> Vec<LaneValue> {
        let (mut carried, mut out) = (carried.iter().copied(), vec![]);
        for (slot, total) in slots.iter().zip(totals) {
            let values = total.values();
            match slot {
                Some(slot) => out.extend(values.iter().enumerate().map(|(i, &v)| {
                    let ty = self.b.func.dfg.value_type(v);
                    self.b.ins().stack_load(types::I64, ty, *slot, (VECTOR_BYTES * i) as i32)
                })),
                None => out.extend(carried.by_ref().take(values.len())),
            }
        }
        LaneValue::like(totals, &out)
    }

    /// Adds the sums of a block to the totals: those in slots, and `kept`, the others. Returns the
    /// new values of these.
    fn add_to_totals(
        &mut self,
        s: usize,
        slots: &[Option<StackSlot>],
        kept: Vec<LaneValue>,
        sums: Vec<LaneValue>,
        shape: VectorShape,
    ) -> Vec<LaneValue> {
        let (k, mut rest) = (self.k, vec![]);
        for ((slot, sum), f) in slots.iter().zip(sums).zip(&k.stages[s].accumulators) {
            match slot {
                Some(slot) => self.add_to_slot(*slot, &sum),
                None => rest.push((sum, f)),
            }
        }
        let mut add = |(total, (sum, f)): (LaneValue, (LaneValue, &Accumulator))| {
            let ty = k.stages[s].insts[f.value as usize].ty;
            self.map(&[total, sum], [ty, ty], shape, |e, v, is_vector| {
                e.combine(f.kind, v[0], v[1], ty, is_vector.then_some(shape))
            })
        };
        kept.into_iter().zip(rest).map(&mut add).collect()
    }

    /// Adds a sum to the total in a slot, vector by vector, which takes few registers.
    fn add_to_slot(&mut self, slot: StackSlot, sum: &LaneValue) {
        let mut at = 0;
        for v in sum.values() {
            for x in self.widened(v) {
                let ty = self.b.func.dfg.value_type(x);
                let total = self.b.ins().stack_load(types::I64, ty, slot, at);
                let total = self.b.ins().fadd(total, x);
                self.b.ins().stack_store(types::I64, total, slot, at);
                at += VECTOR_BYTES as i32;
            }
        }
    }

    /// Returns true if the total of an accumulator is wider than its sums.
    fn is_widened(&self, s: usize, accumulator: usize) -> bool {
        let stage = &self.k.stages[s];
        let f = stage.accumulators[accumulator];
        f.kind == ReduceKind::Sum && stage.insts[f.value as usize].ty == DType::F32
    }

    /// Converts f32 to f64: a vector becomes two, of its lower and its upper half.
    fn widened(&mut self, v: Value) -> SmallVec<[Value; 2]> {
        if !self.b.func.dfg.value_type(v).is_vector() {
            return smallvec![self.b.ins().fpromote(types::F64, v)];
        }
        let upper = self.shuffled(v, v, UPPER_HALF);
        smallvec![self.b.ins().fvpromote_low(v), self.b.ins().fvpromote_low(upper)]
    }

    /// Converts sums of f32 to f64.
    fn widened_sum(&mut self, sum: LaneValue) -> LaneValue {
        match sum {
            LaneValue::Uniform(v) => LaneValue::Uniform(self.b.ins().fpromote(types::F64, v)),
            LaneValue::Varying(vs) => {
                LaneValue::Varying(vs.into_iter().flat_map(|v| self.widened(v)).collect())
            }
        }
    }

    /// Converts what [`KernelEmitter::widened_sum`] returns back to f32.
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
