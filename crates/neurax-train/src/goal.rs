//! Scores to be minimized or maximized, for handlers that compare epochs.

use crate::{Scores, State};
use neurax_tensor::{Error, Result};

/// A score and its better direction: see [`lowest`] and [`highest`].
#[derive(Clone, Debug)]
pub struct Goal {
    score: String,
    is_higher_better: bool,
    of_training: bool,
    min_delta: f64,
}

/// Asks for the lowest score `score`, such as `loss`: that on the validation set, or that in
/// training if there is no validation set. A score of a named validation set is `name loss`.
///
/// ```
/// use neurax::train::{EarlyStopping, highest, lowest};
/// let _ = EarlyStopping::new(lowest("loss")).patience(3);
/// let _ = EarlyStopping::new(highest("accuracy").of_training().min_delta(0.01));
/// ```
pub fn lowest(score: &str) -> Goal {
    Goal { score: score.into(), is_higher_better: false, of_training: false, min_delta: 0.0 }
}

/// Asks for the highest score `score`, such as `accuracy`: see [`lowest`].
pub fn highest(score: &str) -> Goal {
    Goal { is_higher_better: true, ..lowest(score) }
}

impl Goal {
    /// Takes the score in training, also if there is a validation set.
    pub fn of_training(self) -> Goal {
        Goal { of_training: true, ..self }
    }

    /// Sets the difference by which a score must be better to count, which is 0 by default: an
    /// equal score is not better.
    pub fn min_delta(self, delta: f64) -> Goal {
        Goal { min_delta: delta, ..self }
    }

    /// Returns the score after the last epoch.
    ///
    /// # Errors
    /// If nothing of this name was measured: the message lists the names.
    pub(crate) fn value(&self, state: &State) -> Result<f64> {
        let none = Scores::default();
        let log = state.history.last();
        let (train, validation) = log.map_or((&none, &none), |log| (&log.train, &log.validation));
        let scores = match self.of_training || validation.is_empty() {
            true => train,
            false => validation,
        };
        scores.get(&self.score).ok_or_else(|| {
            let names: Vec<&str> = scores.iter().map(|(name, _)| name).collect();
            let why = format!("expected one of the scores {names:?}, got `{}`", self.score);
            Error::new("train", why)
        })
    }

    /// Returns true if `new` is better than `best` by more than the least difference. NaN is never
    /// better, and every number is better than none.
    pub(crate) fn is_better(&self, new: f64, best: Option<f64>) -> bool {
        let gain = |best: f64| if self.is_higher_better { new - best } else { best - new };
        !new.is_nan() && best.is_none_or(|best| gain(best) > self.min_delta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Axon saves a checkpoint when the score became worse.
    #[test]
    fn a_better_score_is_lower_or_higher_by_the_least_difference() {
        let loss = lowest("loss");
        assert!(loss.is_better(0.5, Some(0.6)) && !loss.is_better(0.6, Some(0.5)));
        assert!(!loss.is_better(0.5, Some(0.5)) && loss.is_better(0.5, None));
        let accuracy = highest("accuracy").min_delta(0.1);
        assert!(accuracy.is_better(0.8, Some(0.6)) && !accuracy.is_better(0.65, Some(0.6)));
        assert!(!loss.is_better(f64::NAN, None) && !accuracy.is_better(f64::NAN, Some(0.0)));
        assert!(loss.is_better(1.0, Some(f64::INFINITY)));
    }
}
