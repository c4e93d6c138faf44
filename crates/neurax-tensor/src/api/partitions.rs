//! Partitions, differences of neighbours, and extremes beside NaN.

use super::common::located;
use crate::{AxisInt, IntoAxes, Tensor};
use neurax_ir::op::ReduceKind;
use std::panic::Location;

impl Tensor {
    /// Reorders the elements along `axis` so that the element at index `kth` is the one that a sort
    /// puts there, with smaller ones before it and larger ones behind it.
    ///
    /// The order within the two parts is not specified; here they are sorted. NaN comes last.
    /// Follows `jax.numpy.partition`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `kth` is out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([5, 1, 4, 2]).partition(1, 0);
    /// assert_eq!(y.get(1).item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn partition(&self, kth: impl AxisInt, axis: impl AxisInt) -> Tensor {
        match self.axis_of_partition(kth, axis, "partition") {
            Ok(axis) => self.sort(axis),
            Err(e) => e,
        }
    }

    /// Returns the indices, i32, that partition the elements along `axis`: [`Tensor::partition`].
    /// Follows `jax.numpy.argpartition`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `kth` is out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let i = tensor([5, 1, 4, 2]).argpartition(-1, 0);
    /// assert_eq!(i.get(-1).item()?, 0.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn argpartition(&self, kth: impl AxisInt, axis: impl AxisInt) -> Tensor {
        match self.axis_of_partition(kth, axis, "argpartition") {
            Ok(axis) => self.argsort(axis),
            Err(e) => e,
        }
    }

    /// Returns `axis` counted from the front, after a check of `kth`.
    #[track_caller]
    fn axis_of_partition(
        &self,
        kth: impl AxisInt,
        axis: impl AxisInt,
        op: &str,
    ) -> Result<usize, Tensor> {
        let at = Location::caller();
        let axis = self.axis_at(axis, op, at)?;
        if crate::args::axis_of(kth.to_i64(), self.shape()[axis]).is_ok() {
            return Ok(axis);
        }
        let why = format!(
            "expected an index along axis {axis} of {}, got {}",
            self.dtype_and_shape(),
            kth.to_i64()
        );
        Err(Tensor::fail(op, why, at))
    }

    /// Returns the index, i32, of the largest element along `axis` that is not NaN; -1 if all are.
    ///
    /// NaN counts as negative infinity. Follows `jax.numpy.nanargmax`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, f32::NAN, 3.0]).nanargmax(0).item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nanargmax(&self, axis: impl AxisInt) -> Tensor {
        self.arg_beside_nan(axis, f64::NEG_INFINITY, "nanargmax", |x, axis| x.argmax(axis))
    }

    /// Returns the index, i32, of the smallest element along `axis` that is not NaN; -1 if all are.
    ///
    /// NaN counts as infinity. Follows `jax.numpy.nanargmin`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([f32::NAN, 2.0, 3.0]).nanargmin(0).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nanargmin(&self, axis: impl AxisInt) -> Tensor {
        self.arg_beside_nan(axis, f64::INFINITY, "nanargmin", |x, axis| x.argmin(axis))
    }

    /// Returns the index of an extreme element with NaN replaced by `worst`.
    #[track_caller]
    fn arg_beside_nan(
        &self,
        axis: impl AxisInt,
        worst: f64,
        op: &str,
        index: fn(&Tensor, usize) -> Tensor,
    ) -> Tensor {
        let at = Location::caller();
        let axis = match self.axis_at(axis, op, at) {
            Ok(axis) => axis,
            Err(e) => return e,
        };
        located(at, &[self], || {
            if !self.dtype().is_differentiable() {
                return index(self, axis);
            }
            // Narrow formats may have no infinity.
            let x = self.wide(at).0;
            let nan = x.is_nan();
            nan.all(axis).select(-1, index(&nan.select(worst, x), axis))
        })
    }

    /// Returns the smallest and the largest element over `axes`; NaN if an element is NaN.
    ///
    /// # Errors
    ///
    /// As [`Tensor::min`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (low, high) = tensor([[3, 1], [2, 4]]).minmax(1);
    /// assert_eq!(low.to_vec::<i32>()?, [1, 2]);
    /// assert_eq!(high.to_vec::<i32>()?, [3, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn minmax(&self, axes: impl IntoAxes) -> (Tensor, Tensor) {
        let at = Location::caller();
        let of = |kind: ReduceKind| self.reduce_at(kind, "minmax", &axes, at);
        (of(ReduceKind::Min), of(ReduceKind::Max))
    }

    /// Computes the differences of adjacent elements of the flattened tensor.
    ///
    /// Join it with elements at its ends by [`crate::concat`]. Follows `jax.numpy.ediff1d`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1, 4], [9, 7]]).ediff1d().to_vec::<i32>()?, [3, 5, -2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn ediff1d(&self) -> Tensor {
        let x = self.flatten();
        x.slice(0, 1..) - x.slice(0, ..-1)
    }

    /// Returns the `k` largest elements along `axis` in descending order, and their indices, i32.
    ///
    /// They are exact, as those of JAX on CPUs. NaN counts as the largest. Follows
    /// `jax.lax.approx_max_k`.
    ///
    /// # Errors
    ///
    /// Both results carry an error if the axis has fewer than `k` elements.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (values, indices) = tensor([1.0, 9.0, 5.0]).approx_max_k(2, 0);
    /// assert_eq!(values.to_vec::<f32>()?, [9.0, 5.0]);
    /// assert_eq!(indices.to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn approx_max_k(&self, k: usize, axis: impl AxisInt) -> (Tensor, Tensor) {
        match self.axis_at(axis, "approx_max_k", Location::caller()) {
            Ok(axis) => {
                let (values, indices) = self.move_axis(axis, -1).top_k(k);
                (values.move_axis(-1, axis), indices.move_axis(-1, axis))
            }
            Err(e) => (e.clone(), e),
        }
    }

    /// Returns the `k` smallest elements along `axis` in ascending order, and their indices, i32.
    ///
    /// They are exact, as those of JAX on CPUs. Of equal elements the one with the lower index
    /// comes first; NaN comes last. Follows `jax.lax.approx_min_k`.
    ///
    /// # Errors
    ///
    /// Both results carry an error if the axis has fewer than `k` elements.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (values, indices) = tensor([1.0, 9.0, 5.0]).approx_min_k(2, 0);
    /// assert_eq!(values.to_vec::<f32>()?, [1.0, 5.0]);
    /// assert_eq!(indices.to_vec::<i32>()?, [0, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn approx_min_k(&self, k: usize, axis: impl AxisInt) -> (Tensor, Tensor) {
        let (op, at) = ("approx_min_k", Location::caller());
        let least = || {
            let axis = self.axis_at(axis, op, at)?;
            let n = self.shape()[axis];
            if k > n {
                let why = format!(
                    "expected at least {k} elements along axis {axis}, got {}",
                    self.dtype_and_shape()
                );
                return Err(Tensor::fail(op, why, at));
            }
            let mut both = self.sorted(op, &[self.indices_along(axis, at)?], axis, at)?;
            let indices = both.remove(1).slice(axis, ..k as i64);
            Ok((both.remove(0).slice(axis, ..k as i64), indices))
        };
        located(at, &[self], || least().unwrap_or_else(|e| (e.clone(), e)))
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn nan_is_passed_over() {
        let nan = f32::NAN;
        let x = tensor([[nan, nan], [nan, 2.0], [f32::NEG_INFINITY, f32::NEG_INFINITY]]);
        assert_eq!(x.nanargmax(1).to_vec::<i32>().unwrap(), [-1, 1, 0]);
        assert_eq!(x.nanargmin(-1).to_vec::<i32>().unwrap(), [-1, 1, 0]);
        assert_eq!(tensor([3, 1, 2]).nanargmax(0).item().unwrap(), 0.0);
    }

    #[test]
    fn extremes_are_found_along_any_axis() {
        let x = tensor([[3.0, 1.0], [1.0, f32::NAN], [2.0, 1.0]]);
        let (values, indices) = x.approx_min_k(2, 0);
        assert_eq!(values.to_vec::<f32>().unwrap(), [1.0, 1.0, 2.0, 1.0]);
        assert_eq!(indices.to_vec::<i32>().unwrap(), [1, 0, 2, 2]);
        let (values, indices) = x.approx_max_k(1, 0);
        assert_eq!(indices.to_vec::<i32>().unwrap(), [0, 1]);
        assert!(values.to_vec::<f32>().unwrap()[1].is_nan());
        let say = |x: &Tensor| x.error().unwrap().to_string();
        assert!(say(&x.approx_min_k(4, 0).1).contains("at least 4 elements along axis 0"));
        assert!(say(&x.partition(2, 1)).contains("an index along axis 1 of f32[3, 2], got 2"));
        assert!(say(&x.argpartition(-3, 1)).contains("got -3"));
    }
}
