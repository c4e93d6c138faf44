//! Innermost loops that only copy neighbours: long runs of them are copied by the library.

use super::{
    body::Env,
    lane_value::LaneValue,
    loops::{KernelEmitter, LoopPosition},
};
use crate::kernel::{InstKind, InstSource, Size, Stride, VectorAxis};
use cranelift_codegen::ir::{InstBuilder, Value, condcodes::IntCC};

/// A loop that only copies.
pub struct CopiedRun {
    /// The access that is loaded, and bytes that it is further on.
    load: usize,
    at: Option<Value>,
    /// The access that is stored.
    store: usize,
    /// Bytes of an element.
    bytes: i64,
}

/// Runs of fewer bytes are copied by the loop itself.
const LONG: i64 = 512;

impl KernelEmitter<'_, '_> {
    /// Does the innermost loop of a stage only copy neighbours, and may there be many? All else is
    /// computed in front of it, and known.
    pub fn copied_run(&mut self, s: usize, depth: &[usize], env: &mut Env) -> Option<CopiedRun> {
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
        let is_short =
            matches!(stage.inner.last(), Some(Size::Fixed(n)) if *n as i64 * bytes < LONG);
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

    /// The loop, or a copy if the run is long.
    pub fn copy_or_loop(
        &mut self,
        run: CopiedRun,
        (from, to): (Value, Value),
        s: usize,
        position: &LoopPosition,
        depth: &[usize],
        env: &Env,
        accumulators: Vec<LaneValue>,
    ) -> Vec<LaneValue> {
        let (long, short, after) =
            (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let n = self.b.ins().isub(to, from);
        let bytes = self.b.ins().imul_imm_s(n, run.bytes);
        let is_long = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, bytes, LONG);
        self.b.ins().brif(is_long, long, &[], short, &[]);
        self.b.switch_to_block(long);
        let skipped = self.b.ins().imul_imm_s(from, run.bytes);
        let mut source = self.b.ins().iadd(position.addresses[run.load], skipped);
        if let Some(at) = run.at {
            source = self.b.ins().iadd(source, at);
        }
        let target = self.b.ins().iadd(position.addresses[run.store], skipped);
        self.copy(target, source, bytes);
        self.b.ins().jump(after, &[]);
        self.b.switch_to_block(short);
        let accumulators = self.last_loop((from, to), s, position, depth, env, accumulators);
        self.b.ins().jump(after, &[]);
        self.b.switch_to_block(after);
        accumulators
    }
}
