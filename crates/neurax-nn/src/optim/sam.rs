//! Sharpness-aware minimization: Foret et al., 2020 (<https://arxiv.org/abs/2010.01412>).

use super::clip::{global_norm, limit_error};
use super::{Optim, Rule, Slots, Step, invalid, no_evaluate};
use neurax_tensor::Tensor;

/// Replaces the gradients by those at the parameters `p + rho · g / ‖g‖`, where the loss is highest
/// in a first approximation, so that minima are found around which the loss is low. It is the first
/// link of a chain, and each step evaluates the gradient once more, on the same batch. The paper
/// uses a `rho` of 0.05.
///
/// # Errors
///
/// The updates carry an error if `rho` is negative or NaN, or if the step has no function that
/// evaluates the loss: see [`Optim::step_with`].
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::chain([optim::sam(0.5), optim::sgd(0.1)]);
/// let loss = |p: &Tensor| value_and_grad_at(p, |p| p.square().sum(..));
/// let p = tensor([3.0, 4.0]);
/// let input = optim::StepInput::new().evaluate(&loss);
/// let (p, _) = opt.step_with(&p, &loss(&p).1, opt.init(&p), input);
/// let want = tensor([3.0 - 0.2 * 3.3, 4.0 - 0.2 * 4.4]);
/// assert_eq!(p.allclose(want, 1e-6, 0.0).item()?, 1.0, "the gradient at [3.3, 4.4]");
/// # Ok::<(), Error>(())
/// ```
pub fn sam(rho: f64) -> Optim {
    Optim::new(Sam(rho))
}

struct Sam(f64);

impl Rule for Sam {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, step: &Step) -> Vec<Tensor> {
        if let Some(why) = limit_error(self.0) {
            return invalid("sam", why, &grads);
        }
        let Some(evaluate) = step.evaluate else {
            return vec![Tensor::from_error(no_evaluate("sam")); grads.len()];
        };
        let Some(norm) = global_norm(&grads) else { return grads };
        let is_zero = norm.equal(0.0);
        let factor = is_zero.select(0.0, self.0 / is_zero.select(1.0, norm));
        let ascend = |(p, g): (&Tensor, &Tensor)| p + (g * factor.to(g.dtype()));
        let above: Vec<Tensor> = step.params.iter().zip(&grads).map(ascend).collect();
        evaluate.at(&above).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{StepInput, chain, masked, sgd};
    use neurax_tensor::{Tree, tensor, value_and_grad_at};

    #[test]
    fn a_mask_restricts_the_ascent() {
        let loss = |p: &Vec<Tensor>| value_and_grad_at(p, |p| (&p[0] * &p[1]).square().sum(..));
        let p = vec![tensor(2.0), tensor(1.0)];
        let opt = chain([masked("0", sam(0.5)), sgd(1.0)]);
        let input = || StepInput::new().evaluate(&loss);
        let (q, _) = opt.step_with(&p, &loss(&p).1, opt.init(&p), input());
        // The gradient of the first one is 2 · 2.5, that of the second one 2 · 4.
        assert_eq!((q[0].item().unwrap(), q[1].item().unwrap()), (-3.0, -7.0));
    }

    #[test]
    fn zeros_stay_and_a_missing_function_is_an_error() {
        let (p, opt) = (tensor([1.0]), sam(0.1));
        let flat = |p: &Tensor| (tensor(0.0), p.zeros_like());
        let input = StepInput::new().evaluate(&flat);
        let (q, _) = opt.step_with(&p, &tensor([0.0]), opt.init(&p), input);
        assert_eq!(q.item().unwrap(), 1.0);
        let (q, _) = opt.step(&p, &p, opt.init(&p));
        let e = q.ok().unwrap_err();
        assert!(e.message().contains("a function that evaluates the loss"), "{e}");
        let (q, _) = sam(-1.0).step(&p, &p, opt.init(&p));
        assert!(q.ok().unwrap_err().message().contains("a limit of at least 0"));
    }
}
