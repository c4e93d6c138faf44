//! Rectified Adam: Liu et al., 2019 (<https://arxiv.org/abs/1908.03265>).

use super::averages::Moments;
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate, chain, scale};
use neurax_tensor::{DType, Tensor};

/// Returns RAdam with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8: [`scale_by_radam`] and a learning rate.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::radam(0.1);
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([5.0]), opt.init(&tensor([1.0])));
/// assert!((p.item()? - 0.5).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
pub fn radam(rate: impl Rate) -> Optim {
    chain([scale_by_radam(0.9, 0.999, 1e-8), scale(rate)])
}

/// Returns the direction of RAdam: that of Adam, times a factor that reduces the variance of the
/// first steps. As in PyTorch and Optax, the direction is the average `m` of the gradients as long
/// as the average of squares has at most 5 degrees of freedom.
///
/// # Errors
///
/// The updates carry an error if a decay is not in `0..1`, or `epsilon` is negative.
pub fn scale_by_radam(b1: f64, b2: f64, epsilon: f64) -> Optim {
    for_each_param(Radam(Moments { b1, b2, epsilon }))
}

struct Radam(Moments);

impl Radam {
    /// Returns true if the average of squares is used in step `t`, and the factor if it is, f64[]:
    /// the difference of two large numbers is exact enough there.
    fn rectification(&self, t: &Tensor) -> [Tensor; 2] {
        let longest = 2.0 / (1.0 - self.0.b2) - 1.0;
        let t = t.to(DType::F64);
        let exponent = &t * self.0.b2.ln();
        let length = t * 2.0 * exponent.exp() / exponent.expm1() + longest;
        let is_used = length.ge(5.0);
        let length = is_used.select(&length, 5.0);
        let ratio = longest / ((longest - 4.0) * (longest - 2.0));
        let square = (&length - 4.0) * (&length - 2.0) * ratio / &length;
        let factor = is_used.select(square, 1.0).sqrt();
        [is_used, factor]
    }
}

impl ParamRule<2> for Radam {
    type Scalars = [Tensor; 4];
    const NAME: &'static str = "radam";
    const SLOTS: [&'static str; 2] = ["m", "v"];

    fn error(&self) -> Option<String> {
        self.0.error()
    }

    fn scalars(&self, t: &Tensor) -> [Tensor; 4] {
        let ([first, second], [is_used, factor]) = (self.0.corrections(t), self.rectification(t));
        [first, second, is_used, factor]
    }

    fn update(
        &self,
        g: &Tensor,
        _: &Tensor,
        state: [Tensor; 2],
        scalars: &[Tensor; 4],
    ) -> (Tensor, [Tensor; 2]) {
        let [first, second, is_used, factor] = scalars;
        let [m, v] = self.0.after(g, state);
        let corrected = &m * first.to(m.dtype());
        let rectified = self.0.quotient(&corrected * factor.to(m.dtype()), &v, second);
        (is_used.select(rectified, corrected), [m, v])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};

    #[test]
    fn steps_equal_those_of_the_paper() {
        let (mut m, mut v) = (0.0, 0.0);
        let longest = 2.0 / 0.001 - 1.0;
        let want = formula(|p, g, t| {
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let decay = 0.999f64.powi(t);
            let length = longest - 2.0 * f64::from(t) * decay / (1.0 - decay);
            let corrected = m / (1.0 - 0.9f64.powi(t));
            if length < 5.0 {
                return p - 0.1 * corrected;
            }
            let r = (length - 4.0) * (length - 2.0) * longest
                / ((longest - 4.0) * (longest - 2.0) * length);
            p - 0.1 * r.sqrt() * corrected / ((v / (1.0 - decay)).sqrt() + 1e-8)
        });
        near_formula(radam(0.1), want);
    }
}
