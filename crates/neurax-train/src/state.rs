//! The state of a training run.

use crate::Scores;
use neurax_nn::{OptState, Vars};
use neurax_tensor::Key;

/// The complete state of a training run between two steps. Handlers see and may change it, a failed
/// run returns it, and [`Trainer::resume`](crate::Trainer::resume) continues from it.
#[derive(Clone, Debug)]
pub struct State {
    /// The index of the current epoch, from 0. Progress lines and errors count from 1.
    pub epoch: usize,
    /// The number of completed batches in this epoch.
    pub batch: usize,
    /// The number of completed steps in all epochs.
    pub step: usize,
    /// The mean loss over the examples of this epoch so far, without those of skipped steps whose
    /// loss was not finite: see [`EpochLog::skipped`]. It is current at `BatchEnded` and
    /// `EpochEnded`, and NaN before the first example.
    pub loss: f64,
    /// The mean metrics over the examples of this epoch so far, current when the loss is.
    pub metrics: Scores,
    /// The loss and the metrics on the validation set after the last epoch; empty without a
    /// validation set.
    pub validation: Scores,
    /// The parameters and the state of the model.
    pub vars: Vars,
    /// The state of the optimizer.
    pub opt: OptState,
    /// The random key of the next step.
    pub key: Key,
    /// The logs of the completed epochs.
    pub history: Vec<EpochLog>,
}

/// The log of a completed epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochLog {
    /// The index of the epoch, from 0. Its progress line counts from 1.
    pub epoch: usize,
    /// The loss and the metrics during training, without the examples of skipped steps whose loss
    /// was not finite; NaN if these were all.
    pub train: Scores,
    /// The loss and the metrics on the validation set after the epoch.
    pub validation: Scores,
    /// The number of training examples, those of skipped steps among them.
    pub examples: usize,
    /// The number of steps that the optimizer skipped, since a gradient was not finite: see
    /// [`Optim::non_finite`](neurax_nn::Optim::non_finite).
    pub skipped: usize,
    /// The duration of training in seconds, without validation.
    pub seconds: f64,
}

impl State {
    /// Creates the state before the first step.
    pub fn new(vars: Vars, opt: OptState, key: Key) -> State {
        let (metrics, validation) = (Scores::default(), Scores::default());
        State {
            epoch: 0,
            batch: 0,
            step: 0,
            loss: f64::NAN,
            metrics,
            validation,
            vars,
            opt,
            key,
            history: Vec::new(),
        }
    }
}
