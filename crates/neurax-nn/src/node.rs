//! The graph of layers: nodes and their inputs.

use crate::Model;
use crate::input_shapes::InputSpec;
use crate::model_layer::ModelLayer;
use neurax_tensor::{DType, IntoShape};
use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A node of a model's graph: an input, or an output of a layer that is applied to other nodes.
/// Cheap to clone. Nodes are combined with methods, operators and functions; a [`Model`] is created
/// from its output nodes.
///
/// ```
/// use neurax::prelude::*;
/// let x = nn::input("x", dims![_, 4]);
/// let y = (x.dense(8).relu() + x.dense(8).tanh()) * 0.5;
/// let vars = y.init(key(0), &types![f32[_, 4]])?;
/// assert_eq!(y.apply(&vars, Tensor::ones([2, 4]), &Mode::Eval).y().shape(), [2, 8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Node {
    data: Arc<NodeData>,
    /// The index of the output of the layer.
    output: usize,
    /// The mask of the steps of this output: see [`Node::with_mask`].
    mask: Option<Arc<Node>>,
}

struct NodeData {
    name: String,
    inputs: Vec<Node>,
    kind: NodeKind,
    /// The number of outputs.
    outputs: usize,
    /// The owner of the variables, if several nodes share them.
    shared: Option<Shared>,
    /// True if the name is a path that the node had in another model, which it keeps.
    is_path: bool,
    /// The user's line that created the node.
    at: &'static Location<'static>,
}

/// Drops the inputs in a loop instead of recursively: a deep model would overflow the stack.
impl Drop for NodeData {
    fn drop(&mut self) {
        let mut open = std::mem::take(&mut self.inputs);
        while let Some(node) = open.pop() {
            open.extend(node.mask.and_then(Arc::into_inner));
            if let Some(mut data) = Arc::into_inner(node.data) {
                open.append(&mut data.inputs);
            }
        }
    }
}

/// The owner of variables that several nodes share. Clones are the same owner.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<u8>);

impl Shared {
    /// Creates an owner, different from all others.
    pub fn new() -> Shared {
        // Two values of no bytes could have the same address.
        Shared(Arc::new(0))
    }

    /// Returns a number that is equal for all clones and different for other owners.
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

/// The kind of a node.
#[derive(Clone)]
pub(crate) enum NodeKind {
    /// An input of the model.
    Input(InputSpec),
    /// An input of a block, which may be of any type.
    Argument,
    /// A layer.
    Layer(Arc<dyn ModelLayer>),
    /// A block: another model, whose variables are below the path of the node.
    Block(Model),
}

/// Creates an input of a model. `dims` are the sizes of its axes: a number, or `_` or a name if any
/// size is allowed. Axes with equal names must have equal sizes.
///
/// ```
/// use neurax::prelude::*;
/// let image = nn::input("image", dims![_, 8, 8, 1]);
/// let tokens = nn::input("tokens", dims!["batch", "length"]);
/// ```
#[track_caller]
pub fn input(name: &str, dims: impl IntoShape) -> Node {
    Node::source(name, NodeKind::Input(InputSpec { dims: dims.dims(), dtype: None }))
}

/// Creates an input of a model with a declared dtype; a tensor of another dtype is an error. For
/// the rest, see [`input()`], which admits every dtype.
///
/// ```
/// use neurax::prelude::*;
/// let embed = |cx: &mut nn::Cx, [x]: [Tensor; 1]| {
///     cx.param("table", [100, 16], init::normal(1.0)).take(&x, 0)
/// };
/// let model = nn::layer("embed", [nn::typed_input("tokens", I32, dims![_, 8])], embed);
/// assert_eq!(model.summary(), "\
/// layer   output         parameters  bytes  multiply-adds
/// -------------------------------------------------------
/// tokens  i32[_, 8]               0      0              0
/// embed   f32[_, 8, 16]       1,600  6,400              0
/// -------------------------------------------------------
/// total                       1,600  6,400              0
/// ");
/// ```
#[track_caller]
pub fn typed_input(name: &str, dtype: DType, dims: impl IntoShape) -> Node {
    Node::source(name, NodeKind::Input(InputSpec { dims: dims.dims(), dtype: Some(dtype) }))
}

impl Node {
    /// Creates the first output of a layer with `outputs` outputs. Nodes of the same owner `shared`
    /// have the same variables.
    #[track_caller]
    pub(crate) fn first_output(
        name: &str,
        inputs: Vec<Node>,
        kind: NodeKind,
        outputs: usize,
        shared: Option<Shared>,
    ) -> Node {
        let (at, is_path) = (Location::caller(), false);
        let data = NodeData { name: name.into(), inputs, kind, outputs, shared, is_path, at };
        Node { data: Arc::new(data), output: 0, mask: None }
    }

    /// Creates the first output of a layer that was read from a file, with its path.
    #[track_caller]
    pub(crate) fn loaded(
        path: &str,
        inputs: Vec<Node>,
        kind: NodeKind,
        outputs: usize,
        shared: Option<Shared>,
    ) -> Node {
        let (name, at) = (path.to_string(), Location::caller());
        let data = NodeData { name, inputs, kind, outputs, shared, is_path: true, at };
        Node { data: Arc::new(data), output: 0, mask: None }
    }

    /// Returns the first output of this layer on other inputs, as a part of a changed model in
    /// which it keeps the given path.
    pub(crate) fn rebuilt(&self, path: &str, inputs: Vec<Node>, kind: NodeKind) -> Node {
        let NodeData { outputs, shared, at, .. } = &*self.data;
        let (name, shared) = (path.to_string(), shared.clone());
        let data = NodeData { name, inputs, kind, outputs: *outputs, shared, is_path: true, at };
        Node { data: Arc::new(data), output: 0, mask: None }
    }

    /// Creates the only output of a node without inputs.
    #[track_caller]
    pub(crate) fn source(name: &str, kind: NodeKind) -> Node {
        Node::first_output(name, Vec::new(), kind, 1, None)
    }

    /// Returns another output of the same layer, without a mask.
    pub(crate) fn sibling(&self, output: usize) -> Node {
        Node { data: self.data.clone(), output, mask: None }
    }

    /// Returns this node with another mask of its steps.
    pub(crate) fn carrying(&self, mask: Option<&Node>) -> Node {
        // A mask has no mask.
        let mask = mask.map(|m| Arc::new(m.sibling(m.output)));
        Node { mask, ..self.clone() }
    }

    /// Returns the mask of the steps that this node carries: see [`Node::with_mask`].
    pub fn mask(&self) -> Option<&Node> {
        self.mask.as_deref()
    }

    /// Renames this node, and with it the path of its variables: `x.dense(2).named("head")` has its
    /// kernel at `params.head.kernel`. The result is a new node; `self` keeps its name.
    #[track_caller]
    pub fn named(&self, name: &str) -> Node {
        let NodeData { inputs, kind, outputs, shared, .. } = &*self.data;
        let new = Node::first_output(name, inputs.clone(), kind.clone(), *outputs, shared.clone());
        Node { output: self.output, mask: self.mask.clone(), ..new }
    }

    /// Applies a function of nodes in method form: `x.dense(4).then(block).dense(2)`.
    pub fn then(&self, f: impl FnOnce(Node) -> Node) -> Node {
        f(self.clone())
    }

    /// Creates a model with this node as its only output, `y`.
    pub fn model(&self) -> Model {
        Model::from(self)
    }

    pub(crate) fn name(&self) -> &str {
        &self.data.name
    }

    pub(crate) fn inputs(&self) -> &[Node] {
        &self.data.inputs
    }

    pub(crate) fn kind(&self) -> &NodeKind {
        &self.data.kind
    }

    /// Returns true if the name is the path in every model.
    pub(crate) fn has_path(&self) -> bool {
        self.data.is_path
    }

    /// Returns true if the node is an input of a model or an argument of a block.
    pub(crate) fn is_input(&self) -> bool {
        matches!(self.kind(), NodeKind::Input(_) | NodeKind::Argument)
    }

    /// Returns the number of outputs of the layer that this node is an output of.
    pub(crate) fn outputs(&self) -> usize {
        self.data.outputs
    }

    /// Returns the index of this output of its layer.
    pub(crate) fn output(&self) -> usize {
        self.output
    }

    pub(crate) fn shared(&self) -> Option<&Shared> {
        self.data.shared.as_ref()
    }

    /// Returns the user's line that created the node.
    pub(crate) fn at(&self) -> &'static Location<'static> {
        self.data.at
    }

    /// Returns true if both are the same output of the same layer.
    pub(crate) fn is_same(&self, other: &Node) -> bool {
        self.identity() == other.identity() && self.output == other.output
    }

    /// Returns a number that is equal for all outputs of a layer and their clones, and different
    /// for other nodes.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.data).addr()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let inputs: Vec<&str> = self.inputs().iter().map(Node::name).collect();
        write!(f, "{}({})", self.name(), inputs.join(", "))
    }
}

/// Returns all nodes that `outputs` depend on in topological order, one for each layer. The search
/// is iterative, because a recursive one would overflow the stack for a deep model.
pub(crate) fn topological_order<'n>(outputs: impl Iterator<Item = &'n Node>) -> Vec<Node> {
    let (mut done, mut order) = (HashSet::new(), Vec::new());
    for output in outputs {
        let mut open = vec![(output, 0)];
        while let Some((node, next)) = open.pop() {
            if done.contains(&node.identity()) {
                continue;
            }
            match node.inputs().get(next) {
                Some(input) => {
                    open.push((node, next + 1));
                    open.push((input, 0));
                }
                None => {
                    done.insert(node.identity());
                    order.push(node.clone());
                }
            }
        }
    }
    order
}
