//! Programs whose captured tensors are constants: what depends on these alone is computed once.

use crate::{
    Result, Tensor,
    device::Device,
    jit::{CachedTrace, refs},
    tensor::no_value,
};
use neurax_ir::passes::{FrozenGraph, RewrittenGraph};
use neurax_ir::{Graph, OrBug, Place, Value, passes};
use neurax_runtime::{Buffer, CompiledGraph};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A compiled trace with its constants.
pub(crate) struct FrozenProgram {
    pub device: Device,
    /// The program, whose inputs are the leaves of the argument and then `constants`.
    pub compiled: Arc<CompiledGraph>,
    pub constants: Vec<Buffer>,
    /// The rewrites for inference that were applied, and how often.
    pub rewrites: Vec<(&'static str, usize)>,
}

/// A compiled graph, its constants and the rewrites.
type FrozenParts = (Arc<CompiledGraph>, Vec<Buffer>, Vec<(&'static str, usize)>);

/// The most zero points that are read: a number for each column of a large matrix.
const MAX_ZERO_POINTS: usize = 1 << 16;

/// A way to compile a graph for a device.
pub(crate) type GraphCompiler = fn(&Device, &Graph) -> Result<Arc<CompiledGraph>>;

/// Constants that several programs of one function share, each computed once. A constant that no
/// program uses any more is dropped when the next one is added.
#[doc(hidden)]
#[derive(Default)]
pub struct SharedConstants(Mutex<Vec<SharedConstant>>);

/// A constant with its key.
struct SharedConstant {
    key: ConstantKey,
    value: Buffer,
}

/// The graph that computes a constant, and the addresses of the captured tensors that it reads.
type ConstantKey = (Graph, Vec<usize>);

impl FrozenProgram {
    /// Compiles a trace for arguments with `leaves`, and computes its constants, those aside that
    /// `shared` has.
    ///
    /// # Errors
    /// The error of tracing, compiling or computing; if the function is traced at the moment.
    pub fn new(
        entry: &CachedTrace,
        leaves: &[Tensor],
        compile: GraphCompiler,
        shared: &SharedConstants,
    ) -> Result<FrozenProgram> {
        let captures = &entry.traced.captures;
        if !leaves.iter().chain(captures).all(Tensor::has_value) {
            return Err(no_value("compile"));
        }
        let device = entry.device_for(&refs(leaves))?;
        let buffer = |x: &Tensor| x.clone().into_buffer("compile", &device);
        let captures = captures.iter().map(buffer).collect::<Result<Vec<_>>>()?;
        let freeze = |graph: &Graph| freeze(graph, &device, captures, compile, shared);
        let program = entry.traced.graph().and_then(freeze);
        let program = program.map_err(|e| e.at(&Place::Source(entry.at)))?;
        let (compiled, constants, rewrites) = program;
        Ok(FrozenProgram { device, compiled, constants, rewrites })
    }
}

impl SharedConstants {
    /// Returns the bytes of the constants.
    pub fn bytes(&self) -> usize {
        let bytes = |known: &SharedConstant| known.value.ty().bytes().unwrap_or(usize::MAX);
        self.list().iter().map(bytes).fold(0, usize::saturating_add)
    }

    /// Returns the constants of a program for `captures`, in order. Nothing is locked while the
    /// missing ones are computed.
    ///
    /// # Errors
    /// The error of compiling or computing.
    fn values(
        &self,
        frozen: &FrozenGraph,
        captures: &[Buffer],
        compute: impl FnOnce(&Graph) -> Result<Vec<Buffer>>,
    ) -> Result<Vec<Buffer>> {
        let count = frozen.constants.outputs().len();
        let keys = (0..count).map(|i| key(frozen, i, captures)).collect::<Result<Vec<_>>>()?;
        let mut values: Vec<Option<Buffer>> = {
            let all = self.list();
            let found = |key: &ConstantKey| all.iter().find(|known| known.key == *key);
            keys.iter().map(|key| found(key).map(|known| known.value.clone())).collect()
        };
        let missing: Vec<usize> = (0..count).filter(|i| values[*i].is_none()).collect();
        if !missing.is_empty() {
            let computed = compute(&frozen.constants_of(&missing)?)?;
            missing.iter().zip(computed).for_each(|(i, value)| values[*i] = Some(value));
        }
        let values: Option<Vec<Buffer>> = values.into_iter().collect();
        let values = values.or_bug("a program returns too few constants")?;
        let mut all = self.list();
        all.retain(|known| !known.value.is_unique());
        let new = keys.into_iter().zip(&values).enumerate().filter(|(i, _)| missing.contains(i));
        all.extend(new.map(|(_, (key, value))| SharedConstant { key, value: value.clone() }));
        Ok(values)
    }

    fn list(&self) -> MutexGuard<'_, Vec<SharedConstant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the key of constant `i` of a program.
fn key(frozen: &FrozenGraph, i: usize, captures: &[Buffer]) -> Result<ConstantKey> {
    let graph = frozen.constants_of(&[i])?;
    let is_read = |v: &Value| graph.eqns().iter().any(|e| e.inputs.contains(v));
    let read = graph.inputs().zip(captures).filter(|(v, _)| is_read(v));
    let addresses = read.map(|(_, capture)| capture.address()).collect();
    Ok((graph, addresses))
}

/// Optimizes a graph, and rewrites it for inference and for the device. Its last inputs are
/// `captures`; `is_constant` has an element for each input.
fn rewrite(
    graph: &Graph,
    is_constant: &[bool],
    captures: &[Buffer],
    device: &Device,
) -> Result<RewrittenGraph> {
    let optimized = passes::optimize(&*passes::discard_rules(graph)?, &mut |_, _| {})?;
    let RewrittenGraph { graph, applied } = passes::inference(&optimized)?;
    let folded = passes::fold_batch_norms(&graph, is_constant)?;
    // empty: nothing to fold.
    let graph = folded.unwrap_or(graph);
    for_device(RewrittenGraph { graph, applied }, is_constant, captures, device)
}

/// Rewrites a graph in the forms that the device is fast at.
fn for_device(
    rewritten: RewrittenGraph,
    is_constant: &[bool],
    captures: &[Buffer],
    device: &Device,
) -> Result<RewrittenGraph> {
    let RewrittenGraph { mut graph, mut applied } = rewritten;
    let (backend, before) = (device.backend(), graph.clone());
    if backend.prefers_channels_last()
        && let Some(new) = passes::channels_last(&graph, is_constant)?
    {
        graph = new;
    }
    if backend.prefers_integer_products() {
        // In front of other passes, as it finds weights by the equations that order them.
        let is_zero = zero_inputs(graph.input_types().len(), captures)?;
        let products = passes::integer_products(&graph, is_constant, &is_zero)?;
        let products = products.unwrap_or(RewrittenGraph { graph, applied: vec![] });
        let tables = passes::lookup_tables(&products.graph, is_constant)?;
        let tables = tables.unwrap_or(RewrittenGraph { graph: products.graph, applied: vec![] });
        graph = tables.graph;
        applied.extend(products.applied.into_iter().chain(tables.applied));
    }
    if backend.prefers_channels_last()
        && let Some(new) = passes::packed_products(&graph, is_constant)?
    {
        graph = new.graph;
        applied.extend(new.applied);
    }
    applied.sort_unstable();
    if graph != before {
        graph = passes::optimize(&graph, &mut |_, _| {})?;
    }
    Ok(RewrittenGraph { graph, applied })
}

/// Returns for each of `inputs` inputs of a graph, the last of which are `captures`, whether it is
/// a short array of integers that are all 0: zero points of weights are.
fn zero_inputs(inputs: usize, captures: &[Buffer]) -> Result<Vec<bool>> {
    let mut is_zero = vec![false; inputs - captures.len()];
    for capture in captures {
        let ty = capture.ty();
        let is_short = ty.dtype.is_int() && ty.size() <= MAX_ZERO_POINTS;
        is_zero.push(is_short && capture.to_literal()?.to_f64s().iter().all(|x| *x == 0.0));
    }
    Ok(is_zero)
}

/// Rewrites a graph for inference and compiles it. Its last inputs are `captures`; the result has
/// the constants that it reads.
fn freeze(
    graph: &Graph,
    device: &Device,
    captures: Vec<Buffer>,
    compile: GraphCompiler,
    shared: &SharedConstants,
) -> Result<FrozenParts> {
    let leaves = graph.input_types().len() - captures.len();
    let is_constant: Vec<bool> = (0..graph.input_types().len()).map(|i| i >= leaves).collect();
    let RewrittenGraph { graph, applied } = rewrite(graph, &is_constant, &captures, device)?;
    let Some(frozen) = passes::freeze(&graph, &is_constant)? else {
        return Ok((compile(device, &graph)?, captures, applied));
    };
    let mut constants: Vec<Buffer> =
        frozen.kept.iter().map(|&i| captures[i - leaves].clone()).collect();
    let compute = |graph: &Graph| compile(device, graph)?.run(captures.clone());
    constants.extend(shared.values(&frozen, &captures, compute)?);
    Ok((compile(device, &frozen.rest)?, constants, applied))
}
