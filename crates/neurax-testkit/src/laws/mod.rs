//! The laws of the IR. Each is a function of a sample row, so that a new op is checked against all
//! of them by its rows.

mod batch;
mod collective;
mod derivative;
mod dtypes;
mod graph;
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
pub use layout::{MemoryLayout, with_layout};
pub use robustness::garbage_is_refused;
pub use text::{graph_parses_back, text_parses_back};
pub(crate) use transposition::same_product_within;
pub use transposition::transpose_is_the_adjoint;
pub use types::types_are_inferred;

use crate::rng::Rng;
use neurax_ir::{Builder, Bytes, Error, Eval, Graph, Literal, Op, Printer, Sample, Type};
use std::{collections::BTreeMap, fmt::Write, panic};

/// A law: returns an error that explains how a row violates it.
pub type RowLaw = fn(&Sample) -> Result<(), String>;

/// All laws on single rows, by name.
pub const LAWS: &[(&str, RowLaw)] = &[
    ("1 types", types_are_inferred),
    ("2 jvp", jvp_is_the_difference),
    ("3 transpose", transpose_is_the_adjoint),
    ("3 vjp", vjp_is_transposed_jvp),
    ("4 batch", batching_is_stacking),
    ("4 named axes", named_axes_are_bound),
    ("5 text", text_parses_back),
    ("7 passes", passes_keep_the_value),
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

/// Runs `f`, converting a panic into an error.
///
/// # Errors
/// The error of `f`, or the message of the panic.
pub fn catch_panic<T>(f: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    panic::catch_unwind(panic::AssertUnwindSafe(f)).unwrap_or_else(|p| {
        let text = p
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| p.downcast_ref::<&str>().map(|s| s.to_string()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
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

/// Returns true if the op has no value of its own because it contains a collective whose axis only
/// `vmap` can bind.
pub(crate) fn needs_axis(op: &Op) -> bool {
    matches!(op, Op::AllReduce(_) | Op::AxisIndex(_))
        || op.graphs().iter().any(|g| g.eqns().iter().any(|e| needs_axis(&e.op)))
}

fn types_of(xs: &[Literal]) -> Vec<Type> {
    xs.iter().map(|x| x.ty().clone()).collect()
}

/// Returns the op as a graph.
pub(crate) fn graph_of(s: &Sample) -> Result<Graph, String> {
    let mut b = Builder::new();
    let xs = b.inputs(&types_of(&s.inputs));
    let ys = b.try_emit(s.op.clone(), &xs).map_err(message)?;
    b.finish(&ys).map_err(message)
}

fn eval_op(op: &Op, xs: &[Literal]) -> Result<Vec<Literal>, String> {
    op.eval(&mut Eval::default(), xs.to_vec()).map_err(|e| format!("eval: {e}"))
}

pub(crate) fn run(graph: &Graph, args: &[Literal]) -> Result<Vec<Literal>, String> {
    neurax_ir::transform::eval(graph, args.to_vec()).map_err(|e| format!("eval: {e}\n{graph}"))
}

fn message(e: Error) -> String {
    e.to_string()
}

/// Copies the value into separate memory.
fn unshared(x: &Literal) -> Literal {
    Literal::new(x.ty().clone(), Bytes::copy_of(x.bytes())).unwrap_or_else(|_| x.clone())
}

/// Returns random values that every dtype represents exactly, for tangents and cotangents; small
/// ones for 8-bit types, whose range is narrow.
pub(crate) fn direction(rng: &mut Rng, ty: &Type) -> Literal {
    let n = ty.size();
    let unit = if ty.dtype.bits() == 8 { 0.125 } else { 0.5 };
    let mut half = || (rng.below(9) as f64 - 4.0) * unit;
    if ty.dtype.is_complex() {
        let parts: Vec<(f64, f64)> = (0..n).map(|_| (half(), half())).collect();
        return complex(ty, &parts);
    }
    Literal::from_f64s(ty.dtype, &ty.shape, &(0..n).map(|_| half()).collect::<Vec<_>>())
}

/// Creates a literal from real and imaginary parts.
pub(crate) fn complex(ty: &Type, parts: &[(f64, f64)]) -> Literal {
    neurax_ir::with_compute!(any ty.dtype, C => Literal::build(ty.clone(), |out: &mut [C]| {
        for (o, &(re, im)) in out.iter_mut().zip(parts) {
            *o = <C as neurax_ir::Compute>::from_parts(re, im);
        }
    }))
}

/// Creates a generator that depends on the row only, so that a failing row also fails alone.
fn rng_for(s: &Sample) -> Rng {
    let seed = s
        .inputs
        .iter()
        .flat_map(|x| x.shape().iter().copied())
        .fold(s.inputs.len() as u64, |h, d| h.wrapping_mul(31).wrapping_add(d as u64));
    Rng::new(seed)
}

/// Returns the subsets of `items` to try: all non-empty ones up to four items, otherwise each item
/// alone and all together.
fn subsets(items: &[usize]) -> Vec<Vec<usize>> {
    if items.len() <= 4 {
        return (1..1usize << items.len())
            .map(|m| {
                items.iter().enumerate().filter(|(i, _)| m >> i & 1 == 1).map(|(_, &x)| x).collect()
            })
            .collect();
    }
    items.iter().map(|&i| vec![i]).chain([items.to_vec()]).collect()
}
