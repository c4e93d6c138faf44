//! Ctrl-C during training, by a second process that gets the signal.
#![cfg(unix)]

use neurax::prelude::*;
use neurax::train::{Checkpoints, Interrupt, Status, TimeLimit, once};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const CHILD: &str = "NEURAX_TEST_INTERRUPT";
/// The file that a child creates when it trains.
const TRAINS: &str = "trains";

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

fn press_ctrl_c(child: &Child) {
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
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
