//! The feed-forward layer of transformers.

use crate::init::{self, Init};
use crate::layers::Activation;
use crate::layers::dense::dense_of;
use crate::layers::dropout::{dropout, rate_error};
use crate::{Cx, Layer, MaskRule, Node};
use neurax_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Two fully connected layers with an activation `f` between them: `f(x · hidden_kernel) ·
/// output_kernel`; gated, `(f(x · gate_kernel) * (x · hidden_kernel)) · output_kernel`. Shazeer,
/// GLU Variants Improve Transformer (<https://arxiv.org/abs/2002.05202>).
///
/// The parameters are `hidden_kernel` `[features, units]`, `gate_kernel`, `output_kernel` `[units,
/// output]`, and `hidden_bias` and so on.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 5, 8]).layer(nn::FeedForward::swiglu(20)).model();
/// let vars = model.init(key(0), &types![f32[_, 5, 8]])?;
/// let names: Vec<_> = vars.params["feed_forward"].keys().collect();
/// assert_eq!(names, ["gate_kernel", "hidden_kernel", "output_kernel"]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeedForward {
    units: usize,
    output: Option<usize>,
    activation: Activation,
    gated: bool,
    bias: bool,
    dropout: f64,
    kernel: Init,
    #[serde(default = "init::zeros")]
    bias_init: Init,
}

impl FeedForward {
    /// Creates a layer with `units` hidden units, the activation [`Activation::relu`], and the
    /// number of outputs of its inputs.
    pub fn new(units: usize) -> FeedForward {
        FeedForward {
            units,
            output: None,
            activation: Activation::relu(),
            gated: false,
            bias: true,
            dropout: 0.0,
            kernel: init::glorot_uniform(),
            bias_init: init::zeros(),
        }
    }

    /// Creates a gated layer with the activation [`Activation::silu`] and without biases, as in
    /// Llama.
    pub fn swiglu(units: usize) -> FeedForward {
        FeedForward::new(units).activation(Activation::silu()).gated(true).bias(false)
    }

    /// Sets the activation.
    pub fn activation(self, activation: Activation) -> FeedForward {
        FeedForward { activation, ..self }
    }

    /// Sets whether the hidden units are multiplied with those of another kernel, to which the
    /// activation is applied.
    pub fn gated(self, gated: bool) -> FeedForward {
        FeedForward { gated, ..self }
    }

    /// Sets the number of outputs.
    pub fn output(self, output: usize) -> FeedForward {
        FeedForward { output: Some(output), ..self }
    }

    /// Sets whether there are biases.
    pub fn bias(self, bias: bool) -> FeedForward {
        FeedForward { bias, ..self }
    }

    /// Sets the fraction of the hidden units that are dropped in training.
    pub fn dropout(self, rate: f64) -> FeedForward {
        FeedForward { dropout: rate, ..self }
    }

    /// Sets the initializer of the kernels.
    pub fn kernel(self, kernel: Init) -> FeedForward {
        FeedForward { kernel, ..self }
    }

    /// Sets the initializer of the biases, which is zeros by default.
    pub fn bias_init(self, bias_init: Init) -> FeedForward {
        FeedForward { bias_init, ..self }
    }

    #[track_caller]
    fn product(&self, cx: &mut Cx, name: &str, x: &Tensor, outputs: usize) -> Tensor {
        let bias = self.bias.then_some(&self.bias_init);
        dense_of(cx, &format!("{name}_"), x, outputs, &self.kernel, bias)
    }
}

impl Layer for FeedForward {
    const NAME: &'static str = "feed_forward";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        if let Some(e) = rate_error("feed_forward", self.dropout) {
            return Tensor::from_error(e);
        }
        let hidden = self.product(cx, "hidden", &x, self.units);
        let mut hidden = match self.gated {
            true => self.activation.of(&self.product(cx, "gate", &x, self.units)) * hidden,
            false => self.activation.of(&hidden),
        };
        if let Some(key) = cx.key().filter(|_| self.dropout != 0.0) {
            hidden = dropout(&hidden, self.dropout, &key);
        }
        self.product(cx, "output", &hidden, self.output.unwrap_or(x.dim(-1)))
    }
}

impl Node {
    /// Applies two fully connected layers with a rectifier between them: see [`FeedForward`].
    #[track_caller]
    pub fn feed_forward(&self, units: usize) -> Node {
        self.layer(FeedForward::new(units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn is_a_layer() {
        let gelu = FeedForward::new(5).activation(Activation::gelu()).output(4).dropout(0.2);
        for layer in [gelu, FeedForward::swiglu(5), FeedForward::new(3).bias(false)] {
            check::layer(layer, &types![f32[2, 3, 6]]).unwrap();
        }
        let e = check::layer(FeedForward::new(3).dropout(2.0), &types![f32[2, 3]]).unwrap_err();
        assert!(e.to_string().contains("expected a rate in 0..1"), "{e}");
    }
}
