//! Changing the dtype.

use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, pointwise::*, rules::*};
use crate::{Builder, Compute, DType, Eval, Literal, Result, Type, Value, graph::attr::attrs, with_compute};

attrs! {
    /// The same numbers in another dtype: floats round to nearest even, to integers they truncate (saturating, NaN gives
    /// 0), integers wrap, bool asks for non-zero, complex numbers lose the imaginary part.
    /// <https://openxla.org/stablehlo/spec#convert>
    pub struct Convert = "convert" {
        /// The new dtype.
        dtype: DType,
    }

    /// The same bits under another dtype of the same width. <https://openxla.org/stablehlo/spec#bitcast_convert>
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
        Ok(vec![with_compute!(any x.dtype(), S => from_slice(&x.load::<S>(), x.ty(), self.dtype)?)])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        if !self.dtype.is_differentiable() {
            return Ok(no_tangents(at));
        }
        Ok(vec![dxs[0].map(|dx| b.convert(dx, self.dtype))])
    }

    fn transpose(&self, b: &mut Builder, at: &Bound, linear: &[bool], cts: &[Option<Value>]) -> Transposed {
        let from = b.dtype(at.xs[0]);
        if !from.is_differentiable() || !self.dtype.is_differentiable() {
            return Transposed::NotLinear;
        }
        // Taking the real part and adding a zero imaginary part are each other's transposes.
        Transposed::Cotangents(vec![cts[0].filter(|_| linear[0]).map(|ct| b.convert(ct, from))])
    }

    fn batch(&self, b: &mut Builder, axis: &Axis, xs: &[Value], dims: &[Option<usize>]) -> Result<Batched> {
        batch(b, self.clone(), 1, axis, xs, dims)
    }

    fn samples() -> Vec<Sample> {
        let rows = |dtype: DType| samples(Convert { dtype }, |_| true, &[-3.0..3.0], dtype.is_differentiable());
        DType::ALL.into_iter().flat_map(rows).collect()
    }
}

fn from_slice<S: Compute>(xs: &[S], from: &Type, to: DType) -> Result<Literal> {
    if to == DType::Bool {
        return bools(&from.shape, |out| out.iter_mut().zip(xs).for_each(|(o, x)| *o = (*x != S::ZERO) as u8));
    }
    let ty = from.with_dtype(to);
    if to.is_float() && to.bits() < 32 && S::DTYPE != DType::F32 {
        // Stored from f64, so that it is rounded once.
        return Ok(Literal::build(ty, |out: &mut [f64]| if S::DTYPE.is_int() { copy(xs, out, sticky) } else { copy(xs, out, S::to_f64) }));
    }
    Ok(with_compute!(any to, T => Literal::build(ty, |out: &mut [T]| cast(xs, out))))
}

/// Integers go through i128, which holds all of them; other numbers through f64.
fn cast<S: Compute, T: Compute>(xs: &[S], out: &mut [T]) {
    if S::DTYPE.is_complex() && T::DTYPE.is_complex() {
        copy(xs, out, |x| { let (re, im) = x.parts(); T::from_parts(re, im) });
    } else if S::DTYPE.is_int() {
        copy(xs, out, |x| T::from_i128(x.to_i128()));
    } else {
        copy(xs, out, |x| T::from_f64(x.to_f64()));
    }
}

fn copy<S: Copy, T>(xs: &[S], out: &mut [T], f: impl Fn(S) -> T) {
    out.iter_mut().zip(xs).for_each(|(o, &x)| *o = f(x));
}

/// An integer as f64, what does not fit kept in one sticky bit: rounding it again to fewer bits is then right.
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
            let fit: Vec<&str> = DType::ALL.into_iter().filter(|&d| can_cast_bits(from, d)).map(|d| d.name()).collect();
            return refuse(Self::NAME, format!("the bits of {} cannot be read as {}; they can as {}", xs[0], self.dtype, fit.join(", ")));
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
        no_derivative(Self::NAME, "bits under another dtype are another number; use convert, or stop_gradient before it")
    }

    fn transpose(&self, _: &mut Builder, _: &Bound, _: &[bool], _: &[Option<Value>]) -> Transposed {
        Transposed::NotLinear
    }

    fn batch(&self, b: &mut Builder, axis: &Axis, xs: &[Value], dims: &[Option<usize>]) -> Result<Batched> {
        batch(b, self.clone(), 1, axis, xs, dims)
    }

    fn samples() -> Vec<Sample> {
        let rows = |dtype: DType| samples(BitcastConvert { dtype }, |d| can_cast_bits(d, dtype), &[-3.0..3.0], false);
        DType::ALL.into_iter().flat_map(rows).collect()
    }
}

/// Same width; not bool, of whose bits most are no value; complex numbers only to themselves, as in StableHLO.
fn can_cast_bits(from: DType, to: DType) -> bool {
    from == to || (from.bits() == to.bits() && ![from, to].iter().any(|&d| d == DType::Bool || d.is_complex()))
}
