//! The sizes of a convolution with features last, and the elements under its windows.
//!
//! A *place* is a window of a batch member; places are counted over all of them. A convolution over
//! one space axis has a first axis of size 1.

use neurax_ir::op::Slide;
use smallvec::SmallVec;
use std::ops::Range;

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct PlaceSizes {
    pub batch: usize,
    /// The features of the operand.
    pub features: usize,
    /// The features of the result.
    pub results: usize,
    /// The elements of a batch member along both space axes.
    pub elements: [usize; 2],
    pub windows: [usize; 2],
    pub taps: [usize; 2],
    pub slides: [Slide; 2],
}

/// The offset of the element under a tap, relative to that of its place, and the tap.
type TapOffsets = SmallVec<[(isize, usize); 64]>;

/// Neighboring places of a row that have elements under the same taps.
#[derive(Debug)]
pub struct PlaceRun {
    pub places: Range<usize>,
    /// The offset of the element that the first place's tap 0 would be at, in elements.
    pub offset: isize,
    /// The stride between the elements of two places, in elements.
    pub step: isize,
    /// In elements.
    pub taps: TapOffsets,
}

impl PlaceSizes {
    /// Returns the number of places.
    pub fn places(&self) -> usize {
        self.batch * self.windows[0] * self.windows[1]
    }

    /// Returns the number of taps.
    pub fn all_taps(&self) -> usize {
        self.taps[0] * self.taps[1]
    }

    /// Returns the batch member, row and column of a place.
    fn coordinates(&self, place: usize) -> [usize; 3] {
        let [rows, columns] = self.windows;
        [place / columns / rows, place / columns % rows, place % columns]
    }

    /// Returns the position along `axis` of the element under tap 0 of window `window`.
    fn first(&self, axis: usize, window: usize) -> isize {
        (window * self.slides[axis].stride) as isize - self.slides[axis].low as isize
    }

    /// Returns the element under `tap` of a window along `axis` that begins at `first`, if there is
    /// one.
    fn element(&self, axis: usize, first: isize, tap: usize) -> Option<usize> {
        let at = first + (tap * self.slides[axis].window_dilation) as isize;
        usize::try_from(at).ok().filter(|at| *at < self.elements[axis])
    }

    /// Calls `f` for each tap of a place with the index of the tap and that of the element under
    /// it, if there is one.
    pub fn for_each_tap(&self, place: usize, mut f: impl FnMut(usize, Option<usize>)) {
        let [member, row, column] = self.coordinates(place);
        let [y, x] = [self.first(0, row), self.first(1, column)];
        let mut tap = 0;
        for i in 0..self.taps[0] {
            let row = self.element(0, y, i).map(|y| member * self.elements[0] + y);
            for j in 0..self.taps[1] {
                let at = row.and_then(|row| Some(row * self.elements[1] + self.element(1, x, j)?));
                f(tap, at);
                tap += 1;
            }
        }
    }

    /// Calls `f` for each row of taps of a place with its index, the first element under it if taps
    /// are neighbors, and the taps that have an element under them. The first element may be in
    /// front of its row of elements.
    pub fn for_each_line(&self, place: usize, mut f: impl FnMut(usize, isize, Range<usize>)) {
        let [member, row, column] = self.coordinates(place);
        let [y, x] = [self.first(0, row), self.first(1, column)];
        let width = self.elements[1] as isize;
        let end = (width - x).clamp(0, self.taps[1] as isize) as usize;
        let inside = (-x).clamp(0, end as isize) as usize..end;
        for i in 0..self.taps[0] {
            match self.element(0, y, i) {
                Some(y) => {
                    let line = (member * self.elements[0] + y) as isize * width;
                    f(i, line + x, inside.clone())
                }
                None => f(i, 0, 0..0),
            }
        }
    }

    /// Returns the first of the runs that `places` consists of.
    pub fn next_run(&self, places: Range<usize>) -> PlaceRun {
        let [member, row, column] = self.coordinates(places.start);
        let whole = self.whole_columns();
        let end = match whole.contains(&column) {
            true => whole.end,
            false => column + 1,
        };
        let count = (end - column).min(places.len());
        let [y, x] = [self.first(0, row), self.first(1, column)];
        let line = (member * self.elements[0]) as isize + y;
        let (width, [down, across]) =
            (self.elements[1] as isize, self.slides.map(|slide| slide.window_dilation as isize));
        let rows = (0..self.taps[0]).filter(|i| self.element(0, y, *i).is_some());
        let pairs = rows.flat_map(|i| (0..self.taps[1]).map(move |j| (i, j)));
        let used = pairs.filter(|(_, j)| self.element(1, x, *j).is_some());
        let taps = used
            .map(|(i, j)| (i as isize * down * width + j as isize * across, i * self.taps[1] + j));
        PlaceRun {
            places: places.start..places.start + count,
            offset: line * width + x,
            step: self.slides[1].stride as isize,
            taps: taps.collect(),
        }
    }

    /// Returns the columns whose windows have an element under each tap of a row.
    fn whole_columns(&self) -> Range<usize> {
        let slide = &self.slides[1];
        let span = (self.taps[1] - 1) * slide.window_dilation;
        // empty: negative padding crops, and all first windows have an element under tap 0.
        let low = usize::try_from(slide.low).unwrap_or(0).div_ceil(slide.stride);
        // The last window that ends inside.
        let room = self.elements[1] as i64 + slide.low - span as i64 - 1;
        // empty: no window has room.
        let end = usize::try_from(room).map_or(0, |room| room / slide.stride + 1);
        low.min(self.windows[1])..end.min(self.windows[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(elements: usize, taps: usize, slide: Slide) -> PlaceSizes {
        let windows = (elements as i64 + slide.low + slide.high
            - ((taps - 1) * slide.window_dilation) as i64
            - 1) as usize
            / slide.stride
            + 1;
        PlaceSizes {
            batch: 2,
            features: 1,
            results: 1,
            elements: [3, elements],
            windows: [3, windows],
            taps: [3, taps],
            slides: [Slide { low: 1, high: 1, ..Slide::default() }, slide],
        }
    }

    #[test]
    fn runs_have_the_taps_of_their_places() {
        let plain = Slide::default();
        let slides = [
            plain,
            Slide { low: 1, high: 1, ..plain },
            Slide { low: 2, high: 0, stride: 2, ..plain },
            Slide { low: -1, high: 3, window_dilation: 2, ..plain },
            Slide { low: 9, high: 9, stride: 3, ..plain },
        ];
        for (slide, n, taps) in slides.iter().flat_map(|s| [(*s, 7, 3), (*s, 5, 2), (*s, 6, 1)]) {
            let s = sizes(n, taps, slide);
            let mut left = 0..s.places();
            while !left.is_empty() {
                let run = s.next_run(left.clone());
                assert!(!run.places.is_empty() && run.places.end <= s.places(), "{s:?}");
                for (i, place) in run.places.clone().enumerate() {
                    let mut want = vec![];
                    s.for_each_tap(place, |tap, at| want.extend(at.map(|at| (tap, at))));
                    let at = |(offset, tap): &(isize, usize)| {
                        (*tap, (run.offset + i as isize * run.step + offset) as usize)
                    };
                    assert_eq!(run.taps.iter().map(at).collect::<Vec<_>>(), want, "{s:?}");
                }
                left.start = run.places.end;
            }
        }
    }
}
