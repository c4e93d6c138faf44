//! The parameters `scale` and `bias` of the normalization layers.

use crate::Cx;
use crate::init::{self, Init};
use neurax_tensor::{IntoShape, Tensor};
use serde::{Deserialize, Serialize};

/// The options of the parameters `scale` and `bias` of a normalization layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ScaleBias {
    pub scale: bool,
    #[serde(default)]
    pub bias: bool,
    /// The initializer of the scale, if it is not that of the layer.
    pub scale_init: Option<Init>,
    #[serde(default = "init::zeros")]
    pub bias_init: Init,
}

impl ScaleBias {
    /// Returns the options of a layer with both parameters, ones and zeros.
    pub fn both() -> ScaleBias {
        ScaleBias { scale: true, bias: true, scale_init: None, bias_init: init::zeros() }
    }

    /// Returns the options of a layer with a scale alone.
    pub fn only_scale() -> ScaleBias {
        ScaleBias { bias: false, ..ScaleBias::both() }
    }

    /// Returns the parameter `scale`, if the layer has it. Its initial value is `start` unless the
    /// user has set an initializer.
    #[track_caller]
    pub fn scale(&self, cx: &mut Cx, shape: impl IntoShape, start: f64) -> Option<Tensor> {
        let init = self.scale_init.clone().unwrap_or_else(|| init::constant(start));
        self.scale.then(|| cx.param("scale", shape, init))
    }

    /// Returns the parameter `bias`, if the layer has it.
    #[track_caller]
    pub fn bias(&self, cx: &mut Cx, shape: impl IntoShape) -> Option<Tensor> {
        self.bias.then(|| cx.param("bias", shape, self.bias_init.clone()))
    }

    /// Returns scale and bias, of one element for each channel; ones and zeros if the layer has no
    /// such parameter.
    #[track_caller]
    pub fn of_channels(&self, cx: &mut Cx, channels: usize) -> [Tensor; 2] {
        let scale = self.scale(cx, channels, 1.0);
        let bias = self.bias(cx, channels);
        [
            scale.unwrap_or_else(|| Tensor::ones(channels)),
            bias.unwrap_or_else(|| Tensor::zeros(channels)),
        ]
    }
}

/// Adds the option methods of the parameters to a layer with the field `affine`, a [`ScaleBias`].
macro_rules! scale_bias_options {
    ($Layer:ident) => {
        impl $Layer {
            /// Sets whether the layer has the parameter `scale`.
            pub fn scale(mut self, scale: bool) -> $Layer {
                self.affine.scale = scale;
                self
            }

            /// Sets whether the layer has the parameter `bias`.
            pub fn bias(mut self, bias: bool) -> $Layer {
                self.affine.bias = bias;
                self
            }

            /// Sets the initializer of `scale`, which is [`ones`](crate::init::ones) by default.
            /// Keras calls it `gamma_initializer`.
            pub fn scale_init(mut self, scale_init: crate::init::Init) -> $Layer {
                self.affine.scale_init = Some(scale_init);
                self
            }

            /// Sets the initializer of `bias`, which is [`zeros`](crate::init::zeros) by default.
            /// Keras calls it `beta_initializer`.
            pub fn bias_init(mut self, bias_init: crate::init::Init) -> $Layer {
                self.affine.bias_init = bias_init;
                self
            }
        }
    };
}
pub(super) use scale_bias_options;

#[cfg(test)]
mod tests {
    use crate::{BatchNorm, GroupNorm, Layer, LayerNorm, RmsNorm, Vars, check, init, input};
    use neurax_tensor::{Tensor, dims, key, types};

    fn vars_of(layer: impl Layer<1, Output = Tensor>) -> Vars {
        let model = input("x", dims![_, 4, 3]).layer(layer).named("norm").model();
        model.init(key(0), &types![f32[_, 4, 3]]).unwrap()
    }

    #[test]
    fn all_normalizations_take_initializers() {
        let start = || [init::constant(0.5), init::constant(-2.0)];
        let [a, b] = start();
        let batch = vars_of(BatchNorm::new().scale_init(a).bias_init(b));
        let [a, b] = start();
        let group = vars_of(GroupNorm::new(2).scale_init(a).bias_init(b));
        let [a, b] = start();
        let instance = vars_of(GroupNorm::of_instances().scale_init(a).bias_init(b));
        let [a, b] = start();
        let layer = vars_of(LayerNorm::new().axes([1, 2]).scale_init(a).bias_init(b));
        for vars in [&batch, &group, &instance, &layer] {
            let values = |name: &str| vars.params["norm"][name].to_vec::<f32>().unwrap();
            assert!(values("scale").iter().all(|&x| x == 0.5), "{vars:?}");
            assert!(values("bias").iter().all(|&x| x == -2.0), "{vars:?}");
        }
        let scale = |norm: RmsNorm| vars_of(norm).params["norm"]["scale"].to_vec::<f32>().unwrap();
        assert_eq!(scale(RmsNorm::new().scale_init(init::constant(0.5))), [0.5; 3]);
        assert_eq!(scale(RmsNorm::new().shift(0.75)), [0.25; 3]);
        assert_eq!(scale(RmsNorm::new().shift(0.75).scale_init(init::ones())), [1.0; 3]);
        let spread = GroupNorm::new(2).scale_init(init::normal(1.0)).bias_init(init::normal(1.0));
        check::layer(spread, &types![f32[2, 4, 3]]).unwrap();
    }

    #[test]
    fn files_without_initializers_are_read() {
        let json = r#"{"axes":[-1],"epsilon":0.001,"scale":true,"bias":true}"#;
        let layer: LayerNorm = serde_json::from_str(json).unwrap();
        let vars = vars_of(layer);
        assert_eq!(vars.params["norm"]["scale"].to_vec::<f32>().unwrap(), [1.0; 3]);
        assert_eq!(vars.params["norm"]["bias"].to_vec::<f32>().unwrap(), [0.0; 3]);
        let kept = serde_json::to_string(&LayerNorm::new().scale_init(init::constant(3.0)));
        let vars = vars_of(serde_json::from_str::<LayerNorm>(&kept.unwrap()).unwrap());
        assert_eq!(vars.params["norm"]["scale"].to_vec::<f32>().unwrap(), [3.0; 3]);
        let json = r#"{"axes":[-1],"epsilon":0.001,"scale":true,"shift":1.0,"narrow_scale":false}"#;
        let vars = vars_of(serde_json::from_str::<RmsNorm>(json).unwrap());
        assert_eq!(vars.params["norm"].keys().collect::<Vec<_>>(), ["scale"]);
    }
}
