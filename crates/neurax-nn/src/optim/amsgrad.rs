//! AMSGrad: Reddi, Kale and Kumar, 2018 (<https://arxiv.org/abs/1904.09237>).

use super::averages::{Corrections, MomentFormula, Moments, moment_rule};
use super::options::{decay_options, eps_root_option, moment_options, with_decay, with_rate};
use super::{Optim, Rate};
use crate::precision::normal_epsilon;
use neurax_tensor::Tensor;

/// Returns [`AmsGrad`] with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8.
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
    AmsGrad::new().rate(rate)
}

/// AMSGrad with options. Its direction is that of [`Adam`](super::Adam), divided by the largest
/// root of the average of squares so far. As in Optax, both averages are corrected for their bias,
/// which the paper omits.
///
/// # Errors
///
/// The updates carry an error if β₁ or β₂ is not in `0..1`, or if ε or `eps_root` is negative.
#[derive(Clone, Debug)]
pub struct AmsGrad {
    moments: Moments,
    weight_decay: Option<Optim>,
}

impl AmsGrad {
    /// Creates AMSGrad with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8.
    pub fn new() -> AmsGrad {
        AmsGrad { moments: Moments::with_eps(1e-8), weight_decay: None }
    }

    /// Returns the direction without a learning rate, for custom chains: Optax's
    /// `scale_by_amsgrad`.
    pub fn transform(self) -> Optim {
        with_decay(self.weight_decay, moment_rule(self.moments, LargestRoot))
    }
}

moment_options! {
    impl AmsGrad {}
}
eps_root_option!(AmsGrad);
decay_options!(AmsGrad);
with_rate!(AmsGrad);

struct LargestRoot;

impl MomentFormula<3> for LargestRoot {
    const NAME: &'static str = "amsgrad";
    const SLOTS: [&'static str; 3] = ["m", "v", "largest_root"];

    fn update(
        &self,
        moments: &Moments,
        g: &Tensor,
        [m, v, largest]: [Tensor; 3],
        corrections: &Corrections,
    ) -> (Tensor, [Tensor; 3]) {
        let [m, v] = moments.after(g, [m, v]);
        let largest = largest.maximum(corrections.root(&v));
        let m_corrected = &m * corrections.first.to(m.dtype());
        (m_corrected / (&largest + normal_epsilon(moments.eps, &v)), [m, v, largest])
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
        near_formula(AmsGrad::new().b2(0.5).rate(0.1), want);
    }
}
