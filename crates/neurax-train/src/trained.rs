//! The result of training.

use crate::any_batch::SourceOf;
use crate::evaluation::evaluate;
use crate::measure::Measure;
use crate::program::EvaluateFn;
use crate::settings::Outcome;
use crate::{Scores, State};
use neurax_data::{Batches, Source};
use neurax_nn::{Inputs, Model, Net};
use neurax_tensor::{Place, Result, Tensor, Tree};
use std::{fmt, marker::PhantomData, ops::Deref, panic::Location};

/// A trained model and its final state. The fields of the state are directly accessible:
/// `trained.vars`, `trained.history`.
pub struct Trained<X: Tree = Tensor, Y: Tree = Tensor, M = Model> {
    /// The model; of a [`CustomTraining`](crate::CustomTraining), its tree after the last step.
    pub model: M,
    /// The state after the last step. Its variables and validation scores are those of the best
    /// epoch or of the mean of the weights, if one of these is the result:
    /// [`Trainer::resume_exactly`](crate::Trainer::resume_exactly) goes on with the last ones.
    pub state: State,
    measures: Vec<Measure>,
    evaluate: EvaluateFn,
    types: PhantomData<fn(X, Y)>,
}

impl<X: Tree + Inputs + Clone, Y: Tree + Clone, M> Trained<X, Y, M> {
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
        self.evaluate_on(&data.into())
    }

    /// Returns the loss and the metrics on the batches of epoch 0 of any source, in evaluation
    /// mode.
    ///
    /// # Errors
    /// As [`Trained::evaluate`], and if the source fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(tensor([[1.0], [2.0]]), tensor([[2.0], [4.0]]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let trainer = Trainer::new(&model, loss::mse, optim::adam(0.1)).quiet();
    /// let trained = trainer.run(&set.batched(2), epochs(300))?;
    /// let doubled = set.stream().map(|(x, y)| (x * 2.0, y * 2.0)).batch(1);
    /// assert!(trained.evaluate_on(&doubled)?["loss"] < 0.1);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn evaluate_on(&self, data: &(impl Source<X, Y> + ?Sized)) -> Result<Scores> {
        let (data, at) = (SourceOf::new(data), Place::from(Location::caller()));
        let Trained { evaluate: f, measures, state, .. } = self;
        evaluate(f, measures, &state.vars, &data, &mut |_, _| Ok(())).map_err(|e| e.at(&at))
    }
}

impl<X: Tree, Y: Tree> Trained<X, Y> {
    /// Returns the model bound to its trained variables.
    pub fn net(&self) -> Net {
        self.model.bind(self.state.vars.clone())
    }
}

impl<X: Tree, Y: Tree, M> Trained<X, Y, M> {
    pub(crate) fn of_any(outcome: Outcome, model: M) -> Trained<X, Y, M> {
        let Outcome { state, measures, evaluate } = outcome;
        Trained { model, state, measures, evaluate, types: PhantomData }
    }
}

/// The state, without the model: a tree of the user may have no text form.
impl<X: Tree, Y: Tree, M> fmt::Debug for Trained<X, Y, M> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Trained").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<X: Tree, Y: Tree, M> Deref for Trained<X, Y, M> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state
    }
}
