//! `select` and `clamp`: elementwise choices.

use super::{
    Axis, Batched, Binary, Bound, Direction, Primitive, Sample, Tangent, Transposed, binary::apply,
    pointwise::*, rules::*,
};
use crate::{
    Builder, Compute, DType, Eval, Literal, Result, Type, Value, graph::attr::attrs, with_compute,
};

attrs! {
    /// The elementwise choice `pred ? x : y` of operands `(pred, x, y)`; `pred` is bool, of the
    /// same shape.
    /// <https://openxla.org/stablehlo/spec#select>
    pub struct Select = "select" {}

    /// The elementwise `min(max(x, low), high)` of operands `(low, x, high)`, all of the same type.
    /// <https://openxla.org/stablehlo/spec#clamp>
    pub struct Clamp = "clamp" {}
}

impl Primitive for Select {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 3)?;
        same_type(Self::NAME, &xs[1], &xs[2])?;
        if xs[0].dtype != DType::Bool || xs[0].shape != xs[1].shape {
            return refuse(
                Self::NAME,
                format!(
                    "expected a condition of type bool{} for {}, got {}; compare or broadcast \
                     first",
                    xs[1].shape, xs[1], xs[0]
                ),
            );
        }
        Ok(vec![xs[1].clone()])
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let (y, x, pred) = (xs.swap_remove(2), xs.swap_remove(1), xs.swap_remove(0));
        let ty = x.ty().clone();
        let (x, y) = (as_codes(x)?, as_codes(y)?);
        let (out, inplace) = with_compute!(any x.dtype(), C => choose::<C>(pred.bytes(), x, y));
        cx.count_reuse(inplace);
        Ok(vec![out.with_type(ty)?])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        if !b.dtype(at.ys[0]).is_differentiable() || (dxs[1].is_none() && dxs[2].is_none()) {
            return Ok(no_tangents(at));
        }
        let (dx, dy) = (b.tangent_or_zero(dxs[1], at.xs[1]), b.tangent_or_zero(dxs[2], at.xs[2]));
        Ok(vec![Some(b.select(at.xs[0], dx, dy))])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        if linear[0] {
            return Transposed::NotLinear;
        }
        let (pred, ct) = (at.xs[0], cts[0]);
        let cx = ct.filter(|_| linear[1]).map(|ct| b.select_or_zero(pred, ct));
        let cy = ct.filter(|_| linear[2]).map(|ct| {
            let zero = b.full_like(ct, 0.0);
            b.select(pred, zero, ct)
        });
        Transposed::Cotangents(vec![None, cx, cy])
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
        let mut rows = samples(Select {}, |_| true, &[0.0..2.0, -3.0..3.0, -2.0..3.5], true);
        for row in &mut rows {
            row.inputs[0] = sample(row.inputs[0].ty().with_dtype(DType::Bool), 0.0, 2.0);
        }
        rows
    }
}

/// Returns the elements as unsigned integers of their width, for loops that only move bits: a load
/// of floats below 8 bits would convert them.
///
/// # Errors
/// [`Error::bug`](crate::Error::bug) if the types do not fit the bytes.
pub(super) fn as_codes(x: Literal) -> Result<Literal> {
    let ty = x.ty().with_dtype(unsigned_of_width(x.dtype()));
    x.with_type(ty)
}

/// Returns the unsigned dtype of the same width. Choosing only moves bits, so that one loop per
/// width is enough for all dtypes.
fn unsigned_of_width(dtype: DType) -> DType {
    match dtype.bits() {
        1 => DType::U1,
        2 => DType::U2,
        4 => DType::U4,
        8 => DType::U8,
        16 => DType::U16,
        32 => DType::U32,
        64 => DType::U64,
        _ => dtype,
    }
}

fn choose<C: Compute>(pred: &[u8], x: Literal, y: Literal) -> (Literal, bool) {
    let overwrite = |out: &mut [C], other: &[C], keep: bool| {
        out.iter_mut()
            .zip(pred.iter().zip(other))
            .for_each(|(o, (&p, &x))| *o = if (p != 0) == keep { *o } else { x });
    };
    if !x.bytes().is_unique() && y.bytes().is_unique() {
        y.edit(|out: &mut [C]| overwrite(out, &x.load(), false))
    } else {
        x.edit(|out: &mut [C]| overwrite(out, &y.load(), true))
    }
}

impl Primitive for Clamp {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 3)?;
        same_type(Self::NAME, &xs[0], &xs[1])?;
        same_type(Self::NAME, &xs[1], &xs[2])?;
        check_kind(Self::NAME, &xs[1], ORDERED)?;
        Ok(vec![xs[1].clone()])
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let (high, x, low) = (xs.swap_remove(2), xs.swap_remove(1), xs.swap_remove(0));
        let above = apply(Binary::Max, cx, x, low)?;
        Ok(vec![apply(Binary::Min, cx, above, high)?])
    }

    /// Emits the tangent: that of `x` strictly inside the bounds, that of a bound where the bound
    /// is the result, and zero where `x` is equal to a bound, as in JAX.
    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        if !b.dtype(at.ys[0]).is_differentiable() {
            return Ok(no_tangents(at));
        }
        let (low, x, high) = (at.xs[0], at.xs[1], at.xs[2]);
        let tx = dxs[1].map(|dx| where_ordered(b, [low, x, high], dx));
        let tl = dxs[0].map(|dl| where_ordered(b, [x, low, high], dl));
        let th = dxs[2].map(|dh| {
            let above = b.max(x, low);
            let on = b.compare(Direction::Lt, high, above);
            b.select_or_zero(on, dh)
        });
        let inner = b.add_tangents(tx, tl);
        Ok(vec![b.add_tangents(inner, th)])
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
        let admits = |d: DType| ORDERED.contains(&d.kind());
        samples(Clamp {}, admits, &[-1.5..-0.5, -3.0..3.0, 1.0..2.2], true)
    }
}

/// Emits `d` where `p < q < r`, else zero.
fn where_ordered(b: &mut Builder, [p, q, r]: [Value; 3], d: Value) -> Value {
    let (lower, upper) = (b.compare(Direction::Lt, p, q), b.compare(Direction::Lt, q, r));
    let on = b.and(lower, upper);
    b.select_or_zero(on, d)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Op;
    use crate::op::pointwise::testing::*;

    #[test]
    fn chooses_in_every_width() {
        let pred = vector(&[true, false, true]);
        for d in DType::ALL {
            let (x, y) = (of(d, &[1.0, 1.0, 0.0]), of(d, &[0.0, 0.0, 1.0]));
            assert_eq!(eval(Select {}, &[&pred, &x, &y]), of(d, &[1.0, 0.0, 0.0]), "{d}");
        }
    }

    #[test]
    fn the_payload_of_nan_survives() {
        let x =
            Literal::new(Type::new(DType::F16, [1]), crate::Bytes::copy_of(&[0x01, 0x7c])).unwrap();
        let out = eval(Select {}, &[&vector(&[true]), &x, &of(DType::F16, &[0.0])]);
        assert_eq!(&out.bytes()[..], &[0x01, 0x7c]);
    }

    #[test]
    fn either_unique_branch_is_reused() {
        let (pred, x, y) = (vector(&[true, false]), vector(&[1.0f32, 2.0]), vector(&[5.0f32, 7.0]));
        let (addresses, kept) = ([x.bytes().address(), y.bytes().address()], x.clone());
        let mut cx = Eval::default();
        let out =
            Op::from(Select {}).eval(&mut cx, vec![pred.clone(), x, y]).unwrap().swap_remove(0);
        assert_eq!((out.bytes().address(), out.to_f64s()), (addresses[1], vec![1.0, 7.0]));
        let out = Op::from(Select {}).eval(&mut cx, vec![pred, kept, out]).unwrap().swap_remove(0);
        assert_eq!(
            (out.bytes().address(), out.to_f64s(), cx.reused),
            (addresses[0], vec![1.0, 7.0], 2)
        );
    }

    #[test]
    fn clamp_lets_nan_through_and_high_win() {
        let out = eval(
            Clamp {},
            &[
                &vector(&[0.0, 0.0, 0.0, 3.0]),
                &vector(&[-1.0, f64::NAN, 0.5, 0.0]),
                &vector(&[1.0, 1.0, 1.0, 2.0]),
            ],
        )
        .to_f64s();
        assert!(out[0] == 0.0 && out[1].is_nan() && out[2] == 0.5 && out[3] == 2.0, "{out:?}");
        assert_eq!(
            eval(Clamp {}, &[&vector(&[2u8]), &vector(&[250u8]), &vector(&[9u8])]).to_f64s(),
            [9.0]
        );
    }

    #[test]
    fn wrong_operands_are_errors() {
        let ty = |d| Type::new(d, [2]);
        let e = refusal(Select {}, &[ty(DType::U8), ty(DType::F32), ty(DType::F32)]);
        assert_eq!(
            e,
            "select: expected a condition of type bool[2] for f32[2], got u8[2]; compare or \
             broadcast first"
        );
        let e = refusal(Select {}, &[Type::scalar(DType::Bool), ty(DType::F32), ty(DType::F32)]);
        assert_eq!(
            e,
            "select: expected a condition of type bool[2] for f32[2], got bool[]; compare or \
             broadcast first"
        );
        assert!(
            refusal(Clamp {}, &[ty(DType::F32), ty(DType::F32), ty(DType::F64)])
                .contains("differ in dtype")
        );
    }
}
