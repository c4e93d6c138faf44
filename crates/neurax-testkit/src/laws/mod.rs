//! The laws of the IR. Each is a function of a sample row, so that a new op is checked against all
//! of them by its rows.

mod batch;
mod collective;
mod derivative;
mod dtypes;
mod graph;
mod helpers;
mod layout;
mod robustness;
mod text;
mod transposition;
mod types;

pub use batch::{batched, batching_is_stacking, stack, take, varied};
pub use collective::named_axes_are_bound;
pub use derivative::{central, jvp_is_the_difference};
pub use dtypes::every_admitted_dtype_has_a_row;
pub use graph::{passes_keep_the_value, vjp_is_transposed_jvp};
pub use helpers::catch_panic;
pub(crate) use helpers::*;
pub use layout::{MemoryLayout, with_layout};
pub use robustness::garbage_is_refused;
pub use text::{graph_parses_back, text_parses_back};
pub(crate) use transposition::same_product_within;
pub use transposition::transpose_is_the_adjoint;
pub use types::types_are_inferred;

use crate::rng::Rng;
use neurax_ir::{Builder, Error, Eval, Graph, Literal, Op, Printer, Sample, Type};
use std::{collections::BTreeMap, fmt::Write};

/// A law: returns an error that explains how a row violates it.
pub type RowLaw = fn(&Sample) -> Result<(), String>;

/// All laws on single rows, by name.
pub const LAWS: &[(&str, RowLaw)] = &[
    ("types", types_are_inferred),
    ("jvp", jvp_is_the_difference),
    ("transpose", transpose_is_the_adjoint),
    ("vjp", vjp_is_transposed_jvp),
    ("batch", batching_is_stacking),
    ("named axes", named_axes_are_bound),
    ("text", text_parses_back),
    ("passes", passes_keep_the_value),
    ("garbage", garbage_is_refused),
];

/// Checks `laws` on `rows` and collects all failures, grouped by op.
///
/// # Errors
/// All failures as text.
pub fn check(laws: &[(&str, RowLaw)], rows: &[Sample]) -> Result<(), String> {
    let laws: Vec<(&str, &dyn Fn(&Sample) -> Result<(), String>)> =
        laws.iter().map(|(n, f)| (*n, f as _)).collect();
    check_with(&laws, rows)
}

/// Checks laws that are closures; see [`check`].
///
/// # Errors
/// All failures as text.
pub fn check_with(
    laws: &[(&str, &dyn Fn(&Sample) -> Result<(), String>)],
    rows: &[Sample],
) -> Result<(), String> {
    let mut failures: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in rows {
        for (name, law) in laws {
            if let Err(why) = catch_panic(|| law(row)) {
                failures
                    .entry(row.op.name())
                    .or_default()
                    .push(format!("law {name}: {}\n      {why}", label(row)));
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(listing(&failures, rows.len())) }
}

/// Returns the row as text, e.g. `slice[start=[0], limit=[2], stride=[1]](f32[4])`.
pub fn label(s: &Sample) -> String {
    let mut p = Printer::default();
    p.op(&s.op);
    let operands: Vec<String> = s.inputs.iter().map(|x| x.ty().to_string()).collect();
    let op: String =
        p.finish().split_whitespace().collect::<Vec<_>>().join(" ").chars().take(400).collect();
    format!("{op}({}){}", operands.join(", "), if s.smooth { " smooth" } else { "" })
}

fn listing(failures: &BTreeMap<&str, Vec<String>>, rows: usize) -> String {
    let count: usize = failures.values().map(Vec::len).sum();
    let mut out = format!("{count} failures in {} ops ({rows} rows)\n", failures.len());
    for (op, list) in failures {
        let _ = writeln!(out, "  {op}: {}", list.len());
        list.iter().take(MAX_SHOWN_FAILURES).for_each(|f| out += &format!("    {f}\n"));
        if list.len() > MAX_SHOWN_FAILURES {
            let _ = writeln!(out, "    .. and {} more", list.len() - MAX_SHOWN_FAILURES);
        }
    }
    out
}

/// The number of failures of an op that are printed.
const MAX_SHOWN_FAILURES: usize = 5;
