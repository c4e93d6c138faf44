//! Eigenvalues of general matrices, and what is computed by their Schur form.

use super::common::located;
use crate::{
    Function, Tensor, Triangle, custom_linear_solve, custom_tangent, fori, stop_gradient,
    tensor::CallSite,
};
use neurax_ir::op::{Eig, Schur};
use std::panic::Location;

impl Tensor {
    /// Computes the eigenvalues `w` `[.., n]` and the eigenvectors, the columns of `v`
    /// `[.., n, n]`, of matrices `a` `[.., n, n]`: `a · v = v · diag(w)`. Both are complex.
    ///
    /// The values are in the order of their real parts; those whose real parts are equal but for
    /// rounding, as of a conjugate pair, in the order of their imaginary parts (LAPACK has no
    /// order). The vectors have norm 1; the first element of a vector that has nearly the largest
    /// absolute value is real and positive. A matrix with NaN or infinities gives NaN. The
    /// derivatives of both exist where the eigenvalues differ. Follows `numpy.linalg.eig`; for
    /// Hermitian matrices see [`Tensor::eigh`].
    ///
    /// # Errors
    ///
    /// The results carry an error if the matrices are not square.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (w, v) = tensor([[2.0, 1.0], [0.0, 3.0]]).eig();
    /// assert_eq!(w.real().to_vec::<f32>()?, [2.0, 3.0]);
    /// let want = tensor([[1.0, 0.7071], [0.0, 0.7071]]);
    /// assert!(v.real().allclose(want, 0.0, 1e-4).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn eig(&self) -> (Tensor, Tensor) {
        let [w, v] = self.factors(Eig {}, Location::caller());
        (w, v)
    }

    /// Computes the eigenvalues of matrices `[.., n, n]`, complex: those of [`Tensor::eig`].
    /// Follows `numpy.linalg.eigvals`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the matrices are not square.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let w = tensor([[0.0, -1.0], [1.0, 0.0]]).eigvals();
    /// assert_eq!(w.imag().to_vec::<f32>()?, [-1.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn eigvals(&self) -> Tensor {
        self.eig().0
    }

    /// Computes the Schur form of matrices `a` `[.., n, n]`: `a = z · t · zᴴ` with an upper
    /// triangular `t`, whose diagonal are the eigenvalues, and a unitary `z`. It returns `(t, z)`,
    /// both complex: the form is that of `scipy.linalg.schur` with `output="complex"`, also for
    /// real matrices. It has no derivative.
    ///
    /// # Errors
    ///
    /// The results carry an error if the matrices are not square.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let a = tensor([[0.0, -1.0], [1.0, 0.0]]);
    /// let (t, z) = a.schur();
    /// let product = z.matmul(&t).matmul(z.adjoint());
    /// assert!(product.real().allclose(a, 0.0, 1e-6).item()? == 1.0);
    /// assert_eq!(t.tril(-1).real().sum(..).item()?, 0.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn schur(&self) -> (Tensor, Tensor) {
        let [t, z] = self.factors(Schur {}, Location::caller());
        (t, z)
    }

    /// Computes the principal square root of matrices `[.., n, n]`, complex: the matrix `r` with
    /// `r · r = a` whose eigenvalues have no negative real part.
    ///
    /// It takes the square root of the Schur form: Björck and Hammarling, 1983, A Schur method for
    /// the square root of a matrix. A singular matrix may have no square root. The tangent `dr`
    /// solves Sylvester's equation `r · dr + dr · r = da`, which a singular matrix does not
    /// determine. Follows `jax.scipy.linalg.sqrtm`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the matrices are not square.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let root = tensor([[4.0, 5.0], [0.0, 9.0]]).sqrtm();
    /// assert!(root.real().allclose(tensor([[2.0, 1.0], [0.0, 3.0]]), 0.0, 1e-5).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sqrtm(&self) -> Tensor {
        let at = Location::caller();
        let n = match self.square_size("sqrtm", at) {
            Ok(n) => n,
            Err(e) => return e,
        };
        if !self.is_traced() || !self.dtype().is_differentiable() {
            return square_root(self, n, at);
        }
        let root = custom_tangent(
            |a: Tensor| located(at, &[&a], || square_root(&a, n, at)),
            |(_, r, da): (Tensor, Tensor, Tensor)| {
                located(at, &[&r], || sylvester_solution(&r, &da.convert(r.dtype(), at), at))
            },
        );
        root.apply(self.clone())
    }
}

/// Computes the square root of matrices of `n` rows by their Schur form.
#[track_caller]
fn square_root(a: &Tensor, n: usize, at: CallSite) -> Tensor {
    let (t, z) = a.schur();
    let root = root_of_triangle(&t, n, at);
    z.matmul(root).matmul(z.adjoint())
}

/// Computes the solution `d` of Sylvester's equation `r · d + d · r = c`, by the Schur form of `r`:
/// Bartels and Stewart, 1972, Solution of the matrix equation AX + XB = C.
#[track_caller]
fn sylvester_solution(r: &Tensor, c: &Tensor, at: CallSite) -> Tensor {
    let (t, z) = stop_gradient(r).schur();
    custom_linear_solve(
        |d: Tensor| located(at, &[&d], || r.matmul(&d) + d.matmul(r)),
        c.clone(),
        |_, c| located(at, &[&c], || by_columns(&t, &z, &c, at)),
        // The transposed map takes the transpose of `d` to that of the result.
        |_, c| located(at, &[&c], || by_columns(&t, &z, &c.t(), at).t()),
    )
}

/// Computes the solution of Sylvester's equation for `r = z · t · zᴴ`.
#[track_caller]
fn by_columns(t: &Tensor, z: &Tensor, c: &Tensor, at: CallSite) -> Tensor {
    let n = t.dim(-1);
    let right = z.adjoint().matmul(c).matmul(z);
    let start = right.zeros_like();
    let next = |j: Tensor, y: Tensor| located(at, &[], || with_solved_column(t, &right, j, y, at));
    let y = fori(0..n, start, next);
    z.matmul(y).matmul(z.adjoint())
}

/// Computes `y` with column `j` of the solution of `t · y + y · t = right`, of which the columns
/// before `j` are known and the others 0.
#[track_caller]
fn with_solved_column(t: &Tensor, right: &Tensor, j: Tensor, y: Tensor, at: CallSite) -> Tensor {
    let n = t.dim(-1);
    let is_column = Tensor::arange(n).equal(j).convert(t.dtype(), at);
    let selected = is_column.expand_dims(-1);
    let pivot = (t.diagonal(0, -2, -1) * &is_column).sum(crate::keep(-1)).expand_dims(-1);
    let known = right.matmul(&selected) - y.matmul(t.matmul(&selected));
    let system = t + pivot * Tensor::eye(n);
    y + system.solve_triangular(known, Triangle::Upper) * is_column
}

/// Computes the square root of upper triangular matrices, column by column: with the columns in
/// front of it known, column `j` solves a triangular system.
#[track_caller]
fn root_of_triangle(t: &Tensor, n: usize, at: CallSite) -> Tensor {
    let roots = t.diagonal(0, -2, -1).sqrt();
    let above = t.triu(1);
    let columns = Tensor::arange(n);
    let identity = Tensor::eye(n).convert(t.dtype(), at);
    let root = identity * roots.expand_dims(-1);
    fori(0..n, root, |j, root| with_column(&above, &roots, &columns, j, root))
}

/// Computes `root` with its column `j` above the diagonal.
#[track_caller]
fn with_column(
    above: &Tensor,
    roots: &Tensor,
    columns: &Tensor,
    j: Tensor,
    root: Tensor,
) -> Tensor {
    let at = Location::caller();
    let is_column = columns.equal(&j).convert(root.dtype(), at);
    let right = above.matmul(is_column.expand_dims(-1));
    let own = (roots * &is_column).sum(crate::keep(-1));
    let sums = roots + own;
    // Of a singular matrix, 0 / 0 is 0 where there is a square root.
    let sums = sums.equal(0.0).select(1.0, &sums);
    let system = root.triu(1) + sums.expand_dims(-1) * Tensor::eye(columns.dim(0));
    let column = system.solve_triangular(right, Triangle::Upper);
    root + column * is_column
}
