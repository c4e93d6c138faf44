//! Matrices made of vectors and blocks, and systems of equations of tensors.

use super::common::cloned;
use crate::{Operand, Tensor, concat, tensor::CallSite};
use std::{borrow::Borrow, panic::Location};

impl Tensor {
    /// Solves `a · x = b`, where the product sums over all axes of `x`: the first axes of `a` are
    /// those of `b`, the others those of `x`. Follows `numpy.linalg.tensorsolve`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the first axes of `a` are not those of `b`, or if the sizes
    /// of the others have another product.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let a = (Tensor::eye(4) * 2.0).reshape([2, 2, 4]);
    /// let x = a.tensorsolve(tensor([[2.0, 4.0], [6.0, 8.0]]));
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn tensorsolve(&self, b: impl Operand) -> Tensor {
        let at = Location::caller();
        let b = b.operand(self);
        let (left, right) = match (self.type_or_error(), b.type_or_error()) {
            (Ok(left), Ok(right)) => (left.clone(), right.clone()),
            (Err(e), _) | (_, Err(e)) => return e,
        };
        let rank = right.rank();
        let unknown = left.shape.get(rank..).unwrap_or(&[]);
        let n: usize = right.shape.iter().product();
        if !left.shape.starts_with(&right.shape) || unknown.iter().product::<usize>() != n {
            let why = format!(
                "expected a tensor whose first axes are those of the right side {right}, and whose \
                 other axes have {n} elements, got {left}"
            );
            return Tensor::fail("tensorsolve", why, at);
        }
        let x = self.reshape([n, n]).solve(b.reshape([n]));
        x.reshape(unknown.to_vec())
    }

    /// Computes the inverse of a tensor for products that sum over several axes: the first `axes`
    /// axes move behind the others, which have the same number of elements. The `tensordot` of the
    /// inverse and a tensor `b` solves the equations of [`Tensor::tensorsolve`]. Follows
    /// `numpy.linalg.tensorinv`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `axes` is 0 or larger than the rank, or if the first axes
    /// have another number of elements than the others.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let a = (Tensor::eye(4) * 2.0).reshape([2, 2, 4]);
    /// assert_eq!(a.tensorinv(2).shape(), [4, 2, 2]);
    /// ```
    #[track_caller]
    pub fn tensorinv(&self, axes: usize) -> Tensor {
        let at = Location::caller();
        let shape = match self.type_or_error() {
            Ok(ty) => ty.shape.to_vec(),
            Err(e) => return e,
        };
        let n: usize = shape.iter().take(axes).product();
        let rest = shape.get(axes..).unwrap_or(&[]);
        if axes == 0 || axes > shape.len() || rest.iter().product::<usize>() != n {
            let why = format!(
                "expected first axes, at least one, of the same number of elements as the \
                 others, got \
                 {axes} axes of {}",
                self.dtype_and_shape()
            );
            return Tensor::fail("tensorinv", why, at);
        }
        self.reshape([n, n]).inv().reshape([rest, &shape[..axes]].concat())
    }
}

/// Creates the Toeplitz matrix `[n, m]` with the first column `column` `[n]` and the first row
/// `row` `[m]`, whose first element is not read: all elements of a diagonal are equal. Follows
/// `scipy.linalg.toeplitz`, which takes the conjugate of the column for a row that is not given.
///
/// # Errors
///
/// The result carries an error if an operand is not a vector.
///
/// # Examples
///
/// ```
/// use neurax::{prelude::*, toeplitz};
/// let x = toeplitz(&tensor([1, 2, 3]), tensor([0, 8, 9]));
/// assert_eq!(x.to_vec::<i32>()?, [1, 8, 9, 2, 1, 8, 3, 2, 1]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn toeplitz(column: &Tensor, row: impl Operand) -> Tensor {
    let at = Location::caller();
    let row = row.operand(column);
    let (n, m) = match (vector_size("toeplitz", column, at), vector_size("toeplitz", &row, at)) {
        (Ok(n), Ok(m)) => (n, m),
        (Err(e), _) | (_, Err(e)) => return e,
    };
    if n == 0 || m == 0 {
        return Tensor::zeros_of(column.dtype(), [n, m]);
    }
    // The diagonals from the last element of the row to the last one of the column.
    let diagonals = concat([row.slice(0, 1..).flip(0), column.clone()], 0);
    let (i, j) = (Tensor::arange(n).expand_dims(1), Tensor::arange(m));
    diagonals.take(i - j + (m - 1) as i64, 0)
}

/// Creates the matrix with the given matrices along its diagonal and 0 elsewhere. A vector is a
/// matrix of one row, a scalar one of a single element. Follows `scipy.linalg.block_diag`.
///
/// # Errors
///
/// The result carries an error if there are no matrices, or if one has more than two axes.
///
/// # Examples
///
/// ```
/// use neurax::{block_diag, prelude::*};
/// let x = block_diag([tensor([[1, 2], [3, 4]]), tensor([5])]);
/// assert_eq!(x.to_vec::<i32>()?, [1, 2, 0, 3, 4, 0, 0, 0, 5]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn block_diag<T: Borrow<Tensor>>(matrices: impl IntoIterator<Item = T>) -> Tensor {
    let at = Location::caller();
    let xs = cloned(matrices);
    if let Some(e) = xs.iter().find(|x| x.error().is_some()) {
        return e.clone();
    }
    if let Some(x) = xs.iter().find(|x| x.rank() > 2) {
        let why = format!("expected matrices of at most two axes, got {}", x.dtype_and_shape());
        return Tensor::fail("block_diag", why, at);
    }
    let blocks: Vec<Tensor> = xs.iter().map(|x| x.atleast_matrix()).collect();
    let columns: usize = blocks.iter().map(|x| x.dim(1)).sum();
    let (mut rows, mut before) = (vec![], 0);
    for x in &blocks {
        let after = columns - before - x.dim(1);
        rows.push(x.pad([(0, 0), (before, after)], 0));
        before += x.dim(1);
    }
    concat(rows, 0)
}

impl Tensor {
    /// Returns a scalar or a vector as a matrix of one row.
    #[track_caller]
    fn atleast_matrix(&self) -> Tensor {
        let columns = if self.rank() == 0 { 1 } else { self.dim(-1) };
        if self.rank() < 2 { self.reshape([1, columns]) } else { self.clone() }
    }
}

/// Returns the size of a vector.
fn vector_size(op: &str, x: &Tensor, at: CallSite) -> Result<usize, Tensor> {
    match x.type_or_error()?.shape[..] {
        [n] => Ok(n),
        _ => Err(Tensor::fail(op, format!("expected a vector, got {}", x.dtype_and_shape()), at)),
    }
}
