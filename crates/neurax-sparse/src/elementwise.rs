//! Sums, and elementwise functions of sparse and dense tensors.

use crate::coo::{Coo, stacked};
use neurax_tensor::{DType, Error, Index, IntoAxes, Tensor, concat};

impl Coo {
    /// Returns the product with a dense tensor, which broadcasts to the shape, at the stored
    /// elements.
    ///
    /// # Errors
    /// The result carries an error if the dense tensor does not broadcast to the shape.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::from_dense(&tensor([[0.0, 2.0], [3.0, 4.0]]));
    /// let y = a.mul_dense(&tensor([10.0, 100.0]));
    /// assert_eq!(y.values().to_vec::<f32>()?, [200.0, 30.0, 400.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn mul_dense(&self, dense: &Tensor) -> Coo {
        self.with_values(&self.values * self.gather(dense))
    }

    /// Returns the quotient by a dense tensor, which broadcasts to the shape, at the stored
    /// elements. The others stay 0, also where the divisor is 0.
    ///
    /// # Errors
    /// As [`Coo::mul_dense`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::from_dense(&tensor([[0.0, 2.0], [3.0, 4.0]]));
    /// let y = a.div_dense(&tensor([10.0, 4.0]));
    /// assert_eq!(y.to_dense().to_vec::<f32>()?, [0.0, 0.5, 0.3, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn div_dense(&self, dense: &Tensor) -> Coo {
        self.with_values(&self.values / self.gather(dense))
    }

    /// Returns the elements of a dense tensor, which broadcasts to the shape, at the indices of the
    /// stored elements, `[nse]`. Those of padding are unspecified.
    ///
    /// # Errors
    /// As [`Coo::mul_dense`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// assert_eq!(Coo::eye(2).gather(&tensor([[1, 2], [3, 4]])).to_vec::<i32>()?, [1, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn gather(&self, dense: &Tensor) -> Tensor {
        let dense = dense.broadcast_to(&self.shape);
        if dense.error().is_some() {
            return dense;
        }
        if self.shape.contains(&0) {
            // There is padding only.
            return Tensor::zeros(self.nse()).to(dense.dtype());
        }
        if self.shape.is_empty() {
            return dense.broadcast_to(self.nse());
        }
        dense.index(self.index_entries())
    }

    /// Returns the sum with a dense tensor of the same shape: a dense tensor.
    ///
    /// # Errors
    /// The result carries an error if the shapes differ.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let y = Coo::eye(2).add_dense(&tensor([[1.0, 2.0], [3.0, 4.0]]));
    /// assert_eq!(y.to_vec::<f32>()?, [2.0, 2.0, 3.0, 5.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn add_dense(&self, dense: &Tensor) -> Tensor {
        let ty = match dense.ty() {
            Ok(ty) => ty,
            Err(e) => return Tensor::from_error(e),
        };
        if ty.shape[..] != self.shape[..] || self.values.error().is_some() {
            let why = format!("expected a dense tensor of the shape {:?}, got {ty}", self.shape);
            return Tensor::from_error(self.error("add_dense", why));
        }
        // The dtype of a sum of both.
        let dtype = (dense.flatten().slice(0, ..0) + self.values.slice(0, ..0)).dtype();
        self.add_to(&dense.to(dtype))
    }

    /// Returns `dense` plus the stored elements. The shapes are equal.
    #[track_caller]
    pub(crate) fn add_to(&self, dense: &Tensor) -> Tensor {
        if self.shape.is_empty() {
            return dense + self.values.sum(..);
        }
        dense.at(self.index_entries()).add(self.values.to(dense.dtype()))
    }

    /// Returns the index of the stored elements in a dense tensor, an entry for each axis.
    #[track_caller]
    fn index_entries(&self) -> Vec<Index> {
        let mut entries = vec![];
        for axis in 0..self.rank() {
            entries.push(Index::Tensor(self.index(axis)));
        }
        entries
    }

    /// Returns the sum over axes: a dense tensor without them.
    ///
    /// # Errors
    /// The result carries an error if an axis is out of range.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::from_dense(&tensor([[0.0, 2.0], [3.0, 4.0]]));
    /// assert_eq!(a.sum(0).to_vec::<f32>()?, [3.0, 6.0]);
    /// assert_eq!(a.sum(-1).to_vec::<f32>()?, [2.0, 7.0]);
    /// assert_eq!(a.sum(..).item()?, 9.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sum(&self, axes: impl IntoAxes) -> Tensor {
        let summed = match (self.values.error(), axes.axes(self.rank())) {
            (None, Ok(axes)) => axes,
            (_, axes) => {
                let why = axes.err().unwrap_or_default();
                return Tensor::from_error(self.error("sum", why));
            }
        };
        let kept: Vec<usize> = (0..self.rank()).filter(|a| !summed.contains(a)).collect();
        let valid = self.without_padding();
        let mut rows = vec![];
        for &axis in &kept {
            rows.push(valid.index(axis));
        }
        let shape: Vec<usize> = kept.iter().map(|&a| self.shape[a]).collect();
        let indices = stacked(rows, self.nse());
        let sum = Coo { values: valid.values, indices, shape }.to_dense();
        if !axes.keep() {
            return sum;
        }
        let sizes = self.shape.iter().enumerate();
        let sizes = sizes.map(|(a, &n)| if kept.contains(&a) { n } else { 1 });
        sum.reshape(sizes.collect::<Vec<_>>())
    }

    /// Returns the tensor with the value 0 for all padding, also where only some of the indices are
    /// outside of the shape.
    #[track_caller]
    fn without_padding(&self) -> Coo {
        let values = self.is_padding().select(self.values.zeros_like(), &self.values);
        Coo { values, indices: self.indices.clone(), shape: self.shape.clone() }
    }

    /// Returns true for each stored element with an index outside of the shape, bool `[nse]`.
    #[track_caller]
    pub(crate) fn is_padding(&self) -> Tensor {
        let sizes: Vec<i32> = self.shape.iter().map(|&n| n as i32).collect();
        let sizes = Tensor::from_vec(sizes, [self.rank(), 1]);
        // A negative index counts from the end in gathers and scatters.
        (self.indices.ge(&sizes) | self.indices.lt(-sizes)).any(0)
    }

    /// Returns the sum with a sparse tensor of the same shape. It stores the elements of both;
    /// [`Coo::sum_duplicates`] adds those with equal indices.
    ///
    /// # Errors
    /// The result carries an error if the shapes differ, or the error that a tensor carries.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::eye(2).add(&Coo::from_dense(&tensor([[1.0, 2.0], [0.0, 0.0]])));
    /// assert_eq!((a.nse(), a.to_dense().to_vec::<f32>()?), (4, vec![2.0, 2.0, 0.0, 1.0]));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn add(&self, other: &Coo) -> Coo {
        if self.shape != other.shape {
            let why =
                format!("expected a tensor of the shape {:?}, got {:?}", self.shape, other.shape);
            let carried = self.values.error().or(other.values.error()).cloned();
            return Coo::from_error(carried.unwrap_or_else(|| Error::new("add", why)), self.rank());
        }
        let values = concat([self.values.clone(), other.values.clone()], 0);
        let indices = concat([self.indices.clone(), other.indices.clone()], 1);
        Coo { values, indices, shape: self.shape.clone() }
    }

    /// Returns the tensor with values of another dtype.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::from_dense(&tensor([0.0, 2.5, 0.0])).to(I32);
    /// assert_eq!(a.to_dense().to_vec::<i32>()?, [0, 2, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to(&self, dtype: DType) -> Coo {
        self.with_values(self.values.to(dtype))
    }
}
