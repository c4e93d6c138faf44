//! RMSProp: Tieleman and Hinton, 2012
//! (<https://www.cs.toronto.edu/~hinton/coursera_lectures.html>, lecture 6), and its centered form:
//! Graves, 2013 (<https://arxiv.org/abs/1308.0850>).

use super::averages::{average, option_error, with_finite_square};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate, chain, scale, trace};
use crate::precision::normal_epsilon;
use neurax_tensor::Tensor;

/// Returns RMSProp with a decay of 0.9 and ε = 1e-8: [`scale_by_rms`] and a learning rate.
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
    chain([scale_by_rms(0.9, 1e-8), scale(rate)])
}

/// Returns RMSProp with a momentum of the steps: `m ← momentum · m + rate · d`, where `d` is the
/// direction of [`scale_by_rms`] or, if `centered`, of [`scale_by_stddev`].
///
/// # Errors
///
/// The updates carry an error if a decay is not in `0..1`, or `epsilon` is negative.
pub fn rmsprop_with(
    rate: impl Rate,
    decay: f64,
    epsilon: f64,
    momentum: f64,
    centered: bool,
) -> Optim {
    let direction = match centered {
        true => scale_by_stddev(decay, epsilon),
        false => scale_by_rms(decay, epsilon),
    };
    chain([direction, scale(rate), trace(momentum, false)])
}

/// Divides gradients by the root of the moving average `v` of their squares: `g / √(v + epsilon)`.
///
/// # Errors
///
/// The updates carry an error if a decay is not in `0..1`, or `epsilon` is negative.
pub fn scale_by_rms(decay: f64, epsilon: f64) -> Optim {
    for_each_param(Rms { decay, epsilon })
}

/// Divides gradients by their standard deviation: `g / √(v - m² + epsilon)`, with the moving
/// averages `m` of gradients and `v` of their squares.
///
/// # Errors
///
/// The updates carry an error if a decay is not in `0..1`, or `epsilon` is negative.
pub fn scale_by_stddev(decay: f64, epsilon: f64) -> Optim {
    for_each_param(Stddev(Rms { decay, epsilon }))
}

struct Rms {
    decay: f64,
    epsilon: f64,
}

struct Stddev(Rms);

impl ParamRule<1> for Rms {
    type Scalars = ();
    const NAME: &'static str = "rmsprop";
    const SLOTS: [&'static str; 1] = ["v"];

    fn error(&self) -> Option<String> {
        option_error(&[self.decay], &[self.epsilon])
    }

    fn scalars(&self, _: &Tensor) {}

    fn update(&self, g: &Tensor, _: &Tensor, state: [Tensor; 1], _: &()) -> (Tensor, [Tensor; 1]) {
        let ([v], g) = (state, with_finite_square(g));
        let v = average(v, &(&g * &g), self.decay);
        let update = &g / (&v + normal_epsilon(self.epsilon, &v)).sqrt();
        (update, [v])
    }
}

impl ParamRule<2> for Stddev {
    type Scalars = ();
    const NAME: &'static str = "rmsprop";
    const SLOTS: [&'static str; 2] = ["m", "v"];

    fn error(&self) -> Option<String> {
        self.0.error()
    }

    fn scalars(&self, _: &Tensor) {}

    fn update(&self, g: &Tensor, _: &Tensor, state: [Tensor; 2], _: &()) -> (Tensor, [Tensor; 2]) {
        let Rms { decay, epsilon } = self.0;
        let ([m, v], g) = (state, with_finite_square(g));
        let (m, v) = (average(m, &g, decay), average(v, &(&g * &g), decay));
        // The difference of rounded averages may be below zero.
        let variance = (&v - &m * &m).maximum(0.0);
        let update = &g / (variance + normal_epsilon(epsilon, &v)).sqrt();
        (update, [m, v])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};

    #[test]
    fn steps_equal_those_of_the_formulas() {
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
                near_formula(rmsprop_with(0.01, 0.9, 1e-6, momentum, centered), want);
            }
        }
    }
}
