//! Products of sparse matrices and dense tensors.
//!
//! `y[row] += value * x[column]` for every stored element: [`Tensor::sparse_dot`], whose operands
//! are checked here.

use crate::{Coo, Csr};
use neurax_tensor::{Error, Result, Tensor};

impl Coo {
    /// Returns the product of this matrix `[m, k]` with a dense vector `[k]` or matrix `[k, n]`:
    /// `[m]` or `[m, n]`.
    ///
    /// # Errors
    /// The result carries an error if this is no matrix, or the dense operand has another size or
    /// number of axes.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.matmul(&tensor([1.0, 2.0, 3.0])).to_vec::<f32>()?, [4.0, 15.0]);
    /// assert_eq!(a.matmul(&Tensor::ones([3, 5])).shape(), [2, 5]);
    /// let e = a.matmul(&Tensor::ones(2)).ok().unwrap_err().to_string();
    /// let want = "matmul: expected f32[3] or f32[3, n] for a sparse matrix [2, 3], got f32[2]";
    /// assert!(e.starts_with(want), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn matmul(&self, dense: &Tensor) -> Tensor {
        let (m, k) = match self.matrix("matmul") {
            Ok(sizes) => sizes,
            Err(e) => return Tensor::from_error(e),
        };
        multiply([m, k], &self.values, [&self.index(0), &self.index(1)], dense)
    }

    /// Returns the product of a dense vector `[m]` or matrix `[n, m]` with this matrix `[m, k]`:
    /// `[k]` or `[n, k]`.
    ///
    /// # Errors
    /// As [`Coo::matmul`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.matmul_from(&tensor([1.0, 10.0])).to_vec::<f32>()?, [30.0, 2.0, 40.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn matmul_from(&self, dense: &Tensor) -> Tensor {
        let (m, k) = match self.matrix("matmul") {
            Ok(sizes) => sizes,
            Err(e) => return Tensor::from_error(e),
        };
        multiply_from([m, k], &self.values, [&self.index(0), &self.index(1)], dense)
    }
}

impl Csr {
    /// Returns the product of this matrix `[m, k]` with a dense vector `[k]` or matrix `[k, n]`:
    /// `[m]` or `[m, n]`.
    ///
    /// # Errors
    /// As [`Coo::matmul`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.matmul(&tensor([1.0, 2.0, 3.0])).to_vec::<f32>()?, [4.0, 15.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn matmul(&self, dense: &Tensor) -> Tensor {
        multiply(self.shape(), self.values(), [self.rows(), self.columns()], dense)
    }

    /// Returns the product of a dense vector `[m]` or matrix `[n, m]` with this matrix `[m, k]`:
    /// `[k]` or `[n, k]`.
    ///
    /// # Errors
    /// As [`Coo::matmul`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.matmul_from(&tensor([1.0, 10.0])).to_vec::<f32>()?, [30.0, 2.0, 40.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn matmul_from(&self, dense: &Tensor) -> Tensor {
        multiply_from(self.shape(), self.values(), [self.rows(), self.columns()], dense)
    }
}

/// Returns the product of a sparse matrix `[m, k]` with a dense operand.
#[track_caller]
fn multiply(
    [m, k]: [usize; 2],
    values: &Tensor,
    [rows, columns]: [&Tensor; 2],
    dense: &Tensor,
) -> Tensor {
    if let Err(e) = check_dense(values, dense, k, 0, (m, k)) {
        return Tensor::from_error(e);
    }
    values.sparse_dot(rows, columns, m, dense)
}

/// Returns the product of a dense operand with a sparse matrix `[m, k]`.
#[track_caller]
fn multiply_from(
    [m, k]: [usize; 2],
    values: &Tensor,
    [rows, columns]: [&Tensor; 2],
    dense: &Tensor,
) -> Tensor {
    if let Err(e) = check_dense(values, dense, m, -1, (m, k)) {
        return Tensor::from_error(e);
    }
    values.sparse_dot(columns, rows, k, &dense.t()).t()
}

/// Checks that the axis of a dense operand that is contracted has `k` elements.
fn check_dense(
    values: &Tensor,
    dense: &Tensor,
    k: usize,
    axis: i64,
    (m, n): (usize, usize),
) -> Result<()> {
    values.ty()?;
    let ty = dense.ty()?;
    if matches!(ty.rank(), 1 | 2) && dense.dim(axis) == k {
        return Ok(());
    }
    let d = ty.dtype;
    let matrix = if axis == 0 { format!("{d}[{k}, n]") } else { format!("{d}[n, {k}]") };
    let why = format!("expected {d}[{k}] or {matrix} for a sparse matrix [{m}, {n}], got {ty}");
    Err(Error::new("matmul", why))
}
