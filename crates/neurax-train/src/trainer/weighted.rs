//! Trainers of data sets with weights of examples.

use super::Trainer;
use crate::measure::Objective;
use neurax_data::Batch;
use neurax_nn::loss::{Criterion, Reduction};
use neurax_nn::{Inputs, Metric, Model, Optim};
use neurax_tensor::{DType, Tensor, Tree};

impl<X: Tree + Inputs + Clone> Trainer<X, (Tensor, Tensor)> {
    /// Creates a trainer on a data set whose targets are pairs of the target and the weight of each
    /// example: of all examples of an epoch, the loss is `Σ w l / Σ w`, and so it is of each batch.
    /// A weight of 2 counts as the same example twice, and 0 leaves an example out. A batch whose
    /// weights are all 0 still takes a step, with the loss 0: a penalty, the momentum of the
    /// optimizer and its decay of weights change the parameters.
    ///
    /// The loss is reduced to its mean, whatever [`Criterion::reduction`] was set, and the weights
    /// of the data replace those of [`Criterion::weights`]. A mask, ignored labels or class weights
    /// of the loss change the divisor of a batch, but not the weight of the batch in the epoch,
    /// which is the sum of the weights of its examples: express them as weights of the examples.
    ///
    /// Weights of classes are weights of their examples, as below, or an option of the loss:
    /// [`CrossEntropyLoss::class_weights`](neurax_nn::loss::CrossEntropyLoss).
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
        let loss = loss.reduction(Reduction::Mean);
        let of_batch = move |out: &neurax_nn::Applied, batch: &WeightedBatch<X>| {
            let (targets, weights) = &batch.y;
            let mean = loss.clone().weights(weights).measure(out.y(), targets);
            [mean, weights.to(DType::F64).sum(..)]
        };
        Trainer::supervised(model.into(), Objective::weighted_mean(of_batch), optim)
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

/// A batch with targets and weights.
type WeightedBatch<X> = Batch<X, (Tensor, Tensor)>;
