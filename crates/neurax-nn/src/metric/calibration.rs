//! The expected calibration error: Naeini et al., 2015; Guo et al., 2017.

use super::classes::{Classification, Scored, invalid};
use super::metric_fn::{MetricFn, ratio};
use neurax_tensor::{DType, Tensor, stack};

/// The number of bins without the option.
const CALIBRATION_BINS: usize = 15;

/// The expected calibration error. The state is f64[3, bins]: the weights of the examples whose
/// confidence is in a bin, and their weighted sums of confidences and of hits.
pub(super) struct Calibration {
    pub name: &'static str,
    pub options: Classification,
}

impl Calibration {
    fn bins(&self) -> usize {
        self.options.bins.unwrap_or(CALIBRATION_BINS)
    }

    /// Returns confidences and hits, f64[examples]: of class 1 if binary, else of the class with
    /// the highest score.
    #[track_caller]
    fn confidences(&self, batch: &Scored) -> (Tensor, Tensor) {
        let (confidence, hit) = match self.options.is_binary {
            true => (batch.scores.squeeze(1), batch.target.gt(0)),
            false => (batch.scores.max(1), batch.scores.argmax(1).equal(&batch.target)),
        };
        (confidence.to(DType::F64), hit.to(DType::F64))
    }
}

impl MetricFn for Calibration {
    fn init(&self) -> Vec<Tensor> {
        vec![Tensor::zeros_of(DType::F64, [3, self.bins()])]
    }

    fn batch(&self, y: &Tensor, t: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        let bins = self.bins();
        if bins == 0 {
            return vec![invalid(self.name, "expected 1 or more bins, got 0".into())];
        }
        vec![match self.options.scored(self.name, y, t, weights) {
            Ok(batch) => {
                let (confidence, hit) = self.confidences(&batch);
                let last = bins as f64 - 1.0;
                let bin = (&confidence * bins as f64).floor().clip(0.0, last).to(DType::I32);
                let w = &batch.weights;
                let rows = [w.clone(), w * confidence, w * hit];
                let sums = rows.map(|x| Tensor::zeros_of(DType::F64, [bins]).at(&bin).add(x));
                stack(&sums, 0)
            }
            Err(error) => error,
        }]
    }

    fn result(&self, state: &[Tensor]) -> Tensor {
        let [sums] = state else {
            return invalid(self.name, "expected the state of this metric".into());
        };
        let gap = (sums.get(1) - sums.get(2)).abs();
        ratio(&gap.sum(..), &sums.get(0).sum(..))
    }
}
