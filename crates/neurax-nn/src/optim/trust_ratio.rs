//! Learning rates for each layer: LARS (You, Gitman and Ginsburg, 2017,
//! <https://arxiv.org/abs/1708.03888>) and LAMB (You et al., 2019,
//! <https://arxiv.org/abs/1904.00962>).

use super::averages::Moments;
use super::clip::global_norm;
use super::momentum::MomentumRule;
use super::option_checks::negative;
use super::options::{
    decay_options, eps_root_option, moment_options, options, with_decay, with_default,
    with_momentum_of_steps, with_rate,
};
use super::param_rule::for_each_param;
use super::{Optim, Rate, Rule, Slots, Step, chain, invalid};
use neurax_tensor::Tensor;
use std::slice;

/// Returns [`Lamb`] with β₁ = 0.9, β₂ = 0.999, ε = 1e-6 and weight decay.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::lamb(0.1, 0.0);
/// let (p, _) = opt.step(&tensor([3.0, 4.0]), &tensor([1.0, 0.0]), opt.init(&tensor([3.0, 4.0])));
/// assert!((p.get(0).item()? - 2.5).abs() < 1e-5, "a step of 0.1 · 5");
/// # Ok::<(), Error>(())
/// ```
pub fn lamb(rate: impl Rate, decay: f64) -> Optim {
    Lamb::new().weight_decay(decay).rate(rate)
}

/// Returns [`Lars`] with a trust coefficient of 0.001, a momentum of 0.9 and weight decay.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::lars(10.0, 0.0);
/// let (p, _) = opt.step(&tensor([3.0, 4.0]), &tensor([2.0, 0.0]), opt.init(&tensor([3.0, 4.0])));
/// assert!((p.get(0).item()? - 2.95).abs() < 1e-6, "a step of 10 · 0.001 · 5");
/// # Ok::<(), Error>(())
/// ```
pub fn lars(rate: impl Rate, decay: f64) -> Optim {
    Lars::new().weight_decay(decay).rate(rate)
}

/// LAMB with options: the direction of [`Adam`](super::Adam) and weight decay, scaled to the norm
/// of each parameter by a [`TrustRatio`].
///
/// # Errors
///
/// The updates carry an error if β₁ or β₂ is not in `0..1`, or another option is negative.
#[derive(Clone, Debug)]
pub struct Lamb {
    moments: Moments,
    weight_decay: Option<Optim>,
    ratio: TrustRatio,
}

impl Lamb {
    /// Creates LAMB with β₁ = 0.9, β₂ = 0.999, ε = 1e-6 and without weight decay.
    pub fn new() -> Lamb {
        Lamb { moments: Moments::with_eps(1e-6), weight_decay: None, ratio: TrustRatio::new() }
    }

    /// Returns the direction without a learning rate, for custom chains.
    pub fn transform(self) -> Optim {
        let direction = with_decay(self.weight_decay, for_each_param(self.moments));
        chain([direction, self.ratio.transform()])
    }
}

moment_options! {
    impl Lamb {
        /// Sets the smallest norm: see [`TrustRatio::min_norm`].
        min_norm: f64 = ratio.min_norm;
    }
}
eps_root_option!(Lamb);
decay_options!(
    Lamb,
    "As in the paper, it is added to the direction of Adam in front of the trust ratio."
);
with_rate!(Lamb);

/// LARS with options: the gradient and weight decay, scaled to the norm of each parameter by a
/// [`TrustRatio`], and momentum of the steps.
///
/// # Errors
///
/// The updates carry an error if an option is negative, or if the momentum of Nesterov is 0.
#[derive(Clone, Debug)]
pub struct Lars {
    weight_decay: Option<Optim>,
    ratio: TrustRatio,
    trace: MomentumRule,
}

impl Lars {
    /// Creates LARS with a coefficient of 0.001, a momentum of 0.9 and without weight decay.
    pub fn new() -> Lars {
        let ratio = TrustRatio::new().coefficient(0.001);
        let trace = MomentumRule { momentum: 0.9, is_nesterov: false };
        Lars { weight_decay: None, ratio, trace }
    }

    /// Returns the direction without momentum and learning rate.
    fn direction(self) -> Optim {
        chain([with_decay(self.weight_decay, chain([])), self.ratio.transform()])
    }
}

options! {
    impl Lars {
        /// Sets the factor of the ratio: see [`TrustRatio::coefficient`].
        coefficient: f64 = ratio.coefficient;
        /// Sets the number that is added to the norm: see [`TrustRatio::eps`].
        eps: f64 = ratio.eps;
    }
}
decay_options!(
    Lars,
    "As in the paper, it is added to the gradient, like the gradient of an L2 penalty, in front of \
     the trust ratio."
);
with_momentum_of_steps!(Lars);

/// A transform that multiplies the update `u` of each parameter `p` by
/// `coefficient · ‖p‖ / (‖u‖ + ε)`, and by 1 if one of the norms is 0: Optax's
/// `scale_by_trust_ratio`. The norms are computed in f64.
///
/// # Errors
///
/// The updates carry an error if an option is negative.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::TrustRatio::new().coefficient(0.1).transform(), tensor([3.0, 4.0]));
/// let (u, _) = opt.update(&p, &tensor([2.0, 0.0]), opt.init(&p));
/// assert_eq!(u.to_vec::<f32>()?, [0.5, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TrustRatio {
    coefficient: f64,
    eps: f64,
    min_norm: f64,
}

impl TrustRatio {
    /// Creates the transform with a coefficient of 1, and with ε and the smallest norm of 0.
    pub fn new() -> TrustRatio {
        TrustRatio { coefficient: 1.0, eps: 0.0, min_norm: 0.0 }
    }

    /// Returns the transform as a link of a chain.
    pub fn transform(self) -> Optim {
        Optim::new(self)
    }

    fn error(&self) -> Option<String> {
        let coefficient = negative("a coefficient", self.coefficient, "1 is usual");
        let eps = || negative("an epsilon", self.eps, "0 is usual");
        let norm = || negative("a smallest norm", self.min_norm, "0 is usual");
        coefficient.or_else(eps).or_else(norm)
    }

    fn scaled(&self, u: &Tensor, p: &Tensor) -> Tensor {
        let norm = |x: &Tensor| global_norm(slice::from_ref(x));
        let (Some(update), Some(param)) = (norm(u), norm(p)) else { return u.clone() };
        let [update, param] = [update, param].map(|norm| match self.min_norm {
            0.0 => norm,
            least => norm.maximum(least),
        });
        let is_one = update.equal(0.0) | param.equal(0.0);
        let ratio = param * self.coefficient / is_one.select(1.0, update + self.eps);
        u * is_one.select(1.0, ratio).to(u.dtype())
    }
}

options! {
    impl TrustRatio {
        /// Sets the factor of the ratio.
        coefficient: f64 = coefficient;
        /// Sets ε, which is added to the norm of the update.
        eps: f64 = eps;
        /// Sets the smallest norm: a norm below counts as this number.
        min_norm: f64 = min_norm;
    }
}

with_default!(TrustRatio);

impl Rule for TrustRatio {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, step: &Step) -> Vec<Tensor> {
        match self.error() {
            Some(why) => invalid("scale_by_trust_ratio", why, &grads),
            None => grads.iter().zip(step.params).map(|(u, p)| self.scaled(u, p)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};
    use neurax_tensor::{grad, tensor};

    #[test]
    fn steps_equal_those_of_the_papers() {
        let (mut m, mut v) = (0.0, 0.0);
        let want = formula(|p, g, t| {
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let root = (v / (1.0 - 0.999f64.powi(t))).sqrt();
            let u: f64 = m / (1.0 - 0.9f64.powi(t)) / (root + 1e-6) + 0.2 * p;
            p - 0.1 * p.abs() / u.abs() * u
        });
        near_formula(lamb(0.1, 0.2), want);
        let mut step = 0.0;
        let want = formula(|p, g, _| {
            let u: f64 = g + 0.2 * p;
            step = 0.9 * step + 10.0 * 0.001 * p.abs() / u.abs() * u;
            p - step
        });
        near_formula(lars(10.0, 0.2), want);
    }

    #[test]
    fn the_transform_of_lars_has_the_steps_of_a_rate_of_one() {
        let lars = || Lars::new().coefficient(0.1).momentum(0.5).nesterov().weight_decay(0.2);
        let p = tensor([3.0, 4.0]);
        let opt = lars().transform();
        let (first, state) = opt.update(&p, &tensor([2.0, 0.0]), opt.init(&p));
        let (second, _) = opt.update(&p, &tensor([0.0, 0.0]), state);
        // u = g + 0.2 p = [2.6, 0.8] has the norm 0.1 ‖p‖ = 0.5 behind the ratio.
        let norm = 2.6f64.hypot(0.8);
        let m = [0.5 * 2.6 / norm, 0.5 * 0.8 / norm];
        let decayed = [0.1 * 5.0 * 0.6, 0.1 * 5.0 * 0.8];
        for i in [0, 1] {
            assert!((first.get(i as i64).item().unwrap() - 1.5 * m[i]).abs() < 1e-6, "{first}");
            let want = 0.5 * (0.5 * m[i] + decayed[i]) + decayed[i];
            assert!((second.get(i as i64).item().unwrap() - want).abs() < 1e-6, "{second}");
        }
    }

    #[test]
    fn a_norm_of_zero_leaves_the_update_as_it_is() {
        let opt = TrustRatio::new().coefficient(0.5).transform();
        for (p, u, want) in [(0.0, 2.0, 2.0), (2.0, 0.0, 0.0), (0.0, 0.0, 0.0), (4.0, 1.0, 2.0)] {
            let p = tensor([p]);
            let update = |u: Tensor| opt.update(&p, &u, opt.init(&p)).0.sum(..);
            assert_eq!(update(tensor([u])).item().unwrap(), want);
            assert!(grad(update)(tensor([u])).item().unwrap().is_finite());
        }
        let empty = Tensor::zeros([0, 3]);
        assert!(opt.update(&empty, &empty, opt.init(&empty)).0.error().is_none());
    }
}
