//! Writing at flat indices, at masks and on diagonals; inserting and deleting entries.

use super::{
    common::{located, tensor_or_error},
    matrices::{diagonal_indices, diagonal_length},
    nonzero::Found,
};
use crate::{
    AxisInt, DType, Ellipsis, IndexEntry, Operand, Scalar, SizeOptions, Tensor, args::axis_of,
    concat, tensor::CallSite,
};
use std::panic::Location;

impl Tensor {
    /// Returns the tensor with `values` at `indices` of the flattened tensor; indices out of range
    /// are ignored.
    ///
    /// Negative indices count from the end. `values` are repeated if there are fewer of them than
    /// indices. Follows `jax.numpy.put`; for its modes `clip` and `wrap` take `indices.clip(..)` or
    /// `indices.remainder(n)`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `indices` are not integers, or if the dtype of `values` does
    /// not promote to that of the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 2], [3, 4]]).put(&tensor([0, -1]), tensor([10, 40]));
    /// assert_eq!(x.to_vec::<i32>()?, [10, 2, 3, 40]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn put(&self, indices: &Tensor, values: impl Operand) -> Tensor {
        let (at, values) = (Location::caller(), values.operand(self));
        let put = || {
            let shape = self.type_or_error()?.shape.clone();
            let n = indices.type_or_error()?.size();
            let values = values.for_elements(self, "put", at)?;
            if self.size() == 0 || values.size() == 0 {
                return Ok(self.clone());
            }
            let values = values.resize(n);
            Ok(self.flatten().at(indices.flatten()).set(values).reshaped(shape, at))
        };
        located(at, &[self, indices, &values], || tensor_or_error(put()))
    }

    /// Returns the tensor with `values` at one position along `axis` for each element of `indices`,
    /// at the same position along the other axes; indices out of range are ignored.
    ///
    /// The other axes broadcast, and `values` broadcast to the indices. Negative indices count from
    /// the end. The inverse of [`Tensor::take_along_axis`]. Follows `jax.numpy.put_along_axis`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `indices` are not integers of the same rank, or do not
    /// broadcast.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 9, 2], [8, 3, 4]]);
    /// let largest = x.argmax(1).expand_dims(1);
    /// assert_eq!(x.put_along_axis(&largest, 0, 1).to_vec::<i32>()?, [1, 0, 2, 0, 3, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn put_along_axis(
        &self,
        indices: &Tensor,
        values: impl Operand,
        axis: impl AxisInt,
    ) -> Tensor {
        let (op, at, values) = ("put_along_axis", Location::caller(), values.operand(self));
        let put = || {
            let axis = self.axis_at(axis, op, at)?;
            let (x, i) = (self.type_or_error()?, indices.type_or_error()?);
            let fits = |a: usize| a == axis || i.shape[a] == x.shape[a] || i.shape[a] == 1;
            if i.rank() != x.rank() || !(0..x.rank()).all(fits) {
                let why = format!(
                    "expected indices that broadcast against {x} along all axes but {axis}, got \
                     {i}"
                );
                return Err(Tensor::fail(op, why, at));
            }
            let mut places = vec![];
            for (a, &n) in x.shape.iter().enumerate() {
                let mut own = vec![1; x.rank()];
                own[a] = n;
                let place =
                    if a == axis { indices.clone() } else { Tensor::arange(n).reshaped(own, at) };
                places.push(place);
            }
            Ok(self.at(places).set(&values))
        };
        located(at, &[self, indices, &values], || tensor_or_error(put()))
    }

    /// Returns the tensor with `values` where `mask`, a tensor of the same size, is not 0: the
    /// first of them at the first such element, and so on, from the start again after the last.
    ///
    /// It works in traced functions, too. Follows `jax.numpy.place`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the sizes differ, if there are no values, or if their dtype
    /// does not promote to that of the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1, -2, -3, 4, -5]);
    /// assert_eq!(x.place(&x.lt(0), tensor([7, 8])).to_vec::<i32>()?, [1, 7, 8, 4, 7]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn place(&self, mask: &Tensor, values: impl Operand) -> Tensor {
        let (op, at, values) = ("place", Location::caller(), values.operand(self));
        let place = || {
            let (x, m) = (self.type_or_error()?, mask.type_or_error()?);
            let values = values.for_elements(self, op, at)?;
            if x.size() != m.size() {
                let why = format!("expected a mask of the size of {x}, got {m}");
                return Err(Tensor::fail(op, why, at));
            }
            if values.size() == 0 {
                let why = format!("expected at least one value, got {}", values.dtype_and_shape());
                return Err(Tensor::fail(op, why, at));
            }
            let mask = mask.convert(DType::Bool, at).reshaped(x.shape.clone(), at);
            let values = values.flatten();
            let number = mask.flatten().convert(DType::I32, at).cumsum(0) - 1;
            let chosen = values.take(number.fmod(values.size()), 0);
            Ok(mask.select(chosen.reshaped(x.shape.clone(), at), self))
        };
        located(at, &[self, mask, &values], || tensor_or_error(place()))
    }

    /// Converts values to the dtype of the tensor `x` into which they are written.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `op` if their dtype does not promote to it.
    pub(super) fn for_elements(
        &self,
        x: &Tensor,
        op: &str,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let (ty, of) = (x.type_or_error()?, self.type_or_error()?);
        if ty.dtype.promote(of.dtype) != Some(ty.dtype) {
            let why = format!(
                "expected values that promote to the dtype of {ty}, got {of}; convert one of them \
                 with `to`"
            );
            return Err(Tensor::fail(op, why, at));
        }
        Ok(self.convert(ty.dtype, at))
    }

    /// Returns the tensor with `values` on its main diagonal, the elements with one index along all
    /// axes.
    ///
    /// Of a matrix that is not square, the diagonal ends with the smaller axis. `values` are
    /// repeated if there are fewer of them. Follows `jax.numpy.fill_diagonal`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there are fewer than two axes, if more than two differ in
    /// size, or if the dtype of `values` does not promote to that of the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::zeros([2, 3]).fill_diagonal(tensor([1.0, 2.0]));
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 0.0, 0.0, 0.0, 2.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn fill_diagonal(&self, values: impl Operand) -> Tensor {
        let (op, at, values) = ("fill_diagonal", Location::caller(), values.operand(self));
        let fill = || {
            let ty = self.type_or_error()?;
            let is_cube = ty.shape.iter().all(|&n| n == ty.shape[0]);
            if ty.rank() < 2 || ty.rank() > 2 && !is_cube {
                let why = format!("expected a matrix or more axes of one size, got {ty}");
                return Err(Tensor::fail(op, why, at));
            }
            let n = ty.shape.iter().copied().min().unwrap_or(0);
            let values = values.for_elements(self, op, at)?;
            if n == 0 || values.size() == 0 {
                return Ok(self.clone());
            }
            Ok(self.at(vec![Tensor::arange(n); ty.rank()]).set(values.resize(n)))
        };
        located(at, &[self, &values], || tensor_or_error(fill()))
    }

    /// Returns matrices (the last two axes) with `diagonal` on diagonal `offset`; positive ones are
    /// above the main diagonal.
    ///
    /// The last axis of `diagonal` is that along the diagonal, the others broadcast: the inverse of
    /// [`Tensor::diagonal`]. Follows `Nx.put_diagonal`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there are fewer than two axes, or if `diagonal` does not
    /// broadcast.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::zeros([2, 3]).put_diagonal(tensor([1.0, 2.0]), 1);
    /// assert_eq!(x.to_vec::<f32>()?, [0.0, 1.0, 0.0, 0.0, 0.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn put_diagonal(&self, diagonal: impl Operand, offset: i64) -> Tensor {
        let (op, at, diagonal) = ("put_diagonal", Location::caller(), diagonal.operand(self));
        let put = || {
            let (n, m) = self.matrix_size(op, at)?;
            let length = diagonal_length(n, m, offset);
            if length == 0 {
                return Ok(self.clone());
            }
            let [i, j] = diagonal_indices(length, offset);
            let index = vec![Ellipsis.entry(), i.entry(), j.entry()];
            Ok(self.at(index).set(&diagonal))
        };
        located(at, &[self, &diagonal], || tensor_or_error(put()))
    }

    /// Inserts `values` along `axis` before the entries at `indices`, an integer or an integer
    /// vector.
    ///
    /// `values` broadcast to one entry for each index; for one index they may have several entries,
    /// which are all inserted there. Negative indices count from the end, and indices out of range
    /// are clamped to the ends. Follows `jax.numpy.insert`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `indices` are not integers, if `values` do not broadcast, or
    /// if their dtype does not promote to that of the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1, 2, 3]);
    /// assert_eq!(x.insert(1, tensor([8, 9]), 0).to_vec::<i32>()?, [1, 8, 9, 2, 3]);
    /// assert_eq!(x.insert(tensor([0, 2]), 7, 0).to_vec::<i32>()?, [7, 1, 2, 7, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn insert(
        &self,
        indices: impl Operand,
        values: impl Operand,
        axis: impl AxisInt,
    ) -> Tensor {
        let indices = indices.operand(&Tensor::scalar(DType::I32, 0));
        let values = values.operand(self);
        tensor_or_error(self.try_insert(&indices, &values, axis))
    }

    #[track_caller]
    fn try_insert(
        &self,
        indices: &Tensor,
        values: &Tensor,
        axis: impl AxisInt,
    ) -> Result<Tensor, Tensor> {
        let (op, at) = ("insert", Location::caller());
        let axis = self.axis_at(axis, op, at)?;
        let n = self.shape()[axis];
        let places = indices.integers(op, at)?.index_along(n, at);
        if places.rank() > 1 {
            let why = format!(
                "expected one index or a vector of them, got {}",
                indices.dtype_and_shape()
            );
            return Err(Tensor::fail(op, why, at));
        }
        let values = values.for_elements(self, op, at)?;
        let (values, count) = self.inserted(&values, &places, axis, op, at)?;
        let from_front = places.lt(0).select(&places + n, &places);
        let places = from_front.clip(0, n).convert(DType::I32, at).broadcast_to([count]);
        // Each value moves by the number of those that are inserted before it.
        let order = places.argsort(0);
        let slot = places.at(&order).add(Tensor::arange(count));
        let all = Tensor::arange(n.saturating_add(count));
        let is_new = all.zeros_like().at(&slot).set(1);
        let number = all.zeros_like().at(&slot).set(Tensor::arange(count) + n);
        let old = &all - is_new.cumsum(0);
        let source = is_new.convert(DType::Bool, at).select(number, old);
        Ok(concat([self, &values], axis).take(source, axis))
    }

    /// Returns the values to insert at `places` with the axes of the tensor, and their number along
    /// `axis`.
    #[track_caller]
    fn inserted(
        &self,
        values: &Tensor,
        places: &Tensor,
        axis: usize,
        op: &str,
        at: CallSite,
    ) -> Result<(Tensor, usize), Tensor> {
        let rank = self.rank();
        let mut sizes = vec![1; rank.saturating_sub(values.rank())];
        sizes.extend_from_slice(&values.shape());
        let mut shape = self.shape().to_vec();
        let mismatch = || {
            let why = format!(
                "expected values that broadcast to entries along axis {axis} of {}, got {}",
                self.dtype_and_shape(),
                values.dtype_and_shape()
            );
            Tensor::fail(op, why, at)
        };
        if sizes.len() != rank {
            return Err(mismatch());
        }
        let mut values = values.reshaped(sizes.clone(), at);
        // The first axis of the values for a scalar index is the axis.
        if places.rank() == 0 {
            values = values.move_axis(0, axis);
        }
        let given = values.shape()[axis];
        shape[axis] = if places.size() == 1 { given } else { places.size() };
        let values = values.broadcast_to(&shape);
        if values.error().is_some() {
            return Err(mismatch());
        }
        Ok((values, shape[axis]))
    }

    /// Deletes the entries at `indices` along `axis`: an integer, an integer vector, or a bool
    /// vector with true for entries to delete.
    ///
    /// Negative indices count from the end; indices in a vector that are out of range are ignored.
    /// Follows `jax.numpy.delete`.
    ///
    /// # Errors
    ///
    /// The result carries an error if an integer with a value is out of range (a traced one counts
    /// as the nearest index), and if a vector is traced: the
    /// number of different indices is then unknown, and [`Tensor::delete_unique`] assumes that all
    /// differ.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1, 2, 3, 4]);
    /// assert_eq!(x.delete(-1, 0).to_vec::<i32>()?, [1, 2, 3]);
    /// assert_eq!(x.delete(tensor([0, 2, 0]), 0).to_vec::<i32>()?, [2, 4]);
    /// assert_eq!(x.delete(x.gt(2), 0).to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn delete(&self, indices: impl Operand, axis: impl AxisInt) -> Tensor {
        let (op, at) = ("delete", Location::caller());
        let number = indices.number();
        let indices = indices.operand(&Tensor::scalar(DType::I32, 0));
        let delete = || {
            let axis = self.axis_at(axis, op, at)?;
            let (x, i) = (self.type_or_error()?, indices.type_or_error()?);
            let n = x.shape[axis];
            let known = match number {
                Some(Scalar::Int(i)) => Some(i),
                _ if i.rank() == 0 && i.dtype.is_int() && indices.has_value() => {
                    indices.convert(DType::I64, at).to_vec::<i64>().ok().map(|i| i[0].into())
                }
                _ => None,
            };
            let is_out =
                known.is_some_and(|i| i64::try_from(i).map_or(true, |i| axis_of(i, n).is_err()));
            if i.rank() == 0 && (n == 0 || is_out) {
                let got = known.map_or_else(|| indices.dtype_and_shape(), |i| i.to_string());
                let why = format!("expected an index along axis {axis} of {x}, got {got}");
                return Err(Tensor::fail(op, why, at));
            }
            if i.dtype == DType::Bool {
                return self.compressed(&indices.is_kept(n, axis, self, at)?, axis, EXACT, op, at);
            }
            if i.rank() == 0 {
                return self.without_unique(&indices.flatten(), axis, op, at);
            }
            let kept = self.mask_without(&indices, axis, op, at)?;
            let kept_entries = self.compressed(&kept, axis, EXACT, op, at);
            kept_entries.map_err(|e| if kept.is_traced() { unknown_count(op, at) } else { e })
        };
        located(at, &[self, &indices], || tensor_or_error(delete()))
    }

    /// Deletes the entries at `indices`, an integer vector, along `axis`, as [`Tensor::delete`]
    /// does, provided that all indices are different and in range: then the size of the result does
    /// not depend on values, as traced functions need it.
    ///
    /// If the promise is broken, the last entries of the result are copies of the first entry of
    /// the tensor. Follows `jax.numpy.delete` with `assume_unique_indices`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there are more indices than entries.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let rest = jit(|(x, i): (Tensor, Tensor)| x.delete_unique(&i, 0));
    /// let y = rest.run((tensor([1, 2, 3, 4]), tensor([2, 0])))?;
    /// assert_eq!(y.to_vec::<i32>()?, [2, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn delete_unique(&self, indices: &Tensor, axis: impl AxisInt) -> Tensor {
        let (op, at) = ("delete_unique", Location::caller());
        match self.axis_at(axis, op, at) {
            Ok(axis) => tensor_or_error(self.without_unique(indices, axis, op, at)),
            Err(e) => e,
        }
    }

    #[track_caller]
    fn without_unique(
        &self,
        indices: &Tensor,
        axis: usize,
        op: &str,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let (x, i) = (self.type_or_error()?, indices.type_or_error()?);
        let Some(size) = x.shape[axis].checked_sub(i.size()) else {
            let why = format!(
                "expected at most one index for each entry along axis {axis} of {x}, got {i}"
            );
            return Err(Tensor::fail(op, why, at));
        };
        let kept = self.mask_without(indices, axis, op, at)?;
        let found = Found::new(&kept, SizeOptions::new().size(size), op, at)?;
        Ok(self.take(found.positions, axis))
    }

    /// Returns a bool vector, true for the entries along `axis` that `indices`, integers, leave.
    #[track_caller]
    fn mask_without(
        &self,
        indices: &Tensor,
        axis: usize,
        op: &str,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let ty = indices.type_or_error()?;
        if ty.rank() != 1 {
            let why = format!("expected one index or a vector of them, got {ty}");
            return Err(Tensor::fail(op, why, at));
        }
        let places = indices.integers(op, at)?;
        Ok(Tensor::ones_of(DType::Bool, [self.shape()[axis]]).at(places).set(false))
    }

    /// Returns the inverse of a mask of entries to delete, which has one element for each of the
    /// `n` entries of `x` along `axis`.
    #[track_caller]
    fn is_kept(&self, n: usize, axis: usize, x: &Tensor, at: CallSite) -> Result<Tensor, Tensor> {
        if self.shape()[..] != [n] {
            let why = format!(
                "expected a mask of {n} entries, those along axis {axis} of {}, got {}",
                x.dtype_and_shape(),
                self.dtype_and_shape()
            );
            return Err(Tensor::fail("delete", why, at));
        }
        Ok(self.logical_not())
    }
}

/// The exact size, which depends on values.
const EXACT: SizeOptions = SizeOptions { size: None, fill: None };

/// Returns the error of a deletion whose number of different indices is unknown.
fn unknown_count(op: &str, at: CallSite) -> Tensor {
    let why = "the size of the result depends on the number of different indices, and a traced \
               tensor has no values yet; use `delete_unique` if all of them differ";
    Tensor::fail(op, why, at)
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    fn ints(x: &Tensor) -> Vec<i32> {
        x.to_vec().unwrap()
    }

    #[test]
    fn values_are_repeated() {
        let x = Tensor::zeros_of(I32, [2, 3]);
        assert_eq!(ints(&x.put(&tensor([5, 1, 0]), tensor([1, 2]))), [1, 2, 0, 0, 0, 1]);
        assert_eq!(ints(&x.put(&tensor([9, -1]), 4)), [0, 0, 0, 0, 0, 4]);
        assert_eq!(ints(&x.fill_diagonal(tensor([7]))), [7, 0, 0, 0, 7, 0]);
        let cube = Tensor::zeros_of(I32, [2, 2, 2]).fill_diagonal(3);
        assert_eq!(ints(&cube), [3, 0, 0, 0, 0, 0, 0, 3]);
    }

    #[test]
    fn entries_are_inserted_in_order() {
        let x = tensor([1, 2, 3]);
        assert_eq!(ints(&x.insert(tensor([2, 0, 2]), tensor([7, 8, 9]), 0)), [8, 1, 2, 7, 9, 3]);
        assert_eq!(ints(&x.insert(-1, 7, 0)), [1, 2, 7, 3]);
        assert_eq!(ints(&x.insert(99, 7, 0)), [1, 2, 3, 7]);
        let m = tensor([[1, 2], [3, 4]]);
        assert_eq!(ints(&m.insert(1, tensor([7, 8]), 1)), [1, 7, 2, 3, 8, 4]);
        assert_eq!(ints(&m.insert(tensor([1]), tensor([[7], [8]]), 1)), [1, 7, 2, 3, 8, 4]);
        assert_eq!(ints(&m.insert(2, 0, 0)), [1, 2, 3, 4, 0, 0]);
        let f = jit(|(x, i): (Tensor, Tensor)| x.insert(i, 0, 0));
        assert_eq!(ints(&f.run((x, tensor([3, 1]))).unwrap()), [1, 0, 2, 3, 0]);
    }

    #[test]
    fn entries_are_deleted_along_any_axis() {
        let m = tensor([[1, 2, 3], [4, 5, 6]]);
        assert_eq!(ints(&m.delete(1, 1)), [1, 3, 4, 6]);
        assert_eq!(ints(&m.delete(tensor([-1, 2]), 1)), [1, 2, 4, 5]);
        assert_eq!(ints(&m.delete(tensor([true, false]), 0)), [4, 5, 6]);
        let f = jit(|(x, i): (Tensor, Tensor)| x.delete(i, 1));
        assert_eq!(ints(&f.run((m.clone(), tensor(0))).unwrap()), [2, 3, 5, 6]);
        let e = f.run((m, tensor([0]))).unwrap_err().to_string();
        assert!(e.contains("use `delete_unique` if all of them differ"), "{e}");
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |x: Tensor| x.error().unwrap().to_string();
        let x = tensor([1, 2, 3]);
        assert!(say(x.put(&tensor([0]), 0.5)).contains("expected values that promote"));
        assert!(say(x.put(&tensor([0.0]), 1)).contains("expected integer indices"));
        assert!(say(x.place(&tensor([true]), 1)).contains("expected a mask of the size of i32[3]"));
        let none = Tensor::zeros_of(I32, [0]);
        assert!(say(x.place(&x.gt(0), none)).contains("expected at least one value"));
        assert!(say(x.fill_diagonal(1)).contains("expected a matrix"));
        assert!(say(x.put_diagonal(1, 0)).contains("expected matrices, got i32[3]"));
        assert!(say(x.insert(0, tensor([[1]]), 0)).contains("got i32[1, 1]"));
        assert!(say(x.insert(tensor([0, 1]), tensor([1, 2, 3]), 0)).contains("broadcast"));
        assert!(say(x.delete(3, 0)).contains("an index along axis 0 of i32[3], got 3"));
        assert!(say(x.delete(tensor([true]), 0)).contains("expected a mask of 3 entries"));
        assert!(
            say(x.delete_unique(&tensor([0; 4]), 0)).contains("at most one index for each entry")
        );
        let e = x.put_along_axis(&tensor([[0]]), 1, 0);
        assert!(say(e).contains("expected indices that broadcast"));
    }
}
