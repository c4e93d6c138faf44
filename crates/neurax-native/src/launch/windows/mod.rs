//! Windows that slide over an array: their elements are joined, or the largest or smallest one is found, a row of windows at a time.

#![allow(unsafe_code, reason = "arrays are read and written by address")]

mod cell;

use super::{frame::Address, pool::Pool, scratch::Scratch, slide::Run};
use crate::schedule::BufferId;
use cell::{Cell, NOWHERE, join, kind_of, select, typed};
use neurax_ir::{
    DType, Eqn, Error, Graph, Op, Result,
    op::{ArgKind, ReduceKind, ReduceWindow, SelectAndGather, SelectAndScatter, Slide},
};
use smallvec::SmallVec;
use std::ops::Range;

/// Windows of a program.
#[derive(Debug)]
pub struct WindowsTask {
    does: Does,
    /// The array that windows slide over.
    x: (BufferId, DType),
    /// Elements that are taken, or added.
    source: (BufferId, DType),
    to: BufferId,
    /// Blocks of the array that no window leaves, one after the other.
    blocks: usize,
    /// The axes of a block; rows of windows run along the last one.
    axes: SmallVec<[Axis; 4]>,
    /// Elements and windows of a block.
    sizes: [usize; 2],
    parts: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Reduce(ReduceKind),
    Gather(ArgKind),
    Scatter(ArgKind),
}

/// An axis that windows slide along.
#[derive(Debug)]
struct Axis {
    elements: usize,
    windows: usize,
    /// For every tap the windows that have an element there.
    taps: Box<[Run]>,
    /// From one element to the next.
    stride: usize,
}

/// Elements under windows that are worth waking a thread for.
const GRAIN: usize = 1 << 15;
/// Parts, at most: enough that threads finish together.
const PARTS: usize = 16;

impl WindowsTask {
    /// The task of an equation.
    ///
    /// # Errors
    /// For ops without windows, and where places do not fit into 32 bits.
    pub fn new(graph: &Graph, e: &Eqn, op: &Op, reads: &[BufferId], to: BufferId) -> Result<WindowsTask> {
        let fail = |why: &str| Error::new(op.name(), why.to_string()).at_origin(&e.at);
        let (does, sizes, slides) = match op {
            Op::ReduceWindow(ReduceWindow { kind, sizes, slides }) => (Does::Reduce(*kind), sizes, slides),
            Op::SelectAndGather(SelectAndGather { kind, sizes, slides }) => (Does::Gather(*kind), sizes, slides),
            Op::SelectAndScatter(SelectAndScatter { kind, sizes, slides }) => (Does::Scatter(*kind), sizes, slides),
            _ => return Err(fail("it has no windows")),
        };
        let (x, y) = (graph.ty(e.inputs[0]), graph.ty(e.outputs[0]));
        let windows = if let Does::Scatter(_) = does { graph.ty(e.inputs[1]) } else { y };
        let (blocks, axes) = axes(&x.shape, &windows.shape, sizes, slides);
        let of = |f: fn(&Axis) -> usize| axes.iter().map(f).product::<usize>();
        let totals = [of(|a| a.elements), of(|a| a.windows)];
        if totals[0] >= NOWHERE as usize && !matches!(does, Does::Reduce(_)) {
            return Err(fail("an array of that many elements under overlapping windows is too large"));
        }
        let work = blocks.saturating_mul(totals[1]).saturating_mul(of(|a| a.taps.len()));
        let source = e.inputs.len() - 1;
        let source = (reads[source], graph.ty(e.inputs[source]).dtype);
        Ok(WindowsTask { does, x: (reads[0], x.dtype), source, to, blocks, axes, sizes: totals, parts: (work / GRAIN).clamp(1, PARTS) })
    }

    /// Runs it.
    ///
    /// # Safety
    /// The slots hold addresses of arrays of the schedule that this was made for, and nobody else uses the results.
    pub unsafe fn run(&self, slots: &[Address], pool: &Pool) {
        let (x, source, to) = (slots[self.x.0], slots[self.source.0], slots[self.to]);
        // Windows of one block may add to the same place.
        let total = if let Does::Scatter(_) = self.does { self.blocks } else { self.blocks * self.rows() };
        let parts = self.parts.min(total).max(1);
        let each = total.div_ceil(parts);
        let run = |part: usize| {
            let range = (part * each).min(total)..((part + 1) * each).min(total);
            // SAFETY: as promised by the caller; parts write different places.
            unsafe {
                match self.does {
                    Does::Reduce(kind) => typed!(self.x.1, T => self.reduce::<T>(kind, x, to, range)),
                    Does::Gather(kind) => self.gather(kind, x, source, to, range),
                    Does::Scatter(kind) => self.scatter(kind, x, source, to, range),
                }
            }
        };
        if parts == 1 { run(0) } else { pool.run(parts, &run) }
    }

    /// The axis along which rows run.
    fn last(&self) -> &Axis {
        &self.axes[self.axes.len() - 1]
    }

    /// Rows of windows in a block.
    fn rows(&self) -> usize {
        self.axes[..self.axes.len() - 1].iter().map(|a| a.windows).product()
    }

    /// Calls `f` with the place in the block of every row of elements under a row of windows, in order.
    fn under(&self, row: usize, f: &mut dyn FnMut(usize)) {
        let mut at = SmallVec::<[usize; 4]>::new();
        let mut rest = row;
        for a in self.axes[..self.axes.len() - 1].iter().rev() {
            at.insert(0, rest % a.windows);
            rest /= a.windows;
        }
        self.descend(&at, 0, f);
    }

    fn descend(&self, at: &[usize], place: usize, f: &mut dyn FnMut(usize)) {
        let Some((&window, inner)) = at.split_first() else { return f(place) };
        let axis = &self.axes[self.axes.len() - 1 - at.len()];
        for e in axis.taps.iter().filter_map(|tap| tap.at(window)) {
            self.descend(inner, place + e * axis.stride, f);
        }
    }

    /// Joins the elements under the windows of those rows, of all blocks.
    unsafe fn reduce<T: Cell>(&self, kind: ReduceKind, x: Address, to: Address, range: Range<usize>) {
        let (x, to) = (x.0.cast::<T>().cast_const(), to.0.cast::<T>());
        let kind = kind_of(kind, self.x.1);
        let (start, join, n) = (T::identity(kind, self.x.1), join::<T>(kind), self.last().windows);
        for row in range {
            // SAFETY: as promised by the caller; runs lead to elements of the block.
            unsafe {
                let (x, to) = (x.add(row / self.rows() * self.sizes[0]), to.add(row * n));
                std::slice::from_raw_parts_mut(to, n).fill(start);
                self.under(row % self.rows(), &mut |place| self.last().taps.iter().for_each(|run| join(run, x.add(place), to)));
            }
        }
    }

    /// Finds the places in the block of the best elements under a row of windows.
    unsafe fn places<T: Cell, const MAX: bool>(&self, x: Address, row: usize, best: Address, places: *mut u32) {
        let (x, best, n) = (x.0.cast::<T>().cast_const(), best.0.cast::<T>(), self.last().windows);
        // SAFETY: as promised by the caller.
        unsafe {
            std::slice::from_raw_parts_mut(best, n).fill(T::ZERO);
            std::slice::from_raw_parts_mut(places, n).fill(NOWHERE);
            self.under(row, &mut |place| self.last().taps.iter().for_each(|run| select::<T, MAX>(run, x.add(place), place, best, places)));
        }
    }

    /// Calls `f` with every one of those rows of windows and the places of the best elements in its block.
    unsafe fn each_row(&self, kind: ArgKind, x: Address, range: Range<usize>, f: &mut dyn FnMut(usize, &[u32])) {
        let n = self.last().windows;
        let bytes = |d: DType| (d.bits() / 8).max(1);
        // Elements of 8 bytes at most, then places.
        let mut own = Scratch::new(n * 12);
        let best = own.address();
        let places: *mut u32 = best.plus(n as isize * 8).0.cast();
        let find = typed!(self.x.1, T => if kind == ArgKind::Max { Self::places::<T, true> } else { Self::places::<T, false> });
        for row in range {
            let block = x.plus((row / self.rows() * self.sizes[0] * bytes(self.x.1)) as isize);
            // SAFETY: as promised by the caller.
            unsafe {
                find(self, block, row % self.rows(), best, places);
                f(row, std::slice::from_raw_parts(places, n));
            }
        }
    }

    /// Takes elements from the places under the windows of those rows, of all blocks.
    unsafe fn gather(&self, kind: ArgKind, x: Address, source: Address, to: Address, range: Range<usize>) {
        // SAFETY: as promised by the caller; places lie in the block.
        unsafe {
            typed!(self.source.1, S => self.each_row(kind, x, range, &mut |row, places| {
                let from = source.0.cast::<S>().add(row / self.rows() * self.sizes[0]);
                let to = to.0.cast::<S>().add(row * places.len());
                for (i, &p) in places.iter().enumerate() {
                    *to.add(i) = if p == NOWHERE { S::ZERO } else { *from.add(p as usize) };
                }
            }));
        }
    }

    /// Adds elements on the places under the windows of those blocks.
    unsafe fn scatter(&self, kind: ArgKind, x: Address, source: Address, to: Address, blocks: Range<usize>) {
        let rows = blocks.start * self.rows()..blocks.end * self.rows();
        let sum = kind_of(ReduceKind::Sum, self.source.1);
        // SAFETY: as promised by the caller; places lie in the block.
        unsafe {
            typed!(self.source.1, S => {
                let to = to.0.cast::<S>();
                to.add(blocks.start * self.sizes[0]).write_bytes(0, blocks.len() * self.sizes[0]);
                self.each_row(kind, x, rows, &mut |row, places| {
                    let to = to.add(row / self.rows() * self.sizes[0]);
                    let from = source.0.cast::<S>().add(row * places.len());
                    for (i, &p) in places.iter().enumerate().filter(|(_, p)| **p != NOWHERE) {
                        let (to, x) = (to.add(p as usize), *from.add(i));
                        *to = if sum == ReduceKind::Or { S::join(ReduceKind::Or, *to, x) } else { S::join(ReduceKind::Sum, *to, x) };
                    }
                })
            });
        }
    }
}

/// The axes that windows slide along, and how many blocks there are along those in front; neighbours along which windows are the elements
/// one by one become one axis.
fn axes(shape: &[usize], counts: &[usize], sizes: &[usize], slides: &[Slide]) -> (usize, SmallVec<[Axis; 4]>) {
    let trivial = |i: usize| sizes[i] == 1 && slides[i] == Slide::default();
    let front = (0..shape.len()).take_while(|&i| trivial(i)).count();
    let mut out: SmallVec<[Axis; 4]> = SmallVec::new();
    let mut i = front;
    while i < shape.len() {
        let end = if trivial(i) { (i..shape.len()).find(|&j| !trivial(j)).unwrap_or(shape.len()) } else { i + 1 };
        let (elements, windows) = (shape[i..end].iter().product(), counts[i..end].iter().product());
        out.push(Axis { elements, windows, taps: Run::of_taps(&slides[i], elements, sizes[i], windows), stride: shape[end..].iter().product() });
        i = end;
    }
    if out.is_empty() {
        out.push(Axis { elements: 1, windows: 1, taps: Run::of_taps(&Slide::default(), 1, 1, 1), stride: 1 });
    }
    (shape[..front].iter().product(), out)
}
