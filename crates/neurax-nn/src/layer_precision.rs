//! The precision that a layer needs.

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
