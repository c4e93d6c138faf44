//! Shampoo: Gupta, Koren and Singer, 2018 (<https://arxiv.org/abs/1802.09568>), grafted to Adam as
//! in Anil et al., 2020 (<https://arxiv.org/abs/2002.09018>).
//!
//! For a gradient `G` of shape `[m, n]`, Shampoo keeps the averages `L` of `G Gᵀ` and `R` of
//! `Gᵀ G`, and the direction is `L^(-1/4) G R^(-1/4)`. The inverse roots are computed with the
//! coupled Newton iteration (Guo and Higham, 2006, <https://doi.org/10.1137/050643374>): with
//! `H = I z^(1/4)`, `M = A z` and `z = 5 / (2 ‖A‖)`, each iteration computes
//! `T = (5 I - M) / 4`, `M ← T⁴ M`, `H ← H T`; then `M` converges to `I` and `H` to `A^(-1/4)`.

use super::averages::{Corrections, Moments, average};
use super::clip::global_norm;
use super::option_checks::{no_steps, option_error};
use super::options::{decay_options, options, with_decay, with_rate};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate};
use neurax_tensor::{DType, Tensor, Tree, cond, stop_gradient, tensor, while_loop};
use std::slice;

/// The largest number of Newton iterations. A condition number of 1e6 takes 25.
const MAX_ITERATIONS: i32 = 50;

/// The largest difference of an element of `M` to the identity at the end of the iteration.
const TOLERANCE: f64 = 1e-10;

/// Returns [`Shampoo`] with averages of decay 0.999, ε = 1e-6, roots that are computed every 10
/// steps, and axes of up to 1024 elements. Rates of Adam fit.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::shampoo(0.1), Tensor::zeros([2, 2]));
/// let (p, _) = opt.step(&p, &tensor([[2.0, 0.0], [0.0, 8.0]]), opt.init(&p));
/// // As Adam, it does not depend on the size of the gradients.
/// assert_eq!(p.allclose(tensor([[-0.1, 0.0], [0.0, -0.1]]), 1e-3, 1e-6).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn shampoo(rate: impl Rate) -> Optim {
    Shampoo::new().rate(rate)
}

/// Shampoo with options. The direction of a parameter with at least two axes, of which the axes
/// behind the first one count as one, is the average of gradients (decay 0.9) between the inverse
/// fourth roots of the averages of `G Gᵀ` and `Gᵀ G`, to which ε times their mean eigenvalue is
/// added. Each direction has the norm of that of [`adam`](super::adam), which is the direction for
/// other parameters.
///
/// # Errors
///
/// The updates carry an error if the decay is not in `0..1`, ε is negative, or `every` is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::Shampoo::new().every(20).largest(512).rate(1e-3);
/// let state = opt.init(&Tensor::zeros([600, 2]));
/// assert_eq!(state.slots[0]["right"][0].shape(), [2, 2]);
/// assert_eq!(state.slots[0]["left"][0].shape(), [], "no average of 600 rows");
/// ```
#[derive(Clone, Debug)]
pub struct Shampoo {
    decay: f64,
    eps: f64,
    every: usize,
    largest: usize,
    adam: Moments,
    weight_decay: Option<Optim>,
}

impl Shampoo {
    /// Creates Shampoo with averages of decay 0.999, ε = 1e-6, roots that are computed every 10
    /// steps, and axes of up to 1024 elements.
    pub fn new() -> Shampoo {
        let adam = Moments::with_eps(1e-8);
        Shampoo { decay: 0.999, eps: 1e-6, every: 10, largest: 1024, adam, weight_decay: None }
    }

    /// Returns the direction without a learning rate, for custom chains.
    pub fn transform(self) -> Optim {
        with_decay(self.weight_decay.clone(), for_each_param(self))
    }
}

options! {
    impl Shampoo {
        /// Sets the decay of the averages of products.
        decay: f64 = decay;
        /// Sets ε, the multiple of the mean eigenvalue that is added to all.
        eps: f64 = eps;
        /// Sets the number of steps after which the roots are computed again.
        every: usize = every;
        /// Sets the size of the longest axis that has an average.
        largest: usize = largest;
    }
}
decay_options!(Shampoo);
with_rate!(Shampoo);

/// The scalars of a step.
pub(super) struct Scalars {
    corrections: Corrections,
    /// True if the roots are computed in this step.
    is_due: Tensor,
}

impl Shampoo {
    /// Returns the inverse root of an average, the old one if it is not due.
    fn root(&self, average: &Tensor, old: &Tensor, is_due: &Tensor) -> Tensor {
        let average = stop_gradient(average);
        let new = || inverse_fourth_root(&average, self.eps).to(old.dtype());
        // Known, if the step is not traced.
        match is_due.item() {
            Ok(0.0) => old.clone(),
            Ok(_) => new(),
            Err(_) => cond(is_due, new, || old.clone()),
        }
    }
}

impl ParamRule<6> for Shampoo {
    type Scalars = Scalars;
    const NAME: &'static str = "shampoo";
    const SLOTS: [&'static str; 6] = ["m", "v", "left", "right", "left_root", "right_root"];

    fn error(&self) -> Option<String> {
        let averages = option_error(&[self.decay], &[self.eps]);
        averages.or_else(|| no_steps(self.every, "10 steps between new roots are usual"))
    }

    /// Returns the averages of gradients and squares, those of products, and their inverse roots; a
    /// scalar of zero for an axis without an average.
    fn init(&self, param: &Tensor) -> [Tensor; 6] {
        let none = || Tensor::scalar(param.dtype(), 0.0);
        let (sizes, has_average) =
            matrix_of(param, self.largest).unwrap_or(([0, 0], [false, false]));
        let zeros = |i: usize| match has_average[i] {
            true => Tensor::zeros([sizes[i], sizes[i]]).to(param.dtype()),
            false => none(),
        };
        let [m, v] = [param.zeros_like(), param.zeros_like()];
        [m, v, zeros(0), zeros(1), zeros(0), zeros(1)]
    }

    fn scalars(&self, t: &Tensor) -> Scalars {
        let is_due = ((t - 1.0) % self.every as f64).equal(0.0);
        Scalars { corrections: self.adam.corrections(t), is_due }
    }

    fn update(
        &self,
        g: &Tensor,
        param: &Tensor,
        [m, v, left, right, left_root, right_root]: [Tensor; 6],
        scalars: &Scalars,
    ) -> (Tensor, [Tensor; 6]) {
        let [m, v] = self.adam.after(g, [m, v]);
        let direction = self.adam.direction(&m, &v, &scalars.corrections);
        let Some((sizes, has_average)) = matrix_of(param, self.largest) else {
            return (direction, [m, v, left, right, left_root, right_root]);
        };
        let (g, mut update) = (limited(g).reshape(sizes), limited(&m).reshape(sizes));
        let step = |is_used: bool, old: Tensor, root: Tensor, product: &dyn Fn() -> Tensor| {
            if !is_used {
                return (old, root);
            }
            let new = average(old, &product(), self.decay);
            let root = self.root(&new, &root, &scalars.is_due);
            (new, root)
        };
        let (left, left_root) = step(has_average[0], left, left_root, &|| g.matmul(g.t()));
        let (right, right_root) = step(has_average[1], right, right_root, &|| g.t().matmul(&g));
        if has_average[0] {
            update = left_root.matmul(update);
        }
        if has_average[1] {
            update = update.matmul(&right_root);
        }
        let update = grafted(&update.reshape(param.shape().to_vec()), &direction);
        (update, [m, v, left, right, left_root, right_root])
    }
}

/// Returns the rows and columns of a parameter as a matrix, and for each of them if it has an
/// average, as axes of 2 to `largest` elements have; `None` if none has.
pub(super) fn matrix_of(param: &Tensor, largest: usize) -> Option<([usize; 2], [bool; 2])> {
    let [rows, rest @ ..] = &param.shape()[..] else { return None };
    let sizes = [*rows, rest.iter().product()];
    let has_average = sizes.map(|n| (2..=largest).contains(&n));
    (!rest.is_empty() && has_average.contains(&true)).then_some((sizes, has_average))
}

/// Limits the elements of `g` so that their products and sums of these are finite.
pub(super) fn limited(g: &Tensor) -> Tensor {
    let limit = match g.dtype() {
        DType::F64 => 1e150,
        _ => 1e15,
    };
    g.clip(-limit, limit)
}

/// Returns `x` with the norm of `y`.
fn grafted(x: &Tensor, y: &Tensor) -> Tensor {
    let norm = |x: &Tensor| global_norm(slice::from_ref(x));
    let (Some(old), Some(new)) = (norm(x), norm(y)) else { return x.clone() };
    let is_zero = old.equal(0.0);
    let factor = is_zero.select(0.0, new / is_zero.select(1.0, old));
    (x.to(DType::F64) * factor).to(x.dtype())
}

/// The iteration in progress.
#[derive(Tree, Clone)]
struct Newton {
    /// The matrix that converges to the identity.
    m: Tensor,
    /// The matrix that converges to the root.
    h: Tensor,
    error: Tensor,
    iterations: Tensor,
}

/// Returns the inverse fourth root, f64, of a symmetric matrix without negative eigenvalues, to
/// which `epsilon` times the mean eigenvalue is added; the identity for a matrix of zeros.
fn inverse_fourth_root(a: &Tensor, epsilon: f64) -> Tensor {
    let n = a.shape()[0];
    let a = a.to(DType::F64);
    let identity = Tensor::eye(n).to(DType::F64);
    let mean = (&a * &identity).sum(..) / n as f64;
    let is_zero = mean.le(0.0);
    let mean = is_zero.select(1.0, mean);
    let a = is_zero.select(&identity, &a / &mean) + &identity * epsilon;
    let z = 2.5 / a.square().sum(..).sqrt();
    let fourth_root = |x: &Tensor| x.sqrt().sqrt();
    let start = Newton {
        m: &a * &z,
        h: &identity * fourth_root(&z),
        error: Tensor::scalar(DType::F64, f64::INFINITY),
        iterations: tensor(0),
    };
    let goes_on = |s: &Newton| s.error.gt(TOLERANCE) & s.iterations.lt(MAX_ITERATIONS);
    let last = while_loop(start, goes_on, |s| {
        let t = (&identity * 5.0 - &s.m) / 4.0;
        let square = t.matmul(&t);
        let m = square.matmul(&square).matmul(&s.m);
        let error = (&m - &identity).abs().max(..);
        Newton { m, h: s.h.matmul(&t), error, iterations: s.iterations + 1 }
    });
    last.h / fourth_root(&mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};

    /// Returns the product of three matrices, of which the outer ones are symmetric.
    fn between(left: &Tensor, x: &Tensor, right: &Tensor) -> Tensor {
        left.matmul(x).matmul(right)
    }

    #[test]
    fn roots_are_those_of_the_eigenvalues() {
        // A rotation Q, and Q diag(d) Qᵀ.
        let (c, s) = (0.6, 0.8);
        let q = tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]).to(DType::F64);
        for d in [[1.0, 2.0, 3.0], [1e-6, 1.0, 0.5], [0.0, 0.0, 5.0], [1e8, 1e12, 3e10]] {
            let diagonal = |f: &dyn Fn(f64) -> f64| {
                let d = Tensor::from_slice(&d.map(f), 3);
                Tensor::eye(3).to(DType::F64) * d
            };
            let mean = d.iter().sum::<f64>() / 3.0;
            let found = inverse_fourth_root(&between(&q, &diagonal(&|x| x), &q.t()), 1e-6);
            let want = diagonal(&|x| (x + 1e-6 * mean).powf(-0.25));
            let want = between(&q, &want, &q.t());
            let error = (&found - &want).abs().max(..).item().unwrap();
            assert!(error < 1e-6 * want.abs().max(..).item().unwrap(), "{d:?}: {found} {want}");
        }
        let zeros = inverse_fourth_root(&Tensor::zeros([2, 2]), 0.0);
        assert!(zeros.allclose(Tensor::eye(2).to(DType::F64), 1e-9, 1e-9).item().unwrap() == 1.0);
    }

    #[test]
    fn the_direction_is_between_the_roots_and_has_the_norm_of_that_of_adam() {
        let g = tensor([[1.0, 2.0, 0.5], [-1.0, 0.25, 3.0]]);
        let options = |largest| Shampoo::new().decay(0.5).eps(1e-3).every(1).largest(largest);
        let (opt, adam) = (options(8).transform(), crate::optim::Adam::new().transform());
        let (u, state) = opt.update(&g, &g, opt.init(&g));
        let (v, _) = adam.update(&g, &g, adam.init(&g));
        let norm = |x: &Tensor| global_norm(slice::from_ref(x)).unwrap().item().unwrap();
        assert!((norm(&u) - norm(&v)).abs() < 1e-5);
        let root = |a: Tensor| inverse_fourth_root(&(a * 0.5), 1e-3).to(DType::F32);
        let want = between(&root(g.matmul(g.t())), &g, &root(g.t().matmul(&g)));
        let want = &want * (norm(&v) / norm(&want));
        assert!(u.allclose(&want, 1e-4, 1e-5).item().unwrap() == 1.0, "{u} {want}");
        assert_eq!(state.slots[0]["left_root"][0].shape(), [2, 2]);
        let long = options(2).transform().init(&g);
        assert!(long.slots[0]["right"][0].shape().is_empty());
        let kernel = Tensor::zeros([2, 3, 2]);
        assert_eq!(opt.init(&kernel).slots[0]["right"][0].shape(), [6, 6]);
    }

    #[test]
    fn vectors_move_as_with_adam_and_roots_are_kept_between() {
        let (mut m, mut v) = (0.0, 0.0);
        let want = formula(|p, g, t| {
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let root = f64::sqrt(v / (1.0 - 0.999f64.powi(t)));
            p - 0.1 * m / (1.0 - 0.9f64.powi(t)) / (root + 1e-8)
        });
        near_formula(shampoo(0.1), want);
        let options = |every| Shampoo::new().decay(0.9).every(every).transform();
        let (opt, g) = (options(3), tensor([[1.0, 2.0], [0.5, -1.0]]));
        let (mut state, mut roots) = (opt.init(&g), vec![]);
        for t in 0..4 {
            (_, state) = opt.update(&g, &(&g * f64::from(t)), state);
            roots.push(state.slots[0]["left_root"][0].to_vec::<f32>().unwrap());
        }
        assert_eq!((&roots[0], &roots[1]), (&roots[1], &roots[2]));
        assert_ne!(roots[2], roots[3]);
        let (u, _) = options(0).update(&g, &g, opt.init(&g));
        assert!(u.ok().unwrap_err().message().contains("at least 1 step, got 0"));
    }
}
