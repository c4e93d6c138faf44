//! Optimization of files: what is known before all calls is computed, and the rest of the graph
//! stays as it is.
//!
//! A compiled program does this when it is compiled; other runtimes need not do it again for each
//! session, and it works for every model, also with steps on the host. The rewrites, in order:
//!
//! 1. `constants.rs`: nodes whose inputs are constants become initializers (*constant folding*).
//!    What is larger than its inputs stays, and so do quantized weights, for which runtimes have
//!    integer products.
//! 2. [`GraphEditor::drop_identities`]: `Identity`, and `Dropout` outside of training, give way to
//!    their input.
//! 3. `batch_norms.rs`: batch normalizations are folded into the convolution in front of them.
//! 4. [`GraphEditor::drop_dead`]: nodes and initializers that no output depends on are dropped.
//!
//! ```text
//! Constant -> shape                 w' = w * scale / sqrt(var + epsilon)
//! Conv(x, w) -> BatchNormalization        ->       Conv(x, w', b') -> Reshape(shape)
//! -> Identity -> Reshape(shape)
//! ```
//!
//! # Invariants
//!
//! - Inputs and outputs keep their names, and so does each node that stays.
//! - An initializer that is an input is a default that a caller may override: it is no constant.
//! - The bodies of branches and loops, and functions, are not changed.

mod batch_norms;
mod constants;
mod uses;

use super::copied_data::copy_data;
use super::model_file::OnnxModelFile;
use super::tensor_survey::TensorSurvey;
use crate::Importer;
use crate::external::shared;
use crate::graph::{OnnxGraph, OnnxNode};
use crate::proto::{ModelProto, NodeProto, TensorProto};
use crate::value::OnnxValue;
use bytes::Bytes;
use neurax_ir::{Error, OrBug, Result};
use neurax_tensor::Tensor;
use neurax_tensor::io::read_or_map_file;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// Writes a copy of the model in a file in which everything is computed that is known before all
/// calls: constants are folded, batch normalizations are folded into convolutions, nodes without an
/// effect and those that no output depends on are dropped. The other nodes stay as they are.
/// External data that are still read are copied beside the new file, if that is in another folder.
///
/// ```no_run
/// use neurax::prelude::*;
/// onnx::optimize("model.onnx", "small.onnx")?;
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// As for [`Importer::open`]; if the model is for training, or a file cannot be written.
pub fn optimize(original: impl AsRef<Path>, new: impl AsRef<Path>) -> Result<()> {
    let (original, new) = (original.as_ref(), new.as_ref());
    let bytes = read_or_map_file(original)
        .map_err(|e| failed(format!("cannot read {}: {e}", original.display())))?;
    let bytes = shared(bytes);
    let data = format!("{}.data", new.file_name().and_then(|n| n.to_str()).unwrap_or_default());
    let beside = new.with_file_name(&data);
    let survey = TensorSurvey::of(&bytes)?;
    survey.check_path(original, new)?;
    survey.check_path(original, &beside)?;
    let (model, main) = Importer::new().model(bytes, Some(original))?;
    let mut editor = GraphEditor::new(model, main)?;
    editor.fold_constants()?;
    editor.drop_identities();
    editor.fold_batch_norms()?;
    editor.drop_dead();
    let file = editor.file(&data)?;
    let kept = TensorSurvey::of(&Bytes::from(file.message()?))?;
    let kept = kept.locations().filter(|location| **location != data);
    copy_data("onnx optimize", kept, original, new)?;
    file.write(new, &data)
}

/// The first version of the format in which initializers are no inputs.
const MIN_IR_VERSION: i64 = 4;

/// A model that is being optimized.
struct GraphEditor {
    model: ModelProto,
    main: OnnxGraph,
    /// The nodes that are left, in topological order.
    nodes: Vec<NodeProto>,
    /// The values of initializers that are no inputs, and those that were computed.
    constants: HashMap<String, Tensor>,
    /// The names of the constants that are not initializers of the file, in order.
    computed: Vec<String>,
    names: HashSet<String>,
}

impl GraphEditor {
    fn new(mut model: ModelProto, main: OnnxGraph) -> Result<GraphEditor> {
        let graph = model.graph.as_mut().or_bug("a model without a graph")?;
        let all = std::mem::take(&mut graph.node);
        if all.iter().any(|n| n.op_type == "Gradient") || main.nodes.iter().any(is_optimizer) {
            return Err(failed("expected a model for inference, got one for training".into()));
        }
        let mut names = HashSet::new();
        all.iter().for_each(|n| uses::each_name(n, &mut |name| _ = names.insert(name.into())));
        names.extend(main.inputs.iter().map(|i| i.name.clone()));
        names.extend(main.initializers.keys().cloned());
        let inputs: HashSet<&str> = main.inputs.iter().map(|i| i.name.as_str()).collect();
        let mut constants = HashMap::new();
        for (name, value) in &main.initializers {
            if let OnnxValue::Tensor(x) = value
                && !inputs.contains(name.as_str())
            {
                constants.insert(name.clone(), x.clone());
            }
        }
        let nodes = in_order(all, &main.nodes)?;
        Ok(GraphEditor { model, main, nodes, constants, computed: vec![], names })
    }

    /// Adds a constant with a name like `name`, and returns its name.
    fn add_constant(&mut self, name: &str, value: Tensor) -> String {
        let mut free = name.to_string();
        let mut number = 0;
        while !self.names.insert(free.clone()) {
            number += 1;
            free = format!("{name}_{number}");
        }
        self.set_constant(&free, value);
        free
    }

    /// Sets the value of a name, whose node is dropped.
    fn set_constant(&mut self, name: &str, value: Tensor) {
        self.constants.insert(name.into(), value);
        self.computed.push(name.into());
    }

    /// Returns true if a name is an output of the graph.
    fn is_output(&self, name: &str) -> bool {
        self.main.outputs.iter().any(|y| y == name)
    }

    /// Removes the nodes that copy their input, unless they compute an output of the graph or a
    /// body of another node reads their result.
    fn drop_identities(&mut self) {
        let mut captured = HashSet::new();
        for n in &self.nodes {
            uses::each_capture(n, &mut |name| _ = captured.insert(name.to_string()));
        }
        let mut sources: HashMap<String, String> = HashMap::new();
        let nodes = std::mem::take(&mut self.nodes);
        for mut n in nodes {
            for x in &mut n.input {
                if let Some(source) = sources.get(x) {
                    *x = source.clone();
                }
            }
            match (n.input.first(), n.output.first()) {
                (Some(x), Some(y))
                    if self.is_identity(&n) && !self.is_output(y) && !captured.contains(y) =>
                {
                    sources.insert(y.clone(), x.clone());
                }
                _ => self.nodes.push(n),
            }
        }
    }

    /// Returns true if the only result of a node is its first input. `Dropout` has its mode as an
    /// input since opset 12, and none for inference between 7 and 12.
    fn is_identity(&self, n: &NodeProto) -> bool {
        let has_one_result = n.output.iter().skip(1).all(|y| y.is_empty());
        let is_training = n.input.get(2).is_some_and(|mode| !mode.is_empty());
        has_one_result
            && n.domain.is_empty()
            && match n.op_type.as_str() {
                "Identity" => true,
                "Dropout" => !is_training && n.attribute.iter().all(|a| a.name != "is_test"),
                _ => false,
            }
            && (n.op_type == "Identity" || self.opset() >= 7)
    }

    /// Returns the version of the default operator set.
    fn opset(&self) -> i64 {
        let own = self.model.opset_import.iter().filter(|o| o.domain.is_empty());
        own.map(|o| o.version).max().unwrap_or(0)
    }

    /// Drops nodes and constants that no output depends on.
    fn drop_dead(&mut self) {
        let mut used: HashSet<String> = self.main.outputs.iter().cloned().collect();
        let mut live = vec![];
        while let Some(n) = self.nodes.pop() {
            if n.output.iter().any(|y| used.contains(y)) {
                uses::each_use(&n, &mut |name| _ = used.insert(name.into()));
                live.push(n);
            }
        }
        live.reverse();
        self.nodes = live;
        self.computed.retain(|name| used.contains(name));
        let inputs: HashSet<&str> = self.main.inputs.iter().map(|i| i.name.as_str()).collect();
        let is_used = |name: &str| used.contains(name) || inputs.contains(name);
        if let Some(graph) = &mut self.model.graph {
            // Up to version 3, all initializers are inputs, too.
            graph.input.retain(|x| inputs.contains(x.name.as_str()));
            graph.initializer.retain(|t| is_used(&t.name));
            let name = |t: &Option<TensorProto>| t.as_ref().map(|t| t.name.clone());
            graph.sparse_initializer.retain(|s| name(&s.values).is_some_and(|n| is_used(&n)));
            // The declared types of values are of no use to readers that infer them.
            graph.value_info.clear();
        }
        self.model.ir_version = self.model.ir_version.max(MIN_IR_VERSION);
    }

    /// Returns the new model, with the name of the file for its data.
    fn file(self, data: &str) -> Result<OnnxModelFile> {
        let GraphEditor { mut model, nodes, constants, computed, .. } = self;
        let mut tensors = BTreeMap::new();
        for name in computed {
            let value = constants.get(&name).or_bug("a constant without a value")?;
            tensors.insert(name, value.to_literal()?);
        }
        model.graph.as_mut().or_bug("a model without a graph")?.node = nodes;
        OnnxModelFile::edited(model, tensors, data)
    }
}

/// Returns true for an optimizer of `ai.onnx.preview.training`.
fn is_optimizer(n: &OnnxNode) -> bool {
    ["Adam", "Adagrad", "Momentum"].contains(&n.operator())
}

/// Returns the messages of nodes in the order of the graph, without those that are not in it.
fn in_order(messages: Vec<NodeProto>, nodes: &[OnnxNode]) -> Result<Vec<NodeProto>> {
    let first = |outputs: &[String]| outputs.iter().find(|y| !y.is_empty()).cloned();
    let mut by_output: HashMap<Option<String>, NodeProto> =
        messages.into_iter().map(|n| (first(&n.output), n)).collect();
    let take = |n: &OnnxNode| by_output.remove(&first(&n.outputs)).or_bug("a node without a name");
    nodes.iter().map(take).collect()
}

fn failed(why: String) -> Error {
    Error::new("onnx optimize", why)
}

#[cfg(test)]
mod tests;
