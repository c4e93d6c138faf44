//! The state of a rule.

use neurax_tensor::Tensor;
use std::collections::BTreeMap;

/// The state of a rule: tensors by name. Most names have one tensor per parameter, in the order of
/// the leaves of the parameters.
pub type Slots = BTreeMap<String, Vec<Tensor>>;
