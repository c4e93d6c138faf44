//! Events of training, and the answers of handlers.

use neurax_tensor::Result;

/// A point in a training run at which handlers are called: see
/// [`Trainer::on`](crate::Trainer::on). With [`Event::when`], only at some of them.
///
/// A run of two epochs of two batches has the events
///
/// ```text
/// Started
///   EpochStarted  BatchStarted BatchEnded  BatchStarted BatchEnded  EpochEnded
///   EpochStarted  BatchStarted BatchEnded  BatchStarted BatchEnded  EpochEnded
/// Completed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Before the first epoch; the variables are initialized. Also when a run is resumed.
    Started,
    /// Before the first batch of an epoch; not if an epoch is resumed after a batch.
    EpochStarted,
    /// Before a call of the compiled step, which is one training step by default: see
    /// [`Trainer::steps_per_call`](crate::Trainer::steps_per_call).
    BatchStarted,
    /// After a call of the compiled step, one training step by default; loss and metrics include
    /// it.
    BatchEnded,
    /// After an evaluation of the validation sets inside of an epoch, and before the `BatchEnded`
    /// of its step: see [`Trainer::validate_every`](crate::Trainer::validate_every). The scores are
    /// in [`State::validation`](crate::State). The evaluation after an epoch belongs to
    /// `EpochEnded`.
    Validated,
    /// After an epoch that ended before its last batch or before its validation, and before
    /// `EpochEnded`.
    EpochHalted,
    /// After the last batch of an epoch and its validation.
    EpochEnded,
    /// After a handler stopped training, and before `Completed`.
    Halted,
    /// After the last epoch, or after a handler stopped training.
    Completed,
    /// After an error that ends training, with the last valid state. The answers of handlers are
    /// ignored, and their errors are printed as warnings.
    Failed,
}

impl Event {
    /// Returns true if an answer [`Flow::StopEpoch`] at this event ends an epoch.
    pub(crate) fn is_inside_epoch(self) -> bool {
        use Event::*;
        matches!(self, EpochStarted | BatchStarted | Validated | BatchEnded)
    }
}

/// The decision of a handler to continue or to stop. Of the answers of several handlers, the
/// largest counts: `Stop` is larger than `StopEpoch`.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let set = Dataset::new(Tensor::ones([6, 1]), Tensor::ones([6, 1]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let short = |s: &mut State| if s.batch == 2 { Flow::StopEpoch } else { Flow::Continue };
/// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
/// let trained = trainer.on(Event::BatchEnded, short).run(&set.batched(1), epochs(3))?;
/// assert_eq!((trained.step, trained.history.len()), (6, 3));
/// assert!(trained.history[0].halted);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flow {
    /// Training continues.
    Continue,
    /// The epoch ends here and is logged as halted; training continues with the next one.
    StopEpoch,
    /// Training ends here, as if this had been the last step.
    Stop,
}

/// A return value of a handler: nothing, a [`Flow`], or a `Result` of one of these.
#[diagnostic::on_unimplemented(
    message = "expected a handler that returns nothing, a Flow, or a Result of one of these, \
               got `{Self}`"
)]
pub trait IntoFlow {
    /// Converts the value to a [`Flow`].
    ///
    /// # Errors
    /// The error of the handler; it ends training.
    fn flow(self) -> Result<Flow>;
}

impl IntoFlow for () {
    fn flow(self) -> Result<Flow> {
        Ok(Flow::Continue)
    }
}

impl IntoFlow for Flow {
    fn flow(self) -> Result<Flow> {
        Ok(self)
    }
}

impl<T: IntoFlow> IntoFlow for Result<T> {
    fn flow(self) -> Result<Flow> {
        self?.flow()
    }
}
