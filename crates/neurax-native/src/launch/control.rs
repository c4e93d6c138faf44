//! Loops and branches inside a program. A carried value that the body may change where it is stays
//! there; others live in two places and change sides after every iteration, so that none is copied.

#![allow(unsafe_code, reason = "arrays are handed to inner programs by address")]

use super::{
    frame::{Address, Frame},
    pool::Pool,
    program::Program,
};
use crate::{plan::StepMemory, schedule::BufferId};
use neurax_ir::{
    Eqn, Error, Graph, Op, Result, Type,
    op::{Scan, While},
};

/// A loop or branch of a program.
#[derive(Debug)]
pub struct ControlTask {
    kind: ControlKind,
    reads: Box<[BufferId]>,
    writes: Box<[BufferId]>,
    /// The first of its programs.
    first: usize,
    carries: Box<[CarrySlot]>,
    /// Bytes of one element of the stacked operands.
    rows: Box<[usize]>,
    /// Bytes of one element of the stacked results.
    stacked: Box<[usize]>,
    /// Bytes of the block that its programs share.
    block: usize,
}

/// A value that goes from one iteration to the next.
#[derive(Clone, Copy, Debug)]
struct CarrySlot {
    bytes: usize,
    /// Where its second place is in the scratch memory; none if it is changed where it is.
    second: Option<usize>,
}

#[derive(Debug)]
enum ControlKind {
    Scan { length: usize, reverse: bool, consts: usize },
    While { cond_consts: usize, body_consts: usize },
    Cond { branches: usize },
}

/// The arguments of a loop's body that are carried: the first one, and how many.
pub fn carried(op: &Op) -> Option<(usize, usize)> {
    match op {
        Op::Scan(op) => Some((op.consts, op.carries)),
        Op::While(op) => Some((op.body_consts, op.body.outputs().len())),
        _ => None,
    }
}

impl ControlTask {
    /// The task of an equation whose graphs became those programs, the first of them having that
    /// number.
    ///
    /// # Errors
    /// For ops that are neither.
    pub fn new(
        graph: &Graph,
        e: &Eqn,
        reads: &[BufferId],
        writes: &[BufferId],
        first: usize,
        programs: &[std::sync::Arc<Program>],
    ) -> Result<ControlTask> {
        let (kind, body) = match &e.op {
            Op::Scan(Scan { length, reverse, consts, .. }) => {
                (ControlKind::Scan { length: *length, reverse: *reverse, consts: *consts }, 0)
            }
            Op::While(While { cond_consts, body_consts, .. }) => {
                (ControlKind::While { cond_consts: *cond_consts, body_consts: *body_consts }, 1)
            }
            Op::Cond(c) => (ControlKind::Cond { branches: c.branches.len() }, 0),
            op => {
                return Err(Error::new("native", format!("{} is not a loop or branch", op.name())));
            }
        };
        let row = |t: &Type| t.with_shape(t.shape.removed(0)).bytes();
        let count = carried(&e.op).map_or(0, |c| c.1);
        let stays = &programs[body].plan.carried;
        let mut carries: Vec<CarrySlot> = vec![];
        let mut at = 0;
        for (o, &v) in e.outputs[..count].iter().enumerate() {
            let bytes = graph.ty(v).bytes()?;
            let second = (!stays.get(o).is_some_and(|&s| s)).then_some(at);
            carries.push(CarrySlot { bytes, second });
            at += if second.is_some() { bytes.next_multiple_of(64) } else { 0 };
        }
        let is_scan = matches!(kind, ControlKind::Scan { .. });
        let all = |values: &[neurax_ir::Value]| {
            values.iter().map(|&v| row(graph.ty(v))).collect::<Result<Box<[usize]>>>()
        };
        let behind = first_carry(&kind) + count;
        let (rows, stacked) = if is_scan {
            (all(&e.inputs[behind..])?, all(&e.outputs[count..])?)
        } else {
            Default::default()
        };
        let block = programs.iter().map(|p| p.plan.block).max().unwrap_or(0);
        Ok(ControlTask {
            kind,
            reads: reads.into(),
            writes: writes.into(),
            first,
            carries: carries.into(),
            rows,
            stacked,
            block,
        })
    }

    /// What it asks of the plan.
    pub fn memory(&self) -> StepMemory {
        let own = |i: usize| (self.reads[first_carry(&self.kind) + i], self.writes[i]);
        let once = |b: BufferId| self.reads.iter().filter(|r| **r == b).count() == 1;
        let stay = (0..self.carries.len()).filter(|&i| self.carries[i].second.is_none());
        StepMemory {
            scratch: self.inner_block() + self.block,
            shares: stay.map(own).filter(|s| once(s.0)).collect(),
        }
    }

    /// Where the block of its programs begins in the scratch memory.
    pub fn inner_block(&self) -> usize {
        self.carries
            .iter()
            .filter(|c| c.second.is_some())
            .map(|c| c.bytes.next_multiple_of(64))
            .sum()
    }

    /// The numbers of its programs.
    pub fn programs(&self) -> std::ops::Range<usize> {
        let count = match self.kind {
            ControlKind::Scan { .. } => 1,
            ControlKind::While { .. } => 2,
            ControlKind::Cond { branches } => branches,
        };
        self.first..self.first + count
    }
}

/// The operand that the first carried value begins with.
fn first_carry(kind: &ControlKind) -> usize {
    match *kind {
        ControlKind::Scan { consts, .. } => consts,
        ControlKind::While { cond_consts, body_consts } => cond_consts + body_consts,
        ControlKind::Cond { .. } => 0,
    }
}

/// A task while it runs.
struct ControlRun<'a> {
    t: &'a ControlTask,
    p: &'a Program,
    f: &'a mut Frame,
    pool: &'a Pool,
    scratch: Address,
}

/// Runs it, with scratch memory as it needs.
///
/// # Errors
/// What an inner program says.
///
/// # Safety
/// As [`Program::run`], for a task of that program.
pub unsafe fn run(
    t: &ControlTask,
    p: &Program,
    f: &mut Frame,
    pool: &Pool,
    scratch: Address,
) -> Result<()> {
    let mut r = ControlRun { t, p, f, pool, scratch };
    // SAFETY: as promised by the caller.
    unsafe {
        match t.kind {
            ControlKind::Scan { length, reverse, consts } => r.scan(length, reverse, consts),
            ControlKind::While { cond_consts, body_consts } => r.repeat(cond_consts, body_consts),
            ControlKind::Cond { branches } => r.branch(branches),
        }
    }
}

impl ControlRun<'_> {
    fn read(&self, i: usize) -> Address {
        self.f.slots[self.t.reads[i]]
    }

    fn write(&self, o: usize) -> Address {
        self.f.slots[self.t.writes[o]]
    }

    /// Argument `i` of inner program `which`.
    fn set_input(&mut self, which: usize, i: usize, a: Address) {
        self.f.inner[which].slots[self.p.inner[which].input(i)] = a;
    }

    /// The memory of result `o` of inner program `which`.
    fn set_output(&mut self, which: usize, o: usize, a: Address) {
        self.p.inner[which].set_output(&mut self.f.inner[which], o, a);
    }

    unsafe fn call(&mut self, which: usize) -> Result<()> {
        // SAFETY: the frame is the inner program's, and its slots are addresses of arrays of its
        // types.
        unsafe { self.p.inner[which].run(&mut self.f.inner[which], self.pool) }
    }

    /// Copies result `o` of an inner program to `to`, if it is another array.
    unsafe fn fetch(&self, which: usize, o: usize, to: Address) {
        // SAFETY: as in `call`.
        unsafe { self.p.inner[which].copy_aliased_output(&self.f.inner[which], o, to) }
    }

    /// The place of a carried value that the iteration before `left` others writes: the last one
    /// writes into the result.
    fn slot(&self, i: usize, left: usize) -> Address {
        match self.t.carries[i].second {
            Some(at) if left % 2 == 1 => self.scratch.plus(at as isize),
            _ => self.write(i),
        }
    }

    /// Where the first iteration, with `left` others after it, finds carried value `i`: where the
    /// operand is, unless the iteration writes there.
    unsafe fn begin(&self, i: usize, left: usize) -> Address {
        let (from, to) = (self.read(first_carry(&self.t.kind) + i), self.slot(i, left));
        let c = self.t.carries[i];
        let slot = match c.second {
            Some(_) if from != to => return from,
            Some(_) => self.slot(i, left + 1),
            None => to,
        };
        // SAFETY: operand and result have the type of the carried value.
        unsafe { slot.copy_from(from, c.bytes) }
        slot
    }

    unsafe fn scan(&mut self, length: usize, reverse: bool, consts: usize) -> Result<()> {
        let (body, carries) = (self.t.first, self.t.carries.len());
        (0..consts).for_each(|i| self.set_input(body, i, self.read(i)));
        for k in 0..length {
            let left = length - 1 - k;
            let row = if reverse { left } else { k };
            for i in 0..carries {
                // SAFETY: as promised by the caller.
                let now =
                    if k == 0 { unsafe { self.begin(i, left) } } else { self.slot(i, left + 1) };
                self.set_input(body, consts + i, now);
                self.set_output(body, i, self.slot(i, left));
            }
            for (j, &bytes) in self.t.rows.iter().enumerate() {
                let i = consts + carries + j;
                self.set_input(body, i, self.read(i).plus((row * bytes) as isize));
            }
            let stacked =
                |j: usize, r: &Self| r.write(carries + j).plus((row * r.t.stacked[j]) as isize);
            for j in 0..self.t.stacked.len() {
                self.set_output(body, carries + j, stacked(j, self));
            }
            // SAFETY: as promised by the caller.
            unsafe {
                self.call(body)?;
                (0..carries).for_each(|i| self.fetch(body, i, self.slot(i, left)));
                (0..self.t.stacked.len())
                    .for_each(|j| self.fetch(body, carries + j, stacked(j, self)));
            }
        }
        if length == 0 {
            // SAFETY: operand and result have the type of the carried value.
            (0..carries).for_each(|i| unsafe {
                self.write(i).copy_from(self.read(consts + i), self.t.carries[i].bytes)
            });
        }
        Ok(())
    }

    unsafe fn repeat(&mut self, cond_consts: usize, body_consts: usize) -> Result<()> {
        let (cond, body, carries) = (self.t.first, self.t.first + 1, self.t.carries.len());
        (0..cond_consts).for_each(|i| self.set_input(cond, i, self.read(i)));
        (0..body_consts).for_each(|i| self.set_input(body, i, self.read(cond_consts + i)));
        // How many iterations are left is not known: an odd number of them ends in the second
        // places.
        for i in 0..carries {
            // SAFETY: as promised by the caller.
            let now = unsafe { self.begin(i, 0) };
            self.set_input(cond, cond_consts + i, now);
            self.set_input(body, body_consts + i, now);
        }
        let mut done = 0;
        loop {
            let mut go = 0u8;
            self.set_output(cond, 0, Address(&raw mut go));
            // SAFETY: as promised by the caller; the condition gives one bool.
            unsafe {
                self.call(cond)?;
                self.fetch(cond, 0, Address(&raw mut go));
            }
            if go == 0 {
                break;
            }
            (0..carries).for_each(|i| self.set_output(body, i, self.slot(i, done)));
            // SAFETY: as promised by the caller.
            unsafe {
                self.call(body)?;
                (0..carries).for_each(|i| self.fetch(body, i, self.slot(i, done)));
            }
            for i in 0..carries {
                self.set_input(cond, cond_consts + i, self.slot(i, done));
                self.set_input(body, body_consts + i, self.slot(i, done));
            }
            done += 1;
        }
        for i in 0..carries {
            let from = if done == 0 {
                self.read(cond_consts + body_consts + i)
            } else {
                self.slot(i, done - 1)
            };
            // SAFETY: both have the type of the carried value.
            unsafe { self.write(i).copy_from(from, self.t.carries[i].bytes) }
        }
        Ok(())
    }

    unsafe fn branch(&mut self, branches: usize) -> Result<()> {
        // SAFETY: the first operand is one i32.
        let index = unsafe { self.read(0).bytes(4) };
        let index = index.try_into().map_or(0, i32::from_ne_bytes).clamp(0, branches as i32 - 1);
        let which = self.t.first + index as usize;
        (1..self.t.reads.len()).for_each(|i| self.set_input(which, i - 1, self.read(i)));
        (0..self.t.writes.len()).for_each(|o| self.set_output(which, o, self.write(o)));
        // SAFETY: as promised by the caller.
        unsafe {
            self.call(which)?;
            (0..self.t.writes.len()).for_each(|o| self.fetch(which, o, self.write(o)));
        }
        Ok(())
    }
}
