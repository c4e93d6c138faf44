//! Law 6: a backend computes what the oracle computes, on every sample row. A backend's own test is
//! five lines:
//!
//! ```
//! use neurax_testkit::conformance;
//! let backend = neurax_interp::Interp::new();
//! conformance::run(&backend).unwrap();
//! ```
//!
//! It is four laws, each a function of its own for backends that test them one by one
//! ([`run_laws`]).

use crate::laws::{self, Layout};
use neurax_ir::{DType, Graph, Kind, Literal, Op, Sample};
use neurax_runtime::{Backend, Buffer, Executable};
use std::sync::Arc;

/// A law for a backend: holds for a row, or says how it does not.
pub type Law = fn(&dyn Backend, &Sample) -> Result<(), String>;

/// Every law for backends, by name.
pub const ALL: &[(&str, Law)] = &[
    ("6 backend", values),
    ("6 layouts", layouts),
    ("6 corners", corners),
    ("6 batches", batches),
];

/// Compares a backend with the oracle on every sample row of every op.
///
/// # Errors
/// With every row that differs, grouped by op.
pub fn run(backend: &dyn Backend) -> Result<(), String> {
    run_laws(backend, ALL, &rows())
}

/// Compares a backend with the oracle on those rows, under those laws.
///
/// # Errors
/// With every row that differs, grouped by op.
pub fn run_laws(
    backend: &dyn Backend,
    held: &[(&str, Law)],
    rows: &[Sample],
) -> Result<(), String> {
    let bound: Vec<_> =
        held.iter().map(|(name, law)| (*name, move |s: &Sample| law(backend, s))).collect();
    let held: Vec<(&str, &dyn Fn(&Sample) -> Result<(), String>)> =
        bound.iter().map(|(name, law)| (*name, law as _)).collect();
    laws::check_with(&held, rows)
}

/// The sample rows that a backend is held to: all that have a meaning of their own, or those of the
/// ops that `NEURAX_OPS` names, with commas between them.
pub fn rows() -> Vec<Sample> {
    let only = std::env::var("NEURAX_OPS").ok();
    let wanted =
        |s: &Sample| only.as_ref().is_none_or(|names| names.split(',').any(|n| n == s.op.name()));
    Op::samples().into_iter().filter(|s| !laws::needs_axis(&s.op) && wanted(s)).collect()
}

/// The row as it is.
///
/// # Errors
/// How the backend differs.
pub fn values(backend: &dyn Backend, s: &Sample) -> Result<(), String> {
    agrees(backend, &laws::graph_of(s)?, &s.inputs)
}

/// The same operands transposed, reversed, or spread over a larger array, and the results moved as
/// well: a backend that fuses data movement walks them with odd strides, in every kind of kernel.
///
/// # Errors
/// How the backend differs.
pub fn layouts(backend: &dyn Backend, s: &Sample) -> Result<(), String> {
    for layout in Layout::ALL {
        let (graph, args) = laws::laid_out(s, layout)?;
        agrees(backend, &graph, &args).map_err(|e| format!("{layout:?}: {e}"))?;
    }
    Ok(())
}

/// Operands made of NaN, infinities, both zeros, and the ends of integers, in many combinations.
/// Loops and branches are left out: what bounds them would be any number.
///
/// # Errors
/// How the backend differs.
pub fn corners(backend: &dyn Backend, s: &Sample) -> Result<(), String> {
    if !s.op.graphs().is_empty() || s.inputs.is_empty() {
        return Ok(());
    }
    let (graph, like) = laws::batched(s, 0, 19)?;
    let program = compile(backend, &graph)?;
    for round in 0..ROUNDS {
        let args: Vec<Literal> =
            like.iter().enumerate().map(|(i, x)| cornered(&s.op, x, round, i)).collect();
        // What has no value for the oracle has none here.
        let Ok(want) = laws::run(&graph, &args) else { continue };
        let have = call(backend, &*program, &args)?;
        crate::close::all_close(&have, &want, 1.0).map_err(|e| format!("{e}\nof {args:?}"))?;
    }
    Ok(())
}

/// The op batched along axes at the front and at the back: enough elements that they are computed
/// in vectors, with some left over; and none at all.
///
/// # Errors
/// How the backend differs.
pub fn batches(backend: &dyn Backend, s: &Sample) -> Result<(), String> {
    if s.inputs.is_empty() {
        return Ok(());
    }
    for (place, size) in [(0, 37), (1, 19), (2, 0)] {
        let (graph, args) = laws::batched(s, place, size)?;
        agrees(backend, &graph, &args)?;
    }
    Ok(())
}

/// How many operands `corners` tries for a row.
const ROUNDS: usize = 6;

/// Corners of floats. Sums and products of many would overflow in single precision where the
/// oracle's double precision does not, so that large numbers are for functions of single elements
/// only.
const CORNERS: [f64; 11] =
    [f64::NAN, f64::INFINITY, 1.0, -0.0, f64::NEG_INFINITY, -1.5, 0.0, 0.5, 2.5, -3.0, 7.25];
const LARGE: [f64; 2] = [1e30, -1e30];

/// An operand of that type made of corners: each round and each operand begin elsewhere.
fn cornered(op: &Op, x: &Literal, round: usize, operand: usize) -> Literal {
    let is_elementwise = matches!(
        op,
        Op::Unary(_)
            | Op::Binary(_)
            | Op::Compare(_)
            | Op::Select(_)
            | Op::Clamp(_)
            | Op::Convert(_)
    );
    let (dtype, large) = (x.dtype(), if is_elementwise { &LARGE[..] } else { &[] });
    let floats: Vec<f64> = CORNERS.iter().chain(large).copied().collect();
    let at = |k: usize, n: usize| (k + round * 2 + operand * (round + 3)) % n;
    let float = |k: usize| floats[at(k, floats.len())];
    match dtype.kind() {
        Kind::Complex => laws::complex(
            x.ty(),
            &(0..x.ty().size()).map(|k| (float(k), float(k + 4))).collect::<Vec<_>>(),
        ),
        Kind::Float => Literal::from_f64s(
            dtype,
            x.shape().clone(),
            &(0..x.ty().size()).map(float).collect::<Vec<_>>(),
        ),
        _ if is_elementwise => {
            let ends = ends(dtype);
            Literal::from_f64s(
                dtype,
                x.shape().clone(),
                &(0..x.ty().size()).map(|k| ends[at(k, ends.len())]).collect::<Vec<_>>(),
            )
        }
        // Places and counts keep their meaning.
        _ => x.clone(),
    }
}

/// Zero, one, a small number, and the ends of what an integer dtype holds, as far as a double
/// precision number holds them.
fn ends(dtype: DType) -> Vec<f64> {
    let bits = dtype.bits() as i32;
    match dtype.kind() {
        Kind::Signed => vec![
            0.0,
            -(2f64.powi(bits - 1)),
            1.0,
            -1.0,
            2f64.powi(bits - 1) - if bits > 53 { 1024.0 } else { 1.0 },
        ],
        Kind::Unsigned => {
            vec![0.0, 2f64.powi(bits) - if bits > 53 { 2048.0 } else { 1.0 }, 1.0, 3.0]
        }
        _ => vec![0.0, 1.0],
    }
}

fn agrees(backend: &dyn Backend, graph: &Graph, args: &[Literal]) -> Result<(), String> {
    let want = laws::run(graph, args)?;
    let have = call(backend, &*compile(backend, graph)?, args)?;
    crate::close::all_close(&have, &want, 1.0).map_err(|e| format!("{e}\n{graph}"))
}

fn compile(backend: &dyn Backend, graph: &Graph) -> Result<Arc<dyn Executable>, String> {
    backend.compile(graph, 0).map_err(|e| format!("{}: {e}\n{graph}", backend.name()))
}

fn call(
    backend: &dyn Backend,
    program: &dyn Executable,
    args: &[Literal],
) -> Result<Vec<Literal>, String> {
    let told = |e: neurax_ir::Error| format!("{}: {e}", backend.name());
    let args: Vec<Buffer> = args
        .iter()
        .map(|x| backend.upload(x.clone(), 0))
        .collect::<Result<_, _>>()
        .map_err(told)?;
    let outs = program.run(args).map_err(told)?;
    outs.iter().map(|y| backend.download(y)).collect::<Result<_, _>>().map_err(told)
}
