//! Patches of an operand: for a range of taps and a range of windows the elements there, as a
//! matrix.

#![allow(unsafe_code, reason = "arrays are read and scratch memory is written by address")]

use super::multiply::ConvElement;
use crate::{launch::tap_range::TapRange, schedule::StridedView};
use neurax_ir::op::Slide;
use smallvec::SmallVec;
use std::ops::Range;

/// An operand as a matrix: its rows the features under each tap, its columns the windows of each
/// member of the batch.
#[derive(Debug)]
pub struct Im2col {
    /// Features and taps.
    pub depth: Im2colSide,
    /// Members of the batch and windows.
    pub columns: Im2colSide,
    /// How far one step along each axis of space moves, in elements.
    strides: SpatialVec<isize>,
}

/// One side of that matrix, an index of which is a number for each of its axes.
#[derive(Debug)]
pub struct Im2colSide {
    /// How far it is from one to the next, in elements.
    step: isize,
    /// The taps, or windows, along each axis of space.
    sizes: SpatialVec<usize>,
    /// Which of those have an element, for each of the other side's.
    runs: SpatialVec<Box<[TapRange]>>,
}

type SpatialVec<T> = SmallVec<[T; 3]>;

/// Where a matrix of patches is written.
#[derive(Clone, Copy)]
pub struct PackedBlock<T> {
    /// Its first element.
    pub at: *mut T,
    /// From one of the outer side to the next, in elements; those of the inner side follow one
    /// another.
    pub row: usize,
}

impl Im2colSide {
    /// How many indices belong to one feature, or one member.
    pub fn inner(&self) -> usize {
        self.sizes.iter().product()
    }

    /// The feature or member, and the numbers along the axes of space.
    fn coordinates(&self, index: usize) -> (usize, SpatialVec<usize>) {
        let mut rest = index;
        let mut at: SpatialVec<usize> =
            self.sizes.iter().rev().map(|n| (rest % n, rest /= n).0).collect();
        at.reverse();
        (rest, at)
    }

    /// The next numbers along the axes of space; whether they begin anew.
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
    /// Patches of an operand under windows of those taps, of which there are so many along each
    /// axis.
    pub fn new(x: &StridedView, slides: &[Slide], taps: &[usize], windows: &[usize]) -> Im2col {
        let mut strides: SpatialVec<isize> = x.strides[2..].into();
        // Only the runs of rows that are packed are wanted: the others may be as many as the
        // operand has elements.
        let wide = windows.last() >= taps.last();
        let of = |f: fn(&Slide, usize, usize, usize) -> Box<[TapRange]>,
                  wanted: bool|
         -> SpatialVec<Box<[TapRange]>> {
            let runs = |(i, s): (usize, &Slide)| {
                if wanted { f(s, x.sizes[i + 2], taps[i], windows[i]) } else { Box::default() }
            };
            slides.iter().enumerate().map(runs).collect()
        };
        let mut depth = Im2colSide {
            step: x.strides[1],
            sizes: taps.into(),
            runs: of(TapRange::of_windows, !wide),
        };
        let mut columns = Im2colSide {
            step: x.strides[0],
            sizes: windows.into(),
            runs: of(TapRange::of_taps, wide),
        };
        // Loops go over planes: there are at least two axes.
        for _ in slides.len()..2 {
            strides.insert(0, 0);
            for side in [&mut depth, &mut columns] {
                side.sizes.insert(0, 1);
                side.runs.insert(0, TapRange::of_taps(&Slide::default(), 1, 1, 1));
            }
        }
        Im2col { depth, columns, strides }
    }

    /// Do windows side by side make longer rows than taps do?
    pub fn is_wide(&self) -> bool {
        let last = |s: &Im2colSide| s.sizes[self.strides.len() - 1];
        last(&self.columns) >= last(&self.depth)
    }

    /// Writes patches: if they are wide a row for each of those taps, otherwise one for each of
    /// those windows.
    ///
    /// # Safety
    /// `x` is the operand's first element of the group, and the block has room for a row of the
    /// other range for each one.
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
            // SAFETY: as promised by the caller; every run leads to elements of the operand.
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

    /// One row: the indices of that range, plane after plane.
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
                    Some(place) => plane.copy(x.wrapping_offset(place), from..from + len, to),
                    None => to.write_bytes(0, len),
                }
                to = to.add(len);
            }
            at += len;
        }
    }

    /// The place of a plane, if it has one.
    fn plane(&self, inner: &Im2colSide, runs: &[&TapRange], which: usize) -> Option<isize> {
        let (mut rest, mut place) = (which, 0);
        for axis in (0..runs.len() - 2).rev() {
            let n = inner.sizes[axis];
            place += runs[axis].at(rest % n)? as isize * self.strides[axis];
            rest /= n;
        }
        Some(place + rest as isize * inner.step)
    }
}

/// Rows of some size, as runs over the rows and in each of them.
struct PatchPlane<'a> {
    size: usize,
    runs: [&'a TapRange; 2],
    strides: [isize; 2],
}

impl PatchPlane<'_> {
    /// Copies a range of it.
    unsafe fn copy<T: ConvElement>(&self, x: *const T, range: Range<usize>, to: *mut T) {
        // SAFETY: as promised by the caller.
        unsafe {
            if self.is_shifted() { self.shifted(x, range, to) } else { self.rows(x, range, to) }
        }
    }

    /// Is it the array itself but for the ends of rows, so that it can be copied as one?
    fn is_shifted(&self) -> bool {
        let [rows, line] = self.runs;
        let moves = [rows.by as isize * self.strides[0], line.by as isize * self.strides[1]];
        (line.step, rows.step, moves) == (1, 1, [self.size as isize, 1])
            && rows.count > 0
            && line.count > 0
    }

    unsafe fn shifted<T: ConvElement>(&self, x: *const T, range: Range<usize>, to: *mut T) {
        let ([rows, line], n) = (self.runs, self.size);
        let first = rows.first * n + line.first;
        let from = range.start.max(first);
        let end = range.end.min((rows.end() - 1) * n + line.end());
        // SAFETY: from the first to the last element all addresses lie in the array; the row has
        // room for the range.
        unsafe {
            if from >= end {
                return to.write_bytes(0, range.len());
            }
            let place = rows.element as isize * self.strides[0]
                + line.element as isize * self.strides[1]
                + (from - first) as isize;
            let start = from - range.start;
            to.write_bytes(0, start);
            to.add(start).copy_from_nonoverlapping(x.wrapping_offset(place), end - from);
            to.add(end - range.start).write_bytes(0, range.end - end);
            // What stands between the end of a line and the beginning of the next one is not under
            // the window. Column by column: these are one or two.
            let gaps = (from / n).saturating_sub(1) * n..end;
            for column in line.end()..line.first + n {
                for i in (gaps.start + column..gaps.end).step_by(n).filter(|i| *i >= from) {
                    *to.add(i - range.start) = T::ZERO;
                }
            }
        }
    }

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
