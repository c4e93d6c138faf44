//! A loop that ends when a condition does.

use crate::{Graph, graph::attr::attrs};
use std::sync::Arc;

attrs! {
    /// Operands `(cond constants.., body constants.., carries..)`: while `cond(cond constants.., carries..)` holds, the
    /// carries become `body(body constants.., carries..)`. Gives the last carries. <https://openxla.org/stablehlo/spec#while>
    pub struct While = "while" {
        /// Gives one bool scalar.
        cond: Arc<Graph>,
        /// Gives the next carries.
        body: Arc<Graph>,
        /// How many constants `cond` takes.
        cond_consts: usize,
        /// How many constants `body` takes.
        body_consts: usize,
    }
}
pending!(While);
pending_region!(While);
