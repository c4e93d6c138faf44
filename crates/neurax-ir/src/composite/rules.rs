//! Helpers that several composites share.

use super::Composite;
use crate::op::{Bound, Linear, ReduceKind, Sample, Tangent, rules::*};
use crate::{Builder, DType, Op, Result, Type, Value, passes, transform};

/// One operand of a real floating-point type.
///
/// # Errors
/// When there are others.
pub fn one_float<'t>(op: &str, xs: &'t [Type]) -> Result<&'t Type> {
    arity(op, xs, 1)?;
    match &xs[0] {
        t if t.dtype.is_float() => Ok(t),
        t => refuse(op, format!("it takes floating-point numbers, not {t}; convert them first")),
    }
}

/// One operand of a real floating-point type that has the axis.
///
/// # Errors
/// When there are others, or it has not.
pub fn float_with_axis<'t>(op: &str, xs: &'t [Type], axis: usize) -> Result<&'t Type> {
    let t = one_float(op, xs)?;
    check_axes(op, &[axis], t.rank())?;
    Ok(t)
}

/// Sums along an axis and repeats the sums along it.
pub fn sums(b: &mut Builder, x: Value, axis: usize) -> Value {
    let s = b.sum(x, &[axis]);
    along(b, s, axis, x)
}

/// Repeats `x` along an axis, into the shape of `like`.
pub fn along(b: &mut Builder, x: Value, axis: usize, like: Value) -> Value {
    let shape = b.ty(like).shape.clone();
    b.unreduce(x, shape, &[axis])
}

/// `x` less its largest element along an axis, and `e` to that: no power overflows.
pub fn powers(b: &mut Builder, x: Value, axis: usize) -> (Value, Value) {
    let top = b.reduce(ReduceKind::Max, x, &[axis]);
    let top = along(b, top, axis, x);
    let shifted = b.sub(x, top);
    (shifted, b.exp(shifted))
}

/// One half of a [`Linear`]: from residuals and tangents, or cotangents, to the others.
pub type Half<'f> = &'f dyn Fn(&mut Builder, &[Value], &[Value]) -> Vec<Value>;

/// The tangent of the one result of a composite, under its name: `forward(residuals, dxs)`, whose
/// transpose is `backward(residuals, [ct])`.
///
/// # Errors
/// When an equation of the halves does not fit; then the composite is wrong.
pub fn linear(
    b: &mut Builder,
    callee: &str,
    at: &Bound,
    residuals: &[Value],
    dxs: &[Tangent],
    forward: Half,
    backward: Half,
) -> Result<Vec<Tangent>> {
    let active: Vec<Value> = dxs.iter().copied().flatten().collect();
    let (kept, from, to) = (b.types_of(residuals), b.types_of(&active), b.types_of(at.ys));
    let half = |types: &[Type], emit: Half| {
        let mut h = Builder::new();
        let (residuals, xs) = (h.inputs(&kept), h.inputs(types));
        let ys = emit(&mut h, &residuals, &xs);
        h.finish(&ys).map(Into::into)
    };
    let (forward, backward) = (Some(half(&from, forward)?), Some(half(&to, backward)?));
    let op = Linear { callee: callee.into(), residuals: kept.len(), forward, backward, from, to };
    Ok(b.try_emit(op, &[residuals, &active].concat())?.into_iter().map(Some).collect())
}

/// The tangents of a composite whose body has as good a derivative as any: the body's, under the
/// composite's name. Both halves start again from the operands, so that nothing else is kept
/// between them.
///
/// # Errors
/// When the body has no derivative.
pub fn linear_of_body(
    b: &mut Builder,
    op: impl Into<Composite>,
    at: &Bound,
    dxs: &[Tangent],
) -> Result<Vec<Tangent>> {
    let op: Composite = op.into();
    let body = op.graph(&b.types_of(at.xs))?;
    let active: Vec<bool> = dxs.iter().map(Option::is_some).collect();
    let tangents: Vec<Value> = dxs.iter().copied().flatten().collect();
    let d = transform::jvp(&body, &active)?;
    let count = d.outputs.iter().filter(|&&marked| marked).count();
    let wanted: Vec<bool> =
        (0..body.outputs().len() + count).map(|i| i >= body.outputs().len()).collect();
    let forward =
        passes::dce(&d.graph.restricted(&wanted, &vec![true; d.graph.input_types().len()]))?;
    let v = transform::vjp(&body, &active)?;
    let mut h = Builder::new();
    let (xs, cts) = (h.inputs(body.input_types()), h.inputs(&forward.output_types()));
    let ys = h.inline(&v.primal, &xs);
    let answers = h.inline(&v.backward, &[&ys[body.outputs().len()..], &cts].concat());
    let backward = passes::dce(&h.finish(&answers)?)?;
    let (from, to) = (b.types_of(&tangents), forward.output_types());
    let callee = Op::from(op).name().into();
    let linear = Linear {
        callee,
        residuals: at.xs.len(),
        forward: Some(forward.into()),
        backward: Some(backward.into()),
        from,
        to,
    };
    let mut dys = b.try_emit(linear, &[at.xs, &tangents].concat())?.into_iter();
    Ok(d.outputs.iter().map(|&marked| if marked { dys.next() } else { None }).collect())
}

/// Rows for a composite of one operand: every float dtype, and sizes of zero.
pub fn float_rows(ops: &[(Op, &[usize])]) -> Vec<Sample> {
    let row = |d: DType, op: &Op, shape: &[usize]| Sample {
        op: op.clone(),
        inputs: vec![sample(Type::new(d, shape), -2.0, 2.0)],
        smooth: d == DType::F64,
    };
    let floats = DType::ALL.into_iter().filter(|d| d.is_float());
    floats.flat_map(|d| ops.iter().map(move |(op, shape)| row(d, op, shape))).collect()
}

/// Rows for a composite along an axis.
pub fn axis_rows<T: Into<Op>>(op: impl Fn(usize) -> T) -> Vec<Sample> {
    let [first, last] = [0, 1].map(|axis| op(axis).into());
    float_rows(&[
        (last.clone(), &[2, 3]),
        (first.clone(), &[2, 3]),
        (first, &[1]),
        (last.clone(), &[2, 0]),
        (last, &[0, 2]),
    ])
}
