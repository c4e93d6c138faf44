//! The state of a training run.

use crate::epoch_so_far::EpochSoFar;
use crate::measure::LOSS;
use crate::program_record::ProgramRecord;
use crate::{HandlerMemories, HandlerMemory, Scores, Status};
use neurax_nn::{OptState, Optim, Vars};
use neurax_tensor::{Key, Result};

/// The complete state of a training run between two steps. Handlers see and may change it, and a
/// failed run returns it. [`State::save`] writes it to a folder;
/// [`Trainer::resume_exactly`](crate::Trainer::resume_exactly) and
/// [`Trainer::resume_from`](crate::Trainer::resume_from) continue from it with the next batch.
///
/// # Layout
///
/// A state is a [`Tree`](neurax_tensor::Tree). Its leaves are all tensors on which the next step
/// depends, with the paths that they have in the file `tensors.safetensors` of a saved state:
///
/// | path | tensors |
/// |---|---|
/// | `vars.params.LAYER.NAME` | the parameters |
/// | `vars.state.LAYER.NAME` | the state of the model |
/// | `optimizer.slots.RULE.SLOT.PARAMETER` | the state of the optimizer |
/// | `optimizer.step`, `optimizer.starts` | its numbers of steps |
/// | `key` | the random key of the next step |
/// | `epoch.all.SCORE.PART`, `epoch.examples` | the totals of the epoch so far |
/// | `handlers.HANDLER.NAME` | what handlers keep in their [memory](State::memory) |
///
/// All else is static: the counts, of which `batch` is the position in the data, the scores, the
/// history, the status, and the numbers and texts of handlers. As an argument of `jit`, a state of
/// another step is another program: a function takes the parts that it needs.
///
/// ```
/// use neurax::prelude::*;
/// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let best = train::EarlyStopping::new(train::lowest("loss")).restore_best();
/// let trainer = Trainer::new(&model, loss::mse, optim::momentum(0.1, 0.9)).handler(best).quiet();
/// let once = Event::EpochEnded.when(train::once(1).epochs());
/// let paths = |state: &mut State| {
///     let paths: Vec<String> = state.leaves().into_iter().map(|(path, _)| path).collect();
///     assert_eq!(
///         paths,
///         [
///             "vars.params.dense.bias",
///             "vars.params.dense.kernel",
///             "optimizer.step",
///             "optimizer.slots.0.momentum.0",
///             "optimizer.slots.0.momentum.1",
///             "optimizer.slots.1.rate.0",
///             "optimizer.starts",
///             "key",
///             "epoch.all.0.0",
///             "epoch.examples",
///             "handlers.early_stopping.vars.params.dense.bias",
///             "handlers.early_stopping.vars.params.dense.kernel",
///         ]
///     );
/// };
/// trainer.on(once, paths).run(&set.batched(2), epochs(2))?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct State {
    /// The index of the current epoch, from 0. Progress lines and errors count from 1.
    pub epoch: usize,
    /// The number of completed batches in this epoch: the position in the data.
    pub batch: usize,
    /// The number of completed steps in all epochs.
    pub step: usize,
    /// The mean loss over the examples of this epoch so far, without those of skipped steps whose
    /// loss was not finite: see [`EpochLog::skipped`]. It is current at `BatchEnded` and
    /// `EpochEnded`, and NaN before the first example.
    pub loss: f64,
    /// The mean metrics over the examples of this epoch so far, current when the loss is.
    pub metrics: Scores,
    /// The last loss and metrics on the validation sets: those after the last epoch, or of
    /// [`Trainer::validate_every`](crate::Trainer::validate_every). Empty without a validation set.
    pub validation: Scores,
    /// The parameters and the state of the model.
    pub vars: Vars,
    /// The state of the optimizer.
    pub opt: OptState,
    /// The random key of the next step.
    pub key: Key,
    /// The logs of the completed epochs.
    pub history: Vec<EpochLog>,
    /// The reason for which the run ended, or [`Status::Running`].
    pub status: Status,
    /// The memory of the handlers by name: see [`State::memory`].
    pub handlers: HandlerMemories,
    /// The running totals of the epoch.
    pub(crate) so_far: EpochSoFar,
    /// True in a run of [`Trainer::fast_dev_run`](crate::Trainer::fast_dev_run), of which no state
    /// is kept.
    pub(crate) is_trial: bool,
    /// True in a run of [`Trainer::run`](crate::Trainer::run), which continues no other one.
    pub(crate) is_new: bool,
    /// The size of the whole run.
    pub(crate) plan: RunPlan,
    /// The optimizer, which knows the learning rate; `None` before the run and in a custom
    /// training.
    pub(crate) optim: Option<Optim>,
    /// The program that trains.
    pub(crate) program: ProgramRecord,
}

/// The facts of a whole run that are known when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunPlan {
    /// The number of epochs; `None` if training is unlimited.
    pub epochs: Option<usize>,
    /// The number of batches of an epoch.
    pub batches: Option<usize>,
    /// The names of the scores in training.
    pub trained_scores: Vec<String>,
    /// The names of the scores on the validation sets.
    pub validated_scores: Vec<String>,
    /// True if a mean of the weights becomes the result.
    pub is_averaged: bool,
}

/// The log of a completed epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochLog {
    /// The index of the epoch, from 0. Its progress line counts from 1.
    pub epoch: usize,
    /// The loss and the metrics during training, without the examples of skipped steps whose loss
    /// was not finite; NaN if these were all.
    pub train: Scores,
    /// The loss and the metrics on the validation sets after the epoch. Those of a set that
    /// [`Trainer::validate_on`](crate::Trainer::validate_on) named begin with its name:
    /// `night loss`.
    pub validation: Scores,
    /// The number of training examples, those of skipped steps among them.
    pub examples: usize,
    /// The number of steps that the optimizer skipped, since a gradient was not finite: see
    /// [`Optim::non_finite`](neurax_nn::Optim::non_finite).
    pub skipped: usize,
    /// True if the epoch ended before its last batch or before its validation.
    pub halted: bool,
    /// The duration of training in seconds, without validation. Of an epoch that was interrupted
    /// and resumed, the time of both parts.
    pub seconds: f64,
}

impl State {
    /// Creates the state before the first step.
    pub fn new(vars: Vars, opt: OptState, key: Key) -> State {
        let (metrics, validation) = (Scores::default(), Scores::default());
        State {
            epoch: 0,
            batch: 0,
            step: 0,
            loss: f64::NAN,
            metrics,
            validation,
            vars,
            opt,
            key,
            history: Vec::new(),
            status: Status::Running,
            handlers: HandlerMemories::default(),
            so_far: EpochSoFar::default(),
            is_trial: false,
            is_new: false,
            plan: RunPlan::default(),
            optim: None,
            program: ProgramRecord::default(),
        }
    }

    /// Returns the memory of the handler `name`, which is empty at first. It is a part of the
    /// state: a handler that keeps its counts there counts on after a resume.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let trainer = || Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
    /// let count = |state: &mut State| {
    ///     let memory = state.memory("counter");
    ///     memory.set_number("batches", memory.count("batches") as f64 + 1.0);
    /// };
    /// let first = trainer().on(Event::BatchEnded, count).run(&set.batched(2), epochs(1))?;
    /// let trainer = trainer().on(Event::BatchEnded, count);
    /// let mut both = trainer.resume_exactly(first.state, &set.batched(2), epochs(2))?;
    /// assert_eq!(both.state.memory("counter").count("batches"), 4);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn memory(&mut self, name: &str) -> &mut HandlerMemory {
        self.handlers.entry(name)
    }

    /// Returns the number of epochs of the whole run, or `None` if training is unlimited or has not
    /// started.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([6, 1]), Tensor::ones([6, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let sizes = |s: &mut State| assert_eq!((s.epochs(), s.batches()), (Some(3), Some(2)));
    /// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
    /// trainer.on(Event::Started, sizes).run(&set.batched(3), epochs(3))?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn epochs(&self) -> Option<usize> {
        self.plan.epochs
    }

    /// Returns the number of batches of an epoch, or `None` if the source does not know it or
    /// training has not started.
    pub fn batches(&self) -> Option<usize> {
        self.plan.batches
    }

    /// Returns the learning rate of the last step, or that of the first one before it; `None` if
    /// the optimizer has no rate, or the trainer does not know it, as in a
    /// [`CustomTraining`](crate::CustomTraining). See [`Optim::learning_rate`].
    ///
    /// # Errors
    /// If the schedule or the state of the optimizer carries an error.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let rate = optim::Schedule::new(|step| 0.5 - step * 0.125);
    /// let trainer = Trainer::new(&model, loss::mse, optim::sgd(rate)).quiet();
    /// let trained = trainer.run(&set.batched(2), epochs(1))?;
    /// assert_eq!(trained.learning_rate()?, Some(0.375), "that of the second step");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn learning_rate(&self) -> Result<Option<f64>> {
        let rate = self.optim.as_ref().and_then(|optim| optim.learning_rate(&self.opt));
        rate.map(|rate| rate.item()).transpose()
    }

    /// Returns the loss and the metrics of the epoch so far.
    pub(crate) fn train_scores(&self) -> Scores {
        let metrics = self.metrics.iter().map(|(name, x)| (name.to_string(), x));
        [(LOSS.to_string(), self.loss)].into_iter().chain(metrics).collect()
    }

    /// Returns true if the validation sets were evaluated inside of the epoch after the last step.
    pub(crate) fn is_validated_after_last_step(&self) -> bool {
        self.so_far.validated == Some(self.step)
    }

    /// Removes the log of an epoch inside of which the run stopped, so that a resumed run trains on
    /// the rest of it. The validation scores become those of the epoch before; if the sets were
    /// evaluated inside of the epoch, they stay those of the last evaluation, with which the run
    /// may have stopped.
    pub(crate) fn reopen_epoch(&mut self) {
        if std::mem::take(&mut self.so_far.is_logged_in_part) {
            self.history.pop();
            if self.so_far.validated.is_none() {
                let before = self.history.last().map(|log| log.validation.clone());
                self.validation = before.unwrap_or_default();
            }
        }
    }

    /// Returns true if some batches of the current epoch are done, and the epoch is not logged.
    pub fn is_inside_epoch(&self) -> bool {
        self.batch > 0 && self.epoch == self.history.len()
    }
}
