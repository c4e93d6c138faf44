//! Law 6: a backend computes what the oracle computes, on every sample row. A backend's own test is five lines:
//!
//! ```
//! use neurax_testkit::conformance;
//! let backend = neurax_interp::Interp::new();
//! conformance::run(&backend).unwrap();
//! ```

use crate::laws;
use neurax_ir::{Literal, Op, Sample};
use neurax_runtime::{Backend, Buffer};

/// Compares a backend with the oracle on every sample row of every op.
///
/// # Errors
/// With every row that differs, grouped by op.
pub fn run(backend: &dyn Backend) -> Result<(), String> {
    run_on(backend, &Op::samples())
}

/// Compares a backend with the oracle on those rows.
///
/// # Errors
/// With every row that differs, grouped by op.
pub fn run_on(backend: &dyn Backend, rows: &[Sample]) -> Result<(), String> {
    laws::check_with(&[("6 backend", &|s| agrees(backend, s))], rows)
}

fn agrees(backend: &dyn Backend, s: &Sample) -> Result<(), String> {
    if laws::needs_axis(&s.op) {
        return Ok(());
    }
    let graph = laws::graph_of(s)?;
    let want = laws::run(&graph, &s.inputs)?;
    let have = on(backend, &graph, &s.inputs)?;
    crate::close::all_close(&have, &want, 1.0)
}

fn on(backend: &dyn Backend, graph: &neurax_ir::Graph, args: &[Literal]) -> Result<Vec<Literal>, String> {
    let told = |e: neurax_ir::Error| format!("{}: {e}", backend.name());
    let args: Vec<Buffer> = args.iter().map(|x| backend.upload(x.clone(), 0)).collect::<Result<_, _>>().map_err(told)?;
    let outs = backend.compile(graph, 0).and_then(|f| f.run(args)).map_err(told)?;
    outs.iter().map(|y| backend.download(y)).collect::<Result<_, _>>().map_err(told)
}
