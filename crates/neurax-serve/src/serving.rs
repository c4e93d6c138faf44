//! [`Serving`]: a model with its pre- and postprocessing, as a value.

use crate::batch_function::{BatchFunction, Emit};
use crate::panics::caught;
use crate::reply_slot::Outputs;
use crate::row_batch::RowBatch;
use crate::serving_options::ServingOptions;
use neurax_nn::Predictor;
use neurax_tensor::ir::OrBug;
use neurax_tensor::{Error, Literal, Result, Tensor};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A model with its pre- and postprocessing and the options of batching: a function from `I` to
/// `O`.
///
/// It is a value: [`Serving::run`] computes one request in the calling thread, for tests and
/// scripts, and [`Serving::start`] starts threads that compute the requests of many callers in
/// batches. A clone is cheap and shares the model.
///
/// A request has rows, the axis 0 of its inputs: `f32[1, 30]` is one row of 30 numbers. A batch is
/// the rows of several requests of equal dtypes and shapes.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("order", dims![_, 3]).dense(2).softmax();
/// let net = model.bind(model.init(key(0), &types![f32[_, 3]])?);
/// let serving = Serving::new(net.predictor(types![f32[_, 3]])?)
///     .preprocess(|order: [f32; 3]| Ok(Tensor::from_slice(&order, [1, 3])))
///     .postprocess(|scores: Tensor| scores.to_vec::<f32>());
///
/// let inline = serving.run([1.0, 2.0, 3.0])?;            // in this thread
/// let server = serving.max_batch(16).start()?;           // from here on, in a worker
/// assert_eq!(server.run([1.0, 2.0, 3.0])?, inline);
/// # Ok::<(), Error>(())
/// ```
pub struct Serving<I = Tensor, O = Tensor> {
    pub(crate) function: BatchFunction,
    pub(crate) options: ServingOptions,
    pub(crate) prepare: Arc<Prepare<I, O>>,
    pub(crate) key: Option<Arc<BatchKey>>,
}

/// The key of the preprocessed inputs of a request.
pub(crate) type BatchKey = dyn Fn(&[Tensor]) -> u64 + Send + Sync;
/// The preprocessing of a request.
pub(crate) type Prepare<I, O> = dyn Fn(I) -> Result<Prepared<O>> + Send + Sync;
/// The postprocessing of each result of a request.
pub(crate) type Finish<O> = Box<dyn FnMut(Outputs) -> Result<O> + Send>;

/// A preprocessed request.
pub(crate) struct Prepared<O> {
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) finish: Finish<O>,
}

/// A request that fits the model.
pub(crate) struct CheckedRequest<O> {
    pub(crate) inputs: Vec<Literal>,
    pub(crate) rows: usize,
    pub(crate) key: u64,
    pub(crate) finish: PostProcess<O>,
}

/// The postprocessing of a request, whose panics are errors.
pub(crate) struct PostProcess<O>(Finish<O>);

impl<O> PostProcess<O> {
    /// Returns the result of the caller for `outputs` of the model.
    pub(crate) fn apply(&mut self, outputs: Outputs) -> Result<O> {
        caught("postprocessing", || (self.0)(outputs))
    }
}

impl Serving {
    /// Creates a serving of the first output of a model with one input.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let net = model.bind(model.init(key(0), &types![f32[_, 3]])?);
    /// let serving = Serving::new(net.predictor(types![f32[_, 3]])?);
    /// assert_eq!(serving.run(Tensor::ones([1, 3]))?.shape(), [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(predictor: Predictor) -> Serving {
        let run = |p: &Predictor, batch: &RowBatch| Ok(vec![p.run(batch.inputs())?]);
        Serving::with(BatchFunction::predictor(predictor, run))
    }

    /// Creates a serving of a function of batches with one input. Its outputs have
    /// [`RowBatch::size`] rows; the first one is the result.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let serving = Serving::of(|batch| Ok(vec![batch.x().sum(keep(-1))]));
    /// assert_eq!(serving.run(tensor([[1.0, 2.0]]))?.to_vec::<f32>()?, [3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn of(f: impl Fn(&RowBatch) -> Result<Vec<Tensor>> + Send + Sync + 'static) -> Serving {
        Serving::with(BatchFunction::whole(f))
    }

    /// Creates a serving of a function with several results for each batch, such as the tokens of a
    /// text: it calls `emit` with each. [`Server::stream`] returns them one by one, and
    /// [`Server::run`] the last one.
    ///
    /// [`Server::stream`]: crate::Server::stream
    /// [`Server::run`]: crate::Server::run
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let serving = Serving::of_stream(|batch, emit| {
    ///     (1..4).try_for_each(|i| emit(vec![batch.x() * i]))
    /// });
    /// let results = serving.run_stream(tensor([10]))?;
    /// assert_eq!(results.len(), 3);
    /// assert_eq!(results[2].to_vec::<i32>()?, [30]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn of_stream(
        f: impl Fn(&RowBatch, &mut Emit) -> Result<()> + Send + Sync + 'static,
    ) -> Serving {
        Serving::with(BatchFunction::partial(f))
    }

    /// Creates a serving of one input and the first output.
    fn with(function: BatchFunction) -> Serving {
        let first = |outputs: Outputs| {
            let missing = || Error::new("serving", "expected an output of the model, got none");
            outputs.into_iter().next().ok_or_else(missing)
        };
        Serving::prepared_by(function, move |x: Tensor| {
            Ok(Prepared { inputs: vec![x], finish: Box::new(first) })
        })
    }
}

impl Serving<BTreeMap<String, Tensor>, BTreeMap<String, Tensor>> {
    /// Creates a serving of a model with several inputs or outputs, by name.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (a, b) = (nn::input("a", dims![_, 2]), nn::input("b", dims![_, 3]));
    /// let model = Model::new([("y", nn::concat([&a, &b], -1).dense(1))]);
    /// let net = model.bind(model.init(key(0), &types![f32[_, 2], f32[_, 3]])?);
    /// let serving = Serving::by_name(net.predictor(types![f32[_, 2], f32[_, 3]])?)
    ///     .preprocess(|(a, b)| Ok([("a".into(), a), ("b".into(), b)].into()));
    /// let y = serving.run((Tensor::ones([1, 2]), Tensor::ones([1, 3])))?;
    /// assert_eq!(y["y"].shape(), [1, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn by_name(
        predictor: Predictor,
    ) -> Serving<BTreeMap<String, Tensor>, BTreeMap<String, Tensor>> {
        let inputs: Vec<String> = predictor.inputs().map(|(name, _)| name.into()).collect();
        let names: Arc<[String]> = predictor.outputs().map(String::from).collect();
        let function = BatchFunction::predictor(predictor, |p, batch| {
            let mut all = p.run_all(batch.inputs())?;
            p.outputs().map(|name| all.remove(name).or_bug("an output is missing")).collect()
        });
        Serving::prepared_by(function, move |xs| {
            let names = names.clone();
            let finish = move |ys: Outputs| -> Result<BTreeMap<String, Tensor>> {
                Ok(names.iter().cloned().zip(ys).collect())
            };
            Ok(Prepared { inputs: in_order(xs, &inputs)?, finish: Box::new(finish) })
        })
    }
}

impl<I: 'static, O: 'static> Serving<I, O> {
    fn prepared_by(
        function: BatchFunction,
        prepare: impl Fn(I) -> Result<Prepared<O>> + Send + Sync + 'static,
    ) -> Serving<I, O> {
        let options = ServingOptions::default();
        Serving { function, options, prepare: Arc::new(prepare), key: None }
    }

    /// Computes one request in this thread, as a batch without others. Of a model with several
    /// results it returns the last one.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let serving = Serving::of(|batch| Ok(vec![batch.x() * 2.0]));
    /// assert_eq!(serving.run(tensor([1.0, 2.0]))?.to_vec::<f32>()?, [2.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If preprocessing, the model or postprocessing fails or panics, the inputs do not fit the
    /// model, or an option is invalid.
    pub fn run(&self, x: I) -> Result<O> {
        let mut last = None;
        let mut finish = self.run_inline(x, &mut |outputs| last = Some(outputs))?;
        finish.apply(last.ok_or_else(no_result)?)
    }

    /// Computes all results of one request in this thread; see [`Serving::of_stream`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let serving = Serving::of_stream(|batch, emit| emit(vec![batch.x()]));
    /// assert_eq!(serving.run_stream(tensor([1.0]))?.len(), 1);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Serving::run`].
    pub fn run_stream(&self, x: I) -> Result<Vec<O>> {
        let mut all = Vec::new();
        let mut finish = self.run_inline(x, &mut |outputs| all.push(outputs))?;
        all.into_iter().map(|outputs| finish.apply(outputs)).collect()
    }

    /// Returns the options with all sizes of batches.
    pub(crate) fn checked_options(&self) -> Result<ServingOptions> {
        self.options.checked(self.function.fixed_rows()?)
    }

    /// Runs one request as a batch, and calls `emit` with its results.
    fn run_inline(&self, x: I, emit: &mut dyn FnMut(Outputs)) -> Result<PostProcess<O>> {
        let options = self.checked_options()?;
        let CheckedRequest { inputs, rows, key, finish } = self.check(x, &options)?;
        let batch = RowBatch::new(&[&inputs], vec![rows], options.size_for(rows)?, key)?;
        self.function.run(&batch, &mut |parts| {
            parts.into_iter().for_each(&mut *emit);
            Ok(())
        })?;
        Ok(finish)
    }

    /// Preprocesses a request, and checks that it fits the model.
    pub(crate) fn check(&self, x: I, options: &ServingOptions) -> Result<CheckedRequest<O>> {
        let Prepared { inputs, finish } = caught("preprocessing", || (self.prepare)(x))?;
        let key = match &self.key {
            Some(key) => caught("the batch key", || Ok(key(&inputs)))?,
            None => 0,
        };
        let inputs = inputs.iter().map(Tensor::to_literal).collect::<Result<Vec<_>>>()?;
        let rows = self.function.rows_of(&inputs)?;
        options.size_for(rows)?;
        Ok(CheckedRequest { inputs, rows, key, finish: PostProcess(finish) })
    }
}

/// Returns the error of a model with several results that had none.
pub(crate) fn no_result() -> Error {
    Error::new("serving", "expected a result of the model, got none: it has not called `emit`")
}

/// Returns the tensors `xs` in the order of `names`.
fn in_order(mut xs: BTreeMap<String, Tensor>, names: &[String]) -> Result<Vec<Tensor>> {
    let expected = names.join(", ");
    let missing = |name: &String| {
        Error::new("serving", format!("missing input `{name}`; expected the inputs {expected}"))
    };
    let take = |name: &String| xs.remove(name).ok_or_else(|| missing(name));
    let inputs = names.iter().map(take).collect::<Result<Vec<_>>>()?;
    match xs.keys().next() {
        None => Ok(inputs),
        Some(name) => {
            let why = format!("expected one of the inputs {expected}, got `{name}`");
            Err(Error::new("serving", why))
        }
    }
}

impl<I, O> Clone for Serving<I, O> {
    fn clone(&self) -> Serving<I, O> {
        Serving {
            function: self.function.clone(),
            options: self.options.clone(),
            prepare: self.prepare.clone(),
            key: self.key.clone(),
        }
    }
}

impl<I, O> fmt::Debug for Serving<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Serving").field("options", &self.options).finish_non_exhaustive()
    }
}
