//! Reading of graphs: messages become nodes in topological order, each with what it calls.
//!
//! The problem: files have nodes in any order, names that occur twice or are empty, operators that
//! do not exist, attributes that a version does not know. A [`Reader`] reads everything once and
//! collects all problems, so that a user sees the whole list and not the first one. An operator
//! without a rule or with an unknown attribute is a problem also where no output depends on it, as
//! the file is not understood.
//!
//! A function is read once and evaluated at each call. So a graph knows its [`GraphExtent`], how
//! deep it is and how many nodes its calls stand for, and one beyond the limits is a problem before
//! anything is evaluated.

use crate::attribute_kinds::attribute_problems;
use crate::elements::{sparse_value, tensor_elements, tensor_value};
use crate::external::ExternalData;
use crate::graph::{
    Attribute, Attributes, Callee, GraphExtent, GraphInput, ModelFunction, OnnxGraph, OnnxNode,
};
use crate::limits::{MAX_BODY_DEPTH, MAX_CALLED_NODES};
use crate::node_order::{captures, drop_dead, in_order, topological_order};
use crate::problems::Problems;
use crate::proto::{AttributeProto, FunctionProto, GraphProto, NodeProto, OperatorSetId};
use crate::registry::{canonical_domain, check_known, find, operator};
use crate::removed::removed_in;
use crate::value::OnnxValue;
use neurax_ir::{Error, Result};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// A function by domain, name and overload.
type FunctionKey = (String, String, String);

/// The number of attributes of a function that a message lists.
const MAX_LISTED_ATTRIBUTES: usize = 50;

/// A reader of the graphs of a model.
pub(crate) struct Reader<'m> {
    pub(crate) files: &'m ExternalData,
    /// The versions of the operator sets in use: those of the model, or those of a function.
    opsets: HashMap<String, i64>,
    functions: HashMap<FunctionKey, &'m FunctionProto>,
    read: HashMap<FunctionKey, Option<Arc<ModelFunction>>>,
    /// The functions that are being read: a function must not call itself.
    open: HashSet<FunctionKey>,
    /// The number of graphs that are being read, each inside of the one before.
    depth: usize,
    is_newer_allowed: bool,
    /// The results of nodes that call nothing that is known.
    unread: HashSet<String>,
    /// The problems of the model.
    pub(crate) problems: Problems,
}

impl<'m> Reader<'m> {
    /// Creates a reader. With `is_newer_allowed`, versions after the newest known one get the
    /// newest rules.
    pub(crate) fn new(
        opsets: &[OperatorSetId],
        functions: &'m [FunctionProto],
        files: &'m ExternalData,
        is_newer_allowed: bool,
    ) -> Reader<'m> {
        let key = |f: &FunctionProto| {
            (canonical_domain(&f.domain).into(), f.name.clone(), f.overload.clone())
        };
        Reader {
            files,
            opsets: versions(opsets),
            functions: functions.iter().map(|f| (key(f), f)).collect(),
            read: HashMap::new(),
            open: HashSet::new(),
            depth: 0,
            is_newer_allowed,
            unread: HashSet::new(),
            problems: Problems::default(),
        }
    }

    /// Reads a graph. What is wrong with it is added to the problems.
    pub(crate) fn graph(&mut self, g: &GraphProto) -> OnnxGraph {
        let mut initializers = BTreeMap::new();
        for t in &g.initializer {
            self.initializer(&mut initializers, &t.name, tensor_elements(t, self.files));
        }
        for t in &g.sparse_initializer {
            let name = t.values.as_ref().map_or("", |values| &values.name);
            self.initializer(&mut initializers, name, sparse_value(t, self.files));
        }
        let input = |i: &crate::proto::ValueInfoProto| GraphInput {
            name: i.name.clone(),
            r#type: i.r#type.clone(),
        };
        let outputs = g.output.iter().map(|o| o.name.clone()).collect();
        self.body(g.input.iter().map(input).collect(), outputs, initializers, &g.node)
    }

    /// Adds a problem for each value of a whole graph that nothing computes.
    pub(crate) fn check_computed(&mut self, graph: &OnnxGraph) {
        let missing: Vec<String> = self.missing(graph).collect();
        missing.into_iter().for_each(|why| self.problems.push(why));
    }

    /// Returns what a whole graph needs and nothing computes. What a node without a rule would
    /// compute is left out, as that node is a problem already.
    fn missing<'g>(&'g self, graph: &'g OnnxGraph) -> impl Iterator<Item = String> + 'g {
        let mut first_readers: HashMap<&str, &str> = HashMap::new();
        for n in graph.nodes.iter().filter(|_| !graph.captures.is_empty()) {
            n.needs().for_each(|name| _ = first_readers.entry(name).or_insert(&n.label));
        }
        let names = graph.captures.iter().filter(|name| !self.unread.contains(*name));
        names.map(move |name| match first_readers.get(name.as_str()) {
            Some(label) => format!("{label}: nothing computes its input `{name}`"),
            None => format!("nothing computes the output `{name}`"),
        })
    }

    fn initializer(
        &mut self,
        to: &mut BTreeMap<String, OnnxValue>,
        name: &str,
        value: Result<OnnxValue>,
    ) {
        match value {
            Ok(value) => {
                if to.insert(name.into(), value).is_some() {
                    self.problems.push(format!("two initializers are called `{name}`"));
                }
            }
            Err(e) => self.problems.push(format!("initializer `{name}`: {}", e.message())),
        }
    }

    /// Returns the graph of these parts, an empty one if it is inside of too many others.
    fn body(
        &mut self,
        inputs: Vec<GraphInput>,
        outputs: Vec<String>,
        initializers: BTreeMap<String, OnnxValue>,
        nodes: &[NodeProto],
    ) -> OnnxGraph {
        if self.depth == MAX_BODY_DEPTH {
            self.problems.push(too_deep());
            return OnnxGraph { inputs, outputs, ..OnnxGraph::default() };
        }
        self.depth += 1;
        let mut read: Vec<OnnxNode> =
            nodes.iter().enumerate().filter_map(|(i, n)| self.node(i, n)).collect();
        self.check_names(&inputs, &read);
        match topological_order(&read) {
            Ok(order) => read = in_order(read, &order),
            Err(cycle) => self.problems.push(format!("the nodes {cycle} depend on each other")),
        }
        drop_dead(&mut read, &outputs);
        let captures = captures(&inputs, &outputs, &initializers, &read);
        let extent = self.extent(&read);
        self.depth -= 1;
        OnnxGraph { inputs, outputs, initializers, nodes: read, captures, extent }
    }

    /// Returns the extent of a graph of these nodes. A node whose calls of functions stand for too
    /// many nodes, together with those before it, is a problem.
    fn extent(&mut self, nodes: &[OnnxNode]) -> GraphExtent {
        let mut extent = GraphExtent::empty();
        for n in nodes {
            let before = extent.called_nodes;
            extent.add(n);
            if before <= MAX_CALLED_NODES && extent.called_nodes > MAX_CALLED_NODES {
                self.problems.push(format!(
                    "{}: expected calls of functions that stand for at most {MAX_CALLED_NODES} \
                     nodes, got {}; call the functions less often, or write their nodes into the \
                     graph",
                    n.label, extent.called_nodes
                ));
            }
        }
        if self.depth + extent.height > MAX_BODY_DEPTH + 1 {
            self.problems.push(too_deep());
        }
        extent
    }

    /// Adds a problem for each value that two nodes compute.
    fn check_names(&mut self, inputs: &[GraphInput], nodes: &[OnnxNode]) {
        let mut seen: HashSet<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
        for n in nodes {
            for y in n.outputs.iter().filter(|y| !y.is_empty()) {
                if !seen.insert(y) {
                    self.problems.push(format!("{}: another value is called `{y}`", n.label));
                }
            }
        }
    }

    /// Reads a node; `None` if it calls nothing that is known.
    fn node(&mut self, index: usize, n: &NodeProto) -> Option<OnnxNode> {
        let label = match n.name.as_str() {
            "" => format!("{} #{index}", n.op_type),
            name => format!("{} `{name}`", n.op_type),
        };
        let mut attributes = Attributes::new();
        for a in &n.attribute {
            match self.attribute(a) {
                Ok(value) => {
                    if attributes.insert(a.name.clone(), value).is_some() {
                        self.problems.push(format!("{label}: two attributes `{}`", a.name));
                    }
                }
                Err(e) => self.problems.push(format!("{label}: {}", e.message())),
            }
        }
        let callee = match self.callee(n) {
            Ok(callee) => callee,
            Err(why) => {
                self.problems.push(format!("{label}: {why}"));
                self.unread.extend(n.output.iter().cloned());
                return None;
            }
        };
        self.check_call(&label, &callee, n, &attributes);
        let graphs = attributes.values().flat_map(Attribute::graphs);
        let mut captures: Vec<String> = graphs.flat_map(|g| g.captures.iter().cloned()).collect();
        // `Gradient` names the value that it differentiates, which nothing else may need.
        if let (Some(Attribute::String(y)), "Gradient") = (attributes.get("y"), &*n.op_type) {
            captures.extend(crate::elements::utf8(y));
        }
        let (inputs, outputs) = (n.input.clone(), n.output.clone());
        Some(OnnxNode { label, callee, inputs, outputs, attributes, captures })
    }

    /// Reads an attribute. Old files lack the type: then it is that of the field with a value.
    ///
    /// # Errors
    /// If the value is missing or invalid.
    fn attribute(&mut self, a: &AttributeProto) -> Result<Attribute> {
        if !a.ref_attr_name.is_empty() {
            return Ok(Attribute::Reference(a.ref_attr_name.clone()));
        }
        let missing = || Error::new("onnx", format!("attribute `{}` has no value", a.name));
        let files: &ExternalData = self.files;
        let tensor = |t| tensor_value(t, files);
        Ok(match a.r#type {
            0 => return self.untyped_attribute(a),
            1 => Attribute::Float(a.f.unwrap_or(0.0)),
            2 => Attribute::Int(a.i.unwrap_or(0)),
            3 => Attribute::String(a.s.clone().unwrap_or_default()),
            4 => Attribute::Tensor(tensor(a.t.as_ref().ok_or_else(missing)?)?),
            5 => Attribute::Graph(Arc::new(self.graph(a.g.as_ref().ok_or_else(missing)?))),
            6 => Attribute::Floats(a.floats.clone()),
            7 => Attribute::Ints(a.ints.clone()),
            8 => Attribute::Strings(a.strings.clone()),
            9 => Attribute::Tensors,
            10 => Attribute::Graphs(a.graphs.iter().map(|g| Arc::new(self.graph(g))).collect()),
            11 => {
                let sparse = a.sparse_tensor.as_ref().ok_or_else(missing)?;
                Attribute::Tensor(sparse_value(sparse, files)?)
            }
            13 => Attribute::Type(a.tp.clone().ok_or_else(missing)?),
            kind => {
                let why = format!("attribute `{}`: {kind} is not the number of a type", a.name);
                return Err(Error::new("onnx", why));
            }
        })
    }

    fn untyped_attribute(&mut self, a: &AttributeProto) -> Result<Attribute> {
        let kind = match a {
            AttributeProto { f: Some(_), .. } => 1,
            AttributeProto { i: Some(_), .. } => 2,
            AttributeProto { s: Some(_), .. } => 3,
            AttributeProto { t: Some(_), .. } => 4,
            AttributeProto { g: Some(_), .. } => 5,
            a if !a.floats.is_empty() => 6,
            a if !a.strings.is_empty() => 8,
            a if !a.tensors.is_empty() => 9,
            a if !a.graphs.is_empty() => 10,
            // A list without elements is one of integers in all operators that allow one.
            _ => 7,
        };
        self.attribute(&AttributeProto { r#type: kind, ..a.clone() })
    }

    /// Adds problems for unknown attributes and impossible numbers of inputs.
    fn check_call(&mut self, label: &str, callee: &Callee, n: &NodeProto, attributes: &Attributes) {
        let label = &match callee {
            Callee::Operator(_, version) => format!("{label} (version {version})"),
            Callee::Function(_) => label.to_string(),
        };
        let counts = match callee {
            Callee::Operator(id, _) => operator(*id).inputs.clone(),
            Callee::Function(f) => 0..=f.body.inputs.len(),
        };
        let is_known = |name: &&String| match callee {
            Callee::Operator(id, _) => operator(*id).attributes.contains(&name.as_str()),
            Callee::Function(f) => f.attributes.contains(*name),
        };
        for name in attributes.keys().filter(|name| !is_known(name)) {
            let expected = match known_attributes(callee) {
                known if known.is_empty() => "the operator has none".into(),
                known => format!("expected one of {known}"),
            };
            self.problems.push(format!("{label}: unknown attribute `{name}`; {expected}"));
        }
        if let Callee::Operator(id, version) = callee {
            for why in attribute_problems(operator(*id), *version, attributes) {
                self.problems.push(format!("{label}: {why}"));
            }
            let removed = |name: &String| {
                Some((name.clone(), removed_in(operator(*id).name, name, *version)?))
            };
            for (name, by) in attributes.keys().filter_map(removed) {
                let why = format!("version {by} of the operator removed it");
                self.problems.push(format!("{label}: unknown attribute `{name}`; {why}"));
            }
        }
        if !counts.contains(&n.input.len()) {
            let (least, most) = (counts.start(), counts.end());
            let got = n.input.len();
            let want = if *most == usize::MAX {
                format!("at least {least}")
            } else {
                format!("{least} to {most}")
            };
            self.problems.push(format!("{label}: expected {want} inputs, got {got}"));
        }
    }

    /// Returns what a node calls. A function of the model comes before an operator.
    fn callee(&mut self, n: &NodeProto) -> Result<Callee, String> {
        let domain = canonical_domain(&n.domain);
        let key = (domain.to_string(), n.op_type.clone(), n.overload.clone());
        if let Some(&function) = self.functions.get(&key) {
            let function = self.function(key, function)?;
            // One that was read before may be too high here.
            return match self.depth + function.body.extent.height > MAX_BODY_DEPTH {
                true => Err(too_deep()),
                false => Ok(Callee::Function(function)),
            };
        }
        let version = match self.opsets.get(domain) {
            Some(&version) => version,
            None if domain == "com.microsoft" => 1,
            None => {
                return Err(format!("the model imports no operator set of the domain `{domain}`"));
            }
        };
        if let (Err(why), false) = (check_known(domain, version), self.is_newer_allowed) {
            // Once for all nodes; what else is wrong is found by the newest rules.
            self.problems.push_once(why);
        }
        let (op, since) = find(domain, &n.op_type, version)?;
        Ok(Callee::Operator(op, since))
    }

    /// Reads a function once.
    fn function(
        &mut self,
        key: FunctionKey,
        f: &'m FunctionProto,
    ) -> Result<Arc<ModelFunction>, String> {
        let failed = || format!("the function `{}` has errors", f.name);
        if let Some(read) = self.read.get(&key) {
            return read.clone().ok_or_else(failed);
        }
        if self.open.contains(&key) {
            return Err(format!("the function `{}` calls itself", f.name));
        }
        if self.depth == MAX_BODY_DEPTH {
            return Err(too_deep());
        }
        self.open.insert(key.clone());
        let outer = std::mem::replace(&mut self.opsets, versions(&f.opset_import));
        let before = self.problems.count();
        let mut defaults = Attributes::new();
        for a in &f.attribute_proto {
            match self.attribute(a) {
                Ok(value) => _ = defaults.insert(a.name.clone(), value),
                Err(e) => self.problems.push(format!("function `{}`: {}", f.name, e.message())),
            }
        }
        let input = |name: &String| GraphInput { name: name.clone(), r#type: None };
        let inputs = f.input.iter().map(input).collect();
        let body = self.body(inputs, f.output.clone(), BTreeMap::new(), &f.node);
        let missing = self.missing(&body).next();
        if let Some(why) = missing {
            self.problems.push(format!("function `{}`: {why}", f.name));
        }
        self.opsets = outer;
        self.open.remove(&key);
        let attributes = f.attribute.iter().chain(defaults.keys()).cloned().collect();
        let function = ModelFunction { body, defaults, attributes };
        let read = (self.problems.count() == before).then(|| Arc::new(function));
        self.read.insert(key, read.clone());
        read.ok_or_else(failed)
    }
}

/// Returns the problem of graphs inside of too many others.
fn too_deep() -> String {
    format!(
        "expected bodies and functions at most {MAX_BODY_DEPTH} deep inside of each other; export \
         the model with fewer local functions"
    )
}

/// Returns the names of the attributes that a callee has, for a message.
fn known_attributes(callee: &Callee) -> String {
    let names: Vec<&str> = match callee {
        Callee::Operator(id, _) => operator(*id).attributes.to_vec(),
        Callee::Function(f) => f.attributes.iter().map(String::as_str).collect(),
    };
    let listed = &names[..names.len().min(MAX_LISTED_ATTRIBUTES)];
    let more = if listed.len() < names.len() { ", .." } else { "" };
    format!("{}{more}", listed.join(", "))
}

/// Returns the versions of operator sets by domain; of a domain that is listed twice, the newest.
fn versions(opsets: &[OperatorSetId]) -> HashMap<String, i64> {
    let mut versions = HashMap::new();
    for o in opsets {
        let version = versions.entry(canonical_domain(&o.domain).to_string()).or_insert(o.version);
        *version = o.version.max(*version);
    }
    versions
}
