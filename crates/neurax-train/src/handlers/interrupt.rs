//! [`Interrupt`]: Ctrl-C during training.
//!
//! Signals are a global resource of a process, so that their handlers are installed once. Two
//! flags decide what Ctrl-C does:
//!
//! | state | `idle` | `pressed` | Ctrl-C |
//! |---|---|---|---|
//! | no training | true | false | ends the program, as without this module |
//! | training | false | false | sets `pressed`, which the next step reads |
//! | after the first one | false | true | ends the program with exit code 130 |

use crate::{Event, Flow, Handler, State, Status, When};
use neurax_tensor::{Error, Result};
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// A handler that stops training after the step in which the user presses Ctrl-C, so that
/// [`Checkpoints`](crate::Checkpoints) save the state, the files of logs are complete, and `run`
/// returns. A second Ctrl-C ends the program immediately, with exit code 130. Outside of training,
/// Ctrl-C works as usual.
///
/// The status of the result is [`Status::Interrupted`]; a program passes it on:
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
    idle: Arc<AtomicBool>,
    pressed: Arc<AtomicBool>,
}

impl Handler for Interrupt {
    fn name(&self) -> String {
        "interrupt".into()
    }

    fn events(&self) -> Vec<When> {
        [Event::Started, Event::BatchEnded, Event::Completed, Event::Failed].map(When::from).into()
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        let flags = flags()?;
        match event {
            Event::Started => {
                flags.pressed.store(false, Ordering::SeqCst);
                flags.idle.store(false, Ordering::SeqCst);
            }
            Event::BatchEnded if flags.pressed.load(Ordering::SeqCst) => {
                state.status = Status::Interrupted;
                return Ok(Flow::Stop);
            }
            Event::BatchEnded => {}
            _ => flags.idle.store(true, Ordering::SeqCst),
        }
        Ok(Flow::Continue)
    }

    fn reads_scores(&self) -> bool {
        false
    }

    // A run whose state is lost has no event at its end.
    fn release(&mut self) {
        if let Ok(flags) = flags() {
            flags.idle.store(true, Ordering::SeqCst);
        }
    }
}

/// Returns the flags, and installs the signal handlers in the first call.
///
/// # Errors
/// If the operating system refuses.
fn flags() -> Result<&'static SignalFlags> {
    static FLAGS: OnceLock<std::result::Result<SignalFlags, String>> = OnceLock::new();
    let flags = FLAGS.get_or_init(|| install().map_err(|e| e.to_string()));
    flags.as_ref().map_err(|e| Error::new("interrupt", format!("cannot handle Ctrl-C: {e}")))
}

/// Installs the signal handlers, which are called in this order.
fn install() -> std::io::Result<SignalFlags> {
    let flag = |on| Arc::new(AtomicBool::new(on));
    let flags = SignalFlags { idle: flag(true), pressed: flag(false) };
    flag::register_conditional_default(SIGINT, flags.idle.clone())?;
    flag::register_conditional_shutdown(SIGINT, 130, flags.pressed.clone())?;
    flag::register(SIGINT, flags.pressed.clone())?;
    Ok(flags)
}
