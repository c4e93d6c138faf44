//! Weight decay.

use super::option_checks::negative;
use super::{Optim, Rule, Slots, Step, invalid};
use neurax_tensor::Tensor;

/// Adds `decay · p` to the updates. In front of an optimizer, this is the gradient of an L2
/// penalty; between direction and learning rate, as in [`super::adamw`], it is decoupled weight
/// decay.
///
/// # Errors
///
/// The updates carry an error if `decay` is negative, infinite or NaN.
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

/// Returns the message of an invalid weight decay.
fn decay_error(decay: f64) -> Option<String> {
    negative("a weight decay", decay, "0 is none, 0.01 to 0.1 is usual")
}

impl Rule for Decay {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, step: &Step) -> Vec<Tensor> {
        if let Some(why) = decay_error(self.0) {
            return invalid("weight_decay", why, &grads);
        }
        grads.into_iter().zip(step.params).map(|(g, p)| g + p * self.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::tests::{near, run};
    use crate::optim::{adamw, chain, lion, novograd, sgd};
    use neurax_tensor::tensor;

    #[test]
    fn in_front_of_the_rate_it_is_an_l2_penalty() {
        near(&run(chain([weight_decay(0.5), sgd(0.1)]), 2), &[0.85, 0.7225]);
    }

    #[test]
    fn a_decay_that_lets_parameters_grow_is_an_error() {
        let p = tensor([1.0]);
        for decay in [-0.1, f64::NAN, f64::INFINITY] {
            for opt in [adamw(0.1, decay), lion(0.1, decay), novograd(0.1, decay)] {
                let (q, _) = opt.step(&p, &p, opt.init(&p));
                let e = q.error().unwrap().message().to_string();
                assert_eq!(
                    e,
                    format!(
                        "expected a weight decay of at least 0, got {decay}; 0 is none, 0.01 to \
                         0.1 is usual"
                    )
                );
            }
        }
    }
}
