//! Long sums: every function that adds many numbers, in f32 and narrower, against the same function
//! in f64. `docs/accuracy.md` states the bounds.

use neurax::{einsum, prelude::*};

/// The error that is allowed for an f32 reduction, relative to the sum of absolute values: 110
/// roundings, a third of the worst case; the checks of windows, products and scatters allow for the
/// multiples that they add in f32.
const BOUND: f64 = 110.0 / (1 << 24) as f64;

type Program = fn(&[Tensor]) -> Tensor;

/// Returns numbers that a naive sum adds worst: equal ones, whose rounding errors have one sign,
/// and uniform ones.
fn fillings(shape: &[usize]) -> [Tensor; 2] {
    [Tensor::full(shape, 0.1), key(7).uniform(shape)]
}

fn f64s(x: &Tensor) -> Vec<f64> {
    x.to(F64).flatten().to_vec::<f64>().unwrap()
}

/// Compares a program on positive numbers with the same program in f64, within the bound times
/// `steps`, the number of sums that depend on one another.
#[track_caller]
fn check(name: &str, f: Program, shapes: &[&[usize]], steps: f64) {
    for which in 0..2 {
        let xs: Vec<Tensor> = shapes.iter().map(|s| fillings(s)[which].clone()).collect();
        let wide: Vec<Tensor> = xs.iter().map(|x| x.to(F64)).collect();
        let (have, want) = (f64s(&f(&xs)), f64s(&f(&wide)));
        assert_eq!(have.len(), want.len(), "{name}");
        let error = |(h, w): (&f64, &f64)| ((h - w) / w).abs();
        let worst = have.iter().zip(&want).map(error).fold(0.0, f64::max);
        assert!(worst <= BOUND * steps, "{name} {shapes:?}: relative error {worst:e}");
    }
}

#[test]
fn reductions_of_every_layout_stay_in_their_bound() {
    check("sum", |x| x[0].sum(..), &[&[3_000_000]], 1.0);
    check("sum", |x| x[0].sum(..), &[&[100_003]], 1.0);
    check("sum of rows", |x| x[0].sum(1), &[&[5, 300_007]], 1.0);
    check("sum of many rows", |x| x[0].sum(1), &[&[1100, 1000]], 1.0);
    check("sum of columns", |x| x[0].sum(0), &[&[300_007, 5]], 1.0);
    check("sum of many columns", |x| x[0].sum(0), &[&[1000, 1100]], 1.0);
    check("sum of short runs", |x| x[0].sum([0, 2]), &[&[100_000, 2, 3]], 1.0);
    check("sum over two axes", |x| x[0].sum([0, 2]), &[&[301, 3, 1009]], 1.0);
    check("sum of a transpose", |x| x[0].swap_axes(0, 1).sum(0), &[&[3, 200_000]], 1.0);
    check("sum of strides", |x| x[0].index(step(.., 3)).sum(..), &[&[600_000]], 1.0);
    check("mean", |x| x[0].mean(..), &[&[1 << 20]], 1.0);
    check("mean of squares", |x| x[0].square().mean(..), &[&[1 << 20]], 1.1);
    check("average", |x| x[0].average(&x[1], ..), &[&[300_000], &[300_000]], 3.0);
    check("logsumexp", |x| x[0].logsumexp(..).exp(), &[&[300_000]], 3.0);
    check("norm", |x| x[0].norm(..), &[&[300_000]], 1.0);
    check("nansum", |x| x[0].nansum(..), &[&[300_000]], 1.0);
    check("trapezoid", |x| x[0].trapezoid(1.0, 0), &[&[300_000]], 1.0);
    check(
        "vmapped sum",
        |x| vmap(|x: Tensor| x.sum(..)).run(x[0].clone()).unwrap(),
        &[&[3, 100_000]],
        1.0,
    );
}

#[test]
fn products_of_every_layout_stay_in_their_bound() {
    check("dot", |x| x[0].dot(&x[1]), &[&[1 << 20], &[1 << 20]], 1.0);
    check("outer by inner", |x| x[0].matmul(&x[1]), &[&[8, 200_000], &[200_000, 8]], 3.0);
    check("columns", |x| x[0].transpose().matmul(&x[1]), &[&[200_000, 5], &[200_000, 20]], 3.0);
    check("rows", |x| x[0].matmul(x[1].transpose()), &[&[20, 200_000], &[5, 200_000]], 3.0);
    check("vector", |x| x[0].matmul(&x[1]), &[&[200_000], &[200_000, 9]], 3.0);
    check(
        "batches",
        |x| einsum("bki,bkj->bij", [&x[0], &x[1]]),
        &[&[2, 100_000, 4], &[2, 100_000, 4]],
        3.0,
    );
    check(
        "vmapped dot",
        |x| vmap(|(x, y): (Tensor, Tensor)| x.dot(&y)).run((x[0].clone(), x[1].clone())).unwrap(),
        &[&[2, 100_000], &[2, 100_000]],
        1.0,
    );
}

#[test]
fn windows_and_convolutions_stay_in_their_bound() {
    let whole: Program = |x| x[0].avg_pool(500, Windows::new());
    check("avg_pool of one window", whole, &[&[1, 1, 500, 500]], 1.0);
    check(
        "avg_pool of long rows",
        |x| x[0].avg_pool(40_000, Windows::new()),
        &[&[1, 2, 80_000]],
        1.0,
    );
    check(
        "sliding avg_pool",
        |x| x[0].avg_pool(2_000, Windows::new().strides(7)),
        &[&[1, 1, 4_000]],
        1.0,
    );
    check(
        "conv of many channels",
        |x| x[0].conv(&x[1], Windows::new()),
        &[&[1, 100_000, 3], &[2, 100_000, 2]],
        3.0,
    );
    check(
        "conv of long taps",
        |x| x[0].conv(&x[1], Windows::new()),
        &[&[1, 1, 100_100], &[1, 1, 100_000]],
        3.0,
    );
    let weights: Program = |x| {
        let loss = |(x, w): (Tensor, Tensor)| x.conv(&w, Windows::new()).sum(..);
        grad(loss).run((x[0].clone(), x[1].clone())).unwrap().1
    };
    check("gradient of the weights", weights, &[&[4, 2, 200, 200], &[3, 2, 3, 3]], 4.0);
}

#[test]
fn scattered_sums_stay_in_their_bound() {
    let segments: Program = |x| {
        let ids = Tensor::arange(x[0].dim(0)).remainder(3);
        Tensor::zeros([3]).to(x[0].dtype()).at(&ids).add(&x[0])
    };
    check("segments", segments, &[&[600_000]], 1.0);
    let rows: Program = |x| {
        let ids = Tensor::arange(x[0].dim(0)).remainder(3);
        Tensor::zeros([3, 4]).to(x[0].dtype()).at(&ids).add(&x[0])
    };
    check("segments of rows", rows, &[&[200_000, 4]], 1.0);
    let embedding: Program = |x| {
        let loss = |w: Tensor| w.take(Tensor::zeros([200_000]).to(I32), 0).sum(..);
        grad(loss).run(x[0].clone()).unwrap() * &x[0]
    };
    check("gradient of an embedding", embedding, &[&[3, 4]], 1.0);
}

/// Fewer updates than elements, and few rows, are added in f32.
#[test]
fn short_scattered_sums_stay_in_their_bounds() {
    let one: Program = |x| {
        let ids = Tensor::zeros([x[0].dim(0)]).to(I32);
        Tensor::zeros([3, 4]).to(x[0].dtype()).at(&ids).add(&x[0]).get(0)
    };
    let steps = |n: usize| n as f64 / 110.0;
    check("rows", one, &[&[1_024, 4]], steps(1_024));
    check("more rows", one, &[&[1_025, 4]], 1.0);
    let sparse: Program = |x| {
        let n = x[0].dim(0);
        let ids = Tensor::zeros([n]).to(I32);
        Tensor::zeros([n + 1, 4]).to(x[0].dtype()).at(&ids).add(&x[0]).get(0)
    };
    check("rows of a large table", sparse, &[&[4_096, 4]], steps(4_096));
    check("more rows of a large table", sparse, &[&[4_097, 4]], 1.0);
    let elements: Program = |x| {
        let n = x[0].dim(0);
        Tensor::zeros([n + 1]).to(x[0].dtype()).at(Tensor::zeros([n]).to(I32)).add(&x[0]).get(0)
    };
    check("elements of a long vector", elements, &[&[4_097]], 1.0);
}

/// A weight that a loop captures gets the sum of the cotangents of all steps.
#[test]
fn gradients_that_are_sums_over_steps_stay_in_their_bound() {
    let weight: Program = |x| {
        let xs = x[0].clone();
        let last = move |w: Tensor| {
            let zero = w.zeros_like();
            scan(zero, xs.clone(), move |c, x| (c + &w * x, tensor(0.0))).0
        };
        grad(last).run(x[1].clone()).unwrap()
    };
    check("1,024 steps", weight, &[&[1_024], &[]], 1_024.0 / 110.0);
    check("100,000 steps", weight, &[&[100_000], &[]], 1.0);
    for dtype in [F16, BF16] {
        let (x, w) = (Tensor::full([1_000], 0.1).to(dtype), tensor(0.5).to(dtype));
        let want = f64s(&x)[0] * 1e3;
        let have = f64s(&weight(&[x, w]))[0];
        let unit = if dtype == F16 { 1.0 / 2048.0 } else { 1.0 / 256.0 };
        assert!((have - want).abs() <= unit * want, "{dtype}: {have}, not {want}");
    }
}

/// Complex numbers are added part by part.
#[test]
fn complex_sums_stay_in_their_bound() {
    fn complex(x: &Tensor) -> Tensor {
        x.complex(x * 0.5)
    }
    check("sum, real", |x| complex(&x[0]).sum(..).real(), &[&[1 << 20]], 1.0);
    check("sum, imaginary", |x| complex(&x[0]).sum(0).imag(), &[&[300_000, 3]], 1.0);
    check("mean", |x| complex(&x[0]).mean(1).real(), &[&[3, 300_000]], 1.0);
    check("cumsum", |x| complex(&x[0]).cumsum(0).imag(), &[&[300_000]], 1.0);
    check("dot", |x| complex(&x[0]).dot(complex(&x[1])).imag(), &[&[300_000], &[300_000]], 3.0);
    let product: Program = |x| complex(&x[0]).matmul(complex(&x[1])).imag();
    check("matmul", product, &[&[3, 200_000], &[200_000, 5]], 3.0);
    let gradient: Program = |x| {
        let (y, b) = (x[0].clone(), x[1].clone());
        grad(move |b: Tensor| (complex(&y) * b.complex(0.0)).sum(..).real()).run(b).unwrap()
    };
    check("gradient", gradient, &[&[300_000], &[]], 1.0);
}

#[test]
fn gradients_that_are_sums_over_a_batch_stay_in_their_bound() {
    let bias: Program = |x| {
        let y = x[0].clone();
        grad(move |b: Tensor| (&y + b).square().sum(..)).run(x[1].clone()).unwrap()
    };
    check("bias", bias, &[&[200_000, 3], &[3]], 1.1);
    let scale: Program = |x| {
        let y = x[0].clone();
        grad(move |s: Tensor| (&y * s).square().sum(..)).run(x[1].clone()).unwrap()
    };
    check("scale", scale, &[&[200_000, 3], &[3]], 1.1);
}

#[test]
fn cumulative_sums_stay_in_their_bound() {
    check("cumsum", |x| x[0].cumsum(0), &[&[300_000]], 1.0);
    check("cumsum of rows", |x| x[0].cumsum(1), &[&[3, 100_000]], 1.0);
}

/// Narrow floats are summed in f32 or wider and rounded once.
#[test]
fn narrow_floats_are_rounded_once() {
    for dtype in [F16, BF16] {
        let programs: [(&str, Program); 5] = [
            ("sum", |x| x[0].sum(0) / x[0].dim(0) as f64),
            ("mean", |x| x[0].mean(0)),
            ("dot", |x| x[0].sum(1).dot(Tensor::full(x[0].dim(0), 0.001).to(x[0].dtype()))),
            ("scatter", |x| {
                let ids = Tensor::zeros([x[0].dim(0)]).to(I32);
                Tensor::zeros([1, 2]).to(x[0].dtype()).at(&ids).add(&x[0])
            }),
            ("avg_pool", |x| x[0].transpose().expand_dims(0).avg_pool(5_000, Windows::new())),
        ];
        let x = Tensor::full([5_000, 2], 0.1).to(dtype);
        let unit = if dtype == F16 { 1.0 / 2048.0 } else { 1.0 / 256.0 };
        for (name, f) in programs {
            let (have, want) = (f64s(&f(std::slice::from_ref(&x))), f64s(&f(&[x.to(F64)])));
            for (h, w) in have.iter().zip(&want) {
                assert!((h - w).abs() <= 3.0 * unit * w, "{name} {dtype}: {h}, not {w}");
            }
        }
    }
}

#[test]
fn deviations_from_a_large_mean_keep_their_digits() {
    let bits: Vec<f32> = (0..100_000).map(|i| (i * 7919 % 100_000 % 2) as f32).collect();
    let bits = Tensor::from_vec(bits, [100_000]);
    for offset in [0.0, 10_000.0, 1e6, 8e6] {
        let x = &bits + offset;
        let near = |what: &str, y: Tensor, want: f64| {
            let y = f64s(&y)[0];
            assert!((y / want - 1.0).abs() < 1e-5, "{what} at {offset}: {y}, not {want}");
        };
        near("var", x.var(.., 0), 0.25);
        near("std", x.std(.., 0), 0.5);
        near("std of rows", x.reshape([10, 10_000]).std(1, 0), 0.5);
        near("std of columns", x.reshape([10_000, 10]).std([0, 1], 0), 0.5);
        let pairs = stack([x.clone(), -&x], 0);
        near("cov", pairs.cov(0), 0.25);
        near("corrcoef", pairs.corrcoef().get(1).get(0), -1.0);
    }
}
