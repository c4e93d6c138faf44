//! Kernels that run on a part of the rows and columns of a matrix.
//!
//! The problem: an epilogue should run on each part of a convolution's result while it is in the
//! cache, but its machine code can begin and end only in the outermost loop. The method: trip
//! counts are parameters, so that the same code runs on a part if it gets the part's trip counts,
//! and operands that begin at the part's first element:
//!
//! ```text
//! a kernel of 64 x 3136 iterations, on rows 6..12 and columns 64..128:
//!   iterations 6..12 of the outermost loop, 64 of the inner one, operands 64 elements further on
//! ```
//!
//! Invariant: the trip count that changes is a parameter without another use, and no value is
//! computed from a loop counter.

#![allow(unsafe_code, reason = "machine code is called")]

use super::{kernel::KernelTask, kernel_loops::KernelLoops};
use crate::address::Address;
use crate::schedule::BufferId;
use smallvec::SmallVec;
use std::ops::Range;

/// The loops of a kernel as the rows and columns of a matrix.
#[derive(Clone, Copy, Debug)]
pub struct KernelMatrix {
    columns: usize,
    /// The rows of one iteration of the outermost loop: more than one if there are three loops.
    rows_of_iteration: usize,
}

impl KernelTask {
    /// Returns the loops as the rows and columns of a matrix in `buffer`, of elements of `bytes`
    /// bytes, if the kernel runs through it in order and can run on a part of it.
    pub fn matrix(
        &self,
        buffer: BufferId,
        bytes: usize,
        [rows, columns]: [usize; 2],
    ) -> Option<KernelMatrix> {
        let loops = self.loops.as_ref()?;
        let has_params = |from: usize| loops.params[from..].iter().all(Option::is_some);
        let rows_of_iteration = match loops.sizes[..] {
            [count] if count == rows * columns => 1,
            [down, across] if down == rows && across == columns && has_params(1) => 1,
            [outer, down, across]
                if outer * down == rows && across == columns && has_params(1) && down > 0 =>
            {
                down
            }
            _ => return None,
        };
        // The strides of the matrix, outermost first.
        let mut dense: SmallVec<[isize; 3]> = SmallVec::new();
        let mut step = bytes as isize;
        for &size in loops.sizes.iter().rev() {
            dense.insert(0, step);
            step *= size as isize;
        }
        let is_in_order = |(arg, strides): (&(BufferId, isize), &SmallVec<[isize; 3]>)| -> bool {
            arg.0 != buffer || (arg.1 == 0 && *strides == dense)
        };
        let all = || self.args.iter().zip(&loops.strides);
        all().all(is_in_order).then_some(KernelMatrix { columns, rows_of_iteration })
    }

    /// Runs the kernel on some rows and columns of a matrix.
    ///
    /// # Safety
    /// As [`KernelTask::run_range`], for these rows and columns.
    pub unsafe fn run_part(
        &self,
        matrix: KernelMatrix,
        operands: &[Address],
        rows: Range<usize>,
        columns: Range<usize>,
    ) {
        let Some(loops) = &self.loops else { return };
        let KernelMatrix { columns: width, rows_of_iteration: per } = matrix;
        if rows.is_empty() || columns.is_empty() {
            return;
        }
        if loops.sizes.len() == 1 {
            let is_whole = columns.len() == width;
            let runs = if is_whole { 1 } else { rows.len() };
            for row in (rows.start..).take(runs) {
                let end = if is_whole { rows.end * width } else { row * width + columns.end };
                // SAFETY: as promised by the caller.
                unsafe { self.run_range(operands, row * width + columns.start, end) }
            }
            return;
        }
        let mut params: SmallVec<[i64; 32]> = SmallVec::from_slice(&self.params);
        let mut moved: SmallVec<[Address; 12]> = SmallVec::from_slice(operands);
        let mut set = |axis: usize, size: usize| {
            if let Some(p) = loops.params[axis] {
                params[p as usize] = size as i64;
            }
        };
        let last = loops.sizes.len() - 1;
        set(last, columns.len());
        if loops.sizes.len() == 2 {
            self.move_operands(loops, operands, &mut moved, [0, columns.start]);
            // SAFETY: as promised by the caller.
            return unsafe { self.run_with(&moved, &params, rows.start, rows.end) };
        }
        for outer in rows.start / per..rows.end.div_ceil(per) {
            let from = rows.start.max(outer * per) - outer * per;
            let end = rows.end.min((outer + 1) * per) - outer * per;
            if let Some(p) = loops.params[1] {
                params[p as usize] = (end - from) as i64;
            }
            self.move_operands(loops, operands, &mut moved, [from, columns.start]);
            // SAFETY: as promised by the caller.
            unsafe { self.run_with(&moved, &params, outer, outer + 1) }
        }
    }

    /// Moves the operands to the first row and column of a part, along the last two loops.
    fn move_operands(
        &self,
        loops: &KernelLoops,
        from: &[Address],
        to: &mut [Address],
        [row, column]: [usize; 2],
    ) {
        for ((to, from), strides) in to.iter_mut().zip(from).zip(&loops.strides) {
            let last = strides.len() - 1;
            let down = if last > 1 { strides[last - 1] * row as isize } else { 0 };
            *to = from.plus(down + strides[last] * column as isize);
        }
    }
}
