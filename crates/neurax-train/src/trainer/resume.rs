//! The methods of [`Trainer`] that continue a run.
//!
//! | method | begins with | `epochs` is the number of |
//! |---|---|---|
//! | `resume` | the first batch of the state's epoch | further epochs |
//! | `resume_exactly` | the batch behind the state's last one | epochs of the whole run |
//! | `resume_from`, `resume_or_run` | the same, of a state in a folder | epochs of the whole run |

use super::{Epochs, Trainer};
use crate::progress::warn;
use crate::saved::steps::newest_state;
use crate::settings::StartPoint;
use crate::{State, TrainError, Trained};
use neurax_data::Source;
use neurax_nn::Inputs;
use neurax_tensor::{Error, Tree};
use std::panic::Location;
use std::path::Path;

impl<X: Tree + Inputs + Clone, Y: Tree + Clone, M> Trainer<X, Y, M> {
    /// Continues training from a state, for `epochs` more epochs. An epoch that was interrupted
    /// begins again, with the first batch; [`Trainer::resume_exactly`] continues with the next one.
    ///
    /// # Errors
    /// As for [`Trainer::run`].
    #[track_caller]
    pub fn resume(
        self,
        state: State,
        data: &(impl Source<X, Y> + ?Sized),
        epochs: Epochs,
    ) -> Result<Trained<X, Y, M>, TrainError> {
        self.start(StartPoint::Restarted(state), data, epochs, Location::caller())
    }

    /// Continues training from a state as if it had not been interrupted: with the batch behind the
    /// last one of the state, also inside an epoch. `epochs` is the number of epochs of the whole
    /// run, those in the history of the state included: a run of 10 epochs that is interrupted is
    /// resumed with `epochs(10)`, and a state that is complete is returned as it is.
    ///
    /// The model, the loss, the optimizer, the metrics and the data must be those of the first run;
    /// the result is then bit for bit that of an undisturbed run, on any number of threads.
    ///
    /// # Errors
    /// As for [`Trainer::run`], and if the state is one of another model, optimizer or list of
    /// metrics; the message lists the differences.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(key(0).normal([8, 2]), key(1).normal([8, 1]))?;
    /// let data = set.shuffled(key(2)).batched(2);
    /// let model = nn::input("x", dims![_, 2]).dropout(0.1).dense(1);
    /// let trainer = || Trainer::new(&model, loss::mse, optim::adam(0.1)).quiet();
    /// let fails = |s: &mut State| match s.step {
    ///     6 => Err(Error::new("disk", "full")),
    ///     _ => Ok(()),
    /// };
    /// let failed = trainer().on(Event::BatchEnded, fails).run(&data, epochs(3)).unwrap_err();
    /// if let Some(state) = failed.state {
    ///     let resumed = trainer().resume_exactly(*state, &data, epochs(3))?;
    ///     let undisturbed = trainer().run(&data, epochs(3))?;
    ///     assert_eq!(resumed.history[1].train, undisturbed.history[1].train);
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn resume_exactly(
        self,
        state: State,
        data: &(impl Source<X, Y> + ?Sized),
        epochs: Epochs,
    ) -> Result<Trained<X, Y, M>, TrainError> {
        self.start(StartPoint::Resumed(state), data, epochs, Location::caller())
    }

    /// Continues training from a folder of [`State::save`], or from the newest state in the
    /// directory of [`Checkpoints`](crate::Checkpoints), as [`Trainer::resume_exactly`] does. If
    /// the newest one is damaged, a warning is printed and the one before is used.
    ///
    /// # Errors
    /// As for [`Trainer::resume_exactly`], and if there is no state, or none that can be read.
    #[track_caller]
    pub fn resume_from(
        self,
        directory: impl AsRef<Path>,
        data: &(impl Source<X, Y> + ?Sized),
        epochs: Epochs,
    ) -> Result<Trained<X, Y, M>, TrainError> {
        let (directory, at) = (directory.as_ref(), Location::caller());
        let state = saved_state(directory, at)?.ok_or_else(|| {
            let why = format!(
                "expected a saved state or checkpoints in {}, got none; `resume_or_run` starts \
                 a new run then",
                directory.display()
            );
            TrainError::before_start(Error::new("resume", why), at)
        })?;
        self.start(StartPoint::Resumed(state), data, epochs, at)
    }

    /// Continues training as [`Trainer::resume_from`] does if there is a saved state, and starts it
    /// as [`Trainer::run`] does otherwise: for programs that are restarted after a crash with the
    /// same command.
    ///
    /// # Errors
    /// As for [`Trainer::resume_from`], without the error of no state.
    #[track_caller]
    pub fn resume_or_run(
        self,
        directory: impl AsRef<Path>,
        data: &(impl Source<X, Y> + ?Sized),
        epochs: Epochs,
    ) -> Result<Trained<X, Y, M>, TrainError> {
        let at = Location::caller();
        let start = match saved_state(directory.as_ref(), at)? {
            Some(state) => StartPoint::Resumed(state),
            None => StartPoint::Repeated,
        };
        self.start(start, data, epochs, at)
    }
}

/// Returns the newest state of a directory, and prints warnings of those that are damaged.
fn saved_state(
    directory: &Path,
    at: &'static Location<'static>,
) -> Result<Option<State>, TrainError> {
    let (state, warnings) = newest_state(directory).map_err(|e| TrainError::before_start(e, at))?;
    warnings.iter().for_each(|message| warn(message));
    Ok(state)
}
