//! The training loop: a fold over epochs and batches.

use crate::error::Phase;
use crate::event::{Event, Flow, Handlers, IntoFlow};
use crate::program::{
    EvaluateFn, LOSS, Measure, Objective, StepCarry, StepFn, Totals, check_evaluation, evaluate_fn,
    examples, step_fn,
};
use crate::progress::Progress;
use crate::{EpochLog, NonFiniteLoss, Scores, State, TrainError, Trained, non_finite};
use neurax_data::{Batch, Batches, Source};
use neurax_nn::{Applied, Inputs, Metric, Model, Optim, Vars};
use neurax_tensor::ir::Origin;
use neurax_tensor::{Error, Failed, Key, Place, Result, Tensor, Tree, TypeSpec, key};
use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

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
    model: Model,
    optim: Optim,
    /// The loss, then the metrics.
    measures: Vec<Measure<X, Y>>,
    validation: Option<Validation<X, Y>>,
    handlers: Handlers,
    key: Key,
    vars: Option<Vars>,
    non_finite_loss: NonFiniteLoss,
    quiet: bool,
}

/// A validation set and the user's line that set it.
struct Validation<X: Tree, Y: Tree> {
    data: Batches<X, Y>,
    at: &'static Location<'static>,
}

impl<X: Tree + Inputs + Clone> Trainer<X, Tensor> {
    /// Creates a trainer of a model (or of the node that is its output) with a loss of
    /// `(&prediction, &target)`, e.g. one of `neurax_nn::loss` or a closure.
    #[track_caller]
    pub fn new(
        model: impl Into<Model>,
        loss: impl Fn(&Tensor, &Tensor) -> Tensor + Send + Sync + 'static,
        optim: Optim,
    ) -> Self {
        Trainer::objective(model, move |out, batch| loss(out.y(), &batch.y), optim)
    }

    /// Adds a metric. It is computed during training and on the validation set.
    #[track_caller]
    pub fn metric(self, metric: Metric) -> Self {
        let name = metric.name().to_string();
        self.measure(&name, move |out, batch| metric.measure(out.y(), &batch.y))
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
        let trainer = Trainer {
            model: model.into(),
            optim,
            measures: Vec::new(),
            validation: None,
            handlers: Handlers::default(),
            key: key(0),
            vars: None,
            non_finite_loss: NonFiniteLoss::default(),
            quiet: false,
        };
        trainer.measure(LOSS, loss)
    }

    /// Adds a metric called `name`: a function of all outputs of the model and the whole batch that
    /// returns the mean over the batch.
    #[track_caller]
    pub fn measure(
        mut self,
        name: &str,
        of: impl Fn(&Applied, &Batch<X, Y>) -> Tensor + Send + Sync + 'static,
    ) -> Self {
        let of: Objective<X, Y> = Arc::new(of);
        self.measures.push(Measure { name: name.into(), of, at: Location::caller() });
        self
    }

    /// Sets the validation set, on which the loss and the metrics are computed after each epoch. A
    /// data set without batches is evaluated in batches of 256 examples. That it fits the model is
    /// checked before the first step.
    #[track_caller]
    pub fn validate(self, data: impl Into<Batches<X, Y>>) -> Self {
        let at = Location::caller();
        Trainer { validation: Some(Validation { data: data.into(), at }), ..self }
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
    /// let trainer = Trainer::new(&model, |y, _| y.mean(..) / 0.0, optim::sgd(0.1))
    ///     .non_finite_loss(train::NonFiniteLoss::Stop)
    ///     .quiet();
    /// let stopped = trainer.run(&set.batched(2), epochs(9));
    /// assert_eq!(stopped.unwrap_err().state.map(|s| s.step), Some(1));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn non_finite_loss(self, choice: NonFiniteLoss) -> Self {
        Trainer { non_finite_loss: choice, ..self }
    }

    /// Adds a handler: `f` is called at each `event` with the state, which it may change. It
    /// returns nothing, a [`Flow`], or a `Result` of one of these.
    ///
    /// The closure is `'static`: to pass data out of it, use an `Arc` or a channel.
    pub fn on<R: IntoFlow>(
        mut self,
        event: Event,
        f: impl FnMut(&mut State) -> R + Send + 'static,
    ) -> Self {
        self.handlers.add(event, f);
        self
    }

    /// Sets the random key for initial values and dropout. The default is `key(0)`.
    pub fn key(self, key: Key) -> Self {
        Trainer { key, ..self }
    }

    /// Sets the variables to start from; by default they are initialized.
    pub fn vars(self, vars: Vars) -> Self {
        Trainer { vars: Some(vars), ..self }
    }

    /// Disables progress output.
    pub fn quiet(self) -> Self {
        Trainer { quiet: true, ..self }
    }

    /// Initializes the variables and trains for `epochs` epochs.
    ///
    /// # Errors
    /// If a batch or the validation set does not fit the model or is empty, an epoch has no
    /// batches, a handler fails, or a device fails. The error holds the state before the failed
    /// step. With [`NonFiniteLoss::Stop`] or `NonFinite::Fail` of the optimizer, also if the loss
    /// or a gradient is not finite.
    #[track_caller]
    pub fn run(
        self,
        data: &(impl Source<X, Y> + ?Sized),
        epochs: Epochs,
    ) -> Result<Trained<X, Y>, TrainError> {
        let at = Place::from(Location::caller());
        let state = self.start(data).map_err(|error| failed(error.at(&at), None, Phase::Start))?;
        self.resume(state, data, epochs)
    }

    /// Continues training from a state, for `epochs` more epochs.
    ///
    /// # Errors
    /// As for [`Trainer::run`].
    #[track_caller]
    pub fn resume(
        self,
        state: State,
        data: &(impl Source<X, Y> + ?Sized),
        epochs: Epochs,
    ) -> Result<Trained<X, Y>, TrainError> {
        let at = Place::from(Location::caller());
        let Trainer { model, optim, measures, validation, handlers, quiet, .. } = self;
        let last = state.history.len().saturating_add(epochs.0);
        let mut run = TrainingRun {
            fails_on_gradients: optim.fails_on_non_finite(),
            step: step_fn(model.clone(), measures.clone(), optim),
            evaluate: evaluate_fn(model.clone(), measures.clone()),
            progress: Progress::new(quiet, last, data.batches()),
            measures,
            validation,
            handlers,
            non_finite_loss: self.non_finite_loss,
            phase: Phase::Start,
            state: Some(state),
        };
        let outcome = run.all(data, last);
        run.progress.finish();
        match (outcome, run.state) {
            (Ok(()), Some(state)) => {
                Ok(Trained { model, state, measures: run.measures, evaluate: run.evaluate })
            }
            (Ok(()), None) => Err(failed(lost(), None, run.phase)),
            (Err(error), state) => Err(failed(error.at(&at), state, run.phase)),
        }
    }

    /// Creates the state before the first step. The first batch determines the types of the inputs.
    fn start(&self, data: &(impl Source<X, Y> + ?Sized)) -> Result<State> {
        let [init, steps] = self.key.split();
        let vars = match &self.vars {
            Some(vars) => vars.clone(),
            None => {
                let why = "expected at least one batch to train on, got none";
                let batch = data.epoch(0).next().ok_or_else(|| Error::new("train", why))?;
                self.init(init, batch)?
            }
        };
        let opt = self.optim.init(&vars.params);
        Ok(State::new(vars, opt, steps))
    }

    fn init(&self, key: Key, batch: Batch<X, Y>) -> Result<Vars> {
        let inputs =
            batch.x.inputs().into_iter().map(|(name, x)| Ok((name, TypeSpec::from(&x.ty()?))));
        self.model.init_named(key, inputs.collect::<Result<_>>()?)
    }
}

/// A training run in progress.
struct TrainingRun<X: Tree, Y: Tree> {
    step: StepFn<X, Y>,
    evaluate: EvaluateFn<X, Y>,
    measures: Vec<Measure<X, Y>>,
    validation: Option<Validation<X, Y>>,
    handlers: Handlers,
    progress: Progress,
    /// True if a gradient that is not finite ends training.
    fails_on_gradients: bool,
    /// The choice for a loss that is not finite; `Ignore` after the warning.
    non_finite_loss: NonFiniteLoss,
    /// The part of the run in progress, for the message of an error.
    phase: Phase,
    /// `None` only after a device failed during a step.
    state: Option<State>,
}

/// The running totals of an epoch.
struct EpochTotals {
    measures: Totals,
    examples: usize,
    start: Instant,
}

impl<X: Tree + Inputs + Clone, Y: Tree + Clone> TrainingRun<X, Y> {
    fn all(&mut self, data: &(impl Source<X, Y> + ?Sized), last: usize) -> Result<()> {
        self.check_validation()?;
        self.phase = Phase::Step;
        let mut flow = self.notify(Event::Started)?;
        while flow == Flow::Continue && self.state()?.history.len() < last {
            flow = self.epoch(data)?;
        }
        self.notify(Event::Completed)?;
        Ok(())
    }

    fn epoch(&mut self, data: &(impl Source<X, Y> + ?Sized)) -> Result<Flow> {
        let state = self.state()?;
        state.epoch = state.history.len();
        (state.batch, state.loss) = (0, f64::NAN);
        let epoch = state.epoch;
        self.progress.epoch(epoch);
        let mut flow = self.notify(Event::EpochStarted)?;
        let measures = Totals::new(self.measures.len());
        let mut totals = EpochTotals { measures, examples: 0, start: Instant::now() };
        for batch in data.epoch(epoch) {
            if flow == Flow::Stop {
                break;
            }
            flow = self.batch(batch, &mut totals)?;
        }
        if totals.examples == 0 {
            return self.without_examples(epoch, flow);
        }
        self.finish_epoch(epoch, totals)?;
        Ok(if self.notify(Event::EpochEnded)? == Flow::Stop { Flow::Stop } else { flow })
    }

    fn batch(&mut self, batch: Batch<X, Y>, totals: &mut EpochTotals) -> Result<Flow> {
        if self.notify(Event::BatchStarted)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        let examples = examples(&batch)?;
        self.advance(batch, totals)?;
        totals.examples += examples;
        self.progress.advance();
        self.check_loss(totals)?;
        if self.progress.is_due() || self.handlers.has(Event::BatchEnded) {
            self.update_scores(totals)?;
            let seconds = totals.start.elapsed().as_secs_f64();
            let State { loss, metrics, .. } = self.state.as_ref().ok_or_else(lost)?;
            self.progress.show(*loss, metrics, totals.examples, seconds);
        }
        self.notify(Event::BatchEnded)
    }

    /// Runs one step. All of the state is donated to it; if the step fails before it runs, the
    /// state is returned unchanged.
    fn advance(&mut self, batch: Batch<X, Y>, totals: &mut EpochTotals) -> Result<()> {
        let skipped = self.non_finite_steps()?;
        let mut state = self.state.take().ok_or_else(lost)?;
        let carry = StepCarry {
            vars: std::mem::take(&mut state.vars),
            opt: std::mem::take(&mut state.opt),
            key: std::mem::replace(&mut state.key, key(0)),
            totals: std::mem::replace(&mut totals.measures, Totals::new(0)),
        };
        let (carry, outcome) = match self.step.try_run((carry, batch)) {
            Ok(carry) => {
                state.step += 1;
                state.batch += 1;
                (carry, Ok(()))
            }
            Err(Failed { error, args: Some((carry, _)) }) => (carry, Err(error)),
            Err(Failed { error, args: None }) => return Err(error),
        };
        (state.vars, state.opt, state.key, totals.measures) =
            (carry.vars, carry.opt, carry.key, carry.totals);
        self.state = Some(state);
        outcome?;
        self.check_gradients(skipped)
    }

    /// Returns the number of steps that the optimizer skipped, if that ends training.
    fn non_finite_steps(&self) -> Result<Option<usize>> {
        let state = self.state.as_ref().filter(|_| self.fails_on_gradients);
        state.map_or(Ok(None), |s| s.opt.non_finite_steps())
    }

    /// Checks that the optimizer did not skip the last step; `before` is the count before it.
    fn check_gradients(&mut self, before: Option<usize>) -> Result<()> {
        if self.non_finite_steps()? == before {
            return Ok(());
        }
        let state = self.state()?;
        state.step -= 1;
        state.batch -= 1;
        let why = "expected finite gradients, got NaN or an infinity; the parameters are those \
                   before the step";
        Err(Error::new("train", why))
    }

    /// Checks that the loss is finite.
    fn check_loss(&mut self, totals: &EpochTotals) -> Result<()> {
        if self.non_finite_loss == NonFiniteLoss::Ignore {
            return Ok(());
        }
        let loss = totals.measures.loss()?;
        if loss.is_finite() {
            return Ok(());
        }
        let error = non_finite::error(loss, self.state()?);
        if self.non_finite_loss == NonFiniteLoss::Stop {
            return Err(error);
        }
        self.non_finite_loss = NonFiniteLoss::Ignore;
        self.progress.warn(error.message());
        Ok(())
    }

    /// Checks that the first batch of the validation set fits the model.
    fn check_validation(&mut self) -> Result<()> {
        let Some(Validation { data, at }) = &self.validation else { return Ok(()) };
        self.phase = Phase::Validation;
        let vars = &self.state.as_ref().ok_or_else(lost)?.vars;
        let batch = data.epoch(0).next().ok_or_else(nothing_to_evaluate);
        batch
            .and_then(|b| examples(&b).map(|_| b))
            .and_then(|b| check_evaluation(&self.evaluate, vars, self.measures.len(), b))
            .map_err(|e| moved_to(e, at))
    }

    /// Ends an epoch without a training step, which has no means: it is not logged if a handler
    /// stopped it, and otherwise an error.
    fn without_examples(&self, epoch: usize, flow: Flow) -> Result<Flow> {
        match flow {
            Flow::Stop => Ok(flow),
            Flow::Continue => {
                let why = format!("expected at least one batch in epoch {epoch}, got none");
                Err(Error::new("train", why))
            }
        }
    }

    /// Updates the loss and the metrics of the state.
    fn update_scores(&mut self, totals: &EpochTotals) -> Result<Scores> {
        let scores = totals.measures.means(&self.measures, totals.examples)?;
        let state = self.state()?;
        state.loss = scores[LOSS];
        state.metrics = scores.iter().skip(1).map(|(n, x)| (n.to_string(), x)).collect();
        Ok(scores)
    }

    /// Ends an epoch: computes the means and the validation scores, and appends the log.
    fn finish_epoch(&mut self, epoch: usize, totals: EpochTotals) -> Result<()> {
        let train = self.update_scores(&totals)?;
        let seconds = totals.start.elapsed().as_secs_f64();
        let validation = self.validation_scores()?;
        let log = EpochLog {
            epoch,
            train,
            validation: validation.clone(),
            examples: totals.examples,
            seconds,
        };
        self.progress.line(&log);
        let state = self.state()?;
        state.validation = validation;
        state.history.push(log);
        Ok(())
    }

    /// Returns the scores on the validation set.
    fn validation_scores(&mut self) -> Result<Scores> {
        let Some(Validation { data, at }) = &self.validation else {
            return Ok(Scores::default());
        };
        self.phase = Phase::Validation;
        let vars = &self.state.as_ref().ok_or_else(lost)?.vars;
        let scores = evaluate(&self.evaluate, &self.measures, vars, data);
        let scores = scores.map_err(|e| moved_to(e, at))?;
        self.phase = Phase::Step;
        Ok(scores)
    }

    fn notify(&mut self, event: Event) -> Result<Flow> {
        let state = self.state.as_mut().ok_or_else(lost)?;
        self.handlers.call(event, state)
    }

    fn state(&mut self) -> Result<&mut State> {
        self.state.as_mut().ok_or_else(lost)
    }
}

fn failed(error: Error, state: Option<State>, phase: Phase) -> TrainError {
    TrainError { error, state: state.map(Box::new), phase }
}

/// Returns `e` with the source line `at` instead of that of the model or the loss: they
/// fit the training data, so that the mistake is in the validation set.
fn moved_to(e: Error, at: &'static Location<'static>) -> Error {
    let origin = Origin { place: Place::from(at), ..e.origin().clone() };
    Error::new(e.op(), e.message()).at_origin(&origin)
}

fn nothing_to_evaluate() -> Error {
    Error::new("train", "expected at least one example to evaluate, got none")
}

fn lost() -> Error {
    Error::new("train", "the state was lost because a device failed during a step")
}

/// Computes the loss and the metrics over all batches of `data`.
pub(crate) fn evaluate<X: Tree + Inputs, Y: Tree>(
    evaluate: &EvaluateFn<X, Y>,
    measures: &[Measure<X, Y>],
    vars: &Vars,
    data: &(impl Source<X, Y> + ?Sized),
) -> Result<Scores> {
    let (mut totals, mut count) = (Totals::new(measures.len()), 0);
    for batch in data.epoch(0) {
        count += examples(&batch)?;
        totals = evaluate.run((vars.clone(), totals, batch))?;
    }
    if count == 0 {
        return Err(nothing_to_evaluate());
    }
    totals.means(measures, count)
}
