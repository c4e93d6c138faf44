//! Passes: they keep the function and make it cheaper. Each is `Graph -> Graph`; [`PIPELINE`] names their order.

mod cse;
mod dce;
mod hoist;
mod pipeline;

pub use cse::cse;
pub use dce::{dce, needed_inputs, restricted};
pub use hoist::hoist;
pub use pipeline::{PIPELINE, Step, optimise};
