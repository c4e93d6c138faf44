//! Tests of optimizers as lists of rules.

use super::*;
use neurax_tensor::jit;

/// Returns the parameter after each step on `loss = p² / 2` from p = 1; the gradient is p.
pub(crate) fn run(opt: Optim, steps: usize) -> Vec<f32> {
    let mut p = vec![tensor([1.0])];
    let mut state = opt.init(&p);
    (0..steps)
        .map(|_| {
            let grads = p.clone();
            (p, state) = opt.step(&p, &grads, state.clone());
            p[0].to_vec::<f32>().unwrap()[0]
        })
        .collect()
}

pub(crate) fn near(found: &[f32], want: &[f32]) {
    assert_eq!(found.len(), want.len());
    assert!(
        found.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5),
        "expected {want:?}, got {found:?}"
    );
}

#[test]
fn a_step_is_compiled_once_for_all_counts_and_rates() {
    let opt = adam(0.1);
    let rule = opt.clone();
    let step = jit(move |(p, s): (Vec<Tensor>, OptState)| {
        let (loss, g) = value_and_grad_at(&p, |p| (&p[0] * &p[0]).sum(..));
        let (p, s) = rule.step(&p, &g, s);
        (p, s, loss)
    });
    let mut p = vec![tensor([1.0, -2.0])];
    let mut state = opt.init(&p);
    for i in 0..5 {
        if let Some(rate) = state.slots.iter_mut().find_map(|s| s.get_mut("rate")) {
            *rate = vec![tensor(0.1 / (i + 1) as f32)];
        }
        (p, state, _) = step.run((p, state)).unwrap();
    }
    assert_eq!(state.step.item().unwrap(), 5.0);
    assert_eq!(step.traces(), 1);
}

#[test]
fn bf16_parameters_stay_bf16() {
    let p = vec![tensor([1.0]).to(DType::BF16)];
    for opt in
        [sgd(0.1), momentum(0.1, 0.9), adamw(0.1, 0.01), chain([clip(1.0), sgd(cosine(0.1, 10))])]
    {
        let state = opt.init(&p);
        let (q, state) = opt.step(&p, &p, state);
        assert_eq!(q[0].dtype(), DType::BF16);
        assert!(state.ok().is_ok());
    }
}

#[test]
fn integers_are_not_updated() {
    let p = (tensor([1.0]), tensor([5]));
    let opt = sgd(0.5);
    let (q, _) = opt.step(&p, &(tensor([1.0]), tensor([0])), opt.init(&p));
    assert_eq!(q.0.item().unwrap(), 0.5);
    assert_eq!(q.1.to_vec::<i32>().unwrap(), [5]);
}

#[test]
fn gradients_of_another_structure_are_an_error_with_integers() {
    let p = vec![tensor(5), tensor(1.0)];
    let opt = sgd(0.5);
    let (q, _) = opt.step(&p, &vec![tensor(0)], opt.init(&p));
    let e = q[1].error().unwrap().to_string();
    assert!(e.contains("the second tree has no leaf `1`"), "{e}");
}

/// A rule that returns this number of updates.
struct Returns(usize);

impl Rule for Returns {
    fn update(&self, _: Vec<Tensor>, _: &mut Slots, _: &Step) -> Vec<Tensor> {
        vec![tensor([1.0]); self.0]
    }
}

#[test]
fn another_number_of_updates_than_parameters_is_an_error() {
    let p = vec![tensor([1.0]), tensor([2.0])];
    for n in [0, 1, 3] {
        let opt = chain([Optim::new(Returns(n)), sgd(0.1)]);
        let (q, _) = opt.step(&p, &p, opt.init(&p));
        for q in &q {
            let want = format!("expected 2 updates, one for each parameter, got {n}");
            assert_eq!(q.error().unwrap().message(), want);
        }
    }
    let opt = Optim::new(Returns(2));
    assert!(opt.step(&p, &p, opt.init(&p)).0.ok().is_ok());
}

#[test]
fn the_state_of_another_optimizer_is_an_error() {
    let p = vec![tensor([1.0])];
    let (q, _) = adam(0.1).step(&p, &p, sgd(0.1).init(&p));
    assert!(q[0].error().unwrap().message().contains("missing slot"), "{:?}", q[0].error());
}

#[test]
fn the_learning_rate_is_that_of_the_last_step() {
    let rates_of = |opt: Optim| -> Vec<Option<f64>> {
        let p = vec![tensor([1.0]), tensor([2.0])];
        let mut state = opt.init(&p);
        let steps = (0..3).map(|_| {
            state = opt.step(&p, &p, state.clone()).1;
            opt.learning_rate(&state).map(|rate| rate.item().unwrap())
        });
        steps.collect()
    };
    let falling = || Schedule::new(|step| 0.5 - step * 0.125);
    let want = [Some(0.5), Some(0.375), Some(0.25)];
    assert_eq!(rates_of(adam(falling())), want);
    assert_eq!(rates_of(chain([adam(falling()), scale(-1.0)])), want);
    assert_eq!(rates_of(per_group_or([("0", clip(1.0))], sgd(falling()))), want);
    assert_eq!(rates_of(masked("1", schedule_free(chain([]), falling(), 0.9))), want);
    assert_eq!(rates_of(chain([sgd(0.5), scale(-0.25)])), [Some(0.125); 3]);
    assert_eq!(rates_of(clip(1.0)), [None; 3]);
}
