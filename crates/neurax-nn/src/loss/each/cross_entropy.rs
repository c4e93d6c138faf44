//! Cross-entropies and their relatives.

use crate::loss::operands::{at_class, labelled, paired, with_labels};
use neurax_tensor::{DType, Tensor, sigmoid_logits, softmax_logits, stop_gradient};

/// The probability below which the value of its logarithm is limited, as in Keras.
const MIN_PROBABILITY: f64 = 1e-7;

/// The probability below which the derivative of its logarithm is limited.
const MIN_DIVISOR: f64 = 1e-30;

/// Returns the cross-entropy of probabilities `y` and target distributions `t`, both
/// f[.., classes]: `-Σ t · ln y` over the last axis, which is removed.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([[0.5, 0.5], [0.0, 1.0]]), tensor([[1.0, 0.0], [0.0, 1.0]]));
/// let losses = loss::each::categorical_cross_entropy(&y, &t);
/// assert_eq!(losses.to_vec::<f32>()?, [0.6931472, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn categorical_cross_entropy(y: &Tensor, t: &Tensor) -> Tensor {
    let dtype = y.dtype();
    paired("categorical_cross_entropy", y, t, |y, t| of_distributions(y, t, dtype))
}

/// Returns the cross-entropy of logits `y` (before the softmax) and target distributions `t`, both
/// f[.., classes], over the last axis: [`Tensor::cross_entropy`].
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([[1000.0, 0.0], [0.0, 0.0]]), tensor([[0.0, 1.0], [0.0, 1.0]]));
/// let losses = loss::each::categorical_cross_entropy_logits(&y, &t);
/// assert_eq!(losses.to_vec::<f32>()?, [1000.0, 0.6931472]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn categorical_cross_entropy_logits(y: &Tensor, t: &Tensor) -> Tensor {
    paired("categorical_cross_entropy_logits", y, t, |y, t| y.cross_entropy(t))
}

/// Returns the cross-entropy of probabilities `y` f[.., classes] and class indices `t` i[..]: NaN
/// for an index that is out of range.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]]);
/// let losses = loss::each::sparse_categorical_cross_entropy(&y, &tensor([0, 1]));
/// assert_eq!(losses.to_vec::<f32>()?, [0.6931472, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn sparse_categorical_cross_entropy(y: &Tensor, t: &Tensor) -> Tensor {
    let (name, dtype) = ("sparse_categorical_cross_entropy", y.dtype());
    with_labels(name, y, t, |wide, t| match softmax_logits(wide) {
        Some(logits) => logits.sparse_cross_entropy(t),
        None => labelled(name, wide, t, |y, t| -limited_log(&at_class(y, t), dtype)),
    })
}

/// Returns the cross-entropy of logits `y` f[.., classes] and class indices `t` i[..]: NaN for an
/// index that is out of range.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[0.0, 0.0], [1000.0, 0.0]]);
/// let losses = loss::each::sparse_categorical_cross_entropy_logits(&y, &tensor([0, 1]));
/// assert_eq!(losses.to_vec::<f32>()?, [0.6931472, 1000.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn sparse_categorical_cross_entropy_logits(y: &Tensor, t: &Tensor) -> Tensor {
    with_labels("sparse_categorical_cross_entropy_logits", y, t, Tensor::sparse_cross_entropy)
}

/// Returns the negative log-likelihood: the negative of the log-probabilities `y` f[.., classes] at
/// the class indices `t` i[..]; NaN for an index that is out of range. Follows
/// `torch.nn.functional.nll_loss`.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[-0.5, -1.0], [-2.0, -0.25]]);
/// assert_eq!(loss::each::nll(&y, &tensor([0, 1])).to_vec::<f32>()?, [0.5, 0.25]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn nll(y: &Tensor, t: &Tensor) -> Tensor {
    labelled("nll", y, t, |y, t| -at_class(y, t))
}

/// Returns the binary cross-entropy of probabilities `y` and targets `t` in 0..=1:
/// `-t · ln y - (1 - t) · ln(1 - y)`.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::binary_cross_entropy(&tensor([0.5, 1.0]), &tensor([1.0, 1.0]));
/// assert_eq!(losses.to_vec::<f32>()?, [0.6931472, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn binary_cross_entropy(y: &Tensor, t: &Tensor) -> Tensor {
    let dtype = y.dtype();
    paired("binary_cross_entropy", y, t, |y, t| match sigmoid_logits(y) {
        Some(logits) => of_binary_logits(&logits, t),
        None => {
            let (yes, no) = (limited_log(y, dtype), limited_log(&(1.0 - y), dtype));
            -(t * yes + (1.0 - t) * no)
        }
    })
}

/// Returns the binary cross-entropy of logits `y` and targets `t` in 0..=1:
/// `max(y, 0) - y·t + ln(1 + exp(-|y|))`, which does not overflow.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::binary_cross_entropy_logits(&tensor([-9e9, 0.0]), &tensor([1.0, 0.0]));
/// assert_eq!(losses.to_vec::<f32>()?, [9e9, 0.6931472]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn binary_cross_entropy_logits(y: &Tensor, t: &Tensor) -> Tensor {
    paired("binary_cross_entropy_logits", y, t, of_binary_logits)
}

/// Returns the Kullback-Leibler divergence of probabilities `y` from target distributions `t`, both
/// f[.., classes]: `Σ t · ln(t / y)` over the last axis, which is removed. A class of target 0 adds
/// nothing. Follows `keras.losses.KLDivergence`.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([[0.5, 0.5], [0.5, 0.5]]), tensor([[1.0, 0.0], [0.5, 0.5]]));
/// assert_eq!(loss::each::kl_divergence(&y, &t).to_vec::<f32>()?, [0.6931472, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn kl_divergence(y: &Tensor, t: &Tensor) -> Tensor {
    let dtype = y.dtype();
    paired("kl_divergence", y, t, |y, t| of_distributions(y, t, dtype) + t.xlogy(t).sum(-1))
}

/// Returns the Kullback-Leibler divergence of the softmax of logits `y` from target distributions
/// `t`, both f[.., classes], over the last axis. Follows `torch.nn.functional.kl_div` of
/// log-softmaxes.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([[3.0, 3.0], [1000.0, 0.0]]), tensor([[0.5, 0.5], [0.0, 1.0]]));
/// assert_eq!(loss::each::kl_divergence_logits(&y, &t).to_vec::<f32>()?, [0.0, 1000.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn kl_divergence_logits(y: &Tensor, t: &Tensor) -> Tensor {
    paired("kl_divergence_logits", y, t, |y, t| y.cross_entropy(t) + t.xlogy(t).sum(-1))
}

/// Returns the cross-entropy of probabilities in f32 or wider, of logits if these are found.
/// `dtype` is that of the prediction, which must hold the derivative.
#[track_caller]
fn of_distributions(y: &Tensor, t: &Tensor, dtype: DType) -> Tensor {
    match softmax_logits(y) {
        Some(logits) => logits.cross_entropy(t),
        None => -(t * limited_log(y, dtype)).sum(-1),
    }
}

/// Returns the binary cross-entropy of logits in f32 or wider.
#[track_caller]
fn of_binary_logits(logits: &Tensor, t: &Tensor) -> Tensor {
    logits.softplus() - logits * t
}

/// Returns the logarithm of probabilities, whose value is limited to that of 1e-7. The derivative
/// is that of a logarithm which continues below [`MIN_DIVISOR`] along its tangent, so that it is
/// nowhere 0. `dtype` is that of the prediction, which must hold the derivative.
#[track_caller]
pub(crate) fn limited_log(p: &Tensor, dtype: DType) -> Tensor {
    let least = match dtype {
        DType::F16 => 2f64.powi(-14),
        d if d.bits() < 16 => 2f64.powi(-4),
        _ => MIN_DIVISOR,
    };
    let value = p.maximum(MIN_PROBABILITY).log();
    if !p.is_traced() {
        return value;
    }
    let smooth = p.maximum(least).log() + (p.minimum(least) - least) / least;
    stop_gradient(&(value - &smooth)) + smooth
}
