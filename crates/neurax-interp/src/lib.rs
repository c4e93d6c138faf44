//! The reference interpreter: a slow and simple backend around `neurax_ir::transform::eval`, which
//! defines the correct results. Users get it with the feature `interp` of `neurax` and never name
//! it. To test another backend against it, start with [`Interp`].
//!
//! ```
//! use neurax_interp::Interp;
//! use neurax_ir::{DType, Graph, Literal};
//! use neurax_runtime::Device;
//! use std::sync::Arc;
//!
//! let device = Device::from_backend(Arc::new(Interp::new()), 0)?;
//! let graph = Graph::parse("graph(%0: f32[2]) {\n  return %0\n}")?;
//! let x = device.upload(Literal::from_slice([2], &[1.0f32, 2.0])?)?;
//! let y = device.compile(&graph)?.run(vec![x])?;
//! assert_eq!(device.download(&y[0])?.to_vec::<f32>()?, [1.0, 2.0]);
//! # Ok::<(), neurax_ir::Error>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use neurax_ir::{Eval, Graph, Literal, Result, check_types, transform};
use neurax_runtime::{Backend, Buffer, Executable};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The reference interpreter as a backend with one device. Clones share their [`Counters`].
#[derive(Clone, Debug, Default)]
pub struct Interp {
    counters: Arc<Counters>,
}

/// Counts of executed work, summed over all programs of one [`Interp`] and its clones.
#[derive(Debug, Default)]
pub struct Counters {
    eqns: AtomicU64,
    reused: AtomicU64,
}

/// A graph, ready to be evaluated.
#[derive(Debug)]
struct InterpExecutable {
    graph: Graph,
    /// The bytes that an evaluation allocates at most at a time.
    peak: usize,
    counters: Arc<Counters>,
}

impl Interp {
    /// Creates a backend whose counters are zero.
    pub fn new() -> Interp {
        Interp::default()
    }

    /// Returns the counters of all programs of this backend.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Counters {
    /// Returns the number of executed equations; an equation of a nested graph counts each time it
    /// runs.
    pub fn eqns(&self) -> u64 {
        self.eqns.load(Relaxed)
    }

    /// Returns the number of results that were written into the memory of an operand.
    pub fn reused(&self) -> u64 {
        self.reused.load(Relaxed)
    }
}

impl Backend for Interp {
    fn name(&self) -> &str {
        "interp"
    }

    fn devices(&self) -> usize {
        1
    }

    fn description(&self) -> String {
        "the reference interpreter: slow, on one thread; defines the correct results".into()
    }

    fn compile(&self, graph: &Graph, _: usize) -> Result<Arc<dyn Executable>> {
        Ok(Arc::new(InterpExecutable {
            graph: graph.clone(),
            peak: transform::peak_bytes(graph),
            counters: self.counters.clone(),
        }))
    }

    fn upload(&self, value: Literal, _: usize) -> Result<Buffer> {
        Ok(value.into())
    }

    fn download(&self, buffer: &Buffer) -> Result<Literal> {
        buffer.to_literal()
    }
}

impl Executable for InterpExecutable {
    fn memory(&self, _: bool, _: &dyn Fn(usize) -> bool) -> Option<usize> {
        Some(self.peak)
    }

    fn run(&self, args: Vec<Buffer>) -> Result<Vec<Buffer>> {
        let want = self.graph.input_types();
        check_types("interp", "arguments", want, args.iter().map(Buffer::ty))?;
        let args = args.into_iter().map(Buffer::into_literal).collect::<Result<Vec<_>>>()?;
        let mut eval = Eval::default();
        let outs = eval.run(&self.graph, args);
        self.counters.eqns.fetch_add(eval.eqns as u64, Relaxed);
        self.counters.reused.fetch_add(eval.reused as u64, Relaxed);
        Ok(outs?.into_iter().map(Buffer::from).collect())
    }
}
