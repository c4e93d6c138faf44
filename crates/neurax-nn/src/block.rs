//! Blocks: parts of models that are applied several times with the same variables.
//!
//! The problem: every node creates separate variables, so that two towers of a siamese network that
//! are built by the same function would not share their weights. A block is built once, on
//! arguments, and becomes a separate model; each call is one node that evaluates this model. All
//! calls of a block have the same path, and with it the same variables:
//!
//! ```text
//! tower = block("tower", |x| x.dense(64).relu().dense(32))
//! a = tower.call(left)          params.tower.dense.kernel, params.tower.dense_1.kernel, ..
//! b = tower.call(right)         the same
//! ```
//!
//! # Invariants
//!
//! - The path of a block is decided by its first call in topological order, wherever the other
//!   calls are: inside of other blocks, or around them.
//! - State is read and written in the order of the calls: each sees what the call before it set.
//! - Every call draws other random numbers.
//! - A block consists of layers of its arguments: one that uses a node from outside carries an
//!   error.

use crate::layer::{call_shared, structured};
use crate::node::{NodeKind, Shared};
use crate::node_structure::{BlockOutput, NodeInputs, nodes_in};
use crate::{Layer, Model, Node, NodesOf};
use neurax_tensor::Tensor;
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A function of `N` nodes with the outputs `O`, whose calls share their variables: see
/// [`block()`].
pub struct Block<const N: usize = 1, O = Node> {
    name: String,
    model: Model,
    shared: Shared,
    /// The nodes of the outputs inside of the block, in the structure of the results.
    outputs: Arc<O>,
}

/// Creates a block: the layers of `f` are applied at every call, with the same variables. They are
/// at paths below `name`, such as `tower.dense.kernel`.
///
/// ```
/// use neurax::prelude::*;
/// let tower = nn::block("tower", |x| x.dense(4).relu().dense(2));
/// let (a, b) = (nn::input("a", dims![_, 3]), nn::input("b", dims![_, 3]));
/// let model = (tower.call(&a) - tower.call(&b)).model();
/// let vars = model.init(key(0), &types![f32[_, 3], f32[_, 3]])?;
/// let layers: Vec<&String> = vars.params.keys().collect();
/// assert_eq!(layers, ["tower.dense", "tower.dense_1"]);
///
/// let x = Tensor::ones([1, 3]);
/// let out = model.apply(&vars, [&x, &x], &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [0.0, 0.0]);
/// # Ok::<(), Error>(())
/// ```
///
/// A block has one output or several, in the structure that `f` returns: see [`BlockOutput`].
///
/// ```
/// use neurax::prelude::*;
/// let encoder = nn::block("encoder", |x| {
///     let h = x.dense(4).relu();
///     (h.dense(2), h.dense(2))
/// });
/// let (mean, log_var) = encoder.call(nn::input("x", dims![_, 3]));
/// let vars = (mean + log_var.exp()).init(key(0), &types![f32[_, 3]])?;
/// assert_eq!(vars.params.len(), 3);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn block<O: BlockOutput>(name: &str, f: impl FnOnce(Node) -> O) -> Block<1, O> {
    Block::new(name, |[x]| f(x))
}

impl<const N: usize, O: BlockOutput> Block<N, O> {
    /// Creates a block with `N` inputs: see [`block()`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let mix = nn::Block::new("mix", |[a, b]| (a + b).dense(1));
    /// let x = nn::input("x", dims![_, 3]);
    /// let y = mix.call([&x, &x.relu()]) + mix.call([&x, &x.tanh()]);
    /// let vars = y.init(key(0), &types![f32[_, 3]])?;
    /// assert_eq!(vars.params.len(), 1);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn new(name: &str, f: impl FnOnce([Node; N]) -> O) -> Block<N, O> {
        let arguments: [Node; N] = std::array::from_fn(argument);
        let outputs = f(arguments.clone());
        let model = Model::of_block(name, &arguments, nodes_in(&outputs));
        Block { name: name.into(), model, shared: Shared::new(), outputs: Arc::new(outputs) }
    }

    /// Applies the block to a node, or to an array of `N` nodes.
    #[track_caller]
    pub fn call(&self, inputs: impl NodeInputs<N>) -> O {
        let (inputs, kind) = (inputs.into_nodes().into(), NodeKind::Block(self.model.clone()));
        let count = nodes_in(&*self.outputs).len();
        let first = Node::first_output(&self.name, inputs, kind, count, Some(self.shared.clone()));
        let mut next = 0;
        self.outputs.map_nodes(&mut |_| {
            next += 1;
            first.sibling(next - 1)
        })
    }
}

impl<const N: usize, O> Clone for Block<N, O> {
    fn clone(&self) -> Self {
        let Block { name, model, shared, outputs } = self;
        let (name, model) = (name.clone(), model.clone());
        Block { name, model, shared: shared.clone(), outputs: outputs.clone() }
    }
}

impl<const N: usize, O> fmt::Debug for Block<N, O> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Block").field("name", &self.name).field("model", &self.model).finish()
    }
}

/// Creates a block of the nodes `inputs`, which is called once. Inside of it, they carry the masks
/// that they carry outside, which are further arguments.
#[track_caller]
pub(crate) fn call_block(name: &str, inputs: &[Node], f: impl FnOnce(&[Node]) -> Node) -> Node {
    let masks: Vec<&Node> = inputs.iter().filter_map(Node::mask).collect();
    let arguments: Vec<Node> = (0..inputs.len() + masks.len()).map(argument).collect();
    let (values, mask_arguments) = arguments.split_at(inputs.len());
    let mut rest = mask_arguments.iter();
    let of_input = |(x, value): (&Node, &Node)| match x.mask() {
        Some(_) => value.carrying(rest.next()),
        None => value.clone(),
    };
    let y = f(&inputs.iter().zip(values).map(of_input).collect::<Vec<_>>());
    let same = |mask: &Node| mask_arguments.iter().position(|argument| argument.is_same(mask));
    let mask = y.mask().and_then(same).map(|i| masks[i].clone());
    let model = Model::of_block(name, &arguments, vec![y]);
    let all = inputs.iter().chain(masks).cloned().collect();
    Node::first_output(name, all, NodeKind::Block(model), 1, Some(Shared::new()))
        .carrying(mask.as_ref())
}

/// Returns the argument `i` of a block.
#[track_caller]
fn argument(i: usize) -> Node {
    Node::source(&format!("input{i}"), NodeKind::Argument)
}

/// A layer whose calls share their variables: see [`shared`].
#[derive(Debug)]
pub struct SharedLayer<L> {
    pub(crate) layer: Arc<L>,
    /// The name of the layer, if it is not [`Layer::NAME`].
    name: Option<String>,
    pub(crate) shared: Shared,
}

/// Creates a layer that can be applied several times with the same variables.
///
/// ```
/// use neurax::prelude::*;
/// let head = nn::shared(Dense::new(2)).named("head");
/// let (a, b) = (nn::input("a", dims![_, 3]), nn::input("b", dims![_, 3]));
/// let model = (head.call(&a) + head.call(&b)).model();
/// let vars = model.init(key(0), &types![f32[_, 3], f32[_, 3]])?;
/// assert_eq!(vars.params.keys().collect::<Vec<_>>(), ["head"]);
/// # Ok::<(), Error>(())
/// ```
///
/// A layer of several inputs takes an array of nodes:
///
/// ```
/// use neurax::prelude::*;
/// let attention = nn::shared(nn::MultiHeadAttention::new(2, 4));
/// let (x, memory) = (nn::input("x", dims![_, 3, 8]), nn::input("memory", dims![_, 5, 8]));
/// let y = attention.call([&attention.call([&x, &memory]), &memory]);
/// let vars = y.init(key(0), &types![f32[_, 3, 8], f32[_, 5, 8]])?;
/// assert_eq!(vars.params.keys().collect::<Vec<_>>(), ["multi_head_attention"]);
/// # Ok::<(), Error>(())
/// ```
pub fn shared<L>(layer: L) -> SharedLayer<L> {
    SharedLayer { layer: Arc::new(layer), name: None, shared: Shared::new() }
}

impl<L> SharedLayer<L> {
    /// Sets the name of the layer, and with it the path of its variables.
    pub fn named(self, name: &str) -> SharedLayer<L> {
        SharedLayer { name: Some(name.into()), ..self }
    }

    /// Applies the layer to a node, or to an array of nodes, one for each of its inputs.
    #[track_caller]
    pub fn call<const N: usize>(&self, inputs: impl NodeInputs<N>) -> NodesOf<L::Output>
    where
        L: Layer<N>,
    {
        let shared = Some(self.shared.clone());
        call_shared(self.layer.clone(), inputs.into_nodes(), self.name_or(L::NAME), shared)
    }

    /// Returns the name of the layer; `default` if none is set.
    pub(crate) fn name_or<'s>(&'s self, default: &'s str) -> &'s str {
        self.name.as_deref().unwrap_or(default)
    }
}

/// A model is a block, too: all calls share the variables.
impl Model {
    /// Applies the model to nodes, in the order of its inputs, and returns its first output. The
    /// layers are at paths below `model`; [`Node::named`] renames it.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let base = nn::input("x", dims![_, 4]).dense(3).relu().model();
    /// let y = base.call([&nn::input("y", dims![_, 4])]).named("base").dense(2);
    /// let vars = y.init(key(0), &types![f32[_, 4]])?;
    /// assert_eq!(vars.params.keys().collect::<Vec<_>>(), ["base.dense", "dense"]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn call<const N: usize>(&self, inputs: [impl Borrow<Node>; N]) -> Node {
        let inputs = inputs.iter().map(|x| x.borrow().clone()).collect();
        let (kind, shared) = (NodeKind::Block(self.clone()), Some(self.shared().clone()));
        Node::first_output("model", inputs, kind, self.outputs().count().max(1), shared)
    }

    /// Applies the model to nodes, as [`Model::call`] does, and returns its first `M` outputs. A
    /// missing output carries an error when the model is applied.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = nn::input("x", dims![_, 4]);
    /// let two = Model::new([("a", x.dense(1)), ("b", x.dense(2))]);
    /// let [a, b] = two.call_all([&nn::input("y", dims![_, 4])]);
    /// assert_eq!(nn::concat([a, b], -1).model().outputs().count(), 1);
    /// ```
    #[track_caller]
    pub fn call_all<const N: usize, const M: usize>(
        &self,
        inputs: [impl Borrow<Node>; N],
    ) -> [Node; M] {
        structured::<[Tensor; M]>(&self.call(inputs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bilinear, Lstm, Mode, input};
    use neurax_tensor::{Tensor, dims, key, types};

    #[test]
    fn blocks_have_outputs_in_any_structure() {
        let split = Block::new("split", |[x, gate]| {
            let h = x.dense(2);
            let last = (h.tanh(), h.relu());
            let (sequence, ends) = (&h * gate.dense(2), [h.relu(), h.clone()]);
            (x, vec![h.clone(), h], (sequence, last, ends))
        });
        let (x, gate) = (input("x", dims![_, 3]), input("gate", dims![_, 1]));
        let (same, hidden, (sequence, (h, c), [low, _])) = split.call([&x, &gate]);
        let (_, again, _) = split.call([&same, &gate]);
        let outputs = [&same, &hidden[1], &h, &c, &sequence, &again[0], &low];
        let model = Model::new(outputs.into_iter().enumerate().map(|(i, n)| (i.to_string(), n)));
        let vars = model.init(key(0), &types![f32[_, 3], f32[_, 1]]).unwrap();
        assert_eq!(vars.params.keys().collect::<Vec<_>>(), ["split.dense", "split.dense_1"]);
        let inputs = [key(1).normal([4, 3]), key(2).normal([4, 1])];
        let out = model.apply(&vars, inputs.clone(), &Mode::Eval);
        let values = |y: &Tensor| y.to_vec::<f32>().unwrap();
        assert_eq!(values(&out["0"]), values(&inputs[0]));
        assert_eq!(values(&out["2"]), values(&out["1"].tanh()));
        assert_eq!(values(&out["3"]), values(&out["1"].relu()));
        assert_eq!(values(&out["5"]), values(&out["1"]));
        assert_eq!(values(&out["6"]), values(&out["3"]));
    }

    #[test]
    fn the_error_of_a_block_is_that_of_all_of_its_outputs() {
        let (a, b) = (input("a", dims![_, 2]), input("b", dims![_, 2]));
        let captures = block("captures", |x| (x.relu(), x + &b));
        let (_, second) = captures.call(&a);
        let e = second.init(key(0), &types![f32[_, 2]]).unwrap_err().to_string();
        assert!(e.contains("block `captures`: expected layers of its arguments"), "{e}");
    }

    #[test]
    fn layers_of_several_inputs_are_shared() {
        let bilinear = shared(Bilinear::new(3)).named("both");
        let x = input("x", dims![_, 3]);
        let y = bilinear.call([&bilinear.call([&x, &x]), &x]);
        let vars = y.init(key(0), &types![f32[_, 3]]).unwrap();
        assert_eq!(vars.params.keys().collect::<Vec<_>>(), ["both"]);
        let lstm = shared(Lstm::new(3).initial_state().return_state());
        let x = input("x", dims![_, 5, 3]);
        let start = x.layer(Lstm::new(3).return_state()).1;
        let (_, (h, c)) = lstm.call([&x, &start.0, &start.1]);
        let y = lstm.call([&x, &h, &c]).0;
        let vars = y.init(key(0), &types![f32[_, 5, 3]]).unwrap();
        assert_eq!(vars.params.len(), 2);
    }
}
