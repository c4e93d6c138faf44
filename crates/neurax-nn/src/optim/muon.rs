//! Muon: Jordan et al., 2024 (<https://kellerjordan.github.io/posts/muon/>).

use super::averages::{Moments, average, option_error};
use super::clip::global_norm;
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate, chain, scale};
use crate::precision::normal_epsilon;
use neurax_tensor::Tensor;
use std::slice;

/// The coefficients of the iteration of Newton and Schulz: `a X + b (X Xᵀ) X + c (X Xᵀ)² X` moves
/// the singular values of `X` toward 1.
const COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];

/// The number of iterations.
const ITERATIONS: usize = 5;

/// Returns Muon with a momentum of 0.95 for matrices, and Adam with β₁ = 0.9, β₂ = 0.999 and
/// ε = 1e-8 for other parameters: [`scale_by_muon`] and a learning rate.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::muon(0.1), Tensor::zeros([2, 2]));
/// let (p, _) = opt.step(&p, &tensor([[2.0, 0.0], [0.0, 8.0]]), opt.init(&p));
/// let p = p.to_vec::<f32>()?;
/// assert!(p[0] < -0.06 && p[3] < -0.06 && p[1] == 0.0, "all singular values are near 0.1");
/// # Ok::<(), Error>(())
/// ```
pub fn muon(rate: impl Rate) -> Optim {
    chain([scale_by_muon(0.95), scale(rate)])
}

/// Returns the direction of Muon: for a matrix of shape `[inputs, outputs]`, the Nesterov momentum
/// `momentum · m + (1 - momentum) · g` of the moving average `m` of gradients, whose singular
/// values are replaced by about 1, times `√max(1, outputs / inputs)`. For another parameter, it is
/// the direction of [`adam`](super::adam).
///
/// # Errors
///
/// The updates carry an error if `momentum` is not in `0..1`.
pub fn scale_by_muon(momentum: f64) -> Optim {
    for_each_param(Muon { momentum, adam: Moments { b1: 0.9, b2: 0.999, epsilon: 1e-8 } })
}

struct Muon {
    momentum: f64,
    adam: Moments,
}

impl ParamRule<2> for Muon {
    type Scalars = [Tensor; 2];
    const NAME: &'static str = "muon";
    const SLOTS: [&'static str; 2] = ["m", "v"];

    fn error(&self) -> Option<String> {
        option_error(&[self.momentum], &[])
    }

    /// Returns the averages of gradients and squares; for a matrix, a scalar of zero for these.
    fn init(&self, param: &Tensor) -> [Tensor; 2] {
        match param.rank() {
            2 => [param.zeros_like(), Tensor::scalar(param.dtype(), 0.0)],
            _ => [param.zeros_like(), param.zeros_like()],
        }
    }

    fn scalars(&self, t: &Tensor) -> [Tensor; 2] {
        self.adam.corrections(t)
    }

    fn update(
        &self,
        g: &Tensor,
        param: &Tensor,
        state: [Tensor; 2],
        corrections: &[Tensor; 2],
    ) -> (Tensor, [Tensor; 2]) {
        if param.rank() != 2 {
            return ParamRule::update(&self.adam, g, param, state, corrections);
        }
        let [m, v] = state;
        let m = average(m, g, self.momentum);
        (orthogonalized(&average(m.clone(), g, self.momentum)), [m, v])
    }
}

/// Returns the matrix with singular values of about 1, times the factor for its shape.
fn orthogonalized(x: &Tensor) -> Tensor {
    let Some(norm) = global_norm(slice::from_ref(x)) else { return x.clone() };
    let divisor = norm.to(x.dtype()) + normal_epsilon(1e-7, x);
    let (inputs, outputs) = (x.shape()[0], x.shape()[1]);
    // The products are smallest with the shorter axis first.
    let is_tall = inputs > outputs;
    let mut y = (if is_tall { x.t() } else { x.clone() }) / divisor;
    let [a, b, c] = COEFFICIENTS;
    for _ in 0..ITERATIONS {
        let square = y.matmul(y.t());
        let polynomial = &square * b + square.matmul(&square) * c;
        y = &y * a + polynomial.matmul(&y);
    }
    let y = if is_tall { y.t() } else { y };
    y * (outputs as f64 / inputs as f64).max(1.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};
    use neurax_tensor::tensor;

    /// Computes the iteration for one singular value.
    fn singular_value(s: f64) -> f64 {
        let [a, b, c] = COEFFICIENTS;
        (0..ITERATIONS).fold(s, |s, _| a * s + b * s.powi(3) + c * s.powi(5))
    }

    #[test]
    fn singular_values_follow_the_iteration_and_vectors_the_steps_of_adam() {
        // The singular vectors of a diagonal matrix stay.
        let (mut p, opt) = (Tensor::zeros([2, 3]), muon(0.1));
        let (mut state, mut m, mut want) = (opt.init(&p), [0.0; 2], [0.0; 2]);
        for t in 1..=20 {
            let g = [f64::from(t).cos(), 0.5 + f64::from(t).sin()];
            let grads = tensor([[g[0] as f32, 0.0, 0.0], [0.0, g[1] as f32, 0.0]]);
            (p, state) = opt.step(&p, &grads, state);
            m = [0, 1].map(|i| 0.95 * m[i] + 0.05 * g[i]);
            let u = [0, 1].map(|i| 0.95 * m[i] + 0.05 * g[i]);
            let norm = u[0].hypot(u[1]);
            want = [0, 1].map(|i| want[i] - 0.1 * 1.5f64.sqrt() * singular_value(u[i] / norm));
            let found = p.to_vec::<f32>().unwrap();
            for (found, want) in [found[0], found[4]].into_iter().zip(want) {
                assert!((f64::from(found) - want).abs() < 1e-4, "step {t}: {found}, {want}");
            }
        }
        let (mut m, mut v) = (0.0, 0.0);
        let want = formula(|p, g, t| {
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let root = f64::sqrt(v / (1.0 - 0.999f64.powi(t)));
            p - 0.1 * m / (1.0 - 0.9f64.powi(t)) / (root + 1e-8)
        });
        near_formula(muon(0.1), want);
    }

    #[test]
    fn tall_matrices_are_wide_ones_transposed_and_zeros_stay() {
        let x = tensor([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]]);
        let (wide, tall) = (orthogonalized(&x), orthogonalized(&x.t()));
        let difference = wide - tall.t() * 1.5f64.sqrt();
        assert!(difference.abs().max(..).item().unwrap() < 1e-5);
        for zeros in [Tensor::zeros([2, 2]), Tensor::zeros([0, 2])] {
            assert_eq!(orthogonalized(&zeros).abs().sum(..).item().unwrap(), 0.0);
        }
    }
}
