//! Reductions that are split into parts, compared with the reference interpreter.

use neurax_ir::{Builder, DType, Graph, Literal, Type, op::ReduceKind, transform};
use neurax_native::Native;
use neurax_testkit::{
    close::{Tolerance, all_within},
    conformance::{evaluate, graph},
};

fn reduction(kind: ReduceKind, dtype: DType, shape: &[usize], axes: &[usize]) -> Graph {
    graph(&[Type::new(dtype, shape)], |b, x| vec![b.reduce(kind, x[0], axes)]).unwrap()
}

/// Returns whole numbers, so that only the last step of a sum rounds.
fn numbers(dtype: DType, shape: &[usize]) -> Literal {
    let ty = Type::new(dtype, shape);
    let parts = ty.size() * (1 + dtype.is_complex() as usize);
    let x: Vec<f64> = (0..parts).map(|i| (i * 7919 % 1009) as f64 - 504.0).collect();
    Literal::from_f64s(dtype.real(), [parts], &x).with_type(ty).unwrap()
}

/// Compares a graph with the reference interpreter bit for bit. Returns the result.
fn check(native: &Native, g: &Graph, x: Literal) -> Literal {
    let mut have = evaluate(native, g, std::slice::from_ref(&x)).unwrap();
    let want = transform::eval(g, vec![x]).unwrap();
    all_within(&have, &want, |_| Tolerance::both(0.0)).unwrap_or_else(|e| panic!("{e}\n{g}"));
    have.remove(0)
}

#[test]
fn parts_join_to_the_whole() {
    let cases: [(&[usize], &[usize]); 10] = [
        (&[1 << 18], &[0]),
        (&[300_007], &[0]),
        (&[700, 3, 200], &[0, 2]),
        (&[3, 700, 200], &[1, 2]),
        (&[31, 5, 31, 5, 31], &[0, 2, 4]),
        (&[2, 33, 33, 200, 1], &[3, 1, 2]),
        (&[256, 1000], &[0]),
        (&[4096, 100], &[0]),
        (&[16, 7, 100, 30], &[0, 2, 3]),
        (&[70, 1, 60, 1, 50], &[0, 2, 4]),
    ];
    let kinds = [
        (ReduceKind::Sum, DType::F32),
        (ReduceKind::Max, DType::F32),
        (ReduceKind::Xor, DType::I32),
        (ReduceKind::Sum, DType::F16),
        (ReduceKind::Sum, DType::BF16),
        (ReduceKind::Sum, DType::C64),
    ];
    let native = Native::new().unwrap();
    for (shape, axes) in cases {
        for (kind, dtype) in kinds {
            check(&native, &reduction(kind, dtype, shape, axes), numbers(dtype, shape));
        }
    }
}

#[test]
fn parts_of_narrow_floats_may_be_larger_than_these() {
    const HALF: usize = 1 << 16;
    for dtype in [DType::F16, DType::BF16] {
        let x: Vec<f64> = (0..2 * HALF).map(|i| if i < HALF { 100.0 } else { -100.0 }).collect();
        let x = Literal::from_f64s(dtype, [2 * HALF], &x);
        let y = check(
            &Native::new().unwrap(),
            &reduction(ReduceKind::Sum, dtype, &[2 * HALF], &[0]),
            x,
        );
        assert_eq!(y.to_f64s(), [0.0], "{dtype}");
    }
}

#[test]
fn one_number_of_many_is_made_of_independent_parts() {
    let text = Native::new()
        .unwrap()
        .explain(&reduction(ReduceKind::Sum, DType::F32, &[1 << 20], &[0]))
        .unwrap();
    assert!(text.contains("32 iterations, parallel"), "{text}");
}

/// No intermediate buffer is nearly as large as `x`.
fn check_memory(g: &Graph, x: &Type) {
    let text = Native::new().unwrap().explain(g).unwrap();
    let block = text
        .rsplit_once("block of ")
        .and_then(|(_, rest)| rest.split_once(' '))
        .and_then(|(n, _)| n.parse::<usize>().ok());
    assert!(block.is_some_and(|bytes| bytes < x.bytes().unwrap() / 8), "{text}");
}

#[test]
fn what_is_summed_in_parts_is_not_in_memory() {
    let x = Type::new(DType::F32, [700, 900]);
    let mut b = Builder::new();
    let v = b.input(x.clone());
    let y = b.mul_scalar(v, 2.0);
    let y = b.sum(y, &[0, 1]);
    check_memory(&b.finish(&[y]).unwrap(), &x);
}

#[test]
fn the_squares_of_a_variance_are_not_in_memory() {
    let x = Type::new(DType::F32, [128, 16, 28, 28]);
    let mut b = Builder::new();
    let (v, mean) = (b.input(x.clone()), b.input(Type::new(DType::F32, [16])));
    let mean = b.broadcast(mean, x.shape.clone(), &[1]);
    let y = b.sub(v, mean);
    let y = b.square(y);
    let y = b.sum(y, &[0, 2, 3]);
    check_memory(&b.finish(&[y]).unwrap(), &x);
}
