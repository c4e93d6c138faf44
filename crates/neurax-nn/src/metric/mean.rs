//! Metrics that are means over examples.

use super::metric_fn::{Metric, MetricFn, custom, ratio, weights_of, zero};
use crate::loss::each;
use neurax_tensor::{DType, Error, Tensor};

/// Creates a metric of a function that returns the mean over the examples of a batch. The value
/// over several batches is the mean of their values, weighed by their numbers of examples. A
/// [`mean`] of the values of examples also takes weights.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let bias = metric::new("bias", |y, t| (y - t).mean(..));
/// assert_eq!(bias.measure(&tensor([1.0, 2.0]), &tensor([1.0, 5.0])).item()?, -1.5);
/// # Ok::<(), Error>(())
/// ```
pub fn new(name: &str, f: impl Fn(&Tensor, &Tensor) -> Tensor + Send + Sync + 'static) -> Metric {
    custom(name, MeanOfBatches { name: name.into(), f })
}

/// Creates a metric that is the mean of the values of elements or examples, which `each` returns:
/// a function of [`loss::each`](mod@crate::loss::each) or a closure.
///
/// ```
/// use neurax::prelude::*;
/// let hinge = metric::mean("hinge", loss::each::hinge);
/// assert_eq!(hinge.measure(&tensor([0.5, 2.0]), &tensor([1.0, -1.0])).item()?, 1.75);
/// # Ok::<(), Error>(())
/// ```
pub fn mean(
    name: &str,
    each: impl Fn(&Tensor, &Tensor) -> Tensor + Send + Sync + 'static,
) -> Metric {
    custom(name, MeanOf { name: name.into(), each, finish: |sum, count| ratio(sum, count) })
}

/// Creates a metric that is the sum of the values of elements or examples, which `each` returns.
///
/// ```
/// use neurax::prelude::*;
/// let errors = metric::sum("errors", |y, t| y.gt(0.5).not_equal(t.gt(0.5)));
/// assert_eq!(errors.measure(&tensor([0.75, 0.75]), &tensor([1.0, 0.0])).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn sum(
    name: &str,
    each: impl Fn(&Tensor, &Tensor) -> Tensor + Send + Sync + 'static,
) -> Metric {
    custom(name, MeanOf { name: name.into(), each, finish: |sum, _| sum.clone() })
}

/// Returns the accuracy metric: the fraction of examples whose largest prediction is that of the
/// target's class. Targets are one-hot rows of the predictions' shape, or class indices without the
/// last axis. [`Metric::ignore_index`] leaves out the positions of an index, e.g. that of padding;
/// [`binary_accuracy`] is for one probability for each example.
///
/// # Errors
/// The value carries an error if the predictions have fewer than two classes along the last axis.
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
    mean("accuracy", |y, t| match target_classes("accuracy", y, t) {
        Ok(classes) => y.argmax(-1).equal(classes),
        Err(error) => error,
    })
}

/// Returns the fraction of examples whose target class has one of the `k` largest predictions.
/// Targets are as those of [`accuracy`]. A prediction that equals that of the target does not push
/// it out. The name is `top_k`, with the number.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]);
/// let top_2 = metric::top_k(2);
/// assert_eq!(top_2.name(), "top_2");
/// assert_eq!(top_2.measure(&y, &tensor([1, 2])).item()?, 0.5);
/// # Ok::<(), Error>(())
/// ```
pub fn top_k(k: usize) -> Metric {
    mean(&format!("top_{k}"), move |y, t| match target_classes("top_k", y, t) {
        Ok(classes) => {
            let inside = classes.ge(0) & classes.lt(y.dim(-1));
            let index = inside.select(&classes, 0).expand_dims(-1);
            let larger = y.gt(y.take_along_axis(&index, -1));
            larger.count_nonzero(-1).lt(k) & inside
        }
        Err(error) => error,
    })
}

/// Returns the classes of targets that are one-hot rows or class indices, or the error of others.
#[track_caller]
fn target_classes(name: &str, y: &Tensor, t: &Tensor) -> Result<Tensor, Tensor> {
    let (Ok(a), Ok(b)) = (y.ty(), t.ty()) else { return Err(y + t) };
    if a.rank() < 2 || a.shape[a.rank() - 1] < 2 {
        let why = format!(
            "expected predictions [.., classes] of at least two classes, got {a}; \
             `binary_accuracy` is for one probability for each example"
        );
        return Err(Tensor::from_error(Error::new(name, why)));
    }
    if a.shape == b.shape {
        return Ok(t.argmax(-1));
    }
    if a.rank() == b.rank() + 1 && a.shape[..b.rank()] == b.shape[..] && b.dtype.is_int() {
        // Classes below 8 bits do not mix with i32.
        return Ok(if b.dtype.bits() < 8 { t.to(DType::I32) } else { t.clone() });
    }
    let why = format!(
        "expected a target of the prediction's shape, or class indices without its last axis, \
         got prediction {a} and target {b}"
    );
    Err(Tensor::from_error(Error::new(name, why)))
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
    mean("binary_accuracy", |y, t| match (y.ty(), t.ty()) {
        (Ok(a), Ok(b)) if a.shape != b.shape => Tensor::from_error(Error::new(
            "binary_accuracy",
            format!("expected prediction and target of equal shapes, got {a} and {b}"),
        )),
        _ => y.gt(0.5).equal(t.gt(0.5)),
    })
}

/// Returns the mean squared error, [`loss::mse`](crate::loss::mse), as a metric.
pub fn mse() -> Metric {
    mean("mse", each::mse)
}

/// Returns the root of the mean squared error over all examples.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([1.0, 8.0]), tensor([1.0, 0.0]));
/// assert_eq!(metric::rmse().measure(&y, &t).to_vec::<f32>()?, [5.656854]);
/// # Ok::<(), Error>(())
/// ```
pub fn rmse() -> Metric {
    let finish = |sum: &Tensor, count: &Tensor| ratio(sum, count).sqrt();
    custom("rmse", MeanOf { name: "rmse".into(), each: each::mse, finish })
}

/// Returns the mean absolute error, [`loss::mae`](crate::loss::mae), as a metric.
pub fn mae() -> Metric {
    mean("mae", each::mae)
}

/// Returns the mean absolute percentage error, [`loss::mape`](crate::loss::mape), as a metric.
pub fn mape() -> Metric {
    mean("mape", each::mape)
}

/// Returns the mean cross-entropy of predicted probabilities and target distributions or class
/// indices.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[0.5, 0.5], [1.0, 0.0]]);
/// let value = metric::log_loss().measure(&y, &tensor([1, 0]));
/// assert_eq!(value.to_vec::<f32>()?, [0.3465736]);
/// # Ok::<(), Error>(())
/// ```
pub fn log_loss() -> Metric {
    mean("log_loss", |y, t| match t.rank() + 1 == y.rank() {
        true => each::sparse_categorical_cross_entropy(y, t),
        false => each::categorical_cross_entropy(y, t),
    })
}

/// Returns the perplexity: the exponential function of the mean cross-entropy of logits
/// f[.., classes] and class indices i[..], over all positions with weights that are not 0.
/// [`Metric::ignore_index`] leaves out the positions of an index, e.g. that of padding.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (Tensor::zeros([1, 3, 8]), tensor([[1, 2, 0]]));
/// assert_eq!(metric::perplexity().measure(&y, &t).to_vec::<f32>()?, [8.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn perplexity() -> Metric {
    let (name, each) = ("perplexity", each::sparse_categorical_cross_entropy_logits);
    let finish = |sum: &Tensor, count: &Tensor| ratio(sum, count).exp();
    custom(name, MeanOf { name: name.into(), each, finish })
}

/// The mean of the values of batches, weighed by their numbers of examples: the sum of the values
/// times these numbers, and the number of examples.
struct MeanOfBatches<F> {
    name: String,
    f: F,
}

impl<F: Fn(&Tensor, &Tensor) -> Tensor + Send + Sync + 'static> MetricFn for MeanOfBatches<F> {
    fn init(&self) -> Vec<Tensor> {
        vec![zero(), zero()]
    }

    fn batch(&self, y: &Tensor, t: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        if weights.is_some() {
            let why = "expected no weights for a metric that is a function of a whole batch; \
                       create it with `metric::mean`";
            let error = Tensor::from_error(Error::new(self.name.clone(), why));
            return vec![error.clone(), error];
        }
        let examples = y.shape().first().copied().unwrap_or(1);
        let count = Tensor::scalar(DType::F64, examples as f64);
        let value = (self.f)(y, t).to(DType::F64);
        vec![if examples == 0 { zero() } else { value * &count }, count]
    }

    fn result(&self, state: &[Tensor]) -> Tensor {
        with_two(state, ratio)
    }
}

/// The weighted mean of the values of elements or examples: their weighted sum, and the sum of the
/// weights.
struct MeanOf<F> {
    name: String,
    each: F,
    finish: fn(&Tensor, &Tensor) -> Tensor,
}

impl<F: Fn(&Tensor, &Tensor) -> Tensor + Send + Sync + 'static> MetricFn for MeanOf<F> {
    fn init(&self) -> Vec<Tensor> {
        vec![zero(), zero()]
    }

    fn batch(&self, y: &Tensor, t: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        let values = (self.each)(y, t).to(DType::F64);
        let w = weights_of(&self.name, weights, &values);
        // Masked values may be NaN.
        let weighted = w.equal(0.0).select(0.0, &values * &w);
        vec![weighted.sum(..), w.sum(..)]
    }

    fn result(&self, state: &[Tensor]) -> Tensor {
        with_two(state, self.finish)
    }
}

/// Applies `f` to a state of two tensors.
#[track_caller]
fn with_two(state: &[Tensor], f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
    match state {
        [a, b] => f(a, b),
        _ => Tensor::from_error(Error::new("metric", "expected the state of this metric")),
    }
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
    fn one_probability_for_each_example_is_an_error() {
        let t = tensor([1.0, 0.0]);
        for metric in [accuracy(), top_k(1)] {
            for y in [tensor([0.1, 0.2]), tensor([[0.1], [0.2]])] {
                for t in [t.reshape(y.shape().to_vec()), t.to(DType::I32)] {
                    let e = metric.measure(&y, &t).item().unwrap_err();
                    assert!(e.message().contains("`binary_accuracy` is for one"), "{e}");
                }
            }
        }
    }

    #[test]
    fn ignored_positions_count_nothing() {
        let y = tensor([[[9.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0]]]);
        let (t, padded) = (tensor([[0, 1]]), tensor([[0, 1, -100]]));
        for metric in [accuracy(), top_k(2), perplexity()] {
            let want = metric.measure(&y.slice(1, ..2), &t).item().unwrap();
            let ignoring = metric.ignore_index(-100);
            assert_eq!(ignoring.measure(&y, &padded).item().unwrap(), want, "{ignoring:?}");
            let weights = tensor([[true, false, true]]);
            let state = ignoring.update_weighted(ignoring.init(), &y, &padded, &weights);
            let first = ignoring.measure(&y.slice(1, ..1), &t.slice(1, ..1)).item().unwrap();
            let found = ignoring.result(&state).item().unwrap();
            assert!((found - first).abs() < 1e-6, "{ignoring:?}: {found} is not {first}");
            let e = ignoring.measure(&y, &y).item().unwrap_err();
            assert!(e.message().contains("expected integer targets"), "{e}");
        }
    }

    #[test]
    fn sequences_count_every_position() {
        let y = tensor([[[0.0, 1.0], [1.0, 0.0]]]);
        for dtype in [DType::I2, DType::U4, DType::U8, DType::I64] {
            let classes = tensor([[1, 1]]).to(dtype);
            assert_eq!(accuracy().measure(&y, &classes).item().unwrap(), 0.5, "{dtype}");
        }
    }

    #[test]
    fn masked_values_may_be_nan() {
        let (y, t) = (tensor([1.0, f32::NAN]), tensor([3.0, 0.0]));
        let m = mse();
        let state = m.update_weighted(m.init(), &y, &t, &tensor([true, false]));
        assert_eq!(m.result(&state).item().unwrap(), 4.0);
    }

    #[test]
    fn wrong_weights_are_errors() {
        let (y, t) = (Tensor::zeros([3, 2]), Tensor::zeros([3, 2]));
        let state = mse().update_weighted(mse().init(), &y, &t, &Tensor::ones(2));
        let e = mse().result(&state).item().unwrap_err().to_string();
        assert!(e.contains("mse: expected weights of the shape of the targets, [3, 2]"), "{e}");
        let whole = new("bias", |y, t| (y - t).mean(..));
        let state = whole.update_weighted(whole.init(), &y, &t, &Tensor::ones(3));
        let e = whole.result(&state).item().unwrap_err().to_string();
        assert!(e.contains("bias: expected no weights"), "{e}");
    }
}
