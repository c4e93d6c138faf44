//! Ctrl-C and SIGTERM during training, by a second process that gets the signal.
#![cfg(unix)]

use neurax::prelude::*;
use neurax::train::{Checkpoints, Interrupt, RunDirectory, RunRecord, Status, TimeLimit, once};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const CHILD: &str = "NEURAX_TEST_INTERRUPT";
/// The file that a child creates when it trains.
const TRAINS: &str = "trains";
/// The file that a child creates at its last step.
const ENDS: &str = "ends";
/// The file that says to a child that a signal was sent.
const SENT: &str = "sent";

/// Trains without an end in `directory`; step 5 waits for signals if the directory says so.
fn train_without_end(directory: &Path) -> ! {
    let set = Dataset::new(Tensor::ones([8, 2]), Tensor::ones([8, 1])).unwrap();
    let (trains, hangs) = (directory.join(TRAINS), directory.ends_with("hangs"));
    let announce = move |_: &mut State| {
        std::fs::write(&trains, "").unwrap();
        if hangs {
            std::thread::sleep(Duration::from_secs(300));
        }
    };
    let model = nn::input("x", dims![_, 2]).dense(1);
    let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
    let trained = trainer
        .on(Event::BatchEnded.when(once(5).batches()), announce)
        .handler(Interrupt)
        // The test may have ended without a signal.
        .handler(TimeLimit::new(Duration::from_secs(300)))
        .handler(Checkpoints::new(directory.join("points")).keep(1))
        .run(&set.batched(4), epochs(usize::MAX))
        .unwrap();
    std::process::exit(trained.status.exit_code())
}

/// Trains until a call of the compiled step fails, which loses the state, and waits for a signal.
fn fail_and_wait(directory: &Path) -> ! {
    let set = Dataset::new(Tensor::ones([8, 2]), Tensor::ones([8, 1])).unwrap();
    let calls = AtomicUsize::new(0);
    let breaks = Arc::new(move || match calls.fetch_add(1, Ordering::SeqCst) {
        2 => Err(Error::new("device", "broken")),
        _ => Ok(()),
    });
    let of = move |y: &Tensor, t: &Tensor| {
        let breaks = breaks.clone();
        loss::mse(&io_call(move |_: Tensor| breaks(), y.clone()), t)
    };
    let model = nn::input("x", dims![_, 2]).dense(1);
    let trainer = Trainer::new(&model, of, optim::sgd(0.1)).quiet().handler(Interrupt);
    let failed = trainer.run(&set.batched(4), epochs(9)).unwrap_err();
    assert!(failed.state.is_none() && failed.to_string().contains("broken"), "{failed}");
    std::fs::write(directory.join(TRAINS), "").unwrap();
    std::thread::sleep(Duration::from_secs(300));
    std::process::exit(0)
}

/// Says that the program waits for a signal, and waits for the file that says that it was sent.
fn wait_for_signal(directory: &Path) {
    std::fs::write(directory.join(TRAINS), "").unwrap();
    for _ in 0..30_000 {
        if directory.join(SENT).exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Records a training without an end, which has no handler of signals but that of the record.
fn record_without_end(directory: &Path) -> ! {
    let set = Dataset::new(Tensor::ones([8, 2]), Tensor::ones([8, 1])).unwrap();
    let trains = directory.join(TRAINS);
    let model = nn::input("x", dims![_, 2]).dense(1);
    let trained = Trainer::new(&model, loss::mse, optim::sgd(0.1))
        .on(Event::BatchEnded.when(once(5).batches()), move |_: &mut State| {
            std::fs::write(&trains, "").unwrap();
        })
        .handler(TimeLimit::new(Duration::from_secs(300)))
        .record(RunDirectory::new(directory.join("run")))
        .quiet()
        .run(&set.batched(4), epochs(usize::MAX))
        .unwrap();
    std::process::exit(trained.status.exit_code())
}

/// Trains for one epoch, and waits for a signal in the last evaluation or behind it.
fn train_to_the_end(directory: &Path) -> ! {
    let set = Dataset::new(Tensor::ones([8, 2]), Tensor::ones([8, 1])).unwrap();
    let (trained, in_validation) = (directory.join(ENDS), directory.ends_with("validation"));
    let (validated, completed) = (directory.to_owned(), directory.to_owned());
    let slow = set.stream().map(move |example| {
        if validated.join(ENDS).exists() && !validated.join(TRAINS).exists() {
            wait_for_signal(&validated);
        }
        example
    });
    let model = nn::input("x", dims![_, 2]).dense(1);
    let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
    let trainer = if in_validation { trainer.validate(slow.batch(2)) } else { trainer };
    let trained = trainer
        .on(Event::BatchEnded.when(once(2).batches()), move |_: &mut State| {
            std::fs::write(&trained, "").unwrap();
        })
        .on(Event::Completed, move |_: &mut State| {
            if !completed.join(TRAINS).exists() {
                wait_for_signal(&completed);
            }
        })
        .handler(Interrupt)
        .handler(Checkpoints::new(directory.join("points")).keep(1))
        .run(&set.batched(4), epochs(1))
        .unwrap();
    std::process::exit(trained.status.exit_code())
}

/// Trains on folds, and waits for a signal in the first training or between two.
fn train_on_folds(directory: &Path) -> ! {
    let set = Dataset::new(Tensor::ones([8, 2]), Tensor::ones([8, 1])).unwrap();
    let model = nn::input("x", dims![_, 2]).dense(1);
    let is_between = directory.ends_with("between");
    let mut trainings = 0;
    let scores = train::k_fold(&set, 4, key(0), |_, split| {
        trainings += 1;
        let at = directory.to_owned();
        if is_between && trainings == 2 {
            wait_for_signal(&at);
        }
        let waits = move |_: &mut State| {
            if !is_between {
                wait_for_signal(&at);
            }
        };
        let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet().handler(Interrupt);
        let trainer = trainer.on(Event::EpochEnded, waits).validate(&split.test);
        Ok(trainer.run(&split.train.batched(4), epochs(1))?.validation.clone())
    });
    let e = scores.unwrap_err().to_string();
    assert!(e.contains("expected 4 folds, got a signal such as Ctrl-C in fold 1"), "{e}");
    std::process::exit(trainings)
}

/// Trains in two threads, of which one ends after its first step and the other one never; a third
/// run that fails before its first step does not count.
fn train_in_threads(directory: &Path) -> ! {
    let set = Dataset::new(Tensor::ones([8, 2]), Tensor::ones([8, 1])).unwrap();
    let data = &set.batched(4);
    let model = nn::input("x", dims![_, 2]).dense(1);
    let trainer = || Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet().handler(Interrupt);
    let status = std::thread::scope(|scope| {
        let long = scope.spawn(|| {
            let (trains, waits) = (directory.to_owned(), directory.to_owned());
            let trainer = trainer()
                .on(Event::BatchEnded.when(once(1).batches()), move |_: &mut State| {
                    std::fs::write(trains.join("first step"), "").unwrap();
                })
                .on(Event::BatchEnded, move |_: &mut State| {
                    // The other run has ended, and waits no more than the test.
                    if waits.join(ENDS).exists() && !waits.join(TRAINS).exists() {
                        wait_for_signal(&waits);
                    }
                });
            let trainer = trainer.handler(TimeLimit::new(Duration::from_secs(300)));
            trainer.run(data, epochs(usize::MAX)).unwrap().state.status
        });
        while !directory.join("first step").exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        trainer().run(data, epochs(1)).unwrap();
        let wrong = Dataset::new(Tensor::ones([8, 3]), Tensor::ones([8, 1])).unwrap();
        trainer().validate(&wrong).run(data, epochs(1)).unwrap_err();
        std::fs::write(directory.join(ENDS), "").unwrap();
        long.join().unwrap()
    });
    std::process::exit(status.exit_code())
}

/// Starts this test in another process, and waits until it trains.
fn start(test: &str, directory: &Path) -> Child {
    let _ = std::fs::remove_dir_all(directory);
    std::fs::create_dir_all(directory).unwrap();
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program).args(["--exact", test]).env(CHILD, directory).spawn();
    while !directory.join(TRAINS).exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.unwrap()
}

fn send(signal: &str, child: &Child) {
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

fn press_ctrl_c(child: &Child) {
    send("-INT", child);
}

/// Starts a test in another process, presses Ctrl-C when it waits, and returns how it ended.
fn interrupted(test: &str, directory: &Path) -> std::process::ExitStatus {
    let mut child = start(test, directory);
    press_ctrl_c(&child);
    std::fs::write(directory.join(SENT), "").unwrap();
    child.wait().unwrap()
}

fn directory(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("neurax-interrupt-{}", std::process::id())).join(name)
}

#[test]
fn ctrl_c_saves_the_state_and_ends_with_130() {
    if let Some(at) = std::env::var_os(CHILD) {
        train_without_end(Path::new(&at));
    }
    let at = directory("ends");
    let mut child = start("ctrl_c_saves_the_state_and_ends_with_130", &at);
    press_ctrl_c(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let newest = std::fs::read_dir(at.join("points")).unwrap().next().unwrap().unwrap();
    let state = State::load(newest.path()).unwrap();
    assert_eq!(state.status, Status::Interrupted);
    assert_eq!(newest.file_name().into_string().unwrap(), format!("step-{:06}", state.step));
}

#[test]
fn ctrl_c_works_as_usual_after_a_run_whose_state_is_lost() {
    use std::os::unix::process::ExitStatusExt;
    if let Some(at) = std::env::var_os(CHILD) {
        fail_and_wait(Path::new(&at));
    }
    let test = "ctrl_c_works_as_usual_after_a_run_whose_state_is_lost";
    let mut child = start(test, &directory("lost"));
    press_ctrl_c(&child);
    // SIGINT ends the program, which does not sleep on.
    assert_eq!(child.wait().unwrap().signal(), Some(2));
}

#[test]
fn a_second_ctrl_c_ends_a_program_that_hangs() {
    if let Some(at) = std::env::var_os(CHILD) {
        train_without_end(Path::new(&at));
    }
    let mut child = start("a_second_ctrl_c_ends_a_program_that_hangs", &directory("hangs"));
    // The first one only sets a flag; repeated ones may be merged by the system.
    while child.try_wait().unwrap().is_none() {
        press_ctrl_c(&child);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn sigterm_saves_the_state_and_ends_with_143() {
    if let Some(at) = std::env::var_os(CHILD) {
        train_without_end(Path::new(&at));
    }
    let at = directory("terminated");
    let mut child = start("sigterm_saves_the_state_and_ends_with_143", &at);
    send("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let newest = std::fs::read_dir(at.join("points")).unwrap().next().unwrap().unwrap();
    assert_eq!(State::load(newest.path()).unwrap().status, Status::Terminated);
}

#[test]
fn ctrl_c_in_the_last_evaluation_interrupts_the_run() {
    if let Some(at) = std::env::var_os(CHILD) {
        train_to_the_end(Path::new(&at));
    }
    let at = directory("validation");
    let ended = interrupted("ctrl_c_in_the_last_evaluation_interrupts_the_run", &at);
    assert_eq!(ended.code(), Some(130));
    let state = State::load(at.join("points").join("step-000002")).unwrap();
    assert_eq!((state.status, state.history.len()), (Status::Interrupted, 1));
    // The evaluation ended after its first batch, and is done by the resumed run.
    assert!(state.history[0].halted && state.history[0].validation.is_empty());
    let set = Dataset::new(Tensor::ones([8, 2]), Tensor::ones([8, 1])).unwrap();
    let model = nn::input("x", dims![_, 2]).dense(1);
    let trainer = || Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet().validate(&set);
    let resumed = trainer().resume_from(at.join("points"), &set.batched(4), epochs(1)).unwrap();
    let whole = trainer().run(&set.batched(4), epochs(1)).unwrap();
    assert_eq!(resumed.history[0].train, whole.history[0].train);
    assert_eq!((resumed.step, &resumed.validation), (2, &whole.validation));
}

#[test]
fn ctrl_c_after_the_last_step_is_the_exit_code() {
    if let Some(at) = std::env::var_os(CHILD) {
        train_to_the_end(Path::new(&at));
    }
    let at = directory("completed");
    let ended = interrupted("ctrl_c_after_the_last_step_is_the_exit_code", &at);
    assert_eq!(ended.code(), Some(130));
}

#[test]
fn ctrl_c_in_a_fold_ends_a_cross_validation() {
    if let Some(at) = std::env::var_os(CHILD) {
        train_on_folds(Path::new(&at));
    }
    let ended = interrupted("ctrl_c_in_a_fold_ends_a_cross_validation", &directory("fold"));
    assert_eq!(ended.code(), Some(1), "one training");
}

#[test]
fn ctrl_c_between_two_folds_works_as_usual() {
    use std::os::unix::process::ExitStatusExt;
    if let Some(at) = std::env::var_os(CHILD) {
        train_on_folds(Path::new(&at));
    }
    let ended = interrupted("ctrl_c_between_two_folds_works_as_usual", &directory("between"));
    assert_eq!(ended.signal(), Some(2));
}

#[test]
fn a_recorded_run_stops_at_ctrl_c_without_another_handler() {
    if let Some(at) = std::env::var_os(CHILD) {
        record_without_end(Path::new(&at));
    }
    let at = directory("recorded");
    let ended = interrupted("a_recorded_run_stops_at_ctrl_c_without_another_handler", &at);
    assert_eq!(ended.code(), Some(130));
    let record = RunRecord::read(at.join("run")).unwrap().unwrap();
    assert_eq!(record.status, Status::Interrupted);
}

#[test]
fn ctrl_c_stops_a_run_after_another_one_in_a_thread_has_ended() {
    if let Some(at) = std::env::var_os(CHILD) {
        train_in_threads(Path::new(&at));
    }
    let test = "ctrl_c_stops_a_run_after_another_one_in_a_thread_has_ended";
    assert_eq!(interrupted(test, &directory("threads")).code(), Some(130));
}
