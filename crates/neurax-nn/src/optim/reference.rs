//! Steps of a scalar and rates, computed in f64 with the formulas of a paper, against which tests
//! compare those of optimizers and schedules.

use super::{Optim, Schedule};
use neurax_tensor::{DType, tensor};

const STEPS: i32 = 20;

/// Returns a gradient that depends on the parameter and changes its sign from step to step.
fn gradient(p: f64, t: i32) -> f64 {
    p + (3.0 * f64::from(t)).cos()
}

/// Returns the parameter after each of 20 steps from 1, as `step(parameter, gradient, t)` computes
/// it.
pub(super) fn formula(mut step: impl FnMut(f64, f64, i32) -> f64) -> Vec<f64> {
    let mut p = 1.0;
    let step = (1..=STEPS).map(|t| {
        p = step(p, gradient(p, t), t);
        p
    });
    step.collect()
}

/// Tests that `opt` takes the same steps in f32 and in f64.
pub(super) fn near_formula(opt: Optim, want: Vec<f64>) {
    for (dtype, tolerance) in [(DType::F32, 2e-5), (DType::F64, 2e-6)] {
        let mut p = tensor([1.0]).to(dtype);
        let mut state = opt.init(&p);
        for (t, want) in (1..=STEPS).zip(&want) {
            let g = gradient(p.item().unwrap(), t) as f32;
            (p, state) = opt.step(&p, &tensor([g]).to(dtype), state);
            let found = p.item().unwrap();
            assert!((found - want).abs() < tolerance, "{dtype}, step {t}: {found}, {want}");
        }
    }
}

/// Tests that the rates after 0 to 40 steps are those of `want`.
pub(super) fn near_rates(schedule: &Schedule, want: impl Fn(f64) -> f64) {
    for t in 0..=40 {
        let found = schedule.at(&tensor(t as f32)).item().unwrap();
        let want = want(f64::from(t));
        assert!((found - want).abs() < 2e-6, "after {t} steps: {found}, {want}");
    }
}
