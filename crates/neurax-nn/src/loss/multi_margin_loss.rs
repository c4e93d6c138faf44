//! [`MultiMarginLoss`]: the hinge loss of classes with options.

use super::criterion::{Criterion, LossFn, Losses, criteria};
use super::each::multi_margin;
use super::operands::invalid_class_weights;
use neurax_tensor::Tensor;

/// The hinge loss of scores f[.., classes] and class indices i[..] with a power, a margin and
/// weights of classes. Follows `torch.nn.MultiMarginLoss`: the weight of a target class multiplies
/// the loss of its examples, and the mean is divided by their number.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[0.5, 0.0, 1.0, 0.5]]);
/// let loss = loss::MultiMarginLoss::new().class_weights(&tensor([1.0, 1.0, 4.0, 1.0]));
/// assert_eq!(loss.measure(&y, &tensor([2])).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultiMarginLoss {
    power: u32,
    margin: f64,
    class_weights: Option<Tensor>,
}

impl Default for MultiMarginLoss {
    fn default() -> Self {
        MultiMarginLoss { power: 1, margin: 1.0, class_weights: None }
    }
}

impl MultiMarginLoss {
    /// Creates the loss with a power of 1 and a margin of 1.
    pub fn new() -> MultiMarginLoss {
        MultiMarginLoss::default()
    }

    /// Sets the power of the differences, 1 or 2.
    pub fn power(mut self, power: u32) -> Self {
        self.power = power;
        self
    }

    /// Sets the margin. The default is 1.
    pub fn margin(mut self, margin: f64) -> Self {
        self.margin = margin;
        self
    }

    /// Sets the weights of the classes, `f[classes]`.
    pub fn class_weights(mut self, weights: &Tensor) -> Self {
        self.class_weights = Some(weights.clone());
        self
    }

    /// Returns one loss for each example.
    #[track_caller]
    pub fn each(&self, y: &Tensor, t: &Tensor) -> Tensor {
        let losses = multi_margin(y, t, self.power, self.margin);
        match &self.class_weights {
            Some(w) if losses.error().is_none() => {
                let invalid = invalid_class_weights("multi_margin_loss", "class weights", w, y);
                // An index out of range is clamped: its loss is NaN already.
                invalid.unwrap_or_else(|| &losses * w.to(losses.dtype()).take(t, 0))
            }
            _ => losses,
        }
    }
}

impl Losses<2> for MultiMarginLoss {
    fn each(&self, [y, t]: &[Tensor; 2]) -> Tensor {
        self.each(y, t)
    }
}

criteria!(MultiMarginLoss);
