//! Sizes are parameters of kernels: a network that was compiled for one batch size needs no new
//! machine code for another, except for sums that become long.

use neurax_ir::{
    Builder, DType, Graph, Type, Value,
    composite::{Gelu, Softmax},
    op::DotGeneral,
    passes, transform,
};
use neurax_native::Native;
use neurax_runtime::Backend;

const TOKENS: usize = 24;
const WIDTH: usize = 32;

fn product(b: &mut Builder, x: Value, y: Value, batch: usize, contract: [usize; 2]) -> Value {
    let batch: Vec<usize> = (0..batch).collect();
    let [l, r] = contract;
    let op = DotGeneral {
        lhs_batch: batch.clone(),
        rhs_batch: batch,
        lhs_contract: vec![l],
        rhs_contract: vec![r],
        dtype: DType::F32,
    };
    b.emit(op, &[x, y])
}

/// Normalizes each token's features to mean 0 and variance 1, times the scale.
fn normalised(b: &mut Builder, x: Value, scale: Value) -> Value {
    let shape = b.ty(x).shape.clone();
    let mean = b.sum(x, &[2]);
    let mean = b.mul_scalar(mean, 1.0 / WIDTH as f64);
    let mean = b.unreduce(mean, shape.clone(), &[2]);
    let centred = b.sub(x, mean);
    let square = b.square(centred);
    let variance = b.sum(square, &[2]);
    let variance = b.mul_scalar(variance, 1.0 / WIDTH as f64);
    let variance = b.add_scalar(variance, 1e-5);
    let inverse = b.rsqrt(variance);
    let inverse = b.unreduce(inverse, shape.clone(), &[2]);
    let y = b.mul(centred, inverse);
    let scale = b.broadcast(scale, shape, &[2]);
    b.mul(y, scale)
}

/// Returns the loss and gradients of a transformer block for a batch size: attention, then a layer
/// for each token, and the mean squared difference to the targets.
fn step(n: usize) -> Graph {
    let mut b = Builder::new();
    let f32s = |shape: &[usize]| Type::new(DType::F32, shape);
    let (x, y) = (b.input(f32s(&[n, TOKENS, WIDTH])), b.input(f32s(&[n, TOKENS, WIDTH])));
    let (scale, q, wide, narrow) = (
        b.input(f32s(&[WIDTH])),
        b.input(f32s(&[WIDTH, WIDTH])),
        b.input(f32s(&[WIDTH, 4 * WIDTH])),
        b.input(f32s(&[4 * WIDTH, WIDTH])),
    );
    let h = normalised(&mut b, x, scale);
    let h = product(&mut b, h, q, 0, [2, 0]);
    let scores = product(&mut b, h, h, 1, [2, 2]);
    let weights = b.emit(Softmax { axis: 2 }, &[scores]);
    let h = product(&mut b, weights, h, 1, [2, 1]);
    let x = b.add(x, h);
    let h = product(&mut b, x, wide, 0, [2, 0]);
    let h = b.emit(Gelu { approximate: true }, &[h]);
    let h = product(&mut b, h, narrow, 0, [2, 0]);
    let x = b.add(x, h);
    let off = b.sub(x, y);
    let square = b.square(off);
    let sum = b.sum(square, &[0, 1, 2]);
    let size = b.full_like(sum, (n * TOKENS * WIDTH) as f64);
    let loss = b.div(sum, size);
    let graph =
        transform::grad(&b.finish(&[loss]).unwrap(), &[false, false, true, true, true, true])
            .unwrap();
    passes::optimize(&graph, &mut |_, _| {}).unwrap()
}

/// Returns the number of kernels after each of the batch sizes.
fn kernels<const N: usize>(sizes: [usize; N]) -> [usize; N] {
    let native = Native::new().unwrap();
    sizes.map(|n| {
        native.compile(&step(n), 0).unwrap();
        native.kernels()
    })
}

#[test]
fn a_new_batch_size_generates_no_code() {
    for sizes in [[5, 6, 8, 10], [44, 45, 64, 100]] {
        let kernels = kernels(sizes);
        assert!(kernels[0] > 0);
        assert_eq!(kernels, [kernels[0]; 4]);
    }
}

#[test]
fn only_sums_over_the_batch_that_become_long_generate_code() {
    // 2, 12 and 45 times 24 tokens: sums of f32 are divided into blocks above 256 and 1,024.
    let [short, long, longer, again] = kernels([2, 12, 45, 2]);
    let new = longer - short;
    assert!(long <= longer && (1..=5).contains(&new), "{short} {long} {longer}");
    assert_eq!(again, longer);
}
