//! Convolutions and windows of sizes around tile and block boundaries, on strided operands, and at
//! the corners of their parameters: the compiler agrees with the reference interpreter. Elements
//! are small integers, whose sums are exact in any order.

use neurax_ir::{
    Builder, DType, Kind, Literal, Type, Value,
    op::{
        ArgKind, Convolution, ReduceKind, ReduceWindow, Reverse, SelectAndGather, SelectAndScatter,
        Slide,
    },
};
use neurax_native::Native;
use neurax_testkit::conformance::check_exact;

/// Returns small integers without a pattern.
fn numbers(ty: Type, seed: usize) -> Literal {
    let number = |i: usize| ((i * 2654435761 + seed * 40503) >> 7) % 5;
    let v: Vec<f64> = (0..ty.size())
        .map(|i| {
            number(i) as f64
                - if matches!(ty.dtype.kind(), Kind::Signed | Kind::Float) { 2.0 } else { 0.0 }
        })
        .collect();
    Literal::from_f64s(ty.dtype, ty.shape, &v)
}

/// Compares a function of the arguments with the reference interpreter, bit for bit.
#[track_caller]
fn check_on(args: &[Literal], f: impl FnOnce(&mut Builder, &[Value]) -> Value) {
    check_exact(&Native::new().unwrap(), args, |b, xs| vec![f(b, xs)]);
}

#[track_caller]
fn check(dtype: DType, shapes: &[&[usize]], f: impl FnOnce(&mut Builder, &[Value]) -> Value) {
    let args = shapes.iter().enumerate().map(|(i, s)| numbers(Type::new(dtype, *s), i));
    check_on(&args.collect::<Vec<_>>(), f);
}

const PLAIN: Slide = Slide { stride: 1, low: 0, high: 0, base_dilation: 1, window_dilation: 1 };
const SAME: Slide = Slide { low: 1, high: 1, ..PLAIN };

fn conv(dtype: DType, slides: &[Slide], groups: usize) -> Convolution {
    Convolution { slides: slides.to_vec(), groups, dtype }
}

fn convolve(dtype: DType, slides: &[Slide], groups: usize, x: &[usize], w: &[usize]) {
    check(dtype, &[x, w], |b, xs| b.emit(conv(dtype, slides, groups), xs));
}

#[test]
fn convolutions_are_cut_into_parts_and_blocks() {
    for dtype in [DType::F32, DType::F64, DType::I32] {
        // Depths of more than one block: several batch members a tile, one, and part of one.
        convolve(dtype, &[SAME; 2], 1, &[20, 70, 5, 5], &[6, 70, 3, 3]);
        convolve(dtype, &[SAME; 2], 1, &[9, 40, 12, 11], &[17, 40, 4, 5]);
        convolve(dtype, &[SAME; 2], 1, &[1, 60, 20, 31], &[16, 60, 3, 3]);
        // One batch member with many windows.
        convolve(dtype, &[SAME; 2], 1, &[1, 3, 40, 61], &[16, 3, 3, 3]);
        convolve(
            dtype,
            &[Slide { stride: 2, low: 3, ..PLAIN }; 2],
            1,
            &[2, 3, 60, 61],
            &[16, 3, 7, 7],
        );
        // As in a gradient, a large depth with few outputs.
        convolve(dtype, &[SAME; 2], 1, &[3, 24, 14, 14], &[5, 24, 14, 14]);
        convolve(dtype, &[SAME], 1, &[1, 1, 40_000], &[9, 1, 40_000]);
        // Windows of one tap, and a single window.
        convolve(dtype, &[PLAIN; 2], 1, &[5, 33, 9, 9], &[31, 33, 1, 1]);
        convolve(dtype, &[], 1, &[40, 90], &[50, 90]);
    }
}

#[test]
fn convolutions_of_groups() {
    for groups in [2, 24] {
        convolve(DType::F32, &[SAME; 2], groups, &[10, 24, 12, 12], &[48, 24 / groups, 3, 3]);
        convolve(DType::F32, &[SAME; 2], groups, &[1, 24, 60, 60], &[48, 24 / groups, 3, 3]);
        convolve(
            DType::F32,
            &[SAME; 2],
            groups,
            &[3, groups * 40, 10, 10],
            &[groups * 2, 40, 10, 10],
        );
    }
}

#[test]
fn convolutions_of_one_feature_each() {
    let two = Slide { stride: 2, ..SAME };
    let far = Slide { stride: 3, low: 4, high: 1, base_dilation: 1, window_dilation: 2 };
    let inside = Slide { low: -2, high: -1, ..PLAIN };
    for (a, b) in [(SAME, SAME), (two, two), (far, two), (inside, far), (PLAIN, inside)] {
        for (groups, results) in [(3, 1), (20, 2), (2, 5)] {
            let w = [groups * results, 1, 3, 3];
            convolve(DType::F32, &[a, b], groups, &[2, groups, 14, 17], &w);
            convolve(DType::F32, &[a, b], groups, &[2, groups, 9, 10], &w);
        }
        convolve(DType::F32, &[b], 6, &[2, 6, 200], &[6, 1, 5]);
    }
    // More rows than one band, and rows of more than four vectors.
    convolve(DType::F32, &[SAME; 2], 2, &[1, 2, 90, 200], &[2, 1, 5, 4]);
    convolve(DType::F32, &[two; 2], 2, &[1, 2, 150, 201], &[4, 1, 3, 3]);
    // Taps that are far from each other, and windows: within a band, and beyond all bands.
    for (dilation, size) in [(9, 40), (36, 65), (1 << 20, 3)] {
        let pad = dilation as i64;
        let atrous = Slide { low: pad, high: pad, window_dilation: dilation, ..PLAIN };
        convolve(DType::F32, &[atrous; 2], 2, &[1, 2, size, size], &[2, 1, 3, 3]);
    }
    let rare = Slide { stride: 1 << 31, ..PLAIN };
    convolve(DType::F32, &[rare; 2], 2, &[1, 2, 4, 4], &[2, 1, 1, 1]);
    check(DType::F32, &[&[2, 30, 30, 7], &[3, 3, 7]], |b, xs| {
        let x = b.transpose(xs[0], &[0, 3, 1, 2]);
        let w = b.transpose(xs[1], &[2, 0, 1]);
        let w = b.reshape(w, [7, 1, 3, 3]);
        b.emit(conv(DType::F32, &[SAME; 2], 7), &[x, w])
    });
}

#[test]
fn convolutions_of_few_and_of_part_panels() {
    for dtype in [DType::F32, DType::F64] {
        // Windows around multiples of a panel, features around those of a strip.
        for (size, results) in [(1, 13), (7, 48), (8, 47), (9, 5), (23, 30)] {
            convolve(dtype, &[PLAIN; 2], 1, &[1, 70, size, size], &[results, 70, 1, 1]);
            convolve(dtype, &[SAME; 2], 1, &[1, 70, size, size], &[results, 70, 3, 3]);
            convolve(dtype, &[SAME; 2], 2, &[2, 20, size, 12], &[2 * results, 10, 3, 3]);
        }
        // Panels in the operand, whose last one is packed; a feature beyond the end of a part.
        convolve(dtype, &[PLAIN; 2], 1, &[1, 9, 30, 31], &[20, 9, 1, 1]);
        convolve(dtype, &[PLAIN; 2], 1, &[2, 600, 10, 10], &[150, 600, 1, 1]);
        convolve(dtype, &[Slide { stride: 2, ..PLAIN }; 2], 1, &[1, 9, 30, 31], &[20, 9, 1, 1]);
        convolve(dtype, &[Slide { stride: 2, ..SAME }], 1, &[1, 40, 501], &[50, 40, 16]);
    }
}

#[test]
fn convolutions_slide_in_every_way() {
    let (two, three) = (
        Slide { stride: 2, ..PLAIN },
        Slide { stride: 3, low: 2, high: 1, base_dilation: 2, window_dilation: 2 },
    );
    let cut = Slide { low: -2, high: -1, ..PLAIN };
    let wide = Slide { low: 7, high: 9, window_dilation: 3, ..PLAIN };
    let spread = Slide { low: 2, high: 2, base_dilation: 2, ..PLAIN };
    for (a, b) in [
        (two, SAME),
        (SAME, two),
        (three, cut),
        (cut, three),
        (wide, spread),
        (spread, wide),
        (three, three),
        (SAME, cut),
        (wide, SAME),
    ] {
        convolve(DType::F32, &[a, b], 1, &[3, 5, 13, 12], &[7, 5, 2, 3]);
        convolve(DType::F32, &[a, b], 1, &[3, 5, 4, 5], &[7, 5, 3, 2]);
        convolve(DType::F32, &[b, PLAIN, a], 1, &[2, 3, 7, 4, 9], &[4, 3, 2, 3, 2]);
        convolve(DType::I8, &[a, b], 5, &[3, 5, 13, 12], &[10, 1, 2, 3]);
    }
    convolve(DType::F32, &[spread; 4], 1, &[2, 2, 3, 2, 4, 3], &[2, 2, 2, 1, 2, 2]);
    convolve(DType::F32, &[SAME], 1, &[2, 3, 700], &[4, 3, 3]);
    // Windows longer than the axes: every window covers all elements.
    convolve(
        DType::F32,
        &[Slide { low: 40, high: 40, ..PLAIN }; 2],
        1,
        &[2, 2, 3, 2],
        &[3, 2, 30, 31],
    );
}

#[test]
fn what_moves_operands_is_strides() {
    let op = |groups| conv(DType::F32, &[SAME, Slide { stride: 2, ..SAME }], groups);
    // Features last, in both operands.
    check(DType::F32, &[&[6, 11, 10, 8], &[3, 3, 8, 9]], |b, xs| {
        let (x, w) = (b.transpose(xs[0], &[0, 3, 1, 2]), b.transpose(xs[1], &[3, 2, 0, 1]));
        b.emit(op(1), &[x, w])
    });
    // Reversed weights, and features exchanged with the batch.
    check(DType::F32, &[&[8, 6, 11, 10], &[9, 8, 3, 3]], |b, xs| {
        let x = b.transpose(xs[0], &[1, 0, 2, 3]);
        let w = b.emit(Reverse { axes: vec![2, 3] }, &[xs[1]]);
        b.emit(op(1), &[x, w])
    });
    check(DType::F32, &[&[40, 3, 14, 14], &[40, 9, 14, 14]], |b, xs| {
        let x = b.reshape(xs[0], [40, 1, 3, 14, 14]);
        let x = b.transpose(x, &[2, 1, 0, 3, 4]);
        let x = b.reshape(x, [3, 40, 14, 14]);
        let w = b.transpose(xs[1], &[1, 0, 2, 3]);
        b.emit(conv(DType::F32, &[SAME; 2], 1), &[x, w])
    });
    // Weights of one tap, features exchanged.
    check(DType::F32, &[&[8, 20, 9, 9], &[20, 30, 1, 1]], |b, xs| {
        let w = b.transpose(xs[1], &[1, 0, 2, 3]);
        b.emit(conv(DType::F32, &[PLAIN; 2], 1), &[xs[0], w])
    });
    // Taps reversed along one axis only; a reshaped operand, and one whose reshape is not strided.
    check(DType::F32, &[&[2, 4, 60], &[5, 4, 8, 9]], |b, xs| {
        let x = b.reshape(xs[0], [2, 4, 6, 10]);
        let x = b.emit(Reverse { axes: vec![1, 3] }, &[x]);
        let w = b.emit(Reverse { axes: vec![3] }, &[xs[1]]);
        b.emit(conv(DType::F32, &[Slide { low: 4, high: 4, ..PLAIN }; 2], 1), &[x, w])
    });
    check(DType::F32, &[&[6, 2, 4, 10], &[4, 2, 3, 3]], |b, xs| {
        let x = b.transpose(xs[0], &[1, 2, 0, 3]);
        let x = b.reshape(x, [2, 4, 6, 10]);
        let w = b.reshape(xs[1], [2, 4, 3, 3]);
        b.emit(op(1), &[x, w])
    });
}

#[test]
fn convolutions_are_followed_by_what_is_done_with_them() {
    for (x, w, slide) in [
        ([20, 8, 14, 14], [24, 8, 3, 3], SAME),
        ([1, 8, 40, 40], [24, 8, 3, 3], SAME),
        ([6, 30, 20, 20], [5, 30, 20, 20], SAME),
    ] {
        check(DType::F32, &[&x, &w, &[w[0], 1, 1]], |b, xs| {
            let y = b.emit(conv(DType::F32, &[slide; 2], 1), &xs[..2]);
            let shape = b.ty(y).shape.clone();
            let bias = b.broadcast(xs[2], shape, &[1, 2, 3]);
            let y = b.add(y, bias);
            let zero = b.zeros(b.ty(y).clone());
            let y = b.max(y, zero);
            b.mul(y, y)
        });
    }
}

#[test]
fn parts_of_convolutions_are_followed_by_what_is_done_with_them() {
    for (batch, groups, features, size) in [
        (1, 1, 9, 30),
        (2, 1, 9, 30),
        (1, 1, 300, 7),
        (2, 6, 1, 40),
        (1, 12, 1, 100),
        (3, 2, 4, 20),
    ] {
        let (x, w) = ([batch, groups * features, size, size], [12 * groups, features, 3, 3]);
        let y = [batch, 12 * groups, size, size];
        let op = conv(DType::F32, &[SAME; 2], groups);
        // A bias for each feature, another operand, a number for each row; then a sum over rows.
        check(DType::F32, &[&x, &w, &[w[0]], &y, &[batch, w[0], size]], |b, xs| {
            let out = b.emit(op.clone(), &xs[..2]);
            let bias = b.broadcast(xs[2], y, &[1]);
            let out = b.add(out, bias);
            b.mul(out, xs[3])
        });
        check(DType::F32, &[&x, &w, &[batch, w[0], size]], |b, xs| {
            let out = b.emit(op.clone(), &xs[..2]);
            let line = b.broadcast(xs[2], y, &[0, 1, 3]);
            b.add(out, line)
        });
        check(DType::F32, &[&x, &w], |b, xs| {
            let out = b.emit(op.clone(), xs);
            let out = b.mul(out, out);
            b.sum(out, &[2, 3])
        });
        check(DType::F32, &[&x, &w], |b, xs| {
            let out = b.emit(op.clone(), xs);
            b.mul(out, out)
        });
        check(DType::F32, &[&x, &w], |b, xs| {
            let out = b.emit(op.clone(), xs);
            let out = b.transpose(out, &[0, 2, 3, 1]);
            b.mul(out, out)
        });
    }
}

#[test]
fn narrow_and_special_numbers() {
    for dtype in [DType::F16, DType::BF16, DType::I8, DType::U16] {
        convolve(dtype, &[SAME; 2], 1, &[3, 4, 6, 6], &[5, 4, 2, 3]);
    }
    check(DType::I8, &[&[2, 3, 9], &[4, 3, 5]], |b, xs| b.emit(conv(DType::I32, &[SAME], 1), xs));
    // Padding is zeros: times an infinite weight it is NaN.
    for (seed, special) in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].into_iter().enumerate() {
        for (x, w) in [([2, 3, 9, 9], [8, 3, 3, 3]), ([2, 9, 14, 14], [3, 9, 13, 13])] {
            let mut args =
                [numbers(Type::new(DType::F32, x), 1), numbers(Type::new(DType::F32, w), 2)];
            for (which, at) in [(0, 40 + seed), (1, 20 * seed)] {
                let mut v = args[which].to_f64s();
                v[at] = special;
                args[which] = Literal::from_f64s(DType::F32, args[which].shape().clone(), &v);
            }
            check_on(&args, |b, xs| b.emit(conv(DType::F32, &[SAME; 2], 1), xs));
        }
    }
}

#[test]
fn sizes_of_zero() {
    for (x, w) in [
        ([0, 2, 5, 5], [3, 2, 3, 3]),
        ([2, 0, 5, 5], [3, 0, 3, 3]),
        ([2, 2, 5, 5], [0, 2, 3, 3]),
        ([2, 2, 0, 5], [3, 2, 2, 3]),
        ([2, 2, 1, 5], [3, 2, 9, 3]),
    ] {
        convolve(DType::F32, &[SAME; 2], 1, &x, &w);
    }
    for shape in [[0, 3, 4], [3, 0, 4], [3, 4, 0]] {
        windows(DType::F32, &shape, &[1, 2, 2], &[PLAIN, SAME, Slide { stride: 2, ..SAME }]);
    }
}

/// Returns the number of windows along each axis.
fn counts(b: &mut Builder, x: Value, sizes: &[usize], slides: &[Slide]) -> Vec<usize> {
    let y = b.emit(
        ReduceWindow { kind: ReduceKind::Max, sizes: sizes.to_vec(), slides: slides.to_vec() },
        &[x],
    );
    b.ty(y).shape.to_vec()
}

/// Returns the results of all ops over windows.
fn windows(dtype: DType, shape: &[usize], sizes: &[usize], slides: &[Slide]) {
    windows_over(numbers(Type::new(dtype, shape), 3), sizes, slides);
}

fn windows_over(x: Literal, sizes: &[usize], slides: &[Slide]) {
    for &kind in ReduceKind::ALL.iter().filter(|k| k.admits(x.dtype())) {
        check_on(std::slice::from_ref(&x), |b, xs| {
            b.emit(ReduceWindow { kind, sizes: sizes.to_vec(), slides: slides.to_vec() }, xs)
        });
    }
    for kind in [ArgKind::Max, ArgKind::Min] {
        let (sizes, slides) = (sizes.to_vec(), slides.to_vec());
        let mut b = Builder::new();
        let input = b.input(x.ty().clone());
        let counts = counts(&mut b, input, &sizes, &slides);
        let source = |shape: &[usize]| numbers(Type::new(DType::F32, shape), 9);
        let (gather, scatter) = (
            SelectAndGather { kind, sizes: sizes.clone(), slides: slides.clone() },
            SelectAndScatter { kind, sizes, slides },
        );
        check_on(&[x.clone(), source(x.shape())], |b, xs| b.emit(gather, xs));
        check_on(&[x.clone(), source(&counts)], |b, xs| b.emit(scatter, xs));
    }
}

#[test]
fn windows_of_two_by_two() {
    let two = Slide { stride: 2, ..PLAIN };
    for width in [1, 2, 5, 7, 8, 15, 16, 17, 28, 35] {
        windows(DType::F32, &[3, 2, 9, width], &[1, 1, 2, 2], &[PLAIN, PLAIN, two, two]);
        windows(DType::F32, &[3, 9, width], &[1, 2, 2], &[PLAIN, two, Slide { low: -1, ..two }]);
    }
    // Enough for several chunks.
    windows(DType::F32, &[8, 16, 28, 28], &[1, 1, 2, 2], &[PLAIN, PLAIN, two, two]);
    windows(DType::I32, &[300, 400], &[2, 2], &[two, two]);
}

#[test]
fn windows_slide_in_every_way() {
    let (two, three) = (
        Slide { stride: 2, low: 1, high: 1, ..PLAIN },
        Slide { stride: 3, low: 2, high: 1, base_dilation: 2, window_dilation: 2 },
    );
    let (cut, thin) =
        (Slide { low: -1, high: -1, ..PLAIN }, Slide { base_dilation: 3, low: 1, ..PLAIN });
    for dtype in
        [DType::F32, DType::F64, DType::I16, DType::U8, DType::U64, DType::Bool, DType::BF16]
    {
        for (a, b) in [
            (two, two),
            (SAME, SAME),
            (three, two),
            (cut, three),
            (thin, SAME),
            (SAME, thin),
            (PLAIN, cut),
        ] {
            windows(dtype, &[2, 9, 11], &[1, 2, 3], &[PLAIN, a, b]);
            windows(dtype, &[7, 2, 6, 2], &[3, 1, 2, 1], &[a, PLAIN, b, PLAIN]);
        }
    }
    windows(DType::F32, &[20_000], &[4], &[two]);
    windows(DType::F32, &[4, 50, 60, 3], &[1, 3, 3, 1], &[PLAIN, two, two, PLAIN]);
    windows(DType::F32, &[], &[], &[]);
}

#[test]
fn windows_over_special_numbers() {
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0];
    let two = Slide { stride: 2, ..PLAIN };
    for (sizes, slide) in [([2, 2], two), ([3, 3], SAME), ([2, 2], PLAIN)] {
        let mut v = numbers(Type::new(DType::F32, [12, 22]), 1).to_f64s();
        v.iter_mut()
            .enumerate()
            .filter(|(i, _)| i % 3 == 0)
            .for_each(|(i, x)| *x = special[i / 3 % 4]);
        windows_over(Literal::from_f64s(DType::F32, [12, 22], &v), &sizes, &[slide; 2]);
    }
    // All elements are equal: the first one is selected, also if it is minus infinity.
    let low = Literal::from_f64s(DType::F32, [6, 6], &[f64::NEG_INFINITY; 36]);
    windows_over(low, &[3, 2], &[SAME, two]);
}
