//! Layers as the nodes of a model hold them, whatever the number of their inputs.

use crate::Cx;
use neurax_tensor::Tensor;
use std::any::Any;

/// A layer of a node.
pub(crate) trait ModelLayer: Any + Send + Sync {
    /// Returns the name of the kind of layer, which is that of its nodes unless they are renamed.
    fn kind(&self) -> &str;

    /// Computes the outputs.
    fn apply(&self, cx: &mut Cx, inputs: &[Tensor]) -> Vec<Tensor>;
}
