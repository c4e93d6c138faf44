//! Concatenating, stacking and splitting.

use super::common::cloned;
use crate::{AxisInt, Tensor, args::axis_of, dispatch::dispatch, tensor::CallSite};
use neurax_ir::op::Concatenate;
use std::{borrow::Borrow, panic::Location};

/// Concatenates tensors along an existing axis.
///
/// The sizes of the other axes must be equal; dtypes are promoted. Follows `numpy.concatenate`.
///
/// # Errors
///
/// The result carries an error if there is no operand, no common dtype, or if the shapes do not
/// fit.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = (tensor([[1.0, 2.0]]), tensor([[3.0, 4.0]]));
/// assert_eq!(concat([&a, &b], 0).shape(), [2, 2]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn concat<T: Borrow<Tensor>>(xs: impl IntoIterator<Item = T>, axis: impl AxisInt) -> Tensor {
    concat_at(cloned(xs), axis.to_i64(), "concat", Location::caller())
}

/// Stacks tensors of one shape along a new axis, at position `axis` of the result.
///
/// Dtypes are promoted. Follows `numpy.stack`.
///
/// # Errors
///
/// The result carries an error if there is no operand or the shapes differ.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(stack([tensor(1.0), tensor(2.0)], 0).to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn stack<T: Borrow<Tensor>>(xs: impl IntoIterator<Item = T>, axis: impl AxisInt) -> Tensor {
    stack_all(cloned(xs), axis.to_i64())
}

/// Stacks tensors as [`stack`] does.
#[track_caller]
fn stack_all(xs: Vec<Tensor>, axis: i64) -> Tensor {
    let at = Location::caller();
    let Some(first) = xs.first() else {
        return Tensor::fail("stack", NO_OPERANDS, at);
    };
    if let Some(e) = xs.iter().find(|x| x.error().is_some()) {
        return e.clone();
    }
    let axis = match axis_of(axis, first.rank() + 1) {
        Ok(a) => a,
        Err(why) => {
            return Tensor::fail(
                "stack",
                format!(
                    "{why}, that of the result; the first operand is {}",
                    first.dtype_and_shape()
                ),
                at,
            );
        }
    };
    if let Some(x) = xs.iter().find(|x| x.shape() != first.shape()) {
        let why = format!(
            "expected operands of one shape, got {} and {}; use `concat` to join along an existing \
             axis",
            first.dtype_and_shape(),
            x.dtype_and_shape()
        );
        return Tensor::fail("stack", why, at);
    }
    let mut rows = vec![];
    for x in &xs {
        rows.push(x.expand_dims(axis));
    }
    concat_at(rows, axis as i64, "stack", at)
}

/// Concatenates tensors along axis 1, or vectors along their only axis. Scalars become vectors.
///
/// Dtypes are promoted. Follows `numpy.hstack`.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(hstack([tensor([[1], [2]]), tensor([[3], [4]])]).to_vec::<i32>()?, [1, 3, 2, 4]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn hstack<T: Borrow<Tensor>>(xs: impl IntoIterator<Item = T>) -> Tensor {
    let at = Location::caller();
    let xs: Vec<Tensor> = cloned(xs).iter().map(|x| x.of_rank(1, at)).collect();
    let axis = if xs.iter().any(|x| x.rank() > 1) { 1 } else { 0 };
    concat_at(xs, axis, "hstack", at)
}

/// Concatenates tensors along axis 0. Vectors and scalars become matrices of one row.
///
/// Dtypes are promoted. Follows `numpy.vstack`.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(vstack([tensor([1, 2]), tensor([3, 4])]).shape(), [2, 2]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn vstack<T: Borrow<Tensor>>(xs: impl IntoIterator<Item = T>) -> Tensor {
    let at = Location::caller();
    concat_at(cloned(xs).iter().map(|x| x.of_rank(2, at)).collect(), 0, "vstack", at)
}

/// Concatenates tensors along `axis`, with errors that name the function `name`.
pub(super) fn concat_at(xs: Vec<Tensor>, axis: i64, name: &str, at: CallSite) -> Tensor {
    let Some(first) = xs.first() else { return Tensor::fail(name, NO_OPERANDS, at) };
    let axis = match axis_of(axis, first.rank()) {
        Ok(a) => a,
        Err(_) if first.error().is_some() => return first.clone(),
        Err(why) => {
            return Tensor::fail(
                name,
                format!("{why}; the first operand is {}", first.dtype_and_shape()),
                at,
            );
        }
    };
    let dtype = xs.iter().skip(1).try_fold(first.dtype(), |d, x| d.promote(x.dtype()));
    let Some(dtype) = dtype else {
        return Tensor::fail(
            name,
            "the operands have no common dtype; convert one of them with `to`",
            at,
        );
    };
    dispatch(Concatenate { axis }, xs.iter().map(|x| x.convert(dtype, at)), at)
}

/// The maximum number of parts of a split. Each part is a tensor; an empty axis could be split into
/// more of them than memory holds.
const MAX_PARTS: usize = 1 << 20;

/// The message for joining zero tensors.
pub(super) const NO_OPERANDS: &str = "expected at least one operand, got none";

/// Returns the error `e` as each of `n` parts, or once if `n` is 0 or above the maximum.
pub(super) fn failed(e: Tensor, n: usize) -> Vec<Tensor> {
    vec![e; if n > MAX_PARTS { 1 } else { n.max(1) }]
}

impl Tensor {
    /// Inserts axes of size 1 at the front up to rank `rank`.
    pub(super) fn of_rank(&self, rank: usize, at: CallSite) -> Tensor {
        let ones = std::iter::repeat_n(1, rank.saturating_sub(self.rank()));
        self.reshaped(ones.chain(self.shape().iter().copied()).collect::<crate::Shape>(), at)
    }

    /// Splits `axis` into `n` equal parts.
    ///
    /// Follows `numpy.split`. [`Tensor::array_split`] accepts unequal parts.
    ///
    /// # Errors
    ///
    /// Each part carries an error if the size of the axis is not a multiple of `n`. The result is
    /// one error if `n` is above 2^20.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let parts = Tensor::arange(6).split(3, 0);
    /// assert_eq!(parts[1].to_vec::<i32>()?, [2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn split(&self, n: usize, axis: impl AxisInt) -> Vec<Tensor> {
        let at = Location::caller();
        match self.axis_for("split", axis, n, at) {
            Ok(axis) if n > 0 && self.shape()[axis].is_multiple_of(n) => {
                self.parts(&vec![self.shape()[axis] / n; n], axis)
            }
            Ok(axis) => {
                let why = format!(
                    "expected a size along axis {axis} of {} that is a multiple of {n}; use \
                     `array_split` for unequal parts",
                    self.dtype_and_shape()
                );
                failed(Tensor::fail("split", why, at), n)
            }
            Err(e) => failed(e, n),
        }
    }

    /// Splits `axis` into `n` parts of nearly equal size: the first ones are larger by 1.
    ///
    /// Follows `numpy.array_split`.
    ///
    /// # Errors
    ///
    /// The result is one error if `n` is above 2^20.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let parts = Tensor::arange(7).array_split(3, 0);
    /// assert_eq!(parts.iter().map(Tensor::size).collect::<Vec<_>>(), [3, 2, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn array_split(&self, n: usize, axis: impl AxisInt) -> Vec<Tensor> {
        let n = n.max(1);
        match self.axis_for("array_split", axis, n, Location::caller()) {
            Ok(axis) => {
                let (each, rest) = (self.shape()[axis] / n, self.shape()[axis] % n);
                let sizes: Vec<usize> = (0..n).map(|i| each + (i < rest) as usize).collect();
                self.parts(&sizes, axis)
            }
            Err(e) => failed(e, n),
        }
    }

    /// Splits `axis` into parts of size `size`; the last one may be smaller.
    ///
    /// # Errors
    ///
    /// The result is one error if `size` is 0 or there are more than 2^20 parts.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let sizes: Vec<usize> = Tensor::arange(7).chunk(3, 0).iter().map(Tensor::size).collect();
    /// assert_eq!(sizes, [3, 3, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn chunk(&self, size: usize, axis: impl AxisInt) -> Vec<Tensor> {
        let at = Location::caller();
        match self.axis_at(axis, "chunk", at) {
            Ok(_) if size == 0 => {
                vec![Tensor::fail("chunk", "expected a chunk size of at least 1, got 0", at)]
            }
            Ok(axis) => {
                let n = self.shape()[axis];
                if let Err(e) = self.countable("chunk", n.div_ceil(size), at) {
                    return vec![e];
                }
                let sizes: Vec<usize> =
                    (0..n.div_ceil(size)).map(|i| size.min(n - i * size)).collect();
                self.parts(&sizes, axis)
            }
            Err(e) => vec![e],
        }
    }

    /// Returns the entries along `axis`, each without the axis.
    ///
    /// Follows `numpy.unstack`; the inverse of [`stack`].
    ///
    /// # Errors
    ///
    /// The result is one error if there are more than 2^20 entries.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let columns = tensor([[1, 2], [3, 4]]).unstack(1);
    /// assert_eq!(columns[1].to_vec::<i32>()?, [2, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn unstack(&self, axis: impl AxisInt) -> Vec<Tensor> {
        let at = Location::caller();
        match self.axis_at(axis, "unstack", at) {
            Ok(axis) => {
                if let Err(e) = self.countable("unstack", self.shape()[axis], at) {
                    return vec![e];
                }
                let parts = self.parts(&vec![1; self.shape()[axis]], axis);
                parts.iter().map(|x| x.reshaped(self.shape_without(&[axis], false), at)).collect()
            }
            Err(e) => vec![e],
        }
    }

    /// Returns `axis` counted from the front, after a check of the number of parts.
    fn axis_for(
        &self,
        op: &str,
        axis: impl AxisInt,
        n: usize,
        at: CallSite,
    ) -> Result<usize, Tensor> {
        let axis = self.axis_at(axis, op, at)?;
        self.countable(op, n, at).map(|()| axis)
    }

    /// Checks that `n` is at most the maximum number of parts.
    fn countable(&self, op: &str, n: usize, at: CallSite) -> Result<(), Tensor> {
        if n <= MAX_PARTS {
            return Ok(());
        }
        Err(Tensor::fail(
            op,
            format!(
                "expected at most {MAX_PARTS} parts, got {n} of {}; use larger parts",
                self.dtype_and_shape()
            ),
            at,
        ))
    }

    /// Slices `axis` into consecutive parts of `sizes`.
    #[track_caller]
    fn parts(&self, sizes: &[usize], axis: usize) -> Vec<Tensor> {
        let (mut out, mut from) = (vec![], 0);
        for &n in sizes {
            out.push(self.slice(axis, from..from + n as i64));
            from += n as i64;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn too_many_parts_are_one_error() {
        let (x, wide) = (Tensor::zeros([0]), Tensor::zeros([1 << 40, 0]));
        let all = [
            x.split(usize::MAX, 0),
            x.array_split(usize::MAX, 0),
            x.split(usize::MAX, 7),
            wide.chunk(1, 0),
            wide.unstack(0),
        ];
        for parts in all {
            assert_eq!(parts.len(), 1);
            assert!(parts[0].error().is_some());
        }
        assert_eq!(x.split(3, 0).len(), 3);
        assert_eq!(tensor([1, 2]).split(3, 0).len(), 3, "each part carries the error");
    }
}
