//! The metrics of classes: methods of [`Classification`], and functions for two classes.

use super::calibration::Calibration;
use super::classes::{Classification, binary, multiclass};
use super::confusion::{self, Confusion, FBeta, OfConfusion};
use super::curves::{self, OfCurve};
use super::metric_fn::{Metric, custom};
use neurax_tensor::Tensor;

/// Defines functions that create the metric of two classes.
macro_rules! of_two_classes {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        pub fn $name() -> Metric {
            binary().$name()
        }
    )*};
}

/// Defines methods that create a metric of the confusion matrix and, of those marked so, functions
/// that create that of two classes.
macro_rules! of_confusion {
    ($($(#[$doc:meta])* $name:ident $(, $also:ident)?;)*) => {
        impl Classification {$(
            $(#[$doc])*
            pub fn $name(self) -> Metric {
                self.of_confusion(stringify!($name), confusion::$name)
            }
        )*}

        $($(of_confusion! { @ $also $name })?)*
    };
    (@ function $name:ident) => {
        of_two_classes! {
            #[doc = concat!(
                "Returns the metric [`Classification::", stringify!($name), "`] of two classes."
            )]
            $name
        }
    };
}

of_confusion! {
    /// Returns the fraction of examples whose class is predicted.
    accuracy;
    /// Returns the precision: the fraction of predictions of a class that are right.
    precision, function;
    /// Returns the recall (sensitivity): the fraction of examples of a class that are predicted as
    /// such.
    recall, function;
    /// Returns the specificity: the fraction of examples of other classes that are not predicted as
    /// a class.
    specificity, function;
    /// Returns the number of right predictions of a class: the sum over the classes, or one for
    /// each class without an average. The same holds for the other counts.
    true_positives, function;
    /// Returns the number of wrong predictions of a class.
    false_positives, function;
    /// Returns the number of examples of other classes that are not predicted as a class.
    true_negatives, function;
    /// Returns the number of examples of a class that are not predicted as such.
    false_negatives, function;
    /// Returns the intersection over union (Jaccard index): the right predictions of a class
    /// divided by the examples that have the class as target or prediction. Its macro average is
    /// the mean IoU.
    iou, function;
    /// Returns the balanced accuracy: the mean recall of the classes that occur as targets.
    balanced_accuracy, function;
    /// Returns the Matthews correlation coefficient.
    mcc, function;
    /// Returns Cohen's kappa, the agreement beyond that of independent predictions.
    kappa, function;
}

impl Classification {
    fn of_confusion(self, name: &'static str, of: fn(&Confusion) -> Tensor) -> Metric {
        custom(name, OfConfusion { name, options: self, of })
    }

    fn of_curve(self, name: &'static str, area: fn(&Tensor, &Tensor) -> Tensor) -> Metric {
        custom(name, OfCurve { name, options: self, area })
    }

    /// Returns the confusion matrix: row `i`, column `j` holds the number of examples of class `i`
    /// for which class `j` was predicted.
    pub fn confusion_matrix(self) -> Metric {
        self.of_confusion("confusion_matrix", |c| c.matrix.clone())
    }

    /// Returns the F1 score, the harmonic mean of precision and recall.
    pub fn f1(self) -> Metric {
        self.of_confusion("f1", |c| confusion::f_beta(c, 1.0))
    }

    /// Returns the F-measure, in which recall is `beta` times as important as precision.
    pub fn f_beta(self, beta: f64) -> Metric {
        let of: fn(&Confusion) -> Tensor = |c| c.matrix.clone();
        let confusion = OfConfusion { name: "f_beta", options: self, of };
        custom("f_beta", FBeta { confusion, beta })
    }

    /// Returns the area under the ROC curve of binned probabilities, for several classes that of
    /// each class against the rest. Exact for probabilities that are multiples of
    /// `1 / (bins - 1)`; [`exact::roc_auc`](super::exact::roc_auc) is exact for all. NaN without
    /// examples of both kinds.
    pub fn roc_auc(self) -> Metric {
        self.of_curve("roc_auc", curves::roc_auc)
    }

    /// Returns the area under the curve of precision over recall of binned probabilities, by the
    /// trapezoidal rule.
    pub fn pr_auc(self) -> Metric {
        self.of_curve("pr_auc", curves::pr_auc)
    }

    /// Returns the average precision of binned probabilities: a sum of steps instead of trapezoids,
    /// which is not too optimistic.
    pub fn average_precision(self) -> Metric {
        self.of_curve("average_precision", curves::average_precision)
    }

    /// Returns the expected calibration error: the mean distance of confidence and accuracy over
    /// bins of the confidence.
    pub fn calibration_error(self) -> Metric {
        let name = "calibration_error";
        custom(name, Calibration { name, options: self })
    }
}

of_two_classes! {
    /// Returns the [F1 score](Classification::f1) of two classes.
    f1
    /// Returns the [area under the ROC curve](Classification::roc_auc) of two classes.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([0.1, 0.4, 0.35, 0.8]), tensor([0, 0, 1, 1]));
    /// assert_eq!(metric::roc_auc().measure(&y, &t).item()?, 0.75);
    /// # Ok::<(), Error>(())
    /// ```
    roc_auc
    /// Returns the [area under the precision-recall curve](Classification::pr_auc) of two classes.
    pr_auc
    /// Returns the [average precision](Classification::average_precision) of two classes.
    average_precision
    /// Returns the [expected calibration error](Classification::calibration_error) of two classes.
    calibration_error
}

/// Returns the sensitivity, another name of the [recall](Classification::recall), of two classes.
pub fn sensitivity() -> Metric {
    recall().named("sensitivity")
}

/// Returns the mean [intersection over union](Classification::iou) of `classes` classes, over those
/// that occur.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([0, 1, 1]), tensor([0, 1, 0]));
/// assert_eq!(metric::mean_iou(2).measure(&y, &t).item()?, 0.5);
/// # Ok::<(), Error>(())
/// ```
pub fn mean_iou(classes: usize) -> Metric {
    multiclass(classes).iou().named("mean_iou")
}
