//! [`EarlyStopping`].

use crate::progress::warn;
use crate::replaced_vars::replace_vars;
use crate::{Event, Flow, Goal, Handler, State, When};
use neurax_tensor::{Error, Result};

const EARLY_STOPPING: &str = "early_stopping";
/// The names in the memory.
const BEST_SCORE: &str = "best";
const EPOCHS_WAITED: &str = "waited";
const KEPT_VARS: &str = "vars";
const KEPT_SCORES: &str = "validation";
const IS_NOT_FINITE: &str = "not_finite";

/// A handler that stops training when a score does not improve any more. Its counts are a part of
/// the state, and survive a resume.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let set = Dataset::new(tensor([[1.0], [2.0]]), tensor([[2.0], [4.0]]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let patient = train::EarlyStopping::new(train::lowest("loss")).patience(2);
/// let trained = Trainer::new(&model, loss::mse, optim::sgd(0.0))
///     .validate(&set)
///     .handler(patient)
///     .quiet()
///     .run(&set.batched(2), epochs(9))?;
/// assert_eq!(trained.history.len(), 3, "the first epoch, and two that are not better");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    name: String,
    goal: Goal,
    patience: usize,
    /// The number of the first epoch that is compared, from 1.
    first_epoch: usize,
    checks_finite: bool,
    restores: bool,
}

impl EarlyStopping {
    /// Creates a handler that stops after the first epoch whose score is not better than the best
    /// one before.
    pub fn new(goal: Goal) -> EarlyStopping {
        EarlyStopping {
            name: EARLY_STOPPING.into(),
            goal,
            patience: 1,
            first_epoch: 1,
            checks_finite: false,
            restores: false,
        }
    }

    /// Sets the name, under which the state keeps the counts; `early_stopping` by default. Two of
    /// these handlers in a trainer need different ones.
    ///
    /// ```
    /// use neurax::train::{EarlyStopping, highest, lowest};
    /// let loss = EarlyStopping::new(lowest("loss")).patience(3);
    /// let accuracy = EarlyStopping::new(highest("accuracy")).patience(9).named("accuracy stops");
    /// # let _ = (loss, accuracy);
    /// ```
    pub fn named(self, name: &str) -> EarlyStopping {
        EarlyStopping { name: name.into(), ..self }
    }

    /// Sets the number of epochs in a row without a better score after which training stops; 0 is
    /// taken for 1.
    pub fn patience(self, epochs: usize) -> EarlyStopping {
        EarlyStopping { patience: epochs.max(1), ..self }
    }

    /// Compares scores from the epoch with number `n` on, counted from 1, as the first ones may be
    /// better by chance: an epoch before is not compared and does not count for the patience.
    /// Training ends after epoch `n` plus the patience at the earliest.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let patient = train::EarlyStopping::new(train::lowest("loss")).from_epoch(4).patience(2);
    /// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.0)).handler(patient).quiet();
    /// assert_eq!(trainer.run(&set.batched(4), epochs(99))?.history.len(), 6);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn from_epoch(self, n: usize) -> EarlyStopping {
        EarlyStopping { first_epoch: n, ..self }
    }

    /// Stops immediately, without patience and also in an epoch before
    /// [`from_epoch`](EarlyStopping::from_epoch), if the score is NaN or infinite. Without this,
    /// such a score is one that is not better.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]) * f32::NAN)?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let patient = train::EarlyStopping::new(train::lowest("loss")).patience(9).check_finite();
    /// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).handler(patient).quiet();
    /// let trainer = trainer.non_finite_loss(train::NonFiniteLoss::Ignore);
    /// assert_eq!(trainer.run(&set.batched(4), epochs(99))?.history.len(), 1);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn check_finite(self) -> EarlyStopping {
        EarlyStopping { checks_finite: true, ..self }
    }

    /// Gives the result the variables of the best epoch, and their scores on the validation sets,
    /// when training ends, for any reason but an error. They are kept in memory and in checkpoints.
    ///
    /// The state keeps the variables after the last step, too: training goes on with those in
    /// [`Trainer::resume_exactly`](crate::Trainer::resume_exactly), and from the best ones in
    /// [`Trainer::resume`](crate::Trainer::resume).
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(tensor([[1.0]]), tensor([[1.0]]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let patient = train::EarlyStopping::new(train::lowest("loss")).restore_best();
    /// // The rate is too large: the loss grows.
    /// let trainer = Trainer::new(&model, loss::mse, optim::sgd(1.0)).validate(&set).quiet();
    /// let trained = trainer.handler(patient).run(&set.batched(1), epochs(9))?;
    /// assert_eq!(trained.history.len(), 2);
    /// assert_eq!(trained.validation["loss"], trained.history[0].validation["loss"]);
    /// assert_eq!(trained.evaluate(&set)?["loss"], trained.validation["loss"]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn restore_best(self) -> EarlyStopping {
        EarlyStopping { restores: true, ..self }
    }

    /// Checks before the first step that the handler can do what it is asked for.
    ///
    /// # Errors
    /// If the score is not measured, or two sets of weights would be the result.
    fn check(&self, state: &State) -> Result<()> {
        if self.restores && state.plan.is_averaged {
            let why = "expected `EarlyStopping::restore_best` or `Trainer::average_weights`, got \
                       both: the result has the weights of the best epoch or the mean";
            return Err(Error::new(EARLY_STOPPING, why));
        }
        self.goal.check(state)
    }

    fn compare(&self, event: Event, state: &mut State) -> Result<Flow> {
        let Some(score) = self.goal.value(event, state)? else { return Ok(Flow::Continue) };
        if self.checks_finite && !score.is_finite() {
            state.memory(&self.name).set_number(IS_NOT_FINITE, 1.0);
            return Ok(Flow::Stop);
        }
        if state.epoch + 1 < self.first_epoch {
            return Ok(Flow::Continue);
        }
        let kept = self.restores.then(|| (state.vars.clone(), state.validation.clone()));
        let memory = state.memory(&self.name);
        if self.goal.is_better(score, memory.number(BEST_SCORE)) {
            memory.set_number(BEST_SCORE, score);
            memory.set_number(EPOCHS_WAITED, 0.0);
            if let Some((vars, validation)) = kept {
                memory.set_tree(KEPT_VARS, &vars);
                memory.set_scores(KEPT_SCORES, &validation);
            }
            return Ok(Flow::Continue);
        }
        let waited = memory.count(EPOCHS_WAITED) + 1;
        memory.set_number(EPOCHS_WAITED, waited as f64);
        Ok(if waited >= self.patience { Flow::Stop } else { Flow::Continue })
    }

    /// Restores the best variables. They may have another structure than those at the end, or not
    /// be kept if the option is new in a resumed run: training was not in vain then, and a warning
    /// says so. Of a validation set that is new in a resumed run, their scores are not known.
    fn restore(&self, state: &mut State) {
        let (vars, scores) = (state.vars.clone(), state.validation.clone());
        let memory = state.memory(&self.name);
        if !self.restores || memory.number(BEST_SCORE).is_none() {
            return;
        }
        let names = scores.iter().map(|(name, _)| name);
        match (memory.tree(KEPT_VARS, &vars), memory.scores(KEPT_SCORES, names)) {
            (Ok(best), validation) => {
                if validation.is_none() {
                    warn("the validation scores of the best epoch are not known");
                }
                replace_vars(state, best);
                state.validation = validation.unwrap_or_default();
            }
            (Err(e), _) => {
                let why = e.message();
                warn(&format!("the variables of the best epoch are not restored: {why}"));
            }
        }
    }

    /// Returns true if the run of a state was stopped.
    fn has_stopped(&self, state: &mut State) -> bool {
        let memory = state.memory(&self.name);
        memory.count(EPOCHS_WAITED) >= self.patience
            || (self.checks_finite && memory.count(IS_NOT_FINITE) > 0)
    }
}

impl Handler for EarlyStopping {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn events(&self) -> Vec<When> {
        let ends = [Event::Started, Event::Completed].map(When::from);
        ends.into_iter().chain(self.goal.events()).collect()
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        match event {
            Event::EpochEnded | Event::Validated => self.compare(event, state),
            Event::Completed => {
                self.restore(state);
                Ok(Flow::Continue)
            }
            // A run that is resumed after it was stopped does not train for one more epoch.
            _ => {
                self.check(state)?;
                Ok(if self.has_stopped(state) { Flow::Stop } else { Flow::Continue })
            }
        }
    }
}
