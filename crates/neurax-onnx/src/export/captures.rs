//! Tensors that a traced function captures, and its constants.
//!
//! A capture becomes an initializer, and a small one is a constant of the graph. So one and the
//! same tensor of the function may be a constant in a trace of small sizes, and a capture in
//! another trace: the *leaves* of a graph are both, in the order in which its equations first use
//! them, which is the same in all traces.
//!
//! Leaves that differ between the traces were computed from the sizes: `generated.rs` finds how,
//! and they become equations. So do captures of equal elements (`Tensor::ones(1000)`), which then
//! take no memory in the file. All other leaves must be the same tensor in each trace.

use super::emitter::inner_origin;
use super::generated::{GeneratedTensor, generated, is_splat};
use super::size_formula::{OpenSize, trace_text};
use neurax_ir::{Builder, Error, Graph, Literal, Op, OrBug, Origin, Result, Type, Value};
use neurax_tensor::Tensor;

/// A traced graph, and the tensors that its last inputs stand for.
pub(super) type CapturingTrace = (Graph, Vec<Tensor>);

/// Returns the graphs without the leaves that are generated, and the other captures. `open` has
/// the open sizes with their numbers in each trace.
///
/// # Errors
/// If the traces capture different tensors: with the layer and the line that uses the first one.
pub(super) fn shared_captures(
    traces: Vec<CapturingTrace>,
    open: &[OpenSize],
) -> Result<(Vec<Graph>, Vec<Tensor>)> {
    let leaves: Vec<Vec<TraceLeaf>> = traces.iter().map(leaves_of).collect::<Result<_>>()?;
    let sources = shared_sources(&leaves, open)?;
    let (mut graphs, mut shared) = (vec![], vec![]);
    for (i, trace) in traces.iter().enumerate() {
        let (graph, captures) = with_sources(trace, i, &sources)?;
        graphs.push(graph);
        if i == 0 {
            shared = captures;
        }
    }
    Ok((graphs, shared))
}

/// A capture or constant of a trace, and the origin of the first equation that uses it.
#[derive(Debug)]
struct TraceLeaf {
    value: LeafValue,
    at: Origin,
}

#[derive(Clone, Debug)]
enum LeafValue {
    Capture(Tensor),
    Constant(Literal),
}

/// The way in which the model has a leaf.
#[derive(Debug)]
enum TraceLeafSource {
    /// It is the same tensor in all traces, or a constant whose numbers `merge.rs` computes.
    Kept,
    /// Equations compute it: those of each trace.
    Generated(Vec<GeneratedTensor>),
}

/// Emits a leaf that an equation of the given origin uses.
type LeafRule<'r> = &'r mut dyn FnMut(&mut Builder, &LeafValue, &Origin) -> Result<Value>;

/// A value of a graph that is emitted again.
#[derive(Clone, Debug)]
enum ReplayedValue {
    Emitted(Value),
    /// A leaf that no equation has used so far.
    Unused(LeafValue),
}

impl LeafValue {
    fn literal(&self) -> Result<Literal> {
        match self {
            LeafValue::Capture(x) => x.to_literal(),
            LeafValue::Constant(x) => Ok(x.clone()),
        }
    }

    fn ty(&self) -> Result<Type> {
        match self {
            LeafValue::Capture(x) => x.ty(),
            LeafValue::Constant(x) => Ok(x.ty().clone()),
        }
    }

    /// Returns true if two leaves are of one kind, and have the same elements.
    fn is_same(&self, other: &LeafValue) -> Result<bool> {
        Ok(match (self, other) {
            (LeafValue::Constant(x), LeafValue::Constant(y)) => x == y,
            (LeafValue::Capture(x), LeafValue::Capture(y)) => {
                let is_shared = x.address() != 0 && x.address() == y.address();
                x.ty()? == y.ty()? && (is_shared || x.to_literal()? == y.to_literal()?)
            }
            _ => false,
        })
    }
}

/// Returns the leaves of a trace in the order of their first use.
fn leaves_of((graph, captures): &CapturingTrace) -> Result<Vec<TraceLeaf>> {
    let mut leaves = vec![];
    replayed(graph, captures, &mut |b, value, at| {
        leaves.push(TraceLeaf { value: value.clone(), at: at.clone() });
        Ok(match value {
            LeafValue::Capture(x) => b.input(x.ty()?),
            LeafValue::Constant(x) => b.constant(x.clone()),
        })
    })?;
    Ok(leaves)
}

/// Returns the sources of the leaves, in their order.
fn shared_sources(traces: &[Vec<TraceLeaf>], open: &[OpenSize]) -> Result<Vec<TraceLeafSource>> {
    let (first, others) = traces.split_first().or_bug("a function that was not traced")?;
    let source = |(i, leaf): (usize, &TraceLeaf)| {
        let of_others = others.iter().map(|t| t.get(i).map(|leaf| &leaf.value));
        let of_others: Option<Vec<&LeafValue>> = of_others.collect();
        let found = match of_others {
            Some(others) => TraceLeafSource::of(&leaf.value, &others)?,
            None => None,
        };
        found.map_or_else(|| Err(depends(leaf, open)?), Ok)
    };
    let sources = first.iter().enumerate().map(source).collect::<Result<_>>()?;
    let more = others.iter().find_map(|t| t.get(first.len()));
    more.map_or(Ok(sources), |leaf| Err(depends(leaf, &[])?))
}

impl TraceLeafSource {
    /// Returns the source of a leaf from its values in all traces; `None` if there is none.
    fn of(first: &LeafValue, others: &[&LeafValue]) -> Result<Option<TraceLeafSource>> {
        let mut is_shared = true;
        for other in others {
            is_shared = is_shared && first.is_same(other)?;
        }
        let all = [first].into_iter().chain(others.iter().copied());
        if is_shared {
            let value = first.literal()?;
            return Ok(Some(match matches!(first, LeafValue::Capture(_)) && is_splat(&value) {
                true => TraceLeafSource::Generated(
                    all.map(|_| GeneratedTensor::splat(&value)).collect::<Result<_>>()?,
                ),
                false => TraceLeafSource::Kept,
            }));
        }
        let values: Vec<Literal> = all.map(LeafValue::literal).collect::<Result<_>>()?;
        let is_number =
            |x: &Literal| x.ty().rank() <= 1 && Some(x.ty()) == first.ty().ok().as_ref();
        let is_constant = |x: &&LeafValue| matches!(x, LeafValue::Constant(_));
        let are_constants = is_constant(&first) && others.iter().all(is_constant);
        if are_constants && values.iter().all(is_number) {
            return Ok(Some(TraceLeafSource::Kept));
        }
        Ok(generated(&values).map(TraceLeafSource::Generated))
    }
}

/// Returns the graph of trace number `i` in which leaves have the given sources, and its captures.
fn with_sources(
    (graph, captures): &CapturingTrace,
    i: usize,
    sources: &[TraceLeafSource],
) -> Result<CapturingTrace> {
    let (mut sources, mut kept) = (sources.iter(), vec![]);
    let graph = replayed(graph, captures, &mut |b, value, _| {
        let source = sources.next().or_bug("a trace with more leaves than it has")?;
        Ok(match (source, value) {
            (TraceLeafSource::Generated(all), _) => {
                all.get(i).or_bug("a trace without a generated tensor")?.emit(b)
            }
            (TraceLeafSource::Kept, LeafValue::Constant(x)) => b.constant(x.clone()),
            (TraceLeafSource::Kept, LeafValue::Capture(x)) => {
                kept.push(x.clone());
                b.input(x.ty()?)
            }
        })
    })?;
    Ok((graph, kept))
}

/// Emits a graph again. `rule` emits the constants, and the captures, which the last inputs are.
fn replayed(graph: &Graph, captures: &[Tensor], rule: LeafRule) -> Result<Graph> {
    let mut b = Builder::new();
    let types = graph.input_types();
    let args = types.len().checked_sub(captures.len());
    let args = args.or_bug("a trace with fewer inputs than captures")?;
    let args = b.inputs(&types[..args]).into_iter().map(ReplayedValue::Emitted);
    let captures = captures.iter().map(|x| ReplayedValue::Unused(LeafValue::Capture(x.clone())));
    let args = args.chain(captures).collect();
    let ys = replayed_on(&mut b, graph, args, &Origin::default(), rule)?;
    b.finish(&ys)
}

/// Emits a graph on arguments, and returns its results. `outer` is the origin of the equation
/// whose body the graph is.
fn replayed_on(
    b: &mut Builder,
    graph: &Graph,
    args: Vec<ReplayedValue>,
    outer: &Origin,
    rule: LeafRule,
) -> Result<Vec<Value>> {
    let mut env = args;
    for eqn in graph.eqns() {
        if let Op::Constant(c) = &eqn.op {
            env.push(ReplayedValue::Unused(LeafValue::Constant(c.value.clone())));
            continue;
        }
        let at = inner_origin(outer, &eqn.at);
        let xs = eqn.inputs.iter().map(|v| used(b, &mut env[v.index()], &at, rule));
        let xs: Vec<Value> = xs.collect::<Result<_>>()?;
        let op = match eqn.op.region() {
            Some(region) => region.map_graphs(&mut |g| {
                let mut inner = Builder::new();
                let args = inner.inputs(g.input_types());
                let args = args.into_iter().map(ReplayedValue::Emitted).collect();
                let ys = replayed_on(&mut inner, g, args, &at, rule)?;
                inner.finish(&ys)
            })?,
            None => eqn.op.clone(),
        };
        b.set_origin(eqn.at.clone());
        env.extend(b.try_emit(op, &xs)?.into_iter().map(ReplayedValue::Emitted));
    }
    graph.outputs().iter().map(|v| used(b, &mut env[v.index()], outer, rule)).collect()
}

/// Returns a value that an equation of the given origin uses.
fn used(b: &mut Builder, x: &mut ReplayedValue, at: &Origin, rule: LeafRule) -> Result<Value> {
    let emitted = match x {
        ReplayedValue::Emitted(v) => return Ok(*v),
        ReplayedValue::Unused(leaf) => {
            b.set_origin(at.clone());
            rule(b, leaf, at)?
        }
    };
    *x = ReplayedValue::Emitted(emitted);
    Ok(emitted)
}

/// Returns the error of a leaf of the first trace that is another one in the others.
fn depends(leaf: &TraceLeaf, open: &[OpenSize]) -> Result<Error> {
    let sizes = match trace_text(open, 0) {
        text if text.is_empty() => String::new(),
        text => format!(" where {text}"),
    };
    let why = format!(
        "the tensor {}{sizes}, which the function captures, or computes from the sizes of its \
         inputs, is another one for other open sizes; fix the sizes, or compute the tensor from \
         the argument",
        leaf.value.ty()?
    );
    Ok(Error::new("onnx export", why).at_origin(&leaf.at))
}
