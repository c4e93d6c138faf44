//! Models: named inputs and outputs over a graph of nodes, and their application as a pure
//! function.

use crate::cx::{Cx, From as VarsFrom};
use crate::node::NodeKind;
use crate::{Applied, Inputs, Mode, Net, Node, Params, Vars};
use neurax_tensor::{Dim, Error, Key, Place, Recorder, Result, Tensor, Tree, TypeSpec, eval_shape};
use std::borrow::Borrow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A function of (variables, inputs, mode) with named inputs and outputs. It holds no variables and
/// is cheap to clone.
///
/// Inputs given without names are taken in the order in which the outputs reach them, depth first;
/// with several inputs, names say more.
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = (nn::input("a", dims![_, 2]), nn::input("b", dims![_, 3]));
/// let both = nn::concat([&a, &b], -1).dense(4).tanh();
/// let model = Model::new([("left", &both.dense(1)), ("right", &(&both * 2.0))]);
///
/// let vars = model.init(key(0), &types![f32[_, 2], f32[_, 3]])?;
/// let out = model.apply(&vars, [("b", Tensor::ones([5, 3])), ("a", Tensor::ones([5, 2]))], &Mode::Eval);
/// assert_eq!(out["left"].shape(), [5, 1]);
/// assert_eq!(out["right"].shape(), [5, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model(Arc<Plan>);

#[derive(Debug)]
struct Plan {
    /// In an order in which each comes after its inputs.
    steps: Vec<Step>,
    /// Places of the inputs in `steps`.
    inputs: Vec<usize>,
    /// Names of the outputs, and their places.
    outputs: Vec<(String, usize)>,
    /// What is wrong with the model itself; it travels into every application.
    error: Option<Error>,
}

/// One node of a model.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) path: String,
    pub(crate) node: Node,
    inputs: Vec<usize>,
}

impl Model {
    /// The model of those outputs.
    #[track_caller]
    pub fn new<S: Into<String>, N: Borrow<Node>>(
        outputs: impl IntoIterator<Item = (S, N)>,
    ) -> Model {
        let at = here();
        let outputs: Vec<(String, Node)> =
            outputs.into_iter().map(|(name, n)| (name.into(), n.borrow().clone())).collect();
        let nodes = in_order(outputs.iter().map(|(_, n)| n));
        let place: HashMap<usize, usize> =
            nodes.iter().enumerate().map(|(i, n)| (n.identity(), i)).collect();
        let of = |n: &Node| place.get(&n.identity()).copied().unwrap_or(0);
        let mut names = Names::default();
        let steps: Vec<Step> = nodes
            .into_iter()
            .map(|node| Step {
                path: names.path(node.name()),
                inputs: node.inputs().iter().map(of).collect(),
                node,
            })
            .collect();
        let inputs = (0..steps.len())
            .filter(|&i| matches!(steps[i].node.kind(), NodeKind::Input(_)))
            .collect();
        let outputs = outputs.iter().map(|(name, n)| (name.clone(), of(n))).collect();
        let mut plan = Plan { steps, inputs, outputs, error: None };
        plan.error = plan.check().map_err(|e| e.at(&at)).err();
        Model(Arc::new(plan))
    }

    /// Makes the variables. A layer's values depend on the key, its path and their names, so they
    /// stay when other layers come or go. `types` are the inputs' in the model's order; where a
    /// size is open, any will do.
    ///
    /// # Errors
    /// When the types are not those of the inputs, or a layer cannot take what it gets; the message
    /// names its path.
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

    /// As [`Model::init`], with the types of inputs by name, or in order where there is none.
    ///
    /// # Errors
    /// As [`Model::init`], and when a name is no input's.
    #[track_caller]
    pub fn init_named(&self, key: Key, types: Vec<(Option<String>, TypeSpec)>) -> Result<Vars> {
        let at = here();
        self.make(&key, types, &at).map_err(|e| e.at(&at))
    }

    fn make(&self, key: &Key, types: Vec<(Option<String>, TypeSpec)>, at: &Place) -> Result<Vars> {
        let types = self.place_inputs(types)?;
        let (mut open, mut named) = (HashMap::new(), HashMap::new());
        let inputs: Vec<Tensor> = types.iter().map(|t| stand_in(t, 1, &mut open)).collect();
        let good = inputs
            .iter()
            .zip(&types)
            .zip(self.inputs().zip(self.input_dims()))
            .filter(|((x, _), _)| x.error().is_none());
        for ((x, t), (name, dims)) in good {
            fit(name, dims, &x.shape(), show(&t.dims), &mut named)?;
        }
        let (values, vars) = self.outline(key, inputs);
        self.collect(&values, Params::new(), at).ok()?;
        vars.ok()
    }

    /// Applies the model: a pure function of tensors, to be used inside `grad`, `jit` and `vmap`
    /// like any other. What is wrong travels in the outputs.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let vars = model.init(key(0), &types![f32[_, 3]])?;
    /// let out = model.apply(&vars, Tensor::ones([4, 3]), &Mode::Eval);
    /// assert_eq!(out.y().shape(), [4, 2]);
    /// let wrong = model.apply(&vars, Tensor::ones([4, 5]), &Mode::Eval);
    /// assert!(wrong.y().error().is_some_and(|e| e.message().contains("`x` is declared as [_, 3]")));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn apply(&self, vars: &Vars, inputs: impl Inputs, mode: &Mode) -> Applied {
        self.apply_with(&vars.params, &vars.state, inputs, mode)
    }

    /// As [`Model::apply`], with parameters and state apart: what differentiating with respect to
    /// the parameters needs.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let vars = model.init(key(0), &types![f32[_, 3]])?;
    /// let (x, t) = (Tensor::ones([4, 3]), Tensor::zeros([4, 2]));
    /// let (value, grads) = value_and_grad_at(&vars.params, |p| loss::mse(model.apply_with(&p, &vars.state, &x, &Mode::Eval).y(), &t));
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
        let mut new = Vars { params: Params::new(), state: state.clone() };
        let steps = match self.place_inputs(inputs.inputs()) {
            Ok(inputs) => self.walk(VarsFrom::Vars { params, state }, &inputs, mode, &mut new),
            Err(e) => vec![Tensor::from_error(e); self.0.steps.len()],
        };
        self.collect(&steps, new.state, &here())
    }

    /// The model with its variables.
    pub fn bind(&self, vars: Vars) -> Net {
        Net { model: self.clone(), vars }
    }

    /// The paths of the nodes, each after its inputs.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = nn::input("x", dims![_, 3]);
    /// let model = (x.dense(2) + x.dense(2)).model();
    /// assert_eq!(model.nodes().collect::<Vec<_>>(), ["x", "dense", "dense_1", "add"]);
    /// ```
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.0.steps.iter().map(|s| s.path.as_str())
    }

    /// The names of the inputs, in the order in which inputs without names are taken.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.0.inputs.iter().map(|&i| self.0.steps[i].node.name())
    }

    /// The names of the outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.0.outputs.iter().map(|(name, _)| name.as_str())
    }

    /// The value of every node, in order.
    fn walk(&self, from: VarsFrom, inputs: &[Tensor], mode: &Mode, new: &mut Vars) -> Vec<Tensor> {
        let mut values: Vec<Tensor> = Vec::with_capacity(self.0.steps.len());
        let recorder = match from {
            VarsFrom::Key(_) => Recorder::of(inputs),
            VarsFrom::Vars { params, .. } => {
                Recorder::of(inputs.iter().chain(params.values().flat_map(BTreeMap::values)))
            }
        };
        let (mut inputs, mut named) = (inputs.iter(), HashMap::new());
        for step in &self.0.steps {
            let value = match step.node.kind() {
                NodeKind::Input(dims) => given(&step.path, dims, inputs.next(), &mut named),
                NodeKind::Layer(f) => {
                    let xs: Vec<Tensor> = step.inputs.iter().map(|&i| values[i].clone()).collect();
                    match xs.iter().find(|x| x.error().is_some()) {
                        Some(bad) => bad.clone(),
                        None => placed(
                            recorder.within(&step.path, step.node.at(), || {
                                f(&mut Cx::new(&step.path, mode, from, new), &xs)
                            }),
                            step,
                        ),
                    }
                }
            };
            values.push(value);
        }
        values
    }

    /// The value of every node in type only, and new variables.
    pub(crate) fn outline(&self, key: &Key, inputs: Vec<Tensor>) -> (Vec<Tensor>, Vars) {
        let vars = RefCell::new(Vars::default());
        let walk = |xs: Vec<Tensor>| {
            self.walk(VarsFrom::Key(key), &xs, &Mode::Eval, &mut vars.borrow_mut())
        };
        let values = eval_shape(walk, &inputs);
        (values, vars.into_inner())
    }

    /// The outputs; an error that has no place yet gets that of the call.
    fn collect(&self, values: &[Tensor], state: Params, at: &Place) -> Applied {
        let output = |(name, i): &(String, usize)| (name.clone(), values[*i].clone().at_place(at));
        let mut outputs: BTreeMap<String, Tensor> = self.0.outputs.iter().map(output).collect();
        let first = self.0.outputs.first().map_or("y", |(name, _)| name).to_string();
        if let Some(e) = &self.0.error {
            outputs.insert(first.clone(), Tensor::from_error(e.clone().at(at)));
        }
        Applied::new(outputs, state, first)
    }

    /// The inputs, or their types, in the model's order.
    fn place_inputs<T: Clone>(&self, given: Vec<(Option<String>, T)>) -> Result<Vec<T>> {
        let names: Vec<&str> = self.inputs().collect();
        let list = || format!("the model's inputs are {}", names.join(", "));
        let mut places: Vec<Option<T>> = vec![None; names.len()];
        for (i, (name, x)) in given.into_iter().enumerate() {
            let at = match &name {
                Some(n) => names
                    .iter()
                    .position(|m| m == n)
                    .ok_or_else(|| wrong(format!("there is no input `{n}`; {}", list())))?,
                None if i < names.len() => i,
                None => return Err(wrong(format!("too many inputs; {}", list()))),
            };
            if places[at].replace(x).is_some() {
                return Err(wrong(format!("input `{}` was given twice", names[at])));
            }
        }
        let missing = |at: usize| wrong(format!("input `{}` was not given; {}", names[at], list()));
        places.into_iter().enumerate().map(|(at, x)| x.ok_or_else(|| missing(at))).collect()
    }

    /// What was declared of the inputs' shapes.
    pub(crate) fn input_dims(&self) -> impl Iterator<Item = &[Dim]> {
        self.0.inputs.iter().map(|&i| match self.0.steps[i].node.kind() {
            NodeKind::Input(dims) => dims.as_slice(),
            NodeKind::Layer(_) => &[],
        })
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.0.steps
    }
}

impl Plan {
    fn check(&self) -> Result<()> {
        let unique = |what: &str, names: Vec<&str>| {
            let mut seen = HashSet::new();
            match names.into_iter().find(|n| !seen.insert(*n)) {
                Some(n) => {
                    Err(wrong(format!("two {what}s are called `{n}`; give each its own name")))
                }
                None => Ok(()),
            }
        };
        if self.outputs.is_empty() {
            return Err(wrong("a model needs an output".into()));
        }
        unique("input", self.inputs.iter().map(|&i| self.steps[i].node.name()).collect())?;
        unique("output", self.outputs.iter().map(|(name, _)| name.as_str()).collect())
    }
}

/// The line of the caller.
#[track_caller]
fn here() -> Place {
    Place::from(Location::caller())
}

fn wrong(why: String) -> Error {
    Error::new("model", why)
}

/// The result of a layer: an error learns in which layer it happened and where the user wrote that.
fn placed(y: Tensor, step: &Step) -> Tensor {
    match y.error() {
        Some(e) => {
            Tensor::from_error(e.clone().at(&Place::from(step.node.at())).within(&step.path))
        }
        None => y,
    }
}

/// Zeros of a type; open sizes count as `open`, those of one name as the first that was seen under
/// it.
pub(crate) fn stand_in(t: &TypeSpec, open: usize, names: &mut HashMap<String, usize>) -> Tensor {
    let size = |d: &Dim| match d {
        Dim::Any => Dim::Size(open),
        Dim::Named(n) => Dim::Size(*names.entry(n.clone()).or_insert(open)),
        other => other.clone(),
    };
    Tensor::zeros(t.dims.iter().map(size).collect::<Vec<Dim>>()).to(t.dtype)
}

/// An input, if it is what was declared.
fn given<'d>(
    name: &str,
    dims: &'d [Dim],
    x: Option<&Tensor>,
    named: &mut HashMap<&'d str, usize>,
) -> Tensor {
    let Some(x) = x else {
        return Tensor::from_error(wrong(format!("input `{name}` was not given")));
    };
    if x.error().is_some() {
        return x.clone();
    }
    let shape = x.shape();
    fit(name, dims, &shape, &shape, named).map_or_else(Tensor::from_error, |()| x.clone())
}

/// Is that shape what was declared? The message shows it as `given`.
fn fit<'d>(
    name: &str,
    dims: &'d [Dim],
    shape: &[usize],
    given: impl fmt::Display,
    named: &mut HashMap<&'d str, usize>,
) -> Result<()> {
    if fits(dims, shape, named) {
        return Ok(());
    }
    let other = |(d, n): (&Dim, &usize)| match d {
        Dim::Named(name) => named
            .get(name.as_str())
            .filter(|size| *size != n)
            .map(|size| format!(", where {name} is {size}")),
        _ => None,
    };
    let held: Vec<String> = dims.iter().zip(shape).filter_map(other).collect();
    Err(wrong(format!(
        "input `{name}` is declared as {}, but {given} was given{}",
        show(dims),
        held.concat()
    )))
}

/// Does a shape fit, with sizes of one name being one size over all inputs?
fn fits<'d>(dims: &'d [Dim], shape: &[usize], named: &mut HashMap<&'d str, usize>) -> bool {
    let mut fits = |(d, &n): (&'d Dim, &usize)| match d {
        Dim::Any => true,
        Dim::Size(m) => *m == n,
        Dim::Named(name) => *named.entry(name).or_insert(n) == n,
        Dim::Bad(_) => false,
    };
    dims.len() == shape.len() && dims.iter().zip(shape).all(&mut fits)
}

fn show(dims: &[Dim]) -> String {
    let each: Vec<String> = dims.iter().map(|d| d.to_string()).collect();
    format!("[{}]", each.join(", "))
}

/// Nodes below those outputs, each after its inputs. A loop, not a recursion: models may be deeper
/// than the stack.
fn in_order<'n>(outputs: impl Iterator<Item = &'n Node>) -> Vec<Node> {
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

/// Paths: the name, and for later ones of the same name `_1`, `_2`, ..
#[derive(Default)]
struct Names {
    taken: HashSet<String>,
    next: HashMap<String, usize>,
}

impl Names {
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

/// A node is the model of its one output, `y`.
impl Node {
    /// See [`Model::init`].
    #[track_caller]
    pub fn init(&self, key: Key, types: &[TypeSpec]) -> Result<Vars> {
        self.model().init(key, types)
    }

    /// See [`Model::apply`].
    #[track_caller]
    pub fn apply(&self, vars: &Vars, inputs: impl Inputs, mode: &Mode) -> Applied {
        self.model().apply(vars, inputs, mode)
    }

    /// See [`Model::apply_with`].
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

    /// See [`Model::bind`].
    pub fn bind(&self, vars: Vars) -> Net {
        self.model().bind(vars)
    }

    /// See [`Model::summary`].
    pub fn summary(&self) -> String {
        self.model().summary()
    }
}
