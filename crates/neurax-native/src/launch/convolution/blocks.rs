//! Convolutions by im2col and the matrix kernel, block by block: for every dtype and every layout
//! of the operands.
//!
//! A tile of the result takes a block of patches at a time, packs it into scratch memory that stays
//! in the second-level cache, and adds its product to the result:
//!
//! ```text
//! for each tile (groups, windows):            // in parallel
//!   for each block of the depth:
//!     im2col(block) -> scratch;  result += weights[.., block] * scratch
//! ```
//!
//! `tiling` chooses the tiles from the shapes alone. Weight gradients have few outputs and a large
//! depth: their depth is split into partial sums, which are added in a fixed order at the end.
//! Packing block by block took the CNN's training step from 620 to 45 ms.

#![allow(unsafe_code, reason = "buffers are read and written by address")]

use super::{
    im2col::{Im2col, PackedBlock},
    method::{ConvCall, ConvMethod, KernelView},
    multiply::{BlockProduct, BlockView, ConvElement},
    tiling::{ConvSizes, ConvTile, Tiling},
};
use crate::address::Address;
use crate::launch::{
    pool::Pool, scratch::Scratch, strided_matrix::StridedMatrix, totals::SumTotals,
};
use crate::tuning::{CONV_BLOCKS_PER_TOTAL, CONV_THIN_ROWS};
use std::marker::PhantomData;
use std::ops::Range;

/// A convolution in blocks of elements of type `T`.
#[derive(Debug)]
pub struct BlockConvolution<T> {
    im2col: Im2col,
    /// The offset of the operand's first element and the stride between groups, in elements.
    operand: [isize; 2],
    kernel: KernelView,
    sizes: ConvSizes,
    tiling: Tiling,
    element: PhantomData<T>,
}

impl<T: ConvElement> BlockConvolution<T> {
    /// Creates the convolution of an operand whose first element and groups are at `operand`.
    pub fn new(
        im2col: Im2col,
        operand: [isize; 2],
        kernel: KernelView,
        sizes: ConvSizes,
    ) -> BlockConvolution<T> {
        let tiling = Tiling::new(&sizes, size_of::<T>());
        BlockConvolution { im2col, operand, kernel, sizes, tiling, element: PhantomData }
    }
}

impl<T: ConvElement> ConvMethod for BlockConvolution<T> {
    fn scratch(&self, threads: usize) -> usize {
        let (s, t) = (&self.sizes, &self.tiling);
        let columns = t.columns();
        let tile = columns.saturating_mul(t.depth.saturating_add(s.results));
        let sums = if t.sums > 1 { t.tiles(s) * s.results * s.columns() } else { 0 };
        tile.saturating_mul(threads).saturating_add(sums).saturating_mul(size_of::<T>())
    }

    fn tiles(&self) -> usize {
        if self.tiling.sums > 1 { 1 } else { self.tiling.tiles(&self.sizes) }
    }

    fn is_shared(&self) -> bool {
        self.tiling.shared && self.tiling.sums == 1
    }

    fn is_partial(&self) -> bool {
        self.tiling.sums == 1
    }

    fn is_by_rows(&self) -> bool {
        self.tiling.whole
    }

    fn shared_scratch(&self) -> usize {
        0
    }

    unsafe fn prepare(&self, _: [Address; 3], _: Address, _: &Pool) {}

    unsafe fn tile(&self, tile: usize, call: &ConvCall) {
        let at = |i: usize| call.arrays[i].0.cast::<T>();
        let blocks = BlockCall::<T> {
            task: self,
            x: at(0).cast_const().wrapping_offset(self.operand[0]),
            kernel: at(1).cast_const().wrapping_offset(self.kernel.offset),
            to: at(2),
        };
        // SAFETY: as promised by the caller.
        unsafe {
            if self.tiling.sums > 1 {
                return blocks.split_depth(call.pool);
            }
            let (s, tile) = (&self.sizes, self.tiling.tile(&self.sizes, tile));
            blocks.tile(&tile);
            if s.windows == 0 {
                return;
            }
            let (first, end) =
                (tile.columns.start / s.windows, tile.columns.end.div_ceil(s.windows));
            if self.tiling.whole {
                let rows = s.groups * s.results;
                return (call.after)([first * rows..end * rows, 0..s.windows]);
            }
            // The windows of one batch member.
            let row = (first * s.groups + tile.groups.start) * s.results;
            let windows =
                tile.columns.start - first * s.windows..tile.columns.end - first * s.windows;
            (call.after)([row..row + tile.groups.len() * s.results, windows])
        }
    }
}

/// One call of a convolution in blocks.
struct BlockCall<'a, T> {
    task: &'a BlockConvolution<T>,
    x: *const T,
    kernel: *const T,
    to: *mut T,
}

// SAFETY: tiles that run in parallel are disjoint; the operands are only read.
unsafe impl<T> Sync for BlockCall<'_, T> {}

/// The result of some columns, for every feature of a group.
#[derive(Clone, Copy)]
struct TileSums<T> {
    at: *mut T,
    row: isize,
    column: isize,
}

impl<T: ConvElement> BlockCall<'_, T> {
    /// Computes one tile, group by group.
    ///
    /// # Safety
    /// The addresses of the call are those of its task's operands and result, with elements of type
    /// `T`; `tile` is one of the task's tiles, and no other thread uses its part of the result.
    unsafe fn tile(&self, tile: &ConvTile) {
        let s = &self.task.sizes;
        let (first, count) = (tile.columns.start, tile.columns.len());
        // The columns of one batch member are contiguous in the result.
        let is_single = s.windows > 0 && first / s.windows == (tile.columns.end - 1) / s.windows;
        let mut own = Scratch::new(if is_single { 0 } else { s.results * count * size_of::<T>() });
        for group in tile.groups.clone() {
            // SAFETY: as promised by the caller.
            unsafe {
                if is_single {
                    let at = self.to.add(s.offset(first, group));
                    self.sum(
                        group,
                        tile.columns.clone(),
                        tile.depth.clone(),
                        TileSums { at, row: s.windows as isize, column: 1 },
                    );
                } else {
                    let sums =
                        TileSums { at: own.address().0.cast(), row: count as isize, column: 1 };
                    self.sum(group, tile.columns.clone(), tile.depth.clone(), sums);
                    self.store(group, tile.columns.clone(), sums);
                }
            }
        }
    }

    /// Computes partial sums over the depth, each in scratch memory, and adds them in order.
    ///
    /// # Safety
    /// The addresses of the call are as for [`BlockCall::tile`], and no other thread uses the
    /// result; the task's tiling has more than one partial sum.
    unsafe fn split_depth(&self, pool: &Pool) {
        let s = &self.task.sizes;
        let columns = s.columns();
        let size = s.results * columns;
        let mut all = Scratch::new(self.task.tiling.tiles(s) * size * size_of::<T>());
        let all = all.address();
        // Vectors run along the longer side.
        let (row, column) =
            if columns < s.results { (1, s.results as isize) } else { (columns as isize, 1) };
        let sums = |part: usize| TileSums {
            at: all.plus((part * size * size_of::<T>()) as isize).0.cast::<T>(),
            row,
            column,
        };
        // SAFETY: as promised by the caller; every tile has its own memory.
        unsafe {
            pool.run(self.task.tiling.tiles(s), &|i| {
                let part = self.task.tiling.tile(s, i);
                self.sum(part.groups.start, part.columns, part.depth, sums(part.index))
            });
            for group in 0..s.groups {
                let first = group * self.task.tiling.sums;
                let total = std::slice::from_raw_parts_mut(sums(first).at, size);
                for part in 1..self.task.tiling.sums {
                    let next = std::slice::from_raw_parts(sums(first + part).at.cast_const(), size);
                    total.iter_mut().zip(next).for_each(|(a, &b)| *a = a.and(b));
                }
                self.store(group, 0..columns, sums(first));
            }
        }
    }

    /// Computes the columns `columns` over the depth `depth`, block by block. The sums of many
    /// blocks are added to totals.
    ///
    /// # Safety
    /// The operands of the call are as for [`BlockCall::tile`], and the task has `group`, `columns`
    /// and `depth`; `to` has an element for each feature of the group and each column, apart from
    /// the operands, and no other thread uses them.
    unsafe fn sum(
        &self,
        group: usize,
        columns: Range<usize>,
        depth: Range<usize>,
        to: TileSums<T>,
    ) {
        let (t, s) = (self.task, &self.task.sizes);
        let (wide, count) = (t.im2col.is_wide(), columns.len());
        let x = self.x.wrapping_offset(group as isize * t.operand[1]);
        let mut block = Scratch::new(t.tiling.depth * count * size_of::<T>());
        let block: *mut T = block.address().0.cast();
        let matrix = StridedMatrix { at: to.at, steps: [to.row, to.column] };
        let taps = if s.by_features { s.taps } else { usize::MAX };
        let blocks = depth.len().div_ceil(t.tiling.depth.min(taps).max(1));
        // Thin blocks add one product after the other.
        let most = if s.results < CONV_THIN_ROWS { 1 } else { CONV_BLOCKS_PER_TOTAL };
        let is_long = T::IS_ROUNDED && blocks > most;
        let mut totals = is_long.then(|| SumTotals::zeros(s.results, count));
        let (mut from, mut added) = (depth.start, 0);
        // An empty depth has one empty block, which writes zeros.
        while from < depth.end || from == depth.start {
            let end = t.tiling.next(s, from, depth.end);
            let (feature, tap) = (from / s.taps.max(1), from % s.taps.max(1));
            let k = t.kernel;
            let first = (group * s.results) as isize * k.row
                + feature as isize * k.feature
                + tap as isize * k.tap;
            let row = if wide { count } else { end - from };
            let right = if wide { (row as isize, 1) } else { (1, row as isize) };
            // SAFETY: as promised by the caller; the block has room for these patches.
            unsafe {
                t.im2col.pack(x, from..end, columns.clone(), wide, PackedBlock { at: block, row });
                T::multiply(BlockProduct {
                    sizes: [s.results, count, end - from],
                    left: BlockView {
                        at: self.kernel.wrapping_offset(first),
                        row: k.row,
                        column: k.tap,
                    },
                    right: BlockView { at: block.cast_const(), row: right.0, column: right.1 },
                    to: BlockView { at: to.at, row: to.row, column: to.column },
                    adds: added > 0,
                });
                added += 1;
                if let Some(totals) = totals.as_mut().filter(|_| added == most) {
                    totals.add(matrix);
                    added = 0;
                }
            }
            from = end.max(from + 1);
        }
        if let Some(totals) = &mut totals {
            // SAFETY: as promised by the caller; there is a total for each feature and column.
            unsafe {
                if added > 0 {
                    totals.add(matrix);
                }
                totals.store(matrix);
            }
        }
    }

    /// Copies `sums` into the result: a row for every batch member and feature.
    ///
    /// # Safety
    /// The result of the call is as for [`BlockCall::tile`], and the task has `group` and
    /// `columns`, whose part of the result no other thread uses; `sums` has an element for each
    /// feature of the group and each column, apart from the result.
    unsafe fn store(&self, group: usize, columns: Range<usize>, sums: TileSums<T>) {
        let s = &self.task.sizes;
        let mut from = columns.start;
        while from < columns.end {
            let len = (s.windows - from % s.windows).min(columns.end - from);
            for feature in 0..s.results {
                let at = sums.at.wrapping_offset(
                    feature as isize * sums.row + (from - columns.start) as isize * sums.column,
                );
                // SAFETY: as promised by the caller.
                unsafe {
                    let to = self.to.add(s.offset(from, group) + feature * s.windows);
                    if sums.column == 1 {
                        to.copy_from_nonoverlapping(at, len);
                    } else {
                        (0..len).for_each(|i| *to.add(i) = *at.offset(i as isize * sums.column));
                    }
                }
            }
            from += len;
        }
    }
}
