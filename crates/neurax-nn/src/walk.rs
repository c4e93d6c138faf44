//! The layers of a model as a list: paths, kinds, and which layer reads which.

use crate::Model;
use crate::model_graph::{ModelGraph, ModelNode, Paths};
use crate::node::NodeKind;
use std::collections::BTreeMap;

/// A layer or input of a model, as [`Model::layers`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// The path, which is that of its variables.
    pub path: String,
    /// The kind: the [`NAME`](crate::Layer::NAME) of the layer, the name of a closure's layer, or
    /// `input`.
    pub kind: String,
    /// The paths of the layers or inputs that it reads.
    pub inputs: Vec<String>,
}

impl Model {
    /// Returns the inputs and layers in topological order, those of a block or shared layer at its
    /// first call.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let tower = nn::block("tower", |x| x.dense(4).relu());
    /// let model = (tower.call(nn::input("x", dims![_, 3])) * 2.0).model();
    /// let lines: Vec<String> = model
    ///     .layers()
    ///     .iter()
    ///     .map(|l| format!("{}: {} of [{}]", l.path, l.kind, l.inputs.join(", ")))
    ///     .collect();
    /// assert_eq!(lines, [
    ///     "x: input of []",
    ///     "tower.dense: dense of [x]",
    ///     "tower.relu: relu of [tower.dense]",
    ///     "multiply: multiply of [tower.relu]",
    /// ]);
    /// ```
    pub fn layers(&self) -> Vec<LayerInfo> {
        let mut all = Vec::new();
        walk(self.graph(), &mut |layer| {
            if layer.earlier_calls == 0 {
                let (path, inputs) = (layer.path.into(), layer.inputs.to_vec());
                all.push(LayerInfo { path, kind: layer.kind.into(), inputs });
            }
        });
        all
    }

    /// Returns the number of layers of each kind.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(4).relu().dense(4).relu().dense(1).model();
    /// let kinds = model.kinds();
    /// assert_eq!((kinds["dense"], kinds["relu"]), (3, 2));
    /// ```
    pub fn kinds(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for layer in self.layers() {
            *counts.entry(layer.kind).or_default() += 1;
        }
        counts
    }
}

/// A call of a layer, or an input.
pub(crate) struct Visited<'v> {
    pub(crate) path: &'v str,
    pub(crate) kind: &'v str,
    /// The paths of the layers or inputs that the call reads.
    pub(crate) inputs: &'v [String],
    /// The number of earlier calls with the same variables.
    pub(crate) earlier_calls: u32,
}

/// Calls `visit` for every input of a whole model and every call of a layer, in order.
pub(crate) fn walk(graph: &ModelGraph, visit: &mut dyn FnMut(Visited)) {
    Walk { paths: Paths::default(), repeats: 0, visit }.outputs(graph, "", &[]);
}

struct Walk<'w> {
    paths: Paths,
    /// The number of earlier calls of the blocks around.
    repeats: u32,
    visit: &'w mut dyn FnMut(Visited),
}

impl Walk<'_> {
    /// Visits a graph at `prefix` and returns the paths of the layers that compute its outputs.
    /// `arguments` are those of the layers that compute its inputs.
    fn outputs(&mut self, graph: &ModelGraph, prefix: &str, arguments: &[String]) -> Vec<String> {
        let mut arguments = arguments.iter();
        let mut values: Vec<Vec<String>> = Vec::with_capacity(graph.nodes.len());
        for n in &graph.nodes {
            let (path, earlier_calls) = self.paths.resolve(prefix, n);
            let inputs: Vec<String> = n.inputs.iter().filter_map(|x| of(&values, x)).collect();
            let found = match n.node.kind() {
                NodeKind::Argument => arguments.next().cloned().into_iter().collect(),
                NodeKind::Input(_) if !prefix.is_empty() => {
                    arguments.next().cloned().into_iter().collect()
                }
                NodeKind::Block(model) => {
                    let around = self.repeats;
                    self.repeats += earlier_calls;
                    let outputs = self.outputs(model.graph(), &path, &inputs);
                    self.repeats = around;
                    outputs
                }
                NodeKind::Input(_) | NodeKind::Layer(_) => {
                    let earlier_calls = earlier_calls + self.repeats;
                    let kind = n.kind_name();
                    (self.visit)(Visited { path: &path, kind, inputs: &inputs, earlier_calls });
                    vec![path; n.node.outputs()]
                }
            };
            values.push(found);
        }
        graph.outputs.iter().filter_map(|o| of(&values, &o.value)).collect()
    }
}

/// Returns the path of the layer that computes a value.
fn of(values: &[Vec<String>], value: &crate::model_graph::ValueRef) -> Option<String> {
    values.get(value.node)?.get(value.output).cloned()
}

impl ModelNode {
    /// Returns the name of the kind of a layer, or `input`.
    pub(crate) fn kind_name(&self) -> &str {
        match self.node.kind() {
            NodeKind::Input(_) | NodeKind::Argument => "input",
            // An activation has the kind of its function.
            NodeKind::Layer(layer) => layer.kind(),
            NodeKind::Block(_) => "block",
        }
    }
}
