//! Adam: Kingma and Ba, 2014 (<https://arxiv.org/abs/1412.6980>).

use super::{Optim, Rate, Rule, Slots, Step, chain, scale, take, weight_decay, zeros};
use neurax_tensor::{DType, Tensor};

/// Returns Adam with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8.
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
    adam_with(rate, 0.9, 0.999, 1e-8)
}

/// Returns Adam. With the moving averages `m` of the gradients (decay `b1`) and `v` of their
/// squares (decay `b2`), both corrected for their bias, a step subtracts `rate · m / (√v +
/// epsilon)`.
pub fn adam_with(rate: impl Rate, b1: f64, b2: f64, epsilon: f64) -> Optim {
    chain([scale_by_adam(b1, b2, epsilon), scale(rate)])
}

/// Returns Adam with decoupled weight decay: Loshchilov and Hutter, 2017
/// (<https://arxiv.org/abs/1711.05101>).
pub fn adamw(rate: impl Rate, decay: f64) -> Optim {
    chain([scale_by_adam(0.9, 0.999, 1e-8), weight_decay(decay), scale(rate)])
}

/// Returns the direction of Adam without a learning rate, for custom chains.
pub fn scale_by_adam(b1: f64, b2: f64, epsilon: f64) -> Optim {
    Optim::new(Adam { b1, b2, epsilon })
}

struct Adam {
    b1: f64,
    b2: f64,
    epsilon: f64,
}

impl Rule for Adam {
    fn init(&self, params: &[Tensor]) -> Slots {
        Slots::from([("m".into(), zeros(params)), ("v".into(), zeros(params))])
    }

    fn update(&self, grads: Vec<Tensor>, slots: &mut Slots, step: &Step) -> Vec<Tensor> {
        let Adam { b1, b2, epsilon } = *self;
        let old = take(slots, "m", step.params).into_iter().zip(take(slots, "v", step.params));
        let (m, v): (Vec<Tensor>, Vec<Tensor>) = old
            .zip(&grads)
            .map(|((m, v), g)| (m * b1 + g * (1.0 - b1), v * b2 + g * g * (1.0 - b2)))
            .unzip();
        let t = step.count + 1.0;
        let (first, second) = (bias_correction(b1, &t), bias_correction(b2, &t));
        let steps = m.iter().zip(&v).map(|(m, v)| {
            // A large factor overflows in f16, its inverse does not.
            let corrected = |m: &Tensor, f: &Tensor| {
                if m.dtype() == DType::F16 {
                    m / (1.0 / f).to(DType::F16)
                } else {
                    m * f.to(m.dtype())
                }
            };
            corrected(m, &first) / (corrected(v, &second).sqrt() + epsilon)
        });
        let steps = steps.collect();
        slots.extend([("m".into(), m), ("v".into(), v)]);
        steps
    }
}

/// Returns `1 / (1 - bᵗ)`, the factor that corrects a moving average with decay `b` for its start
/// at zero after `t` steps. It is one scalar for all elements: a division per element would cost as
/// much as the rest of the average.
fn bias_correction(b: f64, t: &Tensor) -> Tensor {
    -1.0 / (t * b.ln()).expm1()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::tests::{near, run};
    use neurax_tensor::tensor;

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
    fn narrow_parameters_stay_finite_with_slow_averages() {
        for dtype in [DType::F16, DType::BF16] {
            let p = tensor([1.0, 2.0]).to(dtype);
            let opt = adam_with(0.1, 0.9, 0.99999, 1e-3);
            let (next, _) = opt.step(&p, &tensor([0.0, 1.0]).to(dtype), opt.init(&p));
            assert_eq!(next.get(0).item().unwrap(), 1.0, "{dtype}");
            assert!((next.get(1).item().unwrap() - 1.9).abs() < 0.02, "{dtype}: {next}");
        }
    }
}
