//! The interface between the IR and the backends that compile and run it.
//!
//! A [`Backend`] compiles a graph to an [`Executable`]. A [`Device`] is one processor of a backend,
//! with bounded caches of what was compiled for it; a [`CompiledGraph`] is an executable with its
//! signature, which can check arguments and memory before it runs; a [`Buffer`] is a value on a
//! device. [`Stages`] is the log of a compilation. This crate depends on no backend. Users know it
//! as `neurax::Device` and `neurax::Stages`. To write a backend, start with [`Backend`] and read
//! `neurax-interp`, the smallest one.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod backend;
mod buffer;
mod cache;
mod checked;
mod compiled_graph;
mod device;
mod profile;
mod stages;
mod summary;
mod thread_share;
mod tuning;

pub use backend::{Backend, Executable, Results};
pub use buffer::Buffer;
pub use cache::{Cache, RecursionError};
pub use checked::{CheckedArgs, CheckedCall};
pub use compiled_graph::CompiledGraph;
pub use device::Device;
pub use profile::{Profile, ProfileRow, ProfiledStep};
pub use stages::{Stage, Stages};
pub use summary::ProgramSummary;
pub use thread_share::ThreadShare;
