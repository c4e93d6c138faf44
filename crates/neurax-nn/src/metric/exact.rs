//! Curves and areas of all scores, computed on the host: at the end of an epoch, from the
//! predictions on a whole data set.
//!
//! The binned metrics of [`binary`](super::binary) need no predictions of the whole set, and run in
//! the compiled step.

use neurax_tensor::{DType, Error, Result, Tensor};

/// The points of a curve, from the highest threshold to the lowest.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The coordinate on the horizontal axis: false positive rates, or recalls.
    pub x: Vec<f64>,
    /// The coordinate on the vertical axis: true positive rates, or precisions.
    pub y: Vec<f64>,
    /// The scores at or above which an example counts as positive; infinite at the first point.
    pub thresholds: Vec<f64>,
}

impl Curve {
    /// Returns the area under the curve by the trapezoidal rule.
    pub fn area(&self) -> f64 {
        let x = self.x.windows(2).map(|x| x[1] - x[0]);
        let y = self.y.windows(2).map(|y| (y[0] + y[1]) / 2.0);
        x.zip(y).map(|(width, height)| width * height).sum()
    }
}

/// Returns the ROC curve of scores `y` and targets `t` of 0 and 1 of the same shape: true positive
/// rates over false positive rates, one point for each distinct score. Follows
/// `sklearn.metrics.roc_curve` without dropped points.
///
/// ```
/// use neurax::prelude::*;
/// let curve = metric::exact::roc_curve(&tensor([0.1, 0.4, 0.35, 0.8]), &tensor([0, 0, 1, 1]))?;
/// assert_eq!(curve.y, [0.0, 0.5, 0.5, 1.0, 1.0]);
/// assert_eq!(curve.area(), 0.75);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// If the shapes differ, a score is NaN, a target is not 0 or 1, or one of them has no example.
pub fn roc_curve(y: &Tensor, t: &Tensor) -> Result<Curve> {
    let counts = counts("roc_curve", y, t)?;
    let (positives, negatives) = totals("roc_curve", &counts)?;
    Ok(Curve {
        x: counts.iter().map(|c| c.false_positives / negatives).collect(),
        y: counts.iter().map(|c| c.true_positives / positives).collect(),
        thresholds: counts.iter().map(|c| c.threshold).collect(),
    })
}

/// Returns the area under the [`roc_curve`]: `sklearn.metrics.roc_auc_score`.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([0.1, 0.4, 0.35, 0.8]), tensor([0, 0, 1, 1]));
/// assert_eq!(metric::exact::roc_auc(&y, &t)?, 0.75);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// As for [`roc_curve`].
pub fn roc_auc(y: &Tensor, t: &Tensor) -> Result<f64> {
    Ok(roc_curve(y, t)?.area())
}

/// Returns the curve of precision over recall of scores `y` and targets `t` of 0 and 1, from the
/// point of recall 0 and precision 1: `sklearn.metrics.precision_recall_curve` in reverse.
///
/// # Errors
/// As for [`roc_curve`], but examples of target 0 may be missing.
pub fn precision_recall_curve(y: &Tensor, t: &Tensor) -> Result<Curve> {
    let name = "precision_recall_curve";
    let counts = counts(name, y, t)?;
    let positives = counts.last().map_or(0.0, |c| c.true_positives);
    if positives == 0.0 {
        return Err(Error::new(name, "expected at least one example of target 1, got none"));
    }
    let precision = |c: &Counts| match c.true_positives + c.false_positives {
        0.0 => 1.0,
        all => c.true_positives / all,
    };
    Ok(Curve {
        x: counts.iter().map(|c| c.true_positives / positives).collect(),
        y: counts.iter().map(precision).collect(),
        thresholds: counts.iter().map(|c| c.threshold).collect(),
    })
}

/// Returns the area under the [`precision_recall_curve`] by the trapezoidal rule.
///
/// # Errors
/// As for [`precision_recall_curve`].
pub fn pr_auc(y: &Tensor, t: &Tensor) -> Result<f64> {
    Ok(precision_recall_curve(y, t)?.area())
}

/// Returns the average precision, the sum over the thresholds of the precision times the increase
/// of the recall: `sklearn.metrics.average_precision_score`.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([0.1, 0.4, 0.35, 0.8]), tensor([0, 0, 1, 1]));
/// assert!((metric::exact::average_precision(&y, &t)? - 5.0 / 6.0).abs() < 1e-12);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// As for [`precision_recall_curve`].
pub fn average_precision(y: &Tensor, t: &Tensor) -> Result<f64> {
    let curve = precision_recall_curve(y, t)?;
    let steps = curve.x.windows(2).map(|x| x[1] - x[0]);
    Ok(steps.zip(&curve.y[1..]).map(|(step, precision)| step * precision).sum())
}

/// The examples at or above a threshold.
struct Counts {
    threshold: f64,
    true_positives: f64,
    false_positives: f64,
}

/// Returns the counts above all scores, and at each distinct score, from the highest.
fn counts(name: &str, y: &Tensor, t: &Tensor) -> Result<Vec<Counts>> {
    let (a, b) = (y.ty()?, t.ty()?);
    if a.shape != b.shape {
        let why = format!("expected prediction and target of equal shapes, got {a} and {b}");
        return Err(Error::new(name, why));
    }
    let [scores, targets] = [y, t].map(|x| x.to(DType::F64).to_vec::<f64>());
    let mut pairs: Vec<(f64, f64)> = scores?.into_iter().zip(targets?).collect();
    if let Some((_, t)) = pairs.iter().find(|(_, t)| *t != 0.0 && *t != 1.0) {
        return Err(Error::new(name, format!("expected targets of 0 and 1, got {t}")));
    }
    if pairs.iter().any(|(y, _)| y.is_nan()) {
        return Err(Error::new(name, "expected scores that are numbers, got NaN"));
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let start = Counts { threshold: f64::INFINITY, true_positives: 0.0, false_positives: 0.0 };
    let mut all = vec![start];
    for ties in pairs.chunk_by(|a, b| a.0 == b.0) {
        let hits = ties.iter().map(|(_, t)| t).sum::<f64>();
        let before = all.last().map_or((0.0, 0.0), |c| (c.true_positives, c.false_positives));
        all.push(Counts {
            threshold: ties[0].0,
            true_positives: before.0 + hits,
            false_positives: before.1 + ties.len() as f64 - hits,
        });
    }
    Ok(all)
}

/// Returns the numbers of positive and negative examples.
fn totals(name: &str, counts: &[Counts]) -> Result<(f64, f64)> {
    match counts.last() {
        Some(c) if c.true_positives > 0.0 && c.false_positives > 0.0 => {
            Ok((c.true_positives, c.false_positives))
        }
        _ => Err(Error::new(name, "expected examples of target 0 and of target 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn wrong_operands_are_errors() {
        let one = tensor([1.0, 0.5]);
        let e = |r: Result<f64>| r.unwrap_err().to_string();
        assert!(e(roc_auc(&one, &tensor([1]))).contains("of equal shapes, got f32[2] and i32[1]"));
        assert!(e(roc_auc(&one, &tensor([1, 2]))).contains("targets of 0 and 1, got 2"));
        assert!(e(roc_auc(&one, &tensor([1, 1]))).contains("of target 0 and of target 1"));
        assert!(e(pr_auc(&tensor([f32::NAN, 1.0]), &tensor([1, 0]))).contains("got NaN"));
        assert!(e(pr_auc(&one, &tensor([0, 0]))).contains("at least one example of target 1"));
    }
}
