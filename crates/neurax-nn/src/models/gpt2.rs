//! GPT-2: a decoder of text.

use crate::layers::{
    Activation, Embedding, FeedForward, MultiHeadAttention, PositionEmbedding, TransformerLayer,
};
use crate::{Node, Renames, shared};
use neurax_tensor::Tensor;
use std::borrow::Borrow;

/// The options of [`gpt2`].
#[derive(Clone, Debug)]
pub struct Gpt2Config {
    /// The number of tokens of the vocabulary.
    pub vocabulary: usize,
    /// The largest number of tokens of a text.
    pub context: usize,
    /// The number of features.
    pub features: usize,
    /// The number of blocks.
    pub layers: usize,
    /// The number of heads of the attention.
    pub heads: usize,
    /// The fraction of the features that are dropped in training.
    pub dropout: f64,
    /// True if the state keeps the keys and values of earlier calls, for generation: see
    /// [`MultiHeadAttention::cache`].
    pub cached: bool,
}

impl Gpt2Config {
    /// Returns the options of the smallest GPT-2, without a cache.
    pub fn small() -> Gpt2Config {
        let (vocabulary, context, features) = (50_257, 1024, 768);
        let (layers, heads, dropout) = (12, 12, 0.1);
        Gpt2Config { vocabulary, context, features, layers, heads, dropout, cached: false }
    }
}

/// Returns the logits `[batch, length, vocabulary]` of the next tokens, for tokens
/// `[batch, length]`. Radford et al., Language Models are Unsupervised Multitask Learners, 2019.
/// For checkpoints of `transformers`, see [`gpt2_renames`].
///
/// ```
/// use neurax::prelude::*;
/// use nn::models::{Gpt2Config, gpt2};
/// let small = Gpt2Config { vocabulary: 50, context: 8, ..Gpt2Config::small() };
/// let config = Gpt2Config { features: 16, layers: 2, heads: 2, ..small };
/// let model = gpt2(nn::typed_input("tokens", I32, dims![_, _]), &config).model();
/// let vars = model.init(key(0), &types![i32[_, _]])?;
/// let logits = model.apply(&vars, tensor([[1, 2, 3]]), &Mode::Eval);
/// assert_eq!(logits.y().shape(), [1, 3, 50]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn gpt2(tokens: impl Borrow<Node>, config: &Gpt2Config) -> Node {
    let Gpt2Config { vocabulary, context, features, heads, dropout, .. } = *config;
    let words = shared(Embedding::new(vocabulary, features)).named("wte");
    let attention = MultiHeadAttention::new(heads, features / heads.max(1)).dropout(dropout);
    let positions = PositionEmbedding::new(context);
    let (attention, positions) = match config.cached {
        true => (attention.cache(context), positions.counted()),
        false => (attention.causal(), positions),
    };
    let units = features.saturating_mul(4);
    let feed_forward = FeedForward::new(units).activation(Activation::gelu_tanh());
    let block = TransformerLayer::new(attention, feed_forward).dropout(dropout);
    let mut x = words.call(tokens.borrow()).layer(positions).named("wpe").dropout(dropout);
    for i in 0..config.layers {
        x = block.call([x]).named(&format!("h.{i}"));
    }
    words.attend(x.layer_norm().named("ln_f"))
}

/// Returns the rules for the checkpoints of `transformers.GPT2Model` and `GPT2LMHeadModel`, whose
/// kernels are not transposed.
pub fn gpt2_renames() -> Renames {
    let fused = ["query", "key", "value"];
    let kernels = fused.map(|part| format!("{{1}}.attention.{part}_kernel"));
    let biases = fused.map(|part| format!("{{1}}.attention.{part}_bias"));
    Renames::torch()
        .without_prefix("transformer.")
        // The tied output layer, and constants of old files.
        .ignore("lm_head.weight")
        .ignore("h.*.attn.bias")
        .ignore("h.*.attn.masked_bias")
        .rename("**.ln_1.*", "{1}.attention_norm.{2}")
        .rename("**.ln_2.*", "{1}.feed_forward_norm.{2}")
        .split("**.attn.c_attn.weight", &kernels, -1, Tensor::clone)
        .split("**.attn.c_attn.bias", &biases, -1, Tensor::clone)
        .rename("**.attn.c_proj.weight", "{1}.attention.output_kernel")
        .rename("**.attn.c_proj.bias", "{1}.attention.output_bias")
        .rename("**.mlp.c_fc.weight", "{1}.feed_forward.hidden_kernel")
        .rename("**.mlp.c_fc.bias", "{1}.feed_forward.hidden_bias")
        .rename("**.mlp.c_proj.weight", "{1}.feed_forward.output_kernel")
        .rename("**.mlp.c_proj.bias", "{1}.feed_forward.output_bias")
}
