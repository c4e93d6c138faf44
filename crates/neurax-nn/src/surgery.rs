//! Changing a model: layers are mapped, replaced, inserted, renamed and cut off.
//!
//! The problem: to fine-tune a model with another head, to add an adapter to some layers or to look
//! at a layer in the middle, one must change a finished graph without losing the variables of the
//! other layers. The method is a bottom-up rewriting of the graph, as Axon's
//! `rewrite_nodes`: layers are visited in topological order and rebuilt on their new inputs, and a
//! function may return another node in place of the rebuilt one.
//!
//! # Invariants
//!
//! - A layer that is kept has the same path afterwards, even if a layer before it with the same
//!   name is removed: rebuilt nodes keep their paths as fixed names.
//! - A block is rewritten once, at its first call; all of its calls use the result.
//! - The model itself does not change: the result is a new one.

use crate::input_shapes::invalid;
use crate::model_graph::{ModelGraph, ModelNode, Paths, ValueRef};
use crate::node::{NodeKind, Shared, topological_order};
use crate::path_pattern::{PathPattern, nearest};
use crate::{LayerInfo, Model, Node};
use neurax_tensor::{Error, Place, Result};
use std::collections::{HashMap, HashSet};
use std::panic::Location;

/// A layer or input that [`Model::map`] visits.
#[derive(Clone, Debug)]
pub struct VisitedLayer {
    /// The path in the whole model.
    pub path: String,
    /// The kind, as in [`LayerInfo::kind`].
    pub kind: String,
    /// The nodes that the layer reads, after the changes.
    pub inputs: Vec<Node>,
    /// The layer's first output, after the changes to its inputs.
    pub node: Node,
}

/// Changes of the graph. Each returns a new model; the paths of the layers that stay, and with
/// them their variables, do not change. New layers need variables: see [`Model::init_missing`].
impl Model {
    /// Replaces layers: `f` gets each layer and input in topological order and returns the node
    /// that takes its place, or `None` to keep it.
    ///
    /// The node takes the place of the first output. The other outputs of a layer with several stay
    /// those of the old layer, unless the node is the first output of a layer with the same number
    /// of outputs: then the new layer replaces the old one as a whole.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(4).relu().dense(4).relu().model();
    /// let smooth = model.map(|l| (l.kind == "relu").then(|| l.inputs[0].gelu()));
    /// assert_eq!(smooth.nodes().collect::<Vec<_>>(), ["x", "dense", "gelu", "dense_1", "gelu_1"]);
    /// ```
    #[track_caller]
    pub fn map(&self, f: impl FnMut(&VisitedLayer) -> Option<Node>) -> Model {
        self.map_where(ModelNode::is_listed, f)
    }

    /// Replaces nodes as [`Model::map`] does: `f` gets those of which `is_visited` is true, given
    /// the path of the block around them.
    #[track_caller]
    pub(crate) fn map_where(
        &self,
        is_visited: fn(&ModelNode, &str) -> bool,
        mut f: impl FnMut(&VisitedLayer) -> Option<Node>,
    ) -> Model {
        let at = Place::from(Location::caller());
        let (paths, done) = (Paths::default(), HashMap::new());
        let mut rewrite = LayerRewrite { paths, done, is_visited, f: &mut f };
        let Rewritten { inputs, outputs } = rewrite.graph(self.graph(), "");
        let used: HashSet<usize> =
            topological_order(outputs.iter().map(|o| &o.1)).iter().map(Node::identity).collect();
        let inputs = inputs.into_iter().filter(|n| used.contains(&n.identity())).collect();
        self.with_nodes(inputs, outputs, &at)
    }

    /// Replaces the layer at `path` by the node that `f` computes from the layer's inputs. A layer
    /// with several outputs is replaced as [`Model::map`] states.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(8).relu().dense(2).named("head").model();
    /// let other = model.replace("head", |xs| xs[0].dense(5).named("new_head"))?;
    /// assert_eq!(other.nodes().last(), Some("new_head"));
    /// let e = model.replace("haed", |xs| xs[0].clone()).unwrap_err();
    /// assert_eq!(e.message(), "expected one of the layers x, dense, relu, head; got `haed`");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If the model has no such layer; the message lists those that there are.
    #[track_caller]
    pub fn replace(&self, path: &str, f: impl Fn(&[Node]) -> Node) -> Result<Model> {
        self.find_layer(path)?;
        Ok(self.map(|l| (l.path == path).then(|| f(&l.inputs))))
    }

    /// Inserts what `f` computes from the first output of the layer at `path`: all layers that read
    /// this output read the result instead.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(8).relu().dense(2).model();
    /// let regular = model.insert("relu", |y| y.dropout(0.1))?;
    /// let nodes: Vec<&str> = regular.nodes().collect();
    /// assert_eq!(nodes, ["x", "dense", "relu", "dropout", "dense_1"]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If the model has no such layer; the message lists those that there are.
    #[track_caller]
    pub fn insert(&self, path: &str, f: impl Fn(&Node) -> Node) -> Result<Model> {
        self.find_layer(path)?;
        Ok(self.map(|l| (l.path == path).then(|| f(&l.node))))
    }

    /// Renames the layer at `path`, and with it the paths of its variables. Inside of a block, the
    /// path of the block stays in front.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(8).dense(2).model();
    /// let renamed = model.rename("dense_1", "head")?;
    /// assert_eq!(renamed.nodes().collect::<Vec<_>>(), ["x", "dense", "head"]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If the model has no such layer; the message lists those that there are.
    #[track_caller]
    pub fn rename(&self, path: &str, name: &str) -> Result<Model> {
        self.insert(path, |y| y.named(name))
    }

    /// Returns the part of the model that computes the layer at `path`, with its first output as
    /// the only output, `y`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(8).relu().dense(2).model();
    /// let features = model.cut("relu")?;
    /// assert_eq!(features.nodes().collect::<Vec<_>>(), ["x", "dense", "relu"]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If the model has no such layer, or has it inside of a block, which this method
    /// does not open. [`Model::apply_capturing`] returns the outputs of any layer.
    #[track_caller]
    pub fn cut(&self, path: &str) -> Result<Model> {
        self.find_layer(path)?;
        let at = Place::from(Location::caller());
        let mut found = None;
        self.map(|l| {
            if l.path == path {
                found = Some(l.node.clone());
            }
            None
        });
        let is_outside = self.graph().nodes.iter().any(|n| n.path == path);
        match found {
            Some(node) if is_outside => Ok(Model::of(vec![("y".into(), node)], at)),
            _ => {
                let want = "expected a layer outside of blocks";
                let hint = "`apply_capturing` returns the outputs of layers inside of blocks";
                Err(invalid(format!("{want}, got `{path}`; {hint}")).at(&at))
            }
        }
    }

    /// Returns the layer at a path.
    #[track_caller]
    fn find_layer(&self, path: &str) -> Result<LayerInfo> {
        let layers = self.layers();
        if let Some(found) = layers.iter().find(|l| l.path == path) {
            return Ok(found.clone());
        }
        Err(self.no_layer(path).at(&Location::caller().into()))
    }

    /// Checks that a pattern matches the path of a layer or input, and returns it.
    ///
    /// # Errors
    /// If it matches none or is malformed.
    #[track_caller]
    pub(crate) fn layer_pattern(&self, pattern: &str) -> Result<PathPattern> {
        let parsed = PathPattern::parse(pattern)?;
        match self.nodes().any(|path| parsed.matches(path)) {
            true => Ok(parsed),
            false => Err(self.no_layer(pattern).at(&Location::caller().into())),
        }
    }

    /// Returns the error of a path or pattern of no layer.
    fn no_layer(&self, path: &str) -> Error {
        let all: Vec<String> = self.nodes().map(String::from).collect();
        let listed = nearest(&all, path);
        invalid(format!("expected one of the layers {listed}; got `{path}`"))
    }
}

/// One rewriting of a graph.
struct LayerRewrite<'r> {
    paths: Paths,
    /// The new models of blocks, by the owner of their variables.
    done: HashMap<usize, Model>,
    /// Returns true for the nodes that `f` gets, given the path of the block around them.
    is_visited: fn(&ModelNode, &str) -> bool,
    f: &'r mut dyn FnMut(&VisitedLayer) -> Option<Node>,
}

impl LayerRewrite<'_> {
    /// Rewrites a graph at `prefix`: returns the new nodes of its inputs and outputs.
    fn graph(&mut self, graph: &ModelGraph, prefix: &str) -> Rewritten {
        let (mut values, mut inputs) = (Vec::with_capacity(graph.nodes.len()), Vec::new());
        for n in &graph.nodes {
            let (rebuilt, node) = self.node(n, prefix, &values);
            let outputs = new_outputs(&rebuilt, &node);
            if rebuilt.is_input() {
                inputs.push(if node.is_input() { node } else { rebuilt });
            }
            values.push(outputs);
        }
        let outputs = graph.outputs.iter().map(|o| (o.name.clone(), of(&values, o.value)));
        Rewritten { inputs, outputs: outputs.collect() }
    }

    /// Returns a layer that is rebuilt on its new inputs, and the node that takes its place.
    fn node(&mut self, n: &ModelNode, prefix: &str, values: &[Vec<Node>]) -> (Node, Node) {
        let (path, _) = self.paths.resolve(prefix, n);
        let inputs: Vec<Node> = n.inputs.iter().map(|v| of(values, *v)).collect();
        let kind = match n.node.kind() {
            NodeKind::Block(model) => NodeKind::Block(self.block(model, n, &path)),
            other => other.clone(),
        };
        let node = n.node.rebuilt(&n.path, inputs.clone(), kind);
        if !(self.is_visited)(n, prefix) {
            return (node.clone(), node);
        }
        let kind = n.kind_name().to_string();
        let visited = VisitedLayer { path, kind, inputs, node };
        let replacement = (self.f)(&visited).unwrap_or_else(|| visited.node.clone());
        (visited.node, replacement)
    }

    /// Returns the new model of a block.
    fn block(&mut self, model: &Model, n: &ModelNode, path: &str) -> Model {
        let owner = n.node.shared().map(Shared::identity);
        if let Some(done) = owner.and_then(|o| self.done.get(&o)) {
            return done.clone();
        }
        let Rewritten { inputs, outputs } = self.graph(model.graph(), path);
        let new = model.with_nodes(inputs, outputs, &Place::from(n.node.at()));
        if let Some(owner) = owner {
            self.done.insert(owner, new.clone());
        }
        new
    }
}

/// The new nodes of a graph.
struct Rewritten {
    inputs: Vec<Node>,
    outputs: Vec<(String, Node)>,
}

/// Returns the nodes that take the place of the outputs of a rebuilt layer.
fn new_outputs(rebuilt: &Node, replacement: &Node) -> Vec<Node> {
    let is_whole = replacement.output() == 0 && replacement.outputs() == rebuilt.outputs();
    let others = if is_whole { replacement } else { rebuilt };
    let others = (1..rebuilt.outputs()).map(|i| others.sibling(i));
    std::iter::once(replacement.clone()).chain(others).collect()
}

/// Returns the new node of an output of a layer; that of each output of each layer is in `values`.
fn of(values: &[Vec<Node>], v: ValueRef) -> Node {
    values[v.node][v.output].clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Vars, block, concat, input, shared};
    use neurax_tensor::{Tensor, dims, key, tensor, types};

    fn nodes(model: &Model) -> Vec<&str> {
        model.nodes().collect()
    }

    #[test]
    fn layers_that_stay_keep_their_paths_and_values() {
        let model = input("x", dims![_, 3]).dense(3).dense(3).dense(2).model();
        let vars = model.init(key(0), &types![f32[_, 3]]).unwrap();
        let shorter = model.replace("dense", |xs| xs[0].clone()).unwrap();
        assert_eq!(nodes(&shorter), ["x", "dense_1", "dense_2"]);
        let x = key(1).normal([2, 3]);
        let second = model.apply_capturing(&vars, &x, &Mode::Eval, "dense_1").unwrap().1;
        assert!(second.contains_key("dense_1"));
        let y = shorter.apply(&vars, &x, &Mode::Eval);
        assert_eq!(y.y().shape(), [2, 2]);
        let twice = shorter.insert("dense_1", |y| y.dense(3)).unwrap();
        assert_eq!(nodes(&twice), ["x", "dense_1", "dense", "dense_2"]);
    }

    #[test]
    fn blocks_are_changed_once_for_all_calls() {
        let tower = block("tower", |x| x.dense(4).relu().dense(2));
        let (a, b) = (input("a", dims![_, 3]), input("b", dims![_, 3]));
        let model = (tower.call(&a) - tower.call(&b)).model();
        let mut seen = 0;
        let changed = model.map(|l| {
            seen += usize::from(l.path == "tower.relu");
            (l.path == "tower.relu").then(|| l.inputs[0].tanh())
        });
        assert_eq!(seen, 1);
        let want = ["a", "b", "tower.dense", "tower.tanh", "tower.dense_1", "subtract"];
        assert_eq!(nodes(&changed), want);
        let vars = model.init(key(0), &types![f32[_, 3], f32[_, 3]]).unwrap();
        let x = key(1).normal([1, 3]);
        let y = changed.apply(&vars, [&x, &x], &Mode::Eval);
        assert_eq!(y.y().to_vec::<f32>().unwrap(), [0.0, 0.0]);
        assert!(model.cut("tower.dense").unwrap_err().message().contains("outside of blocks"));
    }

    #[test]
    fn inputs_keep_their_order_and_unused_ones_are_dropped() {
        let (a, b) = (input("a", dims![_, 1]), input("b", dims![_, 2]));
        let model = concat([&a.dense(2), &b.dense(2)], -1).model();
        let swapped =
            model.map(|l| (l.kind == "concat").then(|| concat([&l.inputs[1], &l.inputs[0]], -1)));
        assert_eq!(swapped.inputs().collect::<Vec<_>>(), ["a", "b"]);
        let only_b = model.replace("concat", |xs| xs[1].clone()).unwrap();
        assert_eq!(only_b.inputs().collect::<Vec<_>>(), ["b"]);
        let renamed = model.rename("a", "left").unwrap();
        assert_eq!(renamed.inputs().collect::<Vec<_>>(), ["left", "b"]);
        let scaled = model.insert("a", |a| a * 0.5).unwrap();
        assert_eq!(scaled.inputs().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn shared_layers_stay_shared() {
        let head = shared(crate::Dense::new(2)).named("head");
        let (a, b) = (input("a", dims![_, 3]), input("b", dims![_, 3]));
        let model = (head.call(&a) + head.call(&b)).model();
        let renamed = model.rename("head", "top").unwrap();
        let vars = renamed.init(key(0), &types![f32[_, 3], f32[_, 3]]).unwrap();
        assert_eq!(vars.params.keys().collect::<Vec<_>>(), ["top"]);
        let kept = model.insert("add", |y| y.relu()).unwrap();
        let vars = kept.init(key(0), &types![f32[_, 3], f32[_, 3]]).unwrap();
        assert_eq!(vars.params.keys().collect::<Vec<_>>(), ["head"]);
    }

    fn value(model: &Model, x: &Tensor) -> Vec<f32> {
        model.apply(&Vars::default(), x, &Mode::Eval).y().to_vec::<f32>().unwrap()
    }

    #[test]
    fn a_replacement_may_be_any_output_of_a_layer() {
        let model = (input("x", dims![_, 2]) * 1.0).named("same").relu().model();
        let second = |xs: &[Node]| {
            let [_, b] = xs[0].split(-1);
            b
        };
        let changed = model.replace("same", second).unwrap();
        assert_eq!(value(&changed, &tensor([[1.0, 2.0]])), [2.0]);
        let last = model.insert("relu", |y| second(std::slice::from_ref(y))).unwrap();
        assert_eq!(value(&last, &tensor([[1.0, 2.0]])), [2.0], "as an output of the model");
    }

    #[test]
    fn layers_of_several_outputs_are_changed() {
        let [a, b] = input("x", dims![_, 2]).split(-1);
        let (model, x) = ((a - b).model(), tensor([[1.0, 5.0]]));
        assert_eq!(value(&model.rename("split", "parts").unwrap(), &x), [-4.0]);
        assert_eq!(value(&model.insert("split", |a| a * 10.0).unwrap(), &x), [5.0]);
        let hooked = model.hook("split", crate::HookMode::Both, |_, _| ()).unwrap();
        assert_eq!(value(&hooked, &x), [-4.0]);
        let doubled = model.replace("split", |xs| {
            let [a, _] = (&xs[0] * 2.0).split(-1);
            a
        });
        assert_eq!(value(&doubled.unwrap(), &x), [-8.0], "a whole layer replaces a whole layer");
        let first = model.replace("split", |xs| xs[0].clone()).unwrap();
        assert_eq!(value(&first, &x), [-4.0, 0.0], "the second output stays");
    }

    #[test]
    fn the_state_of_a_recurrent_layer_stays_a_state() {
        let (sequence, state) =
            input("x", dims![_, 3, 2]).layer(crate::Lstm::new(4).return_state());
        let model = Model::new([("sequence", sequence), ("state", state.0)]);
        let vars = model.init(key(0), &types![f32[_, 3, 2]]).unwrap();
        let x = key(1).normal([1, 3, 2]);
        let want = model.apply(&vars, &x, &Mode::Eval);
        let changed = model.insert("lstm", |y| y.relu()).unwrap();
        let got = changed.apply(&vars, &x, &Mode::Eval);
        assert_eq!(got["state"].to_vec::<f32>().unwrap(), want["state"].to_vec::<f32>().unwrap());
    }

    #[test]
    fn a_cut_needs_only_the_inputs_of_its_layer() {
        let (a, b) = (input("a", dims![_, 1]), input("b", dims![_, 1]));
        let model = (a.dense(2).relu() + b.dense(2)).model();
        let cut = model.cut("relu").unwrap();
        assert_eq!(cut.inputs().collect::<Vec<_>>(), ["a"]);
        assert_eq!(cut.apply(&Vars::default(), Tensor::ones([1, 1]), &Mode::Eval).outputs.len(), 1);
    }
}
