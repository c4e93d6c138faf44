//! What a training gives.

use crate::program::{Measure, Measuring};
use crate::trainer::measure;
use crate::{Scores, State};
use neurax_data::Batches;
use neurax_nn::{Inputs, Model, Net};
use neurax_tensor::{Result, Tensor, Tree};
use std::{fmt, ops::Deref};

/// A model that was trained, and the state at the end; its fields are there directly:
/// `trained.vars`, `trained.history`.
pub struct Trained<X: Tree = Tensor, Y: Tree = Tensor> {
    /// The model.
    pub model: Model,
    /// The state after the last step.
    pub state: State,
    pub(crate) measures: Vec<Measure<X, Y>>,
    pub(crate) measuring: Measuring<X, Y>,
}

impl<X: Tree + Inputs + Clone, Y: Tree + Clone> Trained<X, Y> {
    /// The loss and the metrics on other data.
    ///
    /// # Errors
    /// When the data do not fit the model.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(tensor([[1.0], [2.0]]), tensor([[2.0], [4.0]]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let trained = Trainer::new(&model, loss::mse, optim::adam(0.1)).quiet().run(&set.batched(2), epochs(300))?;
    /// let other = Dataset::new(tensor([[3.0]]), tensor([[6.0]]))?;
    /// assert!(trained.evaluate(&other)?["loss"] < 0.1);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn evaluate(&self, data: impl Into<Batches<X, Y>>) -> Result<Scores> {
        measure(&self.measuring, &self.measures, &self.state.vars, &data.into())
    }

    /// The model with what it learnt.
    pub fn net(&self) -> Net {
        self.model.bind(self.state.vars.clone())
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
