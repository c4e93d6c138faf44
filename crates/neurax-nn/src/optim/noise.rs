//! Gradient noise: Neelakantan et al., 2015 (<https://arxiv.org/abs/1511.06807>).

use super::averages::option_error;
use super::{Optim, Rate, Rule, Slots, Step, chain, invalid, scale};
use neurax_tensor::{DType, Tensor, key};

/// Returns gradient descent with noise: [`add_noise`] and a learning rate. The paper uses an `eta`
/// of 0.01 to 1 and a `gamma` of 0.55.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::noisy_sgd(0.1, 0.01, 0.55, 7), tensor([1.0]));
/// let (q, _) = opt.step(&p, &tensor([5.0]), opt.init(&p));
/// assert!(q.item()? != 0.5 && (q.item()? - 0.5).abs() < 0.1);
/// # Ok::<(), Error>(())
/// ```
pub fn noisy_sgd(rate: impl Rate, eta: f64, gamma: f64, seed: i64) -> Optim {
    chain([add_noise(eta, gamma, seed), scale(rate)])
}

/// Adds normal noise of variance `eta / tᵞ` to the gradients in step `t`, which is 1 in the first
/// step. The noise depends on the seed, the step and the number of the parameter only.
///
/// # Errors
///
/// The updates carry an error if `eta` is negative.
pub fn add_noise(eta: f64, gamma: f64, seed: i64) -> Optim {
    Optim::new(Noise { eta, gamma, seed })
}

struct Noise {
    eta: f64,
    gamma: f64,
    seed: i64,
}

impl Rule for Noise {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, step: &Step) -> Vec<Tensor> {
        if option_error(&[], &[self.eta]).is_some() {
            let why = format!("expected an eta of at least 0, got {}", self.eta);
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
        let opt = add_noise(0.5, 0.55, 3);
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
    fn a_negative_eta_is_an_error() {
        let (p, opt) = (tensor([1.0]), add_noise(-1.0, 0.55, 0));
        let (u, _) = opt.update(&p, &p, opt.init(&p));
        assert!(u.error().unwrap().message().contains("an eta of at least 0"), "{u:?}");
    }
}
