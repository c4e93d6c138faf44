//! An epilogue runs after the rows that it reads, with any number of threads; products of complex
//! numbers equal those of the reference interpreter bit for bit.

use neurax_ir::{
    Builder, Complex, DType, Literal, Shape, Type, Value, op::DotGeneral, op::Unary, transform,
};
use neurax_native::Native;
use neurax_runtime::Backend;
use neurax_testkit::{
    close::{Tolerance, all_within},
    conformance::{check_exact, evaluate, graph},
};

#[test]
fn what_follows_reads_whole_members_of_the_batch() {
    const N: usize = 256;
    let mut b = Builder::new();
    let xs = b.inputs(
        &[vec![2, N, 64], vec![2, 64, N], vec![N]].map(|shape| Type::new(DType::F32, shape)),
    );
    let op = DotGeneral {
        lhs_batch: vec![0],
        rhs_batch: vec![0],
        lhs_contract: vec![2],
        rhs_contract: vec![1],
        dtype: DType::F32,
    };
    let y = b.emit(op, &xs[..2]);
    // A different number for each row, so that rows and batch members do not collapse into one
    // loop.
    let rows = b.broadcast(xs[2], [2, N, N], &[1]);
    let y = b.add(y, rows);
    let run = Native::new().unwrap().compile(&b.finish(&[y]).unwrap(), 0).unwrap();
    let case = |seed: usize| {
        let numbers =
            |n: usize| (0..n).map(|i| ((i + seed) * 7919 % 5) as f32).collect::<Vec<f32>>();
        let (l, r, rows) = (numbers(2 * N * 64), numbers(2 * 64 * N), numbers(N));
        let want = |m: usize, i: usize, j: usize| {
            rows[i]
                + (0..64).map(|k| l[(m * N + i) * 64 + k] * r[(m * 64 + k) * N + j]).sum::<f32>()
        };
        let want: Vec<f32> =
            (0..2 * N * N).map(|at| want(at / N / N, at / N % N, at % N)).collect();
        let args = [
            Literal::from_slice([2, N, 64], &l),
            Literal::from_slice([2, 64, N], &r),
            Literal::from_slice([N], &rows),
        ];
        (args.map(|x| x.unwrap()), want)
    };
    // Alternately: values that one call leaves in memory are wrong for the next one.
    let cases = [case(0), case(1)];
    for (args, want) in cases.iter().cycle().take(200) {
        let have = run.run(args.iter().map(|x| x.clone().into()).collect()).unwrap().remove(0);
        assert!(have.to_literal().unwrap().to_vec::<f32>().unwrap() == *want);
    }
}

#[test]
fn slices_of_columns_are_read_after_their_rows() {
    let mut b = Builder::new();
    let shapes = [vec![200, 70], vec![70, 96]];
    let xs = b.inputs(&shapes.map(|shape| Type::new(DType::F32, shape)));
    let y = dot(&mut b, &xs, [&[], &[]], [&[1], &[0]]);
    let parts: Vec<Value> =
        (0..3).map(|i| b.slice(y, &[0, 32 * i], &[200, 32 * (i + 1)])).collect();
    let z = b.mul(parts[0], parts[1]);
    let z = b.add(z, parts[2]);
    let g = b.finish(&[z]).unwrap();
    let native = Native::new().unwrap();
    for seed in 0..20usize {
        let digits =
            |n: usize| (0..n).map(|i| ((i + seed) * 7919 % 5) as f32).collect::<Vec<f32>>();
        let args = [
            Literal::from_slice([200, 70], &digits(200 * 70)).unwrap(),
            Literal::from_slice([70, 96], &digits(70 * 96)).unwrap(),
        ];
        let want = transform::eval(&g, args.to_vec()).unwrap();
        assert_eq!(evaluate(&native, &g, &args).unwrap(), want, "{seed}");
    }
}

/// Returns small integers without a pattern, with one infinite part if asked.
fn complex(shape: &[usize], dtype: DType, infinite: bool) -> Literal {
    let number = |i: usize| ((i * 2654435761 + shape.len()) >> 7) as f64 % 5.0 - 2.0;
    let mut v: Vec<Complex<f64>> = (0..Shape::from(shape).size())
        .map(|i| Complex::new(number(2 * i), number(2 * i + 1)))
        .collect();
    if infinite {
        v[7].im = f64::INFINITY;
    }
    let x = match dtype {
        DType::C64 => Literal::from_slice(
            shape,
            &v.iter().map(|z| Complex::new(z.re as f32, z.im as f32)).collect::<Vec<_>>(),
        ),
        _ => Literal::from_slice(shape, &v),
    };
    x.unwrap()
}

/// Compares a function of complex arrays with the reference interpreter: products of integers are
/// exact in any order.
#[track_caller]
fn check(shapes: &[&[usize]], f: impl Fn(&mut Builder, &[Value]) -> Value) {
    for (dtype, infinite) in [(DType::C64, false), (DType::C128, false), (DType::C64, true)] {
        let args: Vec<Literal> =
            shapes.iter().enumerate().map(|(i, s)| complex(s, dtype, infinite && i == 0)).collect();
        check_exact(&Native::new().unwrap(), &args, |b, xs| vec![f(b, xs)]);
    }
}

fn dot(b: &mut Builder, xs: &[Value], batch: [&[usize]; 2], contract: [&[usize]; 2]) -> Value {
    let dtype = b.dtype(xs[0]);
    let [lhs_batch, rhs_batch, lhs_contract, rhs_contract] =
        [batch[0], batch[1], contract[0], contract[1]].map(<[usize]>::to_vec);
    b.emit(DotGeneral { lhs_batch, rhs_batch, lhs_contract, rhs_contract, dtype }, &xs[..2])
}

#[test]
fn products_of_complex_numbers() {
    for (m, k, n) in [
        (40, 50, 60),
        (1, 90, 100),
        (100, 90, 1),
        (5, 2000, 3),
        (70, 1, 80),
        (200, 130, 150),
        (3, 4, 5),
    ] {
        check(&[&[m, k], &[k, n]], |b, xs| dot(b, xs, [&[], &[]], [&[1], &[0]]));
        check(&[&[k, m], &[n, k]], |b, xs| dot(b, xs, [&[], &[]], [&[0], &[1]]));
        check(&[&[m, k], &[n, k]], |b, xs| {
            let y = b.transpose(xs[1], &[1, 0]);
            dot(b, &[xs[0], y], [&[], &[]], [&[1], &[0]])
        });
    }
    // Batch axes in front and behind; axes that have a common stride, and axes that have none.
    check(&[&[3, 20, 30], &[3, 30, 20]], |b, xs| dot(b, xs, [&[0], &[0]], [&[2], &[1]]));
    check(&[&[20, 30, 3], &[30, 3, 20]], |b, xs| dot(b, xs, [&[2], &[1]], [&[1], &[0]]));
    check(&[&[20, 5, 6], &[5, 6, 20]], |b, xs| dot(b, xs, [&[], &[]], [&[1, 2], &[0, 1]]));
    check(&[&[5, 20, 6], &[20, 6, 5]], |b, xs| dot(b, xs, [&[], &[]], [&[2, 0], &[1, 2]]));
    check(&[&[5, 20, 6], &[20, 6, 5]], |b, xs| dot(b, xs, [&[], &[]], [&[1], &[0]]));
    check(&[&[30, 20], &[30, 40]], |b, xs| {
        let y = dot(b, xs, [&[], &[]], [&[0], &[0]]);
        b.transpose(y, &[1, 0])
    });
}

/// A product of few rows is a kernel that is vectorized along the columns. An epilogue of many
/// instructions is emitted for one vector of the unrolled loop after the other: each gets the sum,
/// the bias and the index of the columns in it, also behind the last whole step.
#[test]
fn long_epilogues_follow_every_vector_of_columns() {
    for (rows, terms, columns) in [(1, 40, 128), (1, 300, 100), (2, 17, 71), (3, 5, 33), (1, 9, 3)]
    {
        let types = [vec![rows, terms], vec![terms, columns], vec![columns]]
            .map(|shape| Type::new(DType::F32, shape));
        let graph = graph(&types, |b, xs| {
            let y = dot(b, xs, [&[], &[]], [&[1], &[0]]);
            let shape = b.ty(y).shape.clone();
            let bias = b.broadcast(xs[2], shape.clone(), &[1]);
            let index = b.iota(Type::new(DType::F32, shape), 1);
            let y = b.add(y, bias);
            let (t, s) = (b.emit(Unary::Tanh, &[y]), b.emit(Unary::Logistic, &[y]));
            let (y, t) = (b.add(y, index), b.mul(t, s));
            let e = b.emit(Unary::Sin, &[y]);
            vec![b.mul(t, e), y]
        });
        let numbers = |ty: &Type| {
            let value = |i: usize| ((i * 2654435761) >> 9) as f32 % 64.0 / 64.0 - 0.5;
            let all: Vec<f32> = (0..ty.size()).map(value).collect();
            Literal::from_slice(ty.shape.clone(), &all).unwrap()
        };
        let (graph, args) = (graph.unwrap(), types.each_ref().map(numbers));
        let want = transform::eval(&graph, args.to_vec()).unwrap();
        let have = evaluate(&Native::new().unwrap(), &graph, &args).unwrap();
        all_within(&have, &want, |_| Tolerance::both(1e-5))
            .unwrap_or_else(|e| panic!("{rows} x {terms} x {columns}: {e}"));
    }
}
