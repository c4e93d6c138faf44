//! `reduce_precision`: rounds to a narrower float format.

use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, pointwise::*, rules::*};
use crate::{
    Builder, Compute, DType, Eval, FloatFormat, Literal, OrBug, Result, Type, Value,
    graph::attr::attrs, with_compute,
};

attrs! {
    /// The elements rounded to a float format with fewer bits, in the same dtype. Ties round to
    /// even, overflow becomes infinite, numbers below the normal range become zero, NaN stays NaN.
    /// Formats with more bits than the dtype change nothing.
    /// <https://openxla.org/stablehlo/spec#reduce_precision>
    pub struct ReducePrecision = "reduce_precision" {
        /// The number of exponent bits, at least one.
        exponent_bits: u32,
        /// The number of mantissa bits, without the implicit leading one.
        mantissa_bits: u32,
    }
}

impl Primitive for ReducePrecision {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        check_kind(Self::NAME, &xs[0], FLOATS)?;
        if self.exponent_bits == 0 {
            return refuse(Self::NAME, "expected at least one exponent bit, got 0");
        }
        Ok(vec![xs[0].clone()])
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let x = xs.swap_remove(0);
        let from = FloatFormat::of(x.dtype()).or_bug("the operand is a float")?;
        let (y, inplace) = with_compute!(float x.dtype(), C => {
            x.edit(|v: &mut [C]| each(v, |x| C::from_f64(self.round(x.to_f64(), from))))
        }, else (x, true));
        cx.count_reuse(inplace);
        Ok(vec![y])
    }

    /// Rounds the tangents, too, as JAX does: rounding counts as linear, like [`super::Convert`].
    fn jvp(&self, b: &mut Builder, _: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(vec![dxs[0].map(|dx| b.emit(self.clone(), &[dx]))])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        _: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        Transposed::Cotangents(vec![
            cts[0].filter(|_| linear[0]).map(|ct| b.emit(self.clone(), &[ct])),
        ])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        batch(b, self.clone(), 1, axis, xs, dims)
    }

    /// Returns rows with formats so close to the dtype's that rounding is linear within its
    /// precision.
    fn samples() -> Vec<Sample> {
        let rows = |(d, f): (DType, FloatFormat)| {
            let formats = [
                (f.exponent_bits, f.mantissa_bits - 1),
                (f.exponent_bits + 1, f.mantissa_bits + 1),
                (u32::MAX, u32::MAX),
            ];
            formats.into_iter().flat_map(move |(exponent_bits, mantissa_bits)| {
                samples(
                    ReducePrecision { exponent_bits, mantissa_bits },
                    |e| e == d,
                    &[-3.0..3.0],
                    true,
                )
            })
        };
        let floats = DType::ALL.into_iter().filter(|d| d.is_float());
        floats.filter_map(|d| Some((d, FloatFormat::of(d)?))).flat_map(rows).collect()
    }
}

impl ReducePrecision {
    /// Rounds `x`, a number of format `from`.
    fn round(&self, x: f64, from: FloatFormat) -> f64 {
        if x == 0.0 || !x.is_finite() {
            return x;
        }
        let mut y = x;
        if self.mantissa_bits < from.mantissa_bits {
            // All subnormal numbers have the same exponent, hence the same unit in the last place.
            let unit = libm::ilogb(x).max(from.min_exponent()) - self.mantissa_bits as i32;
            y = libm::scalbn(libm::scalbn(x, -unit).round_ties_even(), unit);
        }
        if self.exponent_bits < from.exponent_bits && y != 0.0 && y.is_finite() {
            // Normal numbers have exponents `1 - bias` to `bias`.
            let bias = (1 << (self.exponent_bits - 1)) - 1;
            let exponent = libm::ilogb(y);
            if exponent > bias {
                y = f64::INFINITY.copysign(x);
            } else if exponent < 1 - bias {
                y = 0f64.copysign(x);
            }
        }
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::pointwise::testing::*;
    use crate::{bf16, f16};

    fn reduced(exponent_bits: u32, mantissa_bits: u32, x: &Literal) -> Vec<f64> {
        eval(ReducePrecision { exponent_bits, mantissa_bits }, &[x]).to_f64s()
    }

    #[test]
    fn the_format_of_bf16_rounds_as_bf16() {
        let x: Vec<f32> =
            (0..2000).map(|i| f32::from_bits(i * 2_147_483 + 77)).filter(|x| !x.is_nan()).collect();
        let want: Vec<f64> = x.iter().map(|&x| bf16::from_f32(x).to_f64()).collect();
        assert_eq!(reduced(8, 7, &vector(&x)), want, "subnormal numbers included");
    }

    #[test]
    fn the_format_of_f16_rounds_as_f16_except_for_subnormals() {
        let x: Vec<f32> = spread(500, -7e4, 7e4)
            .into_iter()
            .chain(spread(500, -1e-3, 1e-3))
            .map(|x| x as f32)
            .collect();
        let half = |x: f32| {
            let y = f16::from_f32(x).to_f64();
            if y.abs() < f16::MIN_POSITIVE.to_f64() { 0.0 } else { y }
        };
        assert_eq!(reduced(5, 10, &vector(&x)), x.iter().map(|&x| half(x)).collect::<Vec<_>>());
    }

    #[test]
    fn ties_go_to_even_and_signs_stay() {
        let x = vector(&[1.5, 2.5, 3.5, -2.5, 1e-320, f64::MAX, -0.0]);
        assert_eq!(reduced(11, 0, &x), [2.0, 2.0, 4.0, -2.0, 0.0, f64::INFINITY, 0.0]);
        let y = reduced(2, 52, &vector(&[1.5, -4.0, 4.0, -0.5, 0.0, -0.0]));
        assert_eq!(y, [1.5, f64::NEG_INFINITY, f64::INFINITY, 0.0, 0.0, 0.0]);
        assert!(y[3].is_sign_negative() && y[5].is_sign_negative() && y[4].is_sign_positive());
        let odd = vector(&[f64::NAN, f64::INFINITY]);
        assert!(reduced(2, 1, &odd)[0].is_nan() && reduced(2, 1, &odd)[1] == f64::INFINITY);
        assert_eq!(reduced(u32::MAX, u32::MAX, &vector(&[5e-324, 0.1])), [5e-324, 0.1]);
    }

    #[test]
    fn invalid_formats_are_errors() {
        let op = |exponent_bits| ReducePrecision { exponent_bits, mantissa_bits: 3 };
        assert_eq!(
            refusal(op(0), &[Type::scalar(DType::F32)]),
            "reduce_precision: expected at least one exponent bit, got 0"
        );
        assert!(
            refusal(op(3), &[Type::scalar(DType::I32)])
                .starts_with("reduce_precision: expected a float operand, got i32[]")
        );
    }
}
