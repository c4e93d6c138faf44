//! Lion: Chen et al., 2023 (<https://arxiv.org/abs/2302.06675>).

use super::averages::average;
use super::option_checks::option_error;
use super::options::{decay_options, options, with_decay, with_rate};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate};
use neurax_tensor::Tensor;

/// Returns [`Lion`] with β₁ = 0.9, β₂ = 0.99 and decoupled weight decay. The paper advises a rate 3
/// to 10 times below that of AdamW, and a decay 3 to 10 times above.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::lion(0.1, 0.5);
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([5.0]), opt.init(&tensor([1.0])));
/// assert!((p.item()? - (1.0 - 0.1 * 1.5)).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
pub fn lion(rate: impl Rate, decay: f64) -> Optim {
    Lion::new().weight_decay(decay).rate(rate)
}

/// Lion with options. Its direction is `sign(β₁ · m + (1 - β₁) · g)`, with the moving average `m`
/// of the gradients with the decay β₂.
///
/// # Errors
///
/// The updates carry an error if β₁ or β₂ is not in `0..1`, or if a weight decay is negative.
#[derive(Clone, Debug)]
pub struct Lion {
    b1: f64,
    b2: f64,
    weight_decay: Option<Optim>,
}

impl Lion {
    /// Creates Lion with β₁ = 0.9, β₂ = 0.99 and without weight decay.
    pub fn new() -> Lion {
        Lion { b1: 0.9, b2: 0.99, weight_decay: None }
    }

    /// Returns the direction without a learning rate, for custom chains: Optax's `scale_by_lion`.
    pub fn transform(self) -> Optim {
        with_decay(self.weight_decay, for_each_param(SignOfAverage { b1: self.b1, b2: self.b2 }))
    }
}

options! {
    impl Lion {
        /// Sets β₁, the share of the average in the direction.
        b1: f64 = b1;
        /// Sets β₂, the decay of the moving average of the gradients.
        b2: f64 = b2;
    }
}
decay_options!(Lion);
with_rate!(Lion);

struct SignOfAverage {
    b1: f64,
    b2: f64,
}

impl ParamRule<1> for SignOfAverage {
    type Scalars = ();
    const NAME: &'static str = "lion";
    const SLOTS: [&'static str; 1] = ["m"];

    fn error(&self) -> Option<String> {
        option_error(&[self.b1, self.b2], &[])
    }

    fn scalars(&self, _: &Tensor) {}

    fn update(&self, g: &Tensor, _: &Tensor, state: [Tensor; 1], _: &()) -> (Tensor, [Tensor; 1]) {
        let [m] = state;
        let update = average(m.clone(), g, self.b1).sign();
        (update, [average(m, g, self.b2)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};

    #[test]
    fn steps_equal_those_of_the_paper() {
        let mut m = 0.0f64;
        let want = formula(|p, g, _| {
            let direction = (0.9 * m + 0.1 * g).signum();
            m = 0.99 * m + 0.01 * g;
            p - 0.1 * (direction + 0.2 * p)
        });
        near_formula(lion(0.1, 0.2), want);
    }
}
