//! Gradient noise: Neelakantan et al., 2015 (<https://arxiv.org/abs/1511.06807>).

use super::option_checks::negative;
use super::options::options;
use super::{Optim, Rate, Rule, Slots, Step, chain, invalid, scale};
use neurax_tensor::{DType, Tensor, key};

/// Returns gradient descent with [`Noise`] of a variance of 0.01 in the first step, and a decay of
/// 0.55.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::noisy_sgd(0.1, 7), tensor([1.0]));
/// let (q, _) = opt.step(&p, &tensor([5.0]), opt.init(&p));
/// assert!(q.item()? != 0.5 && (q.item()? - 0.5).abs() < 0.1);
/// # Ok::<(), Error>(())
/// ```
pub fn noisy_sgd(rate: impl Rate, seed: i64) -> Optim {
    Noise::new(seed).rate(rate)
}

/// Normal noise of the variance `eta / tᵞ` in step `t`, which is 1 in the first step, that is added
/// to the gradients. The noise depends on the seed, the step and the number of the parameter only.
/// The paper uses an `eta` of 0.01 to 1 and a `gamma` of 0.55.
///
/// # Errors
///
/// The updates carry an error if `eta` or `gamma` is negative, NaN or infinite.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::chain([optim::Noise::new(7).eta(0.3).transform(), optim::adam(1e-3)]);
/// let p = tensor([1.0]);
/// let (q, _) = opt.step(&p, &tensor([5.0]), opt.init(&p));
/// assert!((q.item()? - 1.0).abs() < 2e-3);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Noise {
    eta: f64,
    gamma: f64,
    seed: i64,
}

impl Noise {
    /// Creates noise with an `eta` of 0.01 and a `gamma` of 0.55.
    pub fn new(seed: i64) -> Noise {
        Noise { eta: 0.01, gamma: 0.55, seed }
    }

    /// Returns gradient descent with this noise and a learning rate.
    pub fn rate(self, rate: impl Rate) -> Optim {
        chain([self.transform(), scale(rate)])
    }

    /// Returns the noise as a link of a chain: Optax's `add_noise`.
    pub fn transform(self) -> Optim {
        Optim::new(self)
    }

    fn error(&self) -> Option<String> {
        let eta = negative("an eta", self.eta, "0.01 to 1 is usual");
        eta.or_else(|| negative("a gamma", self.gamma, "0.55 is usual"))
    }
}

options! {
    impl Noise {
        /// Sets the variance in the first step.
        eta: f64 = eta;
        /// Sets the exponent of the decay of the variance.
        gamma: f64 = gamma;
    }
}

impl Rule for Noise {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, step: &Step) -> Vec<Tensor> {
        if let Some(why) = self.error() {
            return invalid("add_noise", why, &grads);
        }
        let deviation = (step.count + 1.0).pow(-self.gamma / 2.0) * self.eta.sqrt();
        let of_step = key(self.seed).fold_in(step.count.to(DType::U32));
        let noisy = |(i, g): (usize, &Tensor)| {
            let noise = of_step.fold_in(i as i64).normal_of(g.dtype(), g.shape());
            g + noise * deviation.to(g.dtype())
        };
        grads.iter().enumerate().map(noisy).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn the_variance_is_that_of_the_paper_and_each_step_has_other_noise() {
        let p = vec![Tensor::zeros([4000]), Tensor::zeros([4000])];
        let opt = Noise::new(3).eta(0.5).transform();
        let (u, mut state) = opt.update(&p, &p, opt.init(&p));
        let (again, _) = opt.update(&p, &p, opt.init(&p));
        state.step = tensor(99);
        let (later, _) = opt.update(&p, &p, state);
        let std = |x: &Tensor| x.std(.., 0).item().unwrap();
        assert!((std(&u[0]) - 0.5f64.sqrt()).abs() < 0.03);
        let want = (0.5 / 100f64.powf(0.55)).sqrt();
        assert!((std(&later[0]) - want).abs() < 0.05 * want);
        let first = |x: &Tensor| x.get(0).item().unwrap();
        assert_eq!(first(&u[0]), first(&again[0]));
        assert!(first(&u[0]) != first(&u[1]) && first(&u[0]) != first(&later[0]));
    }

    #[test]
    fn invalid_options_are_errors() {
        let p = tensor([1.0]);
        for (noise, want) in [
            (Noise::new(0).eta(-1.0), "an eta of at least 0, got -1"),
            (Noise::new(0).gamma(f64::NAN), "a gamma of at least 0, got NaN"),
            (Noise::new(0).gamma(-0.5), "a gamma of at least 0, got -0.5"),
        ] {
            let opt = noise.transform();
            let (u, _) = opt.update(&p, &p, opt.init(&p));
            assert!(u.error().unwrap().message().contains(want), "{u:?}");
        }
    }
}
