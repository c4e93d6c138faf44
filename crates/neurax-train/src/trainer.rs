//! The loop: a fold over epochs and batches.

use crate::event::{Event, Flow, Handlers, IntoFlow};
use crate::program::{Carry, LOSS, Measure, Measuring, Objective, Step, Totals, measuring, step};
use crate::progress::Progress;
use crate::{EpochLog, Scores, State, TrainError, Trained};
use neurax_data::{Batch, Batches, Source};
use neurax_nn::{Applied, Inputs, Metric, Model, Optim, Vars};
use neurax_tensor::{Error, Failed, Key, Place, Result, Tensor, Tree, TypeSpec, key};
use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

/// How long to train: see [`epochs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs(pub(crate) usize);

/// So many times through the data; `epochs(usize::MAX)` until a handler stops. 0 trains nothing:
/// the variables are the first ones, the loss is NaN, the history empty.
pub fn epochs(n: usize) -> Epochs {
    Epochs(n)
}

/// A training to be run: a model, a loss, an optimizer; and metrics, a validation set, handlers.
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
#[must_use = "nothing is trained before `run`"]
pub struct Trainer<X: Tree = Tensor, Y: Tree = Tensor> {
    model: Model,
    optim: Optim,
    /// The loss, then the metrics.
    measures: Vec<Measure<X, Y>>,
    validation: Option<Batches<X, Y>>,
    handlers: Handlers,
    key: Key,
    vars: Option<Vars>,
    quiet: bool,
}

impl<X: Tree + Inputs + Clone> Trainer<X, Tensor> {
    /// A training of a model (or the node that is its output) with a loss of `(&prediction,
    /// &target)`, e.g. one of `neurax_nn::loss` or a closure.
    #[track_caller]
    pub fn new(
        model: impl Into<Model>,
        loss: impl Fn(&Tensor, &Tensor) -> Tensor + Send + Sync + 'static,
        optim: Optim,
    ) -> Self {
        Trainer::objective(model, move |out, batch| loss(out.y(), &batch.y), optim)
    }

    /// Measures that, too, while training and on the validation set.
    #[track_caller]
    pub fn metric(self, metric: Metric) -> Self {
        let name = metric.name().to_string();
        self.measure(&name, move |out, batch| metric.measure(out.y(), &batch.y))
    }
}

impl<X: Tree + Inputs + Clone, Y: Tree + Clone> Trainer<X, Y> {
    /// A training with a loss of everything that the model gives and everything that the batch
    /// holds: for several outputs.
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
    /// let trained = Trainer::objective(&model, objective, optim::adam(0.1)).quiet().run(&set.batched(3), epochs(200))?;
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
            quiet: false,
        };
        trainer.measure(LOSS, loss)
    }

    /// Measures that, too, of everything that the model gives and everything that the batch holds:
    /// the mean over the batch.
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

    /// Measures loss and metrics on that set after each epoch. A set alone is taken in batches of
    /// 256.
    pub fn validate(self, data: impl Into<Batches<X, Y>>) -> Self {
        Trainer { validation: Some(data.into()), ..self }
    }

    /// Calls `f` at each such moment, with the state, which it may change. It returns nothing, a
    /// [`Flow`], or a `Result` of one.
    ///
    /// The closure lives as long as the training: what it should leave outside goes through an
    /// `Arc` or a channel.
    pub fn on<R: IntoFlow>(
        mut self,
        event: Event,
        f: impl FnMut(&mut State) -> R + Send + 'static,
    ) -> Self {
        self.handlers.add(event, f);
        self
    }

    /// Where all randomness comes from: initial values and dropout. `key(0)` otherwise.
    pub fn key(self, key: Key) -> Self {
        Trainer { key, ..self }
    }

    /// Starts from those variables instead of new ones.
    pub fn vars(self, vars: Vars) -> Self {
        Trainer { vars: Some(vars), ..self }
    }

    /// Shows nothing.
    pub fn quiet(self) -> Self {
        Trainer { quiet: true, ..self }
    }

    /// Trains.
    ///
    /// # Errors
    /// When a batch does not fit the model, a handler fails, or a device does. The error holds the
    /// state before the step that failed.
    #[track_caller]
    pub fn run(
        self,
        data: &(impl Source<X, Y> + ?Sized),
        epochs: Epochs,
    ) -> Result<Trained<X, Y>, TrainError> {
        let at = Place::from(Location::caller());
        let state =
            self.start(data).map_err(|error| TrainError { error: error.at(&at), state: None })?;
        self.resume(state, data, epochs)
    }

    /// Trains on from a state, for so many epochs more.
    ///
    /// # Errors
    /// As [`Trainer::run`].
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
        let mut run = Run {
            step: step(model.clone(), measures.clone(), optim),
            measuring: measuring(model.clone(), measures.clone()),
            progress: Progress::new(quiet, last, data.batches()),
            measures,
            validation,
            handlers,
            state: Some(state),
        };
        let outcome = run.all(data, last);
        run.progress.finish();
        match (outcome, run.state) {
            (Ok(()), Some(state)) => {
                Ok(Trained { model, state, measures: run.measures, measuring: run.measuring })
            }
            (Ok(()), None) => Err(TrainError { error: lost(), state: None }),
            (Err(error), state) => {
                Err(TrainError { error: error.at(&at), state: state.map(Box::new) })
            }
        }
    }

    /// The state before the first step; the first batch tells the types.
    fn start(&self, data: &(impl Source<X, Y> + ?Sized)) -> Result<State> {
        let [init, steps] = self.key.split();
        let vars = match &self.vars {
            Some(vars) => vars.clone(),
            None => {
                let batch = data
                    .epoch(0)
                    .next()
                    .ok_or_else(|| Error::new("train", "there is no batch to train on"))?;
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

/// A training that runs.
struct Run<X: Tree, Y: Tree> {
    step: Step<X, Y>,
    measuring: Measuring<X, Y>,
    measures: Vec<Measure<X, Y>>,
    validation: Option<Batches<X, Y>>,
    handlers: Handlers,
    progress: Progress,
    /// Missing only after a device failed in the middle of a step.
    state: Option<State>,
}

/// Sums of an epoch, and since when.
struct Sums {
    totals: Totals,
    examples: usize,
    since: Instant,
}

impl<X: Tree + Inputs + Clone, Y: Tree + Clone> Run<X, Y> {
    fn all(&mut self, data: &(impl Source<X, Y> + ?Sized), last: usize) -> Result<()> {
        let mut flow = self.tell(Event::Started)?;
        while flow == Flow::Continue && self.state()?.history.len() < last {
            flow = self.epoch(data)?;
        }
        self.tell(Event::Completed)?;
        Ok(())
    }

    fn epoch(&mut self, data: &(impl Source<X, Y> + ?Sized)) -> Result<Flow> {
        let state = self.state()?;
        state.epoch = state.history.len();
        (state.batch, state.loss) = (0, f64::NAN);
        let epoch = state.epoch;
        self.progress.epoch(epoch);
        let mut flow = self.tell(Event::EpochStarted)?;
        let mut sums =
            Sums { totals: Totals::new(self.measures.len()), examples: 0, since: Instant::now() };
        for batch in data.epoch(epoch) {
            if flow == Flow::Stop {
                break;
            }
            flow = self.batch(batch, &mut sums)?;
        }
        self.close(epoch, sums)?;
        Ok(if self.tell(Event::EpochEnded)? == Flow::Stop { Flow::Stop } else { flow })
    }

    fn batch(&mut self, batch: Batch<X, Y>, sums: &mut Sums) -> Result<Flow> {
        if self.tell(Event::BatchStarted)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        let examples = batch.len();
        self.advance(batch, sums)?;
        sums.examples += examples;
        self.progress.advance();
        if self.progress.due() || self.handlers.any(Event::BatchEnded) {
            self.look(sums)?;
            let State { loss, metrics, .. } = self.state.as_ref().ok_or_else(lost)?;
            self.progress.show(*loss, metrics, sums.examples, sums.since.elapsed().as_secs_f64());
        }
        self.tell(Event::BatchEnded)
    }

    /// One step. Everything is given to it; if it refuses, everything comes back and nothing has
    /// changed.
    fn advance(&mut self, batch: Batch<X, Y>, sums: &mut Sums) -> Result<()> {
        let mut state = self.state.take().ok_or_else(lost)?;
        let totals = std::mem::replace(&mut sums.totals, Totals::new(0));
        let (vars, opt) = (std::mem::take(&mut state.vars), std::mem::take(&mut state.opt));
        let carry = Carry { vars, opt, key: std::mem::replace(&mut state.key, key(0)), totals };
        let (carry, outcome) = match self.step.try_run((carry, batch)) {
            Ok(carry) => {
                state.step += 1;
                state.batch += 1;
                (carry, Ok(()))
            }
            Err(Failed { error, args: Some((carry, _)) }) => (carry, Err(error)),
            Err(Failed { error, args: None }) => return Err(error),
        };
        (state.vars, state.opt, state.key, sums.totals) =
            (carry.vars, carry.opt, carry.key, carry.totals);
        self.state = Some(state);
        outcome
    }

    /// Brings loss and metrics of the state up to date.
    fn look(&mut self, sums: &Sums) -> Result<Scores> {
        let scores = sums.totals.means(&self.measures, sums.examples)?;
        let state = self.state()?;
        state.loss = scores["loss"];
        state.metrics = scores.iter().skip(1).map(|(n, x)| (n.to_string(), x)).collect();
        Ok(scores)
    }

    /// The end of an epoch: the means, the validation, the log.
    fn close(&mut self, epoch: usize, sums: Sums) -> Result<()> {
        let train = self.look(&sums)?;
        let seconds = sums.since.elapsed().as_secs_f64();
        let validation = match &self.validation {
            Some(data) => measure(
                &self.measuring,
                &self.measures,
                &self.state.as_ref().ok_or_else(lost)?.vars,
                data,
            )?,
            None => Scores::default(),
        };
        let log = EpochLog {
            epoch,
            train,
            validation: validation.clone(),
            examples: sums.examples,
            seconds,
        };
        self.progress.line(&log);
        let state = self.state()?;
        state.validation = validation;
        state.history.push(log);
        Ok(())
    }

    fn tell(&mut self, event: Event) -> Result<Flow> {
        let state = self.state.as_mut().ok_or_else(lost)?;
        self.handlers.call(event, state)
    }

    fn state(&mut self) -> Result<&mut State> {
        self.state.as_mut().ok_or_else(lost)
    }
}

fn lost() -> Error {
    Error::new("train", "the state was lost when a device failed in the middle of a step")
}

/// Loss and metrics over all batches of a set.
pub(crate) fn measure<X: Tree + Inputs, Y: Tree>(
    measuring: &Measuring<X, Y>,
    measures: &[Measure<X, Y>],
    vars: &Vars,
    data: &(impl Source<X, Y> + ?Sized),
) -> Result<Scores> {
    let (mut totals, mut examples) = (Totals::new(measures.len()), 0);
    for batch in data.epoch(0) {
        examples += batch.len();
        totals = measuring.run((vars.clone(), totals, batch))?;
    }
    totals.means(measures, examples)
}
