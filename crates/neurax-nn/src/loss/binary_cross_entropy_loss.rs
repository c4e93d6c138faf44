//! [`BinaryCrossEntropyLoss`]: the cross-entropy of two classes with options.

use super::criterion::{Criterion, LossFn, Losses, criteria};
use super::cross_entropy_loss::invalid_smoothing;
use super::each::limited_log;
use super::operands::{invalid, paired};
use neurax_tensor::{DType, Operand, Tensor, sigmoid_logits};

/// The binary cross-entropy of logits (or [probabilities](Self::probabilities)) and targets in
/// 0..=1 of the same shape, one loss for each element, with weights of positive and negative
/// targets, of all labels or of each, and label smoothing. Follows `torch.nn.BCEWithLogitsLoss` and
/// the options of Axon.
///
/// ```
/// use neurax::prelude::*;
/// let loss = loss::BinaryCrossEntropyLoss::new().positive_weight(3.0);
/// let losses = loss.each(&tensor([0.0, 0.0]), &tensor([1.0, 0.0]));
/// assert_eq!(losses.to_vec::<f32>()?, [2.0794415, 0.6931472]);
/// // One weight for each of two labels.
/// let loss = loss::BinaryCrossEntropyLoss::new().positive_weight(&tensor([1.0, 3.0]));
/// let losses = loss.each(&Tensor::zeros([1, 2]), &Tensor::ones([1, 2]));
/// assert_eq!(losses.to_vec::<f32>()?, [0.6931472, 2.0794415]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct BinaryCrossEntropyLoss {
    of_probabilities: bool,
    positive_weight: Option<Tensor>,
    negative_weight: Option<Tensor>,
    label_smoothing: f64,
}

impl BinaryCrossEntropyLoss {
    /// Creates the loss of logits.
    pub fn new() -> BinaryCrossEntropyLoss {
        BinaryCrossEntropyLoss::default()
    }

    /// Expects probabilities instead of logits.
    pub fn probabilities(mut self) -> Self {
        self.of_probabilities = true;
        self
    }

    /// Sets the weight of targets of 1: a number, or a tensor that broadcasts to the targets, such
    /// as `f[labels]` with one for each label, the last axis (`pos_weight` in PyTorch). The default
    /// is 1.
    pub fn positive_weight(mut self, weight: impl Operand) -> Self {
        self.positive_weight = Some(weight.operand(&Tensor::scalar(DType::F64, 0.0)));
        self
    }

    /// Sets the weight of targets of 0, as [`positive_weight`](Self::positive_weight) sets that of
    /// targets of 1. The default is 1.
    pub fn negative_weight(mut self, weight: impl Operand) -> Self {
        self.negative_weight = Some(weight.operand(&Tensor::scalar(DType::F64, 0.0)));
        self
    }

    /// Moves targets toward 1/2 by the fraction `amount`, in 0..=1, as in Keras.
    pub fn label_smoothing(mut self, amount: f64) -> Self {
        self.label_smoothing = amount;
        self
    }

    /// Returns one loss for each element.
    #[track_caller]
    pub fn each(&self, y: &Tensor, t: &Tensor) -> Tensor {
        if let Some(error) = self.invalid(y) {
            return error;
        }
        let dtype = y.dtype();
        paired(BINARY, y, t, |y, t| {
            let t = match self.label_smoothing {
                0.0 => t.clone(),
                a => t * (1.0 - a) + a / 2.0,
            };
            let logits = if self.of_probabilities { sigmoid_logits(y) } else { Some(y.clone()) };
            // The negative logarithms of the probability and of its complement.
            let (yes, no) = match logits {
                Some(z) => ((-&z).softplus(), z.softplus()),
                None => (-limited_log(y, dtype), -limited_log(&(1.0 - y), dtype)),
            };
            weighted(&t * yes, &self.positive_weight)
                + weighted((1.0 - &t) * no, &self.negative_weight)
        })
    }

    /// Returns the error of options that do not fit a prediction `y`.
    #[track_caller]
    fn invalid(&self, y: &Tensor) -> Option<Tensor> {
        let Ok(y) = y.ty() else { return None };
        let all = [("positive", &self.positive_weight), ("negative", &self.negative_weight)];
        let wrong = all.into_iter().find_map(|(what, w)| {
            let w = w.as_ref()?.ty().ok()?;
            let fits = w.rank() <= y.rank()
                && w.shape.iter().rev().zip(y.shape.iter().rev()).all(|(w, y)| [1, *y].contains(w));
            (!fits).then(|| {
                let want =
                    format!("expected {what} weights of a shape that broadcasts to {}", y.shape);
                invalid(BINARY, format!("{want}, got {}", w.shape))
            })
        });
        wrong.or_else(|| invalid_smoothing(BINARY, self.label_smoothing))
    }
}

impl Losses<2> for BinaryCrossEntropyLoss {
    fn each(&self, [y, t]: &[Tensor; 2]) -> Tensor {
        self.each(y, t)
    }
}

const BINARY: &str = "binary_cross_entropy_loss";

criteria!(BinaryCrossEntropyLoss);

/// Multiplies losses by weights that broadcast to them.
#[track_caller]
fn weighted(losses: Tensor, weights: &Option<Tensor>) -> Tensor {
    match weights {
        Some(w) => &losses * w.to(losses.dtype()),
        None => losses,
    }
}
