//! Activations: functions of each element or of the last axis, one table row each.

use crate::{Cx, Layer, LayerPrecision, MaskRule, Node};
use neurax_tensor::Tensor;
use std::fmt;

/// The layer of a function of one tensor without parameters.
///
/// ```
/// use neurax::prelude::*;
/// let square = nn::Activation::new(|x| x * x);
/// let model = nn::input("x", dims![_, 2]).layer(square).named("square");
/// let out = model.apply(&Vars::default(), tensor([[2.0, 3.0]]), &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [4.0, 9.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Activation {
    name: &'static str,
    f: fn(&Tensor) -> Tensor,
}

impl Activation {
    /// Creates an activation that applies `f`. Those of the library are functions of this type,
    /// such as [`Activation::relu`].
    pub fn new(f: fn(&Tensor) -> Tensor) -> Activation {
        Activation { name: "activation", f }
    }

    /// Returns the activation of the library with a name, or `None` if there is none.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(nn::Activation::by_name("relu").unwrap().name(), "relu");
    /// assert!(nn::Activation::by_name("rellu").is_none());
    /// ```
    pub fn by_name(name: &str) -> Option<Activation> {
        ALL.iter().find(|a| a.name == name).copied()
    }

    /// Returns the name: that of its function here, or `activation` if [`Activation::new`] created
    /// it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Applies the activation to a tensor.
    #[track_caller]
    pub fn of(&self, x: &Tensor) -> Tensor {
        (self.f)(x)
    }
}

impl fmt::Debug for Activation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Layer for Activation {
    const NAME: &'static str = "activation";
    type Output = Tensor;

    fn kind(&self) -> &str {
        self.name
    }

    fn precision(&self) -> LayerPrecision {
        match self.name {
            "softmax" | "log_softmax" => LayerPrecision::FullOutput,
            _ => LayerPrecision::OfPolicy,
        }
    }

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        self.of(&x)
    }
}

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident => $f:expr;)*) => {
        impl Node {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> Node {
                self.layer(Activation::$name()).named(stringify!($name))
            }
        )*}

        /// The activations of the library, as options of layers.
        impl Activation {$(
            $(#[$doc])*
            pub fn $name() -> Activation {
                Activation { name: stringify!($name), f: $f }
            }
        )*}

        /// The activations of the library.
        const ALL: &[Activation] = &[$(Activation { name: stringify!($name), f: $f }),*];
    };
}

activations! {
    /// Applies the rectified linear unit, `max(x, 0)`.
    relu => |x| x.relu();
    /// Applies the hyperbolic tangent.
    tanh => |x| x.tanh();
    /// Applies the logistic function, `1 / (1 + exp(-x))`.
    sigmoid => |x| x.sigmoid();
    /// Applies the softmax over the last axis: `exp(x)`, divided by its sum.
    softmax => |x| x.softmax(-1);
    /// Applies the logarithm of the softmax over the last axis, without overflow.
    log_softmax => |x| x.log_softmax(-1);
    /// Applies the Gaussian error linear unit, `x · Φ(x)` with the normal distribution function
    /// `Φ`: Hendrycks and Gimpel, 2016 (<https://arxiv.org/abs/1606.08415>).
    gelu => |x| x.gelu(false);
    /// Applies the approximation of [`gelu`](Node::gelu) with a hyperbolic tangent, as GPT-2 does.
    gelu_tanh => |x| x.gelu(true);
    /// Applies the sigmoid linear unit, `x · sigmoid(x)`, also called swish: Elfwing et al., 2017
    /// (<https://arxiv.org/abs/1702.03118>).
    silu => |x| x.silu();
    /// Applies the exponential linear unit, `x` if positive, else `exp(x) - 1`: Clevert et al.,
    /// 2015 (<https://arxiv.org/abs/1511.07289>).
    elu => |x| x.elu(1.0);
    /// Applies the leaky rectified linear unit, `x` if positive, else `x / 100`.
    leaky_relu => |x| x.leaky_relu(0.01);
    /// Applies `log(1 + exp(x))`, without overflow.
    softplus => |x| x.softplus();
    /// Applies the rectified linear unit with the limit 6, `min(max(x, 0), 6)`.
    relu6 => |x| x.relu6();
    /// Applies the scaled exponential linear unit: Klambauer et al., 2017
    /// (<https://arxiv.org/abs/1706.02515>).
    selu => |x| x.selu();
    /// Applies the continuously differentiable exponential linear unit with an alpha of 1: Barron,
    /// 2017 (<https://arxiv.org/abs/1704.07483>).
    celu => |x| x.celu(1.0);
    /// Applies `x · tanh(softplus(x))`: Misra, 2019 (<https://arxiv.org/abs/1908.08681>).
    mish => |x| x.mish();
    /// Applies `x / (1 + |x|)`.
    softsign => |x| x.softsign();
    /// Applies the logarithm of the logistic function, without overflow.
    log_sigmoid => |x| x.log_sigmoid();
    /// Limits elements to -1 and 1.
    hard_tanh => |x| x.hard_tanh();
    /// Applies `min(max(x + 3, 0), 6) / 6`, as JAX and PyTorch (Axon limits `0.2 x + 0.5`).
    hard_sigmoid => |x| x.hard_sigmoid();
    /// Applies `x · hard_sigmoid(x)`, also called hard swish: Howard et al., 2019
    /// (<https://arxiv.org/abs/1905.02244>).
    hard_silu => |x| x.hard_silu();
    /// Applies the exponential function.
    exp => |x| x.exp();
    /// Returns its argument: no activation.
    linear => |x| x.clone();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn are_layers() {
        for &a in ALL {
            check::layer(a, &types![f32[2, 3]]).unwrap_or_else(|e| panic!("{a:?}: {e}"));
        }
    }
}
