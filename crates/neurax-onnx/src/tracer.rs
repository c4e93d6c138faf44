//! The trace of a segment: nodes are evaluated as far as their inputs are known or traced.

use crate::call::RuleFailure;
use crate::evaluate::GraphScope;
use crate::graph::{Callee, OnnxGraph, OnnxNode};
use crate::randomness::draws;
use crate::registry::operator;
use crate::value::OnnxValue;
use neurax_ir::{Error, Result};
use neurax_tensor::{Compiled, Tensor, jit};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The number of elements up to which a vector may become a constant of a segment.
const MAX_CONSTANT_ELEMENTS: usize = 64;

/// The nodes behind a segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rest {
    /// The nodes that the segment does not compute, in order.
    pub(crate) nodes: Vec<usize>,
    /// The nodes among them that run on the host.
    pub(crate) on_host: BTreeSet<usize>,
}

/// The result of a trace of a segment.
#[derive(Default)]
pub(crate) struct Traced {
    /// The names of the values that the program takes, in order.
    pub(crate) inputs: Vec<String>,
    /// The values that the program returns: their tensors are results of it, in order.
    pub(crate) outputs: Vec<(String, OnnxValue)>,
    pub(crate) rest: Rest,
    /// Values that must be constants: the segment is traced again.
    pub(crate) needed: BTreeSet<String>,
    pub(crate) error: Option<Error>,
    /// The program; `None` if it has no results or has to be traced again.
    pub(crate) program: Option<Compiled<Vec<Tensor>, Vec<Tensor>>>,
}

/// Traces the nodes, with the values `constants` as constants, and compiles the program.
///
/// # Errors
/// If the program cannot be compiled.
pub(crate) fn traced(
    graph: &Arc<OnnxGraph>,
    nodes: &[usize],
    used: &BTreeMap<&String, &OnnxValue>,
    constants: &BTreeSet<String>,
    may_specialize: bool,
) -> Result<Traced> {
    let is_input = |name: &String, x: &OnnxValue| !constants.contains(name) && x.is_compilable();
    let (inputs, fixed): (Vec<_>, Vec<_>) =
        used.iter().map(|(n, x)| ((*n).clone(), (*x).clone())).partition(|(n, x)| is_input(n, x));
    let names: Vec<String> = inputs.iter().map(|(name, _)| name.clone()).collect();
    let mut examples = Vec::new();
    inputs.iter().for_each(|(_, x)| x.append_tensors(&mut examples));
    let found = Arc::new(Mutex::new(Traced::default()));
    let (graph, nodes, constants) = (graph.clone(), nodes.to_vec(), constants.clone());
    let to = found.clone();
    let f = move |tensors: Vec<Tensor>| {
        let mut tensors = tensors.into_iter();
        let mut tracer = SegmentTracer::new(&graph, &constants, may_specialize);
        for (name, skeleton) in &inputs {
            if let Some(x) = skeleton.with_tensors(&mut || tensors.next()) {
                tracer.input(name, skeleton, x);
            }
        }
        fixed.iter().for_each(|(name, x)| tracer.fixed(name, x));
        let result = tracer.run(&nodes);
        let mut results = Vec::new();
        result.outputs.iter().for_each(|(_, x)| x.append_tensors(&mut results));
        *to.lock().unwrap_or_else(PoisonError::into_inner) = result;
        results
    };
    let program = jit(f).compile(&examples);
    let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    if found.error.is_some() || !found.needed.is_empty() || found.outputs.is_empty() {
        return Ok(Traced { inputs: names, ..found });
    }
    Ok(Traced { inputs: names, program: Some(program?), ..found })
}

/// The trace of one segment.
struct SegmentTracer<'g> {
    graph: &'g OnnxGraph,
    frame: GraphScope<'g>,
    constants: &'g BTreeSet<String>,
    may_specialize: bool,
    /// For each value that varies between calls, the small values that it depends on; `None` if it
    /// depends on others, too. Other values are constants.
    origins: HashMap<&'g str, Option<BTreeSet<String>>>,
    found: Traced,
}

impl<'g> SegmentTracer<'g> {
    fn new(
        graph: &'g OnnxGraph,
        constants: &'g BTreeSet<String>,
        may_specialize: bool,
    ) -> SegmentTracer<'g> {
        let frame = GraphScope::new(graph, [], None, None);
        let (origins, found) = (HashMap::new(), Traced::default());
        SegmentTracer { graph, frame, constants, may_specialize, origins, found }
    }

    /// Adds a value that the program takes.
    fn input(&mut self, name: &'g str, skeleton: &OnnxValue, x: OnnxValue) {
        // Shapes, axes and scales are vectors; data have an axis for the batch.
        let is_small = matches!(skeleton, OnnxValue::Tensor(x)
            if x.rank() <= 1 && x.size() <= MAX_CONSTANT_ELEMENTS);
        let may_be_constant = self.may_specialize && is_small;
        self.origins.insert(name, may_be_constant.then(|| BTreeSet::from([name.to_string()])));
        self.frame.set(name, x);
    }

    /// Adds a constant, or a value that no program can take.
    fn fixed(&mut self, name: &'g str, x: &OnnxValue) {
        if !self.constants.contains(name) {
            self.origins.insert(name, None);
        }
        self.frame.set(name, x.clone());
    }

    /// Evaluates the nodes as far as possible.
    fn run(mut self, nodes: &[usize]) -> Traced {
        let graph = self.graph;
        let mut computed = Vec::new();
        for &i in nodes {
            let node = &graph.nodes[i];
            if node.needs().any(|name| self.frame.get(name).is_none()) {
                self.found.rest.nodes.push(i);
                continue;
            }
            let is_on_host = self.is_on_host(node);
            let outcome = match is_on_host {
                true => Err(RuleFailure::NeedsValues),
                false => self.evaluate(node),
            };
            match outcome {
                Ok(()) => {
                    self.add_origins(node);
                    computed.extend(node.outputs.iter().filter(|name| !name.is_empty()));
                }
                Err(RuleFailure::Error(e)) => {
                    self.found.error = Some(e);
                    return self.found;
                }
                Err(needs) => self.put_off(i, node, &needs, is_on_host),
            }
        }
        self.keep_outputs(computed);
        self.found
    }

    /// Evaluates a node. If it has to know a value that depends on other than small ones, both
    /// branches of a condition are traced.
    fn evaluate(&mut self, node: &'g OnnxNode) -> Result<(), RuleFailure> {
        let outcome = self.frame.evaluate(node);
        match &outcome {
            Err(needs @ (RuleFailure::NeedsValue(_) | RuleFailure::NeedsValues))
                if self.small_origins(node, needs).is_none() =>
            {
                self.frame.traces_branches = true;
                let outcome = self.frame.evaluate(node);
                self.frame.traces_branches = false;
                outcome
            }
            _ => outcome,
        }
    }

    /// Returns the small values that a needed value depends on; `None` if it depends on others.
    fn small_origins(&self, node: &OnnxNode, needs: &RuleFailure) -> Option<BTreeSet<String>> {
        if matches!(&node.callee, Callee::Operator(op, _) if operator(*op).is_data_dependent) {
            return None;
        }
        let names: Vec<&str> = match needs {
            RuleFailure::NeedsValue(k) => {
                node.inputs.get(*k).map(String::as_str).into_iter().collect()
            }
            _ => node.needs().collect(),
        };
        let origins = names.iter().filter_map(|name| self.origins.get(name));
        let sets: Option<Vec<&BTreeSet<String>>> = origins.map(Option::as_ref).collect();
        let all: BTreeSet<String> = sets?.into_iter().flatten().cloned().collect();
        (!all.is_empty()).then_some(all)
    }

    /// Returns true if a node cannot be part of a program.
    fn is_on_host(&self, node: &OnnxNode) -> bool {
        let varies = |name: &str| self.origins.contains_key(name);
        let is_variable =
            |name: &str| varies(name) && self.frame.get(name).is_some_and(|x| !x.is_compilable());
        draws(node, &|name| self.frame.get(name)) || node.needs().any(is_variable)
    }

    /// Puts a node off until a value is known, or makes the value a constant if it depends on small
    /// ones alone.
    fn put_off(&mut self, i: usize, node: &'g OnnxNode, needs: &RuleFailure, is_on_host: bool) {
        match self.small_origins(node, needs) {
            Some(origins) if !is_on_host => self.found.needed.extend(origins),
            _ => _ = self.found.rest.on_host.insert(i),
        }
        self.found.rest.nodes.push(i);
    }

    /// Records what the outputs of a node depend on.
    fn add_origins(&mut self, node: &'g OnnxNode) {
        let origins: Vec<&Option<BTreeSet<String>>> =
            node.needs().filter_map(|name| self.origins.get(name)).collect();
        if origins.is_empty() {
            return;
        }
        let all: Option<Vec<_>> = origins.into_iter().map(Option::as_ref).collect();
        let all: Option<BTreeSet<String>> =
            all.map(|sets| sets.into_iter().flatten().cloned().collect());
        for y in node.outputs.iter().filter(|y| !y.is_empty()) {
            // What is known although an input varies, such as a shape, is known for these types.
            if self.frame.get(y).is_some_and(|y| y.is_traced() || !y.is_compilable()) {
                self.origins.insert(y, all.clone());
            }
        }
    }

    /// Lists the values that the nodes behind the segment, or the results of the graph, use.
    fn keep_outputs(&mut self, computed: Vec<&'g String>) {
        let rest = self.found.rest.nodes.iter().flat_map(|&i| self.graph.nodes[i].needs());
        let used: HashSet<&str> =
            rest.chain(self.graph.outputs.iter().map(String::as_str)).collect();
        for name in computed.into_iter().filter(|name| used.contains(name.as_str())) {
            if let Some(x) = self.frame.get(name) {
                self.found.outputs.push((name.clone(), x));
            }
        }
    }
}
