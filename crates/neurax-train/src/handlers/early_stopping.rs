//! [`EarlyStopping`].

use crate::progress::warn;
use crate::{Event, Flow, Goal, Handler, State, When};
use neurax_tensor::Result;

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
    goal: Goal,
    patience: usize,
    restores: bool,
}

impl EarlyStopping {
    /// Creates a handler that stops after the first epoch whose score is not better than the best
    /// one before.
    pub fn new(goal: Goal) -> EarlyStopping {
        EarlyStopping { goal, patience: 1, restores: false }
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

    fn epoch_ended(&self, state: &mut State) -> Result<Flow> {
        let score = self.goal.value(state)?;
        let vars = self.restores.then(|| state.vars.clone());
        let memory = state.memory(EARLY_STOPPING);
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
        let memory = state.memory(EARLY_STOPPING);
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
        EARLY_STOPPING.into()
    }

    fn events(&self) -> Vec<When> {
        vec![Event::Started.into(), Event::EpochEnded.into(), Event::Completed.into()]
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        match event {
            Event::EpochEnded => self.epoch_ended(state),
            Event::Completed => {
                self.restore(state);
                Ok(Flow::Continue)
            }
            // A run that is resumed after it was stopped does not train for one more epoch.
            _ => {
                let waited = state.memory(EARLY_STOPPING).count(EPOCHS_WAITED);
                Ok(if waited >= self.patience { Flow::Stop } else { Flow::Continue })
            }
        }
    }
}
