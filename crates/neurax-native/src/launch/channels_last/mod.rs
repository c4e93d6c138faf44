//! Convolutions with features last, as [`ChannelsLastConvolution`] defines them.
//!
//! The operand is read where it is. A tile is some places of the result and some blocks of its
//! features. In a tile, features go outermost, so that the weights of a few of them are read from
//! the cache for all its places:
//!
//! ```text
//! 3 x 3 taps, 64 features to 64, 56 x 56 places, AVX-512:
//!   for each 64 features of the result: for each part of taps and features of the operand:
//!     for each 6 places: block
//! ```
//!
//! | kernel | for | file |
//! |---|---|---|
//! | blocks of places and features, in registers | all features of the operand | `block` |
//! | vectors of features, place by place | each feature by itself | `depthwise` |
//!
//! Bias, addition and limits are computed before a block is stored ([`finish`]). An epilogue runs
//! on each tile right after it is computed, if its loops are places and features.
//!
//! Invariants: the sum of an element runs over taps and features in order, in parts of the same
//! length; tiles depend on sizes alone.

#![allow(unsafe_code, reason = "buffers are read and written by address")]

mod block;
mod depthwise;
mod finish;
mod places;
mod sixteen_lanes;

use super::{
    frame::Frame,
    kernel::KernelTask,
    part_epilogue::{EpilogueMatrix, PartEpilogue},
    pool::Pool,
    scratch::Scratch,
};
use crate::{
    schedule::BufferId,
    tuning::{
        CONV_DEPTHWISE_GRAIN, CONV_GRAIN_FMA, CONV_MAX_TILES, LAST_MERGED_FEATURES,
        LAST_MIN_TILE_PLACES, LAST_PART_DEPTH, LAST_TILE_BYTES,
    },
};
use block::{BlockKernels, PlaceBlock, block_kernels};
use depthwise::{PlacesCall, PlacesFn, depthwise_kernel};
use finish::{ResultLimits, SumFinish};
use neurax_ir::{
    Eqn, Graph, OrBug, Result,
    composite::{ChannelsLastConvolution, FEATURE_BLOCK},
    op::Slide,
};
use places::PlaceSizes;
use smallvec::SmallVec;
use std::ops::Range;

/// The task of a convolution with features last.
#[derive(Debug)]
pub struct ChannelsLastTask {
    sizes: PlaceSizes,
    kernel: PlaceKernel,
    /// True if the taps of a row are read as one run of elements.
    merges_lines: bool,
    limits: ResultLimits,
    /// The operand, the weights, the bias, the result.
    arrays: [BufferId; 4],
    /// The array that is added.
    added: Option<BufferId>,
    /// The places and the blocks of features of a tile.
    tile: [usize; 2],
    /// True if there is enough work for more than one thread.
    shared: bool,
    epilogue: Option<PartEpilogue>,
}

/// The way in which places are computed.
#[derive(Clone, Copy, Debug)]
enum PlaceKernel {
    Blocks(BlockKernels),
    Depthwise(PlacesFn),
}

/// The addresses of a call.
#[derive(Clone, Copy)]
struct LastArrays {
    x: *const f32,
    weights: *const f32,
    bias: *const f32,
    to: *mut f32,
    /// Null if nothing is added.
    added: *const f32,
}

/// A part of the sum of an element: some runs under its window, and some elements of each.
struct SumPart {
    runs: Range<usize>,
    elements: Range<usize>,
}

impl ChannelsLastTask {
    /// Creates the task of equation `e`, which [`crate::support::is_native_channels_last`] admits.
    ///
    /// # Errors
    /// If the equation has other operands, an error of this crate.
    pub fn new(
        graph: &Graph,
        e: &Eqn,
        op: &ChannelsLastConvolution,
        reads: &[BufferId],
        write: BufferId,
        epilogue: Option<KernelTask>,
    ) -> Result<ChannelsLastTask> {
        let &[x, weights, bias, ref added @ ..] = reads else {
            return None.or_bug("a convolution with features last has other operands");
        };
        let [xs, ws, ys] = [e.inputs[0], e.inputs[1], e.outputs[0]].map(|v| graph.ty(v));
        let last = op.slides.len() + 1;
        let slides = match op.slides[..] {
            [line] => [Slide::default(), line],
            [rows, line] => [rows, line],
            _ => return None.or_bug("a convolution with features last has other space axes"),
        };
        // A line is an image of one row.
        let pair = |x: &[usize]| if x.len() == 1 { [1, x[0]] } else { [x[0], x[1]] };
        let sizes = PlaceSizes {
            batch: xs.shape[0],
            features: xs.shape[last],
            results: op.results,
            elements: pair(&xs.shape[1..last]),
            windows: pair(&ys.shape[1..last]),
            taps: pair(op.taps(ws)),
            slides,
        };
        let kernel = match op.depthwise {
            true => PlaceKernel::Depthwise(depthwise_kernel()),
            false => PlaceKernel::Blocks(block_kernels()),
        };
        let merges_lines = !op.depthwise
            && sizes.features <= LAST_MERGED_FEATURES
            && sizes.taps[1] > 1
            && sizes.slides[1].window_dilation == 1;
        let (tile, shared) = tiling(&sizes, op.depthwise, merges_lines);
        let whole = tile[1] * FEATURE_BLOCK >= op.results;
        let matrix = EpilogueMatrix {
            buffer: write,
            bytes: size_of::<f32>(),
            rows: sizes.places(),
            columns: op.results,
            is_partial: true,
            is_by_rows: whole,
        };
        Ok(ChannelsLastTask {
            sizes,
            kernel,
            merges_lines,
            limits: ResultLimits { low: op.low.get() as f32, high: op.high.get() as f32 },
            arrays: [x, weights, bias, write],
            added: added.first().copied(),
            tile,
            shared,
            epilogue: epilogue.map(|task| PartEpilogue::new(task, matrix)),
        })
    }

    /// Returns the bytes that the convolution allocates on `threads` threads.
    pub fn scratch(&self, threads: usize) -> usize {
        self.tile_scratch().saturating_mul(threads)
    }

    /// Runs the convolution: every tile, followed by the epilogue if that can run on it.
    ///
    /// # Safety
    /// The slots of the frame hold addresses of the buffers of the task's schedule, and no other
    /// thread uses the results.
    pub unsafe fn run(&self, f: &mut Frame, pool: &Pool) {
        self.epilogue.iter().for_each(|epilogue| epilogue.set_operands(f));
        let operands = &f.operands[..];
        let at = |b: BufferId| f.slots[b].0.cast::<f32>();
        let [x, weights, bias, to] = self.arrays.map(at);
        // empty: nothing is added.
        let added = self.added.map_or(std::ptr::null(), |b| at(b).cast_const());
        let arrays = ArraysOfCall(LastArrays { x, weights, bias, to, added });
        let [across, down] = self.tiles();
        let run = |tile: usize| {
            let (i, j) = (tile % across, tile / across);
            let range =
                |i: usize, size: usize, end: usize| (i * size).min(end)..((i + 1) * size).min(end);
            let places = range(i, self.tile[0], self.sizes.places());
            let features = range(j, self.tile[1] * FEATURE_BLOCK, self.sizes.results);
            // SAFETY: as promised by the caller; tiles are disjoint.
            unsafe {
                self.tile(arrays.get(), places.clone(), features.clone());
                if let Some(epilogue) = &self.epilogue {
                    epilogue.run_part(operands, [places, features])
                }
            }
        };
        match self.shared {
            true => pool.run(across * down, &run),
            false => (0..across * down).for_each(run),
        }
        if let Some(epilogue) = &self.epilogue {
            // SAFETY: as promised by the caller.
            unsafe { epilogue.run_whole(f, pool) }
        }
    }

    /// Returns the numbers of tiles beside and below each other.
    fn tiles(&self) -> [usize; 2] {
        let blocks = self.sizes.results.div_ceil(FEATURE_BLOCK);
        [self.sizes.places().div_ceil(self.tile[0]), blocks.div_ceil(self.tile[1])]
    }

    /// Returns the runs of elements under a window, and the elements of each: those under a tap, or
    /// under the taps of a row.
    fn runs(&self) -> [usize; 2] {
        let s = &self.sizes;
        match self.merges_lines {
            true => [s.taps[0], s.taps[1] * s.features],
            false => [s.all_taps(), s.features],
        }
    }

    /// Returns the bytes of the memory of a tile: addresses, zeros for padding, and runs that reach
    /// over the end of a row.
    fn tile_scratch(&self) -> usize {
        let [runs, depth] = self.runs();
        let lines = if self.merges_lines { runs * self.tile[0] } else { 0 };
        match self.kernel {
            PlaceKernel::Depthwise(_) => 0,
            PlaceKernel::Blocks(_) => {
                runs * self.tile[0] * size_of::<*const f32>()
                    + (1 + lines) * depth * size_of::<f32>()
            }
        }
    }

    /// Writes the addresses of the runs under some places to `rows`, those of one run beside each
    /// other. `zeros` has room for a run, and `lines` for all of them.
    ///
    /// # Safety
    /// As [`ChannelsLastTask::run`]; nothing else uses the memory.
    unsafe fn find_rows(
        &self,
        x: *const f32,
        places: Range<usize>,
        rows: *mut *const f32,
        zeros: *mut f32,
    ) {
        let (s, count, [_, depth]) = (&self.sizes, places.len(), self.runs());
        let mut next = zeros.wrapping_add(depth);
        // SAFETY: as promised by the caller.
        unsafe {
            zeros.write_bytes(0, depth);
            for (i, place) in places.enumerate() {
                if !self.merges_lines {
                    s.for_each_tap(place, |tap, element| {
                        let row = element.map(|at| x.wrapping_add(at * s.features));
                        // empty: padding.
                        *rows.add(tap * count + i) = row.unwrap_or(zeros);
                    });
                    continue;
                }
                s.for_each_line(place, |line, first, taps| {
                    let from = x.wrapping_offset(first * s.features as isize);
                    *rows.add(line * count + i) = if taps.is_empty() {
                        zeros
                    } else if taps.len() == s.taps[1] {
                        from
                    } else {
                        next.write_bytes(0, depth);
                        let skipped = taps.start * s.features;
                        let inside = from.wrapping_add(skipped);
                        let to = next.add(skipped);
                        to.copy_from_nonoverlapping(inside, taps.len() * s.features);
                        let line = next.cast_const();
                        next = next.wrapping_add(depth);
                        line
                    };
                });
            }
        }
    }

    /// Computes some features of some places.
    ///
    /// # Safety
    /// As [`ChannelsLastTask::run`].
    unsafe fn tile(&self, arrays: LastArrays, places: Range<usize>, features: Range<usize>) {
        // SAFETY: as promised by the caller.
        unsafe {
            match &self.kernel {
                PlaceKernel::Blocks(kernels) => self.blocks(kernels, arrays, places, features),
                PlaceKernel::Depthwise(kernel) => self.depthwise(*kernel, arrays, places),
            }
        }
    }

    /// Computes a tile in blocks.
    ///
    /// # Safety
    /// As [`ChannelsLastTask::run`].
    unsafe fn blocks(
        &self,
        kernels: &BlockKernels,
        arrays: LastArrays,
        places: Range<usize>,
        features: Range<usize>,
    ) {
        let s = &self.sizes;
        let mut scratch = Scratch::new(self.tile_scratch());
        let rows = scratch.address().0.cast::<*const f32>();
        let count = places.len();
        let [runs, depth] = self.runs();
        let zeros = rows.wrapping_add(runs * self.tile[0]).cast::<f32>();
        // SAFETY: the scratch memory has room for both; as promised by the caller.
        unsafe { self.find_rows(arrays.x, places.clone(), rows, zeros) }
        let at = |feature: usize| places.start * s.results + feature;
        let finish = |feature: usize| {
            let all = SumFinish { bias: arrays.bias, added: arrays.added, limits: self.limits };
            all.at(at(feature), feature)
        };
        let width = kernels.blocks() * FEATURE_BLOCK;
        let weight_step = s.all_taps() * s.features * FEATURE_BLOCK;
        for first in features.clone().step_by(width) {
            let count_of_features = width.min(features.end - first);
            let blocks = count_of_features.div_ceil(FEATURE_BLOCK);
            self.for_each_part(|part, is_first, is_last| {
                let skipped = part.runs.start * depth + part.elements.start;
                let weights = first / FEATURE_BLOCK * weight_step + skipped * FEATURE_BLOCK;
                let call = PlaceBlock {
                    rows: rows.wrapping_add(part.runs.start * count),
                    places: count,
                    runs: part.runs.len(),
                    first: part.elements.start,
                    depth: part.elements.len(),
                    weights: arrays.weights.wrapping_add(weights),
                    weight_step,
                    last: count_of_features - (blocks - 1) * FEATURE_BLOCK,
                    to: arrays.to.wrapping_add(at(first)),
                    step: s.results,
                    adds: !is_first,
                    finish: is_last.then(|| finish(first)),
                };
                // SAFETY: as promised by the caller; the addresses are those of the tile.
                unsafe { kernels.run(blocks, count, call) }
            });
        }
    }

    /// Calls `f` for each part of the sum of an element, with whether it is the first and the last.
    fn for_each_part(&self, mut f: impl FnMut(SumPart, bool, bool)) {
        let [runs, depth] = self.runs();
        let (per, some) = match LAST_PART_DEPTH / depth {
            0 => (1, depth.div_ceil(depth.div_ceil(LAST_PART_DEPTH))),
            per => (per, depth),
        };
        for run in (0..runs).step_by(per) {
            for first in (0..depth).step_by(some) {
                let part = SumPart {
                    runs: run..(run + per).min(runs),
                    elements: first..(first + some).min(depth),
                };
                let is_last = part.runs.end == runs && part.elements.end == depth;
                f(part, run == 0 && first == 0, is_last);
            }
        }
    }

    /// Computes the places of a tile, each feature by itself.
    ///
    /// # Safety
    /// As [`ChannelsLastTask::run`].
    unsafe fn depthwise(&self, kernel: PlacesFn, arrays: LastArrays, places: Range<usize>) {
        let features = self.sizes.features as isize;
        let mut left = places;
        while !left.is_empty() {
            let run = self.sizes.next_run(left.clone());
            let offset = run.places.start * self.sizes.results;
            let taps: SmallVec<[(isize, usize); 64]> = run
                .taps
                .iter()
                .map(|(offset, tap)| (offset * features, tap * self.sizes.features))
                .collect();
            let all = SumFinish { bias: arrays.bias, added: arrays.added, limits: self.limits };
            let call = PlacesCall {
                from: arrays.x.wrapping_offset(run.offset * features),
                from_step: run.step * features,
                taps: &taps,
                weights: arrays.weights,
                to: arrays.to.wrapping_add(offset),
                step: self.sizes.results,
                places: run.places.len(),
                features: self.sizes.features,
                finish: all.at(offset, 0),
            };
            // SAFETY: as promised by the caller; the taps have elements under them.
            unsafe { kernel(&call) }
            left.start = run.places.end;
        }
    }
}

/// The addresses of a call, which threads share.
struct ArraysOfCall(LastArrays);

// SAFETY: threads write different parts of the result.
unsafe impl Sync for ArraysOfCall {}

impl ArraysOfCall {
    fn get(&self) -> LastArrays {
        self.0
    }
}

/// Returns the places and blocks of features of a tile, and whether tiles are worth several
/// threads.
fn tiling(s: &PlaceSizes, is_depthwise: bool, merges_lines: bool) -> ([usize; 2], bool) {
    let places = s.places();
    let blocks = s.results.div_ceil(FEATURE_BLOCK);
    let (depth, grain) = match is_depthwise {
        true => (s.all_taps(), CONV_DEPTHWISE_GRAIN),
        false => (s.all_taps() * s.features, CONV_GRAIN_FMA),
    };
    let work = places.saturating_mul(s.results).saturating_mul(depth);
    let wanted = (work / grain).clamp(1, CONV_MAX_TILES);
    let runs = match (is_depthwise, merges_lines) {
        (true, _) => 0,
        (false, true) => s.taps[0] * size_of::<*const f32>() + s.all_taps() * s.features * 4,
        (false, false) => s.all_taps() * size_of::<*const f32>(),
    };
    let place_bytes = (s.features + s.results) * size_of::<f32>() + runs;
    let most = (LAST_TILE_BYTES / place_bytes.max(1)).max(LAST_MIN_TILE_PLACES);
    let least = if is_depthwise { 1 } else { LAST_MIN_TILE_PLACES };
    let across = wanted.min((places / least).max(1)).max(places.div_ceil(most));
    let down = if is_depthwise { 1 } else { (wanted / across).clamp(1, blocks.div_ceil(4)) };
    let blocks_of_tile = blocks.div_ceil(down).next_multiple_of(4);
    ([places.div_ceil(across), blocks_of_tile], work >= 2 * grain)
}
