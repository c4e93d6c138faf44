//! Models for many callers: dynamic batching with pre- and postprocessing, timeouts, streams and
//! back-pressure.
//!
//! Start with [`Serving`], a value, which [`Serving::start`] turns into a [`Server`] with threads.
//! It follows `Nx.Serving` of Elixir. Only the standard library is used: a [`Server`] can be called
//! from threads and from any asynchronous executor. Users import this crate as `neurax::serve`.
//!
//! ```text
//! caller   preprocess -> queue                                 -> postprocess
//! worker                       -> batch -> model -> its rows
//! ```
//!
//! If the model fails or panics on a batch, its halves run again, and theirs, so that only those
//! requests that fail themselves get an error.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answer;
mod batch_function;
mod deadline_queue;
mod panics;
mod pending_outputs;
mod refusal;
mod reply_slot;
mod request_queue;
mod row_batch;
mod server;
mod server_state;
mod server_threads;
mod serving;
mod serving_builder;
mod serving_core;
mod serving_options;
mod stats;

pub use answer::{Answer, Answers};
pub use batch_function::Emit;
pub use refusal::Refusal;
pub use row_batch::RowBatch;
pub use server::Server;
pub use serving::Serving;
pub use stats::{LatencyQuantiles, ServingStats};
