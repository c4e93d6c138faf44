//! Parts of numbers, extrema without NaN, and kinds of numbers.

use super::common::{example, formulas, promote_and_broadcast, tensor_or_error};
use crate::{AxisInt, DType, Operand, Tensor, concat, stop_gradient, tensor::CallSite};
use neurax_ir::op::Binary;
use std::panic::Location;

formulas! {
    is_pos_inf(x) = x.infinite("is_pos_inf", f64::INFINITY, Location::caller()),
        "Tests if elements are positive infinity, element by element. The result is bool; complex \
         numbers are an error. Follows `numpy.isposinf`.",
        "tensor([1.0, f32::INFINITY, -f32::INFINITY]).is_pos_inf()" => "[false, true, false]";
    is_neg_inf(x) = x.infinite("is_neg_inf", f64::NEG_INFINITY, Location::caller()),
        "Tests if elements are negative infinity, element by element. The result is bool; complex \
         numbers are an error. Follows `numpy.isneginf`.",
        "tensor([1.0, f32::INFINITY, -f32::INFINITY]).is_neg_inf()" => "[false, false, true]";
    is_real(x) = if x.dtype().is_complex() { x.imag().equal(0) } else { x.zeros_like().equal(0) },
        "Tests if the imaginary part of elements is 0, element by element; true for real numbers. \
         The result is bool. Follows `numpy.isreal`.",
        "tensor([1.0, 2.0]).complex(tensor([0.0, 3.0])).is_real()" => "[true, false]";
    is_complex(x) = x.is_real().logical_not(),
        "Tests if the imaginary part of elements is not 0, element by element; false for real \
         numbers. The result is bool. Follows `numpy.iscomplex`.",
        "tensor([1.0, 2.0]).complex(tensor([0.0, 3.0])).is_complex()" => "[false, true]";
    spacing(x) = tensor_or_error(x.try_spacing(Location::caller())),
        "Computes the distance to the next number of the dtype away from 0, element by element, \
         with the sign of `x`; NaN for infinities. Integers and bool are converted to f32; complex \
         numbers are an error. It has no derivative. Follows `numpy.spacing`.",
        "tensor([1.0, -2.0]).spacing()" => "[1.1920929e-7, -2.3841858e-7]";
}

/// A table of extrema of two operands that ignore NaN. A row is
/// `name = Op, "doc", "code" => "value";`.
macro_rules! extrema {
    ($($f:ident = $Op:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = "\nWorks element by element, with promotion and broadcasting."]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, other: impl Operand) -> Tensor {
                let at = Location::caller();
                let other = other.operand(self);
                match promote_and_broadcast(stringify!($f), &[self.clone(), other], at).as_deref() {
                    Ok([x, y]) => {
                        let both = x.clone().binary(y.clone(), Binary::$Op, at);
                        x.is_nan().select(y, y.is_nan().select(x, both))
                    }
                    Ok(_) => self.clone(),
                    Err(e) => e.clone(),
                }
            }
        )*}
    };
}

extrema! {
    fmax = Max,
        "Computes the larger of two elements, or the other one if one is NaN. Follows \
         `numpy.fmax`.",
        "tensor([1.0, f32::NAN]).fmax(tensor([3.0, 2.0]))" => "[3.0, 2.0]";
    fmin = Min,
        "Computes the smaller of two elements, or the other one if one is NaN. Follows \
         `numpy.fmin`.",
        "tensor([1.0, f32::NAN]).fmin(tensor([3.0, 2.0]))" => "[1.0, 2.0]";
}

impl Tensor {
    /// Compares with an infinity.
    #[track_caller]
    fn infinite(&self, op: &str, value: f64, at: CallSite) -> Tensor {
        match self.real_float(op, at) {
            Ok(x) => x.is_inf() & if value > 0.0 { x.gt(0) } else { x.lt(0) },
            Err(e) => e,
        }
    }

    /// Computes [`Tensor::spacing`].
    #[track_caller]
    fn try_spacing(&self, at: CallSite) -> Result<Tensor, Tensor> {
        let x = stop_gradient(&self.real_float("spacing", at)?);
        let size = x.abs();
        let next = size.clone().binary(size.full_like(f64::INFINITY), Binary::NextAfter, at);
        let last = size.clone().binary(size.zeros_like(), Binary::NextAfter, at);
        // Nothing finite comes after the largest number.
        let step = next.is_inf().select(&size - last, next - &size);
        let step = size.is_inf().select(f64::NAN, step);
        Ok(step.copysign(x))
    }

    /// Computes the quotient rounded down and the remainder, element by element, with promotion and
    /// broadcasting: [`Tensor::floor_divide`] and [`Tensor::remainder`]. Follows `numpy.divmod`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (quotient, rest) = tensor([7, -7]).divmod(3);
    /// assert_eq!(quotient.to_vec::<i32>()?, [2, -3]);
    /// assert_eq!(rest.to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn divmod(&self, other: impl Operand) -> (Tensor, Tensor) {
        let other = other.operand(self);
        (self.floor_divide(&other), self.remainder(&other))
    }

    /// Splits numbers into the part behind the point and the whole part, both with the sign of the
    /// number: `x = part + whole`.
    ///
    /// Integers and bool are converted to f32. The part of an infinity is 0. Follows `numpy.modf`.
    ///
    /// # Errors
    ///
    /// Both results carry an error for complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (part, whole) = tensor([2.5, -1.25]).modf();
    /// assert_eq!(part.to_vec::<f32>()?, [0.5, -0.25]);
    /// assert_eq!(whole.to_vec::<f32>()?, [2.0, -1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn modf(&self) -> (Tensor, Tensor) {
        match self.real_float("modf", Location::caller()) {
            Ok(x) => {
                let whole = x.trunc();
                let infinite = x.is_inf();
                let finite = infinite.select(&whole, &x);
                let part = infinite.select(0, finite - infinite.select(0, &whole));
                (infinite.select(x.zeros_like().copysign(&x), part), whole)
            }
            Err(e) => (e.clone(), e),
        }
    }

    /// Splits numbers into mantissa and exponent: `x = mantissa 2^exponent`, where the absolute
    /// value of the mantissa is at least 0.5 and below 1. The exponent is i32.
    ///
    /// 0, infinities and NaN are their own mantissas with the exponent 0. Integers and bool are
    /// converted to f32. The derivative of the mantissa is `2^-exponent`. Follows `numpy.frexp`.
    ///
    /// # Errors
    ///
    /// Both results carry an error for complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (mantissa, exponent) = tensor([6.0, -0.25, 0.0]).frexp();
    /// assert_eq!(mantissa.to_vec::<f32>()?, [0.75, -0.5, 0.0]);
    /// assert_eq!(exponent.to_vec::<i32>()?, [3, -1, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn frexp(&self) -> (Tensor, Tensor) {
        let at = Location::caller();
        match self.real_float("frexp", at).map(|x| x.wide(at)) {
            Ok((x, dtype)) => {
                let (mantissa, exponent) = split_float(&x, at);
                (mantissa.convert(dtype, at), exponent)
            }
            Err(e) => (e.clone(), e),
        }
    }

    /// Computes `x 2^n` with integers `n`, element by element, with broadcasting. It rounds only
    /// where the result is subnormal.
    ///
    /// Integers `x` are converted to f32. Follows `numpy.ldexp`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `n` has no integers, if `x` is complex, or if the shapes do
    /// not broadcast.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([0.75, -0.5]).ldexp(tensor([3, -1])).to_vec::<f32>()?, [6.0, -0.25]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn ldexp(&self, n: impl Operand) -> Tensor {
        tensor_or_error(self.try_ldexp(n, Location::caller()))
    }

    /// Computes [`Tensor::ldexp`].
    #[track_caller]
    fn try_ldexp(&self, n: impl Operand, at: CallSite) -> Result<Tensor, Tensor> {
        // A number is an i32.
        let n = n.operand(&Tensor::zeros_of(DType::I32, [0usize; 0])).integers("ldexp", at)?;
        let (x, dtype) = self.real_float("ldexp", at)?.wide(at);
        // The range of a sum of three exponents covers all numbers, subnormal ones as well.
        let limit = 3 * (FloatBits::of(x.dtype()).bias - 1);
        let n = n.clip(-limit, limit).convert(DType::I32, at);
        let third = n.clone().binary(n.number(3), Binary::Div, at);
        let factor = power_of_two(&third, x.dtype(), at);
        let rest = power_of_two(&(n - &third * 2), x.dtype(), at);
        Ok((x * &factor * factor * rest).convert(dtype, at))
    }

    /// Adds multiples of `period` along `axis` such that adjacent elements differ by at most half a
    /// period, for example to angles with the period `2 pi`.
    ///
    /// Integers and bool are converted to f32. Follows `numpy.unwrap`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `axis` is out of range, if `period` is not positive and
    /// finite, and for complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let degrees = tensor([350.0, 355.0, 0.0, 5.0]);
    /// assert_eq!(degrees.unwrap_phase(360.0, 0).to_vec::<f32>()?, [350.0, 355.0, 360.0, 365.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn unwrap_phase(&self, period: f64, axis: impl AxisInt) -> Tensor {
        tensor_or_error(self.try_unwrap_phase(period, axis, Location::caller()))
    }

    /// Computes [`Tensor::unwrap_phase`].
    #[track_caller]
    fn try_unwrap_phase(
        &self,
        period: f64,
        axis: impl AxisInt,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let axis = self.axis_at(axis, "unwrap_phase", at)?;
        if !(period > 0.0 && period.is_finite()) {
            let why = format!("expected a positive and finite period, got {period}");
            return Err(Tensor::fail("unwrap_phase", why, at));
        }
        let (x, dtype) = self.real_float("unwrap_phase", at)?.wide(at);
        let half = period / 2.0;
        let step = x.diff(1, axis);
        let wrapped = (&step + half).remainder(period) - half;
        // A step of half a period keeps its sign.
        let up = wrapped.equal(-half) & step.gt(0);
        let wrapped = up.select(half, wrapped);
        let change = step.abs().lt(half).select(0, wrapped - step).cumsum(axis);
        let rest = x.slice(axis, 1..) + change;
        Ok(concat([x.slice(axis, ..1), rest], axis).convert(dtype, at))
    }
}

/// The layout of the bits of f32 and f64.
struct FloatBits {
    /// The integer dtype of the same width.
    integer: DType,
    /// The number of bits of the mantissa behind the point.
    mantissa: i64,
    /// The number that is added to an exponent.
    bias: i64,
}

impl FloatBits {
    /// Returns the layout of f64 or, for any other dtype, of f32.
    fn of(dtype: DType) -> FloatBits {
        match dtype {
            DType::F64 => FloatBits { integer: DType::I64, mantissa: 52, bias: 1023 },
            _ => FloatBits { integer: DType::I32, mantissa: 23, bias: 127 },
        }
    }
}

/// Returns mantissa and exponent of floats of at least 32 bits.
#[track_caller]
fn split_float(x: &Tensor, at: CallSite) -> (Tensor, Tensor) {
    let bits = FloatBits::of(x.dtype());
    // Subnormal numbers become normal ones by a factor, and so do the factors of large numbers.
    let shift = bits.mantissa + 2;
    let (tiny, large) = (x.abs().lt(least_normal(&bits)), x.abs().gt(1));
    let scale = |by: i64| 2f64.powi(by as i32);
    let factor =
        tiny.select(x.full_like(scale(shift)), large.select(x.full_like(scale(-shift)), 1));
    let moved =
        tiny.select(shift, large.select(Tensor::full_of(DType::I32, [0usize; 0], -shift), 0));
    let x = x * factor;
    let plain = x.is_finite() & x.not_equal(0);
    let field = stop_gradient(&x.abs()).bitcast(bits.integer).right_shift(bits.mantissa);
    let exponent = plain.select(field.convert(DType::I32, at) - (bits.bias - 1), 0);
    let mantissa = &x * power_of_two(&-&exponent, x.dtype(), at);
    let exponent = plain.select(exponent - moved, 0);
    (plain.select(mantissa, x), exponent)
}

/// Returns the smallest normal number.
fn least_normal(bits: &FloatBits) -> f64 {
    2f64.powi(1 - bits.bias as i32)
}

/// Returns `2^n` of the dtype, f32 or f64, for i32 numbers `n` of normal powers.
#[track_caller]
fn power_of_two(n: &Tensor, dtype: DType, at: CallSite) -> Tensor {
    let bits = FloatBits::of(dtype);
    let field = n.convert(bits.integer, at) + bits.bias;
    field.left_shift(bits.mantissa).bitcast(dtype)
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn mantissas_and_exponents_are_exact_over_the_whole_range() {
        let x = [f32::MAX, f32::MIN_POSITIVE, -1.0, 0.5, 3e30, -7e-30, f32::INFINITY, -0.0];
        let (mantissa, exponent) = tensor(x).frexp();
        assert_eq!(mantissa.ldexp(&exponent).to_vec::<f32>().unwrap(), x);
        assert_eq!(exponent.to_vec::<i32>().unwrap(), [128, -125, 1, 0, 102, -96, 0, 0]);
        let x = [f64::MAX, f64::MIN_POSITIVE, 1e-300, -1e300];
        let (mantissa, exponent) = Tensor::from_vec(x.to_vec(), [4]).frexp();
        assert!(mantissa.to_vec::<f64>().unwrap().iter().all(|m| (0.5..1.0).contains(&m.abs())));
        assert_eq!(mantissa.ldexp(&exponent).to_vec::<f64>().unwrap(), x);
    }

    #[test]
    fn powers_beyond_the_range_are_infinite_or_zero() {
        let y = tensor([1.0, 1.0, f32::MAX]).ldexp(tensor([5000, -5000, -250]));
        let least = f32::MAX * 2f32.powi(-125) * 2f32.powi(-125);
        assert_eq!(y.to_vec::<f32>().unwrap(), [f32::INFINITY, 0.0, least]);
    }

    #[test]
    fn parts_of_special_numbers_are_numpys() {
        let x = tensor([f32::INFINITY, -f32::INFINITY, -0.5]);
        let (part, whole) = x.modf();
        assert_eq!(part.to_vec::<f32>().unwrap(), [0.0, -0.0, -0.5]);
        assert_eq!(whole.to_vec::<f32>().unwrap(), [f32::INFINITY, -f32::INFINITY, -0.0]);
        let steps = tensor([f32::MAX, f32::INFINITY]).spacing().to_vec::<f32>().unwrap();
        assert_eq!(steps[0], 2f32.powi(104));
        assert!(steps[1].is_nan());
        assert!(tensor([f32::NAN]).fmax(f32::NAN).is_nan().item().unwrap() == 1.0);
    }
}
