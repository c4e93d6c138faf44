//! Dropout for networks with selu: Klambauer et al., 2017 (<https://arxiv.org/abs/1706.02515>).

use super::{rate_error, shape_of_channels};
use crate::{Cx, Layer, MaskRule, Node};
use neurax_tensor::{Key, Tensor};
use serde::{Deserialize, Serialize};

/// The limit of selu at negative infinity, `-scale · alpha`.
const LIMIT: f64 = -1.758_099_340_847_376_6;

/// Replaces each element of `x` by the negative limit of selu with probability `rate`, and scales
/// and shifts all elements such that mean 0 and variance 1 are kept.
///
/// ```
/// use neurax::prelude::*;
/// let y = nn::layers::alpha_dropout(&key(1).normal([10_000]), 0.3, &key(0));
/// assert!(y.mean(..).item()?.abs() < 0.05);
/// assert!((y.var(.., 0).item()? - 1.0).abs() < 0.05);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn alpha_dropout(x: &Tensor, rate: f64, key: &Key) -> Tensor {
    alpha_dropout_of_shape("alpha_dropout", x, rate, key, &x.shape())
}

#[track_caller]
fn alpha_dropout_of_shape(
    op: &'static str,
    x: &Tensor,
    rate: f64,
    key: &Key,
    shape: &[usize],
) -> Tensor {
    if let Some(e) = rate_error(op, rate) {
        return Tensor::from_error(e);
    }
    let scale = ((1.0 - rate) * (1.0 + rate * LIMIT * LIMIT)).sqrt().recip();
    let shift = -scale * LIMIT * rate;
    let kept = key.bernoulli(1.0 - rate, shape);
    kept.select(x * scale + shift, LIMIT * scale + shift)
}

/// The layer of [`alpha_dropout`]: it drops elements in training and is the identity in evaluation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AlphaDropout {
    rate: f64,
}

impl AlphaDropout {
    /// Creates a layer that drops the fraction `rate`, in 0..1, of the elements.
    pub fn new(rate: f64) -> AlphaDropout {
        AlphaDropout { rate }
    }
}

impl Layer for AlphaDropout {
    const NAME: &'static str = "alpha_dropout";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        match (rate_error("alpha_dropout", self.rate), cx.key()) {
            (Some(e), _) => Tensor::from_error(e),
            (None, Some(key)) => alpha_dropout(&x, self.rate, &key),
            (None, None) => x,
        }
    }
}

/// A layer like [`AlphaDropout`] that drops whole channels of `[batch, channels, space ..]`.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 3, 4]).layer(nn::FeatureAlphaDropout::new(0.5)).model();
/// let out = model.apply(&Vars::default(), Tensor::ones([1, 3, 4]), &Mode::Train(key(0)));
/// assert!(out.y().to_vec::<f32>()?.chunks(4).all(|c| c == [c[0]; 4]));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeatureAlphaDropout {
    rate: f64,
    channels_last: bool,
}

impl FeatureAlphaDropout {
    /// Creates a layer that drops the fraction `rate`, in 0..1, of the channels, which are at
    /// axis 1.
    pub fn new(rate: f64) -> FeatureAlphaDropout {
        FeatureAlphaDropout { rate, channels_last: false }
    }

    /// Makes the channels the last axis, as in Keras and JAX.
    pub fn channels_last(self) -> FeatureAlphaDropout {
        FeatureAlphaDropout { channels_last: true, ..self }
    }
}

impl Layer for FeatureAlphaDropout {
    const NAME: &'static str = "feature_alpha_dropout";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let op = "feature_alpha_dropout";
        if let Some(e) = rate_error(op, self.rate) {
            return Tensor::from_error(e);
        }
        match (cx.key(), shape_of_channels(op, &x, self.channels_last)) {
            (_, Err(e)) => Tensor::from_error(e),
            (None, _) => x,
            (Some(key), Ok(shape)) => alpha_dropout_of_shape(op, &x, self.rate, &key, &shape),
        }
    }
}

impl Node {
    /// Drops the fraction `rate` of the elements in training, for networks with selu: see
    /// [`AlphaDropout`].
    #[track_caller]
    pub fn alpha_dropout(&self, rate: f64) -> Node {
        self.layer(AlphaDropout::new(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Vars, check, input};
    use neurax_tensor::{dims, key, types};

    #[test]
    fn are_layers() {
        check::layer(AlphaDropout::new(0.3), &types![f32[2, 3]]).unwrap();
        check::layer(FeatureAlphaDropout::new(0.3), &types![f32[2, 3, 4]]).unwrap();
        let last = FeatureAlphaDropout::new(0.3).channels_last();
        check::layer(last, &types![f32[2, 3, 4]]).unwrap();
    }

    // The selu of negative infinity, by jax.nn.selu 0.12: -1.7580993.
    #[test]
    fn mean_and_variance_are_kept_and_the_rate_is_dropped() {
        for rate in [0.1, 0.5, 0.8] {
            let y = alpha_dropout(&key(1).normal([40_000]), rate, &key(2));
            let (mean, variance) = (y.mean(..).item().unwrap(), y.var(.., 0).item().unwrap());
            assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
            let least = y.min(..);
            let dropped = alpha_dropout(&Tensor::full([40_000], 9.0), rate, &key(2)).lt(0.0);
            let dropped = dropped.to(neurax_tensor::DType::F32).mean(..).item().unwrap();
            assert!((dropped - rate).abs() < 0.01, "{dropped}");
            assert!(least.item().unwrap().is_finite());
        }
    }

    #[test]
    fn whole_channels_are_dropped() {
        let layer = FeatureAlphaDropout::new(0.5).channels_last();
        let model = input("x", dims![_, _, _]).layer(layer).model();
        let x = Tensor::ones([4, 3, 8]);
        let y = model.apply(&Vars::default(), &x, &Mode::Train(key(3))).y().clone();
        assert_eq!(y.max(1).to_vec::<f32>().unwrap(), y.min(1).to_vec::<f32>().unwrap());
    }

    #[test]
    fn invalid_rates_are_errors() {
        let e = check::layer(AlphaDropout::new(1.0), &types![f32[1, 2]]).unwrap_err().to_string();
        assert!(e.contains("expected a rate in 0..1") && e.contains("layer alpha_dropout"), "{e}");
        assert!(check::layer(FeatureAlphaDropout::new(0.1), &types![f32[2]]).is_err());
    }
}
