//! The costs of derivatives and loops: equations executed, bytes kept for the backward pass, memory
//! reused in place.

use neurax_ir::op::{Call, Checkpoint, Cond, DynamicUpdateSlice, Scan};
use neurax_ir::{
    Axis, Builder, DType, Eval, Graph, Literal, Result, Type, Value, passes, transform,
};
use std::sync::Arc;

const STEPS: usize = 1000;
const WIDTH: usize = 16;

fn f32s(shape: &[usize]) -> Type {
    Type::new(DType::F32, shape)
}

fn args(g: &Graph) -> Vec<Literal> {
    let one = |t: &Type| {
        Literal::from_f64s(
            t.dtype,
            &t.shape,
            &(0..t.size()).map(|i| 0.01 * (i % 17) as f64).collect::<Vec<_>>(),
        )
    };
    g.input_types().iter().map(one).collect()
}

fn cost(g: &Graph) -> usize {
    let mut eval = Eval::default();
    eval.run(g, args(g)).unwrap();
    eval.eqns
}

fn optimized(g: &Graph) -> Graph {
    passes::optimize(g, &mut |_, _| {}).unwrap()
}

/// Emits `tanh(w h + x)`.
fn cell(b: &mut Builder, w: Value, h: Value, x: Value) -> Value {
    let dot = neurax_ir::op::DotGeneral {
        lhs_batch: vec![],
        rhs_batch: vec![],
        lhs_contract: vec![1],
        rhs_contract: vec![0],
        dtype: DType::F32,
    };
    let wh = b.emit(dot, &[w, h]);
    let s = b.add(wh, x);
    b.tanh(s)
}

fn cell_graph() -> Arc<Graph> {
    let mut b = Builder::new();
    let (w, h, x) =
        (b.input(f32s(&[WIDTH, WIDTH])), b.input(f32s(&[WIDTH])), b.input(f32s(&[WIDTH])));
    let y = cell(&mut b, w, h, x);
    Arc::new(b.finish(&[y]).unwrap())
}

/// Returns a recurrent network `(w, h, xs) -> loss` whose cell is emitted by `body` in a loop over
/// `xs`.
fn rnn(body: &dyn Fn(&mut Builder, Value, Value, Value) -> Value) -> Graph {
    let mut c = Builder::new();
    let (w, h, x) =
        (c.input(f32s(&[WIDTH, WIDTH])), c.input(f32s(&[WIDTH])), c.input(f32s(&[WIDTH])));
    let next = body(&mut c, w, h, x);
    let cell = c.finish(&[next]).unwrap();
    let mut b = Builder::new();
    let (w, h, xs) =
        (b.input(f32s(&[WIDTH, WIDTH])), b.input(f32s(&[WIDTH])), b.input(f32s(&[STEPS, WIDTH])));
    let last = b.emit(
        Scan { body: Arc::new(cell), length: STEPS, reverse: false, consts: 1, carries: 1 },
        &[w, h, xs],
    );
    let loss = b.sum(last, &[0]);
    b.finish(&[loss]).unwrap()
}

type Cell = fn(&mut Builder, Value, Value, Value) -> Value;

/// The cell, plain and inside each op that holds graphs.
const CELLS: [(&str, Cell); 4] = [
    ("plain", cell),
    ("call", |b, w, h, x| b.emit(Call { callee: "cell".into(), body: cell_graph() }, &[w, h, x])),
    ("checkpoint", |b, w, h, x| b.emit(Checkpoint { body: cell_graph() }, &[w, h, x])),
    ("cond", |b, w, h, x| {
        let index = b.scalar(DType::I32, 1.0);
        b.emit(Cond { branches: vec![cell_graph(), cell_graph()] }, &[index, w, h, x])
    }),
];

#[test]
fn a_gradient_through_a_long_scan_costs_a_small_multiple_of_the_value() {
    for (name, body) in CELLS {
        let loss = rnn(&body);
        let grad = transform::grad(&loss, &[true, true, true]).unwrap();
        let (value, plain, small) = (cost(&loss), cost(&grad), cost(&optimized(&grad)));
        assert!(
            value > 3 * STEPS && plain <= 6 * value,
            "{name}: {plain} equations for the gradient, {value} for the value"
        );
        assert!(small <= plain, "{name}: the passes made {small} of {plain}");
    }
}

#[test]
fn a_long_scan_does_not_keep_its_weights_for_every_step() {
    for (name, body) in CELLS {
        let loss = rnn(&body);
        let v = transform::vjp(&loss, &[true, true, true]).unwrap();
        for primal in [v.primal.clone(), optimized(&v.primal)] {
            let kept = &primal.output_types()[loss.outputs().len()..];
            let bytes: usize = kept.iter().map(|t| t.bytes().unwrap()).sum();
            let one_vector_per_step = STEPS * WIDTH * 4;
            assert!(bytes <= 5 * one_vector_per_step, "{name}: {bytes} bytes are kept: {kept:?}");
        }
    }
}

#[test]
fn checkpoint_keeps_only_its_operands() {
    let chain = |g: &mut Builder, x: Value| (0..10).fold(x, |x, _| g.sin(x));
    let mut inner = Builder::new();
    let x = inner.input(f32s(&[100]));
    let y = chain(&mut inner, x);
    let body = Arc::new(inner.finish(&[y]).unwrap());
    let graph = |op: &dyn Fn(&mut Builder, Value) -> Value| {
        let mut b = Builder::new();
        let x = b.input(f32s(&[100]));
        let y = op(&mut b, x);
        b.finish(&[y]).unwrap()
    };
    let kept = |g: &Graph| {
        transform::vjp(g, &[true]).unwrap().primal.output_types()[1..]
            .iter()
            .map(|t| t.bytes().unwrap())
            .sum::<usize>()
    };
    assert_eq!(kept(&graph(&|b, x| b.emit(Checkpoint { body: body.clone() }, &[x]))), 400);
    assert_eq!(kept(&graph(&chain)), 10 * 400);
}

#[test]
fn passes_do_not_undo_a_checkpoint() {
    let mut inner = Builder::new();
    let x = inner.input(f32s(&[]));
    let y = (0..10).fold(x, |x, _| inner.sin(x));
    let body = Arc::new(inner.finish(&[y]).unwrap());
    let mut b = Builder::new();
    let x = b.input(f32s(&[]));
    let y = b.emit(Checkpoint { body }, &[x]);
    let grad = optimized(&transform::grad(&b.finish(&[y]).unwrap(), &[true]).unwrap());
    assert!(
        cost(&grad) >= 10 + 10 + 10,
        "the sines are computed again: {} equations\n{grad}",
        cost(&grad)
    );
}

/// Returns a loop that writes its carry element by element.
fn fill_loop(length: usize) -> Result<Graph> {
    let mut c = Builder::new();
    let (i, buffer) = (c.input(Type::scalar(DType::I32)), c.input(f32s(&[length])));
    let at = c.reshape(i, [1]);
    let x = c.convert(at, DType::F32);
    let buffer = c.emit(DynamicUpdateSlice {}, &[buffer, x, at]);
    let next = c.add_scalar(i, 1.0);
    let body = c.finish(&[next, buffer])?;
    let mut b = Builder::new();
    let (i, buffer) = (b.input(Type::scalar(DType::I32)), b.input(f32s(&[length])));
    let outs = b.emit_n(
        Scan { body: Arc::new(body), length, reverse: false, consts: 0, carries: 2 },
        &[i, buffer],
        2,
    );
    b.finish(&[outs[1]])
}

#[test]
fn an_updated_carry_is_written_in_place() {
    let graph = optimized(&fill_loop(STEPS).unwrap());
    let buffer = Literal::zeros(f32s(&[STEPS]));
    let at = buffer.bytes().address();
    let mut eval = Eval::default();
    let out = eval.run(&graph, vec![Literal::scalar(DType::I32, 0.0), buffer]).unwrap();
    assert_eq!(out[0].bytes().address(), at);
    assert!(eval.reused >= STEPS, "{} results were written in place", eval.reused);
    assert_eq!(out[0].to_f64s()[STEPS - 1], (STEPS - 1) as f64);
}

#[test]
fn a_buffer_with_another_owner_is_copied_once() {
    let graph = fill_loop(STEPS).unwrap();
    let buffer = Literal::zeros(f32s(&[STEPS]));
    let kept = buffer.clone();
    let mut eval = Eval::default();
    let out = eval.run(&graph, vec![Literal::scalar(DType::I32, 0.0), buffer]).unwrap();
    assert!(eval.reused + 1 >= STEPS, "{} results were written in place", eval.reused);
    assert_eq!(kept.to_f64s(), vec![0.0; STEPS]);
    assert_ne!(out[0].bytes().address(), kept.bytes().address());
}

#[test]
fn batching_a_loop_does_not_make_it_longer() {
    let loss = rnn(&cell);
    let many =
        transform::vmap(&loss, &[None, Some(0), Some(0)], &Axis { size: 4, name: None }).unwrap();
    assert!(cost(&many) <= 2 * cost(&loss), "{} equations, {} for one", cost(&many), cost(&loss));
}

#[test]
fn a_result_that_is_a_residual_is_stored_once() {
    let mut c = Builder::new();
    let x = c.input(f32s(&[WIDTH]));
    let y = c.exp(x);
    let body = c.finish(&[y]).unwrap();
    let mut b = Builder::new();
    let xs = b.input(f32s(&[STEPS, WIDTH]));
    let ys = b.emit(
        Scan { body: Arc::new(body), length: STEPS, reverse: false, consts: 0, carries: 0 },
        &[xs],
    );
    let v = transform::vjp(&b.finish(&[ys]).unwrap(), &[true]).unwrap();
    let scans = v.primal.eqns().iter().filter(|e| e.op.name() == Scan::NAME);
    assert_eq!(scans.map(|e| e.outputs.len()).collect::<Vec<_>>(), [1], "{}", v.primal);
}
