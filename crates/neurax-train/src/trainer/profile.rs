//! The method of [`Trainer`] that measures a training step.

use super::Trainer;
use crate::any_batch::SourceOf;
use neurax_data::Source;
use neurax_nn::Inputs;
use neurax_tensor::{Place, Profile, Result, Tree};
use std::panic::Location;

impl<X: Tree + Inputs + Clone, Y: Tree + Clone, M> Trainer<X, Y, M> {
    /// Measures the training step on the first batch, several times, from the variables with which
    /// a run starts: time and bytes by layer, op and source line. The loss, the metrics and the
    /// optimizer are listed among the layers, at the lines that added them to the trainer. Nothing
    /// is trained, and no handler is called.
    ///
    /// # Errors
    /// If the batch does not fit, there is none, or the device does not measure steps.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let iris = data::iris()?;
    /// let model = nn::input("flower", dims![_, 4]).dense(16).tanh().dense(3).softmax();
    /// let trainer = Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(0.01));
    /// let profile = trainer.profile(&iris.batched(50))?;
    /// println!("{profile}"); // tables of steps, layers, ops and lines
    /// let is_listed = |name: &str| profile.by_layer().iter().any(|row| row.name == name);
    /// assert!(["dense", "dense_1", "loss", "optimizer"].into_iter().all(is_listed), "{profile}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn profile(self, data: &(impl Source<X, Y> + ?Sized)) -> Result<Profile> {
        let at = Place::from(Location::caller());
        self.settings.profile(&SourceOf::new(data)).map_err(|e| e.at(&at))
    }
}
