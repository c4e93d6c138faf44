//! Parts of images.

use super::images::{ImageSizes, image_sizes, or_error};
use neurax_tensor::{Error, Key, Tensor, stack, vmap};

/// Returns a part of `size`, height and width, at a random position of each image of
/// `[n, channels, height, width]`.
///
/// Images that are padded first are moved instead: see [`shift`](super::shift()).
///
/// # Errors
/// The result carries an error if `size` is larger than the images, or `x` is no float tensor of
/// four axes.
///
/// ```
/// use neurax::{data::augment, prelude::*};
/// let y = augment::crop(&key(0), &Tensor::ones([5, 3, 32, 32]), [28, 24]);
/// assert_eq!(y.shape(), [5, 3, 28, 24]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn crop(key: &Key, x: &Tensor, size: [usize; 2]) -> Tensor {
    or_error(|| {
        let ImageSizes { count, channels, height, width } = image_sizes("crop", x)?;
        let [rows, columns] = size;
        if rows > height || columns > width {
            let want = format!("expected a size of at most [{height}, {width}]");
            return Err(Error::new("crop", format!("{want}, got {size:?}")));
        }
        let [of_top, of_left] = key.split();
        let top = of_top.randint([count], 0..(height - rows + 1) as i64);
        let left = of_left.randint([count], 0..(width - columns + 1) as i64);
        let start = stack([Tensor::full([count], 0), top, left], -1);
        let part = |(image, start): (Tensor, Tensor)| {
            image.dynamic_slice(start, [channels, rows, columns])
        };
        Ok(vmap(part)((x.clone(), start)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{DType, Tree, key};

    #[test]
    fn parts_are_those_of_their_images_at_all_positions() {
        let x = Tensor::arange(12).to(DType::F32).reshape([1, 1, 3, 4]).broadcast_to([90, 1, 3, 4]);
        let y = crop(&key(0), &x, [2, 2]).to_vec::<f32>().unwrap();
        let mut corners: Vec<i32> = y.chunks(4).map(|image| image[0] as i32).collect();
        for image in y.chunks(4) {
            assert_eq!(image[1..], [image[0] + 1.0, image[0] + 4.0, image[0] + 5.0]);
        }
        corners.sort_unstable();
        corners.dedup();
        assert_eq!(corners, [0, 1, 2, 4, 5, 6]);
        assert_eq!(crop(&key(0), &x, [3, 4]).to_vec::<f32>().unwrap(), x.to_vec::<f32>().unwrap());
        let e = crop(&key(0), &x, [4, 4]).ok().unwrap_err().to_string();
        assert!(e.contains("expected a size of at most [3, 4], got [4, 4]"), "{e}");
    }
}
