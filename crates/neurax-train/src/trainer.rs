//! [`Trainer`]: the builder of a training run.

mod resume;

use crate::any_batch::SourceOf;
use crate::evaluation::Validation;
use crate::handler::Handlers;
use crate::measure::{LOSS, Measure, Objective};
use crate::settings::{DataLimit, Settings, StartPoint};
use crate::{Handler, IntoFlow, NonFiniteLoss, State, TrainError, Trained, When};
use neurax_data::{Batch, Batches, Source};
use neurax_nn::loss::LossFn;
use neurax_nn::metric::Observed;
use neurax_nn::regularize::Penalty;
use neurax_nn::{Applied, Inputs, Metric, Model, Optim, Vars};
use neurax_tensor::{Key, Tensor, Tree, key};
use std::marker::PhantomData;
use std::panic::Location;

/// A number of epochs to train for: see [`epochs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs(pub(crate) usize);

/// Trains for `n` epochs, passes through the data. With `usize::MAX`, training continues until a
/// handler stops it. With 0, the variables stay initial, the loss is NaN and the history empty.
pub fn epochs(n: usize) -> Epochs {
    Epochs(n)
}

/// A builder of a training run: a model, a loss and an optimizer, with optional metrics, validation
/// set and handlers.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let iris = data::iris()?.split(0.8, key(0));
/// let model = nn::input("flower", dims![_, 4]).dense(16).tanh().dense(3).softmax();
/// let trained = Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(0.02))
///     .metric(metric::accuracy())
///     .validate(&iris.test)
///     .on(Event::EpochEnded, |state| if state.loss < 0.1 { Flow::Stop } else { Flow::Continue })
///     .quiet()
///     .run(&iris.train.shuffled(key(1)).batched(20), epochs(40))?;
/// assert!(trained.validation["accuracy"] > 0.8);
/// # Ok::<(), Error>(())
/// ```
#[must_use = "training starts with `run`"]
pub struct Trainer<X: Tree = Tensor, Y: Tree = Tensor> {
    /// All that does not depend on the types of the batches, so that the training loop is compiled
    /// once and not for each of them.
    settings: Settings,
    types: PhantomData<fn(X, Y)>,
}

impl<X: Tree + Inputs + Clone> Trainer<X, Tensor> {
    /// Creates a trainer of a model (or of the node that is its output) with a loss of
    /// `(&prediction, &target)`: a function of `neurax_nn::loss`, a closure, whose arguments need
    /// their types, or a value.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let _ = Trainer::<Tensor>::new(&model, loss::mse, optim::adam(0.1));
    /// let scaled = |y: &Tensor, t: &Tensor| loss::mse(y, t) * 2.0;
    /// let _ = Trainer::<Tensor>::new(&model, scaled, optim::adam(0.1));
    /// let sum = 0.5 * loss::of(loss::each::mse) + loss::of(loss::each::mae);
    /// let _ = Trainer::<Tensor>::new(&model, sum, optim::adam(0.1));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn new(model: impl Into<Model>, loss: impl LossFn, optim: Optim) -> Self {
        Trainer::objective(model, move |out, batch| loss.loss(out.y(), &batch.y), optim)
    }

    /// Adds a metric of the output and the targets. Its state is updated in the compiled step, so
    /// that its value is that of all examples of an epoch; it is also computed on the validation
    /// set. A metric with one value for each class is listed as `recall[0]`, `recall[1]`, ..
    #[track_caller]
    pub fn metric(self, metric: Metric) -> Self {
        self.metric_of(metric, |out, batch| (out.y().clone(), batch.y.clone()))
    }
}

impl<X: Tree + Inputs + Clone, Y: Tree + Clone> Trainer<X, Y> {
    /// Creates a trainer with a loss of all outputs of the model and the whole batch, for models
    /// with several outputs.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = nn::input("x", dims![_, 2]);
    /// let model = Model::new([("sum", &x.dense(1)), ("difference", &x.dense(1))]);
    /// let inputs = Tensor::from_vec(vec![0.0f32, 1.0, 1.0, 0.0, 1.0, 1.0], [3, 2]);
    /// let targets = (tensor([[1.0], [1.0], [2.0]]), tensor([[-1.0], [1.0], [0.0]]));
    /// let set = Dataset::new(inputs, targets)?;
    /// let objective = |out: &Applied, batch: &data::Batch<Tensor, (Tensor, Tensor)>| {
    ///     loss::mse(&out["sum"], &batch.y.0) + loss::mse(&out["difference"], &batch.y.1)
    /// };
    /// let trainer = Trainer::objective(&model, objective, optim::adam(0.1)).quiet();
    /// let trained = trainer.run(&set.batched(3), epochs(200))?;
    /// assert!(trained.loss < 0.01);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn objective(
        model: impl Into<Model>,
        loss: impl Fn(&Applied, &Batch<X, Y>) -> Tensor + Send + Sync + 'static,
        optim: Optim,
    ) -> Self {
        let settings = Settings {
            model: model.into(),
            optim,
            measures: Vec::new(),
            penalty: Penalty::default(),
            validations: Vec::new(),
            validation_interval: None,
            handlers: Handlers::default(),
            key: key(0),
            vars: None,
            non_finite_loss: NonFiniteLoss::default(),
            data_limit: DataLimit::default(),
            quiet: false,
        };
        Trainer { settings, types: PhantomData }.measure(LOSS, loss)
    }

    /// Adds a penalty of the trained parameters to the loss, in training and on the validation set.
    /// Several penalties add up.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
    /// let trainer = trainer.penalty(nn::regularize::l2("**.kernel", 0.5));
    /// let trained = trainer.run(&set.batched(4), epochs(200))?;
    /// let kernel = trained.vars.params["dense"]["kernel"].item()?;
    /// assert!(kernel.abs() < 0.1, "the bias fits the data");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn penalty(mut self, penalty: Penalty) -> Self {
        let sum = std::mem::take(&mut self.settings.penalty) + penalty;
        self.settings.penalty = sum;
        self
    }

    /// Adds a metric called `name`: a function of all outputs of the model and the whole batch that
    /// returns the mean over the batch.
    #[track_caller]
    pub fn measure(
        mut self,
        name: &str,
        of: impl Fn(&Applied, &Batch<X, Y>) -> Tensor + Send + Sync + 'static,
    ) -> Self {
        let (of, at) = (Objective::mean(of), Location::caller());
        self.settings.measures.push(Measure { name: name.into(), of, at });
        self
    }

    /// Adds a metric of what `of` returns of all outputs of the model and the whole batch:
    /// `(predictions, targets)`, or `(predictions, targets, weights)` with weights of examples or a
    /// bool mask.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(tensor([[0.0], [1.0], [2.0]]), tensor([[0], [1], [1]]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1).sigmoid();
    /// let trained = Trainer::new(&model, loss::binary_cross_entropy, optim::sgd(0.0))
    ///     .metric_of(metric::recall(), |out, batch: &data::Batch| {
    ///         (out.y().clone(), batch.y.clone(), batch.x.lt(1.5))
    ///     })
    ///     .quiet()
    ///     .run(&set.batched(2), epochs(1))?;
    /// assert!([0.0, 1.0].contains(&trained.metrics["recall"]));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn metric_of<O: Into<Observed>>(
        mut self,
        metric: Metric,
        of: impl Fn(&Applied, &Batch<X, Y>) -> O + Send + Sync + 'static,
    ) -> Self {
        let (name, at) = (metric.name().to_string(), Location::caller());
        let of = Objective::metric(metric, of);
        self.settings.measures.push(Measure { name, of, at });
        self
    }

    /// Sets the validation set, on which the loss and the metrics are computed after each epoch. A
    /// data set without batches is evaluated in batches of 256 examples. That it fits the model is
    /// checked before the first step.
    #[track_caller]
    pub fn validate(mut self, data: impl Into<Batches<X, Y>>) -> Self {
        let (data, at) = (Box::new(data.into()), Location::caller());
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
    pub fn validate_on(mut self, name: &str, data: impl Into<Batches<X, Y>>) -> Self {
        let (data, at, name) = (Box::new(data.into()), Location::caller(), Some(name.into()));
        self.settings.validations.push(Validation { name, data, at });
        self
    }

    /// Evaluates the validation sets after every `n` steps, too: handlers of `BatchEnded` see the
    /// scores in [`State::validation`]. The log of an epoch holds those after its last batch.
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
    ///     .on(Event::BatchEnded, good)
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

    /// Sets the variables to start from; by default they are initialized.
    pub fn vars(mut self, vars: Vars) -> Self {
        self.settings.vars = Some(vars);
        self
    }

    /// Disables progress output.
    pub fn quiet(mut self) -> Self {
        self.settings.quiet = true;
        self
    }

    /// Initializes the variables and trains for `epochs` epochs.
    ///
    /// # Errors
    /// If a batch or a validation set does not fit the model or is empty, an epoch has no batches,
    /// a handler or the source fails or panics, or a device fails. The error holds the state before
    /// the failed step. With [`NonFiniteLoss::Stop`] or `NonFinite::Fail` of the optimizer, also if
    /// the loss or a gradient is not finite.
    #[track_caller]
    pub fn run(
        self,
        data: &(impl Source<X, Y> + ?Sized),
        epochs: Epochs,
    ) -> Result<Trained<X, Y>, TrainError> {
        self.start(StartPoint::Initial, data, epochs, Location::caller())
    }

    /// Runs from a start point. `at` is the user's line.
    fn start(
        self,
        start: StartPoint,
        data: &(impl Source<X, Y> + ?Sized),
        epochs: Epochs,
        at: &'static Location<'static>,
    ) -> Result<Trained<X, Y>, TrainError> {
        let data = SourceOf::new(data);
        self.settings.run(start, &data, epochs.0, at).map(Trained::of_any)
    }
}
