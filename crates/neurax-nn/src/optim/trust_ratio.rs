//! Learning rates for each layer: LARS (You, Gitman and Ginsburg, 2017,
//! <https://arxiv.org/abs/1708.03888>) and LAMB (You et al., 2019,
//! <https://arxiv.org/abs/1904.00962>).

use super::averages::option_error;
use super::clip::global_norm;
use super::{
    Optim, Rate, Rule, Slots, Step, chain, invalid, scale, scale_by_adam, trace, weight_decay,
};
use neurax_tensor::Tensor;
use std::slice;

/// Returns LAMB with β₁ = 0.9, β₂ = 0.999 and ε = 1e-6: the direction of Adam and weight decay,
/// scaled to the norm of each parameter.
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
    let direction = scale_by_adam(0.9, 0.999, 1e-6);
    chain([direction, weight_decay(decay), scale_by_trust_ratio(1.0, 0.0), scale(rate)])
}

/// Returns LARS with a trust coefficient of 0.001 and a momentum of 0.9: the gradient and weight
/// decay, scaled to the norm of each parameter, and momentum of the steps.
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
    let ratio = scale_by_trust_ratio(0.001, 0.0);
    chain([weight_decay(decay), ratio, scale(rate), trace(0.9, false)])
}

/// Multiplies the update `u` of each parameter `p` by `coefficient · ‖p‖ / (‖u‖ + epsilon)`, and
/// by 1 if one of the norms is 0. The norms are computed in f64.
///
/// # Errors
///
/// The updates carry an error if `coefficient` or `epsilon` is negative.
pub fn scale_by_trust_ratio(coefficient: f64, epsilon: f64) -> Optim {
    Optim::new(TrustRatio { coefficient, epsilon })
}

struct TrustRatio {
    coefficient: f64,
    epsilon: f64,
}

impl Rule for TrustRatio {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, step: &Step) -> Vec<Tensor> {
        match option_error(&[], &[self.coefficient, self.epsilon]) {
            Some(why) => invalid("scale_by_trust_ratio", why, &grads),
            None => grads.iter().zip(step.params).map(|(u, p)| self.scaled(u, p)).collect(),
        }
    }
}

impl TrustRatio {
    fn scaled(&self, u: &Tensor, p: &Tensor) -> Tensor {
        let norm = |x: &Tensor| global_norm(slice::from_ref(x));
        let (Some(update), Some(param)) = (norm(u), norm(p)) else { return u.clone() };
        let is_one = update.equal(0.0) | param.equal(0.0);
        let ratio = param * self.coefficient / is_one.select(1.0, update + self.epsilon);
        u * is_one.select(1.0, ratio).to(u.dtype())
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
    fn a_norm_of_zero_leaves_the_update_as_it_is() {
        let opt = scale_by_trust_ratio(0.5, 0.0);
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
