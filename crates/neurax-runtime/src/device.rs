//! [`Device`]: a processor that runs compiled graphs, with caches of what was compiled for it.

use crate::{
    Backend, Buffer, Cache, CompiledGraph, Stages,
    tuning::{MAX_CACHED_GRAPHS, MAX_CACHED_OPS},
};
use neurax_ir::{Error, Graph, Literal, Op, Result, Type, passes};
use rustc_hash::FxHasher;
use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// A device of a backend, with caches of compiled graphs and compiled single ops. Cloning shares
/// the caches.
#[derive(Clone)]
pub struct Device(Arc<DeviceState>);

/// The shared state of a device.
struct DeviceState {
    backend: Arc<dyn Backend>,
    ordinal: usize,
    graphs: Cache<Graph, Arc<CompiledGraph>>,
    ops: Cache<OpKey, Arc<CompiledGraph>>,
}

/// The key of a compiled op: the op and its operand types.
struct OpKey {
    op: Op,
    types: Vec<Type>,
    /// True if operands are promoted and broadcast to each other first.
    is_implicit: bool,
}

impl Device {
    /// Creates the device with index `ordinal` of `backend`. This is how other crates add backends.
    ///
    /// # Errors
    /// When the backend has no such device.
    pub fn from_backend(backend: Arc<dyn Backend>, ordinal: usize) -> Result<Device> {
        let count = backend.devices();
        if ordinal >= count {
            let name = backend.name();
            let why = format!("expected a device number below {count} for {name}, got {ordinal}");
            return Err(Error::new("device", why));
        }
        Ok(Device(Arc::new(DeviceState {
            backend,
            ordinal,
            graphs: Cache::new(MAX_CACHED_GRAPHS),
            ops: Cache::new(MAX_CACHED_OPS),
        })))
    }

    /// Returns the backend.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.0.backend
    }

    /// Returns the index among the backend's devices.
    pub fn ordinal(&self) -> usize {
        self.0.ordinal
    }

    /// Returns the number of graphs that were compiled for the device.
    pub fn compilations(&self) -> usize {
        self.0.graphs.computed()
    }

    /// Returns the number of single ops that were compiled for the device.
    pub fn prepared_ops(&self) -> usize {
        self.0.ops.computed()
    }

    /// Returns the compiled form of `graph` from the cache, or optimizes and compiles it.
    ///
    /// # Errors
    /// The error of a pass or of the backend.
    pub fn compile(&self, graph: &Graph) -> Result<Arc<CompiledGraph>> {
        // Rules are no part of what runs, and to hash those of nested functions takes long.
        let graph = passes::discard_rules(graph)?;
        let graph = &*graph;
        let hash = hash_of(graph);
        self.0.graphs.get_or_compute(
            hash,
            |g| g == graph,
            || graph.clone(),
            |g| self.build(g, &mut Stages::muted()),
        )
    }

    /// Compiles `graph` without the cache and logs every stage.
    ///
    /// # Errors
    /// As [`Device::compile`].
    pub fn compile_logged(&self, graph: &Graph, stages: &mut Stages) -> Result<Arc<CompiledGraph>> {
        self.build(graph, stages)
    }

    /// Optimizes and compiles `graph`.
    fn build(&self, graph: &Graph, stages: &mut Stages) -> Result<Arc<CompiledGraph>> {
        let mut start = stages.start();
        let graph = passes::discard_rules(graph)?;
        let graph = &*graph;
        let optimized = passes::optimize(graph, &mut |name, g| {
            stages.add(format!("passes/{name}"), start, g);
            start = stages.start();
        })?;
        let executable = self.0.backend.compile_logged(&optimized, self.0.ordinal, stages)?;
        Ok(Arc::new(CompiledGraph::new(graph, executable)))
    }

    /// Returns the compiled form of one op on operands of `types`. `is_implicit` is true if the
    /// operands are promoted and broadcast first. If it is cached no graph is built, else the
    /// result of `graph` is compiled.
    ///
    /// # Errors
    /// The error of `graph`, of a pass or of the backend.
    pub fn op<'t>(
        &self,
        op: &Op,
        types: impl Iterator<Item = &'t Type> + Clone,
        is_implicit: bool,
        graph: impl FnOnce() -> Result<Graph>,
    ) -> Result<Arc<CompiledGraph>> {
        let mut h = FxHasher::default();
        op.hash(&mut h);
        types.clone().for_each(|t| t.hash(&mut h));
        is_implicit.hash(&mut h);
        let same =
            |k: &OpKey| k.is_implicit == is_implicit && k.op == *op && types.clone().eq(&k.types);
        let key = || OpKey { op: op.clone(), types: types.clone().cloned().collect(), is_implicit };
        let compile = |k: &OpKey| {
            let graph = graph()?;
            if graph.input_types() != k.types {
                return Err(Error::bug("the graph of an op has other inputs than the op"));
            }
            self.build(&graph, &mut Stages::muted())
        };
        // Not kept in `graphs`: ops on many types must not evict compiled functions.
        self.0.ops.get_or_compute(h.finish(), same, key, compile)
    }

    /// Copies a value to the device; see [`Backend::upload`].
    ///
    /// # Errors
    /// When the device has not enough memory.
    pub fn upload(&self, value: Literal) -> Result<Buffer> {
        self.0.backend.upload(value, self.0.ordinal)
    }

    /// Copies a value back to the host; see [`Backend::download`].
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn download(&self, buffer: &Buffer) -> Result<Literal> {
        self.0.backend.download(buffer)
    }
}

fn hash_of(x: &impl Hash) -> u64 {
    let mut h = FxHasher::default();
    x.hash(&mut h);
    h.finish()
}

impl PartialEq for Device {
    fn eq(&self, o: &Device) -> bool {
        Arc::ptr_eq(&self.0, &o.0)
            || (Arc::ptr_eq(&self.0.backend, &o.0.backend) && self.0.ordinal == o.0.ordinal)
    }
}

impl Eq for Device {}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}", self.0.backend.name(), self.0.ordinal)
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self}")
    }
}
