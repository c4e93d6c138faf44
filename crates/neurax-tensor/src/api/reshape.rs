//! Reshaping, transposing and broadcasting.

use crate::{
    Dim, IntoShape, Shape, Tensor,
    args::{AxisInt, axes_or_error, axis_of},
    dispatch::dispatch,
    shape::fixed,
    tensor::CallSite,
};
use neurax_ir::op::{Broadcast, Reshape, Transpose};
use std::panic::Location;

impl Tensor {
    /// Reshapes to `shape`: the same elements in row-major order.
    ///
    /// One dimension may be `_` in [`crate::dims!`]; it is computed from the others. Follows
    /// `numpy.reshape`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the number of elements differs.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::arange(6).reshape(dims![2, _]).shape(), [2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn reshape(&self, shape: impl IntoShape) -> Tensor {
        self.reshape_to(&shape.dims(), Location::caller())
    }

    /// Reshapes to `dims`, one of which may be open.
    fn reshape_to(&self, dims: &[Dim], at: CallSite) -> Tensor {
        let Ok(ty) = self.type_ref() else { return self.clone() };
        match resolve_shape(ty.size(), dims) {
            Ok(shape) if shape == ty.shape => self.clone(),
            Ok(shape) => dispatch(Reshape { shape }, [self.clone()], at),
            Err(why) => Tensor::fail("reshape", format!("cannot reshape {ty} to {why}"), at),
        }
    }

    /// Permutes the axes: axis `i` of the result is axis `axes[i]` of `self`.
    ///
    /// Follows `numpy.permute_dims`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `axes` does not name each axis once.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::zeros([2, 3, 4]).permute([2, 0, 1]).shape(), [4, 2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn permute(&self, axes: impl crate::IntoAxes) -> Tensor {
        let at = Location::caller();
        match axes_or_error(self, &axes, "permute", at) {
            Ok(list) if list.len() == self.rank() => self.permute_at(list, at),
            Ok(list) => Tensor::fail(
                "permute",
                format!("expected each of the {} axes once, got {} axes", self.rank(), list.len()),
                at,
            ),
            Err(e) => e,
        }
    }

    pub(crate) fn permute_at(&self, permutation: Vec<usize>, at: CallSite) -> Tensor {
        let same = permutation.iter().enumerate().all(|(i, &p)| i == p);
        if same { self.clone() } else { dispatch(Transpose { permutation }, [self.clone()], at) }
    }

    /// Swaps the last two axes; vectors and scalars stay. Follows `numpy.matrix_transpose`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::zeros([2, 3, 4]).t().shape(), [2, 4, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn t(&self) -> Tensor {
        let at = Location::caller();
        let rank = self.rank();
        let mut axes: Vec<usize> = (0..rank).collect();
        if rank >= 2 {
            axes.swap(rank - 1, rank - 2);
        }
        self.permute_at(axes, at)
    }

    /// Reverses the order of all axes. Follows `numpy.transpose` without further arguments.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::zeros([2, 3, 4]).transpose().shape(), [4, 3, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn transpose(&self) -> Tensor {
        let at = Location::caller();
        self.permute_at((0..self.rank()).rev().collect(), at)
    }

    /// Moves axis `from` to position `to`; the other axes keep their order. Follows
    /// `numpy.moveaxis`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::zeros([2, 3, 4]).move_axis(0, -1).shape(), [3, 4, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn move_axis(&self, from: impl AxisInt, to: impl AxisInt) -> Tensor {
        self.move_axis_at(from.to_i64(), to.to_i64(), Location::caller())
    }

    pub(crate) fn move_axis_at(&self, from: i64, to: i64, at: CallSite) -> Tensor {
        let Ok(ty) = self.type_ref() else { return self.clone() };
        match (axis_of(from, ty.rank()), axis_of(to, ty.rank())) {
            (Ok(from), Ok(to)) => {
                let mut axes: Vec<usize> = (0..ty.rank()).filter(|&i| i != from).collect();
                axes.insert(to, from);
                self.permute_at(axes, at)
            }
            (Err(why), _) | (_, Err(why)) => {
                Tensor::fail("move_axis", format!("{why}; the operand is {ty}"), at)
            }
        }
    }

    /// Broadcasts to `shape`: repeats the tensor along new leading axes and axes of size 1.
    ///
    /// Follows `numpy.broadcast_to`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the tensor does not broadcast to `shape`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1.0], [2.0]]);
    /// assert_eq!(x.broadcast_to([2, 2]).to_vec::<f32>()?, [1.0, 1.0, 2.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn broadcast_to(&self, shape: impl IntoShape) -> Tensor {
        self.broadcast_at(shape, Location::caller())
    }

    pub(crate) fn broadcast_at(&self, shape: impl IntoShape, at: CallSite) -> Tensor {
        match fixed(shape) {
            Ok(shape) => self.broadcast_fixed(shape, at),
            Err(_) if self.error().is_some() => self.clone(),
            Err(why) => Tensor::fail("broadcast_to", why, at),
        }
    }

    /// Broadcasts to a shape whose sizes are fixed.
    fn broadcast_fixed(&self, shape: Shape, at: CallSite) -> Tensor {
        let Ok(ty) = self.type_ref() else { return self.clone() };
        let offset = shape.rank().wrapping_sub(ty.rank());
        let fits = ty.rank() <= shape.rank()
            && ty
                .shape
                .iter()
                .zip(&shape[offset.min(shape.rank())..])
                .all(|(a, b)| a == b || *a == 1);
        match fits {
            true if shape == ty.shape => self.clone(),
            true => dispatch(
                Broadcast { dims: (offset..shape.rank()).collect(), shape },
                [self.clone()],
                at,
            ),
            false => {
                Tensor::fail("broadcast_to", format!("{ty} does not broadcast to {shape}"), at)
            }
        }
    }

    /// Inserts a new axis of size 1 at position `axis` of the result. Follows `numpy.expand_dims`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::zeros([2, 3]).expand_dims(-1).shape(), [2, 3, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn expand_dims(&self, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let Ok(ty) = self.type_ref() else { return self.clone() };
        match axis_of(axis.to_i64(), ty.rank() + 1) {
            Ok(a) => dispatch(Reshape { shape: ty.shape.inserted(a, 1) }, [self.clone()], at),
            Err(why) => Tensor::fail(
                "expand_dims",
                format!("{why}, that of the result; the operand is {ty}"),
                at,
            ),
        }
    }

    /// Swaps two axes. Follows `numpy.swapaxes`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::zeros([2, 3, 4]).swap_axes(0, 2).shape(), [4, 3, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn swap_axes(&self, a: impl AxisInt, b: impl AxisInt) -> Tensor {
        let at = Location::caller();
        match self.two_axes(a, b, "swap_axes", at) {
            Ok((a, b)) => {
                let mut axes: Vec<usize> = (0..self.rank()).collect();
                axes.swap(a, b);
                self.permute_at(axes, at)
            }
            Err(e) => e,
        }
    }

    /// Flattens to a vector in row-major order. Follows `numpy.ravel`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1, 2], [3, 4]]).flatten().to_vec::<i32>()?, [1, 2, 3, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn flatten(&self) -> Tensor {
        self.reshaped([self.size()], Location::caller())
    }

    /// Removes axes of size 1: `squeeze(0)`, or `squeeze(..)` for all axes of size 1.
    ///
    /// Follows `numpy.squeeze`.
    ///
    /// # Errors
    ///
    /// The result carries an error if a named axis has another size.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::zeros([1, 2, 1]).squeeze(..).shape(), [2]);
    /// assert_eq!(Tensor::zeros([1, 2, 1]).squeeze(-1).shape(), [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn squeeze(&self, axes: impl crate::IntoAxes) -> Tensor {
        let at = Location::caller();
        let list = match axes_or_error(self, &axes, "squeeze", at) {
            Ok(list) => list,
            Err(e) => return e,
        };
        let (ones, others): (Vec<usize>, Vec<usize>) =
            list.iter().partition(|&&a| self.shape()[a] == 1);
        match others.first() {
            // `..` means the axes of size 1.
            Some(a) if !axes.is_all() => Tensor::fail(
                "squeeze",
                format!(
                    "expected size 1 along axis {a} of {}; `..` removes all axes of size 1",
                    self.dtype_and_shape()
                ),
                at,
            ),
            _ => self.reshaped(self.shape_without(&ones, false), at),
        }
    }
}

/// Returns the shape for `size` elements, with an open dimension computed from the others.
///
/// # Errors
///
/// Returns a message that begins with the shape if the number of elements does not fit.
fn resolve_shape(size: usize, dims: &[Dim]) -> Result<Shape, String> {
    let shown = || format!("[{}]", dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(", "));
    let known = dims.iter().try_fold(1usize, |n, d| match d {
        Dim::Size(k) => n.checked_mul(*k),
        _ => Some(n),
    });
    let open = dims.iter().filter(|d| matches!(d, Dim::Any)).count();
    if let Some(bad) = dims.iter().find(|d| matches!(d, Dim::Named(_) | Dim::Bad(_))) {
        return Err(format!("{}: expected sizes or `_`, got `{bad}`", shown()));
    }
    let rest = match (open, known) {
        (0, Some(n)) if n == size => Some(1),
        (1, Some(n)) if n > 0 && size.is_multiple_of(n) => Some(size / n),
        _ => None,
    };
    let rest = rest.ok_or_else(|| match open {
        0 => format!("{}: expected {size} elements", shown()),
        1 => format!("{}: expected sizes whose product divides {size}", shown()),
        _ => format!("{}: expected at most one `_`", shown()),
    })?;
    Ok(dims.iter().map(|d| if let Dim::Size(n) = d { *n } else { rest }).collect())
}
