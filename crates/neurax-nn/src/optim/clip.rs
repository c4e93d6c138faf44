//! Gradient clipping.

use super::{Optim, Rule, Slots, Step};
use neurax_tensor::{DType, Tensor};

/// Clips gradients by their global norm: scales all of them by one factor, so that the root of the
/// sum of all squares is at most `norm` (Pascanu et al., 2012, <https://arxiv.org/abs/1211.5063>).
pub fn clip(norm: f64) -> Optim {
    Optim::new(ClipGlobalNorm(norm))
}

/// Clips each element to `-limit..=limit`.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::clip_value(1.0);
/// let p = tensor([0.0, 0.0]);
/// let (updates, _) = opt.update(&p, &tensor([-5.0, 0.5]), opt.init(&p));
/// assert_eq!(updates.to_vec::<f32>()?, [-1.0, 0.5]);
/// # Ok::<(), Error>(())
/// ```
pub fn clip_value(limit: f64) -> Optim {
    Optim::new(ClipValue(limit))
}

struct ClipGlobalNorm(f64);

impl Rule for ClipGlobalNorm {
    fn init(&self, _: &[Tensor]) -> Slots {
        Slots::new()
    }

    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, _: &Step) -> Vec<Tensor> {
        // In f32 for all dtypes of gradients: squares of f16 overflow above 255.
        let squares = grads.iter().map(|g| {
            let g = g.to(DType::F32);
            (&g * &g).sum(..)
        });
        let Some(total) = squares.reduce(|a, b| a + b) else { return grads };
        // 1 if the norm is small enough. The divisor is at least the limit, so it is not 0.
        let factor = self.0 / total.sqrt().maximum(self.0);
        grads
            .into_iter()
            .map(|g| {
                let factor = factor.to(g.dtype());
                g * factor
            })
            .collect()
    }
}

struct ClipValue(f64);

impl Rule for ClipValue {
    fn init(&self, _: &[Tensor]) -> Slots {
        Slots::new()
    }

    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, _: &Step) -> Vec<Tensor> {
        grads.iter().map(|g| g.minimum(self.0).maximum(-self.0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn the_norm_is_that_of_all_leaves() {
        let p = vec![tensor([0.0]), tensor([0.0])];
        let update = |a: f32, b: f32| {
            let opt = clip(1.0);
            let (u, _) = opt.update(&p, &vec![tensor([a]), tensor([b])], opt.init(&p));
            [u[0].item().unwrap() as f32, u[1].item().unwrap() as f32]
        };
        assert_eq!(update(3.0, 4.0), [0.6, 0.8]);
        assert_eq!(update(0.3, 0.4), [0.3, 0.4], "gradients below the norm are unchanged");
        assert_eq!(update(0.0, 0.0), [0.0, 0.0]);
    }
}
