//! Adadelta: Zeiler, 2012 (<https://arxiv.org/abs/1212.5701>).

use super::averages::{average, with_finite_square};
use super::option_checks::option_error;
use super::options::{decay_options, options, with_decay, with_rate};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate};
use crate::precision::normal_epsilon;
use neurax_tensor::Tensor;

/// Returns [`AdaDelta`] with a decay of 0.9 and ε = 1e-6. The rate is 1 in the paper.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::adadelta(1.0);
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([5.0]), opt.init(&tensor([1.0])));
/// assert!((p.item()? - (1.0 - 5.0 * (1e-6 / 2.500001f64).sqrt())).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
pub fn adadelta(rate: impl Rate) -> Optim {
    AdaDelta::new().rate(rate)
}

/// Adadelta with options. Its direction is `d = g √(u + ε) / √(v + ε)`, with the moving averages
/// `v` of `g²`, and `u` of `d²` before this step.
///
/// # Errors
///
/// The updates carry an error if the decay is not in `0..1`, or ε is negative.
#[derive(Clone, Debug)]
pub struct AdaDelta {
    decay: f64,
    eps: f64,
    weight_decay: Option<Optim>,
}

impl AdaDelta {
    /// Creates Adadelta with a decay of 0.9 and ε = 1e-6.
    pub fn new() -> AdaDelta {
        AdaDelta { decay: 0.9, eps: 1e-6, weight_decay: None }
    }

    /// Returns the direction without a learning rate, for custom chains: Optax's
    /// `scale_by_adadelta`.
    pub fn transform(self) -> Optim {
        with_decay(self.weight_decay.clone(), for_each_param(self))
    }
}

options! {
    impl AdaDelta {
        /// Sets the decay of the moving averages.
        decay: f64 = decay;
        /// Sets ε, which is added to the averages under the roots.
        eps: f64 = eps;
    }
}
decay_options!(AdaDelta);
with_rate!(AdaDelta);

impl ParamRule<2> for AdaDelta {
    type Scalars = ();
    const NAME: &'static str = "adadelta";
    const SLOTS: [&'static str; 2] = ["v", "u"];

    fn error(&self) -> Option<String> {
        option_error(&[self.decay], &[self.eps])
    }

    fn scalars(&self, _: &Tensor) {}

    fn update(&self, g: &Tensor, _: &Tensor, state: [Tensor; 2], _: &()) -> (Tensor, [Tensor; 2]) {
        let ([v, u], g) = (state, with_finite_square(g));
        let v = average(v, &(&g * &g), self.decay);
        let root = |x: &Tensor| (x + normal_epsilon(self.eps, x)).sqrt();
        let update = &g * (root(&u) / root(&v));
        let u = average(u, &(&update * &update), self.decay);
        (update, [v, u])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};

    #[test]
    fn steps_equal_those_of_the_paper() {
        let (mut v, mut u) = (0.0, 0.0);
        let want = formula(|p, g, _| {
            v = 0.9 * v + 0.1 * g * g;
            let step = g * (u + 1e-6f64).sqrt() / (v + 1e-6f64).sqrt();
            u = 0.9 * u + 0.1 * step * step;
            p - step
        });
        near_formula(adadelta(1.0), want);
    }
}
