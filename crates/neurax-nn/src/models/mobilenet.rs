//! MobileNetV2: inverted residual blocks of depthwise convolutions.

use super::parts::conv_norm;
use crate::layers::Conv;
use crate::{Node, block};
use std::borrow::Borrow;

/// The options of [`mobilenet_v2`].
#[derive(Clone, Debug)]
pub struct MobileNetV2Config {
    /// The factor of all numbers of channels, which are rounded to multiples of 8.
    pub width: f64,
    /// The stages: the factor of a block's inner channels, its channels, the number of blocks and
    /// the stride of the first one.
    pub stages: Vec<[usize; 4]>,
    /// The number of classes.
    pub classes: usize,
}

impl MobileNetV2Config {
    /// Returns the options of the paper, for the 1000 classes of ImageNet.
    pub fn new() -> MobileNetV2Config {
        let stages = vec![
            [1, 16, 1, 1],
            [6, 24, 2, 2],
            [6, 32, 3, 2],
            [6, 64, 4, 2],
            [6, 96, 3, 1],
            [6, 160, 3, 2],
            [6, 320, 1, 1],
        ];
        MobileNetV2Config { width: 1.0, stages, classes: 1000 }
    }

    /// Returns the number of channels that is `channels` times the width, rounded to a multiple of
    /// 8 that is not less than 90 % of it.
    fn channels(&self, channels: usize) -> usize {
        let exact = channels as f64 * self.width;
        let rounded = (((exact + 4.0) / 8.0).floor() * 8.0).max(8.0);
        let enough = if rounded < 0.9 * exact { rounded + 8.0 } else { rounded };
        enough as usize
    }
}

impl Default for MobileNetV2Config {
    fn default() -> MobileNetV2Config {
        MobileNetV2Config::new()
    }
}

/// Returns the logits `[batch, classes]` of images `[batch, channels, height, width]`. Sandler et
/// al., MobileNetV2 (<https://arxiv.org/abs/1801.04381>). Checkpoints of `torchvision` are loaded
/// with [`Renames::torch`](crate::Renames::torch).
///
/// ```
/// use neurax::prelude::*;
/// use nn::models::{MobileNetV2Config, mobilenet_v2};
/// let image = nn::input("image", dims![_, 3, 64, 64]);
/// let model = mobilenet_v2(image, &MobileNetV2Config::new()).model();
/// let summary = model.summary();
/// assert!(summary.contains(" 3,504,872 "), "{summary}");
/// ```
#[track_caller]
pub fn mobilenet_v2(image: impl Borrow<Node>, config: &MobileNetV2Config) -> Node {
    let mut channels = config.channels(32);
    let stem = Conv::new(channels, 3).strides(2).padding(1);
    let mut x = conv_norm(image.borrow(), stem, ["features.0.0", "features.0.1"]).relu6();
    let mut index = 1;
    for &[expansion, wanted, count, stride] in &config.stages {
        let filters = config.channels(wanted);
        for i in 0..count {
            let stride = if i == 0 { stride } else { 1 };
            let part = InvertedResidual { channels, expansion, filters, stride };
            x = part.of(&format!("features.{index}.conv"), &x);
            (channels, index) = (filters, index + 1);
        }
    }
    let names = [0, 1].map(|i| format!("features.{index}.{i}"));
    let last = Conv::new(config.channels(1280).max(1280), 1);
    let x = conv_norm(&x, last, [&names[0], &names[1]]).relu6();
    x.global_avg_pool().dropout(0.2).dense(config.classes).named("classifier.1")
}

/// A block that widens its channels, filters each of them, and narrows them.
struct InvertedResidual {
    channels: usize,
    expansion: usize,
    filters: usize,
    stride: usize,
}

impl InvertedResidual {
    /// Applies the block, with a skip connection if the shape stays.
    #[track_caller]
    fn of(&self, path: &str, x: &Node) -> Node {
        let inner = self.channels.saturating_mul(self.expansion);
        let is_residual = self.stride == 1 && self.channels == self.filters;
        let layers = |x: Node| {
            let is_wider = self.expansion != 1;
            let wide = match is_wider {
                true => conv_norm(&x, Conv::new(inner, 1), ["0.0", "0.1"]).relu6(),
                false => x,
            };
            let i = usize::from(is_wider);
            let each = Conv::new(inner, 3).strides(self.stride).padding(1).groups(inner);
            let y = conv_norm(&wide, each, [&format!("{i}.0"), &format!("{i}.1")]).relu6();
            let narrow = Conv::new(self.filters, 1);
            conv_norm(&y, narrow, [&format!("{}", i + 1), &format!("{}", i + 2)])
        };
        let y = block(path, layers).call(x);
        if is_residual { y + x } else { y }
    }
}
