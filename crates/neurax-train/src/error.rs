//! A training that failed, and what is left of it.

use crate::State;
use neurax_tensor::Error;
use std::fmt;

/// Why a training ended early, and where it was: nothing that was learnt is lost.
///
/// It becomes a plain [`Error`] under `?`; who wants the state matches on it:
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 3]).dense(1);
/// let good = data::Batch { x: Tensor::ones([2, 3]), y: Tensor::ones([2, 1]) };
/// let bad = data::Batch { x: Tensor::ones([2, 4]), y: Tensor::ones([2, 1]) };
/// let failed = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet().run(&[good, bad][..], epochs(1)).unwrap_err();
/// assert!(failed.error.to_string().contains("`x` is declared as [_, 3]"));
/// assert_eq!(failed.state.map(|s| s.step), Some(1), "with what the first batch taught");
/// # Ok::<(), Error>(())
/// ```
pub struct TrainError {
    /// What went wrong.
    pub error: Error,
    /// The state before the step that failed; [`crate::Trainer::resume`] goes on from it. `None` if
    /// there was none yet, or if a device failed in the middle of a step.
    pub state: Option<Box<State>>,
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.error.fmt(f)?;
        match &self.state {
            Some(s) => write!(f, " (in epoch {}, batch {})", s.epoch, s.batch),
            None => Ok(()),
        }
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
        e.error
    }
}
