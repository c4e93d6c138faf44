//! [`CrossEntropyLoss`]: the cross-entropy of classes with options.

use super::criterion::{Criterion, LossFn, Losses, criteria};
use super::each::limited_log;
use super::operands::{
    at_class, invalid, invalid_class_weights, invalid_option, labelled, paired, with_labels,
};
use neurax_tensor::{DType, Tensor, softmax_logits};

/// Smooths target distributions `t` f[.., classes]: the fraction `amount` of each is distributed
/// evenly over all classes, `t (1 - amount) + amount / classes`.
///
/// ```
/// use neurax::prelude::*;
/// let t = loss::label_smoothing(&tensor([[0.0, 1.0]]), 0.5);
/// assert_eq!(t.to_vec::<f32>()?, [0.25, 0.75]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn label_smoothing(t: &Tensor, amount: f64) -> Tensor {
    match invalid_smoothing("label_smoothing", amount) {
        Some(error) => error,
        None => t * (1.0 - amount) + amount / t.dim(-1).max(1) as f64,
    }
}

#[track_caller]
pub(super) fn invalid_smoothing(name: &str, amount: f64) -> Option<Tensor> {
    let fits = (0.0..=1.0).contains(&amount);
    (!fits).then(|| invalid_option(name, "a label smoothing in 0..=1", amount))
}

/// The cross-entropy of logits f[.., classes] (or [probabilities](Self::probabilities), or
/// [their logarithms](Self::log_probabilities)) and class indices i[..] or target distributions
/// f[.., classes], with weights of classes, an ignored index and label smoothing. Follows
/// `torch.nn.CrossEntropyLoss`.
///
/// The mean over class indices is a weighted mean: it is divided by the sum of the weights of the
/// target classes. With target distributions, the weight of a class multiplies its target, and the
/// mean is divided by the number of examples.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 9.0]]);
/// let loss = loss::CrossEntropyLoss::new().class_weights(&tensor([1.0, 3.0])).ignore_index(-1);
/// let value = loss.measure(&y, &tensor([0, 1, -1])).item()?;
/// assert!((value - (0.126928 + 3.0 * 0.693147) / 4.0).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CrossEntropyLoss {
    prediction: PredictionOf,
    class_weights: Option<Tensor>,
    ignore_index: Option<i64>,
    label_smoothing: f64,
}

/// The meaning of a prediction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum PredictionOf {
    #[default]
    Logits,
    Probabilities,
    LogProbabilities,
}

impl CrossEntropyLoss {
    /// Creates the loss of logits.
    pub fn new() -> CrossEntropyLoss {
        CrossEntropyLoss::default()
    }

    /// Expects probabilities instead of logits.
    pub fn probabilities(mut self) -> Self {
        self.prediction = PredictionOf::Probabilities;
        self
    }

    /// Expects the logarithms of probabilities instead of logits: the negative log-likelihood,
    /// `torch.nn.NLLLoss`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([[-0.5, -1.0], [-2.0, -0.25]]);
    /// let loss = loss::CrossEntropyLoss::new().log_probabilities();
    /// let loss = loss.class_weights(&tensor([1.0, 3.0]));
    /// assert_eq!(loss.each(&y, &tensor([0, 1])).to_vec::<f32>()?, [0.5, 0.75]);
    /// assert_eq!(loss.measure(&y, &tensor([0, 1])).item()?, 1.25 / 4.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn log_probabilities(mut self) -> Self {
        self.prediction = PredictionOf::LogProbabilities;
        self
    }

    /// Sets the weights of the classes, `f[classes]`.
    pub fn class_weights(mut self, weights: &Tensor) -> Self {
        self.class_weights = Some(weights.clone());
        self
    }

    /// Ignores examples with this class index: they count for nothing.
    pub fn ignore_index(mut self, index: i64) -> Self {
        self.ignore_index = Some(index);
        self
    }

    /// Distributes the fraction `amount`, in 0..=1, of each target evenly over all classes: see
    /// [`label_smoothing`].
    pub fn label_smoothing(mut self, amount: f64) -> Self {
        self.label_smoothing = amount;
        self
    }

    /// Returns one loss for each example, 0 for ignored ones.
    #[track_caller]
    pub fn each(&self, y: &Tensor, t: &Tensor) -> Tensor {
        let losses = self.before_ignoring(y, t);
        match self.counted_indices(t) {
            Some(counted) => counted.select(losses, 0.0),
            None => losses,
        }
    }

    /// Returns the logarithms of the probabilities of `y`, which is f32 or wider; `dtype` is that
    /// of the prediction.
    #[track_caller]
    fn log(&self, y: &Tensor, dtype: DType) -> Tensor {
        match (self.prediction, softmax_logits(y)) {
            (PredictionOf::Logits, _) => y.log_softmax(-1),
            (PredictionOf::LogProbabilities, _) => y.clone(),
            (PredictionOf::Probabilities, Some(logits)) => logits.log_softmax(-1),
            (PredictionOf::Probabilities, None) => limited_log(y, dtype),
        }
    }

    #[track_caller]
    fn of_indices(&self, y: &Tensor, t: &Tensor) -> Tensor {
        let (dtype, a) = (y.dtype(), self.label_smoothing);
        if a == 0.0 && self.prediction == PredictionOf::Logits {
            return with_labels(NAME, y, t, |y, t| {
                let losses = y.sparse_cross_entropy(t);
                match &self.class_weights {
                    // An index out of range is clamped: its loss is NaN already.
                    Some(w) => losses * w.to(y.dtype()).take(t, 0),
                    None => losses,
                }
            });
        }
        labelled(NAME, y, t, |y, t| {
            let log = self.log(y, dtype);
            let weighted = match &self.class_weights {
                Some(w) => &log * w.to(log.dtype()),
                None => log,
            };
            let losses = -at_class(&weighted, t);
            if a == 0.0 { losses } else { losses * (1.0 - a) - weighted.mean(-1) * a }
        })
    }

    #[track_caller]
    fn of_distributions(&self, y: &Tensor, t: &Tensor) -> Tensor {
        let dtype = y.dtype();
        paired(NAME, y, t, |y, t| {
            let t = match self.label_smoothing {
                0.0 => t.clone(),
                a => label_smoothing(t, a),
            };
            let t = match &self.class_weights {
                Some(w) => &t * w.to(t.dtype()),
                None => t,
            };
            match (self.prediction, softmax_logits(y)) {
                (PredictionOf::Logits, _) => y.cross_entropy(t),
                (PredictionOf::Probabilities, Some(logits)) => logits.cross_entropy(t),
                (PredictionOf::Probabilities | PredictionOf::LogProbabilities, _) => {
                    -(t * self.log(y, dtype)).sum(-1)
                }
            }
        })
    }

    /// Returns one loss for each example, also for those with the ignored index.
    #[track_caller]
    fn before_ignoring(&self, y: &Tensor, t: &Tensor) -> Tensor {
        match self.invalid(y, t) {
            _ if y.error().is_some() => y.clone(),
            _ if t.error().is_some() => t.clone(),
            Some(error) => error,
            None if t.rank() == y.rank() => self.of_distributions(y, t),
            None => self.of_indices(y, t),
        }
    }

    /// Returns the examples whose class index is not the ignored one.
    fn counted_indices(&self, t: &Tensor) -> Option<Tensor> {
        let is_int = t.dtype().is_int();
        self.ignore_index.filter(|_| is_int).map(|index| t.not_equal(index))
    }

    /// Returns the error of options that do not fit a prediction `y` and a target `t`.
    #[track_caller]
    fn invalid(&self, y: &Tensor, t: &Tensor) -> Option<Tensor> {
        let weights = self.class_weights.as_ref();
        match weights.and_then(|w| invalid_class_weights(NAME, "class weights", w, y)) {
            Some(error) => Some(error),
            _ if self.ignore_index.is_some() && t.rank() == y.rank() => {
                let why = "expected class indices as targets if an index is ignored, got target \
                           distributions";
                Some(invalid(NAME, why.into()))
            }
            _ => invalid_smoothing(NAME, self.label_smoothing),
        }
    }
}

const NAME: &str = "cross_entropy_loss";

criteria!(CrossEntropyLoss);

impl Losses<2> for CrossEntropyLoss {
    fn each(&self, [y, t]: &[Tensor; 2]) -> Tensor {
        self.before_ignoring(y, t)
    }

    fn counted(&self, [_, t]: &[Tensor; 2]) -> Option<Tensor> {
        self.counted_indices(t)
    }

    fn contained_weights(&self, [y, t]: &[Tensor; 2]) -> Option<Tensor> {
        let of_indices = t.rank() + 1 == y.rank();
        // An index out of range is clamped: its loss is NaN already.
        self.class_weights.as_ref().filter(|_| of_indices).map(|w| w.take(t, 0))
    }

    fn uneven_options(&self) -> Vec<&'static str> {
        let weights = self.class_weights.as_ref().map(|_| "class_weights");
        weights.into_iter().chain(self.ignore_index.map(|_| "ignore_index")).collect()
    }
}
