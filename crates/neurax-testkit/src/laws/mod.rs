//! The laws of the language. Each is a function of one sample row, so that a new op is held to all
//! of them by its rows.

mod batch;
mod collective;
mod derivative;
mod dtypes;
mod garbage;
mod layout;
mod text;
mod transposition;
mod types;
mod whole;

pub use batch::{batched, batching_is_stacking, stack, take, varied};
pub use collective::named_axes_are_bound;
pub use derivative::{central, jvp_is_the_difference};
pub use dtypes::every_admitted_dtype_has_a_row;
pub use garbage::garbage_is_refused;
pub use layout::{Layout, laid_out};
pub use text::{graph_parses_back, text_parses_back};
pub(crate) use transposition::same_product_within;
pub use transposition::transpose_is_the_adjoint;
pub use types::types_are_inferred;
pub use whole::{passes_keep_the_value, vjp_is_transposed_jvp};

use crate::rng::Rng;
use neurax_ir::{Builder, Bytes, Error, Eval, Graph, Literal, Op, Printer, Sample, Type};
use std::{collections::BTreeMap, fmt::Write, panic};

/// A law: holds for a row, or says how it does not.
pub type Law = fn(&Sample) -> Result<(), String>;

/// Every law that a single row can be held to, by name.
pub const ALL: &[(&str, Law)] = &[
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

/// Runs laws over rows, and collects every failure, grouped by op.
///
/// # Errors
/// With all failures, readable.
pub fn check(laws: &[(&str, Law)], rows: &[Sample]) -> Result<(), String> {
    let laws: Vec<(&str, &dyn Fn(&Sample) -> Result<(), String>)> =
        laws.iter().map(|(n, f)| (*n, f as _)).collect();
    check_with(&laws, rows)
}

/// [`check`] for laws that are closures.
///
/// # Errors
/// With all failures, readable.
pub fn check_with(
    laws: &[(&str, &dyn Fn(&Sample) -> Result<(), String>)],
    rows: &[Sample],
) -> Result<(), String> {
    let mut failures: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in rows {
        for (name, law) in laws {
            if let Err(why) = caught(|| law(row)) {
                failures
                    .entry(row.op.name())
                    .or_default()
                    .push(format!("law {name}: {}\n      {why}", label(row)));
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(listing(&failures, rows.len())) }
}

/// Runs `f`; a panic becomes an error.
///
/// # Errors
/// What `f` says, or the panic.
pub fn caught<T>(f: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    panic::catch_unwind(panic::AssertUnwindSafe(f)).unwrap_or_else(|p| {
        let text = p
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| p.downcast_ref::<&str>().map(|s| s.to_string()));
        Err(format!("it panics: {}", text.unwrap_or_default()))
    })
}

/// `slice[start=[0], limit=[2], stride=[1]](f32[4])`
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
        list.iter().take(SHOWN).for_each(|f| out += &format!("    {f}\n"));
        if list.len() > SHOWN {
            let _ = writeln!(out, "    .. and {} more", list.len() - SHOWN);
        }
    }
    out
}

/// How many failures of one op are written out.
const SHOWN: usize = 5;

/// Does evaluation of the op alone have no meaning, because it talks along an axis that only `vmap`
/// can name?
pub(crate) fn needs_axis(op: &Op) -> bool {
    matches!(op, Op::AllReduce(_) | Op::AxisIndex(_))
        || op.graphs().iter().any(|g| g.eqns().iter().any(|e| needs_axis(&e.op)))
}

fn types_of(xs: &[Literal]) -> Vec<Type> {
    xs.iter().map(|x| x.ty().clone()).collect()
}

/// The op as a graph of its own.
pub(crate) fn graph_of(s: &Sample) -> Result<Graph, String> {
    let mut b = Builder::new();
    let xs = b.inputs(&types_of(&s.inputs));
    let ys = b.try_emit(s.op.clone(), &xs).map_err(told)?;
    b.finish(&ys).map_err(told)
}

fn eval_op(op: &Op, xs: &[Literal]) -> Result<Vec<Literal>, String> {
    op.eval(&mut Eval::default(), xs.to_vec()).map_err(|e| format!("eval: {e}"))
}

pub(crate) fn run(graph: &Graph, args: &[Literal]) -> Result<Vec<Literal>, String> {
    neurax_ir::transform::eval(graph, args.to_vec()).map_err(|e| format!("eval: {e}\n{graph}"))
}

fn told(e: Error) -> String {
    e.to_string()
}

/// The same value in memory of its own.
fn unshared(x: &Literal) -> Literal {
    Literal::new(x.ty().clone(), Bytes::copy_of(x.bytes())).unwrap_or_else(|_| x.clone())
}

/// Random numbers that every dtype represents exactly: tangents, cotangents. Small ones for 8 bits,
/// whose range ends early.
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

/// A literal of those real and imaginary parts.
pub(crate) fn complex(ty: &Type, parts: &[(f64, f64)]) -> Literal {
    neurax_ir::with_compute!(any ty.dtype, C => Literal::build(ty.clone(), |out: &mut [C]| {
        for (o, &(re, im)) in out.iter_mut().zip(parts) { *o = <C as neurax_ir::Compute>::from_parts(re, im) }
    }))
}

/// A generator that depends on the row alone, so that a failing row fails alone as well.
fn rng_for(s: &Sample) -> Rng {
    let seed = s
        .inputs
        .iter()
        .flat_map(|x| x.shape().iter().copied())
        .fold(s.inputs.len() as u64, |h, d| h.wrapping_mul(31).wrapping_add(d as u64));
    Rng::new(seed)
}

/// Subsets of `items` to try: all of them up to four items, else each alone and all together.
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
