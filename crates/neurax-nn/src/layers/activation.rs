//! Activations: a function of each element, or of the last axis. One row each.

use crate::{Cx, Layer, Node};
use neurax_tensor::Tensor;

/// The layer of a function of one tensor that has no parameters.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 2]).layer(nn::layers::Activation::new("square", |x| x * x));
/// let out = model.apply(&Vars::default(), tensor([[2.0, 3.0]]), &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [4.0, 9.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Activation {
    name: &'static str,
    f: fn(&Tensor) -> Tensor,
}

impl Activation {
    /// The layer of that function.
    pub fn new(name: &'static str, f: fn(&Tensor) -> Tensor) -> Activation {
        Activation { name, f }
    }
}

impl Layer for Activation {
    fn name(&self) -> String {
        self.name.into()
    }

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        (self.f)(&x)
    }
}

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident => $f:expr;)*) => {
        impl Node {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> Node {
                self.layer(Activation::new(stringify!($name), $f))
            }
        )*}

        #[cfg(test)]
        const ALL: &[Activation] = &[$(Activation { name: stringify!($name), f: $f }),*];
    };
}

activations! {
    /// `max(x, 0)`.
    relu => |x| x.relu();
    /// The hyperbolic tangent.
    tanh => |x| x.tanh();
    /// `1 / (1 + exp(-x))`.
    sigmoid => |x| x.sigmoid();
    /// `exp(x)`, divided by its sum over the last axis: positive numbers of sum 1.
    softmax => |x| x.softmax(-1);
    /// The logarithm of the softmax over the last axis, without overflow.
    log_softmax => |x| x.log_softmax(-1);
    /// `x` times the normal distribution function of `x`: Hendrycks and Gimpel, 2016
    /// (<https://arxiv.org/abs/1606.08415>).
    gelu => |x| x.gelu(false);
    /// `x · sigmoid(x)`, also called swish: Elfwing et al., 2017
    /// (<https://arxiv.org/abs/1702.03118>).
    silu => |x| x.silu();
    /// `x` where positive, else `exp(x) - 1`: Clevert et al., 2015
    /// (<https://arxiv.org/abs/1511.07289>).
    elu => |x| x.elu(1.0);
    /// `x` where positive, else `x / 100`.
    leaky_relu => |x| x.leaky_relu(0.01);
    /// `log(1 + exp(x))`, without overflow.
    softplus => |x| x.softplus();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::{tensor, types};

    #[test]
    fn are_layers() {
        for &a in ALL {
            check::layer(a, &types![f32[2, 3]]).unwrap_or_else(|e| panic!("{}: {e}", a.name));
        }
    }

    #[test]
    fn values() {
        let x = tensor([-1.0, 0.0, 2.0]);
        let want: [[f32; 3]; 10] = [
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
        ];
        for (a, want) in ALL.iter().zip(want) {
            for (y, w) in (a.f)(&x).to_vec::<f32>().unwrap().iter().zip(want) {
                assert!((y - w).abs() < 1e-5, "{}: {y}, not {w}", a.name);
            }
        }
    }
}
