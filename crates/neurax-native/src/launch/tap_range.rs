//! Index ranges of each window tap, for copying and combining whole rows.
//!
//! With strides, padding and dilations, the windows that have an element under a given tap form an
//! arithmetic progression, and so do the elements. Computed once per axis at compile time, it
//! replaces a bounds check for every element:
//!
//! ```text
//! 5 elements, windows of 3, stride 2, padding 1:   tap 0 reads no element in window 0,
//! tap 0: windows 1, 2 on elements 1, 3             element 1 in window 1, element 3 in window 2
//! ```

use neurax_ir::op::Slide;

/// The windows that have an element under one tap (or the taps that have one in one window):
/// `first`, `first + step`, .., `count` of them, on the elements `element`, `element + by`, ..
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TapRange {
    /// The first window (or tap).
    pub first: usize,
    /// The distance from one to the next.
    pub step: usize,
    /// The number of windows (or taps).
    pub count: usize,
    /// The element of the first window (or tap).
    pub element: usize,
    /// The distance from one element to the next.
    pub by: usize,
}

impl TapRange {
    /// Returns the windows of every tap, for `windows` windows of `taps` taps over `n` elements.
    pub fn of_taps(s: &Slide, n: usize, taps: usize, windows: usize) -> Box<[TapRange]> {
        (0..taps).map(|tap| TapRange::of_tap(s, n, tap as i128, windows)).collect()
    }

    /// Returns the windows of the taps that have an element under them, in order: a window may be
    /// far larger than what it slides over.
    pub fn of_used_taps(s: &Slide, n: usize, taps: usize, windows: usize) -> Box<[TapRange]> {
        let dilation = s.window_dilation as i128;
        // The tap of window `p` at element `i`, if it has one, is this divided by the dilation.
        let at = |p: usize, i: usize| {
            i as i128 * s.base_dilation as i128 + s.low as i128 - p as i128 * s.stride as i128
        };
        let least = at(windows.saturating_sub(1), 0).max(0);
        let first = (least + dilation - 1).div_euclid(dilation);
        let end = (at(0, n.saturating_sub(1)).div_euclid(dilation) + 1).min(taps as i128);
        let of = |tap| TapRange::of_tap(s, n, tap, windows);
        if end - first <= n.saturating_mul(windows) as i128 {
            return (first..end).map(of).filter(|r| r.count > 0).collect();
        }
        let pairs = (0..windows).flat_map(|p| (0..n).map(move |i| at(p, i)));
        let found = pairs.filter(|x| *x >= 0 && x % dilation == 0).map(|x| x / dilation);
        let mut found: Vec<i128> = found.filter(|&tap| tap < taps as i128).collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(of).collect()
    }

    /// Returns the windows of one tap.
    fn of_tap(s: &Slide, n: usize, tap: i128, windows: usize) -> TapRange {
        let start = tap * s.window_dilation as i128 - s.low as i128;
        TapRange::along(start, s.stride, windows, s.base_dilation, n)
    }

    /// Returns the taps of every window, as [`TapRange::of_taps`].
    pub fn of_windows(s: &Slide, n: usize, taps: usize, windows: usize) -> Box<[TapRange]> {
        let start = |window: usize| window as i128 * s.stride as i128 - s.low as i128;
        (0..windows)
            .map(|window| {
                TapRange::along(start(window), s.window_dilation, taps, s.base_dilation, n)
            })
            .collect()
    }

    /// Returns which of the positions `start`, `start + step`, .., `count` of them, hold an
    /// element, on an axis of `n` elements at distance `base`.
    fn along(start: i128, step: usize, count: usize, base: usize, n: usize) -> TapRange {
        let (stride, dilation) = (step as i128, base as i128);
        let inside = if start < 0 { -start.div_euclid(stride) } else { 0 };
        // One of every `period` positions holds an element.
        let period = dilation / gcd(stride, dilation);
        let last = (count as i128).min(inside + period);
        let Some(first) = (inside..last).find(|i| (start + i * stride) % dilation == 0) else {
            return TapRange::NONE;
        };
        let (element, by) = ((start + first * stride) / dilation, period * stride / dilation);
        let found =
            (count as i128 - first).div_ceil_of(period).min((n as i128 - element).div_ceil_of(by));
        if found <= 0 {
            return TapRange::NONE;
        }
        TapRange {
            first: first as usize,
            step: period as usize,
            count: found as usize,
            element: element as usize,
            by: by as usize,
        }
    }

    /// The empty range.
    const NONE: TapRange = TapRange { first: 0, step: 1, count: 0, element: 0, by: 1 };

    /// Returns the element of window (or tap) `i`, if it has one.
    pub fn at(&self, i: usize) -> Option<usize> {
        let past = i.checked_sub(self.first)?;
        let k = if self.step == 1 {
            past
        } else {
            past.is_multiple_of(self.step).then(|| past / self.step)?
        };
        (k < self.count).then(|| self.element + k * self.by)
    }

    /// Returns the part of the range in windows (or taps) `from..to`.
    pub fn within(&self, from: usize, to: usize) -> TapRange {
        let before = |i: usize| i.saturating_sub(self.first).div_ceil(self.step).min(self.count);
        let (a, b) = (before(from), before(to));
        TapRange {
            first: self.first + a * self.step,
            count: b.saturating_sub(a),
            element: self.element + a * self.by,
            ..*self
        }
    }

    /// Returns the end of the range, whose `step` is 1.
    pub fn end(&self) -> usize {
        self.first + self.count
    }
}

/// Division that rounds up, for signed numbers.
trait DivCeil {
    fn div_ceil_of(self, by: Self) -> Self;
}

impl DivCeil for i128 {
    fn div_ceil_of(self, by: i128) -> i128 {
        -(-self).div_euclid(by)
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the element under a tap of a window by the definition of the op.
    fn element(s: &Slide, window: usize, tap: usize, n: usize) -> Option<usize> {
        let element = (window * s.stride + tap * s.window_dilation) as i64 - s.low;
        let at = usize::try_from(element).ok()?;
        (at.is_multiple_of(s.base_dilation) && at / s.base_dilation < n)
            .then_some(at / s.base_dilation)
    }

    #[test]
    fn ranges_are_the_elements_under_windows() {
        for case in 0..500usize {
            let pick = |of: usize, k: usize| 1 + case / of % k;
            let low = (case % 7) as i64 - 2;
            let s = Slide {
                stride: pick(3, 4),
                low,
                high: 0,
                base_dilation: pick(5, 3),
                window_dilation: pick(11, 3),
            };
            let (n, taps, windows) = (case % 5, pick(2, 4), pick(13, 6));
            let (of_taps, of_windows) = (
                TapRange::of_taps(&s, n, taps, windows),
                TapRange::of_windows(&s, n, taps, windows),
            );
            let used = of_taps.iter().filter(|r| r.count > 0).copied().collect::<Vec<_>>();
            for far in [taps, taps << 40] {
                let found = TapRange::of_used_taps(&s, n, far, windows);
                let end = if far == taps { used.len() } else { used.len().min(found.len()) };
                assert_eq!(found[..end].len(), used.len(), "{s:?}, {n} elements, {far} taps");
                assert_eq!(found[..end], used, "{s:?}, {n} elements, {far} taps");
            }
            for (tap, window) in (0..taps).flat_map(|t| (0..windows).map(move |w| (t, w))) {
                let want = element(&s, window, tap, n);
                assert_eq!(
                    of_taps[tap].at(window),
                    want,
                    "{s:?}, {n} elements, tap {tap}, window {window}"
                );
                assert_eq!(
                    of_windows[window].at(tap),
                    want,
                    "{s:?}, {n} elements, tap {tap}, window {window}"
                );
                let part = of_taps[tap].within(1, 3);
                assert_eq!(part.at(window), want.filter(|_| (1..3).contains(&window)), "{s:?}");
            }
        }
    }

    #[test]
    fn large_strides_need_no_search() {
        let far = Slide { stride: 1 << 40, low: 1 << 40, high: 1 << 40, ..Slide::default() };
        assert_eq!(
            TapRange::of_taps(&far, 4, 1, 3)[0],
            TapRange { first: 1, step: 1, count: 1, element: 0, by: 1 << 40 }
        );
        let thin = Slide { base_dilation: 1 << 50, ..Slide::default() };
        assert_eq!(TapRange::of_taps(&thin, 1, 1, 1)[0].count, 1);
    }
}
