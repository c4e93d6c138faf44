//! Derivatives of loops equal those of the unrolled loops, of first and second order.

use super::Scan;
use crate::{Builder, DType, Graph, Literal, Op, Type, Value, transform};
use std::sync::Arc;

/// The bodies `(w, h, x) -> (h, y)`, for `w`, `h` and `x` of the shape, after `%2`.
const BODIES: [(&[usize], &str); 6] = [
    // The kernel of a recurrent layer, whose gradient is one product.
    (
        &[2, 2],
        "%3: f64[2, 2] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
           rhs_contract=[0], dtype=f64](%1, %0)
         %4: f64[2, 2] = add(%3, %2)
         %5: f64[2, 2] = tanh(%4)
         return %5, %5",
    ),
    // A kernel with two uses, and the product from the other side.
    (
        &[2, 2],
        "%3: f64[2, 2] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
           rhs_contract=[0], dtype=f64](%1, %0)
         %4: f64[2, 2] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[0],
           rhs_contract=[1], dtype=f64](%0, %2)
         %5: f64[2, 2] = add(%3, %4)
         %6: f64[2, 2] = sine(%5)
         return %6, %5",
    ),
    // Batch axes, and a transpose.
    (
        &[2, 2, 2],
        "%3: f64[2, 2, 2] = dot_general[lhs_batch=[0], rhs_batch=[0], lhs_contract=[2],
           rhs_contract=[1], dtype=f64](%1, %0)
         %4: f64[2, 2, 2] = transpose[permutation=[0, 2, 1]](%3)
         %5: f64[2, 2, 2] = add(%4, %2)
         %6: f64[2, 2, 2] = tanh(%5)
         return %6, %6",
    ),
    // Gates, whose derivatives are computed again.
    (
        &[2, 2],
        "%3: f64[2, 2] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
           rhs_contract=[0], dtype=f64](%1, %0)
         %4: f64[2, 2] = logistic(%3)
         %5: f64[2, 2] = tanh(%2)
         %6: f64[2, 2] = multiply(%4, %5)
         %7: f64[2, 2] = multiply(%6, %1)
         return %7, %4",
    ),
    // A product of constants of the loop, and a sum that is no product.
    (
        &[2, 2],
        "%3: f64[2, 2] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
           rhs_contract=[0], dtype=f64](%0, %0)
         %4: f64[2, 2] = multiply(%3, %1)
         %5: f64[2, 2] = add(%4, %2)
         return %5, %3",
    ),
    // A result that no cotangent reaches but through the carry.
    (
        &[2, 2],
        "%3: f64[2, 2] = multiply(%1, %2)
         %4: f64[2, 2] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
           rhs_contract=[0], dtype=f64](%3, %0)
         %5: f64[2, 2] = cosine(%4)
         return %5, %2",
    ),
];

/// Returns the loop over a body.
fn looped(shape: &[usize], body: &str, length: usize, reverse: bool) -> Scan {
    let ty = Type::new(DType::F64, shape);
    let text = format!("graph(%0: {ty}, %1: {ty}, %2: {ty}) {{ {body} }}");
    let body = Arc::new(Graph::parse(&text).unwrap());
    Scan { body, length, reverse, consts: 1, carries: 1 }
}

/// Builds the sum of the products of all results with different weights, for the loop as one
/// equation or unrolled.
fn loss(shape: &[usize], scan: &Scan, is_unrolled: bool) -> Graph {
    let (ty, mut b) = (Type::new(DType::F64, shape), Builder::new());
    let stack = ty.with_shape(ty.shape.inserted(0, scan.length));
    let (w, h, xs) = (b.input(ty.clone()), b.input(ty.clone()), b.input(stack));
    let outs = if is_unrolled {
        unrolled(&mut b, scan, [w, h, xs])
    } else {
        let ys = b.emit_n(scan.clone(), &[w, h, xs], 2);
        (0..scan.length).map(|i| row(&mut b, ys[1], i)).chain([ys[0]]).collect()
    };
    let axes: Vec<usize> = (0..shape.len()).collect();
    let mut total = b.zeros(Type::scalar(DType::F64));
    for (i, y) in outs.into_iter().enumerate() {
        let y = b.mul_scalar(y, 1.0 + i as f64);
        let y = b.sum(y, &axes);
        total = b.add(total, y);
    }
    b.finish(&[total]).unwrap()
}

/// Emits the iterations one after the other. Returns the results of each, and the last carry.
fn unrolled(b: &mut Builder, scan: &Scan, [w, mut h, xs]: [Value; 3]) -> Vec<Value> {
    let mut ys = vec![];
    for k in 0..scan.length {
        let i = if scan.reverse { scan.length - 1 - k } else { k };
        let x = row(b, xs, i);
        let outs = b.inline(&scan.body, &[w, h, x]);
        h = outs[0];
        ys.push(outs[1]);
    }
    if scan.reverse {
        ys.reverse();
    }
    ys.push(h);
    ys
}

/// Emits row `i` of a stack.
fn row(b: &mut Builder, x: Value, i: usize) -> Value {
    let shape = b.ty(x).shape.removed(0);
    let row = b.slice_axis(x, 0, i, i + 1);
    b.reshape(row, shape)
}

/// Builds the gradients of the loss, and the sum of their sines as a further loss.
fn gradients(graph: &Graph) -> Graph {
    let first = transform::grad(graph, &[true; 3]).unwrap();
    let mut b = Builder::new();
    let xs = b.inputs(graph.input_types());
    let outs = b.inline(&first, &xs);
    let mut total = b.zeros(Type::scalar(DType::F64));
    for &g in &outs[1..] {
        let axes: Vec<usize> = (0..b.ty(g).shape.len()).collect();
        let y = b.sin(g);
        let y = b.sum(y, &axes);
        total = b.add(total, y);
    }
    let all = [vec![total], outs[1..].to_vec()].concat();
    b.finish(&all).unwrap()
}

fn numbers(seed: usize, ty: &Type) -> Literal {
    let x: Vec<f64> =
        (0..ty.size()).map(|i| ((i * 7 + seed * 3) % 11) as f64 / 11.0 - 0.4).collect();
    Literal::from_f64s(DType::F64, ty.shape.clone(), &x)
}

#[test]
fn derivatives_of_loops_are_those_of_unrolled_loops() {
    for (case, (shape, body)) in BODIES.iter().enumerate() {
        for (length, reverse) in [(0, false), (1, false), (3, false), (3, true), (4, true)] {
            let scan = looped(shape, body, length, reverse);
            let run = |is_unrolled: bool| {
                let first = gradients(&loss(shape, &scan, is_unrolled));
                let second = transform::grad(&first, &[true; 3]).unwrap();
                let types = first.input_types();
                let args = types.iter().enumerate().map(|(i, t)| numbers(i, t)).collect();
                let outs = transform::eval(&second, args).unwrap();
                outs.iter().map(|x| x.to_f64s()).collect::<Vec<_>>()
            };
            let (have, want) = (run(false), run(true));
            assert_eq!(have.len(), 7);
            for (x, y) in have.iter().flatten().zip(want.iter().flatten()) {
                assert!((x - y).abs() < 1e-10, "case {case}, {length} {reverse}: {x} {y}");
            }
        }
    }
}

/// Products of f16 overflow at 65,504; their sum is one of f32.
#[test]
fn products_of_narrow_floats_are_added_in_f32() {
    let body = Graph::parse(
        "graph(%0: f32[1, 1], %1: f16[1, 1], %2: f16[1, 1]) {
           %3: f16[1, 1] = convert[dtype=f16](%0)
           %4: f16[1, 1] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1],
             rhs_contract=[0], dtype=f16](%2, %3)
           return %1, %4
         }",
    );
    let scan =
        Scan { body: Arc::new(body.unwrap()), length: 1000, reverse: false, consts: 1, carries: 1 };
    let mut b = Builder::new();
    let types = [
        Type::new(DType::F32, [1, 1]),
        Type::new(DType::F16, [1, 1]),
        Type::new(DType::F16, [1000, 1, 1]),
    ];
    let xs = b.inputs(&types);
    let ys = b.emit_n(scan, &xs, 2)[1];
    let ys = b.convert(ys, DType::F32);
    let total = b.sum(ys, &[0, 1, 2]);
    let gradient = transform::grad(&b.finish(&[total]).unwrap(), &[true, false, true]).unwrap();
    let full =
        |ty: &Type, x: f64| Literal::from_f64s(ty.dtype, ty.shape.clone(), &vec![x; ty.size()]);
    let args = vec![full(&types[0], 1.0), full(&types[1], 0.0), full(&types[2], 100.0)];
    let out = transform::eval(&gradient, args).unwrap();
    assert_eq!(out[1].to_f64s(), [100_000.0]);
    let is_loop = |e: &&crate::Eqn| matches!(e.op, Op::Scan(_));
    assert_eq!(gradient.eqns().iter().filter(is_loop).count(), 2);
}
