//! The loss and the metrics on a data set.

use crate::Scores;
use crate::any_batch::AnySource;
use crate::first_batches::FirstBatches;
use crate::guard::guarded;
use crate::measure::{Measure, Totals};
use crate::program::{EvaluateFn, check_evaluation, examples};
use neurax_nn::Vars;
use neurax_tensor::ir::Origin;
use neurax_tensor::{Error, Place, Result};
use std::panic::Location;
use std::time::Instant;

/// A validation set and the user's line that set it.
pub(crate) struct Validation {
    /// The prefix of its scores; `None` for the set of [`Trainer::validate`](crate::Trainer).
    pub name: Option<String>,
    pub data: Box<dyn AnySource + Send>,
    pub at: &'static Location<'static>,
}

/// The scores of an evaluation, and the variables that were evaluated. They share their memory with
/// those of the state, so that they must be dropped before the next step, which is done in place.
pub(crate) struct Evaluated {
    pub vars: Vars,
    pub scores: Scores,
}

impl Validation {
    /// Checks that the first batch fits the model.
    ///
    /// # Errors
    /// If it does not, or there is none.
    pub fn check(&self, evaluate: &EvaluateFn, measures: &[Measure], vars: &Vars) -> Result<()> {
        let batch = guarded("the source", || self.data.epoch(0).next());
        batch
            .and_then(|b| b.ok_or_else(nothing_to_evaluate)?)
            .and_then(|b| examples(&b).map(|_| b))
            .and_then(|b| check_evaluation(evaluate, vars, measures, b))
            .map_err(|e| moved_to(e, self.at))
    }

    /// Returns the scores on the first `most` batches, with the name of the set. `after_batch` is
    /// called after each of them.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub fn scores(
        &self,
        program: &EvaluateFn,
        measures: &[Measure],
        vars: &Vars,
        most: usize,
        after_batch: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<(String, f64)>> {
        let data = FirstBatches { source: &*self.data, most, repeats: false };
        let scores = evaluate(program, measures, vars, &data, &mut |_, _| after_batch());
        let scores = scores.map_err(|e| moved_to(e, self.at))?;
        Ok(scores.iter().map(|(score, x)| (self.name_of(score), x)).collect())
    }

    /// Returns the name of a score on this set.
    pub fn name_of(&self, score: &str) -> String {
        match &self.name {
            Some(name) => format!("{name} {score}"),
            None => score.into(),
        }
    }
}

/// Computes the loss and the metrics over all batches of `data`. `after_batch` gets the number of
/// examples so far and the seconds since the start.
///
/// # Errors
/// If a batch does not fit the model, or there is none; and the error of `after_batch`.
pub(crate) fn evaluate(
    evaluate: &EvaluateFn,
    measures: &[Measure],
    vars: &Vars,
    data: &dyn AnySource,
    after_batch: &mut dyn FnMut(usize, f64) -> Result<()>,
) -> Result<Scores> {
    let (mut totals, mut count, start) = (Totals::new(measures), 0, Instant::now());
    let mut batches = guarded("the source", || data.epoch(0))?;
    while let Some(batch) = guarded("the source", || batches.next())? {
        let batch = batch?;
        count += examples(&batch)?;
        totals = evaluate.run((vars.clone(), totals, batch))?;
        after_batch(count, start.elapsed().as_secs_f64())?;
    }
    if count == 0 {
        return Err(nothing_to_evaluate());
    }
    totals.scores(measures)
}

/// Returns `e` with the source line `at` instead of that of the model or the loss: they
/// fit the training data, so that the mistake is in the validation set.
fn moved_to(e: Error, at: &'static Location<'static>) -> Error {
    let origin = Origin { place: Place::from(at), ..e.origin().clone() };
    Error::new(e.op(), e.message()).at_origin(&origin)
}

fn nothing_to_evaluate() -> Error {
    Error::new("train", "expected at least one example to evaluate, got none")
}
