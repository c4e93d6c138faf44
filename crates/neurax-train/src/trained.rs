//! The result of training.

use crate::evaluation::evaluate;
use crate::measure::Measure;
use crate::program::EvaluateFn;
use crate::settings::Outcome;
use crate::{Scores, State};
use neurax_data::Batches;
use neurax_nn::{Inputs, Model, Net};
use neurax_tensor::{Place, Result, Tensor, Tree};
use std::{fmt, marker::PhantomData, ops::Deref, panic::Location};

/// A trained model and its final state. The fields of the state are directly accessible:
/// `trained.vars`, `trained.history`.
pub struct Trained<X: Tree = Tensor, Y: Tree = Tensor> {
    /// The model.
    pub model: Model,
    /// The state after the last step.
    pub state: State,
    measures: Vec<Measure>,
    evaluate: EvaluateFn,
    types: PhantomData<fn(X, Y)>,
}

impl<X: Tree + Inputs + Clone, Y: Tree + Clone> Trained<X, Y> {
    /// Returns the loss and the metrics on other data, in evaluation mode.
    ///
    /// # Errors
    /// If the data do not fit the model, or there are none.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(tensor([[1.0], [2.0]]), tensor([[2.0], [4.0]]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let trainer = Trainer::new(&model, loss::mse, optim::adam(0.1)).quiet();
    /// let trained = trainer.run(&set.batched(2), epochs(300))?;
    /// let other = Dataset::new(tensor([[3.0]]), tensor([[6.0]]))?;
    /// assert!(trained.evaluate(&other)?["loss"] < 0.1);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn evaluate(&self, data: impl Into<Batches<X, Y>>) -> Result<Scores> {
        let (data, at) = (data.into(), Place::from(Location::caller()));
        let Trained { evaluate: f, measures, state, .. } = self;
        evaluate(f, measures, &state.vars, &data).map_err(|e| e.at(&at))
    }

    /// Returns the model bound to its trained variables.
    pub fn net(&self) -> Net {
        self.model.bind(self.state.vars.clone())
    }
}

impl<X: Tree, Y: Tree> Trained<X, Y> {
    pub(crate) fn of_any(outcome: Outcome) -> Trained<X, Y> {
        let Outcome { model, state, measures, evaluate } = outcome;
        Trained { model, state, measures, evaluate, types: PhantomData }
    }
}

impl<X: Tree, Y: Tree> fmt::Debug for Trained<X, Y> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Trained")
            .field("model", &self.model)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl<X: Tree, Y: Tree> Deref for Trained<X, Y> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state
    }
}
