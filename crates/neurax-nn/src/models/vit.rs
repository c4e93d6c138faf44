//! Vision transformers.

use super::parts::{ClassToken, FirstToken};
use crate::layers::{
    Activation, Conv, FeedForward, LayerNorm, MultiHeadAttention, PositionEmbedding,
    TransformerLayer,
};
use crate::{Node, Renames};
use neurax_tensor::{Tensor, dims};
use std::borrow::Borrow;

/// The options of [`vit`].
#[derive(Clone, Debug)]
pub struct VitConfig {
    /// The height and width of an image in pixels.
    pub image: usize,
    /// The height and width of a patch in pixels.
    pub patch: usize,
    /// The number of features.
    pub features: usize,
    /// The number of blocks.
    pub layers: usize,
    /// The number of heads of the attention.
    pub heads: usize,
    /// The number of hidden units of the feed-forward layers.
    pub units: usize,
    /// The number of classes.
    pub classes: usize,
}

impl VitConfig {
    /// Returns the options of ViT-B/16 for the 1000 classes of ImageNet.
    pub fn base16() -> VitConfig {
        let (image, patch, features, layers) = (224, 16, 768, 12);
        VitConfig { image, patch, features, layers, heads: 12, units: 3072, classes: 1000 }
    }

    /// Returns the options of ViT-Ti/16 for the 1000 classes of ImageNet. Touvron et al., Training
    /// Data-Efficient Image Transformers (<https://arxiv.org/abs/2012.12877>).
    pub fn tiny16() -> VitConfig {
        VitConfig { features: 192, heads: 3, units: 768, ..VitConfig::base16() }
    }
}

/// Returns the logits `[batch, classes]` of images `[batch, channels, image, image]`. Dosovitskiy
/// et al., An Image is Worth 16x16 Words (<https://arxiv.org/abs/2010.11929>). For checkpoints of
/// `torchvision`, see [`vit_renames`].
///
/// ```
/// use neurax::prelude::*;
/// use nn::models::{VitConfig, vit};
/// let config = VitConfig { layers: 2, classes: 10, ..VitConfig::tiny16() };
/// let model = vit(nn::input("image", dims![_, 3, 224, 224]), &config).model();
/// let vars = model.init(key(0), &types![f32[_, 3, 224, 224]])?;
/// assert_eq!(vars.get("encoder.pos_embedding.table")?.shape(), [14 * 14 + 1, 192]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn vit(image: impl Borrow<Node>, config: &VitConfig) -> Node {
    let VitConfig { image: size, patch, features, heads, .. } = *config;
    let patches = Conv::new(features, patch).strides(patch);
    let patches = image.borrow().layer(patches).named("conv_proj");
    let tokens = patches.reshape(dims![features, _]).permute([2, 1]);
    // empty: the convolution reports a patch of 0.
    let length = size.checked_div(patch).unwrap_or(0).saturating_pow(2).saturating_add(1);
    let x = tokens.layer(ClassToken).named("class_token");
    let mut x = x.layer(PositionEmbedding::new(length)).named("encoder.pos_embedding");
    let attention = MultiHeadAttention::new(heads, features / heads.max(1));
    let feed_forward = FeedForward::new(config.units).activation(Activation::gelu());
    let block = TransformerLayer::new(attention, feed_forward).epsilon(1e-6);
    for i in 0..config.layers {
        x = block.call([x]).named(&format!("encoder.layers.encoder_layer_{i}"));
    }
    let x = x.layer(LayerNorm::new().epsilon(1e-6)).named("encoder.ln");
    x.layer(FirstToken).dense(config.classes).named("heads.head")
}

/// Returns the rules for the checkpoints of `torchvision.models.VisionTransformer`.
pub fn vit_renames() -> Renames {
    let fused = ["query", "key", "value"];
    let kernels = fused.map(|part| format!("{{1}}.attention.{part}_kernel"));
    let biases = fused.map(|part| format!("{{1}}.attention.{part}_bias"));
    Renames::torch()
        .map("class_token", "class_token.token", Tensor::flatten)
        .map("encoder.pos_embedding", "encoder.pos_embedding.table", |t| t.get(0))
        .rename("**.ln_1.*", "{1}.attention_norm.{2}")
        .rename("**.ln_2.*", "{1}.feed_forward_norm.{2}")
        .split("**.self_attention.in_proj_weight", &kernels, 0, |t| t.swap_axes(0, 1))
        .split("**.self_attention.in_proj_bias", &biases, 0, Tensor::clone)
        .linear("**.self_attention.out_proj", "{1}.attention.output")
        .linear("**.mlp.0", "{1}.feed_forward.hidden")
        .linear("**.mlp.3", "{1}.feed_forward.output")
}
