//! Epilogues of convolutions: kernels that run on each part of a result after it is computed.

#![allow(unsafe_code, reason = "machine code is called")]

use super::{frame::Frame, kernel::KernelTask, kernel_part::KernelMatrix, pool::Pool};
use crate::{address::Address, schedule::BufferId};
use std::ops::Range;

/// A part of a result that is computed: rows, and columns of them.
pub type ComputedPart = [Range<usize>; 2];

/// A kernel that runs on each part of a matrix, if it can, or on all of it at the end.
#[derive(Debug)]
pub struct PartEpilogue {
    task: KernelTask,
    range: EpilogueRange,
    /// The columns of the matrix.
    columns: usize,
}

/// The part of the result on which an epilogue can run.
#[derive(Clone, Copy, Debug)]
enum EpilogueRange {
    /// Any rows and columns.
    Part(KernelMatrix),
    /// Whole rows; its iterations for each.
    Rows(usize),
    /// All of it.
    Whole,
}

/// The result that an epilogue reads: a matrix.
#[derive(Clone, Copy, Debug)]
pub struct EpilogueMatrix {
    pub buffer: BufferId,
    /// The bytes of an element.
    pub bytes: usize,
    pub rows: usize,
    pub columns: usize,
    /// True if each part is reported after it is computed.
    pub is_partial: bool,
    /// True if each part that is reported is whole rows.
    pub is_by_rows: bool,
}

impl PartEpilogue {
    /// Creates the epilogue that runs `task` on parts of `matrix`.
    pub fn new(task: KernelTask, matrix: EpilogueMatrix) -> PartEpilogue {
        let EpilogueMatrix { buffer, bytes, rows, columns, is_partial, is_by_rows } = matrix;
        let range = match task.matrix(buffer, bytes, [rows, columns]) {
            Some(matrix) if is_partial => EpilogueRange::Part(matrix),
            _ if is_by_rows && rows > 0 && task.count.is_multiple_of(rows) => {
                EpilogueRange::Rows(task.count / rows)
            }
            // other: neither parts nor rows suit.
            _ => EpilogueRange::Whole,
        };
        PartEpilogue { task, range, columns }
    }

    /// Sets the operands of the frame to those of the kernel.
    pub fn set_operands(&self, f: &mut Frame) {
        self.task.operands(&f.slots, &mut f.operands)
    }

    /// Runs the kernel on a part that was computed, if it can.
    ///
    /// # Safety
    /// As [`KernelTask::run_range`], for this part.
    pub unsafe fn run_part(&self, operands: &[Address], [rows, columns]: ComputedPart) {
        // SAFETY: the kernel's iterations read only the part that was just computed.
        unsafe {
            match self.range {
                EpilogueRange::Part(matrix) => self.task.run_part(matrix, operands, rows, columns),
                EpilogueRange::Rows(per) if columns.len() == self.columns => {
                    self.task.run_range(operands, rows.start * per, rows.end * per)
                }
                // other: the kernel runs at the end.
                EpilogueRange::Rows(_) | EpilogueRange::Whole => (),
            }
        }
    }

    /// Runs the kernel at the end, if it cannot run on parts.
    ///
    /// # Safety
    /// As [`KernelTask::run`].
    pub unsafe fn run_whole(&self, f: &mut Frame, pool: &Pool) {
        if let EpilogueRange::Whole = self.range {
            // SAFETY: as promised by the caller.
            unsafe { self.task.run(f, pool) }
        }
    }
}
