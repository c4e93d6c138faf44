//! Whether a node draws random numbers that differ between calls.

use crate::graph::{Attribute, Callee, ModelFunction, OnnxGraph, OnnxNode};
use crate::operator::Draws;
use crate::registry::operator;
use crate::value::OnnxValue;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The first version of `Dropout` whose mode is an input.
const MODE_IS_INPUT_SINCE: i64 = 12;
/// The first version of `Dropout` that is for inference alone.
const INFERENCE_SINCE: i64 = 7;

/// The known value of a name; `None` if it is not known or does not exist.
type KnownValue<'f> = dyn Fn(&str) -> Option<OnnxValue> + 'f;

/// Returns true if a node draws random numbers without a seed, or a node of its bodies or of the
/// function that it calls does.
pub(crate) fn draws(node: &OnnxNode, known: &KnownValue) -> bool {
    node_draws(node, known, &mut HashSet::new())
}

/// The functions that were searched: each draws no numbers, or the search has ended.
type SearchedFunctions = HashSet<*const ModelFunction>;

fn node_draws(node: &OnnxNode, known: &KnownValue, searched: &mut SearchedFunctions) -> bool {
    let in_callee = match &node.callee {
        Callee::Operator(id, version) => match operator(*id).draws {
            Draws::Never => false,
            Draws::WithoutSeed => !has_seed(node),
            Draws::InTraining => !has_seed(node) && is_training(node, *version, known),
        },
        // The arguments of a call are not followed.
        Callee::Function(f) => {
            searched.insert(Arc::as_ptr(f)) && graph_draws(&f.body, &|_| None, searched)
        }
    };
    let mut bodies = node.attributes.values().flat_map(Attribute::graphs);
    in_callee || bodies.any(|body| graph_draws(body, known, searched))
}

fn graph_draws(graph: &OnnxGraph, known: &KnownValue, searched: &mut SearchedFunctions) -> bool {
    let constants: HashMap<&str, &OnnxValue> =
        graph.nodes.iter().filter_map(OnnxNode::constant).collect();
    let known = |name: &str| {
        let own = graph.initializers.get(name).or_else(|| constants.get(name).copied());
        own.cloned().or_else(|| known(name))
    };
    graph.nodes.iter().any(|n| node_draws(n, &known, searched))
}

/// Returns true if the file has the seed of a node. The value of a reference is that of a call.
fn has_seed(node: &OnnxNode) -> bool {
    matches!(node.attributes.get("seed"), Some(Attribute::Float(_) | Attribute::Int(_)))
}

/// Returns true unless a `Dropout` is known to be the identity.
fn is_training(node: &OnnxNode, version: i64, known: &KnownValue) -> bool {
    if version < MODE_IS_INPUT_SINCE {
        let is_test = matches!(node.attributes.get("is_test"), Some(Attribute::Int(i)) if *i != 0);
        return version < INFERENCE_SINCE && !is_test;
    }
    let mode = node.inputs.get(2).filter(|name| !name.is_empty());
    mode.is_some_and(|name| match known(name) {
        Some(OnnxValue::Tensor(mode)) if !mode.is_traced() => mode.item().is_ok_and(|m| m != 0.0),
        _ => true,
    })
}
