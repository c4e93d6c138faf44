//! Helpers shared by several composites.

use super::Composite;
use crate::op::{Bound, Linear, ReduceKind, Sample, Tangent, rules::*};
use crate::{Builder, DType, FloatAttr, Op, Result, Type, Value, Values, passes, transform};

/// Returns the type of the single operand, which must be a real floating-point type.
///
/// # Errors
/// If there are several operands or the type is another one.
pub fn one_float<'t>(op: &str, xs: &'t [Type]) -> Result<&'t Type> {
    arity(op, xs, 1)?;
    match &xs[0] {
        t if t.dtype.is_float() => Ok(t),
        t => refuse(op, format!("expected a floating-point operand, got {t}; convert it first")),
    }
}

/// Returns the type of the single operand, which must be a real floating-point type with axis
/// `axis`.
///
/// # Errors
/// If there are several operands, the type is another one, or `axis` is out of range.
pub fn float_with_axis<'t>(op: &str, xs: &'t [Type], axis: usize) -> Result<&'t Type> {
    let t = one_float(op, xs)?;
    check_axes(op, &[axis], t.rank())?;
    Ok(t)
}

/// Emits the sum along `axis`, broadcast to the shape of `x`.
pub fn broadcast_sum(b: &mut Builder, x: Value, axis: usize) -> Value {
    let s = b.sum(x, &[axis]);
    broadcast_along(b, s, axis, x)
}

/// Broadcasts `x` along `axis` to the shape of `like`.
pub fn broadcast_along(b: &mut Builder, x: Value, axis: usize, like: Value) -> Value {
    let shape = b.ty(like).shape.clone();
    b.unreduce(x, shape, &[axis])
}

/// Emits integer `indices` of `size` elements as signed ones that hold all of them. Large unsigned
/// integers become negative, which is out of bounds as well.
pub fn signed_indices(b: &mut Builder, indices: Value, size: usize) -> Value {
    let is_narrow = b.dtype(indices).bits() <= 32 && i32::try_from(size).is_ok();
    b.convert(indices, if is_narrow { DType::I32 } else { DType::I64 })
}

/// Returns the last axis of `x`, which has one.
pub fn last_axis(b: &Builder, x: Value) -> usize {
    b.ty(x).rank() - 1
}

/// Emits the mean over `axes`, which are removed; 0 if there are no elements, so that it is linear.
pub fn mean(b: &mut Builder, x: Value, axes: &[usize]) -> Value {
    let count: usize = axes.iter().map(|&a| b.ty(x).shape[a]).product();
    let total = b.sum(x, axes);
    let count = b.full_like(total, count.max(1) as f64);
    b.div(total, count)
}

/// Returns true if a weight of type `w` fits an operand of type `x` by its dtype: it has that of
/// `x` or, if that is narrower, f32.
pub fn is_weight_of(w: &Type, x: &Type) -> bool {
    w.dtype == x.dtype || w.dtype == x.dtype.at_least_f32()
}

/// Checks the constant that a normalization adds to a variance.
///
/// # Errors
/// If it is negative or NaN.
pub fn check_epsilon(op: &str, epsilon: FloatAttr) -> Result<()> {
    match epsilon.get() {
        e if e >= 0.0 => Ok(()),
        e => refuse(op, format!("expected an epsilon of at least 0, got {e:?}")),
    }
}

/// Emits `1 / sqrt(x + epsilon)`. An epsilon below the smallest normal number is raised to it: a
/// smaller one would not prevent a division by 0.
pub fn inverse_root(b: &mut Builder, x: Value, epsilon: FloatAttr) -> Value {
    let least = match b.dtype(x) {
        DType::F64 => f64::MIN_POSITIVE,
        _ => f32::MIN_POSITIVE.into(),
    };
    let shifted = b.add_scalar(x, epsilon.get().max(least));
    b.rsqrt(shifted)
}

/// Emits `x - max(x)` along `axis` and its exponential, which cannot overflow.
pub fn shifted_exp(b: &mut Builder, x: Value, axis: usize) -> (Value, Value) {
    let max = b.reduce(ReduceKind::Max, x, &[axis]);
    let max = broadcast_along(b, max, axis, x);
    let shifted = b.sub(x, max);
    (shifted, b.exp(shifted))
}

/// Returns true if `x` is a float below 32 bits.
pub fn is_narrow(b: &Builder, x: Value) -> bool {
    b.dtype(x) != b.dtype(x).at_least_f32()
}

/// Emits `f` of `xs`, with floats below 32 bits converted to f32 before and its results to `types`
/// after it.
pub fn in_f32(
    b: &mut Builder,
    xs: &[Value],
    types: &[Type],
    f: impl FnOnce(&mut Builder, &[Value]) -> Values,
) -> Values {
    let wide: Values = xs.iter().map(|&x| b.convert(x, b.dtype(x).at_least_f32())).collect();
    let ys = f(b, &wide);
    ys.iter().zip(types).map(|(&y, t)| b.convert(y, t.dtype)).collect()
}

/// One direction of a [`Linear`]: maps residuals and tangents to tangents, or residuals and
/// cotangents to cotangents.
pub type LinearMap<'f> = &'f dyn Fn(&mut Builder, &[Value], &[Value]) -> Vec<Value>;

/// Emits the tangent of the single result of a composite, under the name `callee`:
/// `forward(residuals, dxs)`, whose transpose is `backward(residuals, [ct])`. Both get and return
/// floats of at least 32 bits, as the body does.
///
/// # Errors
/// If an equation of `forward` or `backward` does not fit, which is a bug of the composite.
pub fn linear(
    b: &mut Builder,
    callee: &str,
    at: &Bound,
    residuals: &[Value],
    dxs: &[Tangent],
    forward: LinearMap,
    backward: LinearMap,
) -> Result<Vec<Tangent>> {
    let active: Vec<Value> = dxs.iter().copied().flatten().collect();
    let (kept, from, to) = (b.types_of(residuals), b.types_of(&active), b.types_of(at.ys));
    let graph = |xs: &[Type], ys: &[Type], emit: LinearMap| {
        let mut h = Builder::new();
        let inputs = h.inputs(&[&kept, xs].concat());
        let ys = in_f32(&mut h, &inputs, ys, |h, inputs| {
            let (residuals, xs) = inputs.split_at(kept.len());
            emit(h, residuals, xs).into_iter().collect()
        });
        h.finish(&ys).map(Into::into)
    };
    let forward = Some(graph(&from, &to, forward)?);
    let backward = Some(graph(&to, &from, backward)?);
    let op = Linear { callee: callee.into(), residuals: kept.len(), forward, backward, from, to };
    Ok(b.try_emit(op, &[residuals, &active].concat())?.into_iter().map(Some).collect())
}

/// Emits the tangent `sum(s dx)` of a composite of two operands, elementwise before it is summed
/// along `axis`, under the name `callee`; the transpose is `s ct`. `slopes` emits the derivative
/// `s` for each operand that is marked, from both operands.
///
/// # Errors
/// As [`linear`].
pub fn linear_by_slopes(
    b: &mut Builder,
    callee: &str,
    at: &Bound,
    dxs: &[Tangent],
    slopes: fn(&mut Builder, &[Value], [bool; 2]) -> Vec<Value>,
    axis: Option<usize>,
) -> Result<Vec<Tangent>> {
    let active = [dxs[0].is_some(), dxs[1].is_some()];
    let forward: LinearMap = &|b, xs, dxs| {
        let terms: Vec<Value> =
            slopes(b, xs, active).into_iter().zip(dxs).map(|(s, &d)| b.mul(s, d)).collect();
        let total = terms.into_iter().reduce(|p, q| b.add(p, q));
        let sum = |total| axis.map_or(total, |axis| b.sum(total, &[axis]));
        total.map(sum).into_iter().collect()
    };
    let backward: LinearMap = &|b, xs, ct| {
        let ct = axis.map_or(ct[0], |axis| broadcast_along(b, ct[0], axis, xs[0]));
        slopes(b, xs, active).into_iter().map(|s| b.mul(s, ct)).collect()
    };
    linear(b, callee, at, at.xs, dxs, forward, backward)
}

/// Returns sample rows for a composite `op` of two operands: each float dtype and each shape. The
/// second operand is between `low` and `high`.
pub fn pair_rows(op: impl Into<Op>, shapes: &[&[usize]], low: f64, high: f64) -> Vec<Sample> {
    let op = op.into();
    let row = |d: DType, shape: &[usize]| Sample {
        op: op.clone(),
        inputs: vec![
            sample(Type::new(d, shape), -2.0, 2.0),
            sample(Type::new(d, shape), low, high),
        ],
        smooth: d == DType::F64,
    };
    let floats = DType::ALL.into_iter().filter(|d| d.is_float());
    floats.flat_map(|d| shapes.iter().map(move |shape| row(d, shape))).collect()
}

/// Emits the tangents of a composite by differentiating its body, under the composite's name. Both
/// directions recompute from the operands, so that no other residuals are kept.
///
/// # Errors
/// If the body has no derivative.
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
    let cts = h.inline(&v.backward, &[&ys[body.outputs().len()..], &cts].concat());
    let backward = passes::dce(&h.finish(&cts)?)?;
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

/// Returns sample rows for a composite of one operand: each float dtype, each op and shape in
/// `ops`.
pub fn float_rows(ops: &[(Op, &[usize])]) -> Vec<Sample> {
    let row = |d: DType, op: &Op, shape: &[usize]| Sample {
        op: op.clone(),
        inputs: vec![sample(Type::new(d, shape), -2.0, 2.0)],
        smooth: d == DType::F64,
    };
    let floats = DType::ALL.into_iter().filter(|d| d.is_float());
    floats.flat_map(|d| ops.iter().map(move |(op, shape)| row(d, op, shape))).collect()
}

/// Returns sample rows for a composite along an axis, which `op` creates.
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
