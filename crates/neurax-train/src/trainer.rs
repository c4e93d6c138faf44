//! [`Trainer`]: the builder of a training run.

mod custom;
mod measures;
mod options;
mod profile;
mod record;
mod resume;
mod weighted;

use crate::any_batch::SourceOf;
use crate::measure::Objective;
use crate::settings::{Settings, StartPoint};
use crate::{State, TrainError, Trained};
use neurax_data::{Batch, Source};
use neurax_nn::loss::LossFn;
use neurax_nn::{Applied, Inputs, Metric, Model, Optim};
use neurax_tensor::{Result, Tensor, Tree};
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
///
/// `X` and `Y` are the types of the inputs and targets of a batch, and `M` is what is trained: a
/// [`Model`], or the tree of a [`CustomTraining`](crate::CustomTraining).
#[must_use = "training starts with `run`"]
pub struct Trainer<X: Tree = Tensor, Y: Tree = Tensor, M = Model> {
    /// All that does not depend on the types of the batches, so that the training loop is compiled
    /// once and not for each of them.
    settings: Settings,
    /// The model, or the tree before the first step.
    model: M,
    /// Returns the model of a state.
    of_state: fn(M, &State) -> Result<M>,
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
        Trainer::supervised(model.into(), Objective::mean(loss), optim)
    }

    /// Creates a trainer of a model with a loss.
    #[track_caller]
    fn supervised(model: Model, loss: Objective, optim: Optim) -> Self {
        let settings = Settings::supervised(model.clone(), loss, optim, Location::caller());
        Trainer { settings, model, of_state: |model, _| Ok(model), types: PhantomData }
    }
}

impl<X: Tree + Inputs + Clone, Y: Tree + Clone, M> Trainer<X, Y, M> {
    /// Initializes the variables and trains for `epochs` epochs.
    ///
    /// # Errors
    /// If a batch or a validation set does not fit the model or is empty, an epoch has no batches,
    /// a handler or the source fails or panics, or a device fails. The error holds the state before
    /// the failed call of the compiled step, one step by default. With `NonFiniteLoss::Stop` or
    /// `NonFinite::Fail` of the optimizer, also if the loss or a gradient is not finite.
    #[track_caller]
    pub fn run(
        self,
        data: &(impl Source<X, Y> + ?Sized),
        epochs: Epochs,
    ) -> Result<Trained<X, Y, M>, TrainError> {
        self.start(StartPoint::Initial, data, epochs, Location::caller())
    }

    /// Runs from a start point. `at` is the user's line.
    fn start(
        self,
        start: StartPoint,
        data: &(impl Source<X, Y> + ?Sized),
        epochs: Epochs,
        at: &'static Location<'static>,
    ) -> Result<Trained<X, Y, M>, TrainError> {
        let Trainer { settings, model, of_state, .. } = self;
        let outcome = settings.run(start, &SourceOf::new(data), epochs.0, at)?;
        match of_state(model, &outcome.state) {
            Ok(model) => Ok(Trained::of_any(outcome, model)),
            Err(error) => Err(TrainError::after(error, outcome.state)),
        }
    }
}
