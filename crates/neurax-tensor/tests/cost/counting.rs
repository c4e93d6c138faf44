//! The reference interpreter as a backend that records its calls.

use neurax::prelude::*;
use neurax::{Backend, Literal, ir, runtime};
use neurax_interp::Interp;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The backend. Clones share the record.
#[derive(Clone, Debug, Default)]
pub struct Counting {
    pub interp: Interp,
    record: Arc<Record>,
}

/// The calls of a backend and its clones.
#[derive(Debug, Default)]
struct Record {
    /// The number of bytes copied to or from the device.
    moved: AtomicUsize,
    /// The compiled graphs.
    graphs: Mutex<Vec<ir::Graph>>,
    /// The addresses of the arguments of the last run.
    addresses: Mutex<Vec<usize>>,
}

#[derive(Debug)]
struct Run {
    inner: Arc<dyn runtime::Executable>,
    record: Arc<Record>,
}

impl Counting {
    /// Creates a device of the backend.
    pub fn device(&self) -> Result<Device> {
        Device::from_backend(Arc::new(self.clone()), 0)
    }

    pub fn moved(&self) -> usize {
        self.record.moved.load(Relaxed)
    }

    pub fn compiled(&self) -> Vec<ir::Graph> {
        self.record.graphs.lock().unwrap().clone()
    }

    pub fn addresses(&self) -> Vec<usize> {
        self.record.addresses.lock().unwrap().clone()
    }

    /// Returns the number of equations that `f` executes.
    pub fn eqns<O>(&self, f: impl FnOnce() -> Result<O>) -> Result<u64> {
        let before = self.interp.counters().eqns();
        f()?;
        Ok(self.interp.counters().eqns() - before)
    }
}

impl Backend for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    fn devices(&self) -> usize {
        1
    }

    fn compile(&self, graph: &ir::Graph, device: usize) -> Result<Arc<dyn runtime::Executable>> {
        self.record.graphs.lock().unwrap().push(graph.clone());
        Ok(Arc::new(Run {
            inner: self.interp.compile(graph, device)?,
            record: self.record.clone(),
        }))
    }

    fn upload(&self, value: Literal, device: usize) -> Result<runtime::Buffer> {
        self.record.moved.fetch_add(value.ty().bytes()?, Relaxed);
        self.interp.upload(value, device)
    }

    fn download(&self, buffer: &runtime::Buffer) -> Result<Literal> {
        self.record.moved.fetch_add(buffer.ty().bytes()?, Relaxed);
        self.interp.download(buffer)
    }
}

impl runtime::Executable for Run {
    fn run(&self, args: Vec<runtime::Buffer>) -> Result<Vec<runtime::Buffer>> {
        *self.record.addresses.lock().unwrap() =
            args.iter().map(runtime::Buffer::address).collect();
        self.inner.run(args)
    }
}
