//! Tables of functions of quantized numbers.
//!
//! The problem: between two products, a quantized network dequantizes numbers, applies an
//! activation, and quantizes the result. A number of 8 bits has 256 values, and so has each
//! function of it: with constants that are the same for all elements, or for all elements at one
//! index of the last axis (a bias), a table has all results.
//!
//! ```text
//! q: u8[400, 1536] -> (q - z) s + bias -> gelu -> quantize: u8[400, 1536]
//!   table: u8[1536, 256], a constant;  y[i, j] = table[j, q[i, j]]
//! ```
//!
//! The method is partial evaluation: the equations from the quantized numbers to a result that is
//! read elsewhere are emitted on all 256 numbers, where they are constant, and a gather reads them.
//! A table replaces a function that costs more instructions than a read.
//!
//! # Invariants
//!
//! - The value is kept, up to the rounding of the program that computes the tables.
//! - A table has no more elements than the array whose function it is, and all tables together
//!   have a limit.

mod region;
#[cfg(test)]
mod tests;

use super::{RewrittenGraph, replace::replace_equations};
use crate::{Graph, Result};
use region::{Regions, SharedTables};

/// Replaces expensive functions of quantized numbers by tables; `is_constant` has an element for
/// each input. Returns `None` if there are none.
///
/// # Errors
/// If the graph is invalid; not the case for a graph that verifies.
pub fn lookup_tables(graph: &Graph, is_constant: &[bool]) -> Result<Option<RewrittenGraph>> {
    let regions = Regions::new(graph, is_constant);
    let found = regions.tables();
    if !found.contains(&true) {
        return Ok(None);
    }
    let mut tables = SharedTables::new();
    let new = replace_equations(graph, |b, i, env| {
        let y = graph.eqns()[i].outputs.first().filter(|_| found[i]);
        y.map(|y| regions.emit(b, *y, &|v| env[v.index()], &mut tables)).transpose()
    })?;
    let applied = vec![("lookup_table", found.iter().filter(|is_table| **is_table).count())];
    Ok(Some(RewrittenGraph { graph: new, applied }))
}
