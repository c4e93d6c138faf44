//! Mixed examples.

use super::images::{batch_or_error, check_parameter};
use crate::Batch;
use neurax_tensor::{DType, Error, Key, Result, Tensor, Tree};
use std::ops::RangeInclusive;

/// The parameters of the beta distribution that are accepted: outside of them its numbers are 0, 1
/// or 1/2 in f32.
const ALPHAS: RangeInclusive<f64> = 1e-3..=1e3;

/// Mixes each example with another one of the batch (mixup, <https://arxiv.org/abs/1710.09412>):
/// inputs and targets are `w a + (1 - w) b`, with a weight `w` of each example from the beta
/// distribution with both parameters `alpha`. Inputs may be of any shape; targets are one-hot rows
/// or numbers.
///
/// # Errors
/// The tensors of the result carry an error if `alpha` is not in 0.001..=1000, or a tensor is not
/// float or has no axes.
///
/// ```
/// use neurax::{data::augment, prelude::*};
/// let batch = data::iris()?.shuffled(key(0)).batched(32).epoch(0).next().unwrap();
/// let mixed = augment::mix_up(&key(1), &batch, 0.4);
/// assert!((mixed.y.sum(-1) - 1.0).abs().max(..).item()? < 1e-6);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn mix_up(key: &Key, batch: &Batch, alpha: f64) -> Batch {
    batch_or_error(batch, || {
        let (partners, weights) = partners("mix_up", key, batch, alpha)?;
        Ok(batch.map_leaves(|x| mixed(x, &partners, &weights)))
    })
}

/// Returns the index of the partner and the weight of each example, `[n]`.
///
/// # Errors
/// If `alpha` is not in [`ALPHAS`], or a tensor is not float or has no axes.
pub(super) fn partners(op: &str, key: &Key, batch: &Batch, alpha: f64) -> Result<(Tensor, Tensor)> {
    check_parameter(op, "alpha", alpha, ALPHAS)?;
    for (name, x) in [("x", &batch.x), ("y", &batch.y)] {
        let ty = x.ty()?;
        if !ty.dtype.is_float() || ty.rank() == 0 {
            let why = format!("expected floats with examples along axis 0 as `{name}`, got {ty}");
            return Err(Error::new(op, why));
        }
    }
    let (count, [of_partners, of_weights]) = (batch.x.dim(0), key.split());
    Ok((of_partners.permutation(count), of_weights.beta(alpha, alpha, [count])))
}

/// Returns `w x + (1 - w) p`, where `p` are the partners of the rows of `x`.
pub(super) fn mixed(x: &Tensor, partners: &Tensor, weights: &Tensor) -> Tensor {
    let ones = std::iter::repeat_n(1, x.rank().saturating_sub(1));
    let shape: Vec<usize> = std::iter::once(x.dim(0)).chain(ones).collect();
    let weights = weights.to(DType::F32).reshape(shape).to(x.dtype());
    x * &weights + x.take(partners, 0) * (1.0 - &weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{jit, key, tensor};

    #[test]
    fn inputs_and_targets_are_mixed_alike() {
        let x = Tensor::arange(6).to(DType::F32).reshape([6, 1, 1]);
        let batch = Batch { x: x.clone(), y: x.reshape(6) * 10.0 };
        let f = jit(|(key, batch): (Key, Batch)| mix_up(&key, &batch, 1.0));
        let mixed = f.run((key(0), batch.clone())).unwrap();
        let difference = mixed.x.reshape(6) * 10.0 - &mixed.y;
        assert!(difference.abs().max(..).item().unwrap() < 1e-4);
        assert!((&mixed.x - &batch.x).abs().max(..).item().unwrap() > 0.1);
        let bad = Batch { x: tensor([1.0]), y: tensor([1]) };
        let e = mix_up(&key(0), &bad, 1.0).ok().unwrap_err().to_string();
        assert!(e.contains("along axis 0 as `y`, got i32[1]"), "{e}");
        let e = mix_up(&key(0), &batch, 0.0).ok().unwrap_err().to_string();
        assert!(e.contains("expected `alpha` in 0.001..=1000, got 0"), "{e}");
    }
}
