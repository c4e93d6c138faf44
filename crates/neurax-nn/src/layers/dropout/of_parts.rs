//! Dropout of whole channels and of whole examples.

use super::{dropout_of_shape, rate_error, shape_of_channels};
use crate::{Cx, Layer, MaskRule, Node};
use neurax_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// A layer that drops whole channels in training and is the identity in evaluation: `[batch,
/// channels, space ..]` with any number of space axes. The other channels are scaled by
/// `1 / (1 - rate)`. Tompson et al., 2014 (<https://arxiv.org/abs/1411.4280>); PyTorch's
/// `Dropout1d` to `Dropout3d`, Keras's `SpatialDropout1D` to `3D`.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 100, 2]).layer(nn::SpatialDropout::new(0.5)).model();
/// let out = model.apply(&Vars::default(), Tensor::ones([1, 100, 2]), &Mode::Train(key(0)));
/// let y = out.y().to_vec::<f32>()?;
/// assert!(y.chunks(2).all(|pair| pair == [0.0; 2] || pair == [2.0; 2]));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SpatialDropout {
    rate: f64,
    channels_last: bool,
}

impl SpatialDropout {
    /// Creates a layer that drops the fraction `rate`, in 0..1, of the channels, which are at
    /// axis 1.
    pub fn new(rate: f64) -> SpatialDropout {
        SpatialDropout { rate, channels_last: false }
    }

    /// Makes the channels the last axis, as in Keras and JAX.
    pub fn channels_last(self) -> SpatialDropout {
        SpatialDropout { channels_last: true, ..self }
    }
}

impl Layer for SpatialDropout {
    const NAME: &'static str = "spatial_dropout";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        if let Some(e) = rate_error("spatial_dropout", self.rate) {
            return Tensor::from_error(e);
        }
        match (cx.key(), shape_of_channels("spatial_dropout", &x, self.channels_last)) {
            (_, Err(e)) => Tensor::from_error(e),
            (None, _) => x,
            (Some(key), Ok(shape)) => {
                dropout_of_shape("spatial_dropout", &x, self.rate, &key, &shape)
            }
        }
    }
}

/// Stochastic depth: a layer that drops whole examples in training and is the identity in
/// evaluation. It is applied to a branch in front of the sum with the input of the branch, so that
/// a dropped example skips the branch. The others are scaled by `1 / (1 - rate)`. Huang et al.,
/// 2016 (<https://arxiv.org/abs/1603.09382>).
///
/// ```
/// use neurax::prelude::*;
/// let x = nn::input("x", dims![_, 8]);
/// let y = &x + x.dense(8).relu().drop_path(0.1);
/// let vars = y.init(key(0), &types![f32[_, 8]])?;
/// assert_eq!(y.apply(&vars, Tensor::ones([2, 8]), &Mode::Eval).y().shape(), [2, 8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DropPath {
    rate: f64,
}

impl DropPath {
    /// Creates a layer that drops the fraction `rate`, in 0..1, of the examples.
    pub fn new(rate: f64) -> DropPath {
        DropPath { rate }
    }
}

impl Layer for DropPath {
    const NAME: &'static str = "drop_path";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let mut shape = vec![1; x.rank()];
        if let (Some(size), Some(n)) = (shape.first_mut(), x.shape().first()) {
            *size = *n;
        }
        match (rate_error("drop_path", self.rate), cx.key()) {
            (Some(e), _) => Tensor::from_error(e),
            (None, Some(key)) => dropout_of_shape("drop_path", &x, self.rate, &key, &shape),
            (None, None) => x,
        }
    }
}

impl Node {
    /// Drops the fraction `rate` of the channels in training: see [`SpatialDropout`].
    #[track_caller]
    pub fn spatial_dropout(&self, rate: f64) -> Node {
        self.layer(SpatialDropout::new(rate))
    }

    /// Drops the fraction `rate` of the examples in training: see [`DropPath`].
    #[track_caller]
    pub fn drop_path(&self, rate: f64) -> Node {
        self.layer(DropPath::new(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Vars, check, input};
    use neurax_tensor::{dims, key, types};

    fn trained(layer: impl Layer<Output = Tensor>, shape: [usize; 3]) -> Tensor {
        let model = input("x", dims![_, _, _]).layer(layer).model();
        model.apply(&Vars::default(), Tensor::ones(shape), &Mode::Train(key(4))).y().clone()
    }

    #[test]
    fn are_layers() {
        check::layer(SpatialDropout::new(0.3), &types![f32[2, 3, 4]]).unwrap();
        check::layer(SpatialDropout::new(0.3).channels_last(), &types![f32[2, 3, 4]]).unwrap();
        check::layer(DropPath::new(0.3), &types![f32[3, 2]]).unwrap();
    }

    #[test]
    fn whole_channels_and_examples_are_dropped_at_the_rate() {
        for (y, axis) in [
            (trained(SpatialDropout::new(0.25), [50, 40, 3]), 2),
            (trained(SpatialDropout::new(0.25).channels_last(), [50, 3, 40]), 1),
            (trained(DropPath::new(0.25), [2000, 1, 3]), 2),
        ] {
            let (low, high) = (y.min(axis), y.max(axis));
            assert!(low.array_equal(&high).item().unwrap() == 1.0, "a part of a channel");
            let dropped = low.equal(0.0).to(neurax_tensor::DType::F32).mean(..).item().unwrap();
            assert!((dropped - 0.25).abs() < 0.03, "{dropped}");
            assert!((y.mean(..).item().unwrap() - 1.0).abs() < 0.04);
        }
        let y = trained(DropPath::new(0.5), [20, 3, 2]).to_vec::<f32>().unwrap();
        assert!(y.chunks(6).all(|c| c == [0.0; 6] || c == [2.0; 6]), "{y:?}");
    }

    #[test]
    fn invalid_rates_and_inputs_are_errors() {
        for e in [
            check::layer(SpatialDropout::new(1.0), &types![f32[1, 2, 3]]),
            check::layer(DropPath::new(-0.5), &types![f32[1, 2, 3]]),
        ] {
            let e = e.unwrap_err().to_string();
            assert!(e.contains("expected a rate in 0..1"), "{e}");
        }
        let e = check::layer(SpatialDropout::new(0.5), &types![f32[3]]).unwrap_err().to_string();
        assert!(e.contains("expected an input with axes for batch and channels, got f32[3]"));
    }
}
