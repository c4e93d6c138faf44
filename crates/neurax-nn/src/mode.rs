//! Learning or using.

use neurax_tensor::{Key, Tree};

/// How a model is applied. A [`Tree`], so that it can be an argument of a jitted function.
#[derive(Tree, Clone, Debug)]
pub enum Mode {
    /// To learn: dropout drops, running statistics run. All randomness comes from this key; use a
    /// fresh one each step.
    Train(Key),
    /// To use: the same inputs give the same outputs.
    Eval,
}
