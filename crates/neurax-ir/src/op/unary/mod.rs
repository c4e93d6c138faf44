//! Elementwise functions of one operand. A new function is one row in each `match`.

mod eval;
mod slope;

use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, pointwise::*, rules::*};
use crate::graph::attr::{nameless_attrs, names};
use crate::{Builder, DType, Eval, Kind, Literal, Result, Type, Value};
use std::ops::Range;

names! {
    /// An elementwise function of one operand. Mnemonics are those of StableHLO
    /// (<https://openxla.org/stablehlo/spec#ops>) and CHLO.
    pub enum Unary {
        /// `-x`; integers wrap.
        Neg = "negate",
        /// `|x|`; the modulus of a complex number, which is real.
        Abs = "abs",
        /// -1, 0 or 1; `x / |x|` for complex numbers. NaN stays NaN.
        Sign = "sign",
        /// `e^x`
        Exp = "exponential",
        /// `e^x - 1`, accurate near zero.
        Expm1 = "exponential_minus_one",
        /// Natural logarithm.
        Log = "log",
        /// `log(1 + x)`, accurate near zero.
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
        /// Real cube root, also of negative numbers.
        Cbrt = "cbrt",
        /// `1 / (1 + e^-x)`
        Logistic = "logistic",
        /// Error function.
        Erf = "erf",
        /// `1 - erf(x)`, accurate for large x.
        Erfc = "erfc",
        /// Inverse error function.
        ErfInv = "erf_inv",
        /// Logarithm of the absolute value of the gamma function.
        Lgamma = "lgamma",
        /// Derivative of [`Unary::Lgamma`]; [`super::Binary::Polygamma`] are its derivatives.
        Digamma = "digamma",
        /// `e^-|x| I0(x)`, the scaled modified Bessel function of the first kind of order 0.
        BesselI0e = "bessel_i0e",
        /// `e^-|x| I1(x)`, the scaled modified Bessel function of the first kind of order 1.
        BesselI1e = "bessel_i1e",
        /// The largest integer that is not greater than `x`.
        Floor = "floor",
        /// The smallest integer that is not less than `x`.
        Ceil = "ceil",
        /// The nearest integer, ties to even.
        RoundEven = "round_nearest_even",
        /// The nearest integer, ties away from zero.
        RoundAway = "round_nearest_afz",
        /// Bitwise complement; logical not of bools.
        Not = "not",
        /// Number of one bits.
        PopulationCount = "popcnt",
        /// Number of leading zero bits, in the width of the dtype.
        CountLeadingZeros = "count_leading_zeros",
        /// True if `x` is neither infinite nor NaN, as a bool.
        IsFinite = "is_finite",
        /// Real part, in the real dtype.
        Real = "real",
        /// Imaginary part, in the real dtype.
        Imag = "imag",
        /// Complex conjugate.
        Conj = "conj",
    }
}

nameless_attrs!(Unary);

use Unary::*;

impl Unary {
    /// Returns the kinds of dtype that the function takes.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Neg | Abs | Sign => NUMBERS,
            Exp | Expm1 | Log | Log1p | Sin | Cos | Tan | Asin | Acos | Atan | Sinh | Cosh
            | Tanh | Asinh | Acosh | Atanh => FIELDS,
            Sqrt | Rsqrt | Logistic | IsFinite | Real | Imag | Conj => FIELDS,
            Cbrt | Erf | Erfc | ErfInv | Lgamma | Digamma => FLOATS,
            BesselI0e | BesselI1e | Floor | Ceil | RoundEven | RoundAway => FLOATS,
            Not => BITS,
            PopulationCount | CountLeadingZeros => INTS,
        }
    }

    /// Returns true if the function takes operands of `dtype`.
    pub fn admits(self, dtype: DType) -> bool {
        self.kinds().contains(&dtype.kind())
    }

    /// Returns the dtype of the result for operands of `dtype`.
    pub fn result(self, dtype: DType) -> DType {
        match self {
            IsFinite => DType::Bool,
            Abs | Real | Imag => dtype.real(),
            Neg | Sign | Exp | Expm1 | Log | Log1p | Sin | Cos | Tan | Asin | Acos | Atan
            | Sinh | Cosh | Tanh | Asinh | Acosh | Atanh | Sqrt | Rsqrt | Cbrt | Logistic | Erf
            | Erfc | ErfInv | Lgamma | Digamma | BesselI0e | BesselI1e | Floor | Ceil
            | RoundEven | RoundAway | Not | PopulationCount | CountLeadingZeros | Conj => dtype,
        }
    }

    /// Evaluates a function from floats to floats; NaN if it is not one. Compilers call this for
    /// functions that they have no code for.
    ///
    /// ```
    /// use neurax_ir::op::Unary;
    /// assert_eq!(Unary::Sqrt.of_f32(4.0), 2.0);
    /// ```
    pub fn of_f32(self, x: f32) -> f32 {
        eval::of_element(self, DType::F32, x).unwrap_or(f32::NAN)
    }

    /// Evaluates a function from floats to floats, in f64; NaN if it is not one.
    pub fn of_f64(self, x: f64) -> f64 {
        eval::of_element(self, DType::F64, x).unwrap_or(f64::NAN)
    }

    /// Returns a range in which the function is defined and differentiable.
    pub fn domain(self) -> Range<f64> {
        match self {
            Log | Sqrt | Rsqrt | Lgamma | Digamma => 0.1..4.0,
            Log1p => -0.9..3.0,
            Tan => -1.3..1.3,
            Asin | Acos | Atanh | ErfInv => -0.95..0.95,
            Acosh => 1.1..4.0,
            Neg | Abs | Sign | Exp | Expm1 | Sin | Cos | Atan | Sinh | Cosh | Tanh | Asinh
            | Cbrt | Logistic | Erf | Erfc | BesselI0e | BesselI1e | Floor | Ceil | RoundEven
            | RoundAway | Not | PopulationCount | CountLeadingZeros | IsFinite | Real | Imag
            | Conj => -3.0..3.0,
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
        let (y, inplace) = eval::apply(*self, xs.swap_remove(0))?;
        cx.count_reuse(inplace);
        Ok(vec![y])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let tangent = match dxs[0] {
            Some(dx) if b.dtype(at.ys[0]).is_differentiable() => {
                slope::tangent(*self, b, at.xs[0], at.ys[0], dx)?
            }
            _ => None,
        };
        Ok(vec![tangent])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
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
            Abs | Sign | Exp | Expm1 | Log | Log1p | Sin | Cos | Tan | Asin | Acos | Atan
            | Sinh | Cosh | Tanh | Asinh | Acosh | Atanh | Sqrt | Rsqrt | Cbrt | Logistic | Erf
            | Erfc | ErfInv | Lgamma | Digamma | BesselI0e | BesselI1e | Floor | Ceil
            | RoundEven | RoundAway | Not | PopulationCount | CountLeadingZeros | IsFinite => {
                return Transposed::NotLinear;
            }
        };
        Transposed::Cotangents(vec![ct])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        batch(b, *self, 1, axis, xs, dims)
    }

    fn samples() -> Vec<Sample> {
        // All functions from floats to floats have a derivative, even if it is zero.
        let rows = |&f: &Unary| samples(f, |d| f.admits(d), &[f.domain()], f != IsFinite);
        Unary::ALL.iter().flat_map(rows).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::pointwise::testing::*;
    use crate::{Complex, Op};

    fn real(f: Unary, x: f64) -> f64 {
        eval(f, &[&vector(&[x])]).to_f64s()[0]
    }

    #[test]
    fn a_function_without_evaluation_is_an_internal_error() {
        for (f, d) in [
            (Exp, DType::I32),
            (Erf, DType::C64),
            (Floor, DType::C128),
            (Not, DType::F32),
            (Imag, DType::U8),
        ] {
            let e = eval::apply(f, Literal::zeros(Type::new(d, [2]))).unwrap_err().to_string();
            let want = format!("internal error: {} has no evaluation in {d}", f.name());
            assert!(e.starts_with(&want), "{e}");
        }
        assert!(Not.of_f32(1.0).is_nan());
    }

    #[test]
    fn corners_of_floats() {
        assert_eq!(eval(Sign, &[&vector(&[-2.0f32, 0.0, 3.0])]).to_f64s(), [-1.0, 0.0, 1.0]);
        assert!(real(Sign, f64::NAN).is_nan() && real(Sign, -0.0).is_sign_negative());
        assert_eq!(eval(RoundEven, &[&vector(&[0.5, 1.5, -2.5])]).to_f64s(), [0.0, 2.0, -2.0]);
        assert_eq!(eval(RoundAway, &[&vector(&[0.5, 1.5, -2.5])]).to_f64s(), [1.0, 2.0, -3.0]);
        assert_eq!(
            (real(Logistic, -1000.0), real(Logistic, 1000.0), real(Logistic, 0.0)),
            (0.0, 1.0, 0.5)
        );
        assert_eq!(
            (real(Cbrt, -8.0), real(Rsqrt, 4.0), real(Rsqrt, 0.0)),
            (-2.0, 0.5, f64::INFINITY)
        );
        assert!(real(Log, -1.0).is_nan() && real(Log, 0.0) == f64::NEG_INFINITY);
        assert!(
            [0.5, -1.0, -7500.0, f64::NEG_INFINITY].iter().all(|&x| real(Acosh, x).is_nan())
                && real(Acosh, 1.0) == 0.0
        );
        assert_eq!((real(Lgamma, 0.0), real(Erfc, f64::INFINITY)), (f64::INFINITY, 0.0));
        assert_eq!(
            eval(IsFinite, &[&vector(&[1.0, f64::NAN, f64::INFINITY])]).to_vec::<bool>().unwrap(),
            [true, false, false]
        );
        assert_eq!(real(Expm1, 1e-20), 1e-20);
        assert!((real(Asinh, 1e-10) - 1e-10).abs() < 1e-25 && real(Acosh, 1e300) > 600.0);
    }

    #[test]
    fn integers_wrap_and_count_bits_in_their_width() {
        assert_eq!(eval(Neg, &[&vector(&[i8::MIN, 5])]).to_vec::<i8>().unwrap(), [i8::MIN, -5]);
        assert_eq!(eval(Abs, &[&vector(&[i32::MIN, -7])]).to_vec::<i32>().unwrap(), [i32::MIN, 7]);
        assert_eq!(eval(Neg, &[&of(DType::U2, &[1.0, 0.0])]).to_f64s(), [3.0, 0.0]);
        assert_eq!(eval(Neg, &[&of(DType::I4, &[-8.0, 7.0])]).to_f64s(), [-8.0, -7.0]);
        assert_eq!(eval(Not, &[&vector(&[true, false])]).to_vec::<bool>().unwrap(), [false, true]);
        assert_eq!(eval(Not, &[&of(DType::U4, &[5.0])]).to_f64s(), [10.0]);
        assert_eq!(eval(Not, &[&of(DType::I2, &[1.0])]).to_f64s(), [-2.0]);
        assert_eq!(eval(PopulationCount, &[&of(DType::I4, &[-1.0, 3.0])]).to_f64s(), [4.0, 2.0]);
        assert_eq!(eval(PopulationCount, &[&vector(&[-1i64])]).to_f64s(), [64.0]);
        assert_eq!(
            eval(CountLeadingZeros, &[&of(DType::U4, &[0.0, 1.0, 8.0])]).to_f64s(),
            [4.0, 3.0, 0.0]
        );
        assert_eq!(eval(CountLeadingZeros, &[&of(DType::I4, &[-1.0, 1.0])]).to_f64s(), [0.0, 3.0]);
        // A 2-bit integer can only represent the count 2 if it is unsigned.
        assert_eq!(eval(CountLeadingZeros, &[&of(DType::U2, &[0.0])]).to_f64s(), [2.0]);
        assert_eq!(eval(CountLeadingZeros, &[&vector(&[0u64, 1])]).to_f64s(), [64.0, 63.0]);
    }

    #[test]
    fn complex_numbers_have_real_parts() {
        let z = vector(&[Complex::new(3.0f32, -4.0), Complex::new(0.0, 0.0)]);
        assert_eq!(eval(Abs, &[&z]).to_vec::<f32>().unwrap(), [5.0, 0.0]);
        assert_eq!(eval(Real, &[&z]).to_vec::<f32>().unwrap(), [3.0, 0.0]);
        assert_eq!(eval(Imag, &[&z]).to_vec::<f32>().unwrap(), [-4.0, 0.0]);
        assert_eq!(eval(Conj, &[&z]).to_vec::<Complex<f32>>().unwrap()[0], Complex::new(3.0, 4.0));
        assert_eq!(
            eval(Sign, &[&z]).to_vec::<Complex<f32>>().unwrap(),
            [Complex::new(0.6, -0.8), Complex::new(0.0, 0.0)]
        );
        assert_eq!(eval(Sqrt, &[&z]).to_vec::<Complex<f32>>().unwrap()[0], Complex::new(2.0, -1.0));
        let w = vector(&[Complex::new(f64::NAN, 0.0), Complex::new(0.0, f64::INFINITY)]);
        assert_eq!(eval(IsFinite, &[&w]).to_f64s(), [0.0, 0.0]);
        assert_eq!(eval(Imag, &[&vector(&[3.0f32])]).to_f64s(), [0.0], "of a real number");
    }

    #[test]
    fn a_narrow_float_is_rounded_on_store() {
        let y = eval(Exp, &[&of(DType::BF16, &[1.0])]);
        assert_eq!((y.dtype(), y.to_f64s()), (DType::BF16, vec![2.71875]));
    }

    #[test]
    fn the_only_reference_is_reused() {
        let op: Op = Tanh.into();
        let x = vector(&[1.0f32, 2.0]);
        let (kept, address) = (x.clone(), x.bytes().address());
        let mut cx = Eval::default();
        let y = op.eval(&mut cx, vec![x]).unwrap().swap_remove(0);
        assert!(y.bytes().address() != address && cx.reused == 0, "it has another owner");
        let y = op.eval(&mut cx, vec![kept]).unwrap().swap_remove(0);
        assert!(y.bytes().address() == address && cx.reused == 1);
    }

    #[test]
    fn wrong_operands_are_errors() {
        let f32s = Type::new(DType::F32, [2]);
        assert_eq!(
            refusal(Sin, &[Type::new(DType::I32, [2])]),
            "sine: expected a float or complex operand, got i32[2]; convert it first"
        );
        assert_eq!(
            refusal(Not, std::slice::from_ref(&f32s)),
            "not: expected a bool or unsigned integer or signed integer operand, got f32[2]; \
             convert it first"
        );
        assert_eq!(
            refusal(Exp, &[f32s.clone(), f32s]),
            "exponential: expected 1 operand, got 2: f32[2], f32[2]"
        );
    }
}
