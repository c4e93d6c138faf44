//! A backend around the oracle that keeps an account of what it is given.

use neurax::prelude::*;
use neurax::{Backend, Literal, ir, runtime};
use neurax_interp::Interp;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The backend. Clones share the account.
#[derive(Clone, Debug, Default)]
pub struct Counting {
    pub oracle: Interp,
    account: Arc<Account>,
}

#[derive(Debug, Default)]
struct Account {
    /// Bytes that were brought to the device or back.
    moved: AtomicUsize,
    /// What was compiled.
    graphs: Mutex<Vec<ir::Graph>>,
    /// Where the arguments of the last run were.
    addresses: Mutex<Vec<usize>>,
}

#[derive(Debug)]
struct Run {
    inner: Arc<dyn runtime::Executable>,
    account: Arc<Account>,
}

impl Counting {
    /// A device of it.
    pub fn device(&self) -> Result<Device> {
        Device::from_backend(Arc::new(self.clone()), 0)
    }

    pub fn moved(&self) -> usize {
        self.account.moved.load(Relaxed)
    }

    pub fn compiled(&self) -> Vec<ir::Graph> {
        self.account.graphs.lock().unwrap().clone()
    }

    pub fn addresses(&self) -> Vec<usize> {
        self.account.addresses.lock().unwrap().clone()
    }

    /// How many equations `f` executes.
    pub fn eqns<O>(&self, f: impl FnOnce() -> Result<O>) -> Result<u64> {
        let before = self.oracle.counters().eqns();
        f()?;
        Ok(self.oracle.counters().eqns() - before)
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
        self.account.graphs.lock().unwrap().push(graph.clone());
        Ok(Arc::new(Run {
            inner: self.oracle.compile(graph, device)?,
            account: self.account.clone(),
        }))
    }

    fn upload(&self, value: Literal, device: usize) -> Result<runtime::Buffer> {
        self.account.moved.fetch_add(value.ty().bytes()?, Relaxed);
        self.oracle.upload(value, device)
    }

    fn download(&self, buffer: &runtime::Buffer) -> Result<Literal> {
        self.account.moved.fetch_add(buffer.ty().bytes()?, Relaxed);
        self.oracle.download(buffer)
    }
}

impl runtime::Executable for Run {
    fn run(&self, args: Vec<runtime::Buffer>) -> Result<Vec<runtime::Buffer>> {
        *self.account.addresses.lock().unwrap() =
            args.iter().map(runtime::Buffer::address).collect();
        self.inner.run(args)
    }
}
