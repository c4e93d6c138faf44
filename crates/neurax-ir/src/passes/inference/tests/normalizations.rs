//! Layer and RMS normalization.

use super::*;

const SHAPE: [usize; 3] = [2, 3, 8];

fn operands() -> [Type; 3] {
    [f32s(&SHAPE), f32s(&[8]), f32s(&[8])]
}

/// Emits the mean of each row as `[2, 3, 1]`.
fn mean(b: &mut Builder, x: Value) -> Value {
    let total = b.sum(x, &[2]);
    let mean = divided(b, total, 8.0);
    b.reshape(mean, [2, 3, 1])
}

fn rows(b: &mut Builder, x: Value) -> Value {
    b.broadcast(x, SHAPE, &[0, 1, 2])
}

fn weight(b: &mut Builder, w: Value) -> Value {
    b.broadcast(w, SHAPE, &[2])
}

fn centered(b: &mut Builder, x: Value) -> Value {
    let m = mean(b, x);
    let m = rows(b, m);
    b.sub(x, m)
}

fn root(b: &mut Builder, spread: Value) -> Value {
    let sum = b.add_scalar(spread, 1e-3);
    b.emit(Unary::Sqrt, &[sum])
}

const WITH_BIAS: &str = "%3: f32[2, 3, 8] = layer_norm[epsilon=0.0010000000474974513, \
                         scale=true, bias=true](%0, %1, %2); return %3";

#[test]
fn layer_norm_by_pytorch() {
    becomes("layer_norm_with_bias 1", WITH_BIAS, &operands(), &|b, x| {
        let c = centered(b, x[0]);
        let square = pow(b, c, 2.0);
        let spread = mean(b, square);
        let r = root(b, spread);
        let r = rows(b, r);
        let y = b.div(c, r);
        let scale = weight(b, x[1]);
        let y = b.mul(y, scale);
        let bias = weight(b, x[2]);
        b.add(y, bias)
    });
}

#[test]
fn layer_norm_by_keras() {
    let of = |b: &mut Builder, x: &[Value], is_difference: bool| {
        let m = mean(b, x[0]);
        let shift = rows(b, m);
        let c = b.sub(x[0], shift);
        let square = b.square(c);
        let spread = mean(b, square);
        let r = root(b, spread);
        let one = b.full_like(r, 1.0);
        let r = b.div(one, r);
        let r = rows(b, r);
        let scale = weight(b, x[1]);
        let factor = b.mul(r, scale);
        let y = b.mul(x[0], factor);
        let bias = weight(b, x[2]);
        let rest = if is_difference {
            let product = b.mul(shift, factor);
            b.sub(bias, product)
        } else {
            let m = b.neg(m);
            let m = rows(b, m);
            let product = b.mul(m, factor);
            b.add(product, bias)
        };
        b.add(y, rest)
    };
    for is_difference in [false, true] {
        let make: MakeGraph = &|b, x| of(b, x, is_difference);
        becomes("layer_norm_with_bias 1", WITH_BIAS, &operands(), make);
    }
}

#[test]
fn layer_norm_by_jax() {
    becomes("layer_norm_with_bias 1", WITH_BIAS, &operands(), &|b, x| {
        let total = b.sum(x[0], &[2]);
        let m = b.mul_scalar(total, 0.125);
        let squares = b.square(x[0]);
        let squares = b.sum(squares, &[2]);
        let square = b.mul_scalar(squares, 0.125);
        let of_mean = b.square(m);
        let d = b.sub(square, of_mean);
        let zero = b.full_like(d, 0.0);
        let spread = b.max(zero, d);
        let sum = b.add_scalar(spread, 1e-3);
        let r = b.rsqrt(sum);
        let r = b.unreduce(r, SHAPE, &[2]);
        let scale = weight(b, x[1]);
        let r = b.mul(r, scale);
        let m = b.unreduce(m, SHAPE, &[2]);
        let c = b.sub(x[0], m);
        let y = b.mul(c, r);
        let bias = weight(b, x[2]);
        b.add(bias, y)
    });
}

#[test]
fn weights_may_be_missing_or_numbers() {
    let of = |b: &mut Builder, x: Value, scale: f64, bias: Option<f64>| {
        let c = centered(b, x);
        let square = b.square(c);
        let spread = mean(b, square);
        let r = root(b, spread);
        let r = rows(b, r);
        let y = b.div(c, r);
        let y = b.mul_scalar(y, scale);
        bias.map_or(y, |bias| b.add_scalar(y, bias))
    };
    let x = &operands()[..1];
    let plain = "%1: f32[2, 3, 8] = layer_norm[epsilon=0.0010000000474974513, scale=false, \
                 bias=false](%0); return %1";
    becomes("row_norm 1", plain, x, &|b, x| of(b, x[0], 1.0, None));
    let scaled = "%1: f32[] = constant[value=f32[] 2.0](); \
                  %2: f32[8] = broadcast_in_dim[shape=[8], dims=[]](%1); \
                  %3: f32[2, 3, 8] = layer_norm[epsilon=0.0010000000474974513, scale=true, \
                  bias=false](%0, %2); return %3";
    becomes("row_norm 1", scaled, x, &|b, x| of(b, x[0], 2.0, None));
    let shifted = "%1: f32[] = constant[value=f32[] 0.5](); \
                   %2: f32[8] = broadcast_in_dim[shape=[8], dims=[]](%1); \
                   %3: f32[2, 3, 8] = layer_norm[epsilon=0.0010000000474974513, scale=false, \
                   bias=true](%0, %2); return %3";
    becomes("layer_norm_with_bias 1", shifted, x, &|b, x| of(b, x[0], 1.0, Some(0.5)));
}

#[test]
fn rms_norm() {
    let want = "%2: f32[2, 3, 8] = rms_norm[epsilon=0.0010000000474974513, scale=true]\
                (%0, %1); return %2";
    let spellings: [MakeGraph; 2] = [
        // Llama of `transformers`: a reciprocal, and the weight in front.
        &|b, x| {
            let square = pow(b, x[0], 2.0);
            let spread = mean(b, square);
            let r = root(b, spread);
            let one = b.full_like(r, 1.0);
            let r = b.div(one, r);
            let r = rows(b, r);
            let y = b.mul(x[0], r);
            let scale = weight(b, x[1]);
            b.mul(scale, y)
        },
        &|b, x| {
            let square = b.square(x[0]);
            let spread = mean(b, square);
            let r = root(b, spread);
            let r = rows(b, r);
            let y = b.div(x[0], r);
            let scale = weight(b, x[1]);
            b.mul(y, scale)
        },
    ];
    for make in spellings {
        becomes("row_norm 1", want, &operands()[..2], make);
    }
}

#[test]
fn a_scale_that_is_no_vector_stays() {
    let want = "%2: f32[2, 3, 8] = rms_norm[epsilon=0.0010000000474974513, scale=false](%0); \
                %3: f32[2, 3, 8] = multiply(%2, %1); return %3";
    becomes("row_norm 1", want, &[f32s(&SHAPE), f32s(&SHAPE)], &|b, x| {
        let square = b.square(x[0]);
        let spread = mean(b, square);
        let r = root(b, spread);
        let r = rows(b, r);
        let y = b.div(x[0], r);
        b.mul(y, x[1])
    });
}

#[test]
fn other_sums_are_no_normalization() {
    // A sum instead of a mean; no epsilon; another axis; the factor is a result.
    let of = |b: &mut Builder, x: Value, axis: usize, count: f64, epsilon: f64| {
        let square = b.square(x);
        let total = b.sum(square, &[axis]);
        let spread = divided(b, total, count);
        let sum = b.add_scalar(spread, epsilon);
        let r = b.rsqrt(sum);
        let repeated = b.unreduce(r, [8, 8], &[axis]);
        (b.mul(x, repeated), repeated)
    };
    for (axis, count, epsilon) in [(1, 7.0, 1e-3), (1, 8.0, 0.0), (0, 8.0, 1e-3)] {
        is_kept(&[f32s(&[8, 8])], &|b, x| of(b, x[0], axis, count, epsilon).0);
    }
    is_kept(&[f32s(&[8, 8])], &|b, x| {
        let (y, r) = of(b, x[0], 1, 8.0, 1e-3);
        b.sub(y, r)
    });
}
