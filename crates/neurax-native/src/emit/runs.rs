//! Innermost loops that only copy contiguous elements. A long run becomes one `memcpy`: gathered
//! rows come twice as fast.

use super::{
    lane_value::LaneValue,
    state::{Env, KernelEmitter, LoopPosition, LoopRange, StageRef},
};
use crate::kernel::{InstKind, InstSource, Size, Stride, VectorAxis};
use crate::tuning::MIN_MEMCPY_BYTES;
use cranelift_codegen::ir::{InstBuilder, Value, condcodes::IntCC};

/// An innermost loop that only copies.
pub struct CopiedRun {
    /// The operand that is loaded.
    load: usize,
    /// The additional offset of the load, in bytes.
    at: Option<Value>,
    /// The operand that is stored.
    store: usize,
    /// The bytes of an element.
    bytes: i64,
}

impl KernelEmitter<'_, '_> {
    /// Returns the copy that the innermost loop of a stage is, if it is one and may be long.
    /// Everything else must be computed in front of the loop.
    pub fn copied_run(&mut self, stage_ref: StageRef, env: &mut Env) -> Option<CopiedRun> {
        let StageRef { index: s, depth } = stage_ref;
        let (k, stage) = (self.k, &self.k.stages[s]);
        let [store] = &stage.stores[..] else { return None };
        let InstKind::Source(InstSource::Load { operand, at }) =
            stage.insts[store.value as usize].op
        else {
            return None;
        };
        let [from, to] = [operand, store.operand].map(|o| &k.operands[o as usize]);
        let bytes = from.dtype.bits() as i64 / 8;
        let is_plain = stage.accumulators.is_empty()
            && store.at.is_none()
            && store.guard.is_none()
            && k.vector_axis == VectorAxis::Inner;
        let is_dense =
            from.strides.last() == Some(&Stride::Unit) && to.strides.last() == Some(&Stride::Unit);
        let is_short = match stage.inner.last() {
            Some(Size::Fixed(n)) => *n as i64 * bytes < MIN_MEMCPY_BYTES,
            Some(Size::Param(_)) | None => false,
        };
        let is_alone =
            depth.iter().enumerate().all(|(i, d)| i == store.value as usize || *d < k.depth(s));
        if !is_plain || !is_dense || is_short || !is_alone || bytes == 0 || from.dtype != to.dtype {
            return None;
        }
        let at = match at.map(|at| self.get(env, at)) {
            None => None,
            Some(LaneValue::Uniform(at)) => Some(at),
            Some(LaneValue::Varying(_)) => return None,
        };
        Some(CopiedRun { load: operand as usize, at, store: store.operand as usize, bytes })
    }

    /// Emits a `memcpy` for a long run and the loop for a short one. Returns the accumulators.
    pub fn copy_or_loop(
        &mut self,
        run: CopiedRun,
        range: LoopRange,
        stage: StageRef,
        position: &LoopPosition,
        env: &Env,
        accumulators: Vec<LaneValue>,
    ) -> Vec<LaneValue> {
        let (long, short, after) =
            (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let n = self.b.ins().isub(range.to, range.from);
        let bytes = self.b.ins().imul_imm_s(n, run.bytes);
        let is_long =
            self.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, bytes, MIN_MEMCPY_BYTES);
        self.b.ins().brif(is_long, long, &[], short, &[]);
        self.b.switch_to_block(long);
        let skipped = self.b.ins().imul_imm_s(range.from, run.bytes);
        let mut source = self.b.ins().iadd(position.addresses[run.load], skipped);
        if let Some(at) = run.at {
            source = self.b.ins().iadd(source, at);
        }
        let target = self.b.ins().iadd(position.addresses[run.store], skipped);
        self.copy(target, source, bytes);
        self.b.ins().jump(after, &[]);
        self.b.switch_to_block(short);
        let accumulators = self.last_loop(range, stage, position, env, accumulators);
        self.b.ins().jump(after, &[]);
        self.b.switch_to_block(after);
        accumulators
    }
}
