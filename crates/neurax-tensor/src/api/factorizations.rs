//! Factorizations of matrices: Cholesky, LU, QR, singular values, eigenvalues.

use crate::{DType, Error, Tensor, dispatch::dispatch_multi, tensor::CallSite};
use neurax_ir::Op;
use neurax_ir::op::{Cholesky, Eigh, Lu, Qr, Svd};
use std::panic::Location;

impl Tensor {
    /// Computes the lower triangular matrix `l` with a positive diagonal of which `l · lᴴ` is this
    /// Hermitian positive definite matrix, for the matrices `[.., n, n]` of a batch.
    ///
    /// Of a matrix that is not Hermitian, the Hermitian part `(a + aᴴ) / 2` is taken. A matrix that
    /// is not positive definite gives NaN, as do its gradients. Integers are converted to f32; f16
    /// and bf16 compute in f32. Follows `jax.numpy.linalg.cholesky`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the matrices are not square.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let l = tensor([[4.0, 2.0], [2.0, 10.0]]).cholesky();
    /// assert_eq!(l.to_vec::<f32>()?, [2.0, 0.0, 1.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn cholesky(&self) -> Tensor {
        let [l] = self.hermitian_part().factors(Cholesky {}, Location::caller());
        l
    }

    /// Computes the LU factorization of matrices `[.., m, n]` with partial pivoting: `(p, l, u)`
    /// with `a = p · l · u`, where `p` `[.., m, m]` is a permutation matrix, `l` `[.., m, k]` lower
    /// triangular with ones in its diagonal, and `u` `[.., k, n]` upper triangular, with
    /// `k = min(m, n)`. Follows `scipy.linalg.lu`.
    ///
    /// # Errors
    ///
    /// The results carry an error if the tensor has fewer than two axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (p, l, u) = tensor([[1.0, 3.0], [4.0, 8.0]]).lu();
    /// assert_eq!(p.to_vec::<f32>()?, [0.0, 1.0, 1.0, 0.0]);
    /// assert_eq!(l.to_vec::<f32>()?, [1.0, 0.0, 0.25, 1.0]);
    /// assert_eq!(u.to_vec::<f32>()?, [4.0, 8.0, 0.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn lu(&self) -> (Tensor, Tensor, Tensor) {
        let at = Location::caller();
        let (lu, _, permutation) = self.lu_factor();
        if lu.error().is_some() {
            return (lu.clone(), lu.clone(), lu);
        }
        let (rows, columns) = (lu.dim(-2), lu.dim(-1));
        let k = rows.min(columns) as i64;
        let one = permutation.one_hot(rows).convert(lu.dtype(), at);
        let l =
            lu.slice(-1, ..k).tril(-1) + Tensor::eye(rows).slice(-1, ..k).convert(lu.dtype(), at);
        (one.t(), l, lu.slice(-2, ..k).triu(0))
    }

    /// Computes the LU factorization of matrices `a` `[.., m, n]` in the compact form that
    /// [`Tensor::lu_solve`] takes: one matrix with `u` on and above the diagonal and `l` below it,
    /// the pivots, i32 `[.., min(m, n)]` (step `i` exchanged the rows `i` and `pivots[i]`), and the
    /// permutation, i32 `[.., m]`: `a[permutation] = l · u`. Follows `jax.lax.linalg.lu`.
    ///
    /// # Errors
    ///
    /// The results carry an error if the tensor has fewer than two axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (lu, pivots, permutation) = tensor([[1.0, 3.0], [4.0, 8.0]]).lu_factor();
    /// assert_eq!(lu.to_vec::<f32>()?, [4.0, 8.0, 0.25, 1.0]);
    /// assert_eq!(pivots.to_vec::<i32>()?, [1, 1]);
    /// assert_eq!(permutation.to_vec::<i32>()?, [1, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn lu_factor(&self) -> (Tensor, Tensor, Tensor) {
        let [lu, pivots, permutation] = self.factors(Lu {}, Location::caller());
        (lu, pivots, permutation)
    }

    /// Computes the QR factorization of matrices `a = q · r`, `[.., m, n]`: with `k = min(m, n)`,
    /// `q` `[.., m, k]` has orthonormal columns, and `r` `[.., k, n]` is upper triangular with a
    /// real diagonal that is not negative; NumPy and JAX may return other signs. Follows
    /// `numpy.linalg.qr` with the mode `reduced`.
    ///
    /// # Errors
    ///
    /// The results carry an error if the tensor has fewer than two axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (q, r) = tensor([[-3.0, 1.0], [4.0, 2.0]]).qr();
    /// assert!(q.allclose(tensor([[-0.6, 0.8], [0.8, 0.6]]), 1e-6, 1e-6).item()? == 1.0);
    /// assert!(r.allclose(tensor([[5.0, 1.0], [0.0, 2.0]]), 1e-6, 1e-6).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn qr(&self) -> (Tensor, Tensor) {
        let [q, r] = self.factors(Qr { full: false }, Location::caller());
        (q, r)
    }

    /// Computes the QR factorization as [`Tensor::qr`] does, with a square `q` `[.., m, m]` and `r`
    /// `[.., m, n]`. It has no derivative if there are more rows than columns. Follows
    /// `numpy.linalg.qr` with the mode `complete`.
    ///
    /// # Errors
    ///
    /// The results carry an error if the tensor has fewer than two axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (q, r) = tensor([[0.0], [2.0]]).qr_full();
    /// assert_eq!(q.shape(), [2, 2]);
    /// assert_eq!(r.to_vec::<f32>()?, [2.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn qr_full(&self) -> (Tensor, Tensor) {
        let [q, r] = self.factors(Qr { full: true }, Location::caller());
        (q, r)
    }

    /// Computes the singular value decomposition `a = u · diag(s) · vh` of matrices `[.., m, n]`:
    /// with `k = min(m, n)`, `u` `[.., m, k]` has orthonormal columns, `s` `[.., k]` are the
    /// singular values in descending order, and `vh` `[.., k, n]` has orthonormal rows. The first
    /// element of a row of `vh` that has nearly the largest absolute value is positive; NumPy and
    /// JAX may return other signs. Follows `numpy.linalg.svd` with `full_matrices=False`.
    ///
    /// The derivative of vectors of equal singular values does not exist; its parts are 0.
    ///
    /// # Errors
    ///
    /// The results carry an error if the tensor has fewer than two axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (u, s, vh) = tensor([[0.0, -2.0], [3.0, 0.0]]).svd();
    /// assert_eq!(s.to_vec::<f32>()?, [3.0, 2.0]);
    /// assert_eq!((u * s).matmul(vh).to_vec::<f32>()?, [0.0, -2.0, 3.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn svd(&self) -> (Tensor, Tensor, Tensor) {
        let [u, s, vh] = self.factors(Svd { full: false }, Location::caller());
        (u, s, vh)
    }

    /// Computes the singular value decomposition as [`Tensor::svd`] does, with square `u` and `vh`.
    /// It has no derivative unless the matrices are square. Follows `numpy.linalg.svd`.
    ///
    /// # Errors
    ///
    /// The results carry an error if the tensor has fewer than two axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (u, s, vh) = tensor([[3.0], [4.0]]).svd_full();
    /// assert_eq!(s.to_vec::<f32>()?, [5.0]);
    /// assert_eq!(u.shape(), [2, 2]);
    /// assert_eq!(vh.shape(), [1, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn svd_full(&self) -> (Tensor, Tensor, Tensor) {
        let [u, s, vh] = self.factors(Svd { full: true }, Location::caller());
        (u, s, vh)
    }

    /// Computes the singular values of matrices `[.., m, n]` in descending order,
    /// `[.., min(m, n)]`. Follows `numpy.linalg.svdvals`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the tensor has fewer than two axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[0.0, -2.0], [3.0, 0.0]]).svdvals().to_vec::<f32>()?, [3.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn svdvals(&self) -> Tensor {
        self.svd().1
    }

    /// Computes the eigenvalues `w` `[.., n]` of Hermitian matrices `a` `[.., n, n]` in ascending
    /// order, and the orthonormal eigenvectors, the columns of `v`: `a · v = v · diag(w)`.
    ///
    /// Of a matrix that is not Hermitian, the Hermitian part `(a + aᴴ) / 2` is taken. The first
    /// element of a vector that has nearly the largest absolute value is positive; NumPy and JAX
    /// may return other signs. The derivative of vectors of equal eigenvalues does not exist; its
    /// parts are 0. Follows `jax.numpy.linalg.eigh`.
    ///
    /// # Errors
    ///
    /// The results carry an error if the matrices are not square.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (w, v) = tensor([[2.0, 0.0], [0.0, -1.0]]).eigh();
    /// assert_eq!(w.to_vec::<f32>()?, [-1.0, 2.0]);
    /// assert_eq!(v.to_vec::<f32>()?, [0.0, 1.0, 1.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn eigh(&self) -> (Tensor, Tensor) {
        let [w, v] = self.hermitian_part().factors(Eigh {}, Location::caller());
        (w, v)
    }

    /// Computes the eigenvalues of Hermitian matrices in ascending order: those of
    /// [`Tensor::eigh`]. Follows `jax.numpy.linalg.eigvalsh`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the matrices are not square.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[2.0, 0.0], [0.0, -1.0]]).eigvalsh().to_vec::<f32>()?, [-1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn eigvalsh(&self) -> Tensor {
        self.eigh().0
    }

    /// Computes the conjugate transpose of matrices, the last two axes; vectors are conjugated.
    /// Follows `Nx.LinAlg.adjoint`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq!(x.adjoint().to_vec::<f32>()?, [1.0, 3.0, 2.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn adjoint(&self) -> Tensor {
        let transposed = self.t();
        match self.type_ref() {
            Ok(ty) if ty.dtype.is_complex() => transposed.conj(),
            _ => transposed,
        }
    }

    /// Computes `(a + aᴴ) / 2`; returns the tensor itself if it has no square matrices.
    #[track_caller]
    fn hermitian_part(&self) -> Tensor {
        let at = Location::caller();
        match self.type_ref().map(|ty| ty.shape.clone()) {
            Ok(shape) if matches!(shape[..], [.., n, m] if n == m) => {
                let (x, dtype) = self.clone().float(at).wide(at);
                ((&x + x.adjoint()) * 0.5).convert(dtype_of_result(dtype, x.dtype()), at)
            }
            _ => self.clone(),
        }
    }

    /// Dispatches a factorization in at least single precision. Real results are rounded back to
    /// the dtype of the tensor.
    pub(crate) fn factors<const N: usize>(&self, op: impl Into<Op>, at: CallSite) -> [Tensor; N] {
        let (x, dtype) = self.clone().float(at).wide(at);
        match dispatch_multi(op, [x], at) {
            Ok(ys) => {
                let mut ys = ys.into_iter();
                std::array::from_fn(|_| match ys.next() {
                    Some(y) => y.convert(dtype_of_result(dtype, y.dtype()), at),
                    None => Tensor::error_at(Error::bug("a factor is missing"), at),
                })
            }
            Err(e) => std::array::from_fn(|_| Tensor::error_at(e.clone(), at)),
        }
    }
}

/// Returns the dtype to which a result of a computation in at least single precision is rounded,
/// for an operand of the dtype `operand`: only floats that were widened are.
fn dtype_of_result(operand: DType, result: DType) -> DType {
    match result.is_float() && operand.at_least_f32() != operand {
        true => operand,
        false => result,
    }
}
