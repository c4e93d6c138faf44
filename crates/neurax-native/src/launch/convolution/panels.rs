//! Convolutions by panels of patches and the microkernels of matrix products.
//!
//! The problem: im2col into a block and a call of the matrix kernel pack every patch twice, and
//! the call has a fixed cost. The method is the *implicit* product of the deep learning libraries:
//! patches are packed into panels just as the microkernel reads them, a part of the depth of a few
//! panels at a time, and weights are read in place:
//!
//! ```text
//! 3 x 3 taps, 64 features to 64, 56 x 56 windows, f32, AVX-512:
//!   49 panels of 64 windows; the depth of 576 in two parts
//!   for a few panels, for each part of the depth: pack
//!     for each 6 features, for each panel: microkernel
//! ```
//!
//! The panels of a convolution with one tap are the operand itself, and are not packed for few
//! features. Tiles are some windows; with few windows they are some features, and share patches
//! that are packed before.
//!
//! Invariants: the sum of an element runs over the depth in order, in parts of the same length,
//! whatever the tiles are. Tiles depend on sizes alone.

#![allow(unsafe_code, reason = "operands, results and panels are addresses")]

use super::{
    im2col::Im2col,
    method::{ConvCall, ConvMethod, ConvParts, KernelView},
    multiply::ConvElement,
    patches::{GROUP, PanelPieces},
    tiling::ConvSizes,
};
use crate::address::Address;
use crate::launch::{
    microkernels::{MicrokernelElement, Microkernels},
    pool::Pool,
    scratch::Scratch,
    strided_matrix::StridedMatrix,
};
use crate::tuning::{
    CONV_BLOCK_BYTES, CONV_GRAIN_FMA, CONV_MAX_PACKED_BYTES, CONV_MAX_TILES, CONV_MIN_TILE_RESULTS,
    CONV_NARROW_COLUMNS, CONV_PACK_RESULTS, CONV_PART_DEPTH, MATMUL_MAX_PLAIN_DEPTH,
};
use smallvec::SmallVec;
use std::ops::Range;

/// A convolution by panels.
#[derive(Debug)]
pub struct PanelConvolution<T: 'static> {
    kernels: &'static Microkernels<T>,
    im2col: Im2col,
    /// The offsets of the operand's first element and of its end, and the stride between groups, in
    /// elements.
    operand: [isize; 3],
    kernel: KernelView,
    sizes: ConvSizes,
    /// The depth of a part.
    part: usize,
    /// The windows and features of a tile.
    tile: [usize; 2],
    /// True if panels are read in the operand, where their windows fill vectors.
    in_place: bool,
    /// True if all patches are packed before the tiles, which share them.
    packs_whole: bool,
    shared: bool,
}

/// A tile: some features of a group under some windows of a batch member.
struct PanelTile {
    member: usize,
    group: usize,
    windows: Range<usize>,
    results: Range<usize>,
}

impl<T: MicrokernelElement + ConvElement> PanelConvolution<T> {
    /// Returns the convolution if panels suit it: there are microkernels, consecutive windows make
    /// longer rows than consecutive taps (unlike those of a weight gradient), and there are not
    /// many small images, which `blocks` computes together.
    pub fn of(parts: &ConvParts) -> Option<PanelConvolution<T>> {
        let kernels = *T::microkernels().first()?;
        let (s, depth) = (parts.sizes, parts.sizes.depth());
        let rows = s.batch.checked_mul(s.groups)?.checked_mul(s.results)?;
        let work = rows.checked_mul(s.windows)?.checked_mul(depth)?;
        let is_small = s.batch > 1 && s.windows < CONV_NARROW_COLUMNS;
        if work == 0
            || s.by_features
            || is_small
            || depth > MATMUL_MAX_PLAIN_DEPTH
            || !parts.im2col.is_wide()
            || parts.op.slides.iter().any(|slide| slide.base_dilation != 1)
        {
            return None;
        }
        let x = &parts.x;
        let reach = |(&n, &stride): (&usize, &isize)| (n as isize - 1) * stride.max(0);
        let end = x.offset + x.sizes.iter().zip(&x.strides).map(reach).sum::<isize>() + 1;
        let [offset, group] = parts.operand();
        let is_pointwise = is_pointwise(parts);
        let wanted = (work / CONV_GRAIN_FMA).clamp(1, CONV_MAX_TILES);
        let per = wanted.div_ceil(s.batch * s.groups);
        let tile = tile_of(&s, kernels, per);
        let in_place = is_pointwise
            && tile[1] <= CONV_PACK_RESULTS
            && (s.windows >= kernels.columns || s.windows.is_multiple_of(kernels.lanes));
        let mut out = PanelConvolution {
            kernels,
            im2col: parts.im2col.clone(),
            operand: [offset, end, group],
            kernel: parts.kernel,
            sizes: s,
            part: (CONV_PART_DEPTH / s.taps * s.taps).max(CONV_PART_DEPTH.min(s.taps)),
            tile,
            in_place,
            packs_whole: !in_place && tile[1] < s.results,
            shared: work >= 2 * CONV_GRAIN_FMA,
        };
        out.packs_whole &= out.shared_scratch() <= CONV_MAX_PACKED_BYTES;
        Some(out)
    }

    /// Returns the number of panels of a batch member.
    fn panels(&self) -> usize {
        self.sizes.windows.div_ceil(self.kernels.columns)
    }

    /// Returns the number of parts of the depth.
    fn parts(&self) -> usize {
        self.sizes.depth().div_ceil(self.part)
    }

    /// Returns the elements of a packed part of a panel.
    fn part_size(&self) -> usize {
        self.part.min(self.sizes.depth()) * self.row() + GROUP
    }

    /// Returns the addresses of the first element of a group of a batch member, and of the end of
    /// the operand.
    fn group_at(&self, arrays: [Address; 3], member: usize, group: usize) -> (*mut T, *mut T) {
        let ([offset, end, step], x) = (self.operand, arrays[0].0.cast::<T>());
        let first = member as isize * self.im2col.columns.step + group as isize * step;
        (x.wrapping_offset(offset + first), x.wrapping_offset(end))
    }

    /// Returns the numbers of window ranges and of feature ranges of a group of a batch member.
    fn parts_of_group(&self) -> [usize; 2] {
        [self.sizes.windows.div_ceil(self.tile[0]), self.sizes.results.div_ceil(self.tile[1])]
    }

    fn tile_at(&self, index: usize) -> PanelTile {
        let [across, down] = self.parts_of_group();
        let (column, row, rest) = (index % across, index / across % down, index / across / down);
        let range = |i: usize, size: usize, end: usize| i * size..((i + 1) * size).min(end);
        PanelTile {
            member: rest / self.sizes.groups,
            group: rest % self.sizes.groups,
            windows: range(column, self.tile[0], self.sizes.windows),
            results: range(row, self.tile[1], self.sizes.results),
        }
    }

    /// Returns the elements of a row of a panel.
    fn row(&self) -> usize {
        self.kernels.columns.min(self.sizes.windows.next_multiple_of(self.kernels.lanes))
    }

    /// Returns the windows of the panels that are packed together.
    fn chunk(&self) -> usize {
        let depth = self.part.min(self.sizes.depth());
        let panels = CONV_BLOCK_BYTES / (depth * self.row() * size_of::<T>());
        panels.max(1) * self.kernels.columns
    }

    /// Returns the bytes of the panels that are packed together.
    fn packed_bytes(&self) -> usize {
        if self.packs_whole {
            return 0;
        }
        let panels = self.chunk().min(self.tile[0]).div_ceil(self.kernels.columns);
        let depth = self.part.min(self.sizes.depth());
        (panels * depth * self.row() + GROUP) * size_of::<T>()
    }

    /// Computes the windows `windows` of a tile.
    ///
    /// # Safety
    /// `x` is the first element of the tile's group and member, `kernel` the weights of its first
    /// feature and `to` the first window of that; `packed` has [`PanelConvolution::packed_bytes`].
    unsafe fn windows(
        &self,
        (x, end): (*mut T, *mut T),
        kernel: StridedMatrix<T>,
        to: StridedMatrix<T>,
        (results, windows): (usize, Range<usize>),
        packed: *mut T,
        whole: *mut T,
    ) {
        let (depth, row, parts) = (self.sizes.depth(), self.row(), self.parts());
        let step = self.im2col.depth.step;
        let operand = (x.cast_const(), step, end.cast_const());
        let width = self.kernels.columns;
        let panels = || windows.clone().step_by(width).map(|w| w..(w + width).min(windows.end));
        let is_packed = |p: &Range<usize>| {
            !self.packs_whole && (!self.in_place || !p.len().is_multiple_of(self.kernels.lanes))
        };
        let pieces: SmallVec<[Option<PanelPieces>; 4]> =
            panels().map(|p| is_packed(&p).then(|| PanelPieces::new(&self.im2col, p))).collect();
        for from in (0..depth).step_by(self.part) {
            let part = from..(from + self.part).min(depth);
            let panel = |i: usize| packed.wrapping_add(i * self.part.min(depth) * row);
            for (i, pieces) in pieces.iter().enumerate() {
                if let Some(pieces) = pieces {
                    // SAFETY: as promised by the caller.
                    unsafe { pieces.pack(operand, part.clone(), panel(i), row) }
                }
            }
            for feature in (0..results).step_by(self.kernels.rows) {
                let rows = self.kernels.rows.min(results - feature);
                let left = kernel.below(feature).right_of(from);
                for (i, p) in panels().enumerate() {
                    let right = match pieces[i] {
                        Some(_) => StridedMatrix { at: panel(i), steps: [1, row as isize] },
                        None if self.packs_whole => StridedMatrix {
                            at: whole
                                .wrapping_add((i * parts + from / self.part) * self.part_size()),
                            steps: [1, row as isize],
                        },
                        None => {
                            StridedMatrix { at: x, steps: [1, step] }.right_of(from).below(p.start)
                        }
                    };
                    let to = to.below(feature).right_of(p.start - windows.start);
                    let size = [rows, p.len(), part.len()];
                    // SAFETY: as promised by the caller; the last vector of a panel in place is
                    // full.
                    unsafe { self.kernels.block(size, to, left, right, from > 0) }
                }
            }
        }
    }
}

impl<T: MicrokernelElement + ConvElement> ConvMethod for PanelConvolution<T> {
    fn scratch(&self, threads: usize) -> usize {
        self.packed_bytes().saturating_mul(threads)
    }

    fn tiles(&self) -> usize {
        let [across, down] = self.parts_of_group();
        self.sizes.batch * self.sizes.groups * across * down
    }

    fn is_shared(&self) -> bool {
        self.shared
    }

    fn is_partial(&self) -> bool {
        true
    }

    fn is_by_rows(&self) -> bool {
        self.tile[0] == self.sizes.windows && self.chunk() >= self.sizes.windows
    }

    fn shared_scratch(&self) -> usize {
        if !self.packs_whole {
            return 0;
        }
        let groups = self.sizes.batch * self.sizes.groups;
        groups * self.panels() * self.parts() * self.part_size() * size_of::<T>()
    }

    unsafe fn prepare(&self, arrays: [Address; 3], shared: Address, pool: &Pool) {
        if !self.packs_whole {
            return;
        }
        let (depth, panels, parts) = (self.sizes.depth(), self.panels(), self.parts());
        let pack = |i: usize| {
            let (part, panel, group) =
                (i % parts * self.part, i / parts % panels, i / parts / panels);
            let (x, end) =
                self.group_at(arrays, group / self.sizes.groups, group % self.sizes.groups);
            let rows = part..(part + self.part).min(depth);
            let at = i * self.part_size();
            let first = panel * self.kernels.columns;
            let windows = first..(first + self.kernels.columns).min(self.sizes.windows);
            let pieces = PanelPieces::new(&self.im2col, windows);
            let to = shared.plus((at * size_of::<T>()) as isize).0.cast::<T>();
            let operand = (x.cast_const(), self.im2col.depth.step, end.cast_const());
            // SAFETY: as promised by the caller; parts are disjoint.
            unsafe { pieces.pack(operand, rows, to, self.row()) }
        };
        pool.run(parts * panels * self.sizes.batch * self.sizes.groups, &pack);
    }

    unsafe fn tile(&self, tile: usize, call: &ConvCall) {
        let (t, s) = (self.tile_at(tile), &self.sizes);
        let at = |i: usize| call.arrays[i].0.cast::<T>();
        let (x, end) = self.group_at(call.arrays, t.member, t.group);
        let feature = t.group * s.results + t.results.start;
        let kernel = StridedMatrix {
            at: at(1).wrapping_offset(self.kernel.offset),
            steps: [self.kernel.row, self.kernel.tap],
        };
        let group = t.member * s.groups + t.group;
        let row = group * s.results + t.results.start;
        let to = StridedMatrix { at: at(2), steps: [s.windows as isize, 1] }.below(row);
        let mut packed = Scratch::new(self.packed_bytes());
        let packed = packed.address().0.cast();
        let whole = call.shared.0.cast::<T>();
        let chunk = self.chunk();
        for first in t.windows.clone().step_by(chunk) {
            let windows = first..(first + chunk).min(t.windows.end);
            let size = (t.results.len(), windows.clone());
            let panel = group * self.panels() + first / self.kernels.columns;
            let whole = whole.wrapping_add(panel * self.parts() * self.part_size());
            // SAFETY: as promised by the caller.
            unsafe {
                self.windows(
                    (x, end),
                    kernel.below(feature),
                    to.right_of(first),
                    size,
                    packed,
                    whole,
                )
            }
            (call.after)([row..row + t.results.len(), windows]);
        }
    }
}

/// Returns true if the windows are the operand's elements, in order.
fn is_pointwise(parts: &ConvParts) -> bool {
    let (sizes, strides) = (&parts.x.sizes[2..], &parts.x.strides[2..]);
    let mut dense = 1;
    let is_dense = sizes.iter().zip(strides).rev().all(|(&n, &stride)| {
        let fits = n == 1 || stride == dense;
        dense *= n as isize;
        fits
    });
    let is_whole = |slide: &neurax_ir::op::Slide| slide.stride == 1 && slide.low == 0;
    is_dense
        && parts.sizes.taps == 1
        && parts.windows == sizes
        && parts.op.slides.iter().all(is_whole)
}

/// Returns the windows and features of a tile, for `per` tiles of a group of a batch member: whole
/// panels, and only some of the features if there are not enough panels.
fn tile_of<T>(s: &ConvSizes, kernels: &Microkernels<T>, per: usize) -> [usize; 2] {
    let panels = s.windows.div_ceil(kernels.columns);
    let across = per.min(panels);
    let windows = panels.div_ceil(across) * kernels.columns;
    let down = (per / across).clamp(1, (s.results / CONV_MIN_TILE_RESULTS).max(1));
    let results = s.results.div_ceil(down).next_multiple_of(kernels.rows);
    [windows.min(s.windows), results.min(s.results)]
}
