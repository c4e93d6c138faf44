//! Transformer blocks: attention and a feed-forward layer with normalization and skip connections.

use super::FeedForward;
use crate::block::call_block;
use crate::layer::Closure;
use crate::layers::{Dropout, LayerNorm, MultiHeadAttention, RmsNorm};
use crate::{Cx, Node};
use neurax_tensor::{Error, Tensor};
use std::borrow::Borrow;

/// A block of a transformer: self-attention, attention to a memory if the block is that of a
/// decoder, and a feed-forward layer, each with normalization, dropout and a skip connection.
///
/// Normalized first, the default, a part `f` computes `x + dropout(f(norm(x)))`, as in GPT-2 and
/// Llama; with [`TransformerLayer::post_norm`], `norm(x + dropout(f(x)))`, as in the paper. Xiong
/// et al., On Layer Normalization in the Transformer Architecture
/// (<https://arxiv.org/abs/2002.04745>).
///
/// Every [`TransformerLayer::call`] creates a block with separate variables, at the paths
/// `transformer.attention`, `.cross_attention`, `.feed_forward`, and `.attention_norm` and so on.
///
/// ```
/// use neurax::prelude::*;
/// let attention = nn::MultiHeadAttention::new(2, 4).causal().bias(false);
/// let block = nn::TransformerLayer::new(attention, nn::FeedForward::swiglu(16)).rms_norm();
/// let mut x = nn::input("tokens", dims![_, 5]).embedding(10, 8);
/// for _ in 0..2 {
///     x = block.call([&x]);
/// }
/// let vars = x.init(key(0), &types![i32[_, 5]])?;
/// let layers: Vec<&String> = vars.params.keys().collect();
/// assert_eq!(layers[..3], ["embedding", "transformer.attention", "transformer.attention_norm"]);
/// assert!(vars.params.contains_key("transformer_1.feed_forward"));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TransformerLayer {
    attention: MultiHeadAttention,
    cross: Option<MultiHeadAttention>,
    feed_forward: FeedForward,
    rms: bool,
    epsilon: f64,
    post_norm: bool,
    dropout: f64,
}

impl TransformerLayer {
    /// Creates a block without attention to a memory, with layer normalization in front of each
    /// part.
    pub fn new(attention: MultiHeadAttention, feed_forward: FeedForward) -> TransformerLayer {
        TransformerLayer {
            attention,
            cross: None,
            feed_forward,
            rms: false,
            epsilon: 1e-5,
            post_norm: false,
            dropout: 0.0,
        }
    }

    /// Adds attention to a memory, the second input: the block of a decoder.
    pub fn cross_attention(self, cross: MultiHeadAttention) -> TransformerLayer {
        TransformerLayer { cross: Some(cross), ..self }
    }

    /// Normalizes with [`RmsNorm`] instead of [`LayerNorm`].
    pub fn rms_norm(self) -> TransformerLayer {
        TransformerLayer { rms: true, ..self }
    }

    /// Sets the epsilon of the normalization; the default is 1e-5.
    pub fn epsilon(self, epsilon: f64) -> TransformerLayer {
        TransformerLayer { epsilon, ..self }
    }

    /// Normalizes the sum of each part and its input, instead of its input.
    pub fn post_norm(self) -> TransformerLayer {
        TransformerLayer { post_norm: true, ..self }
    }

    /// Sets the fraction of the results of each part that are dropped in training. The dropouts
    /// of the attention and the feed-forward layer are separate.
    pub fn dropout(self, rate: f64) -> TransformerLayer {
        TransformerLayer { dropout: rate, ..self }
    }

    /// Applies the block to `[batch .., length, features]`; the memory of a decoder is the second
    /// input. The masks and biases that the attention layers take follow: those of the
    /// self-attention, then those of the attention to the memory.
    ///
    /// Masks that the first input and the memory carry reach the attention layers that have none;
    /// the result carries that of the first input. See [`Node::with_mask`].
    #[track_caller]
    pub fn call<const N: usize>(&self, inputs: [impl Borrow<Node>; N]) -> Node {
        let inputs: Vec<Node> = inputs.iter().map(|x| x.borrow().clone()).collect();
        call_block("transformer", &inputs, |nodes| self.layers(nodes))
    }

    #[track_caller]
    fn layers(&self, inputs: &[Node]) -> Node {
        let (own, cross) = (self.attention.extra_inputs(), self.cross.as_ref());
        let memories = usize::from(cross.is_some());
        let want = 1 + memories + own + cross.map_or(0, MultiHeadAttention::extra_inputs);
        let (Some(x), true) = (inputs.first(), inputs.len() == want) else {
            return wrong_inputs(inputs, want);
        };
        let (extras, cross_extras) = inputs[1 + memories..].split_at(own);
        let part = |x: &Node, name: &str, f: &dyn Fn(&Node) -> Node| self.part(x, name, f);
        let mut x = part(x, "attention", &|x| {
            self.attention.node(&[std::slice::from_ref(x), extras].concat())
        });
        if let Some(cross) = cross {
            let memory = &inputs[1..2];
            x = part(&x, "cross_attention", &|x| {
                cross.node(&[std::slice::from_ref(x), memory, cross_extras].concat())
            });
        }
        part(&x, "feed_forward", &|x| x.layer(self.feed_forward.clone()))
    }

    /// Returns a part with its normalization, dropout and skip connection.
    #[track_caller]
    fn part(&self, x: &Node, name: &str, f: &dyn Fn(&Node) -> Node) -> Node {
        let norm = |x: &Node| self.norm(x).named(&format!("{name}_norm"));
        let apply = |x: &Node| {
            let y = f(x).named(name);
            match self.dropout == 0.0 {
                true => y,
                false => y.layer(Dropout::new(self.dropout)).named(&format!("{name}_dropout")),
            }
        };
        match self.post_norm {
            true => norm(&(x + apply(x))),
            false => x + apply(&norm(x)),
        }
    }

    #[track_caller]
    fn norm(&self, x: &Node) -> Node {
        match self.rms {
            true => x.layer(RmsNorm::new().epsilon(self.epsilon)),
            false => x.layer(LayerNorm::new().epsilon(self.epsilon)),
        }
    }
}

/// Returns a node with the error of a wrong number of inputs.
#[track_caller]
fn wrong_inputs(inputs: &[Node], want: usize) -> Node {
    let why = format!("expected {want} inputs, got {}", inputs.len());
    let error = Error::new("transformer", why);
    let f = move |_: &mut Cx, _: &[Tensor]| vec![Tensor::from_error(error.clone())];
    Node::of_layer(inputs.to_vec(), Closure { kind: "inputs".into(), f })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Activation, Rope};
    use crate::{Mode, check, input};
    use neurax_tensor::{dims, key, types};

    fn attention() -> MultiHeadAttention {
        MultiHeadAttention::new(2, 2)
    }

    #[test]
    fn encoders_and_decoders_pass_the_checks() {
        let gelu = FeedForward::new(5).activation(Activation::gelu());
        let encoder = TransformerLayer::new(attention(), gelu.clone());
        let x = types![f32[2, 3, 4]];
        check::nodes(|xs| encoder.call(xs), &x).unwrap();
        check::nodes(|xs| encoder.clone().post_norm().dropout(0.2).call(xs), &x).unwrap();
        let llama =
            TransformerLayer::new(attention().causal().rope(Rope::new()), FeedForward::swiglu(5));
        check::nodes(|xs| llama.rms_norm().epsilon(1e-6).call(xs), &x).unwrap();
        let decoder = TransformerLayer::new(attention().causal(), gelu.clone())
            .cross_attention(attention().masked());
        let types = types![f32[2, 3, 4], f32[2, 5, 4], bool[2, 5]];
        check::nodes(|xs| decoder.call(xs), &types).unwrap();
    }

    #[test]
    fn each_call_has_other_variables_and_the_masks_reach_the_attention() {
        let block = TransformerLayer::new(attention().masked(), FeedForward::new(5));
        let (x, mask) = (input("x", dims![_, 3, 4]), input("mask", dims![_, 3]));
        let y = block.call([block.call([&x, &mask]), mask]);
        let vars = y.init(key(0), &types![f32[_, 3, 4], bool[_, 3]]).unwrap();
        assert_eq!(vars.params.keys().filter(|k| k.ends_with(".attention")).count(), 2);
        let x = key(1).normal([1, 3, 4]);
        let run = |x: &Tensor| {
            let mask = neurax_tensor::tensor([[true, true, false]]);
            let out = y.apply(&vars, [x, &mask], &Mode::Eval);
            out.y().slice(1, ..2).to_vec::<f32>().unwrap()
        };
        // The third position has no influence on the others.
        assert_eq!(run(&x), run(&x.at((.., 2)).set(7.0)));
    }

    #[test]
    fn wrong_numbers_of_inputs_are_errors() {
        let block = TransformerLayer::new(attention().masked(), FeedForward::new(5));
        let e = check::nodes(|xs: [Node; 1]| block.call(xs), &types![f32[2, 3, 4]]).unwrap_err();
        assert!(e.to_string().contains("transformer: expected 2 inputs, got 1"), "{e}");
    }
}
