//! im2col, a block at a time: the elements of an operand under a range of taps of a range of
//! windows as a matrix.
//!
//! The whole matrix has a row for every feature and tap (the depth) and a column for every window
//! of every batch member. [`Im2col::pack`] writes any block of it into scratch memory, row by row
//! along the longer side: runs of contiguous elements are copied as one, padding is zeros.

#![allow(unsafe_code, reason = "buffers are read and scratch memory is written by address")]

use super::multiply::ConvElement;
use crate::{launch::tap_range::TapRange, strided_view::StridedView};
use neurax_ir::{Result, check_memory, op::Slide};
use smallvec::SmallVec;
use std::ops::Range;

/// An operand as a matrix of patches: a row for every feature and tap, a column for every window of
/// every batch member.
#[derive(Clone, Debug)]
pub struct Im2col {
    /// The rows: features and taps.
    pub depth: Im2colSide,
    /// The columns: batch members and windows.
    pub columns: Im2colSide,
    /// The stride of each spatial axis, in elements.
    pub(super) strides: SpatialVec<isize>,
}

/// One side of the matrix of patches.
#[derive(Clone, Debug)]
pub struct Im2colSide {
    /// The stride from one feature (or batch member) to the next, in elements.
    pub(super) step: isize,
    /// The number of taps (or windows) along each spatial axis.
    pub(super) sizes: SpatialVec<usize>,
    /// For each window (or tap) of the other side, the taps (or windows) that have an element.
    pub(super) runs: SpatialVec<Box<[TapRange]>>,
}

/// A value for each spatial axis.
pub(super) type SpatialVec<T> = SmallVec<[T; 3]>;

/// The memory of a packed block.
#[derive(Clone, Copy)]
pub struct PackedBlock<T> {
    /// The address of the first element.
    pub at: *mut T,
    /// The stride between indices of the outer side, in elements; the inner side is contiguous.
    pub row: usize,
}

impl Im2colSide {
    /// Returns the number of taps (or windows) of one feature (or batch member).
    pub fn inner(&self) -> usize {
        self.sizes.iter().product()
    }

    /// Splits `index` into the feature (or batch member) and the position along each spatial axis.
    pub(super) fn coordinates(&self, index: usize) -> (usize, SpatialVec<usize>) {
        let mut rest = index;
        let mut at: SpatialVec<usize> =
            self.sizes.iter().rev().map(|n| (rest % n, rest /= n).0).collect();
        at.reverse();
        (rest, at)
    }

    /// Moves `at` to the next position. Returns true if it wrapped around to the first one.
    fn advance(&self, at: &mut SpatialVec<usize>) -> bool {
        for (i, &n) in at.iter_mut().zip(&self.sizes).rev() {
            *i += 1;
            if *i < n {
                return false;
            }
            *i = 0;
        }
        true
    }
}

impl Im2col {
    /// Creates the patches of `x` under windows with `taps` taps, `windows` of them along each
    /// spatial axis.
    ///
    /// # Errors
    /// If there is not enough memory for the ranges of an axis, of which the sizes may be absurd.
    pub fn new(
        x: &StridedView,
        slides: &[Slide],
        taps: &[usize],
        windows: &[usize],
    ) -> Result<Im2col> {
        let mut strides: SpatialVec<isize> = x.strides[2..].into();
        // Only the ranges of the side that is packed along are computed: there may be one of the
        // others for each element of the operand.
        let wide = windows.last() >= taps.last();
        let of = |f: fn(&Slide, usize, usize, usize) -> Box<[TapRange]>,
                  counts: Option<&[usize]>|
         -> Result<SpatialVec<Box<[TapRange]>>> {
            let runs = |(i, s): (usize, &Slide)| {
                let Some(counts) = counts else { return Ok(Box::default()) };
                check_memory(counts[i].saturating_mul(size_of::<TapRange>()))?;
                Ok(f(s, x.sizes[i + 2], taps[i], windows[i]))
            };
            slides.iter().enumerate().map(runs).collect()
        };
        let mut depth = Im2colSide {
            step: x.strides[1],
            sizes: taps.into(),
            runs: of(TapRange::of_windows, (!wide).then_some(windows))?,
        };
        let mut columns = Im2colSide {
            step: x.strides[0],
            sizes: windows.into(),
            runs: of(TapRange::of_taps, wide.then_some(taps))?,
        };
        // Copies go plane by plane: there are at least two axes.
        for _ in slides.len()..2 {
            strides.insert(0, 0);
            for side in [&mut depth, &mut columns] {
                side.sizes.insert(0, 1);
                side.runs.insert(0, TapRange::of_taps(&Slide::default(), 1, 1, 1));
            }
        }
        Ok(Im2col { depth, columns, strides })
    }

    /// Returns true if consecutive windows make longer rows than consecutive taps.
    pub fn is_wide(&self) -> bool {
        let last = |s: &Im2colSide| s.sizes[self.strides.len() - 1];
        last(&self.columns) >= last(&self.depth)
    }

    /// Packs the block `depth` by `columns`: with `wide` a row for each tap, otherwise one for each
    /// window.
    ///
    /// # Safety
    /// `x` is the first element of the group, and `to` has room for the block.
    pub unsafe fn pack<T: ConvElement>(
        &self,
        x: *const T,
        depth: Range<usize>,
        columns: Range<usize>,
        wide: bool,
        to: PackedBlock<T>,
    ) {
        let (outer, inner) =
            if wide { (&self.depth, &self.columns) } else { (&self.columns, &self.depth) };
        let (of_outer, of_inner) = if wide { (depth, columns) } else { (columns, depth) };
        let (mut lead, mut at) = outer.coordinates(of_outer.start);
        let mut runs: SpatialVec<&TapRange> =
            inner.runs.iter().zip(&at).map(|(runs, &i)| &runs[i]).collect();
        for row in 0..of_outer.len() {
            // SAFETY: as promised by the caller; every range is inside of the operand.
            unsafe {
                self.row(
                    x.wrapping_offset(lead as isize * outer.step),
                    inner,
                    &runs,
                    of_inner.clone(),
                    to.at.add(row * to.row),
                )
            }
            lead += outer.advance(&mut at) as usize;
            runs.iter_mut().zip(&inner.runs).zip(&at).for_each(|((run, runs), &i)| *run = &runs[i]);
        }
    }

    /// Packs `range` of one row, plane by plane.
    ///
    /// # Safety
    /// `x` is the first element of the row's feature (or batch member), and `runs` are the row's
    /// ranges along `inner`, which has the indices `range`; `to` has room for `range`, apart from
    /// the operand.
    unsafe fn row<T: ConvElement>(
        &self,
        x: *const T,
        inner: &Im2colSide,
        runs: &[&TapRange],
        range: Range<usize>,
        mut to: *mut T,
    ) {
        let axes = runs.len();
        let size = inner.sizes[axes - 2] * inner.sizes[axes - 1];
        let plane = PatchPlane {
            size: inner.sizes[axes - 1],
            runs: [runs[axes - 2], runs[axes - 1]],
            strides: [self.strides[axes - 2], self.strides[axes - 1]],
        };
        let mut at = range.start;
        while at < range.end {
            let (which, from) = (at / size, at % size);
            let len = (size - from).min(range.end - at);
            // SAFETY: as promised by the caller.
            unsafe {
                match self.plane(inner, runs, which) {
                    Some(offset) => plane.copy(x.wrapping_offset(offset), from..from + len, to),
                    None => to.write_bytes(0, len),
                }
                to = to.add(len);
            }
            at += len;
        }
    }

    /// Returns the offset of plane `which` of the inner side, or `None` if it is padding.
    fn plane(&self, inner: &Im2colSide, runs: &[&TapRange], which: usize) -> Option<isize> {
        let (mut rest, mut offset) = (which, 0);
        for axis in (0..runs.len() - 2).rev() {
            let n = inner.sizes[axis];
            offset += runs[axis].at(rest % n)? as isize * self.strides[axis];
            rest /= n;
        }
        Some(offset + rest as isize * inner.step)
    }
}

/// The last two spatial axes of one side: lines of `size` positions.
struct PatchPlane<'a> {
    size: usize,
    runs: [&'a TapRange; 2],
    strides: [isize; 2],
}

impl PatchPlane<'_> {
    /// Copies `range` of the plane to `to`.
    ///
    /// # Safety
    /// The operand has all elements of the plane's ranges, counted from `x`, and `range` lies in
    /// the plane; `to` has room for `range`, apart from the operand.
    unsafe fn copy<T: ConvElement>(&self, x: *const T, range: Range<usize>, to: *mut T) {
        // SAFETY: as promised by the caller.
        unsafe {
            if self.is_shifted() { self.shifted(x, range, to) } else { self.rows(x, range, to) }
        }
    }

    /// Returns true if the plane is the operand itself, shifted, but for the ends of lines, so that
    /// it can be copied as one run.
    fn is_shifted(&self) -> bool {
        let [rows, line] = self.runs;
        let moves = [rows.by as isize * self.strides[0], line.by as isize * self.strides[1]];
        (line.step, rows.step, moves) == (1, 1, [self.size as isize, 1])
            && rows.count > 0
            && line.count > 0
    }

    /// Copies `range` as one run, and then writes zeros over the padding between lines.
    ///
    /// # Safety
    /// As [`PatchPlane::copy`]; [`PatchPlane::is_shifted`] returns true.
    unsafe fn shifted<T: ConvElement>(&self, x: *const T, range: Range<usize>, to: *mut T) {
        let ([rows, line], n) = (self.runs, self.size);
        let first = rows.first * n + line.first;
        let from = range.start.max(first);
        let end = range.end.min((rows.end() - 1) * n + line.end());
        // SAFETY: all addresses from the first to the last element lie in the operand; `to` has
        // room for the range.
        unsafe {
            if from >= end {
                return to.write_bytes(0, range.len());
            }
            let offset = rows.element as isize * self.strides[0]
                + line.element as isize * self.strides[1]
                + (from - first) as isize;
            let start = from - range.start;
            to.write_bytes(0, start);
            to.add(start).copy_from_nonoverlapping(x.wrapping_offset(offset), end - from);
            to.add(end - range.start).write_bytes(0, range.end - end);
            // The elements between the end of a line and the start of the next are not under the
            // window. Column by column, since there are only one or two.
            let gaps = (from / n).saturating_sub(1) * n..end;
            for column in line.end()..line.first + n {
                for i in (gaps.start + column..gaps.end).step_by(n).filter(|i| *i >= from) {
                    *to.add(i - range.start) = T::ZERO;
                }
            }
        }
    }

    /// Copies `range` line by line.
    ///
    /// # Safety
    /// As [`PatchPlane::copy`].
    unsafe fn rows<T: ConvElement>(&self, x: *const T, range: Range<usize>, mut to: *mut T) {
        let (mut row, mut from) = (range.start / self.size, range.start % self.size);
        let mut left = range.len();
        while left > 0 {
            let len = (self.size - from).min(left);
            // SAFETY: as promised by the caller.
            unsafe {
                match self.runs[0].at(row) {
                    Some(e) => self.line(
                        x.wrapping_offset(e as isize * self.strides[0]),
                        from..from + len,
                        to,
                    ),
                    None => to.write_bytes(0, len),
                }
                to = to.add(len);
            }
            (row, from, left) = (row + 1, 0, left - len);
        }
    }

    /// Copies `range` of one line.
    ///
    /// # Safety
    /// The operand has all elements of the line's range, counted from `x`; `to` has room for
    /// `range`, apart from the operand.
    unsafe fn line<T: ConvElement>(&self, x: *const T, range: Range<usize>, to: *mut T) {
        let run = self.runs[1].within(range.start, range.end);
        let (x, by) = (
            x.wrapping_offset(run.element as isize * self.strides[1]),
            run.by as isize * self.strides[1],
        );
        let start = run.first.wrapping_sub(range.start);
        // SAFETY: as promised by the caller.
        unsafe {
            if run.count == 0 || run.step != 1 {
                to.write_bytes(0, range.len());
                (0..run.count)
                    .for_each(|i| *to.add(start + i * run.step) = *x.offset(i as isize * by));
                return;
            }
            to.write_bytes(0, start);
            if by == 1 {
                to.add(start).copy_from_nonoverlapping(x, run.count);
            } else {
                (0..run.count).for_each(|i| *to.add(start + i) = *x.offset(i as isize * by));
            }
            to.add(start + run.count).write_bytes(0, range.len() - start - run.count);
        }
    }
}
