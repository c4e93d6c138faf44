//! The options of classification metrics, and the classes of predictions and targets.

use super::metric_fn::weights_of;
use crate::precision::at_least_f32;
use neurax_tensor::{DType, Error, Tensor};
use std::panic::Location;

/// The choice of how the values of several classes become one, as in scikit-learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Average {
    /// Counts the decisions of all classes together.
    Micro,
    /// Averages over the classes that occur among targets or predictions.
    #[default]
    Macro,
    /// Averages over the classes, weighted by their numbers of targets.
    Weighted,
    /// Returns one value for each class.
    None,
}

/// The options of metrics of classes, whose methods create the metrics: see [`binary`] and
/// [`multiclass`].
#[derive(Clone, Debug)]
pub struct Classification {
    /// The number of classes; 2 if binary.
    pub(super) classes: usize,
    pub(super) is_binary: bool,
    pub(super) of_logits: bool,
    pub(super) threshold: f64,
    pub(super) ignore_index: Option<i64>,
    pub(super) average: Average,
    pub(super) bins: Option<usize>,
}

/// Returns the options for two classes. Predictions are probabilities of class 1, of the shape of
/// the targets, which are 0 and 1 (or bool). Metrics are those of class 1.
///
/// ```
/// use neurax::prelude::*;
/// let strict = metric::binary().threshold(0.8).precision();
/// let (y, t) = (tensor([0.9, 0.7, 0.95]), tensor([1, 0, 0]));
/// assert_eq!(strict.measure(&y, &t).item()?, 0.5);
/// # Ok::<(), Error>(())
/// ```
pub fn binary() -> Classification {
    Classification {
        classes: 2,
        is_binary: true,
        of_logits: false,
        threshold: 0.5,
        ignore_index: None,
        average: Average::Macro,
        bins: None,
    }
}

/// Returns the options for `classes` classes, one of which each example has. Predictions are
/// scores f[.., classes], of which the largest decides, or class indices i[..]; targets are class
/// indices i[..] or one-hot rows f[.., classes].
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([0, 1, 2, 2]), tensor([0, 1, 1, 2]));
/// let f1 = metric::multiclass(3).f1();
/// assert_eq!(f1.measure(&y, &t).to_vec::<f32>()?, [7.0 / 9.0]);
/// let each = metric::multiclass(3).average(metric::Average::None).recall();
/// assert_eq!(each.measure(&y, &t).to_vec::<f32>()?, [1.0, 0.5, 1.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn multiclass(classes: usize) -> Classification {
    Classification { classes, is_binary: false, ..binary() }
}

/// The classes of a batch as vectors: predicted and target classes, i32, and weights, f64.
pub(super) struct Decisions {
    pub predicted: Tensor,
    pub target: Tensor,
    pub weights: Tensor,
}

/// The scores of a batch: f[examples, classes] (or one column if binary), targets and weights.
pub(super) struct Scored {
    pub scores: Tensor,
    pub target: Tensor,
    pub weights: Tensor,
}

impl Classification {
    /// Sets the probability above which class 1 is predicted. The default is 0.5.
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// Expects logits as predictions, not probabilities. It matters for thresholds, curves and
    /// calibration.
    pub fn logits(mut self) -> Self {
        self.of_logits = true;
        self
    }

    /// Ignores examples with this target.
    pub fn ignore_index(mut self, index: i64) -> Self {
        self.ignore_index = Some(index);
        self
    }

    /// Sets how the values of several classes become one. The default is the macro average.
    pub fn average(mut self, average: Average) -> Self {
        self.average = average;
        self
    }

    /// Sets the number of bins of probabilities, at least 2, of curves (201 by default) and of the
    /// calibration error (15 by default).
    pub fn bins(mut self, bins: usize) -> Self {
        self.bins = Some(bins);
        self
    }

    /// Returns the predicted and the target classes of a batch.
    #[track_caller]
    pub(super) fn decisions(
        &self,
        name: &str,
        y: &Tensor,
        t: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<Decisions, Tensor> {
        let target = self.targets(name, y, t)?;
        let predicted = match self.is_binary {
            true => self.probabilities(y).gt(self.threshold).to(DType::I32),
            false if y.rank() > target.rank() => y.argmax(-1),
            false => y.to(DType::I32),
        };
        let (target, weights) = self.counted(name, target, weights)?;
        Ok(Decisions { predicted: predicted.flatten(), target, weights })
    }

    /// Returns the probabilities and the target classes of a batch.
    #[track_caller]
    pub(super) fn scored(
        &self,
        name: &str,
        y: &Tensor,
        t: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<Scored, Tensor> {
        let target = self.targets(name, y, t)?;
        if !self.is_binary && y.rank() == target.rank() {
            let why = format!("expected scores [.., {}], got class indices", self.classes);
            return Err(invalid(name, why));
        }
        let columns = if self.is_binary { 1 } else { self.classes };
        let scores = self.probabilities(y).reshape([target.size(), columns]);
        let (target, weights) = self.counted(name, target, weights)?;
        Ok(Scored { scores, target, weights })
    }

    #[track_caller]
    fn probabilities(&self, y: &Tensor) -> Tensor {
        let y = match y.dtype().is_float() {
            true => at_least_f32(y),
            false => y.to(DType::F32),
        };
        match (self.of_logits, self.is_binary) {
            (false, _) => y,
            (true, true) => y.sigmoid(),
            (true, false) => y.softmax(-1),
        }
    }

    /// Returns the target classes, i32, or the error of operands of other shapes.
    #[track_caller]
    fn targets(&self, name: &str, y: &Tensor, t: &Tensor) -> Result<Tensor, Tensor> {
        let (Ok(a), Ok(b)) = (y.ty(), t.ty()) else { return Err(y + t) };
        if self.classes < 2 {
            return Err(invalid(name, format!("expected 2 or more classes, got {}", self.classes)));
        }
        if self.is_binary {
            let why = || format!("expected prediction and target of equal shapes, got {a} and {b}");
            let is_int = b.dtype.is_int() || b.dtype == DType::Bool;
            return match a.shape == b.shape {
                true if is_int => Ok(t.to(DType::I32)),
                true => Ok(t.gt(0.5).to(DType::I32)),
                false => Err(invalid(name, why())),
            };
        }
        let rows = |shape: &[usize]| shape.split_last().is_some_and(|(n, _)| *n == self.classes);
        let is_label = b.dtype.is_int() && a.shape.starts_with(&b.shape);
        match a.rank().checked_sub(b.rank()) {
            Some(1) if is_label && rows(&a.shape) => Ok(t.to(DType::I32)),
            Some(0) if is_label && a.dtype.is_int() => Ok(t.to(DType::I32)),
            Some(0) if a.shape == b.shape && rows(&a.shape) => Ok(t.argmax(-1)),
            _ => {
                let why = format!(
                    "expected scores [.., {}] or class indices, and class indices or one-hot rows \
                     as targets, got {a} and {b}",
                    self.classes
                );
                Err(invalid(name, why))
            }
        }
    }

    /// Returns target classes and weights as vectors. An ignored example has the weight 0, and one
    /// whose target is no class the weight NaN; the target of both is class 0.
    #[track_caller]
    fn counted(
        &self,
        name: &str,
        target: Tensor,
        weights: Option<&Tensor>,
    ) -> Result<(Tensor, Tensor), Tensor> {
        let weights = weights_of(name, weights, &target).flatten();
        if weights.error().is_some() {
            return Err(weights);
        }
        let target = target.flatten();
        let is_class = target.ge(0) & target.lt(self.classes);
        let weights = (is_class.logical_not() & weights.not_equal(0.0)).select(f64::NAN, weights);
        let weights = match self.ignore_index {
            Some(index) => target.equal(index).select(0.0, weights),
            None => weights,
        };
        Ok((is_class.select(target, 0), weights))
    }
}

#[track_caller]
pub(super) fn invalid(name: &str, why: String) -> Tensor {
    Tensor::from_error(Error::new(name, why).at(&Location::caller().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metric;
    use crate::metric::{average_precision, f1, pr_auc, r2, roc_auc};
    use neurax_tensor::{jit, tensor, vmap};

    #[test]
    fn wrong_operands_and_options_are_errors() {
        let (y, t) = (Tensor::zeros([4, 3]), tensor([0, 1, 2, 0]));
        let e = |m: Metric, y: &Tensor, t: &Tensor| m.measure(y, t).item().unwrap_err().to_string();
        assert!(e(f1(), &y, &t).contains("f1: expected prediction and target of equal shapes"));
        assert!(e(multiclass(4).f1(), &y, &t).contains("f1: expected scores [.., 4]"));
        assert!(e(multiclass(1).mcc(), &y, &t).contains("mcc: expected 2 or more classes, got 1"));
        assert!(e(multiclass(3).roc_auc(), &t, &t).contains("expected scores [.., 3], got class"));
        assert!(e(multiclass(3).bins(1).roc_auc(), &y, &t).contains("2 or more bins, got 1"));
        assert!(e(binary().bins(0).calibration_error(), &t, &t).contains("1 or more bins"));
        assert!(e(multiclass(3).f_beta(-1.0), &y, &t).contains("a beta of at least 0, got -1"));
        assert!(e(r2(), &y, &t).contains("r2: expected prediction and target of equal shapes"));
        let all = multiclass(3).average(Average::None).recall();
        let weighted = all.update_weighted(all.init(), &y, &t, &Tensor::ones(3));
        let e = all.result(&weighted).to_vec::<f64>().unwrap_err().to_string();
        assert!(e.contains("recall: expected weights of the shape of the targets, [4]"), "{e}");
    }

    #[test]
    fn an_index_that_is_no_class_yields_nan_unless_it_is_ignored_or_masked() {
        let (y, t) = (tensor([0, 1, 1]), tensor([0, 1, 5]));
        let f = multiclass(2).f1();
        assert!(f.measure(&y, &t).item().unwrap().is_nan());
        assert!(f.measure(&t, &y).item().unwrap().is_nan());
        assert_eq!(multiclass(2).ignore_index(5).f1().measure(&y, &t).item().unwrap(), 1.0);
        let masked = f.update_weighted(f.init(), &y, &t, &tensor([true, true, false]));
        assert_eq!(f.result(&masked).item().unwrap(), 1.0);
    }

    #[test]
    fn targets_may_be_one_hot_and_predictions_narrow_or_logits() {
        let y = tensor([[0.75, 0.25, 0.0], [0.25, 0.5, 0.25], [0.5, 0.25, 0.25]]);
        let (t, hot) = (tensor([0, 1, 2]), Tensor::eye(3));
        let m = multiclass(3);
        let want = m.clone().f1().measure(&y, &t).item().unwrap();
        for y in [y.to(DType::BF16), y.log(), y.argmax(-1)] {
            assert_eq!(m.clone().f1().measure(&y, &t).item().unwrap(), want);
        }
        assert_eq!(m.clone().f1().measure(&y, &hot).item().unwrap(), want);
        let auc = m.clone().roc_auc().measure(&y, &t).item().unwrap();
        let of_logits = m.logits().roc_auc().measure(&(y + 1e-9).log(), &t).item().unwrap();
        assert!((auc - of_logits).abs() < 1e-6, "{auc} {of_logits}");
        let bools = f1().measure(&tensor([true, false]), &tensor([true, true]));
        assert_eq!(bools.to_vec::<f32>().unwrap(), [2.0 / 3.0]);
    }

    #[test]
    fn without_examples_ratios_are_zero_and_areas_undefined() {
        let empty = |m: Metric| m.result(&m.init()).item().unwrap();
        assert_eq!(empty(f1()), 0.0);
        assert_eq!(empty(multiclass(3).kappa()), 0.0);
        assert_eq!(empty(r2()), 0.0);
        for m in [roc_auc(), average_precision()] {
            assert!(empty(m).is_nan());
        }
        let one_kind = roc_auc().measure(&tensor([0.5, 0.75]), &tensor([1, 1]));
        assert!(one_kind.item().unwrap().is_nan());
        assert_eq!(pr_auc().measure(&tensor([0.5, 0.75]), &tensor([1, 1])).item().unwrap(), 1.0);
    }

    #[test]
    fn under_jit_and_vmap() {
        let (y, t) = (tensor([[0.9, 0.2, 0.6], [0.1, 0.7, 0.8]]), tensor([[1, 0, 0], [0, 1, 0]]));
        for m in [f1(), roc_auc(), r2(), binary().calibration_error()] {
            let rows = (0..2).map(|i| m.measure(&y.get(i), &t.get(i)).item().unwrap());
            let rows: Vec<f64> = rows.collect();
            let f = |(y, t): (Tensor, Tensor)| m.measure(&y, &t);
            let batched = jit(vmap(f))((y.clone(), t.clone())).to(DType::F64);
            assert_eq!(batched.to_vec::<f64>().unwrap(), rows, "{m:?}");
        }
    }
}
