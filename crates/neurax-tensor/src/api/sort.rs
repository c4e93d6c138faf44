//! Sorting, searching and counting.

use super::common::{promote_operands, tensor_or_error};
use crate::{
    AxisInt, DType, Operand, Scalar, Tensor, Type,
    dispatch::{dispatch_multi, lazy_constant},
    tensor::CallSite,
};
use neurax_ir::{Kind, op::Sort};
use std::{cmp::Ordering, panic::Location};

/// The side of equal elements at which [`Tensor::searchsorted`] inserts a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// Before equal elements.
    #[default]
    Left,
    /// After equal elements.
    Right,
}

impl Tensor {
    /// Sorts the elements along `axis` in ascending order.
    ///
    /// NaN comes last; complex numbers are ordered by the real, then by the imaginary part. Follows
    /// `numpy.sort`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[3, 1, 2], [6, 5, 4]]).sort(-1).to_vec::<i32>()?, [1, 2, 3, 4, 5, 6]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sort(&self, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        tensor_or_error(self.sorted("sort", &[], axis, at).map(|mut ys| ys.remove(0)))
    }

    /// Returns the indices that sort the elements along `axis`, i32. The sort is stable. Follows
    /// `jax.numpy.argsort`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([3.0, 1.0, 2.0]).argsort(0).to_vec::<i32>()?, [1, 2, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn argsort(&self, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let sort = || {
            let axis = self.axis_at(axis, "argsort", at)?;
            Ok(self.sorted("argsort", &[self.indices_along(axis, at)?], axis, at)?.remove(1))
        };
        tensor_or_error(sort())
    }

    /// Sorts the elements by `keys` along `axis`, in ascending order. The sort is stable.
    ///
    /// # Errors
    ///
    /// The result carries an error if the shape of `keys` is not that of the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, keys) = (tensor([10, 20, 30]), tensor([2.0, 3.0, 1.0]));
    /// assert_eq!(x.sort_by_key(&keys, 0).to_vec::<i32>()?, [30, 10, 20]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sort_by_key(&self, keys: &Tensor, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        tensor_or_error(
            keys.sorted("sort_by_key", std::slice::from_ref(self), axis, at)
                .map(|mut ys| ys.remove(1)),
        )
    }

    /// Returns the `k` largest elements along the last axis in descending order, and their indices,
    /// i32.
    ///
    /// Of equal elements the one with the lower index comes first; NaN counts as the largest.
    /// Follows `jax.lax.top_k`.
    ///
    /// # Errors
    ///
    /// Both results carry an error if the axis has fewer than `k` elements.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (values, indices) = tensor([1, 9, 5, 9]).top_k(3);
    /// assert_eq!(values.to_vec::<i32>()?, [9, 9, 5]);
    /// assert_eq!(indices.to_vec::<i32>()?, [1, 3, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn top_k(&self, k: usize) -> (Tensor, Tensor) {
        match self.try_top_k(k) {
            Ok(pair) => pair,
            Err(e) => (e.clone(), e),
        }
    }

    #[track_caller]
    fn try_top_k(&self, k: usize) -> Result<(Tensor, Tensor), Tensor> {
        let at = Location::caller();
        let axis = self.axis_at(-1, "top_k", at)?;
        if k > self.shape()[axis] {
            return Err(Tensor::fail(
                "top_k",
                format!(
                    "expected at least {k} elements along the last axis, got {}",
                    self.dtype_and_shape()
                ),
                at,
            ));
        }
        // A stable sort of the reversed axis, read in reverse, keeps the order of equal elements.
        let places = self.indices_along(axis, at)?.flip(axis);
        let ys = self.flip(axis).sorted("top_k", &[places], axis, at)?;
        match &ys[..] {
            [values, places] => Ok((
                values.flip(axis).slice(axis, ..k as i64),
                places.flip(axis).slice(axis, ..k as i64),
            )),
            _ => Err(self.clone()),
        }
    }

    /// Sorts this tensor and `others` together by the elements of this one.
    pub(super) fn sorted(
        &self,
        op: &str,
        others: &[Tensor],
        axis: impl AxisInt,
        at: CallSite,
    ) -> Result<Vec<Tensor>, Tensor> {
        let axis = self.axis_at(axis, op, at)?;
        let xs = std::iter::once(self).chain(others).cloned();
        let ys =
            dispatch_multi(Sort { axis, keys: 1 }, xs, at).map_err(|e| Tensor::error_at(e, at))?;
        Ok(ys.into_iter().collect())
    }

    /// Returns the index along `axis` of each element, in the shape of this tensor.
    pub(super) fn indices_along(&self, axis: usize, at: CallSite) -> Result<Tensor, Tensor> {
        let ty = Type::new(DType::I32, self.type_or_error()?.shape.clone());
        Ok(lazy_constant(at, |b| b.iota(ty, axis)))
    }

    /// Finds the index, i32, at which each of `values` has to be inserted into this ascending
    /// vector to keep it ascending.
    ///
    /// `side` selects the index before or after equal elements. NaN comes after all numbers.
    /// Follows `numpy.searchsorted`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `self` is not a vector, or for complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 2.0, 2.0, 5.0]);
    /// assert_eq!(x.searchsorted(tensor([0.0, 2.0, 9.0]), Side::Left).to_vec::<i32>()?, [0, 1, 4]);
    /// assert_eq!(x.searchsorted(2.0, Side::Right).item()?, 3.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn searchsorted(&self, values: impl Operand, side: Side) -> Tensor {
        match values.number() {
            Some(number) if self.dtype().is_int() => self.searchsorted_number(number, side),
            _ => tensor_or_error(self.try_searchsorted(&values.operand(self), side)),
        }
    }

    /// Finds the index of the value of `number`, which may be none of the dtype, in a vector of
    /// integers.
    #[track_caller]
    fn searchsorted_number(&self, number: Scalar, side: Side) -> Tensor {
        let number = match (number, side) {
            (Scalar::Float(x), _) if x.is_nan() => Scalar::Int(i128::MAX),
            // The conversions saturate, beyond all integer dtypes.
            (Scalar::Float(x), Side::Left) => Scalar::Int(x.ceil() as i128),
            (Scalar::Float(x), Side::Right) => Scalar::Int(x.floor() as i128),
            _ => number,
        };
        let order = number.order_in(self.dtype());
        // Any value of the dtype checks the vector and yields the type of the result.
        let held = if order == Ordering::Equal { number } else { Scalar::Int(0) };
        let index = tensor_or_error(self.try_searchsorted(&held.weak_like(self), side));
        match order {
            Ordering::Equal => index,
            Ordering::Less => index.zeros_like(),
            Ordering::Greater => index.zeros_like() + self.size(),
        }
    }

    #[track_caller]
    fn try_searchsorted(&self, values: &Tensor, side: Side) -> Result<Tensor, Tensor> {
        let at = Location::caller();
        let ty = self.type_or_error()?;
        if ty.rank() != 1 {
            return Err(Tensor::fail(
                "searchsorted",
                format!("expected a sorted vector, got {ty}"),
                at,
            ));
        }
        if ty.dtype.is_complex() || values.dtype().is_complex() {
            return Err(Tensor::fail(
                "searchsorted",
                format!("expected real numbers, got {ty} and {}", values.dtype_and_shape()),
                at,
            ));
        }
        let n = ty.size();
        let both = promote_operands("searchsorted", &[self.clone(), values.clone()], at)?;
        let (x, v) = (&both[0], &both[1]);
        // Bisection: the result is in `low..=high`, and each step halves this range.
        let mut low = Tensor::full_of(DType::I32, v.shape(), 0);
        let mut high = Tensor::full_of(DType::I32, v.shape(), n);
        for _ in 0..n.checked_ilog2().map_or(0, |steps| steps + 1) {
            let middle = &low + (&high - &low).right_shift(1);
            let entry = x.take(&middle, 0);
            let mut behind = match side {
                Side::Left => entry.lt(v),
                Side::Right => entry.le(v),
            };
            if v.dtype().kind() == Kind::Float {
                // NaN comes after all numbers.
                let nan = v.is_nan();
                behind |= if side == Side::Left { nan & !entry.is_nan() } else { nan };
            }
            // Once the bounds are equal, further steps must not move them.
            behind &= low.lt(&high);
            high = behind.select(&high, middle.minimum(&high));
            low = behind.select(middle + 1, low);
        }
        Ok(low)
    }

    /// Finds the bin of each element, i32: the index `i` for which `bins[i - 1] <= x < bins[i]`.
    ///
    /// `bins` is an ascending vector. Follows `numpy.digitize`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, bins) = (tensor([0.5, 1.0, 9.0]), tensor([0.0, 1.0, 2.0]));
    /// assert_eq!(x.digitize(&bins).to_vec::<i32>()?, [1, 2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn digitize(&self, bins: &Tensor) -> Tensor {
        bins.searchsorted(self, Side::Right)
    }
}

#[cfg(test)]
mod tests {
    use crate::Side;
    use crate::prelude::*;

    #[test]
    fn searchsorted_finds_nan_and_ends() {
        let x = tensor([1.0, 3.0, 3.0, 3.0, f32::NAN]);
        let v = tensor([[0.0, 1.0, 3.0], [4.0, f32::INFINITY, f32::NAN]]);
        assert_eq!(x.searchsorted(&v, Side::Left).to_vec::<i32>().unwrap(), [0, 0, 1, 4, 4, 4]);
        assert_eq!(x.searchsorted(&v, Side::Right).to_vec::<i32>().unwrap(), [0, 1, 4, 4, 4, 5]);
        assert_eq!(Tensor::zeros([0]).searchsorted(1.0, Side::Left).item().unwrap(), 0.0);
        for n in 1..20 {
            let x = Tensor::arange(n);
            assert_eq!(
                x.searchsorted(&x, Side::Left).to_vec::<i32>().unwrap(),
                x.to_vec::<i32>().unwrap(),
                "{n}"
            );
        }
    }
}
