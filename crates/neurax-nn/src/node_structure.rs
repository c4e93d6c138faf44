//! Structures of nodes: the inputs and the outputs of a block.

use crate::Node;
use std::borrow::Borrow;

/// The `N` inputs of a block or a shared layer: a node, or an array of nodes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the {N} inputs of a block or shared layer",
    note = "inputs are a node, `block.call(&x)`, or an array with a node for each input, \
            `block.call([&a, &b])`"
)]
pub trait NodeInputs<const N: usize> {
    /// Returns the nodes in order.
    fn into_nodes(self) -> [Node; N];
}

impl NodeInputs<1> for Node {
    fn into_nodes(self) -> [Node; 1] {
        [self]
    }
}

impl NodeInputs<1> for &Node {
    fn into_nodes(self) -> [Node; 1] {
        [self.clone()]
    }
}

impl<B: Borrow<Node>, const N: usize> NodeInputs<N> for [B; N] {
    fn into_nodes(self) -> [Node; N] {
        self.map(|x| x.borrow().clone())
    }
}

/// The outputs of a block: a node, or an array, tuple, `Vec` or struct of outputs. The struct has
/// one type parameter and `#[derive(nn::LayerOutput)]`, as one of a layer's outputs.
///
/// ```
/// use neurax::prelude::*;
/// #[derive(Tree, nn::LayerOutput)]
/// struct Gaussian<T> {
///     mean: T,
///     log_var: T,
/// }
///
/// let encoder = nn::block("encoder", |x| {
///     let h = x.dense(8).relu();
///     Gaussian { mean: h.dense(2), log_var: h.dense(2) }
/// });
/// let Gaussian { mean, log_var } = encoder.call(nn::input("x", dims![_, 4]));
/// let model = Model::new([("mean", mean), ("log_var", log_var)]);
/// let vars = model.init(key(0), &types![f32[_, 4]])?;
/// let layers: Vec<&String> = vars.params.keys().collect();
/// assert_eq!(layers, ["encoder.dense", "encoder.dense_1", "encoder.dense_2"]);
/// # Ok::<(), Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the output of a block",
    note = "outputs are Node, arrays, tuples and `Vec`s of outputs, and structs with \
            #[derive(nn::LayerOutput)]"
)]
pub trait BlockOutput {
    /// Returns the same structure with `f` of each node, in order.
    fn map_nodes(&self, f: &mut dyn FnMut(&Node) -> Node) -> Self;
}

impl BlockOutput for Node {
    fn map_nodes(&self, f: &mut dyn FnMut(&Node) -> Node) -> Node {
        f(self)
    }
}

impl<O: BlockOutput, const N: usize> BlockOutput for [O; N] {
    fn map_nodes(&self, f: &mut dyn FnMut(&Node) -> Node) -> [O; N] {
        self.each_ref().map(|o| o.map_nodes(f))
    }
}

impl<O: BlockOutput> BlockOutput for Vec<O> {
    fn map_nodes(&self, f: &mut dyn FnMut(&Node) -> Node) -> Vec<O> {
        self.iter().map(|o| o.map_nodes(f)).collect()
    }
}

macro_rules! tuples {
    ($(($($O:ident $i:tt),*))*) => {$(
        impl<$($O: BlockOutput),*> BlockOutput for ($($O,)*) {
            fn map_nodes(&self, f: &mut dyn FnMut(&Node) -> Node) -> Self {
                ($(self.$i.map_nodes(f),)*)
            }
        }
    )*};
}
tuples!((A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3));

/// Returns all nodes of a structure, in order.
pub(crate) fn nodes_in(outputs: &impl BlockOutput) -> Vec<Node> {
    let mut nodes = Vec::new();
    outputs.map_nodes(&mut |node| {
        nodes.push(node.clone());
        node.clone()
    });
    nodes
}
