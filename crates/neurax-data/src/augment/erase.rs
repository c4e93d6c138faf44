//! Images with an erased rectangle.

use super::images::{ImageSizes, check_parameter, image_sizes, numbers, or_error};
use neurax_tensor::{DType, Error, Key, Result, Tensor, where_};
use std::ops::RangeInclusive;

/// Sets the pixels of a random rectangle of each image of `[n, channels, height, width]` to `value`
/// (random erasing, <https://arxiv.org/abs/1708.04896>). Its area is a random fraction of the image
/// in `areas`, the ratio of its sides in 1/3 to 3; a side is at most that of the image.
///
/// # Errors
/// The result carries an error if the areas are not in 0..=1 and in ascending order, or `x` is no
/// float tensor of four axes.
///
/// ```
/// use neurax::{data::augment, prelude::*};
/// let y = augment::erase(&key(0), &Tensor::ones([50, 1, 32, 32]), 0.1..=0.3, 0.0);
/// let erased = 1.0 - y.mean([1, 2, 3]);
/// assert!(erased.min(..).item()? > 0.05 && erased.max(..).item()? < 0.35);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn erase(key: &Key, x: &Tensor, areas: RangeInclusive<f64>, value: f64) -> Tensor {
    or_error(|| {
        let (low, high) = (*areas.start(), *areas.end());
        check_parameter("erase", "areas", low, 0.0..=1.0)?;
        check_parameter("erase", "areas", high, 0.0..=1.0)?;
        if low > high {
            let why = format!("expected areas in ascending order, got {low}..={high}");
            return Err(Error::new("erase", why));
        }
        let sizes = image_sizes("erase", x)?;
        let [of_area, of_ratio, of_place] = key.split();
        let area = numbers(&of_area, sizes.count, low, high);
        let most = 3f64.ln() / 2.0;
        let stretch = numbers(&of_ratio, sizes.count, -most, most).exp();
        let side = area.sqrt();
        let inside = rectangles(&of_place, sizes, &(&side * &stretch), &(side / stretch))?;
        Ok(where_(&inside, Tensor::scalar(x.dtype(), value), x))
    })
}

/// Returns where a rectangle at a random position of each image is, bool[n, 1, height, width].
/// `heights` and `widths` are fractions of the image, `[n]`; those above 1 are limited.
pub(super) fn rectangles(
    key: &Key,
    sizes: ImageSizes,
    heights: &Tensor,
    widths: &Tensor,
) -> Result<Tensor> {
    let ImageSizes { count, height, width, .. } = sizes;
    let [of_rows, of_columns] = key.split();
    let interval = |key: &Key, fractions: &Tensor, size: usize| {
        let length = (fractions.minimum(1.0) * size as f64).round();
        // All whole positions at which the rectangle fits are equally likely.
        let start = (key.uniform([count]) * (size as f64 + 1.0 - &length)).floor();
        let (start, length) = (start.reshape([count, 1]), length.reshape([count, 1]));
        let at = Tensor::arange(size).to(DType::F32).reshape([1, size]);
        at.ge(&start).logical_and(at.lt(start + length))
    };
    let rows = interval(&of_rows, heights, height).reshape([count, 1, height, 1]);
    let columns = interval(&of_columns, widths, width).reshape([count, 1, 1, width]);
    Ok(rows.logical_and(columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{Tree, key, tensor};

    #[test]
    fn rectangles_have_their_size_and_all_positions() {
        let sizes = ImageSizes { count: 80, channels: 1, height: 4, width: 5 };
        let (half, most) = (Tensor::full([80], 0.5), Tensor::full([80], 1.5));
        let inside = rectangles(&key(0), sizes, &half, &most).unwrap().to(DType::F32);
        let areas = inside.sum([1, 2, 3]);
        assert_eq!((areas.min(..).item().unwrap(), areas.max(..).item().unwrap()), (10.0, 10.0));
        let first_rows = inside.index((.., 0, .., 0)).argmax(-1).to_vec::<i32>().unwrap();
        for row in 0..3 {
            assert!(first_rows.iter().filter(|&&r| r == row).count() > 10, "{first_rows:?}");
        }
    }

    #[test]
    fn all_channels_are_erased_and_the_rest_stays() {
        let x = key(1).uniform([10, 3, 16, 16]) + 1.0;
        let y = erase(&key(0), &x, 0.2..=0.4, 0.0);
        let erased = y.equal(0.0).to(DType::F32);
        assert!(erased.std(1, 0).max(..).item().unwrap() < 1e-6);
        let kept = where_(&y.equal(0.0), 0.0, &x);
        assert!(y.array_equal(&kept).item().unwrap() == 1.0);
        assert!(erase(&key(0), &x, 0.5..=0.2, 0.0).ok().is_err());
        assert!(erase(&key(0), &tensor(1.0), 0.1..=0.2, 0.0).ok().is_err());
    }
}
