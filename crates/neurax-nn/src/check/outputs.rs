//! The outputs of a checked layer: one, or several.

use crate::{Applied, Model, Node};
use neurax_tensor::Tensor;

/// The nodes of the outputs to check: a node, or an array, tuple or `Vec` of them.
pub trait CheckedNodes {
    /// Adds the nodes to `to`, in order.
    fn append_to(self, to: &mut Vec<Node>);
}

impl CheckedNodes for Node {
    fn append_to(self, to: &mut Vec<Node>) {
        to.push(self);
    }
}

impl<O: CheckedNodes, const N: usize> CheckedNodes for [O; N] {
    fn append_to(self, to: &mut Vec<Node>) {
        self.into_iter().for_each(|o| o.append_to(to));
    }
}

impl<O: CheckedNodes> CheckedNodes for Vec<O> {
    fn append_to(self, to: &mut Vec<Node>) {
        self.into_iter().for_each(|o| o.append_to(to));
    }
}

impl<A: CheckedNodes, B: CheckedNodes> CheckedNodes for (A, B) {
    fn append_to(self, to: &mut Vec<Node>) {
        self.0.append_to(to);
        self.1.append_to(to);
    }
}

/// Creates the model of all outputs.
pub(super) fn model_of(outputs: impl CheckedNodes) -> Model {
    let mut nodes = Vec::new();
    outputs.append_to(&mut nodes);
    // The names are in the order of the outputs.
    Model::new(nodes.into_iter().enumerate().map(|(i, node)| (format!("y{i:02}"), node)))
}

/// Returns all outputs in order.
pub(super) fn all_of(applied: &Applied) -> Vec<Tensor> {
    applied.outputs.values().cloned().collect()
}
