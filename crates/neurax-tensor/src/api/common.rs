//! What several families share: operands of one type, axes with errors, and the way from `Result`
//! back to a tensor.

use crate::{
    DType, Scalar, Tensor, Type,
    args::{AxisInt, axis_of},
    emit::{common_shape, emit},
    tensor::At,
};
use neurax_ir::op::Reshape;

/// The documentation of a row in a table of functions: an example that shows what comes out.
macro_rules! example {
    ($code:literal => $value:literal) => {
        concat!(
            "\n```\nuse neurax::prelude::*;\nlet y = ",
            $code,
            ";\nassert!(y.allclose(tensor(",
            $value,
            "), 1e-6, 1e-6).item()? == 1.0, \"{y}\");\n# Ok::<(), Error>(())\n```"
        )
    };
}

/// A table of functions of one tensor. First what its rows have in common, in words and in code:
/// the enum of their ops, a sentence for readers, and what is done with the tensor, the op and the
/// caller's place. Then `name = Op, "what it computes", "code" => "value";`.
macro_rules! functions {
    ($Ops:ident, $all:literal, |$x:ident, $op:ident, $at:ident| $e:expr; $($f:ident = $Op:ident, $doc:literal, $code:literal => $value:literal;)*) => {
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

/// The same for functions of a tensor and another operand.
macro_rules! functions_of_two {
    ($Ops:ident, $all:literal, |$x:ident, $y:ident, $op:ident, $at:ident| $e:expr;
     $($f:ident = $Op:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = concat!("\n", $all)]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, other: impl Operand) -> Tensor {
                let ($x, $y, $op, $at) = (self, other.operand(self), $Ops::$Op, Location::caller());
                $e
            }
        )*}
    };
}

/// Functions of one tensor by a formula: `name(x) = formula, "what it computes", "code" =>
/// "value";`.
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

pub(crate) use {example, formulas, functions, functions_of_two};

/// The tensor, or the one that carries the error: the way from `?` back to tensors.
pub(crate) fn settle(x: Result<Tensor, Tensor>) -> Tensor {
    match x {
        Ok(x) | Err(x) => x,
    }
}

impl Tensor {
    /// Its type; an error passes itself on.
    pub(crate) fn known(&self) -> Result<&Type, Tensor> {
        self.type_ref().map_err(|_| self.clone())
    }

    /// One of its axes, counted from the front.
    pub(crate) fn axis_at(&self, axis: impl AxisInt, op: &str, at: At) -> Result<usize, Tensor> {
        let ty = self.known()?;
        axis_of(axis.to_i64(), ty.rank())
            .map_err(|why| Tensor::fail(op, format!("{why}; the operand is {ty}"), at))
    }

    /// Itself as real floats: integers and bool as f32; complex numbers are refused.
    pub(crate) fn real_float(&self, op: &str, at: At) -> Result<Tensor, Tensor> {
        let ty = self.known()?;
        if ty.dtype.is_complex() {
            return Err(Tensor::fail(
                op,
                format!(
                    "it takes real numbers, not {ty}; take `real()`, `imag()` or `abs()` first"
                ),
                at,
            ));
        }
        Ok(self.clone().float(at))
    }

    /// A number as a tensor that keeps the dtype of this one where its kind fits there.
    pub(crate) fn number(&self, x: impl Into<Scalar>) -> Tensor {
        x.into().beside(self)
    }

    /// The same elements in a shape of as many.
    pub(crate) fn reshaped(&self, shape: impl Into<crate::Shape>, at: At) -> Tensor {
        let shape = shape.into();
        match self.type_ref() {
            Ok(t) if t.shape != shape => emit(Reshape { shape }, [self.clone()], at),
            _ => self.clone(),
        }
    }

    /// Narrow floats as f32, so that what is accumulated does not overflow; and the dtype to go
    /// back to.
    pub(crate) fn wide(&self, at: At) -> (Tensor, DType) {
        let dtype = self.dtype();
        let narrow = dtype.is_float() && dtype.bits() < 32;
        (if narrow { self.convert(DType::F32, at) } else { self.clone() }, dtype)
    }
}

/// Operands with one dtype.
pub(crate) fn of_one_dtype(op: &str, xs: &[Tensor], at: At) -> Result<Vec<Tensor>, Tensor> {
    let types = xs.iter().map(|x| x.known().cloned()).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = types.first() else { return Ok(vec![]) };
    let mut dtype = first.dtype;
    for t in &types[1..] {
        dtype = dtype.promote(t.dtype).ok_or_else(|| {
            Tensor::fail(
                op,
                format!("{} have no common dtype; convert them to one with `to`", list(&types)),
                at,
            )
        })?;
    }
    Ok(xs.iter().map(|x| x.convert(dtype, at)).collect())
}

/// Operands with one dtype and one shape.
#[track_caller]
pub(crate) fn of_one_type(op: &str, xs: &[Tensor], at: At) -> Result<Vec<Tensor>, Tensor> {
    let xs = of_one_dtype(op, xs, at)?;
    let types = xs.iter().map(|x| x.known().cloned()).collect::<Result<Vec<_>, _>>()?;
    let shape = common_shape(op, &types).map_err(|e| Tensor::error_at(e, at))?;
    let mut out = vec![];
    for x in &xs {
        out.push(x.broadcast_to(&shape));
    }
    Ok(out)
}

/// `f32[2], i32[]`
pub(crate) fn list(types: &[Type]) -> String {
    types.iter().map(Type::to_string).collect::<Vec<_>>().join(", ")
}
