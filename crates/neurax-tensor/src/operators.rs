//! Operators on owned and borrowed tensors, with numbers on either side.
//!
//! `/` is true division, as in NumPy: integers are converted to floats. `%` is Rust's remainder,
//! with the sign of the left operand; an integer modulo 0 is the integer. `&`, `|`, `^` and `!` are
//! bitwise on integers and logical on bool.

use crate::{
    DType, Operand, Scalar, Tensor,
    dispatch::{dispatch, dispatch_broadcast},
    tensor::CallSite,
};
use neurax_ir::op::{Binary, Convert, Unary};
use std::{ops::*, panic::Location};

impl Tensor {
    /// Dispatches a binary op with promotion and broadcasting. Both operands are taken by value, so
    /// that the memory of either may be reused.
    pub(crate) fn binary(self, other: Tensor, op: Binary, at: CallSite) -> Tensor {
        dispatch_broadcast(op, [self, other], at)
    }

    /// Divides by `other`; integers and bool are converted to the dtype of the other operand if
    /// that is a float dtype, else to f32.
    pub(crate) fn divide(self, other: Tensor, at: CallSite) -> Tensor {
        let (x, y) = float_operands(self, other, at);
        x.binary(y, Binary::Div, at)
    }

    /// Dispatches a unary op.
    pub(crate) fn unary(self, op: Unary, at: CallSite) -> Tensor {
        dispatch(op, [self], at)
    }

    /// Dispatches a unary op that is defined for floats only; integers and bool are converted to
    /// f32 first, as in NumPy.
    pub(crate) fn unary_float(self, op: Unary, at: CallSite) -> Tensor {
        self.float(at).unary(op, at)
    }

    /// Returns the tensor if it is float or complex, else converts it to f32.
    pub(crate) fn float(self, at: CallSite) -> Tensor {
        if self.error().is_some() || self.dtype().is_differentiable() {
            self
        } else {
            self.convert(DType::F32, at)
        }
    }

    /// Converts to `dtype`; no operation is dispatched if that is the dtype already.
    pub(crate) fn convert(&self, dtype: DType, at: CallSite) -> Tensor {
        if self.error().is_some() || self.dtype() == dtype {
            self.clone()
        } else {
            dispatch(Convert { dtype }, [self.clone()], at)
        }
    }
}

/// Converts integers and bool to the common dtype of both operands, or to f32 if neither is of
/// floats. Other operands, and those without a common dtype with floats, are returned unchanged.
pub(crate) fn float_operands(x: Tensor, y: Tensor, at: CallSite) -> (Tensor, Tensor) {
    if x.error().is_some() || y.error().is_some() {
        return (x, y);
    }
    let is_of_floats = x.dtype().is_differentiable() || y.dtype().is_differentiable();
    let dtype = match x.dtype().promote(y.dtype()) {
        Some(dtype) if dtype.is_differentiable() => dtype,
        None if is_of_floats => return (x, y),
        _ => DType::F32,
    };
    let float = |t: Tensor| if t.dtype().is_differentiable() { t } else { t.convert(dtype, at) };
    (float(x), float(y))
}

/// Converts an operand of a function of floats for `like`: as [`Operand::operand`], but an integer
/// with a tensor of integers becomes an f32 scalar, which every integer dtype may be divided by.
#[track_caller]
pub(crate) fn float_operand(x: impl Operand, like: &Tensor) -> Tensor {
    match x.number() {
        Some(number) => number.float_like(like),
        None => x.operand(like),
    }
}

/// Implements operators; `$left` and `$right` convert a left number and a right operand to a tensor
/// for the other operand.
macro_rules! operators {
    ($left:path, $right:path;
     $($Tr:ident $f:ident $TrA:ident $fa:ident: |$a:ident, $b:ident, $at:ident| $e:expr;)*) => {$(
        impl<R: Operand> $Tr<R> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $f(self, r: R) -> Tensor {
                let ($at, $b) = (Location::caller(), $right(r, &self));
                let $a = self;
                $e
            }
        }
        impl<R: Operand> $Tr<R> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $f(self, r: R) -> Tensor {
                let ($at, $b) = (Location::caller(), $right(r, self));
                let $a = self.clone();
                $e
            }
        }
        impl<R: Operand> $TrA<R> for Tensor {
            #[track_caller]
            fn $fa(&mut self, r: R) {
                let ($at, $b) = (Location::caller(), $right(r, self));
                let $a = std::mem::replace(self, Tensor::placeholder());
                *self = $e;
            }
        }
        operators!(left f64, $left, $Tr $f |$a, $b, $at| $e);
        operators!(left i64, $left, $Tr $f |$a, $b, $at| $e);
    )*};
    // Only one float and one integer type may stand on the left: with two, the type of the literal
    // in `(2.0 * x).sin()` would be ambiguous.
    (left $t:ty, $left:path, $Tr:ident $f:ident |$a:ident, $b:ident, $at:ident| $e:expr) => {
        impl $Tr<Tensor> for $t {
            type Output = Tensor;
            #[track_caller]
            fn $f(self, $b: Tensor) -> Tensor {
                let ($at, $a) = (Location::caller(), $left(Scalar::from(self), &$b));
                $e
            }
        }
        impl $Tr<&Tensor> for $t {
            type Output = Tensor;
            #[track_caller]
            fn $f(self, r: &Tensor) -> Tensor {
                let $at = Location::caller();
                let ($a, $b) = ($left(Scalar::from(self), r), r.clone());
                $e
            }
        }
    };
}

operators! {
    Scalar::weak_like, Operand::operand;
    Add add AddAssign add_assign: |a, b, at| a.binary(b, Binary::Add, at);
    Sub sub SubAssign sub_assign: |a, b, at| a.binary(b, Binary::Sub, at);
    Mul mul MulAssign mul_assign: |a, b, at| a.binary(b, Binary::Mul, at);
    Rem rem RemAssign rem_assign: |a, b, at| a.binary(b, Binary::Rem, at);
    BitAnd bitand BitAndAssign bitand_assign: |a, b, at| a.binary(b, Binary::And, at);
    BitOr bitor BitOrAssign bitor_assign: |a, b, at| a.binary(b, Binary::Or, at);
    BitXor bitxor BitXorAssign bitxor_assign: |a, b, at| a.binary(b, Binary::Xor, at);
}

operators! {
    Scalar::float_like, float_operand;
    Div div DivAssign div_assign: |a, b, at| a.divide(b, at);
}

macro_rules! unary_operators {
    ($($Tr:ident $f:ident $V:ident),*) => {$(
        impl $Tr for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $f(self) -> Tensor {
                self.unary(Unary::$V, Location::caller())
            }
        }
        impl $Tr for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $f(self) -> Tensor {
                self.clone().unary(Unary::$V, Location::caller())
            }
        }
    )*};
}

unary_operators!(Neg neg Neg, Not not Not);

impl std::iter::Sum for Tensor {
    /// Adds all tensors; the sum of none is the f32 scalar 0. The caller is the standard library,
    /// so errors do not name the user's line.
    fn sum<I: Iterator<Item = Tensor>>(it: I) -> Tensor {
        it.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::scalar(DType::F32, 0.0))
    }
}

impl<'a> std::iter::Sum<&'a Tensor> for Tensor {
    fn sum<I: Iterator<Item = &'a Tensor>>(it: I) -> Tensor {
        it.cloned().sum()
    }
}
