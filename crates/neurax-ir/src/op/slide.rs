//! Windows that slide along an axis: the geometry of convolutions and window reductions.

use crate::Result;
use crate::graph::{Attr, Parser, Printer};

/// The positions of sliding windows along one axis.
///
/// The axis is first dilated (element `i` moves to position `i * base_dilation`), then padded by
/// `low` and `high` positions. Tap `k` of window `p` is at position `p * stride + k *
/// window_dilation` of the padded axis.
///
/// The text form lists the fields that differ from the default in braces: `{stride=2 low=1}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slide {
    /// The distance of consecutive windows, in positions.
    pub stride: usize,
    /// The padding before the axis, in positions; negative padding crops.
    pub low: i64,
    /// The padding after the axis, in positions; negative padding crops.
    pub high: i64,
    /// The distance of consecutive elements, in positions.
    pub base_dilation: usize,
    /// The distance of consecutive taps of a window, in positions.
    pub window_dilation: usize,
}

impl Default for Slide {
    /// Returns windows of stride 1, without padding and dilation.
    fn default() -> Slide {
        Slide { stride: 1, low: 0, high: 0, base_dilation: 1, window_dilation: 1 }
    }
}

/// The greatest magnitude of any position, so that sums of a few positions fit in 64 bits.
const MAX_POSITION: i128 = 1 << 60;

impl Slide {
    /// Returns the number of windows of `size` taps on an axis of `n` elements.
    ///
    /// # Errors
    /// If a stride, dilation or size is 0, or a position is too large; the error is a message that
    /// the caller completes with op and axis.
    pub(crate) fn count(&self, n: usize, size: usize) -> std::result::Result<usize, String> {
        if size == 0 || self.stride == 0 || self.base_dilation == 0 || self.window_dilation == 0 {
            let why = format!(
                "windows of {size}, stride {}, dilations {} and {}",
                self.stride, self.base_dilation, self.window_dilation
            );
            return Err(format!("{why} must be at least 1"));
        }
        let far = || format!("{n} elements and windows of {size} with {self:?} reach too far");
        let (base, window) = (
            checked_extent(n, self.base_dilation).ok_or_else(far)?,
            checked_extent(size, self.window_dilation).ok_or_else(far)?,
        );
        let padded = base + self.low as i128 + self.high as i128;
        let positions =
            [base, window, padded, self.stride as i128, self.low as i128, self.high as i128];
        if positions.into_iter().any(|x| x.abs() > MAX_POSITION) {
            return Err(far());
        }
        Ok(if padded < window { 0 } else { ((padded - window) / self.stride as i128 + 1) as usize })
    }

    /// Returns the number of positions of the dilated and padded axis, which [`Slide::count`] must
    /// have admitted.
    pub(crate) fn padded_len(&self, n: usize) -> usize {
        (extent(n, self.base_dilation) + self.low + self.high).max(0) as usize
    }

    /// Returns the index of the element at `position`; `None` for padding.
    pub(crate) fn element(&self, position: usize, n: usize) -> Option<usize> {
        let at = usize::try_from(position as i64 - self.low).ok()?;
        (at.is_multiple_of(self.base_dilation) && at / self.base_dilation < n)
            .then_some(at / self.base_dilation)
    }

    /// Returns the indices of the elements under window `p`, increasing.
    pub(crate) fn under(&self, p: usize, n: usize, size: usize) -> Vec<usize> {
        let first = p * self.stride;
        if size <= n {
            return (0..size)
                .filter_map(|k| self.element(first + k * self.window_dilation, n))
                .collect();
        }
        // The axis is shorter than the window: iterate over the elements instead of the taps.
        let tap = |i: &usize| {
            let from_first =
                usize::try_from((i * self.base_dilation) as i64 + self.low - first as i64);
            from_first.is_ok_and(|at| {
                at.is_multiple_of(self.window_dilation) && at / self.window_dilation < size
            })
        };
        (0..n).filter(tap).collect()
    }

    /// Returns the windows of the transposed sum: over `count` window sums instead of `n` elements,
    /// with one window for each element and the taps in reverse order. Both numbers are positive.
    pub(crate) fn transposed(&self, n: usize, size: usize, count: usize) -> Slide {
        let (window, sums) = (extent(size, self.window_dilation), extent(count, self.stride));
        let low = window - 1 - self.low;
        let high = extent(n, self.base_dilation) + window - 1 - low - sums;
        Slide { stride: self.base_dilation, base_dilation: self.stride, low, high, ..*self }
    }

    /// Returns windows with the roles of windows and taps exchanged: one window for each of the
    /// `size` taps, with one tap for each of the `count` windows. Both numbers are positive.
    pub(crate) fn over_taps(&self, n: usize, size: usize, count: usize) -> Slide {
        let positions = extent(size, self.window_dilation) + extent(count, self.stride) - 1;
        let high = positions - self.low - extent(n, self.base_dilation);
        Slide { stride: self.window_dilation, window_dilation: self.stride, high, ..*self }
    }
}

/// Returns the number of positions from the first to the last of `n` points at distance `step`;
/// `None` if it overflows.
fn checked_extent(n: usize, step: usize) -> Option<i128> {
    if n == 0 { Some(0) } else { (n as i128 - 1).checked_mul(step as i128)?.checked_add(1) }
}

/// Returns [`checked_extent`] of numbers that [`Slide::count`] has admitted.
fn extent(n: usize, step: usize) -> i64 {
    checked_extent(n, step).map_or(0, |r| r as i64)
}

impl Attr for Slide {
    fn print(&self, p: &mut Printer) {
        let (new, old) = (self.numbers(), Slide::default().numbers());
        let changed = KEYS.iter().zip(new).zip(old).filter(|((_, x), old)| x != old);
        let words: Vec<String> = changed.map(|((key, x), _)| format!("{key}{x}")).collect();
        p.word(&format!("{{{}}}", words.join(" ")));
    }

    fn parse(p: &mut Parser) -> Result<Slide> {
        let mut numbers = Slide::default().numbers();
        p.expect("{")?;
        for (key, x) in KEYS.iter().zip(&mut numbers) {
            if p.eat(key) {
                let w = p.word()?;
                *x = w.parse().map_err(|_| p.error(format!("`{w}` is not a number")))?;
            }
        }
        p.expect("}")?;
        let length =
            |x: i128| usize::try_from(x).map_err(|_| p.error(format!("{x} is not a distance")));
        let edge = |x: i128| i64::try_from(x).map_err(|_| p.error(format!("{x} is too large")));
        let [stride, low, high, base, window] = numbers;
        let (stride, base_dilation, window_dilation) =
            (length(stride)?, length(base)?, length(window)?);
        Ok(Slide { stride, low: edge(low)?, high: edge(high)?, base_dilation, window_dilation })
    }
}

/// The keys of the text form.
const KEYS: [&str; 5] = ["stride=", "low=", "high=", "base_dilation=", "window_dilation="];

impl Slide {
    /// Returns the fields in the order of [`KEYS`].
    fn numbers(&self) -> [i128; 5] {
        [
            self.stride as i128,
            self.low.into(),
            self.high.into(),
            self.base_dilation as i128,
            self.window_dilation as i128,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(s: Slide, n: usize, size: usize) -> Vec<Vec<usize>> {
        (0..s.count(n, size).unwrap()).map(|p| s.under(p, n, size)).collect()
    }

    #[test]
    fn windows_by_hand() {
        let plain = Slide::default();
        assert_eq!(all(plain, 4, 3), [[0, 1, 2], [1, 2, 3]]);
        assert_eq!(all(Slide { stride: 2, low: 1, ..plain }, 4, 2), [vec![0], vec![1, 2]]);
        assert_eq!(all(Slide { window_dilation: 2, ..plain }, 4, 2), [[0, 2], [1, 3]]);
        assert_eq!(all(Slide { base_dilation: 2, ..plain }, 2, 2), [vec![0], vec![1]]);
        assert_eq!(all(Slide { low: -1, high: -1, ..plain }, 4, 2), [[1, 2]]);
        assert_eq!(all(Slide { low: 3, high: 3, ..plain }, 1, 7), [[0]]);
        assert!(all(plain, 2, 3).is_empty() && all(plain, 0, 1).is_empty());
    }

    #[test]
    fn transposing_exchanges_elements_and_windows() {
        for (stride, low, high, base_dilation, window_dilation) in
            [(1, 0, 0, 1, 1), (2, 1, 2, 1, 2), (3, -1, 1, 2, 1), (2, 4, -2, 3, 2)]
        {
            let s = Slide { stride, low, high, base_dilation, window_dilation };
            let (n, size) = (6, 3);
            let there = all(s, n, size);
            let back = s.transposed(n, size, there.len());
            let again = all(back, there.len(), size);
            assert_eq!(again.len(), n, "{s:?}");
            for (i, windows) in again.iter().enumerate() {
                let want: Vec<usize> =
                    (0..there.len()).filter(|&p| there[p].contains(&i)).collect();
                assert_eq!(windows, &want, "{s:?}");
            }
            assert_eq!(s.over_taps(n, size, there.len()).count(n, there.len()), Ok(size), "{s:?}");
        }
    }

    #[test]
    fn invalid_parameters_are_errors() {
        let plain = Slide::default();
        assert!(plain.count(3, 0).unwrap_err().contains("at least 1"));
        assert!(Slide { stride: 0, ..plain }.count(3, 1).is_err());
        assert!(
            Slide { low: i64::MAX, high: i64::MAX, ..plain }
                .count(3, 1)
                .unwrap_err()
                .contains("too far")
        );
        assert!(Slide { window_dilation: usize::MAX, ..plain }.count(3, usize::MAX).is_err());
        assert_eq!(
            Slide { window_dilation: usize::MAX, ..plain }.count(3, 1),
            Ok(3),
            "one tap is not dilated"
        );
    }
}
