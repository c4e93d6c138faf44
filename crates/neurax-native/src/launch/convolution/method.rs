//! The interface of the methods of convolution, and what they are made of.

#![allow(unsafe_code, reason = "buffers are read and written by address")]

use super::{im2col::Im2col, tiling::ConvSizes};
use crate::address::Address;
use crate::{
    launch::{part_epilogue::ComputedPart, pool::Pool},
    strided_view::StridedView,
};
use neurax_ir::op::Convolution;
use std::fmt::Debug;

/// A way to compute a convolution.
pub trait ConvMethod: Debug + Send + Sync {
    /// Returns the bytes that the convolution allocates on `threads` threads.
    fn scratch(&self, threads: usize) -> usize;

    /// Returns the number of tiles.
    fn tiles(&self) -> usize;

    /// Returns true if there is enough work in the tiles for more than one thread.
    fn is_shared(&self) -> bool;

    /// Returns true if tiles report each part of the result.
    fn is_partial(&self) -> bool;

    /// Returns true if each part that a tile reports is whole rows.
    fn is_by_rows(&self) -> bool;

    /// Returns the bytes of the memory that all tiles share.
    fn shared_scratch(&self) -> usize;

    /// Prepares `shared` for the tiles.
    ///
    /// # Safety
    /// `arrays` are the addresses of the operand, the weights and the result, which have the types
    /// for which the method was made; `shared` has [`ConvMethod::shared_scratch`] bytes.
    unsafe fn prepare(&self, arrays: [Address; 3], shared: Address, pool: &Pool);

    /// Computes one tile and reports each part of it after it is computed, unless the method does
    /// not compute the result part by part.
    ///
    /// # Safety
    /// As [`ConvMethod::prepare`], which prepared `shared`; no other thread uses the tile.
    unsafe fn tile(&self, tile: usize, call: &ConvCall);
}

/// One call of a convolution.
pub struct ConvCall<'a> {
    /// The operand, the weights, the result.
    pub arrays: [Address; 3],
    /// The memory that all tiles share.
    pub shared: Address,
    pub pool: &'a Pool,
    /// The function that is called after a part is computed.
    pub after: &'a (dyn Fn(ComputedPart) + Sync),
}

/// The strides of the weights, in elements.
#[derive(Clone, Copy, Debug)]
pub struct KernelView {
    pub offset: isize,
    /// The stride between features of the result.
    pub row: isize,
    /// The stride between features of the operand.
    pub feature: isize,
    /// The stride between taps.
    pub tap: isize,
    /// True if features and taps have no common stride: a block then ends with its feature.
    pub by_features: bool,
}

impl KernelView {
    /// Returns the strides of `w`, if its taps have a common stride.
    pub fn new(w: &StridedView) -> Option<KernelView> {
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

/// The operands and the sizes of a convolution.
pub struct ConvParts<'a> {
    /// The operand.
    pub x: StridedView,
    pub op: &'a Convolution,
    pub im2col: Im2col,
    pub kernel: KernelView,
    pub sizes: ConvSizes,
    /// The taps along each spatial axis.
    pub taps: &'a [usize],
    /// The windows along each spatial axis.
    pub windows: &'a [usize],
}

impl ConvParts<'_> {
    /// Returns the offset of the operand's first element and the stride between groups.
    pub fn operand(&self) -> [isize; 2] {
        [self.x.offset, self.x.strides[1] * self.sizes.features as isize]
    }
}
