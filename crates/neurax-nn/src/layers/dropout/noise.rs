//! Layers that add or multiply by random noise in training.

use super::rate_error;
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, MaskRule, Node};
use neurax_tensor::{Error, Tensor};
use serde::{Deserialize, Serialize};

/// A layer that adds normal noise in training and is the identity in evaluation.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_]).layer(nn::GaussianNoise::new(0.5)).model();
/// let out = model.apply(&Vars::default(), Tensor::zeros([10_000]), &Mode::Train(key(0)));
/// assert!((out.y().std(.., 0).item()? - 0.5).abs() < 0.02);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GaussianNoise {
    deviation: f64,
}

impl GaussianNoise {
    /// Creates a layer that adds noise of mean 0 and the given standard deviation.
    pub fn new(deviation: f64) -> GaussianNoise {
        GaussianNoise { deviation }
    }
}

impl Layer for GaussianNoise {
    const NAME: &'static str = "gaussian_noise";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        if !(self.deviation >= 0.0 && self.deviation.is_finite()) {
            let why = format!("expected a deviation of at least 0, got {}", self.deviation);
            return Tensor::from_error(Error::new("gaussian_noise", why));
        }
        let Some(key) = cx.key() else { return x };
        let noise = key.normal(x.shape()) * self.deviation;
        let wide = at_least_f32(&x);
        narrow_as(&x, &wide + noise.to(wide.dtype()))
    }
}

/// A layer that multiplies by normal noise of mean 1 in training and is the identity in evaluation.
/// The variance `rate / (1 - rate)` is that of dropout with the same rate. Srivastava et al., 2014
/// (<https://jmlr.org/papers/v15/srivastava14a.html>), section 10.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_]).layer(nn::GaussianDropout::new(0.2)).model();
/// let out = model.apply(&Vars::default(), Tensor::ones([10_000]), &Mode::Train(key(0)));
/// assert!((out.y().mean(..).item()? - 1.0).abs() < 0.02);
/// assert!((out.y().std(.., 0).item()? - 0.5).abs() < 0.02);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GaussianDropout {
    rate: f64,
}

impl GaussianDropout {
    /// Creates a layer with the noise of dropout with `rate`, in 0..1.
    pub fn new(rate: f64) -> GaussianDropout {
        GaussianDropout { rate }
    }
}

impl Layer for GaussianDropout {
    const NAME: &'static str = "gaussian_dropout";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        if let Some(e) = rate_error("gaussian_dropout", self.rate) {
            return Tensor::from_error(e);
        }
        let Some(key) = cx.key() else { return x };
        let deviation = (self.rate / (1.0 - self.rate)).sqrt();
        let wide = at_least_f32(&x);
        let factor = (key.normal(x.shape()) * deviation + 1.0).to(wide.dtype());
        narrow_as(&x, &wide * factor)
    }
}

impl Node {
    /// Adds normal noise of the given standard deviation in training: see [`GaussianNoise`].
    #[track_caller]
    pub fn gaussian_noise(&self, deviation: f64) -> Node {
        self.layer(GaussianNoise::new(deviation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn are_layers() {
        check::layer(GaussianNoise::new(0.3), &types![f32[2, 3]]).unwrap();
        check::layer(GaussianDropout::new(0.3), &types![f32[2, 3]]).unwrap();
        check::layer(GaussianNoise::new(0.3), &types![bf16[2, 3]]).unwrap();
    }

    #[test]
    fn invalid_options_are_errors() {
        let e = check::layer(GaussianNoise::new(-1.0), &types![f32[2]]).unwrap_err().to_string();
        assert!(e.contains("expected a deviation of at least 0, got -1"), "{e}");
        let e = check::layer(GaussianDropout::new(1.0), &types![f32[2]]).unwrap_err().to_string();
        assert!(e.contains("expected a rate in 0..1"), "{e}");
    }
}
