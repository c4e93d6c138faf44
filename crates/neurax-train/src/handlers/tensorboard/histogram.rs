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
    let width = (max - min) / bins as f64;
    let limit = |i: usize| if i == bins { max } else { min + width * i as f64 };
    let mut counts = vec![0.0; bins];
    for x in &values {
        let bin = ((x - min) / width) as usize;
        if let Some(count) = counts.get_mut(bin.min(bins - 1)) {
            *count += 1.0;
        }
    }
    Ok(Some(HistogramMessage {
        min,
        max,
        count: values.len() as f64,
        sum: values.iter().sum(),
        sum_of_squares: values.iter().map(|x| x * x).sum(),
        limits: (1..=bins).map(limit).collect(),
        counts,
    }))
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
    fn one_value_has_one_bin_and_none_has_no_histogram() {
        let h = histogram(&tensor([2.0, 2.0, f32::NAN])).unwrap().unwrap();
        assert_eq!((h.limits, h.counts), (vec![2.0], vec![2.0]));
        assert_eq!((h.sum, h.sum_of_squares), (4.0, 8.0));
        assert_eq!(histogram(&tensor([f32::INFINITY])).unwrap(), None);
        assert!(histogram(&Tensor::zeros([0])).unwrap().is_none());
        assert!(histogram(&(&tensor([1.0, 2.0]) + &tensor([1.0, 2.0, 3.0]))).is_err());
    }
}
