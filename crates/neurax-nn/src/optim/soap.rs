//! SOAP, Adam in the eigenbasis of Shampoo: Vyas et al., 2024 (<https://arxiv.org/abs/2409.11321>).
//!
//! For a gradient `G` of shape `[m, n]`, SOAP keeps the averages `L` of `G Gᵀ` and `R` of `Gᵀ G`,
//! and orthogonal matrices `P` and `Q` near their eigenvectors. It is Adam for the rotated gradient
//! `Pᵀ G Q`; its direction `D` is rotated back, `P D Qᵀ`. Every few steps the columns are sorted by
//! their eigenvalues, and one orthogonal iteration is done: `P` becomes the orthonormal factor of
//! `L P`. The orthonormal factor is that of Gram and Schmidt, done twice, in f64.
//!
//! The first step finds the eigenvectors with many such iterations, from the identity on. As in the
//! authors' code (<https://github.com/nikhilvyas/SOAP>), its direction is 0, so that no gradient is
//! rotated with a basis made from it; weight decay moves the parameters in this step, too.

use super::averages::{Corrections, Moments, average};
use super::option_checks::no_steps;
use super::options::{decay_options, moment_options, with_decay, with_rate};
use super::param_rule::{ParamRule, for_each_param};
use super::shampoo::{limited, matrix_of};
use super::{Optim, Rate};
use neurax_tensor::{DType, Tensor, cond, fori, keep, scan, stop_gradient};

/// The number of orthogonal iterations in the first step. Eigenvectors whose eigenvalues differ by
/// a quarter are then exact to 1e-6; those of nearly equal ones may be any basis of their space.
const FIRST_ITERATIONS: i64 = 64;

/// The multiple of the mean eigenvalue that is added to all, so that the columns stay independent.
const SHIFT: f64 = 1e-10;

/// Returns [`Soap`] with averages of decay 0.95, bases that change every 10 steps, and axes of up
/// to 256 elements. Rates of Adam fit; the first step has no direction.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, mut p) = (optim::soap(0.1), tensor([[1.0, 2.0], [3.0, -4.0]]));
/// let mut state = opt.init(&p);
/// for _ in 0..100 {
///     let grads = p.clone();
///     (p, state) = opt.step(&p, &grads, state);
/// }
/// assert!(p.abs().max(..).item()? < 0.2, "{p}");
/// # Ok::<(), Error>(())
/// ```
pub fn soap(rate: impl Rate) -> Optim {
    Soap::new().rate(rate)
}

/// SOAP with options. It is for parameters with at least two axes, of which the axes behind the
/// first one count as one; the direction is that of [`adam`](super::adam) for others. β₁ is the
/// decay of the average of the gradients, β₂ that of their squares and of `G Gᵀ` and `Gᵀ G`.
///
/// # Errors
///
/// The updates carry an error if β₁ or β₂ is not in `0..1`, ε is negative, or `every` is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::Soap::new().every(20).largest(512).rate(3e-3);
/// let state = opt.init(&Tensor::zeros([600, 2]));
/// assert_eq!(state.slots[0]["right_basis"][0].shape(), [2, 2]);
/// assert_eq!(state.slots[0]["left_basis"][0].shape(), [], "no basis of 600 rows");
/// ```
#[derive(Clone, Debug)]
pub struct Soap {
    moments: Moments,
    every: usize,
    largest: usize,
    weight_decay: Option<Optim>,
}

impl Soap {
    /// Creates SOAP with β₁ = β₂ = 0.95, ε = 1e-8, bases that change every 10 steps, and axes of up
    /// to 256 elements.
    pub fn new() -> Soap {
        let moments = Moments { b1: 0.95, b2: 0.95, ..Moments::with_eps(1e-8) };
        Soap { moments, every: 10, largest: 256, weight_decay: None }
    }

    /// Returns the direction without a learning rate, for custom chains.
    pub fn transform(self) -> Optim {
        with_decay(self.weight_decay.clone(), for_each_param(self))
    }
}

moment_options! {
    impl Soap {
        /// Sets the number of steps after which the bases change.
        every: usize = every;
        /// Sets the size of the longest axis that has a basis: the time of a change grows with the
        /// third power of the size, in steps that are not parallel.
        largest: usize = largest;
    }
}
decay_options!(Soap);
with_rate!(Soap);

/// The scalars of a step.
pub(super) struct SoapScalars {
    corrections: Corrections,
    is_first: Tensor,
    /// True if the bases change after this step.
    is_due: Tensor,
}

/// One axis of a matrix: its average and its basis, if it has one.
struct MatrixSide {
    has_basis: bool,
    average: Tensor,
    basis: Tensor,
}

impl MatrixSide {
    /// Returns this side of `x` in the basis; `axis` is 0 or 1.
    fn rotated(&self, x: Tensor, axis: usize) -> Tensor {
        match (self.has_basis, axis) {
            (false, _) => x,
            (true, 0) => self.basis.t().matmul(x),
            (true, _) => x.matmul(&self.basis),
        }
    }

    /// Returns `x`, which is in the basis at this side, in the original one.
    fn restored(&self, x: Tensor, axis: usize) -> Tensor {
        match (self.has_basis, axis) {
            (false, _) => x,
            (true, 0) => self.basis.matmul(x),
            (true, _) => x.matmul(self.basis.t()),
        }
    }

    /// Returns the side after the gradient `g`, and `v`, whose `axis` is in the order of the basis.
    fn after(
        self,
        g: &Tensor,
        v: Tensor,
        axis: usize,
        decay: f64,
        s: &SoapScalars,
    ) -> (MatrixSide, Tensor) {
        if !self.has_basis {
            return (self, v);
        }
        let product = if axis == 0 { g.matmul(g.t()) } else { g.t().matmul(g) };
        let new = average(self.average, &product, decay);
        let (fixed, old) = (stop_gradient(&new), self.basis);
        let first = || (first_basis(&fixed).to(old.dtype()), v.clone());
        let later = || {
            let order = eigenvalues(&fixed, &old).argsort(0).flip(0);
            let sorted = old.take(&order, 1);
            let basis = iterated(&shifted(&fixed), &sorted.to(DType::F64)).to(old.dtype());
            (basis, v.take(&order, axis as i64))
        };
        let same = || (old.clone(), v.clone());
        let not_first = || if_then(&s.is_due, &later, &same);
        let (basis, v) = if_then(&s.is_first, &first, &not_first);
        (MatrixSide { has_basis: true, average: new, basis }, v)
    }
}

impl ParamRule<6> for Soap {
    type Scalars = SoapScalars;
    const NAME: &'static str = "soap";
    const SLOTS: [&'static str; 6] = ["m", "v", "left", "right", "left_basis", "right_basis"];

    fn error(&self) -> Option<String> {
        let moments = self.moments.error();
        moments.or_else(|| no_steps(self.every, "10 steps between new bases are usual"))
    }

    /// Returns the averages of gradients and rotated squares, those of products, and the bases; a
    /// scalar of zero for an axis without a basis.
    fn init(&self, param: &Tensor) -> [Tensor; 6] {
        let none = || Tensor::scalar(param.dtype(), 0.0);
        let (sizes, has_basis) = matrix_of(param, self.largest).unwrap_or(([0, 0], [false; 2]));
        let of = |i: usize, f: fn(usize) -> Tensor| match has_basis[i] {
            true => f(sizes[i]).to(param.dtype()),
            false => none(),
        };
        let zeros = |n: usize| Tensor::zeros([n, n]);
        let [m, v] = [param.zeros_like(), param.zeros_like()];
        [m, v, of(0, zeros), of(1, zeros), of(0, Tensor::eye), of(1, Tensor::eye)]
    }

    fn scalars(&self, t: &Tensor) -> SoapScalars {
        let moved = t - 1.0;
        let is_due = (&moved % self.every as f64).equal(0.0);
        let corrections = self.moments.corrections(&moved.maximum(1.0));
        SoapScalars { corrections, is_first: moved.equal(0.0), is_due }
    }

    fn update(
        &self,
        g: &Tensor,
        param: &Tensor,
        [m, v, left, right, left_basis, right_basis]: [Tensor; 6],
        scalars: &SoapScalars,
    ) -> (Tensor, [Tensor; 6]) {
        let Moments { b1, b2, .. } = self.moments;
        let shape = param.shape().to_vec();
        let (sizes, has_basis) = match matrix_of(param, self.largest) {
            Some((sizes, has_basis)) => (sizes.to_vec(), has_basis),
            None => (shape.clone(), [false, false]),
        };
        let rows = MatrixSide { has_basis: has_basis[0], average: left, basis: left_basis };
        let columns = MatrixSide { has_basis: has_basis[1], average: right, basis: right_basis };
        let rotated = |x: Tensor| columns.rotated(rows.rotated(x, 0), 1);
        let [g, m, v] = [limited(g), m, v].map(|x| x.reshape(&sizes[..]));
        let moved = average(m.clone(), &g, b1);
        let squares = average(v.clone(), &rotated(g.clone()).square(), b2);
        let direction =
            self.moments.direction(&rotated(moved.clone()), &squares, &scalars.corrections);
        let direction = rows.restored(columns.restored(direction, 1), 0);
        let is_first = &scalars.is_first;
        let update = is_first.select(direction.zeros_like(), direction);
        let [m, v] = [is_first.select(m, moved), is_first.select(v, squares)];
        let (rows, v) = rows.after(&g, v, 0, b2, scalars);
        let (columns, v) = columns.after(&g, v, 1, b2, scalars);
        let [update, m, v] = [update, m, v].map(|x| x.reshape(&shape[..]));
        (update, [m, v, rows.average, columns.average, rows.basis, columns.basis])
    }
}

type BasisAndSquares = (Tensor, Tensor);

/// Returns the value of one of two functions. It is known which one, if the step is not traced.
fn if_then(
    is_true: &Tensor,
    then: &dyn Fn() -> BasisAndSquares,
    otherwise: &dyn Fn() -> BasisAndSquares,
) -> BasisAndSquares {
    match is_true.item() {
        Ok(0.0) => otherwise(),
        Ok(_) => then(),
        Err(_) => cond(is_true, then, otherwise),
    }
}

/// Returns the elements of the diagonal of `basisᵀ · a · basis`.
fn eigenvalues(a: &Tensor, basis: &Tensor) -> Tensor {
    (basis * a.matmul(basis)).sum(0)
}

/// Returns a symmetric matrix, f64, divided by its mean eigenvalue, plus a small multiple of the
/// identity; the identity for a matrix of zeros.
fn shifted(a: &Tensor) -> Tensor {
    let n = a.shape()[0];
    let a = a.to(DType::F64);
    let identity = Tensor::eye(n).to(DType::F64);
    let mean = (&a * &identity).sum(..) / n as f64;
    let is_zero = mean.le(0.0);
    let scaled = is_zero.select(&identity, &a / is_zero.select(1.0, &mean));
    scaled + identity * SHIFT
}

/// Returns eigenvectors of a symmetric matrix as columns, f64, those of the largest eigenvalues
/// first.
fn first_basis(a: &Tensor) -> Tensor {
    let a = shifted(a);
    let start = Tensor::eye(a.shape()[0]).to(DType::F64);
    fori(0..FIRST_ITERATIONS, start, |_, basis| iterated(&a, &basis))
}

/// Returns the orthonormal factor of `a · basis`.
fn iterated(a: &Tensor, basis: &Tensor) -> Tensor {
    orthonormal_rows(&a.matmul(basis).t()).t()
}

/// Returns rows that are orthonormal, of which the first `k` have the span of the first `k` rows of
/// `x`, a square matrix.
fn orthonormal_rows(x: &Tensor) -> Tensor {
    let indices = Tensor::arange(x.shape()[0]);
    let row = |done: Tensor, (i, row): (Tensor, Tensor)| {
        let mut row = row;
        // Once leaves rounding errors of the size of the row in those that lie near the others.
        for _ in 0..2 {
            row = &row - done.matmul(&row).matmul(&done);
        }
        let row = &row / row.square().sum(keep(0)).sqrt();
        (indices.equal(i).expand_dims(-1).select(&row, done), ())
    };
    scan(x.zeros_like(), (indices.clone(), x.clone()), row).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{key, tensor};

    #[test]
    fn first_bases_are_eigenvectors() {
        let x = key(0).normal_of(DType::F64, [4, 6]);
        for a in [x.matmul(x.t()), Tensor::zeros([3, 3]).to(DType::F64)] {
            let q = first_basis(&a);
            let n = a.shape()[0];
            let eye = Tensor::eye(n).to(DType::F64);
            assert!(q.t().matmul(&q).allclose(&eye, 0.0, 1e-12).item().unwrap() == 1.0, "{q}");
            let diagonal = q.t().matmul(&a).matmul(&q);
            let rest = (&diagonal * (1.0 - &eye)).abs().max(..).item().unwrap();
            assert!(rest < 1e-5, "{diagonal}");
            let values = eigenvalues(&a, &q).to_vec::<f64>().unwrap();
            assert!(values.is_sorted_by(|a, b| a >= b), "{values:?}");
        }
    }

    #[test]
    fn nearly_dependent_rows_become_orthonormal() {
        let x = tensor([[1.0, 1e-7, 0.0], [1.0, 0.0, 1e-7], [1.0, 0.0, 0.0]]).to(DType::F64);
        let q = orthonormal_rows(&x);
        let eye = Tensor::eye(3).to(DType::F64);
        assert!(q.matmul(q.t()).allclose(eye, 0.0, 1e-12).item().unwrap() == 1.0, "{q}");
    }

    #[test]
    fn long_axes_have_no_basis_and_options_are_checked() {
        let p = Tensor::ones([3, 2, 2]);
        let options = |every| Soap::new().every(every).largest(3).transform();
        let opt = options(1);
        let state = opt.init(&p);
        assert_eq!(state.slots[0]["left_basis"][0].shape(), [3, 3]);
        assert!(state.slots[0]["right_basis"][0].shape().is_empty());
        let (first, state) = opt.update(&p, &p, state);
        let (second, _) = opt.update(&p, &p, state);
        assert_eq!(first.abs().max(..).item().unwrap(), 0.0);
        assert!(second.is_finite().all(..).item().unwrap() == 1.0, "{second}");
        let opt = options(0);
        let e = opt.update(&p, &p, opt.init(&p)).0.error().unwrap().to_string();
        assert!(e.contains("at least 1 step, got 0"), "{e}");
    }
}
