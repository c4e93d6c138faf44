//! One operand, element by element. Adding one is a row in each match.

mod eval;
mod slope;

use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, pointwise::*, rules::*};
use crate::graph::attr::{nameless_attrs, names};
use crate::{Builder, DType, Eval, Kind, Literal, Result, Type, Value};
use std::ops::Range;

names! {
    /// An elementwise function of one operand. Names are StableHLO's (<https://openxla.org/stablehlo/spec#ops>) and CHLO's.
    pub enum Unary {
        /// `-x`; integers wrap.
        Neg = "negate",
        /// `|x|`; of a complex number the real modulus.
        Abs = "abs",
        /// -1, 0 or 1; of a complex number `x / |x|`. NaN stays NaN.
        Sign = "sign",
        /// `e^x`
        Exp = "exponential",
        /// `e^x - 1`, exact near zero.
        Expm1 = "exponential_minus_one",
        /// Natural logarithm.
        Log = "log",
        /// `log(1 + x)`, exact near zero.
        Log1p = "log_plus_one",
        /// Sine of radians.
        Sin = "sine",
        /// Cosine of radians.
        Cos = "cosine",
        /// Tangent of radians.
        Tan = "tan",
        /// Inverse sine.
        Asin = "asin",
        /// Inverse cosine.
        Acos = "acos",
        /// Inverse tangent.
        Atan = "atan",
        /// Hyperbolic sine.
        Sinh = "sinh",
        /// Hyperbolic cosine.
        Cosh = "cosh",
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// Inverse hyperbolic sine.
        Asinh = "asinh",
        /// Inverse hyperbolic cosine.
        Acosh = "acosh",
        /// Inverse hyperbolic tangent.
        Atanh = "atanh",
        /// Square root.
        Sqrt = "sqrt",
        /// `1 / sqrt(x)`
        Rsqrt = "rsqrt",
        /// Cube root, real also below zero.
        Cbrt = "cbrt",
        /// `1 / (1 + e^-x)`
        Logistic = "logistic",
        /// Error function.
        Erf = "erf",
        /// `1 - erf(x)`, exact for large x.
        Erfc = "erfc",
        /// Inverse error function.
        ErfInv = "erf_inv",
        /// Logarithm of the absolute value of the gamma function.
        Lgamma = "lgamma",
        /// Derivative of [`Unary::Lgamma`].
        Digamma = "digamma",
        /// Derivative of [`Unary::Digamma`].
        Trigamma = "trigamma",
        /// The largest integer not above.
        Floor = "floor",
        /// The smallest integer not below.
        Ceil = "ceil",
        /// The nearest integer, ties to even.
        RoundEven = "round_nearest_even",
        /// The nearest integer, ties away from zero.
        RoundAway = "round_nearest_afz",
        /// Bitwise complement; of bool, logical not.
        Not = "not",
        /// Number of one bits.
        PopulationCount = "popcnt",
        /// Number of leading zero bits, in the width of the dtype.
        CountLeadingZeros = "count_leading_zeros",
        /// Neither infinite nor NaN; gives bool.
        IsFinite = "is_finite",
        /// Real part; gives the real dtype.
        Real = "real",
        /// Imaginary part; gives the real dtype.
        Imag = "imag",
        /// Complex conjugate.
        Conj = "conj",
    }
}

nameless_attrs!(Unary);

use Unary::*;

impl Unary {
    /// The kinds of dtype that it takes.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Neg | Abs | Sign => NUMBERS,
            Exp | Expm1 | Log | Log1p | Sin | Cos | Tan | Asin | Acos | Atan | Sinh | Cosh | Tanh | Asinh | Acosh | Atanh => FIELDS,
            Sqrt | Rsqrt | Logistic | IsFinite | Real | Imag | Conj => FIELDS,
            Cbrt | Erf | Erfc | ErfInv | Lgamma | Digamma | Trigamma | Floor | Ceil | RoundEven | RoundAway => FLOATS,
            Not => BITS,
            PopulationCount | CountLeadingZeros => INTS,
        }
    }

    /// Does it take that dtype?
    pub fn admits(self, dtype: DType) -> bool {
        self.kinds().contains(&dtype.kind())
    }

    /// The dtype of the result.
    pub fn result(self, dtype: DType) -> DType {
        match self {
            IsFinite => DType::Bool,
            Abs | Real | Imag => dtype.real(),
            _ => dtype,
        }
    }

    /// Numbers for which it has a result, where its derivative exists.
    pub fn domain(self) -> Range<f64> {
        match self {
            Log | Sqrt | Rsqrt | Lgamma | Digamma | Trigamma => 0.1..4.0,
            Log1p => -0.9..3.0,
            Asin | Acos | Atanh | ErfInv => -0.95..0.95,
            Acosh => 1.1..4.0,
            _ => -3.0..3.0,
        }
    }
}

impl Primitive for Unary {
    fn name(&self) -> &'static str {
        (*self).name()
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity((*self).name(), xs, 1)?;
        check_kind((*self).name(), &xs[0], self.kinds())?;
        Ok(vec![xs[0].with_dtype(self.result(xs[0].dtype))])
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let (y, inplace) = eval::run(*self, xs.swap_remove(0))?;
        cx.count_reuse(inplace);
        Ok(vec![y])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let tangent = match dxs[0] {
            Some(dx) if b.dtype(at.ys[0]).is_differentiable() => slope::tangent(*self, b, at.xs[0], at.ys[0], dx)?,
            _ => None,
        };
        Ok(vec![tangent])
    }

    fn transpose(&self, b: &mut Builder, at: &Bound, linear: &[bool], cts: &[Option<Value>]) -> Transposed {
        let x = at.xs[0];
        let ct = cts[0].filter(|_| linear[0]);
        let ct = match self {
            Neg => ct.map(|ct| b.neg(ct)),
            Conj => ct.map(|ct| b.conj(ct)),
            Real => ct.map(|ct| b.convert(ct, b.dtype(x))),
            Imag if !b.dtype(x).is_complex() => None,
            Imag => ct.map(|ct| {
                let (zero, minus) = (b.full_like(ct, 0.0), b.neg(ct));
                b.complex(zero, minus)
            }),
            _ => return Transposed::NotLinear,
        };
        Transposed::Cotangents(vec![ct])
    }

    fn batch(&self, b: &mut Builder, axis: &Axis, xs: &[Value], dims: &[Option<usize>]) -> Result<Batched> {
        batch(b, *self, 1, axis, xs, dims)
    }

    fn samples() -> Vec<Sample> {
        // Trigamma has no derivative; everything else that takes floats has one, if only zero.
        let rows = |&f: &Unary| samples(f, |d| f.admits(d), &[f.domain()], f != Trigamma && f != IsFinite);
        Unary::ALL.iter().flat_map(rows).collect()
    }
}
