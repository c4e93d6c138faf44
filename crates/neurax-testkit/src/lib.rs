//! Test utilities: laws, fixtures, random programs.
//!
//! [`laws`] contains the laws that each op must satisfy, as functions of a sample row; [`random`]
//! generates whole programs and checks transforms and passes on them; [`conformance`] compares a
//! backend with the reference interpreter; [`fixtures`] reads values recorded from JAX, [`edges`]
//! its rows of edge cases; [`close`] compares values within tolerances; [`table`] derives the table
//! of ops by dtypes from the sample rows. Start with [`laws`] to write an op, with [`conformance`]
//! to write a backend. Not published.

pub mod conformance;
pub mod edges;
pub mod fixtures;
pub mod laws;
pub mod random;
pub mod table;

pub use neurax_ir::{close, rng};
