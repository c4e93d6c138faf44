//! Ranks, condition numbers, pseudo-inverses and least squares, by singular values.

use super::{
    common::{located, promote_operands, tensor_or_error},
    pseudo_inverse::{PseudoInverse, bound},
};
use crate::{DType, MatrixNorm, Operand, RankOptions, Tensor, keep, tensor::CallSite};
use std::panic::Location;

impl Tensor {
    /// Computes the condition number of matrices `[.., m, n]`: the largest singular value divided
    /// by the smallest, infinite for a singular matrix. Follows `numpy.linalg.cond`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the tensor has fewer than two axes, or empty matrices.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[4.0, 0.0], [0.0, 2.0]]).cond().item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn cond(&self) -> Tensor {
        let at = Location::caller();
        tensor_or_error(condition(self, "cond", MatrixNorm::Spectral, at))
    }

    /// Computes the condition number of matrices for a norm: the norm of the matrix times that of
    /// its inverse, infinite for a singular matrix.
    ///
    /// For [`MatrixNorm::Spectral`] and [`MatrixNorm::SmallestSingularValue`] it is the quotient of
    /// the largest and the smallest singular value, in this or in the other order, and matrices
    /// need not be square. Follows `numpy.linalg.cond` with `p`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the tensor has fewer than two axes, or empty matrices, or if
    /// the matrices are not square where the norm takes the inverse.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{MatrixNorm, prelude::*};
    /// let x = tensor([[4.0, 4.0], [0.0, 2.0]]);
    /// assert_eq!(x.cond_with(MatrixNorm::One).item()?, 6.0 * 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn cond_with(&self, order: MatrixNorm) -> Tensor {
        tensor_or_error(condition(self, "cond_with", order, Location::caller()))
    }

    /// Computes the rank of matrices `[.., m, n]`, i32: the number of singular values above
    /// `max(m, n) · epsilon` times the largest, with the epsilon of the dtype. Follows
    /// `numpy.linalg.matrix_rank`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the tensor has fewer than two axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1.0, 2.0], [2.0, 4.0]]).matrix_rank().item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn matrix_rank(&self) -> Tensor {
        let at = Location::caller();
        tensor_or_error(rank(self, "matrix_rank", &RankOptions::new(), at))
    }

    /// Computes the rank of matrices as [`Tensor::matrix_rank`] does, with another bound, or of
    /// Hermitian matrices. Follows `numpy.linalg.matrix_rank`; JAX takes its `rtol` as an absolute
    /// bound.
    ///
    /// # Errors
    ///
    /// The result carries an error if the tensor has fewer than two axes, if matrices that are
    /// taken as Hermitian are not square, and for bounds that are complex or do not broadcast.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[[4.0, 0.0], [0.0, 1.0]], [[4.0, 0.0], [0.0, 1.0]]]);
    /// let options = RankOptions::new().hermitian().relative(tensor([0.1, 0.5]));
    /// assert_eq!(x.matrix_rank_with(options).to_vec::<i32>()?, [2, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn matrix_rank_with(&self, options: RankOptions) -> Tensor {
        tensor_or_error(rank(self, "matrix_rank_with", &options, Location::caller()))
    }

    /// Computes the pseudo-inverse of Moore and Penrose of matrices `[.., m, n]`, `[.., n, m]`:
    /// singular values up to `10 · max(m, n) · epsilon` times the largest count as 0. Follows
    /// `jax.numpy.linalg.pinv`.
    ///
    /// The derivative is that of matrices of the same rank.
    ///
    /// # Errors
    ///
    /// The result carries an error if the tensor has fewer than two axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let inverse = tensor([[2.0], [0.0]]).pinv();
    /// assert_eq!(inverse.to_vec::<f32>()?, [0.5, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn pinv(&self) -> Tensor {
        let at = Location::caller();
        tensor_or_error(inverse(self, "pinv", &RankOptions::new(), at))
    }

    /// Computes the pseudo-inverse of matrices as [`Tensor::pinv`] does, with another bound, or of
    /// Hermitian matrices. Follows `jax.numpy.linalg.pinv` with `rtol` and `hermitian`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the tensor has fewer than two axes, if matrices that are
    /// taken as Hermitian are not square, and for bounds that are complex or do not broadcast.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[4.0, 0.0], [0.0, 0.5]]);
    /// let inverse = x.pinv_with(RankOptions::new().relative(0.2));
    /// assert_eq!(inverse.to_vec::<f32>()?, [0.25, 0.0, 0.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn pinv_with(&self, options: RankOptions) -> Tensor {
        tensor_or_error(inverse(self, "pinv_with", &options, Location::caller()))
    }

    /// Computes the `x` of the smallest norm among those that make the norm of `a · x - b`
    /// smallest, for matrices `a` `[.., m, n]`; `b` is a vector `[m]` or matrices `[.., m, k]`.
    /// Singular values up to `max(m, n) · epsilon` times the largest count as 0. Follows
    /// `numpy.linalg.lstsq`, of which it is the first result.
    ///
    /// # Errors
    ///
    /// The result carries an error if the sizes differ.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// // The line through (0, 1), (1, 3) and (2, 5).
    /// let a = tensor([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]);
    /// let line = a.lstsq(tensor([1.0, 3.0, 5.0]));
    /// assert!(line.allclose(tensor([2.0, 1.0]), 1e-5, 1e-5).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn lstsq(&self, b: impl Operand) -> Tensor {
        let (b, at) = (b.operand(self), Location::caller());
        match LeastSquares::of("lstsq", self, &b, &RankOptions::new(), at) {
            Ok((solved, inverse)) => solved.solution(&inverse, at),
            Err(e) => e,
        }
    }

    /// Computes the least-squares solution as [`Tensor::lstsq`] does, with another bound, or for
    /// Hermitian matrices. Returns the solution `x`, the sums of squares of the columns of
    /// `a · x - b`, the rank of `a`, i32, and its singular values in descending order. Follows
    /// `jax.numpy.linalg.lstsq`, whose sums are never empty.
    ///
    /// # Errors
    ///
    /// The results carry an error if the sizes differ, if matrices that are taken as Hermitian are
    /// not square, and for bounds that are complex or do not broadcast.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let a = tensor([[2.0, 0.0], [0.0, 0.1], [0.0, 0.0]]);
    /// let options = RankOptions::new().relative(0.1);
    /// let (x, residuals, rank, s) = a.lstsq_with(tensor([2.0, 1.0, 3.0]), options);
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 0.0]);
    /// assert_eq!((residuals.item()?, rank.item()?), (10.0, 1.0));
    /// assert_eq!(s.to_vec::<f32>()?, [2.0, 0.1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn lstsq_with(
        &self,
        b: impl Operand,
        options: RankOptions,
    ) -> (Tensor, Tensor, Tensor, Tensor) {
        let (b, at) = (b.operand(self), Location::caller());
        let solve = || {
            let (solved, inverse) = match LeastSquares::of("lstsq_with", self, &b, &options, at) {
                Ok(parts) => parts,
                Err(e) => return (e.clone(), e.clone(), e.clone(), e),
            };
            let x = solved.solution(&inverse, at);
            let rest = solved.residuals(&x, at);
            let rank = inverse.is_kept.to(DType::I32).sum(-1);
            (x, rest, rank, inverse.values.convert(solved.dtype.real(), at))
        };
        located(at, &[self, &b], solve)
    }
}

/// Computes the condition number of matrices.
#[track_caller]
fn condition(x: &Tensor, op: &str, order: MatrixNorm, at: CallSite) -> Result<Tensor, Tensor> {
    let (m, n) = x.matrix_size(op, at)?;
    if m == 0 || n == 0 {
        let why = format!("expected matrices that are not empty, got {}", x.dtype_and_shape());
        return Err(Tensor::fail(op, why, at));
    }
    let (x, dtype) = x.clone().float(at).wide(at);
    let quotient = match order {
        MatrixNorm::Spectral | MatrixNorm::SmallestSingularValue => {
            let s = x.svdvals();
            let (largest, smallest) = (s.max(-1), s.min(-1));
            match order {
                MatrixNorm::Spectral => largest / smallest,
                _ => smallest / largest,
            }
        }
        _ => {
            x.square_size(op, at)?;
            x.matrix_norm(order) * x.inv().matrix_norm(order)
        }
    };
    // The inverse of a singular matrix is NaN, and so is the quotient for zeros.
    let is_singular = quotient.is_nan() & x.is_nan().any([-2, -1]).logical_not();
    Ok(is_singular.select(f64::INFINITY, quotient).convert(dtype.real(), at))
}

/// Computes the rank of matrices.
#[track_caller]
fn rank(x: &Tensor, op: &str, options: &RankOptions, at: CallSite) -> Result<Tensor, Tensor> {
    let bound = bound(x, op, options, 1.0, at)?;
    let (x, _) = x.clone().float(at).wide(at);
    if x.dim(-2).min(x.dim(-1)) == 0 {
        return Ok(x.sum([-2, -1]).real().zeros_like().to(DType::I32));
    }
    let s = if options.is_hermitian { x.eigvalsh().abs() } else { x.svdvals() };
    Ok(s.gt(s.max(keep(-1)) * bound).to(DType::I32).sum(-1))
}

/// Computes the pseudo-inverse of matrices.
#[track_caller]
fn inverse(x: &Tensor, op: &str, options: &RankOptions, at: CallSite) -> Result<Tensor, Tensor> {
    let bound = bound(x, op, options, 10.0, at)?;
    let (x, dtype) = x.clone().float(at).wide(at);
    let inverse = PseudoInverse::of(&x, &bound, options.is_hermitian, at);
    Ok(inverse.matrix.convert(dtype, at))
}

/// A problem of least squares in at least single precision.
struct LeastSquares {
    a: Tensor,
    b: Tensor,
    /// True if the right side is a vector, which is a column here.
    is_vector: bool,
    /// The dtype of the solution.
    dtype: DType,
}

impl LeastSquares {
    #[track_caller]
    fn of(
        op: &str,
        a: &Tensor,
        b: &Tensor,
        options: &RankOptions,
        at: CallSite,
    ) -> Result<(LeastSquares, PseudoInverse), Tensor> {
        let (rows, _) = a.matrix_size(op, at)?;
        let (left, right) = (a.type_or_error()?, b.type_or_error()?);
        let size = match right.rank() {
            1 => right.shape.first(),
            _ => right.shape.iter().nth_back(1),
        };
        if size != Some(&rows) {
            let why = format!(
                "expected a right side [{rows}] or [.., {rows}, k] for matrices {left}, got {right}"
            );
            return Err(Tensor::fail(op, why, at));
        }
        let both = [a.clone().float(at), b.clone().float(at)];
        let both = promote_operands(op, &both, at)?;
        let [(a, dtype), (b, _)] = [both[0].wide(at), both[1].wide(at)];
        let is_vector = b.rank() == 1;
        let b = if is_vector { b.expand_dims(-1) } else { b };
        let bound = bound(&a, op, options, 1.0, at)?;
        let inverse = PseudoInverse::of(&a, &bound, options.is_hermitian, at);
        Ok((LeastSquares { a, b, is_vector, dtype }, inverse))
    }

    #[track_caller]
    fn solution(&self, inverse: &PseudoInverse, at: CallSite) -> Tensor {
        self.without_column(inverse.matrix.matmul(&self.b)).convert(self.dtype, at)
    }

    /// Computes the sums of squares of the columns of `a · x - b`.
    #[track_caller]
    fn residuals(&self, x: &Tensor, at: CallSite) -> Tensor {
        let column = if self.is_vector { x.expand_dims(-1) } else { x.clone() };
        let difference = self.a.matmul(column) - &self.b;
        let squares = match difference.dtype().is_complex() {
            true => difference.real().square() + difference.imag().square(),
            false => difference.square(),
        };
        self.without_column(squares.sum(-2)).convert(self.dtype.real(), at)
    }

    /// Removes the last axis if it is that of the column of a vector.
    #[track_caller]
    fn without_column(&self, x: Tensor) -> Tensor {
        if self.is_vector { x.squeeze(-1) } else { x }
    }
}

#[cfg(test)]
mod tests {
    use crate::{MatrixNorm, prelude::*};

    fn close(x: &Tensor, y: &Tensor) -> bool {
        x.allclose(y, 1e-9, 1e-9).item().unwrap() == 1.0
    }

    #[test]
    fn hermitian_matrices_have_the_same_inverses() {
        let x = key(0).normal_of(F64, [2, 4, 4]).complex(key(1).normal_of(F64, [2, 4, 4]));
        let x = &x + x.adjoint();
        let options = RankOptions::new().hermitian();
        assert!(close(&x.pinv(), &x.pinv_with(options.clone())));
        let b = key(2).normal_of(F64, [4, 3]);
        let plain = x.lstsq_with(&b, RankOptions::new());
        let other = x.lstsq_with(&b, options.clone());
        for (p, q) in [(&plain.0, &other.0), (&plain.1, &other.1), (&plain.3, &other.3)] {
            assert!(close(p, q), "{p} {q}");
        }
        assert_eq!(other.2.to_vec::<i32>().unwrap(), [4, 4]);
        assert_eq!(x.matrix_rank_with(options).to_vec::<i32>().unwrap(), [4, 4]);
        assert_eq!((plain.1.dtype(), plain.3.dtype()), (F64, F64));
    }

    #[test]
    fn solutions_of_batches_have_residuals() {
        let (a, b) = (key(0).normal_of(F64, [2, 5, 3]), key(1).normal_of(F64, [2, 5, 4]));
        let (x, rest, rank, s) = a.lstsq_with(&b, RankOptions::new());
        assert_eq!((x.shape().to_vec(), rest.shape().to_vec()), (vec![2, 3, 4], vec![2, 4]));
        assert_eq!((rank.shape().to_vec(), s.shape().to_vec()), (vec![2], vec![2, 3]));
        assert!(close(&rest, &(a.matmul(&x) - &b).square().sum(1)));
        assert!(close(&a.lstsq(&b), &x));
        let vector = key(2).normal_of(F64, [5]);
        let (of_each, squares, ..) = a.lstsq_with(&vector, RankOptions::new());
        for i in 0..2 {
            let one = a.get(i).lstsq_with(&vector, RankOptions::new());
            assert!(close(&one.0, &of_each.get(i)) && close(&one.1, &squares.get(i)));
        }
        let one = a.get(0).lstsq_with(b.at((0, .., 0)).get(), RankOptions::new());
        assert!(close(&one.0, &x.at((0, .., 0)).get()) && close(&one.1, &rest.at((0, 0)).get()));
        let (x, rest, rank, s) =
            Tensor::zeros([0, 3]).lstsq_with(Tensor::zeros([0]), RankOptions::new());
        assert_eq!((x.to_vec::<f32>().unwrap(), rest.item().unwrap()), (vec![0.0; 3], 0.0));
        assert_eq!((rank.item().unwrap(), s.size()), (0.0, 0));
    }

    #[test]
    fn condition_numbers_of_all_norms() {
        let x = tensor([[4.0, 4.0], [0.0, 2.0]]);
        for norm in [MatrixNorm::Frobenius, MatrixNorm::Nuclear, MatrixNorm::NegativeOne] {
            let want =
                x.matrix_norm(norm).item().unwrap() * x.inv().matrix_norm(norm).item().unwrap();
            assert!((x.cond_with(norm).item().unwrap() - want).abs() < 1e-5, "{norm:?}");
        }
        let small = x.cond_with(MatrixNorm::SmallestSingularValue).item().unwrap();
        assert!((small * x.cond().item().unwrap() - 1.0).abs() < 1e-6);
        for norm in [MatrixNorm::One, MatrixNorm::Spectral, MatrixNorm::Frobenius] {
            assert_eq!(Tensor::zeros([2, 2]).cond_with(norm).item().unwrap(), f64::INFINITY);
            let nan = tensor([[f32::NAN, 0.0], [0.0, 1.0]]);
            assert!(nan.cond_with(norm).item().unwrap().is_nan());
        }
        let wide = Tensor::ones([2, 3]).cond_with(MatrixNorm::Spectral);
        assert!(wide.item().unwrap() > 1e6);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |x: Tensor| x.error().unwrap().to_string();
        let x = Tensor::ones([2, 3]);
        let bound = |b: Tensor| RankOptions::new().relative(b);
        assert!(say(x.cond_with(MatrixNorm::One)).contains("square matrices"));
        assert!(say(Tensor::zeros([0, 2]).cond()).contains("not empty, got f32[0, 2]"));
        assert!(say(x.pinv_with(RankOptions::new().hermitian())).contains("square matrices"));
        let e = say(Tensor::ones([4, 2, 2]).pinv_with(bound(tensor([0.1, 0.2]))));
        assert!(e.contains("a real bound that broadcasts to f32[4], got f32[2]"), "{e}");
        let e = say(x.matrix_rank_with(bound(tensor([0.1, 0.2]))));
        assert!(e.contains("a real bound that broadcasts to f32[], got f32[2]"), "{e}");
        let e = say(x.matrix_rank_with(bound(tensor(1.0).to(C64))));
        assert!(e.contains("expected a real bound"), "{e}");
        let e = say(x.lstsq(tensor([1.0, 2.0, 3.0])));
        assert!(e.contains("expected a right side [2] or [.., 2, k]"), "{e}");
        assert!(say(tensor([1.0]).lstsq_with(1.0, RankOptions::new()).2).contains("matrices"));
    }
}
