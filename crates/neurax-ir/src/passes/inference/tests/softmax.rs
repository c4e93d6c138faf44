//! Softmax and logarithms of sums.

use super::*;

/// Emits `x - max(x)`, with the axis kept as one of size 1.
fn shifted(b: &mut Builder, x: Value, axis: usize) -> Value {
    let max = b.reduce(ReduceKind::Max, x, &[axis]);
    let max = kept(b, max, axis);
    let max = repeat(b, max, x);
    b.sub(x, max)
}

fn kept(b: &mut Builder, x: Value, axis: usize) -> Value {
    let shape = b.ty(x).shape.inserted(axis, 1);
    b.reshape(x, shape)
}

fn repeat(b: &mut Builder, x: Value, like: Value) -> Value {
    let shape = b.ty(like).shape.clone();
    let dims = (0..shape.rank()).collect();
    b.emit(Broadcast { shape, dims }, &[x])
}

#[test]
fn softmax_by_exponentials() {
    let by_quotient: MakeGraph = &|b, x| {
        let d = shifted(b, x[0], 1);
        let e = b.exp(d);
        let total = b.sum(e, &[1]);
        let total = kept(b, total, 1);
        let total = repeat(b, total, e);
        b.div(e, total)
    };
    let want = "%1: f32[2, 3, 4] = softmax[axis=1](%0); return %1";
    becomes("softmax 1", want, &[f32s(&[2, 3, 4])], by_quotient);
    let by_reciprocal: MakeGraph = &|b, x| {
        let d = shifted(b, x[0], 2);
        let e = b.exp(d);
        let total = b.sum(e, &[2]);
        let one = b.full_like(total, 1.0);
        let inverse = b.div(one, total);
        let inverse = b.unreduce(inverse, [2, 3, 4], &[2]);
        b.mul(inverse, e)
    };
    let want = "%1: f32[2, 3, 4] = softmax[axis=2](%0); return %1";
    becomes("softmax 1", want, &[f32s(&[2, 3, 4])], by_reciprocal);
    // JAX: the maximum is at least negative infinity.
    let by_jax: MakeGraph = &|b, x| {
        let max = b.reduce(ReduceKind::Max, x[0], &[2]);
        let least = b.full_like(max, f64::NEG_INFINITY);
        let max = b.max(least, max);
        let max = b.unreduce(max, [2, 3, 4], &[2]);
        let d = b.sub(x[0], max);
        let e = b.exp(d);
        let total = b.sum(e, &[2]);
        let total = b.unreduce(total, [2, 3, 4], &[2]);
        b.div(e, total)
    };
    becomes("softmax 1", want, &[f32s(&[2, 3, 4])], by_jax);
}

#[test]
fn another_axis_is_no_softmax() {
    is_kept(&[f32s(&[4, 4])], &|b, x| {
        let d = shifted(b, x[0], 1);
        let e = b.exp(d);
        let total = b.sum(e, &[0]);
        let total = b.unreduce(total, [4, 4], &[0]);
        b.div(e, total)
    });
    is_kept(&[f32s(&[4, 4])], &|b, x| {
        let d = shifted(b, x[0], 1);
        let e = b.exp(d);
        let total = b.sum(e, &[1]);
        let total = b.unreduce(total, [4, 4], &[0]);
        b.div(e, total)
    });
}

#[test]
fn logarithms_of_sums() {
    let want = "%1: f32[3, 5] = log_softmax[axis=1](%0); return %1";
    becomes("log_softmax 1", want, &[f32s(&[3, 5])], &|b, x| {
        let d = shifted(b, x[0], 1);
        let e = b.exp(d);
        let total = b.sum(e, &[1]);
        let log = b.log(total);
        let log = b.unreduce(log, [3, 5], &[1]);
        b.sub(d, log)
    });
    let of_sum = |b: &mut Builder, x: Value, is_guarded: bool| {
        let max = b.reduce(ReduceKind::Max, x, &[1]);
        let finite = b.emit(Unary::IsFinite, &[max]);
        let m = if is_guarded { b.select_or_zero(finite, max) } else { max };
        let shift = b.unreduce(m, [3, 5], &[1]);
        let d = b.sub(x, shift);
        let e = b.exp(d);
        let total = b.sum(e, &[1]);
        let log = b.log(total);
        b.add(log, m)
    };
    let want = "%1: f32[3] = logsumexp[axis=1](%0); return %1";
    becomes("logsumexp 1", want, &[f32s(&[3, 5])], &|b, x| of_sum(b, x[0], true));
    is_kept(&[f32s(&[3, 5])], &|b, x| of_sum(b, x[0], false));
}

#[test]
fn a_softmax_of_matrices_gets_its_axes_back() {
    let want = "%1: f32[2, 3, 4] = softmax[axis=2](%0); return %1";
    becomes("softmax_of_reshape 1", want, &[f32s(&[2, 3, 4])], &|b, x| {
        let rows = b.reshape(x[0], [6, 4]);
        let p = b.emit(crate::composite::Softmax { axis: 1 }, &[rows]);
        b.reshape(p, [2, 3, 4])
    });
    is_kept(&[f32s(&[2, 3, 4])], &|b, x| {
        let rows = b.reshape(x[0], [2, 12]);
        let p = b.emit(crate::composite::Softmax { axis: 1 }, &[rows]);
        b.reshape(p, [2, 3, 4])
    });
}
