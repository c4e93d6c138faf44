//! The evaluation of graphs: the values of all nodes in topological order.
//!
//! Nodes are calls of functions of tensors, so that a graph is evaluated, traced and differentiated
//! by the same code. A node whose inputs are all known is computed immediately, also while the body
//! of a loop is traced: shapes, axes and sizes that the graph computes are known to the rules that
//! need them, whatever operators and dtypes are between.
//!
//! Names are looked up from the innermost graph to the outermost one.

use crate::call::{NodeCall, RuleFailure, RuleOutcome, Scope, fail, resolved};
use crate::draw_keys::LayerKeys;
use crate::graph::{Attributes, Callee, ModelFunction, OnnxGraph, OnnxNode};
use crate::loop_budget::{LoopBudget, TraceBudget};
use crate::own_lines::without_own_line;
use crate::registry::operator;
use crate::value::OnnxValue;
use neurax_ir::Error;
use neurax_tensor::outside_of_bodies;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The values of a graph that is being evaluated.
pub(crate) struct GraphScope<'f> {
    graph: &'f OnnxGraph,
    outer: Option<&'f GraphScope<'f>>,
    /// The attributes of the call, if the graph is the body of a function or inside of one.
    attributes: Option<&'f Attributes>,
    values: HashMap<&'f str, OnnxValue>,
    /// True if both branches of a condition without a known value are traced. Otherwise the value
    /// is asked for first.
    pub(crate) traces_branches: bool,
    /// The keys for random numbers if the graph is that of a layer of a network.
    pub(crate) keys: Option<&'f LayerKeys>,
    budget: Arc<LoopBudget>,
    traced: Arc<TraceBudget>,
}

impl<'f> GraphScope<'f> {
    /// Creates the scope of a graph, with the values of its inputs.
    pub(crate) fn new(
        graph: &'f OnnxGraph,
        inputs: impl IntoIterator<Item = OnnxValue>,
        outer: Option<&'f GraphScope<'f>>,
        attributes: Option<&'f Attributes>,
    ) -> GraphScope<'f> {
        let names = graph.inputs.iter().map(|i| i.name.as_str());
        let scope = GraphScope {
            graph,
            outer,
            attributes,
            values: names.zip(inputs).collect(),
            traces_branches: false,
            keys: None,
            budget: Arc::default(),
            traced: Arc::default(),
        };
        match outer {
            Some(outer) => scope.called_by(outer),
            None => scope,
        }
    }

    /// Sets the iterations that loops may have.
    pub(crate) fn with_budget(self, budget: &Arc<LoopBudget>) -> GraphScope<'f> {
        GraphScope { budget: budget.clone(), ..self }
    }

    /// Sets what a body or function has in common with the graph that calls it.
    fn called_by(self, caller: &GraphScope<'f>) -> GraphScope<'f> {
        GraphScope {
            traces_branches: caller.traces_branches,
            keys: caller.keys,
            budget: caller.budget.clone(),
            traced: caller.traced.clone(),
            ..self
        }
    }

    /// Returns the value with this name of the graph or of those around it.
    pub(crate) fn get(&self, name: &str) -> Option<OnnxValue> {
        let own = || self.values.get(name).or_else(|| self.graph.initializers.get(name)).cloned();
        own().or_else(|| self.outer?.get(name))
    }

    /// Returns true if a name without a value is an input that the call of a function leaves out.
    fn is_absent(&self, name: &str) -> bool {
        let is_input = self.graph.inputs.iter().any(|i| i.name == name);
        is_input || self.outer.is_some_and(|outer| outer.is_absent(name))
    }

    /// Sets the value of a name.
    pub(crate) fn set(&mut self, name: &'f str, value: OnnxValue) {
        self.values.insert(name, value);
    }

    /// Evaluates a node and sets its outputs.
    ///
    /// # Errors
    /// If the node is invalid for its inputs, or needs to know the value of one.
    pub(crate) fn evaluate(&mut self, node: &'f OnnxNode) -> Result<(), RuleFailure> {
        let outputs = self.outputs_of(node).map_err(|f| in_node(f, node))?;
        for (i, name) in node.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let Some(y) = outputs.get(i) else {
                return Err(in_node(missing_output(i), node));
            };
            if let Some(e) = y.error() {
                return Err(in_node(RuleFailure::Error(e.clone()), node));
            }
            self.values.insert(name, y.clone());
        }
        Ok(())
    }

    /// Returns the values of the outputs of the graph.
    ///
    /// # Errors
    /// If nothing computes an output.
    pub(crate) fn results(&self) -> RuleOutcome {
        let result = |name: &String| match self.get(name) {
            Some(y) => Ok(y),
            None => fail(format!("nothing computes the output `{name}`")),
        };
        self.graph.outputs.iter().map(result).collect()
    }

    fn outputs_of(&self, node: &'f OnnxNode) -> RuleOutcome {
        let input = |name: &String| match (name.as_str(), self.get(name)) {
            ("", _) => Ok(None),
            (_, Some(x)) => Ok(Some(x)),
            (name, None) if self.is_absent(name) => Ok(None),
            (_, None) => fail(format!("nothing computes the input `{name}`")),
        };
        let inputs: Vec<Option<OnnxValue>> =
            node.inputs.iter().map(input).collect::<Result<_, _>>()?;
        match &node.callee {
            Callee::Operator(id, version) => {
                let rule = operator(*id).rule;
                let is_known = self.is_known(node, &inputs);
                let call = NodeCall::new(node, *version, &inputs, self, is_known);
                if is_known { outside_of_bodies(|| rule(&call)) } else { rule(&call) }
            }
            Callee::Function(f) => self.call_function(f, node, inputs),
        }
    }

    /// Returns true if no input or captured value is traced.
    fn is_known(&self, node: &OnnxNode, inputs: &[Option<OnnxValue>]) -> bool {
        let is_traced = |name: &String| self.get(name).is_some_and(|x| x.is_traced());
        !inputs.iter().flatten().any(OnnxValue::is_traced) && !node.captures.iter().any(is_traced)
    }

    fn call_function(
        &self,
        f: &ModelFunction,
        node: &OnnxNode,
        inputs: Vec<Option<OnnxValue>>,
    ) -> RuleOutcome {
        let mut attributes = f.defaults.clone();
        for (name, value) in &node.attributes {
            if let Some(value) = resolved(value, self.attributes) {
                attributes.insert(name.clone(), value.clone());
            }
        }
        let scope = GraphScope::new(&f.body, [], None, Some(&attributes));
        let mut scope = scope.called_by(self);
        for (input, x) in f.body.inputs.iter().zip(inputs) {
            if let Some(x) = x {
                scope.set(&input.name, x);
            }
        }
        scope.run_all().map_err(in_body)
    }

    /// Returns the scope of a body of a node.
    fn body<'b>(
        &'b self,
        body: &'b OnnxGraph,
        inputs: Vec<OnnxValue>,
    ) -> Result<GraphScope<'b>, RuleFailure> {
        if inputs.len() != body.inputs.len() {
            let (want, got) = (body.inputs.len(), inputs.len());
            return fail(format!("expected a body of {got} inputs, got one of {want}"));
        }
        Ok(GraphScope::new(body, inputs, Some(self), self.attributes))
    }

    /// Evaluates all nodes.
    fn run_all(mut self) -> RuleOutcome {
        for node in &self.graph.nodes {
            self.evaluate(node)?;
        }
        self.results()
    }
}

impl Scope for GraphScope<'_> {
    fn attributes(&self) -> Option<&Attributes> {
        self.attributes
    }

    fn traces_branches(&self) -> bool {
        self.traces_branches
    }

    fn keys(&self) -> Option<&LayerKeys> {
        self.keys
    }

    fn budget(&self) -> &LoopBudget {
        &self.budget
    }

    fn may_copy(&self) -> bool {
        self.traced.may_copy()
    }

    fn run(&self, body: &OnnxGraph, inputs: Vec<OnnxValue>) -> RuleOutcome {
        self.body(body, inputs)?.run_all().map_err(in_body)
    }

    fn iterate(&self, body: &OnnxGraph, inputs: Vec<OnnxValue>, is_known: bool) -> RuleOutcome {
        self.budget.take()?;
        let mut inner = self.body(body, inputs)?;
        if is_known {
            // What a known loop traces is a program for itself.
            inner.traced = Arc::default();
        } else if !self.traced.take() {
            return Err(RuleFailure::NeedsValues);
        }
        inner.run_all().map_err(in_body)
    }

    fn value_of(
        &self,
        y: &str,
        names: &[&str],
        values: Vec<OnnxValue>,
    ) -> Result<OnnxValue, RuleFailure> {
        let scope = GraphScope::new(self.graph, [], self.outer, self.attributes);
        let mut scope = scope.called_by(self);
        let known = |name: &str| self.graph.inputs.iter().find(|i| i.name == name);
        for (name, x) in names.iter().zip(values) {
            let of_nodes = || self.graph.nodes.iter().flat_map(|n| &n.outputs).find(|n| n == name);
            let Some(name) = known(name).map(|i| &i.name).or_else(of_nodes) else {
                return fail(format!("the graph has no value `{name}`"));
            };
            scope.set(name, x);
        }
        let mut needed = HashSet::from([y]);
        let is_given = |name: &str| names.contains(&name);
        let mut nodes = Vec::new();
        for node in self.graph.nodes.iter().rev() {
            let is_needed = |name: &String| needed.contains(name.as_str()) && !is_given(name);
            if node.outputs.iter().any(is_needed) {
                needed.extend(node.needs());
                nodes.push(node);
            }
        }
        for input in self.graph.inputs.iter().filter(|i| !is_given(&i.name)) {
            if let Some(x) = self.values.get(input.name.as_str()) {
                scope.set(&input.name, x.clone());
            }
        }
        for node in nodes.into_iter().rev() {
            scope.evaluate(node)?;
        }
        scope.get(y).map_or_else(|| fail(format!("nothing computes `{y}`")), Ok)
    }
}

/// Adds the name of a node to a failure.
fn in_node(f: RuleFailure, node: &OnnxNode) -> RuleFailure {
    match f {
        RuleFailure::Error(e) => RuleFailure::Error(without_own_line(e).within(&node.label)),
        needs @ (RuleFailure::NeedsValue(_) | RuleFailure::NeedsValues) => needs,
    }
}

/// Returns the failure of the node around a body: which of its inputs a needed value comes from is
/// not known.
fn in_body(f: RuleFailure) -> RuleFailure {
    match f {
        RuleFailure::NeedsValue(_) => RuleFailure::NeedsValues,
        other => other,
    }
}

fn missing_output(i: usize) -> RuleFailure {
    RuleFailure::Error(Error::new("onnx", format!("the operator has no output {i}")))
}
