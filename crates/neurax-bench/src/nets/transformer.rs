//! A small language model: a transformer with causal attention (Vaswani et al., 2017,
//! <https://arxiv.org/abs/1706.03762>) and layer normalization before each sublayer.

use super::{DenseParams, Network};
use crate::data;
use neurax::prelude::*;

/// The hyperparameters of a transformer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransformerSize {
    /// The number of blocks.
    pub layers: usize,
    /// The features of each token.
    pub width: usize,
    /// The attention heads of each block.
    pub heads: usize,
    /// The sequence length.
    pub tokens: usize,
    /// The number of distinct tokens.
    pub vocabulary: usize,
}

impl TransformerSize {
    /// The size that the tasks measure.
    pub const MEASURED: TransformerSize =
        TransformerSize { layers: 4, width: 256, heads: 4, tokens: 128, vocabulary: 1000 };
}

/// The parameters of the model.
#[derive(Tree, Clone, Debug)]
pub struct Transformer {
    /// The token embeddings, `f32[vocabulary, width]`.
    pub tokens: Tensor,
    /// The position embeddings, `f32[tokens, width]`.
    pub positions: Tensor,
    /// The blocks, in order.
    pub blocks: Vec<TransformerBlock>,
    /// The normalization before the logits.
    pub norm: LayerNormParams,
    /// The projection from the width to the vocabulary.
    pub out: DenseParams,
    #[tree(static)]
    size: TransformerSize,
}

/// Self-attention, then an MLP on each token, both with a residual connection.
#[derive(Tree, Clone, Debug)]
pub struct TransformerBlock {
    /// The normalization before the attention.
    pub attention_norm: LayerNormParams,
    /// The projection to queries, keys and values.
    pub qkv: DenseParams,
    /// The output projection of the attention.
    pub attention_out: DenseParams,
    /// The normalization before the MLP.
    pub mlp_norm: LayerNormParams,
    /// The MLP's layer from the width to four times the width.
    pub mlp_up: DenseParams,
    /// The MLP's layer back to the width.
    pub mlp_down: DenseParams,
}

/// The parameters of a layer normalization.
#[derive(Tree, Clone, Debug)]
pub struct LayerNormParams {
    /// `f32[width]`.
    pub scale: Tensor,
    /// `f32[width]`.
    pub bias: Tensor,
}

impl LayerNormParams {
    fn init(seed: u64, width: usize) -> LayerNormParams {
        LayerNormParams {
            scale: data::uniform(seed, [width]),
            bias: data::around_zero(seed + 1, [width], 0.1),
        }
    }

    fn apply(&self, x: &Tensor) -> Tensor {
        nn::layers::layer_norm(x, &self.scale, &self.bias, 1e-5)
    }
}

impl TransformerBlock {
    fn init(seed: u64, width: usize) -> TransformerBlock {
        TransformerBlock {
            attention_norm: LayerNormParams::init(seed, width),
            qkv: DenseParams::init(seed + 10, width, 3 * width),
            attention_out: DenseParams::init(seed + 20, width, width),
            mlp_norm: LayerNormParams::init(seed + 30, width),
            mlp_up: DenseParams::init(seed + 40, width, 4 * width),
            mlp_down: DenseParams::init(seed + 50, 4 * width, width),
        }
    }

    fn apply(&self, x: &Tensor, heads: usize) -> Tensor {
        let x = x + self
            .attention_out
            .apply(&attention(&self.qkv.apply(&self.attention_norm.apply(x)), heads));
        &x + self.mlp_down.apply(&self.mlp_up.apply(&self.mlp_norm.apply(&x)).gelu(true))
    }
}

/// Computes causal multi-head attention. `qkv` has shape `[n, tokens, 3 width]` and holds queries,
/// keys and values; the result has shape `[n, tokens, width]`.
fn attention(qkv: &Tensor, heads: usize) -> Tensor {
    let [n, tokens, width] = [qkv.dim(0), qkv.dim(1), qkv.dim(2) / 3];
    let head_width = width / heads;
    let qkv = qkv.reshape([n, tokens, 3, heads, head_width]).permute([2, 0, 3, 1, 4]);
    let [q, k, v] = [0, 1, 2].map(|i| qkv.get(i));
    let scores = q.matmul(k.t()) / (head_width as f64).sqrt();
    let masked = Tensor::tri(tokens, tokens, 0).gt(0.5).select(scores, -1e9);
    masked.softmax(-1).matmul(v).permute([0, 2, 1, 3]).reshape([n, tokens, width])
}

impl Transformer {
    /// Creates a model of `size` with its initial weights.
    pub fn sized(size: TransformerSize) -> Transformer {
        let TransformerSize { layers, width, tokens, vocabulary, .. } = size;
        Transformer {
            tokens: data::around_zero(10, [vocabulary, width], 1.0),
            positions: data::around_zero(20, [tokens, width], 0.1),
            blocks: (1..=layers as u64).map(|i| TransformerBlock::init(100 * i, width)).collect(),
            norm: LayerNormParams::init(30, width),
            out: DenseParams::init(40, width, vocabulary),
            size,
        }
    }
}

impl Network for Transformer {
    const NAME: &'static str = "transformer";

    fn init() -> Transformer {
        Transformer::sized(TransformerSize::MEASURED)
    }

    fn examples(n: usize) -> (Tensor, Tensor) {
        let TransformerSize { tokens, vocabulary, .. } = TransformerSize::MEASURED;
        [1, 2].map(|seed| data::classes(seed, [n, tokens], vocabulary as u64)).into()
    }

    fn logits(&self, x: &Tensor) -> Tensor {
        let x = self.tokens.take(x, 0) + &self.positions;
        let x = self.blocks.iter().fold(x, |x, block| block.apply(&x, self.size.heads));
        self.out.apply(&self.norm.apply(&x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Training, training_step};

    const TINY: TransformerSize =
        TransformerSize { layers: 2, width: 8, heads: 2, tokens: 5, vocabulary: 7 };

    #[test]
    fn a_token_attends_only_to_earlier_tokens() {
        let net = Transformer::sized(TINY);
        let logits = |x: Tensor| net.logits(&x);
        let (a, b) = (logits(tensor([[1, 2, 3, 4, 5]])), logits(tensor([[1, 2, 3, 6, 0]])));
        assert_eq!(a.shape(), [1, 5, 7]);
        assert_eq!(
            a.slice(1, ..3).to_vec::<f32>().unwrap(),
            b.slice(1, ..3).to_vec::<f32>().unwrap()
        );
        assert_ne!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
    }

    #[test]
    fn training_overfits_one_example() {
        let step = training_step::<Transformer>();
        let (x, y) = (tensor([[1, 2, 3, 4, 5]]), tensor([[2, 3, 4, 5, 6]]));
        let (mut t, mut losses) = (Training::new(Transformer::sized(TINY)), vec![]);
        for _ in 0..60 {
            let (next, loss) = step.run((t, x.clone(), y.clone())).unwrap();
            t = next;
            losses.push(loss.item().unwrap());
        }
        assert!(losses[59] < 0.8 * losses[0], "{losses:?}");
    }
}
