//! Images that are moved.

use super::crop::crop;
use super::images::{ImageSizes, check_parameter, image_sizes, or_error};
use neurax_tensor::{Key, Tensor};

/// Moves each image of `[n, channels, height, width]` by a random whole number of pixels, at most
/// the fraction `most` of its height and width. Pixels from outside are `value`.
///
/// # Errors
/// The result carries an error if `most` is not in 0..=1, or `x` is no float tensor of four axes.
///
/// ```
/// use neurax::{data::augment, prelude::*};
/// let y = augment::shift(&key(0), &Tensor::ones([5, 1, 8, 8]), 0.25, 0.0);
/// assert_eq!(y.shape(), [5, 1, 8, 8]);
/// assert!(y.sum([1, 2, 3]).min(..).item()? >= 36.0, "at least 6 x 6 pixels remain");
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn shift(key: &Key, x: &Tensor, most: f64, value: f64) -> Tensor {
    or_error(|| {
        check_parameter("shift", "most", most, 0.0..=1.0)?;
        let ImageSizes { height, width, .. } = image_sizes("shift", x)?;
        let pixels = |size: usize| (size as f64 * most).round() as usize;
        let (rows, columns) = (pixels(height), pixels(width));
        let padded = x.pad([(0, 0), (0, 0), (rows, rows), (columns, columns)], value);
        Ok(crop(key, &padded, [height, width]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{Tree, key};

    #[test]
    fn pixels_move_together() {
        // One pixel of 1 in the middle of 0: it is somewhere in the middle afterwards.
        let x = Tensor::ones([60, 1, 1, 1]).pad([(0, 0), (0, 0), (2, 2), (2, 2)], 0.0);
        let y = shift(&key(3), &x, 0.4, 7.0).to_vec::<f32>().unwrap();
        let mut places: Vec<usize> = Vec::new();
        for image in y.chunks(25) {
            let at: Vec<usize> = (0..25).filter(|&i| image[i] == 1.0).collect();
            assert_eq!(at.len(), 1);
            let outside = image.iter().filter(|&&v| v == 7.0).count();
            let (row, column) = ((at[0] / 5) as i32 - 2, (at[0] % 5) as i32 - 2);
            let inside = (5 - row.abs()) * (5 - column.abs());
            assert_eq!(outside as i32, 25 - inside);
            places.push(at[0]);
        }
        places.sort_unstable();
        places.dedup();
        assert!(places.len() > 15, "{places:?}");
        assert!(shift(&key(0), &x, 1.5, 0.0).ok().is_err());
    }
}
