//! Quantiles of numbers that do not fit into memory together.
//!
//! The method is that of Munro and Paterson (Selection and sorting with limited storage, 1980), as
//! Manku, Rajagopalan and Lindsay analyze it (Approximate medians and other quantiles in one pass
//! and with limited memory, 1998). Numbers are collected in a buffer of `b`. A full buffer is
//! sorted, and two full buffers of one level are merged into one of the next level, which has every
//! second number of both. A number of level `l` stands for `2^l` numbers. With `b` = 2:
//!
//! ```text
//! numbers    5 1 | 4 8 | 2 9 | 7 3
//! level 0    1 5   4 8   2 9   3 7
//! level 1      1 5         2 7            of 1 4 5 8, and of 2 3 7 9
//! level 2            2 7                  of 1 2 5 7, from the second number on
//! ```
//!
//! Merging buffers of level `l` changes ranks by at most `2^l`. Each level has half of the merges
//! of the one below it, so that each changes ranks by at most `n / (2 b)` for `n` numbers, and a
//! quantile is wrong by the fraction `levels / (2 b)` of the numbers at most. Up to `b` numbers,
//! quantiles are exact. The result depends on the order of the numbers, and on nothing else.

use crate::tuning::QUANTILE_BUFFER_NUMBERS;

/// A summary of numbers, from which quantiles are computed.
pub(super) struct QuantileSketch {
    /// The numbers that are in no full buffer.
    open: Vec<f64>,
    /// The full buffer of each level, sorted, if there is one.
    levels: Vec<Option<Vec<f64>>>,
    /// The index, 0 or 1, of the first number that the next merge of each level keeps. Alternating
    /// indices keep the errors from adding up.
    offsets: Vec<usize>,
}

impl QuantileSketch {
    pub(super) fn new() -> QuantileSketch {
        QuantileSketch { open: Vec::new(), levels: Vec::new(), offsets: Vec::new() }
    }

    /// Adds a number. NaN is left out.
    pub(super) fn add(&mut self, x: f64) {
        if x.is_nan() {
            return;
        }
        self.open.push(x);
        if self.open.len() < QUANTILE_BUFFER_NUMBERS {
            return;
        }
        let mut full = std::mem::take(&mut self.open);
        full.sort_unstable_by(f64::total_cmp);
        for (level, offset) in self.levels.iter_mut().zip(&mut self.offsets) {
            match level.take() {
                None => {
                    *level = Some(full);
                    return;
                }
                Some(other) => {
                    full = merged(&other, &full, *offset);
                    *offset = 1 - *offset;
                }
            }
        }
        self.levels.push(Some(full));
        self.offsets.push(0);
    }

    /// Returns the quantiles at `fractions` of the numbers, interpolated linearly between two of
    /// them, or `None` if there are none.
    pub(super) fn quantiles(&self, fractions: &[f64]) -> Option<Vec<f64>> {
        let mut weighted: Vec<(f64, u64)> = self.open.iter().map(|&x| (x, 1)).collect();
        for (level, full) in self.levels.iter().enumerate() {
            weighted.extend(full.iter().flatten().map(|&x| (x, 1 << level)));
        }
        weighted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        // The rank behind the last one of each number.
        let mut ends = Vec::with_capacity(weighted.len());
        let mut count = 0;
        for (_, weight) in &weighted {
            count += weight;
            ends.push(count);
        }
        let at = |rank: u64| weighted.get(ends.partition_point(|&end| end <= rank)).map(|x| x.0);
        let quantile = |fraction: &f64| {
            let rank = fraction * count.checked_sub(1)? as f64;
            let (below, above) = (at(rank.floor() as u64)?, at(rank.ceil() as u64)?);
            let (distance, weight) = (above - below, rank.fract());
            // Equal infinities have no difference.
            Some(if below == above {
                below
            } else if distance.is_finite() {
                below + distance * weight
            } else {
                // As in `Tensor::quantile`: one is infinite, or they are far apart.
                below * (1.0 - weight) + above * weight
            })
        };
        fractions.iter().map(quantile).collect()
    }
}

/// Returns every second number of two sorted lists, in order, from index `offset` on.
fn merged(a: &[f64], b: &[f64], offset: usize) -> Vec<f64> {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let all = std::iter::from_fn(|| match (a.peek(), b.peek()) {
        (Some(x), Some(y)) if x <= y => a.next(),
        (_, Some(_)) => b.next(),
        _ => a.next(),
    });
    all.copied().skip(offset).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::ir::rng::Rng;

    fn sketch(numbers: impl IntoIterator<Item = f64>) -> QuantileSketch {
        let mut sketch = QuantileSketch::new();
        numbers.into_iter().for_each(|x| sketch.add(x));
        sketch
    }

    #[test]
    fn few_numbers_have_exact_quantiles() {
        let few = sketch([3.0, f64::NAN, 1.0, 2.0, 10.0]);
        assert_eq!(few.quantiles(&[0.0, 0.5, 1.0, 0.75]), Some(vec![1.0, 2.5, 10.0, 4.75]));
        assert_eq!(sketch([f64::NAN]).quantiles(&[0.5]), None);
        let inf = f64::INFINITY;
        assert_eq!(sketch([inf, inf, 1.0]).quantiles(&[0.0, 0.75]), Some(vec![1.0, inf]));
        assert_eq!(sketch([-inf, 1.0]).quantiles(&[0.5]), Some(vec![-inf]));
    }

    #[test]
    fn ranks_of_many_numbers_are_within_the_bound() {
        let n = 50 * QUANTILE_BUFFER_NUMBERS + 1234;
        let mut rng = Rng::new(1);
        let shuffled: Vec<f64> = rng.permutation(n).into_iter().map(|i| i as f64).collect();
        let ascending: Vec<f64> = (0..n).map(|i| i as f64).collect();
        let waves: Vec<f64> = (0..n).map(|i| (i * 7919 % n) as f64).collect();
        for numbers in [shuffled, ascending, waves] {
            let sketch = sketch(numbers);
            let levels = sketch.levels.len();
            let held =
                sketch.open.len() + sketch.levels.iter().flatten().map(Vec::len).sum::<usize>();
            assert!(held <= (levels + 1) * QUANTILE_BUFFER_NUMBERS, "{held} numbers");
            let bound = levels as f64 / (2 * QUANTILE_BUFFER_NUMBERS) as f64;
            for fraction in [0.01, 0.25, 0.5, 0.9, 0.999] {
                let got = sketch.quantiles(&[fraction]).unwrap()[0] / n as f64;
                assert!((got - fraction).abs() < bound, "{got} at {fraction}, bound {bound}");
            }
        }
    }
}
