//! [`Coo`]: the coordinate format.

use neurax_tensor::{DType, Dim, Error, IntoShape, Result, Tensor, Tree, where_};

/// A sparse tensor in coordinate format: the values of the stored elements, and the index of each
/// along every axis (BCOO in JAX without batch and dense axes, `coo_array` in scipy).
///
/// Equal indices add up; an element outside of the shape is padding. It is a tree of two tensors.
/// Gradients are taken with respect to [`Coo::values`], as the indices are integers.
///
/// ```
/// use neurax::prelude::*;
/// use neurax::sparse::Coo;
/// let a = Coo::new(tensor([2.0, 3.0, 4.0]), tensor([[0, 1, 1], [1, 0, 2]]), [2, 3]);
/// assert_eq!(a.to_dense().to_vec::<f32>()?, [0.0, 2.0, 0.0, 3.0, 0.0, 4.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Tree, Clone, Debug)]
pub struct Coo {
    pub(crate) values: Tensor,
    pub(crate) indices: Tensor,
    #[tree(static)]
    pub(crate) shape: Vec<usize>,
}

impl Coo {
    /// Creates a sparse tensor of `values` `[nse]` at `indices`, integers `[rank, nse]`: row `a`
    /// has the indices along axis `a`. They are not compared with the shape: elements outside of
    /// it, also those with negative indices, are padding.
    ///
    /// # Errors
    /// Both tensors carry an error if their types do not fit, or a size of the shape is above i32.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let e = Coo::new(tensor([1.0, 2.0]), tensor([[0, 1, 1], [1, 0, 2]]), [2, 3]).ok();
    /// let e = e.unwrap_err().to_string();
    /// let want = "coo: expected indices of i32[2, 2] for f32[2] values, got i32[2, 3]";
    /// assert!(e.starts_with(want), "{e}");
    /// ```
    #[track_caller]
    pub fn new(values: Tensor, indices: Tensor, shape: impl IntoShape) -> Coo {
        match checked(&values, &indices, shape) {
            Ok(shape) => {
                let indices = inside_or_padding(&indices, &shape);
                Coo { values, indices, shape }
            }
            Err(e) => Coo::from_error(e, 0),
        }
    }

    /// Creates a sparse tensor of the elements of a dense one that are not 0.
    ///
    /// # Errors
    /// The result carries an error inside a trace, where the number of elements is unknown: use
    /// [`Coo::from_dense_with_nse`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::from_dense(&tensor([0.0, 5.0, 0.0, -1.0]));
    /// assert_eq!(a.indices().to_string(), "i32[1, 2]\n[[1, 3]]");
    /// let traced = jit(|x: Tensor| Coo::from_dense(&x)).run(tensor([1.0]));
    /// assert!(traced.unwrap_err().to_string().contains("use from_dense_with_nse"));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn from_dense(x: &Tensor) -> Coo {
        match count(x) {
            Ok(nse) => Coo::from_dense_with_nse(x, nse),
            Err(e) => Coo::from_error(e, x.rank()),
        }
    }

    /// Creates a sparse tensor of the first `nse` elements of a dense one that are not 0, in
    /// row-major order. Behind fewer elements there is padding; further elements are dropped.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let square = jit(|x: Tensor| Coo::from_dense_with_nse(&x, 3).map_values(|v| v.square()));
    /// let y = square.run(tensor([[0.0, 2.0], [3.0, 0.0]]))?;
    /// assert_eq!(y.values().to_vec::<f32>()?, [4.0, 9.0, 0.0]);
    /// assert_eq!(y.indices().to_string(), "i32[2, 3]\n[[0, 1, 2],\n [1, 0, 2]]");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn from_dense_with_nse(x: &Tensor, nse: usize) -> Coo {
        let shape = match x.ty().and_then(|ty| fits_i32(&ty.shape)) {
            Ok(shape) => shape,
            Err(e) => return Coo::from_error(e, x.rank()),
        };
        let (flat, size) = (x.flatten(), x.size());
        let stored = flat.not_equal(0);
        // Stable: the stored elements come first, in order.
        let order = stored.logical_not().to(DType::U8).argsort(0);
        let (kept, count) = (nse.min(size), stored.to(DType::I32).sum(..));
        let order = order.slice(0, ..kept as i64);
        let valid = Tensor::arange(kept).lt(count);
        let values = where_(&valid, flat.take(&order, 0), 0);
        let missing = (0, nse - kept);
        let mut rows = vec![];
        let mut stride = size;
        for &n in &shape {
            stride /= n.max(1);
            let index = order.floor_divide(stride.max(1)).remainder(n.max(1));
            let index = where_(&valid, index, n).to(DType::I32);
            rows.push(index.pad([missing], n));
        }
        let indices = stacked(rows, nse);
        Coo { values: values.pad([missing], 0), indices, shape }
    }

    /// Creates the identity matrix of `n` rows, f32.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// assert_eq!(Coo::eye(3).matmul(&tensor([1.0, 2.0, 3.0])).to_vec::<f32>()?, [1.0, 2.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn eye(n: usize) -> Coo {
        let diagonal = Tensor::arange(n);
        Coo::new(Tensor::ones(n), stacked(vec![diagonal.clone(), diagonal], n), [n, n])
    }

    /// Returns the dense tensor. Padding is dropped, and elements with equal indices are added.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::new(tensor([2.0, 3.0, 9.0]), tensor([[1, 1, 4]]), [3]);
    /// assert_eq!(a.to_dense().to_vec::<f32>()?, [0.0, 5.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to_dense(&self) -> Tensor {
        self.add_to(&Tensor::zeros(&self.shape).to(self.values.dtype()))
    }

    /// Returns the values of the stored elements, `[nse]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.values().to_vec::<f32>()?, [2.0, 3.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// Returns the indices of the stored elements, i32 `[rank, nse]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.indices().to_nested::<Vec<Vec<i32>>>()?, [[0, 1, 1], [1, 0, 2]]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn indices(&self) -> &Tensor {
        &self.indices
    }

    /// Returns the shape of the dense tensor.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// assert_eq!(Coo::from_dense(&Tensor::zeros([2, 3])).shape(), [2, 3]);
    /// ```
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the number of axes of the dense tensor.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// assert_eq!(Coo::from_dense(&Tensor::zeros([2, 3])).rank(), 2);
    /// ```
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Returns the number of stored elements, with padding.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let x = tensor([0.0, 5.0, 0.0, -1.0]);
    /// assert_eq!((Coo::from_dense(&x).nse(), Coo::from_dense_with_nse(&x, 3).nse()), (2, 3));
    /// ```
    pub fn nse(&self) -> usize {
        self.values.dim(0)
    }

    /// Returns the tensor with other values at the same indices.
    ///
    /// # Errors
    /// The result carries an error if the number of values differs.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::from_dense(&tensor([0.0, 5.0, 0.0, -1.0]));
    /// let b = a.with_values(tensor([1, 2]));
    /// assert_eq!(b.to_dense().to_vec::<i32>()?, [0, 1, 0, 2]);
    /// assert!(a.with_values(tensor([1, 2, 3])).ok().is_err(), "another number of values");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn with_values(&self, values: Tensor) -> Coo {
        Coo::new(values, self.indices.clone(), &self.shape)
    }

    /// Returns the tensor with `f` of the values, at the same indices. `f` of 0 should be 0: the
    /// elements that are not stored stay 0.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::from_dense(&tensor([0.0, 5.0, 0.0, -1.0]));
    /// assert_eq!(a.map_values(|v| v.abs()).to_dense().to_vec::<f32>()?, [0.0, 5.0, 0.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn map_values(&self, f: impl Fn(&Tensor) -> Tensor) -> Coo {
        self.with_values(f(&self.values))
    }

    /// Returns the tensor with its axes in reverse order: the transpose of a matrix.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
    /// assert_eq!(a.transpose().to_dense().to_vec::<f32>()?, [0.0, 3.0, 2.0, 0.0, 0.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn transpose(&self) -> Coo {
        let shape = self.shape.iter().rev().copied().collect();
        Coo { values: self.values.clone(), indices: self.indices.flip(0), shape }
    }

    /// Returns the indices along `axis`, `[nse]`.
    #[track_caller]
    pub(crate) fn index(&self, axis: usize) -> Tensor {
        self.indices.get(axis as i64)
    }

    /// Returns the tensor whose leaves carry `e`.
    #[track_caller]
    pub(crate) fn from_error(e: Error, rank: usize) -> Coo {
        let error = Tensor::from_error(e);
        Coo { values: error.clone(), indices: error, shape: vec![0; rank] }
    }

    /// Returns an error of `op`, or the error that the tensor carries.
    pub(crate) fn error(&self, op: &str, why: String) -> Error {
        self.values.error().cloned().unwrap_or_else(|| Error::new(op, why))
    }

    /// Checks that the tensor is a matrix, and returns its sizes.
    pub(crate) fn matrix(&self, op: &str) -> Result<(usize, usize)> {
        match (self.values.error(), &self.shape[..]) {
            (None, &[rows, columns]) => Ok((rows, columns)),
            _ => Err(self.error(op, format!("expected a matrix, got the shape {:?}", self.shape))),
        }
    }
}

/// Stacks the indices along each axis; none for rank 0.
#[track_caller]
pub(crate) fn stacked(rows: Vec<Tensor>, nse: usize) -> Tensor {
    if rows.is_empty() {
        return Tensor::zeros([0, nse]).to(DType::I32);
    }
    neurax_tensor::stack(rows, 0)
}

/// Returns `indices`, `[rank, nse]` of any integer dtype, as i32: those outside of `sizes`, one for
/// each row, become the size, which marks padding.
pub(crate) fn inside_or_padding(indices: &Tensor, sizes: &[usize]) -> Tensor {
    let wide = indices.to(DType::I64);
    let bounds: Vec<i64> = sizes.iter().map(|&n| n as i64).collect();
    let bounds = Tensor::from_vec(bounds, [sizes.len(), 1]);
    (wide.ge(0) & wide.lt(&bounds)).select(&wide, &bounds).to(DType::I32)
}

/// Checks the parts of a sparse tensor, and returns its shape.
fn checked(values: &Tensor, indices: &Tensor, shape: impl IntoShape) -> Result<Vec<usize>> {
    let (have_values, have) = (values.ty()?, indices.ty()?);
    let shape = fits_i32(&sizes(shape)?)?;
    if have_values.rank() != 1 {
        return Err(Error::new("coo", format!("expected values of one axis, got {have_values}")));
    }
    let (rank, nse) = (shape.len(), have_values.size());
    if !have.dtype.is_int() || have.shape[..] != [rank, nse] {
        let want = format!("expected indices of i32[{rank}, {nse}] for {have_values} values");
        return Err(Error::new("coo", format!("{want}, got {have}")));
    }
    Ok(shape)
}

/// Returns the sizes of a shape.
fn sizes(shape: impl IntoShape) -> Result<Vec<usize>> {
    let size = |dim| match dim {
        Dim::Size(n) => Ok(n),
        other => Err(Error::new("coo", format!("expected a size, got `{other}`"))),
    };
    shape.dims().into_iter().map(size).collect()
}

/// Returns the sizes if i32, the type of indices, holds them.
pub(crate) fn fits_i32(shape: &[usize]) -> Result<Vec<usize>> {
    match shape.iter().find(|&&n| i32::try_from(n).is_err()) {
        None => Ok(shape.to_vec()),
        Some(n) => Err(Error::new("coo", format!("expected sizes below 2^31, got {n}"))),
    }
}

/// Counts the elements of a plain tensor that are not 0.
pub(crate) fn count(x: &Tensor) -> Result<usize> {
    if x.is_traced() {
        let why = "the number of elements that are not 0 is unknown inside a trace; \
                   use from_dense_with_nse";
        return Err(Error::new("from_dense", why));
    }
    Ok(x.count_nonzero(..).item()? as usize)
}
