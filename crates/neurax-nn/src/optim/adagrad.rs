//! AdaGrad: Duchi, Hazan and Singer, 2011 (<https://jmlr.org/papers/v12/duchi11a.html>).

use super::averages::{option_error, with_finite_square};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate, chain, scale};
use crate::precision::normal_epsilon;
use neurax_tensor::Tensor;

/// Returns AdaGrad, whose sums of squares start at 0.1 and with ε = 1e-7: [`scale_by_rss`] and a
/// learning rate.
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
    chain([scale_by_rss(0.1, 1e-7), scale(rate)])
}

/// Divides gradients by the root of the sum `s` of all their squares, which starts at `initial`:
/// `g / √(s + epsilon)`.
///
/// # Errors
///
/// The updates carry an error if `initial` or `epsilon` is negative.
pub fn scale_by_rss(initial: f64, epsilon: f64) -> Optim {
    for_each_param(RootOfSquares { initial, epsilon })
}

struct RootOfSquares {
    initial: f64,
    epsilon: f64,
}

impl ParamRule<1> for RootOfSquares {
    type Scalars = ();
    const NAME: &'static str = "adagrad";
    const SLOTS: [&'static str; 1] = ["sum"];

    fn error(&self) -> Option<String> {
        option_error(&[], &[self.initial, self.epsilon])
    }

    fn init(&self, param: &Tensor) -> [Tensor; 1] {
        [param.full_like(self.initial)]
    }

    fn scalars(&self, _: &Tensor) {}

    fn update(&self, g: &Tensor, _: &Tensor, state: [Tensor; 1], _: &()) -> (Tensor, [Tensor; 1]) {
        let ([sum], g) = (state, with_finite_square(g));
        let sum = sum + &g * &g;
        let update = &g / (&sum + normal_epsilon(self.epsilon, &sum)).sqrt();
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
