//! Indexed updates by masks, division, powers and functions, and indices out of range.

use super::{index::Places, index_mode::IndexMode};
use crate::{AxisInt, DType, Index, IndexEntry, Operand, Tensor, tensor::CallSite};
use neurax_ir::op::ScatterKind;
use std::panic::Location;

impl Places<'_> {
    /// Sets the treatment of integers in tensors that are out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([10, 20, 30]);
    /// let i = tensor([4, -1, 7]);
    /// assert_eq!(x.at(&i).mode(IndexMode::Wrap).get().to_vec::<i32>()?, [20, 30, 20]);
    /// assert_eq!(x.at(&i).mode(IndexMode::Clip).add(1).to_vec::<i32>()?, [10, 20, 33]);
    /// assert_eq!(x.at(&i).mode(IndexMode::Drop).get().to_vec::<i32>()?, [0, 30, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn mode(self, mode: IndexMode) -> Self {
        Places { mode: Some(mode), ..self }
    }

    /// Returns the elements at the index, and `value`, a scalar, where an integer in a tensor is
    /// out of range. JAX's `get` with mode `fill`.
    ///
    /// # Errors
    ///
    /// The result carries an error as that of [`Tensor::index`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([10, 20, 30]);
    /// assert_eq!(x.at(tensor([1, 3, -4])).get_or(-1).to_vec::<i32>()?, [20, -1, -1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn get_or(&self, value: impl Operand) -> Tensor {
        let value = value.operand(self.x);
        let inside = Tensor::ones_of(DType::Bool, self.x.shape());
        let inside = Places { x: &inside, ..self.clone() }.mode(IndexMode::Drop).get();
        inside.select(self.clone().mode(IndexMode::Clip).get(), value)
    }

    /// Divides the elements at the index by the update, once for every time that an element is
    /// indexed.
    ///
    /// The update broadcasts to the shape of the indexed elements, and its dtype must promote to
    /// that of the tensor. The result of integers is f32. Indices in integer tensors that are out
    /// of range are ignored; derivatives with them need [`Places::unique`]. JAX's
    /// `at[..].divide`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([6.0, 8.0]).at(1).div(2).to_vec::<f32>()?, [6.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn div(&self, update: impl Operand) -> Tensor {
        self.x / self.factors(update)
    }

    /// Raises the elements at the index to the power of the update, once for every time that an
    /// element is indexed.
    ///
    /// The update broadcasts to the shape of the indexed elements, and its dtype must promote to
    /// that of the tensor. Indices in integer tensors that are out of range are ignored;
    /// derivatives with them need [`Places::unique`]. JAX's `at[..].power`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([2.0, 3.0]).at(1).pow(2).to_vec::<f32>()?, [2.0, 9.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn pow(&self, update: impl Operand) -> Tensor {
        self.x.pow(self.factors(update))
    }

    /// Replaces the elements at the index by a function of them, which keeps their shape.
    ///
    /// An element that is indexed several times is computed once from its old value. JAX's
    /// `at[..].apply`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([4.0, 9.0]).at(1..).apply(|x| x.sqrt());
    /// assert_eq!(y.to_vec::<f32>()?, [4.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn apply(&self, f: impl FnOnce(Tensor) -> Tensor) -> Tensor {
        match self.mask() {
            Some(mask) => match self.spread_mask("apply", mask, Location::caller()) {
                Ok(mask) => mask.select(f(self.x.clone()), self.x),
                Err(e) => e,
            },
            None => self.set(f(self.get())),
        }
    }

    /// Returns the product of the updates of each element, 1 where there is none.
    #[track_caller]
    fn factors(&self, update: impl Operand) -> Tensor {
        Places { x: &self.x.ones_like(), ..self.clone() }.mul(update)
    }

    /// Returns the bool tensor if it is the whole index.
    pub(super) fn mask(&self) -> Option<&Tensor> {
        match &self.index[..] {
            [Index::Tensor(mask)] => {
                mask.type_ref().is_ok_and(|t| t.dtype == DType::Bool).then_some(mask)
            }
            _ => None,
        }
    }

    /// Combines the elements where `mask` is true with `update` by `kind`; `mask` has the sizes of
    /// the first axes, and `update` broadcasts to the other ones.
    #[track_caller]
    pub(super) fn masked_update(
        &self,
        op: &str,
        kind: ScatterKind,
        mask: &Tensor,
        update: &Tensor,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let shape = &self.x.type_or_error()?.shape;
        let rest = &shape[mask.rank().min(shape.rank())..];
        let mask = self.spread_mask(op, mask, at)?;
        let broadcast = update.broadcast_to(rest);
        if broadcast.error().is_some() {
            let why = format!(
                "expected an update that broadcasts to {}, the axes that the mask does not have, \
                 got {}; one value for each element that is true would be a shape that depends on \
                 values",
                crate::Shape::from(rest),
                update.dtype_and_shape()
            );
            return Err(Tensor::fail(op, why, at));
        }
        let update = broadcast.broadcast_to(shape);
        let new = match kind.binary() {
            Some(combine) => self.x.clone().binary(update, combine, at),
            None => update,
        };
        Ok(mask.select(new, self.x))
    }

    /// Returns `mask` with axes of size 1 for the axes of the tensor that it does not have.
    fn spread_mask(&self, op: &str, mask: &Tensor, at: CallSite) -> Result<Tensor, Tensor> {
        let shape = &self.x.type_or_error()?.shape;
        if !shape.starts_with(&mask.shape()) {
            let why = format!(
                "expected a mask of the sizes of the first axes of {}, got {}",
                self.x.dtype_and_shape(),
                mask.dtype_and_shape()
            );
            return Err(Tensor::fail(op, why, at));
        }
        let ones = vec![1; shape.rank() - mask.rank()];
        Ok(mask.reshaped([&mask.shape()[..], &ones].concat(), at))
    }
}

impl Tensor {
    /// Gathers slices along `axis` at `indices` as [`Tensor::take`] does, with a treatment of
    /// indices out of range.
    ///
    /// Follows `jax.numpy.take` with `mode`; its mode `fill` is [`Tensor::take_or`].
    ///
    /// # Errors
    ///
    /// The result carries an error if `indices` are not integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([10, 20, 30]);
    /// let y = x.take_with(tensor([3, -4, 1]), 0, IndexMode::Wrap);
    /// assert_eq!(y.to_vec::<i32>()?, [10, 30, 20]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn take_with(&self, indices: impl Operand, axis: impl AxisInt, mode: IndexMode) -> Tensor {
        match self.index_at("take_with", indices, axis) {
            Ok(index) => self.at(index).mode(mode).get(),
            Err(e) => e,
        }
    }

    /// Gathers slices along `axis` at `indices` as [`Tensor::take`] does, and `value`, a scalar,
    /// for indices out of range.
    ///
    /// Follows `jax.numpy.take` with mode `fill`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `indices` are not integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([10.0, 20.0, 30.0]);
    /// let y = x.take_or(tensor([3, 1]), 0, -1);
    /// assert_eq!(y.to_vec::<f32>()?, [-1.0, 20.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn take_or(
        &self,
        indices: impl Operand,
        axis: impl AxisInt,
        value: impl Operand,
    ) -> Tensor {
        match self.index_at("take_or", indices, axis) {
            Ok(index) => self.at(index).get_or(value),
            Err(e) => e,
        }
    }

    /// Returns the index with integers along `axis` alone.
    #[track_caller]
    fn index_at(
        &self,
        op: &str,
        indices: impl Operand,
        axis: impl AxisInt,
    ) -> Result<Vec<Index>, Tensor> {
        let at = Location::caller();
        let axis = self.axis_at(axis, op, at)?;
        let indices = indices.operand(&Tensor::scalar(DType::I32, 0));
        let ty = indices.type_or_error()?;
        if !ty.dtype.is_int() {
            return Err(Tensor::fail(op, format!("expected integer indices, got {ty}"), at));
        }
        let mut index: Vec<Index> = (0..axis).map(|_| (..).entry()).collect();
        index.push(Index::Tensor(indices));
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    fn ints(x: Tensor) -> Vec<i32> {
        x.to_vec().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn modes_hold_for_several_tensors_and_unsigned_integers() {
        let x = Tensor::arange(6).reshape([2, 3]);
        let (i, j) = (tensor([0, 2, -3]), tensor([3, 1, -1]));
        let at = |mode| ints(x.at((&i, &j)).mode(mode).get());
        assert_eq!(at(IndexMode::Wrap), [0, 1, 5]);
        assert_eq!(at(IndexMode::Clip), [2, 4, 2]);
        assert_eq!(at(IndexMode::Drop), [0, 0, 0]);
        assert_eq!(ints(x.at((&i, &j)).get_or(9)), [9, 9, 9]);
        let bytes = Tensor::from_vec(vec![200u8, 1], [2]);
        assert_eq!(ints(Tensor::arange(3).take_with(&bytes, 0, IndexMode::Wrap)), [2, 1]);
        assert_eq!(ints(x.take_or(tensor([5, 0]), 1, 7)), [7, 0, 7, 3]);
        assert_eq!(ints(x.at((.., &j)).mode(IndexMode::Wrap).set(8)), [8, 8, 8, 8, 8, 8]);
        let slope = grad(|x: Tensor| x.at(tensor([0, 5])).get_or(3.0).sum(..));
        let slope = slope.run(tensor([1.0, 2.0])).unwrap();
        assert_eq!(slope.to_vec::<f32>().unwrap(), [1.0, 0.0]);
    }

    #[test]
    fn masks_select_what_is_updated() {
        let x = Tensor::arange(6).reshape([3, 2]);
        let rows = tensor([true, false, true]);
        assert_eq!(ints(x.at(&rows).set(9)), [9, 9, 2, 3, 9, 9]);
        assert_eq!(ints(x.at(&rows).add(tensor([10, 20]))), [10, 21, 2, 3, 14, 25]);
        assert_eq!(ints(x.at(x.gt(3)).mul(-1)), [0, 1, 2, 3, -4, -5]);
        assert_eq!(ints(x.at(&rows).apply(|x| x * 2)), [0, 2, 2, 3, 8, 10]);
        assert_eq!(ints(x.at(x.equal(2)).pow(3)), [0, 1, 8, 3, 4, 5]);
        let say = |y: Tensor| y.error().unwrap().to_string();
        let why = say(x.at(&rows).set(tensor([[1, 2], [3, 4]])));
        assert!(why.contains("expected an update that broadcasts to [2]"), "{why}");
        assert!(say(x.at(tensor([true, false])).set(1)).contains("expected a mask of the sizes"));
    }

    #[test]
    fn each_update_of_an_element_counts() {
        let x = tensor([64.0, 2.0]);
        let y = x.at(tensor([0, 0, 1])).div(tensor([2.0, 4.0, 0.5])).to_vec::<f32>().unwrap();
        assert_eq!(y, [8.0, 4.0]);
        let y = x.at(tensor([1, 1])).pow(tensor([2.0, 3.0])).to_vec::<f32>().unwrap();
        assert_eq!(y, [64.0, 64.0]);
    }
}
