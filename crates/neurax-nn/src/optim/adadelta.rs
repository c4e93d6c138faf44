//! Adadelta: Zeiler, 2012 (<https://arxiv.org/abs/1212.5701>).

use super::averages::{average, option_error, with_finite_square};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate, chain, scale};
use crate::precision::normal_epsilon;
use neurax_tensor::Tensor;

/// Returns Adadelta with a decay of 0.9 and ε = 1e-6: [`scale_by_adadelta`] and a learning rate,
/// which is 1 in the paper.
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
    chain([scale_by_adadelta(0.9, 1e-6), scale(rate)])
}

/// Returns the direction of Adadelta, `d = g √(u + epsilon) / √(v + epsilon)`, with the moving
/// averages `v` of `g²`, and `u` of `d²` before this step.
///
/// # Errors
///
/// The updates carry an error if a decay is not in `0..1`, or `epsilon` is negative.
pub fn scale_by_adadelta(decay: f64, epsilon: f64) -> Optim {
    for_each_param(Adadelta { decay, epsilon })
}

struct Adadelta {
    decay: f64,
    epsilon: f64,
}

impl ParamRule<2> for Adadelta {
    type Scalars = ();
    const NAME: &'static str = "adadelta";
    const SLOTS: [&'static str; 2] = ["v", "u"];

    fn error(&self) -> Option<String> {
        option_error(&[self.decay], &[self.epsilon])
    }

    fn scalars(&self, _: &Tensor) {}

    fn update(&self, g: &Tensor, _: &Tensor, state: [Tensor; 2], _: &()) -> (Tensor, [Tensor; 2]) {
        let ([v, u], g) = (state, with_finite_square(g));
        let v = average(v, &(&g * &g), self.decay);
        let root = |x: &Tensor| (x + normal_epsilon(self.epsilon, x)).sqrt();
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
