//! Reductions that are done in parts, against the oracle.

use neurax_ir::{Builder, DType, Graph, Literal, Type, op::ReduceKind, transform};
use neurax_native::Native;
use neurax_runtime::Backend;
use neurax_testkit::close;

fn graph(kind: ReduceKind, dtype: DType, shape: &[usize], axes: &[usize]) -> Graph {
    let mut b = Builder::new();
    let x = b.inputs(&[Type::new(dtype, shape)])[0];
    let y = b.reduce(kind, x, axes);
    b.finish(&[y]).unwrap()
}

/// Whole numbers, so that sums have no rounding.
fn numbers(dtype: DType, shape: &[usize]) -> Literal {
    let n: usize = shape.iter().product();
    let x: Vec<f64> = (0..n).map(|i| (i * 7919 % 1009) as f64 - 504.0).collect();
    Literal::from_f64s(dtype, shape, &x)
}

#[test]
fn parts_join_to_the_whole() {
    let cases: [(&[usize], &[usize]); 6] = [
        (&[1 << 18], &[0]),
        (&[300_007], &[0]),
        (&[700, 3, 200], &[0, 2]),
        (&[3, 700, 200], &[1, 2]),
        (&[31, 5, 31, 5, 31], &[0, 2, 4]),
        (&[2, 33, 33, 200, 1], &[3, 1, 2]),
    ];
    let native = Native::new().unwrap();
    for (shape, axes) in cases {
        for (kind, dtype) in
            [(ReduceKind::Sum, DType::F32), (ReduceKind::Max, DType::F32), (ReduceKind::Xor, DType::I32), (ReduceKind::Sum, DType::F16)]
        {
            let (g, x) = (graph(kind, dtype, shape, axes), numbers(dtype, shape));
            let have = native.compile(&g, 0).unwrap().run(vec![x.clone().into()]).unwrap()[0].to_literal().unwrap();
            let want = transform::eval(&g, vec![x]).unwrap();
            close::all_close(&[have], &want, 1.0).unwrap_or_else(|e| panic!("{kind:?} of {dtype} {shape:?} over {axes:?}: {e}"));
        }
    }
}

#[test]
fn one_number_of_many_is_made_of_independent_parts() {
    let text = Native::new().unwrap().explain(&graph(ReduceKind::Sum, DType::F32, &[1 << 20], &[0])).unwrap();
    assert!(text.contains("32 times, in any order"), "{text}");
}
