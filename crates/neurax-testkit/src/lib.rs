//! Laws, fixtures, random programs; for tests.
//!
//! [`laws`] holds what every op must obey, as functions of one sample row; [`close`] says what "equal" means; [`table`] is
//! the table of ops by dtypes that the rows give.

pub mod close;
pub mod conformance;
pub mod fixtures;
pub mod laws;
pub mod rng;
pub mod table;
