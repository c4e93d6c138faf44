//! Positions and selections by masks: sizes that depend on values.
//!
//! The size of a result is a constant of the graph, so it cannot depend on values that do not exist
//! yet. On plain tensors the number of true entries is read first, and the result has exactly this
//! size. In a trace the caller gives the size ([`SizeOptions`]); without one, the result is an
//! error that says so. Both ways run the same operations, without a loop over elements:
//!
//! ```text
//! mask             true false true true false
//! cumsum(mask)     1    1     2    3    3        the last one is the count
//! place            0    -     1    2    -        cumsum - 1 where the mask is true
//! scatter iota     0          2    3             positions of the true entries
//! ```
//!
//! # Invariants
//!
//! - Positions are in ascending order; those beyond the count are 0.
//! - Places outside of the size are dropped by the scatter, so a size that is too small is legal.

use super::common::{located, tensor_or_error};
use crate::{
    AxisInt, DType, IntoAxes, SizeOptions, Tensor, args::axes_or_error, stack, tensor::CallSite,
};
use std::panic::Location;

/// The ends of an axis from which [`Tensor::trim_zeros`] removes zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trim {
    /// The front and the back.
    #[default]
    Both,
    /// The front.
    Front,
    /// The back.
    Back,
}

/// The positions of the true entries of a mask.
pub(super) struct Found {
    /// The positions, i32, `size` of them.
    pub positions: Tensor,
    /// The number of true entries, an i32 scalar.
    pub count: Tensor,
    /// The size of the result.
    pub size: usize,
    /// True if the caller gave the size, so that entries may be missing.
    pub is_sized: bool,
}

impl Found {
    /// Finds the true entries of the bool vector `mask`.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `op` if the size is neither given nor known, or
    /// too large for i32.
    #[track_caller]
    pub(super) fn new(
        mask: &Tensor,
        options: SizeOptions,
        op: &str,
        at: CallSite,
    ) -> Result<Found, Tensor> {
        let n = mask.type_or_error()?.size();
        let ends = mask.convert(DType::I32, at).cumsum(0);
        let count = if n == 0 { Tensor::scalar(DType::I32, 0) } else { ends.get(-1) };
        let size = match options.size {
            Some(size) if i32::try_from(size).is_ok() => size,
            Some(size) => {
                let why = format!("expected a size below 2^31, got {size}");
                return Err(Tensor::fail(op, why, at));
            }
            None => known(&count, op, at)?,
        };
        let place = mask.select(ends - 1, size);
        let positions = Tensor::zeros_of(DType::I32, size).at(place).set(Tensor::arange(n));
        Ok(Found { positions, count, size, is_sized: options.size.is_some() })
    }

    /// Gathers the entries of `x` at the positions along `axis`; missing ones are `fill`, a scalar
    /// tensor.
    #[track_caller]
    pub(super) fn take(&self, x: &Tensor, axis: usize, fill: &Tensor) -> Tensor {
        let mut shape = x.shape().to_vec();
        if shape[axis] == 0 {
            shape[axis] = self.size;
            return fill.broadcast_to(shape);
        }
        let taken = x.take(&self.positions, axis);
        if !self.is_sized {
            return taken;
        }
        let mut column = vec![1; shape.len()];
        column[axis] = self.size;
        self.is_valid().reshape(column).select(taken, fill)
    }

    /// Returns a bool vector that is true for entries of the result that exist.
    #[track_caller]
    pub(super) fn is_valid(&self) -> Tensor {
        Tensor::arange(self.size).lt(&self.count)
    }
}

/// Returns the value of `count`, an i32 scalar.
fn known(count: &Tensor, op: &str, at: CallSite) -> Result<usize, Tensor> {
    count.type_or_error()?;
    if !count.has_value() {
        let why = format!(
            "the size of the result depends on values, and a traced tensor has none yet; give the \
             size with `{op}_with` and `SizeOptions::new().size(n)`, or call `{op}` outside of the \
             traced function"
        );
        return Err(Tensor::fail(op, why, at));
    }
    count.item().map(|n| n as usize).map_err(|e| Tensor::error_at(e, at))
}

/// Returns the fill value of `options`, 0 by default, as a scalar of the dtype of `x`.
pub(super) fn fill_of(
    x: &Tensor,
    options: SizeOptions,
    op: &str,
    at: CallSite,
) -> Result<Tensor, Tensor> {
    let fill = options.fill.unwrap_or(false.into());
    let literal = fill.to_literal(x.dtype());
    literal.map(Tensor::from).map_err(|e| Tensor::fail(op, e.message(), at))
}

impl Tensor {
    /// Returns the indices of the elements that are not 0: one vector, i32, for each axis, in
    /// row-major order.
    ///
    /// They are an index: `x.index(x.nonzero())` are the elements. Follows `jax.numpy.nonzero`, and
    /// `where` of one argument.
    ///
    /// # Errors
    ///
    /// The result is one error for a scalar, and in a traced function, where
    /// [`Tensor::nonzero_with`] takes the size.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[3, 0], [0, 5]]);
    /// let places = x.nonzero();
    /// assert_eq!(places[0].to_vec::<i32>()?, [0, 1]);
    /// assert_eq!(places[1].to_vec::<i32>()?, [0, 1]);
    /// assert_eq!(x.index(places).to_vec::<i32>()?, [3, 5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nonzero(&self) -> Vec<Tensor> {
        self.nonzero_with(SizeOptions::new())
    }

    /// Returns the indices of the elements that are not 0, with a size: [`Tensor::nonzero`].
    /// Missing indices are 0 unless there is a fill value.
    ///
    /// # Errors
    ///
    /// The result is one error for a scalar, and if i32 does not hold the fill value.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let options = SizeOptions::new().size(3).fill_value(-1);
    /// let places = tensor([[3, 0], [0, 5]]).nonzero_with(options);
    /// assert_eq!(places[0].to_vec::<i32>()?, [0, 1, -1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nonzero_with(&self, options: SizeOptions) -> Vec<Tensor> {
        self.try_nonzero(options, "nonzero", Location::caller()).unwrap_or_else(|e| vec![e])
    }

    #[track_caller]
    fn try_nonzero(
        &self,
        options: SizeOptions,
        op: &str,
        at: CallSite,
    ) -> Result<Vec<Tensor>, Tensor> {
        let shape = self.type_or_error()?.shape.clone();
        if shape.rank() == 0 {
            let why = format!(
                "expected at least one axis, got {}; use `flatnonzero`, or `flatten` first",
                self.dtype_and_shape()
            );
            return Err(Tensor::fail(op, why, at));
        }
        let found = Found::new(&self.flatten().convert(DType::Bool, at), options, op, at)?;
        let mut places = found.positions.unravel_index(&shape);
        if options.fill.is_some() && found.is_sized {
            let fill = fill_of(&found.positions, options, op, at)?;
            for place in &mut places {
                *place = found.is_valid().select(&*place, &fill);
            }
        }
        Ok(places)
    }

    /// Returns the indices of the elements that are not 0, i32 of shape `[count, rank]`, in
    /// row-major order. Follows `jax.numpy.argwhere`.
    ///
    /// # Errors
    ///
    /// The result carries an error in a traced function, where [`Tensor::argwhere_with`] takes the
    /// size.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[3, 0], [0, 5]]).argwhere().to_vec::<i32>()?, [0, 0, 1, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn argwhere(&self) -> Tensor {
        self.argwhere_with(SizeOptions::new())
    }

    /// Returns the indices of the elements that are not 0, with a size: [`Tensor::argwhere`].
    /// Missing indices are 0 unless there is a fill value.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[3, 0], [0, 5]]);
    /// let y = x.argwhere_with(SizeOptions::new().size(1));
    /// assert_eq!(y.to_vec::<i32>()?, [0, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn argwhere_with(&self, options: SizeOptions) -> Tensor {
        let at = Location::caller();
        let (x, rank) = match self.type_or_error() {
            Ok(t) if t.rank() == 0 => (self.flatten(), 0),
            Ok(t) => (self.clone(), t.rank()),
            Err(e) => return e,
        };
        match x.try_nonzero(options, "argwhere", at) {
            Ok(places) => stack(places, 1).slice(1, ..rank as i64),
            Err(e) => e,
        }
    }

    /// Returns the indices, i32, of the elements that are not 0 in the flattened tensor. Follows
    /// `jax.numpy.flatnonzero`.
    ///
    /// # Errors
    ///
    /// The result carries an error in a traced function, where [`Tensor::flatnonzero_with`] takes
    /// the size.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[3, 0], [0, 5]]).flatnonzero().to_vec::<i32>()?, [0, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn flatnonzero(&self) -> Tensor {
        self.flatnonzero_with(SizeOptions::new())
    }

    /// Returns the indices of the elements that are not 0 in the flattened tensor, with a size:
    /// [`Tensor::flatnonzero`]. Missing indices are 0 unless there is a fill value.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let options = SizeOptions::new().size(3).fill_value(9);
    /// assert_eq!(tensor([0, 3, 4]).flatnonzero_with(options).to_vec::<i32>()?, [1, 2, 9]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn flatnonzero_with(&self, options: SizeOptions) -> Tensor {
        let places = self.flatten().try_nonzero(options, "flatnonzero", Location::caller());
        tensor_or_error(places.map(|mut places| places.remove(0)))
    }

    /// Selects the entries along `axis` for which `condition`, a vector, is not 0.
    ///
    /// The vector may be shorter than the axis; entries behind it are left out. Follows
    /// `jax.numpy.compress`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `condition` is no vector or longer than the axis, and if it
    /// is traced; [`Tensor::compress_with`] takes the size.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 2, 3], [4, 5, 6]]);
    /// let y = x.compress(&tensor([true, false, true]), 1);
    /// assert_eq!(y.to_vec::<i32>()?, [1, 3, 4, 6]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn compress(&self, condition: &Tensor, axis: impl AxisInt) -> Tensor {
        self.compress_with(condition, axis, SizeOptions::new())
    }

    /// Selects the entries along `axis` for which `condition` is not 0, with a size:
    /// [`Tensor::compress`]. Missing entries are 0 unless there is a fill value.
    ///
    /// # Errors
    ///
    /// As [`Tensor::compress`], and if the dtype does not hold the fill value.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let even = jit(|x: Tensor| {
    ///     let mask = (&x % 2).equal(0);
    ///     x.compress_with(&mask, 0, SizeOptions::new().size(3))
    /// });
    /// assert_eq!(even.run(tensor([1, 2, 3, 4]))?.to_vec::<i32>()?, [2, 4, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn compress_with(
        &self,
        condition: &Tensor,
        axis: impl AxisInt,
        options: SizeOptions,
    ) -> Tensor {
        let at = Location::caller();
        match self.axis_at(axis, "compress", at) {
            Ok(axis) => tensor_or_error(self.compressed(condition, axis, options, "compress", at)),
            Err(e) => e,
        }
    }

    /// Selects the entries along `axis` for which `condition` is not 0.
    #[track_caller]
    pub(super) fn compressed(
        &self,
        condition: &Tensor,
        axis: usize,
        options: SizeOptions,
        op: &str,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let (x, mask) = (self.type_or_error()?, condition.type_or_error()?);
        if mask.rank() != 1 || mask.size() > x.shape[axis] {
            let why = format!(
                "expected a vector of at most {} entries, one for each of axis {axis} of {x}, got \
                 {mask}",
                x.shape[axis]
            );
            return Err(Tensor::fail(op, why, at));
        }
        let fill = fill_of(self, options, op, at)?;
        let found = Found::new(&condition.convert(DType::Bool, at), options, op, at)?;
        Ok(found.take(self, axis, &fill))
    }

    /// Selects the elements for which `condition`, a tensor of the same size, is not 0: a vector in
    /// row-major order.
    ///
    /// `x.index(&mask)` with a bool tensor is the same. Follows `jax.numpy.extract`, with the
    /// arguments exchanged.
    ///
    /// # Errors
    ///
    /// The result carries an error if the sizes differ, and if the condition is traced;
    /// [`Tensor::extract_with`] takes the size.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1.0, -2.0], [-3.0, 4.0]]);
    /// assert_eq!(x.extract(&x.gt(0)).to_vec::<f32>()?, [1.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn extract(&self, condition: &Tensor) -> Tensor {
        self.extract_with(condition, SizeOptions::new())
    }

    /// Selects the elements for which `condition` is not 0, with a size: [`Tensor::extract`].
    /// Missing elements are 0 unless there is a fill value.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, -2.0, 3.0]);
    /// let y = x.extract_with(&x.gt(0), SizeOptions::new().size(3).fill_value(-1.0));
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 3.0, -1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn extract_with(&self, condition: &Tensor, options: SizeOptions) -> Tensor {
        let at = Location::caller();
        let extract = || {
            let (x, mask) = (self.type_or_error()?, condition.type_or_error()?);
            if x.size() != mask.size() {
                let why = format!("expected a condition of the size of {x}, got {mask}");
                return Err(Tensor::fail("extract", why, at));
            }
            Ok((self.flatten(), condition.flatten()))
        };
        located(at, &[self, condition], || {
            let both = extract();
            tensor_or_error(
                both.and_then(|(x, mask)| x.compressed(&mask, 0, options, "extract", at)),
            )
        })
    }

    /// Removes entries that are 0 at the ends of all axes: the smallest box with all elements that
    /// are not 0.
    ///
    /// Follows `jax.numpy.trim_zeros`.
    ///
    /// # Errors
    ///
    /// The result carries an error in a traced function, as its shape depends on values.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{Trim, prelude::*};
    /// let x = tensor([0, 0, 1, 0, 2, 0]);
    /// assert_eq!(x.trim_zeros(Trim::Both).to_vec::<i32>()?, [1, 0, 2]);
    /// assert_eq!(x.trim_zeros(Trim::Back).to_vec::<i32>()?, [0, 0, 1, 0, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn trim_zeros(&self, trim: Trim) -> Tensor {
        self.trim_zeros_with(trim, ..)
    }

    /// Removes entries that are 0 at the ends of `axes` as [`Tensor::trim_zeros`] does.
    ///
    /// Follows `jax.numpy.trim_zeros` with `axis`.
    ///
    /// # Errors
    ///
    /// The result carries an error in a traced function, as its shape depends on values, and if an
    /// axis is out of range or occurs twice.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{Trim, prelude::*};
    /// let x = tensor([[0, 1, 0], [0, 2, 0], [0, 0, 0]]);
    /// assert_eq!(x.trim_zeros_with(Trim::Both, 0).to_vec::<i32>()?, [0, 1, 0, 0, 2, 0]);
    /// assert_eq!(x.trim_zeros_with(Trim::Both, [0, 1]).to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn trim_zeros_with(&self, trim: Trim, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        let axes = match axes_or_error(self, &axes, "trim_zeros_with", at) {
            Ok(axes) => axes,
            Err(e) => return e,
        };
        let mut x = self.clone();
        for axis in axes {
            match x.trimmed(axis, trim, at) {
                Ok(y) => x = y,
                Err(e) => return e,
            }
        }
        x
    }

    /// Removes entries that are 0 at the ends of `axis`.
    #[track_caller]
    fn trimmed(&self, axis: usize, trim: Trim, at: CallSite) -> Result<Tensor, Tensor> {
        let n = self.shape()[axis];
        let others: Vec<i64> = (0..self.rank() as i64).filter(|&a| a != axis as i64).collect();
        let mask = self.any(others);
        if mask.error().is_none() && !mask.has_value() {
            let why = "the shape of the result depends on values, and a traced tensor has none \
                       yet; call it outside of the traced function";
            return Err(Tensor::fail("trim_zeros", why, at));
        }
        let mask = mask.to_vec::<bool>().map_err(|e| Tensor::error_at(e, at))?;
        let Some(first) = mask.iter().position(|&is| is) else {
            return Ok(self.slice(axis, ..0));
        };
        let last = mask.iter().rposition(|&is| is).unwrap_or(first);
        Ok(match trim {
            Trim::Both => self.slice(axis, first as i64..last as i64 + 1),
            Trim::Front => self.slice(axis, first as i64..n as i64),
            Trim::Back => self.slice(axis, ..last as i64 + 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::Trim;
    use crate::prelude::*;

    fn say(x: &Tensor) -> String {
        x.error().unwrap().to_string()
    }

    #[test]
    fn a_trace_needs_the_size() {
        let f = jit(|x: Tensor| x.flatnonzero());
        let e = f.run(tensor([1, 0])).unwrap_err().to_string();
        assert!(e.contains("give the size with `flatnonzero_with`"), "{e}");
        let f = vmap(|x: Tensor| x.flatnonzero_with(SizeOptions::new().size(2).fill_value(7)));
        let y = f.run(tensor([[1, 0, 1], [0, 0, 1]])).unwrap();
        assert_eq!(y.to_vec::<i32>().unwrap(), [0, 2, 2, 7]);
        let f = jit(|x: Tensor| x.trim_zeros(Trim::Both));
        assert!(f.run(tensor([1, 0])).is_err());
    }

    #[test]
    fn sizes_that_are_too_small_or_zero_are_legal() {
        let x = tensor([1, 0, 1, 1]);
        let y = x.flatnonzero_with(SizeOptions::new().size(2));
        assert_eq!(y.to_vec::<i32>().unwrap(), [0, 2]);
        assert_eq!(x.flatnonzero_with(SizeOptions::new().size(0)).shape(), [0]);
        let empty = Tensor::zeros([0, 3]);
        assert_eq!(empty.nonzero()[1].shape(), [0]);
        assert_eq!(empty.argwhere().shape(), [0, 2]);
        let y = empty.compress_with(&Tensor::zeros([0]), 0, SizeOptions::new().size(2));
        assert_eq!(y.to_vec::<f32>().unwrap(), [0.0; 6]);
        assert_eq!(tensor(3).argwhere().shape(), [1, 0]);
        assert_eq!(tensor(0).argwhere().shape(), [0, 0]);
    }

    #[test]
    fn nan_is_not_zero() {
        let x = tensor([f32::NAN, 0.0, -0.0, f32::INFINITY]);
        assert_eq!(x.flatnonzero().to_vec::<i32>().unwrap(), [0, 3]);
    }

    #[test]
    fn zeros_are_trimmed_at_all_axes() {
        let x = tensor([[0, 0, 0], [0, 1, 0], [0, 0, 2]]);
        assert_eq!(x.trim_zeros(Trim::Both).to_vec::<i32>().unwrap(), [1, 0, 0, 2]);
        assert_eq!(x.trim_zeros(Trim::Front).shape(), [2, 2]);
        assert_eq!(x.trim_zeros(Trim::Back).shape(), [3, 3]);
        assert_eq!(tensor([0, 0]).trim_zeros(Trim::Front).shape(), [0]);
    }

    #[test]
    fn misuse_is_an_error() {
        let x = tensor([1, 2, 3]);
        assert!(say(&tensor(1).nonzero()[0]).contains("expected at least one axis, got i32[]"));
        assert!(say(&x.compress(&tensor([[true]]), 0)).contains("got bool[1, 1]"));
        assert!(say(&x.compress(&tensor([true; 4]), 0)).contains("at most 3 entries"));
        assert!(say(&x.extract(&tensor([true]))).contains("of the size of i32[3], got bool[1]"));
        let sized = SizeOptions::new().size(2);
        let e = x.compress_with(&tensor([true]), 0, sized.fill_value(1i64 << 40));
        assert!(say(&e).contains("i32 does not hold"));
        let e = x.flatnonzero_with(SizeOptions::new().size(usize::MAX));
        assert!(say(&e).contains("expected a size below 2^31"));
    }
}
