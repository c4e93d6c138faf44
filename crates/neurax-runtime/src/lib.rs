//! The contract between the language and its backends.
//!
//! A [`Backend`] turns a graph into an [`Executable`]; a [`Device`] is one place where executables
//! run, with its bounded caches of compiled programs; a [`Buffer`] is a value there. [`Stages`] is
//! the log of what happened on the way from a user's function to running code. This crate knows no
//! backend. Users meet it as `neurax::Device` and `neurax::Stages`; who writes a backend starts
//! with [`Backend`], and reads `neurax-interp`, the smallest one.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod backend;
mod buffer;
mod cache;
mod device;
mod stages;
mod tuning;

pub use backend::{Backend, Executable};
pub use buffer::Buffer;
pub use cache::Cache;
pub use device::{CompiledGraph, Device};
pub use stages::{Stage, Stages};
