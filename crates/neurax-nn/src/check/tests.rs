//! Layers that fail a check, with what the check says.

use super::nodes;
use crate::{Cx, Node, init, layer};
use neurax_tensor::{DType, Tensor, stop_gradient, types};
use std::sync::atomic::{AtomicU32, Ordering};

/// Checks a layer of a closure on floats and returns the message of the error.
fn message(f: impl Fn(&mut Cx, &Tensor) -> Tensor + Send + Sync + 'static) -> String {
    let faulty = |[x]: [Node; 1]| layer("faulty", [x], move |cx, [x]| f(cx, &x));
    nodes(faulty, &types![f32[2, 3]]).unwrap_err().message().to_string()
}

#[test]
fn state_that_depends_on_the_number_of_runs_is_found() {
    let runs = AtomicU32::new(0);
    let e = message(move |cx, x| {
        let sum = cx.state("sum", [0usize; 0], init::zeros());
        cx.set("sum", sum + f64::from(runs.fetch_add(1, Ordering::Relaxed)));
        x * 2.0
    });
    assert!(e.starts_with("state `faulty.sum` under jit: element 0: expected"), "{e}");
}

/// Near 40, floats of f16 are 1/32 apart, those of bf16 1/4.
#[test]
fn a_layer_that_loses_the_input_in_bf16_is_found() {
    let e = message(|_, x| (x + 40.0 - 40.0) * 8.0);
    assert!(e.starts_with("mixed precision: element"), "{e}");
}

#[test]
fn a_gradient_that_is_wrong_in_bf16_only_is_found() {
    // The value is right, but its slope is lost.
    let e = message(|_, x| match x.dtype() {
        DType::BF16 => stop_gradient(&(x * 2.0)),
        _ => x * 2.0,
    });
    assert!(e.starts_with("gradient `1.0` in mixed precision: expected"), "{e}");
}
