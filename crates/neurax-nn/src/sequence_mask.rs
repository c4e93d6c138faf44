//! Masks of sequences that pass from layer to layer.
//!
//! The problem: in a batch of sequences of different lengths, the layers that look at several steps
//! (recurrent layers, attention, means over time) must leave out the padding, and a model should
//! not name the mask at each of them. The method is that of Keras: a node carries the mask of its
//! steps, and each layer says by its [`MaskRule`] what becomes of it. All of this happens while the
//! model is built: a layer that takes the mask gets it as an ordinary input.
//!
//! ```text
//! tokens          mask_of(tokens, 0)         with_mask
//! embedding       keeps it
//! lstm            becomes lstm(x, mask), and its sequence keeps the mask
//! flatten         drops it
//! ```
//!
//! # Invariants
//!
//! - A mask changes no layer but those that take it; the graph shows where.
//! - A mask that is given explicitly, by `masked()`, is not combined with one that is carried.

use crate::model_layer::{MaskRule, ModelLayer, TakeMask};
use crate::node::NodeKind;
use crate::{Cx, Node};
use neurax_tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::sync::Arc;

/// A layer and its inputs, after a mask that the layer takes was added to them.
pub(crate) struct MaskedCall {
    pub layer: Arc<dyn ModelLayer>,
    pub inputs: Vec<Node>,
    /// The mask of the first outputs.
    mask: Option<Node>,
    outputs: usize,
}

impl MaskedCall {
    /// Applies the rule of `layer` to the masks of `inputs`.
    #[track_caller]
    pub fn new(layer: Arc<dyn ModelLayer>, mut inputs: Vec<Node>) -> MaskedCall {
        if inputs.iter().all(|x| x.mask().is_none()) {
            return MaskedCall { layer, inputs, mask: None, outputs: 0 };
        }
        let first = inputs.first().and_then(Node::mask).cloned();
        match layer.mask_rule() {
            MaskRule::Drop => MaskedCall { layer, inputs, mask: None, outputs: 0 },
            MaskRule::Keep => {
                let mask = all_of(inputs.iter().filter_map(Node::mask));
                MaskedCall { layer, inputs, mask, outputs: usize::MAX }
            }
            MaskRule::KeepOfFirst { outputs } => MaskedCall { layer, inputs, mask: first, outputs },
            MaskRule::Take(TakeMask { layer: masked, source, outputs, position }) => {
                let layer = match inputs.get(source).and_then(Node::mask).cloned() {
                    Some(mask) => {
                        inputs.insert(position.min(inputs.len()), mask);
                        masked
                    }
                    None => layer,
                };
                MaskedCall { layer, inputs, mask: first, outputs }
            }
        }
    }

    /// Returns the mask of an output of the layer.
    pub fn mask_of(&self, output: usize) -> Option<&Node> {
        self.mask.as_ref().filter(|_| output < self.outputs)
    }
}

/// Returns the mask of the steps that all of `masks` keep.
#[track_caller]
fn all_of<'n>(masks: impl Iterator<Item = &'n Node>) -> Option<Node> {
    let mut different: Vec<&Node> = Vec::new();
    for mask in masks {
        if !different.iter().any(|m| m.is_same(mask)) {
            different.push(mask);
        }
    }
    match &different[..] {
        [] => None,
        [mask] => Some((*mask).clone()),
        _ => Some(Node::of_layer(different.into_iter().cloned().collect(), AllMasks)),
    }
}

/// The layer of the steps that all of several masks keep.
#[derive(Serialize, Deserialize)]
pub(crate) struct AllMasks;

impl ModelLayer for AllMasks {
    fn kind(&self) -> &str {
        "all_masks"
    }

    fn apply(&self, _: &mut Cx, masks: &[Tensor]) -> Vec<Tensor> {
        let all = masks.iter().cloned().reduce(|a, b| a.logical_and(&b));
        all.into_iter().collect()
    }
}

impl Node {
    /// Returns this node with a mask of its steps: a node of bools `[batch, time]`, false where a
    /// step is padding. The layers that follow pass it on as their [`MaskRule`] says: layers that
    /// compute each step separately (dense, activations, dropout, embedding, layer normalization,
    /// arithmetic, ..) keep it; recurrent layers, attention and [`MaskedMean`](crate::MaskedMean)
    /// take it as an input, as if they were `masked()`; all others drop it, and blocks do, which
    /// get a mask as an explicit input.
    ///
    /// The last axis counts as features, so that layers along axis -1 keep the mask: before they
    /// are applied to `[batch, time]` itself, e.g. before indices are concatenated along time, call
    /// [`Node::without_mask`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let tokens = nn::typed_input("tokens", I32, dims![_, _]);
    /// let x = tokens.with_mask(nn::mask_of(&tokens, 0)).embedding(10, 3);
    /// let y = x.layer(nn::Lstm::new(4)).dense(4).tanh().layer(nn::MaskedMean::new());
    /// let vars = y.init(key(0), &types![i32[_, 5]])?;
    /// // Padding does not change the result.
    /// let [a, b] = [tensor([[3, 4, 0, 0, 0]]), tensor([[3, 4]])]
    ///     .map(|x| y.apply(&vars, x, &Mode::Eval).y().clone());
    /// assert!(a.allclose(b, 1e-6, 1e-6).to_vec::<bool>()?[0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_mask(&self, mask: impl Borrow<Node>) -> Node {
        self.carrying(Some(mask.borrow()))
    }

    /// Returns this node without a mask.
    pub fn without_mask(&self) -> Node {
        self.carrying(None)
    }

    /// Creates a node of a layer with any number of inputs and one output.
    #[track_caller]
    pub(crate) fn of_layer(inputs: Vec<Node>, layer: impl ModelLayer) -> Node {
        let name = layer.kind().to_string();
        let call = MaskedCall::new(Arc::new(layer), inputs);
        let kind = NodeKind::Layer(call.layer.clone());
        let node = Node::first_output(&name, call.inputs.clone(), kind, 1, None);
        node.carrying(call.mask_of(0))
    }
}

#[cfg(test)]
mod tests {
    use crate::layers::*;
    use crate::{Layer, Mode, Model, Node, block, input, layer, typed_input};
    use neurax_tensor::{DType, Tensor, dims, key, tensor, types};

    fn masked_input() -> (Node, Node) {
        let (x, mask) = (input("x", dims![_, 3, 4]), input("mask", dims![_, 3]));
        (x.with_mask(&mask), mask)
    }

    /// Returns true if the third step of `x` has no influence on `y` while `mask` leaves it out.
    fn ignores_padding(y: &Node, mask: &Node) -> bool {
        // The mask is an input of the model also if nothing takes it.
        let model = Model::new([("x", y), ("mask", mask)]);
        let vars = model.init(key(0), &types![f32[_, 3, 4], bool[_, 3]]).unwrap();
        let (x, mask) = (key(1).normal([1, 3, 4]), tensor([[true, true, false]]));
        let run = |x: &Tensor| {
            let y = model.apply(&vars, [("x", x), ("mask", &mask)], &Mode::Eval)["x"].clone();
            let y = if y.rank() == 3 { y.slice(1, ..2) } else { y };
            y.to_vec::<f32>().unwrap()
        };
        run(&x) == run(&x.at((.., 2)).set(7.0))
    }

    #[test]
    fn recurrent_layers_and_attention_take_the_mask() {
        let (x, mask) = masked_input();
        let h = x.dense(4).relu() + &x * 2.0;
        let (last, state) = h.layer(Gru::new(3).return_sequences(false).return_state());
        let (forward, backward) = h.layer(Bidirectional::new(Lstm::new(2)).unmerged());
        assert!(forward.mask().is_some() && backward.mask().is_some());
        assert!(last.mask().is_none() && state.mask().is_none());
        let memory = h.layer_norm();
        let cross = MultiHeadAttention::new(2, 2).call([&x.without_mask().dense(4), &memory]);
        assert!(cross.mask().is_none());
        let additive = AdditiveAttention::new().call([&x, &memory]);
        let attended = h.multi_head_attention(2, 2);
        for y in [&additive, &attended, &forward, &backward] {
            assert!(y.mask().is_some());
        }
        let means = [&additive, &attended, &forward, &backward]
            .map(|y| y.layer(MaskedMean::new()).dense(2));
        for y in [last, state, attended.clone()].iter().chain(&means) {
            assert!(ignores_padding(y, &mask), "{y:?}");
        }
        assert!(!ignores_padding(&h.without_mask().layer(MaskedMean::new()), &mask));
    }

    #[test]
    fn transformers_pass_masks_into_their_blocks() {
        let (x, mask) = masked_input();
        let encoder = TransformerLayer::new(MultiHeadAttention::new(2, 2), FeedForward::new(5));
        let y = encoder.call([&encoder.call([&x])]);
        assert!(y.mask().is_some_and(|m| m.is_same(&mask)));
        assert!(ignores_padding(&y, &mask));
        let target = input("target", dims![_, 2, 4]);
        let decoder = encoder.cross_attention(MultiHeadAttention::new(2, 2));
        let z = decoder.call([&target, &y]);
        assert!(z.mask().is_none());
        let model = z.model();
        let types = types![f32[_, 2, 4], f32[_, 3, 4], bool[_, 3]];
        let vars = model.init(key(0), &types).unwrap();
        let run = |value: f64| {
            let x = key(1).normal([1, 3, 4]).at((.., 2)).set(value);
            let inputs = [key(2).normal([1, 2, 4]), x, tensor([[true, true, false]])];
            model.apply(&vars, inputs, &Mode::Eval).y().to_vec::<f32>().unwrap()
        };
        assert_eq!(run(0.0), run(7.0));
    }

    #[test]
    fn a_step_is_kept_that_all_inputs_keep() {
        let (x, mask) = masked_input();
        let other = typed_input("other", DType::Bool, dims![_, 3]);
        assert!((&x + x.relu()).mask().is_some_and(|m| m.is_same(&mask)));
        let sum = &x + x.with_mask(&other);
        let both = sum.mask().cloned().unwrap();
        let model = Model::new([("both", &both), ("sum", &sum)]);
        let inputs = [
            ("x", Tensor::ones([1, 3, 4])),
            ("mask", tensor([[true, true, false]])),
            ("other", tensor([[false, true, true]])),
        ];
        let out = model.apply(&Default::default(), inputs, &Mode::Eval);
        assert_eq!(out["both"].to_vec::<bool>().unwrap(), [false, true, false]);
    }

    #[test]
    fn layers_that_change_steps_drop_the_mask() {
        let (x, _) = masked_input();
        let (a, _) = masked_input();
        let closure = layer("closure", [&x], |_, [x]| x);
        let [first, second] = x.layer(Split::<2>::new(-1));
        assert!(first.mask().is_some() && second.mask().is_some());
        let [earlier, _] = x.layer(Split::<2>::new(1).sizes([1, 2]));
        let in_block = block("b", |x| x.relu()).call(&x);
        let concatenated = concat([&x, &a], 1);
        for y in [x.flatten(), closure, earlier, in_block, concatenated, x.layer(Softmax::new(1))] {
            assert!(y.mask().is_none(), "{y:?}");
        }
        assert!(concat([&x, &x], -1).mask().is_some());
    }

    #[test]
    fn an_explicit_mask_is_the_only_one() {
        let (x, _) = masked_input();
        let other = input("other", dims![_, 3]);
        let y = Lstm::new(2).masked().call([&x, &other]);
        assert_eq!(y.inputs().len(), 2);
        assert!(y.inputs()[1].is_same(&other));
    }

    #[test]
    fn masked_models_are_saved_as_ordinary_ones() {
        let (x, _) = masked_input();
        let y = x.layer(Lstm::new(2)).multi_head_attention(1, 2).layer(MaskedMean::new());
        let model = y.model();
        let vars = model.init(key(0), &types![f32[_, 3, 4], bool[_, 3]]).unwrap();
        let dir = std::env::temp_dir().join(format!("neurax-masked-{}", std::process::id()));
        let net = model.bind(vars);
        net.save(&dir).unwrap();
        let loaded = crate::Net::load(&dir).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        let inputs = [key(1).normal([1, 3, 4]), tensor([[true, false, true]])];
        let (want, got) = (net.apply(inputs.clone()), loaded.apply(inputs));
        assert_eq!(want.y().to_vec::<f32>().unwrap(), got.y().to_vec::<f32>().unwrap());
    }
}
