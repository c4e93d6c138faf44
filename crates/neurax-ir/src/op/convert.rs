//! Conversions of the dtype: `convert` by value, `bitcast_convert` by bits.

use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, pointwise::*, rules::*};
use crate::{
    Builder, Compute, DType, Eval, FloatFormat, Kind, Literal, Result, Type, Value,
    graph::attr::attrs, with_compute,
};

attrs! {
    /// The elements converted to another dtype. Floats round to nearest even, or truncate to
    /// integers (saturating; NaN becomes 0); docs/dtypes.md has a table. Integers wrap. A bool is
    /// true for non-zero values. Complex numbers lose the imaginary part when they become real.
    /// <https://openxla.org/stablehlo/spec#convert>
    pub struct Convert = "convert" {
        /// The new dtype.
        dtype: DType,
    }

    /// The elements with their bits reinterpreted as another dtype of the same width.
    /// <https://openxla.org/stablehlo/spec#bitcast_convert>
    pub struct BitcastConvert = "bitcast_convert" {
        /// The new dtype.
        dtype: DType,
    }
}

impl Primitive for Convert {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        Ok(vec![xs[0].with_dtype(self.dtype)])
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let x = xs.swap_remove(0);
        if x.dtype() == self.dtype {
            cx.count_reuse(true);
            return Ok(vec![x]);
        }
        let y = with_compute!(any x.dtype(), S => {
            convert_elements(&x.load::<S>(), x.ty(), self.dtype)?
        });
        Ok(vec![y])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        if self.dtype.is_storage() && dxs[0].is_some() {
            return no_derivative(
                Self::NAME,
                "the result is only stored and moved; use stop_gradient before it, or round with \
                 reduce_precision",
            );
        }
        if !self.dtype.is_differentiable() {
            return Ok(no_tangents(at));
        }
        Ok(vec![dxs[0].map(|dx| b.convert(dx, self.dtype))])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let from = b.dtype(at.xs[0]);
        if !from.is_differentiable() || !self.dtype.is_differentiable() {
            return Transposed::NotLinear;
        }
        // Taking the real part and adding a zero imaginary part are each other's transposes.
        Transposed::Cotangents(vec![cts[0].filter(|_| linear[0]).map(|ct| b.convert(ct, from))])
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

    fn samples() -> Vec<Sample> {
        let rows = |dtype: DType| {
            samples(Convert { dtype }, |_| true, &[-3.0..3.0], dtype.is_differentiable())
        };
        DType::ALL.into_iter().flat_map(rows).collect()
    }
}

/// Converts elements of type `from` to a literal of dtype `to`.
fn convert_elements<S: Compute>(xs: &[S], from: &Type, to: DType) -> Result<Literal> {
    if to == DType::Bool {
        return bools(&from.shape, |out| {
            out.iter_mut().zip(xs).for_each(|(o, x)| *o = (*x != S::ZERO) as u8)
        });
    }
    let ty = from.with_dtype(to);
    if FloatFormat::of(to).is_some_and(|f| f.bits() < 32) && S::DTYPE != DType::F32 {
        // Stored directly from f64, so that it is rounded only once.
        return Ok(Literal::build(ty, |out: &mut [f64]| {
            if S::DTYPE.is_int() { copy(xs, out, sticky) } else { copy(xs, out, S::to_f64) }
        }));
    }
    if to.is_int() && to.bits() < 8 && !S::DTYPE.is_int() {
        let (low, high) = range(to);
        return Ok(Literal::build(ty, |out: &mut [i8]| {
            copy(xs, out, |x| x.to_f64().clamp(low, high) as i8)
        }));
    }
    Ok(with_compute!(any to, T => Literal::build(ty, |out: &mut [T]| cast(xs, out))))
}

/// Returns the least and greatest value of an integer dtype of less than 8 bits. Such integers are
/// stored by way of i8, whose own saturation would come too late.
fn range(dtype: DType) -> (f64, f64) {
    let count = f64::from(1u32 << dtype.bits());
    if dtype.kind() == Kind::Signed {
        (-count / 2.0, count / 2.0 - 1.0)
    } else {
        (0.0, count - 1.0)
    }
}

/// Casts integers through i128, which represents all of them, and other numbers through f64.
fn cast<S: Compute, T: Compute>(xs: &[S], out: &mut [T]) {
    if S::DTYPE.is_complex() && T::DTYPE.is_complex() {
        copy(xs, out, |x| {
            let (re, im) = x.parts();
            T::from_parts(re, im)
        });
    } else if S::DTYPE.is_int() {
        copy(xs, out, |x| T::from_i128(x.to_i128()));
    } else {
        copy(xs, out, |x| T::from_f64(x.to_f64()));
    }
}

fn copy<S: Copy, T>(xs: &[S], out: &mut [T], f: impl Fn(S) -> T) {
    out.iter_mut().zip(xs).for_each(|(o, &x)| *o = f(x));
}

/// Converts an integer to f64. Bits that do not fit are or-ed into one sticky bit, so that a second
/// rounding to a narrower float is correct.
fn sticky<S: Compute>(x: S) -> f64 {
    let x = x.to_i128();
    let fits = x.unsigned_abs() >> 53 == 0;
    if fits { x as f64 } else { (((x >> 11) | (x & 0x7ff != 0) as i128) << 11) as f64 }
}

impl Primitive for BitcastConvert {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        let from = xs[0].dtype;
        if !can_cast_bits(from, self.dtype) {
            let fit: Vec<&str> = DType::ALL
                .into_iter()
                .filter(|&d| can_cast_bits(from, d))
                .map(|d| d.name())
                .collect();
            return refuse(
                Self::NAME,
                format!(
                    "the bits of {} cannot be read as {}; expected one of {}",
                    xs[0],
                    self.dtype,
                    fit.join(", ")
                ),
            );
        }
        Ok(vec![xs[0].with_dtype(self.dtype)])
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let x = xs.swap_remove(0);
        let ty = x.ty().with_dtype(self.dtype);
        cx.count_reuse(true);
        Ok(vec![x.with_type(ty)?])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        if !self.dtype.is_differentiable() {
            return Ok(no_tangents(at));
        }
        if b.dtype(at.xs[0]) == self.dtype {
            return Ok(vec![dxs[0]]);
        }
        no_derivative(
            Self::NAME,
            "the same bits are another number in another dtype; use convert, or stop_gradient \
             before it",
        )
    }

    fn transpose(&self, _: &mut Builder, _: &Bound, _: &[bool], _: &[Option<Value>]) -> Transposed {
        Transposed::NotLinear
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

    fn samples() -> Vec<Sample> {
        let rows = |dtype: DType| {
            samples(BitcastConvert { dtype }, |d| can_cast_bits(d, dtype), &[-3.0..3.0], false)
        };
        DType::ALL.into_iter().flat_map(rows).collect()
    }
}

/// Returns true if bits of `from` can be reinterpreted as `to`: the dtypes have the same width, and
/// neither is bool or a 6-bit float, most of whose bit patterns are no value. Complex dtypes only
/// allow themselves, as in StableHLO.
fn can_cast_bits(from: DType, to: DType) -> bool {
    from == to
        || (from.bits() == to.bits()
            && ![from, to].into_iter().any(|d| has_unused_bits(d) || d.is_complex()))
}

/// Returns true for bool and floats of 6 bits, whose other bits in a byte are zero.
fn has_unused_bits(d: DType) -> bool {
    d == DType::Bool || FloatFormat::of(d).is_some_and(|f| (f.bits() as usize) < d.bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::pointwise::testing::*;
    use crate::{Complex, bf16};

    fn to(dtype: DType, x: &Literal) -> Literal {
        eval(Convert { dtype }, &[x])
    }

    #[test]
    fn small_numbers_survive_a_round_trip() {
        let holds = |&d: &DType| of(d, &[0.0, 1.0]).to_f64s() == [0.0, 1.0];
        for a in DType::ALL.into_iter().filter(|d| *d != DType::F8E8M0FNU) {
            for b in DType::ALL.into_iter().filter(holds) {
                let x = of(a, &[0.0, 1.0, 1.0]);
                assert_eq!(to(a, &to(b, &x)), x, "{a} by way of {b}");
            }
        }
    }

    #[test]
    fn floats_truncate_and_saturate() {
        let x = vector(&[1.9, -1.9, 1e30, -1e30, f64::NAN]);
        assert_eq!(to(DType::I32, &x).to_vec::<i32>().unwrap(), [1, -1, i32::MAX, i32::MIN, 0]);
        assert_eq!(to(DType::U8, &x).to_vec::<u8>().unwrap(), [1, 0, 255, 0, 0]);
        assert_eq!(to(DType::I64, &vector(&[-1e30f32])).to_vec::<i64>().unwrap(), [i64::MIN]);
        assert_eq!(to(DType::I4, &x).to_f64s(), [1.0, -1.0, 7.0, -8.0, 0.0]);
        assert_eq!(to(DType::U2, &x).to_f64s(), [1.0, 0.0, 3.0, 0.0, 0.0]);
    }

    #[test]
    fn integers_wrap_and_keep_all_bits() {
        let x = vector(&[i64::MAX, -1, 300]);
        assert_eq!(to(DType::U64, &x).to_vec::<u64>().unwrap(), [i64::MAX as u64, u64::MAX, 300]);
        assert_eq!(to(DType::I8, &x).to_vec::<i8>().unwrap(), [-1, -1, 44]);
        assert_eq!(to(DType::U4, &x).to_f64s(), [15.0, 15.0, 12.0]);
        assert_eq!(to(DType::I2, &vector(&[2u8, 3])).to_f64s(), [-2.0, -1.0]);
        assert_eq!(to(DType::F32, &vector(&[u64::MAX])).to_f64s(), [18446744073709551616.0]);
    }

    #[test]
    fn bool_is_true_for_non_zero() {
        assert_eq!(
            to(DType::Bool, &vector(&[0.0, 0.5, f64::NAN, -0.0])).to_f64s(),
            [0.0, 1.0, 1.0, 0.0]
        );
        assert_eq!(to(DType::Bool, &vector(&[Complex::new(0.0f32, 1.0)])).to_f64s(), [1.0]);
        assert_eq!(to(DType::Bool, &vector(&[256i32, 0])).to_f64s(), [1.0, 0.0]);
        assert_eq!(
            to(DType::C64, &vector(&[true])).to_vec::<Complex<f32>>().unwrap(),
            [Complex::new(1.0, 0.0)]
        );
    }

    #[test]
    fn complex_numbers_lose_the_imaginary_part() {
        let z = vector(&[Complex::new(1.5f64, 2.0)]);
        assert_eq!(to(DType::F32, &z).to_vec::<f32>().unwrap(), [1.5]);
        assert_eq!(to(DType::C64, &z).to_vec::<Complex<f32>>().unwrap(), [Complex::new(1.5, 2.0)]);
        assert_eq!(to(DType::I8, &z).to_f64s(), [1.0]);
    }

    #[test]
    fn one_rounding_only() {
        // Just above the midpoint of two bf16; rounded to f32 first it would be that midpoint.
        let above = 1.0 + 2f64.powi(-8) + 2f64.powi(-40);
        assert_eq!(
            to(DType::BF16, &vector(&[above])).to_vec::<bf16>().unwrap(),
            [bf16::from_f32(1.0078125)]
        );
        let tie = 1i64 << 54;
        assert_eq!(
            to(DType::BF16, &vector(&[(tie << 8) + tie + 1])).to_f64s(),
            [((tie << 8) + 2 * tie) as f64]
        );
    }

    #[test]
    fn bitcast_keeps_the_bits() {
        let bits = eval(BitcastConvert { dtype: DType::U32 }, &[&vector(&[1.0f32])]);
        assert_eq!(bits.to_vec::<u32>().unwrap(), [0x3f80_0000]);
        assert_eq!(
            eval(BitcastConvert { dtype: DType::I4 }, &[&of(DType::U4, &[15.0])]).to_f64s(),
            [-1.0]
        );
        let e = refusal(BitcastConvert { dtype: DType::F64 }, &[Type::new(DType::F32, [2])]);
        assert_eq!(
            e,
            "bitcast_convert: the bits of f32[2] cannot be read as f64; expected one of u32, i32, \
             f32"
        );
        assert!(BitcastConvert { dtype: DType::Bool }.infer(&[Type::new(DType::U8, [2])]).is_err());
    }
}
