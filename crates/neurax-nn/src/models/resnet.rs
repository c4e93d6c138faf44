//! Residual networks of two convolutions in a block.

use super::parts::{conv_norm, conv3};
use crate::layers::{Conv, MaxPool};
use crate::{Node, block};
use std::borrow::Borrow;

/// The options of [`resnet`].
#[derive(Clone, Debug)]
pub struct ResNetConfig {
    /// The number of blocks of each stage. Every stage but the first halves the image and doubles
    /// the channels.
    pub blocks: Vec<usize>,
    /// The number of channels of the first stage.
    pub width: usize,
    /// The number of classes.
    pub classes: usize,
    /// True for images of about 32 pixels, as in CIFAR: the first convolution has windows of 3 by
    /// 3, and neither it nor a pooling behind it makes the image smaller.
    pub small_images: bool,
}

impl ResNetConfig {
    /// Returns the options of ResNet-18 for the 1000 classes of ImageNet.
    pub fn resnet18() -> ResNetConfig {
        ResNetConfig { blocks: vec![2; 4], width: 64, classes: 1000, small_images: false }
    }

    /// Returns the options of ResNet-34 for the 1000 classes of ImageNet.
    pub fn resnet34() -> ResNetConfig {
        ResNetConfig { blocks: vec![3, 4, 6, 3], ..ResNetConfig::resnet18() }
    }
}

/// Returns the logits `[batch, classes]` of images `[batch, channels, height, width]`. He et al.,
/// Deep Residual Learning for Image Recognition (<https://arxiv.org/abs/1512.03385>). Checkpoints
/// of `torchvision` are loaded with [`Renames::torch`](crate::Renames::torch).
///
/// ```
/// use neurax::prelude::*;
/// use nn::models::{ResNetConfig, resnet};
/// let model = resnet(nn::input("image", dims![_, 3, 64, 64]), &ResNetConfig::resnet18()).model();
/// let summary = model.summary();
/// assert!(summary.contains(" 11,689,512 "), "{summary}");
/// ```
#[track_caller]
pub fn resnet(image: impl Borrow<Node>, config: &ResNetConfig) -> Node {
    let stem = match config.small_images {
        true => conv3(config.width),
        false => Conv::new(config.width, 7).strides(2).padding(3),
    };
    let mut x = conv_norm(image.borrow(), stem, ["conv1", "bn1"]).relu();
    if !config.small_images {
        x = x.layer(MaxPool::new(3).strides(2).padding(1));
    }
    let mut width = config.width;
    for (stage, &count) in config.blocks.iter().enumerate() {
        for i in 0..count {
            let is_smaller = stage > 0 && i == 0;
            x = basic_block(&format!("layer{}.{i}", stage + 1), &x, width, is_smaller);
        }
        width = width.saturating_mul(2);
    }
    x.global_avg_pool().dense(config.classes).named("fc")
}

/// Applies two convolutions with a skip connection. If `is_smaller`, the first one halves the
/// image, and the connection is a convolution.
#[track_caller]
fn basic_block(path: &str, x: &Node, width: usize, is_smaller: bool) -> Node {
    let stride = if is_smaller { 2 } else { 1 };
    let layers = |x: Node| {
        let y = conv_norm(&x, conv3(width).strides(stride), ["conv1", "bn1"]).relu();
        let y = conv_norm(&y, conv3(width), ["conv2", "bn2"]);
        let names = ["downsample.0", "downsample.1"];
        let skip = match is_smaller {
            true => conv_norm(&x, Conv::new(width, 1).strides(stride), names),
            false => x,
        };
        (y + skip).relu()
    };
    block(path, layers).call(x)
}
