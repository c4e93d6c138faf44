//! The order of stored elements: sorting, adding those with equal indices, dropping padding.

use crate::coo::{Coo, stacked};
use neurax_tensor::{DType, Error, Tensor, concat, lexsort, where_};

impl Coo {
    /// Returns the tensor with its elements sorted by their indices, in row-major order; padding is
    /// behind the others.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::new(tensor([1.0, 2.0, 3.0]), tensor([[1, 0, 1], [1, 2, 0]]), [2, 3]);
    /// assert_eq!(a.sort_indices().values().to_vec::<f32>()?, [2.0, 3.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sort_indices(&self) -> Coo {
        let a = self.normalized();
        if a.shape.is_empty() {
            return a;
        }
        // The last key is the first in order.
        let mut keys = vec![];
        for axis in (0..a.rank()).rev() {
            keys.push(a.index(axis));
        }
        let order = lexsort(keys, 0);
        let (values, indices) = (a.values.take(&order, 0), a.indices.take(&order, 1));
        Coo { values, indices, shape: a.shape }
    }

    /// Returns the tensor sorted, with one element for equal indices: the sum. The number of stored
    /// elements stays, and padding fills the rest; [`Coo::trimmed`] drops it.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::new(tensor([1.0, 2.0, 3.0]), tensor([[2, 0, 2]]), [3]).sum_duplicates();
    /// assert_eq!(a.values().to_vec::<f32>()?, [2.0, 4.0, 0.0]);
    /// assert_eq!(a.indices().to_vec::<i32>()?, [0, 2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sum_duplicates(&self) -> Coo {
        let (a, nse) = (self.sort_indices(), self.nse());
        if nse == 0 {
            return a;
        }
        let (left, right) = (a.indices.slice(1, ..-1), a.indices.slice(1, 1..));
        let is_new = concat([Tensor::zeros(1).to(DType::I32), differs(&left, &right)], 0);
        let segment = is_new.cumsum(0);
        let values = a.values.zeros_like().at(&segment).add(&a.values);
        let mut rows = vec![];
        for axis in 0..a.rank() {
            let size = Tensor::full_of(DType::I32, nse, a.shape[axis]);
            // Equal indices overwrite each other by themselves.
            rows.push(size.at(&segment).set(a.index(axis)));
        }
        let indices = stacked(rows, nse);
        Coo { values, indices, shape: a.shape }
    }

    /// Returns the tensor without padding, the elements in their order.
    ///
    /// # Errors
    /// The result carries an error inside a trace, where the number of elements is unknown.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::sparse::Coo;
    /// let a = Coo::new(tensor([1.0, 2.0, 3.0]), tensor([[2, 0, 2]]), [3]);
    /// assert_eq!(a.sum_duplicates().trimmed().nse(), 2);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn trimmed(&self) -> Coo {
        if self.values.is_traced() || self.indices.is_traced() {
            let why =
                "the number of elements that are not padding is unknown inside a trace; keep it";
            return Coo::from_error(Error::new("trimmed", why), self.rank());
        }
        let a = self.normalized();
        let is_padding = a.is_padding().to(DType::U8);
        let kept = match is_padding.to(DType::I32).sum(..).item() {
            Ok(padding) => self.nse() - (padding as usize).min(self.nse()),
            Err(e) => return Coo::from_error(e, self.rank()),
        };
        let order = is_padding.argsort(0).slice(0, ..kept as i64);
        let (values, indices) = (a.values.take(&order, 0), a.indices.take(&order, 1));
        Coo { values, indices, shape: a.shape }
    }

    /// Returns the tensor with the indices of padding equal to the sizes and its values 0, and with
    /// positive indices for the others.
    #[track_caller]
    fn normalized(&self) -> Coo {
        let padding = self.is_padding();
        let mut rows = vec![];
        for axis in 0..self.rank() {
            let (index, n) = (self.index(axis), self.shape[axis]);
            let positive = index.lt(0).select(&index + n, &index);
            rows.push(where_(&padding, n, positive).to(DType::I32));
        }
        let indices = stacked(rows, self.nse());
        let values = padding.select(self.values.zeros_like(), &self.values);
        Coo { values, indices, shape: self.shape.clone() }
    }
}

/// Returns 1 for each column that differs between two matrices, else 0, i32.
#[track_caller]
fn differs(a: &Tensor, b: &Tensor) -> Tensor {
    a.not_equal(b).any(0).to(DType::I32)
}
