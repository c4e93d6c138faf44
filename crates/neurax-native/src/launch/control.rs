//! Control flow: `scan`, `while` and `case` run programs inside of a program.
//!
//! The graphs of a loop or branch are separate programs. Their buffers lie in the scratch
//! memory of this task (programs of one task never run at the same time, and share it); arguments
//! and results are passed by address.
//!
//! A carried value is updated in place if the body's memory plan allows it (`MemoryPlan::carried`:
//! the body reads the old value for the last time where it writes the new one). Every other carried
//! value is double-buffered: one slot is the result of the whole loop, the other is in scratch
//! memory, and they swap roles after every iteration, so that nothing is copied:
//!
//! ```text
//! 3 iterations of a scan: operand -> result -> scratch -> result
//! ```
//!
//! The number of iterations of a `scan` is known, so the first slot is chosen such that the last
//! iteration writes the result. A `while` may end in the scratch slot, and then copies once.

#![allow(unsafe_code, reason = "buffers are passed to inner programs by address")]

use super::{frame::Frame, pool::Pool, program::Program};
use crate::address::Address;
use crate::{
    plan::{ALIGNMENT, Carried, StepMemory},
    schedule::BufferId,
};
use neurax_ir::{
    Eqn, Error, Graph, Op, OrBug, Result, Type,
    op::{Scan, While},
};

/// The task of a loop or a branch.
#[derive(Debug)]
pub struct ControlTask {
    kind: ControlKind,
    reads: Box<[BufferId]>,
    writes: Box<[BufferId]>,
    /// The index of its first program in [`Program::inner`].
    first: usize,
    carries: Box<[CarrySlot]>,
    /// The bytes of one row of each operand that is scanned over.
    rows: Box<[usize]>,
    /// The bytes of one row of each stacked result.
    stacked: Box<[usize]>,
    /// The offset of the block of its programs in the scratch memory, in bytes.
    inner_block: usize,
    /// The bytes of the block that its programs share.
    block: usize,
}

/// The memory of a carried value.
#[derive(Clone, Copy, Debug)]
struct CarrySlot {
    bytes: usize,
    /// The offset of the second slot in the scratch memory; `None` if the value is updated in
    /// place.
    second: Option<usize>,
}

/// The op, with the counts of its operands.
#[derive(Debug)]
enum ControlKind {
    Scan { length: usize, reverse: bool, consts: usize },
    While { cond_consts: usize, body_consts: usize },
    Cond { branches: usize },
}

/// Returns the carried arguments of graph `region` of an op if it is the body of a loop, which
/// returns their next values. The condition of a `while` and the branches of a `cond` carry none.
pub fn carried(op: &Op, region: usize) -> Option<Carried> {
    match (op, region) {
        (Op::Scan(op), SCAN_BODY) => Some(Carried { first: op.consts, count: op.carries }),
        (Op::While(op), WHILE_BODY) => {
            Some(Carried { first: op.body_consts, count: op.body.outputs().len() })
        }
        _ => None,
    }
}

/// The index of the body among the graphs of a scan.
const SCAN_BODY: usize = 0;
/// The index of the body among the graphs of a `while`; the condition is the first.
const WHILE_BODY: usize = 1;

impl ControlTask {
    /// Creates the task of equation `e`, whose graphs became `programs`, the first of which has
    /// index `first`.
    ///
    /// # Errors
    /// If `e` is not a loop or a branch.
    pub fn new(
        graph: &Graph,
        e: &Eqn,
        reads: &[BufferId],
        writes: &[BufferId],
        first: usize,
        programs: &[std::sync::Arc<Program>],
    ) -> Result<ControlTask> {
        let (kind, body) = match &e.op {
            Op::Scan(Scan { length, reverse, consts, .. }) => (
                ControlKind::Scan { length: *length, reverse: *reverse, consts: *consts },
                SCAN_BODY,
            ),
            Op::While(While { cond_consts, body_consts, .. }) => (
                ControlKind::While { cond_consts: *cond_consts, body_consts: *body_consts },
                WHILE_BODY,
            ),
            Op::Cond(c) => (ControlKind::Cond { branches: c.branches.len() }, 0),
            op => {
                let what = format!("{} is not a loop or branch", op.name());
                return Err(Error::bug(what).at_origin(&e.at));
            }
        };
        let row = |t: &Type| t.with_shape(t.shape.removed(0)).bytes();
        // empty: a branch carries nothing.
        let count = carried(&e.op, body).map_or(0, |c| c.count);
        let body = programs.get(body).or_bug("a loop or branch without a program");
        let body = body.map_err(|x| x.at_origin(&e.at))?;
        let in_place = &body.plan.carried;
        let mut carries: Vec<CarrySlot> = vec![];
        let mut at = 0;
        for (o, &v) in e.outputs[..count].iter().enumerate() {
            let bytes = graph.ty(v).bytes()?;
            let is_in_place = in_place.get(o);
            let is_in_place =
                *is_in_place.or_bug(format!("carried value {o} is not in the body's plan"))?;
            let second = (!is_in_place).then_some(at);
            carries.push(CarrySlot { bytes, second });
            at += if second.is_some() { bytes.next_multiple_of(ALIGNMENT) } else { 0 };
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
        let block = programs.iter().map(|p| p.plan.block).fold(0, usize::max);
        Ok(ControlTask {
            kind,
            reads: reads.into(),
            writes: writes.into(),
            first,
            carries: carries.into(),
            rows,
            stacked,
            inner_block: at,
            block,
        })
    }

    /// Returns the memory that the task asks of the plan.
    pub fn memory(&self) -> StepMemory {
        let own = |i: usize| (self.reads[first_carry(&self.kind) + i], self.writes[i]);
        let once = |b: BufferId| self.reads.iter().filter(|r| **r == b).count() == 1;
        let stay = (0..self.carries.len()).filter(|&i| self.carries[i].second.is_none());
        StepMemory {
            scratch: self.inner_block + self.block,
            in_place: stay.map(own).filter(|s| once(s.0)).collect(),
        }
    }

    /// Returns the offset of the block of its programs in the scratch memory, in bytes.
    pub fn inner_block(&self) -> usize {
        self.inner_block
    }

    /// Returns the indices of its programs in [`Program::inner`].
    pub fn programs(&self) -> std::ops::Range<usize> {
        let count = match self.kind {
            ControlKind::Scan { .. } => 1,
            ControlKind::While { .. } => 2,
            ControlKind::Cond { branches } => branches,
        };
        self.first..self.first + count
    }
}

/// Returns the index of the operand that initializes the first carried value.
fn first_carry(kind: &ControlKind) -> usize {
    match *kind {
        ControlKind::Scan { consts, .. } => consts,
        ControlKind::While { cond_consts, body_consts } => cond_consts + body_consts,
        ControlKind::Cond { .. } => 0,
    }
}

/// One run of a task.
struct ControlRun<'a> {
    t: &'a ControlTask,
    p: &'a Program,
    f: &'a mut Frame,
    pool: &'a Pool,
    scratch: Address,
}

/// Runs task `t` of program `p`, with `scratch` memory as [`ControlTask::memory`] asks.
///
/// # Errors
/// The errors of an inner program.
///
/// # Safety
/// As [`Program::run`].
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

    /// Sets argument `i` of inner program `which` to `a`.
    fn set_input(&mut self, which: usize, i: usize, a: Address) {
        self.f.inner[which].slots[self.p.inner[which].input(i)] = a;
    }

    /// Sets the address of result `o` of inner program `which` to `a`.
    fn set_output(&mut self, which: usize, o: usize, a: Address) {
        self.p.inner[which].set_output(&mut self.f.inner[which], o, a);
    }

    /// Runs inner program `which`.
    ///
    /// # Safety
    /// As [`Program::run`], for inner program `which` and its frame.
    unsafe fn call(&mut self, which: usize) -> Result<()> {
        // SAFETY: the frame is the inner program's, and its slots are addresses of buffers of its
        // types.
        unsafe { self.p.inner[which].run(&mut self.f.inner[which], self.pool) }
    }

    /// Copies result `o` of inner program `which` to `to`, if it is an alias of another buffer.
    ///
    /// # Safety
    /// As [`Program::copy_aliased_output`], for inner program `which`, which has run.
    unsafe fn fetch(&self, which: usize, o: usize, to: Address) {
        // SAFETY: as in `call`.
        unsafe { self.p.inner[which].copy_aliased_output(&self.f.inner[which], o, to) }
    }

    /// Returns the slot of carried value `i` that an iteration writes which has `left` iterations
    /// after it. The last iteration writes the result.
    fn slot(&self, i: usize, left: usize) -> Address {
        match self.t.carries[i].second {
            Some(at) if left % 2 == 1 => self.scratch.plus(at as isize),
            // other: carried in place, or an even number of iterations after it.
            _ => self.write(i),
        }
    }

    /// Returns the address at which the first iteration, with `left` iterations after it, reads
    /// carried value `i`: that of the operand, or a copy of it if the iteration writes there.
    ///
    /// # Safety
    /// As [`run`].
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

    /// Runs `length` iterations.
    ///
    /// # Safety
    /// As [`run`]; the task is a scan of `length` iterations with `consts` constants.
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

    /// Runs the body while the condition holds.
    ///
    /// # Safety
    /// As [`run`]; the task is a `while` with these numbers of constants.
    unsafe fn repeat(&mut self, cond_consts: usize, body_consts: usize) -> Result<()> {
        let (cond, body, carries) = (self.t.first, self.t.first + 1, self.t.carries.len());
        (0..cond_consts).for_each(|i| self.set_input(cond, i, self.read(i)));
        (0..body_consts).for_each(|i| self.set_input(body, i, self.read(cond_consts + i)));
        // The number of iterations is not known: after an odd number of swaps the values are in
        // the scratch slots.
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
            // SAFETY: as promised by the caller; the condition returns one bool.
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

    /// Runs the branch of the index, clamped to the branches.
    ///
    /// # Safety
    /// As [`run`]; the task is a `cond` with `branches` branches.
    unsafe fn branch(&mut self, branches: usize) -> Result<()> {
        // SAFETY: the first operand is one i32.
        let index = unsafe { self.read(0).0.cast::<i32>().read_unaligned() };
        let index = index.clamp(0, branches as i32 - 1);
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
