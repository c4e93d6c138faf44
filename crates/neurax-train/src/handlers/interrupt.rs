//! [`Interrupt`]: Ctrl-C and SIGTERM during training.
//!
//! Signals are a global resource of a process, so that their handlers are installed once. Two
//! flags decide what Ctrl-C does, and SIGTERM does the same:
//!
//! | state | `idle` | `pressed` | Ctrl-C |
//! |---|---|---|---|
//! | no training | true | false | ends the program, as without this module |
//! | training | false | false | sets `pressed`, which the next event of each run reads |
//! | after the first one | false | true | ends the program with exit code 130 |
//!
//! Several runs may train in one process, in threads or inside of a handler: `idle` is false until
//! the last of them ends.
//!
//! # Invariants
//!
//! - No signal is lost: one that comes before `idle` is set again is in `pressed`, which is read
//!   afterwards, and one that comes later ends the program.
//! - `pressed` stays set until a run starts while no other one trains, so that the folds of a
//!   cross-validation end, and a signal stops all runs of the process.

use crate::{Event, Flow, Handler, State, Status, When};
use neurax_tensor::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A handler that stops training after the step in which the user presses Ctrl-C, so that
/// [`Checkpoints`](crate::Checkpoints) save the state, the files of logs are complete, and `run`
/// returns. An evaluation after an epoch ends with its batch, without scores, and is done by the
/// resumed run; one inside of an epoch is completed. SIGTERM does the same: supervisors and batch
/// systems such as Slurm send it before they kill a program. A second signal ends the program
/// immediately. Outside of training, signals work as usual.
///
/// The status of the result is [`Status::Interrupted`] or [`Status::Terminated`], also if the
/// signal came after the last step, during the last evaluation or
/// [`RunDirectory::classify`](crate::RunDirectory::classify). A program passes it on as its exit
/// code, 130 or 143:
///
/// ```no_run
/// use neurax::prelude::*;
/// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let trained = Trainer::new(&model, loss::mse, optim::sgd(0.1))
///     .handler(train::Interrupt)
///     .handler(train::Checkpoints::new("run/checkpoints"))
///     .resume_or_run("run/checkpoints", &set.batched(2), epochs(1000))?;
/// std::process::exit(trained.status.exit_code());
/// # #[allow(unreachable_code)]
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Interrupt;

/// The flags that the signal handlers read and set.
struct SignalFlags {
    /// The number of runs that train. The other flags are changed while it is locked, but by the
    /// signal handlers.
    runs: Mutex<usize>,
    idle: Arc<AtomicBool>,
    pressed: Arc<AtomicBool>,
    /// True if one of the signals was SIGTERM.
    terminated: Arc<AtomicBool>,
}

impl SignalFlags {
    /// Returns the status of a run that a signal ends.
    fn status(&self) -> Option<Status> {
        let is_pressed = self.pressed.load(Ordering::SeqCst);
        is_pressed.then(|| match self.terminated.load(Ordering::SeqCst) {
            true => Status::Terminated,
            false => Status::Interrupted,
        })
    }

    /// Counts a run that starts. The first one forgets the signals of earlier runs.
    fn start_run(&self) {
        let mut runs = self.runs();
        if *runs == 0 {
            self.forget();
            self.idle.store(false, Ordering::SeqCst);
        }
        *runs += 1;
    }

    /// Counts a run that ends. After the last one, signals work as usual.
    fn end_run(&self) {
        let mut runs = self.runs();
        *runs = runs.saturating_sub(1);
        if *runs == 0 {
            self.idle.store(true, Ordering::SeqCst);
        }
    }

    fn runs(&self) -> MutexGuard<'_, usize> {
        // The count is right even if a thread panicked while it held the lock.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the signals of an earlier run.
    fn forget(&self) {
        self.pressed.store(false, Ordering::SeqCst);
        self.terminated.store(false, Ordering::SeqCst);
    }
}

impl Handler for Interrupt {
    fn name(&self) -> String {
        "interrupt".into()
    }

    fn events(&self) -> Vec<When> {
        use Event::*;
        let inside = [EpochStarted, BatchEnded, Validated, EpochHalted, EpochEnded];
        [Started].into_iter().chain(inside).chain([Completed]).map(When::from).collect()
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        let flags = flags()?;
        if event == Event::Started {
            flags.start_run();
        }
        match flags.status() {
            Some(status) => {
                state.status = status;
                Ok(Flow::Stop)
            }
            None => Ok(Flow::Continue),
        }
    }

    fn validating(&mut self, _: &State) -> Result<Flow> {
        Ok(flags()?.status().map_or(Flow::Continue, |_| Flow::Stop))
    }

    // The others see that the run ends: no predictions are made after Ctrl-C.
    fn is_first(&self) -> bool {
        true
    }

    fn reads_scores(&self) -> bool {
        false
    }

    // Also of a run whose state is lost, which has no event at its end.
    fn release(&mut self, state: Option<&mut State>) {
        let Some(flags) = installed() else { return };
        flags.end_run();
        let ended = state.filter(|state| state.status != Status::Failed);
        if let (Some(state), Some(status)) = (ended, flags.status()) {
            state.status = status;
        }
    }
}

/// Returns true if a signal ended a run that is over, and forgets it.
pub(crate) fn has_ended_a_run() -> bool {
    installed().is_some_and(|flags| {
        let runs = flags.runs();
        let was_pressed = *runs == 0 && flags.status().is_some();
        if was_pressed {
            flags.forget();
        }
        was_pressed
    })
}

static FLAGS: OnceLock<std::result::Result<SignalFlags, String>> = OnceLock::new();

/// Returns the flags if the signal handlers were installed.
fn installed() -> Option<&'static SignalFlags> {
    FLAGS.get().and_then(|flags| flags.as_ref().ok())
}

/// Returns the flags, and installs the signal handlers in the first call.
///
/// # Errors
/// If the operating system refuses.
fn flags() -> Result<&'static SignalFlags> {
    let flags = FLAGS.get_or_init(|| install().map_err(|e| e.to_string()));
    flags.as_ref().map_err(|e| Error::new("interrupt", format!("cannot handle Ctrl-C: {e}")))
}

/// Installs the signal handlers, which are called in this order.
fn install() -> std::io::Result<SignalFlags> {
    let flag = |on| Arc::new(AtomicBool::new(on));
    let (idle, pressed, terminated) = (flag(true), flag(false), flag(false));
    let flags = SignalFlags { runs: Mutex::new(0), idle, pressed, terminated };
    for (signal, status) in [(SIGINT, Status::Interrupted), (SIGTERM, Status::Terminated)] {
        flag::register_conditional_default(signal, flags.idle.clone())?;
        flag::register_conditional_shutdown(signal, status.exit_code(), flags.pressed.clone())?;
        if status == Status::Terminated {
            flag::register(signal, flags.terminated.clone())?;
        }
        flag::register(signal, flags.pressed.clone())?;
    }
    Ok(flags)
}
