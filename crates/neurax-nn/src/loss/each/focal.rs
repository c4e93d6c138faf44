//! Focal cross-entropies: Lin et al., 2017 (<https://arxiv.org/abs/1708.02002>).

use super::cross_entropy::limited_log;
use crate::loss::operands::{invalid_class_weights, invalid_option, paired};
use neurax_tensor::{DType, Operand, Tensor, sigmoid_logits, softmax_logits};

/// The probability below which the focal factor is constant: its derivative is infinite at 0.
const MIN_FOCUSED_PROBABILITY: f64 = 1e-30;

/// Returns the binary focal cross-entropy of probabilities `y` and targets `t` in 0..=1: the
/// cross-entropy times `(1 - p)^gamma`, where `p` is the probability of the target, times `alpha`
/// for positive and `1 - alpha` for negative targets, unless it is `None`. Follows
/// `keras.losses.BinaryFocalCrossentropy`.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([0.5, 0.5]), tensor([1.0, 0.0]));
/// let losses = loss::each::binary_focal_cross_entropy(&y, &t, 0.25, 2.0);
/// assert_eq!(losses.to_vec::<f32>()?, [0.04332170, 0.12996510]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn binary_focal_cross_entropy(
    y: &Tensor,
    t: &Tensor,
    alpha: impl Into<Option<f64>>,
    gamma: f64,
) -> Tensor {
    let (name, alpha, dtype) = ("binary_focal_cross_entropy", alpha.into(), y.dtype());
    if let Some(error) = invalid_focus(name, alpha, gamma) {
        return error;
    }
    paired(name, y, t, |y, t| match sigmoid_logits(y) {
        Some(logits) => of_binary_logits(&logits, t, alpha, gamma),
        None => {
            let (yes, no) = (limited_log(y, dtype), limited_log(&(1.0 - y), dtype));
            focused_binary(-(t * yes + (1.0 - t) * no), &(1.0 - y), y, t, alpha, gamma)
        }
    })
}

/// Returns the [`binary_focal_cross_entropy`] of logits `y`. Follows
/// `torchvision.ops.sigmoid_focal_loss`.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([0.0, 1000.0]), tensor([1.0, 0.0]));
/// let losses = loss::each::binary_focal_cross_entropy_logits(&y, &t, None, 2.0);
/// assert_eq!(losses.to_vec::<f32>()?, [0.1732868, 1000.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn binary_focal_cross_entropy_logits(
    y: &Tensor,
    t: &Tensor,
    alpha: impl Into<Option<f64>>,
    gamma: f64,
) -> Tensor {
    let (name, alpha) = ("binary_focal_cross_entropy_logits", alpha.into());
    if let Some(error) = invalid_focus(name, alpha, gamma) {
        return error;
    }
    paired(name, y, t, |y, t| of_binary_logits(y, t, alpha, gamma))
}

/// Returns the focal cross-entropy of probabilities `y` and target distributions `t`, both
/// f[.., classes]: `-Σ alpha (1 - y)^gamma · t · ln y` over the last axis, which is removed; as in
/// `keras.losses.CategoricalFocalCrossentropy`. `alpha` is a number, or a tensor `f[classes]` with
/// one for each class; a negative or NaN alpha is an error, unless its value is being traced.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([[0.5, 0.5]]), tensor([[0.0, 1.0]]));
/// let losses = loss::each::categorical_focal_cross_entropy(&y, &t, 0.25, 2.0);
/// assert_eq!(losses.to_vec::<f32>()?, [0.04332170]);
/// let alpha = tensor([0.75, 0.25]);
/// let losses = loss::each::categorical_focal_cross_entropy(&y, &t, &alpha, 2.0);
/// assert_eq!(losses.to_vec::<f32>()?, [0.04332170]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn categorical_focal_cross_entropy(
    y: &Tensor,
    t: &Tensor,
    alpha: impl Operand,
    gamma: f64,
) -> Tensor {
    let (name, dtype) = ("categorical_focal_cross_entropy", y.dtype());
    categorical(name, y, t, alpha, gamma, |y, weights| match softmax_logits(y) {
        Some(logits) => of_logits(&logits, weights, gamma),
        None => -(focus(&(1.0 - y), gamma) * weights * limited_log(y, dtype)).sum(-1),
    })
}

/// Returns the [`categorical_focal_cross_entropy`] of logits `y`.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([[0.0, 0.0]]), tensor([[0.0, 1.0]]));
/// let losses = loss::each::categorical_focal_cross_entropy_logits(&y, &t, 0.25, 2.0);
/// assert_eq!(losses.to_vec::<f32>()?, [0.04332170]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn categorical_focal_cross_entropy_logits(
    y: &Tensor,
    t: &Tensor,
    alpha: impl Operand,
    gamma: f64,
) -> Tensor {
    let name = "categorical_focal_cross_entropy_logits";
    categorical(name, y, t, alpha, gamma, |y, weights| of_logits(y, weights, gamma))
}

/// Computes the losses `f` of a prediction and the products of targets and alpha, if the options
/// of the loss `name` are valid.
#[track_caller]
fn categorical(
    name: &str,
    y: &Tensor,
    t: &Tensor,
    alpha: impl Operand,
    gamma: f64,
    f: impl FnOnce(&Tensor, &Tensor) -> Tensor,
) -> Tensor {
    let alpha = alpha.operand(&Tensor::scalar(DType::F64, 0.0));
    let is_number = alpha.ty().is_ok_and(|ty| ty.rank() == 0);
    let invalid = invalid_focus(name, None, gamma)
        .or_else(|| (!is_number).then(|| invalid_class_weights(name, "alpha", &alpha, y))?)
        .or_else(|| invalid_alpha(name, &alpha));
    match invalid {
        Some(error) => error,
        None => paired(name, y, t, |y, t| f(y, &(t * alpha.to(t.dtype())))),
    }
}

#[track_caller]
fn of_binary_logits(y: &Tensor, t: &Tensor, alpha: Option<f64>, gamma: f64) -> Tensor {
    // Not 1 minus the sigmoid, which loses the digits of small probabilities.
    let (p, q) = (y.sigmoid(), (-y).sigmoid());
    focused_binary(y.softplus() - y * t, &q, &p, t, alpha, gamma)
}

#[track_caller]
fn of_logits(y: &Tensor, weights: &Tensor, gamma: f64) -> Tensor {
    let log = y.log_softmax(-1);
    -(focus(&-log.expm1(), gamma) * weights * log).sum(-1)
}

/// Multiplies binary cross-entropies by their focal factor, the power of the probability that the
/// target is missed: `q` of a positive and `p` of a negative one.
#[track_caller]
fn focused_binary(
    losses: Tensor,
    q: &Tensor,
    p: &Tensor,
    t: &Tensor,
    alpha: Option<f64>,
    gamma: f64,
) -> Tensor {
    let focused = losses * focus(&(t * q + (1.0 - t) * p), gamma);
    match alpha {
        Some(alpha) => focused * (t * alpha + (1.0 - t) * (1.0 - alpha)),
        None => focused,
    }
}

#[track_caller]
fn focus(missed: &Tensor, gamma: f64) -> Tensor {
    missed.maximum(MIN_FOCUSED_PROBABILITY).pow(gamma)
}

/// Returns the error of an alpha that is known and has a negative or NaN element.
#[track_caller]
fn invalid_alpha(name: &str, alpha: &Tensor) -> Option<Tensor> {
    let known = alpha.to(DType::F64).to_vec::<f64>().ok()?;
    let negative = known.into_iter().find(|a| a.is_nan() || *a < 0.0)?;
    Some(invalid_option(name, "an alpha of at least 0", negative))
}

/// Returns the error of options out of their range.
#[track_caller]
fn invalid_focus(name: &str, alpha: Option<f64>, gamma: f64) -> Option<Tensor> {
    match alpha {
        _ if gamma.is_nan() || gamma < 0.0 => {
            Some(invalid_option(name, "a gamma of at least 0", gamma))
        }
        Some(a) if !(0.0..=1.0).contains(&a) => Some(invalid_option(name, "an alpha in 0..=1", a)),
        _ => None,
    }
}
