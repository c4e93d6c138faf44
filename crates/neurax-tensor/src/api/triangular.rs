//! Systems of linear equations with triangular matrices.

use super::linear_systems::System;
use crate::{Operand, Tensor, TriangularOptions, dispatch::dispatch, tensor::CallSite};
use neurax_ir::op::{MatrixForm, TriangularSolve};
use std::panic::Location;

/// A triangle of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Triangle {
    /// The elements on and below the diagonal.
    Lower,
    /// The elements on and above the diagonal.
    Upper,
}

impl Tensor {
    /// Computes the solution `x` of `a · x = b` for triangular matrices `a` `[.., n, n]`, of which
    /// only the given triangle is read. `b` is as in [`Tensor::solve`]. Follows
    /// `scipy.linalg.solve_triangular`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the matrices are not square or the sizes differ.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{Triangle, prelude::*};
    /// let a = tensor([[2.0, 9.0], [4.0, 5.0]]);
    /// let x = a.solve_triangular(tensor([2.0, 14.0]), Triangle::Lower);
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn solve_triangular(&self, b: impl Operand, triangle: Triangle) -> Tensor {
        let (b, at) = (b.operand(self), Location::caller());
        let of_form = (triangle, TriangularOptions::new());
        triangular_solution("solve_triangular", self, &b, of_form, at)
    }

    /// Computes the solution of a triangular system as [`Tensor::solve_triangular`] does, with the
    /// transposed or conjugated matrix, with ones in its diagonal, or with the matrix on the right.
    /// Follows `jax.lax.linalg.triangular_solve`, whose default is the right side.
    ///
    /// # Errors
    ///
    /// The result carries an error if the matrices are not square or the sizes differ.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{Triangle, prelude::*};
    /// let a = tensor([[2.0, 9.0], [4.0, 5.0]]);
    /// // x · a = b, of which the diagonal is taken as ones.
    /// let options = TriangularOptions::new().right_side().unit_diagonal();
    /// let x = a.solve_triangular_with(tensor([[9.0, 2.0]]), Triangle::Lower, options);
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn solve_triangular_with(
        &self,
        b: impl Operand,
        triangle: Triangle,
        options: TriangularOptions,
    ) -> Tensor {
        let (op, b, at) = ("solve_triangular_with", b.operand(self), Location::caller());
        if !options.is_right {
            return triangular_solution(op, self, &b, (triangle, options), at);
        }
        let n = match self.square_size(op, at) {
            Ok(n) => n,
            Err(e) => return e,
        };
        match b.type_ref() {
            Ok(ty) if ty.shape.last() != Some(&n) => {
                let why = format!("expected rows [{n}] or [.., m, {n}], got {ty}");
                Tensor::fail(op, why, at)
            }
            Ok(ty) if ty.rank() == 1 => triangular_solution(op, self, &b, (triangle, options), at),
            Ok(_) => triangular_solution(op, self, &b.t(), (triangle, options), at).t(),
            Err(_) => b,
        }
    }

    /// Computes the solution `x` of `a · x = b`, given the lower triangular factor of `a` that
    /// [`Tensor::cholesky`] returns: `l.cho_solve(b)`. Follows `scipy.linalg.cho_solve`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the matrices are not square or the sizes differ.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let l = tensor([[4.0, 2.0], [2.0, 5.0]]).cholesky();
    /// assert_eq!(l.cho_solve(tensor([8.0, 12.0])).to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn cho_solve(&self, b: impl Operand) -> Tensor {
        let (b, at) = (b.operand(self), Location::caller());
        cholesky_solution("cho_solve", self, &b, Triangle::Lower, at)
    }

    /// Computes the solution `x` of `a · x = b` as [`Tensor::cho_solve`] does, given the lower
    /// factor `l` of `a = l · lᴴ`, or the upper factor `u` of `a = uᴴ · u`. The other triangle is
    /// not read. Follows `scipy.linalg.cho_solve`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the matrices are not square or the sizes differ.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{Triangle, prelude::*};
    /// let u = tensor([[4.0, 2.0], [2.0, 5.0]]).cholesky().adjoint();
    /// let x = u.cho_solve_with(tensor([8.0, 12.0]), Triangle::Upper);
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn cho_solve_with(&self, b: impl Operand, triangle: Triangle) -> Tensor {
        let (b, at) = (b.operand(self), Location::caller());
        cholesky_solution("cho_solve_with", self, &b, triangle, at)
    }
}

/// Computes the solution of a triangular system; `b` has the right sides as columns.
#[track_caller]
fn triangular_solution(
    op: &str,
    a: &Tensor,
    b: &Tensor,
    (triangle, options): (Triangle, TriangularOptions),
    at: CallSite,
) -> Tensor {
    let system = match System::of(op, a, b, at) {
        Ok(system) => system,
        Err(e) => return e,
    };
    let a = system.broadcast_matrices(at);
    // The transpose of x · a = b is aᵀ · xᵀ = bᵀ.
    let (a, form) = match (options.is_transposed != options.is_right, options.is_conjugated) {
        (false, false) => (a, MatrixForm::Plain),
        (true, false) => (a, MatrixForm::Transposed),
        (true, true) => (a, MatrixForm::Adjoint),
        (false, true) if a.dtype().is_complex() => (a.conj(), MatrixForm::Plain),
        (false, true) => (a, MatrixForm::Plain),
    };
    let unit_diagonal = options.has_unit_diagonal;
    let lower = triangle == Triangle::Lower;
    let solve = TriangularSolve { lower, unit_diagonal, form };
    system.result(dispatch(solve, [a, system.b.clone()], at), at)
}

/// Computes the solution of a system from a Cholesky factor.
#[track_caller]
fn cholesky_solution(op: &str, a: &Tensor, b: &Tensor, triangle: Triangle, at: CallSite) -> Tensor {
    let system = match System::of(op, a, b, at) {
        Ok(system) => system,
        Err(e) => return e,
    };
    let factor = system.broadcast_matrices(at);
    let (lower, forms) = match triangle {
        Triangle::Lower => (true, [MatrixForm::Plain, MatrixForm::Adjoint]),
        Triangle::Upper => (false, [MatrixForm::Adjoint, MatrixForm::Plain]),
    };
    let mut x = system.b.clone();
    for form in forms {
        let solve = TriangularSolve { lower, unit_diagonal: false, form };
        x = dispatch(solve, [factor.clone(), x], at);
    }
    system.result(x, at)
}

#[cfg(test)]
mod tests {
    use crate::{Triangle, prelude::*};

    /// Returns a complex matrix whose triangles solve well.
    fn matrix() -> Tensor {
        let (re, im) = (key(0).normal_of(F64, [2, 4, 4]), key(1).normal_of(F64, [2, 4, 4]));
        re.complex(im) + Tensor::eye(4) * 4.0
    }

    #[test]
    fn every_form_solves_its_system() {
        let a = matrix();
        let b = key(2).normal_of(F64, [2, 4, 3]).complex(key(3).normal_of(F64, [2, 4, 3]));
        for i in 0..32 {
            let [right, transposed, conjugated, unit, lower] =
                [0, 1, 2, 3, 4].map(|k| i >> k & 1 == 1);
            let mut options = TriangularOptions::new();
            let (triangle, mut part) = match lower {
                true => (Triangle::Lower, a.tril(0)),
                false => (Triangle::Upper, a.triu(0)),
            };
            if unit {
                options = options.unit_diagonal();
                part = &part - &part * Tensor::eye(4) + Tensor::eye(4);
            }
            if transposed {
                (options, part) = (options.transpose(), part.t());
            }
            if conjugated {
                (options, part) = (options.conjugate(), part.conj());
            }
            let (b, back) = if right {
                let rows = b.t();
                let x = a.solve_triangular_with(&rows, triangle, options.right_side());
                (rows, x.matmul(&part))
            } else {
                (b.clone(), part.matmul(a.solve_triangular_with(&b, triangle, options)))
            };
            assert!(
                back.allclose(b, 1e-9, 1e-9).item().unwrap() == 1.0,
                "{options:?} {triangle:?}"
            );
        }
    }

    #[test]
    fn a_row_is_a_vector() {
        let a = tensor([[2.0, 0.0], [4.0, 5.0]]);
        let options = TriangularOptions::new().right_side();
        let x = a.solve_triangular_with(tensor([10.0, 10.0]), Triangle::Lower, options);
        assert_eq!(x.to_vec::<f32>().unwrap(), [1.0, 2.0]);
    }

    #[test]
    fn both_cholesky_factors_solve() {
        let x = matrix();
        let a = x.matmul(x.adjoint());
        let b = key(2).normal_of(F64, [4, 3]);
        let l = a.cholesky();
        let (lower, upper) = (l.cho_solve(&b), l.adjoint().cho_solve_with(&b, Triangle::Upper));
        assert!(upper.allclose(&lower, 1e-9, 1e-9).item().unwrap() == 1.0);
        let again = l.cho_solve_with(&b, Triangle::Lower);
        assert!(again.allclose(&lower, 0.0, 0.0).item().unwrap() == 1.0);
        assert!(a.matmul(upper).real().allclose(b, 1e-9, 1e-9).item().unwrap() == 1.0);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |x: Tensor| x.error().unwrap().to_string();
        let (a, b) = (Tensor::eye(2), tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]));
        let right = TriangularOptions::new().right_side();
        let e = say(a.solve_triangular_with(&b, Triangle::Lower, right));
        assert!(e.contains("expected rows [2] or [.., m, 2], got f32[2, 3]"), "{e}");
        let e = say(a.solve_triangular_with(b.t(), Triangle::Lower, TriangularOptions::new()));
        assert!(e.contains("expected a right side [2] or [.., 2, m]"), "{e}");
        assert!(say(b.cho_solve_with(&a, Triangle::Upper)).contains("square matrices"));
        assert!(say(b.solve_triangular_with(&a, Triangle::Upper, right)).contains("square"));
    }
}
