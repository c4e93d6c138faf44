//! Everything that a training has at one moment.

use crate::Scores;
use neurax_nn::{OptState, Vars};
use neurax_tensor::Key;

/// What a training is at one moment: what handlers see and may change, what a failure leaves, what
/// a training can go on from.
#[derive(Clone, Debug)]
pub struct State {
    /// The epoch, from 0.
    pub epoch: usize,
    /// Batches done in this epoch.
    pub batch: usize,
    /// Steps done in all.
    pub step: usize,
    /// The mean loss over the examples of this epoch so far. Up to date at `EpochEnded`, and at
    /// `BatchEnded`; NaN before the first batch.
    pub loss: f64,
    /// The mean metrics, as the loss.
    pub metrics: Scores,
    /// The loss and the metrics on the validation set after the last epoch; empty without one.
    pub validation: Scores,
    /// Parameters and state of the model.
    pub vars: Vars,
    /// What the optimizer remembers.
    pub opt: OptState,
    /// Where the randomness of the next step comes from.
    pub key: Key,
    /// The epochs that are done.
    pub history: Vec<EpochLog>,
}

/// What is kept of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochLog {
    /// Its number, from 0.
    pub epoch: usize,
    /// The loss and the metrics while it learnt.
    pub train: Scores,
    /// The loss and the metrics on the validation set after it.
    pub validation: Scores,
    /// How many examples it saw.
    pub examples: usize,
    /// How long learning took, in seconds; validation apart.
    pub seconds: f64,
}

impl State {
    /// The state before the first step.
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
