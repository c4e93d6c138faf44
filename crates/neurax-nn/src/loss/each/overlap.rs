//! Losses of the overlap of two masks, for segmentation.

use crate::loss::operands::{invalid_option, paired};
use neurax_tensor::Tensor;

/// The number that is added to both parts of a ratio, so that empty masks agree, as in Keras.
const SMOOTHING: f64 = 1e-7;

/// Returns the Dice loss of probabilities `y` and masks `t` of 0 and 1:
/// `1 - 2 |y t| / (|y| + |t|)`, where `|..|` is the sum over all axes but the first. One loss for
/// each example. Follows `keras.losses.Dice` over these axes.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), tensor([[1, 0, 0], [0, 0, 0]]));
/// assert_eq!(loss::each::dice(&y, &t).to_vec::<f32>()?, [0.3333333, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn dice(y: &Tensor, t: &Tensor) -> Tensor {
    paired("dice", y, t, |y, t| {
        let (y, t) = (examples(y), examples(t));
        let both = (&y * &t).sum(-1);
        1.0 - (both * 2.0 + SMOOTHING) / (y.sum(-1) + t.sum(-1) + SMOOTHING)
    })
}

/// Returns the Tversky loss of probabilities `y` and masks `t` of 0 and 1: 1 minus the overlap
/// divided by its sum with `alpha` times the false positives and `beta` times the false negatives.
/// One loss for each example; [`dice`] has an alpha and a beta of 0.5. Follows
/// `keras.losses.Tversky` over all axes but the first.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([[1.0, 1.0, 0.0]]), tensor([[1, 0, 0]]));
/// assert_eq!(loss::each::tversky(&y, &t, 1.0, 0.5).to_string(), "f32[1] [0.5000]");
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn tversky(y: &Tensor, t: &Tensor, alpha: f64, beta: f64) -> Tensor {
    if let Some(&bad) = [alpha, beta].iter().find(|x| x.is_nan() || **x < 0.0) {
        return invalid_option("tversky", "an alpha and a beta of at least 0", bad);
    }
    paired("tversky", y, t, |y, t| {
        let (y, t) = (examples(y), examples(t));
        let both = (&y * &t).sum(-1);
        let false_positives = (&y * (1.0 - &t)).sum(-1);
        let false_negatives = ((1.0 - &y) * &t).sum(-1);
        let all = &both + false_positives * alpha + false_negatives * beta;
        1.0 - (both + SMOOTHING) / (all + SMOOTHING)
    })
}

/// Returns `x` as a matrix with one row for each example.
#[track_caller]
fn examples(x: &Tensor) -> Tensor {
    let shape = x.shape();
    let (examples, rest) = shape.split_first().map_or((1, &[][..]), |(n, rest)| (*n, rest));
    x.reshape([examples, rest.iter().product()])
}
