//! Evaluations inside of epochs, the handlers that compare them, and logs of scores and rates.

mod scripted;

use neurax::prelude::*;
use neurax::train::{
    Checkpoints, EarlyStopping, JsonLines, LineKind, ReduceOnPlateau, RunFiles, Status,
    WatchdogFile, lowest,
};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn path(name: &str) -> PathBuf {
    let path =
        std::env::temp_dir().join(format!("neurax-evaluations-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    let _ = std::fs::remove_file(&path);
    path
}

fn model() -> Node {
    nn::input("x", dims![_, 2]).dense(1)
}

/// Returns `n` batches of one example.
fn batches(n: usize) -> data::Batches {
    Dataset::new(Tensor::zeros([n, 2]), Tensor::zeros([n, 1])).unwrap().batched(1)
}

/// A trainer whose validation loss after each step is the next of `scores`.
fn scripted(scores: &'static [f64]) -> Trainer {
    scripted::trainer(scores, |state| state.step).validate_every(2)
}

/// A rate that falls by an eighth of 1 in each step.
fn falling() -> optim::Schedule {
    optim::Schedule::new(|step| 0.5 - step * 0.125)
}

#[test]
fn evaluations_have_an_event_before_that_of_their_batch() {
    let seen = Arc::new(Mutex::new(vec![]));
    let note = |what: &'static str| {
        let seen = seen.clone();
        move |s: &mut State| seen.lock().unwrap().push((what, s.step, s.validation.is_empty()))
    };
    let set = Dataset::new(Tensor::ones([4, 2]), Tensor::ones([4, 1])).unwrap();
    let trainer = || Trainer::new(model(), loss::mse, optim::sgd(0.1)).quiet().validate_every(2);
    trainer()
        .validate(&set)
        .steps_per_call(8)
        .on(Event::Validated, note("validated"))
        .on(Event::BatchEnded, note("batch"))
        .on(Event::EpochEnded, note("epoch"))
        .run(&batches(3), epochs(1))
        .unwrap();
    let want = [("validated", 2, false), ("batch", 2, false), ("batch", 3, false)];
    let found = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(found[..3], want);
    assert_eq!(found[3..], [("epoch", 3, false)]);
    trainer().on(Event::Validated, note("none")).run(&batches(4), epochs(1)).unwrap();
    assert!(seen.lock().unwrap().is_empty(), "there is no validation set");
}

#[test]
fn early_stopping_and_best_checkpoints_compare_evaluations_inside_of_an_epoch() {
    let at = path("best");
    // The evaluations are those after the steps 2, 4, .., and they are not better after step 4.
    let scores = &[9.0, 5.0, 0.1, 3.0, 9.0, 4.0, 9.0, 3.5, 9.0, 1.0];
    let goal = || lowest("loss").every_validation();
    let trained = scripted(scores)
        .handler(EarlyStopping::new(goal()).patience(2))
        .handler(Checkpoints::new(&at).best(goal()))
        .run(&batches(100), epochs(1))
        .unwrap();
    assert_eq!(trained.step, 8);
    assert_eq!(trained.status, Status::Stopped { by: "early_stopping".into() });
    let best = State::load(at.join("best")).unwrap();
    assert_eq!((best.step, best.validation["loss"]), (4, 3.0));
}

#[test]
fn the_states_of_the_best_scores_are_kept_also_after_a_resume() {
    let at = path("ranked");
    let scores = &[9.0, 5.0, 9.0, 3.0, 9.0, 3.0, 9.0, 4.0, 9.0, 8.0, 9.0, 1.0];
    let points = || Checkpoints::new(&at).keep_best(2, lowest("loss").every_validation());
    let names = || {
        let all = std::fs::read_dir(&at).unwrap();
        let mut names: Vec<String> =
            all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.starts_with("best"));
        names.sort();
        names
    };
    let data = batches(5);
    scripted(scores).handler(points().every_steps(5)).run(&data, epochs(1)).unwrap();
    assert_eq!(names(), ["best", "best-000002", "best-000004"]);
    scripted(scores).handler(points()).resume_from(&at, &data, epochs(2)).unwrap();
    assert_eq!(names(), ["best", "best-000004", "best-000006"], "of 3, 3 and 4, the first ones");
    assert_eq!(State::load(at.join("best")).unwrap().step, 4);
}

#[test]
fn the_evaluation_of_an_epoch_is_no_second_one_of_its_last_step() {
    let scores = &[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    let patient = |n| EarlyStopping::new(lowest("loss").every_validation()).patience(n);
    // The epochs of 4 batches end with the evaluations after the steps 4, 8, ..
    let trained = scripted(scores).handler(patient(4)).run(&batches(4), epochs(9)).unwrap();
    assert_eq!(trained.step, 10, "the first evaluation, and four that are not better");
    // Those of 3 batches have one after step 2 and one at the end, then after the steps 4 and 6.
    let trained = scripted(scores).handler(patient(3)).run(&batches(3), epochs(9)).unwrap();
    assert_eq!(trained.step, 6);
}

#[test]
fn a_plateau_of_evaluations_reduces_the_rate_inside_of_an_epoch() {
    let goal = lowest("loss").every_validation();
    let plateau = ReduceOnPlateau::new(goal).factor(0.5).patience(2);
    let data = batches(7);
    // The loss of zeros is 0 from the first step on.
    let trained = Trainer::new(model(), loss::mse, optim::sgd(0.5))
        .validate(&data)
        .validate_every(2)
        .handler(plateau)
        .quiet()
        .run(&data, epochs(1))
        .unwrap();
    // The evaluations after the steps 4 and 6 are not better; that of the epoch is the next one.
    assert_eq!(trained.learning_rate().unwrap(), Some(0.25));
}

#[test]
fn two_handlers_of_a_kind_have_names_of_their_directories_or_given_ones() {
    let (last, best) = (path("last"), path("other"));
    let by_loss = EarlyStopping::new(lowest("loss")).patience(9);
    let in_training = EarlyStopping::new(lowest("loss").of_training()).patience(9);
    let both = |second: EarlyStopping| {
        scripted(&[2.0, 1.0, 3.0, 4.0])
            .handler(by_loss.clone())
            .handler(second)
            .handler(Checkpoints::new(&last).keep(1))
            .handler(Checkpoints::new(&best).every_steps(1).best(lowest("loss")))
            .run(&batches(2), epochs(2))
    };
    let e = both(in_training.clone()).unwrap_err().to_string();
    assert!(e.contains("got two called `early_stopping`; "), "{e}");
    let trained = both(in_training.named("loss in training")).unwrap();
    assert!(trained.handlers.get("loss in training").is_some());
    assert!(last.join("step-000004").exists() && best.join("step-000003").exists());
    assert_eq!(State::load(best.join("best")).unwrap().step, 2);
    let twice = scripted(&[1.0]).handler(Checkpoints::new("a/b")).handler(Checkpoints::new("c/b"));
    let e = twice.run(&batches(1), epochs(1)).unwrap_err().to_string();
    assert!(e.contains("got two called `checkpoints b`; "), "{e}");
}

#[test]
fn a_run_that_is_stopped_before_an_epoch_is_saved_there() {
    let at = path("before");
    let trainer = || {
        let points = Checkpoints::new(&at).every_steps(100);
        Trainer::new(model(), loss::mse, optim::sgd(0.1)).handler(points).quiet()
    };
    let second = Event::EpochStarted.when(train::once(2).epochs());
    let stopped = trainer().on(second, |_| Flow::Stop).run(&batches(3), epochs(5)).unwrap();
    assert_eq!((stopped.step, stopped.history.len()), (3, 1));
    let saved = State::load(at.join("step-000003")).unwrap();
    assert_eq!(saved.status, stopped.status);
    let resumed = trainer().resume_from(&at, &batches(3), epochs(2)).unwrap();
    assert_eq!((resumed.step, resumed.history.len()), (6, 2));
}

#[test]
fn the_scores_of_evaluations_are_in_the_log() {
    let at = path("log");
    std::fs::create_dir_all(&at).unwrap();
    let lines = JsonLines::new(at.join("metrics.jsonl")).every_steps(1);
    scripted(&[9.0, 5.0, 7.0, 3.0]).handler(lines).run(&batches(4), epochs(1)).unwrap();
    let lines = RunFiles::read(&at).lines;
    let steps: Vec<(usize, Option<Option<f64>>)> = lines
        .iter()
        .filter(|line| line.event == LineKind::Step)
        .map(|line| (line.step, line.validated.get("loss").copied()))
        .collect();
    assert_eq!(steps, [(1, None), (2, Some(Some(5.0))), (3, None), (4, Some(Some(3.0)))]);
    assert!(lines.last().unwrap().validated.is_empty(), "the epoch has them in its fields");
}

#[test]
fn the_logged_rate_is_that_of_the_inner_steps_of_an_accumulation() {
    let at = path("rate");
    std::fs::create_dir_all(&at).unwrap();
    let optim = optim::accumulate(2, optim::adam(falling()));
    // A schedule that is given twice changes nothing.
    let lines = JsonLines::new(at.join("metrics.jsonl")).every_steps(1).rate(falling());
    let trainer = Trainer::new(model(), loss::mse, optim).quiet().handler(lines);
    let trained = trainer.run(&batches(6), epochs(1)).unwrap();
    let lines = RunFiles::read(&at).lines;
    let rates: Vec<Option<f64>> = lines.iter().map(|line| line.rate).collect();
    assert_eq!(rates, [0.5, 0.5, 0.5, 0.375, 0.375, 0.25, 0.25].map(Some));
    assert_eq!(trained.learning_rate().unwrap(), Some(0.25));
}

#[test]
fn the_rate_of_a_custom_training_is_that_of_a_given_schedule() {
    let at = path("custom");
    std::fs::create_dir_all(&at).unwrap();
    let step = |w: Tensor, _: &data::Batch, _: Key| (w.clone(), [w]);
    let custom =
        || Trainer::custom(train::CustomTraining::new(tensor(1.0), ["loss"], step)).quiet();
    let lines = JsonLines::new(at.join("metrics.jsonl")).every_steps(1).rate(falling());
    custom().handler(lines).run(&batches(2), epochs(1)).unwrap();
    let rates: Vec<Option<f64>> = RunFiles::read(&at).lines.iter().map(|line| line.rate).collect();
    assert_eq!(rates, [0.5, 0.375, 0.375].map(Some));
    let plateau = ReduceOnPlateau::new(lowest("loss"));
    let e = custom().handler(plateau).run(&batches(2), epochs(1)).unwrap_err().to_string();
    assert!(e.contains("those of a custom training are in its step"), "{e}");
}

#[test]
fn a_watchdog_file_is_written_while_a_set_is_evaluated_and_not_in_a_trial() {
    let at = path("watchdog");
    let watched = || scripted(&[1.0; 4]).handler(WatchdogFile::new(&at).interval(Duration::ZERO));
    watched().fast_dev_run().run(&batches(4), epochs(1)).unwrap();
    assert!(!at.exists());
    let (file, removed) = (at.clone(), at.clone());
    let examples = data::Stream::range(0..3).try_map(move |_| {
        // The file was removed after the first batch, and the batch that was done wrote it again.
        let exists = removed.exists();
        std::fs::remove_file(&removed).or_else(|e| if exists { Err(e) } else { Ok(()) })?;
        let x = if exists { Tensor::ones([2]) } else { Tensor::zeros([2]) };
        Ok((x, Tensor::zeros([1])))
    });
    let inputs = |out: &Applied, batch: &data::Batch| batch.x.mean(..) + out.y().mean(..) * 0.0;
    let trained = Trainer::new(model(), loss::mse, optim::sgd(0.0))
        .measure("inputs", inputs)
        .validate(examples.batch(1))
        .handler(WatchdogFile::new(&at).interval(Duration::ZERO))
        .quiet()
        .run(&batches(1), epochs(1))
        .unwrap();
    assert_eq!(trained.validation["inputs"], 1.0, "there was a file before each batch");
    assert!(file.exists());
}

/// Axon's validation does not get the options of the training.
#[test]
fn a_validation_runs_with_the_checks_of_the_training() {
    const CHILD: &str = "NEURAX_TEST_CHECKED_VALIDATION";
    let name = "a_validation_runs_with_the_checks_of_the_training";
    if std::env::var_os(CHILD).is_none() {
        // The check holds for a process, which other tests share.
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let child = child.args(["--exact", name]).env(CHILD, "1").output().unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        return;
    }
    debug::nans(true);
    let root = nn::layer("root", [nn::input("x", dims![_, 2])], |_, [x]| x.sqrt());
    let set = |x: f32| Dataset::new(Tensor::full([4, 2], x), Tensor::ones([4, 1])).unwrap();
    let trainer = Trainer::new(root.dense(1), loss::mse, optim::sgd(0.1)).validate(&set(-1.0));
    let e = trainer.quiet().run(&set(1.0).batched(4), epochs(1)).unwrap_err().to_string();
    assert!(e.contains("in layer root") && e.contains("validation set, after epoch 1"), "{e}");
}
