//! Trainers of trees with a step of the user.

use super::Trainer;
use crate::CustomTraining;
use crate::custom::tree_of;
use crate::settings::Settings;
use neurax_nn::Inputs;
use neurax_tensor::Tree;
use std::marker::PhantomData;

impl<X: Tree + Inputs + Clone, Y: Tree + Clone, S: Tree> Trainer<X, Y, S> {
    /// Creates a trainer with a step of the user, for several models and optimizers: see
    /// [`CustomTraining`]. Events, handlers, checkpoints, resumes and progress are those of all
    /// trainers; [`State::vars`](crate::State) holds the leaves of the tree by their paths, and
    /// `trained.model` is the tree after the last step.
    ///
    /// # Errors
    /// Training fails if the first score is not called `loss`, two leaves of the tree have one
    /// path, a step returns a tree of another structure or other types, or there is a validation
    /// set and no [`CustomTraining::evaluate_by`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// // Two numbers that push each other.
    /// let step = |(a, b): (Tensor, Tensor), batch: &data::Batch<Tensor, ()>, _: Key| {
    ///     let next = (&a * 0.5 + &batch.x.mean(..), &b - &a);
    ///     (next, [(&a - &b).square(), a])
    /// };
    /// let start = (tensor(1.0), tensor(0.0));
    /// let custom = train::CustomTraining::new(start, ["loss", "first"], step);
    /// let set = Dataset::new(Tensor::ones([4, 1]), ())?;
    /// let trained = Trainer::custom(custom)
    ///     .handler(train::StepLimit::new(3))
    ///     .quiet()
    ///     .run(&set.batched(2), epochs(9))?;
    /// let (a, b) = &trained.model;
    /// assert_eq!((a.item()?, b.item()?), (1.875, -4.25));
    /// assert_eq!(trained.history[0].train["first"], 1.25);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn custom<const N: usize>(custom: CustomTraining<S, X, Y, N>) -> Self {
        let settings = Settings::new(Box::new(custom.task()), custom.measures());
        Trainer {
            settings,
            model: custom.like(),
            of_state: |like, state| tree_of(&like, &state.vars.params).ok(),
            types: PhantomData,
        }
    }
}
