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
//!   order has it. Paths are unique, and all variables and errors are named by them.
//! - Initial values and random keys depend on the path of a layer, not on the number of layers.
//! - Nothing fails while a model is built: [`ModelGraph::error`] keeps the error, and the outputs
//!   of every application carry it.

use crate::cx::{Cx, VariableSource};
use crate::input_shapes::{
    InputSpec, check_input, checked_input, dims_to_string, invalid, placeholder,
};
use crate::node::{NodeKind, topological_order};
use crate::{Applied, Inputs, Mode, Net, Node, Params, Vars};
use neurax_tensor::ir::OrBug;
use neurax_tensor::{Error, Key, Place, Recorder, Result, Tensor, Tree, TypeSpec, eval_shape};
use std::borrow::Borrow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::Location;
use std::sync::Arc;

/// A function of (variables, inputs, mode) with named inputs and outputs. It holds no variables and
/// is cheap to clone.
///
/// Inputs without names are assigned in the order in which a depth-first search from the outputs
/// reaches them; with several inputs, pass them by name.
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

#[derive(Debug, Default)]
struct ModelGraph {
    /// The nodes in topological order.
    nodes: Vec<ModelNode>,
    /// The indices of the inputs in `nodes`.
    inputs: Vec<usize>,
    /// The names of the outputs and their indices in `nodes`.
    outputs: Vec<(String, usize)>,
    /// The error if the model itself is invalid; the outputs of every application carry it.
    error: Option<Error>,
}

/// A node with its path in a model.
#[derive(Debug)]
pub(crate) struct ModelNode {
    pub(crate) path: String,
    pub(crate) node: Node,
    /// The indices of the inputs in [`ModelGraph::nodes`].
    inputs: Vec<usize>,
}

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

    /// Creates a model from its outputs, called at the line `at`.
    fn of(outputs: Vec<(String, Node)>, at: Place) -> Model {
        let mut graph = ModelGraph::of(outputs).unwrap_or_else(ModelGraph::invalid);
        graph.error = graph.error.map(|e| e.at(&at));
        Model(Arc::new(graph))
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
        let types = self.in_model_order(types)?;
        let (mut sizes, mut named) = (HashMap::new(), HashMap::new());
        let inputs: Vec<Tensor> = types.iter().map(|t| placeholder(t, 1, &mut sizes)).collect();
        let valid = inputs
            .iter()
            .zip(&types)
            .zip(self.inputs().zip(self.input_specs()))
            .filter(|((x, _), _)| x.error().is_none());
        for ((x, t), (name, spec)) in valid {
            check_input(name, spec, &x.ty()?, dims_to_string(&t.dims), &mut named)?;
        }
        let (values, vars) = self.abstract_values(key, inputs);
        self.collect(&values, Params::new(), at).ok()?;
        vars.ok()
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
        self.apply_named(params, state, inputs.inputs(), mode, &caller_line())
    }

    /// Applies the model to tensors, each with its name if it has one, for the call at `at`.
    fn apply_named(
        &self,
        params: &Params,
        state: &Params,
        inputs: Vec<(Option<String>, Tensor)>,
        mode: &Mode,
        at: &Place,
    ) -> Applied {
        let mut new = Vars { params: Params::new(), state: state.clone() };
        let values = match self.in_model_order(inputs) {
            Ok(inputs) => {
                let source = VariableSource::Vars { params, state };
                self.evaluate(source, &inputs, mode, &mut new)
            }
            Err(e) => vec![Tensor::from_error(e); self.0.nodes.len()],
        };
        self.collect(&values, new.state, at)
    }

    /// Binds the model to its variables.
    pub fn bind(&self, vars: Vars) -> Net {
        Net { model: self.clone(), vars }
    }

    /// Returns the paths of the nodes in topological order.
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
        self.0.nodes.iter().map(|n| n.path.as_str())
    }

    /// Returns the names of the inputs, in the order in which inputs without names are assigned.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.0.inputs.iter().map(|&i| self.0.nodes[i].node.name())
    }

    /// Returns the names of the outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.0.outputs.iter().map(|(name, _)| name.as_str())
    }

    /// Computes the value of every node in topological order, and writes new variables to `new`.
    fn evaluate(
        &self,
        source: VariableSource,
        inputs: &[Tensor],
        mode: &Mode,
        new: &mut Vars,
    ) -> Vec<Tensor> {
        let mut values: Vec<Tensor> = Vec::with_capacity(self.0.nodes.len());
        let recorder = match source {
            VariableSource::Key(_) => Recorder::of(inputs),
            VariableSource::Vars { params, .. } => {
                Recorder::of(inputs.iter().chain(params.values().flat_map(BTreeMap::values)))
            }
        };
        let (mut inputs, mut named) = (inputs.iter(), HashMap::new());
        for n in &self.0.nodes {
            let value = match n.node.kind() {
                NodeKind::Input(spec) => checked_input(&n.path, spec, inputs.next(), &mut named),
                NodeKind::Layer(f) => {
                    let xs: Vec<Tensor> = n.inputs.iter().map(|&i| values[i].clone()).collect();
                    match xs.iter().find(|x| x.error().is_some()) {
                        Some(failed) => failed.clone(),
                        None => {
                            let y = recorder.within(&n.path, n.node.at(), || {
                                f(&mut Cx::new(&n.path, mode, source, new), &xs)
                            });
                            with_layer_in_error(y, n)
                        }
                    }
                }
            };
            values.push(value);
        }
        values
    }

    /// Computes the types of all nodes without their values, and new variables.
    pub(crate) fn abstract_values(&self, key: &Key, inputs: Vec<Tensor>) -> (Vec<Tensor>, Vars) {
        let vars = RefCell::new(Vars::default());
        let evaluate = |xs: Vec<Tensor>| {
            let source = VariableSource::Key(key);
            self.evaluate(source, &xs, &Mode::Eval, &mut vars.borrow_mut())
        };
        let values = eval_shape(evaluate, &inputs);
        (values, vars.into_inner())
    }

    /// Collects the outputs. An error without a source line gets that of the call, `at`.
    fn collect(&self, values: &[Tensor], state: Params, at: &Place) -> Applied {
        let output = |(name, i): &(String, usize)| (name.clone(), values[*i].clone().at_place(at));
        let mut outputs: BTreeMap<String, Tensor> = self.0.outputs.iter().map(output).collect();
        let first = self.0.outputs.first().map_or("y", |(name, _)| name).to_string();
        if let Some(e) = &self.0.error {
            outputs.insert(first.clone(), Tensor::from_error(e.clone().at(at)));
        }
        Applied::new(outputs, state, first)
    }

    /// Sorts the inputs, or their types, into the model's order.
    fn in_model_order<T: Clone>(&self, given: Vec<(Option<String>, T)>) -> Result<Vec<T>> {
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
            NodeKind::Layer(_) => None,
        };
        self.0.inputs.iter().filter_map(spec)
    }

    pub(crate) fn graph_nodes(&self) -> &[ModelNode] {
        &self.0.nodes
    }
}

impl ModelGraph {
    /// Creates the graph of the nodes that `outputs` depend on.
    ///
    /// # Errors
    /// [`Error::bug`] if the topological order lacks a node. Invalid outputs are the
    /// [`ModelGraph::error`] of the graph.
    fn of(outputs: Vec<(String, Node)>) -> Result<ModelGraph> {
        let ordered = topological_order(outputs.iter().map(|(_, n)| n));
        let positions: HashMap<usize, usize> =
            ordered.iter().enumerate().map(|(i, n)| (n.identity(), i)).collect();
        let index_of = |n: &Node| {
            let index = positions.get(&n.identity()).copied();
            index.or_bug(format!("the node `{}` has no place in the topological order", n.name()))
        };
        let mut paths = UniquePaths::default();
        let node_of = |node: Node| {
            let inputs = node.inputs().iter().map(index_of).collect::<Result<_>>()?;
            Ok(ModelNode { path: paths.path(node.name()), inputs, node })
        };
        let nodes = ordered.into_iter().map(node_of).collect::<Result<Vec<_>>>()?;
        let inputs = (0..nodes.len())
            .filter(|&i| matches!(nodes[i].node.kind(), NodeKind::Input(_)))
            .collect();
        let output_of = |(name, n): (String, Node)| Ok((name, index_of(&n)?));
        let outputs = outputs.into_iter().map(output_of).collect::<Result<_>>()?;
        let mut graph = ModelGraph { nodes, inputs, outputs, error: None };
        graph.error = graph.check().err();
        Ok(graph)
    }

    /// Creates a graph without nodes whose only output carries `error`.
    fn invalid(error: Error) -> ModelGraph {
        ModelGraph { error: Some(error), ..ModelGraph::default() }
    }

    /// Checks that the model has outputs and that the names of inputs and of outputs are unique.
    fn check(&self) -> Result<()> {
        let unique = |what: &str, names: Vec<&str>| {
            let mut seen = HashSet::new();
            match names.into_iter().find(|n| !seen.insert(*n)) {
                Some(n) => {
                    Err(invalid(format!("expected unique names of {what}s, got `{n}` twice")))
                }
                None => Ok(()),
            }
        };
        if self.outputs.is_empty() {
            return Err(invalid("expected at least one output, got none".into()));
        }
        unique("input", self.inputs.iter().map(|&i| self.nodes[i].node.name()).collect())?;
        unique("output", self.outputs.iter().map(|(name, _)| name.as_str()).collect())
    }
}

/// Returns the source line of the caller.
#[track_caller]
fn caller_line() -> Place {
    Place::from(Location::caller())
}

/// Adds the path and the user's line of a layer to its result `y` if that is an error.
fn with_layer_in_error(y: Tensor, n: &ModelNode) -> Tensor {
    match y.error() {
        Some(e) => Tensor::from_error(e.clone().at(&Place::from(n.node.at())).within(&n.path)),
        None => y,
    }
}

/// A generator of unique paths: a name, and for later nodes of the same name the suffixes `_1`,
/// `_2`, ..
#[derive(Default)]
struct UniquePaths {
    taken: HashSet<String>,
    /// The next suffix of each name; 0 is no suffix.
    next: HashMap<String, usize>,
}

impl UniquePaths {
    fn path(&mut self, name: &str) -> String {
        let n = self.next.entry(name.into()).or_default();
        loop {
            let path = if *n == 0 { name.to_string() } else { format!("{name}_{n}") };
            *n += 1;
            if self.taken.insert(path.clone()) {
                return path;
            }
        }
    }
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
