//! Areas under curves over all thresholds, from histograms of the scores.
//!
//! The state holds the weights of positive and negative examples in bins of the scores, whose
//! centers are `0, 1/(bins - 1), .. 1`. The result is exact for scores at these centers; others are
//! rounded to the nearest. Scores in one bin are ties.

use super::classes::{Average, Classification, Scored, invalid};
use super::metric_fn::{MetricFn, ratio};
use neurax_tensor::{DType, Tensor, keep, stack};

/// An area under a curve of binned scores. The state is f64[classes or 1, 2, bins]: negative, then
/// positive examples.
pub(super) struct OfCurve {
    pub name: &'static str,
    pub options: Classification,
    /// The area for histograms of negative and of positive examples, each f64[classes, bins].
    pub area: fn(&Tensor, &Tensor) -> Tensor,
}

/// The number of bins without the option: scores are rounded to multiples of 0.005.
const CURVE_BINS: usize = 201;

impl OfCurve {
    fn bins(&self) -> usize {
        self.options.bins.unwrap_or(CURVE_BINS)
    }

    fn curves(&self) -> usize {
        if self.options.is_binary { 1 } else { self.options.classes }
    }

    /// Returns the histograms of a batch.
    #[track_caller]
    fn histograms(&self, batch: Scored) -> Tensor {
        let (bins, curves) = (self.bins(), self.curves());
        let last = bins as f64 - 1.0;
        let bin = (batch.scores * last).round().clip(0.0, last).to(DType::I32);
        let column = Tensor::arange(curves);
        let is_positive = match self.options.is_binary {
            true => batch.target.expand_dims(1),
            false => batch.target.expand_dims(1).equal(&column).to(DType::I32),
        };
        let cell = (column * 2 + is_positive) * bins + bin;
        let weights = batch.weights.expand_dims(1).broadcast_to(cell.shape());
        let empty = Tensor::zeros_of(DType::F64, [curves * 2 * bins]);
        empty.at(cell.flatten()).add(weights.flatten()).reshape([curves, 2, bins])
    }
}

impl MetricFn for OfCurve {
    fn init(&self) -> Vec<Tensor> {
        vec![Tensor::zeros_of(DType::F64, [self.curves(), 2, self.bins()])]
    }

    fn batch(&self, y: &Tensor, t: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        if self.bins() < 2 {
            return vec![invalid(
                self.name,
                format!("expected 2 or more bins, got {}", self.bins()),
            )];
        }
        let scored = self.options.scored(self.name, y, t, weights);
        vec![scored.map_or_else(|error| error, |batch| self.histograms(batch))]
    }

    fn result(&self, state: &[Tensor]) -> Tensor {
        let [histograms] = state else {
            return invalid(self.name, "expected the state of this metric".into());
        };
        let (negative, positive) = (histograms.index((.., 0)), histograms.index((.., 1)));
        let areas = (self.area)(&negative, &positive);
        match self.options.average {
            _ if self.options.is_binary => areas.get(0),
            Average::None => areas,
            Average::Weighted => {
                let weights = positive.sum(1);
                ratio(&(areas * &weights).sum(..), &weights.sum(..))
            }
            Average::Macro => areas.mean(..),
            Average::Micro => (self.area)(&negative.sum(keep(0)), &positive.sum(keep(0))).get(0),
        }
    }
}

/// Returns the area under the ROC curve: the probability that a positive example has a higher score
/// than a negative one, where ties count half. NaN without examples of both kinds.
pub(super) fn roc_auc(negative: &Tensor, positive: &Tensor) -> Tensor {
    let below = negative.cumsum(-1) - negative * 0.5;
    (positive * below).sum(-1) / (positive.sum(-1) * negative.sum(-1))
}

/// Returns the average precision: the sum over the thresholds of the precision times the increase
/// of the recall. NaN without positive examples.
pub(super) fn average_precision(negative: &Tensor, positive: &Tensor) -> Tensor {
    let (precision, _) = precision_and_recall(negative, positive);
    (positive * precision).sum(-1) / positive.sum(-1)
}

/// Returns the area under the curve of precision over recall, by the trapezoidal rule, from the
/// precision of 1 at a recall of 0. NaN without positive examples.
pub(super) fn pr_auc(negative: &Tensor, positive: &Tensor) -> Tensor {
    let (precision, recall) = precision_and_recall(negative, positive);
    // From the highest threshold to the lowest, behind the point (0, 1).
    let behind = |x: &Tensor, first: f64| x.slice(-1, 1..).pad([(0, 0), (0, 1)], first);
    let width = &recall - behind(&recall, 0.0);
    let height = (&precision + behind(&precision, 1.0)) * 0.5;
    (width * height).sum(-1)
}

/// Returns precision and recall where the scores of a bin and all higher ones are positive. The
/// precision of no predictions is 1.
#[track_caller]
fn precision_and_recall(negative: &Tensor, positive: &Tensor) -> (Tensor, Tensor) {
    let above = |x: &Tensor| x.sum(keep(-1)) - x.cumsum(-1) + x;
    let counts = stack([&above(negative), &above(positive)], 0);
    let (hits, all) = (counts.get(1), counts.sum(0));
    let none = all.equal(0.0);
    let precision = none.select(1.0, &hits / none.select(1.0, &all));
    (precision, hits / positive.sum(keep(-1)))
}
