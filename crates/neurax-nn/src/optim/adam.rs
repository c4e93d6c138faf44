//! Adam: Kingma and Ba, 2014 (<https://arxiv.org/abs/1412.6980>).

use super::{Optim, Rate, Rule, Slots, Step, chain, invalid, scale, take, weight_decay, zeros};
use crate::precision::normal_epsilon;
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
///
/// A finite gradient whose square the dtype does not hold (beyond 1.8e19 in f32) is limited to the
/// largest one whose square it holds: an infinite average would stop the parameter for ever. The
/// parameter moves as far as Adam moves it, and its next steps are small until the average has
/// decayed; [`clip`](super::clip) in front of Adam prevents this.
///
/// # Errors
///
/// The updates carry an error if a decay is not in `0..1`, or `epsilon` is negative.
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
        if let Some(why) = self.error() {
            return invalid("adam", why, &grads);
        }
        let old = take(slots, "m", step.params).into_iter().zip(take(slots, "v", step.params));
        let (m, v): (Vec<Tensor>, Vec<Tensor>) = old
            .zip(&grads)
            .map(|((m, v), g)| {
                let g = with_finite_square(g);
                (m * b1 + &g * (1.0 - b1), v * b2 + &g * &g * (1.0 - b2))
            })
            .unzip();
        let t = step.count + 1.0;
        let (first, second) = (bias_correction(b1, &t), bias_correction(b2, &t).sqrt());
        let steps = m.iter().zip(&v).map(|(m, v)| {
            // The root first: a corrected average could overflow. The derivative of the root of 0
            // would be infinite; the smallest number changes no root that epsilon leaves visible.
            let root = (v + normal_epsilon(0.0, v)).sqrt() * second.to(v.dtype());
            m * first.to(m.dtype()) / (root + normal_epsilon(epsilon, v))
        });
        let steps = steps.collect();
        slots.extend([("m".into(), m), ("v".into(), v)]);
        steps
    }
}

impl Adam {
    /// Returns the message of an invalid option.
    fn error(&self) -> Option<String> {
        let Adam { b1, b2, epsilon } = *self;
        let decay = [b1, b2].into_iter().find(|b| !(0.0..1.0).contains(b));
        match decay {
            Some(b) => Some(format!("expected decays of the averages in 0..1, got {b}")),
            None if epsilon >= 0.0 => None,
            None => Some(format!("expected an epsilon of at least 0, got {epsilon}")),
        }
    }
}

/// Limits finite elements to those whose square is finite. Infinities become NaN, and NaN stays.
///
/// Each of the four operations is one instruction for a vector, as a `clip` is not, which has to
/// choose between two NaN.
fn with_finite_square(g: &Tensor) -> Tensor {
    let limit = match g.dtype() {
        DType::F64 => f64::MAX.sqrt(),
        _ => f64::from(f32::MAX).sqrt().floor(),
    };
    let below = g.gt(limit).select(limit, g);
    let within = below.lt(-limit).select(-limit, &below);
    within + g * 0.0
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
            let opt = adam_with(0.1, 0.9, 0.99, 1e-8);
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
            let (p, opt) = (tensor([1.0]), adam_with(0.1, 0.9, 0.999, epsilon));
            let (p, _) = opt.step(&p, &tensor([0.0]), opt.init(&p));
            assert_eq!(p.item().unwrap(), 1.0);
        }
    }

    #[test]
    fn invalid_options_are_errors() {
        for (b1, b2, epsilon) in [(1.0, 0.9, 1e-8), (0.9, -0.1, 1e-8), (0.9, 0.9, -1.0)] {
            let (p, opt) = (tensor([1.0]), adam_with(0.1, b1, b2, epsilon));
            let (p, _) = opt.step(&p, &tensor([0.0]), opt.init(&p));
            assert!(p.error().unwrap().message().starts_with("expected"), "{p:?}");
        }
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
