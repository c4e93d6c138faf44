//! Totals of long sums: an f64 for each element of a matrix of sums.
//!
//! The rounding error of a sum grows with the number of additions. Tasks that add many values add
//! up blocks of them in the dtype of the result, and then add the sums of each block to the totals,
//! which round so little that only the additions inside of a block count.

#![allow(unsafe_code, reason = "sums are addresses and strides")]

use super::{scratch::Scratch, strided_matrix::StridedMatrix};

/// An element of a sum.
pub trait SumElement: Copy + 'static {
    /// True if sums are rounded, so that long ones need totals.
    const IS_ROUNDED: bool;

    /// Converts the number to f64.
    fn widen(self) -> f64;

    /// Rounds an f64.
    fn narrow(x: f64) -> Self;
}

macro_rules! sum_elements {
    ($rounded:literal: $($t:ident),*) => {$(
        impl SumElement for $t {
            const IS_ROUNDED: bool = $rounded;

            #[inline(always)]
            fn widen(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn narrow(x: f64) -> $t {
                x as $t
            }
        }
    )*};
}

sum_elements!(true: f32, f64);
sum_elements!(false: i8, i16, i32, i64, u8, u16, u32, u64);

/// The totals of a matrix of sums, column by column.
pub struct SumTotals {
    memory: Scratch,
    rows: usize,
    columns: usize,
}

impl SumTotals {
    /// Creates totals of zero.
    pub fn zeros(rows: usize, columns: usize) -> SumTotals {
        let mut totals = SumTotals { memory: Scratch::new(rows * columns * 8), rows, columns };
        // SAFETY: the memory has room for them, and zero bytes are the number 0.
        unsafe { totals.address().write_bytes(0, rows * columns) }
        totals
    }

    /// Adds `sums` to the totals.
    ///
    /// # Safety
    /// `sums` has an element for each total, and no other thread writes them.
    pub unsafe fn add<T: SumElement>(&mut self, sums: StridedMatrix<T>) {
        // SAFETY: as promised by the caller.
        unsafe { self.each(sums, |sum, total| *total += sum.widen()) }
    }

    /// Rounds the totals into `sums`.
    ///
    /// # Safety
    /// `sums` has an element for each total, and no other thread uses them.
    pub unsafe fn store<T: SumElement>(&mut self, sums: StridedMatrix<T>) {
        // SAFETY: as promised by the caller.
        unsafe { self.each(sums, |sum, total| *sum = T::narrow(*total)) }
    }

    /// Adds `x` to the total of row `row` in the first column.
    ///
    /// # Safety
    /// There is such a row.
    #[inline]
    pub unsafe fn add_to_row(&mut self, row: usize, x: f64) {
        // SAFETY: as promised by the caller.
        unsafe { *self.address().add(row) += x }
    }

    fn address(&mut self) -> *mut f64 {
        self.memory.address().0.cast()
    }

    /// Calls `f` with every sum and its total.
    ///
    /// # Safety
    /// `sums` has an element for each total, and no other thread uses them.
    #[inline(always)]
    unsafe fn each<T: SumElement>(&mut self, sums: StridedMatrix<T>, f: impl Fn(&mut T, &mut f64)) {
        let [down, across] = sums.steps;
        let (rows, totals) = (self.rows, self.address());
        for column in 0..self.columns {
            // SAFETY: as promised by the caller; totals and sums do not overlap.
            unsafe {
                let totals = std::slice::from_raw_parts_mut(totals.add(column * rows), rows);
                let at = sums.at.wrapping_offset(column as isize * across);
                if down == 1 {
                    let sums = std::slice::from_raw_parts_mut(at, rows);
                    sums.iter_mut().zip(totals).for_each(|(sum, total)| f(sum, total));
                } else {
                    for (row, total) in totals.iter_mut().enumerate() {
                        f(&mut *at.wrapping_offset(row as isize * down), total);
                    }
                }
            }
        }
    }
}
