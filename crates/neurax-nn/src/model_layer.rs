//! Layers as the nodes of a model hold them, whatever the number of their inputs.

use crate::Cx;
use crate::layer_precision::LayerPrecision;
use neurax_tensor::Tensor;
use std::any::Any;

/// A layer of a node.
pub(crate) trait ModelLayer: Any + Send + Sync {
    /// Returns the name of the kind of layer, which is that of its nodes unless they are renamed.
    fn kind(&self) -> &str;

    /// Returns true if the layer chooses between its inputs 1 and 2 by input 0. If that is one
    /// bool, [`ModelLayer::apply`] gets the chosen value as its only input, and the layers that
    /// only the other one needs are not computed.
    fn is_choice(&self) -> bool {
        false
    }

    /// Returns the precision in which the layer computes under a policy.
    fn precision(&self) -> LayerPrecision {
        LayerPrecision::OfPolicy
    }

    /// Computes the outputs.
    fn apply(&self, cx: &mut Cx, inputs: &[Tensor]) -> Vec<Tensor>;
}
