//! The error of a failed training run.

use crate::State;
use neurax_tensor::{Error, Place};
use std::fmt;
use std::panic::Location;

/// The part of a training run in which an error occurred.
#[derive(Clone, Copy)]
pub(crate) enum Phase {
    /// Before the first step.
    Start,
    /// In an epoch, before or after its batches.
    Epoch,
    /// In a call that trains on the batches from one number to another, counted from 1.
    Batches(usize, usize),
    /// On the first batch of a validation set, before the first step.
    ValidationCheck,
    /// On a validation set, after a step inside of an epoch.
    StepValidation,
    /// On a validation set, after an epoch.
    EpochValidation,
}

impl Phase {
    /// Returns a space and the part of the run in parentheses, with numbers from 1; empty before
    /// the first step.
    pub(crate) fn context(self, state: &State) -> String {
        let epoch = state.epoch + 1;
        match self {
            Phase::Start => String::new(),
            Phase::Epoch => format!(" (in epoch {epoch})"),
            Phase::Batches(one, last) if one == last => format!(" (in epoch {epoch}, batch {one})"),
            Phase::Batches(first, last) => {
                format!(" (in epoch {epoch}, batches {first} to {last})")
            }
            Phase::ValidationCheck => " (on the validation set)".into(),
            Phase::StepValidation => {
                format!(" (on the validation set, in epoch {epoch} after batch {})", state.batch)
            }
            Phase::EpochValidation => format!(" (on the validation set, after epoch {epoch})"),
        }
    }
}

/// The error that ended a training run, and the last valid state, so that no progress is lost.
///
/// `?` converts it to a plain [`Error`], whose message says in which epoch and batch it occurred,
/// counted from 1; to use the state, match on the result:
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 3]).dense(1);
/// let good = data::Batch { x: Tensor::ones([2, 3]), y: Tensor::ones([2, 1]) };
/// let bad = data::Batch { x: Tensor::ones([2, 4]), y: Tensor::ones([2, 1]) };
/// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
/// let failed = trainer.run(&[good, bad][..], epochs(1)).unwrap_err();
/// assert!(failed.error.to_string().contains("input `x`: expected shape [_, 3], got [2, 4]"));
/// assert_eq!(failed.state.map(|s| s.step), Some(1), "the state after the first batch");
/// # Ok::<(), Error>(())
/// ```
pub struct TrainError {
    /// The cause.
    pub error: Error,
    /// The state before the failed call of the compiled step, one step by default:
    /// [`Trainer::resume_exactly`](crate::Trainer::resume_exactly) continues with the next batch as
    /// if the run had not failed, and [`Trainer::resume`](crate::Trainer::resume) with the first
    /// one of the epoch. `None` if the run has no state to start from yet, or if a device failed or
    /// a function of the user panicked while a step ran.
    pub state: Option<Box<State>>,
    pub(crate) phase: Phase,
}

impl TrainError {
    /// Returns the error of a run that did not start. `at` is the user's line.
    pub(crate) fn before_start(error: Error, at: &'static Location<'static>) -> TrainError {
        TrainError { error: error.at(&Place::from(at)), state: None, phase: Phase::Start }
    }

    /// Returns the error of a run that is complete.
    pub(crate) fn after(error: Error, state: State) -> TrainError {
        TrainError { error, state: Some(Box::new(state)), phase: Phase::Epoch }
    }

    /// Returns where the error occurred, in parentheses; empty before the first step.
    fn context(&self) -> String {
        self.state.as_ref().map_or(String::new(), |state| self.phase.context(state))
    }
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}{}", self.error, self.context())
    }
}

impl fmt::Debug for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for TrainError {}

impl From<TrainError> for Error {
    fn from(e: TrainError) -> Error {
        let message = format!("{}{}", e.error.message(), e.context());
        Error::new(e.error.op(), message).at_origin(e.error.origin())
    }
}
