//! The losses: means of the functions of [`each`](mod@super::each).

use super::operands::mean;
use super::{CircleLoss, each};
use neurax_tensor::{Operand, Tensor};

/// Defines functions that return the mean of the losses of the function of the same name.
macro_rules! means {
    ($($(#[$doc:meta])* $name:ident($($x:ident),+ $(; $($option:ident: $ty:ty),+)?);)*) => {$(
        $(#[$doc])*
        #[track_caller]
        pub fn $name($($x: &Tensor),+ $(, $($option: $ty),+)?) -> Tensor {
            mean(&each::$name($($x),+ $(, $($option),+)?), &[$($x),+])
        }
    )*};
}

means! {
    /// Returns the cross-entropy of probabilities `y` and one-hot (or other) target distributions
    /// `t`, both f[.., classes]: `-Σ t · ln y` over the last axis, then the mean. It is computed
    /// from the logits of a softmax; otherwise, the logarithm is limited to that of 1e-7: see the
    /// [module](super).
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([[0.5, 0.25, 0.25]]), tensor([[1.0, 0.0, 0.0]]));
    /// assert_eq!(loss::categorical_cross_entropy(&y, &t).to_vec::<f32>()?, [0.6931472]);
    /// # Ok::<(), Error>(())
    /// ```
    categorical_cross_entropy(y, t);

    /// Returns the cross-entropy of logits `y` (before the softmax) and target distributions `t`,
    /// both f[.., classes]: [`Tensor::cross_entropy`], then the mean.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([[1000.0, 0.0]]), tensor([[0.0, 1.0]]));
    /// assert_eq!(loss::categorical_cross_entropy_logits(&y, &t).item()?, 1000.0);
    /// # Ok::<(), Error>(())
    /// ```
    categorical_cross_entropy_logits(y, t);

    /// Returns the cross-entropy of probabilities `y` f[.., classes] and class indices `t` i[..].
    /// An out-of-range class index yields NaN, as in Optax and in Keras on a GPU, because a traced
    /// function cannot report an error that depends on values; the gradient is that of the other
    /// examples.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]]);
    /// let loss = loss::sparse_categorical_cross_entropy(&y, &tensor([0, 1]));
    /// assert_eq!(loss.to_vec::<f32>()?, [0.3465736]);
    /// assert!(loss::sparse_categorical_cross_entropy(&y, &tensor([0, 3])).item()?.is_nan());
    /// # Ok::<(), Error>(())
    /// ```
    sparse_categorical_cross_entropy(y, t);

    /// Returns the cross-entropy of logits `y` f[.., classes] and class indices `t` i[..]. An out-
    /// of-range class index yields NaN, as in [`sparse_categorical_cross_entropy`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([[0.0, 0.0]]), tensor([1]));
    /// let loss = loss::sparse_categorical_cross_entropy_logits(&y, &t);
    /// assert_eq!(loss.to_vec::<f32>()?, [0.6931472]);
    /// # Ok::<(), Error>(())
    /// ```
    sparse_categorical_cross_entropy_logits(y, t);

    /// Returns the negative log-likelihood of class indices `t` i[..] under log-probabilities `y`
    /// f[.., classes]: the mean of [`each::nll`]. Of the result of a `log_softmax`, it is the
    /// cross-entropy.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([[0.0, 0.0]]).log_softmax(-1);
    /// assert_eq!(loss::nll(&y, &tensor([1])).to_vec::<f32>()?, [0.6931472]);
    /// # Ok::<(), Error>(())
    /// ```
    nll(y, t);

    /// Returns the binary cross-entropy of probabilities `y` and targets `t` in 0..=1, then the
    /// mean: `-t · ln y - (1 - t) · ln(1 - y)`. It is computed from the logits of a sigmoid;
    /// otherwise, the logarithms are limited to that of 1e-7: see the [module](super).
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let loss = loss::binary_cross_entropy(&tensor([0.5, 0.5]), &tensor([1.0, 0.0]));
    /// assert_eq!(loss.to_vec::<f32>()?, [0.6931472]);
    /// # Ok::<(), Error>(())
    /// ```
    binary_cross_entropy(y, t);

    /// Returns the binary cross-entropy of logits `y` and targets `t` in 0..=1, then the mean:
    /// `max(y, 0) - y·t + ln(1 + exp(-|y|))`, which does not overflow.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let loss = loss::binary_cross_entropy_logits(&tensor([-1000.0, 0.0]), &tensor([1.0, 0.0]));
    /// assert_eq!(loss.to_vec::<f32>()?, [500.3466]);
    /// # Ok::<(), Error>(())
    /// ```
    binary_cross_entropy_logits(y, t);

    /// Returns the Kullback-Leibler divergence of probabilities `y` from target distributions `t`,
    /// both f[.., classes]: the mean of [`each::kl_divergence`]. It is computed from the logits of
    /// a softmax.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([[0.5, 0.5]]), tensor([[1.0, 0.0]]));
    /// assert_eq!(loss::kl_divergence(&y, &t).to_vec::<f32>()?, [0.6931472]);
    /// # Ok::<(), Error>(())
    /// ```
    kl_divergence(y, t);

    /// Returns the Kullback-Leibler divergence of the softmax of logits `y` from target
    /// distributions `t`, both f[.., classes]: the mean of [`each::kl_divergence_logits`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([[1000.0, 0.0]]), tensor([[0.0, 1.0]]));
    /// assert_eq!(loss::kl_divergence_logits(&y, &t).item()?, 1000.0);
    /// # Ok::<(), Error>(())
    /// ```
    kl_divergence_logits(y, t);

    /// Returns the binary focal cross-entropy of probabilities `y` and targets `t`: the mean of
    /// [`each::binary_focal_cross_entropy`]. It is computed from the logits of a sigmoid.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([0.5, 0.5]), tensor([1.0, 0.0]));
    /// let loss = loss::binary_focal_cross_entropy(&y, &t, 0.25, 2.0);
    /// assert_eq!(loss.to_vec::<f32>()?, [0.0866434]);
    /// # Ok::<(), Error>(())
    /// ```
    binary_focal_cross_entropy(y, t; alpha: impl Into<Option<f64>>, gamma: f64);

    /// Returns the binary focal cross-entropy of logits `y` and targets `t`: the mean of
    /// [`each::binary_focal_cross_entropy_logits`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([1000.0]), tensor([0.0]));
    /// assert_eq!(loss::binary_focal_cross_entropy_logits(&y, &t, None, 2.0).item()?, 1000.0);
    /// # Ok::<(), Error>(())
    /// ```
    binary_focal_cross_entropy_logits(y, t; alpha: impl Into<Option<f64>>, gamma: f64);

    /// Returns the focal cross-entropy of probabilities `y` and target distributions `t`, both
    /// f[.., classes]: the mean of [`each::categorical_focal_cross_entropy`]. It is computed from
    /// the logits of a softmax.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([[0.5, 0.5]]), tensor([[0.0, 1.0]]));
    /// let loss = loss::categorical_focal_cross_entropy(&y, &t, 1.0, 2.0);
    /// assert_eq!(loss.to_vec::<f32>()?, [0.1732868]);
    /// # Ok::<(), Error>(())
    /// ```
    categorical_focal_cross_entropy(y, t; alpha: impl Operand, gamma: f64);

    /// Returns the focal cross-entropy of logits `y` and target distributions `t`, both f[..,
    /// classes]: the mean of [`each::categorical_focal_cross_entropy_logits`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([[1000.0, 0.0]]), tensor([[0.0, 1.0]]));
    /// let loss = loss::categorical_focal_cross_entropy_logits(&y, &t, 1.0, 2.0);
    /// assert_eq!(loss.item()?, 1000.0);
    /// # Ok::<(), Error>(())
    /// ```
    categorical_focal_cross_entropy_logits(y, t; alpha: impl Operand, gamma: f64);

    /// Returns the mean squared error.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(loss::mse(&tensor([1.0, 2.0]), &tensor([1.0, 4.0])).item()?, 2.0);
    /// // A forgotten axis is an error, not a matrix of differences:
    /// let e = loss::mse(&Tensor::zeros([3, 1]), &Tensor::zeros(3)).item().unwrap_err();
    /// assert!(e.message().ends_with("of equal shapes, got f32[3, 1] and f32[3]"), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    mse(y, t);

    /// Returns the mean absolute error.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(loss::mae(&tensor([1.0, 2.0]), &tensor([1.0, 4.0])).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    mae(y, t);

    /// Returns the mean absolute percentage error: the mean of [`each::mape`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(loss::mape(&tensor([1.0, 2.0]), &tensor([1.0, 4.0])).item()?, 25.0);
    /// # Ok::<(), Error>(())
    /// ```
    mape(y, t);

    /// Returns the mean squared logarithmic error: the mean of [`each::msle`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let loss = loss::msle(&tensor([3.0, 1.0]), &tensor([3.0, 3.0]));
    /// assert_eq!(loss.to_vec::<f32>()?, [0.2402265]);
    /// # Ok::<(), Error>(())
    /// ```
    msle(y, t);

    /// Returns the Huber loss with a `delta` of 1: see [`huber_with`].
    huber(y, t);

    /// Returns the mean Huber loss (Huber, 1964): half the square of a difference up to `delta`,
    /// linear beyond, so that outliers do not dominate. As the loss of a trainer: `|y: &Tensor, t:
    /// &Tensor| loss::huber_with(y, t, 0.5)`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let loss = loss::huber_with(&tensor([1.0, 5.75]), &Tensor::zeros(2), 2.0);
    /// assert_eq!(loss.item()?, (0.5 + 9.5) / 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    huber_with(y, t; delta: f64);

    /// Returns the mean smooth L1 loss: the mean of [`each::smooth_l1`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let loss = loss::smooth_l1(&tensor([0.5, 3.0]), &Tensor::zeros(2), 1.0);
    /// assert_eq!(loss.item()?, (0.125 + 2.5) / 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    smooth_l1(y, t; beta: f64);

    /// Returns the mean logarithm of the hyperbolic cosine of the difference: the mean of
    /// [`each::log_cosh`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(loss::log_cosh(&tensor([2.0]), &tensor([2.0])).item()?, 0.0);
    /// # Ok::<(), Error>(())
    /// ```
    log_cosh(y, t);

    /// Returns the quantile (pinball) loss, whose minimum is the quantile `q` of the targets: the
    /// mean of [`each::quantile`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let loss = loss::quantile(&tensor([1.0, 3.0]), &tensor([3.0, 1.0]), 0.75);
    /// assert_eq!(loss.item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    quantile(y, t; q: f64);

    /// Returns the negative log-likelihood of counts under Poisson distributions of the rates `y`:
    /// the mean of [`each::poisson`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(loss::poisson(&tensor([2.0, 1.0]), &tensor([0.0, 0.0])).item()?, 1.5);
    /// # Ok::<(), Error>(())
    /// ```
    poisson(y, t);

    /// Returns the negative log-likelihood of counts under Poisson distributions of the rates
    /// `exp(y)`: the mean of [`each::poisson_nll`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(loss::poisson_nll(&tensor([0.0, 0.0]), &tensor([3.0, 1.0])).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    poisson_nll(y, t);

    /// Returns the negative log-likelihood of targets under normal distributions of the means `y`
    /// and the variances `variance`: the mean of [`each::gaussian_nll`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, v) = (tensor([1.0, 2.0]), tensor([1.0, 1.0]));
    /// assert_eq!(loss::gaussian_nll(&y, &v, &tensor([1.0, 4.0])).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    gaussian_nll(y, variance, t);

    /// Returns the mean hinge loss of scores `y` and targets `t` of -1 or 1: the mean of
    /// [`each::hinge`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(loss::hinge(&tensor([0.5, 2.0]), &tensor([1.0, -1.0])).item()?, 1.75);
    /// # Ok::<(), Error>(())
    /// ```
    hinge(y, t);

    /// Returns the mean squared hinge loss: the mean of [`each::squared_hinge`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(loss::squared_hinge(&tensor([0.5, 2.0]), &tensor([1.0, -1.0])).item()?, 4.625);
    /// # Ok::<(), Error>(())
    /// ```
    squared_hinge(y, t);

    /// Returns the hinge loss of scores `y` and one-hot targets `t`, both f[.., classes]: the mean
    /// of [`each::categorical_hinge`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([[0.25, 0.75]]), tensor([[1.0, 0.0]]));
    /// assert_eq!(loss::categorical_hinge(&y, &t).item()?, 1.5);
    /// # Ok::<(), Error>(())
    /// ```
    categorical_hinge(y, t);

    /// Returns the logistic loss of scores `y` and targets `t` of -1 or 1: the mean of
    /// [`each::soft_margin`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(loss::soft_margin(&tensor([1000.0]), &tensor([-1.0])).item()?, 1000.0);
    /// # Ok::<(), Error>(())
    /// ```
    soft_margin(y, t);

    /// Returns the hinge loss of distances `y` and targets `t` of 1 (similar) or -1: the mean of
    /// [`each::hinge_embedding`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let loss = loss::hinge_embedding(&tensor([0.5, 0.75]), &tensor([1, -1]), 1.0);
    /// assert_eq!(loss.item()?, 0.375);
    /// # Ok::<(), Error>(())
    /// ```
    hinge_embedding(y, t; margin: f64);

    /// Returns the ranking loss of pairs of scores: the mean of [`each::margin_ranking`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (a, b, t) = (tensor([1.0, 1.0]), tensor([0.5, 3.0]), tensor([1.0, 1.0]));
    /// assert_eq!(loss::margin_ranking(&a, &b, &t, 0.25).item()?, 1.125);
    /// # Ok::<(), Error>(())
    /// ```
    margin_ranking(a, b, t; margin: f64);

    /// Returns the hinge loss of scores `y` f[.., classes] and class indices `t` i[..]: the mean of
    /// [`each::multi_margin`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([[0.5, 0.0, 1.0, 0.5]]);
    /// assert_eq!(loss::multi_margin(&y, &tensor([2]), 1, 1.0).item()?, 0.25);
    /// # Ok::<(), Error>(())
    /// ```
    multi_margin(y, t; p: u32, margin: f64);

    /// Returns the contrastive loss of distances `y` and targets `t`, 1 for similar pairs and 0 for
    /// others: the mean of [`each::contrastive`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let loss = loss::contrastive(&tensor([0.5, 0.5]), &tensor([1, 0]), 1.5);
    /// assert_eq!(loss.item()?, 0.625);
    /// # Ok::<(), Error>(())
    /// ```
    contrastive(y, t; margin: f64);

    /// Returns the triplet loss of vectors f[.., features] with Euclidean distances: the mean of
    /// [`each::triplet`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let [a, p, n] = [[0.0, 0.0], [3.0, 4.0], [0.0, 9.0]].map(|x| tensor([x]));
    /// assert_eq!(loss::triplet(&a, &p, &n, 1.0).item()?, 0.0);
    /// # Ok::<(), Error>(())
    /// ```
    triplet(anchor, positive, negative; margin: f64);

    /// Returns the negative cosine similarity of prediction and target, f[.., features]: the mean
    /// of [`each::cosine_similarity`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([[3.0, 4.0], [1.0, 0.0]]), tensor([[6.0, 8.0], [0.0, 2.0]]));
    /// assert_eq!(loss::cosine_similarity(&y, &t).item()?, -0.5);
    /// # Ok::<(), Error>(())
    /// ```
    cosine_similarity(y, t);

    /// Returns the cosine embedding loss of pairs f[.., features] with targets of 1 (similar) or
    /// -1: the mean of [`each::cosine_embedding`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (a, b) = (tensor([[1.0, 0.0], [1.0, 0.0]]), tensor([[0.0, 2.0], [3.0, 0.0]]));
    /// assert_eq!(loss::cosine_embedding(&a, &b, &tensor([1, -1]), 0.25).item()?, 0.875);
    /// # Ok::<(), Error>(())
    /// ```
    cosine_embedding(a, b, t; margin: f64);

    /// Returns the InfoNCE loss of pairs of embeddings f[examples, features]: the mean of
    /// [`each::info_nce`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (a, b) = (Tensor::eye(2), Tensor::eye(2) * 3.0);
    /// assert!((loss::info_nce(&a, &b, 0.5).item()? - 0.1269).abs() < 1e-4);
    /// # Ok::<(), Error>(())
    /// ```
    info_nce(a, b; temperature: f64);

    /// Returns the NT-Xent loss of two views f[examples, features] of each example: the mean of
    /// [`each::nt_xent`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (a, b) = (Tensor::eye(2), Tensor::eye(2) * 3.0);
    /// assert!((loss::nt_xent(&a, &b, 0.5).item()? - 0.2395).abs() < 1e-4);
    /// # Ok::<(), Error>(())
    /// ```
    nt_xent(a, b; temperature: f64);

    /// Returns the Dice loss of probabilities `y` and masks `t`: the mean over the examples of
    /// [`each::dice`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([[1.0, 1.0, 0.0]]), tensor([[1, 0, 0]]));
    /// assert_eq!(loss::dice(&y, &t).to_vec::<f32>()?, [0.3333333]);
    /// # Ok::<(), Error>(())
    /// ```
    dice(y, t);

    /// Returns the Tversky loss of probabilities `y` and masks `t`: the mean over the examples of
    /// [`each::tversky`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (y, t) = (tensor([[1.0, 1.0, 0.0]]), tensor([[1, 0, 0]]));
    /// assert!((loss::tversky(&y, &t, 1.0, 0.5).item()? - 0.5000).abs() < 1e-4);
    /// # Ok::<(), Error>(())
    /// ```
    tversky(y, t; alpha: f64, beta: f64);

    /// Returns the mean loss of connectionist temporal classification over the examples: see
    /// [`each::ctc`], and [`CtcLoss`](super::CtcLoss) for options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = Tensor::zeros([1, 3, 2]);
    /// let loss = loss::ctc(&y, &tensor([[1, -1]]));
    /// assert!((loss.item()? - 0.287682).abs() < 1e-6);
    /// # Ok::<(), Error>(())
    /// ```
    ctc(y, t);

    /// Returns the mean loss of an RNN transducer over the examples: see [`each::rnn_transducer`],
    /// and [`RnnTransducerLoss`](super::RnnTransducerLoss) for options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = Tensor::zeros([1, 2, 2, 3]);
    /// let loss = loss::rnn_transducer(&y, &tensor([[1]]));
    /// assert!((loss.item()? - 13.5f64.ln()).abs() < 1e-6);
    /// # Ok::<(), Error>(())
    /// ```
    rnn_transducer(y, t);
}

/// Returns the mean circle loss of embeddings f[examples, features] and class indices, one for each
/// example, over the examples whose class is not negative: [`CircleLoss`] with its default options.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]);
/// // a = 1.25, b = 0.25: 256 (1.25 · 0.75 - 0.25 · 0.25)
/// let loss = loss::circle(&y, &tensor([0, 0, 1]));
/// assert!((loss.item()? - 224.0 * 2.0 / 3.0).abs() < 1e-3);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn circle(y: &Tensor, t: &Tensor) -> Tensor {
    CircleLoss::new().measure(y, t)
}
