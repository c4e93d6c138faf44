//! A function called by name.

use crate::{Graph, graph::attr::attrs};
use std::sync::Arc;

attrs! {
    /// Applies a graph to the operands. The name is for readers and profiles.
    pub struct Call = "call" {
        /// The name.
        callee: Arc<str>,
        /// The graph.
        body: Arc<Graph>,
    }
}
pending!(Call);
pending_region!(Call);
