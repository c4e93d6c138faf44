//! Laws, fixtures, random programs; for tests.
//!
//! [`laws`] holds what every op must obey, as functions of one sample row; [`random`] makes whole
//! programs and checks transforms and passes on them; [`conformance`] compares a backend with the
//! oracle; [`fixtures`] reads what was recorded from JAX; [`close`] says what "equal" means;
//! [`table`] is the table of ops by dtypes that the rows give. Who writes an op starts with
//! [`laws`], who writes a backend with [`conformance`]. Not published.

pub mod close;
pub mod conformance;
pub mod fixtures;
pub mod laws;
pub mod random;
pub mod rng;
pub mod table;
