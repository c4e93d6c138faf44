//! Several steps in one call of the compiled program equal single steps.

use neurax::data::{Batch, SourceEpoch};
use neurax::io;
use neurax::prelude::*;
use neurax::train::{after, every, first, once};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

const EXAMPLES: usize = 43;
const BATCH: usize = 4;

/// Returns examples in batches of 4, of which the last one has 3: 11 batches.
fn batches() -> data::Batches {
    let x = key(42).uniform([EXAMPLES, 3]);
    let y = x.matmul(tensor([[2.0], [-1.0], [0.5]])) + 1.0;
    Dataset::new(x, y).unwrap().shuffled(key(1)).batched(BATCH)
}

/// A source of the same batches that is no data set in memory.
struct Streamed(data::Batches);

impl Source for Streamed {
    fn epoch(&self, epoch: usize) -> SourceEpoch<'_, Tensor, Tensor> {
        Box::new(self.0.epoch(epoch).map(Ok))
    }
    fn batches(&self) -> Option<usize> {
        None
    }
}

/// A trainer of a network with random numbers, running statistics and a metric with state.
fn trainer() -> Trainer {
    let hidden = nn::input("x", dims![_, 3]).dense(8).layer(BatchNorm::new()).tanh();
    let model = hidden.dropout(0.2).dense(1);
    let rate = optim::exponential(0.05, 0.5, 20);
    Trainer::new(&model, loss::mse, optim::adam(rate)).metric(metric::rmse()).quiet()
}

fn bits(state: &State) -> Vec<u8> {
    io::serialize(&(state.vars.clone(), state.opt.clone(), state.key.clone())).unwrap()
}

fn scores(state: &State) -> Vec<(train::Scores, usize)> {
    state.history.iter().map(|log| (log.train.clone(), log.examples)).collect()
}

/// Checks that two runs have the same scores: a loss of another program may differ in its last bit.
fn same_scores(a: &State, b: &State) {
    assert_eq!(a.history.len(), b.history.len());
    for (a, b) in a.history.iter().zip(&b.history) {
        assert_eq!(a.examples, b.examples);
        for ((name, a), (other, b)) in a.train.iter().zip(b.train.iter()) {
            assert_eq!(name, other);
            assert!((a - b).abs() <= 1e-6 * b.abs(), "{name}: {a} and {b}");
        }
    }
}

fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("neurax-calls-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

#[test]
fn groups_of_any_size_train_the_same_weights() {
    let single = trainer().run(&batches(), epochs(3)).unwrap();
    assert_eq!((single.step, single.history[0].examples), (33, EXAMPLES));
    for n in [2, 3, 8, usize::MAX] {
        let rows = trainer().steps_per_call(n).run(&batches(), epochs(3)).unwrap();
        let stacked = trainer().steps_per_call(n).run(&Streamed(batches()), epochs(3)).unwrap();
        for found in [&rows, &stacked] {
            assert!(bits(found) == bits(&single), "{n} steps in a call: other weights");
            same_scores(found, &single);
            assert_eq!((found.step, found.batch), (single.step, single.batch));
        }
    }
}

/// Returns the steps at which `event` was seen, with `n` steps in a call.
fn seen(n: usize, when: impl Into<train::When>) -> Vec<usize> {
    let steps = Arc::new(Mutex::new(vec![]));
    let sink = steps.clone();
    let note = move |s: &mut State| sink.lock().unwrap().push(s.step);
    trainer().steps_per_call(n).on(when, note).run(&batches(), epochs(2)).unwrap();
    let steps = steps.lock().unwrap();
    steps.clone()
}

#[test]
fn events_are_around_calls() {
    assert_eq!(seen(4, Event::BatchEnded), [4, 8, 10, 11, 15, 19, 21, 22]);
    assert_eq!(seen(4, Event::BatchStarted), [0, 4, 8, 10, 11, 15, 19, 21]);
    assert_eq!(seen(usize::MAX, Event::BatchEnded), [10, 11, 21, 22]);
}

#[test]
fn batches_that_a_filter_names_are_not_missed() {
    let ended = |filter| Event::BatchEnded.when(filter);
    assert_eq!(seen(4, ended(every(5).batches())), [5, 10, 15, 20]);
    assert_eq!(seen(usize::MAX, ended(once(7).batches())), [7]);
    assert_eq!(seen(8, ended(every(3).batches() & after(1).epochs())), [12, 15, 18, 21]);
    assert_eq!(seen(8, Event::BatchStarted.when(once(6).batches())), [5]);
    assert_eq!(seen(8, ended(first().batches())), [1]);
    // A range of numbers is that of the calls that end in it.
    assert_eq!(seen(4, ended(after(9).batches())), [10, 11, 15, 19, 21, 22]);
}

#[test]
fn validation_and_limits_are_exact() {
    let steps = Arc::new(Mutex::new(vec![]));
    let sink = steps.clone();
    let trained = trainer()
        .validate(batches())
        .validate_every(3)
        .steps_per_call(8)
        .on(Event::BatchEnded, move |s| sink.lock().unwrap().push((s.step, s.validation["loss"])))
        .handler(train::StepLimit::new(17))
        .run(&batches(), epochs(9))
        .unwrap();
    assert_eq!((trained.step, trained.batch), (17, 6));
    let steps = steps.lock().unwrap();
    let at: Vec<usize> = steps.iter().map(|(step, _)| *step).collect();
    assert_eq!(at, [3, 6, 8, 9, 10, 11, 12, 15, 17]);
    let values: Vec<f64> = steps.iter().map(|(_, loss)| *loss).collect();
    assert!(values[0] != values[1] && values[1] == values[2] && values[2] != values[3]);
}

#[test]
fn a_run_that_stops_inside_an_epoch_resumes_exactly() {
    let single = trainer().run(&batches(), epochs(2)).unwrap();
    for (n, k) in [(1, 8), (8, 1), (4, usize::MAX)] {
        let at = path("resume");
        let save = at.clone();
        let fifth = Event::BatchEnded.when(once(5).batches());
        let saved = trainer().steps_per_call(n).on(fifth, move |s| s.save(&save));
        saved.run(&batches(), epochs(1)).unwrap();
        let state = State::load(&at).unwrap();
        assert_eq!((state.step, state.batch), (5, 5));
        let resumed = trainer().steps_per_call(k).resume_from(&at, &batches(), epochs(2)).unwrap();
        assert!(bits(&resumed) == bits(&single), "{n} and {k}");
        same_scores(&resumed, &single);
    }
}

#[test]
fn a_resumed_run_has_the_calls_and_the_scores_of_an_undisturbed_one() {
    let at = path("same");
    let training = || trainer().steps_per_call(4).handler(train::Checkpoints::new(&at).keep(9));
    let fails = |s: &mut State| match s.step {
        19 => Err(Error::new("power", "gone")),
        _ => Ok(()),
    };
    let fifteenth = Event::BatchEnded.when(once(15).batches());
    let points = train::Checkpoints::new(&at).when(fifteenth);
    let first = trainer().steps_per_call(4).handler(points).on(Event::BatchEnded, fails);
    first.run(&batches(), epochs(3)).unwrap_err();
    let resumed = training().resume_from(&at, &batches(), epochs(3)).unwrap();
    let whole = trainer().steps_per_call(4).run(&batches(), epochs(3)).unwrap();
    assert!(bits(&resumed) == bits(&whole));
    assert_eq!(scores(&resumed), scores(&whole));
}

#[test]
fn the_steps_before_an_error_of_the_source_are_kept() {
    let good = || Batch { x: Tensor::ones([4, 3]), y: Tensor::ones([4, 1]) };
    let bad = Batch { x: Tensor::ones([4, 2]), y: Tensor::ones([4, 1]) };
    let list = [good(), good(), good(), bad, good()];
    let failed = trainer().steps_per_call(4).run(&list[..], epochs(1)).unwrap_err();
    let text = failed.to_string();
    assert!(text.contains("input `x`: expected shape [_, 3], got [4, 2]"), "{text}");
    assert!(text.ends_with("(in epoch 1, batch 4)"), "{text}");
    let state = failed.state.unwrap();
    assert_eq!((state.step, state.batch), (3, 3));
    let three = trainer().run(&list[..3], epochs(1)).unwrap();
    assert!(bits(&state) == bits(&three));
}

#[test]
fn a_loss_that_becomes_nan_ends_training_after_the_call() {
    let mut rows = vec![1.0f32; 24];
    rows[5] = f32::NAN;
    let x = Tensor::from_vec(rows, [8, 3]);
    let set = Dataset::new(x, Tensor::ones([8, 1])).unwrap();
    let model = nn::input("x", dims![_, 3]).dense(1);
    let trainer = || Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet().steps_per_call(3);
    let stops = trainer().non_finite_loss(train::NonFiniteLoss::Stop);
    let e = stops.run(&set.batched(1), epochs(1)).unwrap_err();
    assert!(e.to_string().contains("expected a finite loss, got NaN"), "{e}");
    assert!(e.to_string().ends_with("(in epoch 1, batches 1 to 3)"), "{e}");
    assert_eq!(e.state.unwrap().step, 3);
    let names = trainer().non_finite_loss(train::NonFiniteLoss::Ignore).handler(train::StopOnNan);
    let e = names.run(&set.batched(1), epochs(1)).unwrap_err().to_string();
    assert!(e.contains("expected a finite loss, got NaN") && e.contains("dense.kernel"), "{e}");
}

#[test]
fn gradients_that_end_training_are_noticed_before_the_next_step() {
    let mut rows = vec![1.0f32; 24];
    rows[5] = f32::INFINITY;
    let set = Dataset::new(Tensor::from_vec(rows, [8, 3]), Tensor::ones([8, 1])).unwrap();
    let model = nn::input("x", dims![_, 3]).dense(1);
    let optim = optim::sgd(0.1).non_finite(optim::NonFinite::Fail);
    let trainer = Trainer::new(&model, loss::mse, optim).steps_per_call(4).quiet();
    let trainer = trainer.non_finite_loss(train::NonFiniteLoss::Ignore);
    let failed = trainer.run(&set.batched(1), epochs(1)).unwrap_err();
    assert_eq!(failed.state.unwrap().step, 1, "the state before the step");
}

#[test]
fn no_steps_in_a_call_are_an_error() {
    let e = trainer().steps_per_call(0).run(&batches(), epochs(1)).unwrap_err().to_string();
    assert!(e.contains("expected at least 1 step per call, got 0"), "{e}");
    let set = Dataset::new(Tensor::ones([4, 3]), Tensor::ones([4, 1])).unwrap();
    let e = trainer().steps_per_call(2).run(&set.batched(0), epochs(1)).unwrap_err().to_string();
    assert!(e.contains("expected a batch size of at least 1, got 0"), "{e}");
}

#[test]
fn every_program_is_compiled_once() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static TRACES: AtomicUsize = AtomicUsize::new(0);
    let counted = nn::layer("counted", [nn::input("x", dims![_, 3])], |cx, [x]| {
        TRACES.fetch_add(1, Ordering::Relaxed);
        x.slice(1, ..1) * cx.param("w", (), init::zeros())
    });
    let traces = |n| {
        let before = TRACES.load(Ordering::Relaxed);
        let trainer = Trainer::new(&counted, loss::mse, optim::sgd(0.1)).quiet();
        trainer.steps_per_call(4).run(&batches(), epochs(n)).unwrap();
        TRACES.load(Ordering::Relaxed) - before
    };
    assert_eq!(traces(1), traces(5));
}
