//! The outputs of a checked layer: one, or several.

use crate::node_structure::nodes_in;
use crate::{Applied, BlockOutput, Model};
use neurax_tensor::Tensor;

/// Creates the model of all outputs.
pub(super) fn model_of(outputs: &impl BlockOutput) -> Model {
    // The names are in the order of the outputs.
    let nodes = nodes_in(outputs).into_iter().enumerate();
    Model::new(nodes.map(|(i, node)| (format!("y{i:02}"), node)))
}

/// Returns all outputs in order.
pub(super) fn all_of(applied: &Applied) -> Vec<Tensor> {
    applied.outputs.values().cloned().collect()
}
