//! Layers as users write them: the trait, its outputs, and closures.

use crate::layer_precision::LayerPrecision;
use crate::model_layer::{MaskRule, ModelLayer, TakeMask};
use crate::node::{NodeKind, Shared};
use crate::sequence_mask::MaskedCall;
use crate::{Cx, Node};
use neurax_tensor::{Error, Tensor};
use std::borrow::Borrow;
use std::sync::Arc;

/// A layer with options: a struct that computes its outputs from `N` inputs and a [`Cx`].
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
///     type Output = Tensor;
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

    /// The precision in which the layer computes under a [`Policy`](crate::Policy); by default that
    /// of the policy.
    const PRECISION: LayerPrecision = LayerPrecision::OfPolicy;

    /// The outputs: a tensor, or several; see [`LayerOutput`].
    type Output: LayerOutput;

    /// Returns the name of the kind of layer: [`Layer::NAME`], unless the layer is one of several,
    /// such as an activation.
    fn kind(&self) -> &str {
        Self::NAME
    }

    /// Returns the precision in which the layer computes: [`Layer::PRECISION`], unless the layer is
    /// one of several, such as an activation.
    fn precision(&self) -> LayerPrecision {
        Self::PRECISION
    }

    /// Returns what the layer does with the masks that its inputs carry; by default it drops them.
    fn mask_rule(&self) -> MaskRule {
        MaskRule::Drop
    }

    /// Computes the outputs. `cx` provides parameters, state, random keys and the mode.
    fn apply(&self, cx: &mut Cx, inputs: [Tensor; N]) -> Self::Output;

    /// Applies the layer to nodes: `Bilinear::new(4).call([&a, &b])`. For a layer of one input, see
    /// [`Node::layer`].
    #[track_caller]
    fn call(self, inputs: [impl Borrow<Node>; N]) -> NodesOf<Self::Output>
    where
        Self: Sized,
    {
        call_shared(Arc::new(self), inputs, Self::NAME, None)
    }
}

/// The nodes of a layer's outputs, in the same structure.
pub type NodesOf<O> = <O as LayerOutput>::Nodes;

/// The outputs of a layer: a tensor, or an array, tuple or struct of outputs. The node method
/// returns nodes in the same structure.
///
/// ```
/// use neurax::prelude::*;
/// struct MeanAndMax;
///
/// impl nn::Layer for MeanAndMax {
///     const NAME: &'static str = "mean_and_max";
///     type Output = (Tensor, Tensor);
///
///     fn apply(&self, _: &mut nn::Cx, [x]: [Tensor; 1]) -> (Tensor, Tensor) {
///         (x.mean(-1), x.max(-1))
///     }
/// }
///
/// let (mean, max) = nn::input("x", dims![_, 3]).layer(MeanAndMax);
/// let out = (max - mean).apply(&Vars::default(), tensor([[1.0, 2.0, 6.0]]), &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [3.0]);
/// # Ok::<(), Error>(())
/// ```
///
/// A struct has one type parameter, so that it holds tensors in the layer and nodes in the model:
///
/// ```
/// use neurax::prelude::*;
/// #[derive(Tree, nn::LayerOutput)]
/// struct Range<T> {
///     min: T,
///     max: T,
/// }
///
/// let x = nn::input("x", dims![_, 3]);
/// let range = nn::layer("range", [x], |_, [x]| Range { min: x.min(-1), max: x.max(-1) });
/// let width = range.max - range.min;
/// let out = width.apply(&Vars::default(), tensor([[1.0, 2.0, 6.0]]), &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [5.0]);
/// # Ok::<(), Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the output of a layer",
    note = "outputs are Tensor, arrays and tuples of outputs, and structs with \
            #[derive(nn::LayerOutput)]"
)]
pub trait LayerOutput {
    /// The same structure with a node for each tensor.
    type Nodes;

    /// Returns the number of tensors.
    fn count() -> usize;

    /// Adds the tensors to `to`, in order.
    fn append_to(self, to: &mut Vec<Tensor>);

    /// Creates the structure from nodes, in order: `next` returns one after the other.
    fn nodes(next: &mut dyn FnMut() -> Node) -> Self::Nodes;
}

impl LayerOutput for Tensor {
    type Nodes = Node;

    fn count() -> usize {
        1
    }

    fn append_to(self, to: &mut Vec<Tensor>) {
        to.push(self);
    }

    fn nodes(next: &mut dyn FnMut() -> Node) -> Node {
        next()
    }
}

impl<O: LayerOutput, const N: usize> LayerOutput for [O; N] {
    type Nodes = [O::Nodes; N];

    fn count() -> usize {
        N * O::count()
    }

    fn append_to(self, to: &mut Vec<Tensor>) {
        self.into_iter().for_each(|o| o.append_to(to));
    }

    fn nodes(next: &mut dyn FnMut() -> Node) -> [O::Nodes; N] {
        std::array::from_fn(|_| O::nodes(next))
    }
}

macro_rules! tuples {
    ($(($($O:ident $i:tt),*))*) => {$(
        impl<$($O: LayerOutput),*> LayerOutput for ($($O,)*) {
            type Nodes = ($($O::Nodes,)*);

            fn count() -> usize {
                0 $(+ $O::count())*
            }

            fn append_to(self, to: &mut Vec<Tensor>) {
                $(self.$i.append_to(to);)*
            }

            fn nodes(next: &mut dyn FnMut() -> Node) -> Self::Nodes {
                ($($O::nodes(next),)*)
            }
        }
    )*};
}
tuples!((A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3));

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
pub fn layer<const N: usize, O: LayerOutput>(
    name: &str,
    inputs: [impl Borrow<Node>; N],
    f: impl Fn(&mut Cx, [Tensor; N]) -> O + Send + Sync + 'static,
) -> NodesOf<O> {
    let f = move |cx: &mut Cx, xs: &[Tensor]| with_inputs(xs, |xs| f(cx, xs));
    let inputs = inputs.iter().map(|n| n.borrow().clone()).collect();
    outputs_of::<O>(name, inputs, Arc::new(Closure { kind: name.into(), f }), None)
}

/// Creates the nodes of the `outputs` outputs of a layer whose numbers of inputs and outputs are
/// known at run time, such as that of a model in a file. `path` is its path in every model, and
/// that of its variables: no other layer may have it. `f` returns at least `outputs` tensors.
///
/// ```
/// use neurax::prelude::*;
/// let x = nn::input("x", dims![_, 3]);
/// let nodes = nn::dynamic_layer("min_and_max", [&x], 2, |_, xs| {
///     xs.first().map_or(vec![], |x| vec![x.min(-1), x.max(-1)])
/// });
/// let model = Model::new([("min", &nodes[0]), ("max", &nodes[1])]);
/// let out = model.apply(&Vars::default(), tensor([[1.0, 2.0, 6.0]]), &Mode::Eval);
/// assert_eq!(out["max"].to_vec::<f32>()?, [6.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn dynamic_layer(
    path: &str,
    inputs: impl IntoIterator<Item = impl Borrow<Node>>,
    outputs: usize,
    f: impl Fn(&mut Cx, &[Tensor]) -> Vec<Tensor> + Send + Sync + 'static,
) -> Vec<Node> {
    let f = move |cx: &mut Cx, xs: &[Tensor]| {
        let (mut ys, want) = (f(cx, xs), outputs);
        let got = ys.len();
        let missing = || Error::new("layer", format!("expected {want} outputs, got {got}"));
        ys.resize_with(want, || Tensor::from_error(missing()));
        ys
    };
    let kind = NodeKind::Layer(Arc::new(Closure { kind: path.into(), f }));
    let inputs = inputs.into_iter().map(|n| n.borrow().clone()).collect();
    let first = Node::loaded(path, inputs, kind, outputs, None);
    (0..outputs).map(|i| first.sibling(i)).collect()
}

/// Applies a layer that several nodes may share: those of the same owner `shared` have the same
/// variables.
#[track_caller]
pub(crate) fn call_shared<L: Layer<N>, const N: usize>(
    layer: Arc<L>,
    inputs: [impl Borrow<Node>; N],
    name: &str,
    shared: Option<Shared>,
) -> NodesOf<L::Output> {
    let inputs = inputs.iter().map(|n| n.borrow().clone()).collect();
    outputs_of::<L::Output>(name, inputs, Arc::new(OfInputs(layer)), shared)
}

/// Creates the nodes of the outputs of a layer.
#[track_caller]
pub(crate) fn outputs_of<O: LayerOutput>(
    name: &str,
    inputs: Vec<Node>,
    layer: Arc<dyn ModelLayer>,
    shared: Option<Shared>,
) -> NodesOf<O> {
    let masked = MaskedCall::new(layer, inputs);
    let (kind, inputs) = (NodeKind::Layer(masked.layer.clone()), masked.inputs.clone());
    let first = Node::first_output(name, inputs, kind, O::count(), shared);
    structured_with::<O>(|i| first.sibling(i).carrying(masked.mask_of(i)))
}

/// Returns the nodes of all outputs of the layer with the output `first`, in the structure of `O`.
pub(crate) fn structured<O: LayerOutput>(first: &Node) -> NodesOf<O> {
    structured_with::<O>(|i| first.sibling(i))
}

/// Returns the structure of `O` with the nodes that `output` returns for the indices of outputs.
fn structured_with<O: LayerOutput>(output: impl Fn(usize) -> Node) -> NodesOf<O> {
    let mut index = 0;
    O::nodes(&mut || {
        index += 1;
        output(index - 1)
    })
}

impl Node {
    /// Applies a layer to this node. The new node has the layer's [`NAME`](Layer::NAME);
    /// [`Node::named`] renames it.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = nn::input("x", dims![_, 4]).layer(Dense::new(2).bias(false)).named("head");
    /// ```
    #[track_caller]
    pub fn layer<L: Layer>(&self, l: L) -> NodesOf<L::Output> {
        l.call([self])
    }
}

impl TakeMask {
    /// Creates the replacement by `layer`, whose input 1 is the mask of its input 0. The first
    /// output carries the mask, too.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// /// The last step that is not padding.
    /// struct Last;
    ///
    /// impl nn::Layer for Last {
    ///     const NAME: &'static str = "last";
    ///     type Output = Tensor;
    ///
    ///     fn mask_rule(&self) -> nn::MaskRule {
    ///         nn::MaskRule::Take(nn::TakeMask::new::<_, 2>(Last).outputs(0))
    ///     }
    ///
    ///     fn apply(&self, _: &mut nn::Cx, [x]: [Tensor; 1]) -> Tensor {
    ///         x.slice(1, -1..).squeeze(1)
    ///     }
    /// }
    ///
    /// impl nn::Layer<2> for Last {
    ///     const NAME: &'static str = "last";
    ///     type Output = Tensor;
    ///
    ///     fn apply(&self, _: &mut nn::Cx, [x, mask]: [Tensor; 2]) -> Tensor {
    ///         let last = mask.to(I32).sum(1) - 1;
    ///         x.take_along_axis(&last.expand_dims(-1).expand_dims(-1), 1).squeeze(1)
    ///     }
    /// }
    ///
    /// let (x, mask) = (nn::input("x", dims![_, _, 1]), nn::input("mask", dims![_, _]));
    /// let model = x.with_mask(&mask).relu().layer(Last).model();
    /// let inputs = [tensor([[[1.0], [2.0], [0.0]]]), tensor([[true, true, false]])];
    /// let out = model.apply(&Vars::default(), inputs, &Mode::Eval);
    /// assert_eq!(out.y().to_vec::<f32>()?, [2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new<L: Layer<N>, const N: usize>(layer: L) -> TakeMask {
        TakeMask { layer: Arc::new(OfInputs(Arc::new(layer))), source: 0, outputs: 1, position: 1 }
    }

    /// Creates the replacement of a layer of `n` inputs by one of `n + 1`; `None` if `n` is 0 or
    /// above 5.
    pub(crate) fn of<L>(layer: L, n: usize) -> Option<TakeMask>
    where
        L: Layer<2> + Layer<3> + Layer<4> + Layer<5> + Layer<6>,
    {
        Some(match n {
            1 => TakeMask::new::<L, 2>(layer),
            2 => TakeMask::new::<L, 3>(layer),
            3 => TakeMask::new::<L, 4>(layer),
            4 => TakeMask::new::<L, 5>(layer),
            5 => TakeMask::new::<L, 6>(layer),
            _ => return None,
        })
    }

    /// Sets the input whose mask is taken, which is input 0 by default, and the position of the
    /// mask among the inputs of the replacement, 1 by default; a position behind all inputs is the
    /// last one. If there is no such input, or if it carries no mask, the layer is not replaced.
    pub fn from_input(self, source: usize, position: usize) -> TakeMask {
        TakeMask { source, position, ..self }
    }

    /// Sets the number of outputs that carry the mask of input 0, which is 1 by default: 0 if the
    /// outputs have no steps.
    pub fn outputs(self, outputs: usize) -> TakeMask {
        TakeMask { outputs, ..self }
    }
}

/// A [`Layer`] with `N` inputs.
pub(crate) struct OfInputs<L, const N: usize>(pub(crate) Arc<L>);

impl<L: Layer<N>, const N: usize> ModelLayer for OfInputs<L, N> {
    fn kind(&self) -> &str {
        self.0.kind()
    }

    fn precision(&self) -> LayerPrecision {
        self.0.precision()
    }

    fn mask_rule(&self) -> MaskRule {
        self.0.mask_rule()
    }

    fn apply(&self, cx: &mut Cx, inputs: &[Tensor]) -> Vec<Tensor> {
        with_inputs(inputs, |xs| self.0.apply(cx, xs))
    }
}

/// A layer that a closure computes.
pub(crate) struct Closure<F> {
    pub(crate) kind: String,
    pub(crate) f: F,
}

impl<F> ModelLayer for Closure<F>
where
    F: Fn(&mut Cx, &[Tensor]) -> Vec<Tensor> + Send + Sync + 'static,
{
    fn kind(&self) -> &str {
        &self.kind
    }

    fn apply(&self, cx: &mut Cx, inputs: &[Tensor]) -> Vec<Tensor> {
        (self.f)(cx, inputs)
    }
}

/// Calls `f` with `N` inputs and returns its outputs in a list, or errors if there are not `N`.
pub(crate) fn with_inputs<const N: usize, O: LayerOutput>(
    inputs: &[Tensor],
    f: impl FnOnce([Tensor; N]) -> O,
) -> Vec<Tensor> {
    let Ok(xs) = <[Tensor; N]>::try_from(inputs.to_vec()) else {
        let why = format!("expected {N} inputs, got {}", inputs.len());
        return vec![Tensor::from_error(Error::new("layer", why)); O::count()];
    };
    let mut outputs = Vec::with_capacity(O::count());
    f(xs).append_to(&mut outputs);
    outputs
}
