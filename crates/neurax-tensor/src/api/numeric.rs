//! Elementwise functions that are composed of several ops.
//!
//! A function belongs here if its plain formula would be wrong somewhere: if it would overflow, be
//! NaN for infinities, or have wrong derivatives at a tie or a zero. Functions that take further
//! arguments, such as the points of `interp`, are here as well. Single ops and one-line formulas
//! are in `math.rs`.

use super::common::{example, float_formulas, formulas, promote_and_broadcast, promote_operands};
use crate::{
    Operand, Scalar, Tensor,
    dispatch::dispatch,
    operators::{float_operand, float_operands},
    tensor::CallSite,
};
use neurax_ir::{
    Kind,
    composite::{Hypot, LogAddExp},
    op::Binary,
};
use std::{
    f64::consts::{FRAC_1_SQRT_2, LN_2, LOG2_E, PI},
    panic::Location,
};

/// A table of functions of two real operands that are formulas: both operands are converted to
/// floats of one dtype and shape first. A row is `name(x, y) = formula, "doc", "code" => "value";`.
macro_rules! pair_formulas {
    ($($f:ident($x:ident, $y:ident) = $e:expr, $doc:literal,
       $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = "\nWorks element by element, with promotion and broadcasting. Integers and \
                     bool are converted to f32, or to the float dtype of the other operand; \
                     complex numbers are an error."]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, other: impl Operand) -> Tensor {
                match float_pair(stringify!($f), self, other, Location::caller()) {
                    Ok(($x, $y)) => $e,
                    Err(e) => e,
                }
            }
        )*}
    };
}

/// Converts two real operands to floats of one dtype and shape.
///
/// # Errors
///
/// Returns a tensor that carries the error of `op` for complex numbers, dtypes without a common
/// one, and shapes that do not broadcast.
#[track_caller]
pub(super) fn float_pair(
    op: &str,
    x: &Tensor,
    y: impl Operand,
    at: CallSite,
) -> Result<(Tensor, Tensor), Tensor> {
    // An integer number has a common dtype with all integers.
    let is_integer = matches!(y.number(), Some(Scalar::Int(_) | Scalar::Bool(_)));
    let y = float_operand(y, x);
    if !is_integer {
        promote_operands(op, &[x.clone(), y.clone()], at)?;
    }
    let (x, y) = float_operands(x.clone(), y, at);
    let (x, y) = (x.real_float(op, at)?, y.real_float(op, at)?);
    match <[Tensor; 2]>::try_from(promote_and_broadcast(op, &[x, y], at)?) {
        Ok([x, y]) => Ok((x, y)),
        Err(_) => Err(Tensor::fail(op, "expected two operands", at)),
    }
}

pair_formulas! {
    atan2(y, x) = y.binary(x, Binary::Atan2, Location::caller()),
        "Computes the angle of the point with ordinate `self` and abscissa `other`, in radians \
         from -pi to pi.",
        "tensor([1.0, 0.0]).atan2(tensor([1.0, -1.0]))" => "[0.7853982, 3.1415927]";
    hypot(x, y) = dispatch(Hypot {}, [x, y], Location::caller()),
        "Computes `sqrt(x^2 + y^2)` without overflow. The derivative at `(0, 0)` is defined as 0.",
        "tensor([3.0, 3e30]).hypot(tensor([4.0, 4e30])) / tensor([1.0, 1e30])" => "[5.0, 5.0]";
    logaddexp(x, y) = dispatch(LogAddExp {}, [x, y], Location::caller()),
        "Computes `log(e^x + e^y)` without overflow.",
        "tensor([0.0, 1000.0]).logaddexp(tensor([0.0, 999.0]))" => "[0.6931472, 1000.31326]";
    logaddexp2(x, y) = (x * LN_2).logaddexp(y * LN_2) * LOG2_E,
        "Computes `log2(2^x + 2^y)` without overflow.",
        "tensor([3.0]).logaddexp2(3.0)" => "[4.0]";
    float_power(x, y) = x.pow(y),
        "Computes `x^y` in floats, for integers as well.",
        "tensor([2, 4]).float_power(tensor([-1.0, 0.5]))" => "[0.5, 2.0]";
    copysign(x, y) = y.signbit().select(-x.abs(), x.abs()),
        "Combines the absolute value of `x` with the sign of `y`. The sign of -0 counts.",
        "tensor([2.0, -3.0]).copysign(tensor([-0.0, 1.0]))" => "[-2.0, 3.0]";
    nextafter(x, y) = x.binary(y, Binary::NextAfter, Location::caller()),
        "Returns the next number of the dtype after `x` toward `y`. It has no derivative.",
        "tensor([1.0]).nextafter(2.0) - 1.0" => "[1.1920929e-7]";
    polygamma(n, x) = n.binary(x, Binary::Polygamma, Location::caller()),
        "Computes the derivative of order `self`, a whole number, of [`Tensor::digamma`] at \
         `other`.",
        "tensor([1.0, 2.0]).polygamma(1.0)" => "[1.644934, -2.4041138]";
    xlogy(x, y) = {
        let zero = x.equal(0) & (y.le(0) | y.equal(f64::INFINITY));
        zero.select(0, &x * zero.select(1, y).log())
    },
        "Computes `x log(y)`, and 0 where `x` is 0, unless `y` is NaN. The derivative at `(0, 0)` \
         is defined as 0.",
        "tensor([0.0, 2.0]).xlogy(tensor([0.0, 1.0]))" => "[0.0, 0.0]";
    xlog1py(x, y) = {
        let zero = x.equal(0) & (y.le(-1) | y.equal(f64::INFINITY));
        zero.select(0, &x * zero.select(0, y).log1p())
    },
        "Computes `x log(1 + y)`, and 0 where `x` is 0, unless `y` is NaN. The derivative at \
         `(0, -1)` is defined as 0.",
        "tensor([0.0, 2.0]).xlog1py(tensor([-1.0, 0.0]))" => "[0.0, 0.0]";
    heaviside(x, y) = {
        let step = x.equal(0).select(y, x.gt(0).select(x.ones_like(), 0));
        x.is_nan().select(&x, step)
    },
        "Computes the Heaviside step function: 0 below 0, 1 above, `other` at 0, NaN for NaN.",
        "tensor([-2.0, 0.0, 2.0]).heaviside(0.5)" => "[0.0, 0.5, 1.0]";
}

float_formulas! {
    sinc(x) = sinc(x),
        "Computes `sin(pi x) / (pi x)`, element by element: 1 at 0, 0 at other integers and at \
         infinities. All derivatives at 0 are right.",
        "tensor([0.0, 0.5, 1.0]).sinc()" => "[1.0, 0.63661975, 0.0]";
    ndtr(x) = (x * -FRAC_1_SQRT_2).erfc() * 0.5,
        "Computes the cumulative distribution function of the standard normal distribution, \
         element by element. Follows `jax.scipy.special.ndtr`.",
        "tensor([0, 1]).ndtr()" => "[0.5, 0.8413447]";
}

formulas! {
    signbit(x) = if x.dtype().is_float() {
        // Not every narrow dtype has infinities.
        let x = x.wide(Location::caller()).0;
        x.lt(0) | (x.equal(0) & x.reciprocal().lt(0))
    } else {
        x.lt(0)
    },
        "Tests if the sign bit is set, element by element; true for -0, false for NaN. The result \
         is bool.",
        "tensor([-2.0, -0.0, 0.0]).signbit()" => "[true, true, false]";
}

/// Computes the quotient of floats rounded down, from the same remainder as [`Tensor::remainder`]:
/// the quotient itself may be rounded up to an integer.
#[track_caller]
fn floor_quotient(x: &Tensor, y: &Tensor) -> Tensor {
    let rest = x % y;
    let up = rest.not_equal(0) & rest.lt(0).not_equal(y.lt(0));
    let whole = ((x - rest) / y).round() - up.select(y.ones_like(), 0);
    let plain = x / y;
    // The sign of a zero is that of the quotient; division by 0 yields an infinity or NaN.
    let whole = whole.equal(0).select(whole.zeros_like().copysign(&plain), whole);
    y.equal(0).select(plain.floor(), whole)
}

/// Computes `sin(pi x) / (pi x)`, and 1 at 0.
#[track_caller]
fn sinc(x: &Tensor) -> Tensor {
    // Taylor series near 0, so that higher derivatives are right as well. The next term is below
    // the precision of f64.
    let near = x.abs().lt(0.03);
    let xx = (near.select(x, 0) * PI).square();
    let mut series = xx.ones_like();
    for i in [8.0, 6.0, 4.0, 2.0] {
        series = &xx * series * (-1.0 / (i * (i + 1.0))) + 1.0;
    }
    let far = near.select(1, x);
    let infinite = far.is_inf();
    let finite = infinite.select(1, &far);
    near.select(series, infinite.select(0, sin_pi(&finite) / (&finite * PI)))
}

/// Computes `sin(pi x)`, exactly 0 at integers, by the distance from the nearest integer.
#[track_caller]
fn sin_pi(x: &Tensor) -> Tensor {
    let nearest = x.round();
    let is_odd = (&nearest - (&nearest * 0.5).floor() * 2.0).not_equal(0);
    let y = ((x - nearest) * PI).sin();
    is_odd.select(-&y, y)
}

impl Tensor {
    /// Computes the quotient rounded down, element by element, with promotion and broadcasting.
    ///
    /// Integers yield integers; division of an integer by 0 yields -1 (all bits set). Floats are
    /// divided exactly before rounding: `x = y floor_divide(x, y) + remainder(x, y)` up to the
    /// precision of the dtype. The derivative is 0. Follows `numpy.floor_divide`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([7, -7]).floor_divide(2).to_vec::<i32>()?, [3, -4]);
    /// // The f32 number 0.1 is a little more than a tenth.
    /// assert_eq!(tensor([1.0]).floor_divide(0.1).to_vec::<f32>()?, [9.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn floor_divide(&self, other: impl Operand) -> Tensor {
        let at = Location::caller();
        let other = other.operand(self);
        match promote_and_broadcast("floor_divide", &[self.clone(), other], at).as_deref() {
            Ok([x, y]) if x.dtype().is_float() => {
                let ((x, dtype), y) = (x.wide(at), y.wide(at).0);
                floor_quotient(&x, &y).convert(dtype, at)
            }
            Ok([x, y]) => {
                let q = x.clone().binary(y.clone(), Binary::Div, at);
                let rest = x % y;
                // Truncation has rounded up where the remainder is not 0 and the signs differ.
                let up = rest.not_equal(0) & y.not_equal(0) & rest.lt(0).not_equal(y.lt(0));
                &q - up.convert(q.dtype(), at)
            }
            Ok(_) => self.clone(),
            Err(e) => e.clone(),
        }
    }

    /// Computes the remainder with the sign of `other`, element by element, with promotion and
    /// broadcasting: `x - y floor(x / y)`.
    ///
    /// An integer modulo 0 is the integer, a float modulo 0 NaN. Follows `numpy.remainder` and
    /// Python's `%`. [`Tensor::fmod`] has the sign of `self`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([5, -5]).remainder(3).to_vec::<i32>()?, [2, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn remainder(&self, other: impl Operand) -> Tensor {
        let at = Location::caller();
        let other = other.operand(self);
        match promote_and_broadcast("remainder", &[self.clone(), other], at).as_deref() {
            Ok([x, y]) => {
                let rest = x % y;
                let shift = rest.not_equal(0) & rest.lt(0).not_equal(y.lt(0));
                shift.select(&rest + y, &rest)
            }
            Ok(_) => self.clone(),
            Err(e) => e.clone(),
        }
    }

    /// Replaces NaN by 0 and infinities by the largest finite numbers of the dtype, element by
    /// element.
    ///
    /// Both parts of complex numbers are replaced; other dtypes stay. Follows `numpy.nan_to_num`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([f32::NAN, 1.0, -f32::INFINITY]);
    /// assert_eq!(x.nan_to_num().to_vec::<f32>()?, [0.0, 1.0, f32::MIN]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nan_to_num(&self) -> Tensor {
        if self.dtype().kind() == Kind::Complex {
            return self.real().nan_to_num().complex(self.imag().nan_to_num());
        }
        if !self.dtype().is_float() {
            return self.clone();
        }
        let infinite = self.is_inf();
        // The finite neighbor of an infinity, toward 0.
        let at = Location::caller();
        let finite = crate::stop_gradient(self).binary(self.zeros_like(), Binary::NextAfter, at);
        let x = infinite.select(finite, self);
        self.is_nan().select(0, x)
    }

    /// Interpolates linearly between `self` and `other`, element by element:
    /// `x + weight (other - x)`.
    ///
    /// The result is `self` where `weight` is 0 and `other` where it is 1. Operands are promoted
    /// and broadcast. Follows `torch.lerp`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, y) = (tensor([0.0, 10.0]), tensor([4.0, 20.0]));
    /// assert_eq!(x.lerp(y, 0.25).to_vec::<f32>()?, [1.0, 12.5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn lerp(&self, other: impl Operand, weight: impl Operand) -> Tensor {
        let at = Location::caller();
        let (other, weight) = (other.operand(self), weight.operand(self));
        match promote_operands("lerp", &[self.clone(), other, weight], at).as_deref() {
            Ok([x, y, weight]) => x + weight * (y - x),
            Ok(_) => self.clone(),
            Err(e) => e.clone(),
        }
    }

    /// Evaluates a polynomial at `self`, element by element.
    ///
    /// `coefficients` is a vector with the highest power first. Follows `numpy.polyval`, with the
    /// arguments exchanged.
    ///
    /// # Errors
    ///
    /// The result carries an error if `coefficients` is not a vector.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x_squared_minus_1 = tensor([1.0, 0.0, -1.0]);
    /// assert_eq!(tensor([2.0, 3.0]).polyval(&x_squared_minus_1).to_vec::<f32>()?, [3.0, 8.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn polyval(&self, coefficients: &Tensor) -> Tensor {
        let at = Location::caller();
        let n = match coefficients.type_or_error().map(|t| (t.rank(), t.size())) {
            Ok((1, n)) => n,
            Ok(_) => {
                return Tensor::fail(
                    "polyval",
                    format!(
                        "expected a vector of coefficients, got {}",
                        coefficients.dtype_and_shape()
                    ),
                    at,
                );
            }
            Err(e) => return e,
        };
        let both = promote_operands("polyval", &[self.clone(), coefficients.clone()], at);
        let ((x, dtype), (coefficients, _)) = match both.as_deref() {
            Ok([x, coefficients]) => (x.wide(at), coefficients.wide(at)),
            Ok(_) => return self.clone(),
            Err(e) => return e.clone(),
        };
        // Begins with the first coefficient, as 0 times an infinity is NaN. Only NaN stays NaN.
        let mut y = x.is_nan().select(&x, 0);
        for i in 0..n {
            let raised = if i == 0 { y } else { y * &x };
            y = raised + coefficients.get(i);
        }
        y.convert(dtype, at)
    }
}
