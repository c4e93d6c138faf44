//! The evaluation of a model: the values of all nodes in topological order.
//!
//! Of a choice with one bool, [`cond`](crate::cond), only the branch that is taken is computed: the
//! layers that only one branch needs (see [`crate::branches`]) run inside of the closures of
//! [`neurax_tensor::cond`]. What they compute there exists in their branch alone. State that they
//! set is a result of the branch, as is the state of the layers of the other branch, which that
//! leaves as it is. So both branches have results of the same types. An observer wants the values
//! of all layers, and variables are created for all of them: then both branches are computed.

use crate::branches::EvaluationStep;
use crate::cx::{VariableSource, derive};
use crate::input_shapes::{checked_input, invalid};
use crate::model_graph::{ModelGraph, ModelNode, Paths, ValueRef};
use crate::model_layer::ModelLayer;
use crate::node::NodeKind;
use crate::{Cx, Mode, Params, Vars};
use neurax_tensor::{DType, Error, Place, Recorder, Tensor, cond};
use std::cell::RefCell;
use std::collections::HashMap;
use std::slice;

/// A function that sees the path and the values of every input and layer, those of shared layers
/// at their first call; `None` if there is none.
pub(crate) type Observer<'o> = Option<&'o mut dyn FnMut(&str, &[Tensor])>;

/// The values of a layer or input.
pub(crate) struct LayerValues {
    pub(crate) path: String,
    pub(crate) values: Vec<Tensor>,
}

/// One evaluation of a model.
pub(crate) struct Evaluation<'e, 'o> {
    source: VariableSource<'e>,
    recorder: Recorder,
    /// The variables that the evaluation creates or changes.
    new: &'e mut Vars,
    observe: Observer<'o>,
    paths: Paths,
    /// True inside of a block that was called before: its layers were observed then.
    is_repeated: bool,
}

/// The evaluation of one graph: the whole model, or a call of a block.
struct GraphValues<'g> {
    graph: &'g ModelGraph,
    prefix: &'g str,
    mode: &'g Mode,
    /// The inputs that are not read yet.
    inputs: slice::Iter<'g, Tensor>,
    /// The sizes of named axes.
    named: HashMap<&'g str, usize>,
    /// The outputs of each node, none if it is not computed.
    values: Vec<Vec<Tensor>>,
}

impl<'e, 'o> Evaluation<'e, 'o> {
    pub(crate) fn new(
        source: VariableSource<'e>,
        recorder: Recorder,
        new: &'e mut Vars,
        observe: Observer<'o>,
    ) -> Evaluation<'e, 'o> {
        let paths = Paths::default();
        Evaluation { source, recorder, new, observe, paths, is_repeated: false }
    }

    /// Computes the outputs of a graph at `prefix`: the whole model, or a block.
    pub(crate) fn outputs(
        &mut self,
        graph: &ModelGraph,
        prefix: &str,
        inputs: &[Tensor],
        mode: &Mode,
    ) -> Vec<Tensor> {
        if let Some(e) = &graph.error {
            return vec![Tensor::from_error(e.clone()); graph.outputs.len().max(1)];
        }
        let values = vec![Vec::new(); graph.nodes.len()];
        let (inputs, named) = (inputs.iter(), HashMap::new());
        let mut of = GraphValues { graph, prefix, mode, inputs, named, values };
        self.run(&graph.steps, &mut of);
        graph.outputs.iter().map(|o| of.value(&o.value)).collect()
    }

    /// Computes the nodes of `steps`.
    fn run(&mut self, steps: &[EvaluationStep], of: &mut GraphValues) {
        for step in steps {
            match step {
                EvaluationStep::Node(i) => self.node(*i, of),
                EvaluationStep::Choice(i, branches) if self.is_one_branch_enough(*i, of) => {
                    self.choice(*i, branches, of);
                }
                EvaluationStep::Choice(i, branches) => {
                    branches.iter().for_each(|steps| self.run(steps, of));
                    self.node(*i, of);
                }
            }
        }
    }

    /// Computes a node.
    fn node(&mut self, i: usize, of: &mut GraphValues) {
        let n = &of.graph.nodes[i];
        let (path, earlier_calls) = self.paths.resolve(of.prefix, n);
        let ys = match n.node.kind() {
            NodeKind::Input(spec) => {
                vec![checked_input(&path, spec, of.inputs.next(), &mut of.named)]
            }
            NodeKind::Argument => vec![argument(&path, of.inputs.next())],
            NodeKind::Layer(f) => {
                let mode = mode_of_call(of.mode, earlier_calls);
                self.layer(n, f.as_ref(), &path, &of.inputs_of(n), &mode)
            }
            NodeKind::Block(model) => {
                let mode = mode_of_call(of.mode, earlier_calls);
                let outside = self.is_repeated;
                self.is_repeated |= earlier_calls > 0;
                let ys = self.outputs(model.graph(), &path, &of.inputs_of(n), &mode);
                self.is_repeated = outside;
                ys
            }
        };
        if let Some(observe) = &mut self.observe
            && earlier_calls == 0
            && !self.is_repeated
            && n.is_listed(of.prefix)
        {
            observe(&path, &ys);
        }
        of.values[i] = ys;
    }

    /// Returns true if the branch that is taken can be computed alone: one bool decides.
    fn is_one_branch_enough(&self, i: usize, of: &GraphValues) -> bool {
        let is_one = |t: neurax_tensor::Type| t.dtype == DType::Bool && t.rank() == 0;
        let is_applied = matches!(self.source, VariableSource::Vars { .. });
        is_applied && self.observe.is_none() && of.input(i, 0).ty().is_ok_and(is_one)
    }

    /// Computes a choice with one bool, and the branch that is taken.
    fn choice(&mut self, i: usize, branches: &[Vec<EvaluationStep>; 2], of: &mut GraphValues) {
        let n = &of.graph.nodes[i];
        let (mut paths, mut layers) = (self.paths.clone(), Vec::new());
        let starts = branches.each_ref().map(|steps| {
            let start = paths.clone();
            paths.resolve_all(of.graph, steps, of.prefix, &mut layers);
            start
        });
        let before = self.new.state.clone();
        let places = places_of(&before, &layers);
        let pred = of.input(i, 0);
        let (failed, this) = (RefCell::new(None), RefCell::new((&mut *self, &mut *of)));
        let branch = |k: usize| {
            let (evaluation, of) = &mut *this.borrow_mut();
            evaluation.paths = starts[k].clone();
            evaluation.new.state = before.clone();
            evaluation.run_inside(&branches[k], of);
            let y = of.input(i, k + 1);
            let y = new_state(&before, &evaluation.new.state).map_or(y, Tensor::from_error);
            if y.error().is_some() {
                *failed.borrow_mut() = Some(y.clone());
            }
            let state = places.iter().map(|place| of_place(&evaluation.new.state, place));
            (y, state.collect::<Vec<Tensor>>())
        };
        let outside = Recorder::of([&pred]);
        let (y, state) = outside.at(n.node.at(), || cond(&pred, || branch(0), || branch(1)));
        (self.paths, self.new.state) = (paths, before);
        for ((layer, name), value) in places.into_iter().zip(state) {
            self.new.state.entry(layer).or_default().insert(name, value);
        }
        let (path, earlier_calls) = self.paths.resolve(of.prefix, n);
        of.values[i] = match (failed.into_inner(), n.node.kind()) {
            (Some(failed), _) => vec![failed],
            (None, NodeKind::Layer(f)) if y.error().is_none() => {
                let mode = mode_of_call(of.mode, earlier_calls);
                self.layer(n, f.as_ref(), &path, &[y], &mode)
            }
            _ => vec![with_layer_in_error(y, n, &path)],
        };
    }

    /// Computes the nodes of `steps` while a closure is traced, whose graph records them.
    fn run_inside(&mut self, steps: &[EvaluationStep], of: &mut GraphValues) {
        let outside = std::mem::replace(&mut self.recorder, Recorder::of([]));
        self.run(steps, of);
        self.recorder = outside;
    }

    /// Computes the outputs of a layer. An error of an input is that of all outputs.
    fn layer(
        &mut self,
        n: &ModelNode,
        layer: &dyn ModelLayer,
        path: &str,
        xs: &[Tensor],
        mode: &Mode,
    ) -> Vec<Tensor> {
        if let Some(failed) = xs.iter().find(|x| x.error().is_some()) {
            return vec![failed.clone(); n.node.outputs()];
        }
        let ys = self.recorder.within(path, n.node.at(), || {
            layer.apply(&mut Cx::new(path, mode, self.source, self.new), xs)
        });
        ys.into_iter().map(|y| with_layer_in_error(y, n, path)).collect()
    }
}

impl GraphValues<'_> {
    /// Returns the inputs of a node.
    fn inputs_of(&self, n: &ModelNode) -> Vec<Tensor> {
        n.inputs.iter().map(|x| self.value(x)).collect()
    }

    /// Returns input `k` of the node `i`.
    fn input(&self, i: usize, k: usize) -> Tensor {
        let missing = || Error::bug(format!("node {i} has no input {k}"));
        let found = self.graph.nodes[i].inputs.get(k);
        found.map_or_else(|| Tensor::from_error(missing()), |x| self.value(x))
    }

    /// Returns an output of a node, or an error if a called model has fewer outputs. A model that
    /// is invalid has one output, whose error is that of all.
    fn value(&self, x: &ValueRef) -> Tensor {
        let values = self.values.get(x.node).map_or(&[][..], Vec::as_slice);
        let failed = || values.first().filter(|y| y.error().is_some());
        values.get(x.output).or_else(failed).cloned().unwrap_or_else(|| {
            let why =
                format!("expected a model with an output of the index {}, got fewer", x.output);
            Tensor::from_error(invalid(why))
        })
    }
}

/// Returns the layer and name of all state of the layers at the paths `layers` and their parts.
fn places_of(state: &Params, layers: &[String]) -> Vec<(String, String)> {
    let is_part = |path: &str, layer: &String| {
        let rest = path.strip_prefix(layer.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let of_branches = state.iter().filter(|(path, _)| layers.iter().any(|l| is_part(path, l)));
    let places = |(path, vars): (&String, &std::collections::BTreeMap<String, Tensor>)| {
        vars.keys().map(|name| (path.clone(), name.clone())).collect::<Vec<_>>()
    };
    of_branches.flat_map(places).collect()
}

/// Returns the state of a layer and name.
fn of_place(state: &Params, (layer, name): &(String, String)) -> Tensor {
    let found = state.get(layer).and_then(|vars| vars.get(name)).cloned();
    found.unwrap_or_else(|| {
        Tensor::from_error(Error::bug(format!("the state `{layer}.{name}` is lost in a branch")))
    })
}

/// Returns an error if a branch has set state that did not exist: the other branch has none.
fn new_state(before: &Params, after: &Params) -> Option<Error> {
    let is_old = |layer: &str, name: &str| before.get(layer).is_some_and(|v| v.contains_key(name));
    let mut names = after.iter().flat_map(|(layer, vars)| vars.keys().map(move |n| (layer, n)));
    let (layer, name) = names.find(|(layer, name)| !is_old(layer, name))?;
    let why = format!(
        "expected a branch that sets state of the model's variables, got the new state \
         `{layer}.{name}`; request it with `cx.state` before it is set"
    );
    Some(Error::new("cond", why))
}

/// Returns an argument of a block.
fn argument(path: &str, x: Option<&Tensor>) -> Tensor {
    x.cloned().unwrap_or_else(|| {
        Tensor::from_error(Error::bug(format!("the block has no argument for `{path}`")))
    })
}

/// Returns the mode of a call of a shared layer: every call draws other random numbers.
fn mode_of_call(mode: &Mode, earlier_calls: u32) -> Mode {
    match mode {
        Mode::Train(key) if earlier_calls > 0 => {
            Mode::Train(derive(key, &format!("call {earlier_calls}")))
        }
        other => other.clone(),
    }
}

/// Adds the path and the user's line of a layer to its result `y` if that is an error.
fn with_layer_in_error(y: Tensor, n: &ModelNode, path: &str) -> Tensor {
    match y.error() {
        Some(e) => Tensor::from_error(e.clone().at(&Place::from(n.node.at())).within(path)),
        None => y,
    }
}
