//! [`Csr`]: the format of compressed rows.

use crate::coo::{Coo, count, inside_or_padding, stacked};
use neurax_tensor::{DType, Error, Result, Side, Tensor, Tree};

/// A sparse matrix of compressed rows: the values of the stored elements row by row, the column of
/// each, and for each row the number of elements before it (BCSR in JAX, `csr_array` in scipy).
///
/// Elements behind the last row, and those with a column outside of the shape, are padding. It is a
/// tree of four tensors: these, and the row of each element, which products need.
///
/// ```
/// use neurax::prelude::*;
/// use neurax::sparse::Csr;
/// let a = Csr::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
/// assert_eq!(a.columns().to_vec::<i32>()?, [1, 0, 2]);
/// assert_eq!(a.row_starts().to_vec::<i32>()?, [0, 1, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Tree, Clone, Debug)]
pub struct Csr {
    values: Tensor,
    columns: Tensor,
    row_starts: Tensor,
    /// The row of each element, i32 `[nse]`: products need it, and to find it takes several times
    /// as long as the product of a vector.
    rows: Tensor,
    #[tree(static)]
    shape: [usize; 2],
}

impl Csr {
    /// Creates a matrix of `values` `[nse]`, integer `columns` `[nse]`, and integer `row_starts`
    /// `[rows + 1]`: row `i` has the elements from `row_starts[i]` to `row_starts[i + 1]`. The
    /// integers are not checked; `row_starts` has to ascend.
    ///
    /// # Errors
    /// The tensors carry an error if their types do not fit.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::new(tensor([2.0, 3.0]), tensor([1, 0]), tensor([0, 1, 2]), [2, 2]);
    /// assert_eq!(a.to_dense().to_vec::<f32>()?, [0.0, 2.0, 3.0, 0.0]);
    /// let e = Csr::new(tensor([2.0]), tensor([1]), tensor([0, 1]), [2, 2]).ok().unwrap_err();
    /// assert!(e.to_string().starts_with("csr: expected row starts of i32[3], got i32[2]"), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn new(values: Tensor, columns: Tensor, row_starts: Tensor, shape: [usize; 2]) -> Csr {
        match checked(&values, &columns, &row_starts, shape) {
            Ok(()) => {
                let columns = inside_or_padding(&columns.expand_dims(0), &shape[1..]).squeeze(0);
                // A start beyond all elements ends a row, whatever its size.
                let starts = row_starts.to(DType::I64).clip(0, i64::from(i32::MAX));
                let row_starts = starts.to(DType::I32);
                let rows = rows_of(&row_starts, values.dim(0));
                Csr { values, columns, row_starts, rows, shape }
            }
            Err(e) => Csr::from_error(e, shape),
        }
    }

    /// Creates a sparse matrix of the elements of a dense one that are not 0.
    ///
    /// # Errors
    /// As [`Coo::from_dense`]; when the tensor is not a matrix.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!((a.nse(), a.values().to_vec::<f32>()?), (3, vec![2.0, 3.0, 4.0]));
    /// assert!(Csr::from_dense(&tensor([1.0])).ok().is_err(), "no matrix");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn from_dense(x: &Tensor) -> Csr {
        match count(x) {
            Ok(nse) => Csr::from_dense_with_nse(x, nse),
            Err(e) => Csr::from_error(e, [0, 0]),
        }
    }

    /// Creates a sparse matrix of the first `nse` elements of a dense one that are not 0, as
    /// [`Coo::from_dense_with_nse`] does.
    ///
    /// # Errors
    /// The result carries an error if the tensor is not a matrix.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let square = jit(|x: Tensor| Csr::from_dense_with_nse(&x, 3).map_values(|v| v.square()));
    /// let y = square.run(tensor([[0.0, 2.0], [3.0, 0.0]]))?;
    /// assert_eq!(y.values().to_vec::<f32>()?, [4.0, 9.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn from_dense_with_nse(x: &Tensor, nse: usize) -> Csr {
        compressed(&Coo::from_dense_with_nse(x, nse))
    }

    /// Returns the dense matrix.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let x = tensor([[0.0, 2.0], [3.0, 0.0]]);
    /// assert_eq!(Csr::from_dense(&x).to_dense().to_vec::<f32>()?, x.to_vec::<f32>()?);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to_dense(&self) -> Tensor {
        self.to_coo().to_dense()
    }

    /// Returns the matrix in coordinate format, its elements in the same order.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::from_dense(&tensor([[0.0, 2.0], [3.0, 4.0]])).to_coo();
    /// assert_eq!(a.indices().to_string(), "i32[2, 3]\n[[0, 1, 1],\n [1, 0, 1]]");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to_coo(&self) -> Coo {
        let indices = stacked(vec![self.rows.clone(), self.columns.clone()], self.nse());
        Coo { values: self.values.clone(), indices, shape: self.shape.to_vec() }
    }

    /// Returns the transpose, whose elements are sorted by row.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.transpose().row_starts().to_vec::<i32>()?, [0, 1, 2, 3]);
    /// assert_eq!(a.transpose().values().to_vec::<f32>()?, [3.0, 2.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn transpose(&self) -> Csr {
        self.to_coo().transpose().to_csr()
    }

    /// Returns the sum over axes: a dense tensor. See [`Coo::sum`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.sum(0).to_vec::<f32>()?, [3.0, 2.0, 4.0]);
    /// assert_eq!(a.sum(1).to_vec::<f32>()?, [2.0, 7.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sum(&self, axes: impl neurax_tensor::IntoAxes) -> Tensor {
        self.to_coo().sum(axes)
    }

    /// Returns the matrix with `f` of the values. See [`Coo::map_values`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.map_values(|v| v * 10.0).sum(..).item()?, 90.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn map_values(&self, f: impl Fn(&Tensor) -> Tensor) -> Csr {
        self.with_values(f(&self.values))
    }

    /// Returns the matrix with other values at the same places.
    ///
    /// # Errors
    /// The result carries an error if the number of values differs.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.with_values(tensor([1, 2, 3])).sum(0).to_vec::<i32>()?, [2, 1, 3]);
    /// assert!(a.with_values(tensor([1, 2])).ok().is_err(), "another number of values");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn with_values(&self, values: Tensor) -> Csr {
        let checked = checked(&values, &self.columns, &self.row_starts, self.shape);
        match checked {
            Ok(()) => Csr { values, ..self.clone() },
            Err(e) => Csr::from_error(e, self.shape),
        }
    }

    /// Returns the values of the stored elements, `[nse]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.values().to_vec::<f32>()?, [2.0, 3.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// Returns the column of each stored element, i32 `[nse]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.columns().to_vec::<i32>()?, [1, 0, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn columns(&self) -> &Tensor {
        &self.columns
    }

    /// Returns the number of elements before each row, and their number at the end, i32 `[rows +
    /// 1]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.row_starts().to_vec::<i32>()?, [0, 1, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn row_starts(&self) -> &Tensor {
        &self.row_starts
    }

    /// Returns the row of each stored element, i32 `[nse]`; the number of rows for padding.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.rows().to_vec::<i32>()?, [0, 1, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn rows(&self) -> &Tensor {
        &self.rows
    }

    /// Returns the numbers of rows and columns.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.shape(), [2, 3]);
    /// ```
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// Returns the number of stored elements, with padding.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Csr;
    /// let a = Csr::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.nse(), 3);
    /// ```
    pub fn nse(&self) -> usize {
        self.values.dim(0)
    }

    #[track_caller]
    fn from_error(e: Error, shape: [usize; 2]) -> Csr {
        let error = Tensor::from_error(e);
        let rows = error.clone();
        Csr { values: error.clone(), columns: error.clone(), row_starts: error, rows, shape }
    }
}

impl Coo {
    /// Returns the matrix with compressed rows. Its elements are sorted by row and column; those
    /// with equal indices stay apart.
    ///
    /// # Errors
    /// The result carries an error if this is not a matrix.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::new(tensor([1.0, 2.0, 3.0]), tensor([[1, 0, 1], [1, 2, 0]]), [2, 3]).to_csr();
    /// assert_eq!(a.columns().to_vec::<i32>()?, [2, 0, 1]);
    /// assert_eq!(a.row_starts().to_vec::<i32>()?, [0, 1, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to_csr(&self) -> Csr {
        compressed(&self.sort_indices())
    }
}

/// Compresses the rows of a matrix whose elements are sorted.
#[track_caller]
fn compressed(a: &Coo) -> Csr {
    let (rows, columns) = match a.matrix("to_csr") {
        Ok(sizes) => sizes,
        Err(e) => return Csr::from_error(e, [0, 0]),
    };
    // Padding has the row `rows`, which is behind all others.
    let row_starts = a.index(0).searchsorted(Tensor::arange(rows + 1), Side::Left);
    Csr {
        values: a.values.clone(),
        columns: a.index(1),
        row_starts,
        rows: a.index(0),
        shape: [rows, columns],
    }
}

/// Returns the row of each of `nse` elements: the number of rows that end at or before it.
///
/// A sum over the ends takes a third of the time of a binary search for each element.
#[track_caller]
fn rows_of(row_starts: &Tensor, nse: usize) -> Tensor {
    let ends = Tensor::zeros(nse).to(DType::I32).at(row_starts.slice(0, 1..)).add(1);
    ends.cumsum(0)
}

/// Checks the types of the parts of a matrix.
fn checked(
    values: &Tensor,
    columns: &Tensor,
    row_starts: &Tensor,
    shape: [usize; 2],
) -> Result<()> {
    crate::coo::fits_i32(&shape)?;
    let (v, c, r) = (values.ty()?, columns.ty()?, row_starts.ty()?);
    if v.rank() != 1 {
        return Err(Error::new("csr", format!("expected values of one axis, got {v}")));
    }
    if !c.dtype.is_int() || c.shape != v.shape {
        let why = format!("expected columns of i32[{}], got {c}", v.size());
        return Err(Error::new("csr", why));
    }
    if !r.dtype.is_int() || r.shape[..] != [shape[0] + 1] {
        let why = format!("expected row starts of i32[{}], got {r}", shape[0] + 1);
        return Err(Error::new("csr", why));
    }
    Ok(())
}
