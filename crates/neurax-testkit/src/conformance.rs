//! The laws of conformance: a backend computes the same values as the reference interpreter on each
//! sample row. A backend's own test is five lines:
//!
//! ```
//! use neurax_testkit::conformance;
//! let backend = neurax_interp::Interp::new();
//! conformance::run(&backend).unwrap();
//! ```
//!
//! The four laws are separate functions, so that a backend can be tested against one of them
//! ([`run_laws`]).

use crate::close::{Tolerance, all_within};
use crate::laws::{self, MemoryLayout};
use neurax_ir::{Builder, DType, Graph, Kind, Literal, Op, Sample, Type, Value};
use neurax_runtime::{Backend, Buffer, Executable};
use std::sync::Arc;

/// A law for a backend: returns an error that explains how a row violates it.
pub type Law = fn(&dyn Backend, &Sample) -> Result<(), String>;

/// All laws for backends, by name.
pub const BACKEND_LAWS: &[(&str, Law)] =
    &[("backend", values), ("layouts", layouts), ("corners", corners), ("batches", batches)];

/// Compares a backend with the reference interpreter on all sample rows of all ops.
///
/// # Errors
/// All rows that differ, grouped by op.
pub fn run(backend: &dyn Backend) -> Result<(), String> {
    run_laws(backend, BACKEND_LAWS, &rows())
}

/// Compares a backend with the reference interpreter on `rows`, under `laws`.
///
/// # Errors
/// All rows that differ, grouped by op.
pub fn run_laws(
    backend: &dyn Backend,
    laws: &[(&str, Law)],
    rows: &[Sample],
) -> Result<(), String> {
    let bound: Vec<_> =
        laws.iter().map(|(name, law)| (*name, move |s: &Sample| law(backend, s))).collect();
    let laws: Vec<(&str, &dyn Fn(&Sample) -> Result<(), String>)> =
        bound.iter().map(|(name, law)| (*name, law as _)).collect();
    laws::check_with(&laws, rows)
}

/// Returns the sample rows that a backend is tested on: all that have a value without a named axis,
/// or those of the ops listed in `NEURAX_OPS`, separated by commas.
pub fn rows() -> Vec<Sample> {
    let only = std::env::var("NEURAX_OPS").ok();
    let wanted =
        |s: &Sample| only.as_ref().is_none_or(|names| names.split(',').any(|n| n == s.op.name()));
    Op::samples().into_iter().filter(|s| !laws::needs_axis(&s.op) && wanted(s)).collect()
}

/// Builds the graph of a function of inputs of `types`.
///
/// # Errors
/// The error of an equation.
pub fn graph(
    types: &[Type],
    f: impl FnOnce(&mut Builder, &[Value]) -> Vec<Value>,
) -> Result<Graph, String> {
    let mut b = Builder::new();
    let xs = b.inputs(types);
    let ys = f(&mut b, &xs);
    b.finish(&ys).map_err(|e| e.to_string())
}

/// Compiles a graph and runs it on `args`.
///
/// ```
/// use neurax_ir::{DType, Literal, Type};
/// use neurax_testkit::conformance::{evaluate, graph};
/// let twice = graph(&[Type::new(DType::F32, [2])], |b, x| vec![b.add(x[0], x[0])])?;
/// let x = Literal::from_f64s(DType::F32, [2], &[1.0, 2.0]);
/// assert_eq!(evaluate(&neurax_interp::Interp::new(), &twice, &[x])?[0].to_f64s(), [2.0, 4.0]);
/// # Ok::<(), String>(())
/// ```
///
/// # Errors
/// The error of the backend.
pub fn evaluate(
    backend: &dyn Backend,
    graph: &Graph,
    args: &[Literal],
) -> Result<Vec<Literal>, String> {
    call(backend, &*compile(backend, graph)?, args)
}

/// Runs a compiled graph on `args`, which stay as they are.
///
/// # Errors
/// The error of the backend.
pub fn call(
    backend: &dyn Backend,
    program: &dyn Executable,
    args: &[Literal],
) -> Result<Vec<Literal>, String> {
    let message = |e: neurax_ir::Error| format!("{}: {e}", backend.name());
    let args: Vec<Buffer> = args
        .iter()
        .map(|x| backend.upload(x.clone(), 0))
        .collect::<Result<_, _>>()
        .map_err(message)?;
    let outs = program.run(args).map_err(message)?;
    outs.iter().map(|y| backend.download(y)).collect::<Result<_, _>>().map_err(message)
}

/// Compares a function of `args` with the reference interpreter, bit for bit, and returns its
/// results: for operands on which every order of the operations has the same result, such as sums
/// of small integers. NaN equals NaN, and both zeros are equal. The program is called twice, as the
/// second call reuses memory of the first one.
///
/// ```
/// use neurax_ir::{DType, Literal};
/// use neurax_testkit::conformance::check_exact;
/// let x = Literal::from_f64s(DType::F32, [2], &[1.0, 2.0]);
/// let backend = neurax_interp::Interp::new();
/// let y = check_exact(&backend, &[x], |b, xs| vec![b.add(xs[0], xs[0])]);
/// assert_eq!(y[0].to_f64s(), [2.0, 4.0]);
/// ```
///
/// # Panics
/// With the difference and the graph, or the error of an equation or of the backend: it stands in
/// tests, where the line of the caller shows the case.
#[track_caller]
pub fn check_exact(
    backend: &dyn Backend,
    args: &[Literal],
    f: impl FnOnce(&mut Builder, &[Value]) -> Vec<Value>,
) -> Vec<Literal> {
    let types: Vec<Type> = args.iter().map(|x| x.ty().clone()).collect();
    match graph(&types, f).and_then(|graph| exact_results(backend, &graph, args)) {
        Ok(results) => results,
        Err(why) => panic!("{why}"),
    }
}

/// Returns the results of a graph, which equal those of the reference interpreter in two calls.
fn exact_results(
    backend: &dyn Backend,
    graph: &Graph,
    args: &[Literal],
) -> Result<Vec<Literal>, String> {
    let (want, program) = (laws::run(graph, args)?, compile(backend, graph)?);
    let results = || {
        let have = call(backend, &*program, args)?;
        all_within(&have, &want, |_| Tolerance::both(0.0)).map_err(|e| format!("{e}\n{graph}"))?;
        Ok(have)
    };
    results().and_then(|_| results())
}

/// Checks the op on the row's operands.
///
/// # Errors
/// The difference.
pub fn values(backend: &dyn Backend, s: &Sample) -> Result<(), String> {
    agrees(backend, &s.op, &laws::graph_of(s)?, &s.inputs)
}

/// Checks the op with operands transposed, reversed, or strided in a larger array, and its results
/// moved likewise: a backend that fuses data movement accesses them with unusual strides, in each
/// kind of kernel.
///
/// # Errors
/// The difference.
pub fn layouts(backend: &dyn Backend, s: &Sample) -> Result<(), String> {
    for layout in MemoryLayout::ALL {
        let (graph, args) = laws::with_layout(s, layout)?;
        agrees(backend, &s.op, &graph, &args).map_err(|e| format!("{layout:?}: {e}"))?;
    }
    Ok(())
}

/// Checks operands made of NaN, infinities, both zeros, and the extreme integers, in many
/// combinations. Loops and branches are excluded: their bounds would be arbitrary.
///
/// # Errors
/// The difference.
pub fn corners(backend: &dyn Backend, s: &Sample) -> Result<(), String> {
    if !s.op.graphs().is_empty() || s.inputs.is_empty() {
        return Ok(());
    }
    let (graph, like) = laws::batched(s, 0, 19)?;
    let program = compile(backend, &graph)?;
    for round in 0..OPERAND_ROUNDS {
        let args: Vec<Literal> =
            like.iter().enumerate().map(|(i, x)| special_operand(&s.op, x, round, i)).collect();
        // The reference interpreter returns an error for some of these operands.
        let Ok(want) = laws::run(&graph, &args) else { continue };
        let have = call(backend, &*program, &args)?;
        crate::close::all_close(&have, &want, factor(&s.op))
            .map_err(|e| format!("{e}\nof {args:?}"))?;
    }
    Ok(())
}

/// Checks the op batched along axes at the front and at the back, with enough elements for vectors
/// and a remainder, and with none.
///
/// # Errors
/// The difference.
pub fn batches(backend: &dyn Backend, s: &Sample) -> Result<(), String> {
    if s.inputs.is_empty() {
        return Ok(());
    }
    for (place, size) in [(0, 37), (1, 19), (2, 0)] {
        let (graph, args) = laws::batched(s, place, size)?;
        agrees(backend, &s.op, &graph, &args)?;
    }
    Ok(())
}

/// The number of operand lists that `corners` tries for a row.
const OPERAND_ROUNDS: usize = 6;

/// Special floats. Sums and products of many large ones would overflow in single precision but not
/// in the reference interpreter's double precision, so large values are used for elementwise ops
/// only.
const SPECIAL_FLOATS: [f64; 11] =
    [f64::NAN, f64::INFINITY, 1.0, -0.0, f64::NEG_INFINITY, -1.5, 0.0, 0.5, 2.5, -3.0, 7.25];
const LARGE_FLOATS: [f64; 2] = [1e30, -1e30];

/// Creates an operand of the type of `x` from special values; each round and each operand starts at
/// a different one.
fn special_operand(op: &Op, x: &Literal, round: usize, operand: usize) -> Literal {
    let is_elementwise = matches!(
        op,
        Op::Unary(_)
            | Op::Binary(_)
            | Op::Compare(_)
            | Op::Select(_)
            | Op::Clamp(_)
            | Op::IncompleteBeta(_)
            | Op::Convert(_)
    );
    let (dtype, large) = (x.dtype(), if is_elementwise { &LARGE_FLOATS[..] } else { &[] });
    let mut floats: Vec<f64> = SPECIAL_FLOATS.iter().chain(large).copied().collect();
    // Which results become NaN depends on the factors that an algorithm multiplies by.
    if matches!(op, Op::Fft(_)) {
        floats.retain(|x| x.is_finite());
    }
    let at = |k: usize, n: usize| (k + round * 2 + operand * (round + 3)) % n;
    let float = |k: usize| floats[at(k, floats.len())];
    match dtype.kind() {
        Kind::Complex => laws::complex(
            x.ty(),
            &(0..x.ty().size()).map(|k| (float(k), float(k + 4))).collect::<Vec<_>>(),
        ),
        Kind::Float | Kind::Storage => Literal::from_f64s(
            dtype,
            x.shape().clone(),
            &(0..x.ty().size()).map(float).collect::<Vec<_>>(),
        ),
        _ if is_elementwise => {
            let ends = extreme_integers(dtype);
            Literal::from_f64s(
                dtype,
                x.shape().clone(),
                &(0..x.ty().size()).map(|k| ends[at(k, ends.len())]).collect::<Vec<_>>(),
            )
        }
        // Indices and counts must stay valid.
        _ => x.clone(),
    }
}

/// Returns zero, one, a small value, and the extreme values of an integer dtype, as far as f64
/// represents them.
fn extreme_integers(dtype: DType) -> Vec<f64> {
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

/// Returns the factor of the tolerance: the errors of a Fourier transform are relative to the sum
/// of the absolute values, of which a result may be a small difference.
fn factor(op: &Op) -> f64 {
    match op {
        Op::Fft(f) if !f.kind.is_inverse() => f.lengths.iter().product::<usize>().max(1) as f64,
        _ => 1.0,
    }
}

fn agrees(backend: &dyn Backend, op: &Op, graph: &Graph, args: &[Literal]) -> Result<(), String> {
    let want = laws::run(graph, args)?;
    let have = evaluate(backend, graph, args)?;
    crate::close::all_close(&have, &want, factor(op)).map_err(|e| format!("{e}\n{graph}"))
}

fn compile(backend: &dyn Backend, graph: &Graph) -> Result<Arc<dyn Executable>, String> {
    backend.compile(graph, 0).map_err(|e| format!("{}: {e}\n{graph}", backend.name()))
}
