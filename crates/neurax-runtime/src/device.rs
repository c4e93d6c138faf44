//! One place where programs run, with what was compiled for it.

use crate::{
    Backend, Buffer, Cache, Executable, Stages,
    tuning::{MAX_CACHED_GRAPHS, MAX_CACHED_OPS, PROBED_BYTES},
};
use neurax_ir::{Error, Graph, Literal, Op, Result, Type, passes};
use rustc_hash::FxHasher;
use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// A device of a backend, and its caches: compiled graphs, and programs of single ops. Cloning
/// shares them.
#[derive(Clone)]
pub struct Device(Arc<DeviceState>);

struct DeviceState {
    backend: Arc<dyn Backend>,
    ordinal: usize,
    programs: Cache<Graph, Arc<CompiledGraph>>,
    ops: Cache<OpKey, Arc<CompiledGraph>>,
}

/// A compiled graph with its signature.
#[derive(Debug)]
pub struct CompiledGraph {
    inputs: Vec<Type>,
    outputs: Vec<Type>,
    /// The largest value, if it is so large that memory for it may be missing.
    largest: Option<Type>,
    executable: Arc<dyn Executable>,
}

/// An op on operands of those types. Implicit operands are converted and broadcast to each other
/// first.
struct OpKey {
    op: Op,
    types: Vec<Type>,
    implicit: bool,
}

impl Device {
    /// A device of a backend: the open door for backends from outside.
    ///
    /// # Errors
    /// When the backend has no device of that number.
    pub fn from_backend(backend: Arc<dyn Backend>, ordinal: usize) -> Result<Device> {
        let count = backend.devices();
        if ordinal >= count {
            return Err(Error::new(
                "device",
                format!(
                    "{} has {count} devices, numbered from 0; there is no {ordinal}",
                    backend.name()
                ),
            ));
        }
        Ok(Device(Arc::new(DeviceState {
            backend,
            ordinal,
            programs: Cache::new(MAX_CACHED_GRAPHS),
            ops: Cache::new(MAX_CACHED_OPS),
        })))
    }

    /// The backend.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.0.backend
    }

    /// Its number among the backend's devices.
    pub fn ordinal(&self) -> usize {
        self.0.ordinal
    }

    /// How many graphs were compiled for it.
    pub fn compilations(&self) -> usize {
        self.0.programs.computed()
    }

    /// How many single ops were prepared for it.
    pub fn prepared_ops(&self) -> usize {
        self.0.ops.computed()
    }

    /// The program of a graph: from the cache, or through the passes and the backend.
    ///
    /// # Errors
    /// What the backend says.
    pub fn compile(&self, graph: &Graph) -> Result<Arc<CompiledGraph>> {
        let hash = hash_of(graph);
        self.0.programs.get_or_compute(
            hash,
            |g| g == graph,
            || graph.clone(),
            |g| self.build(g, &mut Stages::muted()),
        )
    }

    /// The program of a graph, compiled anew, with every stage logged.
    ///
    /// # Errors
    /// What the backend says.
    pub fn compile_logged(&self, graph: &Graph, stages: &mut Stages) -> Result<Arc<CompiledGraph>> {
        self.build(graph, stages)
    }

    fn build(&self, graph: &Graph, stages: &mut Stages) -> Result<Arc<CompiledGraph>> {
        let mut start = stages.start();
        let optimised = passes::optimise(graph, &mut |name, g| {
            stages.add(format!("passes/{name}"), start, g);
            start = stages.start();
        })?;
        let executable = self.0.backend.compile_logged(&optimised, self.0.ordinal, stages)?;
        Ok(Arc::new(CompiledGraph {
            inputs: graph.input_types().to_vec(),
            outputs: graph.output_types(),
            largest: largest(graph),
            executable,
        }))
    }

    /// The program of one op on operands of those types. A hit builds no graph; a miss compiles
    /// what `graph` gives.
    ///
    /// # Errors
    /// What `graph` or the backend says.
    pub fn op<'t>(
        &self,
        op: &Op,
        types: impl Iterator<Item = &'t Type> + Clone,
        implicit: bool,
        graph: impl FnOnce() -> Result<Graph>,
    ) -> Result<Arc<CompiledGraph>> {
        let mut h = FxHasher::default();
        op.hash(&mut h);
        types.clone().for_each(|t| t.hash(&mut h));
        implicit.hash(&mut h);
        let same = |k: &OpKey| k.implicit == implicit && k.op == *op && types.clone().eq(&k.types);
        let key = || OpKey { op: op.clone(), types: types.clone().cloned().collect(), implicit };
        // Kept here only: operations on many types must not displace compiled functions.
        self.0
            .ops
            .get_or_compute(h.finish(), same, key, |_| self.build(&graph()?, &mut Stages::muted()))
    }

    /// Brings a value here.
    ///
    /// # Errors
    /// What the backend says.
    pub fn upload(&self, value: Literal) -> Result<Buffer> {
        self.0.backend.upload(value, self.0.ordinal)
    }

    /// Brings a value back.
    ///
    /// # Errors
    /// What the backend says.
    pub fn download(&self, buffer: &Buffer) -> Result<Literal> {
        self.0.backend.download(buffer)
    }
}

impl CompiledGraph {
    /// The types of the arguments.
    pub fn inputs(&self) -> &[Type] {
        &self.inputs
    }

    /// The types of the results.
    pub fn outputs(&self) -> &[Type] {
        &self.outputs
    }

    /// Runs it; see [`Executable::run`].
    ///
    /// # Errors
    /// When the arguments do not have its types; else what the executable says.
    pub fn run(&self, args: Vec<Buffer>) -> Result<Vec<Buffer>> {
        self.check(args.iter())?;
        self.check_memory()?;
        self.executable.run(args)
    }

    /// Runs it into the memory of `outs`; see [`Executable::run_into`].
    ///
    /// # Errors
    /// When the arguments or `outs` do not have its types; else what the executable says.
    pub fn run_into(
        &self,
        args: &[&Buffer],
        held: &[Buffer],
        outs: &mut [&mut Buffer],
    ) -> Result<()> {
        self.check(args.iter().copied().chain(held))?;
        self.check_memory()?;
        if !outs.iter().map(|b| b.ty()).eq(&self.outputs) {
            return Err(mismatch("gives", &self.outputs, outs.iter().map(|b| &**b)));
        }
        self.executable.run_into(args, held, outs)
    }

    /// Asks for the memory of the largest value. Running does it, too; whoever gives arguments away
    /// asks before, so that a size that cannot be had takes nothing.
    ///
    /// # Errors
    /// When there is no room for that value.
    pub fn check_memory(&self) -> Result<()> {
        let Some(ty) = &self.largest else { return Ok(()) };
        let bytes = ty.bytes()?;
        let probe = Vec::<u8>::new().try_reserve_exact(bytes);
        probe.map_err(|_| {
            Error::new(
                "memory",
                format!("there is no room for {ty}, {bytes} bytes; take smaller shapes or batches"),
            )
        })
    }

    fn check<'b>(&self, args: impl Iterator<Item = &'b Buffer> + Clone) -> Result<()> {
        if args.clone().map(Buffer::ty).eq(&self.inputs) {
            Ok(())
        } else {
            Err(mismatch("takes", &self.inputs, args))
        }
    }
}

/// The largest value of a graph and the graphs in it, if it is large.
fn largest(graph: &Graph) -> Option<Type> {
    let own = graph.types().iter().cloned();
    let nested = graph.eqns().iter().flat_map(|e| e.op.graphs()).filter_map(|g| largest(&g));
    let bytes = |t: &Type| t.bytes().unwrap_or(usize::MAX);
    own.chain(nested).max_by_key(bytes).filter(|t| bytes(t) >= PROBED_BYTES)
}

fn mismatch<'b>(verb: &str, want: &[Type], have: impl Iterator<Item = &'b Buffer>) -> Error {
    let list = |v: Vec<String>| v.join(", ");
    let want = list(want.iter().map(Type::to_string).collect());
    let have = list(have.map(|b| b.ty().to_string()).collect());
    Error::new("run", format!("the program {verb} ({want}), not ({have})"))
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
