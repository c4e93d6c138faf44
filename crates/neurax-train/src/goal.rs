//! Scores to be minimized or maximized, for handlers that compare epochs.

use crate::differences::shortened;
use crate::{Event, Scores, State, When};
use neurax_tensor::{Error, Result};
use std::cmp::Ordering;

/// A score and its better direction: see [`lowest`] and [`highest`].
#[derive(Clone, Debug)]
pub struct Goal {
    score: String,
    is_higher_better: bool,
    of_training: bool,
    every_validation: bool,
    min_delta: f64,
}

/// Asks for the lowest score `score`, such as `loss`: that on the validation set, or that in
/// training if there is no validation set. A score of a named validation set is `name loss`, and
/// one of a metric with a value for each class is `recall[1]`.
///
/// ```
/// use neurax::train::{EarlyStopping, highest, lowest};
/// let _ = EarlyStopping::new(lowest("loss")).patience(3);
/// let _ = EarlyStopping::new(highest("accuracy").of_training().min_delta(0.01));
/// ```
pub fn lowest(score: &str) -> Goal {
    Goal {
        score: score.into(),
        is_higher_better: false,
        of_training: false,
        every_validation: false,
        min_delta: 0.0,
    }
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

    /// Compares the score after each evaluation of the validation sets, inside of epochs, too: see
    /// [`Trainer::validate_every`](crate::Trainer::validate_every). What a handler counts in
    /// epochs, such as its patience, is then counted in evaluations. One after the last step of an
    /// epoch and that of the epoch are one evaluation.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([8, 1]), Tensor::ones([8, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let goal = train::lowest("loss").every_validation();
    /// let trained = Trainer::new(&model, loss::mse, optim::sgd(0.0))
    ///     .validate(&set)
    ///     .validate_every(2)
    ///     .handler(train::EarlyStopping::new(goal).patience(2))
    ///     .quiet()
    ///     .run(&set.batched(1), epochs(9))?;
    /// assert_eq!(trained.step, 6, "the first evaluation, and two that are not better");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn every_validation(self) -> Goal {
        Goal { every_validation: true, ..self }
    }

    /// Returns the events after which the score is compared.
    pub(crate) fn events(&self) -> Vec<When> {
        let validated = self.every_validation.then_some(Event::Validated);
        [Event::EpochEnded].into_iter().chain(validated).map(When::from).collect()
    }

    /// Checks before the first step that the score will be measured.
    ///
    /// # Errors
    /// If it will not: the message lists the names.
    pub(crate) fn check(&self, state: &State) -> Result<()> {
        let (train, validation) = (&state.plan.trained_scores, &state.plan.validated_scores);
        let names = if self.of_training || validation.is_empty() { train } else { validation };
        if names.contains(&self.score) {
            return Ok(());
        }
        Err(self.unknown(names))
    }

    /// Returns the error of a score that is none of `names`.
    fn unknown<N: AsRef<str>>(&self, names: &[N]) -> Error {
        let score = &self.score;
        let plain = score.strip_prefix("val_").filter(|s| names.iter().any(|n| n.as_ref() == *s));
        let prefix = format!("{score}[");
        let of_class = names.iter().find(|name| name.as_ref().starts_with(&prefix));
        let advice = match (plain, of_class) {
            (Some(plain), _) => {
                format!("; scores on the validation set have no prefix: `{plain}`")
            }
            (None, Some(one)) => format!(
                "; it has several values: choose one of them, such as `{}`, or an average of the \
                 metric",
                one.as_ref()
            ),
            (None, None) => String::new(),
        };
        let names = names.iter().map(|name| format!("{:?}", name.as_ref())).collect();
        let names = shortened(names).join(", ");
        let why = format!("expected one of the scores [{names}], got `{score}`{advice}");
        Error::new("train", why)
    }

    /// Returns the score to compare at `event`, or `None` if the event is not one of
    /// [`Goal::events`], its scores were compared before, or the run stopped inside of the epoch.
    ///
    /// # Errors
    /// If nothing of this name was measured: the message lists the names.
    pub(crate) fn value(&self, event: Event, state: &State) -> Result<Option<f64>> {
        match event {
            Event::Validated if self.every_validation => {
                self.score_of(&state.train_scores(), &state.validation).map(Some)
            }
            // A resumed run will complete the epoch, and compare it then.
            Event::EpochEnded if state.so_far.is_logged_in_part => Ok(None),
            Event::EpochEnded if self.every_validation && state.is_validated_after_last_step() => {
                Ok(None)
            }
            Event::EpochEnded => {
                let none = Scores::default();
                let log = state.history.last();
                let (train, validation) =
                    log.map_or((&none, &none), |log| (&log.train, &log.validation));
                self.score_of(train, validation).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Returns the score by which a state was compared when it was saved; `None` if it was compared
    /// by another one.
    pub(crate) fn saved_value(&self, state: &State) -> Option<f64> {
        let event = match self.every_validation && state.is_validated_after_last_step() {
            true => Event::Validated,
            false => Event::EpochEnded,
        };
        self.value(event, state).ok().flatten()
    }

    /// Returns the score among those in training and on the validation sets.
    fn score_of(&self, train: &Scores, validation: &Scores) -> Result<f64> {
        let scores = match self.of_training || validation.is_empty() {
            true => train,
            false => validation,
        };
        scores.get(&self.score).ok_or_else(|| {
            let names: Vec<&str> = scores.iter().map(|(name, _)| name).collect();
            self.unknown(&names)
        })
    }

    /// Returns true if the score may be one in training inside of an epoch.
    pub(crate) fn reads_training(&self) -> bool {
        self.of_training && self.every_validation
    }

    /// Returns the order of two scores, the better one first and NaN last.
    pub(crate) fn order(&self, a: f64, b: f64) -> Ordering {
        let by_number = if self.is_higher_better { b.total_cmp(&a) } else { a.total_cmp(&b) };
        a.is_nan().cmp(&b.is_nan()).then(by_number)
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
