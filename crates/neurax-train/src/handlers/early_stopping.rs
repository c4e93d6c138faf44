//! [`EarlyStopping`].

use crate::progress::warn;
use crate::{Event, Flow, Goal, Handler, State, When};
use neurax_tensor::{Error, Result};

const EARLY_STOPPING: &str = "early_stopping";
/// The names in the memory.
const BEST_SCORE: &str = "best";
const EPOCHS_WAITED: &str = "waited";
const KEPT_VARS: &str = "vars";

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
    restores: bool,
}

impl EarlyStopping {
    /// Creates a handler that stops after the first epoch whose score is not better than the best
    /// one before.
    pub fn new(goal: Goal) -> EarlyStopping {
        EarlyStopping { name: EARLY_STOPPING.into(), goal, patience: 1, restores: false }
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

    /// Gives the trained state the variables of the best epoch when training ends, for any reason
    /// but an error. They are kept in memory and in checkpoints.
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
        let vars = self.restores.then(|| state.vars.clone());
        let memory = state.memory(&self.name);
        if self.goal.is_better(score, memory.number(BEST_SCORE)) {
            memory.set_number(BEST_SCORE, score);
            memory.set_number(EPOCHS_WAITED, 0.0);
            if let Some(vars) = vars {
                memory.set_tree(KEPT_VARS, &vars);
            }
            return Ok(Flow::Continue);
        }
        let waited = memory.count(EPOCHS_WAITED) + 1;
        memory.set_number(EPOCHS_WAITED, waited as f64);
        Ok(if waited >= self.patience { Flow::Stop } else { Flow::Continue })
    }

    /// Restores the best variables. They may have another structure than those at the end, or not
    /// be kept if the option is new in a resumed run: training was not in vain then, and a warning
    /// says so.
    fn restore(&self, state: &mut State) {
        let like = state.vars.clone();
        let memory = state.memory(&self.name);
        if self.restores && memory.number(BEST_SCORE).is_some() {
            match memory.tree(KEPT_VARS, &like) {
                Ok(vars) => state.vars = vars,
                Err(e) => {
                    let why = e.message();
                    warn(&format!("the variables of the best epoch are not restored: {why}"));
                }
            }
        }
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
                let waited = state.memory(&self.name).count(EPOCHS_WAITED);
                Ok(if waited >= self.patience { Flow::Stop } else { Flow::Continue })
            }
        }
    }
}
