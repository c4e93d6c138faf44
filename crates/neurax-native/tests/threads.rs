//! The number of threads changes no bit of a result: chunks and tiles follow from the shapes alone.

use neurax_ir::{
    Builder, DType, Graph, Literal, Type, Value,
    op::{Binary, DotGeneral, ReduceKind, Scan, Unary},
    transform,
};
use neurax_native::Native;
use neurax_runtime::Backend;
use neurax_testkit::{conformance, random::RandomProgram};
use std::sync::Arc;

/// Returns a graph of f32 inputs of the shapes.
fn graph(shapes: &[&[usize]], f: impl FnOnce(&mut Builder, &[Value]) -> Vec<Value>) -> Graph {
    let types: Vec<Type> = shapes.iter().map(|s| Type::new(DType::F32, s.to_vec())).collect();
    conformance::graph(&types, f).unwrap()
}

/// Returns the product of two matrices, contracted over an axis of each.
fn product_over(b: &mut Builder, x: Value, y: Value, [l, r]: [usize; 2]) -> Value {
    let op = DotGeneral {
        lhs_batch: vec![],
        rhs_batch: vec![],
        lhs_contract: vec![l],
        rhs_contract: vec![r],
        dtype: DType::F32,
    };
    b.emit(op, &[x, y])
}

/// Returns `x @ y`.
fn product(b: &mut Builder, x: Value, y: Value) -> Value {
    product_over(b, x, y, [1, 0])
}

fn tanh(b: &mut Builder, x: Value) -> Value {
    b.emit(Unary::Tanh, &[x])
}

/// Returns numbers of all magnitudes, so that another order of a sum changes its bits.
fn numbers(g: &Graph) -> Vec<Literal> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let x = (state >> 40) as f64 / (1u64 << 23) as f64 - 1.0;
        x * [1.0, 1e-3, 0.1][(state >> 33) as usize % 3]
    };
    let one = |t: &Type| {
        Literal::from_f64s(
            t.dtype,
            t.shape.clone(),
            &(0..t.size()).map(|_| next()).collect::<Vec<_>>(),
        )
    };
    g.input_types().iter().map(one).collect()
}

fn bits(native: &Native, g: &Graph, args: &[Literal]) -> Vec<Vec<u8>> {
    let f = native.compile(g, 0).unwrap();
    // Twice: the second call meets spinning threads.
    let run = || f.run(args.iter().map(|x| x.clone().into()).collect()).unwrap();
    run();
    run().iter().map(|y| y.to_literal().unwrap().bytes().to_vec()).collect()
}

fn same_bits(name: &str, g: &Graph, args: &[Literal]) {
    let native = Native::new().unwrap();
    let want = bits(&native.with_threads(1), g, args);
    for threads in [2, 5] {
        assert!(
            bits(&native.with_threads(threads), g, args) == want,
            "{name} with {threads} threads has other bits than with one"
        );
    }
}

fn check(name: &str, g: &Graph) {
    same_bits(name, g, &numbers(g));
}

#[test]
fn products() {
    for (m, k, n) in [(256, 784, 128), (3, 4096, 512), (1, 784, 128), (1000, 3, 70)] {
        let g = graph(&[&[m, k], &[k, n], &[n]], |b, x| {
            let y = product(b, x[0], x[1]);
            let bias = b.broadcast(x[2], vec![m, n], &[1]);
            let y = b.add(y, bias);
            vec![tanh(b, y)]
        });
        check(&format!("a product of {m}x{k} and {k}x{n}"), &g);
    }
    let g = graph(&[&[64, 32], &[200, 32]], |b, x| {
        let t = b.transpose(x[1], &[1, 0]);
        vec![product(b, x[0], t)]
    });
    check("a product with a transpose", &g);
    // A column-strided right operand; few columns with a row-contiguous left operand.
    for (left, right, axes) in [([256, 784], [128, 784], [1, 1]), ([4096, 784], [4096, 10], [0, 0])]
    {
        let g = graph(&[&left, &right], |b, x| vec![product_over(b, x[0], x[1], axes)]);
        check(&format!("a product of {left:?} and {right:?} over {axes:?}"), &g);
    }
}

#[test]
fn reductions() {
    for shape in [[700, 900], [4, 200_000], [200_000, 4], [1, 1_000_000]] {
        for kind in [ReduceKind::Sum, ReduceKind::Prod, ReduceKind::Max] {
            for axes in [&[0][..], &[1], &[0, 1]] {
                let g = graph(&[&shape], |b, x| {
                    let y = b.emit(Unary::Exp, &[x[0]]);
                    vec![b.reduce(kind, y, axes)]
                });
                check(&format!("{} over {axes:?} of {shape:?}", kind.name()), &g);
            }
        }
    }
    let softmax = graph(&[&[512, 1000]], |b, x| {
        let y = b.emit(Unary::Exp, &[x[0]]);
        let total = b.sum(y, &[1]);
        let total = b.broadcast(total, vec![512, 1000], &[0]);
        vec![b.emit(Binary::Div, &[y, total])]
    });
    check("softmax", &softmax);
}

/// Returns the loss of a network with one hidden layer.
fn mlp(batch: usize) -> Graph {
    graph(&[&[784, 128], &[128], &[128, 10], &[batch, 784], &[batch, 10]], |b, x| {
        let h = product(b, x[3], x[0]);
        let bias = b.broadcast(x[1], vec![batch, 128], &[1]);
        let h = b.add(h, bias);
        let h = tanh(b, h);
        let y = product(b, h, x[2]);
        let d = b.sub(y, x[4]);
        let d = b.mul(d, d);
        vec![b.sum(d, &[0, 1])]
    })
}

#[test]
fn a_training_step() {
    for batch in [32, 512] {
        let back = transform::vjp(&mlp(batch), &[true, true, true, false, false]).unwrap();
        let args = numbers(&back.primal);
        same_bits("the loss", &back.primal, &args);
        let known = transform::eval(&back.primal, args).unwrap();
        let cts = numbers(&back.backward);
        let residuals = known.into_iter().skip(1);
        let n = back.backward.input_types().len();
        let args: Vec<Literal> = residuals.take(n - 1).chain(cts.into_iter().skip(n - 1)).collect();
        assert!(
            args.iter().map(Literal::ty).eq(back.backward.input_types()),
            "residuals, then the cotangent of the loss"
        );
        same_bits("its gradient", &back.backward, &args);
    }
}

#[test]
fn a_scan() {
    let step = graph(&[&[256, 256], &[256, 256]], |b, x| {
        let y = product(b, x[0], x[1]);
        let y = tanh(b, y);
        let total = b.sum(y, &[1]);
        vec![y, total]
    });
    let scan = Scan { body: Arc::new(step), length: 12, reverse: false, consts: 0, carries: 1 };
    let g = graph(&[&[256, 256], &[12, 256, 256]], |b, x| b.emit_n(scan, x, 2).to_vec());
    check("a scan", &g);
}

#[test]
fn random_programs() {
    for seed in 0..40 {
        let p = RandomProgram::new(seed).unwrap();
        if transform::eval(&p.graph, p.args.clone()).is_ok() {
            same_bits(&format!("the program of seed {seed}"), &p.graph, &p.args);
        }
    }
}

/// Each caller has its own memory, whether it owns the pool or runs on its own thread.
#[test]
fn many_callers_of_one_program() {
    let g = graph(&[&[64, 96], &[96, 80]], |b, x| {
        let y = product(b, x[0], x[1]);
        let y = tanh(b, y);
        vec![b.sum(y, &[0]), y]
    });
    let native = Native::new().unwrap().with_threads(3);
    let f = native.compile(&g, 0).unwrap();
    let scaled = |by: f64| {
        numbers(&g)
            .iter()
            .map(|x| {
                Literal::from_f64s(
                    x.dtype(),
                    x.shape().clone(),
                    &x.to_f64s().iter().map(|v| v * by).collect::<Vec<_>>(),
                )
            })
            .collect::<Vec<_>>()
    };
    let run = |args: &[Literal]| -> Vec<Vec<u8>> {
        let outs = f.run(args.iter().map(|x| x.clone().into()).collect()).unwrap();
        outs.iter().map(|y| y.to_literal().unwrap().bytes().to_vec()).collect()
    };
    std::thread::scope(|s| {
        for caller in 0..6 {
            let (scaled, run) = (&scaled, &run);
            s.spawn(move || {
                let args = scaled(1.0 + caller as f64);
                let want = run(&args);
                (0..200)
                    .for_each(|call| assert!(run(&args) == want, "call {call} of caller {caller}"));
            });
        }
    });
}
