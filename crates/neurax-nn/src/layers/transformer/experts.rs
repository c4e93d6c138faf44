//! Mixtures of experts.

use crate::init::{self, Init};
use crate::layers::Activation;
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, MaskRule};
use neurax_tensor::{Error, Tensor, einsum, keep};
use serde::{Deserialize, Serialize};

/// Returns the loss that is lowest if all experts are used equally: the number of experts times the
/// sum, over the experts, of the fraction of elements that are routed to the expert and its mean
/// probability. `probabilities` and `routed` (1 for the experts that an element is routed to, else
/// 0) are `[.., experts]`; the result is a scalar, f32 at least. Fedus, Zoph and Shazeer, Switch
/// Transformers (<https://arxiv.org/abs/2101.03961>); with several experts for each element as in
/// the library `transformers`. It is 0 if there are no elements.
///
/// ```
/// use neurax::prelude::*;
/// let (p, routed) = (tensor([[0.5, 0.5], [0.75, 0.25]]), tensor([[1.0, 0.0], [1.0, 0.0]]));
/// assert_eq!(nn::layers::balance_loss(&p, &routed).item()?, 1.25);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn balance_loss(probabilities: &Tensor, routed: &Tensor) -> Tensor {
    let experts = probabilities.dim(-1);
    let elements = probabilities.size() / experts.max(1);
    let mean =
        |x: &Tensor| at_least_f32(x).reshape([elements, experts]).sum(0) / elements.max(1) as f64;
    (mean(probabilities) * mean(routed)).sum(..) * experts as f64
}

/// A feed-forward layer of several experts, of which every element uses the `top` ones that a
/// router chooses; the second output is [`balance_loss`], to be added to the loss with a small
/// weight.
///
/// The router's probabilities are the softmax of `x · router_kernel`; the result is the sum of the
/// chosen experts' results, weighted by their probabilities, which are divided by their sum. Every
/// expert is computed for every element, so that none is dropped (no capacity), and the cost is
/// that of all experts. The parameters are `router_kernel` `[features, experts]`, `hidden_kernel`
/// `[experts, features, units]`, `gate_kernel`, and `output_kernel` `[experts, units, features]`.
/// Jiang et al., Mixtral of Experts (<https://arxiv.org/abs/2401.04088>).
///
/// ```
/// use neurax::prelude::*;
/// let x = nn::input("x", dims![_, 5, 8]);
/// let (y, balance) = x.layer(nn::MixtureOfExperts::new(4, 16).top(2));
/// let model = Model::new([("y", y), ("balance", balance)]);
/// let vars = model.init(key(0), &types![f32[_, 5, 8]])?;
/// let out = model.apply(&vars, Tensor::ones([3, 5, 8]), &Mode::Eval);
/// assert_eq!((out["y"].shape().to_vec(), out["balance"].rank()), (vec![3, 5, 8], 0));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MixtureOfExperts {
    experts: usize,
    units: usize,
    top: usize,
    activation: Activation,
    gated: bool,
    normalized: bool,
    kernel: Init,
}

impl MixtureOfExperts {
    /// Creates a layer of `experts` experts with `units` hidden units each, of which every element
    /// uses two; they are gated with [`Activation::silu`], as in Mixtral.
    pub fn new(experts: usize, units: usize) -> MixtureOfExperts {
        MixtureOfExperts {
            experts,
            units,
            top: 2,
            activation: Activation::silu(),
            gated: true,
            normalized: true,
            kernel: init::glorot_uniform(),
        }
    }

    /// Sets the number of experts that every element uses.
    pub fn top(self, top: usize) -> MixtureOfExperts {
        MixtureOfExperts { top, ..self }
    }

    /// Sets the activation of the hidden units.
    pub fn activation(self, activation: Activation) -> MixtureOfExperts {
        MixtureOfExperts { activation, ..self }
    }

    /// Sets whether the hidden units are multiplied with those of another kernel.
    pub fn gated(self, gated: bool) -> MixtureOfExperts {
        MixtureOfExperts { gated, ..self }
    }

    /// Sets whether the probabilities of the chosen experts are divided by their sum.
    pub fn normalized(self, normalized: bool) -> MixtureOfExperts {
        MixtureOfExperts { normalized, ..self }
    }

    /// Sets the initializer of the experts' kernels, each of which is initialized by itself.
    pub fn kernel(self, kernel: Init) -> MixtureOfExperts {
        MixtureOfExperts { kernel, ..self }
    }

    /// Returns the results of all experts, `[.., experts, features]`.
    #[track_caller]
    fn all(&self, cx: &mut Cx, x: &Tensor) -> Tensor {
        let (experts, features) = (self.experts, x.dim(-1));
        let kernel = self.kernel.clone().default_batch_axis(0);
        let mut hidden = |name: &str| {
            let kernel = cx.param(name, [experts, features, self.units], kernel.clone());
            einsum("...d,edh->...eh", [x, &kernel])
        };
        let linear = hidden("hidden_kernel");
        let hidden = match self.gated {
            true => self.activation.of(&hidden("gate_kernel")) * linear,
            false => self.activation.of(&linear),
        };
        let kernel = cx.param("output_kernel", [experts, self.units, features], kernel);
        einsum("...eh,ehd->...ed", [&hidden, &kernel])
    }
}

impl Layer for MixtureOfExperts {
    const NAME: &'static str = "mixture_of_experts";
    type Output = (Tensor, Tensor);

    fn mask_rule(&self) -> MaskRule {
        MaskRule::KeepOfFirst { outputs: 1 }
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> (Tensor, Tensor) {
        if self.top == 0 || self.top > self.experts {
            let why = format!(
                "expected from 1 to {} experts for each element, got {}",
                self.experts, self.top
            );
            let e = Tensor::from_error(Error::new("mixture_of_experts", why));
            return (e.clone(), e);
        }
        let router = cx.param("router_kernel", [x.dim(-1), self.experts], init::glorot_uniform());
        let p = at_least_f32(&x).matmul(at_least_f32(&router)).softmax(-1);
        let (_, chosen) = p.top_k(self.top);
        let routed = chosen.one_hot(self.experts).sum(-2).to(p.dtype());
        let mut weights = &p * &routed;
        if self.normalized {
            weights = &weights / weights.sum(keep(-1));
        }
        let all = at_least_f32(&self.all(cx, &x));
        let y = (all * weights.expand_dims(-1)).sum(-2);
        (narrow_as(&x, y), balance_loss(&p, &routed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, check, input};
    use neurax_tensor::{dims, key, types};

    #[test]
    fn both_outputs_pass_the_checks() {
        for layer in [
            MixtureOfExperts::new(3, 4),
            MixtureOfExperts::new(4, 3).top(1).gated(false).normalized(false),
            MixtureOfExperts::new(2, 3).activation(Activation::gelu()),
        ] {
            let types = types![f32[2, 3, 5]];
            check::layer(layer.clone(), &types).unwrap();
            check::examples(|[x]| x.layer(layer), &types![f32[5]]).unwrap();
        }
    }

    #[test]
    fn all_experts_with_equal_kernels_are_one() {
        let layer = MixtureOfExperts::new(3, 4).kernel(init::constant(0.1));
        let one = MixtureOfExperts::new(1, 4).top(1).kernel(init::constant(0.1));
        let x = key(1).normal([2, 5]);
        let run = |layer: MixtureOfExperts| {
            let (y, _) = input("x", dims![_, 5]).layer(layer);
            let vars = y.init(key(0), &types![f32[_, 5]]).unwrap();
            y.apply(&vars, &x, &Mode::Eval).y().clone()
        };
        let (a, b) = (run(layer), run(one));
        assert_eq!(a.allclose(&b, 1e-5, 1e-6).item().unwrap(), 1.0, "{a} is not {b}");
    }

    #[test]
    fn the_fan_does_not_count_the_experts() {
        let (y, _) = input("x", dims![_, 50]).layer(MixtureOfExperts::new(8, 50));
        let vars = y.init(key(0), &types![f32[_, 50]]).unwrap();
        for name in ["hidden_kernel", "gate_kernel", "output_kernel"] {
            let largest = vars.params["mixture_of_experts"][name].abs().max(..).item().unwrap();
            let limit = (6.0f64 / 100.0).sqrt();
            assert!(0.95 * limit < largest && largest <= limit, "{name}: {largest}");
        }
    }

    #[test]
    fn too_many_experts_are_an_error() {
        for top in [0, 4] {
            let layer = MixtureOfExperts::new(3, 4).top(top);
            let e = check::layer(layer, &types![f32[2, 3]]).unwrap_err();
            assert!(e.to_string().contains("from 1 to 3 experts for each element"), "{e}");
        }
    }
}
