//! BERT: an encoder of text.

use super::parts::FirstToken;
use crate::layers::{
    Activation, FeedForward, LayerNorm, MultiHeadAttention, PositionEmbedding, TransformerLayer,
};
use crate::{Node, Renames};
use std::borrow::Borrow;

/// The options of [`bert`].
#[derive(Clone, Debug)]
pub struct BertConfig {
    /// The number of tokens of the vocabulary.
    pub vocabulary: usize,
    /// The largest number of tokens of a text.
    pub context: usize,
    /// The number of kinds of segments.
    pub segments: usize,
    /// The number of features.
    pub features: usize,
    /// The number of blocks.
    pub layers: usize,
    /// The number of heads of the attention.
    pub heads: usize,
    /// The number of hidden units of the feed-forward layers.
    pub units: usize,
}

impl BertConfig {
    /// Returns the options of BERT-Base, with the vocabulary of the uncased English one.
    pub fn base() -> BertConfig {
        let (vocabulary, context, segments) = (30_522, 512, 2);
        let (features, layers, heads, units) = (768, 12, 12, 3072);
        BertConfig { vocabulary, context, segments, features, layers, heads, units }
    }

    /// Returns the options of BERT-Mini. Turc et al., Well-Read Students Learn Better
    /// (<https://arxiv.org/abs/1908.08962>).
    pub fn mini() -> BertConfig {
        BertConfig { features: 256, layers: 4, heads: 4, units: 1024, ..BertConfig::base() }
    }
}

/// Returns the features `[batch, length, features]` of all tokens, and those of the text,
/// `[batch, features]`: the pooled first token. Devlin et al., BERT
/// (<https://arxiv.org/abs/1810.04805>).
///
/// The inputs are the tokens `[batch, length]`, their segments of the same shape, and a mask of
/// bools, true at the tokens that are not padding. For checkpoints of `transformers`, see
/// [`bert_renames`].
///
/// ```
/// use neurax::prelude::*;
/// use nn::models::{BertConfig, bert};
/// let tokens = nn::typed_input("tokens", I32, dims!["batch", "length"]);
/// let segments = nn::typed_input("segments", I32, dims!["batch", "length"]);
/// let config = BertConfig { vocabulary: 100, layers: 1, ..BertConfig::mini() };
/// let mask = nn::mask_of(&tokens, 0);
/// let (_, text) = bert([&tokens, &segments, &mask], &config);
/// let model = text.dense(2).model();
/// let vars = model.init(key(0), &types![i32[_, _], i32[_, _]])?;
/// assert_eq!(vars.get("pooler.dense.kernel")?.shape(), [256, 256]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn bert([tokens, segments, mask]: [impl Borrow<Node>; 3], config: &BertConfig) -> (Node, Node) {
    let BertConfig { vocabulary, features, heads, .. } = *config;
    let embeddings = |name: &str| format!("embeddings.{name}");
    let words = tokens.borrow().embedding(vocabulary, features);
    let kinds = segments.borrow().embedding(config.segments, features);
    let x = words.named(&embeddings("word_embeddings"))
        + kinds.named(&embeddings("token_type_embeddings"));
    let positions = PositionEmbedding::new(config.context);
    let x = x.layer(positions).named(&embeddings("position_embeddings"));
    let norm = LayerNorm::new().epsilon(1e-12);
    let mut x = x.layer(norm).named(&embeddings("LayerNorm")).dropout(0.1);
    let attention = MultiHeadAttention::new(heads, features / heads.max(1)).dropout(0.1).masked();
    let feed_forward = FeedForward::new(config.units).activation(Activation::gelu());
    let block = TransformerLayer::new(attention, feed_forward);
    let block = block.post_norm().epsilon(1e-12).dropout(0.1);
    for i in 0..config.layers {
        x = block.call([&x, mask.borrow()]).named(&format!("encoder.layer.{i}"));
    }
    let text = x.layer(FirstToken).dense(features).named("pooler.dense").tanh();
    (x, text)
}

/// Returns the rules for the checkpoints of `transformers.BertModel`, and of models that contain
/// one as `bert`; ignore or rename the variables of their heads.
pub fn bert_renames() -> Renames {
    Renames::torch()
        .without_prefix("bert.")
        .ignore("embeddings.position_ids")
        .linear("**.attention.self.*", "{1}.attention.{2}")
        .linear("**.attention.output.dense", "{1}.attention.output")
        .rename("**.attention.output.LayerNorm.*", "{1}.attention_norm.{2}")
        .linear("**.intermediate.dense", "{1}.feed_forward.hidden")
        .linear("**.output.dense", "{1}.feed_forward.output")
        .rename("**.output.LayerNorm.*", "{1}.feed_forward_norm.{2}")
}
