//! Losses of the directions of vectors: pairs of embeddings.

use crate::loss::operands::{invalid, invalid_option, is_positive, paired, together};
use neurax_tensor::{Tensor, concat, keep};

/// The length below which a vector is not scaled to length 1, as in PyTorch.
const MIN_LENGTH: f64 = 1e-12;

/// Returns the negative cosine of the angle between prediction and target, f[.., features], over
/// the last axis, which is removed: from -1 for equal directions to 1. Follows
/// `keras.losses.CosineSimilarity`.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([[3.0, 4.0], [1.0, 0.0]]), tensor([[6.0, 8.0], [0.0, 2.0]]));
/// assert_eq!(loss::each::cosine_similarity(&y, &t).to_vec::<f32>()?, [-1.0, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn cosine_similarity(y: &Tensor, t: &Tensor) -> Tensor {
    paired("cosine_similarity", y, t, |y, t| -y.cosine_similarity(t, -1))
}

/// Returns the cosine embedding loss of pairs `a` and `b` f[.., features] with targets `t` [..] of
/// 1 (similar) or -1: `1 - cos` where the target is 1, else `max(cos - margin, 0)`. Follows
/// `torch.nn.functional.cosine_embedding_loss`.
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = (tensor([[1.0, 0.0], [1.0, 0.0]]), tensor([[0.0, 2.0], [3.0, 0.0]]));
/// let losses = loss::each::cosine_embedding(&a, &b, &tensor([1, -1]), 0.25);
/// assert_eq!(losses.to_vec::<f32>()?, [1.0, 0.75]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn cosine_embedding(a: &Tensor, b: &Tensor, t: &Tensor, margin: f64) -> Tensor {
    if !(-1.0..=1.0).contains(&margin) {
        return invalid_option("cosine_embedding", "a margin in -1..=1", margin);
    }
    let cosine =
        together("cosine_embedding", [("a", a), ("b", b)], |[a, b]| a.cosine_similarity(b, -1));
    paired("cosine_embedding", &cosine, t, |cosine, t| {
        t.gt(0.0).select(1.0 - cosine, (cosine - margin).relu())
    })
}

/// Returns the InfoNCE loss (van den Oord et al., 2018) of pairs of embeddings `a` and `b`
/// f[examples, features]: the cross-entropy of the cosines of `a[i]` with all of `b`, divided by
/// `temperature`, with the class `i`. One loss for each example. The loss of CLIP is the mean of
/// this and of that with `a` and `b` swapped.
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = (Tensor::eye(2), Tensor::eye(2) * 3.0);
/// let losses = loss::each::info_nce(&a, &b, 0.5);
/// assert_eq!(losses.to_string(), "f32[2] [0.1269, 0.1269]"); // ln(1 + e⁻²)
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn info_nce(a: &Tensor, b: &Tensor, temperature: f64) -> Tensor {
    match of_embeddings("info_nce", a, temperature) {
        Some(error) => error,
        None => together("info_nce", [("a", a), ("b", b)], |[a, b]| {
            let (a, b) = (unit(&a), unit(&b));
            let cosines = a.matmul(b.t()) / temperature;
            cosines.logsumexp(-1) - (a * b).sum(-1) / temperature
        }),
    }
}

/// Returns the NT-Xent loss (Chen et al., 2020, SimCLR) of two views `a` and `b`
/// f[examples, features] of each example: the cross-entropy of the cosines of a view with all other
/// views of all examples, divided by `temperature`, with the class of the other view of the same
/// example; one loss for each example, the mean over its views.
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = (Tensor::eye(2), Tensor::eye(2) * 3.0);
/// let losses = loss::each::nt_xent(&a, &b, 0.5);
/// assert_eq!(losses.to_string(), "f32[2] [0.2395, 0.2395]"); // ln(1 + 2 e⁻²)
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn nt_xent(a: &Tensor, b: &Tensor, temperature: f64) -> Tensor {
    match of_embeddings("nt_xent", a, temperature) {
        Some(error) => error,
        None => together("nt_xent", [("a", a), ("b", b)], |[a, b]| {
            let (a, b) = (unit(&a), unit(&b));
            let views = concat([&a, &b], 0);
            let itself = Tensor::eye(views.dim(0)).gt(0.0);
            let cosines = views.matmul(views.t()) / temperature;
            let all = itself.select(f64::NEG_INFINITY, cosines).logsumexp(-1);
            all.reshape([2, a.dim(0)]).mean(0) - (a * b).sum(-1) / temperature
        }),
    }
}

/// Returns the error of embeddings of a wrong rank or of a temperature that is not positive.
#[track_caller]
fn of_embeddings(name: &str, a: &Tensor, temperature: f64) -> Option<Tensor> {
    match a.ty() {
        Ok(t) if t.rank() != 2 => Some(invalid(
            name,
            format!("expected embeddings of shape [examples, features], got {t}"),
        )),
        _ if !is_positive(temperature) => {
            Some(invalid_option(name, "a temperature above 0", temperature))
        }
        _ => None,
    }
}

/// Scales the rows of `x` to length 1.
#[track_caller]
pub(in crate::loss) fn unit(x: &Tensor) -> Tensor {
    x / x.norm(keep(-1)).maximum(MIN_LENGTH)
}
