//! Weight decay.

use super::{Optim, Rule, Slots, Step};
use neurax_tensor::Tensor;

/// Adds `decay · p` to the updates. In front of an optimizer, this is the gradient of an L2
/// penalty; between direction and learning rate, as in [`super::adamw`], it is decoupled weight
/// decay.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::chain([optim::weight_decay(0.5), optim::sgd(0.1)]);
/// let p = tensor([2.0]);
/// let (p, _) = opt.step(&p, &tensor([0.0]), opt.init(&p));
/// assert_eq!(p.to_vec::<f32>()?, [1.9]);
/// # Ok::<(), Error>(())
/// ```
pub fn weight_decay(decay: f64) -> Optim {
    Optim::new(Decay(decay))
}

struct Decay(f64);

impl Rule for Decay {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, step: &Step) -> Vec<Tensor> {
        grads.into_iter().zip(step.params).map(|(g, p)| g + p * self.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{
        chain, sgd,
        tests::{near, run},
    };

    #[test]
    fn in_front_of_the_rate_it_is_an_l2_penalty() {
        near(&run(chain([weight_decay(0.5), sgd(0.1)]), 2), &[0.85, 0.7225]);
    }
}
