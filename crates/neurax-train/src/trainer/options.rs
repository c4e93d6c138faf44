//! The methods of [`Trainer`] for the course of a run: validation, limits, handlers.

use super::Trainer;
use crate::any_batch::{AnySource, SourceOf};
use crate::evaluation::Validation;
use crate::handler::Handlers;
use crate::settings::{DataLimit, Settings};
use crate::{Handler, IntoFlow, NonFiniteLoss, ProgressForm, State, ValidationData, When};
use neurax_nn::Inputs;
use neurax_tensor::{Key, Tree};
use std::panic::Location;

impl<X: Tree + Inputs + Clone, Y: Tree + Clone, M> Trainer<X, Y, M> {
    /// Sets the validation set, on which the loss and the metrics are computed after each epoch: a
    /// data set, which is evaluated in batches of 256 examples, or any source of batches, such as a
    /// stream: see [`ValidationData`]. That it fits the model is checked before the first step.
    #[track_caller]
    pub fn validate<K>(mut self, data: impl ValidationData<X, Y, K>) -> Self {
        let (data, at) = (any_source(data), Location::caller());
        self.settings.validations.retain(|v| v.name.is_some());
        self.settings.validations.insert(0, Validation { name: None, data, at });
        self
    }

    /// Adds a validation set with a name, which its scores begin with: `night loss`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let trained = Trainer::new(&model, loss::mse, optim::sgd(0.1))
    ///     .validate(&set)
    ///     .validate_on("night", &set)
    ///     .quiet()
    ///     .run(&set.batched(2), epochs(2))?;
    /// assert_eq!(trained.validation["night loss"], trained.validation["loss"]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn validate_on<K>(mut self, name: &str, data: impl ValidationData<X, Y, K>) -> Self {
        let (data, at, name) = (any_source(data), Location::caller(), Some(name.into()));
        self.settings.validations.push(Validation { name, data, at });
        self
    }

    /// Evaluates the validation sets after every `n` steps, too: handlers of
    /// [`Event::Validated`](crate::Event::Validated) and `BatchEnded` see the scores in
    /// [`State::validation`]. The log of an epoch holds those after its last batch. Handlers that
    /// compare epochs, such as [`EarlyStopping`](crate::EarlyStopping), compare these evaluations
    /// with [`Goal::every_validation`](crate::Goal::every_validation).
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([6, 1]), Tensor::ones([6, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let good = |s: &mut State| match s.validation["loss"] < 1e-2 {
    ///     true => Flow::Stop,
    ///     false => Flow::Continue,
    /// };
    /// let trained = Trainer::new(&model, loss::mse, optim::sgd(0.1))
    ///     .validate(&set)
    ///     .validate_every(5)
    ///     .on(Event::Validated, good)
    ///     .quiet()
    ///     .run(&set.batched(1), epochs(100))?;
    /// assert_eq!(trained.step % 5, 0);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// Training fails if `n` is 0.
    pub fn validate_every(mut self, n: usize) -> Self {
        self.settings.validation_interval = Some(n);
        self
    }

    /// Trains one step on the first batch and evaluates one batch of each validation set, whatever
    /// number of epochs is asked for: a trial of a whole program, with all its handlers. It starts
    /// with initial variables, also by [`Trainer::resume_from`] and the like, and
    /// [`Checkpoints`](crate::Checkpoints) save nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([6, 1]), Tensor::ones([6, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).validate(&set).quiet();
    /// let trained = trainer.fast_dev_run().run(&set.batched(2), epochs(100))?;
    /// assert_eq!((trained.step, trained.history[0].examples), (1, 2));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fast_dev_run(mut self) -> Self {
        self.settings.data_limit = DataLimit::OneBatch;
        self
    }

    /// Gives each epoch `n` steps: the batches of the epochs of the data follow each other, and
    /// every `n` of them are an epoch of the training, with its log, validation and checkpoint. For
    /// data of which a pass takes hours, or streams without an end.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([6, 1]), Tensor::ones([6, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).steps_per_epoch(4).quiet();
    /// let trained = trainer.run(&set.batched(2), epochs(3))?;
    /// assert_eq!((trained.step, trained.history.len()), (12, 3), "4 passes of 3 batches");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// Training fails if `n` is 0, and if a stream that does not know its number of batches ends
    /// before an epoch does.
    pub fn steps_per_epoch(mut self, n: usize) -> Self {
        self.settings.steps_per_epoch = Some(n);
        self
    }

    /// Trains on the first `n` batches of the first epoch in every epoch: a model that cannot learn
    /// them by heart has a mistake.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(key(0).normal([64, 4]), key(1).normal([64, 1]))?;
    /// let model = nn::input("x", dims![_, 4]).dense(32).tanh().dense(1);
    /// let trainer = Trainer::new(&model, loss::mse, optim::adam(0.01)).quiet();
    /// let trained = trainer.overfit(1).run(&set.shuffled(key(2)).batched(8), epochs(300))?;
    /// assert!(trained.loss < 1e-2);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn overfit(mut self, n: usize) -> Self {
        self.settings.data_limit = DataLimit::Repeated(n);
        self
    }

    /// Sets what happens when the loss of a step is NaN or infinite. By default, one warning is
    /// printed.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let infinite = |y: &Tensor, _: &Tensor| y.mean(..) / 0.0;
    /// let trainer = Trainer::new(&model, infinite, optim::sgd(0.1))
    ///     .non_finite_loss(train::NonFiniteLoss::Stop)
    ///     .quiet();
    /// let stopped = trainer.run(&set.batched(2), epochs(9));
    /// assert_eq!(stopped.unwrap_err().state.map(|s| s.step), Some(1));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn non_finite_loss(mut self, choice: NonFiniteLoss) -> Self {
        self.settings.non_finite_loss = choice;
        self
    }

    /// Adds a handler: `f` is called at each `event` with the state, which it may change. It
    /// returns nothing, a [`Flow`](crate::Flow), or a `Result` of one of these. An event may have a
    /// condition: `Event::BatchEnded.when(every(100).batches())`, see [`every`](crate::every).
    ///
    /// The closure is `'static`: to pass data out of it, use an `Arc` or a channel.
    pub fn on<R: IntoFlow>(
        mut self,
        event: impl Into<When>,
        f: impl FnMut(&mut State) -> R + Send + 'static,
    ) -> Self {
        self.settings.handlers.add(event.into(), f);
        self
    }

    /// Adds a handler with a name, such as [`EarlyStopping`](crate::EarlyStopping) or
    /// [`Checkpoints`](crate::Checkpoints). At an event, handlers are called in the order in which
    /// they were added; those that save the state are called last.
    pub fn handler(mut self, handler: impl Handler) -> Self {
        self.settings.handlers.add_named(handler);
        self
    }

    /// Sets the random key for initial values and dropout. The default is `key(0)`.
    pub fn key(mut self, key: Key) -> Self {
        self.settings.key = key;
        self
    }

    /// Runs up to `n` steps in one call of a compiled program, so that the costs of a call and of
    /// selecting a batch are paid once. The rows of a data set in memory are selected inside of the
    /// program; batches of other sources are collected and stacked. With `usize::MAX`, an epoch is
    /// one call.
    ///
    /// The weights are those of single steps. A call ends
    ///
    /// - at multiples of `n` batches of an epoch, and at its end,
    /// - before a batch of another size, such as a smaller last one,
    /// - at the batches that filters of handlers name: `every(n)`, `once(n)` and `first()` with
    ///   `.batches()`, so that these see the state after exactly this batch,
    /// - at the steps of [`Trainer::validate_every`].
    ///
    /// [`Event::BatchStarted`](crate::Event::BatchStarted) and `BatchEnded` are before and after a
    /// call: handlers without such a filter see the state after its last batch alone, and the
    /// answers of all take effect after it. A loss that is not finite is noticed after the call.
    /// Each number of batches in a call is another program, which is compiled once. If a gradient
    /// that is not finite ends training (`NonFinite::Fail`), a call has one step, since the error
    /// holds the state before it.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use std::sync::{Arc, Mutex};
    /// let set = Dataset::new(key(0).normal([20, 4]), key(1).normal([20, 1]))?;
    /// let model = nn::input("x", dims![_, 4]).dense(8).tanh().dense(1);
    /// let trainer = || Trainer::new(&model, loss::mse, optim::adam(0.01)).quiet();
    /// let steps = Arc::new(Mutex::new(vec![]));
    /// let seen = steps.clone();
    /// let note = move |s: &mut State| seen.lock().map(|mut all| all.push(s.step)).unwrap_or(());
    /// let calls = trainer()
    ///     .steps_per_call(4)
    ///     .on(Event::BatchEnded, note)
    ///     .on(Event::BatchEnded.when(train::once(6).batches()), |s| assert_eq!(s.step, 6))
    ///     .run(&set.batched(2), epochs(1))?;
    /// assert_eq!(*steps.lock().unwrap_or_else(|e| e.into_inner()), [4, 6, 8, 10]);
    /// let single = trainer().run(&set.batched(2), epochs(1))?;
    /// assert!((calls.loss - single.loss).abs() < 1e-6);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// Training fails if `n` is 0.
    pub fn steps_per_call(mut self, n: usize) -> Self {
        self.settings.steps_per_call = n;
        self
    }

    /// Removes handlers and validation sets, and what ends training at a gradient that is not
    /// finite, for a training whose result is not used.
    pub(crate) fn without_handlers(mut self) -> Self {
        self.settings.handlers = Handlers::default();
        self.settings.validations.clear();
        (self.settings.averaging, self.settings.norms) = (None, None);
        self.settings.may_fail_on_gradients = false;
        (self.settings.data_limit, self.settings.steps_per_call) = (DataLimit::All, 1);
        self
    }

    /// Returns the settings.
    pub(crate) fn into_settings(self) -> Settings {
        self.settings
    }

    /// Sets the form of the progress output. By default it is that of the place to which standard
    /// error goes.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1));
    /// let trainer = trainer.progress(train::ProgressForm::Log); // also in a terminal
    /// trainer.run(&set.batched(2), epochs(2))?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn progress(mut self, form: ProgressForm) -> Self {
        self.settings.progress = form;
        self
    }

    /// Disables progress output: [`ProgressForm::Quiet`].
    pub fn quiet(self) -> Self {
        self.progress(ProgressForm::Quiet)
    }
}

/// Returns the batches of a validation set as those of any types.
fn any_source<X: Tree + Inputs, Y: Tree, K>(
    data: impl ValidationData<X, Y, K>,
) -> Box<dyn AnySource + Send> {
    Box::new(SourceOf::owned(data.into_batches()))
}
