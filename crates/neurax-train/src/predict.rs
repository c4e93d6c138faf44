//! Predictions for all examples of a data set or a stream, with progress output.

use crate::guard::guarded;
use crate::progress::Progress;
use crate::{Flow, IntoFlow, ProgressForm};
use neurax_data::{Batches, Source};
use neurax_nn::{Applied, Inputs, Net};
use neurax_tensor::{Error, Place, Result, Tensor, Tree, concat};
use std::collections::BTreeMap;
use std::panic::Location;
use std::time::Instant;

/// The method [`predict`](Predict::predict) of networks, for data sets.
pub trait Predict {
    /// Returns the first output of the network for all examples, in evaluation mode and in the
    /// order of the batches: that of the data set, unless it was shuffled. A data set without
    /// batches is divided into batches of 256 examples. The progress is shown on standard error if
    /// that is a terminal; [`Prediction`] has options, and returns all outputs.
    ///
    /// The network is compiled once for full batches, and once more for a smaller last batch.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let double = nn::layer("double", [nn::input("x", dims![_, 1])], |_, [x]| x * 2.0);
    /// let set = Dataset::new(tensor([[1.0], [2.0], [3.0]]), tensor([0, 0, 1]))?;
    /// let y = double.bind(Vars::default()).predict(&set.batched(2))?;
    /// assert_eq!(y.flatten().to_vec::<f32>()?, [2.0, 4.0, 6.0]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If the data do not fit the model, there are no examples, or an output does not have one row
    /// for each example.
    #[track_caller]
    fn predict<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        &self,
        data: impl Into<Batches<X, Y>>,
    ) -> Result<Tensor>;

    /// Returns the first output of the network for the batches of epoch 0 of any source, such as a
    /// stream of files, as [`Predict::predict`] does. The outputs are held in memory;
    /// [`Prediction::for_each`] hands over those of each batch instead.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let double = nn::layer("double", [nn::input("x", dims![_, 1])], |_, [x]| x * 2.0);
    /// let set = Dataset::new(tensor([[1.0], [2.0], [3.0]]), tensor([0, 0, 1]))?;
    /// let stream = set.stream().map(|(x, y)| (x + 1.0, y)).batch(2);
    /// let y = double.bind(Vars::default()).predict_on(&stream)?;
    /// assert_eq!(y.flatten().to_vec::<f32>()?, [4.0, 6.0, 8.0]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Predict::predict`], and if the source fails or panics.
    #[track_caller]
    fn predict_on<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        &self,
        data: &(impl Source<X, Y> + ?Sized),
    ) -> Result<Tensor>;
}

impl Predict for Net {
    #[track_caller]
    fn predict<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        &self,
        data: impl Into<Batches<X, Y>>,
    ) -> Result<Tensor> {
        Prediction::new(self).run(data)
    }

    #[track_caller]
    fn predict_on<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        &self,
        data: &(impl Source<X, Y> + ?Sized),
    ) -> Result<Tensor> {
        Prediction::new(self).run_on(data)
    }
}

/// A builder of predictions for all examples of a data set: see [`Predict::predict`].
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let double = nn::layer("double", [nn::input("x", dims![_, 1])], |_, [x]| x * 2.0);
/// let net = double.bind(Vars::default());
/// let set = Dataset::new(Tensor::ones([5, 1]), Tensor::zeros(5))?;
/// let mut done = Vec::new();
/// let y = train::Prediction::new(&net)
///     .quiet()
///     .on_batch(|progress| done.push(progress.examples))
///     .run(&set.batched(2))?;
/// assert_eq!((y.dim(0), done), (5, vec![2, 4, 5]));
/// # Ok::<(), Error>(())
/// ```
#[must_use = "predictions start with `run`"]
pub struct Prediction<'n> {
    net: &'n Net,
    handlers: Vec<BatchHandler<'n>>,
    progress: ProgressForm,
}

type BatchHandler<'n> = Box<dyn FnMut(&PredictionProgress) -> Result<Flow> + 'n>;

/// The progress of a prediction after a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictionProgress {
    /// The number of batches that are predicted.
    pub batch: usize,
    /// The number of all batches; `None` if the source does not know it.
    pub batches: Option<usize>,
    /// The number of examples that are predicted.
    pub examples: usize,
    /// The time since the start, in seconds.
    pub seconds: f64,
}

impl<'n> Prediction<'n> {
    /// Creates predictions of a network.
    pub fn new(net: &'n Net) -> Prediction<'n> {
        Prediction { net, handlers: Vec::new(), progress: ProgressForm::default() }
    }

    /// Adds a handler that is called after each batch. It returns nothing, a [`Flow`], or a
    /// `Result` of one of these; [`Flow::Stop`] or `StopEpoch` ends the prediction with the
    /// examples so far.
    pub fn on_batch<R: IntoFlow>(
        mut self,
        mut f: impl FnMut(&PredictionProgress) -> R + 'n,
    ) -> Self {
        self.handlers.push(Box::new(move |progress| f(progress).flow()));
        self
    }

    /// Disables progress output.
    pub fn quiet(mut self) -> Self {
        self.progress = ProgressForm::Quiet;
        self
    }

    /// Returns the first output for all examples.
    ///
    /// # Errors
    /// As for [`Predict::predict`], and if a handler fails or panics.
    #[track_caller]
    pub fn run<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        self,
        data: impl Into<Batches<X, Y>>,
    ) -> Result<Tensor> {
        let data: Batches<X, Y> = data.into();
        self.run_on(&data)
    }

    /// Returns the first output for the batches of epoch 0 of any source.
    ///
    /// # Errors
    /// As for [`Prediction::run`], and if the source fails or panics.
    #[track_caller]
    pub fn run_on<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        self,
        data: &(impl Source<X, Y> + ?Sized),
    ) -> Result<Tensor> {
        let at = Place::from(Location::caller());
        let first = |out: &Applied| BTreeMap::from([(String::new(), out.y().clone())]);
        let outputs = self.outputs(data, first).map_err(|e| e.at(&at))?;
        outputs.into_values().next().ok_or_else(|| Error::bug("a model has no output"))
    }

    /// Returns all outputs by name, for all examples.
    ///
    /// # Errors
    /// As for [`Prediction::run`].
    #[track_caller]
    pub fn run_all<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        self,
        data: impl Into<Batches<X, Y>>,
    ) -> Result<BTreeMap<String, Tensor>> {
        let data: Batches<X, Y> = data.into();
        self.run_all_on(&data)
    }

    /// Returns all outputs by name, for the batches of epoch 0 of any source.
    ///
    /// # Errors
    /// As for [`Prediction::run_on`].
    #[track_caller]
    pub fn run_all_on<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        self,
        data: &(impl Source<X, Y> + ?Sized),
    ) -> Result<BTreeMap<String, Tensor>> {
        let at = Place::from(Location::caller());
        self.outputs(data, |out| out.outputs.clone()).map_err(|e| e.at(&at))
    }

    /// Calls `f` with the outputs of each batch of epoch 0 of a source, of which no others are held
    /// in memory: for predictions that are written to a file. Returns the number of examples. `f`
    /// returns nothing, a [`Flow`], or a `Result` of one of these, as in [`Prediction::on_batch`].
    ///
    /// # Errors
    /// As for [`Prediction::run_on`], and if `f` fails or panics. An output may have any shape.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let double = nn::layer("double", [nn::input("x", dims![_, 1])], |_, [x]| x * 2.0);
    /// let net = double.bind(Vars::default());
    /// let stream = data::Stream::range(0..5).map(|i| (tensor([i as f32]), ())).batch(2);
    /// let mut rows = vec![];
    /// let count = train::Prediction::new(&net).quiet().for_each(&stream, |out| {
    ///     rows.extend(out.y().flatten().to_vec::<f32>()?);
    ///     Ok(())
    /// })?;
    /// assert_eq!((count, rows), (5, vec![0.0, 2.0, 4.0, 6.0, 8.0]));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn for_each<X: Tree + Inputs + Clone, Y: Tree + Clone, R: IntoFlow>(
        mut self,
        data: &(impl Source<X, Y> + ?Sized),
        mut f: impl FnMut(&Applied) -> R,
    ) -> Result<usize> {
        let at = Place::from(Location::caller());
        let mut call = |out: &Applied, _: usize| {
            out.y().ty()?;
            guarded("the function of `for_each`", || f(out).flow())?
        };
        self.batches(data, &mut call).map_err(|e| e.at(&at))
    }

    /// Returns what `select` returns of the outputs, for all examples.
    fn outputs<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        mut self,
        data: &(impl Source<X, Y> + ?Sized),
        select: impl Fn(&Applied) -> BTreeMap<String, Tensor>,
    ) -> Result<BTreeMap<String, Tensor>> {
        let mut parts = BTreeMap::<String, Vec<Tensor>>::new();
        self.batches(data, &mut |out, rows| {
            for (name, y) in select(out) {
                parts.entry(name).or_default().push(with_rows(y, rows)?);
            }
            Ok(Flow::Continue)
        })?;
        parts.into_iter().map(|(name, parts)| Ok((name, concat(parts, 0).ok()?))).collect()
    }

    /// Calls `f` with the outputs and the number of examples of each batch, shows the progress, and
    /// returns the number of all examples.
    ///
    /// # Errors
    /// If there are none, or the source, `f` or a handler fails or panics.
    fn batches<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        &mut self,
        data: &(impl Source<X, Y> + ?Sized),
        f: &mut dyn FnMut(&Applied, usize) -> Result<Flow>,
    ) -> Result<usize> {
        let batches = guarded("the source", || data.batches())?;
        let mut bar = Progress::of_task("predict", self.progress, batches);
        let examples = self.batches_with(data, batches, f, &bar);
        bar.finish();
        match examples? {
            0 => Err(Error::new("predict", "expected at least one example, got none")),
            examples => Ok(examples),
        }
    }

    /// Calls `f` as [`Prediction::batches`] does, and shows the progress in `bar`.
    fn batches_with<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        &mut self,
        data: &(impl Source<X, Y> + ?Sized),
        batches: Option<usize>,
        f: &mut dyn FnMut(&Applied, usize) -> Result<Flow>,
        bar: &Progress,
    ) -> Result<usize> {
        let (mut batch, mut examples, start) = (0, 0, Instant::now());
        let mut epoch = guarded("the source", || data.epoch(0))?;
        while let Some(next) = guarded("the source", || epoch.next())? {
            let next = next?;
            let flow = f(&self.net.apply(&next.x), next.len())?;
            batch += 1;
            examples += next.len();
            let seconds = start.elapsed().as_secs_f64();
            bar.advance(1);
            bar.show_speed(examples, seconds);
            let progress = PredictionProgress { batch, batches, examples, seconds };
            if flow.max(self.notify(&progress)?) != Flow::Continue {
                break;
            }
        }
        Ok(examples)
    }

    /// Calls all handlers, even after one of them returned [`Flow::Stop`].
    fn notify(&mut self, progress: &PredictionProgress) -> Result<Flow> {
        let mut flow = Flow::Continue;
        for handler in &mut self.handlers {
            flow = flow.max(guarded("a handler of `on_batch`", || handler(progress))??);
        }
        Ok(flow)
    }
}

/// Returns `y` if it has `rows` rows.
fn with_rows(y: Tensor, rows: usize) -> Result<Tensor> {
    let ty = y.ty()?;
    match ty.shape.first() {
        Some(&n) if n == rows => y.ok(),
        _ => {
            let why = format!("expected an output of {rows} rows, one for each example, got {ty}");
            Err(Error::new("predict", why))
        }
    }
}
