//! The method of [`Trainer`] that records a run in a directory.

use super::Trainer;
use crate::RunDirectory;
use neurax_nn::Inputs;
use neurax_tensor::Tree;

impl<X: Tree + Inputs + Clone, Y: Tree + Clone> Trainer<X, Y> {
    /// Records the run in a directory: its log, checkpoints and description. Add handlers that
    /// change the result, such as [`EarlyStopping`](crate::EarlyStopping), before it: the
    /// predictions of [`RunDirectory::classify`] are those of the variables when it is called.
    ///
    /// # Errors
    /// Training fails if the directory cannot be written, another program trains in it, or it holds
    /// another run that is not resumed; and before the first step if the names or outputs of
    /// [`RunDirectory::classify`] do not fit. An error of its predictions at the end is a warning.
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
        let (lock, log, description, checkpoints) = directory.handlers(&self.model);
        self.handler(lock).handler(log).handler(description).handler(checkpoints)
    }
}
