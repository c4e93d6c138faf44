//! The precision that a layer needs, and the dtypes that a policy gives it.

use neurax_tensor::DType;

/// The precision in which a layer computes under a [`Policy`](crate::Policy).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerPrecision {
    /// Inputs, parameters and outputs have the dtype of the policy.
    OfPolicy,
    /// Inputs and parameters are f32 at least, and outputs have the dtype of the policy: for
    /// layers that sum many numbers, such as normalizations and recurrent layers.
    Full,
    /// Inputs, parameters and outputs are f32 at least: for probabilities and their logarithms,
    /// which a loss reads.
    FullOutput,
}

/// The dtypes of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerDTypes {
    /// The dtype in which the layer computes.
    pub compute: DType,
    /// The dtype of initial float parameters, if it is not that of their initializer.
    pub params: Option<DType>,
}
