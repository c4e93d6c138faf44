//! Whisper: the encoder of speech.

use crate::layers::{
    Activation, Conv, FeedForward, MultiHeadAttention, PositionEmbedding, TransformerLayer,
};
use crate::{Node, Renames};
use std::borrow::Borrow;

/// The options of [`whisper_encoder`].
#[derive(Clone, Debug)]
pub struct WhisperConfig {
    /// The largest number of positions, each of which is two frames.
    pub context: usize,
    /// The number of features.
    pub features: usize,
    /// The number of blocks.
    pub layers: usize,
    /// The number of heads of the attention.
    pub heads: usize,
    /// The number of hidden units of the feed-forward layers.
    pub units: usize,
}

impl WhisperConfig {
    /// Returns the options of Whisper tiny: 30 seconds of speech.
    pub fn tiny() -> WhisperConfig {
        WhisperConfig { context: 1500, features: 384, layers: 4, heads: 6, units: 1536 }
    }
}

/// Returns the features `[batch, positions, features]` of log-mel spectra `[batch, bands, frames]`,
/// at most two frames for each position of the context. Radford et al., Robust Speech Recognition
/// via Large-Scale Weak Supervision (<https://arxiv.org/abs/2212.04356>). For checkpoints of
/// `transformers`, see [`whisper_renames`].
///
/// ```
/// use neurax::prelude::*;
/// use nn::models::{WhisperConfig, whisper_encoder};
/// let config = WhisperConfig { context: 20, layers: 1, ..WhisperConfig::tiny() };
/// let model = whisper_encoder(nn::input("spectrum", dims![_, 80, 40]), &config).model();
/// let vars = model.init(key(0), &types![f32[_, 80, 40]])?;
/// assert_eq!(vars.get("embed_positions.table")?.shape(), [20, 384]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn whisper_encoder(spectrum: impl Borrow<Node>, config: &WhisperConfig) -> Node {
    let WhisperConfig { features, heads, .. } = *config;
    let conv = Conv::new(features, 3).padding(1);
    let x = spectrum.borrow().layer(conv.clone()).named("conv1").gelu();
    let x = x.layer(conv.strides(2)).named("conv2").gelu().permute([2, 1]);
    let mut x = x.layer(PositionEmbedding::new(config.context)).named("embed_positions");
    let attention = MultiHeadAttention::new(heads, features / heads.max(1));
    let feed_forward = FeedForward::new(config.units).activation(Activation::gelu());
    let block = TransformerLayer::new(attention, feed_forward);
    for i in 0..config.layers {
        x = block.call([x]).named(&format!("layers.{i}"));
    }
    x.layer_norm().named("layer_norm")
}

/// Returns the rules for the encoder in checkpoints of `transformers.WhisperModel` and
/// `WhisperForConditionalGeneration`; the decoder is left out.
///
/// These have no biases of keys, which have no influence on attention:
/// [`Model::init_missing`](crate::Model::init_missing) creates them as zeros.
pub fn whisper_renames() -> Renames {
    Renames::torch()
        .without_prefix("model.")
        .without_prefix("encoder.")
        .ignore("decoder.**")
        .ignore("proj_out.weight")
        .allow_missing("**.attention.key_bias")
        .linear("**.self_attn.q_proj", "{1}.attention.query")
        .linear("**.self_attn.k_proj", "{1}.attention.key")
        .linear("**.self_attn.v_proj", "{1}.attention.value")
        .linear("**.self_attn.out_proj", "{1}.attention.output")
        .linear("**.fc1", "{1}.feed_forward.hidden")
        .linear("**.fc2", "{1}.feed_forward.output")
        .rename("**.self_attn_layer_norm.*", "{1}.attention_norm.{2}")
        .rename("**.final_layer_norm.*", "{1}.feed_forward_norm.{2}")
}
