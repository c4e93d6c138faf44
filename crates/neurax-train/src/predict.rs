//! Predictions for all examples of a data set, with progress output.

use crate::progress::Progress;
use crate::{Flow, IntoFlow};
use neurax_data::Batches;
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
}

impl Predict for Net {
    #[track_caller]
    fn predict<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        &self,
        data: impl Into<Batches<X, Y>>,
    ) -> Result<Tensor> {
        Prediction::new(self).run(data)
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
    quiet: bool,
}

type BatchHandler<'n> = Box<dyn FnMut(&PredictionProgress) -> Result<Flow> + 'n>;

/// The progress of a prediction after a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictionProgress {
    /// The number of batches that are predicted.
    pub batch: usize,
    /// The number of all batches.
    pub batches: usize,
    /// The number of examples that are predicted.
    pub examples: usize,
    /// The time since the start, in seconds.
    pub seconds: f64,
}

impl<'n> Prediction<'n> {
    /// Creates predictions of a network.
    pub fn new(net: &'n Net) -> Prediction<'n> {
        Prediction { net, handlers: Vec::new(), quiet: false }
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
        self.quiet = true;
        self
    }

    /// Returns the first output for all examples.
    ///
    /// # Errors
    /// As for [`Predict::predict`], and if a handler fails.
    #[track_caller]
    pub fn run<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        self,
        data: impl Into<Batches<X, Y>>,
    ) -> Result<Tensor> {
        let at = Place::from(Location::caller());
        let first = |out: &Applied| BTreeMap::from([(String::new(), out.y().clone())]);
        let outputs = self.outputs(&data.into(), first).map_err(|e| e.at(&at))?;
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
        let at = Place::from(Location::caller());
        self.outputs(&data.into(), |out| out.outputs.clone()).map_err(|e| e.at(&at))
    }

    /// Returns what `select` returns of the outputs, for all examples.
    fn outputs<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        mut self,
        data: &Batches<X, Y>,
        select: impl Fn(&Applied) -> BTreeMap<String, Tensor>,
    ) -> Result<BTreeMap<String, Tensor>> {
        let bar = Progress::of_task("predict", self.quiet, Some(data.len()));
        let parts = self.parts(data, select, &bar);
        bar.finish();
        let parts = parts?;
        if parts.is_empty() {
            return Err(Error::new("predict", "expected at least one example, got none"));
        }
        parts.into_iter().map(|(name, parts)| Ok((name, concat(parts, 0).ok()?))).collect()
    }

    /// Returns the outputs of the batches.
    fn parts<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        &mut self,
        data: &Batches<X, Y>,
        select: impl Fn(&Applied) -> BTreeMap<String, Tensor>,
        bar: &Progress,
    ) -> Result<BTreeMap<String, Vec<Tensor>>> {
        let (mut parts, start) = (BTreeMap::<String, Vec<Tensor>>::new(), Instant::now());
        let (mut examples, batches) = (0, data.len());
        for (i, batch) in data.epoch(0).enumerate() {
            for (name, y) in select(&self.net.apply(&batch.x)) {
                let y = with_rows(y, batch.len())?;
                parts.entry(name).or_default().push(y);
            }
            examples += batch.len();
            let seconds = start.elapsed().as_secs_f64();
            bar.advance(1);
            bar.show_speed(examples, seconds);
            let progress = PredictionProgress { batch: i + 1, batches, examples, seconds };
            if self.notify(&progress)? != Flow::Continue {
                break;
            }
        }
        Ok(parts)
    }

    /// Calls all handlers, even after one of them returned [`Flow::Stop`].
    fn notify(&mut self, progress: &PredictionProgress) -> Result<Flow> {
        let mut flow = Flow::Continue;
        for handler in &mut self.handlers {
            flow = flow.max(handler(progress)?);
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
