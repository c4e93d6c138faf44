//! Metrics: named scores that are reported during training, averaged over examples.

use crate::loss;
use neurax_tensor::{DType, Error, Tensor};
use std::fmt;
use std::sync::Arc;

/// A named function of `(&prediction, &target)` that returns the mean over the examples of a batch.
#[derive(Clone)]
pub struct Metric {
    name: String,
    f: Arc<dyn Fn(&Tensor, &Tensor) -> Tensor + Send + Sync>,
}

impl Metric {
    /// Returns the name of the metric.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value of the metric, a scalar, for the predictions `y` and the targets `t`.
    pub fn measure(&self, y: &Tensor, t: &Tensor) -> Tensor {
        (self.f)(y, t)
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Creates a custom metric.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let worst = metric::new("worst", |y, t| (y - t).abs().max(..));
/// assert_eq!(worst.measure(&tensor([1.0, 2.0]), &tensor([1.0, 5.0])).item()?, 3.0);
/// # Ok::<(), Error>(())
/// ```
pub fn new(name: &str, f: impl Fn(&Tensor, &Tensor) -> Tensor + Send + Sync + 'static) -> Metric {
    Metric { name: name.into(), f: Arc::new(f) }
}

/// Returns the accuracy metric: the fraction of examples whose largest prediction is that of the
/// target's class. Targets are one-hot rows of the predictions' shape, or class indices without the
/// last axis.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]);
/// let one_hot = tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]);
/// assert_eq!(metric::accuracy().measure(&y, &one_hot).to_vec::<f32>()?, [2.0 / 3.0]);
/// assert_eq!(metric::accuracy().measure(&y, &tensor([0, 1, 0])).to_vec::<f32>()?, [1.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn accuracy() -> Metric {
    new("accuracy", |y, t| {
        let (Ok(a), Ok(b)) = (y.ty(), t.ty()) else { return y + t };
        if a.shape == b.shape && a.rank() > 0 {
            return fraction_true(&y.argmax(-1).equal(t.argmax(-1)));
        }
        if a.rank() == b.rank() + 1 && a.shape[..b.rank()] == b.shape[..] && b.dtype.is_int() {
            // Classes below 8 bits do not mix with i32.
            let classes = if b.dtype.bits() < 8 { t.to(DType::I32) } else { t.clone() };
            return fraction_true(&y.argmax(-1).equal(classes));
        }
        let why = format!(
            "expected a target of the prediction's shape, or class indices without its last axis, \
             got prediction {a} and target {b}"
        );
        Tensor::from_error(Error::new("accuracy", why))
    })
}

/// Returns the binary accuracy metric: the fraction of predicted probabilities that are on the same
/// side of 0.5 as their targets.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([0.9, 0.2, 0.7]), tensor([1.0, 0.0, 0.0]));
/// let value = metric::binary_accuracy().measure(&y, &t);
/// assert_eq!(value.to_vec::<f32>()?, [2.0 / 3.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn binary_accuracy() -> Metric {
    new("binary_accuracy", |y, t| match (y.ty(), t.ty()) {
        (Ok(a), Ok(b)) if a.shape != b.shape => Tensor::from_error(Error::new(
            "binary_accuracy",
            format!("expected prediction and target of equal shapes, got {a} and {b}"),
        )),
        _ => fraction_true(&y.gt(0.5).equal(t.gt(0.5))),
    })
}

/// Returns the mean squared error, [`loss::mse`], as a metric.
pub fn mse() -> Metric {
    new("mse", loss::mse)
}

/// Returns the mean absolute error, [`loss::mae`], as a metric.
pub fn mae() -> Metric {
    new("mae", loss::mae)
}

/// Returns the fraction of `hits` that is true.
fn fraction_true(hits: &Tensor) -> Tensor {
    hits.to(DType::F32).mean(..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn accuracy_does_not_broadcast() {
        let e =
            accuracy().measure(&Tensor::zeros([4, 3]), &Tensor::zeros([1, 3])).item().unwrap_err();
        assert!(e.message().contains("f32[4, 3]") && e.message().contains("f32[1, 3]"), "{e}");
        assert!(
            accuracy().measure(&Tensor::zeros([4, 3]), &Tensor::zeros(4)).error().is_some(),
            "labels are integers"
        );
        assert!(
            binary_accuracy().measure(&Tensor::zeros([4, 1]), &Tensor::zeros(4)).error().is_some()
        );
    }

    #[test]
    fn sequences_count_every_position() {
        let y = tensor([[[0.0, 1.0], [1.0, 0.0]]]);
        for dtype in [DType::I2, DType::U4, DType::U8, DType::I64] {
            let classes = tensor([[1, 1]]).to(dtype);
            assert_eq!(accuracy().measure(&y, &classes).item().unwrap(), 0.5, "{dtype}");
        }
    }
}
