//! Llama: a decoder of text with rotary positions, grouped queries and gated units.

use crate::layers::{
    Dense, FeedForward, MultiHeadAttention, RmsNorm, Rope, RopeScaling, TransformerLayer,
};
use crate::{Node, Renames};
use std::borrow::Borrow;

/// The options of [`llama`].
#[derive(Clone, Debug)]
pub struct LlamaConfig {
    /// The number of tokens of the vocabulary.
    pub vocabulary: usize,
    /// The number of features.
    pub features: usize,
    /// The number of blocks.
    pub layers: usize,
    /// The number of heads of the attention.
    pub heads: usize,
    /// The number of heads of keys and values.
    pub kv_heads: usize,
    /// The number of hidden units of the feed-forward layers.
    pub units: usize,
    /// The base of the rotary positions.
    pub rope_base: f64,
    /// The rule of the rotary positions for long contexts.
    pub rope_scaling: RopeScaling,
    /// The epsilon of the normalization.
    pub epsilon: f64,
    /// The number of positions whose keys and values the state keeps, for generation: see
    /// [`MultiHeadAttention::cache`].
    pub cache: Option<usize>,
}

impl LlamaConfig {
    /// Returns the options of Llama 3 8B, without a cache.
    pub fn llama3_8b() -> LlamaConfig {
        LlamaConfig {
            vocabulary: 128_256,
            features: 4096,
            layers: 32,
            heads: 32,
            kv_heads: 8,
            units: 14_336,
            rope_base: 500_000.0,
            rope_scaling: RopeScaling::None,
            epsilon: 1e-5,
            cache: None,
        }
    }
}

/// Returns the logits `[batch, length, vocabulary]` of the next tokens, for tokens
/// `[batch, length]`. Touvron et al., LLaMA (<https://arxiv.org/abs/2302.13971>). For checkpoints
/// of `transformers`, see [`llama_renames`].
///
/// ```
/// use neurax::prelude::*;
/// use nn::models::{LlamaConfig, llama};
/// let small = LlamaConfig { vocabulary: 50, features: 16, layers: 2, ..LlamaConfig::llama3_8b() };
/// let config = LlamaConfig { heads: 4, kv_heads: 2, units: 24, ..small };
/// let model = llama(nn::typed_input("tokens", I32, dims![_, _]), &config).model();
/// let vars = model.init(key(0), &types![i32[_, _]])?;
/// assert_eq!(vars.get("layers.1.attention.key_kernel")?.shape(), [16, 2 * 4]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn llama(tokens: impl Borrow<Node>, config: &LlamaConfig) -> Node {
    let LlamaConfig { vocabulary, features, heads, epsilon, .. } = *config;
    let rope = Rope::new().base(config.rope_base).scaling(config.rope_scaling.clone());
    let attention = MultiHeadAttention::new(heads, features / heads.max(1));
    let attention = attention.kv_heads(config.kv_heads).bias(false).rope(rope);
    let attention = match config.cache {
        Some(length) => attention.cache(length),
        None => attention.causal(),
    };
    let block = TransformerLayer::new(attention, FeedForward::swiglu(config.units));
    let block = block.rms_norm().epsilon(epsilon);
    let mut x = tokens.borrow().embedding(vocabulary, features).named("embed_tokens");
    for i in 0..config.layers {
        x = block.call([x]).named(&format!("layers.{i}"));
    }
    let x = x.layer(RmsNorm::new().epsilon(epsilon)).named("norm");
    x.layer(Dense::new(vocabulary).bias(false)).named("lm_head")
}

/// Returns the rules for the checkpoints of `transformers.LlamaForCausalLM`.
pub fn llama_renames() -> Renames {
    Renames::torch()
        .without_prefix("model.")
        .ignore("**.rotary_emb.inv_freq")
        .linear("**.self_attn.q_proj", "{1}.attention.query")
        .linear("**.self_attn.k_proj", "{1}.attention.key")
        .linear("**.self_attn.v_proj", "{1}.attention.value")
        .linear("**.self_attn.o_proj", "{1}.attention.output")
        .linear("**.mlp.gate_proj", "{1}.feed_forward.gate")
        .linear("**.mlp.up_proj", "{1}.feed_forward.hidden")
        .linear("**.mlp.down_proj", "{1}.feed_forward.output")
        .rename("**.input_layernorm.*", "{1}.attention_norm.{2}")
        .rename("**.post_attention_layernorm.*", "{1}.feed_forward_norm.{2}")
}
