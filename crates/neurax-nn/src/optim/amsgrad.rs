//! AMSGrad: Reddi, Kale and Kumar, 2018 (<https://arxiv.org/abs/1904.09237>).

use super::averages::{MomentFormula, Moments, moment_rule, root};
use super::{Optim, Rate, chain, scale};
use crate::precision::normal_epsilon;
use neurax_tensor::Tensor;

/// Returns AMSGrad with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8: [`scale_by_amsgrad`] and a learning
/// rate.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::amsgrad(0.1);
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([5.0]), opt.init(&tensor([1.0])));
/// assert!((p.item()? - 0.9).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
pub fn amsgrad(rate: impl Rate) -> Optim {
    chain([scale_by_amsgrad(0.9, 0.999, 1e-8), scale(rate)])
}

/// Returns the direction of AMSGrad: that of Adam, divided by the largest root of the average of
/// squares so far. As in Optax, both averages are corrected for their bias, which the paper omits.
///
/// # Errors
///
/// The updates carry an error if a decay is not in `0..1`, or `epsilon` is negative.
pub fn scale_by_amsgrad(b1: f64, b2: f64, epsilon: f64) -> Optim {
    moment_rule::<Amsgrad, 3>(b1, b2, epsilon)
}

struct Amsgrad;

impl MomentFormula<3> for Amsgrad {
    const NAME: &'static str = "amsgrad";
    const SLOTS: [&'static str; 3] = ["m", "v", "largest_root"];

    fn update(
        moments: &Moments,
        g: &Tensor,
        slots: [Tensor; 3],
        corrections: &[Tensor; 2],
    ) -> (Tensor, [Tensor; 3]) {
        let ([first, second], [m, v, largest]) = (corrections, slots);
        let [m, v] = moments.after(g, [m, v]);
        let largest = largest.maximum(root(&v) * second.to(v.dtype()));
        let update = &m * first.to(m.dtype()) / (&largest + normal_epsilon(moments.epsilon, &v));
        (update, [m, v, largest])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};

    #[test]
    fn steps_equal_those_of_the_paper() {
        let (mut m, mut v, mut largest) = (0.0, 0.0, 0.0f64);
        let want = formula(|p, g, t| {
            m = 0.9 * m + 0.1 * g;
            v = 0.5 * v + 0.5 * g * g;
            largest = largest.max(v / (1.0 - 0.5f64.powi(t)));
            p - 0.1 * m / (1.0 - 0.9f64.powi(t)) / (largest.sqrt() + 1e-8)
        });
        near_formula(chain([scale_by_amsgrad(0.9, 0.5, 1e-8), scale(0.1)]), want);
    }
}
