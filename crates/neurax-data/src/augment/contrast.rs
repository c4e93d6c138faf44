//! Images with more or less contrast.

use super::images::{check_parameter, image_sizes, number_each, or_error};
use neurax_tensor::{Key, Tensor, keep};

/// Multiplies the deviations of the pixels of each image of `[n, channels, height, width]` from the
/// mean of their channel by a random factor in `1 - most..1 + most`. For images in 0..=1, limit the
/// result with `clip(0.0, 1.0)`.
///
/// # Errors
/// The result carries an error if `most` is not in 0..=1, or `x` is no float tensor of four axes.
///
/// ```
/// use neurax::{data::augment, prelude::*};
/// let x = key(1).uniform([6, 3, 8, 8]);
/// let y = augment::contrast(&key(0), &x, 0.5);
/// assert!((y.mean([2, 3]) - x.mean([2, 3])).abs().max(..).item()? < 1e-6);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn contrast(key: &Key, x: &Tensor, most: f64) -> Tensor {
    or_error(|| {
        image_sizes("contrast", x)?;
        check_parameter("contrast", "most", most, 0.0..=1.0)?;
        let mean = x.mean(keep([2, 3]));
        Ok((x - &mean) * number_each(key, x, 1.0 - most, 1.0 + most) + mean)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{Tree, key};

    #[test]
    fn deviations_are_scaled_by_image() {
        let x = key(1).uniform([30, 2, 8, 8]);
        let y = contrast(&key(0), &x, 0.5);
        let factors = y.std([2, 3], 0) / x.std([2, 3], 0);
        assert!(
            (factors.index((.., 0)) - factors.index((.., 1))).abs().max(..).item().unwrap() < 1e-4
        );
        let (low, high) = (factors.min(..).item().unwrap(), factors.max(..).item().unwrap());
        assert!(low > 0.49 && low < 0.7 && high > 1.3 && high < 1.51, "{low} to {high}");
        assert!(contrast(&key(0), &x, 1.5).ok().is_err());
    }
}
