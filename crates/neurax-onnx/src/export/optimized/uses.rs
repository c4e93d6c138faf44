//! The names that nodes read, also in the graphs of their attributes.

use crate::proto::{GraphProto, NodeProto};

/// Calls `f` for each name that a node reads: its inputs, and all names in its bodies.
pub(super) fn each_use(n: &NodeProto, f: &mut dyn FnMut(&str)) {
    n.input.iter().filter(|x| !x.is_empty()).for_each(|x| f(x));
    each_capture(n, f);
}

/// Calls `f` for each name in the bodies of a node, among which are those of values outside.
pub(super) fn each_capture(n: &NodeProto, f: &mut dyn FnMut(&str)) {
    for body in bodies(n) {
        body.output.iter().for_each(|y| f(&y.name));
        body.node.iter().for_each(|inner| each_use(inner, f));
    }
}

/// Calls `f` for each name that a node has or reads.
pub(super) fn each_name(n: &NodeProto, f: &mut dyn FnMut(&str)) {
    n.output.iter().filter(|y| !y.is_empty()).for_each(|y| f(y));
    n.input.iter().filter(|x| !x.is_empty()).for_each(|x| f(x));
    for body in bodies(n) {
        let inputs = body.input.iter().chain(&body.output).map(|x| x.name.as_str());
        inputs.chain(body.initializer.iter().map(|t| t.name.as_str())).for_each(&mut *f);
        body.node.iter().for_each(|inner| each_name(inner, f));
    }
}

fn bodies(n: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    n.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs))
}
