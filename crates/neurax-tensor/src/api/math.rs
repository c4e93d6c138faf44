//! One element at a time.

use crate::{Operand, Tensor};
use neurax_ir::op::{Binary, Unary};
use std::panic::Location;

/// `name = Variant, "what it computes"`: functions of floats; integers and bool become f32 first.
macro_rules! float_functions {
    ($($f:ident = $V:ident, $doc:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            ///
            /// Element by element; integers and bool give f32.
            #[track_caller]
            pub fn $f(&self) -> Tensor {
                self.clone().unary_float(Unary::$V, Location::caller())
            }
        )*}
    };
}

/// The same for functions that keep every dtype.
macro_rules! any_functions {
    ($($f:ident = $V:ident, $doc:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            ///
            /// Element by element; the dtype stays.
            #[track_caller]
            pub fn $f(&self) -> Tensor {
                self.clone().unary(Unary::$V, Location::caller())
            }
        )*}
    };
}

/// Functions of two operands with promotion and broadcasting.
macro_rules! binary_functions {
    ($($f:ident = $V:ident, $doc:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            ///
            /// Element by element, with promotion and broadcasting.
            #[track_caller]
            pub fn $f(&self, other: impl Operand) -> Tensor {
                let at = Location::caller();
                let other = other.operand(self);
                self.clone().binary(other, Binary::$V, at)
            }
        )*}
    };
}

float_functions! {
    sin = Sin, "Sine of radians.";
    cos = Cos, "Cosine of radians.";
    tan = Tan, "Tangent of radians.";
    exp = Exp, "`e^x`.";
    log = Log, "Natural logarithm.";
    sqrt = Sqrt, "Square root.";
    tanh = Tanh, "Hyperbolic tangent.";
    sigmoid = Logistic, "Logistic function: `1 / (1 + e^-x)`.";
    erf = Erf, "Error function.";
}

any_functions! {
    abs = Abs, "Absolute value; of complex numbers the real modulus.";
    sign = Sign, "-1, 0 or 1.";
}

binary_functions! {
    maximum = Max, "The larger of two; NaN wins.";
    minimum = Min, "The smaller of two; NaN wins.";
    pow = Pow, "`x^y`.";
}

impl Tensor {
    /// `x * x`, element by element.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([-2.0, 3.0]).square().to_vec::<f32>()?, [4.0, 9.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn square(&self) -> Tensor {
        self.clone().binary(self.clone(), Binary::Mul, Location::caller())
    }

    /// The same numbers in another dtype: floats round to nearest even, to integers they truncate, integers wrap, bool asks for non-zero.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.7, -1.7]).to(I32).to_vec::<i32>()?, [1, -1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to(&self, dtype: crate::DType) -> Tensor {
        self.convert(dtype, Location::caller())
    }
}
