//! Systems of linear equations, inverses and determinants.

use super::{
    common::{promote_operands, with_batch},
    factored::{Factors, permuted_solution},
};
use crate::{DType, Operand, Shape, Tensor, Type, dispatch::common_shape, tensor::CallSite};
use std::panic::Location;

impl Tensor {
    /// Computes the solution `x` of `a · x = b` for square matrices `a` `[.., n, n]`; `b` is a
    /// vector `[n]` or matrices `[.., n, m]`. Batch axes broadcast.
    ///
    /// It takes the LU factorization with partial pivoting, once for each matrix, also where its
    /// batch axes broadcast to those of `b`. A singular matrix gives NaN, and so does a right side
    /// with NaN or infinities, in its column. Derivatives of every order are solutions of systems
    /// with the same factors. Integers are converted to f32; f16 and bf16 compute in f32. Follows
    /// `numpy.linalg.solve`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the matrices are not square or the sizes differ.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let a = tensor([[2.0, 1.0], [1.0, 1.0]]);
    /// assert_eq!(a.solve(tensor([4.0, 3.0])).to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn solve(&self, b: impl Operand) -> Tensor {
        let at = Location::caller();
        let system = match System::of("solve", self, &b.operand(self), at) {
            Ok(system) => system,
            Err(e) => return e,
        };
        let x = Factors::of(&system.a).solution(&system.a, &system.b, at);
        system.result(x, at)
    }

    /// Computes the solution `x` of `a · x = b`, given the compact factors and the permutation of
    /// `a` that [`Tensor::lu_factor`] returns: `lu.lu_solve(&permutation, b)`. Follows
    /// `scipy.linalg.lu_solve`, which takes pivots.
    ///
    /// # Errors
    ///
    /// The result carries an error if the matrices are not square or the sizes differ.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (lu, _, permutation) = tensor([[2.0, 1.0], [4.0, 1.0]]).lu_factor();
    /// assert_eq!(lu.lu_solve(&permutation, tensor([4.0, 6.0])).to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn lu_solve(&self, permutation: &Tensor, b: impl Operand) -> Tensor {
        let at = Location::caller();
        let system = match System::of("lu_solve", self, &b.operand(self), at) {
            Ok(system) => system,
            Err(e) => return e,
        };
        // The factors have grown to the batch axes of the right side.
        let lu = system.broadcast_matrices(at);
        let permutation = permutation.broadcast_at(&lu.shape()[..lu.rank() - 1], at);
        system.result(permuted_solution(&lu, &permutation, &system.b, at), at)
    }

    /// Computes the inverse of square matrices `[.., n, n]`. A singular matrix gives
    /// NaN. To solve equations, [`Tensor::solve`] is faster and more accurate. Follows
    /// `numpy.linalg.inv`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the matrices are not square.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let inverse = tensor([[2.0, 1.0], [1.0, 1.0]]).inv();
    /// assert_eq!(inverse.to_vec::<f32>()?, [1.0, -1.0, -1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn inv(&self) -> Tensor {
        let at = Location::caller();
        let n = match self.square_size("inv", at) {
            Ok(n) => n,
            Err(e) => return e,
        };
        let (x, dtype) = self.clone().float(at).wide(at);
        x.solve(Tensor::eye(n).convert(x.dtype(), at)).convert(dtype, at)
    }

    /// Computes the determinant of square matrices `[.., n, n]`.
    ///
    /// Matrices up to 3 rows take the polynomial, whose derivative exists everywhere, larger ones
    /// the LU factorization, and have no derivative at a singular matrix. Follows
    /// `numpy.linalg.det`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the matrices are not square.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1.0, 2.0], [3.0, 4.0]]).det().item()?, -2.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn det(&self) -> Tensor {
        let at = Location::caller();
        let n = match self.square_size("det", at) {
            Ok(n) => n,
            Err(e) => return e,
        };
        let (x, dtype) = self.clone().float(at).wide(at);
        if n <= 3 {
            return small_determinant(&x, n).convert(dtype, at);
        }
        Factors::of(&x).determinant(&x, at).convert(dtype, at)
    }

    /// Computes the sign and the logarithm of the absolute value of the determinant of square
    /// matrices `[.., n, n]`, which neither overflow nor vanish: `det = sign · exp(log)`. The sign
    /// of a complex determinant has absolute value 1; that of a singular matrix is 0, and the
    /// logarithm negative infinity. Follows `numpy.linalg.slogdet`.
    ///
    /// # Errors
    ///
    /// The results carry an error if the matrices are not square.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (sign, log) = tensor([[0.0, 1.0], [1.0, 0.0]]).slogdet();
    /// assert_eq!((sign.item()?, log.item()?), (-1.0, 0.0));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn slogdet(&self) -> (Tensor, Tensor) {
        let at = Location::caller();
        if let Err(e) = self.square_size("slogdet", at) {
            return (e.clone(), e);
        }
        let (x, dtype) = self.clone().float(at).wide(at);
        let (sign, log) = Factors::of(&x).sign_and_log(&x, at);
        (sign.convert(dtype, at), log.convert(dtype.real(), at))
    }

    /// Returns the number of rows of the square matrices of this tensor.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `op` if they are not square.
    pub(crate) fn square_size(&self, op: &str, at: CallSite) -> Result<usize, Tensor> {
        let ty = self.type_or_error()?;
        match ty.shape[..] {
            [.., n, m] if n == m => Ok(n),
            _ => {
                Err(Tensor::fail(op, format!("expected square matrices [.., n, n], got {ty}"), at))
            }
        }
    }
}

/// A system of linear equations in at least single precision.
pub(super) struct System {
    /// The matrices, with batch axes that broadcast to those of the right sides.
    pub a: Tensor,
    /// The right sides, with the batch axes of the solution.
    pub b: Tensor,
    /// True if the right side is a vector, which is a column here.
    is_vector: bool,
    /// The dtype of the solution.
    dtype: DType,
}

impl System {
    #[track_caller]
    pub(super) fn of(op: &str, a: &Tensor, b: &Tensor, at: CallSite) -> Result<System, Tensor> {
        let n = a.square_size(op, at)?;
        let (left, right) = (a.type_or_error()?, b.type_or_error()?);
        let is_vector = right.rank() == 1;
        let rows = if is_vector { right.shape.first() } else { right.shape.iter().nth_back(1) };
        if rows != Some(&n) {
            let why = format!(
                "expected a right side [{n}] or [.., {n}, m] for matrices {left}, got {right}"
            );
            return Err(Tensor::fail(op, why, at));
        }
        let both = [a.clone().float(at), b.clone().float(at)];
        let promoted = promote_operands(op, &both, at)?;
        let [(a, dtype), (b, _)] = [promoted[0].wide(at), promoted[1].wide(at)];
        let b = if is_vector { b.expand_dims(-1) } else { b };
        let batch = |x: &Tensor| Type::new(x.dtype(), &x.shape()[..x.rank() - 2]);
        let shape = common_shape(op, &[batch(&a), batch(&b)]).map_err(|_| {
            let why = format!("the batch axes of {left} and {right} do not broadcast");
            Tensor::fail(op, why, at)
        })?;
        let b = with_batch(&b, &shape, at);
        b.type_or_error()?;
        Ok(System { a, b, is_vector, dtype })
    }

    /// Returns the matrices with the batch axes of the right sides.
    pub(super) fn broadcast_matrices(&self, at: CallSite) -> Tensor {
        let batch = &self.b.shape()[..self.b.rank() - 2];
        with_batch(&self.a, &Shape::from(batch), at)
    }

    /// Returns the solution `x`, `[.., n, m]`, in the shape and dtype of the right side.
    #[track_caller]
    pub(super) fn result(&self, x: Tensor, at: CallSite) -> Tensor {
        let x = x.convert(self.dtype, at);
        if self.is_vector { x.squeeze(-1) } else { x }
    }
}

/// Computes the determinant of matrices of up to 3 rows as a polynomial of their elements.
#[track_caller]
fn small_determinant(x: &Tensor, n: usize) -> Tensor {
    match n {
        0 => x.sum([-2, -1]) + 1.0,
        1 => element(x, 0, 0),
        2 => minor(x, [0, 1], [0, 1]),
        _ => {
            let rows = [1, 2];
            let first = element(x, 0, 0) * minor(x, rows, [1, 2]);
            let second = element(x, 0, 1) * minor(x, rows, [0, 2]);
            first - second + element(x, 0, 2) * minor(x, rows, [0, 1])
        }
    }
}

/// Computes the determinant of two rows and columns of matrices.
#[track_caller]
fn minor(x: &Tensor, [i, k]: [usize; 2], [j, l]: [usize; 2]) -> Tensor {
    element(x, i, j) * element(x, k, l) - element(x, i, l) * element(x, k, j)
}

/// Returns the elements of matrices in row `i` and column `j`.
#[track_caller]
fn element(x: &Tensor, i: usize, j: usize) -> Tensor {
    let (i, j) = (i as i64, j as i64);
    x.slice(-2, i..i + 1).slice(-1, j..j + 1).squeeze([-2, -1])
}
