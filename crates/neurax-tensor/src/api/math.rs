//! Elementwise functions: single ops and one-line formulas.
//!
//! A function belongs here if the IR has an op for it, or if one expression of other functions is
//! right for all values and derivatives. Formulas that would overflow, or would be NaN for
//! infinities or at a zero, and functions with several steps are in `numeric.rs`; activations are
//! in `activation.rs`, comparisons in `compare.rs`.

use super::common::{example, float_formulas, formulas, functions, functions_of_two};
use crate::{
    DType, Operand, Scalar, Tensor,
    dispatch::{dispatch, dispatch_broadcast},
    operators::{float_operand, float_operands},
    tensor::CallSite,
};
use neurax_ir::{
    Kind,
    op::{Binary, Clamp, ReducePrecision, Unary},
};
use std::{cmp::Ordering, panic::Location};

functions! {
    Unary,
    "Works element by element. Integers and bool are converted to f32, other dtypes are kept.",
    |x, f, at| x.clone().unary_float(f, at);
    sin = Sin,
        "Computes the sine of angles in radians.",
        "tensor([0.0, 1.0]).sin()" => "[0.0, 0.84147098]";
    cos = Cos,
        "Computes the cosine of angles in radians.",
        "tensor([0.0, 1.0]).cos()" => "[1.0, 0.5403023]";
    tan = Tan,
        "Computes the tangent of angles in radians.",
        "tensor([0.0, 1.0]).tan()" => "[0.0, 1.5574077]";
    asin = Asin,
        "Computes the inverse sine, in radians; NaN outside of -1 to 1.",
        "tensor([0.0, 1.0]).asin()" => "[0.0, 1.5707964]";
    acos = Acos,
        "Computes the inverse cosine, in radians; NaN outside of -1 to 1.",
        "tensor([1.0, 0.0]).acos()" => "[0.0, 1.5707964]";
    atan = Atan,
        "Computes the inverse tangent, in radians.",
        "tensor([0.0, 1.0]).atan()" => "[0.0, 0.7853982]";
    sinh = Sinh,
        "Computes the hyperbolic sine.",
        "tensor([0.0, 1.0]).sinh()" => "[0.0, 1.1752012]";
    cosh = Cosh,
        "Computes the hyperbolic cosine.",
        "tensor([0.0, 1.0]).cosh()" => "[1.0, 1.5430806]";
    tanh = Tanh,
        "Computes the hyperbolic tangent.",
        "tensor([0.0, 1.0]).tanh()" => "[0.0, 0.7615942]";
    asinh = Asinh,
        "Computes the inverse hyperbolic sine.",
        "tensor([0.0, 1.0]).asinh()" => "[0.0, 0.8813736]";
    acosh = Acosh,
        "Computes the inverse hyperbolic cosine; NaN below 1.",
        "tensor([1.0, 2.0]).acosh()" => "[0.0, 1.3169579]";
    atanh = Atanh,
        "Computes the inverse hyperbolic tangent; NaN outside of -1 to 1.",
        "tensor([0.0, 0.5]).atanh()" => "[0.0, 0.54930614]";
    exp = Exp,
        "Computes the exponential function `e^x`.",
        "tensor([0, 1]).exp()" => "[1.0, 2.7182818]";
    expm1 = Expm1,
        "Computes `e^x - 1` without loss of precision near 0.",
        "tensor([1e-20, 1.0]).expm1() * tensor([1e20, 1.0])" => "[1.0, 1.7182818]";
    log = Log,
        "Computes the natural logarithm; negative infinity at 0, NaN below 0.",
        "tensor([1.0, 2.0]).log()" => "[0.0, 0.6931472]";
    log1p = Log1p,
        "Computes `log(1 + x)` without loss of precision near 0.",
        "tensor([1e-20, 1.0]).log1p() * tensor([1e20, 1.0])" => "[1.0, 0.6931472]";
    sqrt = Sqrt,
        "Computes the square root; NaN below 0.",
        "tensor([4, 9]).sqrt()" => "[2.0, 3.0]";
    rsqrt = Rsqrt,
        "Computes the reciprocal square root `1 / sqrt(x)`.",
        "tensor([4.0, 1.0]).rsqrt()" => "[0.5, 1.0]";
    cbrt = Cbrt,
        "Computes the real cube root, negative for negative numbers.",
        "tensor([8.0, -27.0]).cbrt()" => "[2.0, -3.0]";
    sigmoid = Logistic,
        "Computes the logistic function `1 / (1 + e^-x)`; `jax.nn.sigmoid`.",
        "tensor([0.0, 1.0]).sigmoid()" => "[0.5, 0.7310586]";
    erf = Erf,
        "Computes the error function.",
        "tensor([0.0, 1.0]).erf()" => "[0.0, 0.8427008]";
    erfc = Erfc,
        "Computes `1 - erf(x)` without loss of precision for large `x`.",
        "tensor([0.0, 5.0]).erfc() * tensor([1.0, 1e12])" => "[1.0, 1.5374598]";
    erf_inv = ErfInv,
        "Computes the inverse error function; NaN outside of -1 to 1.",
        "tensor([0.0, 0.5]).erf_inv()" => "[0.0, 0.4769363]";
    lgamma = Lgamma,
        "Computes the logarithm of the absolute value of the gamma function.",
        "tensor([1.0, 5.0]).lgamma()" => "[0.0, 3.1780538]";
    digamma = Digamma,
        "Computes the derivative of [`Tensor::lgamma`].",
        "tensor([1.0, 2.0]).digamma()" => "[-0.5772157, 0.4227843]";
    i0e = BesselI0e,
        "Computes `e^-|x| I0(x)` with the modified Bessel function of the first kind and order 0.",
        "tensor([0.0, 1.0]).i0e()" => "[1.0, 0.4657596]";
    i1e = BesselI1e,
        "Computes `e^-|x| I1(x)` with the modified Bessel function of the first kind and order 1.",
        "tensor([0.0, 1.0]).i1e()" => "[0.0, 0.2079104]";
    real = Real,
        "Returns the real part of complex numbers, as real floats; floats stay.",
        "tensor([1.0]).complex(2.0).real()" => "[1.0]";
    imag = Imag,
        "Returns the imaginary part of complex numbers, as real floats; 0 for floats.",
        "tensor([1.0]).complex(2.0).imag()" => "[2.0]";
    conj = Conj,
        "Computes the complex conjugate; floats stay.",
        "tensor([1.0]).complex(2.0).conj().imag()" => "[-2.0]";
}

functions! {
    Unary,
    "Works element by element. The dtype is kept.",
    |x, f, at| x.clone().unary(f, at);
    sign = Sign,
        "Computes the sign: -1, 0 or 1; for complex numbers `x / |x|`.",
        "tensor([-2.0, 0.0, 3.0]).sign()" => "[-1.0, 0.0, 1.0]";
    negative = Neg,
        "Computes `-x`; integers wrap around.",
        "tensor([-2, 3]).negative()" => "[2, -3]";
    bitwise_not = Not,
        "Inverts all bits; for bool this is the logical not. Integers and bool only.",
        "tensor([0, 5]).bitwise_not()" => "[-1, -6]";
    population_count = PopulationCount,
        "Counts the one bits of each element. Integers only.",
        "tensor([0, 5, -1]).population_count()" => "[0, 2, 32]";
    count_leading_zeros = CountLeadingZeros,
        "Counts the leading zero bits of each element, within the width of the dtype. Integers \
         only.",
        "tensor([0, 5]).count_leading_zeros()" => "[32, 29]";
}

// Integers and bool need no rounding.
functions! {
    Unary,
    "Works element by element. The dtype is kept; the derivative is 0.",
    |x, f, at| if x.dtype().is_differentiable() { x.clone().unary(f, at) } else { x.clone() };
    floor = Floor,
        "Rounds down to an integer.",
        "tensor([1.5, -1.5]).floor()" => "[1.0, -2.0]";
    ceil = Ceil,
        "Rounds up to an integer.",
        "tensor([1.5, -1.5]).ceil()" => "[2.0, -1.0]";
    round = RoundEven,
        "Rounds to the nearest integer, ties to even, like `numpy.round`.",
        "tensor([0.5, 1.5, 1.7]).round()" => "[0.0, 2.0, 2.0]";
    round_half_away = RoundAway,
        "Rounds to the nearest integer, ties away from zero.",
        "tensor([0.5, 1.5, -0.5]).round_half_away()" => "[1.0, 2.0, -1.0]";
}

functions_of_two! {
    Binary,
    "Works element by element, with promotion and broadcasting.",
    |x, y, f, at| extremum(x, y, f, at);
    maximum = Max,
        "Computes the larger of two elements; NaN if either is NaN. Equal operands share the \
         derivative. The sign of the larger of two zeros is not specified.",
        "tensor([1, 5]).maximum(3)" => "[3, 5]";
    minimum = Min,
        "Computes the smaller of two elements; NaN if either is NaN. Equal operands share the \
         derivative. The sign of the smaller of two zeros is not specified.",
        "tensor([1, 5]).minimum(3)" => "[1, 3]";
}

functions_of_two! {
    Binary,
    "Works element by element, with promotion and broadcasting.",
    |x, y, f, at| x.clone().binary(y.operand(x), f, at);
    fmod = Rem,
        "Computes the remainder with the sign of `x`, like C's `fmod` and the operator `%`; an \
         integer modulo 0 is `x`, a float NaN.",
        "tensor([5, -5]).fmod(3)" => "[2, -2]";
    bitwise_and = And,
        "Computes the bitwise and, `x & y`. Integers and bool only.",
        "tensor([6, 5]).bitwise_and(3)" => "[2, 1]";
    bitwise_or = Or,
        "Computes the bitwise or, `x | y`. Integers and bool only.",
        "tensor([6, 5]).bitwise_or(3)" => "[7, 7]";
    bitwise_xor = Xor,
        "Computes the bitwise exclusive or, `x ^ y`. Integers and bool only.",
        "tensor([6, 5]).bitwise_xor(3)" => "[5, 6]";
}

formulas! {
    abs(x) = match x.type_ref() {
            Ok(t) if t.dtype == DType::Bool => x.clone(),
            _ => x.clone().unary(Unary::Abs, Location::caller()),
        },
        "Computes the absolute value, element by element; for complex numbers the modulus, as real \
         floats. Otherwise the dtype is kept, also bool. The derivative at 0 is defined as 0; that \
         of the square of the result is right there in every order.",
        "tensor([-2, 3]).abs()" => "[2, 3]";
    trunc(x) = x.lt(0).select(x.ceil(), x.floor()),
        "Rounds toward zero to an integer, element by element. The dtype is kept; the derivative \
         is 0.",
        "tensor([1.7, -1.7]).trunc()" => "[1.0, -1.0]";
    square(x) = x * x,
        "Computes `x * x`, element by element. The dtype is kept.",
        "tensor([-2.0, 3.0]).square()" => "[4.0, 9.0]";
    reciprocal(x) = x.number(1) / x,
        "Computes `1 / x`, element by element. Integers and bool are converted to f32.",
        "tensor([4, -2]).reciprocal()" => "[0.25, -0.5]";
    is_nan(x) = x.not_equal(x),
        "Tests if elements are NaN, element by element. The result is bool. Follows `numpy.isnan`.",
        "tensor([1.0, f32::NAN]).is_nan()" => "[false, true]";
    is_inf(x) = if x.dtype().is_complex() {
        x.real().is_inf() | x.imag().is_inf()
    } else {
        !(x.is_finite() | x.is_nan())
    },
        "Tests if elements are positive or negative infinity, element by element; of complex \
         numbers, if a part is. The result is bool. Follows `numpy.isinf`.",
        "tensor([1.0, f32::INFINITY, f32::NAN]).is_inf()" => "[false, true, false]";
    angle(x) = x.imag().atan2(x.real()),
        "Computes the angle of complex numbers, in radians from -pi to pi, element by element; for \
         real numbers 0 or pi. Integers and bool are converted to f32.",
        "tensor([0.0]).complex(tensor([2.0])).angle()" => "[1.5707964]";
}

float_formulas! {
    exp2(x) = scaled(x, std::f64::consts::LN_2).exp(),
        "Computes `2^x`, element by element.",
        "tensor([3.0, -1.0]).exp2()" => "[8.0, 0.5]";
    log2(x) = scaled(&x.log(), std::f64::consts::LOG2_E),
        "Computes the logarithm to base 2, element by element.",
        "tensor([8.0, 0.5]).log2()" => "[3.0, -1.0]";
    log10(x) = scaled(&x.log(), std::f64::consts::LOG10_E),
        "Computes the logarithm to base 10, element by element.",
        "tensor([100.0, 0.1]).log10()" => "[2.0, -1.0]";
    deg2rad(x) = x * (std::f64::consts::PI / 180.0),
        "Converts degrees to radians, element by element.",
        "tensor([180.0, 90.0]).deg2rad()" => "[3.1415927, 1.5707964]";
    rad2deg(x) = x * (180.0 / std::f64::consts::PI),
        "Converts radians to degrees, element by element.",
        "tensor([0.0, 1.0]).rad2deg()" => "[0.0, 57.29578]";
    logit(x) = x.log() - (-x).log1p(),
        "Computes `log(x / (1 - x))`, element by element: the inverse of [`Tensor::sigmoid`].",
        "tensor([0.5, 0.75]).logit()" => "[0.0, 1.0986123]";
}

impl Tensor {
    /// Tests if elements are neither infinite nor NaN, element by element. The result is bool;
    /// integers are always finite. Follows `numpy.isfinite`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, f32::INFINITY]).is_finite().to_vec::<bool>()?, [true, false]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn is_finite(&self) -> Tensor {
        let at = Location::caller();
        if self.dtype().is_differentiable() {
            self.clone().unary(Unary::IsFinite, at)
        } else {
            self.equal(self)
        }
    }

    /// Converts to `dtype`.
    ///
    /// Floats are rounded to the nearest value, ties to even. Floats are truncated toward zero when
    /// they become integers, integers wrap around, and bool is true for all numbers but 0. Follows
    /// `numpy.astype`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.7, -1.7]).to(I32).to_vec::<i32>()?, [1, -1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to(&self, dtype: DType) -> Tensor {
        self.convert(dtype, Location::caller())
    }

    /// Rounds floats to a format of `exponent_bits` and `mantissa_bits`, and keeps the dtype.
    ///
    /// Ties are rounded to even; values that are too large become infinite, values that are too
    /// small zero. Derivatives are rounded as well. Follows `jax.lax.reduce_precision`.
    ///
    /// # Errors
    ///
    /// The result carries an error for dtypes other than floats.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.01, 1e30]);
    /// assert_eq!(x.reduce_precision(8, 7).to_vec::<f32>()?, x.to(BF16).to(F32).to_vec::<f32>()?);
    /// assert_eq!(x.reduce_precision(5, 10).to_vec::<f32>()?, [1.0097656, f32::INFINITY]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn reduce_precision(&self, exponent_bits: u32, mantissa_bits: u32) -> Tensor {
        dispatch(
            ReducePrecision { exponent_bits, mantissa_bits },
            [self.clone()],
            Location::caller(),
        )
    }

    /// Limits elements to the range `low` to `high`: `min(max(x, low), high)`.
    ///
    /// The bounds broadcast. A bound that an integer dtype does not hold limits by its value. NaN
    /// stays NaN; the derivative is 0 at and beyond a bound, as of `jax.lax.clamp`. Follows
    /// `numpy.clip`.
    ///
    /// # Errors
    ///
    /// The result carries an error if all elements would become a number that the integer dtype
    /// does not hold.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([-1.0, 0.5, 3.0]).clip(0.0, 1.0).to_vec::<f32>()?, [0.0, 0.5, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn clip(&self, low: impl Operand, high: impl Operand) -> Tensor {
        let at = Location::caller();
        let numbers = [low.number(), high.number()];
        let dtype = self.dtype();
        // Floats and tensors may widen the result, whose dtype decides what a number does.
        let widens = |n: &Option<Scalar>| n.is_none_or(|n| !matches!(n, Scalar::Int(_)));
        if dtype.is_int() && numbers.iter().any(widens) && numbers.iter().any(|n| n.is_some()) {
            let bounds = [ClipBound::new(low), ClipBound::new(high)];
            let joint = bounds.iter().try_fold(dtype, |d, b| d.promote(b.dtype_with(dtype)));
            // empty: dtypes without a common one are an error below.
            let x = self.convert(joint.unwrap_or(dtype), at);
            let [low, high] = bounds;
            return x.clip_to(low, high, at);
        }
        self.clip_to(low, high, at)
    }

    /// Limits elements as [`Tensor::clip`] does, in the dtype of `self`.
    #[track_caller]
    fn clip_to(&self, low: impl Operand, high: impl Operand, at: CallSite) -> Tensor {
        let numbers = [low.number(), high.number()];
        let dtype = self.dtype();
        // A tensor that carries an error has no other dtype after a conversion.
        if let [Some(first), Some(second)] = numbers
            && self.error().is_none()
            && (first.overflows(dtype) || second.overflows(dtype))
        {
            return self.convert(DType::F64, at).clip_to(low, high, at).convert(dtype, at);
        }
        // Bounds beyond all values of an integer dtype have no effect, or the effect of the
        // outermost value, unless the result is beyond all values as well.
        let order = numbers.map(|n| n.map_or(Ordering::Equal, |n| n.order_in(n.dtype_with(dtype))));
        let (first, last) = (Extreme::Least, Extreme::Greatest);
        let low = match order {
            [Ordering::Less, _] => first.of(self, numbers[0]),
            [Ordering::Greater, Ordering::Less | Ordering::Equal] => last.of(self, numbers[0]),
            _ => low.operand(self),
        };
        let high = match order[1] {
            Ordering::Greater => last.of(self, numbers[1]),
            _ => high.operand(self),
        };
        dispatch_broadcast(Clamp {}, [low, self.clone(), high], at)
    }

    /// Combines real parts (`self`) and imaginary parts into complex numbers, element by element,
    /// with broadcasting.
    ///
    /// The result is c64 for f32 and c128 for f64; integers, bool and narrower floats are converted
    /// to f32 first. Follows `jax.lax.complex`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([3.0]).complex(4.0).abs().to_vec::<f32>()?, [5.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn complex(&self, imaginary: impl Operand) -> Tensor {
        let at = Location::caller();
        let (x, y) = float_operands(self.clone(), float_operand(imaginary, self), at);
        x.wide(at).0.binary(y.wide(at).0, Binary::Complex, at)
    }

    /// Computes `x^y`, element by element, with promotion and broadcasting; integers wrap around.
    ///
    /// Follows `numpy.power`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `self` is of integers and `exponent` a negative integer;
    /// [`Tensor::float_power`] computes in floats.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([2.0, 9.0]).pow(tensor([3.0, 0.5]));
    /// assert_eq!(x.to_vec::<f32>()?, [8.0, 3.0]);
    /// assert_eq!(tensor([2, 3]).pow(2).to_vec::<i32>()?, [4, 9]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn pow(&self, exponent: impl Operand) -> Tensor {
        let at = Location::caller();
        match (exponent.number(), self.type_ref()) {
            (Some(Scalar::Int(n)), Ok(ty)) if n < 0 && !ty.dtype.is_differentiable() => {
                let why = format!("{ty} cannot be raised to {n}; use `float_power`");
                Tensor::fail("power", why, at)
            }
            _ => self.clone().binary(exponent.operand(self), Binary::Pow, at),
        }
    }

    /// Shifts integers left by `bits` bits, element by element, with promotion and broadcasting; 0
    /// if `bits` is the width of the dtype or more.
    ///
    /// Follows `numpy.left_shift`.
    ///
    /// # Errors
    ///
    /// The result carries an error for dtypes other than integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 3]).left_shift(2).to_vec::<i32>()?, [4, 12]);
    /// assert_eq!(tensor([1, 3]).left_shift(32).to_vec::<i32>()?, [0, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn left_shift(&self, bits: impl Operand) -> Tensor {
        if shifts_all_bits(self.dtype(), &bits) {
            return self.zeros_like();
        }
        self.clone().binary(bits.operand(self), Binary::ShiftLeft, Location::caller())
    }

    /// Shifts integers right by `bits` bits, element by element, with promotion and broadcasting.
    ///
    /// Signed integers are filled with the sign bit, unsigned ones with 0. Follows
    /// `numpy.right_shift`.
    ///
    /// # Errors
    ///
    /// The result carries an error for dtypes other than integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([12, -8]).right_shift(2).to_vec::<i32>()?, [3, -2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn right_shift(&self, bits: impl Operand) -> Tensor {
        let at = Location::caller();
        let bits = if shifts_all_bits(self.dtype(), &bits) {
            // All bits become copies of the first one, as for one bit less; or 0.
            match self.dtype().kind() {
                Kind::Unsigned => return self.zeros_like(),
                _ => self.number(self.dtype().bits() - 1),
            }
        } else {
            bits.operand(self)
        };
        let dtype = self.dtype().promote(bits.dtype()).unwrap_or(self.dtype());
        let op = if dtype.kind() == Kind::Unsigned {
            Binary::ShiftRightLogical
        } else {
            Binary::ShiftRightArithmetic
        };
        self.clone().binary(bits, op, at)
    }
}

/// Multiplies by a real number: of complex numbers both parts, of which an infinite one does not
/// make the other NaN.
#[track_caller]
fn scaled(x: &Tensor, by: f64) -> Tensor {
    if x.dtype().is_complex() { (x.real() * by).complex(x.imag() * by) } else { x * by }
}

/// Returns true if `bits` is a number and the width of the integer dtype `dtype` or more.
fn shifts_all_bits(dtype: DType, bits: &impl Operand) -> bool {
    let width = dtype.bits() as i128;
    dtype.is_int() && matches!(bits.number(), Some(Scalar::Int(n)) if n >= width)
}

/// An outermost value of an integer dtype.
#[derive(Clone, Copy)]
enum Extreme {
    Least,
    Greatest,
}

impl Extreme {
    /// Returns the value of the dtype that `number` takes with `like`, an integer dtype.
    fn of(self, like: &Tensor, number: Option<Scalar>) -> Tensor {
        let dtype = number.map_or(like.dtype(), |n| n.dtype_with(like.dtype()));
        let range = dtype.int_range().unwrap_or(0..=0);
        Tensor::scalar(
            dtype,
            Scalar::Int(if let Extreme::Least = self { *range.start() } else { *range.end() }),
        )
    }
}

/// A bound of a range.
enum ClipBound {
    Number(Scalar),
    Tensor(Tensor),
}

impl ClipBound {
    #[track_caller]
    fn new(x: impl Operand) -> ClipBound {
        match x.number() {
            Some(n) => ClipBound::Number(n),
            None => ClipBound::Tensor(x.operand(&Tensor::scalar(DType::F32, Scalar::Int(0)))),
        }
    }

    /// Returns the dtype of the bound beside a tensor of `dtype`.
    fn dtype_with(&self, dtype: DType) -> DType {
        match self {
            ClipBound::Number(n) => n.dtype_with(dtype),
            ClipBound::Tensor(t) => t.dtype(),
        }
    }
}

impl Operand for ClipBound {
    fn operand(self, like: &Tensor) -> Tensor {
        match self {
            ClipBound::Number(n) => n.weak_like(like),
            ClipBound::Tensor(t) => t,
        }
    }

    fn number(&self) -> Option<Scalar> {
        match self {
            ClipBound::Number(n) => Some(*n),
            ClipBound::Tensor(_) => None,
        }
    }
}

/// Computes the maximum or minimum. A number beyond all values of an integer dtype, on the side
/// where it is never the result, has no effect.
#[track_caller]
fn extremum(x: &Tensor, y: impl Operand, op: Binary, at: CallSite) -> Tensor {
    let dtype = x.dtype();
    if let Some(number) = y.number() {
        let joint = number.dtype_with(dtype);
        match (op, number.order_in(joint)) {
            (Binary::Max, Ordering::Less) | (Binary::Min, Ordering::Greater) => {
                return x.convert(joint, at);
            }
            _ if number.overflows(dtype) => {
                let x = x.convert(DType::F64, at);
                let y = y.operand(&x);
                return x.binary(y, op, at).convert(dtype, at);
            }
            _ => {}
        }
    }
    x.clone().binary(y.operand(x), op, at)
}
