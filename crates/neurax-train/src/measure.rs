//! The loss and the metrics of a training run, and their totals over an epoch.

use crate::Scores;
use crate::any_batch::AnyBatch;
use crate::guard::guarded;
use crate::norms::NormOf;
use neurax_data::Batch;
use neurax_nn::metric::Observed;
use neurax_nn::{Applied, Metric, MetricState};
use neurax_tensor::{DType, Error, Place, Recorder, Result, Tensor, Tree, Type, eval_shape};
use std::panic::Location;
use std::sync::Arc;

/// A function of the outputs of a model and a batch of any types.
type OfBatch<O> = Arc<dyn Fn(&Applied, &AnyBatch) -> O + Send + Sync>;

/// The function of a measure.
#[derive(Clone)]
pub(crate) enum Objective {
    /// A scalar, the mean over a batch: the loss, or a metric without state.
    Mean(OfBatch<Tensor>),
    /// A scalar, the weighted mean over a batch, and the sum of the weights.
    WeightedMean(OfBatch<[Tensor; 2]>),
    /// A metric with state, and what it sees of a batch.
    Metric(Metric, OfBatch<Observed>),
    /// A scalar that the step of the user returns, the mean over a batch.
    Score,
    /// A norm of the gradients or parameters of a step, in training alone.
    Norm(NormOf),
}

impl Objective {
    /// Creates the mean of a function that returns the mean over a batch.
    pub fn mean<X: Tree, Y: Tree>(
        of: impl Fn(&Applied, &Batch<X, Y>) -> Tensor + Send + Sync + 'static,
    ) -> Objective {
        Objective::Mean(Arc::new(move |out, batch| match batch.downcast() {
            Some(batch) => of(out, batch),
            None => unknown_batch(),
        }))
    }

    /// Creates the weighted mean of a function that returns that of a batch, and the sum of its
    /// weights.
    pub fn weighted_mean<X: Tree, Y: Tree>(
        of: impl Fn(&Applied, &Batch<X, Y>) -> [Tensor; 2] + Send + Sync + 'static,
    ) -> Objective {
        Objective::WeightedMean(Arc::new(move |out, batch| match batch.downcast() {
            Some(batch) => of(out, batch),
            None => [unknown_batch(), unknown_batch()],
        }))
    }

    /// Creates the value of a metric with state, which sees what `of` returns.
    pub fn metric<X: Tree, Y: Tree, O: Into<Observed>>(
        metric: Metric,
        of: impl Fn(&Applied, &Batch<X, Y>) -> O + Send + Sync + 'static,
    ) -> Objective {
        let of = move |out: &Applied, batch: &AnyBatch| match batch.downcast() {
            Some(batch) => of(out, batch).into(),
            None => (unknown_batch(), unknown_batch()).into(),
        };
        Objective::Metric(metric, Arc::new(of))
    }
}

/// Returns the error of a batch of other types, which no source yields.
fn unknown_batch() -> Tensor {
    Tensor::from_error(Error::bug("a batch has other types than the trainer"))
}

/// The name of the measure that is minimized.
pub(crate) const LOSS: &str = "loss";

/// A named [`Objective`].
#[derive(Clone)]
pub(crate) struct Measure {
    pub name: String,
    pub of: Objective,
    /// The user's line that added the measure.
    pub at: &'static Location<'static>,
}

/// The value of a measure for a batch, or over the examples of an epoch so far.
#[derive(Tree, Clone, Debug)]
pub(crate) enum Total {
    /// The mean over a batch, or the sum over the examples, in f64: in f32, the mean of millions of
    /// examples would drift.
    Mean(Tensor),
    /// The weighted mean over a batch, or the weighted sum, in f64, and the sum of the weights.
    Weighted(Tensor, Tensor),
    /// The state of a metric.
    Metric(MetricState),
}

impl Measure {
    /// Returns the value for a batch, or `None` if the step computes it. An error without a source
    /// line gets the line that added the measure. In profiles and in errors about NaN, the measure
    /// is named as a layer is.
    pub fn of_batch(&self, out: &Applied, batch: &AnyBatch) -> Option<Total> {
        let recorder = Recorder::of(out.outputs.values());
        recorder.within(&self.name, self.at, || self.value(out, batch))
    }

    fn value(&self, out: &Applied, batch: &AnyBatch) -> Option<Total> {
        let at = Place::from(self.at);
        match &self.of {
            Objective::Mean(of) => Some(self.mean(of(out, batch))),
            Objective::WeightedMean(of) => {
                let [mean, weight] = of(out, batch).map(|x| self.scalar(x).at_place(&at));
                Some(Total::Weighted(mean, weight))
            }
            Objective::Metric(metric, of) => {
                let state = metric.of_batch(of(out, batch));
                Some(Total::Metric(state.map_leaves(|x| x.clone().at_place(&at))))
            }
            Objective::Score | Objective::Norm(_) => None,
        }
    }

    /// Returns the value for a batch whose mean is `x`.
    pub fn mean(&self, x: Tensor) -> Total {
        Total::Mean(self.scalar(x).at_place(&Place::from(self.at)))
    }

    /// Returns the value for a step, in which `of_step` are a norm and its weight.
    pub fn norm(&self, of_step: impl FnOnce(&NormOf) -> [Tensor; 2]) -> Option<Total> {
        let Objective::Norm(norm) = &self.of else { return None };
        let [norm, weight] = of_step(norm);
        Some(Total::Weighted(norm, weight))
    }

    /// Returns true if the measure is computed on validation sets, too.
    pub fn is_validated(&self) -> bool {
        !matches!(self.of, Objective::Norm(_))
    }

    /// Returns the value of no examples.
    fn start(&self) -> Total {
        let zero = || Tensor::scalar(DType::F64, 0.0);
        match &self.of {
            Objective::Mean(_) | Objective::Score => Total::Mean(zero()),
            Objective::WeightedMean(_) | Objective::Norm(_) => Total::Weighted(zero(), zero()),
            Objective::Metric(metric, _) => Total::Metric(metric.init()),
        }
    }

    /// Returns the total after a batch of `examples` examples.
    fn add(&self, total: Total, batch: Total, examples: usize) -> Total {
        let recorder = Recorder::of(total.leaves().into_iter().map(|(_, t)| t));
        recorder.within(&self.name, self.at, || self.sum(total, batch, examples))
    }

    fn sum(&self, total: Total, batch: Total, examples: usize) -> Total {
        match (&self.of, total, batch) {
            (Objective::Metric(metric, _), Total::Metric(a), Total::Metric(b)) => {
                Total::Metric(metric.merge(&a, &b))
            }
            (_, Total::Mean(sum), Total::Mean(x)) => Total::Mean(sum + x.to(DType::F64) * examples),
            (_, Total::Weighted(sum, weights), Total::Weighted(x, weight)) => {
                let weight = weight.to(DType::F64);
                Total::Weighted(sum + x.to(DType::F64) * &weight, weights + weight)
            }
            _ => Total::Mean(Tensor::from_error(Error::bug("a measure has another total"))),
        }
    }

    /// Returns the names and values of a total over `examples` examples: several if the metric has
    /// one for each class.
    fn scores(&self, total: &Total, examples: &Tensor) -> Result<Vec<(String, f64)>> {
        let value = match (&self.of, total) {
            (_, Total::Mean(sum)) => sum / examples,
            (_, Total::Weighted(sum, weights)) => sum / weights,
            (Objective::Metric(metric, _), Total::Metric(state)) => metric.result(state),
            _ => Tensor::from_error(Error::bug("a measure has another total")),
        };
        let values =
            value.to(DType::F64).to_vec::<f64>().map_err(|e| e.at(&Place::from(self.at)))?;
        Ok(self.names_of(&value.shape()).zip(values).collect())
    }

    /// Returns the names of the scores, which are known before the first example.
    ///
    /// # Errors
    /// If the metric has no value, or panics.
    pub fn score_names(&self) -> Result<Vec<String>> {
        let Objective::Metric(metric, _) = &self.of else { return Ok(vec![self.name.clone()]) };
        // The types of a state are those of the state of no examples; nothing is computed.
        let value = guarded(format_args!("the metric `{}`", self.name), || {
            eval_shape(|state: MetricState| metric.result(&state), &metric.init()).ok()
        });
        let value = value.and_then(|value| value).map_err(|e| e.at(&Place::from(self.at)))?;
        Ok(self.names_of(&value.shape()).collect())
    }

    /// Returns the names of the elements of a value of this shape.
    fn names_of(&self, shape: &[usize]) -> impl Iterator<Item = String> {
        (0..shape.iter().product()).map(|i| indexed(&self.name, i, shape))
    }

    fn scalar(&self, x: Tensor) -> Tensor {
        match x.ty() {
            Ok(t) if t.rank() > 0 => Tensor::from_error(self.no_scalar(&t)),
            _ => x,
        }
    }

    fn no_scalar(&self, got: &Type) -> Error {
        let what = match self.of {
            Objective::Score => format!("score `{}`", self.name),
            _ if self.name == LOSS => "loss function".into(),
            _ => format!("metric `{}`", self.name),
        };
        Error::new(
            "train",
            format!(
                "expected a scalar for each batch from the {what} of the Trainer, got {got}; \
                 take the mean with `.mean(..)`"
            ),
        )
    }
}

/// Returns the name of element `i` of a result of `shape`: `recall[2]`, `confusion_matrix[0][1]`,
/// and `name` itself for a scalar.
fn indexed(name: &str, mut i: usize, shape: &[usize]) -> String {
    let mut index = Vec::new();
    for n in shape.iter().rev() {
        index.push(format!("[{}]", i % n.max(&1)));
        i /= n.max(&1);
    }
    index.reverse();
    format!("{name}{}", index.concat())
}

/// The totals of the loss and the metrics, in this order, over the examples of an epoch. They stay
/// on the device until they are read.
#[derive(Tree, Clone, Debug)]
pub(crate) struct Totals {
    all: Vec<Total>,
    /// The number of examples, f64[].
    examples: Tensor,
}

impl Totals {
    pub(crate) fn new(measures: &[Measure]) -> Totals {
        Totals { all: measures.iter().map(Measure::start).collect(), ..Totals::default() }
    }

    /// Adds the values of a batch of `examples` examples.
    pub(crate) fn add(self, measures: &[Measure], batch: Vec<Total>, examples: usize) -> Totals {
        let all = measures.iter().zip(self.all).zip(batch);
        let all = all.map(|((m, total), x)| m.add(total, x, examples)).collect();
        Totals { all, examples: self.examples + examples }
    }

    /// Returns the sum of the loss.
    pub(crate) fn loss(&self) -> Result<f64> {
        match self.all.first() {
            Some(Total::Mean(sum) | Total::Weighted(sum, _)) => sum.item(),
            _ => Err(Error::bug("a training run has no loss")),
        }
    }

    /// Returns the parts of the mean of the loss.
    pub(crate) fn loss_totals(&self) -> Result<LossTotals> {
        Ok(LossTotals {
            sum: self.loss()?,
            weight: self.weight(0)?,
            examples: self.examples.item()?,
        })
    }

    /// Returns the number by which the total of measure `i` is divided: the sum of its weights, or
    /// the number of examples.
    pub(crate) fn weight(&self, i: usize) -> Result<f64> {
        match self.all.get(i) {
            Some(Total::Weighted(_, weights)) => weights.item(),
            _ => self.examples.item(),
        }
    }

    /// Returns the scores over the examples; NaN if there are none.
    pub(crate) fn scores(&self, measures: &[Measure]) -> Result<Scores> {
        let all = measures.iter().zip(&self.all).map(|(m, total)| m.scores(total, &self.examples));
        Ok(all.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }
}

/// The parts of the mean of the loss over the examples of an epoch so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LossTotals {
    /// The weighted sum.
    pub sum: f64,
    /// The sum of the weights; the number of examples if they have none.
    pub weight: f64,
    /// The number of examples that count.
    pub examples: f64,
}

impl Default for Totals {
    fn default() -> Totals {
        Totals { all: Vec::new(), examples: Tensor::scalar(DType::F64, 0.0) }
    }
}
