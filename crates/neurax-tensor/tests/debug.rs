//! The checks of `debug`: what they report, and that they leave results as they are. They hold for
//! the whole process, so that the tests of this file run one after the other.

use neurax::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

static ONE_BY_ONE: Mutex<()> = Mutex::new(());

/// Switches all checks off at the end of a test.
struct Checks {
    /// Held until the checks are off.
    _lock: Guard,
}

type Guard = MutexGuard<'static, ()>;

impl Checks {
    fn new(nans: bool, checks: bool) -> Checks {
        let guard = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
        debug::nans(nans);
        debug::checks(checks);
        Checks { _lock: guard }
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        debug::nans(false);
        debug::checks(false);
    }
}

#[track_caller]
fn error_of(x: Result<Tensor>) -> String {
    x.and_then(|x| x.error().map_or(Ok(()), |e| Err(e.clone()))).unwrap_err().to_string()
}

#[track_caller]
fn assert_contains(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "`{part}` is not in: {text}"));
}

#[test]
fn the_line_of_the_equation_is_named_also_in_a_gradient() {
    let _on = Checks::new(true, false);
    let loss = jit(|x: Tensor| {
        let y = &x * 2.0;
        y.sqrt().sum(..)
    });
    let line = format!("debug.rs:{}:", line!() - 2);
    let e = error_of(loss.run(tensor([1.0, -1.0])));
    assert_contains(
        &e,
        &["`sqrt` made NaN (1 of 2 elements of f32[2]) of f32[2] from -2 to 2", &line],
    );
    // The derivative at 0 is infinite.
    let slope = jit(grad(|x: Tensor| x.sqrt().sum(..)));
    let line = format!("debug.rs:{}:", line!() - 1);
    assert_contains(&error_of(slope.run(tensor([1.0, 0.0]))), &["infinity", &line]);
}

#[test]
fn an_eager_operation_is_checked() {
    let _on = Checks::new(true, false);
    let e = error_of(Ok(tensor([1.0, 0.0]).log()));
    assert_contains(
        &e,
        &["`log` made an infinity (1 of 2 elements of f32[2]) of f32[2] from 0 to 1"],
    );
    assert_eq!(tensor([1.0, 2.0]).log().to_vec::<f32>().unwrap()[0], 0.0);
}

#[test]
fn values_that_reach_no_result_and_infinite_constants_are_no_errors() {
    let _on = Checks::new(true, false);
    let safe = jit(|x: Tensor| x.gt(0.0).select(x.log(), 0.0));
    assert_eq!(safe.run(tensor([1.0, -1.0])).unwrap().to_vec::<f32>().unwrap(), [0.0, 0.0]);
    let masked = jit(|x: Tensor| {
        let mask = tensor([0.0, f32::NEG_INFINITY]);
        (x + mask).softmax(-1)
    });
    assert_eq!(masked.run(tensor([1.0, 1.0])).unwrap().to_vec::<f32>().unwrap(), [1.0, 0.0]);
    // Infinity of an eager operation on infinity, and of an argument, is no error.
    assert_eq!(tensor([1.0, f32::NAN]).nanmax(..).item().unwrap(), 1.0);
    let keep = jit(|x: Tensor| x * 2.0);
    assert!(keep.run(tensor([f32::INFINITY])).unwrap().item().unwrap().is_infinite());
    // A row that is masked as a whole: the softmax makes NaN of the constant, at this line.
    let softmax = jit(|x: Tensor| (x + f32::NEG_INFINITY).softmax(-1));
    let line = format!("debug.rs:{}:", line!() - 1);
    assert_contains(&error_of(softmax.run(tensor([1.0, 1.0]))), &["`subtract` made NaN", &line]);
}

#[test]
fn the_operand_that_a_select_takes_is_to_blame() {
    let _on = Checks::new(true, false);
    let f = jit(|(x, y): (Tensor, Tensor)| x.gt(0.0).select(x.log(), y.sqrt()));
    let e = error_of(f.run((tensor([1.0, -1.0]), tensor([0.0, -1.0]))));
    assert_contains(&e, &["`sqrt` made NaN"]);
    let looped = jit(|x: Tensor| {
        let body = |s: Tensor, _: Tensor| {
            let safe = s.gt(0.0).select(s.log(), 0.0);
            let s = (&s - 1.0 + safe * 0.0).sqrt();
            (s.clone(), s)
        };
        scan(x, Tensor::zeros([3]), body).0
    });
    let e = error_of(looped.run(tensor(1.5)));
    assert_contains(&e, &["`sqrt` made NaN", "in iteration 1 of `scan`"]);
}

#[test]
fn a_constant_that_has_nan_is_named_by_its_reader() {
    let _on = Checks::new(true, false);
    let f = jit(|x: Tensor| x.gt(0.0).select(&x, f32::NAN));
    let e = error_of(f.run(tensor([1.0, -1.0])));
    assert_contains(&e, &["took NaN from a constant of the program"]);
    let loss = |x: Tensor| loss::sparse_categorical_cross_entropy_logits(&x, &tensor([7]));
    let e = error_of(jit(loss).run(Tensor::zeros([1, 3])));
    assert_contains(&e, &["`sparse_cross_entropy` made NaN", "of f32[1, 3] of 0 and i32[1] of 7"]);
}

#[test]
fn an_infinity_of_a_mask_does_not_hide_one_that_was_made() {
    let _on = Checks::new(true, false);
    let f = jit(|x: Tensor| tensor([f32::NEG_INFINITY, 0.0]) + x.exp());
    let e = error_of(f.run(tensor([1000.0, 0.0])));
    assert_contains(&e, &["`exponential` made an infinity", "it became NaN in `add`"]);
}

#[test]
fn a_layer_and_a_training_step_are_named_and_the_state_is_kept() {
    let _on = Checks::new(true, false);
    let x = nn::input("x", dims![_, 2]).dense(3);
    let logs = nn::layer("logs", [&x], |_, [x]| (x - 100.0).log());
    let model = logs.dense(1).model();
    let set = Dataset::new(Tensor::ones([4, 2]), Tensor::ones([4, 1])).unwrap();
    let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
    let e = trainer.run(&set.batched(2), epochs(1)).unwrap_err();
    assert_contains(&e.to_string(), &["`log` made NaN", "in layer logs"]);
    let state = e.state.expect("the state before the step");
    assert_eq!(state.step, 0);
    assert!(state.vars.params.leaf("dense.kernel").is_finite().all(..).item().unwrap() == 1.0);
}

#[test]
fn loops_with_effects_are_checked_without_a_trace_as_well() {
    let _on = Checks::new(true, false);
    let body = |s: Tensor, x: Tensor| {
        debug::print!("carry {}", s);
        let s = s - x;
        (s.log(), s)
    };
    let e = error_of(Ok(scan(tensor(1.0), tensor([2.0, 0.0]), body).0));
    assert_contains(&e, &["`log` made NaN", "in iteration 0 of `scan`"]);
    debug::nans(false);
    debug::checks(true);
    let read = |s: Tensor, i: Tensor| {
        debug::print!("index {}", i);
        (s.clone(), tensor([1.0, 2.0]).take(i, 0))
    };
    assert_contains(&error_of(Ok(scan(tensor(1.0), tensor([0, 2]), read).1)), &["index 2"]);
}

#[test]
fn checks_alone_do_not_look_for_nan() {
    let _on = Checks::new(false, true);
    let f = jit(|(x, y): (Tensor, Tensor)| (x, y.log()));
    let (_, y) = f.run((tensor([f32::NAN]), tensor([-1.0]))).unwrap();
    assert!(y.item().unwrap().is_nan());
}

#[test]
fn the_equation_inside_of_a_loop_is_named() {
    let _on = Checks::new(true, false);
    let f = jit(|x: Tensor| {
        let body = |s: Tensor, _: Tensor| {
            let s = s.log();
            (s.clone(), s)
        };
        scan(x, Tensor::zeros([4]), body).0
    });
    let line = format!("debug.rs:{}:", line!() - 5);
    // 16, 2.77, 1.02, 0.02, -3.9: the fourth one is not defined any more.
    let e = error_of(f.run(tensor(0.5)));
    assert_contains(&e, &["`log` made NaN (f32[]) of f32[] of -0.69315", "iteration 1", &line]);
}

#[test]
fn an_argument_that_was_not_finite_is_named() {
    let _on = Checks::new(true, false);
    let f = jit(|(x, y): (Tensor, Tensor)| x + y);
    let e = error_of(f.run((tensor([1.0]), Tensor::from_vec(vec![f32::NAN], 1))));
    assert_contains(&e, &["the leaf 1 of the argument, f32[1], had NaN before the call"]);
}

#[test]
fn a_failed_run_gives_the_arguments_back_and_calls_the_host_once() {
    let _on = Checks::new(true, false);
    let calls = Arc::new(Mutex::new(0));
    let counter = calls.clone();
    let f = jit(move |x: Tensor| {
        let counter = counter.clone();
        let count = move |_: Tensor| {
            *counter.lock().unwrap() += 1;
            Ok(())
        };
        io_call(count, x.clone()).log()
    });
    let failed = f.try_run(Tensor::from_vec(vec![-1.0f32; 100], 100)).unwrap_err();
    assert_eq!(failed.args.unwrap().to_vec::<f32>().unwrap(), [-1.0; 100]);
    assert_eq!(*calls.lock().unwrap(), 1);
}

#[test]
fn compiled_functions_are_checked_in_both_forms() {
    let _on = Checks::new(true, false);
    let f = jit(|x: Tensor| x.log()).compile(types![f32[2]]).unwrap();
    assert_contains(&error_of(f.run(tensor([-1.0, 1.0]))), &["`log` made NaN"]);
    let mut out = Tensor::zeros([2]);
    assert!(f.run_into(&tensor([-1.0, 1.0]), &mut [&mut out]).is_err());
    f.run_into(&tensor([1.0, 1.0]), &mut [&mut out]).unwrap();
    assert_eq!(out.to_vec::<f32>().unwrap(), [0.0, 0.0]);
}

#[test]
fn indices_out_of_bounds_are_errors_with_their_line() {
    let _on = Checks::new(false, true);
    let table = Tensor::ones([3, 2]);
    let read = jit(|(x, i): (Tensor, Tensor)| x.take(i, 0));
    let line = format!("debug.rs:{}:", line!() - 1);
    assert_eq!(read.run((table.clone(), tensor([0, -1]))).unwrap().shape(), [2, 2]);
    let e = error_of(read.run((table.clone(), tensor([2, 3]))));
    assert_contains(&e, &["index 3 is out of bounds for axis 0 of size 3", &line]);
    let e = error_of(read.run((table.clone(), tensor([-4, 0]))));
    assert_contains(&e, &["index -1 (-4 counted from the end)"]);
    assert_eq!(table.take_or(tensor([7]), 0, 9.0).to_vec::<f32>().unwrap(), [9.0, 9.0]);
    assert_contains(&error_of(Ok(table.at(tensor([4])).add(1.0))), &["scatter", "index 4"]);
    // Eagerly, and in a loop.
    assert_contains(&error_of(Ok(table.take(tensor([7]), 0))), &["index 7"]);
    let sum = jit(|(x, n): (Tensor, Tensor)| {
        let add = |s: Tensor, i: Tensor| {
            let s = s + x.take(i, 0);
            (s.clone(), s)
        };
        scan(Tensor::zeros([2]), n, add).0
    });
    assert_contains(&error_of(sum.run((table.clone(), tensor([0, 5])))), &["index 5"]);
    assert_eq!(sum.run((table, tensor([0, 1]))).unwrap().to_vec::<f32>().unwrap(), [2.0, 2.0]);
}

#[test]
fn both_checks_leave_the_results_of_a_program_as_they_are() {
    let f = jit(|x: Tensor| {
        let y = x.matmul(x.transpose()).softmax(-1);
        let loss = fori(0..3, y, |_, y: Tensor| y.matmul(&x).tanh().matmul(x.transpose()));
        loss.sum(..)
    });
    let x = key(0).normal([4, 4]);
    let want = {
        let _off = Checks::new(false, false);
        f.run(x.clone()).unwrap().item().unwrap()
    };
    for (nans, checks) in [(true, false), (false, true), (true, true)] {
        let _on = Checks::new(nans, checks);
        let have = f.run(x.clone()).unwrap().item().unwrap();
        assert!((have - want).abs() < 1e-5, "{have} is not {want}");
    }
}
