//! The graph of layers: nodes and the ways to combine them.

use crate::input_shapes::InputSpec;
use crate::{Cx, Model};
use neurax_tensor::{DType, Error, IntoShape, Scalar, Tensor};
use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::panic::Location;
use std::sync::Arc;

/// A node of a model's graph: an input, or a layer applied to other nodes. Cheap to clone. Nodes
/// are combined with methods, operators and functions; a [`Model`] is created from its output
/// nodes.
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
pub struct Node(Arc<NodeData>);

struct NodeData {
    name: String,
    inputs: Vec<Node>,
    kind: NodeKind,
    /// The user's line that created the node.
    at: &'static Location<'static>,
}

/// Drops the inputs in a loop instead of recursively: a deep model would overflow the stack.
impl Drop for NodeData {
    fn drop(&mut self) {
        let mut open = std::mem::take(&mut self.inputs);
        while let Some(node) = open.pop() {
            if let Some(mut data) = Arc::into_inner(node.0) {
                open.append(&mut data.inputs);
            }
        }
    }
}

/// The kind of a node.
#[derive(Clone)]
pub(crate) enum NodeKind {
    /// An input of the model.
    Input(InputSpec),
    /// A layer.
    Layer(Arc<LayerFn>),
}

type LayerFn = dyn Fn(&mut Cx, &[Tensor]) -> Tensor + Send + Sync;

/// A layer with options: a struct that computes one tensor from `N` inputs and a [`Cx`].
///
/// The layers of the library are in [`crate::layers`], which states the rules for axes, names and
/// precision. A custom layer without options needs no struct: see [`layer()`].
///
/// ```
/// use neurax::prelude::*;
/// struct Shift(f64);
///
/// impl nn::Layer for Shift {
///     const NAME: &'static str = "shift";
///
///     fn apply(&self, _: &mut nn::Cx, [x]: [Tensor; 1]) -> Tensor {
///         x + self.0
///     }
/// }
///
/// let shifted = nn::input("x", dims![_]).layer(Shift(1.0));
/// let model = shifted.layer(Shift(2.0)).named("second").model();
/// assert_eq!(model.nodes().collect::<Vec<_>>(), ["x", "shift", "second"]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer",
    note = "implement `Layer`, or use a closure: nn::layer(\"name\", [inputs], |cx, [x]| ..)"
)]
pub trait Layer<const N: usize = 1>: Send + Sync + 'static {
    /// The name of the layer in paths, in `snake_case`; [`Node::named`] changes it for one node. A
    /// second layer of the same name in a model gets the suffix `_1`, and so on.
    const NAME: &'static str;

    /// Computes the output. `cx` provides parameters, state, random keys and the mode.
    fn apply(&self, cx: &mut Cx, inputs: [Tensor; N]) -> Tensor;
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
    Node::make(
        name.into(),
        Vec::new(),
        NodeKind::Input(InputSpec { dims: dims.dims(), dtype: None }),
    )
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
/// layer   output         parameters
/// ---------------------------------
/// tokens  i32[_, 8]               0
/// embed   f32[_, 8, 16]       1,600
/// ---------------------------------
/// total                       1,600
/// ");
/// ```
#[track_caller]
pub fn typed_input(name: &str, dtype: DType, dims: impl IntoShape) -> Node {
    let spec = InputSpec { dims: dims.dims(), dtype: Some(dtype) };
    Node::make(name.into(), Vec::new(), NodeKind::Input(spec))
}

/// Creates a node of the layer `f`, a closure that gets its parameters and state from `cx`. Inside
/// of it, the shapes of the inputs are known.
///
/// ```
/// use neurax::prelude::*;
/// fn rescale(x: Node) -> Node {
///     nn::layer("rescale", [x], |cx, [x]| {
///         let scale = cx.param("scale", x.dim(-1), init::ones());
///         x * scale
///     })
/// }
/// let model = nn::input("x", dims![_, 3]).dense(2).then(rescale);
/// let vars = model.init(key(0), &types![f32[_, 3]])?;
/// assert_eq!(vars.params["rescale"]["scale"].to_vec::<f32>()?, [1.0, 1.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn layer<const N: usize>(
    name: &str,
    inputs: [impl Borrow<Node>; N],
    f: impl Fn(&mut Cx, [Tensor; N]) -> Tensor + Send + Sync + 'static,
) -> Node {
    let inputs = inputs.iter().map(|n| n.borrow().clone()).collect();
    Node::computed(name, inputs, move |cx, xs| match xs.to_vec().try_into() {
        Ok(xs) => f(cx, xs),
        Err(_) => Tensor::from_error(Error::new(
            "layer",
            format!("expected {N} inputs, got {}", xs.len()),
        )),
    })
}

impl Node {
    #[track_caller]
    fn make(name: String, inputs: Vec<Node>, kind: NodeKind) -> Node {
        Node(Arc::new(NodeData { name, inputs, kind, at: Location::caller() }))
    }

    /// Creates a node that computes `f` of any number of inputs.
    #[track_caller]
    pub(crate) fn computed(
        name: &str,
        inputs: Vec<Node>,
        f: impl Fn(&mut Cx, &[Tensor]) -> Tensor + Send + Sync + 'static,
    ) -> Node {
        Node::make(name.into(), inputs, NodeKind::Layer(Arc::new(f)))
    }

    /// Applies a layer to this node. The new node has the layer's [`NAME`](Layer::NAME);
    /// [`Node::named`] renames it.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = nn::input("x", dims![_, 4]).layer(Dense::new(2).bias(false)).named("head");
    /// ```
    #[track_caller]
    pub fn layer<L: Layer>(&self, l: L) -> Node {
        layer(L::NAME, [self], move |cx, xs| l.apply(cx, xs))
    }

    /// Renames this node, and with it the path of its variables: `x.dense(2).named("head")` has its
    /// kernel at `params.head.kernel`. The result is a new node; `self` keeps its name.
    #[track_caller]
    pub fn named(&self, name: &str) -> Node {
        Node::make(name.into(), self.0.inputs.clone(), self.0.kind.clone())
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
        &self.0.name
    }

    pub(crate) fn inputs(&self) -> &[Node] {
        &self.0.inputs
    }

    pub(crate) fn kind(&self) -> &NodeKind {
        &self.0.kind
    }

    /// Returns the user's line that created the node.
    pub(crate) fn at(&self) -> &'static Location<'static> {
        self.0.at
    }

    /// Returns a number that is equal for all clones of a node and different for other nodes.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let inputs: Vec<&str> = self.0.inputs.iter().map(Node::name).collect();
        write!(f, "{}({})", self.0.name, inputs.join(", "))
    }
}

/// Returns all nodes that `outputs` depend on in topological order. The search is iterative,
/// because a recursive one would overflow the stack for a deep model.
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

/// The right operand of an operator on nodes: a node, a tensor, or a number.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an operand of a node",
    note = "operands are Node, &Node, Tensor and Rust numbers"
)]
pub trait NodeOperand {
    /// Creates a node that computes `f` of `node` and this operand.
    #[track_caller]
    fn combine(self, node: &Node, name: &'static str, f: fn(&Tensor, &Tensor) -> Tensor) -> Node;
}

impl NodeOperand for &Node {
    #[track_caller]
    fn combine(self, node: &Node, name: &'static str, f: fn(&Tensor, &Tensor) -> Tensor) -> Node {
        layer(name, [node, self], move |_, [a, b]| f(&a, &b))
    }
}

impl NodeOperand for Node {
    #[track_caller]
    fn combine(self, node: &Node, name: &'static str, f: fn(&Tensor, &Tensor) -> Tensor) -> Node {
        (&self).combine(node, name, f)
    }
}

impl NodeOperand for Tensor {
    #[track_caller]
    fn combine(self, node: &Node, name: &'static str, f: fn(&Tensor, &Tensor) -> Tensor) -> Node {
        layer(name, [node], move |_, [a]| f(&a, &self))
    }
}

macro_rules! numbers {
    ($($t:ty),*) => {$(
        impl NodeOperand for $t {
            #[track_caller]
            fn combine(
                self,
                node: &Node,
                name: &'static str,
                f: fn(&Tensor, &Tensor) -> Tensor,
            ) -> Node {
                let number = Scalar::from(self);
                layer(name, [node], move |_, [a]| {
                    // Integers are divided as floats, which hold every divisor.
                    let is_quotient = name == "divide" && !a.dtype().is_differentiable();
                    let a = match number {
                        Scalar::Int(_) | Scalar::Bool(_) if is_quotient => a.to(DType::F32),
                        _ => a,
                    };
                    let dtype = if is_quotient { DType::F32 } else { number.dtype_with(a.dtype()) };
                    f(&a, &Tensor::scalar(dtype, number))
                })
            }
        }
    )*};
}
numbers!(f32, f64, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

macro_rules! operators {
    ($($Op:ident $f:ident $name:literal $sign:tt),*) => {$(
        impl<R: NodeOperand> $Op<R> for Node {
            type Output = Node;
            #[track_caller]
            fn $f(self, right: R) -> Node { right.combine(&self, $name, |a, b| a $sign b) }
        }
        impl<R: NodeOperand> $Op<R> for &Node {
            type Output = Node;
            #[track_caller]
            fn $f(self, right: R) -> Node { right.combine(self, $name, |a, b| a $sign b) }
        }
        operators!(@left $Op $f $name $sign; (f64, Node) (f64, &Node) (i64, Node) (i64, &Node));
    )*};
    (@left $Op:ident $f:ident $name:literal $sign:tt; $(($L:ty, $R:ty))*) => {$(
        impl $Op<$R> for $L {
            type Output = Node;
            #[track_caller]
            fn $f(self, right: $R) -> Node { self.combine(&right.clone(), $name, |a, b| b $sign a) }
        }
    )*};
}
operators!(Add add "add" +, Sub sub "subtract" -, Mul mul "multiply" *, Div div "divide" /);

impl Neg for &Node {
    type Output = Node;
    #[track_caller]
    fn neg(self) -> Node {
        layer("negate", [self], |_, [x]| -x)
    }
}

impl Neg for Node {
    type Output = Node;
    #[track_caller]
    fn neg(self) -> Node {
        -&self
    }
}
