//! L-BFGS: Liu and Nocedal, 1989 (<https://doi.org/10.1007/BF01589116>).

use super::change::ParamChange;
use super::clip::root;
use super::line_search::step_size;
use super::{Optim, Rule, Slots, Step, invalid, missing, no_evaluate};
use neurax_tensor::{DType, Error, Tensor, concat, scan, scan_reverse};

/// The slot of the parameters and gradients of the previous step, as vectors.
const PREVIOUS: &str = "previous";
/// The slot of the differences of parameters between steps, and of those of gradients, oldest
/// first.
const DIFFERENCES: &str = "differences";
/// The slot of the reciprocals of the products of each pair of differences; 0 for a pair that does
/// not exist yet.
const WEIGHTS: &str = "weights";

/// Returns L-BFGS with a line search for the weak Wolfe conditions, which evaluates the loss and
/// its gradient, once if a step size of 1 is right, as it usually is. `history` is the number of
/// steps from which the curvature is estimated, usually 5 to 20.
///
/// It is for losses without noise: all data in one batch, and no dropout. A step after which the
/// curvature would be negative is not remembered. If the line search does not find a lower loss,
/// the parameters stay.
///
/// # Errors
///
/// The updates carry an error if `history` is 0, or if the step has no function that evaluates the
/// loss: see [`Optim::step_with`].
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// // The minimum of Rosenbrock's function is at [1, 1], in a narrow curved valley.
/// let loss = |p: &Tensor| value_and_grad_at(p, |p| {
///     (1.0 - p.get(0)).square() + (p.get(1) - p.get(0).square()).square() * 100.0
/// });
/// let opt = optim::lbfgs(10);
/// let start = tensor([-1.2, 1.0]);
/// let (mut p, mut state) = (start.clone(), opt.init(&start));
/// for _ in 0..40 {
///     let (value, grads) = loss(&p);
///     let input = optim::StepInput::new().loss(&value).evaluate(&loss);
///     (p, state) = opt.step_with(&p, &grads, state, input);
/// }
/// assert_eq!(p.allclose(tensor([1.0, 1.0]), 1e-4, 0.0).item()?, 1.0, "{p}");
/// # Ok::<(), Error>(())
/// ```
pub fn lbfgs(history: usize) -> Optim {
    Optim::new(Lbfgs { history, searches: true })
}

/// Returns the direction of L-BFGS without a line search, for custom chains: gradients times the
/// inverse of the estimated Hessian matrix, which starts as the identity, limited to a step of norm
/// 1, as in Optax.
///
/// # Errors
///
/// The updates carry an error if `history` is 0.
pub fn scale_by_lbfgs(history: usize) -> Optim {
    Optim::new(Lbfgs { history, searches: false })
}

struct Lbfgs {
    history: usize,
    searches: bool,
}

impl Rule for Lbfgs {
    fn init(&self, params: &[Tensor], _: &[String]) -> Slots {
        let x = flat(params);
        let none = Tensor::zeros([self.history, x.size()]).to(x.dtype());
        Slots::from([
            (PREVIOUS.into(), vec![x.zeros_like(); 2]),
            (DIFFERENCES.into(), vec![none; 2]),
            (WEIGHTS.into(), vec![Tensor::zeros([self.history]).to(x.dtype())]),
        ])
    }

    fn update(&self, grads: Vec<Tensor>, slots: &mut Slots, step: &Step) -> Vec<Tensor> {
        if self.history == 0 {
            return invalid("lbfgs", "expected a history of at least 1 step, got 0".into(), &grads);
        }
        if grads.is_empty() {
            return grads;
        }
        let (x, g) = (flat(step.params), flat(&grads));
        let direction = match Memory::after(slots, &x, &g, step.count, self.history) {
            Ok(memory) => {
                let direction = memory.direction(&g);
                memory.put(slots, x.clone(), g.clone());
                direction
            }
            Err(e) => Tensor::from_error(e),
        };
        match self.searches {
            true => unflat(&searched(&x, &g, &direction, step), &grads),
            false => unflat(&direction, &grads),
        }
    }

    /// Forgets the history, which is one of all parameters together.
    fn change(&self, _: Slots, change: &ParamChange) -> Slots {
        let mut slots = self.init(change.params(), change.paths());
        // No difference to NaN is kept.
        let unknown = |old: Vec<Tensor>| old.iter().map(|x| x.full_like(f64::NAN)).collect();
        slots.entry(PREVIOUS.into()).and_modify(|old| *old = unknown(std::mem::take(old)));
        slots
    }
}

/// Returns the update along `-direction` that a line search finds.
fn searched(x: &Tensor, g: &Tensor, direction: &Tensor, step: &Step) -> Tensor {
    let Some(evaluate) = step.evaluate else { return Tensor::from_error(no_evaluate("lbfgs")) };
    let at = |size: &Tensor| {
        let moved = unflat(&(x - direction * size), step.params);
        let (loss, grads) = evaluate.at(&moved);
        (loss.to(x.dtype()), -(flat(&grads) * direction).sum(..))
    };
    let loss = step.loss.cloned().unwrap_or_else(|| evaluate.at(step.params).0);
    let size = step_size(&loss.to(x.dtype()), &-(g * direction).sum(..), at);
    direction * -size
}

/// The differences of the last steps.
struct Memory {
    params: Tensor,
    grads: Tensor,
    weights: Tensor,
}

impl Memory {
    /// Takes the memory out of the slots, and adds the difference to the previous step.
    ///
    /// # Errors
    /// If a slot is missing.
    fn after(
        slots: &mut Slots,
        x: &Tensor,
        g: &Tensor,
        count: &Tensor,
        history: usize,
    ) -> Result<Memory, Error> {
        let [old_x, old_g] = pair(slots, PREVIOUS)?;
        let [params, grads] = pair(slots, DIFFERENCES)?;
        let weights = slots.remove(WEIGHTS).and_then(|mut slot| slot.pop());
        let weights = weights.ok_or_else(|| missing(WEIGHTS))?;
        let (s, y) = (x - old_x, g - old_g);
        let product = (&s * &y).sum(..);
        let is_kept = count.gt(0.0) & product.gt(0.0);
        let weight = 1.0 / is_kept.select(product, 1.0);
        let pushed = |old: Tensor, new: &Tensor| {
            let rest = old.slice(0, 1..history as i64);
            is_kept.select(concat([rest, new.expand_dims(0)], 0), old)
        };
        Ok(Memory {
            params: pushed(params, &s),
            grads: pushed(grads, &y),
            weights: pushed(weights, &weight),
        })
    }

    fn put(self, slots: &mut Slots, x: Tensor, g: Tensor) {
        slots.insert(PREVIOUS.into(), vec![x, g]);
        slots.insert(DIFFERENCES.into(), vec![self.params, self.grads]);
        slots.insert(WEIGHTS.into(), vec![self.weights]);
    }

    /// Returns the product of the estimated inverse Hessian matrix and `g`: algorithm 7.4 of
    /// Nocedal and Wright, Numerical Optimization, 2006.
    fn direction(&self, g: &Tensor) -> Tensor {
        let pairs = || (self.params.clone(), self.grads.clone(), self.weights.clone());
        let (q, products) = scan_reverse(g.clone(), pairs(), |q, (s, y, weight)| {
            let product = (s * &q).sum(..) * weight;
            (q - &product * y, product)
        });
        let (q, _) =
            scan(q * self.scale(g), (pairs(), products), |q, ((s, y, weight), product)| {
                let other = (y * &q).sum(..) * weight;
                (q + s * (product - other), ())
            });
        q
    }

    /// Returns the scale of the matrix at the start: the inverse curvature along the last step.
    fn scale(&self, g: &Tensor) -> Tensor {
        let (y, weight) = (self.grads.get(-1), self.weights.get(-1));
        let is_known = weight.gt(0.0);
        let curvature = y.square().sum(..) * weight;
        let norm = root(&g.square().sum(..));
        let unknown = 1.0 / norm.maximum(1.0);
        is_known.select(1.0 / is_known.select(curvature, 1.0), unknown)
    }
}

/// Takes a slot of two tensors.
fn pair(slots: &mut Slots, name: &str) -> Result<[Tensor; 2], Error> {
    let found = slots.remove(name).and_then(|slot| slot.try_into().ok());
    found.ok_or_else(|| missing(name))
}

/// Returns all elements as one vector, f64 if one of the tensors is.
fn flat(xs: &[Tensor]) -> Tensor {
    let is_wide = xs.iter().any(|x| x.dtype() == DType::F64);
    let dtype = if is_wide { DType::F64 } else { DType::F32 };
    match xs.is_empty() {
        true => Tensor::zeros([0]).to(dtype),
        false => concat(xs.iter().map(|x| x.to(dtype).reshape([x.size()])).collect::<Vec<_>>(), 0),
    }
}

/// Returns the parts of a vector in the shapes and dtypes of `like`.
fn unflat(x: &Tensor, like: &[Tensor]) -> Vec<Tensor> {
    let mut start = 0;
    let part = |like: &Tensor| {
        let end = start + like.size() as i64;
        let part = x.slice(0, start..end).reshape(like.shape().to_vec()).to(like.dtype());
        start = end;
        part
    };
    like.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{OptState, StepInput, per_group_or, sgd};
    use neurax_tensor::{Tree, jit, tensor, value_and_grad_at};

    /// Returns a quadratic function of two parameters, whose curvatures differ by a factor of 100.
    fn loss(p: &(Tensor, Tensor)) -> (Tensor, (Tensor, Tensor)) {
        value_and_grad_at(p, |(a, b)| {
            let b = b.to(DType::F32);
            (&a - 1.0).square().sum(..) * 50.0 + (a.sum(..) + b - 3.0).square().sum(..) * 0.5
        })
    }

    fn start() -> (Tensor, Tensor) {
        (tensor([[4.0, -2.0]]), tensor([0.5]).to(DType::F64))
    }

    fn step(opt: &Optim, p: &(Tensor, Tensor), s: OptState) -> ((Tensor, Tensor), OptState) {
        let (value, grads) = loss(p);
        opt.step_with(p, &grads, s, StepInput::new().loss(&value).evaluate(&loss))
    }

    #[test]
    fn a_quadratic_function_takes_a_few_steps_eagerly_and_jitted() {
        let opt = lbfgs(3);
        let jitted = jit(|(p, s): ((Tensor, Tensor), OptState)| step(&opt, &p, s));
        let (mut p, mut s) = (start(), opt.init(&start()));
        let (mut q, mut t) = (start(), opt.init(&start()));
        for _ in 0..8 {
            (p, s) = step(&opt, &p, s);
            (q, t) = jitted.run((q, t)).unwrap();
            assert!(p.0.allclose(&q.0, 1e-4, 1e-4).item().unwrap() == 1.0, "{} {}", p.0, q.0);
        }
        assert!(loss(&p).0.item().unwrap() < 1e-6, "{} {}", p.0, p.1);
        assert_eq!(jitted.traces(), 1);
        assert_eq!((p.0.dtype(), p.1.dtype()), (DType::F32, DType::F64));
    }

    #[test]
    fn at_the_minimum_the_parameters_stay() {
        let opt = lbfgs(3);
        let minimum = (tensor([[1.0, 1.0]]), tensor([1.0]).to(DType::F64));
        let (mut p, mut s) = (minimum.clone(), opt.init(&minimum));
        for _ in 0..3 {
            (p, s) = step(&opt, &p, s);
        }
        assert!(s.ok().is_ok());
        assert_eq!(p.0.to_vec::<f32>().unwrap(), [1.0, 1.0]);
    }

    #[test]
    fn it_can_be_the_optimizer_of_a_group() {
        let opt = per_group_or([("0", lbfgs(4))], sgd(0.1));
        let (mut p, mut s) = (start(), opt.init(&start()));
        for _ in 0..100 {
            (p, s) = step(&opt, &p, s);
        }
        assert!(loss(&p).0.item().unwrap() < 1e-6, "{} {}", p.0, p.1);
    }

    #[test]
    fn invalid_uses_are_errors() {
        let p = tensor([1.0]);
        let message = |opt: Optim, state| {
            let (q, _) = opt.step(&p, &p, state);
            q.ok().unwrap_err().message().to_string()
        };
        let none = lbfgs(0).init(&p);
        assert!(message(lbfgs(0), none).contains("a history of at least 1 step"));
        assert!(message(scale_by_lbfgs(2), sgd(0.1).init(&p)).contains("missing slot"));
        assert!(message(lbfgs(2), lbfgs(2).init(&p)).contains("a function that evaluates"));
        let empty = Tensor::zeros([0]);
        assert!(
            scale_by_lbfgs(2).step(&empty, &empty, scale_by_lbfgs(2).init(&empty)).0.ok().is_ok()
        );
    }
}
