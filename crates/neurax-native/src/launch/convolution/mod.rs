//! Convolutions, by the method that suits their sizes.
//!
//! A convolution is a product of the weights (features of the result by depth) with the matrix of
//! patches (depth by windows; the depth is features times taps). That matrix would be `taps` times
//! as large as the operand, so it never exists as a whole.
//!
//! | method | for | how |
//! |---|---|---|
//! | `depthwise` | f32, one feature in a group | sums of shifted rows, without a product |
//! | `panels` | f32 and f64, most others | panels of patches are packed for the microkernel |
//! | `blocks` | everything else | im2col and the matrix kernel, or loops |
//!
//! Transposes, reshapes and reversals of both operands are strides. A *row* of the result is what
//! one feature of one batch member has under all windows. An epilogue runs on each part of rows and
//! windows right after it is computed, if its loops are the rows and windows (`kernel_part`);
//! otherwise on whole rows, if tiles are whole rows.

#![allow(unsafe_code, reason = "buffers are read and written by address")]

mod blocks;
mod depthwise;
mod im2col;
mod method;
mod multiply;
mod panels;
mod patches;
mod tiling;

use super::{
    frame::Frame,
    kernel::KernelTask,
    microkernels::MicrokernelElement,
    part_epilogue::{ComputedPart, EpilogueMatrix, PartEpilogue},
    pool::Pool,
    scratch::Scratch,
};
use crate::{schedule::BufferId, strided_view::StridedView};
use blocks::BlockConvolution;
use depthwise::DepthwiseConvolution;
use im2col::Im2col;
use method::{ConvCall, ConvMethod, ConvParts, KernelView};
use multiply::ConvElement;
use neurax_ir::{DType, Eqn, Error, Graph, Result, op::Convolution};
use panels::PanelConvolution;
use tiling::ConvSizes;

/// The task of a convolution.
#[derive(Debug)]
pub struct ConvolutionTask {
    method: Box<dyn ConvMethod>,
    /// The operand, the weights, the result.
    arrays: [BufferId; 3],
    epilogue: Option<PartEpilogue>,
}

impl ConvolutionTask {
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
        let im2col = Im2col::new(&x, &op.slides, &w.sizes[2..], windows)?;
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
        let parts = ConvParts { x, op, im2col, kernel, sizes, taps: &w.sizes[2..], windows };
        let method = method_of(parts).ok_or_else(no_product)?;
        let rows = sizes.batch * sizes.groups * sizes.results;
        let matrix = EpilogueMatrix {
            buffer: write,
            bytes: op.dtype.bits() / 8,
            rows,
            columns: sizes.windows,
            is_partial: method.is_partial(),
            is_by_rows: method.is_by_rows(),
        };
        let epilogue = epilogue.map(|task| PartEpilogue::new(task, matrix));
        let arrays = [reads[0], reads[1], write];
        Ok(ConvolutionTask { method, arrays, epilogue })
    }

    /// Returns the bytes that the convolution allocates on `threads` threads.
    pub fn scratch(&self, threads: usize) -> usize {
        self.method.scratch(threads).saturating_add(self.method.shared_scratch())
    }

    /// Runs the convolution: every tile, each part followed by the epilogue if that can run on it;
    /// otherwise the epilogue runs at the end.
    ///
    /// # Safety
    /// The slots of the frame hold addresses of the buffers of the task's schedule, and no other
    /// thread uses the results.
    pub unsafe fn run(&self, f: &mut Frame, pool: &Pool) {
        self.epilogue.iter().for_each(|epilogue| epilogue.set_operands(f));
        let operands = &f.operands[..];
        let after = |part: ComputedPart| {
            if let Some(epilogue) = &self.epilogue {
                // SAFETY: the part was just computed.
                unsafe { epilogue.run_part(operands, part) }
            }
        };
        let arrays = self.arrays.map(|b| f.slots[b]);
        let mut shared = Scratch::new(self.method.shared_scratch());
        let call = ConvCall { arrays, shared: shared.address(), pool, after: &after };
        // SAFETY: as promised by the caller; tiles are disjoint.
        unsafe {
            self.method.prepare(arrays, call.shared, pool);
            let tiles = self.method.tiles();
            if self.method.is_shared() {
                pool.run(tiles, &|tile| self.method.tile(tile, &call))
            } else {
                (0..tiles).for_each(|tile| self.method.tile(tile, &call))
            }
            if let Some(epilogue) = &self.epilogue {
                epilogue.run_whole(f, pool)
            }
        }
    }
}

/// Returns the first method that suits, if the dtype has a product.
fn method_of(parts: ConvParts) -> Option<Box<dyn ConvMethod>> {
    if let Some(method) = DepthwiseConvolution::of(&parts) {
        return Some(Box::new(method));
    }
    Some(match parts.op.dtype {
        DType::F32 => panels_or_blocks::<f32>(parts),
        DType::F64 => panels_or_blocks::<f64>(parts),
        DType::I8 => blocks::<i8>(parts),
        DType::I16 => blocks::<i16>(parts),
        DType::I32 => blocks::<i32>(parts),
        DType::I64 => blocks::<i64>(parts),
        DType::U8 => blocks::<u8>(parts),
        DType::U16 => blocks::<u16>(parts),
        DType::U32 => blocks::<u32>(parts),
        DType::U64 => blocks::<u64>(parts),
        _ => return None,
    })
}

fn panels_or_blocks<T: MicrokernelElement + ConvElement>(parts: ConvParts) -> Box<dyn ConvMethod> {
    match PanelConvolution::<T>::of(&parts) {
        Some(method) => Box::new(method),
        None => blocks::<T>(parts),
    }
}

fn blocks<T: ConvElement>(parts: ConvParts) -> Box<dyn ConvMethod> {
    let operand = parts.operand();
    Box::new(BlockConvolution::<T>::new(parts.im2col, operand, parts.kernel, parts.sizes))
}
