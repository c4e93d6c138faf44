//! Convolutions by im2col and the matrix kernel, block by block.
//!
//! A convolution is a product of the weights (features of the result by depth) with the matrix of
//! patches (depth by windows; the depth is features times taps). That matrix would be `taps` times
//! as large as the operand, so it never exists as a whole: a tile of the result takes a block of
//! patches at a time, packs it into scratch memory that stays in the second-level cache, and adds
//! its product to the result.
//!
//! ```text
//! for each tile (groups, windows):            // in parallel
//!   for each block of the depth:
//!     im2col(block) -> scratch;  result += weights[.., block] * scratch
//!   epilogue(tile)                            // if tiles are whole batch members
//! ```
//!
//! `tiling` chooses the tiles from the shapes alone. Weight gradients have few outputs and a large
//! depth: their depth is split into partial sums, which are added in a fixed order at the end.
//! Transposes, reshapes and reversals of both operands are strides. Packing block by block took the
//! CNN's training step from 620 to 45 ms; depthwise convolutions run at about 6 GFLOP/s.

#![allow(unsafe_code, reason = "buffers are read and written by address")]

mod im2col;
mod multiply;
mod tiling;

use super::{
    frame::Frame, kernel::KernelTask, pool::Pool, scratch::Scratch, strided_matrix::StridedMatrix,
    totals::SumTotals,
};
use crate::{
    schedule::BufferId,
    strided_view::StridedView,
    tuning::{CONV_BLOCKS_PER_TOTAL, CONV_THIN_ROWS},
};
use im2col::{Im2col, PackedBlock};
use multiply::{BlockProduct, BlockView, ConvElement};
use neurax_ir::{DType, Eqn, Error, Graph, Result, op::Convolution};
use std::ops::Range;
use tiling::{ConvSizes, ConvTile, Tiling};

/// The task of a convolution.
#[derive(Debug)]
pub struct ConvolutionTask {
    /// The run of the dtype.
    typed: TypedRun,
    /// The operand, the weights, the result.
    arrays: [BufferId; 3],
    im2col: Im2col,
    /// The offset of the operand's first element and the stride between groups, in elements.
    operand: [isize; 2],
    kernel: KernelView,
    sizes: ConvSizes,
    tiling: Tiling,
    epilogue: Option<KernelTask>,
}

/// [`ConvolutionTask::typed`] of one dtype.
///
/// # Safety
/// As [`ConvolutionTask::typed`].
type TypedRun = unsafe fn(&ConvolutionTask, &mut Frame, &Pool);

/// Returns the run of a dtype, if it has a product.
fn typed_run(dtype: DType) -> Option<TypedRun> {
    match dtype {
        DType::F32 => Some(ConvolutionTask::typed::<f32>),
        DType::F64 => Some(ConvolutionTask::typed::<f64>),
        DType::I8 => Some(ConvolutionTask::typed::<i8>),
        DType::I16 => Some(ConvolutionTask::typed::<i16>),
        DType::I32 => Some(ConvolutionTask::typed::<i32>),
        DType::I64 => Some(ConvolutionTask::typed::<i64>),
        DType::U8 => Some(ConvolutionTask::typed::<u8>),
        DType::U16 => Some(ConvolutionTask::typed::<u16>),
        DType::U32 => Some(ConvolutionTask::typed::<u32>),
        DType::U64 => Some(ConvolutionTask::typed::<u64>),
        _ => None,
    }
}

/// The strides of the weights, in elements.
#[derive(Clone, Copy, Debug)]
struct KernelView {
    offset: isize,
    /// The stride between features of the result.
    row: isize,
    /// The stride between features of the operand.
    feature: isize,
    /// The stride between taps.
    tap: isize,
    /// True if features and taps have no common stride: a block then ends with its feature.
    by_features: bool,
}

impl KernelView {
    /// Returns the strides of `w`, if its taps have a common stride.
    fn new(w: &StridedView) -> Option<KernelView> {
        let axes: Vec<usize> = (1..w.sizes.len()).collect();
        let (offset, row) = (w.offset, w.strides[0]);
        let taps = w.sizes[2..].iter().product::<usize>() as isize;
        match w.merged(&axes) {
            Some((_, tap)) => {
                Some(KernelView { offset, row, feature: tap * taps, tap, by_features: false })
            }
            None => w.merged(&axes[1..]).map(|(_, tap)| KernelView {
                offset,
                row,
                feature: w.strides[1],
                tap,
                by_features: true,
            }),
        }
    }
}

impl ConvolutionTask {
    /// Returns the bytes that the convolution allocates on `threads` threads: of each a block of
    /// patches and the sums of a tile, and partial sums over the depth.
    pub fn scratch(&self, threads: usize) -> usize {
        let (s, t) = (&self.sizes, &self.tiling);
        let columns = t.columns();
        let tile = columns.saturating_mul(t.depth.saturating_add(s.results));
        let sums = if t.sums > 1 { t.tiles(s) * s.results * s.columns() } else { 0 };
        // The widest element has 8 bytes.
        tile.saturating_mul(threads).saturating_add(sums).saturating_mul(8)
    }

    /// Creates the task of equation `e`. Data movement in front of the operands becomes strides.
    ///
    /// # Errors
    /// If the dtype has no product, or the taps of the weights have no common stride, an error of
    /// this crate: the schedule checks both.
    pub fn new(
        graph: &Graph,
        e: &Eqn,
        op: &Convolution,
        reads: &[BufferId],
        write: BufferId,
        epilogue: Option<KernelTask>,
    ) -> Result<ConvolutionTask> {
        let side = |i| StridedView::operand_or_dense(graph, e, i).0;
        let (x, w) = (side(0), side(1));
        let bug = |what: String| Error::bug(what).at_origin(&e.at);
        let no_product = || bug(format!("a convolution of {} has no product", op.dtype));
        let lost = || bug("the taps of a convolution's weights have no common stride".into());
        let windows = &graph.ty(e.outputs[0]).shape[2..];
        let im2col = Im2col::new(&x, &op.slides, &w.sizes[2..], windows);
        let kernel = KernelView::new(&w).ok_or_else(lost)?;
        let sizes = ConvSizes {
            batch: x.sizes[0],
            groups: op.groups,
            results: w.sizes[0] / op.groups.max(1),
            features: w.sizes[1],
            taps: im2col.depth.inner(),
            windows: im2col.columns.inner(),
            by_features: kernel.by_features,
        };
        let tiling = Tiling::new(&sizes, op.dtype.bits() / 8);
        let operand = [x.offset, x.strides[1] * w.sizes[1] as isize];
        Ok(ConvolutionTask {
            typed: typed_run(op.dtype).ok_or_else(no_product)?,
            arrays: [reads[0], reads[1], write],
            im2col,
            operand,
            kernel,
            sizes,
            tiling,
            epilogue,
        })
    }

    /// Runs the convolution.
    ///
    /// # Safety
    /// The slots of the frame hold addresses of the buffers of the task's schedule, and no other
    /// thread uses the results.
    pub unsafe fn run(&self, f: &mut Frame, pool: &Pool) {
        // SAFETY: as promised by the caller.
        unsafe { (self.typed)(self, f, pool) }
    }

    /// Runs every tile, each followed by the epilogue if it fuses; otherwise the epilogue runs at
    /// the end.
    ///
    /// # Safety
    /// As [`ConvolutionTask::run`]; `T` is the Rust type of the convolution's dtype.
    unsafe fn typed<T: ConvElement>(&self, f: &mut Frame, pool: &Pool) {
        self.epilogue.iter().for_each(|epilogue| epilogue.operands(&f.slots, &mut f.operands));
        let at = |i: usize| f.slots[self.arrays[i]].0;
        let call = ConvCall::<T> {
            task: self,
            x: at(0).cast::<T>().cast_const().wrapping_offset(self.operand[0]),
            kernel: at(1).cast::<T>().cast_const().wrapping_offset(self.kernel.offset),
            to: at(2).cast(),
        };
        // SAFETY: as promised by the caller.
        unsafe {
            if self.tiling.sums > 1 {
                call.split_depth(pool);
            } else {
                let fused = self.fuses_epilogue().then_some(self.epilogue.as_ref()).flatten();
                let operands = &f.operands[..];
                // empty: no epilogue, no iterations of it.
                let per = fused.map_or(0, |t| t.count / self.sizes.batch.max(1));
                self.share(pool, |tile| {
                    call.tile(&tile);
                    if let Some(epilogue) = fused {
                        // Its iterations read only the batch members that were just computed.
                        let members = tile.columns.start / self.sizes.windows
                            ..tile.columns.end / self.sizes.windows;
                        epilogue.run_range(operands, members.start * per, members.end * per);
                    }
                });
                if fused.is_some() {
                    return;
                }
            }
            if let Some(epilogue) = &self.epilogue {
                epilogue.run(f, pool);
            }
        }
    }

    /// Returns true if tiles are whole batch members and the epilogue's trip count is a multiple of
    /// the batch size.
    fn fuses_epilogue(&self) -> bool {
        self.tiling.whole
            && self.sizes.windows > 0
            && self
                .epilogue
                .as_ref()
                .is_some_and(|t| t.count.is_multiple_of(self.sizes.batch.max(1)))
    }

    /// Runs every tile, in parallel if there is enough work.
    fn share(&self, pool: &Pool, run: impl Fn(ConvTile) + Sync) {
        let parts = self.tiling.tiles(&self.sizes);
        if self.tiling.shared {
            pool.run(parts, &|i| run(self.tiling.tile(&self.sizes, i)));
        } else {
            (0..parts).for_each(|i| run(self.tiling.tile(&self.sizes, i)));
        }
    }
}

/// One call of a convolution.
struct ConvCall<'a, T> {
    task: &'a ConvolutionTask,
    x: *const T,
    kernel: *const T,
    to: *mut T,
}

// SAFETY: tiles that run in parallel are disjoint; the operands are only read.
unsafe impl<T> Sync for ConvCall<'_, T> {}

/// The result of some columns, for every feature of a group.
#[derive(Clone, Copy)]
struct TileSums<T> {
    at: *mut T,
    row: isize,
    column: isize,
}

impl<T: ConvElement> ConvCall<'_, T> {
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
    /// The addresses of the call are as for [`ConvCall::tile`], and no other thread uses the
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
            self.task.share(pool, |part| {
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
    /// The operands of the call are as for [`ConvCall::tile`], and the task has `group`, `columns`
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
    /// The result of the call is as for [`ConvCall::tile`], and the task has `group` and `columns`,
    /// whose part of the result no other thread uses; `sums` has an element for each feature of the
    /// group and each column, apart from the result.
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
