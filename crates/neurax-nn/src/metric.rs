//! Metrics: numbers to look at while training, named, and averaged over examples.

use crate::loss;
use neurax_tensor::{Error, Tensor};
use std::fmt;
use std::sync::Arc;

/// A named function of exactly `(&prediction, &target)` that gives the mean over the examples of a
/// batch.
#[derive(Clone)]
pub struct Metric {
    name: String,
    f: Arc<dyn Fn(&Tensor, &Tensor) -> Tensor + Send + Sync>,
}

impl Metric {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value: one number.
    pub fn measure(&self, y: &Tensor, t: &Tensor) -> Tensor {
        (self.f)(y, t)
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A metric of one's own.
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

/// The part of the examples whose largest prediction is at the target's class. Targets are one-hot
/// rows like the predictions, or class numbers.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]);
/// assert_eq!(metric::accuracy().measure(&y, &tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])).to_vec::<f32>()?, [2.0 / 3.0]);
/// assert_eq!(metric::accuracy().measure(&y, &tensor([0, 1, 0])).to_vec::<f32>()?, [1.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn accuracy() -> Metric {
    new("accuracy", |y, t| {
        let (Ok(a), Ok(b)) = (y.ty(), t.ty()) else { return y + t };
        if a.shape == b.shape && a.rank() > 0 {
            return share(&y.argmax(-1).equal(t.argmax(-1)));
        }
        if a.rank() == b.rank() + 1 && a.shape[..b.rank()] == b.shape[..] && b.dtype.is_int() {
            return share(&y.argmax(-1).equal(t));
        }
        let why = format!(
            "the prediction is {a}, but the target {b}: it must be of the same shape, or class numbers without the last axis"
        );
        Tensor::from_error(Error::new("accuracy", why))
    })
}

/// The part of yes-or-no predictions, probabilities, that fall on the target's side of one half.
///
/// ```
/// use neurax::prelude::*;
/// let value = metric::binary_accuracy().measure(&tensor([0.9, 0.2, 0.7]), &tensor([1.0, 0.0, 0.0]));
/// assert_eq!(value.to_vec::<f32>()?, [2.0 / 3.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn binary_accuracy() -> Metric {
    new("binary_accuracy", |y, t| match (y.ty(), t.ty()) {
        (Ok(a), Ok(b)) if a.shape != b.shape => Tensor::from_error(Error::new(
            "binary_accuracy",
            format!("the prediction is {a}, but the target {b}: they must have one shape"),
        )),
        _ => share(&y.gt(0.5).equal(t.gt(0.5))),
    })
}

/// [`loss::mse`] as a metric.
pub fn mse() -> Metric {
    new("mse", loss::mse)
}

/// [`loss::mae`] as a metric.
pub fn mae() -> Metric {
    new("mae", loss::mae)
}

/// The part that is true.
fn share(hits: &Tensor) -> Tensor {
    hits.to(neurax_tensor::DType::F32).mean(..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn accuracy_refuses_what_would_broadcast() {
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
    fn sequences_count_every_place() {
        let y = tensor([[[0.0, 1.0], [1.0, 0.0]]]);
        assert_eq!(accuracy().measure(&y, &tensor([[1, 1]])).item().unwrap(), 0.5);
    }
}
