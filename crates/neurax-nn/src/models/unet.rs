//! U-Net: a convolutional encoder and decoder with skip connections, for masks of images.

use super::parts::{conv_norm, conv3};
use crate::layers::{ConvTranspose, MaxPool};
use crate::{Block, Node, block, concat};
use std::borrow::Borrow;

/// The options of [`unet`].
#[derive(Clone, Debug)]
pub struct UNetConfig {
    /// The numbers of channels, from the full image to the smallest one; each halves the image.
    pub widths: Vec<usize>,
    /// The number of classes.
    pub classes: usize,
}

impl UNetConfig {
    /// Returns the options of the paper, with two classes.
    pub fn new() -> UNetConfig {
        UNetConfig { widths: vec![64, 128, 256, 512, 1024], classes: 2 }
    }
}

impl Default for UNetConfig {
    fn default() -> UNetConfig {
        UNetConfig::new()
    }
}

/// Returns the logits `[batch, classes, height, width]` of the pixels of images
/// `[batch, channels, height, width]`, whose sizes are multiples of 2 to the number of widths less
/// one. Ronneberger et al., U-Net (<https://arxiv.org/abs/1505.04597>), with padded convolutions
/// and batch normalization, as is usual today.
///
/// ```
/// use neurax::prelude::*;
/// use nn::models::{UNetConfig, unet};
/// let config = UNetConfig { widths: vec![4, 8, 16], classes: 3 };
/// let model = unet(nn::input("image", dims![_, 1, 16, 24]), &config).model();
/// let vars = model.init(key(0), &types![f32[_, 1, 16, 24]])?;
/// let y = model.apply(&vars, Tensor::ones([2, 1, 16, 24]), &Mode::Eval);
/// assert_eq!(y.y().shape(), [2, 3, 16, 24]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn unet(image: impl Borrow<Node>, config: &UNetConfig) -> Node {
    let mut x = image.borrow().clone();
    let mut skips = Vec::new();
    for (i, &width) in config.widths.iter().enumerate() {
        let input = if i == 0 { x } else { x.layer(MaxPool::new(2)) };
        x = block(&format!("down.{i}"), |x| two_convolutions(&x, width)).call(input);
        skips.push((i, width, x.clone()));
    }
    for (i, width, skip) in skips.into_iter().rev().skip(1) {
        let up = Block::new(&format!("up.{i}"), |[x, skip]: [Node; 2]| {
            let x = x.layer(ConvTranspose::new(width, 2).strides(2)).named("up");
            two_convolutions(&concat([skip, x], 1), width)
        });
        x = up.call([x, skip]);
    }
    x.conv(config.classes, 1).named("head")
}

/// Applies two convolutions with normalization and rectifiers.
#[track_caller]
fn two_convolutions(x: &Node, width: usize) -> Node {
    let x = conv_norm(x, conv3(width), ["conv1", "bn1"]).relu();
    conv_norm(&x, conv3(width), ["conv2", "bn2"]).relu()
}
