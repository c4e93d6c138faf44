//! Goals, the best variables as the result, and gradients that wait at the end of an epoch.

mod line;

use line::{line, model};
use neurax::data::{Batch, Source, SourceEpoch};
use neurax::prelude::*;
use neurax::train::{
    Checkpoints, EarlyStopping, PredictionRecord, ReduceOnPlateau, RunDirectory, highest, lowest,
    once,
};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("neurax-goals-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn bits(tree: &impl Tree) -> Vec<u8> {
    neurax::io::serialize(tree).unwrap()
}

/// A trainer with a metric that has one value for each of three classes.
fn of_flowers(set: &Dataset) -> Trainer {
    let model = nn::input("flower", dims![_, 4]).dense(3).softmax();
    let of_each = metric::multiclass(3).average(metric::Average::None);
    Trainer::new(model, loss::categorical_cross_entropy, optim::sgd(0.05))
        .metric(of_each.recall())
        .validate(set)
        .validate_on("night", set)
        .quiet()
}

#[test]
fn goals_are_scores_of_single_classes() {
    let at = path("classes");
    let iris = data::iris().unwrap().shuffled(key(0)).batched(50);
    let set = data::iris().unwrap();
    let goal = || highest("recall[1]");
    let trained = of_flowers(&set)
        .handler(Checkpoints::new(&at).best(goal()))
        .handler(EarlyStopping::new(highest("night recall[2]")).patience(9))
        .handler(ReduceOnPlateau::new(goal().of_training()))
        .run(&iris, epochs(4))
        .unwrap();
    let scores: Vec<f64> = trained.history.iter().map(|log| log.validation["recall[1]"]).collect();
    let best = scores.iter().copied().fold(0.0, f64::max);
    assert_eq!(State::load(at.join("best")).unwrap().validation["recall[1]"], best);

    for handled in [
        of_flowers(&set).handler(EarlyStopping::new(highest("recall"))),
        of_flowers(&set).handler(ReduceOnPlateau::new(highest("recall"))),
        of_flowers(&set).handler(Checkpoints::new(path("none")).best(highest("recall"))),
    ] {
        let e = handled.run(&iris, epochs(4)).unwrap_err();
        assert_eq!(e.state.as_ref().unwrap().step, 0, "{e}");
        let e = e.to_string();
        let want = r#"expected one of the scores ["loss", "recall[0]", "recall[1]", "recall[2]", "#;
        assert!(e.contains(want), "{e}");
        assert!(e.contains("got `recall`; it has several values: choose one of them, such as"));
    }
}

#[test]
fn of_many_scores_the_first_are_listed() {
    let set = data::iris().unwrap();
    let model = nn::input("flower", dims![_, 4]).dense(3).softmax();
    let trainer = Trainer::new(model, loss::categorical_cross_entropy, optim::sgd(0.05)).quiet();
    let trainer = trainer.metric(metric::multiclass(3).confusion_matrix());
    let wrong = trainer.handler(EarlyStopping::new(lowest("cost")));
    let e = wrong.run(&set.batched(50), epochs(1)).unwrap_err().to_string();
    assert!(e.contains(r#""confusion_matrix[0][1]""#) && e.contains(", and 2 more]"), "{e}");
}

/// A training whose first epoch has the highest loss, and is the best one for this goal.
fn first_is_best() -> Trainer {
    let best = EarlyStopping::new(highest("loss")).patience(99).restore_best();
    let model = nn::input("x", dims![_, 2]).dropout(0.1).dense(1);
    let trainer = Trainer::new(model, loss::mse, optim::adam(0.01)).validate(&line(24)).quiet();
    trainer.handler(best)
}

#[test]
fn the_result_has_the_scores_of_the_best_variables() {
    let trained = first_is_best().run(&line(24).batched(8), epochs(4)).unwrap();
    assert_eq!(trained.validation, trained.history[0].validation);
    assert_ne!(trained.validation, trained.history[3].validation);
    let scores = trained.evaluate(&line(24)).unwrap();
    assert_eq!(scores["loss"], trained.validation["loss"]);
}

#[test]
fn a_training_goes_on_from_its_last_variables_behind_the_best_ones() {
    let data = line(24).shuffled(key(1)).batched(8);
    let whole = first_is_best().run(&data, epochs(5)).unwrap();
    let first = first_is_best().run(&data, epochs(3)).unwrap();
    let at = path("best");
    first.state.save(&at).unwrap();
    let best = bits(&first.vars);
    let resumed = first_is_best().resume_exactly(first.state.clone(), &data, epochs(5)).unwrap();
    let loaded = first_is_best().resume_from(&at, &data, epochs(5)).unwrap();
    for other in [&resumed, &loaded] {
        let train = |t: &Trained| -> Vec<train::Scores> {
            t.history.iter().map(|log| log.train.clone()).collect()
        };
        assert_eq!(train(other), train(&whole));
        assert!(bits(&other.state) == bits(&whole.state));
        assert_eq!(other.validation, whole.validation);
    }
    // `resume` begins with the best ones.
    let begun = Arc::new(Mutex::new(vec![]));
    let sink = begun.clone();
    let note = move |s: &mut State| *sink.lock().unwrap() = bits(&s.vars);
    first_is_best().on(Event::Started, note).resume(first.state, &data, epochs(1)).unwrap();
    assert!(*begun.lock().unwrap() == best);
}

#[test]
fn predictions_of_a_run_are_those_of_the_result() {
    let run = path("classify");
    let set = data::iris().unwrap();
    let directory = RunDirectory::new(&run).classify(&set, &[]).without_interrupt();
    let best = EarlyStopping::new(highest("loss")).patience(99).restore_best();
    let trainer = of_flowers(&set).record(directory).handler(best);
    let trained = trainer.run(&set.batched(50), epochs(12)).unwrap();
    let written = PredictionRecord::read(&run).unwrap().unwrap();
    let outputs = trained.net().predict(&set).unwrap();
    let want = PredictionRecord::of(&outputs, &set.y, &[]).unwrap();
    assert_eq!(written.confusion, want.confusion);
    assert_ne!(trained.validation, trained.history[11].validation);
}

#[test]
fn a_stop_at_a_loss_that_is_not_finite_stays() {
    let set = Dataset::new(Tensor::ones([4, 2]), Tensor::full([4, 1], f32::NAN)).unwrap();
    let trainer = || {
        let finite = EarlyStopping::new(lowest("loss")).patience(9).check_finite();
        let trainer = Trainer::new(model(), loss::mse, optim::sgd(0.1)).handler(finite).quiet();
        trainer.non_finite_loss(train::NonFiniteLoss::Ignore)
    };
    let first = trainer().run(&set.batched(4), epochs(9)).unwrap();
    let again = trainer().resume_exactly(first.state, &set.batched(4), epochs(9)).unwrap();
    assert_eq!(again.history.len(), 1);
}

/// `w x` with one parameter.
fn factor() -> Node {
    nn::layer("factor", [nn::input("x", dims![_, 1])], |cx, [x]| {
        &x * cx.param("w", (), init::zeros())
    })
}

/// Returns `n` inputs and targets.
fn points(n: usize) -> Vec<[f64; 2]> {
    (0..n).map(|i| i as f64 / n as f64).map(|x| [x + 0.5, (7.0 * x).sin() + 2.0]).collect()
}

/// Returns the parameter of [`factor`] after epochs of steps of the examples and weights in
/// `groups`.
fn by_hand(groups: &[Vec<([f64; 2], f64)>], rate: f64, epochs: usize) -> f64 {
    let mut w = 0.0;
    for group in groups.iter().cycle().take(groups.len() * epochs) {
        let weights: f64 = group.iter().map(|(_, weight)| weight).sum();
        let slope = |([x, y], weight): &([f64; 2], f64)| weight * 2.0 * (w * x - y) * x;
        w -= rate * group.iter().map(slope).sum::<f64>() / weights;
    }
    w
}

fn w(state: &State) -> f64 {
    state.vars.get("factor.w").unwrap().item().unwrap()
}

#[test]
fn accumulated_gradients_are_means_over_examples_and_the_rest_of_an_epoch_is_a_step() {
    // Ten batches, the last one of one example: steps of 8, 8 and 3 examples.
    let points = points(19);
    let column = |i: usize| Tensor::from_vec(points.iter().map(|p| p[i] as f32).collect(), [19, 1]);
    let plain = Dataset::new(column(0), column(1)).unwrap();
    let weights: Vec<f64> = (0..19).map(|i| [0.5, 3.0, 1.0][i % 3]).collect();
    let tensor = Tensor::from_vec(weights.iter().map(|w| *w as f32).collect(), 19);
    let weighted = Dataset::new(column(0), (column(1), tensor)).unwrap();
    let groups = |weight: &dyn Fn(usize) -> f64| -> Vec<Vec<([f64; 2], f64)>> {
        let pairs: Vec<([f64; 2], f64)> =
            points.iter().enumerate().map(|(i, p)| (*p, weight(i))).collect();
        pairs.chunks(8).map(<[_]>::to_vec).collect()
    };
    let optim = || optim::accumulate(4, optim::sgd(0.2));
    for steps in [1, 3, usize::MAX] {
        let trainer = Trainer::new(factor(), loss::mse, optim()).steps_per_call(steps).quiet();
        let trained = trainer.run(&plain.batched(2), epochs(2)).unwrap();
        let want = by_hand(&groups(&|_| 1.0), 0.2, 2);
        assert!((w(&trained) - want).abs() < 1e-5, "{} {want}", w(&trained));
        assert_eq!(trained.opt.accumulated_gradients().unwrap(), 0);
        assert_eq!((trained.step, trained.opt.step.item().unwrap()), (20, 20.0));

        let each = loss::of(loss::each::mse);
        let trainer = Trainer::weighted(factor(), each, optim()).steps_per_call(steps).quiet();
        let trained = trainer.run(&weighted.batched(2), epochs(2)).unwrap();
        let want = by_hand(&groups(&|i| weights[i]), 0.2, 2);
        assert!((w(&trained) - want).abs() < 1e-5, "{} {want}", w(&trained));
    }
}

#[test]
fn accumulations_are_resumed_exactly_also_at_the_end_of_an_epoch() {
    let data = line(19).shuffled(key(2)).batched(2);
    let trainer = || {
        let optim = optim::accumulate(4, optim::adam(0.1));
        Trainer::new(model(), loss::mse, optim).validate(&line(8)).quiet()
    };
    let whole = trainer().run(&data, epochs(2)).unwrap();
    for step in [3, 9, 10, 12] {
        let at = path(&format!("accumulate-{step}"));
        let to = at.clone();
        let save = Event::BatchEnded.when(once(step).batches());
        trainer().on(save, move |s| s.save(&to)).run(&data, epochs(2)).unwrap();
        let resumed = trainer().resume_from(&at, &data, epochs(2)).unwrap();
        assert!(bits(&resumed.state) == bits(&whole.state), "{step}");
        assert_eq!(resumed.validation, whole.validation);
        let limited = trainer().handler(train::StepLimit::new(step)).run(&data, epochs(2));
        let resumed = trainer().resume_exactly(limited.unwrap().state, &data, epochs(2)).unwrap();
        assert!(bits(&resumed.vars) == bits(&whole.vars), "{step}");
    }
}

/// A validation set that fails when it is read for the `n`-th time.
struct Failing {
    reads: AtomicUsize,
    n: usize,
}

impl Source for Failing {
    fn epoch(&self, _: usize) -> SourceEpoch<'_, Tensor, Tensor> {
        let batch = Batch { x: Tensor::ones([2, 2]), y: Tensor::ones([2, 1]) };
        let fails = self.reads.fetch_add(1, Ordering::Relaxed) + 1 == self.n;
        Box::new([if fails { Err(Error::new("read", "broken")) } else { Ok(batch) }].into_iter())
    }
    fn batches(&self) -> Option<usize> {
        Some(1)
    }
}

#[test]
fn errors_on_a_validation_set_say_after_which_batch_or_epoch() {
    for (n, place) in [
        (1, "(on the validation set)"),
        (2, "(on the validation set, in epoch 1 after batch 2)"),
        (3, "(on the validation set, after epoch 1)"),
        (4, "(on the validation set, in epoch 2 after batch 1)"),
    ] {
        let set = Failing { reads: AtomicUsize::new(0), n };
        let trainer = Trainer::new(model(), loss::mse, optim::sgd(0.01)).validate(set).quiet();
        let e = trainer.validate_every(2).run(&line(9).batched(3), epochs(2)).unwrap_err();
        assert!(e.to_string().ends_with(place), "{n}: {e}");
    }
}
