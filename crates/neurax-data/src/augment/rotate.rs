//! Images that are rotated.

use super::images::{check_parameter, image_sizes, numbers, or_error};
use super::warp::warped;
use neurax_tensor::{Key, Result, Tensor};

/// Rotates each image of `[n, channels, height, width]` around its center by a random angle of at
/// most `degrees` in either direction. Pixels are interpolated linearly; those from outside are
/// `value`.
///
/// # Errors
/// The result carries an error if `degrees` is not in 0..=180, or `x` is no float tensor of four
/// axes.
///
/// ```
/// use neurax::{data::augment, prelude::*};
/// let y = augment::rotate(&key(0), &Tensor::ones([4, 3, 9, 9]), 45.0, 0.0);
/// assert_eq!(y.shape(), [4, 3, 9, 9]);
/// assert_eq!(y.index((.., .., 4, 4)).mean(..).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn rotate(key: &Key, x: &Tensor, degrees: f64, value: f64) -> Tensor {
    or_error(|| {
        check_parameter("rotate", "degrees", degrees, 0.0..=180.0)?;
        let most = degrees.to_radians();
        let count = image_sizes("rotate", x)?.count;
        rotated(x, &numbers(key, count, -most, most), value)
    })
}

/// Rotates each image by an angle in radians, `[n]`, clockwise.
fn rotated(x: &Tensor, angles: &Tensor, value: f64) -> Result<Tensor> {
    let (sin, cos) = (angles.sin(), angles.cos());
    warped("rotate", x, [cos.clone(), -&sin, sin, cos], value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{DType, Tree, jit, key};
    use std::f32::consts::FRAC_PI_2;

    #[test]
    fn a_quarter_turn_moves_columns_to_rows() {
        let x = Tensor::arange(18).to(DType::F32).reshape([2, 1, 3, 3]);
        let y = rotated(&x, &neurax_tensor::tensor([FRAC_PI_2, 0.0]), -1.0).unwrap();
        let y = y.to_vec::<f32>().unwrap();
        let want = [6.0, 3.0, 0.0, 7.0, 4.0, 1.0, 8.0, 5.0, 2.0];
        assert!(y.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-4), "{y:?}");
        assert!(y[9..].iter().zip(9..).all(|(a, b)| (a - b as f32).abs() < 1e-4), "{y:?}");
    }

    #[test]
    fn it_runs_inside_of_jit_and_depends_on_the_key() {
        let x = key(9).uniform([3, 2, 5, 6]);
        let f = jit(|(key, x): (Key, Tensor)| rotate(&key, &x, 30.0, 0.0));
        let y = f.run((key(1), x.clone())).unwrap();
        let eager = rotate(&key(1), &x, 30.0, 0.0);
        assert!((&y - eager).abs().max(..).item().unwrap() < 1e-5);
        let other = f.run((key(2), x.clone())).unwrap();
        assert!((y - other).abs().max(..).item().unwrap() > 0.01);
        assert!(rotate(&key(0), &x, 200.0, 0.0).ok().is_err());
    }
}
