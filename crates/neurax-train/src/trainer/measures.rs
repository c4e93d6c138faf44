//! The methods of [`Trainer`] for models: penalties, metrics, norms, variables.

use super::Trainer;
use crate::AveragedWeights;
use crate::measure::{Measure, Objective};
use crate::norms::NormDetail;
use neurax_data::Batch;
use neurax_nn::metric::Observed;
use neurax_nn::regularize::Penalty;
use neurax_nn::{Applied, Inputs, Metric, Vars};
use neurax_tensor::{Tensor, Tree};
use std::panic::Location;

impl<X: Tree + Inputs + Clone, Y: Tree + Clone> Trainer<X, Y> {
    /// Adds a penalty of the trained parameters to the loss, in training and on the validation set.
    /// Several penalties add up.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
    /// let trainer = trainer.penalty(nn::regularize::l2("**.kernel", 0.5));
    /// let trained = trainer.run(&set.batched(4), epochs(200))?;
    /// let kernel = trained.vars.params["dense"]["kernel"].item()?;
    /// assert!(kernel.abs() < 0.1, "the bias fits the data");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn penalty(mut self, penalty: Penalty) -> Self {
        let sum = std::mem::take(&mut self.settings.penalty) + penalty;
        self.settings.penalty = sum;
        self
    }

    /// Adds a metric called `name`: a function of all outputs of the model and the whole batch that
    /// returns the mean over the batch.
    #[track_caller]
    pub fn measure(
        mut self,
        name: &str,
        of: impl Fn(&Applied, &Batch<X, Y>) -> Tensor + Send + Sync + 'static,
    ) -> Self {
        let (of, at) = (Objective::mean(of), Location::caller());
        self.settings.measures.push(Measure { name: name.into(), of, at });
        self
    }

    /// Adds a metric of what `of` returns of all outputs of the model and the whole batch:
    /// `(predictions, targets)`, or `(predictions, targets, weights)` with weights of examples or a
    /// bool mask.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(tensor([[0.0], [1.0], [2.0]]), tensor([[0], [1], [1]]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1).sigmoid();
    /// let trained = Trainer::new(&model, loss::binary_cross_entropy, optim::sgd(0.0))
    ///     .metric_of(metric::recall(), |out, batch: &data::Batch| {
    ///         (out.y().clone(), batch.y.clone(), batch.x.lt(1.5))
    ///     })
    ///     .quiet()
    ///     .run(&set.batched(2), epochs(1))?;
    /// assert!([0.0, 1.0].contains(&trained.metrics["recall"]));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn metric_of<O: Into<Observed>>(
        mut self,
        metric: Metric,
        of: impl Fn(&Applied, &Batch<X, Y>) -> O + Send + Sync + 'static,
    ) -> Self {
        let (name, at) = (metric.name().to_string(), Location::caller());
        let of = Objective::metric(metric, of);
        self.settings.measures.push(Measure { name, of, at });
        self
    }

    /// Measures the norms of the gradients and the parameters in each step: the scores
    /// `gradient_norm` and `weight_norm` of the log of an epoch are their means over its steps, and
    /// those at `BatchEnded` the means so far. The norm of all gradients is the root of the sum of
    /// their squares, before the optimizer clips them, and without the factor of a scaled loss.
    /// Steps in which a norm is not finite do not count.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(tensor([[3.0]]), tensor([[0.0]]))?;
    /// let model = nn::input("x", dims![_, 1]).layer(Dense::new(1).kernel(init::ones()));
    /// let trained = Trainer::new(&model, loss::mse, optim::sgd(0.0))
    ///     .norms()
    ///     .quiet()
    ///     .run(&set.batched(1), epochs(1))?;
    /// // The loss (3 w + b)² has the gradient 2 · 3 · 3 = 18 of w, and 2 · 3 = 6 of b.
    /// let gradient = trained.history[0].train["gradient_norm"];
    /// assert!((gradient - (18.0f64 * 18.0 + 6.0 * 6.0).sqrt()).abs() < 1e-4);
    /// assert_eq!(trained.metrics["weight_norm"], 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn norms(mut self) -> Self {
        self.settings.norms = Some((NormDetail::Global, Location::caller()));
        self
    }

    /// Measures norms as [`Trainer::norms`] does, and those of each layer, too: the score
    /// `gradient_norm[dense]` is that of the layer `dense`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([4, 2]), Tensor::ones([4, 1]))?;
    /// let model = nn::input("x", dims![_, 2]).dense(3).tanh().dense(1);
    /// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).norms_by_layer().quiet();
    /// let scores = trainer.run(&set.batched(2), epochs(1))?.metrics.clone();
    /// let layers = scores["gradient_norm[dense]"].hypot(scores["gradient_norm[dense_1]"]);
    /// assert!(scores["gradient_norm"] > 0.0 && layers > 0.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn norms_by_layer(mut self) -> Self {
        self.settings.norms = Some((NormDetail::ByLayer, Location::caller()));
        self
    }

    /// Gives the result the mean of the weights after some epochs or their moving average over the
    /// steps, and running statistics that belong to it: `trained.vars` and the scores in
    /// `trained.validation` are those of the mean, the logs and checkpoints those of the training.
    /// [`Trainer::resume_exactly`] with `trained.state` goes on with the weights after the last
    /// step, which the state keeps; [`Trainer::resume`] begins with the mean.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let iris = data::iris()?.split(0.8, key(0));
    /// let hidden = nn::input("flower", dims![_, 4]).dense(16).layer(BatchNorm::new()).tanh();
    /// let model = hidden.dense(3).softmax();
    /// let trained = Trainer::new(&model, loss::categorical_cross_entropy, optim::sgd(0.1))
    ///     .metric(metric::accuracy())
    ///     .validate(&iris.test)
    ///     .average_weights(train::AveragedWeights::from_epoch(20))
    ///     .quiet()
    ///     .run(&iris.train.shuffled(key(1)).batched(20), epochs(40))?;
    /// assert!(trained.validation["accuracy"] > 0.8);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn average_weights(mut self, averaging: AveragedWeights) -> Self {
        self.settings.averaging = Some(averaging);
        if let Some(optim) = self.settings.task.optim() {
            averaging.add_to(optim);
        }
        self.handler(averaging.handler())
    }

    /// Sets the variables to start from; by default they are initialized.
    pub fn vars(mut self, vars: Vars) -> Self {
        self.settings.vars = Some(vars);
        self
    }
}
