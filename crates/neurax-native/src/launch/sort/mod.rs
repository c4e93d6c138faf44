//! Sorting: the rows along an axis one by one, by keys as integers with the row index appended.
//!
//! The keys of a row become unsigned integers (`keys`), several of them in one record, with the row
//! index in the low bits: an unstable sort of the records is then a stable sort of the keys. Keys
//! that do not fit into one record are sorted in several passes, the least significant first. The
//! resulting permutation reorders every operand, in place if the memory plan says so. A row that is
//! sorted by itself, as nothing else is, needs no index unless different elements are equal
//! (`values`).
//!
//! Long rows are sorted digit by digit (`radix`). Chunks of rows run in parallel; if there is only
//! one, so do the chunks of its rows.

#![allow(unsafe_code, reason = "buffers are read and written by address")]

mod keys;
mod radix;
mod values;

use super::{pool::Pool, scratch::Scratch, shared_array::SharedArray};
use crate::address::Address;
use crate::{
    schedule::BufferId,
    tuning::{RADIX_MIN_ELEMENTS, SORT_GRAIN_ELEMENTS, SORT_MAX_CHUNKS},
};
use keys::{KeyColumn, KeyOrder, Record, passes};
use neurax_ir::{Eqn, Error, Graph, Result, op::Sort};
use radix::in_chunks;
use std::ops::Range;
use values::{Bits, ValueRow};

/// The task of a sort.
#[derive(Debug)]
pub struct SortTask {
    arrays: Box<[SortArray]>,
    /// The keys of each pass, the least significant first.
    passes: Box<[Box<[KeyColumn]>]>,
    /// The order of the only operand, if there is one and its elements are one number each.
    of_values: Option<KeyOrder>,
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
        let of_values = match (&e.inputs[..], &passes[..]) {
            ([_], [pass]) if pass.len() == 1 => Some(pass[0].order),
            _ => None,
        };
        Ok(SortTask { arrays, passes, of_values, n, stride, rows, chunks })
    }

    /// Returns the operands whose memory their results may reuse: a row is read before it is
    /// written.
    pub fn in_place(&self) -> Vec<(BufferId, BufferId)> {
        let once = |a: &&SortArray| self.arrays.iter().filter(|b| b.from == a.from).count() == 1;
        self.arrays.iter().filter(once).map(|a| (a.from, a.to)).collect()
    }

    /// Returns the scratch bytes of one element of a row: two records of the keys of a pass, a
    /// spare element, its entry of the permutation. Each is a multiple of the next.
    fn scratch_element(&self) -> [usize; 3] {
        let is_narrow = self.passes.iter().all(|pass| keys::bits(pass) <= u64::KEYS);
        let record = if is_narrow { size_of::<u64>() } else { size_of::<u128>() };
        let widest = self.arrays.iter().map(|a| a.bytes).fold(size_of::<u32>(), usize::max);
        [2 * record, widest, size_of::<u32>()]
    }

    /// Returns the bytes that the sort allocates on `threads` threads.
    pub fn scratch(&self, threads: usize) -> usize {
        let row = self.scratch_element().iter().sum::<usize>().saturating_mul(self.n);
        let counts = radix::scratch(self.n);
        row.saturating_add(counts).saturating_mul(self.chunks.min(threads))
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
            unsafe { self.range(slots, rows, pool) }
        };
        if self.chunks == 1 { run(0) } else { pool.run(self.chunks, &run) }
    }

    /// Sorts the rows `rows`, one after the other.
    ///
    /// # Safety
    /// The slots are as for [`SortTask::run`]; the task has the rows `rows`, and no other thread
    /// uses these rows of the results.
    unsafe fn range(&self, slots: &[Address], rows: Range<usize>, pool: &Pool) {
        for row in rows {
            let first = row / self.stride * self.stride * self.n + row % self.stride;
            // SAFETY: as promised by the caller.
            unsafe {
                if !self.sort_values(slots, first, pool) {
                    self.sort_records(slots, first, pool);
                }
            }
        }
    }

    /// Returns true if the row that begins at element `first` is sorted now: it can be sorted as
    /// values.
    ///
    /// # Safety
    /// The slots are as for [`SortTask::run`]; the task has this row, and no other thread uses it
    /// in the result.
    unsafe fn sort_values(&self, slots: &[Address], first: usize, pool: &Pool) -> bool {
        let (Some(order), [array]) = (self.of_values, &*self.arrays) else { return false };
        // SAFETY: as promised by the caller.
        unsafe {
            match array.bytes {
                1 => self.sort_values_as::<u8>(array, order, slots, first, pool),
                2 => self.sort_values_as::<u16>(array, order, slots, first, pool),
                4 => self.sort_values_as::<u32>(array, order, slots, first, pool),
                8 => self.sort_values_as::<u64>(array, order, slots, first, pool),
                // empty: numbers have no other sizes.
                _ => false,
            }
        }
    }

    /// Returns true if a row of values of type `T` is sorted now, as [`SortTask::sort_values`].
    ///
    /// # Safety
    /// As [`SortTask::sort_values`]; the elements of `array` have the size of `T`.
    unsafe fn sort_values_as<T: Bits>(
        &self,
        array: &SortArray,
        order: KeyOrder,
        slots: &[Address],
        first: usize,
        pool: &Pool,
    ) -> bool {
        let (n, stride) = (self.n, self.stride);
        let spares = if stride == 1 { 1 } else { 2 };
        let mut own = Scratch::new(spares * n * size_of::<T>());
        let row = |b: BufferId| SharedArray::new(slots[b].0.cast::<T>().wrapping_add(first));
        let (from, to) = (row(array.from), row(array.to));
        let spare = SharedArray::new(own.address().0.cast::<T>());
        let other = if stride == 1 { to } else { SharedArray::new(spare.at(n)) };
        let row = ValueRow { from, to, stride, n, spare, other };
        // SAFETY: as promised by the caller; the scratch memory has room for the spare elements.
        unsafe { row.sort(order, pool) }
    }

    /// Sorts the row that begins at element `first` of all arrays by records of its keys.
    ///
    /// # Safety
    /// As [`SortTask::sort_values`].
    unsafe fn sort_records(&self, slots: &[Address], first: usize, pool: &Pool) {
        let n = self.n;
        let [records, element, index] = self.scratch_element();
        let mut own = Scratch::new(n * (records + element + index));
        let record = own.address();
        let spare = record.plus((n * records) as isize);
        let permutation = SharedArray::new(spare.plus((n * element) as isize).0.cast::<u32>());
        // SAFETY: the scratch memory has room for all of them; as promised by the caller.
        unsafe {
            in_chunks(n, pool, |_, range| {
                let indices = range.clone().zip(permutation.range(range));
                indices.for_each(|(i, p)| *p = i as u32)
            });
            self.order(slots, first, record, permutation, pool);
            let permutation = &*permutation.range(0..n);
            self.arrays.iter().for_each(|a| self.reorder(a, slots, first, spare, permutation, pool))
        }
    }

    /// Computes the permutation that sorts the row that begins at element `first`.
    ///
    /// # Safety
    /// The slots are as for [`SortTask::run`] and the task has this row; `records` is aligned
    /// memory for `2 n` records of any size, and `permutation` has the indices `0..n`, each once.
    unsafe fn order(
        &self,
        slots: &[Address],
        first: usize,
        records: Address,
        permutation: SharedArray<u32>,
        pool: &Pool,
    ) {
        for pass in &self.passes {
            // SAFETY: as promised by the caller: there is room for records of any size.
            unsafe {
                if keys::bits(pass) <= u64::KEYS {
                    let records = SharedArray::new(records.0.cast::<u64>());
                    self.pass(pass, slots, first, records, permutation, pool);
                } else {
                    let records = SharedArray::new(records.0.cast::<u128>());
                    self.pass(pass, slots, first, records, permutation, pool);
                }
            }
        }
    }

    /// Sorts `permutation` by the keys of one pass. The sort is stable.
    ///
    /// # Safety
    /// As [`SortTask::order`]; `records` is memory for `2 n` records of type `R`.
    unsafe fn pass<R: Record>(
        &self,
        pass: &[KeyColumn],
        slots: &[Address],
        first: usize,
        records: SharedArray<R>,
        permutation: SharedArray<u32>,
        pool: &Pool,
    ) {
        let n = self.n;
        in_chunks(n, pool, |_, range| {
            // SAFETY: as promised by the caller; chunks write different records.
            let (own, permutation) = unsafe {
                range.clone().for_each(|i| records.at(i).write(R::EMPTY));
                (records.range(range.clone()), &*permutation.range(range.clone()))
            };
            for c in pass {
                let start = (first * c.step * c.bytes) as isize;
                let row = slots[self.arrays[c.operand].from].plus(start);
                // SAFETY: as promised by the caller.
                unsafe { c.append(row, self.stride, permutation, own) }
            }
            own.iter_mut().zip(range).for_each(|(r, i)| *r = r.push_row_index(i));
        });
        let spare = SharedArray::new(records.at(n));
        // SAFETY: as promised by the caller.
        let sorted = unsafe {
            if n < RADIX_MIN_ELEMENTS {
                records.range(0..n).sort_unstable();
                records
            } else {
                radix::sort(records, spare, n, R::key_bits(keys::bits(pass)), pool)
            }
        };
        // The sorted records index `permutation`: compose the permutations. The first one is the
        // identity.
        if self.passes.len() > 1 {
            in_chunks(n, pool, |_, range| {
                // SAFETY: as promised by the caller; chunks write different records.
                let (permutation, sorted) =
                    unsafe { (&*permutation.range(0..n), sorted.range(range)) };
                sorted.iter_mut().for_each(|r| {
                    *r = R::EMPTY.push_row_index(permutation[r.row_index()] as usize)
                });
            });
        }
        in_chunks(n, pool, |_, range| {
            // SAFETY: as promised by the caller; chunks write different indices.
            let (permutation, sorted) =
                unsafe { (permutation.range(range.clone()), &*sorted.range(range)) };
            permutation.iter_mut().zip(sorted).for_each(|(p, r)| *p = r.row_index() as u32);
        });
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
        pool: &Pool,
    ) {
        let row = |b: BufferId| slots[b].plus((first * a.bytes) as isize);
        let rows = [row(a.from), row(a.to), spare];
        // SAFETY: as promised by the caller.
        unsafe {
            match a.bytes {
                1 => self.moved::<u8>(rows, permutation, pool),
                2 => self.moved::<u16>(rows, permutation, pool),
                4 => self.moved::<u32>(rows, permutation, pool),
                8 => self.moved::<u64>(rows, permutation, pool),
                16 => self.moved::<[u64; 2]>(rows, permutation, pool),
                // empty: `SortTask::new` refuses elements of other sizes.
                _ => {}
            }
        }
    }

    /// Writes the first of the rows to the second one in the order of `permutation`, through the
    /// third one if both are the same.
    ///
    /// # Safety
    /// Two rows have `n` elements of type `T`, `stride` elements apart, and no other thread uses
    /// those of the second one; the third one is memory for `n` elements, and `permutation` has
    /// `n` indices below `n`.
    unsafe fn moved<T: Copy + Send>(&self, rows: [Address; 3], permutation: &[u32], pool: &Pool) {
        let [from, to, spare] = rows.map(|row| SharedArray::new(row.0.cast::<T>()));
        let (mut source, mut step) = (from, self.stride);
        // SAFETY: the indices of the permutation are those of a row, which lies in both arrays; as
        // promised by the caller, and chunks write different elements.
        unsafe {
            if from.at(0) == to.at(0) {
                in_chunks(self.n, pool, |_, range| {
                    range.for_each(|i| *spare.at(i) = *from.at(i * step))
                });
                (source, step) = (spare, 1);
            }
            in_chunks(self.n, pool, |_, range| {
                for (i, &p) in range.clone().zip(&permutation[range]) {
                    *to.at(i * self.stride) = *source.at(p as usize * step);
                }
            });
        }
    }
}
