//! Muon: Jordan et al., 2024 (<https://kellerjordan.github.io/posts/muon/>).

use super::averages::{Moments, average};
use super::clip::global_norm;
use super::option_checks::option_error;
use super::options::{decay_options, options, with_decay, with_rate};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate, chain, per_group_or, scale};
use crate::ParamMask;
use crate::precision::normal_epsilon;
use neurax_tensor::Tensor;
use std::slice;

/// The coefficients of the iteration of Newton and Schulz: `a X + b (X Xᵀ) X + c (X Xᵀ)² X` moves
/// the singular values of `X` toward 1.
const COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];

/// The number of iterations.
const ITERATIONS: usize = 5;

/// Returns [`Muon`] with a momentum of 0.95 for all matrices, and Adam with β₁ = 0.9, β₂ = 0.999
/// and ε = 1e-8 for other parameters. The embedding and the head of a language model are usually
/// left to Adam, which [`Muon::adam_for`] does.
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
    Muon::new().rate(rate)
}

/// Muon with options. The direction of a matrix of shape `[inputs, outputs]` is the Nesterov
/// momentum `momentum · m + (1 - momentum) · g` of the moving average `m` of gradients, whose
/// singular values are replaced by about 1, times `√max(1, outputs / inputs)`. That of another
/// parameter, or of a matrix that [`Muon::adam_for`] chooses, is the direction of
/// [`adam`](super::adam). As in PyTorch and in the author's code, and unlike in Optax, `m` is not
/// corrected for its bias.
///
/// # Errors
///
/// The updates carry an error if the momentum, β₁ or β₂ is not in `0..1`, if ε or a weight decay is
/// negative, or if a pattern matches no parameter.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let tokens = nn::typed_input("tokens", I32, dims![_, 8]);
/// let hidden = tokens.embedding(50, 16).dense(32).relu().dense(16);
/// let model = hidden.dense(50).named("head").model();
/// let vars = model.init(key(0), &types![i32[_, 8]])?;
/// // AdamW with its own rate moves the embedding, the head and all biases.
/// let muon = optim::Muon::new().adam_for(["embedding.**", "head.**"]).weight_decay(0.01);
/// let opt = muon.rates(0.02, 3e-4);
/// let grads = vars.params.map_leaves(|p| p.ones_like());
/// let (new, _) = opt.step(&vars.params, &grads, opt.init(&vars.params));
/// let decayed = &vars.params["head"]["kernel"] * (1.0 - 3e-4 * 0.01);
/// assert_eq!(new["head"]["kernel"].allclose(decayed - 3e-4, 1e-5, 1e-6).item()?, 1.0);
/// let moved = (&new["dense"]["kernel"] - &vars.params["dense"]["kernel"]).square().sum(..).sqrt();
/// assert!(moved.item()? > 0.014, "one singular value of 0.7 to 1.2 times 0.02 · √2");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Muon {
    momentum: f64,
    adam: Moments,
    adam_for: Option<ParamMask>,
    weight_decay: Option<Optim>,
}

impl Muon {
    /// Creates Muon with a momentum of 0.95, Adam with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8, and
    /// without weight decay.
    pub fn new() -> Muon {
        Muon { momentum: 0.95, adam: Moments::with_eps(1e-8), adam_for: None, weight_decay: None }
    }

    /// Leaves the matrices that `mask` chooses to Adam, such as embeddings and heads.
    pub fn adam_for(self, mask: impl Into<ParamMask>) -> Muon {
        Muon { adam_for: Some(mask.into()), ..self }
    }

    /// Returns the optimizer of these options with a learning rate for Muon, and another one for
    /// the parameters of Adam.
    pub fn rates(self, rate: impl Rate, adam_rate: impl Rate) -> Optim {
        let rates = per_group_or([(self.matrices(), scale(rate))], scale(adam_rate));
        chain([self.transform(), rates])
    }

    /// Returns the directions without a learning rate, for custom chains.
    pub fn transform(self) -> Optim {
        let muon = for_each_param(Orthogonalized { momentum: self.momentum });
        let groups = per_group_or([(self.matrices(), muon)], for_each_param(self.adam));
        with_decay(self.weight_decay, groups)
    }

    /// Returns the mask of the parameters of Muon.
    fn matrices(&self) -> ParamMask {
        match &self.adam_for {
            Some(others) => ParamMask::matrices() & !others.clone(),
            None => ParamMask::matrices(),
        }
    }
}

options! {
    impl Muon {
        /// Sets the decay of the average of the gradients of matrices.
        momentum: f64 = momentum;
        /// Sets β₁ of Adam.
        b1: f64 = adam.b1;
        /// Sets β₂ of Adam.
        b2: f64 = adam.b2;
        /// Sets ε of Adam.
        eps: f64 = adam.eps;
    }
}
decay_options!(Muon);
with_rate!(Muon);

/// The rule of matrices.
struct Orthogonalized {
    momentum: f64,
}

impl ParamRule<1> for Orthogonalized {
    type Scalars = ();
    const NAME: &'static str = "muon";
    const SLOTS: [&'static str; 1] = ["m"];

    fn error(&self) -> Option<String> {
        option_error(&[self.momentum], &[])
    }

    fn scalars(&self, _: &Tensor) {}

    fn update(&self, g: &Tensor, _: &Tensor, [m]: [Tensor; 1], _: &()) -> (Tensor, [Tensor; 1]) {
        let m = average(m, g, self.momentum);
        (orthogonalized(&average(m.clone(), g, self.momentum)), [m])
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
