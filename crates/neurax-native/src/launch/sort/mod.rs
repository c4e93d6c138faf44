//! Sorting: the rows along an axis one by one, by keys as integers with the row index appended.
//!
//! The keys of a row become unsigned integers (`keys`), several of them in one record, with the row
//! index in the low bits: an unstable sort of the records is then a stable sort of the keys. Keys
//! that do not fit into one record are sorted in several passes, the least significant first. The
//! resulting permutation reorders every operand, in place if the memory plan says so. Chunks of
//! rows run in parallel; a single long row is sorted by one thread.

#![allow(unsafe_code, reason = "buffers are read and written by address")]

mod keys;

use super::{pool::Pool, scratch::Scratch};
use crate::address::Address;
use crate::{
    schedule::BufferId,
    tuning::{SORT_GRAIN_ELEMENTS, SORT_MAX_CHUNKS},
};
use keys::{KeyColumn, Record, passes};
use neurax_ir::{Eqn, Error, Graph, Result, op::Sort};
use std::ops::Range;

/// The task of a sort.
#[derive(Debug)]
pub struct SortTask {
    arrays: Box<[SortArray]>,
    /// The keys of each pass, the least significant first.
    passes: Box<[Box<[KeyColumn]>]>,
    /// The elements of a row.
    n: usize,
    /// The stride from one element of a row to the next, in elements: the number of rows that
    /// interleave.
    stride: usize,
    /// The number of rows.
    rows: usize,
    chunks: usize,
}

/// An operand and its result.
#[derive(Debug)]
struct SortArray {
    from: BufferId,
    to: BufferId,
    /// The bytes of an element.
    bytes: usize,
}

impl SortTask {
    /// Creates the task of equation `e`.
    ///
    /// # Errors
    /// If an element has a size that is not moved here, an error of this crate.
    pub fn new(
        graph: &Graph,
        e: &Eqn,
        op: &Sort,
        reads: &[BufferId],
        writes: &[BufferId],
    ) -> Result<SortTask> {
        let shape = &graph.ty(e.inputs[0]).shape;
        let dtypes = || e.inputs.iter().map(|&v| graph.ty(v).dtype);
        if let Some(d) = dtypes().find(|d| ![8, 16, 32, 64, 128].contains(&d.bits())) {
            return Err(Error::bug(format!("a sort moves {d}")).at_origin(&e.at));
        }
        let (n, stride) = (shape[op.axis], shape[op.axis + 1..].iter().product());
        let rows = shape.size() / n.max(1);
        // The scheduler checks that there is a result for each operand.
        let arrays = reads
            .iter()
            .zip(writes)
            .zip(dtypes())
            .map(|((&from, &to), d)| SortArray { from, to, bytes: d.bits() / 8 })
            .collect();
        let chunks =
            (shape.size() / SORT_GRAIN_ELEMENTS).clamp(1, SORT_MAX_CHUNKS).min(rows.max(1));
        let passes = passes(dtypes().take(op.keys));
        Ok(SortTask { arrays, passes, n, stride, rows, chunks })
    }

    /// Returns the operands whose memory their results may reuse: a row is read before it is
    /// written.
    pub fn in_place(&self) -> Vec<(BufferId, BufferId)> {
        let once = |a: &&SortArray| self.arrays.iter().filter(|b| b.from == a.from).count() == 1;
        self.arrays.iter().filter(once).map(|a| (a.from, a.to)).collect()
    }

    /// Returns the scratch bytes of one element of a row: a record of the keys of a pass, a spare
    /// element, its entry of the permutation. Each is a multiple of the next.
    fn scratch_element(&self) -> [usize; 3] {
        let is_narrow = self.passes.iter().all(|pass| keys::bits(pass) <= u64::KEYS);
        let record = if is_narrow { size_of::<u64>() } else { size_of::<u128>() };
        let widest = self.arrays.iter().map(|a| a.bytes).fold(size_of::<u32>(), usize::max);
        [record, widest, size_of::<u32>()]
    }

    /// Returns the bytes that the sort allocates on `threads` threads.
    pub fn scratch(&self, threads: usize) -> usize {
        let row = self.scratch_element().iter().sum::<usize>().saturating_mul(self.n);
        row.saturating_mul(self.chunks.min(threads))
    }

    /// Runs the sort.
    ///
    /// # Safety
    /// The slots hold addresses of the buffers of the task's schedule, and no other thread uses the
    /// results.
    pub unsafe fn run(&self, slots: &[Address], pool: &Pool) {
        let each = self.rows.div_ceil(self.chunks);
        let run = |part: usize| {
            let rows = (part * each).min(self.rows)..((part + 1) * each).min(self.rows);
            // SAFETY: as promised by the caller; chunks have different rows.
            unsafe { self.range(slots, rows) }
        };
        if self.chunks == 1 { run(0) } else { pool.run(self.chunks, &run) }
    }

    /// Sorts the rows `rows`, one after the other.
    ///
    /// # Safety
    /// The slots are as for [`SortTask::run`]; the task has the rows `rows`, and no other thread
    /// uses these rows of the results.
    unsafe fn range(&self, slots: &[Address], rows: Range<usize>) {
        let n = self.n;
        let [record, element, index] = self.scratch_element();
        let mut own = Scratch::new(n * (record + element + index));
        let records = own.address();
        let spare = records.plus((n * record) as isize);
        let permutation = spare.plus((n * element) as isize).0.cast::<u32>();
        for row in rows {
            let first = row / self.stride * self.stride * n + row % self.stride;
            // SAFETY: the scratch memory has room for all of them; as promised by the caller.
            unsafe {
                (0..n).for_each(|i| permutation.add(i).write(i as u32));
                let permutation = std::slice::from_raw_parts_mut(permutation, n);
                self.order(slots, first, records, permutation);
                self.arrays.iter().for_each(|a| self.reorder(a, slots, first, spare, permutation));
            }
        }
    }

    /// Computes the permutation that sorts the row that begins at element `first`.
    ///
    /// # Safety
    /// The slots are as for [`SortTask::run`] and the task has this row; `records` is aligned
    /// memory for `n` records of any size, and `permutation` has the indices `0..n`, each once.
    unsafe fn order(
        &self,
        slots: &[Address],
        first: usize,
        records: Address,
        permutation: &mut [u32],
    ) {
        for pass in &self.passes {
            // SAFETY: as promised by the caller: there is room for records of any size.
            unsafe {
                if keys::bits(pass) <= u64::KEYS {
                    self.pass::<u64>(pass, slots, first, records.0.cast(), permutation);
                } else {
                    self.pass::<u128>(pass, slots, first, records.0.cast(), permutation);
                }
            }
        }
    }

    /// Sorts `permutation` by the keys of one pass. The sort is stable.
    ///
    /// # Safety
    /// As [`SortTask::order`]; `records` is memory for `n` records of type `R`.
    unsafe fn pass<R: Record>(
        &self,
        pass: &[KeyColumn],
        slots: &[Address],
        first: usize,
        records: *mut R,
        permutation: &mut [u32],
    ) {
        // SAFETY: as promised by the caller.
        let records = unsafe {
            (0..self.n).for_each(|i| records.add(i).write(R::EMPTY));
            std::slice::from_raw_parts_mut(records, self.n)
        };
        for c in pass {
            let row = slots[self.arrays[c.operand].from].plus((first * c.step * c.bytes) as isize);
            // SAFETY: as promised by the caller.
            unsafe { c.append(row, self.stride, permutation, records) }
        }
        records.iter_mut().enumerate().for_each(|(i, r)| *r = r.push(u32::BITS as usize, i as u64));
        records.sort_unstable();
        // The sorted records index `permutation`: compose the permutations.
        records.iter_mut().for_each(|r| {
            *r = R::EMPTY.push(u32::BITS as usize, permutation[r.row_index()] as u64)
        });
        permutation.iter_mut().zip(records).for_each(|(p, r)| *p = r.row_index() as u32);
    }

    /// Writes a row of an array in the order of `permutation`, through `spare` if it is sorted in
    /// place.
    ///
    /// # Safety
    /// The slots are as for [`SortTask::run`], `a` is an array of the task, which has this row, and
    /// no other thread uses the row of the result; `spare` is aligned memory for `n` elements of
    /// any size, and `permutation` has `n` indices below `n`.
    unsafe fn reorder(
        &self,
        a: &SortArray,
        slots: &[Address],
        first: usize,
        spare: Address,
        permutation: &[u32],
    ) {
        let row = |b: BufferId| slots[b].plus((first * a.bytes) as isize);
        let (from, to) = (row(a.from), row(a.to));
        // SAFETY: as promised by the caller.
        unsafe {
            match a.bytes {
                1 => self.moved::<u8>(from, to, spare, permutation),
                2 => self.moved::<u16>(from, to, spare, permutation),
                4 => self.moved::<u32>(from, to, spare, permutation),
                8 => self.moved::<u64>(from, to, spare, permutation),
                16 => self.moved::<[u64; 2]>(from, to, spare, permutation),
                // empty: `SortTask::new` refuses elements of other sizes.
                _ => {}
            }
        }
    }

    /// Writes the row at `from` to `to` in the order of `permutation`, through `spare` if both are
    /// the same.
    ///
    /// # Safety
    /// `from` and `to` each have `n` elements of type `T`, `stride` elements apart, and no other
    /// thread uses those of `to`; `spare` is memory for `n` elements, and `permutation` has `n`
    /// indices below `n`.
    unsafe fn moved<T: Copy>(
        &self,
        from: Address,
        to: Address,
        spare: Address,
        permutation: &[u32],
    ) {
        let (mut source, mut step, to, spare) =
            (from.0.cast::<T>().cast_const(), self.stride, to.0.cast::<T>(), spare.0.cast::<T>());
        // SAFETY: the indices of the permutation are those of a row, which lies in both arrays; as
        // promised by the caller.
        unsafe {
            if source == to {
                (0..self.n).for_each(|i| *spare.add(i) = *source.add(i * step));
                (source, step) = (spare, 1);
            }
            permutation
                .iter()
                .enumerate()
                .for_each(|(i, &p)| *to.add(i * self.stride) = *source.add(p as usize * step));
        }
    }
}
