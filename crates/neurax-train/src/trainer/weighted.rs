//! Trainers of data sets with weights of examples.

use super::Trainer;
use crate::measure::Objective;
use neurax_data::Batch;
use neurax_nn::loss::Criterion;
use neurax_nn::{Inputs, Metric, Model, Optim};
use neurax_tensor::{DType, Error, Place, Tensor, Tree};
use std::panic::Location;

impl<X: Tree + Inputs + Clone> Trainer<X, (Tensor, Tensor)> {
    /// Creates a trainer on a data set whose targets are pairs of the target and the weight of each
    /// example: of all examples of an epoch, the loss is `Σ w l / Σ w`, and so it is of each batch.
    /// A weight of 2 counts as the same example twice, and 0 leaves an example out. A batch whose
    /// weights are all 0 still takes a step, with the loss 0: a penalty, the momentum of the
    /// optimizer and its decay of weights change the parameters.
    ///
    /// Weights of classes, a mask and ignored labels are weights of the examples, too, as below.
    ///
    /// # Errors
    /// Training fails before its first step if the loss has an option with which another number is
    /// computed: a [reduction](Criterion::reduction) other than the mean, [weights](
    /// Criterion::weights), a [mask](Criterion::mask), class weights or an ignored label.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, labels) = (tensor([[0.0], [1.0], [2.0]]), tensor([0, 1, 1]));
    /// let of_class = tensor([2.0, 1.0]);
    /// let weights = of_class.take(&labels, 0);
    /// let set = Dataset::new(x, (labels, weights))?;
    /// let model = nn::input("x", dims![_, 1]).dense(2).softmax();
    /// let loss = loss::of(loss::each::sparse_categorical_cross_entropy);
    /// let trained = Trainer::weighted(&model, loss, optim::adam(0.05))
    ///     .weighted_metric(metric::accuracy())
    ///     .quiet()
    ///     .run(&set.batched(2), epochs(100))?;
    /// assert_eq!(trained.metrics["accuracy"], 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn weighted(model: impl Into<Model>, loss: Criterion, optim: Optim) -> Self {
        let at = Place::from(Location::caller());
        let mistake = refused(&loss).map(|e| e.at(&at));
        let of_batch = move |out: &neurax_nn::Applied, batch: &WeightedBatch<X>| {
            let (targets, weights) = &batch.y;
            let mean = loss.clone().weights(weights).measure(out.y(), targets);
            [mean, weights.to(DType::F64).sum(..)]
        };
        let mut trainer =
            Trainer::supervised(model.into(), Objective::weighted_mean(of_batch), optim);
        trainer.settings.mistake = mistake;
        trainer
    }

    /// Adds a metric of the output and the targets that counts the examples by their weights.
    #[track_caller]
    pub fn weighted_metric(self, metric: Metric) -> Self {
        self.metric_of(metric, |out, batch: &WeightedBatch<X>| {
            let (targets, weights) = &batch.y;
            (out.y().clone(), targets.clone(), weights.clone())
        })
    }
}

/// Returns the error of a loss that is not the mean `Σ w l / Σ w` for weights of the examples.
fn refused(loss: &Criterion) -> Option<Error> {
    let options: Vec<&str> = loss.options_beside_mean().into_iter().collect();
    if options.is_empty() {
        return None;
    }
    let why = format!(
        "expected a loss that is the mean over its examples, got one with the options {}: leave \
         them out and put weights of examples into the data set, 0 for one that does not count \
         and the weight of its class for one of a class, or compute the loss with \
         `Trainer::objective`",
        options.join(", ")
    );
    Some(Error::new("weighted", why))
}

/// A batch with targets and weights.
type WeightedBatch<X> = Batch<X, (Tensor, Tensor)>;
