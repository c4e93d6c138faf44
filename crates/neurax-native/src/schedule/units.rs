//! The work of a graph in units, one for each value that is written to memory, before they are
//! joined.

use super::{
    Facts, Storage,
    body::Body,
    classify::{Class, is_strided},
    group::{BufferId, End, Root, Source, Space, Why},
};
use crate::kernel::Do;
use neurax_ir::{Eqn, Op, Shape, Value};
use std::rc::Rc;

/// A piece of work.
#[derive(Clone, Debug)]
pub struct Unit<'a> {
    /// What is done.
    pub work: Work<'a>,
    /// The arrays that it reads.
    pub reads: Vec<BufferId>,
    /// The arrays that it writes.
    pub writes: Vec<BufferId>,
}

/// What is done.
#[derive(Clone, Debug)]
pub enum Work<'a> {
    /// A kernel over an iteration space.
    Kernel(Rc<Loop<'a>>),
    /// An equation: a product or convolution (and a kernel over its result, while that is in
    /// cache), windows, control flow, or an op left to the language.
    Equation(usize, Option<Rc<Loop<'a>>>),
    /// An array is copied into another one, unless they are the same.
    Copy(BufferId, BufferId),
}

/// What a kernel does.
#[derive(Debug)]
pub struct Loop<'a> {
    /// The iteration space, before its axes are split.
    pub whole: Space,
    /// What it computes.
    pub roots: Vec<Root>,
    /// The expressions.
    pub body: Body<'a>,
}

impl<'a> Unit<'a> {
    /// A kernel, with what it reads and writes.
    pub fn of(body: Body<'a>, whole: Space, roots: Vec<Root>) -> Unit<'a> {
        let mut reads: Vec<BufferId> = body
            .nodes
            .iter()
            .filter_map(|n| {
                if let Do::Leaf(Source::Load { buffer, .. }) = &n.op { Some(*buffer) } else { None }
            })
            .collect();
        let mut writes: Vec<BufferId> = roots.iter().map(|r| r.end.buffer()).collect();
        for list in [&mut reads, &mut writes] {
            list.sort_unstable();
            list.dedup();
        }
        Unit { work: Work::Kernel(Rc::new(Loop { whole, roots, body })), reads, writes }
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
pub fn units<'a>(facts: &'a Facts<'a>) -> Result<Vec<Unit<'a>>, Why> {
    let mut out = vec![];
    for (i, e) in facts.graph.eqns().iter().enumerate() {
        match facts.class[i] {
            Class::Map | Class::Move | Class::Fetch => maps(facts, e, &mut out)?,
            // Other names of the same arrays.
            Class::Reference if matches!(e.op, Op::Reshape(_) | Op::OptimizationBarrier(_)) => {}
            Class::Reduce => reduce(facts, e, &mut out)?,
            Class::Write => write(facts, e, &mut out)?,
            Class::Product
            | Class::Convolution
            | Class::Windows
            | Class::Sort
            | Class::Control
            | Class::Reference => out.push(equation(facts, i, e)),
        }
    }
    Ok(out)
}

fn kernel<'a>(facts: &'a Facts<'a>, space: Space, roots: Vec<Root>) -> Result<Unit<'a>, Why> {
    Ok(Unit::of(Body::build(facts, &space, &roots)?, space, roots))
}

fn whole(shape: &Shape) -> Space {
    Space { sizes: shape.to_vec(), reduced: vec![false; shape.rank()] }
}

fn maps<'a>(facts: &'a Facts<'a>, e: &Eqn, out: &mut Vec<Unit<'a>>) -> Result<(), Why> {
    for &v in &e.outputs {
        let Storage::Buffer(b) = facts.storage(v) else { continue };
        let is_constant = matches!(e.op, Op::Constant(_));
        let is_renamed = matches!(e.op, Op::Reshape(_) | Op::OptimizationBarrier(_))
            && e.inputs.iter().any(|&x| facts.buffer(x) == Some(b));
        if !is_constant && !is_renamed {
            out.push(kernel(
                facts,
                whole(facts.shape(v)),
                vec![Root { value: v, end: End::Store(b) }],
            )?);
        }
    }
    Ok(())
}

fn reduce<'a>(facts: &'a Facts<'a>, e: &Eqn, out: &mut Vec<Unit<'a>>) -> Result<(), Why> {
    let (Op::Reduce(op), Some(buffer)) = (&e.op, facts.buffer(e.outputs[0])) else { return Ok(()) };
    let mut space = whole(facts.shape(e.inputs[0]));
    op.axes.iter().for_each(|&a| space.reduced[a] = true);
    let end = End::Fold { kind: op.kind, result: e.outputs[0], buffer };
    out.push(kernel(facts, space, vec![Root { value: e.inputs[0], end }])?);
    Ok(())
}

fn write<'a>(facts: &'a Facts<'a>, e: &Eqn, out: &mut Vec<Unit<'a>>) -> Result<(), Why> {
    let Some(buffer) = facts.buffer(e.outputs[0]) else { return Ok(()) };
    let shape = facts.shape(e.outputs[0]).clone();
    let mut part = |value: Value, scale: Vec<usize>, offset: Vec<usize>| -> Result<(), Why> {
        let end = End::Part { buffer, shape: shape.clone(), scale, offset };
        out.push(kernel(facts, whole(facts.shape(value)), vec![Root { value, end }])?);
        Ok(())
    };
    match &e.op {
        Op::Concatenate(op) => {
            let mut offset = vec![0; shape.rank()];
            for &x in &e.inputs {
                part(x, vec![1; shape.rank()], offset.clone())?;
                offset[op.axis] += facts.shape(x)[op.axis];
            }
        }
        Op::Pad(op) => {
            let fill = End::Fill(buffer);
            let scale = op.interior.iter().map(|i| i + 1).collect();
            let offset = op.low.iter().map(|&l| l as usize).collect();
            let filled =
                kernel(facts, whole(&shape), vec![Root { value: e.inputs[1], end: fill }])?;
            part(e.inputs[0], scale, offset)?;
            let at = out.len() - 1;
            out.insert(at, filled);
        }
        Op::DynamicUpdateSlice(_) | Op::Scatter(_) => {
            let Some(from) = facts.buffer(e.inputs[0]) else {
                return Err(Why::Materialise(e.inputs[0]));
            };
            out.push(Unit {
                work: Work::Copy(from, buffer),
                reads: vec![from],
                writes: vec![buffer],
            });
            let (value, end) = match &e.op {
                Op::Scatter(op) => (
                    e.inputs[2],
                    End::Scatter { buffer, shape, indices: e.inputs[1], op: op.clone() },
                ),
                _ => (e.inputs[1], End::Window { buffer, shape, start: e.inputs[2] }),
            };
            let mut unit = kernel(facts, whole(facts.shape(value)), vec![Root { value, end }])?;
            // What is not written stays: the array is read, too.
            unit.reads.push(buffer);
            out.push(unit);
        }
        _ => {}
    }
    Ok(())
}

fn equation<'a>(facts: &Facts, i: usize, e: &Eqn) -> Unit<'a> {
    let strided = is_strided(facts.class[i]);
    let read = |i: usize| facts.buffer(if strided { facts.base(e, i) } else { e.inputs[i] });
    let reads = (0..e.inputs.len()).filter_map(read).collect();
    let writes = e.outputs.iter().filter_map(|&v| facts.buffer(v)).collect();
    Unit { work: Work::Equation(i, None), reads, writes }
}
