//! Mirrored images.

use super::images::{image_sizes, or_error};
use neurax_tensor::{Key, Tensor, where_};

/// Mirrors each image of `[n, channels, height, width]` left to right with probability 1/2.
///
/// # Errors
/// The result carries an error if `x` is no float tensor of four axes.
///
/// ```
/// use neurax::{data::augment, prelude::*};
/// let x = Tensor::arange(2).to(F32).broadcast_to([100, 1, 1, 2]);
/// let y = augment::flip_horizontal(&key(0), &x);
/// let flipped = y.index((.., 0, 0, 0)).sum(..).item()?;
/// assert!((35.0..65.0).contains(&flipped));
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn flip_horizontal(key: &Key, x: &Tensor) -> Tensor {
    flip(key, x, "flip_horizontal", -1)
}

/// Mirrors each image of `[n, channels, height, width]` upside down with probability 1/2.
///
/// # Errors
/// As [`flip_horizontal`].
///
/// ```
/// use neurax::{data::augment, prelude::*};
/// let x = tensor([[1.0], [2.0]]).reshape([1, 1, 2, 1]);
/// let y = augment::flip_vertical(&key(0), &x).to_vec::<f32>()?;
/// assert!(y == [1.0, 2.0] || y == [2.0, 1.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn flip_vertical(key: &Key, x: &Tensor) -> Tensor {
    flip(key, x, "flip_vertical", -2)
}

#[track_caller]
fn flip(key: &Key, x: &Tensor, op: &str, axis: i64) -> Tensor {
    or_error(|| {
        let count = image_sizes(op, x)?.count;
        let is_flipped = key.bernoulli(0.5, [count, 1, 1, 1]);
        Ok(where_(&is_flipped, x.flip(axis), x))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{DType, Tree, key, tensor};

    #[test]
    fn images_are_whole_or_mirrored() {
        let x = Tensor::arange(4).to(DType::F32).reshape([1, 1, 2, 2]).broadcast_to([40, 1, 2, 2]);
        for (y, mirrored) in [
            (flip_horizontal(&key(1), &x), [1.0, 0.0, 3.0, 2.0]),
            (flip_vertical(&key(1), &x), [2.0, 3.0, 0.0, 1.0]),
        ] {
            let images = y.to_vec::<f32>().unwrap();
            let count = images.chunks(4).filter(|image| *image == mirrored).count();
            let whole = images.chunks(4).filter(|image| *image == [0.0, 1.0, 2.0, 3.0]).count();
            assert!(count > 5 && whole > 5 && count + whole == 40, "{count} and {whole}");
        }
        let e = flip_vertical(&key(0), &tensor([1.0])).ok().unwrap_err().to_string();
        assert!(e.contains("[n, channels, height, width], got f32[1]"), "{e}");
    }
}
