//! The oracle: a slow, obvious backend around `neurax_ir::transform::eval`. It defines what is
//! right. Users have it by the feature `interp` of `neurax`, and never name it; who tests a backend
//! against it starts with [`Interp`].
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

use neurax_ir::{Error, Eval, Graph, Literal, Result};
use neurax_runtime::{Backend, Buffer, Executable};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The backend. Clones share their [`Counters`].
#[derive(Clone, Debug, Default)]
pub struct Interp {
    counters: Arc<Counters>,
}

/// What was executed, summed over all programs of one [`Interp`].
#[derive(Debug, Default)]
pub struct Counters {
    eqns: AtomicU64,
    reused: AtomicU64,
}

#[derive(Debug)]
struct InterpExecutable {
    graph: Graph,
    counters: Arc<Counters>,
}

impl Interp {
    /// A backend with its counters at zero.
    pub fn new() -> Interp {
        Interp::default()
    }

    /// What its programs have executed.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Counters {
    /// Equations executed, those of nested graphs included, each time they ran.
    pub fn eqns(&self) -> u64 {
        self.eqns.load(Relaxed)
    }

    /// Results that were written into an operand's memory.
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

    fn compile(&self, graph: &Graph, _: usize) -> Result<Arc<dyn Executable>> {
        Ok(Arc::new(InterpExecutable { graph: graph.clone(), counters: self.counters.clone() }))
    }

    fn upload(&self, value: Literal, _: usize) -> Result<Buffer> {
        Ok(value.into())
    }

    fn download(&self, buffer: &Buffer) -> Result<Literal> {
        buffer.to_literal()
    }
}

impl Executable for InterpExecutable {
    fn run(&self, args: Vec<Buffer>) -> Result<Vec<Buffer>> {
        if !args.iter().map(Buffer::ty).eq(self.graph.input_types()) {
            return Err(Error::new(
                "interp",
                "the arguments do not have the types of the graph's inputs",
            ));
        }
        let args = args.into_iter().map(Buffer::into_literal).collect::<Result<Vec<_>>>()?;
        let mut eval = Eval::default();
        let outs = eval.run(&self.graph, args);
        self.counters.eqns.fetch_add(eval.eqns as u64, Relaxed);
        self.counters.reused.fetch_add(eval.reused as u64, Relaxed);
        Ok(outs?.into_iter().map(Buffer::from).collect())
    }
}
