//! Graphs as they are evaluated: nodes in topological order, their attributes and what they call.
//!
//! # Invariants
//!
//! - The inputs of a node are positions: an empty name is an absent input and never a value.
//! - The identity of a node is its position; names are for messages alone.
//! - Nodes that no output depends on are dropped.

use crate::proto::TypeProto;
use crate::value::OnnxValue;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A graph: the main one, the body of a branch or loop, or the body of a function.
#[derive(Debug, Default)]
pub(crate) struct OnnxGraph {
    pub(crate) inputs: Vec<GraphInput>,
    pub(crate) outputs: Vec<String>,
    /// The constant values.
    pub(crate) initializers: BTreeMap<String, OnnxValue>,
    /// The nodes in topological order.
    pub(crate) nodes: Vec<OnnxNode>,
    /// The names of values of enclosing graphs.
    pub(crate) captures: Vec<String>,
    pub(crate) extent: GraphExtent,
}

/// The extent of a graph with the bodies and functions in it. Numbers that are too large are the
/// largest integer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GraphExtent {
    /// The number of graphs inside of each other, the graph itself included.
    pub(crate) height: usize,
    /// The number of nodes, and of default attributes, that the calls of functions stand for.
    pub(crate) called_nodes: usize,
    /// The number of references to attributes of the enclosing function, each of which may be a
    /// graph.
    references: usize,
}

impl GraphExtent {
    /// Returns the extent of a graph without nodes.
    pub(crate) fn empty() -> GraphExtent {
        GraphExtent { height: 1, ..GraphExtent::default() }
    }

    /// Adds what a node stands for.
    pub(crate) fn add(&mut self, n: &OnnxNode) {
        let references =
            n.attributes.values().filter(|a| matches!(a, Attribute::Reference(_))).count();
        let graphs = || n.attributes.values().flat_map(Attribute::graphs);
        graphs().for_each(|g| self.add_body(g, 0, 1));
        let Callee::Function(f) = &n.callee else {
            self.references = self.references.saturating_add(references);
            return;
        };
        let inner = &f.body.extent;
        self.height = self.height.max(inner.height + 1);
        let nodes = f.body.nodes.len().saturating_add(f.defaults.len());
        self.called_nodes =
            self.called_nodes.saturating_add(inner.called_nodes).saturating_add(nodes);
        self.references =
            self.references.saturating_add(references.saturating_mul(inner.references));
        // The function evaluates the graphs that it gets wherever it refers to one.
        for g in graphs().chain(f.defaults.values().flat_map(Attribute::graphs)) {
            self.add_body(g, inner.height, inner.references);
            let nodes = g.nodes.len().saturating_mul(inner.references);
            self.called_nodes = self.called_nodes.saturating_add(nodes);
        }
    }

    /// Adds a graph of an attribute, which is evaluated `times` times below `above` others.
    fn add_body(&mut self, g: &OnnxGraph, above: usize, times: usize) {
        let inner = &g.extent;
        self.height = self.height.max(inner.height + above + 1);
        self.called_nodes =
            self.called_nodes.saturating_add(inner.called_nodes.saturating_mul(times));
        self.references = self.references.saturating_add(inner.references.saturating_mul(times));
    }
}

/// An input of a graph.
#[derive(Debug)]
pub(crate) struct GraphInput {
    pub(crate) name: String,
    pub(crate) r#type: Option<TypeProto>,
}

/// A node.
#[derive(Debug)]
pub(crate) struct OnnxNode {
    /// The name for messages, e.g. `Conv `conv1``.
    pub(crate) label: String,
    pub(crate) callee: Callee,
    /// The names of the inputs, empty for an absent one.
    pub(crate) inputs: Vec<String>,
    /// The names of the outputs, empty for one that is not wanted.
    pub(crate) outputs: Vec<String>,
    pub(crate) attributes: Attributes,
    /// The names of values that the graphs of the attributes capture.
    pub(crate) captures: Vec<String>,
}

/// The operator or function that a node calls.
#[derive(Clone, Debug)]
pub(crate) enum Callee {
    /// An operator, with the version in which its rule of the model's operator set was introduced.
    Operator(OperatorId, i64),
    /// A function of the model.
    Function(Arc<ModelFunction>),
}

/// A function of a model.
#[derive(Debug)]
pub(crate) struct ModelFunction {
    /// The body; its inputs are the parameters.
    pub(crate) body: OnnxGraph,
    /// The values of the attributes that have defaults.
    pub(crate) defaults: Attributes,
    /// The names of all attributes.
    pub(crate) attributes: BTreeSet<String>,
}

/// The position of an operator in the list of all operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OperatorId(pub(crate) usize);

/// The attributes of a node, by name.
pub(crate) type Attributes = BTreeMap<String, Attribute>;

/// The value of an attribute.
#[derive(Clone, Debug)]
pub(crate) enum Attribute {
    Float(f32),
    Int(i64),
    String(Bytes),
    /// A tensor, also a sparse one.
    Tensor(OnnxValue),
    Graph(Arc<OnnxGraph>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Strings(Vec<Bytes>),
    /// Tensors, which no rule reads.
    Tensors,
    Graphs(Vec<Arc<OnnxGraph>>),
    /// A type.
    Type(TypeProto),
    /// The value of an attribute of the enclosing function.
    Reference(String),
}

impl OnnxNode {
    /// Returns the name of the operator or function.
    pub(crate) fn operator(&self) -> &str {
        self.label.split(' ').next().unwrap_or_default()
    }

    /// Returns the name and the value of the output of a `Constant` node of a tensor.
    pub(crate) fn constant(&self) -> Option<(&str, &OnnxValue)> {
        let is_constant =
            matches!(self.callee, Callee::Operator(..)) && self.operator() == "Constant";
        match (self.attributes.get("value"), self.outputs.first()) {
            (Some(Attribute::Tensor(x)), Some(name)) if is_constant => Some((name, x)),
            _ => None,
        }
    }

    /// Returns the names of all values that the node needs: inputs, and captures of its graphs.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &str> {
        let names = self.inputs.iter().chain(&self.captures).map(String::as_str);
        names.filter(|name| !name.is_empty())
    }
}

impl Attribute {
    /// Returns the name of the kind of value, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Attribute::Float(_) => "a float",
            Attribute::Int(_) => "an integer",
            Attribute::String(_) => "a string",
            Attribute::Tensor(_) => "a tensor",
            Attribute::Graph(_) => "a graph",
            Attribute::Floats(_) => "floats",
            Attribute::Ints(_) => "integers",
            Attribute::Strings(_) => "strings",
            Attribute::Tensors => "tensors",
            Attribute::Graphs(_) => "graphs",
            Attribute::Type(_) => "a type",
            Attribute::Reference(_) => "a reference",
        }
    }

    /// Returns the graphs of the attribute.
    pub(crate) fn graphs(&self) -> &[Arc<OnnxGraph>] {
        match self {
            Attribute::Graph(g) => std::slice::from_ref(g),
            Attribute::Graphs(gs) => gs,
            _ => &[],
        }
    }
}
