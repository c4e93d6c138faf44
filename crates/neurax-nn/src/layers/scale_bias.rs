//! The parameters `scale` and `bias` of the normalization layers.
//!
//! An option has the name of the user's method and of the key in files: `scale`, `scale_init`,
//! `bias` and `bias_init`. The methods that return a parameter are called `scale_param` and
//! `bias_param`.

use crate::Cx;
use crate::init::{self, Init};
use neurax_tensor::{IntoShape, Tensor};
use serde::{Deserialize, Serialize};

/// The options of the parameter `scale` of a normalization layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ScaleOptions {
    pub scale: bool,
    /// The initializer of the scale, if it is not that of the layer.
    pub scale_init: Option<Init>,
}

impl ScaleOptions {
    /// Returns the options of a layer with a scale.
    pub fn new() -> ScaleOptions {
        ScaleOptions { scale: true, scale_init: None }
    }

    /// Returns the parameter `scale`, if the layer has it. Its initial value is `start` unless the
    /// user has set an initializer.
    #[track_caller]
    pub fn scale_param(&self, cx: &mut Cx, shape: impl IntoShape, start: f64) -> Option<Tensor> {
        let init = self.scale_init.clone().unwrap_or_else(|| init::constant(start));
        self.scale.then(|| cx.param("scale", shape, init))
    }
}

/// The options of the parameters `scale` and `bias` of a normalization layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ScaleBiasOptions {
    #[serde(flatten)]
    pub of_scale: ScaleOptions,
    pub bias: bool,
    #[serde(default = "init::zeros")]
    pub bias_init: Init,
}

impl ScaleBiasOptions {
    /// Returns the options of a layer with both parameters, ones and zeros.
    pub fn new() -> ScaleBiasOptions {
        let of_scale = ScaleOptions::new();
        ScaleBiasOptions { of_scale, bias: true, bias_init: init::zeros() }
    }

    /// Returns the parameter `scale`, if the layer has it, with ones at first.
    #[track_caller]
    pub fn scale_param(&self, cx: &mut Cx, shape: impl IntoShape) -> Option<Tensor> {
        self.of_scale.scale_param(cx, shape, 1.0)
    }

    /// Returns the parameter `bias`, if the layer has it.
    #[track_caller]
    pub fn bias_param(&self, cx: &mut Cx, shape: impl IntoShape) -> Option<Tensor> {
        self.bias.then(|| cx.param("bias", shape, self.bias_init.clone()))
    }

    /// Returns scale and bias, of one element for each channel; ones and zeros if the layer has no
    /// such parameter.
    #[track_caller]
    pub fn channel_params(&self, cx: &mut Cx, channels: usize) -> [Tensor; 2] {
        let scale = self.scale_param(cx, channels);
        let bias = self.bias_param(cx, channels);
        [
            scale.unwrap_or_else(|| Tensor::ones(channels)),
            bias.unwrap_or_else(|| Tensor::zeros(channels)),
        ]
    }
}

/// Adds the option methods of the parameters to a layer with the field `options`, a
/// [`ScaleBiasOptions`].
macro_rules! scale_bias_options {
    ($Layer:ident) => {
        impl $Layer {
            /// Sets whether the layer has the parameter `scale`.
            pub fn scale(mut self, scale: bool) -> $Layer {
                self.options.of_scale.scale = scale;
                self
            }

            /// Sets whether the layer has the parameter `bias`.
            pub fn bias(mut self, bias: bool) -> $Layer {
                self.options.bias = bias;
                self
            }

            /// Sets the initializer of `scale`, which is [`ones`](crate::init::ones) by default.
            /// Keras calls it `gamma_initializer`.
            pub fn scale_init(mut self, scale_init: crate::init::Init) -> $Layer {
                self.options.of_scale.scale_init = Some(scale_init);
                self
            }

            /// Sets the initializer of `bias`, which is [`zeros`](crate::init::zeros) by default.
            /// Keras calls it `beta_initializer`.
            pub fn bias_init(mut self, bias_init: crate::init::Init) -> $Layer {
                self.options.bias_init = bias_init;
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

    #[test]
    fn files_have_the_options_that_the_layer_has() {
        let keys = |json: serde_json::Result<serde_json::Value>| {
            let json = json.unwrap();
            json.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        let rms = keys(serde_json::to_value(RmsNorm::new()));
        assert_eq!(rms, ["axes", "epsilon", "narrow_scale", "scale", "scale_init", "shift"]);
        let layer = keys(serde_json::to_value(LayerNorm::new()));
        assert_eq!(layer, ["axes", "bias", "bias_init", "epsilon", "scale", "scale_init"]);
        // Earlier files of RMS normalization have a bias that no layer used.
        let mut earlier = serde_json::to_value(RmsNorm::new().epsilon(0.25)).unwrap();
        earlier["bias"] = false.into();
        earlier["bias_init"] = serde_json::to_value(init::zeros()).unwrap();
        let norm: RmsNorm = serde_json::from_value(earlier).unwrap();
        let again = serde_json::to_value(&norm).unwrap();
        assert_eq!(again, serde_json::to_value(RmsNorm::new().epsilon(0.25)).unwrap());
        let vars = vars_of(norm);
        assert_eq!(vars.params["norm"].keys().collect::<Vec<_>>(), ["scale"]);
    }
}
