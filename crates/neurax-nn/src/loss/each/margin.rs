//! Losses with a margin.

use crate::loss::TripletLoss;
use crate::loss::operands::{at_class, invalid_option, labelled, paired, together};
use neurax_tensor::Tensor;

/// Returns the hinge loss of scores `y` and targets `t` of -1 or 1: `max(1 - t y, 0)`. Follows
/// `keras.losses.Hinge`, without its conversion of targets of 0.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::hinge(&tensor([0.5, 2.0, 2.0]), &tensor([1.0, 1.0, -1.0]));
/// assert_eq!(losses.to_vec::<f32>()?, [0.5, 0.0, 3.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn hinge(y: &Tensor, t: &Tensor) -> Tensor {
    paired("hinge", y, t, |y, t| (1.0 - t * y).relu())
}

/// Returns the square of the [`hinge`] loss.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::squared_hinge(&tensor([0.5, 2.0]), &tensor([1.0, -1.0]));
/// assert_eq!(losses.to_vec::<f32>()?, [0.25, 9.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn squared_hinge(y: &Tensor, t: &Tensor) -> Tensor {
    paired("squared_hinge", y, t, |y, t| (1.0 - t * y).relu().square())
}

/// Returns the hinge loss of scores `y` and one-hot targets `t`, both f[.., classes]:
/// `max(1 + s - y_t, 0)`, with the largest score `s` of another class. The last axis is removed.
/// Follows `keras.losses.CategoricalHinge`.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[0.25, 0.75], [2.0, 0.5]]);
/// let losses = loss::each::categorical_hinge(&y, &tensor([[1.0, 0.0], [1.0, 0.0]]));
/// assert_eq!(losses.to_vec::<f32>()?, [1.5, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn categorical_hinge(y: &Tensor, t: &Tensor) -> Tensor {
    paired("categorical_hinge", y, t, |y, t| {
        let (right, wrong) = ((t * y).sum(-1), ((1.0 - t) * y).max(-1));
        (wrong - right + 1.0).relu()
    })
}

/// Returns the logistic loss of scores `y` and targets `t` of -1 or 1: `ln(1 + exp(-t y))`. Follows
/// `torch.nn.functional.soft_margin_loss`, but does not overflow.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::soft_margin(&tensor([0.0, 1000.0]), &tensor([1.0, -1.0]));
/// assert_eq!(losses.to_vec::<f32>()?, [0.6931472, 1000.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn soft_margin(y: &Tensor, t: &Tensor) -> Tensor {
    paired("soft_margin", y, t, |y, t| (-(t * y)).softplus())
}

/// Returns the loss of a distance `y` and a target `t`: `y` where the target is 1 (similar),
/// `max(margin - y, 0)` where it is -1. Follows `torch.nn.functional.hinge_embedding_loss`.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::hinge_embedding(&tensor([0.5, 0.5, 3.0]), &tensor([1, -1, -1]), 1.0);
/// assert_eq!(losses.to_vec::<f32>()?, [0.5, 0.5, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn hinge_embedding(y: &Tensor, t: &Tensor, margin: f64) -> Tensor {
    paired("hinge_embedding", y, t, |y, t| t.gt(0.0).select(y, (margin - y).relu()))
}

/// Returns the loss of a pair of scores `a` and `b`, of which the first should be higher where the
/// target `t` is 1, and lower where it is -1: `max(-t (a - b) + margin, 0)`. Follows
/// `torch.nn.functional.margin_ranking_loss`.
///
/// ```
/// use neurax::prelude::*;
/// let (a, b, t) = (tensor([1.0, 1.0]), tensor([0.5, 3.0]), tensor([1.0, 1.0]));
/// assert_eq!(loss::each::margin_ranking(&a, &b, &t, 0.25).to_vec::<f32>()?, [0.0, 2.25]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn margin_ranking(a: &Tensor, b: &Tensor, t: &Tensor, margin: f64) -> Tensor {
    let operands = [("a", a), ("b", b), ("target", t)];
    together("margin_ranking", operands, |[a, b, t]| (-t * (a - b) + margin).relu())
}

/// Returns the hinge loss of scores `y` f[.., classes] and class indices `t` i[..]: the mean over
/// the classes of `max(margin - y_t + y_i, 0)` to the power `p` (1 or 2), where the class `t`
/// itself adds 0; NaN for an index that is out of range. Follows
/// `torch.nn.functional.multi_margin_loss`.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([[0.5, 0.0, 1.0, 0.5]]);
/// assert_eq!(loss::each::multi_margin(&y, &tensor([2]), 1, 1.0).to_vec::<f32>()?, [0.25]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn multi_margin(y: &Tensor, t: &Tensor, p: u32, margin: f64) -> Tensor {
    if !(1..=2).contains(&p) {
        return invalid_option("multi_margin", "a power of 1 or 2", p.into());
    }
    labelled("multi_margin", y, t, |y, t| {
        let other = Tensor::arange(y.dim(-1)).not_equal(t.expand_dims(-1));
        let hinge = (margin - at_class(y, t).expand_dims(-1) + y).relu();
        let hinge = if p == 1 { hinge } else { hinge.square() };
        other.select(hinge, 0).mean(-1)
    })
}

/// Returns the contrastive loss (Hadsell et al., 2006) of distances `y` and targets `t`, 1 for
/// similar pairs and 0 for others: `t y² + (1 - t) max(margin - y, 0)²`.
///
/// ```
/// use neurax::prelude::*;
/// let losses = loss::each::contrastive(&tensor([0.5, 0.5, 3.0]), &tensor([1, 0, 0]), 1.5);
/// assert_eq!(losses.to_vec::<f32>()?, [0.25, 1.0, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn contrastive(y: &Tensor, t: &Tensor, margin: f64) -> Tensor {
    paired("contrastive", y, t, |y, t| t * y.square() + (1.0 - t) * (margin - y).relu().square())
}

/// Returns the triplet loss of f[.., features]: `max(|a - p| - |a - n| + margin, 0)` of an anchor,
/// a positive example and a negative one, with Euclidean distances over the last axis, which is
/// removed. As in `torch.nn.functional.triplet_margin_loss`, 1e-6 is added to the differences.
/// [`TripletLoss`] has other distances; a negative margin is an error.
///
/// ```
/// use neurax::prelude::*;
/// let [a, p, n] = [[0.0, 0.0], [3.0, 4.0], [0.0, 4.5]].map(|x| tensor([x]));
/// let losses = loss::each::triplet(&a, &p, &n, 1.0);
/// assert!((losses.item()? - 1.5).abs() < 1e-5);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn triplet(anchor: &Tensor, positive: &Tensor, negative: &Tensor, margin: f64) -> Tensor {
    TripletLoss::new(margin).each(anchor, positive, negative)
}
