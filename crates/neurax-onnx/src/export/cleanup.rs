//! The last changes of a model: nothing in it is unused, equal or without effect.
//!
//! - A node without an effect, such as the `Identity` in front of a result, gives its name to the
//!   value that it copies.
//! - Nodes and constants that nothing reads are dropped, and of equal ones all but the first.
//! - Constants and values get the names under which files show them.

use super::draft::{Draft, DraftBody, DraftNode};
use neurax_ir::Literal;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Cleans up a model.
pub(super) fn clean(draft: &mut Draft) {
    merge_constants(draft);
    merge_nodes(&mut draft.main, &mut HashMap::new());
    rename_results(&mut draft.main);
    drop_unused(draft);
}

/// Replaces constants that equal an earlier one.
fn merge_constants(draft: &mut Draft) {
    let mut first: HashMap<&Literal, &Arc<str>> = HashMap::new();
    let mut renames: HashMap<Arc<str>, Arc<str>> = HashMap::new();
    for (name, value) in &draft.constants {
        match first.get(value) {
            Some(&known) => drop(renames.insert(name.clone(), known.clone())),
            None => drop(first.insert(value, name)),
        }
    }
    rename(&mut draft.main, &renames);
}

/// The parts of a node that decide its value.
type NodeKey = (&'static str, Vec<Arc<str>>, String);

/// Replaces nodes that equal an earlier one, of the same body or one around it.
fn merge_nodes(body: &mut DraftBody, known: &mut HashMap<NodeKey, Vec<Arc<str>>>) {
    let mut renames: HashMap<Arc<str>, Arc<str>> = HashMap::new();
    let mut added = vec![];
    let results: HashSet<Arc<str>> = body.outputs.iter().map(|y| y.name.clone()).collect();
    for node in &mut body.nodes {
        node.inputs.iter_mut().for_each(|x| apply(x, &renames));
        for (_, inner) in &mut node.bodies {
            rename(inner, &renames);
            merge_nodes(inner, known);
        }
        if let ("Identity", [x], [y]) = (node.op, &node.inputs[..], &node.outputs[..]) {
            // The name of a result stays.
            if !results.contains(&y.name) {
                renames.insert(y.name.clone(), x.clone());
            }
            continue;
        }
        if !node.bodies.is_empty() {
            continue;
        }
        let key = (node.op, node.inputs.clone(), format!("{:?}", node.attributes));
        match known.get(&key) {
            Some(ys) => {
                let pairs = node.outputs.iter().map(|y| y.name.clone()).zip(ys.iter().cloned());
                renames.extend(pairs);
            }
            None => {
                let ys = node.outputs.iter().map(|y| y.name.clone()).collect();
                known.insert(key.clone(), ys);
                added.push(key);
            }
        }
    }
    body.outputs.iter_mut().for_each(|y| apply(&mut y.name, &renames));
    // Values of this body are no values of the others.
    added.iter().for_each(|key| drop(known.remove(key)));
}

/// Gives the names of results to the values that `Identity` copies: values of the same body that
/// are no other result.
fn rename_results(body: &mut DraftBody) {
    for node in &mut body.nodes {
        node.bodies.iter_mut().for_each(|(_, inner)| rename_results(inner));
    }
    let computed: HashSet<Arc<str>> =
        body.nodes.iter().flat_map(|n| n.outputs.iter().map(|y| y.name.clone())).collect();
    let results: HashSet<Arc<str>> = body.outputs.iter().map(|y| y.name.clone()).collect();
    let mut renames: HashMap<Arc<str>, Arc<str>> = HashMap::new();
    body.nodes.retain(|node| {
        let (Some(from), Some(to)) = (node.inputs.first(), node.outputs.first()) else {
            return true;
        };
        let is_free =
            computed.contains(from) && !results.contains(from) && !renames.contains_key(from);
        if node.op != "Identity" || !results.contains(&to.name) || !is_free {
            return true;
        }
        renames.insert(from.clone(), to.name.clone());
        false
    });
    rename(body, &renames);
}

/// Replaces names, also of values that nodes compute.
pub(super) fn rename(body: &mut DraftBody, renames: &HashMap<Arc<str>, Arc<str>>) {
    if renames.is_empty() {
        return;
    }
    for node in &mut body.nodes {
        node.inputs.iter_mut().for_each(|x| apply(x, renames));
        node.outputs.iter_mut().for_each(|y| apply(&mut y.name, renames));
        node.bodies.iter_mut().for_each(|(_, inner)| rename(inner, renames));
    }
    body.outputs.iter_mut().for_each(|y| apply(&mut y.name, renames));
}

fn apply(name: &mut Arc<str>, renames: &HashMap<Arc<str>, Arc<str>>) {
    if let Some(new) = renames.get(name) {
        *name = new.clone();
    }
}

/// Drops the nodes and constants that nothing reads.
pub(super) fn drop_unused(draft: &mut Draft) {
    let mut used = HashSet::new();
    drop_nodes(&mut draft.main, &mut used);
    draft.constants.retain(|(name, _)| used.contains(name));
}

/// Drops unused nodes, the last ones first. Adds the names that are read to `used`.
fn drop_nodes(body: &mut DraftBody, used: &mut HashSet<Arc<str>>) {
    used.extend(body.outputs.iter().map(|y| y.name.clone()));
    let mut kept: Vec<DraftNode> = vec![];
    for mut node in std::mem::take(&mut body.nodes).into_iter().rev() {
        if !node.outputs.iter().any(|y| used.contains(&y.name)) {
            continue;
        }
        node.bodies.iter_mut().for_each(|(_, inner)| drop_nodes(inner, used));
        used.extend(node.inputs.iter().cloned());
        kept.push(node);
    }
    kept.reverse();
    body.nodes = kept;
}
