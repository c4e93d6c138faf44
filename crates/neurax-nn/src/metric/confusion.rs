//! Metrics of the confusion matrix, which is their state.

use super::classes::{Average, Classification, invalid};
use super::metric_fn::{MetricFn, ratio};
use neurax_tensor::{DType, Tensor};

/// A metric that is a function of the confusion matrix.
pub(super) struct OfConfusion {
    pub name: &'static str,
    pub options: Classification,
    pub of: fn(&Confusion) -> Tensor,
}

/// The confusion matrix: row `i`, column `j` holds the weight of the examples of class `i` for
/// which class `j` was predicted.
pub(super) struct Confusion {
    pub matrix: Tensor,
    /// The weights of the examples of each class that were predicted as such.
    pub hits: Tensor,
    /// The weights of the targets of each class.
    pub targets: Tensor,
    /// The weights of the predictions of each class.
    pub predictions: Tensor,
    pub total: Tensor,
    options: Classification,
}

impl MetricFn for OfConfusion {
    fn init(&self) -> Vec<Tensor> {
        vec![Tensor::zeros_of(DType::F64, [self.options.classes; 2])]
    }

    fn batch(&self, y: &Tensor, t: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        vec![match self.options.decisions(self.name, y, t, weights) {
            Ok(d) => {
                let n = self.options.classes;
                let is_class = d.predicted.ge(0) & d.predicted.lt(n);
                let weights =
                    (is_class.logical_not() & d.weights.not_equal(0.0)).select(f64::NAN, d.weights);
                let cells = d.target * n + is_class.select(d.predicted, 0);
                Tensor::zeros_of(DType::F64, [n * n]).at(cells).add(weights).reshape([n, n])
            }
            Err(error) => error,
        }]
    }

    fn result(&self, state: &[Tensor]) -> Tensor {
        match state {
            [matrix] => (self.of)(&Confusion::new(matrix, &self.options)),
            _ => invalid(self.name, "expected the state of this metric".into()),
        }
    }
}

impl Confusion {
    #[track_caller]
    fn new(matrix: &Tensor, options: &Classification) -> Confusion {
        Confusion {
            matrix: matrix.clone(),
            hits: matrix.diagonal(0, 0, 1),
            targets: matrix.sum(1),
            predictions: matrix.sum(0),
            total: matrix.sum(..),
            options: options.clone(),
        }
    }

    /// Returns the average over the classes of a ratio that each of them has; that of class 1 if
    /// binary.
    #[track_caller]
    fn averaged(&self, numerators: Tensor, denominators: Tensor) -> Tensor {
        let each = ratio(&numerators, &denominators);
        match self.options.average {
            _ if self.options.is_binary => each.get(1),
            Average::None => each,
            Average::Micro => ratio(&numerators.sum(..), &denominators.sum(..)),
            Average::Weighted => ratio(&(each * &self.targets).sum(..), &self.total),
            Average::Macro => {
                let occurs = (&self.targets + &self.predictions).not_equal(0.0);
                ratio(&occurs.select(each, 0.0).sum(..), &occurs.to(DType::F64).sum(..))
            }
        }
    }

    /// Returns counts of classes: that of class 1 if binary, their sum, or all of them.
    #[track_caller]
    fn counted(&self, counts: Tensor) -> Tensor {
        match self.options.average {
            _ if self.options.is_binary => counts.get(1),
            Average::None => counts,
            _ => counts.sum(..),
        }
    }
}

pub(super) fn true_positives(c: &Confusion) -> Tensor {
    c.counted(c.hits.clone())
}

pub(super) fn false_positives(c: &Confusion) -> Tensor {
    c.counted(&c.predictions - &c.hits)
}

pub(super) fn false_negatives(c: &Confusion) -> Tensor {
    c.counted(&c.targets - &c.hits)
}

pub(super) fn true_negatives(c: &Confusion) -> Tensor {
    c.counted(&c.total - &c.targets - &c.predictions + &c.hits)
}

pub(super) fn accuracy(c: &Confusion) -> Tensor {
    ratio(&c.hits.sum(..), &c.total)
}

pub(super) fn precision(c: &Confusion) -> Tensor {
    c.averaged(c.hits.clone(), c.predictions.clone())
}

pub(super) fn recall(c: &Confusion) -> Tensor {
    c.averaged(c.hits.clone(), c.targets.clone())
}

pub(super) fn specificity(c: &Confusion) -> Tensor {
    let others = &c.total - &c.targets;
    c.averaged(&others - &c.predictions + &c.hits, others)
}

pub(super) fn f_beta(c: &Confusion, beta: f64) -> Tensor {
    let b = beta * beta;
    c.averaged(&c.hits * (1.0 + b), &c.targets * b + &c.predictions)
}

pub(super) fn iou(c: &Confusion) -> Tensor {
    c.averaged(c.hits.clone(), &c.targets + &c.predictions - &c.hits)
}

/// Returns the mean recall of the classes that have targets.
pub(super) fn balanced_accuracy(c: &Confusion) -> Tensor {
    let occurs = c.targets.not_equal(0.0).to(DType::F64);
    ratio(&ratio(&c.hits, &c.targets).sum(..), &occurs.sum(..))
}

/// Returns the Matthews correlation coefficient: Gorodkin, 2004, for several classes.
pub(super) fn mcc(c: &Confusion) -> Tensor {
    let square = c.total.square();
    let covariance = c.hits.sum(..) * &c.total - (&c.targets * &c.predictions).sum(..);
    let of_targets = &square - c.targets.square().sum(..);
    let of_predictions = square - c.predictions.square().sum(..);
    ratio(&covariance, &(of_targets * of_predictions).sqrt())
}

/// Returns Cohen's kappa.
pub(super) fn kappa(c: &Confusion) -> Tensor {
    let observed = c.hits.sum(..) * &c.total;
    let expected = (&c.targets * &c.predictions).sum(..);
    ratio(&(observed - &expected), &(c.total.square() - expected))
}

/// A metric with a parameter, which a function pointer cannot hold: the F-measure.
pub(super) struct FBeta {
    pub confusion: OfConfusion,
    pub beta: f64,
}

impl MetricFn for FBeta {
    fn init(&self) -> Vec<Tensor> {
        self.confusion.init()
    }

    fn batch(&self, y: &Tensor, t: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        self.confusion.batch(y, t, weights)
    }

    fn result(&self, state: &[Tensor]) -> Tensor {
        match state {
            _ if self.beta.is_nan() || self.beta < 0.0 => {
                invalid("f_beta", format!("expected a beta of at least 0, got {}", self.beta))
            }
            [matrix] => f_beta(&Confusion::new(matrix, &self.confusion.options), self.beta),
            _ => invalid("f_beta", "expected the state of this metric".into()),
        }
    }
}
