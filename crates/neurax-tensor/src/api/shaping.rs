//! Repeating entries by counts, splitting at places, and open grids.

use super::{common::cloned, join::failed, sort::Side};
use crate::{AxisInt, DType, Indexing, Tensor, tensor::CallSite};
use std::{borrow::Borrow, panic::Location};

/// Returns the coordinates of the points of a grid as [`crate::meshgrid`] does, each with size 1
/// along the axes of the others: together they broadcast to the grid.
///
/// Follows `jax.numpy.meshgrid` with `sparse`.
///
/// # Errors
///
/// A result carries an error if its operand is not a vector.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let grids = meshgrid_sparse([tensor([1, 2, 3]), tensor([10, 20])], Indexing::Ij);
/// assert_eq!(grids[0].shape(), [3, 1]);
/// assert_eq!(grids[1].shape(), [1, 2]);
/// assert_eq!((&grids[0] + &grids[1]).to_vec::<i32>()?, [11, 21, 12, 22, 13, 23]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn meshgrid_sparse<T: Borrow<Tensor>>(
    xs: impl IntoIterator<Item = T>,
    indexing: Indexing,
) -> Vec<Tensor> {
    let at = Location::caller();
    let xs = cloned(xs);
    let rank = xs.len();
    let along = |i: usize| match (indexing, i) {
        (Indexing::Xy, 0) if rank > 1 => 1,
        (Indexing::Xy, 1) => 0,
        _ => i,
    };
    let open = |(i, x): (usize, &Tensor)| {
        if x.error().is_none() && x.rank() != 1 {
            let why = format!("expected vectors, got {}", x.dtype_and_shape());
            return Tensor::fail("meshgrid_sparse", why, at);
        }
        let mut shape = vec![1; rank];
        shape[along(i)] = x.size();
        x.reshaped(shape, at)
    };
    xs.iter().enumerate().map(open).collect()
}

impl Tensor {
    /// Repeats entry `i` along `axis` `counts[i]` times in succession. Follows `numpy.repeat`.
    ///
    /// The size of the axis becomes the sum of the counts, which must be known: inside of a traced
    /// function use [`Tensor::repeat_each_to`].
    ///
    /// # Errors
    ///
    /// The result carries an error if `counts` is not a vector of integers of at least 0, one for
    /// each entry of the axis, or if it is traced.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([10, 20, 30]).repeat_each(&tensor([2, 0, 1]), 0);
    /// assert_eq!(y.to_vec::<i32>()?, [10, 10, 30]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn repeat_each(&self, counts: &Tensor, axis: impl AxisInt) -> Tensor {
        let (op, at) = ("repeat_each", Location::caller());
        let repeat = || {
            let counts = self.counts_along(op, counts, axis, at)?;
            let known = counts.convert(DType::I64, at).to_vec::<i64>().map_err(|e| {
                let why = format!(
                    "expected counts with known values ({}); inside of a traced function use \
                     `repeat_each_to` with the size of the result",
                    e.message()
                );
                Tensor::fail(op, why, at)
            })?;
            let total = known.iter().try_fold(0usize, |sum, &n| {
                sum.checked_add(usize::try_from(n).ok()?).filter(|&sum| sum <= i32::MAX as usize)
            });
            let Some(total) = total else {
                let why = "expected counts of at least 0 with a sum below 2^31";
                return Err(Tensor::fail(op, why, at));
            };
            Ok((counts, total))
        };
        match repeat() {
            Ok((counts, total)) => self.repeat_each_to(&counts, axis, total),
            Err(e) => e,
        }
    }

    /// Repeats entry `i` along `axis` `counts[i]` times in succession, for an axis of size `total`
    /// in the result.
    ///
    /// If the sum of the counts is smaller, the last entry of the axis fills up; if it is larger,
    /// what is beyond is left out. Follows `jax.numpy.repeat` with `total_repeat_length`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `counts` is not a vector of integers, one for each entry of
    /// the axis, and if `total` is more than i32 holds.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let f = jit(|(x, counts): (Tensor, Tensor)| x.repeat_each_to(&counts, 0, 4));
    /// let y = f.run((tensor([10, 20]), tensor([1, 2])))?;
    /// assert_eq!(y.to_vec::<i32>()?, [10, 20, 20, 20]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn repeat_each_to(&self, counts: &Tensor, axis: impl AxisInt, total: usize) -> Tensor {
        let (op, at) = ("repeat_each_to", Location::caller());
        match self.counts_along(op, counts, axis, at) {
            Ok(counts) => {
                // The entry to which a place belongs is the first one that ends beyond it.
                let ends = counts.cumsum(0);
                self.take(ends.searchsorted(Tensor::arange(total), Side::Right), axis)
            }
            Err(e) => e,
        }
    }

    /// Checks that `counts` are integers, one for each entry of `axis`.
    fn counts_along(
        &self,
        op: &str,
        counts: &Tensor,
        axis: impl AxisInt,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let axis = self.axis_at(axis, op, at)?;
        let (n, ty) = (self.shape()[axis], counts.type_or_error()?);
        if ty.shape[..] != [n] || !ty.dtype.is_int() {
            let why = format!(
                "expected a vector of {n} integers, one for each entry of axis {axis}, got {ty}"
            );
            return Err(Tensor::fail(op, why, at));
        }
        counts.integers(op, at)
    }

    /// Splits `axis` before each of `places`: parts end and begin there.
    ///
    /// Places count from the end if they are negative, and are clamped; a part between places in
    /// descending order is empty. Follows `numpy.split` with a list of indices.
    ///
    /// # Errors
    ///
    /// Each part carries an error if the axis is out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let parts = Tensor::arange(6).split_at([1, -2], 0);
    /// let sizes: Vec<usize> = parts.iter().map(Tensor::size).collect();
    /// assert_eq!((sizes, parts[1].to_vec::<i32>()?), (vec![1, 3, 2], vec![1, 2, 3]));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn split_at(&self, places: impl AsRef<[i64]>, axis: impl AxisInt) -> Vec<Tensor> {
        let (places, at) = (places.as_ref(), Location::caller());
        let axis = match self.axis_at(axis, "split_at", at) {
            Ok(axis) => axis,
            Err(e) => return failed(e, places.len().saturating_add(1)),
        };
        let n = self.shape()[axis] as i64;
        let from_front = |p: i64| if p < 0 { p.saturating_add(n).max(0) } else { p.min(n) };
        let mut ends: Vec<i64> = places.iter().map(|&p| from_front(p)).collect();
        ends.push(n);
        let (mut parts, mut start) = (vec![], 0);
        for end in ends {
            parts.push(self.slice(axis, start..end.max(start)));
            start = end;
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn counts_are_numpys_along_any_axis() {
        let x = tensor([[1, 2], [3, 4]]);
        let y = x.repeat_each(&tensor([1, 3]), 1);
        assert_eq!(y.to_vec::<i32>().unwrap(), [1, 2, 2, 2, 3, 4, 4, 4]);
        let few = x.repeat_each_to(&Tensor::from_vec(vec![9u8, 1], [2]), 0, 1);
        assert_eq!(few.to_vec::<i32>().unwrap(), [1, 2]);
        assert_eq!(tensor([5]).repeat_each(&tensor([0]), 0).shape(), [0]);
    }

    #[test]
    fn places_are_clamped_as_in_numpy() {
        let x = Tensor::arange(5);
        let sizes = |places: &[i64]| {
            x.split_at(places, 0).iter().map(|p| p.to_vec::<i32>().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[2, 9]), [vec![0, 1], vec![2, 3, 4], vec![]]);
        assert_eq!(sizes(&[3, 1]), [vec![0, 1, 2], vec![], vec![1, 2, 3, 4]]);
        assert_eq!(sizes(&[-9]), [vec![], vec![0, 1, 2, 3, 4]]);
        assert_eq!(sizes(&[]), [vec![0, 1, 2, 3, 4]]);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |y: Tensor| y.error().unwrap().to_string();
        let x = tensor([1, 2]);
        let why = say(x.repeat_each(&tensor([1.0, 2.0]), 0));
        assert!(why.contains("expected a vector of 2 integers"), "{why}");
        assert!(say(x.repeat_each(&tensor([-1, 2]), 0)).contains("counts of at least 0"));
        let traced = jit(|(x, n): (Tensor, Tensor)| x.repeat_each(&n, 0));
        let why = traced.run((x.clone(), tensor([1, 2]))).unwrap_err().to_string();
        assert!(why.contains("use `repeat_each_to`"), "{why}");
        assert!(say(x.split_at([1], 3).remove(1)).contains("axis 3"));
        assert!(say(meshgrid_sparse([tensor([[1]])], Indexing::Xy).remove(0)).contains("vectors"));
    }
}
