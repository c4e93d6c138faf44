//! Losses and gradients that are NaN or infinite.

use neurax::data::Batch;
use neurax::io;
use neurax::prelude::*;

fn model() -> Node {
    nn::input("x", dims![_, 2]).dense(1)
}

fn trainer() -> Trainer {
    Trainer::new(model(), loss::mse, optim::adam(0.05)).quiet()
}

fn kernel(vars: &Vars) -> Vec<f32> {
    vars.params["dense"]["kernel"].to_vec().unwrap()
}

/// Returns a trainer whose loss is NaN from step 2 on.
fn diverging() -> (Trainer, data::Batches) {
    let set = Dataset::new(tensor([[1.0, 1.0], [f32::NAN, 1.0], [1.0, 1.0]]), Tensor::ones([3, 1]));
    (trainer(), set.unwrap().batched(1))
}

#[test]
fn a_loss_that_becomes_nan_ends_training_by_choice() {
    let (trainer, data) = diverging();
    let e = trainer.non_finite_loss(train::NonFiniteLoss::Stop).run(&data, epochs(9)).unwrap_err();
    let want = "expected a finite loss, got NaN; look for NaN in the data";
    assert!(e.to_string().contains(want), "{e}");
    assert!(e.to_string().ends_with("(in epoch 1, batch 2)"), "{e}");
    assert_eq!(e.state.unwrap().step, 2);
}

#[test]
fn a_loss_that_becomes_nan_is_reported_once_by_default() {
    const CHILD: &str = "NEURAX_TEST_DIVERGING";
    if std::env::var_os(CHILD).is_some() {
        let (trainer, data) = diverging();
        assert!(trainer.run(&data, epochs(3)).unwrap().loss.is_nan());
        return;
    }
    let name = "a_loss_that_becomes_nan_is_reported_once_by_default";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stderr);
    let warnings: Vec<&str> = text.lines().filter(|l| l.starts_with("warning: ")).collect();
    assert_eq!(warnings.len(), 1, "{text}");
    assert!(warnings[0].starts_with("warning: expected a finite loss, got NaN; "), "{text}");
    assert!(warnings[0].ends_with(" (in epoch 1, batch 2)"), "{text}");
}

#[test]
fn an_error_that_is_not_about_nan_is_said_once() {
    let of_each = |y: &Tensor, t: &Tensor| y - t;
    let set = Dataset::new(Tensor::ones([4, 2]), Tensor::ones([4, 1])).unwrap();
    let trainer = Trainer::new(model(), of_each, optim::sgd(0.1)).handler(train::StopOnNan);
    let e = trainer.quiet().run(&set.batched(2), epochs(1)).unwrap_err().to_string();
    assert_eq!(e.matches("expected a scalar").count(), 1, "{e}");
}

#[test]
fn gradients_that_are_not_finite_end_training_or_are_skipped() {
    let bad = Batch { x: Tensor::full([2, 2], f32::INFINITY), y: Tensor::ones([2, 1]) };
    let good = Batch { x: Tensor::ones([2, 2]), y: Tensor::ones([2, 1]) };
    let batches = [good.clone(), bad, good];
    let train = |choice| {
        let optim = optim::adam(0.05).non_finite(choice);
        Trainer::new(model(), loss::mse, optim)
            .non_finite_loss(train::NonFiniteLoss::Ignore)
            .quiet()
            .run(&batches[..], epochs(1))
    };
    let failed = train(optim::NonFinite::Fail).unwrap_err();
    assert!(failed.to_string().contains("expected finite gradients"), "{failed}");
    let state = failed.state.unwrap();
    assert_eq!((state.step, state.batch), (1, 1));
    let first = trainer().run(&batches[..1], epochs(1)).unwrap();
    assert_eq!(kernel(&state.vars), kernel(&first.vars), "the parameters before the step");
    let skipped = train(optim::NonFinite::Skip).unwrap();
    assert_eq!(skipped.opt.non_finite_steps().unwrap(), Some(1));
    assert!(kernel(&skipped.vars).iter().all(|w| w.is_finite()));
    assert!(kernel(&train(optim::NonFinite::Pass).unwrap().vars).iter().all(|w| w.is_nan()));
}

#[test]
fn skipped_steps_enter_neither_the_means_nor_the_state_of_the_model() {
    let bad = Batch { x: Tensor::full([2, 2], f32::NAN), y: Tensor::ones([2, 1]) };
    let good = Batch { x: Tensor::ones([4, 2]), y: Tensor::ones([4, 1]) };
    let model = || {
        let x = nn::input("x", dims![_, 2]).dense(3).layer(nn::BatchNorm::new());
        x.dense(1).model()
    };
    let train = |batches: &[Batch]| {
        let optim = optim::sgd(0.01).non_finite(optim::NonFinite::Skip);
        let trainer = Trainer::new(model(), loss::mse, optim).metric(metric::mae());
        trainer.non_finite_loss(train::NonFiniteLoss::Stop).quiet().run(batches, epochs(2)).unwrap()
    };
    let mixed = train(&[good.clone(), bad.clone(), good.clone(), bad.clone()]);
    let clean = train(&[good.clone(), good]);
    assert!(mixed.loss.is_finite(), "{mixed:?}");
    for (a, b) in mixed.history.iter().zip(&clean.history) {
        assert_eq!((&a.train, a.examples, a.skipped), (&b.train, 12, 2));
        assert_eq!((b.examples, b.skipped), (8, 0));
    }
    let state = |vars: &Vars| vars.state["batch_norm"]["mean"].to_vec::<f32>().unwrap();
    assert_eq!(state(&mixed.vars), state(&clean.vars));
    let none = train(&[bad]);
    assert!(none.loss.is_nan() && none.history[1].skipped == 1, "{none:?}");
}

#[test]
fn the_state_after_a_gradient_that_is_not_finite_is_that_before_the_step() {
    let bad = Batch { x: Tensor::full([2, 2], f32::INFINITY), y: Tensor::ones([2, 1]) };
    let good = Batch { x: Tensor::ones([2, 2]), y: Tensor::ones([2, 1]) };
    let train = |batches: &[Batch]| {
        let optim = optim::adam(0.05).non_finite(optim::NonFinite::Fail);
        let optim = optim.loss_scale(optim::LossScale::dynamic());
        Trainer::new(model(), loss::mse, optim).quiet().run(batches, epochs(1))
    };
    let failed = train(&[good.clone(), bad]).unwrap_err().state.unwrap();
    let before = train(std::slice::from_ref(&good)).unwrap();
    let bits = |s: &State| io::serialize(&(s.vars.clone(), s.opt.clone(), s.key.clone())).unwrap();
    assert_eq!((failed.step, failed.batch), (1, 1));
    assert!(bits(&failed) == bits(&before));
    // The totals, too: the rest of the epoch has finite scores.
    let optim = optim::adam(0.05).non_finite(optim::NonFinite::Fail);
    let optim = optim.loss_scale(optim::LossScale::dynamic());
    let trainer = Trainer::new(model(), loss::mse, optim).quiet();
    let both = trainer.resume_exactly(*failed, &[good.clone(), good][..], epochs(1)).unwrap();
    assert!(both.history[0].train["loss"].is_finite());
}
