//! Activations: functions of each element or of the last axis, one table row each.

use crate::{Cx, Layer, Node};
use neurax_tensor::Tensor;

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
#[derive(Clone, Copy, Debug)]
pub struct Activation(fn(&Tensor) -> Tensor);

impl Activation {
    /// Creates a layer that applies `f`.
    pub fn new(f: fn(&Tensor) -> Tensor) -> Activation {
        Activation(f)
    }
}

impl Layer for Activation {
    const NAME: &'static str = "activation";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        (self.0)(&x)
    }
}

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident => $f:expr;)*) => {
        impl Node {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> Node {
                self.layer(Activation::new($f)).named(stringify!($name))
            }
        )*}

        #[cfg(test)]
        const ALL: &[(&str, Activation)] = &[$((stringify!($name), Activation($f))),*];
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::{tensor, types};

    #[test]
    fn are_layers() {
        for &(name, a) in ALL {
            check::layer(a, &types![f32[2, 3]]).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }

    #[test]
    fn values() {
        let x = tensor([-1.0, 0.0, 2.0]);
        // The last ten rows are from jax.nn 0.12.
        let want: [[f32; 3]; 20] = [
            [0.0, 0.0, 2.0],
            [-0.761_594_2, 0.0, 0.964_027_6],
            [0.268_941_4, 0.5, 0.880_797],
            [0.042_010_07, 0.114_195_2, 0.843_794_7],
            [-3.169_846, -2.169_846, -0.169_846],
            [-0.158_655_3, 0.0, 1.954_5],
            [-0.268_941_4, 0.0, 1.761_594],
            [-0.632_120_6, 0.0, 2.0],
            [-0.01, 0.0, 2.0],
            [0.313_261_7, std::f32::consts::LN_2, 2.126_928],
            [0.0, 0.0, 2.0],
            [-1.111_330_7, 0.0, 2.101_402],
            [-0.632_120_5, 0.0, 2.0],
            [-0.303_401_44, 0.0, 1.943_959],
            [-0.5, 0.0, 0.666_666_7],
            [-1.313_261_7, -std::f32::consts::LN_2, -0.126_928],
            [-1.0, 0.0, 1.0],
            [0.333_333_34, 0.5, 0.833_333_3],
            [-0.333_333_34, 0.0, 1.666_666_7],
            [0.367_879_45, 1.0, 7.389_056],
        ];
        assert_eq!(ALL.len(), want.len());
        for ((name, a), want) in ALL.iter().zip(want) {
            for (y, w) in (a.0)(&x).to_vec::<f32>().unwrap().iter().zip(want) {
                assert!((y - w).abs() < 1e-5, "{name}: expected {w}, got {y}");
            }
        }
    }
}
