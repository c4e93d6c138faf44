//! The graph of layers: nodes, and how they are put together.

use crate::{Cx, Model, layers};
use neurax_tensor::{Dim, Error, IntoShape, Scalar, Tensor};
use std::borrow::Borrow;
use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::panic::Location;
use std::sync::Arc;

/// A place in a model: an input, or a layer applied to other nodes. Cheap to clone; nodes are
/// combined with methods, operators and functions, and a [`Model`] is made of those that matter
/// outside.
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
pub struct Node(Arc<Inner>);

struct Inner {
    name: String,
    inputs: Vec<Node>,
    kind: Kind,
    at: &'static Location<'static>,
}

/// A loop, not a recursion: models may be deeper than the stack.
impl Drop for Inner {
    fn drop(&mut self) {
        let mut open = std::mem::take(&mut self.inputs);
        while let Some(node) = open.pop() {
            if let Some(mut inner) = Arc::into_inner(node.0) {
                open.append(&mut inner.inputs);
            }
        }
    }
}

/// What a node does.
#[derive(Clone)]
pub(crate) enum Kind {
    /// Takes the input of that name and these sizes.
    Input(Vec<Dim>),
    /// Computes.
    Layer(Arc<Function>),
}

type Function = dyn Fn(&mut Cx, &[Tensor]) -> Tensor + Send + Sync;

/// A declared layer: a struct of options that is a function of its `N` inputs and a [`Cx`].
///
/// Layers of the library are in files of [`crate::layers`]; a function of one's own needs no
/// struct, see [`layer()`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer",
    note = "a layer implements `Layer`; a function becomes one with nn::layer(\"name\", [inputs], |cx, [x]| ..)"
)]
pub trait Layer<const N: usize = 1>: Send + Sync + 'static {
    /// What it is called in paths; a second layer of the name gets `_1`, and so on.
    fn name(&self) -> String;

    /// The output.
    fn apply(&self, cx: &mut Cx, inputs: [Tensor; N]) -> Tensor;
}

/// An input of a model: its name, and the sizes of its axes, `_` or a name where any size will do.
/// Axes of one name have one size.
///
/// ```
/// use neurax::prelude::*;
/// let image = nn::input("image", dims![_, 8, 8, 1]);
/// let tokens = nn::input("tokens", dims!["batch", "length"]);
/// ```
#[track_caller]
pub fn input(name: &str, dims: impl IntoShape) -> Node {
    Node::make(name.into(), Vec::new(), Kind::Input(dims.dims()))
}

/// A layer that is a function: it asks `cx` for parameters and state, and knows the shapes of its
/// inputs.
///
/// ```
/// use neurax::prelude::*;
/// fn scale(x: Node) -> Node {
///     nn::layer("scale", [x], |cx, [x]| {
///         let gain = cx.param("gain", x.dim(-1), init::ones());
///         x * gain
///     })
/// }
/// let model = nn::input("x", dims![_, 3]).dense(2).then(scale);
/// let vars = model.init(key(0), &types![f32[_, 3]])?;
/// assert_eq!(vars.params["scale"]["gain"].to_vec::<f32>()?, [1.0, 1.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn layer<const N: usize>(
    name: &str,
    inputs: [impl Borrow<Node>; N],
    f: impl Fn(&mut Cx, [Tensor; N]) -> Tensor + Send + Sync + 'static,
) -> Node {
    let inputs = inputs.iter().map(|n| n.borrow().clone()).collect();
    let function = move |cx: &mut Cx, xs: &[Tensor]| match xs.to_vec().try_into() {
        Ok(xs) => f(cx, xs),
        Err(_) => Tensor::from_error(Error::new(
            "layer",
            format!("{} inputs for a layer of {N}", xs.len()),
        )),
    };
    Node::make(name.into(), inputs, Kind::Layer(Arc::new(function)))
}

/// Puts nodes together along an axis: see [`layers::concat`].
#[track_caller]
pub fn concat<N: Borrow<Node>>(nodes: impl IntoIterator<Item = N>, axis: i64) -> Node {
    let inputs = nodes.into_iter().map(|n| n.borrow().clone()).collect();
    Node::make(
        "concat".into(),
        inputs,
        Kind::Layer(Arc::new(move |_, xs| layers::concat(xs, axis))),
    )
}

impl Node {
    #[track_caller]
    fn make(name: String, inputs: Vec<Node>, kind: Kind) -> Node {
        Node(Arc::new(Inner { name, inputs, kind, at: Location::caller() }))
    }

    /// A declared layer on this node.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = nn::input("x", dims![_, 4]).layer(Dense::new(2).bias(false).name("head"));
    /// ```
    #[track_caller]
    pub fn layer(&self, l: impl Layer) -> Node {
        let name = Layer::name(&l);
        layer(&name, [self], move |cx, xs| l.apply(cx, xs))
    }

    /// This node under another name. Parameters go by the name, so the old name has no part in the
    /// model.
    #[track_caller]
    pub fn named(&self, name: &str) -> Node {
        Node::make(name.into(), self.0.inputs.clone(), self.0.kind.clone())
    }

    /// A function of nodes, written where it happens: `x.dense(4).then(block).dense(2)`.
    pub fn then(&self, f: impl FnOnce(Node) -> Node) -> Node {
        f(self.clone())
    }

    /// The model whose one output, `y`, is this node.
    pub fn model(&self) -> Model {
        Model::from(self)
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn inputs(&self) -> &[Node] {
        &self.0.inputs
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// Where the user wrote it.
    pub(crate) fn at(&self) -> &'static Location<'static> {
        self.0.at
    }

    /// Two handles of one node have one identity.
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

/// The right operand of an operator on nodes: another node, a tensor, or a number.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an operand of a node",
    note = "operands are Node, &Node, Tensor and Rust numbers"
)]
pub trait NodeOperand {
    /// `node` and this operand in one new node.
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
            fn combine(self, node: &Node, name: &'static str, f: fn(&Tensor, &Tensor) -> Tensor) -> Node {
                let number = Scalar::from(self);
                layer(name, [node], move |_, [a]| f(&a, &Tensor::scalar(number.dtype_beside(a.dtype()), number)))
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
