//! A kernel with the numbers that it is called with.

#![allow(unsafe_code, reason = "machine code is called")]

use super::{
    frame::{Address, Frame},
    pool::Pool,
};
use crate::{
    code::Code,
    kernel::VectorAxis,
    schedule::{BufferId, KernelCall},
    tuning::{KERNEL_MAX_CHUNKS, PARALLEL_GRAIN_KERNEL},
};
use std::sync::Arc;

/// A kernel of a program.
#[derive(Debug)]
pub struct KernelTask {
    code: Arc<Code>,
    args: Box<[(BufferId, isize)]>,
    params: Box<[i64]>,
    /// Iterations of the outermost loop.
    pub count: usize,
    /// What all of it costs, in elements times instructions.
    pub work: usize,
    /// The parts that it is cut into.
    chunks: usize,
    /// Every part begins at a multiple of this.
    unit: usize,
}

impl KernelTask {
    /// A kernel and its machine code.
    pub fn new(n: &KernelCall, code: Arc<Code>) -> KernelTask {
        let is_cut_in_lanes = n.kernel.outer.is_empty()
            || (n.kernel.outer.len() == 1 && n.kernel.vector_axis == VectorAxis::Outer);
        let unit = if is_cut_in_lanes { 64 } else { 1 };
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
            count: n.count,
            work,
            chunks,
            unit,
        }
    }

    /// Where its operands are.
    pub fn operands(&self, slots: &[Address], out: &mut Vec<Address>) {
        out.clear();
        out.extend(self.args.iter().map(|&(b, offset)| slots[b].plus(offset)));
    }

    /// Runs all of it.
    ///
    /// # Safety
    /// The slots of the frame hold the addresses of the arrays of the schedule that the kernel was
    /// made for, and nobody else uses what it writes.
    pub unsafe fn run(&self, f: &mut Frame, pool: &Pool) {
        self.operands(&f.slots, &mut f.operands);
        let operands = &f.operands[..];
        if self.chunks == 1 {
            // SAFETY: as promised by the caller.
            return unsafe { self.run_range(operands, 0, self.count) };
        }
        let each = self.count.div_ceil(self.chunks).next_multiple_of(self.unit);
        // SAFETY: as promised by the caller; iterations of the outermost loop write different
        // places.
        pool.run(self.chunks, &|p| unsafe {
            self.run_range(operands, (p * each).min(self.count), ((p + 1) * each).min(self.count))
        });
    }

    /// Runs a range of the outermost loop.
    ///
    /// # Safety
    /// As [`KernelTask::run`], for operands that [`KernelTask::operands`] found.
    pub unsafe fn run_range(&self, operands: &[Address], begin: usize, end: usize) {
        // Code loads what is the same in all iterations in front of the loop: without iterations it
        // may not be there.
        if begin >= end {
            return;
        }
        // SAFETY: the schedule made offsets, strides and sizes for arrays of these types, and the
        // caller gives their addresses.
        unsafe { self.code.call(operands, &self.params, begin, end) }
    }
}
