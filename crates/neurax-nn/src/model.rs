//! Models: a graph of nodes with named inputs and outputs, applied as a pure function.
//!
//! The problem: a layer needs to know the shapes of its inputs to create its parameters, and the
//! parameters need names that do not depend on the order of construction. The method is symbolic
//! construction, as in the functional interface of Keras: the user connects [`Node`]s, which hold
//! no variables, and a [`Model`] is the part of this graph that its outputs depend on. To apply it
//! is to compute the nodes in topological order; to initialize it is to do the same on types, with
//! variables that are created where a layer asks for them.
//!
//! # Example
//!
//! ```text
//! x = input("x", [_, 3])       nodes      x, dense, dense_1, add
//! y = x.dense(2) + x.dense(2)  variables  params.dense.kernel, params.dense.bias,
//!                                         params.dense_1.kernel, params.dense_1.bias
//! ```
//!
//! # Invariants
//!
//! - A node that is used several times is computed once, and its variables exist once.
//! - The path of a node is its name, with a suffix `_1`, `_2`, .. if an earlier node in topological
//!   order has it; inside of a block, the path of the block is in front. Paths are unique, except
//!   for nodes that share their variables, and all variables and errors are named by them.
//! - Initial values and random keys depend on the path of a layer, not on the number of layers.
//! - Nothing fails while a model is built: its graph keeps the error, and the outputs of every
//!   application carry it.

use crate::cx::VariableSource;
use crate::evaluate::{Evaluation, Observer};
use crate::input_shapes::{InputSpec, check_input, dims_to_string, invalid, placeholder};
use crate::model_graph::ModelGraph;
use crate::node::{NodeKind, Shared};
use crate::{Applied, Inputs, Mode, Net, Node, Params, Vars};
use neurax_tensor::{Error, Key, Place, Recorder, Result, Tensor, Tree, TypeSpec};
use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::panic::Location;
use std::sync::Arc;

/// A function of (variables, inputs, mode) with named inputs and outputs. It holds no variables and
/// is cheap to clone.
///
/// Inputs without names are assigned in the order of [`Model::with_inputs`], or in that in which a
/// depth-first search from the outputs reaches them; with several inputs, pass them by name.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = (nn::input("a", dims![_, 2]), nn::input("b", dims![_, 3]));
/// let both = nn::concat([&a, &b], -1).dense(4).tanh();
/// let model = Model::new([("left", &both.dense(1)), ("right", &(&both * 2.0))]);
///
/// let vars = model.init(key(0), &types![f32[_, 2], f32[_, 3]])?;
/// let inputs = [("b", Tensor::ones([5, 3])), ("a", Tensor::ones([5, 2]))];
/// let out = model.apply(&vars, inputs, &Mode::Eval);
/// assert_eq!(out["left"].shape(), [5, 1]);
/// assert_eq!(out["right"].shape(), [5, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model(Arc<ModelGraph>);

impl Model {
    /// Creates a model from its outputs, pairs of a name and a node. Invalid outputs (none, or two
    /// of the same name) are reported when the model is initialized or applied.
    #[track_caller]
    pub fn new<S: Into<String>, N: Borrow<Node>>(
        outputs: impl IntoIterator<Item = (S, N)>,
    ) -> Model {
        let outputs = outputs.into_iter().map(|(name, n)| (name.into(), n.borrow().clone()));
        Model::of(outputs.collect(), caller_line())
    }

    /// Creates a model of these inputs, in this order, as Keras does. Inputs without names are
    /// assigned in it; an input that no output needs stays one.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (a, b) = (nn::input("a", dims![_, 2]), nn::input("b", dims![_, 2]));
    /// let difference = &b - &a;
    /// let model = Model::with_inputs([&a, &b], [("y", &difference)]);
    /// assert_eq!(model.inputs().collect::<Vec<_>>(), ["a", "b"]);
    /// let vars = model.init(key(0), &types![f32[_, 2], f32[_, 2]])?;
    /// let y = model.apply(&vars, [Tensor::zeros([1, 2]), Tensor::ones([1, 2])], &Mode::Eval);
    /// assert_eq!(y.y().to_vec::<f32>()?, [1.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn with_inputs<I: Borrow<Node>, S: Into<String>, N: Borrow<Node>>(
        inputs: impl IntoIterator<Item = I>,
        outputs: impl IntoIterator<Item = (S, N)>,
    ) -> Model {
        let inputs: Vec<Node> = inputs.into_iter().map(|n| n.borrow().clone()).collect();
        let outputs = outputs.into_iter().map(|(name, n)| (name.into(), n.borrow().clone()));
        Model(Arc::new(ModelGraph::of(None, &inputs, outputs.collect()).at(&caller_line())))
    }

    /// Creates a model from its outputs, called at the line `at`.
    pub(crate) fn of(outputs: Vec<(String, Node)>, at: Place) -> Model {
        Model(Arc::new(ModelGraph::of(None, &[], outputs).at(&at)))
    }

    /// Creates a model of a graph, called at the line `at`.
    pub(crate) fn of_graph(graph: ModelGraph, at: &Place) -> Model {
        Model(Arc::new(graph.at(at)))
    }

    /// Creates a changed version of this model, or of this block, for the call at `at`.
    pub(crate) fn with_nodes(
        &self,
        inputs: Vec<Node>,
        outputs: Vec<(String, Node)>,
        at: &Place,
    ) -> Model {
        let graph = ModelGraph::of(self.0.block.as_deref(), &inputs, outputs);
        Model(Arc::new(graph.at(at)))
    }

    /// Creates the model of a block with these arguments and outputs.
    #[track_caller]
    pub(crate) fn of_block(name: &str, arguments: &[Node], outputs: Vec<Node>) -> Model {
        let outputs = outputs.into_iter().enumerate().map(|(i, node)| (format!("y{i}"), node));
        let graph = ModelGraph::of(Some(name), arguments, outputs.collect());
        Model(Arc::new(graph.at(&caller_line())))
    }

    /// Creates the variables. An initial value depends only on the key, the path of its layer and
    /// its name, so it does not change if other layers are added or removed. `types` are those of
    /// the inputs in the model's order; `_` stands for any size.
    ///
    /// # Errors
    /// If the types do not fit the declared inputs, or a layer cannot be applied to its inputs; the
    /// message names the path of the layer.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("image", dims![_, 64]).dense(10).model();
    /// let vars = model.init(key(0), &types![f32[_, 64]])?;
    /// assert_eq!(vars.params["dense"]["kernel"].shape(), [64, 10]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn init(&self, key: Key, types: &[TypeSpec]) -> Result<Vars> {
        self.init_named(key, types.iter().map(|t| (None, t.clone())).collect())
    }

    /// Creates the variables as [`Model::init`] does, with the types of inputs by name, or in order
    /// for types without a name.
    ///
    /// # Errors
    /// As for [`Model::init`], and if no input has a given name.
    #[track_caller]
    pub fn init_named(&self, key: Key, types: Vec<(Option<String>, TypeSpec)>) -> Result<Vars> {
        let at = caller_line();
        self.try_init(&key, types, &at).map_err(|e| e.at(&at))
    }

    fn try_init(
        &self,
        key: &Key,
        types: Vec<(Option<String>, TypeSpec)>,
        at: &Place,
    ) -> Result<Vars> {
        let inputs = self.placeholders(&self.in_model_order(types)?)?;
        let (outputs, _, vars) = self.abstract_values(VariableSource::Key(key), inputs);
        self.collect(&outputs, Params::new()).located(at).ok()?;
        vars.ok()
    }

    /// Returns zeros of `types`, which are in the model's order, with the size 1 for `_`. Invalid
    /// sizes are errors of their tensors.
    ///
    /// # Errors
    /// If the types do not fit the declared inputs.
    pub(crate) fn placeholders(&self, types: &[TypeSpec]) -> Result<Vec<Tensor>> {
        let (mut sizes, mut named) = (HashMap::new(), HashMap::new());
        let inputs: Vec<Tensor> = types.iter().map(|t| placeholder(t, 1, &mut sizes)).collect();
        let valid = inputs
            .iter()
            .zip(types)
            .zip(self.inputs().zip(self.input_specs()))
            .filter(|((x, _), _)| x.error().is_none());
        for ((x, t), (name, spec)) in valid {
            check_input(name, spec, &x.ty()?, dims_to_string(&t.dims), &mut named)?;
        }
        Ok(inputs)
    }

    /// Applies the model: a pure function of tensors, which can be used inside of `grad`, `jit` and
    /// `vmap`. The outputs carry the errors.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let vars = model.init(key(0), &types![f32[_, 3]])?;
    /// let out = model.apply(&vars, Tensor::ones([4, 3]), &Mode::Eval);
    /// assert_eq!(out.y().shape(), [4, 2]);
    /// let wrong = model.apply(&vars, Tensor::ones([4, 5]), &Mode::Eval);
    /// let error = wrong.y().error().map(|e| e.message().to_string());
    /// assert_eq!(error.as_deref(), Some("input `x`: expected shape [_, 3], got [4, 5]"));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn apply(&self, vars: &Vars, inputs: impl Inputs, mode: &Mode) -> Applied {
        self.apply_with(&vars.params, &vars.state, inputs, mode)
    }

    /// Applies the model with separate parameters and state, to differentiate with respect to the
    /// parameters only.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let vars = model.init(key(0), &types![f32[_, 3]])?;
    /// let (x, t) = (Tensor::ones([4, 3]), Tensor::zeros([4, 2]));
    /// let (value, grads) = value_and_grad_at(&vars.params, |p| {
    ///     loss::mse(model.apply_with(&p, &vars.state, &x, &Mode::Eval).y(), &t)
    /// });
    /// assert_eq!(grads["dense"]["bias"].shape(), [2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn apply_with(
        &self,
        params: &Params,
        state: &Params,
        inputs: impl Inputs,
        mode: &Mode,
    ) -> Applied {
        self.apply_named(params, state, inputs.inputs(), mode, None, &caller_line())
    }

    /// Applies the model to inputs in the model's order, without a source line for errors that have
    /// none: [`Applied::located`] adds it.
    pub(crate) fn apply_in_order(
        &self,
        params: &Params,
        state: &Params,
        inputs: &[Tensor],
        mode: &Mode,
    ) -> Applied {
        let mut new = Vars { params: Params::new(), state: state.clone() };
        let source = VariableSource::Vars { params };
        let outputs = self.evaluate(source, inputs, mode, &mut new, None);
        self.collect(&outputs, new.state)
    }

    /// Applies the model to tensors, each with its name if it has one, for the call at `at`.
    pub(crate) fn apply_named(
        &self,
        params: &Params,
        state: &Params,
        inputs: Vec<(Option<String>, Tensor)>,
        mode: &Mode,
        observe: Observer,
        at: &Place,
    ) -> Applied {
        let mut new = Vars { params: Params::new(), state: state.clone() };
        let outputs = match self.in_model_order(inputs) {
            Ok(inputs) => {
                let source = VariableSource::Vars { params };
                self.evaluate(source, &inputs, mode, &mut new, observe)
            }
            Err(e) => return self.failed(&e, new.state, at),
        };
        self.collect(&outputs, new.state).located(at)
    }

    /// Binds the model to its variables.
    pub fn bind(&self, vars: Vars) -> Net {
        Net::new(self.clone(), vars)
    }

    /// Returns the paths of the inputs and layers in topological order. Those inside of a block are
    /// listed at its first call.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = nn::input("x", dims![_, 3]);
    /// let model = (x.dense(2) + x.dense(2)).model();
    /// assert_eq!(model.nodes().collect::<Vec<_>>(), ["x", "dense", "dense_1", "add"]);
    /// ```
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.0.paths.iter().map(String::as_str)
    }

    /// Returns the names of the inputs, in the order in which inputs without names are assigned.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.0.inputs.iter().map(|&i| self.0.nodes[i].node.name())
    }

    /// Returns the names of the outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.0.outputs.iter().map(|output| output.name.as_str())
    }

    /// Returns the declared types of the inputs in the model's order, `_` for any size.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let tokens = nn::typed_input("tokens", I32, dims![_, 8]);
    /// let types = tokens.embedding(50, 16).model().declared_types()?;
    /// assert_eq!(types[0].to_string(), "i32[_, 8]");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If an input has no declared dtype: [`input`](crate::input) takes any.
    pub fn declared_types(&self) -> Result<Vec<TypeSpec>> {
        let declared = |(name, spec): (&str, &InputSpec)| {
            let why = || {
                let use_instead = "declare it with `typed_input`, or name the types";
                invalid(format!("input `{name}` has no declared dtype; {use_instead}"))
            };
            let dtype = spec.dtype.ok_or_else(why)?;
            Ok(TypeSpec { dtype, dims: spec.dims.clone() })
        };
        self.inputs().zip(self.input_specs()).map(declared).collect()
    }

    /// Computes the outputs, and writes new variables to `new`. `observe` sees the values of every
    /// layer and input.
    pub(crate) fn evaluate(
        &self,
        source: VariableSource,
        inputs: &[Tensor],
        mode: &Mode,
        new: &mut Vars,
        observe: Observer,
    ) -> Vec<Tensor> {
        let recorder = match source {
            VariableSource::Key(_) | VariableSource::Types => Recorder::of(inputs),
            VariableSource::Vars { params } => {
                Recorder::of(inputs.iter().chain(params.values().flat_map(BTreeMap::values)))
            }
        };
        Evaluation::new(source, recorder, new, observe).outputs(&self.0, "", inputs, mode)
    }

    /// Collects the outputs.
    fn collect(&self, values: &[Tensor], state: Params) -> Applied {
        let outputs = self.outputs().zip(values);
        let mut outputs: BTreeMap<String, Tensor> =
            outputs.map(|(name, y)| (name.into(), y.clone())).collect();
        let first = self.outputs().next().unwrap_or("y").to_string();
        if let Some(e) = &self.0.error {
            outputs.insert(first.clone(), Tensor::from_error(e.clone()));
        }
        Applied::new(outputs, state, first)
    }

    /// Returns a result whose outputs carry an error, for the call at `at`.
    pub(crate) fn failed(&self, e: &Error, state: Params, at: &Place) -> Applied {
        let outputs = vec![Tensor::from_error(e.clone().at(at)); self.0.outputs.len()];
        self.collect(&outputs, state)
    }

    /// Returns true if both are clones of one model.
    pub(crate) fn is_same(&self, other: &Model) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Sorts the inputs, or their types, into the model's order.
    pub(crate) fn in_model_order<T: Clone>(
        &self,
        given: Vec<(Option<String>, T)>,
    ) -> Result<Vec<T>> {
        let names: Vec<&str> = self.inputs().collect();
        let expected = names.join(", ");
        let count = given.len();
        let mut sorted: Vec<Option<T>> = vec![None; names.len()];
        for (i, (name, x)) in given.into_iter().enumerate() {
            let index = match &name {
                Some(n) => names.iter().position(|m| m == n).ok_or_else(|| {
                    invalid(format!("expected one of the inputs {expected}, got `{n}`"))
                })?,
                None if i < names.len() => i,
                None => {
                    let want = format!("expected {} inputs ({expected})", names.len());
                    return Err(invalid(format!("{want}, got {count}")));
                }
            };
            if sorted[index].replace(x).is_some() {
                return Err(invalid(format!("got input `{}` twice", names[index])));
            }
        }
        let missing = |i: usize| {
            invalid(format!("missing input `{}`; expected the inputs {expected}", names[i]))
        };
        sorted.into_iter().enumerate().map(|(i, x)| x.ok_or_else(|| missing(i))).collect()
    }

    /// Returns the declared types of the inputs.
    pub(crate) fn input_specs(&self) -> impl Iterator<Item = &InputSpec> {
        let spec = |&i: &usize| match self.0.nodes[i].node.kind() {
            NodeKind::Input(spec) => Some(spec),
            NodeKind::Argument | NodeKind::Layer(_) | NodeKind::Block(_) => None,
        };
        self.0.inputs.iter().filter_map(spec)
    }

    /// Returns the owner of the variables of all calls of this model.
    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    pub(crate) fn graph(&self) -> &ModelGraph {
        &self.0
    }
}

/// Returns the source line of the caller.
#[track_caller]
fn caller_line() -> Place {
    Place::from(Location::caller())
}

impl From<&Node> for Model {
    fn from(n: &Node) -> Model {
        Model::new([("y", n)])
    }
}

impl From<Node> for Model {
    fn from(n: Node) -> Model {
        Model::from(&n)
    }
}

impl From<&Model> for Model {
    fn from(m: &Model) -> Model {
        m.clone()
    }
}

/// A node can be used as the model with this node as its only output, `y`.
impl Node {
    /// Creates the variables: see [`Model::init`].
    ///
    /// # Errors
    /// As for [`Model::init`].
    #[track_caller]
    pub fn init(&self, key: Key, types: &[TypeSpec]) -> Result<Vars> {
        self.model().init(key, types)
    }

    /// Applies the model: see [`Model::apply`].
    #[track_caller]
    pub fn apply(&self, vars: &Vars, inputs: impl Inputs, mode: &Mode) -> Applied {
        self.model().apply(vars, inputs, mode)
    }

    /// Applies the model with separate parameters and state: see [`Model::apply_with`].
    #[track_caller]
    pub fn apply_with(
        &self,
        params: &Params,
        state: &Params,
        inputs: impl Inputs,
        mode: &Mode,
    ) -> Applied {
        self.model().apply_with(params, state, inputs, mode)
    }

    /// Binds the model to its variables: see [`Model::bind`].
    pub fn bind(&self, vars: Vars) -> Net {
        self.model().bind(vars)
    }

    /// Returns a table of the layers: see [`Model::summary`].
    pub fn summary(&self) -> String {
        self.model().summary()
    }
}
