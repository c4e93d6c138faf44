//! Data movement keeps every bit, with any number of threads: runs of slightly fewer than 512
//! bytes, which loops copy, and of 512 and slightly more, which `memcpy` copies.

use neurax_ir::{
    Builder, DType, Literal, Type, Value,
    op::{DynamicSlice, OutOfBounds, Pad, Slice},
    transform,
};
use neurax_native::Native;
use neurax_testkit::conformance::{evaluate, graph};

const DTYPES: [DType; 7] =
    [DType::F32, DType::F64, DType::U8, DType::Bool, DType::F16, DType::BF16, DType::C64];

/// Enough rows for several chunks.
const ROWS: usize = 2000;

/// Returns numbers that are distinct in every dtype, and special ones.
fn numbers(dtype: DType, shape: &[usize]) -> Literal {
    let special = [f64::NAN, f64::INFINITY, -0.0];
    let number = |i: usize| special.get(i % 50).copied().unwrap_or((i * 7919 % 251) as f64 - 125.0);
    let ty = Type::new(dtype, shape);
    let parts = ty.size() * (1 + dtype.is_complex() as usize);
    let x: Vec<f64> = (0..parts).map(number).collect();
    Literal::from_f64s(dtype.real(), [parts], &x).with_type(ty).unwrap()
}

/// Compares a function of the arguments with the reference interpreter, bit for bit.
fn check(args: &[Literal], f: impl FnOnce(&mut Builder, &[Value]) -> Value) {
    let types: Vec<Type> = args.iter().map(|x| x.ty().clone()).collect();
    let graph = graph(&types, |b, xs| vec![f(b, xs)]).unwrap();
    let want = transform::eval(&graph, args.to_vec()).unwrap();
    let native = Native::new().unwrap();
    for threads in [1, 2, 5] {
        let have = evaluate(&native.with_threads(threads), &graph, args).unwrap();
        assert!(have == want, "with {threads} threads\n{graph}");
    }
}

/// Calls `f` with every dtype and with rows of around 512 bytes.
fn rows(f: impl Fn(DType, usize)) {
    for dtype in DTYPES {
        let bytes = dtype.bits() / 8;
        let (long, little) = (512 / bytes, 4usize.div_ceil(bytes));
        [long - little, long, long + little].into_iter().for_each(|n| f(dtype, n));
    }
}

/// The rows of the table that is gathered from.
const TABLE: usize = 17;

/// Returns `count` row indices of the table in no order, the last row among them, and some out of
/// bounds.
fn indices(count: usize) -> Literal {
    let corners = [TABLE as f64 - 1.0, TABLE as f64, -1.0, i32::MIN as f64, i32::MAX as f64];
    let place = |i: usize| corners.get(i % 11).copied().unwrap_or((i * 7919 % TABLE) as f64);
    Literal::from_f64s(DType::I32, [count], &(0..count).map(place).collect::<Vec<_>>())
}

#[test]
fn gathered_rows() {
    rows(|dtype, n| {
        let gather = |x: &[usize], count: usize, axis: usize, mode: OutOfBounds| {
            check(&[numbers(dtype, x), indices(count)], |b, xs| b.take(xs[0], xs[1], axis, mode));
        };
        for mode in [OutOfBounds::Clip, OutOfBounds::Drop] {
            gather(&[TABLE, n], ROWS, 0, mode);
            gather(&[TABLE, n], 0, 0, mode);
            gather(&[0, n], 0, 0, mode);
            gather(&[3, TABLE, n], ROWS / 3, 1, mode);
        }
        gather(&[0, n], 5, 0, OutOfBounds::Drop);
    });
}

#[test]
fn windows_at_run_time_offsets() {
    rows(|dtype, n| {
        let x = numbers(dtype, &[ROWS + 5, n + 3]);
        for start in [[0, 0], [2, 1], [-4, 2], [i32::MAX, i32::MIN]] {
            let args = [x.clone(), Literal::from_slice([2], &start).unwrap()];
            for count in [ROWS, 1, 0] {
                check(&args, |b, xs| b.emit(DynamicSlice { sizes: vec![count, n] }, xs));
            }
        }
    });
}

#[test]
fn rows_that_are_concatenated() {
    rows(|dtype, n| {
        let join = |shapes: [[usize; 2]; 3], axis: usize| {
            check(&shapes.map(|s| numbers(dtype, &s)), |b, xs| b.concat(xs, axis))
        };
        join([[ROWS, n], [ROWS, 3], [ROWS, n + 1]], 1);
        join([[7, n], [0, n], [ROWS, n]], 0);
        join([[0, n], [0, 3], [0, n + 1]], 1);
    });
}

#[test]
fn rows_that_are_padded() {
    rows(|dtype, n| {
        for count in [ROWS, 0] {
            let args = [numbers(dtype, &[count, n]), numbers(dtype, &[])];
            for (low, high, interior) in
                [([2, 3], [1, 0], [0, 0]), ([0, 0], [4, 0], [0, 0]), ([0, 1], [0, 5], [1, 0])]
            {
                let op =
                    Pad { low: low.to_vec(), high: high.to_vec(), interior: interior.to_vec() };
                check(&args, |b, xs| b.emit(op, xs));
            }
        }
    });
}

#[test]
fn rows_that_are_sliced_or_reordered() {
    rows(|dtype, n| {
        let x = numbers(dtype, &[ROWS, n + 5]);
        for (start, limit, step) in
            [([1, 2], [ROWS, n + 2], 1), ([0, 5], [ROWS - 3, n + 5], 2), ([4, 1], [4, n + 1], 1)]
        {
            let op = Slice { start: start.to_vec(), limit: limit.to_vec(), stride: vec![step, 1] };
            check(std::slice::from_ref(&x), |b, xs| b.emit(op, xs));
        }
        check(&[numbers(dtype, &[50, ROWS / 50, n])], |b, xs| b.transpose(xs[0], &[1, 0, 2]));
        check(&[numbers(dtype, &[n])], |b, xs| b.broadcast(xs[0], [ROWS, n], &[1]));
    });
}

#[test]
fn one_run_that_is_cut_into_parts() {
    const LONG: usize = 300_000;
    for dtype in DTYPES {
        let x = numbers(dtype, &[LONG]);
        check(std::slice::from_ref(&x), |b, xs| b.slice(xs[0], &[1], &[LONG - 2]));
        let start = Literal::from_slice([1], &[7]).unwrap();
        check(&[x.clone(), start], |b, xs| b.emit(DynamicSlice { sizes: vec![LONG - 1000] }, xs));
        check(&[numbers(dtype, &[129]), x], |b, xs| b.concat(xs, 0));
    }
}
