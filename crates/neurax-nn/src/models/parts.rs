//! Parts that several architectures use.

use crate::layers::{BatchNorm, Conv};
use crate::{Cx, Layer, Node, init};
use neurax_tensor::{Tensor, concat};
use serde::{Deserialize, Serialize};

/// Applies a convolution without a bias, called `conv`, and a batch normalization, called `norm`.
#[track_caller]
pub(super) fn conv_norm(x: &Node, layer: Conv, [conv, norm]: [&str; 2]) -> Node {
    let y = x.layer(layer.bias(false).kernel(init::he_normal())).named(conv);
    y.layer(BatchNorm::new()).named(norm)
}

/// Returns the layer of a convolution with windows of 3 by 3 and as much padding.
pub(super) fn conv3(filters: usize) -> Conv {
    Conv::new(filters, 3).padding(1)
}

/// The layer that puts a learned vector in front of the tokens `[batch, length, features]`. The
/// parameter is `token` `[features]`, zeros at first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ClassToken;

impl Layer for ClassToken {
    const NAME: &'static str = "class_token";
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let features = x.dim(-1);
        let token = cx.param("token", features, init::zeros()).to(x.dtype());
        concat([token.broadcast_to([x.dim(0), 1, features]), x], 1)
    }
}

/// The layer that takes the first token: `[batch, length, features]` becomes `[batch, features]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FirstToken;

impl Layer for FirstToken {
    const NAME: &'static str = "first_token";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        x.index((.., 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn are_layers() {
        check::layer(ClassToken, &types![f32[2, 3, 4]]).unwrap();
        check::layer(FirstToken, &types![f32[2, 3, 4]]).unwrap();
    }
}
