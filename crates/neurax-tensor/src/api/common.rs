//! Helpers of all families: macros for tables of functions, promotion of operands, checks of
//! arguments.
//!
//! A check returns `Result<_, Tensor>`; its `Err` is a tensor that carries the error, which is also
//! what the public function returns (see [`tensor_or_error`]).

use crate::{
    DType, Place, Recorder, Scalar, Shape, Tensor, Tree, Type,
    args::{AxisInt, axis_of},
    dispatch::{common_shape, dispatch},
    tensor::CallSite,
    tree::first_error,
};
use neurax_ir::{list_types, op::Reshape};
use std::borrow::Borrow;

/// The example of a row in a table of functions: the documentation shows `code => value`, and the
/// doctest checks that both are close.
macro_rules! example {
    ($code:literal => $value:literal) => {
        concat!(
            "\n# Examples\n\n```\nuse neurax::prelude::*;\nlet y = ",
            $code,
            ";\nassert!(y.allclose(tensor(",
            $value,
            "), 1e-6, 1e-6).item()? == 1.0, \"{y}\");\n# Ok::<(), Error>(())\n```"
        )
    };
}

/// A table of functions of one tensor.
///
/// It begins with what the rows have in common: the enum of their ops, a sentence that is appended
/// to each doc comment, and the body in terms of the tensor, the op and the location of the caller.
/// A row is `name = Op, "doc", "code" => "value";`.
macro_rules! functions {
    ($Ops:ident, $all:literal, |$x:ident, $op:ident, $at:ident| $e:expr;
     $($f:ident = $Op:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = concat!("\n", $all)]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self) -> Tensor {
                let ($x, $op, $at) = (self, $Ops::$Op, Location::caller());
                $e
            }
        )*}
    };
}

/// A table of functions of a tensor and another operand. Like `functions!`, with two operands in
/// the body, which converts the second one.
macro_rules! functions_of_two {
    ($Ops:ident, $all:literal, |$x:ident, $y:ident, $op:ident, $at:ident| $e:expr;
     $($f:ident = $Op:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = concat!("\n", $all)]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, other: impl Operand) -> Tensor {
                let ($x, $y, $op, $at) = (self, other, $Ops::$Op, Location::caller());
                $e
            }
        )*}
    };
}

/// A table of functions of one tensor that are formulas of other functions. A row is
/// `name(x) = formula, "doc", "code" => "value";`.
macro_rules! formulas {
    ($($f:ident($x:ident) = $e:expr, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self) -> Tensor {
                let $x = self;
                $e
            }
        )*}
    };
}

/// A table of functions of one float that are formulas of other functions, like `formulas!`.
/// Integers and bool are converted to f32; floats below 32 bits are computed in f32, in which
/// intermediate results keep their digits and do not overflow, and the result is rounded once.
macro_rules! float_formulas {
    ($($f:ident($x:ident) = $e:expr, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = "\nInteger and bool operands become f32; floats below 32 bits are computed in \
                     f32, and the result is rounded once."]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self) -> Tensor {
                let at = Location::caller();
                let (x, dtype) = self.clone().float(at).wide(at);
                let $x = &x;
                let y: Tensor = $e;
                y.convert(dtype, at)
            }
        )*}
    };
}

pub(crate) use {example, float_formulas, formulas, functions, functions_of_two};

/// Runs `f`, the body of a function of tensors, in which closures do not know the line of their
/// caller: equations and errors without a line of the user get `at`. `operands` are the tensors
/// that `f` computes with.
pub(super) fn located<O: Tree>(at: CallSite, operands: &[&Tensor], f: impl FnOnce() -> O) -> O {
    let y = Recorder::of(operands.iter().copied()).at(at, f);
    let place = Place::Source(at);
    match first_error(&y) {
        None => y,
        Some(_) => y.map_leaves(|x| x.clone().at_place(&place)),
    }
}

/// Broadcasts matrices to the batch axes `batch`.
pub(super) fn with_batch(x: &Tensor, batch: &Shape, at: CallSite) -> Tensor {
    let matrix = &x.shape()[x.rank() - 2..];
    x.broadcast_at([&batch[..], matrix].concat(), at)
}

/// Returns the tensor of either variant: the result, or the tensor that carries the error.
pub(crate) fn tensor_or_error(x: Result<Tensor, Tensor>) -> Tensor {
    match x {
        Ok(x) | Err(x) => x,
    }
}

impl Tensor {
    /// Returns the type, or as `Err` the tensor itself if it carries an error.
    pub(crate) fn type_or_error(&self) -> Result<&Type, Tensor> {
        self.type_ref().map_err(|_| self.clone())
    }

    /// Returns `axis` counted from the front.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `op` if `axis` is out of range.
    pub(crate) fn axis_at(
        &self,
        axis: impl AxisInt,
        op: &str,
        at: CallSite,
    ) -> Result<usize, Tensor> {
        let ty = self.type_or_error()?;
        axis_of(axis.to_i64(), ty.rank())
            .map_err(|why| Tensor::fail(op, format!("{why}; the operand is {ty}"), at))
    }

    /// Returns axes `a` and `b`, both counted from the front.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `op` if an axis is out of range.
    pub(crate) fn two_axes(
        &self,
        a: impl AxisInt,
        b: impl AxisInt,
        op: &str,
        at: CallSite,
    ) -> Result<(usize, usize), Tensor> {
        Ok((self.axis_at(a, op, at)?, self.axis_at(b, op, at)?))
    }

    /// Converts real numbers to floats: integers and bool become f32, floats stay.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `op` for complex numbers.
    pub(crate) fn real_float(&self, op: &str, at: CallSite) -> Result<Tensor, Tensor> {
        let ty = self.type_or_error()?;
        if ty.dtype.is_complex() {
            return Err(Tensor::fail(
                op,
                format!(
                    "expected real numbers, got {ty}; take `real()`, `imag()` or `abs()` first"
                ),
                at,
            ));
        }
        Ok(self.clone().float(at))
    }

    /// Converts `x` to a scalar tensor of the dtype of `self`, or, where that cannot hold its kind,
    /// of the dtype to which both promote.
    pub(crate) fn number(&self, x: impl Into<Scalar>) -> Tensor {
        x.into().weak_like(self)
    }

    /// Reshapes to `shape`, which must have the same number of elements.
    pub(crate) fn reshaped(&self, shape: impl Into<crate::Shape>, at: CallSite) -> Tensor {
        let shape = shape.into();
        match self.type_ref() {
            Ok(t) if t.shape != shape => dispatch(Reshape { shape }, [self.clone()], at),
            _ => self.clone(),
        }
    }

    /// Converts floats below 32 bits to f32 so that accumulation does not overflow. Returns the
    /// original dtype as well, to convert the result back.
    pub(crate) fn wide(&self, at: CallSite) -> (Tensor, DType) {
        let dtype = self.dtype();
        (self.convert(dtype.at_least_f32(), at), dtype)
    }

    /// Converts integers below 32 bits to i32 so that indices and sizes fit.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `op` for other dtypes.
    pub(crate) fn integers(&self, op: &str, at: CallSite) -> Result<Tensor, Tensor> {
        let ty = self.type_or_error()?;
        if !ty.dtype.is_int() {
            let why = format!("expected integers, got {ty}; convert them with `to(I32)`");
            return Err(Tensor::fail(op, why, at));
        }
        Ok(self.wide_index(at))
    }

    /// Converts integers below 32 bits to i32, so that indices and sizes fit.
    pub(crate) fn wide_index(&self, at: CallSite) -> Tensor {
        match self.dtype() {
            d if d.is_int() && d.bits() < 32 => self.convert(DType::I32, at),
            _ => self.clone(),
        }
    }

    /// Converts indices as [`Tensor::wide_index`] does, and i32 to i64 if it does not hold `size`,
    /// the size of the axis.
    pub(crate) fn index_along(&self, size: usize, at: CallSite) -> Tensor {
        let x = self.wide_index(at);
        let fits = x.dtype() != DType::I32 || i32::try_from(size).is_ok();
        if fits { x } else { x.convert(DType::I64, at) }
    }

    /// Moves `axes` to the end and merges them into one axis; the others keep their order.
    pub(crate) fn merge_axes_last(&self, axes: &[usize], at: CallSite) -> Tensor {
        let order = axes_last(self.rank(), axes);
        let mut shape: Vec<usize> =
            order[..order.len() - axes.len()].iter().map(|&a| self.shape()[a]).collect();
        shape.push(axes.iter().map(|&a| self.shape()[a]).product());
        self.permute_at(order, at).reshaped(shape, at)
    }

    /// Returns the shape without `axes`, or with size 1 for each of them if `keep`.
    pub(crate) fn shape_without(&self, axes: &[usize], keep: bool) -> Vec<usize> {
        let size =
            |(i, &n): (usize, &usize)| if axes.contains(&i) { keep.then_some(1) } else { Some(n) };
        self.shape().iter().enumerate().filter_map(size).collect()
    }

    /// Returns dtype and shape for a message, e.g. `f32[2, 3]`, or the message of the error that
    /// the tensor carries.
    pub(crate) fn dtype_and_shape(&self) -> String {
        self.type_ref().map_or_else(|e| e.to_string(), |t| t.to_string())
    }
}

/// Returns all axes of a tensor of rank `rank`, with `axes` last.
pub(crate) fn axes_last(rank: usize, axes: &[usize]) -> Vec<usize> {
    (0..rank).filter(|a| !axes.contains(a)).chain(axes.iter().copied()).collect()
}

/// Converts operands to the dtype to which all of them promote.
///
/// # Errors
///
/// Returns a tensor that carries the error of `op` if there is no common dtype.
pub(crate) fn promote_operands(
    op: &str,
    xs: &[Tensor],
    at: CallSite,
) -> Result<Vec<Tensor>, Tensor> {
    let types = xs.iter().map(|x| x.type_or_error().cloned()).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = types.first() else { return Ok(vec![]) };
    let mut dtype = first.dtype;
    for t in &types[1..] {
        dtype = dtype.promote(t.dtype).ok_or_else(|| {
            Tensor::fail(
                op,
                format!(
                    "{} have no common dtype; convert them to one with `to`",
                    list_types(&types)
                ),
                at,
            )
        })?;
    }
    Ok(xs.iter().map(|x| x.convert(dtype, at)).collect())
}

/// Converts operands to one dtype and broadcasts them to one shape.
///
/// # Errors
///
/// Returns a tensor that carries the error of `op` if there is no common dtype or shape.
#[track_caller]
pub(crate) fn promote_and_broadcast(
    op: &str,
    xs: &[Tensor],
    at: CallSite,
) -> Result<Vec<Tensor>, Tensor> {
    let xs = promote_operands(op, xs, at)?;
    let types = xs.iter().map(|x| x.type_or_error().cloned()).collect::<Result<Vec<_>, _>>()?;
    let shape = common_shape(op, &types).map_err(|e| Tensor::error_at(e, at))?;
    let mut out = vec![];
    for x in &xs {
        out.push(x.broadcast_to(&shape));
    }
    Ok(out)
}

/// Broadcasts `update` to `shape`, that of the indexed elements.
///
/// # Errors
///
/// Returns a tensor that carries the error of `op` if it does not broadcast.
#[track_caller]
pub(crate) fn broadcast_update(
    op: &str,
    update: &Tensor,
    shape: &crate::Shape,
    at: CallSite,
) -> Result<Tensor, Tensor> {
    let of = update.type_or_error()?;
    let y = update.broadcast_to(shape);
    if y.error().is_some() {
        return Err(Tensor::fail(
            op,
            format!("expected an update that broadcasts to {shape}, got {of}"),
            at,
        ));
    }
    Ok(y)
}

/// Clones tensors given by value or by reference.
pub(crate) fn cloned<T: Borrow<Tensor>>(xs: impl IntoIterator<Item = T>) -> Vec<Tensor> {
    xs.into_iter().map(|x| x.borrow().clone()).collect()
}
