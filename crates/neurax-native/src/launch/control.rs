//! Loops and branches inside a program. Carried values live in two places and change sides after every iteration, so that none is copied.

#![allow(unsafe_code, reason = "arrays are handed to inner programs by address")]

use super::{
    frame::{Address, Frame},
    pool::Pool,
    program::Program,
};
use crate::{plan::Gives, schedule::BufferId};
use neurax_ir::{
    Eqn, Error, Graph, Op, Result, Type,
    op::{Scan, While},
};

/// A loop or branch of a program.
#[derive(Debug)]
pub struct ControlTask {
    kind: Kind,
    reads: Box<[BufferId]>,
    writes: Box<[BufferId]>,
    /// The first of its programs.
    first: usize,
    /// Bytes of every result (of a scan: of one element of those that are stacked).
    bytes: Box<[usize]>,
    /// Bytes of one element of the stacked operands.
    rows: Box<[usize]>,
}

#[derive(Debug)]
enum Kind {
    Scan { length: usize, reverse: bool, consts: usize, carries: usize },
    While { cond_consts: usize, body_consts: usize },
    Cond { branches: usize },
}

impl ControlTask {
    /// The task of an equation.
    ///
    /// # Errors
    /// For ops that are neither.
    pub fn new(op: &Op, graph: &Graph, e: &Eqn, reads: &[BufferId], writes: &[BufferId], first: usize) -> Result<ControlTask> {
        let kind = match op {
            Op::Scan(Scan { length, reverse, consts, carries, .. }) => {
                Kind::Scan { length: *length, reverse: *reverse, consts: *consts, carries: *carries }
            }
            Op::While(While { cond_consts, body_consts, .. }) => Kind::While { cond_consts: *cond_consts, body_consts: *body_consts },
            Op::Cond(c) => Kind::Cond { branches: c.branches.len() },
            _ => return Err(Error::new("native", format!("{} is not a loop or branch", op.name()))),
        };
        let row = |t: &Type| t.with_shape(t.shape.removed(0)).bytes();
        let carried = |o: usize| !matches!(kind, Kind::Scan { carries, .. } if o >= carries);
        let result = |(o, &v): (usize, &neurax_ir::Value)| if carried(o) { graph.ty(v).bytes() } else { row(graph.ty(v)) };
        let bytes = e.outputs.iter().enumerate().map(result).collect::<Result<_>>()?;
        let stacked = match kind {
            Kind::Scan { consts, carries, .. } => &e.inputs[consts + carries..],
            _ => &[],
        };
        let rows = stacked.iter().map(|&v| row(graph.ty(v))).collect::<Result<_>>()?;
        Ok(ControlTask { kind, reads: reads.into(), writes: writes.into(), first, bytes, rows })
    }

    /// How many results are carried from one iteration to the next.
    fn carries(&self) -> usize {
        match self.kind {
            Kind::Scan { carries, .. } => carries,
            Kind::While { .. } => self.writes.len(),
            Kind::Cond { .. } => 0,
        }
    }

    /// Bytes for the second place of every carried value.
    pub fn scratch(&self) -> usize {
        self.bytes[..self.carries()].iter().map(|b| b.next_multiple_of(64)).sum::<usize>() + 64
    }
}

/// Runs it.
///
/// # Errors
/// What an inner program says.
///
/// # Safety
/// As [`Program::run`], for a task of that program.
pub unsafe fn run(t: &ControlTask, p: &Program, f: &mut Frame, pool: &Pool) -> Result<()> {
    // SAFETY: as promised by the caller.
    unsafe {
        match t.kind {
            Kind::Scan { length, reverse, consts, carries } => scan(t, p, f, pool, length, reverse, (consts, carries)),
            Kind::While { cond_consts, body_consts } => repeat(t, p, f, pool, cond_consts, body_consts),
            Kind::Cond { branches } => branch(t, p, f, pool, branches),
        }
    }
}

/// The two places of every carried value: where it is, and where the next one goes.
struct Carries {
    now: Vec<Address>,
    next: Vec<Address>,
}

impl Carries {
    /// Values in their results' memory, copied from operands.
    unsafe fn begin(t: &ControlTask, p: &Program, f: &mut Frame, from: &[BufferId]) -> Carries {
        let now: Vec<Address> = t.writes[..t.carries()].iter().map(|&b| f.slots[b]).collect();
        let mut at = p.plan.block;
        let mut next = vec![];
        for (i, &bytes) in t.bytes[..t.carries()].iter().enumerate() {
            // SAFETY: operand and result have the type of the carried value.
            unsafe { now[i].copy_from(f.slots[from[i]], bytes) }
            next.push(f.place(at));
            at += bytes.next_multiple_of(64);
        }
        Carries { now, next }
    }

    fn swap(&mut self) {
        std::mem::swap(&mut self.now, &mut self.next);
    }

    /// Values in their results' memory again.
    unsafe fn end(&self, t: &ControlTask, f: &Frame) {
        for (i, &bytes) in t.bytes[..t.carries()].iter().enumerate() {
            // SAFETY: as in `begin`.
            unsafe { f.slots[t.writes[i]].copy_from(self.now[i], bytes) }
        }
    }
}

/// Calls an inner program.
unsafe fn call(p: &Program, which: usize, f: &mut Frame, pool: &Pool, inputs: impl Iterator<Item = Address>, outputs: &[Address]) -> Result<()> {
    let (inner, frame) = (&p.inner[which], &mut f.inner[which]);
    for (i, a) in inputs.enumerate() {
        frame.slots[inner.input(i)] = a;
    }
    for (o, &a) in outputs.iter().enumerate() {
        if inner.plan.gives[o] == Gives::Own {
            frame.slots[inner.output(o)] = a;
        }
    }
    // SAFETY: the frame is the inner program's, and addresses are of arrays of its types.
    unsafe {
        inner.run(frame, pool)?;
        outputs.iter().enumerate().for_each(|(o, &a)| inner.give(frame, o, a));
    }
    Ok(())
}

unsafe fn scan(
    t: &ControlTask,
    p: &Program,
    f: &mut Frame,
    pool: &Pool,
    length: usize,
    reverse: bool,
    (consts, carries): (usize, usize),
) -> Result<()> {
    let constants: Vec<Address> = t.reads[..consts].iter().map(|&b| f.slots[b]).collect();
    let stacked: Vec<Address> = t.reads[consts + carries..].iter().map(|&b| f.slots[b]).collect();
    let results: Vec<Address> = t.writes[carries..].iter().map(|&b| f.slots[b]).collect();
    // SAFETY: as promised by the caller.
    let mut c = unsafe { Carries::begin(t, p, f, &t.reads[consts..consts + carries]) };
    for k in 0..length {
        let i = if reverse { length - 1 - k } else { k };
        let row = |(a, &bytes): (&Address, &usize)| a.plus((i * bytes) as isize);
        let outputs: Vec<Address> = c.next.iter().copied().chain(results.iter().zip(&t.bytes[carries..]).map(row)).collect();
        let inputs = constants.iter().copied().chain(c.now.clone()).chain(stacked.iter().zip(&t.rows[..]).map(row));
        // SAFETY: as promised by the caller.
        unsafe { call(p, t.first, f, pool, inputs, &outputs)? }
        c.swap();
    }
    // SAFETY: as promised by the caller.
    unsafe { c.end(t, f) }
    Ok(())
}

unsafe fn repeat(t: &ControlTask, p: &Program, f: &mut Frame, pool: &Pool, cond_consts: usize, body_consts: usize) -> Result<()> {
    let all: Vec<Address> = t.reads[..cond_consts + body_consts].iter().map(|&b| f.slots[b]).collect();
    let (for_cond, for_body) = all.split_at(cond_consts);
    // SAFETY: as promised by the caller.
    let mut c = unsafe { Carries::begin(t, p, f, &t.reads[cond_consts + body_consts..]) };
    loop {
        let mut go = 0u8;
        let inputs = for_cond.iter().copied().chain(c.now.clone());
        // SAFETY: as promised by the caller; the condition gives one bool.
        unsafe { call(p, t.first, f, pool, inputs, &[Address(&raw mut go)])? }
        if go == 0 {
            break;
        }
        let inputs = for_body.iter().copied().chain(c.now.clone());
        let next = c.next.clone();
        // SAFETY: as promised by the caller.
        unsafe { call(p, t.first + 1, f, pool, inputs, &next)? }
        c.swap();
    }
    // SAFETY: as promised by the caller.
    unsafe { c.end(t, f) }
    Ok(())
}

unsafe fn branch(t: &ControlTask, p: &Program, f: &mut Frame, pool: &Pool, branches: usize) -> Result<()> {
    // SAFETY: the first operand is one i32.
    let index = unsafe { f.slots[t.reads[0]].bytes(4) };
    let index = index.try_into().map_or(0, i32::from_ne_bytes).clamp(0, branches as i32 - 1);
    let inputs: Vec<Address> = t.reads[1..].iter().map(|&b| f.slots[b]).collect();
    let outputs: Vec<Address> = t.writes.iter().map(|&b| f.slots[b]).collect();
    // SAFETY: as promised by the caller.
    unsafe { call(p, t.first + index as usize, f, pool, inputs.into_iter(), &outputs) }
}
