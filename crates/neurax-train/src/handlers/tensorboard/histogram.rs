//! Histograms of tensors.

use super::messages::HistogramMessage;
use crate::tuning::HISTOGRAM_BINS;
use neurax_tensor::{DType, Result, Tensor};

/// Returns the histogram of the finite elements of a tensor, in bins of equal width; `None` if
/// there are none.
///
/// # Errors
/// If the tensor carries an error.
pub(super) fn histogram(x: &Tensor) -> Result<Option<HistogramMessage>> {
    let mut values = x.to(DType::F64).to_vec::<f64>()?;
    values.retain(|x| x.is_finite());
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.is_empty() {
        return Ok(None);
    }
    // One value has one bin, whose ends are equal.
    let bins = if min == max { 1 } else { HISTOGRAM_BINS };
    // Halves, as the distance of two finite numbers may be infinite.
    let scale = if (max - min).is_finite() { 1.0 } else { 0.5 };
    let (low, width) = (min * scale, (max * scale - min * scale) / bins as f64);
    let limit = |i: usize| if i == bins { max } else { (low + width * i as f64) / scale };
    let mut counts = vec![0.0; bins];
    for x in &values {
        let bin = ((x * scale - low) / width) as usize;
        if let Some(count) = counts.get_mut(bin.min(bins - 1)) {
            *count += 1.0;
        }
    }
    Ok(Some(HistogramMessage {
        min,
        max,
        count: values.len() as f64,
        sum: finite(values.iter().sum()),
        sum_of_squares: finite(values.iter().map(|x| x * x).sum()),
        limits: (1..=bins).map(limit).collect(),
        counts,
    }))
}

/// Returns a sum of finite numbers; the largest finite number for one that overflows, as readers
/// compute with it.
fn finite(sum: f64) -> f64 {
    sum.clamp(f64::MIN, f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn all_finite_elements_are_counted() {
        let x = Tensor::linspace(-1.0, 3.0, 401);
        let h = histogram(&x).unwrap().unwrap();
        assert_eq!((h.min, h.max, h.count), (-1.0, 3.0, 401.0));
        assert_eq!(h.counts.iter().sum::<f64>(), 401.0);
        assert_eq!(h.limits.last(), Some(&3.0));
        assert!(h.limits.is_sorted());
        // 401 elements in 64 bins: 6 or 7 in each one.
        assert!(h.counts.iter().all(|n| (6.0..=7.0).contains(n)), "{:?}", h.counts);
    }

    #[test]
    fn a_range_that_overflows_has_finite_limits() {
        let x = Tensor::from_vec(vec![f64::MIN, -1e308, 0.0, f64::MAX], [4]);
        let h = histogram(&x).unwrap().unwrap();
        assert!(h.limits.is_sorted() && h.limits.iter().all(|x| x.is_finite()), "{:?}", h.limits);
        assert_eq!((h.min, h.max, h.limits[63]), (f64::MIN, f64::MAX, f64::MAX));
        let filled: Vec<usize> = (0..64).filter(|i| h.counts[*i] > 0.0).collect();
        // (1.8e308 - 1e308) / (2 * 1.8e308 / 64) = 14.2
        assert_eq!(filled, [0, 14, 32, 63]);
        assert_eq!((h.sum, h.sum_of_squares), (f64::MIN, f64::MAX));
    }

    #[test]
    fn one_value_has_one_bin_and_none_has_no_histogram() {
        let h = histogram(&tensor([2.0, 2.0, f32::NAN])).unwrap().unwrap();
        assert_eq!((h.limits, h.counts), (vec![2.0], vec![2.0]));
        assert_eq!((h.sum, h.sum_of_squares), (4.0, 8.0));
        assert_eq!(histogram(&tensor([f32::INFINITY])).unwrap(), None);
        assert!(histogram(&Tensor::zeros([0])).unwrap().is_none());
        assert!(histogram(&(&tensor([1.0, 2.0]) + &tensor([1.0, 2.0, 3.0]))).is_err());
    }
}
