//! One element at a time.

use super::common::{example, formulas, functions, functions_of_two};
use crate::{Operand, Tensor};
use neurax_ir::op::{Binary, Clamp, ReducePrecision, Unary};
use std::panic::Location;

functions! {
    Unary, "Element by element; integers and bool give f32.", |x, f, at| x.clone().unary_float(f, at);
    sin = Sin, "Sine of radians.", "tensor([0.0, 1.0]).sin()" => "[0.0, 0.84147098]";
    cos = Cos, "Cosine of radians.", "tensor([0.0, 1.0]).cos()" => "[1.0, 0.5403023]";
    tan = Tan, "Tangent of radians.", "tensor([0.0, 1.0]).tan()" => "[0.0, 1.5574077]";
    asin = Asin, "Inverse sine, in radians; NaN outside -1 to 1.", "tensor([0.0, 1.0]).asin()" => "[0.0, 1.5707964]";
    acos = Acos, "Inverse cosine, in radians; NaN outside -1 to 1.", "tensor([1.0, 0.0]).acos()" => "[0.0, 1.5707964]";
    atan = Atan, "Inverse tangent, in radians.", "tensor([0.0, 1.0]).atan()" => "[0.0, 0.7853982]";
    sinh = Sinh, "Hyperbolic sine.", "tensor([0.0, 1.0]).sinh()" => "[0.0, 1.1752012]";
    cosh = Cosh, "Hyperbolic cosine.", "tensor([0.0, 1.0]).cosh()" => "[1.0, 1.5430806]";
    tanh = Tanh, "Hyperbolic tangent.", "tensor([0.0, 1.0]).tanh()" => "[0.0, 0.7615942]";
    asinh = Asinh, "Inverse hyperbolic sine.", "tensor([0.0, 1.0]).asinh()" => "[0.0, 0.8813736]";
    acosh = Acosh, "Inverse hyperbolic cosine; NaN below 1.", "tensor([1.0, 2.0]).acosh()" => "[0.0, 1.3169579]";
    atanh = Atanh, "Inverse hyperbolic tangent; NaN outside -1 to 1.", "tensor([0.0, 0.5]).atanh()" => "[0.0, 0.54930614]";
    exp = Exp, "`e^x`.", "tensor([0, 1]).exp()" => "[1.0, 2.7182818]";
    expm1 = Expm1, "`e^x - 1`, exact near 0.", "tensor([1e-20, 1.0]).expm1() * tensor([1e20, 1.0])" => "[1.0, 1.7182818]";
    log = Log, "Natural logarithm; minus infinity at 0, NaN below.", "tensor([1.0, 2.0]).log()" => "[0.0, 0.6931472]";
    log1p = Log1p, "`log(1 + x)`, exact near 0.", "tensor([1e-20, 1.0]).log1p() * tensor([1e20, 1.0])" => "[1.0, 0.6931472]";
    sqrt = Sqrt, "Square root; NaN below 0.", "tensor([4, 9]).sqrt()" => "[2.0, 3.0]";
    rsqrt = Rsqrt, "`1 / sqrt(x)`.", "tensor([4.0, 1.0]).rsqrt()" => "[0.5, 1.0]";
    cbrt = Cbrt, "Cube root, real below 0, too.", "tensor([8.0, -27.0]).cbrt()" => "[2.0, -3.0]";
    sigmoid = Logistic, "Logistic function: `1 / (1 + e^-x)`.", "tensor([0.0, 1.0]).sigmoid()" => "[0.5, 0.7310586]";
    erf = Erf, "Error function.", "tensor([0.0, 1.0]).erf()" => "[0.0, 0.8427008]";
    erfc = Erfc, "`1 - erf(x)`, exact for large `x`.", "tensor([0.0, 5.0]).erfc() * tensor([1.0, 1e12])" => "[1.0, 1.5374598]";
    erf_inv = ErfInv, "Inverse error function; NaN outside -1 to 1.", "tensor([0.0, 0.5]).erf_inv()" => "[0.0, 0.4769363]";
    lgamma = Lgamma, "Logarithm of the absolute value of the gamma function.", "tensor([1.0, 5.0]).lgamma()" => "[0.0, 3.1780538]";
    digamma = Digamma, "Derivative of [`Tensor::lgamma`].", "tensor([1.0, 2.0]).digamma()" => "[-0.5772157, 0.4227843]";
    i0e = BesselI0e, "`e^-|x| I0(x)`, with the modified Bessel function of the first kind of order 0.", "tensor([0.0, 1.0]).i0e()" => "[1.0, 0.4657596]";
    i1e = BesselI1e, "`e^-|x| I1(x)`, with the modified Bessel function of the first kind of order 1.", "tensor([0.0, 1.0]).i1e()" => "[0.0, 0.2079104]";
    real = Real, "Real part of complex numbers; real numbers stay.", "tensor([1.0]).complex(2.0).real()" => "[1.0]";
    imag = Imag, "Imaginary part of complex numbers; of real numbers 0.", "tensor([1.0]).complex(2.0).imag()" => "[2.0]";
    conj = Conj, "Complex conjugate; real numbers stay.", "tensor([1.0]).complex(2.0).conj().imag()" => "[-2.0]";
}

functions! {
    Unary, "Element by element; the dtype stays.", |x, f, at| x.clone().unary(f, at);
    abs = Abs, "Absolute value; of complex numbers the real modulus.", "tensor([-2, 3]).abs()" => "[2, 3]";
    sign = Sign, "-1, 0 or 1; of complex numbers `x / |x|`.", "tensor([-2.0, 0.0, 3.0]).sign()" => "[-1.0, 0.0, 1.0]";
    negative = Neg, "`-x`; integers wrap.", "tensor([-2, 3]).negative()" => "[2, -3]";
    bitwise_not = Not, "Every bit flipped; of bool, logical not. Integers and bool only.", "tensor([0, 5]).bitwise_not()" => "[-1, -6]";
    population_count = PopulationCount, "Number of one bits. Integers only.", "tensor([0, 5, -1]).population_count()" => "[0, 2, 32]";
    count_leading_zeros = CountLeadingZeros,
        "Number of leading zero bits, in the width of the dtype. Integers only.", "tensor([0, 5]).count_leading_zeros()" => "[32, 29]";
}

// Integers and bool are whole already.
functions! {
    Unary, "Element by element; the dtype stays. The derivative is 0.",
    |x, f, at| if x.dtype().is_differentiable() { x.clone().unary(f, at) } else { x.clone() };
    floor = Floor, "The largest integer that is not above.", "tensor([1.5, -1.5]).floor()" => "[1.0, -2.0]";
    ceil = Ceil, "The smallest integer that is not below.", "tensor([1.5, -1.5]).ceil()" => "[2.0, -1.0]";
    round = RoundEven, "The nearest integer, ties to even, as NumPy rounds.", "tensor([0.5, 1.5, 1.7]).round()" => "[0.0, 2.0, 2.0]";
    round_half_away = RoundAway, "The nearest integer, ties away from 0.", "tensor([0.5, 1.5, -0.5]).round_half_away()" => "[1.0, 2.0, -1.0]";
}

functions_of_two! {
    Binary, "Element by element, with promotion and broadcasting.", |x, y, f, at| x.clone().binary(y, f, at);
    maximum = Max, "The larger of two; NaN wins. Equals share the derivative.", "tensor([1, 5]).maximum(3)" => "[3, 5]";
    minimum = Min, "The smaller of two; NaN wins. Equals share the derivative.", "tensor([1, 5]).minimum(3)" => "[1, 3]";
    pow = Pow, "`x^y`; integers wrap.", "tensor([2.0, 9.0]).pow(tensor([3.0, 0.5]))" => "[8.0, 3.0]";
    fmod = Rem, "Remainder with the sign of `x`, as C's `fmod` and the operator `%`.", "tensor([5, -5]).fmod(3)" => "[2, -2]";
    bitwise_and = And, "Bitwise and: `x & y`. Integers and bool only.", "tensor([6, 5]).bitwise_and(3)" => "[2, 1]";
    bitwise_or = Or, "Bitwise or: `x | y`. Integers and bool only.", "tensor([6, 5]).bitwise_or(3)" => "[7, 7]";
    bitwise_xor = Xor, "Bitwise exclusive or: `x ^ y`. Integers and bool only.", "tensor([6, 5]).bitwise_xor(3)" => "[5, 6]";
    left_shift = ShiftLeft, "`x` shifted left by `y` bits; 0 when that is not less than the width. Integers only.", "tensor([1, 3]).left_shift(2)" => "[4, 12]";
}

formulas! {
    trunc(x) = x.lt(0).select(x.ceil(), x.floor()),
        "Without the digits behind the point, element by element; the dtype stays. The derivative is 0.",
        "tensor([1.7, -1.7]).trunc()" => "[1.0, -1.0]";
    square(x) = x * x,
        "`x * x`, element by element; the dtype stays.",
        "tensor([-2.0, 3.0]).square()" => "[4.0, 9.0]";
    reciprocal(x) = x.number(1) / x,
        "`1 / x`, element by element; integers and bool give f32.",
        "tensor([4, -2]).reciprocal()" => "[0.25, -0.5]";
    exp2(x) = (x * std::f64::consts::LN_2).exp(),
        "`2^x`, element by element; integers and bool give f32.",
        "tensor([3.0, -1.0]).exp2()" => "[8.0, 0.5]";
    log2(x) = x.log() * std::f64::consts::LOG2_E,
        "Logarithm to base 2, element by element; integers and bool give f32.",
        "tensor([8.0, 0.5]).log2()" => "[3.0, -1.0]";
    log10(x) = x.log() * std::f64::consts::LOG10_E,
        "Logarithm to base 10, element by element; integers and bool give f32.",
        "tensor([100.0, 0.1]).log10()" => "[2.0, -1.0]";
    deg2rad(x) = x * (std::f64::consts::PI / 180.0),
        "Degrees as radians, element by element; integers and bool give f32.",
        "tensor([180.0, 90.0]).deg2rad()" => "[3.1415927, 1.5707964]";
    rad2deg(x) = x * (180.0 / std::f64::consts::PI),
        "Radians as degrees, element by element; integers and bool give f32.",
        "tensor([0.0, 1.0]).rad2deg()" => "[0.0, 57.29578]";
    logit(x) = x.log() - (-x).log1p(),
        "`log(x / (1 - x))`, element by element: the inverse of [`Tensor::sigmoid`].",
        "tensor([0.5, 0.75]).logit()" => "[0.0, 1.0986123]";
    is_nan(x) = x.not_equal(x),
        "Is it not a number? Element by element; gives bool.",
        "tensor([1.0, f32::NAN]).is_nan()" => "[false, true]";
    is_inf(x) = !(x.is_finite() | x.is_nan()),
        "Is it plus or minus infinity? Element by element; gives bool.",
        "tensor([1.0, f32::INFINITY, f32::NAN]).is_inf()" => "[false, true, false]";
    angle(x) = x.imag().atan2(x.real()),
        "The angle of complex numbers, in radians from minus pi to pi; of real numbers 0 or pi.",
        "tensor([0.0]).complex(tensor([2.0])).angle()" => "[1.5707964]";
}

impl Tensor {
    /// Is it neither infinite nor NaN? Element by element; gives bool.
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

    /// The same numbers in another dtype: floats round to nearest even, to integers they truncate,
    /// integers wrap, bool asks for non-zero.
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

    /// The nearest numbers of a float format with so many bits, in the dtype that they have: ties
    /// to even, what is too large becomes infinite, what is too small zero. Derivatives are
    /// rounded, too. Floats only.
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
        crate::emit::emit(
            ReducePrecision { exponent_bits, mantissa_bits },
            [self.clone()],
            Location::caller(),
        )
    }

    /// `min(max(x, low), high)`, element by element; the bounds broadcast. NaN stays, the
    /// derivative is 0 outside.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([-1.0, 0.5, 3.0]).clip(0.0, 1.0).to_vec::<f32>()?, [0.0, 0.5, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn clip(&self, low: impl Operand, high: impl Operand) -> Tensor {
        let at = Location::caller();
        let (low, high) = (low.operand(self), high.operand(self));
        crate::emit::emit_implicit(Clamp {}, [low, self.clone(), high], at)
    }

    /// A complex number of real and imaginary part, element by element: f32 gives c64, f64 gives
    /// c128; integers, bool and narrow floats are taken as f32.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([3.0]).complex(4.0).abs().to_vec::<f32>()?, [5.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn complex(&self, imaginary: impl Operand) -> Tensor {
        let at = Location::caller();
        let x = self.clone().float(at).wide(at).0;
        let y = imaginary.operand(&x).float(at).wide(at).0;
        x.binary(y, Binary::Complex, at)
    }

    /// `x` shifted right by `y` bits, filling with the sign of signed integers; element by element.
    /// Integers only.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([12, -8]).right_shift(2).to_vec::<i32>()?, [3, -2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn right_shift(&self, bits: impl Operand) -> Tensor {
        let at = Location::caller();
        let bits = bits.operand(self);
        let dtype = self.dtype().promote(bits.dtype()).unwrap_or(self.dtype());
        let op = if dtype.kind() == neurax_ir::Kind::Unsigned {
            Binary::ShiftRightLogical
        } else {
            Binary::ShiftRightArithmetic
        };
        self.clone().binary(bits, op, at)
    }
}
