//! Metrics of second moments of predictions and targets.

use super::classes::invalid;
use super::metric_fn::{Metric, MetricFn, custom, ratio, weights_of, zero};
use neurax_tensor::{DType, Tensor};

/// Returns the coefficient of determination R² over all elements: 1 minus the sum of the squared
/// errors divided by that of the deviations of the targets from their mean; 0 if all targets are
/// equal. Follows `sklearn.metrics.r2_score` of a single output.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([1.0, 2.0, 4.0]), tensor([1.0, 2.0, 3.0]));
/// assert_eq!(metric::r2().measure(&y, &t).item()?, 0.5);
/// # Ok::<(), Error>(())
/// ```
pub fn r2() -> Metric {
    let of = |m: &CoMoments| {
        let defined = m.of_targets.not_equal(0.0);
        defined.select(1.0 - ratio(&m.errors, &m.of_targets), 0.0)
    };
    custom("r2", OfMoments { name: "r2", of })
}

/// Returns Pearson's correlation coefficient of predictions and targets over all elements; 0 if all
/// predictions or all targets are equal. Follows `scipy.stats.pearsonr`.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([1.0, 2.0, 3.0]), tensor([-2.0, -4.0, -6.0]));
/// assert_eq!(metric::pearson().measure(&y, &t).item()?, -1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn pearson() -> Metric {
    let of = |m: &CoMoments| ratio(&m.both, &(m.of_predictions.sqrt() * m.of_targets.sqrt()));
    custom("pearson", OfMoments { name: "pearson", of })
}

/// A metric of moments, which are its state. States merge by the formula of Chan et al., 1979,
/// which subtracts no large sums.
struct OfMoments {
    name: &'static str,
    of: fn(&CoMoments) -> Tensor,
}

/// The sum of the weights, the means, the sums of the products of deviations from them, and the sum
/// of the squared errors.
struct CoMoments {
    count: Tensor,
    mean_prediction: Tensor,
    mean_target: Tensor,
    of_predictions: Tensor,
    of_targets: Tensor,
    both: Tensor,
    errors: Tensor,
}

impl CoMoments {
    fn new(state: &[Tensor]) -> Option<CoMoments> {
        let [count, mean_prediction, mean_target, of_predictions, of_targets, both, errors] =
            <[Tensor; 7]>::try_from(state.to_vec()).ok()?;
        Some(CoMoments {
            count,
            mean_prediction,
            mean_target,
            of_predictions,
            of_targets,
            both,
            errors,
        })
    }

    fn into_state(self) -> Vec<Tensor> {
        let m = self;
        vec![
            m.count,
            m.mean_prediction,
            m.mean_target,
            m.of_predictions,
            m.of_targets,
            m.both,
            m.errors,
        ]
    }

    #[track_caller]
    fn merged(&self, other: &CoMoments) -> CoMoments {
        let count = &self.count + &other.count;
        let share = ratio(&other.count, &count);
        let y = &other.mean_prediction - &self.mean_prediction;
        let t = &other.mean_target - &self.mean_target;
        let between = &self.count * &share;
        CoMoments {
            mean_prediction: &self.mean_prediction + &y * &share,
            mean_target: &self.mean_target + &t * &share,
            of_predictions: &self.of_predictions + &other.of_predictions + &y * &y * &between,
            of_targets: &self.of_targets + &other.of_targets + &t * &t * &between,
            both: &self.both + &other.both + y * t * between,
            errors: &self.errors + &other.errors,
            count,
        }
    }
}

impl MetricFn for OfMoments {
    fn init(&self) -> Vec<Tensor> {
        vec![zero(); 7]
    }

    fn batch(&self, y: &Tensor, t: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        if let (Ok(a), Ok(b)) = (y.ty(), t.ty())
            && a.shape != b.shape
        {
            let why = format!("expected prediction and target of equal shapes, got {a} and {b}");
            return vec![invalid(self.name, why); 7];
        }
        let w = weights_of(self.name, weights, t);
        // Masked values may be NaN.
        let counted = |x: &Tensor| w.equal(0.0).select(0.0, x.to(DType::F64));
        let (y, t) = (counted(y), counted(t));
        let count = w.sum(..);
        let mean = |x: &Tensor| ratio(&(x * &w).sum(..), &count);
        let (mean_prediction, mean_target) = (mean(&y), mean(&t));
        let (dy, dt) = (&y - &mean_prediction, &t - &mean_target);
        let moments = CoMoments {
            of_predictions: (&dy * &dy * &w).sum(..),
            of_targets: (&dt * &dt * &w).sum(..),
            both: (dy * dt * &w).sum(..),
            errors: ((&y - &t).square() * &w).sum(..),
            count,
            mean_prediction,
            mean_target,
        };
        moments.into_state()
    }

    fn merge(&self, a: &[Tensor], b: &[Tensor]) -> Vec<Tensor> {
        match (CoMoments::new(a), CoMoments::new(b)) {
            (Some(a), Some(b)) => a.merged(&b).into_state(),
            _ => vec![invalid(self.name, "expected states of this metric".into()); 7],
        }
    }

    fn result(&self, state: &[Tensor]) -> Tensor {
        match CoMoments::new(state) {
            Some(m) => (self.of)(&m),
            None => invalid(self.name, "expected the state of this metric".into()),
        }
    }
}
