//! Gated linear units, maxout and PReLU.

use super::axes::positions;
use crate::init::{self, Init};
use crate::{Activation, Cx, Layer, MaskRule, Node};
use neurax_tensor::{Error, Tensor};
use serde::{Deserialize, Serialize};

/// A gated linear unit: the first half of an axis times an activation of the second half. Dauphin
/// et al., 2016 (<https://arxiv.org/abs/1612.08083>), and Shazeer, 2020
/// (<https://arxiv.org/abs/2002.05202>).
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 4]).layer(nn::Glu::new(nn::Activation::relu())).model();
/// let out = model.apply(&Vars::default(), tensor([[1.0, 2.0, 10.0, -1.0]]), &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [10.0, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Glu {
    activation: Activation,
    axis: i64,
}

impl Glu {
    /// Creates a layer over the last axis: with sigmoid the original one, with gelu GEGLU, with
    /// silu SwiGLU, with relu ReGLU, and with linear the bilinear one.
    pub fn new(activation: Activation) -> Glu {
        Glu { activation, axis: -1 }
    }

    /// Sets the axis that is halved.
    pub fn axis(self, axis: i64) -> Glu {
        Glu { axis, ..self }
    }
}

impl Layer for Glu {
    const NAME: &'static str = "glu";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::of_axes(&[self.axis])
    }

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let axis = match positions("glu", &x, &[self.axis]) {
            Ok(axis) => axis[0],
            Err(e) => return Tensor::from_error(e),
        };
        let n = x.shape()[axis];
        if !n.is_multiple_of(2) {
            let why = format!("expected an even number of elements along axis {axis}, got {n}");
            return Tensor::from_error(Error::new("glu", why));
        }
        let (axis, half) = (axis as i64, (n / 2) as i64);
        x.slice(axis, 0..half) * self.activation.of(&x.slice(axis, half..2 * half))
    }
}

/// A layer that takes the maximum of groups of neighbouring features. Goodfellow et al., 2013
/// (<https://arxiv.org/abs/1302.4389>).
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 4]).layer(nn::Maxout::new(2)).model();
/// let out = model.apply(&Vars::default(), tensor([[1.0, 2.0, 4.0, 3.0]]), &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Maxout {
    pieces: usize,
    axis: i64,
}

impl Maxout {
    /// Creates a layer that takes the maximum of each `pieces` neighbours along the last axis.
    pub fn new(pieces: usize) -> Maxout {
        Maxout { pieces, axis: -1 }
    }

    /// Sets the axis of the features.
    pub fn axis(self, axis: i64) -> Maxout {
        Maxout { axis, ..self }
    }
}

impl Layer for Maxout {
    const NAME: &'static str = "maxout";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::of_axes(&[self.axis])
    }

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let axis = match positions("maxout", &x, &[self.axis]) {
            Ok(axis) => axis[0],
            Err(e) => return Tensor::from_error(e),
        };
        let (mut shape, pieces) = (x.shape().to_vec(), self.pieces);
        if pieces == 0 || !shape[axis].is_multiple_of(pieces) {
            let n = shape[axis];
            let why = format!("expected features in groups of {pieces} along axis {axis}, got {n}");
            return Tensor::from_error(Error::new("maxout", why));
        }
        shape.splice(axis..=axis, [shape[axis] / pieces, pieces]);
        x.reshape(shape).max(axis as i64 + 1)
    }
}

/// A leaky rectified linear unit whose slope is a parameter, `alpha`: He et al., 2015
/// (<https://arxiv.org/abs/1502.01852>).
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 8, 4, 4]).layer(nn::PRelu::new().axes([1]));
/// let vars = model.init(key(0), &types![f32[_, 8, 4, 4]])?;
/// assert_eq!(vars.params["prelu"]["alpha"].shape(), [8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PRelu {
    axes: Vec<i64>,
    alpha: Init,
}

impl PRelu {
    /// Creates a layer with one slope for all elements, 0.25 at the start, as in PyTorch.
    pub fn new() -> PRelu {
        PRelu { axes: Vec::new(), alpha: init::constant(0.25) }
    }

    /// Sets the axes along which the slopes differ: `[1]` for one slope for each channel.
    pub fn axes(self, axes: impl AsRef<[i64]>) -> PRelu {
        PRelu { axes: axes.as_ref().to_vec(), ..self }
    }

    /// Sets the initializer of the slopes.
    pub fn alpha(self, alpha: Init) -> PRelu {
        PRelu { alpha, ..self }
    }
}

impl Default for PRelu {
    fn default() -> PRelu {
        PRelu::new()
    }
}

impl Layer for PRelu {
    const NAME: &'static str = "prelu";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        if self.axes.is_empty() {
            return x.leaky_relu(cx.param("alpha", 1, self.alpha.clone()).sum(..));
        }
        let axes = match positions("prelu", &x, &self.axes) {
            Ok(axes) => axes,
            Err(e) => return Tensor::from_error(e),
        };
        let sizes: Vec<usize> = axes.iter().map(|&i| x.shape()[i]).collect();
        let alpha = cx.param("alpha", sizes, self.alpha.clone());
        let along = |i: usize| if axes.contains(&i) { x.shape()[i] } else { 1 };
        x.leaky_relu(alpha.reshape((0..x.rank()).map(along).collect::<Vec<_>>()))
    }
}

macro_rules! units {
    ($($(#[$doc:meta])* $name:ident $activation:ident;)*) => {
        impl Node {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> Node {
                self.layer(Glu::new(Activation::$activation())).named(stringify!($name))
            }
        )*}
    };
}

units! {
    /// Multiplies the first half of the last axis by the sigmoid of the second: see [`Glu`].
    glu sigmoid;
    /// Multiplies the first half of the last axis by the gelu of the second: see [`Glu`].
    geglu gelu;
    /// Multiplies the first half of the last axis by the silu of the second: see [`Glu`].
    swiglu silu;
    /// Multiplies the first half of the last axis by the relu of the second: see [`Glu`].
    reglu relu;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn are_layers() {
        check::layer(Glu::new(Activation::sigmoid()), &types![f32[2, 4]]).unwrap();
        check::layer(Glu::new(Activation::gelu()).axis(1), &types![f32[2, 4, 3]]).unwrap();
        check::nodes(|[x]| x.swiglu(), &types![f32[2, 4]]).unwrap();
        check::layer(Maxout::new(3), &types![f32[2, 6]]).unwrap();
        check::layer(Maxout::new(2).axis(1), &types![f32[2, 4, 3]]).unwrap();
        check::layer(PRelu::new(), &types![f32[2, 3]]).unwrap();
        check::layer(PRelu::new().axes([1, -1]), &types![f32[2, 3, 2, 4]]).unwrap();
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        let e = check::nodes(|[x]| x.glu(), &types![f32[2, 3]]).unwrap_err().to_string();
        assert!(e.contains("expected an even number of elements along axis 1, got 3"), "{e}");
        for pieces in [0, 2] {
            let e = check::layer(Maxout::new(pieces), &types![f32[2, 3]]).unwrap_err().to_string();
            assert!(e.contains(&format!("in groups of {pieces} along axis 1, got 3")), "{e}");
        }
        let e = check::layer(PRelu::new().axes([2]), &types![f32[2, 3]]).unwrap_err().to_string();
        assert!(e.contains("axes [2], got f32[2, 3]") && e.contains("in layer prelu"), "{e}");
    }
}
