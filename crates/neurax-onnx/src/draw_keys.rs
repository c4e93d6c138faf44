//! The keys of nodes that draw random numbers.
//!
//! The problem: a node without a seed draws other numbers at each call, and a compiled program has
//! the keys of its trace. The method depends on what evaluates the node:
//!
//! - A session evaluates such nodes on the host, where each draw takes the next key of a counter of
//!   the process ([`process_key`]).
//! - The layer of a network takes its keys from the mode ([`LayerKeys`]): training has a key, which
//!   is an argument of the compiled program. Evaluation has none, so that a draw is an error there,
//!   and not the same numbers at each call.

use neurax_tensor::{Key, key};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

/// The number of keys that nodes without a seed have drawn from the counter of the process.
static DRAWN: AtomicI64 = AtomicI64::new(0);

/// Returns a key that no other call returns. The first calls of two runs of a program return the
/// same keys.
pub(crate) fn process_key() -> Key {
    // Seeds of floats have 32 bits: this key is none of theirs.
    key(1 << 32).fold_in(DRAWN.fetch_add(1, Ordering::Relaxed) as u32)
}

/// The keys of a layer of a network for one call.
#[derive(Debug)]
pub(crate) struct LayerKeys {
    is_evaluation: bool,
    /// The key of a layer that draws numbers; `None` in evaluation mode.
    key: Option<Key>,
    drawn: AtomicU32,
}

impl LayerKeys {
    /// Creates the keys of a layer from its key.
    pub(crate) fn new(is_evaluation: bool, key: Option<Key>) -> LayerKeys {
        LayerKeys { is_evaluation, key, drawn: AtomicU32::new(0) }
    }

    /// Returns true in evaluation mode.
    pub(crate) fn is_evaluation(&self) -> bool {
        self.is_evaluation
    }

    /// Returns the next key; `None` if there is none.
    pub(crate) fn next(&self) -> Option<Key> {
        Some(self.key.as_ref()?.fold_in(self.drawn.fetch_add(1, Ordering::Relaxed)))
    }
}
