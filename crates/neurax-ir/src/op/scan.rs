//! A loop over the leading axis.

use crate::{Graph, graph::attr::attrs};
use std::sync::Arc;

attrs! {
    /// Operands `(constants.., carries.., xs..)`: for each index `i` of the leading axis of `xs`,
    /// `(carries, ys[i]) = body(constants.., carries.., xs[i]..)`. Gives the last carries and the stacked `ys`.
    pub struct Scan = "scan" {
        /// `(constants.., carries.., x..) -> (carries.., y..)`
        body: Arc<Graph>,
        /// Number of iterations.
        length: usize,
        /// Does it run from the last index to the first?
        reverse: bool,
        /// How many constants.
        consts: usize,
        /// How many carries.
        carries: usize,
    }
}
pending!(Scan);
pending_region!(Scan);
