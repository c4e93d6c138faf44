//! Products of sparse matrices, given by their stored elements.

use super::common::{promote_operands, tensor_or_error};
use crate::{Tensor, dispatch::dispatch, tensor::CallSite};
use neurax_ir::composite::SparseDot;
use std::panic::Location;

impl Tensor {
    /// Computes the product of a sparse matrix `[m, k]` with a dense vector `[k]` or matrix
    /// `[k, n]`: `[m]` or `[m, n]`.
    ///
    /// `self` `[nse]` has the values of the stored elements, `rows` and `columns`, integers
    /// `[nse]`, their places; values at the same place are added, and those out of bounds are
    /// dropped, also by negative indices. Dtypes are promoted; sums of floats below 32 bits are in
    /// f32. Elements that are sorted by row are faster, and so are indices of at most 32 bits.
    /// Both derivatives are products of sparse matrices, too. Follows
    /// `jax.experimental.sparse.coo_matmat`; the types of `neurax-sparse` call it.
    ///
    /// # Errors
    ///
    /// The result carries an error if the shapes do not fit, or the indices are not integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// // [[0, 2, 0], [3, 0, 4]]
    /// let (rows, columns) = (tensor([0, 1, 1]), tensor([1, 0, 2]));
    /// let values = tensor([2.0, 3.0, 4.0]);
    /// let y = values.sparse_dot(&rows, &columns, 2, &tensor([1.0, 2.0, 3.0]));
    /// assert_eq!(y.to_vec::<f32>()?, [4.0, 15.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sparse_dot(&self, rows: &Tensor, columns: &Tensor, m: usize, dense: &Tensor) -> Tensor {
        let at: CallSite = Location::caller();
        let product = || {
            let both = promote_operands(SparseDot::NAME, &[self.clone(), dense.clone()], at)?;
            let [values, dense] = &both[..] else { return Ok(dense.clone()) };
            let operands = [values, rows, columns, dense].map(Tensor::clone);
            Ok(dispatch(SparseDot { rows: m }, operands, at))
        };
        tensor_or_error(product())
    }
}
