//! Layers as the nodes of a model hold them, whatever the number of their inputs.

use crate::Cx;
use crate::layer_precision::LayerPrecision;
use neurax_tensor::Tensor;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

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

    /// Returns what the layer does with the masks that its inputs carry.
    fn mask_rule(&self) -> MaskRule {
        MaskRule::Drop
    }

    /// Computes the outputs.
    fn apply(&self, cx: &mut Cx, inputs: &[Tensor]) -> Vec<Tensor>;
}

/// A rule of what becomes of the masks that the inputs of a layer carry: see
/// [`Node::with_mask`](crate::Node::with_mask).
#[derive(Clone, Debug)]
pub enum MaskRule {
    /// The outputs carry no mask, as those of a layer that moves, mixes or removes steps.
    Drop,
    /// All outputs carry the mask of the inputs: a layer that computes each step separately. If
    /// several inputs carry masks, a step is kept that all of them keep.
    Keep,
    /// The first `outputs` outputs carry the mask of the first input.
    KeepOfFirst {
        /// The number of outputs that are sequences like the first input.
        outputs: usize,
    },
    /// The layer is replaced by one that has the mask as an input.
    Take(TakeMask),
}

impl MaskRule {
    /// Returns the rule of a layer that combines the elements along axes: the steps are separate if
    /// none of the axes can be axis 1, that of the steps.
    pub(crate) fn of_axes(axes: &[i64]) -> MaskRule {
        match axes.iter().all(|&axis| axis == -1 || axis > 1) {
            true => MaskRule::Keep,
            false => MaskRule::Drop,
        }
    }
}

/// The replacement of a layer whose input carries a mask: a layer with one more input.
#[derive(Clone)]
pub struct TakeMask {
    pub(crate) layer: Arc<dyn ModelLayer>,
    /// The input whose mask is taken.
    pub(crate) source: usize,
    /// The position of the mask among the inputs of the replacement.
    pub(crate) position: usize,
    /// The number of outputs that carry the mask of input 0.
    pub(crate) outputs: usize,
}

impl TakeMask {
    /// Returns a replacement with the layer that `f` makes of the one here.
    pub(crate) fn map(self, f: impl FnOnce(Arc<dyn ModelLayer>) -> Arc<dyn ModelLayer>) -> Self {
        TakeMask { layer: f(self.layer), ..self }
    }
}

impl fmt::Debug for TakeMask {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("TakeMask").field("layer", &self.layer.kind()).finish_non_exhaustive()
    }
}
