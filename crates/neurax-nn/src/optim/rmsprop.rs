//! RMSProp: Tieleman and Hinton, 2012
//! (<https://www.cs.toronto.edu/~hinton/coursera_lectures.html>, lecture 6), and its centered form:
//! Graves, 2013 (<https://arxiv.org/abs/1308.0850>).

use super::averages::{average, with_finite_square};
use super::momentum::MomentumRule;
use super::option_checks::{negative, option_error};
use super::options::{decay_options, options, with_decay, with_momentum_of_steps};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate};
use crate::precision::normal_epsilon;
use neurax_tensor::Tensor;

/// Returns [`RmsProp`] with a decay of 0.9 and ε = 1e-8.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::rmsprop(0.1);
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([5.0]), opt.init(&tensor([1.0])));
/// assert!((p.item()? - (1.0 - 0.1 / 0.1f64.sqrt())).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
pub fn rmsprop(rate: impl Rate) -> Optim {
    RmsProp::new().rate(rate)
}

/// RMSProp with options. Its direction is `d = g / √(v + ε)` with the moving average `v` of
/// squares; if centered, `d = g / √(v - m² + ε)` with the moving average `m` of the gradients,
/// which divides by the standard deviation. With a momentum, the steps are `s ← momentum · s + rate
/// · d`. Its `transform` is Optax's `scale_by_rms`, or `scale_by_stddev` if centered.
///
/// # Errors
///
/// The updates carry an error if the decay or the momentum is not in `0..1`, if ε or `initial` is
/// negative, or if the momentum of Nesterov is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::RmsProp::new().momentum(0.5).rate(0.1);
/// let (p, g) = (tensor([1.0]), tensor([5.0]));
/// let (p, state) = opt.step(&p, &g, opt.init(&p));
/// let (p, _) = opt.step(&p, &g, state);
/// let (first, second) = (0.1 / 0.1f64.sqrt(), 0.1 / 0.19f64.sqrt());
/// assert!((p.item()? - (1.0 - 1.5 * first - second)).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RmsProp {
    decay: f64,
    eps: f64,
    initial: f64,
    is_centered: bool,
    weight_decay: Option<Optim>,
    trace: MomentumRule,
}

impl RmsProp {
    /// Creates RMSProp with a decay of 0.9 and ε = 1e-8, not centered and without momentum.
    pub fn new() -> RmsProp {
        RmsProp {
            decay: 0.9,
            eps: 1e-8,
            initial: 0.0,
            is_centered: false,
            weight_decay: None,
            trace: MomentumRule::default(),
        }
    }

    /// Divides by the standard deviation of the gradients.
    pub fn centered(self) -> RmsProp {
        RmsProp { is_centered: true, ..self }
    }

    /// Returns the direction without momentum and learning rate.
    fn direction(self) -> Optim {
        let decay = self.weight_decay.clone();
        let direction = match self.is_centered {
            true => for_each_param(Stddev(self)),
            false => for_each_param(self),
        };
        with_decay(decay, direction)
    }
}

options! {
    impl RmsProp {
        /// Sets the decay of the moving averages.
        decay: f64 = decay;
        /// Sets ε, which is added under the root.
        eps: f64 = eps;
        /// Sets the value at which the average of squares starts, by default 0.
        initial: f64 = initial;
    }
}
decay_options!(
    RmsProp,
    "It is decoupled from the averages: added to the direction, and multiplied by the learning \
     rate; a momentum is that of both."
);
with_momentum_of_steps!(RmsProp);

impl ParamRule<1> for RmsProp {
    type Scalars = ();
    const NAME: &'static str = "rmsprop";
    const SLOTS: [&'static str; 1] = ["v"];

    fn error(&self) -> Option<String> {
        let initial = negative("an initial average", self.initial, "0 is usual");
        initial.or_else(|| option_error(&[self.decay, self.trace.momentum], &[self.eps]))
    }

    fn init(&self, param: &Tensor) -> [Tensor; 1] {
        [param.full_like(self.initial)]
    }

    fn scalars(&self, _: &Tensor) {}

    fn update(&self, g: &Tensor, _: &Tensor, state: [Tensor; 1], _: &()) -> (Tensor, [Tensor; 1]) {
        let ([v], g) = (state, with_finite_square(g));
        let v = average(v, &(&g * &g), self.decay);
        let update = &g / (&v + normal_epsilon(self.eps, &v)).sqrt();
        (update, [v])
    }
}

/// RMSProp that is centered.
struct Stddev(RmsProp);

impl ParamRule<2> for Stddev {
    type Scalars = ();
    const NAME: &'static str = "rmsprop";
    const SLOTS: [&'static str; 2] = ["m", "v"];

    fn error(&self) -> Option<String> {
        self.0.error()
    }

    fn init(&self, param: &Tensor) -> [Tensor; 2] {
        [param.zeros_like(), param.full_like(self.0.initial)]
    }

    fn scalars(&self, _: &Tensor) {}

    fn update(&self, g: &Tensor, _: &Tensor, state: [Tensor; 2], _: &()) -> (Tensor, [Tensor; 2]) {
        let RmsProp { decay, eps, .. } = self.0;
        let ([m, v], g) = (state, with_finite_square(g));
        let (m, v) = (average(m, &g, decay), average(v, &(&g * &g), decay));
        // The difference of rounded averages may be below zero.
        let variance = (&v - &m * &m).maximum(0.0);
        let update = &g / (variance + normal_epsilon(eps, &v)).sqrt();
        (update, [m, v])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};

    #[test]
    fn steps_equal_those_of_the_formulas() {
        let opt = |centered| match centered {
            true => RmsProp::new().centered(),
            false => RmsProp::new(),
        };
        for centered in [false, true] {
            for momentum in [0.0, 0.8] {
                let (mut m, mut v, mut step) = (0.0, 0.0, 0.0);
                let want = formula(|p, g, _| {
                    m = 0.9 * m + 0.1 * g;
                    v = 0.9 * v + 0.1 * g * g;
                    let square = if centered { v - m * m } else { v };
                    step = momentum * step + 0.01 * g / (square + 1e-6f64).sqrt();
                    p - step
                });
                near_formula(opt(centered).eps(1e-6).momentum(momentum).rate(0.01), want);
            }
        }
    }
}
