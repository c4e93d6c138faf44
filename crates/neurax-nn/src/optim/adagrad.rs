//! AdaGrad: Duchi, Hazan and Singer, 2011 (<https://jmlr.org/papers/v12/duchi11a.html>).

use super::averages::with_finite_square;
use super::option_checks::{negative, option_error};
use super::options::{decay_options, options, with_decay, with_rate};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate};
use crate::precision::normal_epsilon;
use neurax_tensor::Tensor;

/// Returns [`AdaGrad`], whose sums of squares start at 0.1, with ε = 1e-7.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::adagrad(0.1);
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([5.0]), opt.init(&tensor([1.0])));
/// assert!((p.item()? - (1.0 - 0.1 * 5.0 / 25.1f64.sqrt())).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
pub fn adagrad(rate: impl Rate) -> Optim {
    AdaGrad::new().rate(rate)
}

/// AdaGrad with options. Its direction is `g / √(s + ε)`, with the sum `s` of the squares of all
/// gradients, which starts at `initial`.
///
/// # Errors
///
/// The updates carry an error if `initial` or ε is negative.
#[derive(Clone, Debug)]
pub struct AdaGrad {
    initial: f64,
    eps: f64,
    weight_decay: Option<Optim>,
}

impl AdaGrad {
    /// Creates AdaGrad with sums that start at 0.1 and ε = 1e-7.
    pub fn new() -> AdaGrad {
        AdaGrad { initial: 0.1, eps: 1e-7, weight_decay: None }
    }

    /// Returns the direction without a learning rate, for custom chains: Optax's `scale_by_rss`.
    pub fn transform(self) -> Optim {
        with_decay(self.weight_decay.clone(), for_each_param(self))
    }
}

options! {
    impl AdaGrad {
        /// Sets the value at which the sums of squares start.
        initial: f64 = initial;
        /// Sets ε, which is added to the sums under the root.
        eps: f64 = eps;
    }
}
decay_options!(AdaGrad);
with_rate!(AdaGrad);

impl ParamRule<1> for AdaGrad {
    type Scalars = ();
    const NAME: &'static str = "adagrad";
    const SLOTS: [&'static str; 1] = ["sum"];

    fn error(&self) -> Option<String> {
        let initial = negative("an initial sum", self.initial, "0.1 is usual");
        initial.or_else(|| option_error(&[], &[self.eps]))
    }

    fn init(&self, param: &Tensor) -> [Tensor; 1] {
        [param.full_like(self.initial)]
    }

    fn scalars(&self, _: &Tensor) {}

    fn update(&self, g: &Tensor, _: &Tensor, state: [Tensor; 1], _: &()) -> (Tensor, [Tensor; 1]) {
        let ([sum], g) = (state, with_finite_square(g));
        let sum = sum + &g * &g;
        let update = &g / (&sum + normal_epsilon(self.eps, &sum)).sqrt();
        (update, [sum])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};

    #[test]
    fn steps_equal_those_of_the_paper() {
        let mut sum = 0.1;
        let want = formula(|p, g, _| {
            sum += g * g;
            p - 0.1 * g / (sum + 1e-7f64).sqrt()
        });
        near_formula(adagrad(0.1), want);
    }
}
