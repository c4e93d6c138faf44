//! Images that are enlarged or made smaller.

use super::images::{check_parameter, image_sizes, numbers, or_error};
use super::warp::warped;
use neurax_tensor::{Error, Key, Result, Tensor};
use std::ops::RangeInclusive;

/// Scales each image of `[n, channels, height, width]` around its center by a random factor in
/// `factors`; above 1, the image is enlarged. Pixels are interpolated linearly; those from outside
/// are `value`.
///
/// # Errors
/// The result carries an error if the factors are not above 0 and in ascending order, or `x` is no
/// float tensor of four axes.
///
/// ```
/// use neurax::{data::augment, prelude::*};
/// let y = augment::zoom(&key(0), &Tensor::ones([4, 3, 8, 8]), 0.5..=0.7, 0.0);
/// assert_eq!(y.index((.., .., 0, 0)).max(..).item()?, 0.0, "from outside");
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn zoom(key: &Key, x: &Tensor, factors: RangeInclusive<f64>, value: f64) -> Tensor {
    or_error(|| {
        let (low, high) = (*factors.start(), *factors.end());
        check_parameter("zoom", "factors", low, 1e-3..=1e3)?;
        check_parameter("zoom", "factors", high, 1e-3..=1e3)?;
        if low > high {
            let why = format!("expected factors in ascending order, got {low}..={high}");
            return Err(Error::new("zoom", why));
        }
        let count = image_sizes("zoom", x)?.count;
        zoomed(x, &numbers(key, count, low, high), value)
    })
}

/// Scales each image by a factor, `[n]`.
fn zoomed(x: &Tensor, factors: &Tensor, value: f64) -> Result<Tensor> {
    let (step, zero) = (1.0 / factors, factors * 0.0);
    warped("zoom", x, [step.clone(), zero.clone(), zero, step], value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{DType, Tree, key, tensor};

    #[test]
    fn factors_above_one_enlarge() {
        let x = Tensor::arange(5).to(DType::F32).broadcast_to([2, 1, 5, 5]);
        let y = zoomed(&x, &tensor([2.0, 0.5]), -1.0).unwrap();
        let row = |i: usize| y.index((i, 0, 2)).to_vec::<f32>().unwrap();
        assert_eq!(row(0), [1.0, 1.5, 2.0, 2.5, 3.0]);
        assert_eq!(row(1), [-1.0, 0.0, 2.0, 4.0, -1.0]);
        assert!(zoom(&key(0), &x, 0.0..=1.0, 0.0).ok().is_err());
        assert!(zoom(&key(0), &x, 2.0..=1.0, 0.0).ok().is_err());
        let same = zoom(&key(0), &x, 1.0..=1.0, 0.0);
        assert_eq!(same.to_vec::<f32>().unwrap(), x.to_vec::<f32>().unwrap());
    }
}
