//! [`Serving`]: a model with its pre- and postprocessing, as a value.

use crate::batch_function::{BatchFunction, Emit};
use crate::panics::caught;
use crate::reply_slot::Outputs;
use crate::row_batch::RowBatch;
use crate::serving_core::SharedCore;
use neurax_nn::Predictor;
use neurax_tensor::ir::OrBug;
use neurax_tensor::{Error, Result, Tensor};
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
    pub(crate) core: SharedCore,
    pub(crate) prepare: Arc<Prepare<I, O>>,
}

/// The preprocessing of a request.
pub(crate) type Prepare<I, O> = dyn Fn(I) -> Result<Prepared<O>> + Send + Sync;
/// The postprocessing of each result of a request.
pub(crate) type Finish<O> = Box<dyn FnMut(Outputs) -> Result<O> + Send>;

/// A preprocessed request.
pub(crate) struct Prepared<O> {
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) finish: Finish<O>,
}

/// The postprocessing of a request, whose panics are errors.
pub(crate) struct PostProcess<O>(pub(crate) Finish<O>);

impl<O> PostProcess<O> {
    /// Returns the result of the caller for `outputs` of the model.
    pub(crate) fn apply(&mut self, outputs: Outputs) -> Result<O> {
        caught("postprocessing", || (self.0)(outputs))
    }
}

/// Returns the preprocessed request `x`, or the error or panic of its preprocessing.
pub(crate) fn prepared<I, O>(prepare: &Prepare<I, O>, x: I) -> Result<Prepared<O>> {
    caught("preprocessing", || prepare(x))
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
        Serving { core: SharedCore::new(function), prepare: Arc::new(prepare) }
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
        let Prepared { inputs, finish } = prepared(&*self.prepare, x)?;
        PostProcess(finish).apply(self.core.run(&inputs)?)
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
        let Prepared { inputs, finish } = prepared(&*self.prepare, x)?;
        let mut finish = PostProcess(finish);
        self.core.run_all(&inputs)?.into_iter().map(|outputs| finish.apply(outputs)).collect()
    }
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
        Serving { core: self.core.clone(), prepare: self.prepare.clone() }
    }
}

impl<I, O> fmt::Debug for Serving<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Serving").field("options", &self.core.options).finish_non_exhaustive()
    }
}
