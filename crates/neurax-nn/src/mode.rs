//! Training or evaluation mode.

use neurax_tensor::{Key, Tree};

/// The mode in which a model is applied. It is a [`Tree`], so that it can be an argument of a
/// jitted function.
#[derive(Tree, Clone, Debug)]
pub enum Mode {
    /// Training: dropout drops elements, running statistics are updated. All random numbers are
    /// derived from the key; use a new one in each step.
    Train(Key),
    /// Evaluation: equal inputs yield equal outputs.
    Eval,
}
