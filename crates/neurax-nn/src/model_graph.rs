//! The graph of a model: its nodes in topological order, each with its path.

use crate::Node;
use crate::branches::{self, EvaluationStep};
use crate::input_shapes::invalid;
use crate::node::{NodeKind, Shared, topological_order};
use crate::walk::walk;
use neurax_tensor::ir::OrBug;
use neurax_tensor::{Error, Place, Result};
use std::collections::{HashMap, HashSet};

/// The graph of a model or of a block.
#[derive(Debug)]
pub(crate) struct ModelGraph {
    /// The name of the block, if the graph is that of a block.
    pub(crate) block: Option<String>,
    /// The nodes in the order of evaluation, which is topological, one for each layer.
    pub(crate) nodes: Vec<ModelNode>,
    /// The nodes as steps, with the branches of choices.
    pub(crate) steps: Vec<EvaluationStep>,
    /// The indices of the inputs in `nodes`.
    pub(crate) inputs: Vec<usize>,
    /// The outputs.
    pub(crate) outputs: Vec<ModelOutput>,
    /// The paths of all inputs and layers, also of those inside of blocks.
    pub(crate) paths: Vec<String>,
    /// The owner of the variables when the model is called as a block.
    pub(crate) shared: Shared,
    /// The error if the model itself is invalid; the outputs of every application carry it.
    pub(crate) error: Option<Error>,
}

/// A node with its path in a model.
#[derive(Debug)]
pub(crate) struct ModelNode {
    /// The path inside of this graph; [`Paths`] returns that in the whole model.
    pub(crate) path: String,
    pub(crate) node: Node,
    /// The inputs.
    pub(crate) inputs: Vec<ValueRef>,
}

/// An output of a node: the index of the node in [`ModelGraph::nodes`], and that of the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValueRef {
    pub(crate) node: usize,
    pub(crate) output: usize,
}

/// An output of a model.
#[derive(Debug)]
pub(crate) struct ModelOutput {
    pub(crate) name: String,
    pub(crate) value: ValueRef,
}

impl ModelGraph {
    /// Creates the graph of `inputs` and the nodes that `outputs` depend on, for a block with its
    /// name, whose inputs are its arguments. Further inputs of a model follow in the order in which
    /// they are found. Invalid outputs are the [`ModelGraph::error`] of the graph.
    pub(crate) fn of(
        block: Option<&str>,
        inputs: &[Node],
        outputs: Vec<(String, Node)>,
    ) -> ModelGraph {
        ModelGraph::try_of(block, inputs, outputs).unwrap_or_else(|error| ModelGraph {
            block: None,
            nodes: Vec::new(),
            steps: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            paths: Vec::new(),
            shared: Shared::new(),
            error: Some(error),
        })
    }

    /// Creates the graph as [`ModelGraph::of`] does.
    ///
    /// # Errors
    /// [`Error::bug`] if the topological order lacks a node.
    fn try_of(
        block: Option<&str>,
        arguments: &[Node],
        outputs: Vec<(String, Node)>,
    ) -> Result<ModelGraph> {
        let ordered = topological_order(arguments.iter().chain(outputs.iter().map(|(_, n)| n)));
        let positions: HashMap<usize, usize> =
            ordered.iter().enumerate().map(|(i, n)| (n.identity(), i)).collect();
        let value_of = |n: &Node| {
            let node = positions.get(&n.identity()).copied();
            let missing =
                || format!("the node `{}` has no place in the topological order", n.name());
            Ok(ValueRef { node: node.or_bug(missing())?, output: n.output() })
        };
        let mut paths = UniquePaths::of(&ordered);
        let node_of = |node: Node| {
            let inputs = node.inputs().iter().map(value_of).collect::<Result<_>>()?;
            Ok(ModelNode { path: paths.path(&node), inputs, node })
        };
        let nodes = ordered.into_iter().map(node_of).collect::<Result<Vec<_>>>()?;
        let output_of = |(name, n): (String, Node)| Ok(ModelOutput { name, value: value_of(&n)? });
        let outputs = outputs.into_iter().map(output_of).collect::<Result<_>>()?;
        let (nodes, outputs) = in_order_of_evaluation(nodes, outputs);
        let steps = branches::steps(&nodes, &outputs);
        let inputs = (0..nodes.len()).filter(|&i| nodes[i].node.is_input()).collect();
        let (block, paths, shared) = (block.map(str::to_string), Vec::new(), Shared::new());
        let mut graph =
            ModelGraph { block, nodes, steps, inputs, outputs, paths, shared, error: None };
        graph.paths = graph.all_paths();
        graph.error = graph.check(arguments).err();
        Ok(graph)
    }

    /// Adds the line `at` to the error, if there is one.
    pub(crate) fn at(mut self, at: &Place) -> ModelGraph {
        self.error = self.error.map(|e| e.at(at));
        self
    }

    /// Checks that the model has outputs, that the names of inputs and of outputs are unique, and
    /// that a block has no inputs but its arguments.
    fn check(&self, arguments: &[Node]) -> Result<()> {
        if self.outputs.is_empty() {
            return Err(invalid("expected at least one output, got none".into()));
        }
        unique("output", self.outputs.iter().map(|o| o.name.as_str()))?;
        let inputs = || self.inputs.iter().map(|&i| &self.nodes[i].node);
        let Some(name) = &self.block else {
            return unique("input", inputs().map(Node::name));
        };
        let is_outside = |n: &&Node| arguments.iter().all(|a| a.identity() != n.identity());
        match inputs().find(is_outside) {
            Some(outside) => Err(invalid(format!(
                "block `{name}`: expected layers of its arguments, got the node `{}` from outside; \
                 make it an argument of the block",
                outside.name()
            ))),
            None => Ok(()),
        }
    }

    /// Returns the paths of all inputs and layers, those of a block at its first call.
    fn all_paths(&self) -> Vec<String> {
        let mut all = Vec::new();
        walk(self, &mut |layer| {
            if layer.earlier_calls == 0 {
                all.push(layer.path.into());
            }
        });
        all
    }
}

/// Sorts the nodes into the order of evaluation: those that only one branch of a choice needs are
/// directly before it.
fn in_order_of_evaluation(
    nodes: Vec<ModelNode>,
    outputs: Vec<ModelOutput>,
) -> (Vec<ModelNode>, Vec<ModelOutput>) {
    let order = branches::order(&branches::steps(&nodes, &outputs));
    let mut positions = vec![0; nodes.len()];
    order.iter().enumerate().for_each(|(new, &old)| positions[old] = new);
    let moved = |v: &ValueRef| ValueRef { node: positions[v.node], output: v.output };
    let mut sorted: Vec<(usize, ModelNode)> =
        nodes.into_iter().enumerate().map(|(old, n)| (positions[old], n)).collect();
    sorted.sort_by_key(|(new, _)| *new);
    let node_of = |n: ModelNode| ModelNode { inputs: n.inputs.iter().map(moved).collect(), ..n };
    let nodes = sorted.into_iter().map(|(_, n)| node_of(n)).collect();
    let outputs =
        outputs.into_iter().map(|o| ModelOutput { value: moved(&o.value), ..o }).collect();
    (nodes, outputs)
}

impl ModelNode {
    /// Returns true if the node is listed in tables: a layer, or an input of the whole model.
    pub(crate) fn is_listed(&self, prefix: &str) -> bool {
        match self.node.kind() {
            NodeKind::Layer(_) => true,
            NodeKind::Input(_) => prefix.is_empty(),
            NodeKind::Argument | NodeKind::Block(_) => false,
        }
    }
}

/// The paths of the nodes in a whole model, in the order of evaluation: nodes that share their
/// variables have the path of the first of them.
#[derive(Clone, Default)]
pub(crate) struct Paths {
    /// For each owner of shared variables, the path and the number of calls so far.
    shared: HashMap<usize, (String, u32)>,
}

impl Paths {
    /// Returns the path of a node of a graph at `prefix`, and the number of earlier calls that
    /// share its variables.
    pub(crate) fn resolve(&mut self, prefix: &str, n: &ModelNode) -> (String, u32) {
        let path = || match prefix {
            "" => n.path.clone(),
            _ => format!("{prefix}.{}", n.path),
        };
        let Some(shared) = n.node.shared() else { return (path(), 0) };
        let (path, calls) = self.shared.entry(shared.identity()).or_insert_with(|| (path(), 0));
        *calls += 1;
        (path.clone(), *calls - 1)
    }

    /// Resolves the nodes of `steps` of a graph at `prefix`, with those of blocks, and adds the
    /// paths of the layers to `layers`.
    pub(crate) fn resolve_all(
        &mut self,
        graph: &ModelGraph,
        steps: &[EvaluationStep],
        prefix: &str,
        layers: &mut Vec<String>,
    ) {
        for i in branches::order(steps) {
            let n = &graph.nodes[i];
            let (path, _) = self.resolve(prefix, n);
            match n.node.kind() {
                NodeKind::Block(model) => {
                    let graph = model.graph();
                    self.resolve_all(graph, &graph.steps, &path, layers);
                }
                NodeKind::Layer(_) => layers.push(path),
                NodeKind::Input(_) | NodeKind::Argument => {}
            }
        }
    }
}

/// Checks that the names of inputs or outputs are unique.
fn unique<'n>(what: &str, mut names: impl Iterator<Item = &'n str>) -> Result<()> {
    let mut seen = HashSet::new();
    match names.find(|n| !seen.insert(*n)) {
        Some(n) => Err(invalid(format!("expected unique names of {what}s, got `{n}` twice"))),
        None => Ok(()),
    }
}

/// A generator of unique paths: a name, and for later nodes of the same name the suffixes `_1`,
/// `_2`, .. Nodes that share their variables have one path.
#[derive(Default)]
struct UniquePaths {
    taken: HashSet<String>,
    /// The paths that nodes keep.
    kept: HashSet<String>,
    /// The next suffix of each name; 0 is no suffix.
    next: HashMap<String, usize>,
    /// The path of each owner of shared variables.
    shared: HashMap<usize, String>,
}

impl UniquePaths {
    /// Creates a generator for nodes, some of which may have paths that they keep.
    fn of(nodes: &[Node]) -> UniquePaths {
        let kept = nodes.iter().filter(|n| n.has_path()).map(|n| n.name().to_string());
        UniquePaths { kept: kept.collect(), ..UniquePaths::default() }
    }

    fn path(&mut self, node: &Node) -> String {
        let shared = node.shared().map(Shared::identity);
        if let Some(path) = shared.and_then(|s| self.shared.get(&s)) {
            return path.clone();
        }
        let path = match node.has_path() && self.taken.insert(node.name().into()) {
            true => node.name().to_string(),
            false => self.unique(node.name()),
        };
        if let Some(s) = shared {
            self.shared.insert(s, path.clone());
        }
        path
    }

    fn unique(&mut self, name: &str) -> String {
        let n = self.next.entry(name.into()).or_default();
        loop {
            let path = if *n == 0 { name.to_string() } else { format!("{name}_{n}") };
            *n += 1;
            if !self.kept.contains(&path) && self.taken.insert(path.clone()) {
                return path;
            }
        }
    }
}
