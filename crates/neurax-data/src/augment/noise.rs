//! Images with noise.

use super::images::{check_parameter, image_sizes, or_error};
use neurax_tensor::{DType, Key, Tensor};

/// Adds a normal random number with standard deviation `deviation` to each pixel of
/// `[n, channels, height, width]`.
///
/// # Errors
/// The result carries an error if `deviation` is negative, or `x` is no float tensor of four axes.
///
/// ```
/// use neurax::{data::augment, prelude::*};
/// let y = augment::noise(&key(0), &Tensor::zeros([4, 1, 50, 50]), 0.1);
/// assert!((y.std(.., 0).item()? - 0.1).abs() < 0.01);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn noise(key: &Key, x: &Tensor, deviation: f64) -> Tensor {
    or_error(|| {
        image_sizes("noise", x)?;
        check_parameter("noise", "deviation", deviation, 0.0..=f64::MAX)?;
        let noise = key.normal_of(DType::F32, x.shape()) * deviation;
        Ok(x + noise.to(x.dtype()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{Tree, key};

    #[test]
    fn pixels_change_independently_and_the_dtype_stays() {
        let x = Tensor::zeros([1, 1, 40, 40]).to(DType::F16);
        let y = noise(&key(0), &x, 1.0);
        assert_eq!(y.dtype(), DType::F16);
        let y = y.to(DType::F32);
        let neighbours = y.slice(-1, 1..) * y.slice(-1, ..39);
        assert!(neighbours.mean(..).item().unwrap().abs() < 0.1);
        assert!(noise(&key(0), &x, -1.0).ok().is_err());
    }
}
