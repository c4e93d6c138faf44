//! A kernel call: machine code with its operands and parameters, run in chunks.

#![allow(unsafe_code, reason = "machine code is called")]

use super::{frame::Frame, kernel_loops::KernelLoops, pool::Pool};
use crate::address::Address;
use crate::{
    code::Code,
    kernel::VectorAxis,
    schedule::{BufferId, KernelCall},
    tuning::{KERNEL_MAX_CHUNKS, PARALLEL_GRAIN_KERNEL, VECTOR_CHUNK_UNIT},
};
use std::sync::Arc;

/// The task of a fused loop nest.
#[derive(Debug)]
pub struct KernelTask {
    code: Arc<Code>,
    /// The buffer of each operand, and the offset of its first element in bytes.
    pub(super) args: Box<[(BufferId, isize)]>,
    /// The trip counts, strides and runtime constants that the machine code reads.
    pub(super) params: Box<[i64]>,
    /// The loops, if they can run on a part of their iterations.
    pub(super) loops: Option<KernelLoops>,
    /// The iterations of the outermost loop.
    pub count: usize,
    /// The work of the whole kernel, in elements times instructions.
    pub work: usize,
    /// The number of chunks of the outermost loop.
    chunks: usize,
    /// Every chunk begins at a multiple of `unit` iterations.
    unit: usize,
}

impl KernelTask {
    /// Creates the task of the kernel call `n` with its machine code.
    pub fn new(n: &KernelCall, code: Arc<Code>) -> KernelTask {
        let is_vectorized = n.kernel.outer.is_empty()
            || (n.kernel.outer.len() == 1 && n.kernel.vector_axis == VectorAxis::Outer);
        let unit = if is_vectorized { VECTOR_CHUNK_UNIT } else { 1 };
        let work = n.count.saturating_mul(n.weight);
        let chunks = if n.parallel {
            (work / PARALLEL_GRAIN_KERNEL)
                .clamp(1, KERNEL_MAX_CHUNKS)
                .min(n.count.div_ceil(unit).max(1))
        } else {
            1
        };
        let args = n.args.iter().map(|a| (a.buffer, a.offset)).collect();
        KernelTask {
            code,
            args,
            params: n.params.clone().into(),
            loops: KernelLoops::of(n),
            count: n.count,
            work,
            chunks,
            unit,
        }
    }

    /// Sets `out` to the addresses of the operands.
    pub fn operands(&self, slots: &[Address], out: &mut Vec<Address>) {
        out.clear();
        out.extend(self.args.iter().map(|&(b, offset)| slots[b].plus(offset)));
    }

    /// Runs the whole kernel, in chunks on the threads of `pool` if there is enough work.
    ///
    /// # Safety
    /// The slots of the frame hold the addresses of the buffers of the kernel's schedule, and no
    /// other thread uses those that the kernel writes.
    pub unsafe fn run(&self, f: &mut Frame, pool: &Pool) {
        self.operands(&f.slots, &mut f.operands);
        let operands = &f.operands[..];
        if self.chunks == 1 {
            // SAFETY: as promised by the caller.
            return unsafe { self.run_range(operands, 0, self.count) };
        }
        let each = self.count.div_ceil(self.chunks).next_multiple_of(self.unit);
        // SAFETY: as promised by the caller; iterations of the outermost loop write different
        // elements.
        pool.run(self.chunks, &|p| unsafe {
            self.run_range(operands, (p * each).min(self.count), ((p + 1) * each).min(self.count))
        });
    }

    /// Runs iterations `begin..end` of the outermost loop.
    ///
    /// # Safety
    /// As [`KernelTask::run`], for `operands` as [`KernelTask::operands`] sets them.
    pub unsafe fn run_range(&self, operands: &[Address], begin: usize, end: usize) {
        // The code loads loop invariants in front of the loop: without iterations these loads may
        // be out of bounds.
        if begin >= end {
            return;
        }
        // SAFETY: offsets, strides and trip counts come from the types of these buffers, whose
        // addresses the caller promises.
        unsafe { self.run_with(operands, &self.params, begin, end) }
    }

    /// Runs iterations `begin..end` of the outermost loop with other parameters.
    ///
    /// # Safety
    /// All accesses of these iterations stay inside of live memory, which no other thread writes.
    #[inline]
    pub(super) unsafe fn run_with(
        &self,
        operands: &[Address],
        params: &[i64],
        begin: usize,
        end: usize,
    ) {
        // SAFETY: as promised by the caller.
        unsafe { self.code.call(operands, params, begin, end) }
    }
}
