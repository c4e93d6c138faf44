//! Calls of the user's code from programs: how often, with which values and in which order they
//! happen under each transform, on every backend.

extern crate neurax_tensor as neurax;

use neurax::prelude::*;
use neurax::testing::assert_close;
use std::sync::{Arc, Mutex};

/// The values that calls have seen.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<f64>>>);

impl Log {
    /// Records the elements of `x` when the program runs, and returns `x`.
    #[track_caller]
    fn of(&self, x: Tensor) -> Tensor {
        let log = self.clone();
        let record = move |x: Tensor| {
            log.0.lock().unwrap().extend(x.to(F64).to_vec::<f64>()?);
            Ok(())
        };
        io_call(record, x)
    }

    /// Returns what was recorded since the last call.
    fn take(&self) -> Vec<f64> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn t(x: f64) -> Tensor {
    Tensor::scalar(F64, x)
}

#[test]
fn a_jitted_function_calls_in_order_each_time_that_it_runs() {
    let log = Log::default();
    let l = log.clone();
    // The calls read values that are computed in another order, and equal calls are both made.
    let f = jit(move |x: Tensor| {
        let (a, b) = (&x * 2.0, x.exp());
        let _ = l.of(b.clone());
        let _ = l.of(a.clone());
        let _ = l.of(a.clone());
        let _ = l.of(x);
        a + b
    });
    for _ in 0..2 {
        assert_eq!(f.run(t(0.0)).unwrap().item().unwrap(), 1.0);
        assert_eq!(log.take(), [1.0, 0.0, 0.0, 0.0]);
    }
}

#[test]
fn a_call_on_values_happens_at_once() {
    let log = Log::default();
    let x = log.of(t(3.0));
    assert_eq!((log.take(), x.item().unwrap()), (vec![3.0], 3.0));
}

#[test]
fn a_call_whose_result_nothing_reads_is_kept_in_loops() {
    let log = Log::default();
    let l = log.clone();
    // The scan has neither carries nor results that are read.
    let f = jit(move |x: Tensor| {
        let l = l.clone();
        let body = move |c: Tensor, x: Tensor| {
            let _ = l.of(&c * 10.0 + &x);
            (c + 1.0, x)
        };
        let _ = scan(t(0.0), x.clone(), body);
        x.sum(..)
    });
    let _ = f.run(Tensor::arange(3).to(F64)).unwrap();
    assert_eq!(log.take(), [0.0, 11.0, 22.0]);
}

#[test]
fn a_call_with_invariant_operands_stays_in_the_loop() {
    let log = Log::default();
    let l = log.clone();
    let f = jit(move |x: Tensor| {
        let l = l.clone();
        fori(0..3, x.clone(), move |_, c| {
            let _ = l.of(x.sin() * 0.0);
            c + 1.0
        })
    });
    assert_eq!(f.run(t(0.0)).unwrap().item().unwrap(), 3.0);
    assert_eq!(log.take(), [0.0; 3]);
}

#[test]
fn a_while_loop_calls_in_condition_and_body() {
    let log = Log::default();
    let (l, m) = (log.clone(), log.clone());
    let f = jit(move |x: Tensor| {
        let (l, m) = (l.clone(), m.clone());
        let is_small = move |x: &Tensor| l.of(x.clone()).lt(3.0);
        while_loop(x, is_small, move |x: Tensor| m.of(&x * 10.0) * 0.0 + x + 1.0)
    });
    assert_eq!(f.run(t(1.0)).unwrap().item().unwrap(), 3.0);
    assert_eq!(log.take(), [1.0, 10.0, 2.0, 20.0, 3.0]);
}

#[test]
fn a_branch_calls_only_if_it_is_taken() {
    let log = Log::default();
    let l = log.clone();
    let choose = move |x: Tensor| cond(&x.lt(0.0), || l.of(x.clone()), || l.of(&x * 100.0));
    let f = jit(choose.clone());
    let _ = f.run(t(-2.0)).unwrap();
    let _ = f.run(t(2.0)).unwrap();
    assert_eq!(log.take(), [-2.0, 200.0]);
    // Each member takes its branch, where a branch without calls would compute both.
    let f = jit(vmap(choose));
    let y = f.run(tensor([1.0, -1.0, 2.0]).to(F64)).unwrap();
    assert_eq!(y.to_vec::<f64>().unwrap(), [100.0, -1.0, 200.0]);
    assert_eq!(log.take(), [100.0, -1.0, 200.0]);
}

#[test]
fn vmap_calls_for_each_member_in_order() {
    let log = Log::default();
    let l = log.clone();
    let f = move |x: Tensor, y: Tensor| {
        let sum = l.of(&x + &y);
        let _ = l.of(y);
        sum
    };
    let axes = Axes { inputs: [Some(1), None].into(), ..Axes::default() };
    let both = vmap_with(move |(x, y): (Tensor, Tensor)| f(x, y), axes);
    let x = tensor([[1.0, 2.0, 3.0]]).to(F64);
    let y = both.run((x, tensor([10.0]).to(F64))).unwrap();
    assert_close(&y, &tensor([[11.0], [12.0], [13.0]]).to(F64));
    // The second call has no operand with the axis.
    assert_eq!(log.take(), [11.0, 12.0, 13.0, 10.0]);
}

#[test]
fn gradients_call_once_with_the_values() {
    let log = Log::default();
    let l = log.clone();
    let loss = move |x: Tensor| l.of(x.sin()).square();
    let gradient = grad(&loss).run(t(1.0)).unwrap().item().unwrap();
    let expected = 2.0 * 1f64.sin() * 1f64.cos();
    assert!((gradient - expected).abs() < 1e-15, "{gradient} {expected}");
    assert_eq!(log.take(), [1f64.sin()]);
    let _ = grad(grad(&loss)).run(t(1.0)).unwrap();
    assert_eq!(log.take(), [1f64.sin()]);
    jvp(&loss, t(1.0), t(1.0)).0.item().unwrap();
    assert_eq!(log.take(), [1f64.sin()]);
    let _ = grad(checkpoint(&loss)).run(t(1.0)).unwrap();
    assert_eq!(log.take(), [1f64.sin()]);
    let rows = vmap(grad(&loss)).run(tensor([0.0, 1.0]).to(F64)).unwrap();
    assert_eq!(rows.shape(), [2]);
    assert_eq!(log.take(), [0.0, 1f64.sin()]);
}

#[test]
fn gradients_of_loops_call_once_in_each_iteration() {
    let log = Log::default();
    let l = log.clone();
    let loss = move |x: Tensor| {
        let l = l.clone();
        fori(0..3, x, move |_, c| l.of(c * 2.0))
    };
    assert_eq!(grad(&loss).run(t(1.0)).unwrap().item().unwrap(), 8.0);
    assert_eq!(log.take(), [2.0, 4.0, 8.0]);
    assert_eq!(grad(checkpoint(&loss)).run(t(1.0)).unwrap().item().unwrap(), 8.0);
    assert_eq!(log.take(), [2.0, 4.0, 8.0]);
    assert_eq!(jvp(&loss, t(1.0), t(1.0)).1.item().unwrap(), 8.0);
    assert_eq!(log.take(), [2.0, 4.0, 8.0]);
    let l = log.clone();
    let until = move |x: Tensor| {
        let l = l.clone();
        while_loop(x, |x: &Tensor| x.lt(5.0), move |x| l.of(x * 2.0))
    };
    assert_eq!(jvp(&until, t(1.0), t(1.0)).1.item().unwrap(), 8.0);
    assert_eq!(log.take(), [2.0, 4.0, 8.0]);
    let rows = vmap(&until).run(tensor([1.0, 3.0]).to(F64)).unwrap();
    assert_eq!(rows.to_vec::<f64>().unwrap(), [8.0, 6.0]);
    assert_eq!(log.take(), [2.0, 4.0, 8.0, 6.0]);
}

#[test]
fn host_calls_compute_under_every_transform() {
    let log = Log::default();
    let cubed = |l: &Log| {
        let l = l.clone();
        move |x: Tensor| {
            let x: Vec<f64> = x.to_vec()?;
            l.0.lock().unwrap().extend(&x);
            let y: Vec<f64> = x.iter().map(|x| x.powi(3)).collect();
            Ok(Tensor::from_vec(y, [2]))
        }
    };
    let l = log.clone();
    let cube = move |x: Tensor| host_call(cubed(&l), &x.zeros_like(), x);
    let pair = tensor([1.0, 2.0]).to(F64);
    let rows = tensor([[1.0, 2.0], [3.0, 4.0]]).to(F64);
    assert_eq!(jit(&cube).run(pair.clone()).unwrap().to_vec::<f64>().unwrap(), [1.0, 8.0]);
    assert_eq!(cube(pair.clone()).to_vec::<f64>().unwrap(), [1.0, 8.0]);
    let y = jit(vmap(&cube)).run(rows).unwrap();
    assert_eq!(y.to_vec::<f64>().unwrap(), [1.0, 8.0, 27.0, 64.0]);
    assert_eq!(log.take(), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 3.0, 4.0]);
    let e = grad(|x: Tensor| cube(x).sum(..)).run(pair.clone()).unwrap_err().to_string();
    assert!(e.contains("host_call: it has no derivative; use custom_vjp"), "{e}");
    let with_rule = custom_vjp(
        cube.clone(),
        move |x: Tensor| (cube(x.clone()), x),
        |(x, dy): (Tensor, Tensor)| dy * x.square() * 3.0,
    );
    let gradient = grad(move |x: Tensor| with_rule.apply(x).sum(..)).run(pair).unwrap();
    assert_eq!(gradient.to_vec::<f64>().unwrap(), [3.0, 12.0]);
}

#[test]
fn failures_are_errors_of_the_program_at_the_line_of_the_call() {
    let fails = |_: Tensor| Err(Error::new("log", "the disk is full"));
    let f = jit(move |x: Tensor| io_call(fails, x.exp()) + 1.0);
    let e = f.run(t(0.0)).unwrap_err().to_string();
    assert!(e.starts_with("log: the disk is full, at ") && e.contains("effects.rs:"), "{e}");
    let e = io_call(fails, t(0.0)).item().unwrap_err().to_string();
    assert!(e.starts_with("log: the disk is full") && e.contains("effects.rs:"), "{e}");
    let panics = |_: Tensor| -> Result<()> { panic!("no such key") };
    let e = jit(move |x: Tensor| io_call(panics, x)).run(t(0.0)).unwrap_err().to_string();
    assert!(e.starts_with("io_call: the closure panicked: no such key"), "{e}");
    let wrong = |x: Tensor| Ok(x.reshape([1]));
    let f = jit(move |x: Tensor| host_call(wrong, &x.zeros_like(), x));
    let e = f.run(t(0.0)).unwrap_err().to_string();
    assert!(e.contains("expected results (f64[]) of the closure, got (f64[1])"), "{e}");
    let e = debug_print("{} and {}", t(1.0)).item().unwrap_err().to_string();
    assert!(e.contains("debug_print: expected one {} for each of 1 tensors, got 2"), "{e}");
}

#[test]
fn an_axis_alone_has_no_value_for_a_call() {
    let f = |x: Tensor| debug_print("{}", axis_index("i")).to(F64) + x;
    let rows = vmap_with(f, Axes { name: Some("i"), ..Axes::default() });
    let e = rows.run(tensor([1.0, 2.0]).to(F64)).unwrap_err().to_string();
    assert!(e.contains("depend only on the named axis of a `vmap`"), "{e}");
}
