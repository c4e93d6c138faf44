//! Convolutions of one feature each (*depthwise* ones), as sums of shifted rows.
//!
//! The problem: a product with one feature of the result has nothing to share between rows, so
//! that packing patches takes far longer than multiplying them. The method is direct: a band of the
//! feature is copied into scratch memory with its padding around it, and each row of the result is
//! the sum of the rows under the taps, shifted and multiplied by their weights:
//!
//! ```text
//! 3 x 3 taps:   result[r][..] = w00 * band[r][0..]   + w01 * band[r][1..]   + w02 * band[r][2..]
//!                             + w10 * band[r+1][0..] + ..
//! ```
//!
//! With strides, the rows and columns of the band are sorted by their remainders (*phases*), so
//! that the elements under a tap are neighbors. All rows of a band are one row of sums, those
//! between the end of a row and the start of the next included, which are not copied.
//!
//! Invariants: the sum of an element runs over the taps in order. Tiles are whole features, from
//! sizes alone.

#![allow(unsafe_code, reason = "operands and bands are addresses")]

use super::{
    method::{ConvCall, ConvMethod, ConvParts, KernelView},
    tiling::ConvSizes,
};
use crate::address::Address;
use crate::launch::{
    pool::Pool,
    scratch::Scratch,
    shifted_rows::{ShiftedRow, ShiftedRows, shifted_rows},
};
use crate::tuning::{
    CONV_BAND_BYTES, CONV_DEPTHWISE_GRAIN, CONV_DEPTHWISE_RESULTS, CONV_MAX_BAND_BYTES,
    CONV_MAX_TILES,
};
use neurax_ir::{DType, op::Slide};
use smallvec::SmallVec;
use std::ops::Range;

/// The most taps of a depthwise convolution.
const MAX_DEPTHWISE_TAPS: usize = 256;

/// A depthwise convolution of f32.
#[derive(Debug)]
pub struct DepthwiseConvolution {
    sizes: ConvSizes,
    /// The offset of the operand's first element, and its strides along batch, features and rows.
    operand: [isize; 4],
    /// The elements of the operand along rows and columns.
    elements: [usize; 2],
    windows: [usize; 2],
    taps: [usize; 2],
    slides: [Slide; 2],
    kernel: KernelView,
    sum: ShiftedRows,
    /// The rows of the result that a band gives.
    band: usize,
    /// The copies that fill each band.
    fills: Vec<BandFill>,
    /// The positions in a band of the elements under the taps of its first window.
    offsets: Box<[usize]>,
    /// The number of tiles.
    tiles: usize,
    shared: bool,
}

impl DepthwiseConvolution {
    /// Returns the convolution if each group has one feature and few results, and the elements of a
    /// row are contiguous.
    pub fn of(parts: &ConvParts) -> Option<DepthwiseConvolution> {
        let s = parts.sizes;
        let axes = parts.windows.len();
        let has_lines = parts.x.strides.last() == Some(&1) || parts.x.sizes.last() == Some(&1);
        let rows = s.batch.checked_mul(s.groups)?.checked_mul(s.results)?;
        let work = rows.checked_mul(s.windows)?.checked_mul(s.taps)?;
        if parts.op.dtype != DType::F32
            || !(1..=2).contains(&axes)
            || s.features != 1
            || s.groups < 2
            || s.results > CONV_DEPTHWISE_RESULTS
            || s.taps > MAX_DEPTHWISE_TAPS
            || work == 0
            || !has_lines
            || parts.op.slides.iter().any(|slide| slide.base_dilation != 1)
        {
            return None;
        }
        // A line is an image of one row.
        let pair = |x: &[usize]| if axes == 1 { [1, x[0]] } else { [x[0], x[1]] };
        let slides = match &parts.op.slides[..] {
            [line] => [Slide::default(), *line],
            [rows, line] => [*rows, *line],
            _ => return None,
        };
        let units = s.batch * s.groups;
        let wanted = (work / CONV_DEPTHWISE_GRAIN).clamp(1, CONV_MAX_TILES);
        let strides = &parts.x.strides;
        let mut out = DepthwiseConvolution {
            sizes: s,
            operand: [
                parts.x.offset,
                strides[0],
                strides[1],
                if axes == 1 { 0 } else { strides[2] },
            ],
            elements: pair(&parts.x.sizes[2..]),
            windows: pair(parts.windows),
            taps: pair(parts.taps),
            slides,
            kernel: parts.kernel,
            sum: shifted_rows(),
            band: 1,
            fills: vec![],
            offsets: [].into(),
            tiles: wanted.min(units),
            shared: work >= 2 * CONV_DEPTHWISE_GRAIN,
        };
        out.band = out.best_band()?;
        (out.fills, out.offsets) = (out.fills(), out.offsets());
        Some(out)
    }

    /// Returns the rows of the result that a band should give: a larger band than fits into the
    /// first-level cache if most of that would be rows that the next band needs again. `None` if
    /// strides or dilations are too large for a band, which has all elements between the taps.
    fn best_band(&self) -> Option<usize> {
        let span =
            |axis: usize| (self.taps[axis] - 1).checked_mul(self.slides[axis].window_dilation);
        let [down, across] = [self.slides[0].stride, self.slides[1].stride];
        let (reach, beside) = (span(0)? / down, span(1)? / across);
        let row = self.windows[1].checked_add(beside)?;
        let row_bytes = row.checked_mul(down)?.checked_mul(across)?.checked_mul(size_of::<f32>())?;
        let rows = |bytes: usize| (bytes / row_bytes).saturating_sub(reach).min(self.windows[0]);
        let bands = [CONV_BAND_BYTES, CONV_MAX_BAND_BYTES].map(rows);
        let is_long = |&band: &usize| band > 0 && band >= reach.min(self.windows[0]);
        bands.into_iter().find(is_long)
    }

    /// Returns the distance from the first to the last tap along an axis.
    fn span(&self, axis: usize) -> usize {
        (self.taps[axis] - 1) * self.slides[axis].window_dilation
    }

    /// Returns the members and groups of a tile, counted together.
    fn units(&self, tile: usize) -> Range<usize> {
        let units = self.sizes.batch * self.sizes.groups;
        tile * units / self.tiles..(tile + 1) * units / self.tiles
    }

    /// Returns the elements of a row of a phase, which is also a row of sums.
    fn row(&self) -> usize {
        self.windows[1] + self.span(1) / self.slides[1].stride
    }

    /// Returns the elements of a phase.
    fn phase(&self) -> usize {
        (self.band + self.span(0) / self.slides[0].stride) * self.row()
    }

    /// Returns the elements of a band: its phases, and what the last vector reads behind them.
    fn band_size(&self) -> usize {
        self.phase() * self.slides[0].stride * self.slides[1].stride + self.sum.lanes
    }

    /// Returns the elements of the sums of a band.
    fn sums_size(&self) -> usize {
        self.band * self.row()
    }

    /// Returns the position in a band of its element at a row and a column.
    fn position(&self, row: usize, column: usize) -> usize {
        let [down, across] = [self.slides[0].stride, self.slides[1].stride];
        let phase = row % down * across + column % across;
        phase * self.phase() + row / down * self.row() + column / across
    }

    /// Returns the positions in a band of the elements under the taps of its first window.
    fn offsets(&self) -> Box<[usize]> {
        let [rows, line] = self.slides.map(|s| s.window_dilation);
        let across = self.taps[1];
        let of = |tap: usize| self.position(tap / across * rows, tap % across * line);
        (0..self.taps[0] * across).map(of).collect()
    }

    /// Returns the copies that fill each band. The padding beside rows is zeros before.
    fn fills(&self) -> Vec<BandFill> {
        let starts = (0..self.windows[0]).step_by(self.band);
        starts.map(|first| self.fill(first..(first + self.band).min(self.windows[0]))).collect()
    }

    /// Returns the copies of the rows that the results `results` need.
    fn fill(&self, results: Range<usize>) -> BandFill {
        let rows = self.slides[0];
        let first = (results.start * rows.stride) as i64 - rows.low;
        let high = (results.len() - 1) * rows.stride + self.span(0) + 1;
        let mut copies = Vec::new();
        for i in 0..high {
            let row = usize::try_from(first + i as i64).ok().filter(|r| *r < self.elements[0]);
            for phase in (0..self.slides[1].stride).filter(|&phase| self.is_under_tap(i, phase)) {
                let to = self.position(i, phase);
                copies.push(match row {
                    Some(row) => self.copy_of(row, phase, to),
                    None => RowCopy { from: None, to, count: self.row() },
                });
            }
        }
        BandFill { results, copies }
    }

    /// Returns true if elements of a row and a phase of the columns are under a tap.
    fn is_under_tap(&self, row: usize, phase: usize) -> bool {
        let reaches = |axis: usize, at: usize| {
            let s = &self.slides[axis];
            (0..self.taps[axis]).any(|tap| tap * s.window_dilation % s.stride == at % s.stride)
        };
        reaches(0, row) && reaches(1, phase)
    }

    /// Returns the copy of one phase of a row to `to`.
    fn copy_of(&self, row: usize, phase: usize, to: usize) -> RowCopy {
        let (line, n) = (self.slides[1], self.elements[1] as i64);
        let stride = line.stride as i64;
        // Element `i` of the phase is element `i * stride + shift` of the row.
        let shift = phase as i64 - line.low;
        let within = |i: i64| i.clamp(0, self.row() as i64) as usize;
        let first = within((-shift + stride - 1).div_euclid(stride));
        let end = within((n - shift + stride - 1).div_euclid(stride)).max(first);
        let from = row as isize * self.operand[3] + (first as i64 * stride + shift) as isize;
        RowCopy { from: Some(from), to: to + first, count: end - first }
    }
}

/// The copies that fill a band.
#[derive(Debug)]
struct BandFill {
    /// The rows of the result that the band gives.
    results: Range<usize>,
    copies: Vec<RowCopy>,
}

/// A copy of a part of a row, or zeros.
#[derive(Debug)]
struct RowCopy {
    /// The offset of the first element in its feature.
    from: Option<isize>,
    /// The position in the band.
    to: usize,
    count: usize,
}

impl BandFill {
    /// Copies the rows of the feature at `x`, whose elements in a row are `stride` apart, to
    /// `band`.
    ///
    /// # Safety
    /// `x` is the first element of a feature; `band` has [`DepthwiseConvolution::band_size`].
    unsafe fn run(&self, x: *const f32, stride: usize, band: *mut f32) {
        for copy in &self.copies {
            let to = band.wrapping_add(copy.to);
            // SAFETY: as promised by the caller; these elements are in the row.
            unsafe {
                let Some(from) = copy.from.map(|from| x.wrapping_offset(from)) else {
                    to.write_bytes(0, copy.count);
                    continue;
                };
                match stride {
                    1 => copy_row(from, to, copy.count),
                    2 => copy_every_other(from, to, copy.count),
                    s => (0..copy.count).for_each(|i| *to.add(i) = *from.add(s * i)),
                }
            }
        }
    }
}

/// Copies `count` elements, in groups of eight.
///
/// # Safety
/// Both sides have `count` elements, and do not overlap.
#[inline(always)]
unsafe fn copy_row(from: *const f32, to: *mut f32, count: usize) {
    // SAFETY: as promised by the caller.
    let group = |i: usize| unsafe {
        to.add(i)
            .cast::<[f32; 8]>()
            .write_unaligned(from.add(i).cast::<[f32; 8]>().read_unaligned())
    };
    if count < 8 {
        // SAFETY: as above.
        return (0..count).for_each(|i| unsafe { *to.add(i) = *from.add(i) });
    }
    let mut i = 0;
    while i + 8 <= count {
        group(i);
        i += 8;
    }
    // The last group overlaps the one before.
    if i < count {
        group(count - 8);
    }
}

/// Copies `count` elements that are two elements apart.
///
/// # Safety
/// `from` has these elements and `to` room for them, which do not overlap.
#[inline(always)]
unsafe fn copy_every_other(from: *const f32, to: *mut f32, count: usize) {
    // The element behind the last one may be outside.
    let groups = count.saturating_sub(1) / 8;
    for i in (0..groups).map(|i| i * 8) {
        // SAFETY: as promised by the caller.
        unsafe {
            let pairs = from.add(2 * i).cast::<[[f32; 2]; 8]>().read_unaligned();
            let group: [f32; 8] = std::array::from_fn(|k| pairs[k][0]);
            to.add(i).cast::<[f32; 8]>().write_unaligned(group);
        }
    }
    // SAFETY: as above.
    (groups * 8..count).for_each(|i| unsafe { *to.add(i) = *from.add(2 * i) })
}

impl ConvMethod for DepthwiseConvolution {
    fn scratch(&self, threads: usize) -> usize {
        let elements = self.band_size() + self.sums_size();
        elements.saturating_mul(size_of::<f32>()).saturating_mul(threads)
    }

    fn tiles(&self) -> usize {
        self.tiles
    }

    fn is_shared(&self) -> bool {
        self.shared
    }

    fn is_partial(&self) -> bool {
        true
    }

    fn is_by_rows(&self) -> bool {
        self.band == self.windows[0]
    }

    fn shared_scratch(&self) -> usize {
        0
    }

    unsafe fn prepare(&self, _: [Address; 3], _: Address, _: &Pool) {}

    unsafe fn tile(&self, tile: usize, call: &ConvCall) {
        let [x, kernel, to] = call.arrays.map(|a| a.0.cast::<f32>());
        let [offset, member, feature, _] = self.operand;
        let s = &self.sizes;
        let size = |elements: usize| elements * size_of::<f32>();
        let mut band = Scratch::new(size(self.band_size()));
        let mut sums = Scratch::new(size(self.sums_size()));
        let (band, sums) = (band.address().0.cast::<f32>(), sums.address().0.cast::<f32>());
        let mut weights: SmallVec<[f32; 32]> = SmallVec::new();
        // SAFETY: the scratch memory has this size.
        unsafe { band.write_bytes(0, self.band_size()) }
        for unit in self.units(tile) {
            let (m, group) = (unit / s.groups, unit % s.groups);
            let x = x.wrapping_offset(offset + m as isize * member + group as isize * feature);
            for fill in &self.fills {
                let results = fill.results.clone();
                // SAFETY: as promised by the caller.
                unsafe { fill.run(x, self.slides[1].stride, band) }
                for result in 0..s.results {
                    let row = (group * s.results + result) as isize * self.kernel.row;
                    let kernel = kernel.wrapping_offset(self.kernel.offset + row);
                    weights.clear();
                    // SAFETY: as promised by the caller.
                    let weight = |i| unsafe { *kernel.offset(i as isize * self.kernel.tap) };
                    weights.extend((0..s.taps).map(weight));
                    let row = unit * s.results + result;
                    let windows = results.start * self.windows[1]..results.end * self.windows[1];
                    let to = to.wrapping_add(row * s.windows + windows.start);
                    let is_dense = self.row() == self.windows[1];
                    let sum = ShiftedRow {
                        from: band,
                        offsets: &self.offsets,
                        weights: &weights,
                        to: if is_dense { to } else { sums },
                        count: (results.len() - 1) * self.row() + self.windows[1],
                    };
                    // SAFETY: the band has the rows under the taps and a vector more.
                    unsafe {
                        (self.sum.sum)(sum);
                        if !is_dense {
                            for r in 0..results.len() {
                                let from = sums.add(r * self.row());
                                copy_row(from, to.add(r * self.windows[1]), self.windows[1]);
                            }
                        }
                    }
                    (call.after)([row..row + 1, windows]);
                }
            }
        }
    }
}
