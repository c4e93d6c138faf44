//! The handlers of the library, events, answers and panics.

mod scripted;

use neurax::data::Batch;
use neurax::prelude::*;
use neurax::train::{
    Checkpoints, CsvLog, EarlyStopping, Handler, JsonLines, ReduceOnPlateau, Status, StopOnNan,
    When, every, highest, lowest,
};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn model() -> Node {
    nn::input("x", dims![_, 2]).dense(1)
}

fn trainer() -> Trainer {
    Trainer::new(model(), loss::mse, optim::sgd(0.1)).quiet()
}

/// Returns `n` batches of 4 examples, and a smaller one.
fn line(n: usize) -> data::Batches {
    let x = key(42).uniform([4 * n + 1, 2]);
    let y = x.matmul(tensor([[2.0], [-1.0]])) + 1.0;
    Dataset::new(x, y).unwrap().batched(4)
}

fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("neurax-handlers-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    let _ = std::fs::remove_file(&path);
    path
}

/// A trainer whose validation loss in each epoch is the next of `scores`.
fn scripted(scores: &'static [f64]) -> Trainer {
    scripted::trainer(scores, |state| state.epoch)
}

fn value(state: &State) -> f64 {
    state.vars.get("constant.value").unwrap().item().unwrap()
}

#[test]
fn early_stopping_counts_epochs_without_a_better_score_and_restores_the_best() {
    let scores = &[5.0, 3.0, 4.0, 2.0, 2.0, 2.5, 2.0, 1.0];
    let patient = EarlyStopping::new(lowest("loss")).patience(3).restore_best();
    let trained = scripted(scores).handler(patient.clone()).run(&line(1), epochs(99)).unwrap();
    assert_eq!(trained.history.len(), 7, "an equal score is not better");
    assert_eq!((value(&trained), trained.history[6].validation["loss"]), (2.0, 2.0));
    assert_eq!(trained.status, Status::Stopped { by: "early_stopping".into() });
    let less = EarlyStopping::new(lowest("loss").min_delta(1.5)).patience(2);
    let trained = scripted(scores).handler(less).run(&line(1), epochs(99)).unwrap();
    assert_eq!(trained.history.len(), 4, "5, 3, and then 4 and 2");
    let wrong = EarlyStopping::new(highest("acuracy"));
    let e = scripted(scores).handler(wrong).run(&line(1), epochs(9)).unwrap_err().to_string();
    assert!(e.contains(r#"expected one of the scores ["loss"], got `acuracy`"#), "{e}");
}

#[test]
fn a_goal_that_nothing_measures_is_an_error_before_the_first_step() {
    let at = path("unknown-goal");
    let goal = || lowest("val_loss");
    let fails = |trainer: Trainer| {
        let e = trainer.run(&line(1), epochs(9)).unwrap_err();
        assert_eq!(e.state.as_ref().unwrap().step, 0, "{e}");
        let e = e.to_string();
        assert!(e.contains("the validation set have no prefix: `loss`"), "{e}");
    };
    fails(scripted(&[1.0]).handler(EarlyStopping::new(goal())));
    fails(scripted(&[1.0]).handler(ReduceOnPlateau::new(goal())));
    fails(scripted(&[1.0]).handler(Checkpoints::new(&at).best(goal())));
}

/// Axon's early stop loses its counts.
#[test]
fn early_stopping_counts_on_after_a_resume() {
    let scores = &[1.0, 2.0, 2.0, 2.0, 2.0, 0.5];
    let at = path("early");
    let training = || {
        let patient = EarlyStopping::new(lowest("loss")).patience(4).restore_best();
        scripted(scores).handler(Checkpoints::new(&at)).handler(patient)
    };
    training().run(&line(1), epochs(3)).unwrap();
    let trained = training().resume_from(&at, &line(1), epochs(99)).unwrap();
    assert_eq!((trained.history.len(), value(&trained)), (5, 1.0));
    let done = training().resume_from(&at, &line(1), epochs(99)).unwrap();
    assert_eq!(done.history.len(), 5, "it stays stopped");
}

#[test]
fn the_best_checkpoint_is_that_of_the_best_epoch() {
    for (goal, best) in [(lowest("loss"), 1.0), (highest("loss"), 4.0)] {
        let at = path("best");
        let scores = &[3.0, 1.0, 4.0, f64::NAN, 2.0];
        let points = Checkpoints::new(&at).keep(1).best(goal);
        let trainer = scripted(scores).non_finite_loss(train::NonFiniteLoss::Ignore);
        trainer.handler(points).run(&line(1), epochs(5)).unwrap();
        assert_eq!(value(&State::load(at.join("best")).unwrap()), best);
        let mut names: Vec<String> = std::fs::read_dir(&at)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["best", "step-000010"]);
    }
}

#[test]
fn the_best_state_is_on_the_disk_before_a_step_that_knows_its_score() {
    let at = path("order");
    std::fs::create_dir(&at).unwrap();
    std::fs::write(at.join("best"), "in the way").unwrap();
    let points = || scripted(&[1.0, 2.0]).handler(Checkpoints::new(&at).best(lowest("loss")));
    points().run(&line(1), epochs(1)).unwrap_err();
    std::fs::remove_file(at.join("best")).unwrap();
    points().resume_or_run(&at, &line(1), epochs(2)).unwrap();
    assert_eq!(value(&State::load(at.join("best")).unwrap()), 1.0);
}

#[test]
fn the_last_checkpoint_holds_the_last_variables_and_not_the_restored_ones() {
    let at = path("restored");
    let patient = EarlyStopping::new(lowest("loss")).patience(9).restore_best();
    let trainer = scripted(&[1.0, 2.0]).handler(patient);
    let trainer = trainer.handler(Checkpoints::new(&at).every_steps(3));
    let trained = trainer.run(&line(1), epochs(2)).unwrap();
    assert_eq!(value(&trained), 1.0);
    assert_eq!(value(&State::load(at.join("step-000004")).unwrap()), 2.0);
}

#[test]
fn logs_of_other_runs_and_other_files_are_not_overwritten() {
    let (json, csv, data) = (path("mine.jsonl"), path("mine.csv"), path("train.csv"));
    let logged = || trainer().handler(JsonLines::new(&json)).handler(CsvLog::new(&csv));
    logged().run(&line(2), epochs(2)).unwrap();
    let texts = || [&json, &csv].map(|path| std::fs::read_to_string(path).unwrap());
    let before = texts();
    let e = logged().run(&line(2), epochs(1)).unwrap_err().to_string();
    assert!(e.contains("expected a new file for a new run"), "{e}");
    logged().fast_dev_run().run(&line(2), epochs(1)).unwrap();
    assert_eq!(texts(), before);
    std::fs::write(&data, "x,y\n1,2\n").unwrap();
    for wrong in [
        trainer().handler(CsvLog::new(&data)).resume_or_run(path("no"), &line(2), epochs(1)),
        trainer().handler(JsonLines::new(&data)).run(&line(2), epochs(1)),
    ] {
        let e = wrong.unwrap_err().to_string();
        assert!(e.contains("expected the log of an earlier run, got `x,y` in line 1"), "{e}");
    }
    assert_eq!(std::fs::read_to_string(&data).unwrap(), "x,y\n1,2\n");
    // A run that was killed before its first checkpoint begins again.
    logged().resume_or_run(path("no"), &line(2), epochs(1)).unwrap();
    assert_eq!(timeless(&json).len(), 1);
}

#[test]
fn all_handlers_are_called_after_an_error_and_filters_may_panic() {
    let calls = Arc::new(Mutex::new(0));
    let count = calls.clone();
    let panics = train::EventFilter::new(|_| panic!("bad luck"));
    let failed = trainer()
        .on(Event::Failed, |_| Err::<(), _>(Error::new("first", "fails, too")))
        .on(Event::Failed, move |_| *count.lock().unwrap() += 1)
        .on(Event::BatchEnded.when(panics), |_| {})
        .run(&line(2), epochs(1))
        .unwrap_err();
    let text = failed.to_string();
    assert!(text.contains("a filter of the handler `a closure` panicked: bad luck"), "{text}");
    assert_eq!(*calls.lock().unwrap(), 1);
}

#[test]
fn a_plateau_reduces_the_rate_with_cooldown_and_a_least_rate() {
    let flat = &[1.0; 12];
    let rates = Arc::new(Mutex::new(vec![]));
    let seen = rates.clone();
    let record = move |s: &mut State| {
        let rate = s.opt.slots[0]["rate"][0].item()?;
        seen.lock().unwrap().push((rate * 1e4).round() / 1e4);
        Ok::<_, Error>(())
    };
    let plateau = ReduceOnPlateau::new(lowest("loss")).factor(0.5).patience(2).cooldown(2);
    let model = nn::layer("constant", [nn::input("x", dims![_, 2])], |cx, [x]| {
        x.slice(1, ..1) * 0.0 + cx.param("value", (), init::ones())
    });
    let set = Dataset::new(Tensor::zeros([4, 2]), Tensor::zeros([4, 1])).unwrap();
    Trainer::new(&model, |y: &Tensor, t: &Tensor| loss::mae(y, t) * 0.0 + 1.0, optim::sgd(0.8))
        .validate(&set)
        .handler(plateau.min_rate(0.3))
        .on(Event::EpochEnded, record)
        .quiet()
        .run(&line(1), epochs(flat.len()))
        .unwrap();
    let want = [0.8, 0.8, 0.4, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3];
    assert_eq!(*rates.lock().unwrap(), want);
}

#[test]
fn a_plateau_works_with_schedules_through_a_chained_scale_and_inside_accumulation() {
    let plateau = || ReduceOnPlateau::new(lowest("loss").min_delta(1e9)).factor(0.5).patience(1);
    let train = |opt: Optim| {
        let trainer = Trainer::new(model(), loss::mse, opt).handler(plateau()).quiet();
        trainer.run(&line(2), epochs(2))
    };
    let scheduled = || optim::sgd(optim::exponential(0.1, 0.5, 10));
    let e = train(scheduled()).unwrap_err().to_string();
    assert!(e.contains("chain `optim::scale(-1.0)` after it"), "{e}");
    let chained = train(optim::chain([scheduled(), optim::scale(-1.0)])).unwrap();
    assert_eq!(chained.opt.slots[1]["rate"][0].item().unwrap(), -0.5);
    let inside = train(optim::accumulate(2, optim::sgd(0.5))).unwrap();
    assert_eq!(inside.opt.slots[0]["0.rate"][0].item().unwrap(), 0.25);
    let bad = trainer().handler(plateau().factor(1.5)).run(&line(2), epochs(1)).unwrap_err();
    assert!(bad.to_string().contains("expected a factor between 0 and 1, got 1.5"), "{bad}");
}

#[test]
fn a_loss_that_becomes_nan_stops_and_names_the_variables() {
    let at = path("nan");
    let x = Tensor::ones([9, 2]);
    let set = Dataset::new(x, Tensor::full([9, 1], 1e30)).unwrap();
    let trainer = Trainer::new(model(), loss::mse, optim::sgd(1e9)).quiet();
    let trainer = trainer.handler(StopOnNan).non_finite_loss(train::NonFiniteLoss::Ignore);
    let points = Checkpoints::new(&at).every_steps(1);
    let failed = trainer.handler(points).run(&set.batched(4), epochs(9)).unwrap_err();
    let e = failed.to_string();
    assert!(e.contains("expected a finite loss, got "), "{e}");
    assert!(e.contains("not finite: params.dense.bias, params.dense.kernel; "), "{e}");
    assert!(e.contains("made an infinity"), "{e}");
    assert_eq!(State::load(at.join("failed")).unwrap().status, Status::Failed);
}

#[test]
fn the_operation_and_the_layer_that_made_the_first_nan_are_named() {
    let x = nn::input("x", dims![_, 2]).dense(3).relu();
    let logs = nn::layer("logs", [&x], |_, [x]| (x - 0.5).log());
    let mut rows = vec![9.0f32; 18];
    rows[12] = -9.0;
    let set = Dataset::new(Tensor::from_vec(rows, [9, 2]), Tensor::ones([9, 1])).unwrap();
    for steps in [1, 2] {
        let trainer = Trainer::new(logs.dense(1), loss::mse, optim::sgd(1e-9)).quiet();
        let trainer = trainer.non_finite_loss(train::NonFiniteLoss::Ignore).handler(StopOnNan);
        let trainer = trainer.steps_per_call(steps);
        let e = trainer.run(&set.batched(3), epochs(1)).unwrap_err().to_string();
        let of = "`log` made NaN (";
        assert!(e.contains(of) && e.contains("layer logs") && e.contains("handlers.rs:"), "{e}");
    }
}

#[test]
fn of_many_variables_that_are_not_finite_the_first_are_named() {
    let set = Dataset::new(Tensor::ones([9, 2]), Tensor::full([9, 1], 1e30)).unwrap();
    let deep = nn::input("x", dims![_, 2]).dense(2).dense(2).dense(1);
    let trainer = Trainer::new(&deep, loss::mse, optim::sgd(1e9)).quiet().handler(StopOnNan);
    let trainer = trainer.non_finite_loss(train::NonFiniteLoss::Ignore);
    let e = trainer.run(&set.batched(4), epochs(9)).unwrap_err().to_string();
    let named = "params.dense.bias, params.dense.kernel, params.dense_1.bias and 3 more variables";
    assert!(e.contains(named), "{e}");
}

/// Returns the lines of a file without times.
fn timeless(path: &PathBuf) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let without = |line: &str| {
        let mut parts: Vec<&str> = line.split(',').collect();
        parts.retain(|p| !p.contains("time") && !p.contains("seconds"));
        parts.join(",")
    };
    text.lines().map(without).collect()
}

#[test]
fn logs_of_a_resumed_run_equal_those_of_an_undisturbed_one() {
    let (at, json, csv) = (path("logs"), path("a.jsonl"), path("a.csv"));
    let logged = |json: &PathBuf, csv: &PathBuf| {
        let lines = JsonLines::new(json).every_steps(1);
        let trainer = trainer().metric(metric::mae()).validate(&four()).validate_every(2);
        trainer.handler(lines).handler(CsvLog::new(csv))
    };
    let (whole_json, whole_csv) = (path("b.jsonl"), path("b.csv"));
    logged(&whole_json, &whole_csv).run(&line(2), epochs(4)).unwrap();
    let points = || Checkpoints::new(&at).every_steps(4);
    let fails = |s: &mut State| match s.step {
        6 => Err(Error::new("power", "gone")),
        _ => Ok(()),
    };
    let first = logged(&json, &csv).handler(points()).on(Event::BatchEnded, fails);
    first.run(&line(2), epochs(4)).unwrap_err();
    let mut cut = std::fs::read(&json).unwrap();
    cut.extend_from_slice(b"{\"event\":\"st");
    std::fs::write(&json, cut).unwrap();
    let rest = logged(&json, &csv).handler(points());
    rest.resume_from(&at, &line(2), epochs(4)).unwrap();
    assert_eq!(timeless(&json), timeless(&whole_json));
    assert_eq!(timeless(&json).len(), 16, "12 steps and 4 epochs");
    let rows = |path: &PathBuf| -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(path).unwrap();
        let fields = |l: &str| {
            let mut fields: Vec<String> = l.split(',').map(String::from).collect();
            fields.remove(6);
            fields
        };
        text.lines().map(fields).collect()
    };
    assert_eq!(rows(&csv), rows(&whole_csv));
    let first = "epoch,step,event,examples,skipped,halted,loss,mae,val loss,val mae";
    assert_eq!(rows(&csv)[0].join(","), first);
    let starts: Vec<String> = rows(&csv)[1..].iter().map(|row| row[..6].join(",")).collect();
    let want = ["0,2,validation,8,,", "0,3,epoch,9,0,false", "1,4,validation,4,,"];
    assert_eq!(starts[..3], want);
    assert_eq!(starts.len(), 6 + 4, "an evaluation after every second of 12 steps, and 4 epochs");
}

/// Returns a validation set.
fn four() -> Dataset<Tensor> {
    Dataset::new(Tensor::ones([4, 2]), Tensor::ones([4, 1])).unwrap()
}

#[test]
fn a_table_of_other_scores_is_not_continued() {
    let (at, csv) = (path("columns"), path("columns.csv"));
    // One value for each class.
    let recall = || metric::multiclass(2).average(metric::Average::None).recall();
    let training = || {
        let classes = nn::input("x", dims![_, 2]).dense(2).softmax();
        let trainer = Trainer::new(&classes, |y: &Tensor, _: &Tensor| y.mean(..), optim::sgd(0.1));
        let of_classes = |out: &Applied, batch: &Batch| {
            (out.y().clone(), batch.y.slice(1, ..1).squeeze(1).gt(0.0).to(I32))
        };
        let trainer = trainer.metric_of(recall(), of_classes).quiet();
        trainer.handler(Checkpoints::new(&at)).handler(CsvLog::new(&csv))
    };
    training().run(&line(2), epochs(1)).unwrap();
    let before = std::fs::read_to_string(&csv).unwrap();
    let more = training().validate(&four());
    let e = more.resume_from(&at, &line(2), epochs(2)).unwrap_err().to_string();
    assert!(e.contains("val recall[1]`, got `epoch,step,event,examples,"), "{e}");
    assert!(e.contains("resume with the metrics and validation sets of the first run"), "{e}");
    assert_eq!(std::fs::read_to_string(&csv).unwrap(), before);
    training().resume_from(&at, &line(2), epochs(2)).unwrap();
    let text = std::fs::read_to_string(&csv).unwrap();
    assert!(text.lines().count() == 3 && text.contains(",seconds,loss,recall[0],recall[1]\n"));
    assert!(!text.contains(",\n"), "no cell is empty: {text}");
}

#[test]
fn halted_epochs_and_runs_have_their_events() {
    use Event::*;
    let record = |stop: Flow| {
        let seen = Arc::new(Mutex::new(vec![]));
        let mut training = trainer().on(BatchEnded.when(every(2).batches()), move |_| stop);
        for event in [Started, EpochStarted, EpochHalted, EpochEnded, Halted, Completed] {
            let seen = seen.clone();
            training = training.on(event, move |_| seen.lock().unwrap().push(event));
        }
        let trained = training.run(&line(2), epochs(2)).unwrap();
        let seen = seen.lock().unwrap().clone();
        (seen, trained.step, trained.history.len(), trained.status.to_string())
    };
    // Three batches an epoch: steps 2 and 4 are each the second of their epoch.
    let epoch = [EpochStarted, EpochHalted, EpochEnded];
    let both = [&[Started][..], &epoch, &epoch, &[Completed]].concat();
    assert_eq!(record(Flow::StopEpoch), (both, 4, 2, "completed".into()));
    let one = [&[Started][..], &epoch, &[Halted, Completed]].concat();
    assert_eq!(record(Flow::Stop), (one, 2, 1, "stopped by a closure".into()));
}

#[test]
fn a_last_batch_that_ends_the_epoch_does_not_halt_it() {
    let last = |s: &mut State| if s.batch == 3 { Flow::StopEpoch } else { Flow::Continue };
    let trained = trainer().on(Event::BatchEnded, last).run(&line(2), epochs(2)).unwrap();
    assert_eq!((trained.step, trained.history[0].halted), (6, false));
}

#[test]
fn an_epoch_that_is_ended_before_its_first_batch_is_logged() {
    let skip = |s: &mut State| if s.epoch == 1 { Flow::StopEpoch } else { Flow::Continue };
    let trained = trainer().on(Event::EpochStarted, skip).run(&line(2), epochs(3)).unwrap();
    assert_eq!((trained.step, trained.history.len()), (6, 3));
    let log = &trained.history[1];
    assert!(log.halted && log.examples == 0 && log.train["loss"].is_nan());
}

#[test]
fn an_epoch_that_is_ended_before_its_last_batch_is_halted() {
    let last = |s: &mut State| if s.batch == 2 { Flow::StopEpoch } else { Flow::Continue };
    let seen = Arc::new(Mutex::new(0));
    let count = seen.clone();
    let trained = trainer()
        .on(Event::BatchStarted, last)
        .on(Event::EpochHalted, move |_| *count.lock().unwrap() += 1)
        .run(&line(2), epochs(2))
        .unwrap();
    assert_eq!((trained.step, trained.history[0].halted, *seen.lock().unwrap()), (4, true, 2));
}

/// A source that counts the batches that were asked for.
struct Counting(Arc<Mutex<usize>>);

impl Source for Counting {
    fn epoch(&self, _: usize) -> data::SourceEpoch<'_, Tensor, Tensor> {
        Box::new((0..3).map(|_| {
            *self.0.lock().unwrap() += 1;
            Ok(Batch { x: Tensor::ones([4, 2]), y: Tensor::ones([4, 1]) })
        }))
    }
    fn batches(&self) -> Option<usize> {
        Some(3)
    }
}

#[test]
fn no_batch_is_asked_for_after_a_stop() {
    let count = Arc::new(Mutex::new(0));
    let trainer = trainer().vars(model().init(key(0), &types![f32[_, 2]]).unwrap());
    let stop = |s: &mut State| if s.batch == 2 { Flow::Stop } else { Flow::Continue };
    let source = Counting(count.clone());
    let trained = trainer.on(Event::BatchEnded, stop).run(&source, epochs(1)).unwrap();
    assert_eq!((*count.lock().unwrap(), trained.history[0].halted), (2, true));
}

#[test]
fn best_variables_that_were_not_kept_are_no_error() {
    let state = scripted(&[1.0, 2.0]).handler(EarlyStopping::new(lowest("loss")).patience(9));
    let state = state.run(&line(1), epochs(1)).unwrap().state;
    let restores = EarlyStopping::new(lowest("loss")).patience(9).restore_best();
    let trainer = scripted(&[1.0, 2.0]).handler(restores);
    let trained = trainer.resume_exactly(state, &line(1), epochs(2)).unwrap();
    assert_eq!(value(&trained), 2.0);
}

#[test]
fn best_variables_are_restored_also_without_the_scores_of_a_new_validation_set() {
    let patient = || EarlyStopping::new(lowest("loss")).patience(9).restore_best();
    let first = scripted(&[1.0, 2.0]).handler(patient()).run(&line(1), epochs(1)).unwrap();
    let set = Dataset::new(Tensor::zeros([4, 2]), Tensor::zeros([4, 1])).unwrap();
    let trainer = scripted(&[1.0, 2.0]).validate_on("night", &set).handler(patient());
    let trained = trainer.resume_exactly(first.state, &line(1), epochs(2)).unwrap();
    assert_eq!(value(&trained), 1.0);
    assert!(trained.validation.is_empty() && trained.history[1].validation["night loss"] == 2.0);
}

#[test]
fn a_score_that_is_not_finite_stops_also_before_the_first_epoch_that_is_compared() {
    let patient = EarlyStopping::new(lowest("loss")).from_epoch(5).check_finite();
    let trainer = scripted(&[1.0, f64::NAN]).non_finite_loss(train::NonFiniteLoss::Ignore);
    let trained = trainer.handler(patient).run(&line(1), epochs(9)).unwrap();
    assert_eq!(trained.history.len(), 2);
}

#[test]
fn validation_after_every_0_steps_is_an_error() {
    let e = trainer().validate_every(0).run(&line(1), epochs(1)).unwrap_err().to_string();
    assert!(e.contains("validate_every: expected an interval of at least 1, got 0"), "{e}");
}

/// A source whose second batch panics.
struct Panicking;

impl Source for Panicking {
    fn epoch(&self, _: usize) -> data::SourceEpoch<'_, Tensor, Tensor> {
        Box::new((0..3).map(|i| {
            assert!(i < 1, "no batch {i}");
            Ok(Batch { x: Tensor::ones([4, 2]), y: Tensor::ones([4, 1]) })
        }))
    }
    fn batches(&self) -> Option<usize> {
        None
    }
}

#[test]
fn panics_of_handlers_and_sources_are_errors_that_hold_the_state() {
    let failed = trainer().run(&Panicking, epochs(1)).unwrap_err();
    assert!(failed.to_string().contains("the source panicked: no batch 1"), "{failed}");
    assert_eq!(failed.state.unwrap().step, 1);
    struct Bad;
    impl Handler for Bad {
        fn name(&self) -> String {
            "bad".into()
        }
        fn events(&self) -> Vec<When> {
            vec![Event::BatchEnded.when(every(2).batches())]
        }
        fn call(&mut self, _: Event, _: &mut State) -> Result<Flow> {
            panic!("out of luck")
        }
    }
    let failed = trainer().handler(Bad).run(&line(2), epochs(1)).unwrap_err();
    let text = failed.to_string();
    assert!(text.contains("the handler `bad` panicked: out of luck"), "{text}");
    assert!(text.ends_with("(in epoch 1, batch 2)"), "{text}");
    assert_eq!(failed.state.unwrap().step, 2);
}

#[test]
fn panics_of_losses_and_metrics_are_errors_that_hold_the_state() {
    let of_four = |y: &Tensor, t: &Tensor| {
        assert!(y.dim(0) == 4, "a batch of {}", y.dim(0));
        loss::mse(y, t)
    };
    let training = || Trainer::new(model(), of_four, optim::sgd(0.1)).quiet();
    let failed = training().run(&line(2), epochs(1)).unwrap_err();
    let text = failed.to_string();
    assert!(text.contains("a function of the training step panicked: a batch of 1"), "{text}");
    assert!(text.ends_with("(in epoch 1, batch 3)"), "{text}");
    let state = failed.state.unwrap();
    let whole = training().run(&line(2).drop_last(), epochs(1)).unwrap();
    let bits = |s: &State| neurax::io::serialize(&(s.vars.clone(), s.key.clone())).unwrap();
    assert!(state.step == 2 && bits(&state) == bits(&whole));
    let other = Dataset::new(Tensor::ones([3, 2]), Tensor::ones([3, 1])).unwrap();
    let failed = training().validate(&other).run(&line(2), epochs(1)).unwrap_err();
    let text = failed.to_string();
    assert!(text.contains("a function of the training panicked: a batch of 3"), "{text}");
    assert_eq!(failed.state.unwrap().step, 0);
}

#[test]
fn a_panic_in_the_result_of_a_metric_is_an_error_that_holds_the_state() {
    struct NoResult;
    impl metric::MetricFn for NoResult {
        fn init(&self) -> Vec<Tensor> {
            vec![tensor(0.0)]
        }
        fn batch(&self, y: &Tensor, _: &Tensor, _: Option<&Tensor>) -> Vec<Tensor> {
            vec![y.sum(..)]
        }
        fn result(&self, _: &[Tensor]) -> Tensor {
            panic!("no result")
        }
    }
    let first = trainer().metric(metric::mae()).run(&line(2), epochs(1)).unwrap();
    let again = trainer().metric(metric::custom("mae", NoResult));
    let failed = again.resume_exactly(first.state, &line(2), epochs(2)).unwrap_err();
    let text = failed.to_string();
    assert!(text.contains("the metric `mae` panicked: no result"), "{text}");
    assert_eq!(failed.state.unwrap().step, 3);
}

#[test]
fn two_handlers_of_one_name_are_an_error() {
    let twice = trainer().handler(StopOnNan).handler(StopOnNan);
    let e = twice.run(&line(1), epochs(1)).unwrap_err().to_string();
    assert!(
        e.contains("expected handlers of different names, got two called `stop_on_nan`"),
        "{e}"
    );
}

#[test]
fn validation_sets_have_names_and_run_inside_epochs() {
    let other = Dataset::new(Tensor::ones([3, 2]), Tensor::ones([3, 1])).unwrap();
    let seen = Arc::new(Mutex::new(vec![]));
    let sink = seen.clone();
    let trained = trainer()
        .metric(metric::mae())
        .validate(&other)
        .validate_on("night", &other)
        .validate_every(2)
        .on(Event::BatchEnded, move |s| sink.lock().unwrap().push(s.validation["night mae"]))
        .run(&line(2), epochs(2))
        .unwrap();
    let names: Vec<&str> = trained.validation.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["loss", "mae", "night loss", "night mae"]);
    let seen = seen.lock().unwrap().clone();
    assert!(seen[0].is_nan() && seen[1] == seen[2] && seen[3] != seen[2], "{seen:?}");
    assert_eq!(trained.history[1].validation["night mae"], seen[5], "step 6 is the last one");
}

#[test]
fn a_trial_saves_no_state_and_starts_from_none() {
    let at = path("trial");
    let training = || trainer().handler(Checkpoints::new(&at).every_time(Duration::ZERO));
    let trial = training().fast_dev_run().resume_or_run(&at, &line(2), epochs(9)).unwrap();
    assert_eq!((trial.step, at.exists()), (1, false));
    training().resume_or_run(&at, &line(2), epochs(1)).unwrap();
    let steps = [1, 2, 3].map(|step| at.join(format!("step-00000{step}")).exists());
    assert_eq!(steps, [true; 3], "after every step");
    let trial = training().fast_dev_run().resume_from(&at, &line(2), epochs(9)).unwrap();
    assert_eq!((trial.step, trial.history.len()), (1, 1));
}
