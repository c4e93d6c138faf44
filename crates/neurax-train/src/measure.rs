//! The loss and the metrics of a training run, and their totals over an epoch.

use crate::Scores;
use crate::any_batch::AnyBatch;
use neurax_data::Batch;
use neurax_nn::metric::Observed;
use neurax_nn::{Applied, Metric, MetricState};
use neurax_tensor::{DType, Error, Place, Result, Tensor, Tree, Type};
use std::panic::Location;
use std::sync::Arc;

/// A function of the outputs of a model and a batch of any types.
type OfBatch<O> = Arc<dyn Fn(&Applied, &AnyBatch) -> O + Send + Sync>;

/// The function of a measure.
#[derive(Clone)]
pub(crate) enum Objective {
    /// A scalar, the mean over a batch: the loss, or a metric without state.
    Mean(OfBatch<Tensor>),
    /// A metric with state, and what it sees of a batch.
    Metric(Metric, OfBatch<Observed>),
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
    /// The state of a metric.
    Metric(MetricState),
}

impl Measure {
    /// Returns the value for a batch. An error without a source line gets the line that added the
    /// measure.
    pub fn of_batch(&self, out: &Applied, batch: &AnyBatch) -> Total {
        let at = Place::from(self.at);
        match &self.of {
            Objective::Mean(of) => Total::Mean(self.scalar(of(out, batch)).at_place(&at)),
            Objective::Metric(metric, of) => {
                let state = metric.of_batch(of(out, batch));
                Total::Metric(state.map_leaves(|x| x.clone().at_place(&at)))
            }
        }
    }

    /// Returns the value of no examples.
    fn start(&self) -> Total {
        match &self.of {
            Objective::Mean(_) => Total::Mean(Tensor::scalar(DType::F64, 0.0)),
            Objective::Metric(metric, _) => Total::Metric(metric.init()),
        }
    }

    /// Returns the total after a batch of `examples` examples.
    fn add(&self, total: Total, batch: Total, examples: usize) -> Total {
        match (&self.of, total, batch) {
            (Objective::Metric(metric, _), Total::Metric(a), Total::Metric(b)) => {
                Total::Metric(metric.merge(&a, &b))
            }
            (Objective::Mean(_), Total::Mean(sum), Total::Mean(x)) => {
                Total::Mean(sum + x.to(DType::F64) * examples)
            }
            _ => Total::Mean(Tensor::from_error(Error::bug("a measure has another total"))),
        }
    }

    /// Returns the names and values of a total over `examples` examples: several if the metric has
    /// one for each class.
    fn scores(&self, total: &Total, examples: &Tensor) -> Result<Vec<(String, f64)>> {
        let value = match (&self.of, total) {
            (_, Total::Mean(sum)) => sum / examples,
            (Objective::Metric(metric, _), Total::Metric(state)) => metric.result(state),
            _ => Tensor::from_error(Error::bug("a measure has another total")),
        };
        let values =
            value.to(DType::F64).to_vec::<f64>().map_err(|e| e.at(&Place::from(self.at)))?;
        let names = (0..values.len()).map(|i| indexed(&self.name, i, &value.shape()));
        Ok(names.zip(values).collect())
    }

    fn scalar(&self, x: Tensor) -> Tensor {
        match x.ty() {
            Ok(t) if t.rank() > 0 => Tensor::from_error(self.no_scalar(&t)),
            _ => x,
        }
    }

    fn no_scalar(&self, got: &Type) -> Error {
        let what = if self.name == LOSS {
            "loss function".into()
        } else {
            format!("metric `{}`", self.name)
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
            Some(Total::Mean(sum)) => sum.item(),
            _ => Err(Error::bug("a training run has no loss")),
        }
    }

    /// Returns the scores over the examples; NaN if there are none.
    pub(crate) fn scores(&self, measures: &[Measure]) -> Result<Scores> {
        let all = measures.iter().zip(&self.all).map(|(m, total)| m.scores(total, &self.examples));
        Ok(all.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }
}

impl Default for Totals {
    fn default() -> Totals {
        Totals { all: Vec::new(), examples: Tensor::scalar(DType::F64, 0.0) }
    }
}
