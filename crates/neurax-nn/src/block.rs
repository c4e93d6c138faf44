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
use crate::{Layer, Model, Node, NodesOf};
use neurax_tensor::Tensor;
use std::borrow::Borrow;
use std::sync::Arc;

/// A function of `N` nodes, whose calls share their variables: see [`block()`].
#[derive(Clone, Debug)]
pub struct Block<const N: usize = 1> {
    name: String,
    model: Model,
    shared: Shared,
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
#[track_caller]
pub fn block(name: &str, f: impl FnOnce(Node) -> Node) -> Block {
    Block::new(name, |[x]| f(x))
}

impl<const N: usize> Block<N> {
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
    pub fn new(name: &str, f: impl FnOnce([Node; N]) -> Node) -> Block<N> {
        let arguments: [Node; N] =
            std::array::from_fn(|i| Node::source(&format!("input{i}"), NodeKind::Argument));
        let output = f(arguments.clone());
        let model = Model::of_block(name, &arguments, output);
        Block { name: name.into(), model, shared: Shared::new() }
    }

    /// Applies the block to nodes.
    #[track_caller]
    pub(crate) fn node(&self, inputs: Vec<Node>) -> Node {
        let kind = NodeKind::Block(self.model.clone());
        Node::first_output(&self.name, inputs, kind, 1, Some(self.shared.clone()))
    }
}

impl Block<1> {
    /// Applies the block to a node.
    #[track_caller]
    pub fn call(&self, x: impl Borrow<Node>) -> Node {
        self.node(vec![x.borrow().clone()])
    }
}

macro_rules! calls {
    ($($n:literal)*) => {$(
        impl Block<$n> {
            /// Applies the block to nodes.
            #[track_caller]
            pub fn call(&self, inputs: [impl Borrow<Node>; $n]) -> Node {
                self.node(inputs.iter().map(|x| x.borrow().clone()).collect())
            }
        }
    )*};
}
calls!(2 3 4);

/// A layer whose calls share their variables: see [`shared`].
#[derive(Debug)]
pub struct SharedLayer<L> {
    pub(crate) layer: Arc<L>,
    pub(crate) name: String,
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
pub fn shared<L: Layer>(layer: L) -> SharedLayer<L> {
    SharedLayer { layer: Arc::new(layer), name: L::NAME.into(), shared: Shared::new() }
}

impl<L: Layer> SharedLayer<L> {
    /// Sets the name of the layer, and with it the path of its variables.
    pub fn named(self, name: &str) -> SharedLayer<L> {
        SharedLayer { name: name.into(), ..self }
    }

    /// Applies the layer to a node.
    #[track_caller]
    pub fn call(&self, x: impl Borrow<Node>) -> NodesOf<L::Output> {
        call_shared(self.layer.clone(), [x], &self.name, Some(self.shared.clone()))
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
