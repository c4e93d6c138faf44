//! The same elements in other places.

use crate::{
    Dim, IntoShape, Shape, Tensor,
    args::{AxisInt, axes_or_error, axis_of},
    emit::emit,
    shape::fixed,
    tensor::At,
};
use neurax_ir::op::{Broadcast, Concatenate, Reshape, Transpose};
use std::{borrow::Borrow, panic::Location};

impl Tensor {
    /// The same elements, in row-major order, in another shape; `_` in [`crate::dims!`] is worked out.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::arange(6).reshape(dims![2, _]).shape(), [2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn reshape(&self, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        let Ok(ty) = self.type_ref() else { return self.clone() };
        match work_out(ty.size(), &shape.dims()) {
            Ok(shape) if shape == ty.shape => self.clone(),
            Ok(shape) => emit(Reshape { shape }, [self.clone()], at),
            Err(why) => Tensor::fail("reshape", format!("{ty} cannot become {why}"), at),
        }
    }

    /// The axes in another order: axis `i` of the result is axis `axes[i]`.
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
            Ok(list) => Tensor::fail("permute", format!("{} axes were named, the tensor has {}", list.len(), self.rank()), at),
            Err(e) => e,
        }
    }

    pub(crate) fn permute_at(&self, permutation: Vec<usize>, at: At) -> Tensor {
        let same = permutation.iter().enumerate().all(|(i, &p)| i == p);
        if same { self.clone() } else { emit(Transpose { permutation }, [self.clone()], at) }
    }

    /// The last two axes swapped; vectors and scalars stay.
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

    /// All axes in reverse order.
    #[track_caller]
    pub fn transpose(&self) -> Tensor {
        let at = Location::caller();
        self.permute_at((0..self.rank()).rev().collect(), at)
    }

    /// Axis `from` becomes axis `to`; the others keep their order.
    #[track_caller]
    pub fn move_axis(&self, from: impl AxisInt, to: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let Ok(ty) = self.type_ref() else { return self.clone() };
        match (axis_of(from.to_i64(), ty.rank()), axis_of(to.to_i64(), ty.rank())) {
            (Ok(from), Ok(to)) => {
                let mut axes: Vec<usize> = (0..ty.rank()).filter(|&i| i != from).collect();
                axes.insert(to, from);
                self.permute_at(axes, at)
            }
            (Err(why), _) | (_, Err(why)) => Tensor::fail("move_axis", format!("{why}; the operand is {ty}"), at),
        }
    }

    /// The tensor repeated along new leading axes and axes of size 1, into a shape.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1.0], [2.0]]).broadcast_to([2, 2]).to_vec::<f32>()?, [1.0, 1.0, 2.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn broadcast_to(&self, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        let Ok(ty) = self.type_ref() else { return self.clone() };
        let shape = match fixed(shape) {
            Ok(s) => s,
            Err(why) => return Tensor::fail("broadcast_to", why, at),
        };
        let offset = shape.rank().wrapping_sub(ty.rank());
        let fits = ty.rank() <= shape.rank() && ty.shape.iter().zip(&shape[offset.min(shape.rank())..]).all(|(a, b)| a == b || *a == 1);
        match fits {
            true if shape == ty.shape => self.clone(),
            true => emit(Broadcast { dims: (offset..shape.rank()).collect(), shape }, [self.clone()], at),
            false => Tensor::fail("broadcast_to", format!("{ty} does not broadcast to {shape}"), at),
        }
    }

    /// A new axis of size 1.
    #[track_caller]
    pub fn expand_dims(&self, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let Ok(ty) = self.type_ref() else { return self.clone() };
        match axis_of(axis.to_i64(), ty.rank() + 1) {
            Ok(a) => emit(Reshape { shape: ty.shape.inserted(a, 1) }, [self.clone()], at),
            Err(why) => Tensor::fail("expand_dims", format!("{why}, that of the result; the operand is {ty}"), at),
        }
    }
}

/// The shape that was asked for, its one open dimension worked out.
fn work_out(size: usize, dims: &[Dim]) -> Result<Shape, String> {
    let shown = || format!("[{}]", dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(", "));
    let known = dims.iter().try_fold(1usize, |n, d| match d {
        Dim::Size(k) => n.checked_mul(*k),
        _ => Some(n),
    });
    let open = dims.iter().filter(|d| matches!(d, Dim::Any)).count();
    if let Some(bad) = dims.iter().find(|d| matches!(d, Dim::Named(_) | Dim::Bad(_))) {
        return Err(format!("{}: `{bad}` is not a size; `_` in dims![..] is worked out", shown()));
    }
    let rest = match (open, known) {
        (0, Some(n)) if n == size => Some(1),
        (1, Some(n)) if n > 0 && size.is_multiple_of(n) => Some(size / n),
        _ => None,
    };
    let rest = rest.ok_or_else(|| match open {
        0 | 1 => format!("{}: it has {size} elements", shown()),
        _ => format!("{}: only one dimension can be worked out", shown()),
    })?;
    Ok(dims.iter().map(|d| if let Dim::Size(n) = d { *n } else { rest }).collect())
}

/// Joins tensors along an axis that they have. Dtypes are promoted.
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = (tensor([[1.0, 2.0]]), tensor([[3.0, 4.0]]));
/// assert_eq!(concat([&a, &b], 0).shape(), [2, 2]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn concat<T: Borrow<Tensor>>(xs: impl IntoIterator<Item = T>, axis: i64) -> Tensor {
    let xs: Vec<Tensor> = xs.into_iter().map(|x| x.borrow().clone()).collect();
    concat_at(xs, axis, "concat", Location::caller())
}

/// Joins tensors of one shape along a new axis. Dtypes are promoted.
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(stack([tensor(1.0), tensor(2.0)], 0).to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn stack<T: Borrow<Tensor>>(xs: impl IntoIterator<Item = T>, axis: i64) -> Tensor {
    let at = Location::caller();
    let xs: Vec<Tensor> = xs.into_iter().map(|x| x.borrow().clone()).collect();
    let rank = xs.first().map_or(0, Tensor::rank);
    let axis = match axis_of(axis, rank + 1) {
        Ok(a) => a as i64,
        Err(why) => return Tensor::fail("stack", format!("{why}, that of the result"), at),
    };
    concat_at(xs.iter().map(|x| x.expand_dims(axis.min(x.rank() as i64))).collect(), axis, "stack", at)
}

fn concat_at(xs: Vec<Tensor>, axis: i64, name: &str, at: At) -> Tensor {
    let Some(first) = xs.first() else { return Tensor::fail(name, "there is nothing to join", at) };
    let axis = match axis_of(axis, first.rank()) {
        Ok(a) => a,
        Err(_) if first.error().is_some() => return first.clone(),
        Err(why) => {
            return Tensor::fail(name, format!("{why}; the first operand is {}", first.ty().map_or_else(|e| e.to_string(), |t| t.to_string())), at);
        }
    };
    let dtype = xs.iter().skip(1).try_fold(first.dtype(), |d, x| d.promote(x.dtype()));
    let Some(dtype) = dtype else { return Tensor::fail(name, "the operands have no common dtype; convert one with `to`", at) };
    emit(Concatenate { axis }, xs.iter().map(|x| x.convert(dtype, at)), at)
}
