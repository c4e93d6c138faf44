//! Losses of numbers.

use crate::loss::operands::{invalid_option, is_positive, paired, together};
use neurax_tensor::Tensor;

/// The number below which a divisor or the operand of a logarithm is limited, as in Keras.
const MIN_DENOMINATOR: f64 = 1e-7;

/// Returns the squared error.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::mse(&tensor([1.0, 2.0]), &tensor([1.0, 4.0]));
/// assert_eq!(losses.to_vec::<f32>()?, [0.0, 4.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn mse(y: &Tensor, t: &Tensor) -> Tensor {
    paired("mse", y, t, |y, t| (y - t).square())
}

/// Returns the absolute error.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::mae(&tensor([1.0, 2.0]), &tensor([1.0, 4.0]));
/// assert_eq!(losses.to_vec::<f32>()?, [0.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn mae(y: &Tensor, t: &Tensor) -> Tensor {
    paired("mae", y, t, |y, t| (y - t).abs())
}

/// Returns the absolute error in percent of the target, whose absolute value is limited to 1e-7.
/// Follows `keras.losses.MeanAbsolutePercentageError`.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::mape(&tensor([1.0, 2.0]), &tensor([1.0, 4.0]));
/// assert_eq!(losses.to_vec::<f32>()?, [0.0, 50.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn mape(y: &Tensor, t: &Tensor) -> Tensor {
    paired("mape", y, t, |y, t| ((y - t) / t.abs().maximum(MIN_DENOMINATOR)).abs() * 100.0)
}

/// Returns the squared error of the logarithms of `1 + y` and `1 + t`; numbers below 1e-7 count as
/// 1e-7. Follows `keras.losses.MeanSquaredLogarithmicError`.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::msle(&tensor([3.0, 1.0]), &tensor([3.0, 3.0]));
/// assert_eq!(losses.to_vec::<f32>()?, [0.0, 0.480453]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn msle(y: &Tensor, t: &Tensor) -> Tensor {
    let log = |x: &Tensor| x.maximum(MIN_DENOMINATOR).log1p();
    paired("msle", y, t, |y, t| (log(y) - log(t)).square())
}

/// Returns the Huber loss with a `delta` of 1: see [`huber_with`].
#[track_caller]
pub fn huber(y: &Tensor, t: &Tensor) -> Tensor {
    huber_with(y, t, 1.0)
}

/// Returns the Huber loss (Huber, 1964): half the square of a difference up to `delta`, linear
/// beyond, so that outliers do not dominate.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::huber_with(&tensor([1.0, 5.75]), &Tensor::zeros(2), 2.0);
/// assert_eq!(losses.to_vec::<f32>()?, [0.5, 9.5]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn huber_with(y: &Tensor, t: &Tensor, delta: f64) -> Tensor {
    if !is_positive(delta) {
        return invalid_option("huber", "a delta above 0", delta);
    }
    paired("huber", y, t, |y, t| {
        // Without the absolute value, whose kink at 0 makes the second derivative wrong there.
        let d = y - t;
        let near = d.clip(-delta, delta);
        &near * (&d - &near * 0.5)
    })
}

/// Returns the smooth L1 loss: the Huber loss with a delta of `beta`, divided by `beta`, so that
/// its slope beyond `beta` is 1. Follows `torch.nn.functional.smooth_l1_loss`.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::smooth_l1(&tensor([0.5, 3.0]), &Tensor::zeros(2), 1.0);
/// assert_eq!(losses.to_vec::<f32>()?, [0.125, 2.5]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn smooth_l1(y: &Tensor, t: &Tensor, beta: f64) -> Tensor {
    if !is_positive(beta) {
        return invalid_option("smooth_l1", "a beta above 0", beta);
    }
    paired("smooth_l1", y, t, |y, t| {
        let d = y - t;
        let near = d.clip(-beta, beta);
        &near * (&d - &near * 0.5) / beta
    })
}

/// Returns the logarithm of the hyperbolic cosine of the difference `d`, computed without overflow
/// as `d + softplus(-2d) - ln 2`. Follows `keras.losses.LogCosh`.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::log_cosh(&tensor([0.0, 1000.0]), &Tensor::zeros(2));
/// assert_eq!(losses.to_string(), "f32[2] [  0.0000, 999.3068]");
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn log_cosh(y: &Tensor, t: &Tensor) -> Tensor {
    paired("log_cosh", y, t, |y, t| {
        let d = y - t;
        (&d * -2.0).softplus() + d - std::f64::consts::LN_2
    })
}

/// Returns the quantile (pinball) loss, whose minimum is the quantile `q` of the targets:
/// `max(q (t - y), (q - 1) (t - y))`. Follows `sklearn.metrics.mean_pinball_loss`.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::quantile(&tensor([1.0, 3.0]), &tensor([3.0, 1.0]), 0.75);
/// assert_eq!(losses.to_vec::<f32>()?, [1.5, 0.5]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn quantile(y: &Tensor, t: &Tensor, q: f64) -> Tensor {
    if !(0.0..=1.0).contains(&q) {
        return invalid_option("quantile", "a quantile in 0..=1", q);
    }
    paired("quantile", y, t, |y, t| {
        let d = t - y;
        (&d * q).maximum(&d * (q - 1.0))
    })
}

/// Returns the negative log-likelihood of counts `t` under Poisson distributions of the rates `y`,
/// without the term of `t` alone: `y - t ln(y + 1e-7)`. Follows `keras.losses.Poisson`.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::poisson(&tensor([1.0, 2.0]), &tensor([3.0, 0.0]));
/// assert_eq!(losses.to_string(), "f32[2] [1.0000, 2.0000]");
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn poisson(y: &Tensor, t: &Tensor) -> Tensor {
    paired("poisson", y, t, |y, t| y - t * (y + MIN_DENOMINATOR).log())
}

/// Returns the negative log-likelihood of counts `t` under Poisson distributions of the rates
/// `exp(y)`, without the term of `t` alone: `exp(y) - t y`. Follows
/// `torch.nn.functional.poisson_nll_loss`.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::poisson_nll(&tensor([0.0, 0.0]), &tensor([3.0, 0.0]));
/// assert_eq!(losses.to_vec::<f32>()?, [1.0, 1.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn poisson_nll(y: &Tensor, t: &Tensor) -> Tensor {
    paired("poisson_nll", y, t, |y, t| y.exp() - t * y)
}

/// Returns the negative log-likelihood of targets `t` under normal distributions of the means `y`
/// and the variances `variance`, without the constant: `(ln v + (y - t)² / v) / 2`. Variances below
/// `1e-6` count as that, with the derivative of a variance of that size. Follows
/// `torch.nn.functional.gaussian_nll_loss`.
///
/// ```
/// use neurax::prelude::*;
/// let (y, v) = (tensor([1.0, 2.0]), tensor([1.0, 4.0]));
/// let losses = loss::each::gaussian_nll(&y, &v, &tensor([1.0, 4.0]));
/// assert_eq!(losses.to_vec::<f32>()?, [0.0, 1.1931472]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn gaussian_nll(y: &Tensor, variance: &Tensor, t: &Tensor) -> Tensor {
    let operands = [("prediction", y), ("variance", variance), ("target", t)];
    together("gaussian_nll", operands, |[y, v, t]| {
        // The limit adds a constant, so that the derivative does not vanish below it.
        let v = &v + neurax_tensor::stop_gradient(&(v.maximum(1e-6) - &v));
        (v.log() + (y - t).square() / v) * 0.5
    })
}
