//! The graph of a model in a file.

use super::fields;
use super::registry::LayerType;
use crate::input_shapes::{InputSpec, invalid};
use crate::layer_precision::LayerDTypes;
use crate::model_graph::ModelGraph;
use crate::node::{NodeKind, Shared};
use crate::policy::InDType;
use crate::{Model, Node};
use neurax_tensor::{DType, Dim, Place, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;

/// A model with its blocks.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedModel {
    /// The graphs: those of blocks before those that call them, the whole model at last.
    pub graphs: Vec<SavedGraph>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SavedGraph {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    block: Option<String>,
    nodes: Vec<SavedNode>,
    /// The inputs in order, as indices of nodes.
    inputs: Vec<usize>,
    /// Names, nodes, and the index among the outputs of the node.
    outputs: Vec<(String, usize, usize)>,
}

#[derive(Serialize, Deserialize)]
struct SavedNode {
    path: String,
    #[serde(flatten)]
    kind: SavedKind,
    /// Nodes, each with the index among its outputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<(usize, usize)>,
    /// A number that is equal for all nodes that share their variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shared: Option<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SavedKind {
    Input {
        #[serde(with = "fields::dims")]
        dims: Vec<Dim>,
        #[serde(with = "fields::dtype")]
        dtype: Option<DType>,
    },
    Argument {},
    Layer {
        name: String,
        options: Value,
        /// The dtype in which the layer computes, if a policy of precision sets it.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "fields::dtype")]
        compute: Option<DType>,
        /// The dtype of its initial parameters, if a policy of precision sets it.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "fields::dtype")]
        params: Option<DType>,
    },
    Block {
        graph: usize,
    },
}

impl SavedModel {
    /// Returns the form of a model in a file.
    ///
    /// # Errors
    /// If a layer is not one of the library; the message names its path.
    pub fn of(model: &Model) -> Result<SavedModel> {
        let mut saving = Saving::default();
        saving.graph(model.graph())?;
        Ok(SavedModel { graphs: saving.graphs })
    }

    /// Returns the model, for the call at `at`.
    ///
    /// # Errors
    /// If the file names a layer that is not known, has invalid options, or indices of no node.
    pub fn model(self, at: &Place) -> Result<Model> {
        let mut loading = LoadingGraphs { models: Vec::new(), shared: HashMap::new(), at };
        for graph in self.graphs {
            let model = loading.graph(graph)?;
            loading.models.push(model);
        }
        loading.models.pop().ok_or_else(|| invalid("expected a graph, got none".into()))
    }
}

#[derive(Default)]
struct Saving {
    graphs: Vec<SavedGraph>,
    /// The indices of blocks that are saved, by the address of their graphs.
    blocks: HashMap<usize, usize>,
    /// The numbers of owners of shared variables.
    shared: HashMap<usize, usize>,
}

impl Saving {
    /// Adds a graph and returns its index.
    fn graph(&mut self, graph: &ModelGraph) -> Result<usize> {
        if let Some(e) = &graph.error {
            return Err(e.clone());
        }
        let address = std::ptr::from_ref(graph).addr();
        if let Some(&index) = self.blocks.get(&address) {
            return Ok(index);
        }
        let nodes = graph.nodes.iter().map(|n| self.node(n)).collect::<Result<_>>()?;
        let outputs =
            graph.outputs.iter().map(|o| (o.name.clone(), o.value.node, o.value.output)).collect();
        let (block, inputs) = (graph.block.clone(), graph.inputs.clone());
        self.graphs.push(SavedGraph { block, nodes, inputs, outputs });
        self.blocks.insert(address, self.graphs.len() - 1);
        Ok(self.graphs.len() - 1)
    }

    fn node(&mut self, n: &crate::model_graph::ModelNode) -> Result<SavedNode> {
        let kind = match n.node.kind() {
            NodeKind::Input(spec) => {
                SavedKind::Input { dims: spec.dims.clone(), dtype: spec.dtype }
            }
            NodeKind::Argument => SavedKind::Argument {},
            NodeKind::Block(model) => SavedKind::Block { graph: self.graph(model.graph())? },
            NodeKind::Layer(layer) => {
                let (layer, dtypes) = InDType::unwrapped(layer);
                let found = LayerType::of(layer.as_ref());
                let found = found.and_then(|t| Some((t.name, t.options(layer.as_ref())?)));
                let Some((name, options)) = found else {
                    let why = format!(
                        "layer `{}`: expected a layer of the library, which a file can name, got \
                         `{}` of a closure, a hook or a user's type; layers in `Rnn`, \
                         `Bidirectional`, `TimeDistributed`, `SpectralNorm` and `WeightNorm` can \
                         be saved if the inner cell or layer is one of the library that \
                         `Net::save` lists; for others, save the variables with `Vars::save` and \
                         build the model in the program that loads them",
                        n.path,
                        layer.kind()
                    );
                    return Err(invalid(why));
                };
                let options = options.map_err(|e| invalid(format!("layer `{}`: {e}", n.path)))?;
                let (compute, params) = (dtypes.map(|d| d.compute), dtypes.and_then(|d| d.params));
                SavedKind::Layer { name: name.into(), options, compute, params }
            }
        };
        let next = self.shared.len();
        let owner = n.node.shared().map(Shared::identity);
        let shared = owner.map(|o| *self.shared.entry(o).or_insert(next));
        let inputs = n.inputs.iter().map(|v| (v.node, v.output)).collect();
        Ok(SavedNode { path: n.path.clone(), kind, inputs, shared })
    }
}

struct LoadingGraphs<'l> {
    models: Vec<Model>,
    shared: HashMap<usize, Shared>,
    at: &'l Place,
}

impl LoadingGraphs<'_> {
    fn graph(&mut self, graph: SavedGraph) -> Result<Model> {
        let mut nodes: Vec<Node> = Vec::with_capacity(graph.nodes.len());
        for saved in graph.nodes {
            let node = self.node(saved, &nodes)?;
            nodes.push(node);
        }
        let inputs =
            graph.inputs.iter().map(|&i| value(&nodes, (i, 0))).collect::<Result<Vec<_>>>()?;
        let output = |(name, node, output)| Ok((name, value(&nodes, (node, output))?));
        let outputs = graph.outputs.into_iter().map(output).collect::<Result<_>>()?;
        Ok(Model::of_graph(ModelGraph::of(graph.block.as_deref(), &inputs, outputs), self.at))
    }

    fn node(&mut self, saved: SavedNode, nodes: &[Node]) -> Result<Node> {
        let (kind, outputs) = self.kind(saved.kind, &saved.path)?;
        let inputs = saved.inputs.iter().map(|&v| value(nodes, v)).collect::<Result<_>>()?;
        let shared = saved.shared.map(|i| self.shared.entry(i).or_insert_with(Shared::new).clone());
        Ok(Node::loaded(&saved.path, inputs, kind, outputs, shared))
    }

    /// Returns the kind of a node, and the number of its outputs.
    fn kind(&self, kind: SavedKind, path: &str) -> Result<(NodeKind, usize)> {
        Ok(match kind {
            SavedKind::Input { dims, dtype } => (NodeKind::Input(InputSpec { dims, dtype }), 1),
            SavedKind::Argument {} => (NodeKind::Argument, 1),
            SavedKind::Block { graph } => {
                let model = self.models.get(graph).cloned();
                let model = model.ok_or_else(|| {
                    invalid(format!("block `{path}`: expected an earlier graph, got {graph}"))
                })?;
                let outputs = model.outputs().count().max(1);
                (NodeKind::Block(model), outputs)
            }
            SavedKind::Layer { name, options, compute, params } => {
                let found = LayerType::named(&name).ok_or_else(|| {
                    let hint = "was the file written by a later version?";
                    invalid(format!("layer `{path}`: expected a known layer, got `{name}`; {hint}"))
                })?;
                let layer = found.layer(options);
                let layer = layer.map_err(|e| invalid(format!("layer `{path}`: {name}: {e}")))?;
                let dtypes = compute.map(|compute| LayerDTypes { compute, params });
                (NodeKind::Layer(InDType::wrapped(layer, dtypes)), (found.outputs)())
            }
        })
    }
}

/// Returns an output of an earlier node.
fn value(nodes: &[Node], (node, output): (usize, usize)) -> Result<Node> {
    let found = nodes.get(node).filter(|n| output < n.outputs());
    found.map(|n| n.sibling(output)).ok_or_else(|| {
        let why = format!("expected an output of an earlier node, got {output} of node {node}");
        invalid(why)
    })
}
