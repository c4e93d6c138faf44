//! Training runs are reproducible and resumable, and a failed run loses no progress.

mod line;

use line::{line, model};
use neurax::data::Batch;
use neurax::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

fn trainer() -> Trainer {
    Trainer::new(model(), loss::mse, optim::adam(0.05)).quiet()
}

fn kernel(vars: &Vars) -> Vec<f32> {
    vars.params["dense"]["kernel"].to_vec().unwrap()
}

#[test]
fn training_converges_and_is_reproducible() {
    let data = line(50).shuffled(key(1)).batched(16);
    let once = trainer().metric(metric::mae()).run(&data, epochs(60)).unwrap();
    assert!(once.loss < 1e-3, "{}", once.loss);
    assert!((kernel(&once.vars)[0] - 2.0).abs() < 0.1);
    assert_eq!(once.history.len(), 60);
    assert_eq!((once.step, once.history[0].examples), (240, 50));
    let again = trainer().run(&data, epochs(60)).unwrap();
    assert_eq!(kernel(&once.vars), kernel(&again.vars));
}

#[test]
fn means_weight_batches_by_their_examples() {
    let set = Dataset::new(Tensor::zeros([3, 1]), tensor([[1.0], [1.0], [4.0]])).unwrap();
    let still = nn::layer("zero", [nn::input("x", dims![_, 1])], |cx, [x]| {
        x * cx.param("w", (), init::zeros())
    });
    let trained = Trainer::new(&still, loss::mae, optim::sgd(0.0))
        .metric(metric::mae())
        .validate(set.batched(2));
    let trained = trained.quiet().run(&set.batched(2), epochs(1)).unwrap();
    assert_eq!((trained.loss, trained.metrics["mae"]), (2.0, 2.0));
    assert_eq!(trained.validation["loss"], 2.0);
    assert_eq!(trained.evaluate(&set).unwrap()["mae"], 2.0);
}

/// Axon compiles the validation in every epoch.
#[test]
fn training_and_validation_are_compiled_once_for_all_epochs() {
    static TRACES: AtomicUsize = AtomicUsize::new(0);
    let counted = nn::layer("counted", [nn::input("x", dims![_, 1])], |cx, [x]| {
        TRACES.fetch_add(1, Ordering::Relaxed);
        x * cx.param("w", (), init::zeros())
    });
    let set = Dataset::new(Tensor::ones([10, 1]), Tensor::ones([10, 1])).unwrap();
    let traces = |n| {
        let before = TRACES.load(Ordering::Relaxed);
        let trainer = Trainer::new(&counted, loss::mse, optim::sgd(0.1)).quiet();
        trainer.validate(set.batched(4)).run(&set.batched(3), epochs(n)).unwrap();
        TRACES.load(Ordering::Relaxed) - before
    };
    assert_eq!(traces(1), traces(7));
}

/// Axon's trainer knows 10 of its 14 losses.
#[test]
fn a_trainer_takes_every_loss() {
    let losses: [fn(&Tensor, &Tensor) -> Tensor; 4] = [
        loss::huber,
        loss::cosine_similarity,
        |y, t| loss::margin_ranking(y, &(y * 0.5), t, 1.0),
        |y, t| loss::ctc(y, &t.argmax(-1).slice(1, ..2).maximum(1)),
    ];
    let set = Dataset::new(key(0).normal([6, 5, 2]), key(1).normal([6, 5, 3])).unwrap();
    for loss in losses {
        let model = nn::input("x", dims![_, 5, 2]).dense(3);
        let trainer = Trainer::new(&model, loss, optim::sgd(0.1)).quiet();
        let trained = trainer.run(&set.batched(3), epochs(2)).unwrap();
        assert!(trained.loss.is_finite(), "{}", trained.loss);
    }
}

/// The mean of the values of batches would be another number: it is not defined for batches of one
/// class.
#[test]
fn metrics_with_state_are_exact_over_uneven_batches() {
    let x = key(5).uniform([21, 1]);
    let t = x.flatten().gt(0.3).to(I32);
    let scores = (x.flatten() + key(6).uniform(21)) / 2.0;
    let set = Dataset::new(scores.expand_dims(1), t.clone()).unwrap();
    let still = nn::layer("same", [nn::input("x", dims![_, 1])], |cx, [x]| {
        (x + cx.param("w", (), init::zeros())).squeeze(1)
    });
    let loss = |y: &Tensor, t: &Tensor| loss::mse(y, &t.to(F32));
    let each = metric::multiclass(2).average(metric::Average::None).recall();
    let classes = |out: &Applied, batch: &Batch| {
        (out.y().gt(0.5).to(I32), batch.y.clone(), batch.x.squeeze(1).lt(0.9))
    };
    let trained = Trainer::new(&still, loss, optim::sgd(0.0))
        .metric(metric::binary().bins(2001).roc_auc())
        .metric(metric::rmse())
        .metric_of(each.clone(), classes)
        .validate(set.batched(4))
        .quiet()
        .run(&set.shuffled(key(1)).batched(2), epochs(1))
        .unwrap();
    let exact = metric::exact::roc_auc(&scores, &t).unwrap();
    let state = each.init();
    let state = each.update_weighted(state, &scores.gt(0.5).to(I32), &t, &scores.lt(0.9));
    let recalls = each.result(&state).to_vec::<f64>().unwrap();
    let log = &trained.history[0];
    for found in [&log.train, &log.validation, &trained.evaluate(&set).unwrap()] {
        assert!((found["roc_auc"] - exact).abs() < 5e-3, "{found}, exactly {exact}");
        assert!((found["rmse"] - found["loss"].sqrt()).abs() < 1e-7, "{found}");
        assert_eq!([found["recall[0]"], found["recall[1]"]], recalls[..], "{found}");
    }
    assert_eq!(log.train["roc_auc"], log.validation["roc_auc"]);
}

#[test]
fn an_error_of_a_metric_names_its_line() {
    let failed =
        trainer().metric(metric::roc_auc().named("area")).metric(metric::multiclass(3).f1());
    let e = failed.run(&line(8).batched(4), epochs(1)).unwrap_err().error.to_string();
    assert!(e.contains("f1: expected scores [.., 3] or class indices"), "{e}");
    assert!(e.contains("tests/training.rs"), "{e}");
}

#[test]
fn a_malformed_last_batch_keeps_the_progress() {
    let good = Batch { x: Tensor::ones([4, 2]), y: Tensor::ones([4, 1]) };
    // The sizes are only declared: no memory is allocated for them.
    let bads = [
        (
            Batch { x: Tensor::ones([1 << 50, 2]), y: Tensor::ones([1 << 50, 1]) },
            "not enough memory for f32[1125899906842624, 2]",
        ),
        (
            Batch { x: Tensor::ones([4, 3]), y: Tensor::ones([4, 1]) },
            "input `x`: expected shape [_, 2], got [4, 3]",
        ),
        (
            Batch { x: Tensor::ones([4, 2]), y: Tensor::ones(4) },
            "mse: expected prediction and target of equal shapes, got f32[4, 1] and f32[4]",
        ),
        (
            Batch { x: Tensor::ones([4, 2]) + Tensor::ones([5, 2]), y: Tensor::ones([4, 1]) },
            "cannot broadcast",
        ),
    ];
    for (bad, why) in bads {
        let whole = trainer().run(&[good.clone(), good.clone()][..], epochs(1)).unwrap();
        let failed = trainer().run(&[good.clone(), good.clone(), bad][..], epochs(1)).unwrap_err();
        assert!(failed.error.to_string().contains(why), "{}", failed.error);
        let state = failed.state.unwrap();
        assert_eq!((state.step, state.batch), (2, 2));
        assert_eq!(kernel(&state.vars), kernel(&whole.vars), "bit for bit");
        let resumed = trainer().resume(*state, &[good.clone()][..], epochs(1)).unwrap();
        assert_eq!(resumed.step, 3);
    }
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let data = line(40).shuffled(key(1)).batched(16);
    let through = trainer().run(&data, epochs(6)).unwrap();
    let half = trainer().run(&data, epochs(3)).unwrap();
    let rest = trainer().resume(half.state, &data, epochs(3)).unwrap();
    assert_eq!(kernel(&through.vars), kernel(&rest.vars));
    assert_eq!(rest.history.len(), 6);
}

#[test]
fn a_handler_stops_an_unlimited_run() {
    let data = line(20).batched(8);
    let until =
        |n| move |s: &mut State| if s.history.len() == n { Flow::Stop } else { Flow::Continue };
    let first = trainer().on(Event::EpochEnded, until(2)).run(&data, epochs(usize::MAX)).unwrap();
    assert_eq!(first.history.len(), 2);
    let more = trainer()
        .on(Event::EpochEnded, until(5))
        .resume(first.state, &data, epochs(usize::MAX))
        .unwrap();
    assert_eq!(more.history.len(), 5);
}

#[test]
fn events_are_in_order_and_handlers_can_stop() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut training = trainer();
    for event in [
        Event::Started,
        Event::EpochStarted,
        Event::BatchStarted,
        Event::BatchEnded,
        Event::EpochEnded,
        Event::Completed,
    ] {
        let seen = seen.clone();
        training = training
            .on(event, move |state| seen.lock().unwrap().push((event, state.epoch, state.batch)));
    }
    training.run(&line(20).batched(16), epochs(2)).unwrap();
    use Event::*;
    let epoch = |e| {
        [
            (EpochStarted, e, 0),
            (BatchStarted, e, 0),
            (BatchEnded, e, 1),
            (BatchStarted, e, 1),
            (BatchEnded, e, 2),
            (EpochEnded, e, 2),
        ]
    };
    let want =
        [vec![(Started, 0, 0)], epoch(0).to_vec(), epoch(1).to_vec(), vec![(Completed, 1, 2)]]
            .concat();
    assert_eq!(*seen.lock().unwrap(), want);

    let stopped =
        trainer().on(Event::EpochEnded, |s| if s.epoch == 2 { Flow::Stop } else { Flow::Continue });
    assert_eq!(stopped.run(&line(20).batched(8), epochs(9)).unwrap().history.len(), 3);
    let stopped = trainer().on(Event::BatchEnded, |s| {
        Ok::<_, Error>(if s.step == 4 { Flow::Stop } else { Flow::Continue })
    });
    assert_eq!(stopped.run(&line(24).batched(8), epochs(9)).unwrap().step, 4);
    let failed = trainer().on(Event::BatchEnded, |s| {
        if s.step == 4 { Err(Error::new("mine", "enough")) } else { Ok(()) }
    });
    let failed = failed.run(&line(24).batched(8), epochs(9)).unwrap_err();
    assert_eq!((failed.error.op(), failed.state.unwrap().step), ("mine", 4));
}

#[test]
fn handlers_see_losses_and_may_change_the_rate() {
    let losses = Arc::new(Mutex::new(Vec::new()));
    let sink = losses.clone();
    let trained = Trainer::new(model(), loss::mse, optim::sgd(0.1))
        .quiet()
        .on(Event::BatchEnded, move |s| sink.lock().unwrap().push(s.loss))
        .on(Event::EpochEnded, |s| {
            s.opt.slots[0].insert("rate".into(), vec![tensor(0.0)]).map_or((), |_| ())
        })
        .run(&line(32).batched(16), epochs(2))
        .unwrap();
    let losses = losses.lock().unwrap();
    assert_eq!(losses.len(), 4);
    assert_eq!(losses[1], trained.history[0].train["loss"]);
    let first = Trainer::new(model(), loss::mse, optim::sgd(0.1))
        .quiet()
        .run(&line(32).batched(16), epochs(1))
        .unwrap();
    assert_eq!(kernel(&first.vars), kernel(&trained.vars), "a rate of zero changes nothing");
}

#[test]
fn training_without_batches_is_an_error() {
    let empty: [Batch; 0] = [];
    let e = trainer().run(&empty[..], epochs(1)).unwrap_err();
    assert!(e.state.is_none() && e.to_string().contains("expected at least one batch to train on"));
}

#[test]
fn an_invalid_data_set_is_an_error() {
    let bad = Dataset { x: Tensor::ones([3, 2]), y: Tensor::ones([4, 1]) };
    let e = trainer().run(&bad.shuffled(key(0)).batched(2), epochs(1)).unwrap_err();
    assert!(e.to_string().contains("expected 3 rows in `y`, as in `x`, got 4"), "{e}");
}

#[test]
fn an_error_inside_a_layer_names_its_path() {
    let broken = model().then(|x| nn::layer("odd", [x], |_, [x]| x.reshape([7])));
    let e = Trainer::new(&broken, loss::mse, optim::sgd(0.1))
        .quiet()
        .run(&line(8).batched(4), epochs(1))
        .unwrap_err();
    assert!(e.to_string().contains("in layer odd"), "{e}");
}

#[test]
fn errors_have_a_line_of_user_code() {
    let says = |e: neurax::train::TrainError, parts: &[&str]| {
        let e = e.error.to_string();
        assert!(
            parts.iter().all(|p| e.contains(p)) && e.contains("tests/training.rs:"),
            "{parts:?} in: {e}"
        );
    };
    let data = line(8).batched(4);
    let vector = |y: &Tensor, t: &Tensor| (y - t).square();
    says(
        Trainer::new(model(), vector, optim::sgd(0.1)).quiet().run(&data, epochs(1)).unwrap_err(),
        &["from the loss function of the Trainer, got f32[4, 1]", "`.mean(..)`"],
    );
    says(
        trainer()
            .measure("gap", |out, batch| out.y() - &batch.y)
            .run(&data, epochs(1))
            .unwrap_err(),
        &["the metric `gap` of the Trainer"],
    );
    let one_hot = Trainer::new(model(), loss::categorical_cross_entropy, optim::sgd(0.1)).quiet();
    let flat = [Batch { x: Tensor::ones([4, 2]), y: Tensor::ones(4) }];
    says(
        one_hot.run(&flat[..], epochs(1)).unwrap_err(),
        &["categorical_cross_entropy: expected", "got f32[4, 1] and f32[4]"],
    );
    let wide = [Batch { x: Tensor::ones([4, 3]), y: Tensor::ones([4, 1]) }];
    says(
        trainer().run(&wide[..], epochs(1)).unwrap_err(),
        &["input `x`: expected shape [_, 2], got [4, 3]"],
    );
    says(
        trainer().run(&[][..], epochs(1)).unwrap_err(),
        &["expected at least one batch to train on"],
    );
}

#[test]
fn without_epochs_and_validation_set_there_are_no_scores() {
    let untrained = trainer().run(&line(8).batched(4), epochs(0)).unwrap();
    assert!(untrained.loss.is_nan() && untrained.history.is_empty() && untrained.step == 0);
    assert_eq!(untrained.validation.to_string(), "nothing measured");
    let e = trainer().run(&line(8).batched(0), epochs(1)).unwrap_err().error.to_string();
    assert!(
        e.contains("expected a batch size of at least 1, got 0, at ")
            && e.contains("tests/training.rs:"),
        "{e}"
    );
}

#[test]
fn a_validation_set_of_another_shape_is_reported_before_training() {
    let steps = Arc::new(Mutex::new(0));
    let counted = steps.clone();
    let bad = Dataset::new(Tensor::ones([5, 3]), Tensor::ones([5, 1])).unwrap();
    let line = line!() + 1;
    let training = trainer().validate(&bad).on(Event::BatchEnded, move |_| {
        *counted.lock().unwrap() += 1;
    });
    let e = training.run(&self::line(8).batched(4), epochs(1)).unwrap_err();
    let text = e.to_string();
    assert!(text.contains("input `x`: expected shape [_, 2], got [5, 3]"), "{text}");
    assert!(text.contains(&format!("tests/training.rs:{line}:")), "{text}");
    assert!(text.ends_with("(on the validation set)"), "{text}");
    assert_eq!(*steps.lock().unwrap(), 0);
    let none = Dataset::new(Tensor::ones([0, 2]), Tensor::ones([0, 1])).unwrap();
    let e = trainer().validate(&none).run(&self::line(8).batched(4), epochs(1)).unwrap_err();
    assert!(e.to_string().contains("at least one example to evaluate, got none"), "{e}");
    let trained = trainer().run(&self::line(8).batched(4), epochs(1)).unwrap();
    assert!(trained.evaluate(&none).unwrap_err().to_string().contains("at least one example"));
}

#[test]
fn a_plain_error_says_in_which_batch_it_occurred() {
    let good = Batch { x: Tensor::ones([4, 2]), y: Tensor::ones([4, 1]) };
    let bad = Batch { x: Tensor::ones([4, 3]), y: Tensor::ones([4, 1]) };
    let failed = trainer().run(&[good, bad][..], epochs(1)).unwrap_err();
    assert!(failed.to_string().ends_with("(in epoch 1, batch 2)"), "{failed}");
    let e = Error::from(failed);
    assert!(e.message().ends_with("(in epoch 1, batch 2)"), "{e}");
    assert!(e.to_string().contains("tests/training.rs:"), "{e}");
}

#[test]
fn nothing_has_no_mean() {
    let empty = Batch { x: Tensor::ones([0, 2]), y: Tensor::ones([0, 1]) };
    let good = Batch { x: Tensor::ones([4, 2]), y: Tensor::ones([4, 1]) };
    let e = trainer().run(&[good, empty][..], epochs(1)).unwrap_err();
    assert!(e.to_string().contains("at least one example in a batch, got none"), "{e}");
    assert_eq!(e.state.unwrap().step, 1);
    let none: [Batch; 0] = [];
    let vars = trainer().run(&line(4).batched(4), epochs(1)).unwrap().state.vars;
    let e = trainer().vars(vars).run(&none[..], epochs(1)).unwrap_err();
    let e = Error::from(e);
    assert!(e.message().ends_with("at least one batch, got none (in epoch 1)"), "{e}");
    for event in [Event::EpochStarted, Event::BatchStarted] {
        let stopped = trainer().on(event, |s| match s.epoch {
            1 => Flow::Stop,
            _ => Flow::Continue,
        });
        let trained = stopped.run(&line(8).batched(4), epochs(3)).unwrap();
        assert_eq!((trained.history.len(), trained.step), (1, 2), "{event:?}");
    }
}

#[test]
fn means_of_many_examples_do_not_drift() {
    let set = Dataset::new(Tensor::zeros([30_000, 1]), Tensor::full([30_000, 1], 0.1)).unwrap();
    let still = nn::layer("zero", [nn::input("x", dims![_, 1])], |cx, [x]| {
        x * cx.param("w", (), init::zeros())
    });
    let trainer = Trainer::new(&still, loss::mae, optim::sgd(0.0)).quiet();
    let trained = trainer.run(&set.batched(3), epochs(1)).unwrap();
    assert!((trained.loss - 0.1f32 as f64).abs() < 1e-9, "{}", trained.loss);
}

#[test]
fn errors_of_handlers_count_from_1() {
    let failing = |event, at: usize| {
        let trainer = trainer().on(event, move |s: &mut State| match s.step == at {
            true => Err(Error::new("handler", "no")),
            false => Ok(()),
        });
        let e = trainer.run(&line(8).batched(4), epochs(2)).unwrap_err();
        Error::from(e).message().to_string()
    };
    assert_eq!(failing(Event::EpochStarted, 2), "no (in epoch 2)");
    assert_eq!(failing(Event::BatchStarted, 3), "no (in epoch 2, batch 2)");
    assert_eq!(failing(Event::BatchEnded, 3), "no (in epoch 2, batch 1)");
    assert_eq!(failing(Event::EpochEnded, 2), "no (in epoch 1)");
}

/// A network that is certain and wrong learns: the gradient of the loss of probabilities is that of
/// the loss of logits.
#[test]
fn a_saturated_network_learns() {
    let from = |bias: f32, units: usize| {
        nn::layer("head", [nn::input("x", dims![_, 1])], move |cx, [x]| {
            let start = init::Init::new("start", move |_, shape| {
                let signs: Vec<f32> =
                    (0..shape[0]).map(|i| if i == 0 { bias } else { -bias }).collect();
                Tensor::from_slice(&signs, shape[0])
            });
            x * 0.0 + cx.param("bias", units, start)
        })
    };
    let x = Tensor::ones([4, 1]);
    let wrong = Dataset::new(x.clone(), tensor([[0.0, 1.0]]).broadcast_to([4, 2])).unwrap();
    let classes = from(20.0, 2).softmax();
    let trained = Trainer::new(&classes, loss::categorical_cross_entropy, optim::adam(0.5))
        .quiet()
        .run(&wrong.batched(4), epochs(200));
    assert!(trained.unwrap().loss < 0.1);
    let labels = Dataset::new(x.clone(), tensor([1, 1, 1, 1])).unwrap();
    let trained = Trainer::new(&classes, loss::sparse_categorical_cross_entropy, optim::adam(0.5))
        .quiet()
        .run(&labels.batched(4), epochs(200));
    assert!(trained.unwrap().loss < 0.1);
    for (bias, target) in [(20.0, 0.0), (-20.0, 1.0), (200.0, 0.0)] {
        let set = Dataset::new(x.clone(), Tensor::full([4, 1], target)).unwrap();
        let one = from(bias, 1).sigmoid();
        let trained = Trainer::new(&one, loss::binary_cross_entropy, optim::adam(2.0))
            .quiet()
            .run(&set.batched(4), epochs(200));
        assert!(trained.unwrap().loss < 0.1, "{bias}");
    }
}

#[test]
fn weights_survive_saving_and_loading() {
    let data = line(40).batched(8);
    let trained = trainer().run(&data, epochs(5)).unwrap();
    let path =
        std::env::temp_dir().join(format!("neurax-training-{}.safetensors", std::process::id()));
    trained.vars.save(&path).unwrap();
    let loaded = trainer().vars(Vars::load(&path).unwrap()).run(&data, epochs(1)).unwrap();
    assert!(loaded.history[0].train["loss"] <= trained.loss * 1.5);
    assert_eq!(trained.net().apply(Tensor::ones([1, 2])).y().shape(), [1, 1]);
}

#[test]
fn rules_that_evaluate_the_loss_train_in_the_compiled_step() {
    let data = line(40);
    let trained = Trainer::new(model(), loss::mse, optim::lbfgs(5)).quiet();
    let trained = trained.run(&data.batched(40), epochs(12)).unwrap();
    assert!(trained.evaluate(&data).unwrap()["loss"] < 1e-6, "{}", trained.loss);
    let opt = optim::chain([optim::sam(0.01), optim::adam(0.05)]);
    let noisy = nn::input("x", dims![_, 2]).dropout(0.1).dense(1);
    for model in [model(), noisy] {
        let trained = Trainer::new(&model, loss::mse, opt.clone()).quiet();
        let trained = trained.run(&data.batched(20), epochs(100)).unwrap();
        assert!(trained.evaluate(&data).unwrap()["loss"] < 0.05);
    }
}

/// Returns the loss of a network for a smooth function of two numbers, after training.
fn loss_of_a_curve(policy: Option<nn::Policy>, opt: Optim) -> (f64, train::State) {
    let x = key(42).uniform([256, 2]) * 2.0 - 1.0;
    let y = (x.clone() * 3.0).sin().sum(keep(-1));
    let set = Dataset::new(x, y).unwrap();
    let model = nn::input("x", dims![_, 2]).dense(32).layer_norm().tanh().dense(1).model();
    let model = policy.map_or(model.clone(), |policy| policy.apply(&model));
    let trainer = Trainer::new(&model, loss::mse, opt).quiet();
    let trained = trainer.run(&set.shuffled(key(1)).batched(32), epochs(30)).unwrap();
    (trained.evaluate(&set).unwrap()["loss"], trained.state.clone())
}

#[test]
fn mixed_precision_reaches_nearly_the_loss_of_f32() {
    let (want, _) = loss_of_a_curve(None, optim::adam(0.01));
    assert!(want < 0.1, "{want}");
    let (found, state) = loss_of_a_curve(Some(nn::Policy::mixed(BF16)), optim::adam(0.01));
    assert!(found < 1.2 * want + 2e-3, "{found} {want}");
    assert_eq!(state.vars.params["dense"]["kernel"].dtype(), F32);
}

#[test]
fn a_scaled_loss_trains_in_f16_and_overflows_are_skipped_and_counted() {
    let (want, _) = loss_of_a_curve(None, optim::adam(0.01));
    // The first scale is far too large.
    let scale = optim::LossScale::Dynamic { init: 2e9, period: 50, factor: 2.0, min: 1.0 };
    let opt = optim::adam(0.01).loss_scale(scale);
    let (found, state) = loss_of_a_curve(Some(nn::Policy::mixed(F16)), opt);
    assert!(found < 1.2 * want + 2e-3, "{found} {want}");
    let skipped = state.opt.non_finite_steps().unwrap().unwrap();
    assert!((5..60).contains(&skipped), "{skipped}");
    assert_eq!(state.opt.step.item().unwrap() as usize + skipped, state.step);
    assert!(state.opt.loss_scale().unwrap().item().unwrap() < 2e9);
    assert!(state.loss.is_finite() && state.history[0].train["loss"] < 10.0);
    assert_eq!(state.history.iter().map(|log| log.skipped).sum::<usize>(), skipped);
}
