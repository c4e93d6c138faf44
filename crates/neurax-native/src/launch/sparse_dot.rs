//! Products of a sparse matrix with dense operands, row by row.
//!
//! The elements of a row are found by their order: if the rows of all elements ascend, as in a
//! matrix of compressed rows, a chunk of rows finds its first element by a binary search. Otherwise
//! the elements are copied in the order of their rows first, by a counting sort, which keeps the
//! order of those of one row. Chunks of rows run in parallel. The columns of the dense operand are
//! taken a few at a time, so that their sums stay in registers.
//!
//! ```text
//! rows 2 0 2 0  ->  order 1 3 | | 0 2, starts 0 2 2 4
//! row 0: values[1] · dense[from[1]] + values[3] · dense[from[3]]
//! ```
//!
//! Invariants: an element whose row or column is out of bounds adds nothing; the terms of a row are
//! added in the order of the elements, in blocks whose sums are added in f64.

#![allow(unsafe_code, reason = "buffers are read and written by address")]

use super::{pool::Pool, scratch::Scratch, shared_array::SharedArray};
use crate::{
    address::Address,
    schedule::BufferId,
    tuning::{SPARSE_BLOCK_TERMS, SPARSE_GRAIN_PRODUCTS, SPARSE_MAX_CHUNKS},
};
use neurax_ir::{DType, Eqn, Graph, OrBug, Result};
use std::{
    ops::{AddAssign, Mul, Range},
    slice,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// The task of a product.
#[derive(Debug)]
pub struct SparseDotTask {
    values: BufferId,
    to: BufferId,
    from: BufferId,
    dense: BufferId,
    result: BufferId,
    is_double: bool,
    /// The number of stored elements.
    stored: usize,
    /// The rows of the dense operand.
    dense_rows: usize,
    /// The rows of the result.
    rows: usize,
    /// The columns of the dense operand and the result.
    columns: usize,
    chunks: usize,
}

impl SparseDotTask {
    /// Creates the task of equation `e`.
    ///
    /// # Errors
    /// If the equation has another number of operands, an error of this crate.
    pub fn new(
        graph: &Graph,
        e: &Eqn,
        reads: &[BufferId],
        writes: &[BufferId],
    ) -> Result<SparseDotTask> {
        let (&[values, to, from, dense], &[result]) = (reads, writes) else {
            return None.or_bug("a sparse product has other operands");
        };
        let [x, y] = [e.inputs[3], e.outputs[0]].map(|v| graph.ty(v));
        let stored = graph.ty(e.inputs[0]).size();
        let columns = x.shape[1..].iter().product();
        let (dense_rows, rows) = (x.shape[0], y.shape[0]);
        let work = stored.saturating_mul(columns) / SPARSE_GRAIN_PRODUCTS;
        Ok(SparseDotTask {
            values,
            to,
            from,
            dense,
            result,
            is_double: x.dtype == DType::F64,
            stored,
            dense_rows,
            rows,
            columns,
            chunks: work.clamp(1, SPARSE_MAX_CHUNKS).min(rows),
        })
    }

    /// Returns the bytes that [`SparseDotTask::grouped`] takes.
    pub fn scratch(&self) -> usize {
        let number = if self.is_double { size_of::<f64>() } else { size_of::<f32>() };
        let element = number + size_of::<i32>() + size_of::<u32>();
        let starts = (self.rows + 1).saturating_mul(size_of::<u32>());
        self.stored.saturating_mul(element).saturating_add(starts)
    }

    /// Runs the product.
    ///
    /// # Safety
    /// The slots hold addresses of the buffers of the task's schedule, and no other thread uses the
    /// result.
    pub unsafe fn run(&self, slots: &[Address], pool: &Pool) {
        // SAFETY: as promised by the caller.
        unsafe {
            match self.is_double {
                true => self.run_as::<f64>(slots, pool),
                false => self.run_as::<f32>(slots, pool),
            }
        }
    }

    /// Runs the product of numbers of type `T`.
    ///
    /// # Safety
    /// As for [`SparseDotTask::run`]; the values are of type `T`.
    unsafe fn run_as<T: Term>(&self, slots: &[Address], pool: &Pool) {
        // SAFETY: as promised by the caller; the shapes are those of the buffers.
        let (elements, to) = unsafe {
            let elements = StoredElements {
                values: array::<T>(slots[self.values], self.stored),
                from: array::<i32>(slots[self.from], self.stored),
            };
            (elements, array::<i32>(slots[self.to], self.stored))
        };
        // SAFETY: as above.
        let dense = unsafe { array::<T>(slots[self.dense], self.dense_rows * self.columns) };
        let dense = DenseRows { numbers: dense, columns: self.columns };
        let result = SharedArray::new(slots[self.result].0.cast::<T>());
        let row_of = |row: usize| {
            // SAFETY: as promised by the caller; each row is computed once.
            unsafe { result.range(row * self.columns..(row + 1) * self.columns) }
        };
        if self.ascends(to, pool) {
            return self.in_chunks(pool, |rows| {
                let mut first = to.partition_point(|&row| row < rows.start as i32);
                for row in rows {
                    let end = first + run_length(&to[first..], row as i32);
                    dense.row(elements.range(first..end), row_of(row));
                    first = end;
                }
            });
        }
        let mut own = Scratch::new(self.scratch());
        // SAFETY: the scratch memory is this call's alone.
        let (elements, starts) = unsafe { self.grouped(elements, to, own.address()) };
        self.in_chunks(pool, |rows| {
            for row in rows {
                let [first, end] = [0, 1].map(|i| starts[row + i] as usize);
                dense.row(elements.range(first..end), row_of(row));
            }
        })
    }

    /// Copies the elements in the order of their rows `to`, and returns them with the number of
    /// elements before each row.
    ///
    /// # Safety
    /// The memory has [`SparseDotTask::scratch`] bytes, aligned to a cache line, that no other
    /// thread uses while the results are used.
    unsafe fn grouped<'a, T: Term>(
        &self,
        elements: StoredElements<T>,
        to: &[i32],
        memory: Address,
    ) -> (StoredElements<'a, T>, &'a [u32]) {
        let from = memory.plus((self.stored * size_of::<T>()) as isize);
        let order = from.plus((self.stored * size_of::<i32>()) as isize);
        // SAFETY: as promised by the caller: there is room for the numbers, columns, order and
        // starts, one behind the other, and each size is a multiple of the alignment of the next.
        let (values, from, order) = unsafe {
            (
                SharedArray::new(memory.0.cast::<T>()).range(0..self.stored),
                SharedArray::new(from.0.cast::<i32>()).range(0..self.stored),
                SharedArray::new(order.0.cast::<u32>()).range(0..self.stored + self.rows + 1),
            )
        };
        order.fill(0);
        let (order, starts) = order.split_at_mut(self.stored);
        group(to, order, starts);
        for ((value, from), &i) in values.iter_mut().zip(from.iter_mut()).zip(&*order) {
            (*value, *from) = (elements.values[i as usize], elements.from[i as usize]);
        }
        (StoredElements { values, from }, starts)
    }

    /// Returns true if the rows of the elements ascend.
    fn ascends(&self, to: &[i32], pool: &Pool) -> bool {
        let ascends = AtomicBool::new(true);
        let each = to.len().div_ceil(self.chunks);
        pool.run(self.chunks, &|part| {
            let part = &to[(part * each).min(to.len())..((part + 1) * each + 1).min(to.len())];
            // Without an early end, the loop is vectorized.
            let pairs = part.iter().zip(part.iter().skip(1));
            if !pairs.fold(true, |ascends, (a, b)| ascends & (a <= b)) {
                ascends.store(false, Relaxed);
            }
        });
        ascends.load(Relaxed)
    }

    /// Runs `f` on each chunk of rows, in parallel.
    fn in_chunks(&self, pool: &Pool, f: impl Fn(Range<usize>) + Sync) {
        let each = self.rows.div_ceil(self.chunks);
        let chunk = |i: usize| (i * each).min(self.rows)..((i + 1) * each).min(self.rows);
        pool.run(self.chunks, &|part| f(chunk(part)))
    }
}

/// Returns the numbers of a buffer.
///
/// # Safety
/// The address is that of `len` numbers of type `T` that no thread writes while they are used.
unsafe fn array<'a, T>(address: Address, len: usize) -> &'a [T] {
    // SAFETY: as promised by the caller.
    unsafe { slice::from_raw_parts(address.0.cast::<T>(), len) }
}

/// Returns how many of the first elements of `to` are `row`.
fn run_length(to: &[i32], row: i32) -> usize {
    // Whole blocks are compared without an early end, by vectors.
    let is_whole = |block: &&[i32]| block.iter().fold(true, |whole, &to| whole & (to == row));
    let known = to.chunks_exact(LANES).take_while(is_whole).count() * LANES;
    known + to[known..].iter().take_while(|&&to| to == row).count()
}

/// Sets `order` to the elements of each row, one row after the other, and `starts` to the number of
/// elements before each row; both are zeros before. There is one start more than rows.
fn group(to: &[i32], order: &mut [u32], starts: &mut [u32]) {
    let rows = starts.len() - 1;
    let inside = |to: i32| usize::try_from(to).ok().filter(|&row| row < rows);
    for row in to.iter().copied().filter_map(inside) {
        starts[row + 1] += 1;
    }
    let mut total = 0;
    for start in &mut starts[..] {
        total += *start;
        *start = total;
    }
    // Each start moves to the next one while its row is filled, and back at the end.
    for (i, row) in to.iter().enumerate().filter_map(|(i, &to)| Some((i, inside(to)?))) {
        order[starts[row] as usize] = i as u32;
        starts[row] += 1;
    }
    starts.copy_within(0..rows, 1);
    starts[0] = 0;
}

/// A number of the matrix.
trait Term: Copy + Mul<Output = Self> + AddAssign + Send + Sync + 'static {
    const ZERO: Self;
    fn wide(self) -> f64;
    fn round(x: f64) -> Self;
}

impl Term for f32 {
    const ZERO: f32 = 0.0;
    fn wide(self) -> f64 {
        self.into()
    }
    fn round(x: f64) -> f32 {
        x as f32
    }
}

impl Term for f64 {
    const ZERO: f64 = 0.0;
    fn wide(self) -> f64 {
        self
    }
    fn round(x: f64) -> f64 {
        x
    }
}

/// Stored elements without their rows.
#[derive(Clone, Copy)]
struct StoredElements<'a, T> {
    values: &'a [T],
    from: &'a [i32],
}

impl<'a, T: Term> StoredElements<'a, T> {
    fn range(self, range: Range<usize>) -> StoredElements<'a, T> {
        StoredElements { values: &self.values[range.clone()], from: &self.from[range] }
    }

    /// Returns blocks of elements whose products are added in the dtype of the matrix.
    fn blocks(self, len: usize) -> impl Iterator<Item = StoredElements<'a, T>> {
        let both = self.values.chunks(len).zip(self.from.chunks(len));
        both.map(|(values, from)| StoredElements { values, from })
    }

    fn iter(self) -> impl Iterator<Item = (T, i32)> + 'a {
        self.values.iter().copied().zip(self.from.iter().copied())
    }
}

/// The dense operand.
struct DenseRows<'a, T> {
    numbers: &'a [T],
    columns: usize,
}

/// The columns that are computed together.
const WIDE: usize = 32;
const NARROW: usize = 8;

/// The partial sums of a single column, which are independent of each other.
const LANES: usize = 8;

impl<T: Term> DenseRows<'_, T> {
    /// Computes the row `out` of the result, whose elements are `elements`.
    fn row(&self, elements: StoredElements<T>, out: &mut [T]) {
        let mut column = 0;
        while column + WIDE <= out.len() {
            self.sums_of_columns::<WIDE>(elements, column, out);
            column += WIDE;
        }
        while column + NARROW <= out.len() {
            self.sums_of_columns::<NARROW>(elements, column, out);
            column += NARROW;
        }
        for (column, out) in out.iter_mut().enumerate().skip(column) {
            *out = self.sum_of_column(elements, column);
        }
    }

    /// Returns the index of a number in row `from`, beyond all of them if the row is out of bounds:
    /// both factors are below 2³².
    fn index(&self, from: i32, column: usize) -> usize {
        from as u32 as usize * self.columns + column
    }

    /// Computes `N` columns of a row.
    fn sums_of_columns<const N: usize>(
        &self,
        elements: StoredElements<T>,
        column: usize,
        out: &mut [T],
    ) {
        let mut total = [0.0; N];
        for block in elements.blocks(SPARSE_BLOCK_TERMS) {
            let mut sum = [T::ZERO; N];
            for (value, from) in block.iter() {
                let row = self.numbers.get(self.index(from, column)..);
                let Some(row) = row.and_then(|row| row.first_chunk::<N>()) else { continue };
                sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += value * x);
            }
            total.iter_mut().zip(sum).for_each(|(total, sum)| *total += sum.wide());
        }
        let out = &mut out[column..column + N];
        out.iter_mut().zip(total).for_each(|(out, total)| *out = T::round(total));
    }

    /// Returns one column of a row.
    fn sum_of_column(&self, elements: StoredElements<T>, column: usize) -> T {
        let mut total = 0.0;
        for block in elements.blocks(SPARSE_BLOCK_TERMS) {
            let mut lanes = [T::ZERO; LANES];
            for group in block.blocks(LANES) {
                for (lane, (value, from)) in lanes.iter_mut().zip(group.iter()) {
                    if let Some(&x) = self.numbers.get(self.index(from, column)) {
                        *lane += value * x;
                    }
                }
            }
            total += lanes.map(T::wide).iter().sum::<f64>();
        }
        T::round(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_grouped_by_row_in_their_order() {
        let (mut order, mut starts) = ([0; 6], [0; 4]);
        group(&[2, 0, 7, 2, 0, -1], &mut order, &mut starts);
        assert_eq!((&order[..4], starts), (&[1, 4, 0, 3][..], [0, 2, 2, 4]));
    }
}
