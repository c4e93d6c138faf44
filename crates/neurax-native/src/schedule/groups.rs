//! Groups: the work of a graph, one group for each value that is stored, before fusion.
//!
//! The problem: fusion needs units that it can merge, each with the buffers that it reads and
//! writes, and a stored value needs exactly one step that computes it.
//!
//! The method is to inline, from each stored value, its producers backwards until other stored
//! values are reached. This is a kernel by itself: the finest partition, from which `fuse` starts.
//! Equations of inlined values are computed again in every group that reads them; a reshape of a
//! stored value is another name of its buffer and no work. Ops that write parts of their result
//! become several groups on one buffer.
//!
//! ```text
//! %1 = multiply(%0, %0); %2 = reduce[sum](%1); %3 = pad(%1, 0), where %2 and %3 are results
//!   group 0: the sum of b0 * b0, writes b2
//!   group 1: fills b3 with 0               group 2: b0 * b0, writes a slice of b3
//! ```
//!
//! Invariants: groups are in the order of the graph, writers before readers; a group reads stored
//! values only, and lists a buffer that it updates among its reads; every operand and result of an
//! equation that runs as a library step is stored.

use super::{
    analysis::{Analysis, Storage},
    classify::EqnClass,
    expr_graph::ExprGraph,
    outputs::{BufferId, ExprSource, IterSpace, NotFused, Output, Sink},
};
use crate::{kernel::InstKind, visits::visit};
use neurax_ir::{Eqn, Op, Shape, Value};
use std::rc::Rc;

/// A group of equations that run as one step.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// The kind of step.
    pub kind: GroupKind<'a>,
    /// The buffers that the group reads, each once.
    pub reads: Vec<BufferId>,
    /// The buffers that the group writes, each once.
    pub writes: Vec<BufferId>,
}

/// The kind of step that a group is.
#[derive(Clone, Debug)]
pub enum GroupKind<'a> {
    /// A kernel over an iteration space.
    Kernel(Rc<FusedLoop<'a>>),
    /// A single equation: a library op, control flow or a fallback. A product or convolution
    /// may have an epilogue.
    Equation(usize, Option<Rc<FusedLoop<'a>>>),
    /// A copy from the first buffer to the second, unless both share memory.
    Copy(BufferId, BufferId),
}

/// A fused loop nest: one expression graph over one iteration space.
#[derive(Debug)]
pub struct FusedLoop<'a> {
    /// The iteration space, before its axes are split.
    pub space: IterSpace,
    /// The values that it computes.
    pub outputs: Vec<Output>,
    /// The expressions over the space.
    pub body: ExprGraph<'a>,
}

impl<'a> Group<'a> {
    /// Creates the group of a kernel; the buffers follow from `body` and `outputs`.
    pub fn of(body: ExprGraph<'a>, space: IterSpace, outputs: Vec<Output>) -> Group<'a> {
        let loads = body.nodes.iter().filter_map(|node| match &node.op {
            InstKind::Source(ExprSource::Load { buffer, .. }) => Some(*buffer),
            _ => None,
        });
        let reads = sorted_unique(loads.collect());
        let writes = sorted_unique(outputs.iter().map(|o| o.sink.buffer()).collect());
        let kind = GroupKind::Kernel(Rc::new(FusedLoop { space, outputs, body }));
        Group { kind, reads, writes }
    }

    /// Returns true if the group is a fused loop nest.
    pub fn is_kernel(&self) -> bool {
        matches!(self.kind, GroupKind::Kernel(_))
    }

    /// Returns the buffers that the group reads or writes; some twice.
    pub fn buffers(&self) -> impl Iterator<Item = BufferId> {
        self.reads.iter().chain(&self.writes).copied()
    }
}

/// Returns the buffers in ascending order, each once.
pub fn sorted_unique(mut buffers: Vec<usize>) -> Vec<usize> {
    buffers.sort_unstable();
    buffers.dedup();
    buffers
}

/// The result of dividing a graph into groups.
pub enum Grouping<'a> {
    /// The groups, writers before readers.
    Groups(Vec<Group<'a>>),
    /// The values that must be stored first.
    Missing(Vec<Value>),
}

/// Divides a graph into groups. An equation without elements to compute is no group: its loops
/// could be long nevertheless, as one of them has no iterations.
///
/// # Errors
/// If an equation cannot be a group.
pub fn groups<'a>(analysis: &'a Analysis<'a>) -> Result<Grouping<'a>, NotFused> {
    let (mut out, mut missing) = (vec![], vec![]);
    for (i, e) in analysis.graph.eqns().iter().enumerate() {
        visit();
        match append(analysis, i, e, &mut out) {
            Ok(()) => {}
            Err(NotFused::Materialize(v)) if missing.contains(&v) => {}
            Err(NotFused::Materialize(v)) => missing.push(v),
            Err(why) => return Err(why),
        }
    }
    Ok(if missing.is_empty() { Grouping::Groups(out) } else { Grouping::Missing(missing) })
}

/// Appends the groups of equation `i`.
fn append<'a>(
    analysis: &'a Analysis<'a>,
    i: usize,
    e: &Eqn,
    out: &mut Vec<Group<'a>>,
) -> Result<(), NotFused> {
    match analysis.class[i] {
        EqnClass::Map | EqnClass::Move | EqnClass::Fetch => maps(analysis, e, out)?,
        // empty: other names of the same buffers.
        EqnClass::Fallback if matches!(e.op, Op::Reshape(_) | Op::OptimizationBarrier(_)) => {}
        EqnClass::Reduce => reduce(analysis, e, out)?,
        EqnClass::Write => write(analysis, e, out)?,
        EqnClass::Product
        | EqnClass::Convolution
        | EqnClass::Windows
        | EqnClass::Sort
        | EqnClass::Fft
        | EqnClass::ChannelsLast
        | EqnClass::QuantizedDot
        | EqnClass::SparseDot
        | EqnClass::Factor
        | EqnClass::Control
        | EqnClass::Fallback => {
            // An op of the user's runs in any case.
            let runs_anyway = matches!(e.op, Op::Custom(_)) || e.op.has_effects();
            if runs_anyway || !e.outputs.iter().all(|&v| is_empty(analysis, v)) {
                out.push(equation(analysis, i, e)?)
            }
        }
    }
    Ok(())
}

/// Returns true if a value has no elements.
fn is_empty(analysis: &Analysis, v: Value) -> bool {
    analysis.shape(v).contains(&0)
}

/// Returns the group that computes one output over `space`; `None` if nothing is to be written.
fn kernel<'a>(
    analysis: &'a Analysis<'a>,
    space: IterSpace,
    output: Output,
) -> Result<Option<Group<'a>>, NotFused> {
    if space.sizes.iter().zip(&space.reduced).any(|(&n, &reduced)| n == 0 && !reduced) {
        return Ok(None);
    }
    let outputs = vec![output];
    Ok(Some(Group::of(ExprGraph::build(analysis, &space, &outputs)?, space, outputs)))
}

/// Returns the iteration space over all elements of a shape.
fn elementwise(shape: &Shape) -> IterSpace {
    IterSpace { sizes: shape.to_vec(), reduced: vec![false; shape.rank()] }
}

/// Appends a group for each stored result of an inlined op.
fn maps<'a>(analysis: &'a Analysis<'a>, e: &Eqn, out: &mut Vec<Group<'a>>) -> Result<(), NotFused> {
    for &value in &e.outputs {
        let Storage::Buffer(b) = analysis.storage(value) else { continue };
        let is_constant = matches!(e.op, Op::Constant(_));
        let is_alias = matches!(e.op, Op::Reshape(_) | Op::OptimizationBarrier(_))
            && e.inputs.iter().any(|&x| analysis.buffer(x) == Some(b));
        if !is_constant && !is_alias {
            let output = Output { value, sink: Sink::Store(b) };
            out.extend(kernel(analysis, elementwise(analysis.shape(value)), output)?);
        }
    }
    Ok(())
}

/// Appends the group of a reduction, whose space has the operand's axes.
fn reduce<'a>(
    analysis: &'a Analysis<'a>,
    e: &Eqn,
    out: &mut Vec<Group<'a>>,
) -> Result<(), NotFused> {
    let Op::Reduce(op) = &e.op else { return Err(unexpected(e)) };
    let buffer = result_buffer(analysis, e)?;
    let mut space = elementwise(analysis.shape(e.inputs[0]));
    op.axes.iter().for_each(|&a| space.reduced[a] = true);
    // Without elements to reduce, no loop over them runs, however long it is.
    if op.axes.iter().any(|&a| space.sizes[a] == 0) {
        op.axes.iter().for_each(|&a| space.sizes[a] = 0);
    }
    let sink = Sink::Reduce { kind: op.kind, result: e.outputs[0], buffer };
    out.extend(kernel(analysis, space, Output { value: e.inputs[0], sink })?);
    Ok(())
}

/// Appends the groups of an op that writes parts of its result.
fn write<'a>(
    analysis: &'a Analysis<'a>,
    e: &Eqn,
    out: &mut Vec<Group<'a>>,
) -> Result<(), NotFused> {
    let buffer = result_buffer(analysis, e)?;
    let shape = analysis.shape(e.outputs[0]).clone();
    let slice = |value: Value, scale: Vec<usize>, offset: Vec<usize>| {
        let sink = Sink::Slice { buffer, shape: shape.clone(), scale, offset };
        kernel(analysis, elementwise(analysis.shape(value)), Output { value, sink })
    };
    match &e.op {
        Op::Concatenate(op) => {
            let mut offset = vec![0; shape.rank()];
            for &x in &e.inputs {
                out.extend(slice(x, vec![1; shape.rank()], offset.clone())?);
                offset[op.axis] += analysis.shape(x)[op.axis];
            }
        }
        Op::Pad(op) => {
            let scale = op.interior.iter().map(|i| i + 1).collect();
            let offset = op.low.iter().map(|&l| l as usize).collect();
            let fill = Output { value: e.inputs[1], sink: Sink::Fill(buffer) };
            out.extend(kernel(analysis, elementwise(&shape), fill)?);
            out.extend(slice(e.inputs[0], scale, offset)?);
        }
        Op::DynamicUpdateSlice(_) => {
            let sink = Sink::DynamicSlice { buffer, shape, start: e.inputs[2] };
            update(analysis, e, Output { value: e.inputs[1], sink }, out)?;
        }
        Op::Scatter(op) => {
            let (indices, op) = (e.inputs[1], op.clone());
            let sink = Sink::Scatter { buffer, shape, indices, op };
            update(analysis, e, Output { value: e.inputs[2], sink }, out)?;
        }
        _ => return Err(unexpected(e)),
    }
    Ok(())
}

/// Appends a copy of the first operand into the result, and the group that updates parts of it. The
/// memory planner lets both share memory where it can, and the copy is gone.
fn update<'a>(
    analysis: &'a Analysis<'a>,
    e: &Eqn,
    output: Output,
    out: &mut Vec<Group<'a>>,
) -> Result<(), NotFused> {
    let to = output.sink.buffer();
    let Some(from) = analysis.buffer(e.inputs[0]) else {
        return Err(NotFused::Materialize(e.inputs[0]));
    };
    if is_empty(analysis, e.outputs[0]) {
        return Ok(());
    }
    let copy = GroupKind::Copy(from, to);
    out.push(Group { kind: copy, reads: vec![from], writes: vec![to] });
    if let Some(mut group) = kernel(analysis, elementwise(analysis.shape(output.value)), output)? {
        // Elements that are not updated stay: the group depends on the copy.
        group.reads = sorted_unique([&group.reads[..], &[to]].concat());
        out.push(group);
    }
    Ok(())
}

/// Returns the group of an equation whose operands and results are all stored.
fn equation<'a>(analysis: &Analysis, i: usize, e: &Eqn) -> Result<Group<'a>, NotFused> {
    // A sort moves each operand to the result of the same index.
    if analysis.class[i] == EqnClass::Sort && e.inputs.len() != e.outputs.len() {
        let (reads, writes) = (e.inputs.len(), e.outputs.len());
        let what = format!("a sort of {reads} operands has {writes} results");
        return Err(bug(e, what));
    }
    let buffers = |values: &[Value]| {
        values.iter().map(|&v| buffer(analysis, e, v)).collect::<Result<Vec<_>, _>>()
    };
    let (reads, writes) = (buffers(&analysis.operands(i))?, buffers(&e.outputs)?);
    Ok(Group { kind: GroupKind::Equation(i, None), reads: sorted_unique(reads), writes })
}

/// Returns the buffer of `v`, an operand or result of `e`.
fn buffer(analysis: &Analysis, e: &Eqn, v: Value) -> Result<BufferId, NotFused> {
    let what = || format!("value %{} of {} has no buffer", v.0, e.op.name());
    analysis.buffer(v).ok_or_else(|| bug(e, what()))
}

fn result_buffer(analysis: &Analysis, e: &Eqn) -> Result<BufferId, NotFused> {
    buffer(analysis, e, e.outputs[0])
}

fn unexpected(e: &Eqn) -> NotFused {
    bug(e, format!("{} is classified as an op that it is not", e.op.name()))
}

/// Returns the broken invariant `what` of an equation.
fn bug(e: &Eqn, what: String) -> NotFused {
    NotFused::Bug(what, e.outputs.first().copied())
}
