//! Adam: Kingma and Ba, 2014 (<https://arxiv.org/abs/1412.6980>).

use super::averages::{Corrections, Moments};
use super::options::{decay_options, eps_root_option, moment_options, with_decay, with_rate};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate};
use crate::ParamMask;
use neurax_tensor::Tensor;

/// Returns [`Adam`] with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::adam(0.1);
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([5.0]), opt.init(&tensor([1.0])));
/// assert_eq!(p.to_vec::<f32>()?, [0.9]);
/// # Ok::<(), Error>(())
/// ```
pub fn adam(rate: impl Rate) -> Optim {
    Adam::new().rate(rate)
}

/// Returns [`Adam`] with decoupled weight decay: Loshchilov and Hutter, 2017
/// (<https://arxiv.org/abs/1711.05101>). It decays all parameters; for kernels alone, see
/// [`adamw_masked`].
pub fn adamw(rate: impl Rate, decay: f64) -> Optim {
    Adam::new().weight_decay(decay).rate(rate)
}

/// Returns AdamW that decays the parameters that `mask` chooses alone. Biases and the scales of
/// normalizations are usually left out, which [`ParamMask::kernels`] does.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 3]).dense(4).layer_norm().dense(2);
/// let vars = model.init(key(0), &types![f32[_, 3]])?;
/// let opt = optim::adamw_masked(nn::ParamMask::kernels(), 1.0, 0.5);
/// let zeros = vars.params.map_leaves(|p| p.zeros_like());
/// let (new, _) = opt.step(&vars.params, &zeros, opt.init(&vars.params));
/// assert_eq!(new["layer_norm"]["scale"].to_vec::<f32>()?, [1.0; 4]);
/// let kernel = &vars.params["dense"]["kernel"] * 0.5;
/// assert_eq!(new["dense"]["kernel"].array_equal(kernel).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn adamw_masked(mask: impl Into<ParamMask>, rate: impl Rate, decay: f64) -> Optim {
    Adam::new().weight_decay_of(mask, decay).rate(rate)
}

/// Adam with options. With the moving averages `m` of the gradients (decay β₁) and `v` of their
/// squares (decay β₂), both corrected for their bias, its direction is `m / (√v + ε)`.
///
/// A finite gradient whose square the dtype does not hold (beyond 1.8e19 in f32) is limited to the
/// largest one whose square it holds: an infinite average would stop the parameter for ever. The
/// parameter moves as far as Adam moves it, and its next steps are small until the average has
/// decayed; [`clip`](super::clip) in front of Adam prevents this.
///
/// # Errors
///
/// The updates carry an error if β₁ or β₂ is not in `0..1`, or if ε, `eps_root` or a weight decay
/// is negative.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// // The options that are usual for language models.
/// let opt = optim::Adam::new().b2(0.95).weight_decay(0.1).rate(optim::cosine(3e-4, 1000));
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([5.0]), opt.init(&tensor([1.0])));
/// assert!((p.item()? - (1.0 - 3e-4 * 1.1)).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Adam {
    moments: Moments,
    weight_decay: Option<Optim>,
}

impl Adam {
    /// Creates Adam with β₁ = 0.9, β₂ = 0.999, ε = 1e-8 and without weight decay.
    pub fn new() -> Adam {
        Adam { moments: Moments::with_eps(1e-8), weight_decay: None }
    }

    /// Returns the direction without a learning rate, for custom chains: Optax's `scale_by_adam`.
    pub fn transform(self) -> Optim {
        with_decay(self.weight_decay, for_each_param(self.moments))
    }
}

moment_options! {
    impl Adam {}
}
eps_root_option!(Adam);
decay_options!(Adam);
with_rate!(Adam);

impl ParamRule<2> for Moments {
    type Scalars = Corrections;
    const NAME: &'static str = "adam";
    const SLOTS: [&'static str; 2] = ["m", "v"];

    fn error(&self) -> Option<String> {
        Moments::error(self)
    }

    fn scalars(&self, t: &Tensor) -> Corrections {
        self.corrections(t)
    }

    fn update(
        &self,
        g: &Tensor,
        _: &Tensor,
        state: [Tensor; 2],
        corrections: &Corrections,
    ) -> (Tensor, [Tensor; 2]) {
        let [m, v] = self.after(g, state);
        (self.direction(&m, &v, corrections), [m, v])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::tests::{near, run};
    use neurax_tensor::{DType, tensor};

    /// Computes the algorithm of the paper on scalars, with the gradient p.
    fn algorithm_of_the_paper(rate: f64, decay: f64, steps: usize) -> Vec<f32> {
        let (mut p, mut m, mut v) = (1.0f64, 0.0, 0.0);
        (1..=steps as i32)
            .map(|t| {
                m = 0.9 * m + 0.1 * p;
                v = 0.999 * v + 0.001 * p * p;
                let (m, v) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.999f64.powi(t)));
                p -= rate * (m / (v.sqrt() + 1e-8) + decay * p);
                p as f32
            })
            .collect()
    }

    #[test]
    fn steps_equal_those_of_the_papers() {
        near(&run(adam(0.1), 20), &algorithm_of_the_paper(0.1, 0.0, 20));
        near(&run(adamw(0.1, 0.2), 20), &algorithm_of_the_paper(0.1, 0.2, 20));
    }

    #[test]
    fn narrow_parameters_move_as_those_in_f32() {
        for dtype in [DType::F16, DType::BF16] {
            for g in [0.0, 1e-7, 1e-3, 1.0, 300.0, 60_000.0] {
                let (mut p, mut wide) = (tensor([2.0]).to(dtype), tensor([2.0]));
                let g = tensor([g]).to(dtype);
                let opt = adam(0.25);
                let (mut s, mut t) = (opt.init(&p), opt.init(&wide));
                for _ in 0..4 {
                    (p, s) = opt.step(&p, &g, s);
                    (wide, t) = opt.step(&wide, &g.to(DType::F32), t);
                }
                assert_eq!(s.slots[0]["v"][0].dtype(), DType::F32);
                let difference = p.item().unwrap() - wide.item().unwrap();
                assert!(difference.abs() < 0.02, "{dtype} {g}: {p} {wide}");
            }
        }
    }

    #[test]
    fn a_huge_gradient_is_one_step_and_no_end() {
        for (dtype, huge) in [(DType::F32, 1e20), (DType::F32, 3e38), (DType::F64, 1e200)] {
            let p = tensor([1.0]).to(dtype);
            let opt = Adam::new().b2(0.99).rate(0.1);
            let large = Tensor::scalar(dtype, huge).reshape([1]);
            let (mut p, mut state) = opt.step(&p, &large, opt.init(&p));
            assert!((p.item().unwrap() - 0.9).abs() < 1e-5, "{p}");
            let g = tensor([1.0]).to(dtype);
            let step = neurax_tensor::jit(|(p, g, s): (Tensor, Tensor, crate::OptState)| {
                opt.step(&p, &g, s)
            });
            let mut last = p.clone();
            let steps = if dtype == DType::F64 { 100_000 } else { 10_000 };
            for _ in 0..steps {
                (last, (p, state)) = (p.clone(), step.run((p, g.clone(), state)).unwrap());
            }
            let moved = last.item().unwrap() - p.item().unwrap();
            assert!((moved - 0.1).abs() < 1e-2, "{dtype} {huge}: {moved}");
        }
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        for epsilon in [0.0, 1e-300] {
            let (p, opt) = (tensor([1.0]), Adam::new().eps(epsilon).rate(0.1));
            let (p, _) = opt.step(&p, &tensor([0.0]), opt.init(&p));
            assert_eq!(p.item().unwrap(), 1.0);
        }
    }

    #[test]
    fn invalid_options_are_errors() {
        for (b1, b2, epsilon) in [(1.0, 0.9, 1e-8), (0.9, -0.1, 1e-8), (0.9, 0.9, -1.0)] {
            let (p, opt) = (tensor([1.0]), Adam::new().b1(b1).b2(b2).eps(epsilon).rate(0.1));
            let (p, _) = opt.step(&p, &tensor([0.0]), opt.init(&p));
            assert!(p.error().unwrap().message().starts_with("expected"), "{p:?}");
        }
    }

    #[test]
    fn narrow_parameters_stay_finite_with_slow_averages() {
        for dtype in [DType::F16, DType::BF16] {
            let p = tensor([1.0, 2.0]).to(dtype);
            let opt = Adam::new().b2(0.99999).eps(1e-3).rate(0.1);
            let (next, _) = opt.step(&p, &tensor([0.0, 1.0]).to(dtype), opt.init(&p));
            assert_eq!(next.get(0).item().unwrap(), 1.0, "{dtype}");
            assert!((next.get(1).item().unwrap() - 1.9).abs() < 0.02, "{dtype}: {next}");
        }
    }
}
