//! The order of the nodes of a graph: each after those that it needs, without those that nothing
//! needs.

use crate::graph::{GraphInput, OnnxNode};
use crate::value::OnnxValue;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Returns the positions of the nodes such that each comes after those that it needs, otherwise in
/// the order of the file.
///
/// # Errors
/// The labels of nodes that depend on each other.
pub(crate) fn topological_order(nodes: &[OnnxNode]) -> Result<Vec<usize>, String> {
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

/// Returns the nodes in the order of their positions.
pub(crate) fn in_order(nodes: Vec<OnnxNode>, order: &[usize]) -> Vec<OnnxNode> {
    let mut nodes: Vec<Option<OnnxNode>> = nodes.into_iter().map(Some).collect();
    order.iter().filter_map(|&i| nodes[i].take()).collect()
}

/// Drops the nodes that no output depends on.
pub(crate) fn drop_dead(nodes: &mut Vec<OnnxNode>, outputs: &[String]) {
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
pub(crate) fn captures(
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
