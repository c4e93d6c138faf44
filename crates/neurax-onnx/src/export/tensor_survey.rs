//! A survey of the tensors of a file, before its weights are replaced.

use crate::dtype::ElementType;
use crate::elements::sizes;
use crate::external::allowed_path;
use crate::model_bytes::decoded_model;
use crate::param_names::is_shadowed;
use crate::proto::{
    AttributeProto, DataLocation, GraphProto, NodeProto, SparseTensorProto, TensorProto,
};
use crate::single_weights::{NodeView, is_parameter, weight_names};
use bytes::Bytes;
use neurax_ir::{Error, Result, Type};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// The tensors of a file: the names of those that the importer makes parameters, and the files of
/// those that are in another file.
#[derive(Debug, Default)]
pub(super) struct TensorSurvey {
    pub params: HashSet<String>,
    /// The names that are read as weights.
    weights: HashSet<String>,
    /// The locations of the parameters, and those of other tensors.
    replaced: BTreeSet<String>,
    pub kept: BTreeSet<String>,
}

impl TensorSurvey {
    /// Returns the tensors of a model.
    ///
    /// # Errors
    /// If the bytes are no model.
    pub fn of(bytes: &Bytes) -> Result<TensorSurvey> {
        let model = decoded_model(bytes.clone())?;
        let mut survey = TensorSurvey::default();
        let graph = model.graph.unwrap_or_default();
        let nodes: Vec<NodeView> = graph.node.iter().map(node_view).collect();
        let weights = weight_names(&nodes, graph.output.iter().map(|y| y.name.as_str()));
        survey.weights = weights.into_iter().map(String::from).collect();
        let (params, others): (Vec<_>, Vec<_>) = named_tensors(&graph)
            .map(|(name, t)| Ok((name, t, survey.parameter_type(name, t)?.is_some())))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .partition(|(.., is_param)| *is_param);
        survey.params.extend(params.iter().map(|(name, ..)| name.to_string()));
        for (name, t, _) in &params {
            let is_kept = is_shadowed(name, &survey.params);
            let of = if is_kept { &mut survey.kept } else { &mut survey.replaced };
            of.extend(location(t));
        }
        survey.kept.extend(others.iter().filter_map(|(_, t, _)| location(t)));
        graph.sparse_initializer.iter().for_each(|s| survey.sparse(s));
        for node in &graph.node {
            let is_named = named_constant(node).is_some();
            for a in &node.attribute {
                survey.attribute(a, is_named && a.name == "value");
            }
        }
        for f in &model.functions {
            f.node.iter().flat_map(|n| &n.attribute).for_each(|a| survey.attribute(a, false));
        }
        Ok(survey)
    }

    /// Returns the type of a tensor of this name, if the importer makes it a parameter.
    pub fn parameter_type(&self, name: &str, t: &TensorProto) -> Result<Option<Type>> {
        let Some(ElementType::Number(dtype)) = ElementType::of_number(t.data_type.into()) else {
            return Ok(None);
        };
        let shape = sizes(&t.dims)?;
        let is_parameter = is_parameter(dtype, &shape, self.weights.contains(name));
        Ok(is_parameter.then(|| Type::new(dtype, shape)))
    }

    /// Adds the tensors of an attribute. That of a constant is known already.
    fn attribute(&mut self, a: &AttributeProto, is_known: bool) {
        if !is_known {
            self.kept.extend(a.t.iter().chain(&a.tensors).filter_map(location));
        }
        a.sparse_tensor.iter().for_each(|s| self.sparse(s));
        a.g.iter().chain(&a.graphs).for_each(|g| self.body(g));
    }

    /// Adds the tensors of a graph inside a node, which are no parameters.
    fn body(&mut self, graph: &GraphProto) {
        self.kept.extend(graph.initializer.iter().filter_map(location));
        graph.sparse_initializer.iter().for_each(|s| self.sparse(s));
        graph.node.iter().flat_map(|n| &n.attribute).for_each(|a| self.attribute(a, false));
    }

    fn sparse(&mut self, s: &SparseTensorProto) {
        self.kept.extend(s.values.iter().chain(&s.indices).filter_map(location));
    }

    /// Returns the locations of all tensors that are in other files.
    pub fn locations(&self) -> impl Iterator<Item = &String> {
        self.replaced.union(&self.kept)
    }

    /// Checks that the new model replaces no data of the original.
    pub fn check_path(&self, original: &Path, new: &Path) -> Result<()> {
        let name = file_name(new)?;
        match self.is_data(original, new) || self.kept.iter().any(|l| Path::new(l) == name) {
            false => Ok(()),
            true => Err(failed(format!(
                "{} has data of the original model; use another name for the new one",
                new.display()
            ))),
        }
    }

    /// Returns true if tensors of the original are in the file `path`.
    fn is_data(&self, original: &Path, path: &Path) -> bool {
        let Ok(path) = path.canonicalize() else { return false };
        let mut all = self.replaced.iter().chain(&self.kept);
        // A location that leads to no file has no data.
        all.any(|location| allowed_path(original, location).is_ok_and(|p| p == path))
    }

    /// Returns the name of a file for the data of the new model: that of the model with the suffix
    /// `.weights`, and a number if data that are still in use have that name.
    pub fn data_name(&self, original: &Path, new: &Path) -> Result<String> {
        let name = file_name(new)?.to_string();
        let is_same = matches!((original.canonicalize(), new.canonicalize()),
            (Ok(a), Ok(b)) if a == b);
        let is_kept = |data: &str| self.kept.iter().any(|l| Path::new(l) == Path::new(data));
        let is_used = |data: &str| {
            is_kept(data) || !is_same && self.is_data(original, &new.with_file_name(data))
        };
        let first = format!("{name}.weights");
        if !is_used(&first) {
            return Ok(first);
        }
        let numbered = (1u64..).map(|i| format!("{name}.{i}.weights"));
        let mut free = numbered.filter(|n| !is_kept(n) && !new.with_file_name(n).exists());
        free.next().ok_or_else(|| failed(format!("no free name beside {}", new.display())))
    }
}

/// Returns the tensors of a graph that may be parameters, with their names.
fn named_tensors(graph: &GraphProto) -> impl Iterator<Item = (&str, &TensorProto)> {
    let of_nodes = graph.node.iter().filter_map(named_constant);
    graph.initializer.iter().map(|t| (t.name.as_str(), t)).chain(of_nodes)
}

/// Returns the tensor of a constant, with the name of its output.
fn named_constant(node: &NodeProto) -> Option<(&str, &TensorProto)> {
    let value = node.attribute.iter().find(|a| a.name == "value")?;
    let name = node.output.first().filter(|_| node.op_type == "Constant")?;
    Some((name, value.t.as_ref()?))
}

/// Returns the file that a tensor is in, if that is another one.
fn location(t: &TensorProto) -> Option<String> {
    let is_outside = t.data_location == DataLocation::External as i32;
    let entry = t.external_data.iter().find(|e| e.key == "location");
    entry.filter(|_| is_outside).map(|e| e.value.clone())
}

fn file_name(path: &Path) -> Result<&str> {
    let name = path.file_name().and_then(|n| n.to_str());
    name.ok_or_else(|| failed(format!("{} is no file", path.display())))
}

fn node_view(node: &NodeProto) -> NodeView<'_> {
    let graphs = node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs));
    NodeView {
        operator: &node.op_type,
        inputs: &node.input,
        outputs: &node.output,
        captures: graphs.flat_map(names_used).collect(),
    }
}

/// Returns the names that a body uses, also of values that it computes.
fn names_used(graph: &GraphProto) -> Vec<&str> {
    let outputs = graph.output.iter().map(|y| y.name.as_str());
    let views = graph.node.iter().map(node_view);
    let inputs = views.flat_map(|n| n.inputs.iter().map(String::as_str).chain(n.captures));
    inputs.chain(outputs).collect()
}

pub(super) fn failed(why: String) -> Error {
    Error::new("write_weights", why)
}
