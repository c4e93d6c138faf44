//! Reading of graphs: messages become nodes in topological order, each with what it calls.
//!
//! The problem: files have nodes in any order, names that occur twice or are empty, operators that
//! do not exist, attributes that a version does not know. A [`Reader`] reads everything once and
//! collects all problems, so that a user sees the whole list and not the first one. An operator
//! without a rule or with an unknown attribute is a problem also where no output depends on it, as
//! the file is not understood.

use crate::elements::{sparse_value, tensor_elements, tensor_value};
use crate::external::ExternalData;
use crate::graph::{Attribute, Attributes, Callee, GraphInput, ModelFunction, OnnxGraph, OnnxNode};
use crate::proto::{AttributeProto, FunctionProto, GraphProto, NodeProto, OperatorSetId};
use crate::registry::{canonical_domain, check_known, find, operator};
use crate::removed::removed_in;
use crate::value::OnnxValue;
use neurax_ir::{Error, Result};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// A function by domain, name and overload.
type FunctionKey = (String, String, String);

/// A reader of the graphs of a model.
pub(crate) struct Reader<'m> {
    pub(crate) files: &'m ExternalData,
    /// The versions of the operator sets in use: those of the model, or those of a function.
    opsets: HashMap<String, i64>,
    functions: HashMap<FunctionKey, &'m FunctionProto>,
    read: HashMap<FunctionKey, Option<Arc<ModelFunction>>>,
    /// The functions that are being read: a function must not call itself.
    open: Vec<FunctionKey>,
    is_newer_allowed: bool,
    /// The results of nodes that call nothing that is known.
    unread: HashSet<String>,
    /// The problems of the model.
    pub(crate) problems: Vec<String>,
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
            open: Vec::new(),
            is_newer_allowed,
            unread: HashSet::new(),
            problems: Vec::new(),
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
        let missing = self.missing(graph);
        self.problems.extend(missing);
    }

    /// Returns what a whole graph needs and nothing computes. What a node without a rule would
    /// compute is left out, as that node is a problem already.
    fn missing(&self, graph: &OnnxGraph) -> Vec<String> {
        let names = graph.captures.iter().filter(|name| !self.unread.contains(*name));
        let text = |name: &String| match graph.nodes.iter().find(|n| n.needs().any(|x| x == name)) {
            Some(n) => format!("{}: nothing computes its input `{name}`", n.label),
            None => format!("nothing computes the output `{name}`"),
        };
        names.map(text).collect()
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

    /// Returns the graph of these parts.
    fn body(
        &mut self,
        inputs: Vec<GraphInput>,
        outputs: Vec<String>,
        initializers: BTreeMap<String, OnnxValue>,
        nodes: &[NodeProto],
    ) -> OnnxGraph {
        let mut read: Vec<OnnxNode> =
            nodes.iter().enumerate().filter_map(|(i, n)| self.node(i, n)).collect();
        self.check_names(&inputs, &read);
        match topological_order(&read) {
            Ok(order) => read = in_order(read, &order),
            Err(cycle) => self.problems.push(format!("the nodes {cycle} depend on each other")),
        }
        drop_dead(&mut read, &outputs);
        let captures = captures(&inputs, &outputs, &initializers, &read);
        OnnxGraph { inputs, outputs, initializers, nodes: read, captures }
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
            13 => Attribute::Type,
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
        let (known, counts): (Vec<&str>, _) = match callee {
            Callee::Operator(id, _) => {
                let op = operator(*id);
                (op.attributes.to_vec(), op.inputs.clone())
            }
            Callee::Function(f) => {
                let names = f.attributes.iter().chain(f.defaults.keys());
                (names.map(String::as_str).collect(), 0..=f.body.inputs.len())
            }
        };
        for name in attributes.keys().filter(|name| !known.contains(&name.as_str())) {
            let expected = match known.is_empty() {
                true => "the operator has none".into(),
                false => format!("expected one of {}", known.join(", ")),
            };
            self.problems.push(format!("{label}: unknown attribute `{name}`; {expected}"));
        }
        if let Callee::Operator(id, version) = callee {
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
            return self.function(key, function).map(Callee::Function);
        }
        let version = match self.opsets.get(domain) {
            Some(&version) => version,
            None if domain == "com.microsoft" => 1,
            None => {
                return Err(format!("the model imports no operator set of the domain `{domain}`"));
            }
        };
        if let (Err(why), false) = (check_known(domain, version), self.is_newer_allowed)
            && !self.problems.contains(&why)
        {
            // Once for all nodes; what else is wrong is found by the newest rules.
            self.problems.push(why);
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
        self.open.push(key.clone());
        let outer = std::mem::replace(&mut self.opsets, versions(&f.opset_import));
        let before = self.problems.len();
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
        if let Some(why) = self.missing(&body).first() {
            self.problems.push(format!("function `{}`: {why}", f.name));
        }
        self.opsets = outer;
        self.open.pop();
        let function = ModelFunction { body, defaults, attributes: f.attribute.clone() };
        let read = (self.problems.len() == before).then(|| Arc::new(function));
        self.read.insert(key, read.clone());
        read.ok_or_else(failed)
    }
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

/// Returns the positions of the nodes such that each comes after those that it needs, otherwise in
/// the order of the file.
///
/// # Errors
/// The labels of nodes that depend on each other.
fn topological_order(nodes: &[OnnxNode]) -> Result<Vec<usize>, String> {
    let outputs = |(i, n): (usize, &'_ OnnxNode)| {
        n.outputs.iter().map(move |y| (y.clone(), i)).collect::<Vec<_>>()
    };
    let producers: HashMap<String, usize> = nodes.iter().enumerate().flat_map(outputs).collect();
    let producer = |name: &str| producers.get(name).copied();
    let mut open: Vec<usize> = vec![0; nodes.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (i, n) in nodes.iter().enumerate() {
        for p in n.needs().filter_map(producer) {
            open[i] += 1;
            readers[p].push(i);
        }
    }
    let mut ready: std::collections::BTreeSet<usize> =
        (0..nodes.len()).filter(|&i| open[i] == 0).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(i) = ready.pop_first() {
        order.push(i);
        for &r in &readers[i] {
            open[r] -= 1;
            if open[r] == 0 {
                ready.insert(r);
            }
        }
    }
    if order.len() == nodes.len() {
        return Ok(order);
    }
    let cycle = nodes.iter().enumerate().filter(|(i, _)| open[*i] > 0);
    Err(cycle.take(5).map(|(_, n)| n.label.as_str()).collect::<Vec<_>>().join(", "))
}

fn in_order(nodes: Vec<OnnxNode>, order: &[usize]) -> Vec<OnnxNode> {
    let mut nodes: Vec<Option<OnnxNode>> = nodes.into_iter().map(Some).collect();
    order.iter().filter_map(|&i| nodes[i].take()).collect()
}

/// Drops the nodes that no output depends on.
fn drop_dead(nodes: &mut Vec<OnnxNode>, outputs: &[String]) {
    let mut needed: HashSet<String> = outputs.iter().cloned().collect();
    let mut is_live = vec![false; nodes.len()];
    for (i, n) in nodes.iter().enumerate().rev() {
        is_live[i] = n.outputs.iter().any(|y| !y.is_empty() && needed.contains(y));
        if is_live[i] {
            needed.extend(n.needs().map(String::from));
        }
    }
    let mut is_live = is_live.into_iter();
    nodes.retain(|_| is_live.next().unwrap_or(true));
}

/// Returns the names that the graph uses and does not define.
fn captures(
    inputs: &[GraphInput],
    outputs: &[String],
    initializers: &BTreeMap<String, OnnxValue>,
    nodes: &[OnnxNode],
) -> Vec<String> {
    let defined = inputs.iter().map(|i| &i.name).chain(initializers.keys());
    let mut seen: HashSet<&str> =
        defined.chain(nodes.iter().flat_map(|n| &n.outputs)).map(String::as_str).collect();
    let used = nodes.iter().flat_map(OnnxNode::needs).chain(outputs.iter().map(String::as_str));
    used.filter(|name| !name.is_empty() && seen.insert(name)).map(String::from).collect()
}
