//! The convolutional digit classifier: two convolutions with max-pooling, then two dense layers.

use super::{DenseParams, Network};
use crate::data;
use neurax::prelude::*;

/// A classifier of 28 x 28 images with one channel; the convolutions have 32 and 64 channels.
#[derive(Tree, Clone, Debug)]
pub struct Cnn {
    /// 3 x 3 convolutions from 1 to 32 channels and from 32 to 64.
    pub convs: [ConvParams; 2],
    /// The dense layer from 64 x 7 x 7 to 128 features.
    pub hidden: DenseParams,
    /// The dense layer from 128 features to 10 logits.
    pub out: DenseParams,
}

/// The parameters of a 3 x 3 convolution with `same` padding.
#[derive(Tree, Clone, Debug)]
pub struct ConvParams {
    /// `f32[m, n, 3, 3]`.
    pub kernel: Tensor,
    /// `f32[m]`.
    pub bias: Tensor,
}

impl ConvParams {
    fn init(seed: u64, n: usize, m: usize) -> ConvParams {
        let size = 1.0 / (9.0 * n as f32).sqrt();
        ConvParams {
            kernel: data::around_zero(seed, [m, n, 3, 3], size),
            bias: data::around_zero(seed + 1, [m], size),
        }
    }

    fn apply(&self, x: &Tensor) -> Tensor {
        x.conv(&self.kernel, Windows::new().padding(Padding::Same))
            + self.bias.reshape([self.bias.size(), 1, 1])
    }
}

impl Network for Cnn {
    const NAME: &'static str = "cnn";

    fn init() -> Cnn {
        Cnn {
            convs: [ConvParams::init(10, 1, 32), ConvParams::init(20, 32, 64)],
            hidden: DenseParams::init(30, 64 * 7 * 7, 128),
            out: DenseParams::init(40, 128, 10),
        }
    }

    fn examples(n: usize) -> (Tensor, Tensor) {
        (data::uniform(1, [n, 1, 28, 28]), data::classes(2, [n], 10))
    }

    fn logits(&self, x: &Tensor) -> Tensor {
        let maps = self
            .convs
            .iter()
            .fold(x.clone(), |x, conv| conv.apply(&x).relu().max_pool(2, Windows::new()));
        let flat = maps.reshape([maps.dim(0), maps.size() / maps.dim(0)]);
        self.out.apply(&self.hidden.apply(&flat).relu())
    }
}
