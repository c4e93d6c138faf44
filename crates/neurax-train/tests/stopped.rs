//! Runs that stop inside of an epoch: what is compared, saved and resumed.

mod runs;
mod scripted;

use neurax::prelude::*;
use neurax::train::{Checkpoints, EarlyStopping, Status, StepLimit, lowest};
use runs::{assert_same, batches, folder, trainer, unvalidated, validation_set};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A trainer whose validation loss after each step is the next of `scores`.
fn scripted(scores: &'static [f64]) -> Trainer {
    scripted::trainer(scores, |state| state.step)
}

/// Returns 3 batches of one example.
fn three() -> data::Batches {
    Dataset::new(Tensor::zeros([3, 2]), Tensor::zeros([3, 1])).unwrap().batched(1)
}

/// Returns the folders of a directory that begin with `best`, with the steps of their states.
fn best_states(directory: &Path) -> Vec<(String, usize)> {
    let all = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("best"));
    names.sort();
    let step = |name: String| (name.clone(), State::load(directory.join(name)).unwrap().step);
    names.into_iter().map(step).collect()
}

/// Adds a handler that stops the run at an event after 7 steps.
fn stopping(trainer: Trainer, event: Event) -> Trainer {
    trainer.on(event, |s| if s.step == 7 { Flow::Stop } else { Flow::Continue })
}

/// Adds a handler that ends the run after `steps` steps as Ctrl-C does.
fn interrupted(trainer: Trainer, steps: usize) -> Trainer {
    trainer.on(Event::BatchEnded, move |s: &mut State| {
        if s.step < steps {
            return Flow::Continue;
        }
        s.status = Status::Interrupted;
        Flow::Stop
    })
}

#[test]
fn a_part_of_an_epoch_replaces_no_best_state() {
    // The epochs end with 3, 2, 4 and 5; the steps 7 and 8 have the best score.
    let scores = &[9.0, 9.0, 3.0, 9.0, 9.0, 2.0, 0.5, 0.5, 4.0, 9.0, 9.0, 5.0];
    let training = |at: &Path| {
        let points = Checkpoints::new(at.join("points")).every_steps(2).keep(9);
        let points = points.when(Event::EpochHalted).when(Event::Halted);
        let patient = EarlyStopping::new(lowest("loss")).patience(9);
        scripted(scores).handler(points.keep_best(2, lowest("loss"))).handler(patient)
    };
    let at = folder("whole");
    let whole = training(&at).run(&three(), epochs(4)).unwrap();
    let want = best_states(&at.join("points"));
    let named = |name: &str, step| (name.to_string(), step);
    assert_eq!(want, [named("best", 6), named("best-000003", 3), named("best-000006", 6)]);
    for event in [Event::BatchStarted, Event::BatchEnded, Event::Validated] {
        let at = folder("stopped");
        let trainer = stopping(training(&at), event).validate_every(7);
        let stopped = trainer.run(&three(), epochs(4)).unwrap();
        assert_eq!((stopped.step, stopped.history.len()), (7, 3), "{event:?}");
        assert!(stopped.history[2].halted && stopped.history[2].validation["loss"] == 0.5);
        let points = at.join("points");
        assert_eq!(best_states(&points), want, "{event:?}");
        let newest = State::load(points.join("step-000007")).unwrap();
        assert_eq!((newest.history.len(), &newest.status), (2, &stopped.status), "{event:?}");
        let resumed = training(&at).resume_from(&points, &three(), epochs(4)).unwrap();
        assert_eq!(best_states(&points), want, "{event:?}");
        let other = training(&folder("other"));
        let same = other.resume_exactly(stopped.state, &three(), epochs(4)).unwrap();
        assert_same(&whole.state, &resumed.state);
        assert_same(&whole.state, &same.state);
    }
}

#[test]
fn a_run_that_is_stopped_before_the_first_batch_of_an_epoch_is_saved() {
    let at = folder("first");
    let training = || trainer().handler(Checkpoints::new(&at).every_steps(100));
    let stops = |s: &mut State| if s.step == 10 { Flow::Stop } else { Flow::Continue };
    let stopped = training().on(Event::BatchStarted, stops).run(&batches(), epochs(2)).unwrap();
    assert_eq!((stopped.step, stopped.history.len()), (10, 1));
    let mut resumed = training().resume_from(&at, &batches(), epochs(2)).unwrap();
    resumed.state.handlers = train::HandlerMemories::default();
    assert_same(&trainer().run(&batches(), epochs(2)).unwrap().state, &resumed.state);
}

#[test]
fn the_state_of_a_stopped_run_is_resumed_exactly() {
    let whole = trainer().run(&batches(), epochs(3)).unwrap();
    let stopped = trainer().handler(StepLimit::new(13)).run(&batches(), epochs(3)).unwrap();
    assert!(stopped.history.len() == 2 && stopped.history[1].halted);
    let at = folder("memory");
    stopped.state.save(&at).unwrap();
    let resumed = trainer().resume_from(&at, &batches(), epochs(3)).unwrap();
    assert_same(&whole.state, &resumed.state);
    let again = trainer().resume(stopped.state.clone(), &batches(), epochs(1)).unwrap();
    assert_eq!((again.step, again.history.len()), (23, 2), "the epoch begins again");
    let resumed = trainer().resume_exactly(stopped.state, &batches(), epochs(3)).unwrap();
    assert_same(&whole.state, &resumed.state);
}

#[test]
fn an_epoch_that_a_handler_ends_is_compared_also_if_the_run_stops_after_it() {
    let at = folder("ended");
    let short = |s: &mut State| if s.batch == 2 { Flow::StopEpoch } else { Flow::Continue };
    let second = |s: &mut State| if s.epoch == 1 { Flow::Stop } else { Flow::Continue };
    let stopped = scripted(&[9.0, 3.0, 9.0, 1.0])
        .on(Event::BatchEnded, short)
        .on(Event::EpochEnded, second)
        .handler(Checkpoints::new(&at).best(lowest("loss")))
        .run(&three(), epochs(9))
        .unwrap();
    assert!(stopped.step == 4 && stopped.history[1].halted);
    assert_eq!(State::load(at.join("best")).unwrap().step, 4);
    assert_eq!(State::load(at.join("step-000004")).unwrap().history.len(), 2);
}

/// A source that counts its passes.
struct Counted(Dataset, Arc<AtomicUsize>);

impl Source for Counted {
    fn epoch(&self, _: usize) -> data::SourceEpoch<'_, Tensor, Tensor> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Box::new([Ok(data::Batch { x: self.0.x.clone(), y: self.0.y.clone() })].into_iter())
    }
    fn batches(&self) -> Option<usize> {
        Some(1)
    }
}

#[test]
fn a_signal_ends_a_run_without_another_evaluation() {
    let whole = trainer().run(&batches(), epochs(3)).unwrap();
    // Inside of the second epoch, and at its last batch.
    for steps in [13, 20] {
        let (at, passes) = (folder("signal"), Arc::new(AtomicUsize::new(0)));
        let points = || Checkpoints::new(&at).every_steps(100).best(lowest("loss"));
        let counted = Counted(validation_set(), passes.clone());
        let trainer = interrupted(unvalidated().validate(counted), steps);
        let stopped = trainer.handler(points()).run(&batches(), epochs(3)).unwrap();
        // The check of the first batch, and the evaluation of the first epoch.
        assert_eq!((passes.load(Ordering::SeqCst), stopped.step), (2, steps));
        let log = &stopped.history[1];
        assert!(log.halted && log.validation.is_empty());
        assert_eq!(stopped.validation, stopped.history[0].validation);
        assert_eq!(State::load(at.join("best")).unwrap().step, 10);
        let trainer = || unvalidated().validate(&validation_set());
        let resumed = trainer().resume_from(&at, &batches(), epochs(3)).unwrap();
        let memory = trainer().resume_exactly(stopped.state, &batches(), epochs(3)).unwrap();
        for mut state in [resumed.state, memory.state] {
            state.handlers = train::HandlerMemories::default();
            assert_same(&whole.state, &state);
        }
    }
    // Without a validation set, the last batch completes the epoch.
    let stopped = interrupted(unvalidated(), 20).run(&batches(), epochs(3)).unwrap();
    assert!(!stopped.history[1].halted);
}

#[test]
fn the_evaluation_of_a_last_step_is_that_of_the_epoch_unless_a_handler_changes_variables() {
    let passes = Arc::new(AtomicUsize::new(0));
    let train = |trainer: Trainer| {
        passes.store(0, Ordering::SeqCst);
        let trainer = trainer.validate(Counted(validation_set(), passes.clone()));
        let trained = trainer.validate_every(5).run(&batches(), epochs(2)).unwrap();
        (passes.load(Ordering::SeqCst), trained)
    };
    let (n, trained) = train(unvalidated());
    assert_eq!(n, 1 + 4, "the check of the first batch, and those after the steps 5, 10, 15, 20");
    let whole = trainer().run(&batches(), epochs(2)).unwrap();
    assert_eq!(trained.history[1].validation, whole.history[1].validation);
    let same = |s: &mut State| s.vars = s.vars.clone();
    assert_eq!(train(unvalidated().on(Event::BatchEnded, same)).0, 5);
    let zero = |s: &mut State| {
        let kernel = s.vars.params["dense_1"]["kernel"].clone();
        s.vars.set("dense_1.kernel", kernel * 0.0)
    };
    let (n, trained) = train(unvalidated().on(Event::BatchEnded, zero));
    assert_eq!(n, 1 + 4 + 2);
    assert_eq!(trained.history[1].validation, trained.evaluate(&validation_set()).unwrap());
}

#[test]
fn goals_compare_the_scores_after_the_rest_of_accumulated_gradients() {
    let set = Dataset::new(Tensor::ones([10, 2]), Tensor::ones([10, 1])).unwrap();
    let training = || {
        let model = nn::input("x", dims![_, 2]).dense(1);
        let optim = optim::accumulate(4, optim::sgd(0.01));
        let patient = EarlyStopping::new(lowest("loss").every_validation()).patience(9);
        let trainer = Trainer::new(&model, loss::mse, optim).quiet();
        trainer.validate(&set).validate_every(10).handler(patient)
    };
    let data = set.batched(1);
    // The evaluations after the steps 10 and 20 are those before the rest of 2 gradients.
    let mut whole = training().run(&data, epochs(2)).unwrap();
    let last = whole.validation["loss"];
    assert_eq!(whole.state.memory("early_stopping").number("best"), Some(last), "the loss falls");
    for steps in [10, 20] {
        let stopped = interrupted(training(), steps).run(&data, epochs(2)).unwrap();
        let resumed = training().resume_exactly(stopped.state, &data, epochs(2)).unwrap();
        assert_same(&whole.state, &resumed.state);
    }
}

#[test]
fn a_trial_tries_the_data_to_classify() {
    let at = folder("trial");
    let labels = Dataset::new(Tensor::ones([4, 6]), Tensor::full([4], 7)).unwrap();
    let directory = train::RunDirectory::new(&at).classify(&labels, &["no", "yes"]);
    let hidden = nn::input("x", dims![_, 6]).dense(2).softmax();
    let of = |y: &Tensor, _: &Tensor| y.mean(..);
    let trainer = Trainer::new(&hidden, of, optim::sgd(0.1)).quiet().record(directory);
    let e = trainer.fast_dev_run().run(&batches(), epochs(1)).unwrap_err().to_string();
    assert!(e.contains("expected labels") || e.contains("7"), "{e}");
    assert!(!at.exists());
}
