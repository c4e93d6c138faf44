//! Saved trainings: a resumed run equals an undisturbed one bit for bit.

mod runs;

use neurax::prelude::*;
use neurax::train::{Checkpoints, StepLimit, TrainError, every, once};
use runs::{assert_same, batches, folder, trainer};
use std::path::Path;
use std::process::Command;

const CHILD: &str = "NEURAX_TEST_RESUME";

#[test]
fn a_run_that_is_resumed_inside_an_epoch_equals_an_undisturbed_one() {
    if let Ok(at) = std::env::var(CHILD) {
        let resumed = trainer().resume_from(&at, &batches(), epochs(2)).unwrap();
        resumed.state.save(Path::new(&at).with_extension("end")).unwrap();
        return;
    }
    let at = folder("inside");
    let save = at.clone();
    let saved = Event::BatchEnded.when(once(5).batches());
    let whole = trainer().on(saved, move |s| s.save(&save)).run(&batches(), epochs(2)).unwrap();
    let half = State::load(&at).unwrap();
    assert_eq!((half.step, half.epoch, half.batch), (5, 0, 5));
    let resumed = trainer().resume_from(&at, &batches(), epochs(2)).unwrap();
    assert_eq!((resumed.step, resumed.history.len()), (20, 2));
    assert_same(&whole.state, &resumed.state);
    for threads in ["1", "3"] {
        let name = "a_run_that_is_resumed_inside_an_epoch_equals_an_undisturbed_one";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(CHILD, &at)
            .env("NEURAX_THREADS", threads)
            .output()
            .unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
        assert_same(&whole.state, &State::load(at.with_extension("end")).unwrap());
    }
}

#[test]
fn every_batch_is_a_place_to_resume_also_the_last_one_of_an_epoch() {
    let at = folder("every");
    let points = Checkpoints::new(&at).every_steps(1).every_epochs(1).keep(100);
    let whole = trainer().handler(points).run(&batches(), epochs(2)).unwrap();
    for step in [1, 9, 10, 11, 19, 20] {
        let state = State::load(at.join(format!("step-{step:06}"))).unwrap();
        let mut resumed = trainer().resume_exactly(state, &batches(), epochs(2)).unwrap();
        assert_eq!(resumed.step, 20);
        resumed.state.handlers = whole.handlers.clone();
        assert_same(&whole.state, &resumed.state);
    }
}

#[test]
fn an_optimizer_that_accumulates_and_skips_is_resumed_exactly() {
    let opt = || optim::accumulate(3, optim::momentum(0.1, 0.9));
    let opt =
        move || opt().non_finite(optim::NonFinite::Skip).loss_scale(optim::LossScale::dynamic());
    let model = || nn::input("x", dims![_, 6]).dense(1).sigmoid();
    let trainer = || Trainer::new(model(), loss::mse, opt()).quiet();
    let at = folder("accumulate");
    let points = Checkpoints::new(&at).every_steps(4).keep(9);
    let whole = trainer().handler(points).run(&batches(), epochs(1)).unwrap();
    let state = State::load(at.join("step-000004")).unwrap();
    let mut resumed = trainer().resume_exactly(state, &batches(), epochs(1)).unwrap();
    resumed.state.handlers = whole.handlers.clone();
    assert_same(&whole.state, &resumed.state);
}

#[test]
fn a_complete_state_is_returned_and_more_epochs_go_on() {
    let at = folder("complete");
    let done = trainer().run(&batches(), epochs(2)).unwrap();
    done.state.save(&at).unwrap();
    let same = trainer().resume_from(&at, &batches(), epochs(2)).unwrap();
    assert_same(&done.state, &same.state);
    let more = trainer().resume_from(&at, &batches(), epochs(3)).unwrap();
    assert_same(&trainer().run(&batches(), epochs(3)).unwrap().state, &more.state);
}

#[test]
fn a_run_that_a_limit_stopped_goes_on() {
    let at = folder("limit");
    let limited = |n| trainer().handler(StepLimit::new(n)).handler(Checkpoints::new(&at).keep(9));
    let stopped = limited(13).run(&batches(), epochs(2)).unwrap();
    assert_eq!((stopped.step, stopped.status.to_string()), (13, "stopped by step_limit".into()));
    assert!(stopped.history[1].halted);
    let still = limited(13).resume_from(&at, &batches(), epochs(2)).unwrap();
    assert_eq!((still.step, still.history.len()), (13, 1), "no step beyond the limit");
    let mut whole = limited(99).resume_from(&at, &batches(), epochs(2)).unwrap();
    assert_eq!(whole.status, train::Status::Completed);
    whole.state.handlers = train::HandlerMemories::default();
    assert_same(&trainer().run(&batches(), epochs(2)).unwrap().state, &whole.state);
}

fn message(e: Result<Trained, TrainError>) -> String {
    e.unwrap_err().to_string()
}

#[test]
fn states_of_other_trainings_are_errors_that_list_the_differences() {
    let at = folder("others");
    let save = at.clone();
    let saved = Event::BatchEnded.when(once(3).batches());
    trainer().on(saved, move |s| s.save(&save)).run(&batches(), epochs(1)).unwrap();
    let resume = |trainer: Trainer| message(trainer.resume_from(&at, &batches(), epochs(2)));
    let model = nn::input("x", dims![_, 6]).dense(9).relu().dense(1).sigmoid();
    let e = resume(Trainer::new(&model, loss::mse, optim::adam(0.1)).quiet());
    assert!(e.contains("expected the state of a training of the same model"), "{e}");
    assert!(e.contains("expected `params.dense.kernel` to be f32[6, 9], got f32[6, 8]"), "{e}");
    assert!(e.contains("expected no `state.batch_norm.mean`, got one of f32[8]"), "{e}");
    assert!(e.contains("tests/resume.rs"), "{e}");
    let hidden = nn::input("x", dims![_, 6]).dense(8).layer(BatchNorm::new()).tanh();
    let e =
        resume(Trainer::new(hidden.dropout(0.3).dense(1).sigmoid(), loss::mse, optim::adam(0.1)));
    assert!(e.contains("same model: expected the layer `tanh: tanh of [batch_norm]`"), "{e}");
    let hidden = nn::input("x", dims![_, 6]).dense(8).layer(BatchNorm::new()).relu();
    let model = hidden.dropout(0.3).dense(1).sigmoid();
    let e = resume(Trainer::new(&model, loss::mse, optim::momentum(0.1, 0.9)).quiet());
    assert!(e.contains("of the same optimizer: expected the slot `momentum` of rule 0"), "{e}");
    let rate = optim::warmup(4, optim::exponential(0.05, 0.5, 10));
    let e = resume(Trainer::new(&model, loss::mse, optim::adam(rate)).quiet());
    assert!(e.contains("expected the state of a trainer with the same metrics"), "{e}");
    let short = Dataset::new(Tensor::ones([10, 6]), Tensor::ones([10, 1])).unwrap().batched(5);
    let e = message(trainer().resume_from(&at, &short, epochs(2)));
    assert!(e.contains("expected data of 10 batches an epoch, got 2"), "{e}");
    let larger = Dataset::new(Tensor::ones([94, 6]), Tensor::ones([94, 1])).unwrap().batched(10);
    let e = message(trainer().resume_from(&at, &larger, epochs(2)));
    assert!(e.contains("of 5 examples in the first batch of epoch 1, got 10; resume with"), "{e}");
    let e = message(trainer().resume_from(folder("none"), &batches(), epochs(1)));
    assert!(
        e.contains("expected a saved state or checkpoints in") && e.contains("got none"),
        "{e}"
    );
}

#[test]
fn a_damaged_newest_checkpoint_is_replaced_by_the_one_before() {
    let at = folder("damaged");
    let points = || Checkpoints::new(&at).every_steps(2).keep(2);
    let whole = trainer().handler(points()).run(&batches(), epochs(2)).unwrap();
    let newest = at.join("step-000020/tensors.safetensors");
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
    std::fs::create_dir(at.join(".step-000022.1-0.part")).unwrap();
    let resumed = trainer().handler(points()).resume_from(&at, &batches(), epochs(2)).unwrap();
    assert_same(&whole.state, &resumed.state);
    assert_eq!(State::load(at.join("step-000020")).unwrap().step, 20, "written again");
    assert!(!at.join(".step-000022.1-0.part").exists());
    for step in ["step-000018", "step-000020"] {
        std::fs::write(at.join(step).join("state.json"), "").unwrap();
    }
    let e = message(trainer().resume_from(&at, &batches(), epochs(2)));
    assert!(e.contains("step-000020") && e.contains("the file is damaged"), "{e}");
    assert!(e.contains("all 2 are damaged") && e.contains("step-000018"), "{e}");
}

#[test]
fn checkpoints_of_another_run_are_not_mixed_in() {
    let at = folder("mixed");
    let points = || trainer().handler(Checkpoints::new(&at));
    points().run(&batches(), epochs(2)).unwrap();
    let e = message(points().run(&batches(), epochs(2)));
    assert!(e.contains("has a checkpoint of step 10, and this run begins at step 0"), "{e}");
    let again = points().resume_or_run(&at, &batches(), epochs(3)).unwrap();
    assert_eq!((again.step, again.history.len()), (30, 3));
    let fresh = folder("fresh");
    let points = trainer().handler(Checkpoints::new(&fresh));
    assert_eq!(points.resume_or_run(&fresh, &batches(), epochs(1)).unwrap().step, 10);
}

#[test]
fn a_checkpoint_that_cannot_be_written_ends_training_with_the_state() {
    let at = folder("file");
    let (points, file) = (Checkpoints::new(&at).every_steps(3), at.clone());
    let occupies = move |_: &mut State| {
        std::fs::remove_dir(&file)?;
        Ok::<_, Error>(std::fs::write(&file, "no folder")?)
    };
    let second = Event::BatchEnded.when(once(2).batches());
    let trainer_of_points = trainer().on(second, occupies).handler(points);
    let failed = trainer_of_points.run(&batches(), epochs(2)).unwrap_err();
    assert!(failed.to_string().contains("cannot write the folder"), "{failed}");
    let state = failed.state.unwrap();
    assert_eq!((state.step, &state.status), (3, &train::Status::Failed));
    let resumed = trainer().resume_exactly(*state, &batches(), epochs(2)).unwrap();
    assert_same(&trainer().run(&batches(), epochs(2)).unwrap().state, &resumed.state);
}

#[test]
fn an_epoch_that_a_handler_ended_stays_ended_after_a_resume() {
    let at = folder("ended");
    let short = |s: &mut State| if s.batch == 4 { Flow::StopEpoch } else { Flow::Continue };
    let points = || Checkpoints::new(&at).when(Event::BatchEnded.when(every(4).batches())).keep(9);
    let training = || trainer().on(Event::BatchEnded, short);
    let whole = training().handler(points()).run(&batches(), epochs(3)).unwrap();
    assert_eq!((whole.step, whole.history.len()), (12, 3));
    let state = State::load(at.join("step-000004")).unwrap();
    let mut resumed = training().resume_exactly(state, &batches(), epochs(3)).unwrap();
    resumed.state.handlers = whole.handlers.clone();
    assert_same(&whole.state, &resumed.state);
}

#[test]
fn a_leftover_of_a_killed_replacement_ends_no_later_save() {
    let at = folder("leftover");
    let points = || trainer().handler(Checkpoints::new(&at).every_steps(5).keep(1));
    points().run(&batches(), epochs(1)).unwrap();
    let (step, old) = (at.join("step-000010"), at.join(".step-000010.old"));
    std::fs::create_dir(&old).unwrap();
    std::fs::copy(step.join("state.json"), old.join("state.json")).unwrap();
    points().resume_from(&at, &batches(), epochs(2)).unwrap();
    assert!(at.join("step-000020").exists() && !step.exists() && !old.exists());
}

#[test]
fn a_reader_finds_a_state_that_is_being_replaced_and_renames_nothing() {
    let at = folder("reader");
    trainer().run(&batches(), epochs(1)).unwrap().state.save(at.join("state")).unwrap();
    std::fs::rename(at.join("state"), at.join(".state.old")).unwrap();
    assert_eq!(State::load(at.join("state")).unwrap().step, 10);
    assert!(!at.join("state").exists());
}

#[test]
fn a_state_that_is_not_damaged_is_neither_skipped_nor_removed() {
    let at = folder("version");
    let points = || trainer().handler(Checkpoints::new(&at).every_steps(5).keep(1));
    points().run(&batches(), epochs(1)).unwrap();
    let newest = at.join("step-000010/state.json");
    let text = std::fs::read_to_string(&newest).unwrap();
    std::fs::write(&newest, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
    for e in [
        message(points().resume_from(&at, &batches(), epochs(2))),
        message(points().run(&batches(), epochs(2))),
    ] {
        assert!(e.contains("expected version 1 of the format, got 2"), "{e}");
    }
    assert!(newest.exists() && !at.join("failed").exists());
}

#[test]
fn two_runs_do_not_save_in_one_directory_at_a_time() {
    let at = folder("lock");
    let same = at.clone();
    let second = move |_: &mut State| {
        let points = trainer().handler(Checkpoints::new(&same));
        let e = message(points.run(&batches(), epochs(1)));
        assert!(e.contains("another run saves its states in"), "{e}");
    };
    let first = Event::BatchEnded.when(once(3).batches());
    let first = trainer().on(first, second).handler(Checkpoints::new(&at).every_steps(5));
    first.run(&batches(), epochs(1)).unwrap();
    assert!(!at.join("failed").exists());
    let next = trainer().handler(Checkpoints::new(&at));
    assert_eq!(next.resume_from(&at, &batches(), epochs(2)).unwrap().step, 20);
}

#[test]
fn metrics_that_change_places_are_an_error_also_between_epochs() {
    let training = |a: nn::Metric, b: nn::Metric| {
        let model = nn::input("x", dims![_, 6]).dense(1);
        Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet().metric(a).metric(b)
    };
    let trainer = training(metric::mae(), metric::mse());
    let state = trainer.run(&batches(), epochs(1)).unwrap().state;
    let trainer = training(metric::mse(), metric::mae());
    let e = message(trainer.resume_exactly(state, &batches(), epochs(2)));
    assert!(e.contains(r#"expected ["loss", "mse", "mae"], got ["loss", "mae", "mse"]"#), "{e}");
}

#[test]
fn epochs_of_steps_are_resumed_exactly() {
    let at = folder("steps");
    let training = || trainer().steps_per_epoch(7);
    let whole = training().run(&batches(), epochs(3)).unwrap();
    assert_eq!((whole.step, whole.history.len()), (21, 3));
    let points = || Checkpoints::new(&at).every_steps(4);
    let fails = |s: &mut State| match s.step {
        13 => Err(Error::new("power", "gone")),
        _ => Ok(()),
    };
    let first = training().handler(points()).on(Event::BatchEnded, fails);
    first.run(&batches(), epochs(3)).unwrap_err();
    let resumed = training().handler(points()).resume_from(&at, &batches(), epochs(3)).unwrap();
    assert_same(&resumed, &whole);
}

/// Returns a trainer with a handler that counts the batches in its memory.
fn counting() -> Trainer {
    trainer().on(Event::BatchEnded, |state| {
        let memory = state.memory("counter");
        memory.set_number("batches", memory.count("batches") as f64 + 1.0);
    })
}

#[test]
fn every_event_is_one_after_which_a_state_can_be_saved() {
    let whole = counting().validate_every(4).run(&batches(), epochs(2)).unwrap();
    for (event, steps) in [
        (Event::Started, &[0][..]),
        (Event::EpochStarted, &[0, 10]),
        (Event::Validated, &[4, 8, 12, 16, 20]),
        (Event::BatchStarted, &[0, 5, 19]),
        (Event::EpochEnded, &[10, 20]),
    ] {
        let at = folder("events");
        let points = || Checkpoints::new(&at).when(event).keep(99);
        let training = || counting().validate_every(4);
        training().handler(points()).run(&batches(), epochs(2)).unwrap();
        for step in steps {
            let state = State::load(at.join(format!("step-{step:06}"))).unwrap();
            let resumed = training().resume_exactly(state, &batches(), epochs(2)).unwrap();
            assert_same(&whole.state, &resumed.state);
        }
    }
}

#[test]
fn the_best_score_is_known_after_the_directory_was_renamed() {
    let (old, new) = (folder("old"), folder("new"));
    // The training loss falls, so that the first epoch has the highest one.
    let training = |at: &Path| {
        let points = Checkpoints::new(at).keep_best(2, train::highest("loss").of_training());
        trainer().handler(points)
    };
    training(&old).run(&batches(), epochs(3)).unwrap();
    std::fs::create_dir_all(new.parent().unwrap()).unwrap();
    std::fs::rename(&old, &new).unwrap();
    let names = || {
        let all = std::fs::read_dir(&new).unwrap();
        let names = all.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut best: Vec<String> = names.filter(|name| name.starts_with("best")).collect();
        best.sort();
        best
    };
    let before = names();
    let resumed = training(&new).resume_from(&new, &batches(), epochs(6)).unwrap();
    let loss = |state: &State| state.history.last().unwrap().train["loss"];
    let best = State::load(new.join("best")).unwrap();
    let all = resumed.history.iter().map(|log| log.train["loss"]);
    assert_eq!(loss(&best), all.fold(0.0, f64::max));
    assert_eq!((before.len(), names().len()), (3, 3), "{before:?}, {:?}", names());
}
