//! Sorting in descending order and by several keys.

use super::common::{cloned, tensor_or_error};
use crate::{AxisInt, SortOptions, Tensor, dispatch::dispatch_multi, tensor::CallSite};
use neurax_ir::op::Sort;
use std::{borrow::Borrow, panic::Location};

/// Returns the indices, i32, that sort by several keys along `axis`: by the last one, elements
/// that are equal there by the last but one, and so on. The sort is stable.
///
/// Follows `jax.numpy.lexsort`.
///
/// # Errors
///
/// The result carries an error if there is no key or if the shapes of the keys differ.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (first, last) = (tensor([2, 1, 0]), tensor([5.0, 5.0, 4.0]));
/// assert_eq!(lexsort([first, last], 0).to_vec::<i32>()?, [2, 1, 0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn lexsort<T: Borrow<Tensor>>(keys: impl IntoIterator<Item = T>, axis: impl AxisInt) -> Tensor {
    let at = Location::caller();
    let mut keys = cloned(keys);
    keys.reverse();
    let sort = || {
        let Some(first) = keys.first() else {
            return Err(Tensor::fail("lexsort", "expected at least one key, got none", at));
        };
        let axis = first.axis_at(axis, "lexsort", at)?;
        first.indices_along(axis, at)?.sorted_by("lexsort", &keys, axis, at)
    };
    tensor_or_error(sort())
}

impl Tensor {
    /// Sorts the elements along `axis` in the order of `options`: [`Tensor::sort`]. Follows
    /// `jax.numpy.sort`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([3.0, f32::NAN, 5.0]);
    /// let y = x.sort_with(0, SortOptions::new().descending());
    /// assert_eq!(y.to_vec::<f32>()?[1..], [5.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sort_with(&self, axis: impl AxisInt, options: SortOptions) -> Tensor {
        let at = Location::caller();
        match self.axis_at(axis, "sort_with", at) {
            Ok(axis) if options.is_descending => self.sort(axis).flip(axis),
            Ok(axis) => self.sort(axis),
            Err(e) => e,
        }
    }

    /// Returns the indices that sort the elements along `axis` in the order of `options`, i32:
    /// [`Tensor::argsort`]. The sort is stable. Follows `jax.numpy.argsort`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1, 3, 1, 2]);
    /// let i = x.argsort_with(0, SortOptions::new().descending());
    /// assert_eq!(i.to_vec::<i32>()?, [1, 3, 0, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn argsort_with(&self, axis: impl AxisInt, options: SortOptions) -> Tensor {
        let at = Location::caller();
        match self.axis_at(axis, "argsort_with", at) {
            Ok(axis) if options.is_descending => tensor_or_error(self.argsort_descending(axis, at)),
            Ok(axis) => self.argsort(axis),
            Err(e) => e,
        }
    }

    /// Returns the indices of the descending order along `axis`.
    #[track_caller]
    fn argsort_descending(&self, axis: usize, at: CallSite) -> Result<Tensor, Tensor> {
        // Reversed before and after, equal elements keep their order.
        let places = self.indices_along(axis, at)?.flip(axis);
        Ok(places.sorted_by("argsort_with", &[self.flip(axis)], axis, at)?.flip(axis))
    }

    /// Sorts the elements along `axis` by several keys, in ascending order: by the first one,
    /// elements that are equal there by the second one, and so on. The sort is stable.
    ///
    /// [`lexsort`] returns the indices. Follows `jax.lax.sort` with `num_keys`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there is no key or if the shape of a key is not that of the
    /// tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([10, 20, 30]);
    /// let y = x.sort_by_keys([tensor([1, 0, 1]), tensor([7, 9, 5])], 0);
    /// assert_eq!(y.to_vec::<i32>()?, [20, 30, 10]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sort_by_keys<T: Borrow<Tensor>>(
        &self,
        keys: impl IntoIterator<Item = T>,
        axis: impl AxisInt,
    ) -> Tensor {
        let at = Location::caller();
        tensor_or_error(self.sorted_by("sort_by_keys", &cloned(keys), axis, at))
    }

    /// Sorts the elements along `axis` by `keys`, the first of which counts most.
    fn sorted_by(
        &self,
        op: &str,
        keys: &[Tensor],
        axis: impl AxisInt,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        if keys.is_empty() {
            return Err(Tensor::fail(op, "expected at least one key, got none", at));
        }
        let axis = self.axis_at(axis, op, at)?;
        let xs = keys.iter().chain([self]).cloned();
        let ys = dispatch_multi(Sort { axis, keys: keys.len() }, xs, at)
            .map_err(|e| Tensor::error_at(e, at))?;
        Ok(ys.into_iter().last().unwrap_or_else(|| self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn several_keys_of_several_dtypes_sort_along_any_axis() {
        let (a, b) = (tensor([[1, 1, 0], [0, 0, 0]]), tensor([[2.0, 1.0, 9.0], [3.0, 3.0, 1.0]]));
        let i = lexsort([&b, &a], -1);
        assert_eq!(i.to_vec::<i32>().unwrap(), [2, 1, 0, 2, 0, 1]);
        let x = tensor([[1, 2, 3], [4, 5, 6]]);
        let y = x.sort_by_keys([&a, &b], 0);
        assert_eq!(y.to_vec::<i32>().unwrap(), [4, 5, 6, 1, 2, 3]);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |y: Tensor| y.error().unwrap().to_string();
        let (none, x): ([Tensor; 0], _) = ([], tensor([1, 2]));
        assert!(say(lexsort(none.clone(), 0)).contains("expected at least one key, got none"));
        assert!(say(x.sort_by_keys(none, 0)).contains("expected at least one key, got none"));
        assert!(x.sort_by_keys([tensor([1, 2, 3])], 0).error().is_some());
        assert!(lexsort([&x, &tensor(1)], 0).error().is_some());
    }
}
