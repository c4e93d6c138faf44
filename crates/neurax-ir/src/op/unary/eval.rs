//! Evaluation of unary functions: one row per function for floats, complex numbers and integers.

use super::Unary::{self, *};
use crate::op::{complex, exp::Exp as _, pointwise::*, special};
use crate::{Complex, Compute, DType, Literal, Result, with_compute};

/// Applies `f` to every element; also returns whether that happened in place.
pub fn apply(f: Unary, x: Literal) -> Result<(Literal, bool)> {
    let dtype = x.dtype();
    match f {
        IsFinite => Ok((is_finite(&x)?, false)),
        Real | Conj if !dtype.is_complex() => Ok((x, true)),
        Abs if dtype.is_complex() => Ok((to_real(&x, |re, im| re.hypot(im)), false)),
        Real if dtype.is_complex() => Ok((to_real(&x, |re, _| re), false)),
        Imag if dtype.is_complex() => Ok((to_real(&x, |_, im| im), false)),
        _ => {
            let mut outcome = Ok(());
            let edited = with_compute!(any dtype, C => {
                x.edit(|v: &mut [C]| outcome = C::unary(f, dtype, v))
            });
            outcome.map(|()| edited)
        }
    }
}

/// Applies `f` to one element.
///
/// # Errors
/// If `f` has no evaluation in `dtype`.
pub fn of_element<C: UnaryElement>(f: Unary, dtype: DType, x: C) -> Result<C> {
    let mut v = [x];
    C::unary(f, dtype, &mut v)?;
    Ok(v[0])
}

fn is_finite(x: &Literal) -> Result<Literal> {
    with_compute!(any x.dtype(), C => {
        let xs = x.load::<C>();
        let finite = |c: &C| { let (re, im) = c.parts(); re.is_finite() && im.is_finite() };
        bools(x.shape(), |out| out.iter_mut().zip(&*xs).for_each(|(o, x)| *o = finite(x) as u8))
    })
}

/// Applies a function of the real and imaginary parts, with real results.
fn to_real(x: &Literal, f: fn(f64, f64) -> f64) -> Literal {
    let ty = x.ty().with_dtype(x.dtype().real());
    with_compute!(any x.dtype(), C => {
        let xs = x.load::<C>();
        with_compute!(float ty.dtype, R => Literal::build(ty, |out: &mut [R]| {
            let of = |x: &C| { let (re, im) = x.parts(); R::from_f64(f(re, im)) };
            out.iter_mut().zip(&*xs).for_each(|(o, x)| *o = of(x))
        }), else x.clone())
    })
}

/// A type that unary functions are computed in.
pub trait UnaryElement: Compute {
    /// Applies `f` to all elements, in place.
    ///
    /// # Errors
    /// If `f` has no evaluation in `dtype`.
    fn unary(f: Unary, dtype: DType, v: &mut [Self]) -> Result<()>;
}

macro_rules! float_rows {
    ($($t:ident),*) => {$(
        impl UnaryElement for $t {
            fn unary(f: Unary, dtype: DType, v: &mut [$t]) -> Result<()> {
                match f {
                    Neg => each(v, |x| -x),
                    Abs => each(v, |x| x.abs()),
                    Sign => each(v, |x| {
                        if x == 0.0 || x.is_nan() { x } else { $t::copysign(1.0, x) }
                    }),
                    Exp => each(v, |x| x.exponential()),
                    Expm1 => each(v, |x| x.exponential_minus_one()),
                    Log => each(v, |x| x.ln()),
                    Log1p => each(v, |x| x.ln_1p()),
                    Sin => each(v, |x| x.sin()),
                    Cos => each(v, |x| x.cos()),
                    Tan => each(v, |x| x.tan()),
                    Asin => each(v, |x| x.asin()),
                    Acos => each(v, |x| x.acos()),
                    Atan => each(v, |x| x.atan()),
                    Sinh => each(v, |x| x.sinh()),
                    Cosh => each(v, |x| x.cosh()),
                    Tanh => each(v, |x| x.hyperbolic_tangent()),
                    Sqrt => each(v, |x| x.sqrt()),
                    Rsqrt => each(v, |x| 1.0 / x.sqrt()),
                    Cbrt => each(v, |x| x.cbrt()),
                    Logistic => each(v, |x| x.logistic()),
                    Floor => each(v, |x| x.floor()),
                    Ceil => each(v, |x| x.ceil()),
                    RoundEven => each(v, |x| x.round_ties_even()),
                    RoundAway => each(v, |x| x.round()),
                    Imag => each(v, |_| 0.0),
                    // libm's inverse hyperbolic functions are accurate near 0 and 1, std's are not.
                    Asinh => wide(v, libm::asinh),
                    // Far below 1 libm returns numbers instead of NaN.
                    Acosh => wide(v, |x| if x < 1.0 { f64::NAN } else { libm::acosh(x) }),
                    Atanh => wide(v, libm::atanh),
                    Erf => wide(v, libm::erf),
                    Erfc => wide(v, libm::erfc),
                    ErfInv => wide(v, special::erf_inv),
                    Lgamma => wide(v, libm::lgamma),
                    Digamma => wide(v, special::digamma),
                    BesselI0e => wide(v, special::bessel_i0e),
                    BesselI1e => wide(v, special::bessel_i1e),
                    // A real number is its own real part and conjugate.
                    Real | Conj => {}
                    IsFinite | Not | PopulationCount | CountLeadingZeros => {
                        return no_evaluation(f.name(), dtype);
                    }
                }
                Ok(())
            }
        }
    )*};
}

/// Applies a function that is implemented in f64 only.
fn wide<C: Compute>(v: &mut [C], f: fn(f64) -> f64) {
    each(v, |x| C::from_f64(f(x.to_f64())));
}

macro_rules! complex_rows {
    ($($t:ident),*) => {$(
        impl UnaryElement for Complex<$t> {
            fn unary(f: Unary, dtype: DType, v: &mut [Self]) -> Result<()> {
                match f {
                    Neg => each(v, |z| -z),
                    Conj => each(v, |z| z.conj()),
                    _ => {
                        let f = complex_function(f, dtype)?;
                        each(v, |z| {
                            let (re, im) = z.parts();
                            let w = f(Complex::new(re, im));
                            Complex::from_parts(w.re, w.im)
                        })
                    }
                }
                Ok(())
            }
        }
    )*};
}

/// Returns the complex function `f`, computed in f64 for both widths.
///
/// # Errors
/// If `f` has no evaluation in complex numbers.
fn complex_function(f: Unary, dtype: DType) -> Result<fn(Complex<f64>) -> Complex<f64>> {
    Ok(match f {
        Neg => |z| -z,
        Conj => |z| z.conj(),
        Sign => complex::sign,
        Exp => complex::exp,
        Expm1 => complex::expm1,
        Log => complex::log,
        Log1p => complex::log1p,
        Sin => complex::sin,
        Cos => complex::cos,
        Tan => complex::tan,
        Asin => complex::asin,
        Acos => complex::acos,
        Atan => complex::atan,
        Sinh => complex::sinh,
        Cosh => complex::cosh,
        Tanh => complex::tanh,
        Asinh => complex::asinh,
        Acosh => complex::acosh,
        Atanh => complex::atanh,
        Sqrt => complex::sqrt,
        Rsqrt => |z| complex::div(Complex::new(1.0, 0.0), complex::sqrt(z)),
        Logistic => complex::logistic,
        // `apply` evaluates these: their results are not complex.
        Abs | Real | Imag | IsFinite => return no_evaluation(f.name(), dtype),
        Cbrt | Erf | Erfc | ErfInv | Lgamma | Digamma | BesselI0e | BesselI1e | Floor | Ceil
        | RoundEven | RoundAway | Not | PopulationCount | CountLeadingZeros => {
            return no_evaluation(f.name(), dtype);
        }
    })
}

macro_rules! int_rows {
    ($($t:ident),*) => {$(
        impl UnaryElement for $t {
            fn unary(f: Unary, dtype: DType, v: &mut [$t]) -> Result<()> {
                // Elements of 2 or 4 bits are computed in 8 bits: functions that count bits have to
                // ignore the upper ones.
                let mask = (!0u64 >> (64 - dtype.bits())) as $t;
                let extra = $t::BITS - dtype.bits() as u32;
                match f {
                    Neg => each(v, |x| x.wrapping_neg()),
                    Abs => each(v, |x| if x < $t::ZERO { x.wrapping_neg() } else { x }),
                    Sign => each(v, |x| {
                        if x < $t::ZERO { $t::ZERO.wrapping_sub(1) } else { (x != 0) as $t }
                    }),
                    Not if dtype == DType::Bool => each(v, |x| x ^ 1),
                    Not => each(v, |x| !x),
                    PopulationCount => each(v, |x| (x & mask).count_ones() as $t),
                    CountLeadingZeros => each(v, |x| ((x & mask).leading_zeros() - extra) as $t),
                    Exp | Expm1 | Log | Log1p | Sin | Cos | Tan | Asin | Acos | Atan | Sinh | Cosh
                    | Tanh | Asinh | Acosh | Atanh | Sqrt | Rsqrt | Cbrt | Logistic | Erf | Erfc
                    | ErfInv | Lgamma | Digamma | BesselI0e | BesselI1e | Floor | Ceil | RoundEven
                    | RoundAway | IsFinite | Real | Imag | Conj => {
                        return no_evaluation(f.name(), dtype);
                    }
                }
                Ok(())
            }
        }
    )*};
}

float_rows!(f32, f64);
complex_rows!(f32, f64);
int_rows!(u8, u16, u32, u64, i8, i16, i32, i64);
