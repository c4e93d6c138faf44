//! The method of [`Trainer`] that records a run in a directory.

use super::Trainer;
use crate::{Interrupt, RunDirectory};
use neurax_nn::Inputs;
use neurax_tensor::Tree;

impl<X: Tree + Inputs + Clone, Y: Tree + Clone, M> Trainer<X, Y, M> {
    /// Records the run in a directory: its log, checkpoints and description. The predictions of
    /// [`RunDirectory::classify`] are those of the result, which handlers such as
    /// [`EarlyStopping`](crate::EarlyStopping) may change, in whatever order they were added.
    ///
    /// Ctrl-C and SIGTERM stop the run after its step: the state is saved, and the status of the
    /// result says so, which a program passes on as its exit code: see [`Interrupt`].
    /// [`RunDirectory::without_interrupt`] leaves them out.
    ///
    /// The log has a line after every 10 steps, so that a call of [`Trainer::steps_per_call`] ends
    /// there; [`RunDirectory::every_steps`] changes this.
    ///
    /// The models of a [`CustomTraining`](crate::CustomTraining) are not known to the trainer:
    /// [`RunDirectory::model`] adds them to the description.
    ///
    /// # Errors
    /// Training fails if the directory cannot be written, another program trains in it, or it holds
    /// another run that is not resumed; and before the first step if the names or outputs of
    /// [`RunDirectory::classify`] do not fit, or the training is a custom one. An error of its
    /// predictions at the end is a warning.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let run = std::env::temp_dir().join(format!("neurax-doc-record-{}", std::process::id()));
    /// let iris = data::iris()?.split(0.8, key(0));
    /// let model = nn::input("flower", dims![_, 4]).dense(3).softmax();
    /// let trainer = || {
    ///     Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(0.01))
    ///         .validate(&iris.test)
    ///         .record(train::RunDirectory::new(&run))
    ///         .quiet()
    /// };
    /// trainer().run(&iris.train.batched(20), epochs(2))?;
    /// let more = trainer().resume_from(&run, &iris.train.batched(20), epochs(5))?;
    /// assert_eq!(more.history.len(), 5);
    ///
    /// let files = train::RunFiles::read(&run);
    /// assert_eq!(files.record.map(|record| record.sessions.len()), Some(2));
    /// # std::fs::remove_dir_all(&run)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn record(self, directory: RunDirectory) -> Self {
        let interrupts = directory.interrupts();
        let (lock, log, description, checkpoints) =
            directory.handlers(self.settings.model.as_ref());
        let mut this = self;
        if interrupts {
            // The user may have added it, too.
            this.settings.handlers.add_default(Interrupt);
        }
        this.handler(lock).handler(log).handler(description).handler(checkpoints)
    }
}
