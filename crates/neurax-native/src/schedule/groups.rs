//! The work of a graph in units, one for each value that is written to memory, before they are
//! joined.

use super::{
    Analysis, Storage,
    classify::{EqnClass, is_strided},
    expr_graph::ExprGraph,
    outputs::{BufferId, ExprSource, IterSpace, NotFused, Output, Sink},
};
use crate::kernel::InstKind;
use neurax_ir::{Eqn, Op, Shape, Value};
use std::rc::Rc;

/// A piece of work.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// What is done.
    pub kind: GroupKind<'a>,
    /// The arrays that it reads.
    pub reads: Vec<BufferId>,
    /// The arrays that it writes.
    pub writes: Vec<BufferId>,
}

/// What is done.
#[derive(Clone, Debug)]
pub enum GroupKind<'a> {
    /// A kernel over an iteration space.
    Kernel(Rc<FusedLoop<'a>>),
    /// An equation: a product or convolution (and a kernel over its result, while that is in
    /// cache), windows, control flow, or an op left to the language.
    Equation(usize, Option<Rc<FusedLoop<'a>>>),
    /// An array is copied into another one, unless they are the same.
    Copy(BufferId, BufferId),
}

/// What a kernel does.
#[derive(Debug)]
pub struct FusedLoop<'a> {
    /// The iteration space, before its axes are split.
    pub whole: IterSpace,
    /// What it computes.
    pub outputs: Vec<Output>,
    /// The expressions.
    pub body: ExprGraph<'a>,
}

impl<'a> Group<'a> {
    /// A kernel, with what it reads and writes.
    pub fn of(body: ExprGraph<'a>, whole: IterSpace, outputs: Vec<Output>) -> Group<'a> {
        let mut reads: Vec<BufferId> = body
            .nodes
            .iter()
            .filter_map(|n| {
                if let InstKind::Source(ExprSource::Load { buffer, .. }) = &n.op {
                    Some(*buffer)
                } else {
                    None
                }
            })
            .collect();
        let mut writes: Vec<BufferId> = outputs.iter().map(|r| r.sink.buffer()).collect();
        for list in [&mut reads, &mut writes] {
            list.sort_unstable();
            list.dedup();
        }
        Group {
            kind: GroupKind::Kernel(Rc::new(FusedLoop { whole, outputs, body })),
            reads,
            writes,
        }
    }

    /// The arrays that it reads or writes; some twice.
    pub fn buffers(&self) -> impl Iterator<Item = BufferId> {
        self.reads.iter().chain(&self.writes).copied()
    }

    /// The arrays that it reads, each once.
    pub fn distinct_reads(&self) -> impl Iterator<Item = BufferId> {
        self.reads
            .iter()
            .enumerate()
            .filter(|(i, b)| !self.reads[..*i].contains(b))
            .map(|(_, &b)| b)
    }
}

/// The units of a graph, in an order that works.
///
/// # Errors
/// A value that must be written to memory first.
pub fn groups<'a>(analysis: &'a Analysis<'a>) -> Result<Vec<Group<'a>>, NotFused> {
    let mut out = vec![];
    for (i, e) in analysis.graph.eqns().iter().enumerate() {
        match analysis.class[i] {
            EqnClass::Map | EqnClass::Move | EqnClass::Fetch => maps(analysis, e, &mut out)?,
            // Other names of the same arrays.
            EqnClass::Fallback if matches!(e.op, Op::Reshape(_) | Op::OptimizationBarrier(_)) => {}
            EqnClass::Reduce => reduce(analysis, e, &mut out)?,
            EqnClass::Write => write(analysis, e, &mut out)?,
            EqnClass::Product
            | EqnClass::Convolution
            | EqnClass::Windows
            | EqnClass::Sort
            | EqnClass::Control
            | EqnClass::Fallback => out.push(equation(analysis, i, e)),
        }
    }
    Ok(out)
}

fn kernel<'a>(
    analysis: &'a Analysis<'a>,
    space: IterSpace,
    outputs: Vec<Output>,
) -> Result<Group<'a>, NotFused> {
    Ok(Group::of(ExprGraph::build(analysis, &space, &outputs)?, space, outputs))
}

fn whole(shape: &Shape) -> IterSpace {
    IterSpace { sizes: shape.to_vec(), reduced: vec![false; shape.rank()] }
}

fn maps<'a>(analysis: &'a Analysis<'a>, e: &Eqn, out: &mut Vec<Group<'a>>) -> Result<(), NotFused> {
    for &v in &e.outputs {
        let Storage::Buffer(b) = analysis.storage(v) else { continue };
        let is_constant = matches!(e.op, Op::Constant(_));
        let is_renamed = matches!(e.op, Op::Reshape(_) | Op::OptimizationBarrier(_))
            && e.inputs.iter().any(|&x| analysis.buffer(x) == Some(b));
        if !is_constant && !is_renamed {
            out.push(kernel(
                analysis,
                whole(analysis.shape(v)),
                vec![Output { value: v, sink: Sink::Store(b) }],
            )?);
        }
    }
    Ok(())
}

fn reduce<'a>(
    analysis: &'a Analysis<'a>,
    e: &Eqn,
    out: &mut Vec<Group<'a>>,
) -> Result<(), NotFused> {
    let (Op::Reduce(op), Some(buffer)) = (&e.op, analysis.buffer(e.outputs[0])) else {
        return Ok(());
    };
    let mut space = whole(analysis.shape(e.inputs[0]));
    op.axes.iter().for_each(|&a| space.reduced[a] = true);
    let sink = Sink::Reduce { kind: op.kind, result: e.outputs[0], buffer };
    out.push(kernel(analysis, space, vec![Output { value: e.inputs[0], sink }])?);
    Ok(())
}

fn write<'a>(
    analysis: &'a Analysis<'a>,
    e: &Eqn,
    out: &mut Vec<Group<'a>>,
) -> Result<(), NotFused> {
    let Some(buffer) = analysis.buffer(e.outputs[0]) else { return Ok(()) };
    let shape = analysis.shape(e.outputs[0]).clone();
    let mut part = |value: Value, scale: Vec<usize>, offset: Vec<usize>| -> Result<(), NotFused> {
        let sink = Sink::Slice { buffer, shape: shape.clone(), scale, offset };
        out.push(kernel(analysis, whole(analysis.shape(value)), vec![Output { value, sink }])?);
        Ok(())
    };
    match &e.op {
        Op::Concatenate(op) => {
            let mut offset = vec![0; shape.rank()];
            for &x in &e.inputs {
                part(x, vec![1; shape.rank()], offset.clone())?;
                offset[op.axis] += analysis.shape(x)[op.axis];
            }
        }
        Op::Pad(op) => {
            let fill = Sink::Fill(buffer);
            let scale = op.interior.iter().map(|i| i + 1).collect();
            let offset = op.low.iter().map(|&l| l as usize).collect();
            let filled =
                kernel(analysis, whole(&shape), vec![Output { value: e.inputs[1], sink: fill }])?;
            part(e.inputs[0], scale, offset)?;
            let at = out.len() - 1;
            out.insert(at, filled);
        }
        Op::DynamicUpdateSlice(_) | Op::Scatter(_) => {
            let Some(from) = analysis.buffer(e.inputs[0]) else {
                return Err(NotFused::Materialise(e.inputs[0]));
            };
            out.push(Group {
                kind: GroupKind::Copy(from, buffer),
                reads: vec![from],
                writes: vec![buffer],
            });
            let (value, sink) = match &e.op {
                Op::Scatter(op) => (
                    e.inputs[2],
                    Sink::Scatter { buffer, shape, indices: e.inputs[1], op: op.clone() },
                ),
                _ => (e.inputs[1], Sink::DynamicSlice { buffer, shape, start: e.inputs[2] }),
            };
            let mut group =
                kernel(analysis, whole(analysis.shape(value)), vec![Output { value, sink }])?;
            // What is not written stays: the array is read, too.
            group.reads.push(buffer);
            out.push(group);
        }
        _ => {}
    }
    Ok(())
}

fn equation<'a>(analysis: &Analysis, i: usize, e: &Eqn) -> Group<'a> {
    let strided = is_strided(analysis.class[i]);
    let read = |i: usize| analysis.buffer(if strided { analysis.base(e, i) } else { e.inputs[i] });
    let reads = (0..e.inputs.len()).filter_map(read).collect();
    let writes = e.outputs.iter().filter_map(|&v| analysis.buffer(v)).collect();
    Group { kind: GroupKind::Equation(i, None), reads, writes }
}
