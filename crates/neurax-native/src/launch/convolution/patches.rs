//! Panels of patches: the elements under all taps of a few windows, as the microkernel reads them.
//!
//! A panel has a row for each feature and tap of the operand, and a column for each window. Every
//! feature has the same pattern of runs and padding, so that it is found once for each tap, as a
//! list of pieces, and then copied for each feature:
//!
//! ```text
//! 5 windows of 3 taps over 5 elements, padding 1:   tap 0   one zero, 4 elements from 0 on
//!                                                   tap 1   5 elements from 0 on
//!                                                   tap 2   4 elements from 1 on, one zero
//! ```
//!
//! Pieces are copied in groups of [`GROUP`] elements: a group may reach over the end of its piece,
//! where the next piece or the next row is written afterwards.
//!
//! Invariant: nothing behind the last element of the operand is read, and at most [`GROUP`]
//! elements behind the panel are written.

#![allow(unsafe_code, reason = "operands and panels are addresses")]

use super::im2col::Im2col;
use super::multiply::ConvElement;
use smallvec::SmallVec;
use std::ops::Range;

/// The elements that are copied together.
pub const GROUP: usize = 8;

/// The pieces of the rows of a panel, which are the same for each feature.
pub struct PanelPieces {
    pieces: SmallVec<[PatchPiece; 64]>,
    /// The end of the pieces of each tap.
    ends: SmallVec<[usize; 32]>,
}

/// Some neighboring windows that have elements at equal distances under a tap, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PatchPiece {
    /// The first window, in the panel.
    first: usize,
    count: usize,
    /// The offset of the first element in its feature, or `None` for padding.
    from: Option<isize>,
    /// The stride from one element to the next.
    by: isize,
}

impl PanelPieces {
    /// Finds the pieces of the windows `windows` of a batch member.
    pub fn new(im2col: &Im2col, windows: Range<usize>) -> PanelPieces {
        let mut out = PanelPieces { pieces: SmallVec::new(), ends: SmallVec::new() };
        for tap in 0..im2col.depth.inner() {
            out.add_tap(im2col, tap, windows.clone());
            out.ends.push(out.pieces.len());
        }
        out
    }

    fn add_tap(&mut self, im2col: &Im2col, tap: usize, windows: Range<usize>) {
        let own = self.pieces.len();
        let (_, taps) = im2col.depth.coordinates(tap);
        let sizes = &im2col.columns.sizes;
        let last = sizes.len() - 1;
        let line = im2col.columns.runs[last][taps[last]];
        let stride = im2col.strides[last];
        let mut at = windows.start;
        while at < windows.end {
            let (row, from) = (at / sizes[last], at % sizes[last]);
            let count = (sizes[last] - from).min(windows.end - at);
            let (mut rest, mut offset) = (row, Some(0));
            for axis in (0..last).rev() {
                let element = im2col.columns.runs[axis][taps[axis]].at(rest % sizes[axis]);
                rest /= sizes[axis];
                offset = offset.zip(element).map(|(o, e)| o + e as isize * im2col.strides[axis]);
            }
            let run = line.within(from, from + count);
            let (first, offset) = match offset {
                Some(offset) if run.count > 0 => (run.first - from, offset),
                // other: padding.
                _ => (count, 0),
            };
            let elements = if first == count { 0 } else { run.count };
            let from = Some(offset + run.element as isize * stride);
            let start = at - windows.start;
            self.add(own, PatchPiece { first: start, count: first, from: None, by: 1 });
            self.add(
                own,
                PatchPiece {
                    first: start + first,
                    count: elements,
                    from,
                    by: run.by as isize * stride,
                },
            );
            let end = first + elements;
            let rest = count - end;
            self.add(own, PatchPiece { first: start + end, count: rest, from: None, by: 1 });
            at += count;
        }
    }

    /// Adds a piece, which continues the last one of its tap if it can; those begin at `own`.
    fn add(&mut self, own: usize, piece: PatchPiece) {
        if piece.count == 0 {
            return;
        }
        if self.pieces.len() > own
            && let Some(before) = self.pieces.last_mut()
        {
            let continues = match (before.from, piece.from) {
                (None, None) => true,
                (Some(a), Some(b)) => {
                    before.by == piece.by && a + before.count as isize * before.by == b
                }
                _ => false,
            };
            if continues {
                before.count += piece.count;
                return;
            }
        }
        self.pieces.push(piece);
    }

    /// Packs the rows `depth` of the panel, each of `row` elements, for an operand whose features
    /// are `step` elements apart.
    ///
    /// # Safety
    /// `x` is the first element of the group, whose elements end before `end`; `to` has room for
    /// the rows and [`GROUP`] elements more, apart from the operand.
    pub unsafe fn pack<T: ConvElement>(
        &self,
        (x, step, end): (*const T, isize, *const T),
        depth: Range<usize>,
        mut to: *mut T,
        row: usize,
    ) {
        let taps = self.ends.len();
        let (mut feature, mut tap) = (depth.start / taps, depth.start % taps);
        for _ in depth {
            let x = x.wrapping_offset(feature as isize * step);
            let first = if tap == 0 { 0 } else { self.ends[tap - 1] };
            for piece in &self.pieces[first..self.ends[tap]] {
                // SAFETY: as promised by the caller.
                unsafe { piece.copy(x, end, to.add(piece.first)) }
            }
            to = to.wrapping_add(row);
            tap += 1;
            if tap == taps {
                (feature, tap) = (feature + 1, 0);
            }
        }
    }
}

impl PatchPiece {
    /// Writes the elements at `to`, and up to [`GROUP`] more.
    ///
    /// # Safety
    /// As [`PanelPieces::pack`], for the operand's feature at `x`.
    #[inline(always)]
    unsafe fn copy<T: ConvElement>(&self, x: *const T, end: *const T, to: *mut T) {
        let groups = self.count.div_ceil(GROUP);
        let Some(from) = self.from else {
            for i in 0..groups {
                // SAFETY: as promised by the caller.
                unsafe { to.add(i * GROUP).cast::<[T; GROUP]>().write_unaligned([T::ZERO; GROUP]) }
            }
            return;
        };
        let x = x.wrapping_offset(from);
        let has = |elements: usize| x.wrapping_add(elements).addr() <= end.addr();
        // SAFETY: as promised by the caller; groups that reach over the end are not read.
        unsafe {
            match self.by {
                1 if has(groups * GROUP) => {
                    for i in 0..groups {
                        let group = x.add(i * GROUP).cast::<[T; GROUP]>().read_unaligned();
                        to.add(i * GROUP).cast::<[T; GROUP]>().write_unaligned(group);
                    }
                }
                2 if has(groups * 2 * GROUP) => {
                    for i in 0..groups {
                        let pairs = x.add(2 * i * GROUP).cast::<[[T; 2]; GROUP]>().read_unaligned();
                        let group: [T; GROUP] = std::array::from_fn(|k| pairs[k][0]);
                        to.add(i * GROUP).cast::<[T; GROUP]>().write_unaligned(group);
                    }
                }
                by => (0..self.count).for_each(|i| *to.add(i) = *x.offset(i as isize * by)),
            }
        }
    }
}
