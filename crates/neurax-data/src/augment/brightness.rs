//! Brighter and darker images.

use super::images::{check_parameter, image_sizes, number_each, or_error};
use neurax_tensor::{Key, Tensor};

/// Adds a random number of at most `most` in either direction to all pixels of each image of
/// `[n, channels, height, width]`. For images in 0..=1, limit the result with `clip(0.0, 1.0)`.
///
/// # Errors
/// The result carries an error if `most` is negative, or `x` is no float tensor of four axes.
///
/// ```
/// use neurax::{data::augment, prelude::*};
/// let y = augment::brightness(&key(0), &Tensor::zeros([20, 1, 2, 2]), 0.5);
/// assert!(y.max(..).item()? <= 0.5 && y.min(..).item()? >= -0.5);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn brightness(key: &Key, x: &Tensor, most: f64) -> Tensor {
    or_error(|| {
        image_sizes("brightness", x)?;
        check_parameter("brightness", "most", most, 0.0..=f64::MAX)?;
        Ok(x + number_each(key, x, -most, most))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{Tree, key};

    #[test]
    fn all_pixels_of_an_image_change_alike() {
        let y = brightness(&key(0), &Tensor::zeros([8, 2, 3, 3]), 0.25);
        assert!(y.std([1, 2, 3], 0).max(..).item().unwrap() < 1e-6);
        assert!(y.std(0, 0).min(..).item().unwrap() > 0.05);
        assert!(brightness(&key(0), &y, 0.0).array_equal(&y).item().unwrap() == 1.0);
        assert!(brightness(&key(0), &y, -1.0).ok().is_err());
    }
}
