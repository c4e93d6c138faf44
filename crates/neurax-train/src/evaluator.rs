//! [`Evaluator`]: the loss and the metrics of a network that is not trained here.

use crate::any_batch::SourceOf;
use crate::{Scores, Trainer};
use neurax_data::{Batch, Source};
use neurax_nn::loss::LossFn;
use neurax_nn::metric::Observed;
use neurax_nn::{Applied, Inputs, Metric, Net, optim};
use neurax_tensor::{Place, Result, Tensor, Tree};
use std::panic::Location;

/// A builder of the loss and the metrics of a network over a source, in evaluation mode: of a
/// network that was loaded or imported, without a training. The progress is shown on standard error
/// if that is a terminal. After a training, [`Trained::evaluate`](crate::Trained::evaluate) does
/// the same with the loss and the metrics of its trainer.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let iris = data::iris()?;
/// let model = nn::input("flower", dims![_, 4]).dense(3).softmax().model();
/// let net = model.bind(model.init(key(0), &types![f32[_, 4]])?); // or `onnx::import`
/// let scores = train::Evaluator::new(&net, loss::categorical_cross_entropy)
///     .metric(metric::accuracy())
///     .quiet()
///     .run(&iris.batched(50))?;
/// assert!(scores["loss"] > 0.0 && scores["accuracy"] <= 1.0);
/// # Ok::<(), Error>(())
/// ```
#[must_use = "an evaluation starts with `run`"]
pub struct Evaluator<X: Tree = Tensor, Y: Tree = Tensor> {
    /// A trainer that takes no step: its loss and metrics are those of the evaluation.
    trainer: Trainer<X, Y>,
}

impl<X: Tree + Inputs + Clone> Evaluator<X, Tensor> {
    /// Creates an evaluation of a network with a loss of `(&prediction, &target)`: see
    /// [`Trainer::new`].
    #[track_caller]
    pub fn new(net: &Net, loss: impl LossFn) -> Self {
        Evaluator::objective(net, move |out, batch| loss.loss(out.y(), &batch.y))
    }

    /// Adds a metric of the output and the targets: see [`Trainer::metric`].
    #[track_caller]
    pub fn metric(self, metric: Metric) -> Self {
        Evaluator { trainer: self.trainer.metric(metric) }
    }
}

impl<X: Tree + Inputs + Clone, Y: Tree + Clone> Evaluator<X, Y> {
    /// Creates an evaluation with a loss of all outputs of the network and the whole batch.
    #[track_caller]
    pub fn objective(
        net: &Net,
        loss: impl Fn(&Applied, &Batch<X, Y>) -> Tensor + Send + Sync + 'static,
    ) -> Self {
        let trainer = Trainer::objective(&net.model, loss, optim::sgd(0.0));
        Evaluator { trainer: trainer.vars(net.vars.clone()) }
    }

    /// Adds a metric called `name`: see [`Trainer::measure`].
    #[track_caller]
    pub fn measure(
        self,
        name: &str,
        of: impl Fn(&Applied, &Batch<X, Y>) -> Tensor + Send + Sync + 'static,
    ) -> Self {
        Evaluator { trainer: self.trainer.measure(name, of) }
    }

    /// Adds a metric of what `of` returns: see [`Trainer::metric_of`].
    #[track_caller]
    pub fn metric_of<O: Into<Observed>>(
        self,
        metric: Metric,
        of: impl Fn(&Applied, &Batch<X, Y>) -> O + Send + Sync + 'static,
    ) -> Self {
        Evaluator { trainer: self.trainer.metric_of(metric, of) }
    }

    /// Disables progress output.
    pub fn quiet(self) -> Self {
        Evaluator { trainer: self.trainer.quiet() }
    }

    /// Returns the loss and the metrics over the batches of epoch 0 of a source, such as a
    /// [`Stream`](neurax_data::Stream) that does not fit into memory.
    ///
    /// # Errors
    /// If a batch does not fit the network, there are none, or the source fails.
    #[track_caller]
    pub fn run(self, data: &(impl Source<X, Y> + ?Sized)) -> Result<Scores> {
        let at = Place::from(Location::caller());
        let scores = self.trainer.into_settings().evaluate(&SourceOf::new(data));
        scores.map_err(|e| e.at(&at))
    }
}
