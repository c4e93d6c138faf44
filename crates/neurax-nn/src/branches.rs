//! The order of evaluation of a graph: which layers only one branch of a choice needs.
//!
//! The problem: the inputs of [`cond`](crate::cond) are nodes, so that in a topological order both
//! branches are computed before the choice. The method is that of code sinking in compilers: a node
//! belongs to the innermost branch that contains all of its readers, and is evaluated there.
//!
//! ```text
//! y = cond(pred(x), f(h(x)), g(h(x)))     pred, h, cond [true: f] [false: g]
//! ```
//!
//! # Invariants
//!
//! - Every node is in one step, after the nodes that it reads.
//! - Inputs of the graph and nodes that are outputs belong to no branch.

use crate::model_graph::{ModelNode, ModelOutput};
use crate::node::NodeKind;
use std::collections::HashMap;

/// A step of the evaluation of a graph.
#[derive(Debug)]
pub(crate) enum EvaluationStep {
    /// The node of this index is computed.
    Node(usize),
    /// A choice between two values, and the steps that only one of them needs: those of `true`,
    /// then those of `false`.
    Choice(usize, [Vec<EvaluationStep>; 2]),
}

impl EvaluationStep {
    /// Adds the indices of the nodes in the order of evaluation to `order`.
    fn append_to(&self, order: &mut Vec<usize>) {
        match self {
            EvaluationStep::Node(i) => order.push(*i),
            EvaluationStep::Choice(i, branches) => {
                branches.iter().flatten().for_each(|step| step.append_to(order));
                order.push(*i);
            }
        }
    }
}

/// Returns the indices of the nodes of `steps` in the order of evaluation.
pub(crate) fn order(steps: &[EvaluationStep]) -> Vec<usize> {
    let mut order = Vec::new();
    steps.iter().for_each(|step| step.append_to(&mut order));
    order
}

/// Returns the steps of a graph, whose nodes are in topological order.
pub(crate) fn steps(nodes: &[ModelNode], outputs: &[ModelOutput]) -> Vec<EvaluationStep> {
    let owners = owners(nodes, outputs);
    let mut lists: HashMap<Owner, Vec<EvaluationStep>> = HashMap::new();
    for (i, owner) in owners.iter().enumerate() {
        let of = |lists: &mut HashMap<Owner, Vec<EvaluationStep>>, branch| {
            // empty: no node belongs to the branch alone.
            lists.remove(&Some(Branch { choice: i, branch })).unwrap_or_default()
        };
        let branches = [of(&mut lists, 0), of(&mut lists, 1)];
        let step = match branches.iter().all(Vec::is_empty) {
            true => EvaluationStep::Node(i),
            false => EvaluationStep::Choice(i, branches),
        };
        lists.entry(*owner).or_default().push(step);
    }
    // empty: a graph without nodes.
    lists.remove(&None).unwrap_or_default()
}

/// A branch of a choice: the index of the node, and 0 for true or 1 for false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Branch {
    choice: usize,
    branch: usize,
}

/// The innermost branch that a node belongs to, if it belongs to one.
type Owner = Option<Branch>;

/// Returns the owner of each node.
fn owners(nodes: &[ModelNode], outputs: &[ModelOutput]) -> Vec<Owner> {
    // `None` for a node without a reader so far.
    let mut found: Vec<Option<Owner>> = vec![None; nodes.len()];
    outputs.iter().for_each(|o| found[o.value.node] = Some(None));
    let mut owners = vec![None; nodes.len()];
    // All readers of a node are behind it.
    for (i, n) in nodes.iter().enumerate().rev() {
        owners[i] = if n.node.is_input() { None } else { found[i].flatten() };
        for (k, input) in n.inputs.iter().enumerate() {
            let reader = match k {
                1 | 2 if is_choice(n) => Some(Branch { choice: i, branch: k - 1 }),
                _ => owners[i],
            };
            let earlier = found[input.node];
            found[input.node] = Some(earlier.map_or(reader, |e| common(e, reader, &owners)));
        }
    }
    owners
}

/// Returns the innermost branch that contains both.
fn common(a: Owner, b: Owner, owners: &[Owner]) -> Owner {
    let around = |first: Owner| std::iter::successors(first, |b| owners[b.choice]);
    around(a).find(|x| around(b).any(|y| *x == y))
}

/// Returns true if a node is a choice between its inputs 1 and 2.
fn is_choice(n: &ModelNode) -> bool {
    matches!(n.node.kind(), NodeKind::Layer(layer) if layer.is_choice()) && n.inputs.len() == 3
}
