//! Gradient descent, with and without momentum.

use super::option_checks::negative;
use super::{Optim, Rate, Rule, Slots, Step, chain, invalid, scale, take, zeros};
use neurax_tensor::Tensor;

/// Returns stochastic gradient descent: `p - rate · g`.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::sgd(0.1);
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([5.0]), opt.init(&tensor([1.0])));
/// assert_eq!(p.to_vec::<f32>()?, [0.5]);
/// # Ok::<(), Error>(())
/// ```
pub fn sgd(rate: impl Rate) -> Optim {
    scale(rate)
}

/// Returns gradient descent with momentum: `m ← decay · m + g`, `p - rate · m` (Polyak, 1964).
pub fn momentum(rate: impl Rate, decay: f64) -> Optim {
    chain([trace(decay, false), scale(rate)])
}

/// Returns gradient descent with Nesterov momentum: `m ← decay · m + g`,
/// `p - rate · (decay · m + g)` (Sutskever et al., 2013,
/// <https://proceedings.mlr.press/v28/sutskever13.html>).
pub fn nesterov(rate: impl Rate, decay: f64) -> Optim {
    chain([trace(decay, true), scale(rate)])
}

/// Returns the sum of updates with the factor `decay` for each step of age, `m ← decay · m + u`; or
/// `decay · m + u` with this `m` if `nesterov`. Behind a learning rate, it is momentum of steps.
///
/// # Errors
///
/// The updates carry an error if `decay` is negative or NaN.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::trace(0.5, false), tensor([0.0]));
/// let (_, state) = opt.update(&p, &tensor([4.0]), opt.init(&p));
/// let (u, _) = opt.update(&p, &tensor([1.0]), state);
/// assert_eq!(u.item()?, 3.0);
/// # Ok::<(), Error>(())
/// ```
pub fn trace(decay: f64, nesterov: bool) -> Optim {
    Optim::new(Momentum { decay, nesterov })
}

struct Momentum {
    decay: f64,
    nesterov: bool,
}

impl Rule for Momentum {
    fn init(&self, params: &[Tensor], _: &[String]) -> Slots {
        Slots::from([("momentum".into(), zeros(params))])
    }

    fn update(&self, grads: Vec<Tensor>, slots: &mut Slots, step: &Step) -> Vec<Tensor> {
        if let Some(why) = negative("a momentum", self.decay, "0.9 is usual") {
            return invalid("trace", why, &grads);
        }
        let old = take(slots, "momentum", step.params);
        let new: Vec<Tensor> =
            old.into_iter().zip(&grads).map(|(m, g)| m * self.decay + g).collect();
        slots.insert("momentum".into(), new.clone());
        if !self.nesterov {
            return new;
        }
        new.into_iter().zip(&grads).map(|(m, g)| m * self.decay + g).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::tests::{near, run};

    #[test]
    fn steps_equal_those_computed_by_hand() {
        near(&run(sgd(0.1), 3), &[0.9, 0.81, 0.729]);
        // m = 1, then 0.5 + 0.9 = 1.4, then 0.7 + 0.76 = 1.46
        near(&run(momentum(0.1, 0.5), 3), &[0.9, 0.76, 0.614]);
        // g = 1: m = 1, step 1.5; g = 0.85: m = 1.35, step 1.525
        near(&run(nesterov(0.1, 0.5), 2), &[0.85, 0.6975]);
    }
}
