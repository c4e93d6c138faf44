//! Images with a rectangle of another image.

use super::erase::rectangles;
use super::images::{batch_or_error, image_sizes};
use super::mix_up::{mixed, partners};
use crate::Batch;
use neurax_tensor::{DType, Key, Result, where_};

/// Replaces a random rectangle of each image by that of another image of the batch (CutMix,
/// <https://arxiv.org/abs/1905.04899>), and mixes the targets by the areas. The area that stays is
/// drawn from the beta distribution with both parameters `alpha`. The images are
/// `[n, channels, height, width]`, the targets one-hot rows or numbers.
///
/// # Errors
/// The tensors of the result carry an error if `alpha` is not in 0.001..=1000, the images are no
/// float tensor of four axes, or the targets are not float.
///
/// ```
/// use neurax::{data::{Batch, augment}, prelude::*};
/// let classes = Tensor::eye(4);
/// let batch = Batch { x: classes.reshape([4, 4, 1, 1]).broadcast_to([4, 4, 8, 8]), y: classes };
/// let mixed = augment::cut_mix(&key(0), &batch, 1.0);
/// let difference = mixed.x.mean([2, 3]) - mixed.y;
/// assert!(difference.abs().max(..).item()? < 1e-5);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn cut_mix(key: &Key, batch: &Batch, alpha: f64) -> Batch {
    batch_or_error(batch, || cut(key, batch, alpha))
}

fn cut(key: &Key, batch: &Batch, alpha: f64) -> Result<Batch> {
    let sizes = image_sizes("cut_mix", &batch.x)?;
    let [of_pairs, of_place] = key.split();
    let (partners, weights) = partners("cut_mix", &of_pairs, batch, alpha)?;
    let side = (1.0 - weights).sqrt();
    let inside = rectangles(&of_place, sizes, &side, &side)?;
    // The rectangle has whole pixels, so that its area is not exactly the one that was drawn.
    let kept = 1.0 - inside.to(DType::F32).mean([1, 2, 3]);
    let x = where_(&inside, batch.x.take(&partners, 0), &batch.x);
    Ok(Batch { x, y: mixed(&batch.y, &partners, &kept) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{Tensor, Tree, key, tensor};

    #[test]
    fn pixels_are_those_of_two_images() {
        let x = Tensor::arange(6).to(DType::F32).reshape([6, 1, 1, 1]).broadcast_to([6, 2, 9, 7]);
        let batch = Batch { x, y: Tensor::arange(6).to(DType::F32) };
        let mixed = cut_mix(&key(4), &batch, 1.0);
        let (pixels, targets) =
            (mixed.x.to_vec::<f32>().unwrap(), mixed.y.to_vec::<f32>().unwrap());
        let mut changed = 0;
        for (i, image) in pixels.chunks(2 * 9 * 7).enumerate() {
            let mut values = image.to_vec();
            values.sort_by(f32::total_cmp);
            values.dedup();
            assert!(values.len() <= 2, "{values:?}");
            changed += usize::from(values.len() == 2);
            let mean = image.iter().sum::<f32>() / image.len() as f32;
            assert!((mean - targets[i]).abs() < 1e-4);
        }
        assert!(changed > 2);
        let bad = Batch { x: tensor([1.0]), y: tensor([1.0]) };
        assert!(cut_mix(&key(0), &bad, 1.0).ok().is_err());
    }
}
