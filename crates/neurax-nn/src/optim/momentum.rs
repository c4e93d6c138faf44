//! Gradient descent, with and without momentum.

use super::option_checks::{negative, not_above};
use super::options::{decay_options, with_decay};
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

/// Returns gradient descent with [`Momentum`]: `m ← decay · m + g`, `p - rate · m`.
pub fn momentum(rate: impl Rate, decay: f64) -> Optim {
    Momentum::new(decay).rate(rate)
}

/// Returns gradient descent with Nesterov [`Momentum`]: `m ← decay · m + g`,
/// `p - rate · (decay · m + g)`.
pub fn nesterov(rate: impl Rate, decay: f64) -> Optim {
    Momentum::new(decay).nesterov().rate(rate)
}

/// Returns the direction of [`Momentum`], the sum of updates with the factor `decay` for each step
/// of age: Optax's `trace`. Behind a learning rate, it is momentum of steps.
///
/// # Errors
///
/// The updates carry an error if `decay` is negative or NaN.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::trace(0.5), tensor([0.0]));
/// let (_, state) = opt.update(&p, &tensor([4.0]), opt.init(&p));
/// let (u, _) = opt.update(&p, &tensor([1.0]), state);
/// assert_eq!(u.item()?, 3.0);
/// # Ok::<(), Error>(())
/// ```
pub fn trace(decay: f64) -> Optim {
    Momentum::new(decay).transform()
}

/// Gradient descent with momentum (Polyak, 1964), with options. Its direction is
/// `m ← decay · m + g`.
///
/// # Errors
///
/// The updates carry an error if the decay is negative, NaN or infinite, or if that of Nesterov
/// momentum is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::Momentum::new(0.5).nesterov().weight_decay(0.2).rate(0.1);
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([4.0]), opt.init(&tensor([1.0])));
/// assert!((p.item()? - (1.0 - 0.1 * (1.5 * 4.0 + 0.2 * 1.0))).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Momentum {
    trace: MomentumRule,
    weight_decay: Option<Optim>,
}

impl Momentum {
    /// Creates momentum with this decay, 0.9 as a rule, and without weight decay.
    pub fn new(decay: f64) -> Momentum {
        let trace = MomentumRule { momentum: decay, is_nesterov: false };
        Momentum { trace, weight_decay: None }
    }

    /// Makes the direction `decay · m + g`, with the `m` that `g` is part of (Sutskever et al.,
    /// 2013, <https://proceedings.mlr.press/v28/sutskever13.html>).
    pub fn nesterov(mut self) -> Momentum {
        self.trace.is_nesterov = true;
        self
    }

    /// Returns the direction without a learning rate, for custom chains.
    pub fn transform(self) -> Optim {
        with_decay(self.weight_decay, Optim::new(self.trace))
    }

    /// Returns the optimizer of these options with a learning rate.
    pub fn rate(self, rate: impl Rate) -> Optim {
        chain([self.transform(), scale(rate)])
    }
}

decay_options!(Momentum);

/// The rule of a sum of updates that decays from step to step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MomentumRule {
    pub momentum: f64,
    pub is_nesterov: bool,
}

impl MomentumRule {
    /// Returns the momentum as a link behind a learning rate; no link if there is no momentum.
    pub fn of_steps(self) -> Optim {
        match self {
            MomentumRule { momentum: 0.0, is_nesterov: false } => chain([]),
            _ => Optim::new(self),
        }
    }

    fn error(&self) -> Option<String> {
        match self.is_nesterov {
            true => not_above("a momentum of Nesterov", self.momentum, 0.0, "0.9 is usual"),
            false => negative("a momentum", self.momentum, "0.9 is usual"),
        }
    }
}

impl Rule for MomentumRule {
    fn init(&self, params: &[Tensor], _: &[String]) -> Slots {
        Slots::from([("momentum".into(), zeros(params))])
    }

    fn update(&self, grads: Vec<Tensor>, slots: &mut Slots, step: &Step) -> Vec<Tensor> {
        if let Some(why) = self.error() {
            return invalid("trace", why, &grads);
        }
        let old = take(slots, "momentum", step.params);
        let new: Vec<Tensor> =
            old.into_iter().zip(&grads).map(|(m, g)| m * self.momentum + g).collect();
        slots.insert("momentum".into(), new.clone());
        if !self.is_nesterov {
            return new;
        }
        new.into_iter().zip(&grads).map(|(m, g)| m * self.momentum + g).collect()
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
