//! Eigenvalues of general matrices, and what is computed by their Schur form.

use crate::{Tensor, Triangle, fori, tensor::CallSite};
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
    /// the square root of a matrix. A singular matrix may have no square root. It has no
    /// derivative. Follows `jax.scipy.linalg.sqrtm`.
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
        let (t, z) = self.schur();
        let root = root_of_triangle(&t, n, at);
        z.matmul(root).matmul(z.adjoint())
    }
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
