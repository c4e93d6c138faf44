//! Recomputing instead of keeping.

use crate::{Graph, graph::attr::attrs};
use std::sync::Arc;

attrs! {
    /// Applies a graph whose intermediate values are not kept for the backward pass, but computed again there.
    /// Griewank and Walther, Algorithm 799 (<https://doi.org/10.1145/347837.347846>); Chen et al., <https://arxiv.org/abs/1604.06174>.
    pub struct Checkpoint = "checkpoint" {
        /// The graph.
        body: Arc<Graph>,
    }
}
pending!(Checkpoint);
pending_region!(Checkpoint);
