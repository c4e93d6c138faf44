//! Dropout: Srivastava et al., 2014 (<https://jmlr.org/papers/v15/srivastava14a.html>), and its
//! variants in the files of this folder.

mod alpha;
mod noise;
mod of_parts;

pub use alpha::{AlphaDropout, FeatureAlphaDropout, alpha_dropout};
pub use noise::{GaussianDropout, GaussianNoise};
pub use of_parts::{DropPath, SpatialDropout};

use crate::{Cx, Layer, MaskRule, Node};
use neurax_tensor::{Error, Key, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Zeroes each element of `x` with probability `rate`; the rest are scaled by `1 / (1 - rate)`, so
/// that the expected mean is unchanged.
///
/// ```
/// use neurax::prelude::*;
/// let y = nn::layers::dropout(&Tensor::ones([1000]), 0.25, &key(0)).to_vec::<f32>()?;
/// assert!(y.iter().all(|&v| v == 0.0 || v == 1.0 / 0.75));
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn dropout(x: &Tensor, rate: f64, key: &Key) -> Tensor {
    dropout_of_shape("dropout", x, rate, key, &x.shape())
}

/// Zeroes elements of `x` with probability `rate`, one decision for each element of a tensor of
/// `shape`, which broadcasts to that of `x`.
#[track_caller]
fn dropout_of_shape(op: &'static str, x: &Tensor, rate: f64, key: &Key, shape: &[usize]) -> Tensor {
    if let Some(e) = rate_error(op, rate) {
        return Tensor::from_error(e);
    }
    let kept = key.bernoulli(1.0 - rate, shape);
    // Not a product with 0 and 1: a dropped element may overflow when it is scaled.
    kept.select(x / (1.0 - rate), 0.0)
}

/// Returns the error of a rate that is not in 0..1.
pub(crate) fn rate_error(op: &'static str, rate: f64) -> Option<Error> {
    let why = || format!("expected a rate in 0..1, the fraction of elements to drop, got {rate}");
    (!(0.0..1.0).contains(&rate)).then(|| Error::new(op, why()))
}

/// Returns the shape of one decision for each channel of each example of `x`.
///
/// # Errors
/// If `x` has fewer than two axes.
fn shape_of_channels(op: &'static str, x: &Tensor, channels_last: bool) -> Result<Vec<usize>> {
    let ty = x.ty()?;
    let rank = ty.rank();
    if rank < 2 {
        let why = format!("expected an input with axes for batch and channels, got {ty}");
        return Err(Error::new(op, why));
    }
    let channels = if channels_last { rank - 1 } else { 1 };
    let size = |i: usize| if i == 0 || i == channels { ty.shape[i] } else { 1 };
    Ok((0..rank).map(size).collect())
}

/// The layer of [`dropout`]: it drops elements in training and is the identity in evaluation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dropout {
    rate: f64,
}

impl Dropout {
    /// Creates a layer that drops the fraction `rate`, in 0..1, of the elements.
    pub fn new(rate: f64) -> Dropout {
        Dropout { rate }
    }
}

impl Layer for Dropout {
    const NAME: &'static str = "dropout";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        match (rate_error("dropout", self.rate), cx.key()) {
            (Some(e), _) => Tensor::from_error(e),
            (None, Some(key)) => dropout(&x, self.rate, &key),
            (None, None) => x,
        }
    }
}

impl Node {
    /// Drops the fraction `rate` of the elements in training: see [`Dropout`].
    #[track_caller]
    pub fn dropout(&self, rate: f64) -> Node {
        self.layer(Dropout::new(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Vars, check, input};
    use neurax_tensor::{dims, key, types};

    #[test]
    fn is_a_layer() {
        check::layer(Dropout::new(0.3), &types![f32[2, 3]]).unwrap();
    }

    #[test]
    fn drops_about_its_rate_and_keeps_the_mean() {
        let y = dropout(&Tensor::ones([10_000]), 0.3, &key(1)).to_vec::<f32>().unwrap();
        let dropped = y.iter().filter(|&&v| v == 0.0).count();
        assert!((2_800..3_200).contains(&dropped), "{dropped}");
        assert!((y.iter().sum::<f32>() / 10_000.0 - 1.0).abs() < 0.03);
    }

    #[test]
    fn two_layers_drop_different_elements_and_a_key_decides() {
        let x = input("x", dims![100]);
        let model = crate::Model::new([("a", x.dropout(0.5)), ("b", x.dropout(0.5))]);
        let run = |k| {
            let out = model.apply(&Vars::default(), Tensor::ones([100]), &Mode::Train(key(k)));
            [out["a"].to_vec::<f32>().unwrap(), out["b"].to_vec::<f32>().unwrap()]
        };
        let [a, b] = run(0);
        assert_ne!(a, b);
        assert_eq!([a.clone(), b], run(0));
        assert_ne!(run(1)[0], a);
        let still = model.apply(&Vars::default(), Tensor::ones([100]), &Mode::Eval);
        assert_eq!(still["a"].to_vec::<f32>().unwrap(), [1.0; 100]);
    }

    #[test]
    fn rates_are_checked_in_evaluation() {
        let layers: [fn(&crate::Node) -> crate::Node; 10] = [
            |x| x.dropout(1.0),
            |x| x.layer(crate::Dropout::new(f64::NAN)),
            |x| x.layer(crate::AlphaDropout::new(-0.5)),
            |x| x.layer(crate::FeatureAlphaDropout::new(2.0)),
            |x| x.layer(crate::GaussianDropout::new(1.0)),
            |x| x.layer(crate::GaussianNoise::new(-1.0)),
            |x| x.layer(crate::SpatialDropout::new(1.5)),
            |x| x.layer(crate::DropPath::new(-1.0)),
            |x| x.layer(crate::FeedForward::new(3).dropout(2.0)),
            |x| crate::AdditiveAttention::new().dropout(1.0).call([x, x]),
        ];
        for (i, layer) in layers.into_iter().enumerate() {
            let model = layer(&input("x", dims![_, 3, 2])).model();
            let e = model.init(key(0), &types![f32[_, 3, 2]]).unwrap_err();
            assert!(e.message().contains("expected a "), "{i}: {e}");
        }
    }

    #[test]
    fn a_rate_outside_of_its_range_is_an_error() {
        for rate in [-0.1, 1.0, f64::NAN] {
            assert!(dropout(&Tensor::ones(2), rate, &key(0)).error().is_some());
        }
    }
}
