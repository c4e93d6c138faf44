//! Products of quantized numbers, as [`QuantizedDot`] defines them.
//!
//! The problem: quantized networks multiply u8 by i8, with sums in i32. The method is that of
//! FBGEMM and ONNX Runtime's MLAS: the weights are packed once, in blocks of 16 columns with 4
//! neighbors along the depth, so that one instruction (`vpdpbusd`) adds 64 products; the sums of
//! some rows and blocks stay in registers, and are scaled and rounded to bytes before they are
//! stored.
//!
//! ```text
//! 400 x 384 by 384 x 1536, AVX-512 VNNI:
//!   for each tile of rows and columns: for each 32 columns: for each 12 rows: block
//! ```
//!
//! An epilogue runs on each tile right after it is computed, if its loops are rows and columns.
//!
//! Invariants: sums of i32 are exact, so that results depend neither on the CPU nor on tiles; tiles
//! depend on sizes alone.

#![allow(unsafe_code, reason = "buffers are read and written by address")]

mod block;
mod sixteen_sums;

use super::{
    frame::Frame,
    kernel::KernelTask,
    part_epilogue::{EpilogueMatrix, PartEpilogue},
    pool::Pool,
};
use crate::{
    schedule::BufferId,
    tuning::{
        QUANTIZED_GRAIN_PRODUCTS, QUANTIZED_MAX_TILES, QUANTIZED_MIN_TILE_ROWS,
        QUANTIZED_TILE_BYTES,
    },
};
use block::{DotBlock, DotKernels, DotResult, dot_kernels};
use neurax_ir::{
    DType, Eqn, Error, Graph, OrBug, Result,
    composite::{COLUMN_BLOCK, DEPTH_GROUP, QuantizedDot},
};
use sixteen_sums::{ByteLimits, ColumnFloats};
use std::ops::Range;

/// The task of a quantized product.
#[derive(Debug)]
pub struct QuantizedDotTask {
    /// The rows, columns and depth.
    sizes: [usize; 3],
    kernels: DotKernels,
    result: DotResult,
    /// The rows, the weights, the starts, the result.
    arrays: [BufferId; 4],
    /// The scales and biases, unless the result is i32.
    floats: Option<[BufferId; 2]>,
    /// The rows and columns of a tile.
    tile: [usize; 2],
    /// True if there is enough work for more than one thread.
    shared: bool,
    epilogue: Option<PartEpilogue>,
}

/// The addresses of a call, which threads share.
struct DotArrays {
    x: *const u8,
    weights: *const i8,
    start: *const i32,
    floats: ColumnFloats,
    to: *mut u8,
}

// SAFETY: threads write different parts of the result.
unsafe impl Sync for DotArrays {}

impl QuantizedDotTask {
    /// Creates the task of equation `e`, which [`crate::support::is_native_quantized_dot`] admits.
    ///
    /// # Errors
    /// If the equation has other operands, an error of this crate.
    pub fn new(
        graph: &Graph,
        e: &Eqn,
        op: &QuantizedDot,
        reads: &[BufferId],
        write: BufferId,
        epilogue: Option<KernelTask>,
    ) -> Result<QuantizedDotTask> {
        let (x, weights, start, floats) = match *reads {
            [x, weights, start] => (x, weights, start, None),
            [x, weights, start, scale, bias] => (x, weights, start, Some([scale, bias])),
            _ => return None.or_bug("a quantized product has other operands"),
        };
        let xs = graph.ty(e.inputs[0]);
        let depth = xs.shape.last().copied().or_bug("a quantized product has no depth")?;
        let rows = xs.size() / depth;
        let sizes = [rows, op.columns, depth];
        let result = result_of(op)?;
        let (tile, shared) = tiling(sizes, result);
        let matrix = EpilogueMatrix {
            buffer: write,
            bytes: result.bytes(),
            rows,
            columns: op.columns,
            is_partial: true,
            is_by_rows: tile[1] >= op.columns,
        };
        Ok(QuantizedDotTask {
            sizes,
            kernels: dot_kernels(),
            result,
            arrays: [x, weights, start, write],
            floats,
            tile,
            shared,
            epilogue: epilogue.map(|task| PartEpilogue::new(task, matrix)),
        })
    }

    /// Runs the product: every tile, followed by the epilogue if that can run on it.
    ///
    /// # Safety
    /// The slots of the frame hold addresses of the buffers of the task's schedule, and no other
    /// thread uses the results.
    pub unsafe fn run(&self, f: &mut Frame, pool: &Pool) {
        self.epilogue.iter().for_each(|epilogue| epilogue.set_operands(f));
        let operands = &f.operands[..];
        let [x, weights, start, to] = self.arrays.map(|b| f.slots[b].0);
        // empty: sums have neither.
        let [scale, bias] = self.floats.map_or([std::ptr::null(); 2], |buffers| {
            buffers.map(|b| f.slots[b].0.cast_const().cast())
        });
        let arrays = DotArrays {
            x,
            weights: weights.cast(),
            start: start.cast(),
            floats: ColumnFloats { scale, bias },
            to,
        };
        let [rows, columns, _] = self.sizes;
        let [down, across] = [0, 1].map(|axis| self.sizes[axis].div_ceil(self.tile[axis]));
        let run = |tile: usize| {
            let part = |i: usize, size: usize, end: usize| i * size..((i + 1) * size).min(end);
            let rows = part(tile / across, self.tile[0], rows);
            let columns = part(tile % across, self.tile[1], columns);
            // SAFETY: as promised by the caller; tiles are disjoint.
            unsafe {
                self.tile(&arrays, rows.clone(), columns.clone());
                if let Some(epilogue) = &self.epilogue {
                    epilogue.run_part(operands, [rows, columns])
                }
            }
        };
        match self.shared {
            true => pool.run(down * across, &run),
            false => (0..down * across).for_each(run),
        }
        if let Some(epilogue) = &self.epilogue {
            // SAFETY: as promised by the caller.
            unsafe { epilogue.run_whole(f, pool) }
        }
    }

    /// Computes some rows and columns; the first column is that of a block.
    ///
    /// # Safety
    /// As [`QuantizedDotTask::run`].
    unsafe fn tile(&self, arrays: &DotArrays, rows: Range<usize>, columns: Range<usize>) {
        let [_, all_columns, depth] = self.sizes;
        let weight_step = depth.div_ceil(DEPTH_GROUP) * DEPTH_GROUP * COLUMN_BLOCK;
        let width = self.kernels.blocks(rows.len()) * COLUMN_BLOCK;
        for first in columns.clone().step_by(width) {
            let count = width.min(columns.end - first);
            let blocks = count.div_ceil(COLUMN_BLOCK);
            let at = (rows.start * all_columns + first) * self.result.bytes();
            let call = DotBlock {
                x: arrays.x.wrapping_add(rows.start * depth),
                depth,
                weights: arrays.weights.wrapping_add(first / COLUMN_BLOCK * weight_step),
                weight_step,
                start: arrays.start.wrapping_add(first),
                floats: arrays.floats.from(first),
                last: count - (blocks - 1) * COLUMN_BLOCK,
                to: arrays.to.wrapping_add(at),
                step: all_columns,
                result: self.result,
            };
            // SAFETY: as promised by the caller; the addresses are those of the tile.
            unsafe { self.kernels.run(rows.len(), blocks, call) }
        }
    }
}

/// Returns what is written of a sum.
fn result_of(op: &QuantizedDot) -> Result<DotResult> {
    let zero = op.zero_point as f32;
    Ok(match op.dtype {
        DType::I32 => DotResult::Sums,
        DType::U8 => DotResult::Bytes(ByteLimits { zero, low: 0.0, high: 255.0 }),
        DType::I8 => DotResult::Bytes(ByteLimits { zero, low: -128.0, high: 127.0 }),
        DType::F32 => DotResult::Floats,
        dtype => {
            return Err(Error::bug(format!("a quantized product has a result of {dtype}")));
        }
    })
}

/// Returns the rows and columns of a tile, and whether tiles are worth several threads.
fn tiling([rows, columns, depth]: [usize; 3], result: DotResult) -> ([usize; 2], bool) {
    let work = rows.saturating_mul(columns).saturating_mul(depth);
    let wanted = (work / QUANTIZED_GRAIN_PRODUCTS).clamp(1, QUANTIZED_MAX_TILES);
    let row_bytes = depth + columns * result.bytes();
    let most = (QUANTIZED_TILE_BYTES / row_bytes.max(1)).max(QUANTIZED_MIN_TILE_ROWS);
    let down = wanted.min(rows.div_ceil(QUANTIZED_MIN_TILE_ROWS)).max(rows.div_ceil(most));
    let blocks = columns.div_ceil(COLUMN_BLOCK);
    let across = (wanted / down).clamp(1, blocks.div_ceil(4));
    let tile_columns = blocks.div_ceil(across).next_multiple_of(4) * COLUMN_BLOCK;
    (
        [rows.div_ceil(down), tile_columns.min(blocks * COLUMN_BLOCK)],
        work >= 2 * QUANTIZED_GRAIN_PRODUCTS,
    )
}
