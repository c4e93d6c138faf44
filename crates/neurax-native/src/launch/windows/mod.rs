//! Sliding windows: pooling (`reduce_window`) and the selections behind its derivatives
//! (`select_and_gather`, `select_and_scatter`), a row of windows at a time.
//!
//! Axes without windows in front are a batch of blocks. In a block, a row of windows runs along the
//! last axis. For each tap of the last axis, [`TapRange`] gives the windows that have an element
//! under it, so that the inner loop combines a strided run of elements into a row of results
//! without bounds checks. Windows of two by two without overlap, the usual ones, read two rows
//! simultaneously in chunks of a constant size, which the compiler vectorizes (`pairs2x2`). Without
//! windows along the last axis, whole lines are combined (`whole_lines`).
//!
//! Selections first find the index of the best element of each window of a row, and then gather
//! from, or scatter to, these indices. Rows run in parallel; a scatter runs block by block, since
//! windows of one block may add to the same element.

#![allow(unsafe_code, reason = "buffers are read and written by address")]

mod cell;
mod pairs2x2;
mod whole_lines;

use super::{
    pool::Pool,
    scratch::Scratch,
    strided_matrix::StridedMatrix,
    tap_range::TapRange,
    totals::{SumElement, SumTotals},
};
use crate::address::Address;
use crate::{
    schedule::BufferId,
    tuning::{SUM_BLOCK, WINDOWS_GRAIN_TAPS, WINDOWS_MAX_CHUNKS},
};
use cell::{CombineFn, NO_INDEX, WindowElement, WindowType, combine_as, select, typed};
use neurax_ir::{
    DType, Eqn, Error, Graph, Kind, Op, OrBug, Result, Type,
    op::{ArgKind, ReduceKind, ReduceWindow, SelectAndGather, SelectAndScatter, Slide},
};
use pairs2x2::select_pairs;
use smallvec::SmallVec;
use std::ops::Range;
use whole_lines::{CombineLinesFn, combine_lines};

/// The task of an op over sliding windows.
#[derive(Debug)]
pub struct WindowsTask {
    kind: WindowsKind,
    /// The array that windows slide over.
    x: WindowArray,
    /// The elements that are gathered or scattered.
    source: WindowArray,
    to: BufferId,
    /// The number of blocks; no window reaches over the end of one.
    blocks: usize,
    /// The axes of a block. Rows of windows run along the last one.
    axes: SmallVec<[WindowAxis; 4]>,
    /// The numbers of elements and windows of a block.
    sizes: [usize; 2],
    /// The first element, if windows along the last axis are adjacent pairs.
    pairs: Option<usize>,
    chunks: usize,
}

/// A buffer whose elements have loops.
#[derive(Clone, Copy, Debug)]
struct WindowArray {
    buffer: BufferId,
    dtype: DType,
    ty: WindowType,
}

impl WindowArray {
    /// Returns the array of type `ty` in `buffer`.
    ///
    /// # Errors
    /// If there are no loops for its dtype, an error of this crate.
    fn new(buffer: BufferId, ty: &Type) -> Result<WindowArray> {
        let element = WindowType::of(ty.dtype);
        let element = element.or_bug(format!("windows over {ty} have no loops"))?;
        Ok(WindowArray { buffer, dtype: ty.dtype, ty: element })
    }
}

/// The bytes of the best element under a window, 8 at most, and its index.
const BEST_BYTES: usize = 12;

/// The offsets in a block of the rows of elements under a row of windows.
type RowOffsets = SmallVec<[usize; 16]>;

/// The op, with its reduction or selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WindowsKind {
    Reduce(ReduceKind),
    Gather(ArgKind),
    Scatter(ArgKind),
}

/// An axis that windows slide along.
#[derive(Debug)]
struct WindowAxis {
    elements: usize,
    windows: usize,
    /// For every tap, the windows that have an element under it.
    taps: Box<[TapRange]>,
    /// The stride from one element to the next.
    stride: usize,
}

impl WindowAxis {
    /// Returns the first element, if windows are adjacent pairs of elements and none reaches over
    /// the end.
    fn pairs(&self) -> Option<usize> {
        let [a, b] = &self.taps[..] else { return None };
        let whole = |run: &TapRange| {
            *run == TapRange { first: 0, step: 1, count: self.windows, by: 2, element: run.element }
        };
        (whole(a) && whole(b) && b.element == a.element + 1).then_some(a.element)
    }
}

impl WindowsTask {
    /// Creates the task of equation `e`.
    ///
    /// # Errors
    /// If indices do not fit into 32 bits, or if `op` has no windows, an error of this crate.
    pub fn new(
        graph: &Graph,
        e: &Eqn,
        op: &Op,
        reads: &[BufferId],
        to: BufferId,
    ) -> Result<WindowsTask> {
        let fail = |why: &str| Error::new(op.name(), why.to_string()).at_origin(&e.at);
        let (kind, sizes, slides) = match op {
            Op::ReduceWindow(ReduceWindow { kind, sizes, slides }) => {
                (WindowsKind::Reduce(*kind), sizes, slides)
            }
            Op::SelectAndGather(SelectAndGather { kind, sizes, slides }) => {
                (WindowsKind::Gather(*kind), sizes, slides)
            }
            Op::SelectAndScatter(SelectAndScatter { kind, sizes, slides }) => {
                (WindowsKind::Scatter(*kind), sizes, slides)
            }
            op => {
                let what = format!("{} has no windows", op.name());
                return Err(Error::bug(what).at_origin(&e.at));
            }
        };
        let (x, y) = (graph.ty(e.inputs[0]), graph.ty(e.outputs[0]));
        if let WindowsKind::Reduce(reduce) = kind
            && matches!(reduce, ReduceKind::And | ReduceKind::Or | ReduceKind::Xor)
            && x.dtype.kind() == Kind::Float
        {
            let what = format!("windows over {x} are reduced bit by bit");
            return Err(Error::bug(what).at_origin(&e.at));
        }
        let windows = if let WindowsKind::Scatter(_) = kind { graph.ty(e.inputs[1]) } else { y };
        let (blocks, axes) = axes(&x.shape, &windows.shape, sizes, slides);
        let of = |f: fn(&WindowAxis) -> usize| axes.iter().map(f).product::<usize>();
        let totals = [of(|a| a.elements), of(|a| a.windows)];
        if totals[0] >= NO_INDEX as usize && !matches!(kind, WindowsKind::Reduce(_)) {
            return Err(fail(
                "expected fewer than 2^32 elements under the windows of one block; split the batch",
            ));
        }
        let work = blocks.saturating_mul(totals[1]).saturating_mul(of(|a| a.taps.len()));
        let source = e.inputs.len() - 1;
        let array = |i: usize| {
            let array = WindowArray::new(reads[i], graph.ty(e.inputs[i]));
            array.map_err(|bug| bug.at_origin(&e.at))
        };
        let pairs = axes.last().and_then(WindowAxis::pairs);
        Ok(WindowsTask {
            kind,
            x: array(0)?,
            source: array(source)?,
            to,
            blocks,
            axes,
            sizes: totals,
            pairs,
            chunks: (work / WINDOWS_GRAIN_TAPS).clamp(1, WINDOWS_MAX_CHUNKS),
        })
    }

    /// Runs the op.
    ///
    /// # Safety
    /// The slots hold addresses of the buffers of the task's schedule, and no other thread uses the
    /// results.
    pub unsafe fn run(&self, slots: &[Address], pool: &Pool) {
        let (x, source, to) = (slots[self.x.buffer], slots[self.source.buffer], slots[self.to]);
        // Windows of one block may add to the same element.
        let total = if let WindowsKind::Scatter(_) = self.kind {
            self.blocks
        } else {
            self.blocks * self.rows()
        };
        let chunks = self.chunks.min(total).max(1);
        let each = total.div_ceil(chunks);
        let run = |part: usize| {
            let range = (part * each).min(total)..((part + 1) * each).min(total);
            // SAFETY: as promised by the caller; chunks write different elements.
            unsafe {
                match self.kind {
                    WindowsKind::Reduce(kind) => {
                        typed!(self.x.ty, T => self.reduce::<T>(kind, x, to, range))
                    }
                    WindowsKind::Gather(kind) => self.gather(kind, x, source, to, range),
                    WindowsKind::Scatter(kind) => self.scatter(kind, x, source, to, range),
                }
            }
        };
        if chunks == 1 { run(0) } else { pool.run(chunks, &run) }
    }

    /// Returns the bytes that the op allocates on `threads` threads: the best element and its index
    /// for each window of a row, and the totals of a scatter that adds many values to an element.
    pub fn scratch(&self, threads: usize) -> usize {
        let row = self.last().windows.saturating_mul(BEST_BYTES);
        let totals = match self.kind {
            WindowsKind::Scatter(_) if self.has_long_sums() => self.sizes[0].saturating_mul(8),
            // other: sums over a window take less than its best elements.
            _ => 0,
        };
        row.saturating_add(totals).saturating_mul(self.chunks.min(threads))
    }

    /// Returns true if a scatter may add more values to an element than one block of a sum holds.
    fn has_long_sums(&self) -> bool {
        let overlap = |a: &WindowAxis| a.taps.len().min(a.windows);
        self.axes.iter().map(overlap).fold(1, usize::saturating_mul) > SUM_BLOCK
    }

    /// Returns the axis along which rows run.
    fn last(&self) -> &WindowAxis {
        &self.axes[self.axes.len() - 1]
    }

    /// Returns true if there are no windows along the last axis.
    fn has_whole_lines(&self) -> bool {
        let last = self.last();
        let whole = TapRange { first: 0, step: 1, count: last.windows, by: 1, element: 0 };
        last.elements == last.windows && last.taps[..] == [whole]
    }

    /// Returns the number of rows of windows in a block.
    fn rows(&self) -> usize {
        self.axes[..self.axes.len() - 1].iter().map(|a| a.windows).product()
    }

    /// Calls `f` with every row of windows in `range`, its block, and the offsets in the block of
    /// the rows of elements under it, in order.
    #[inline(always)]
    fn each(&self, range: Range<usize>, mut f: impl FnMut(usize, usize, &[usize])) {
        let rows = self.rows();
        let (mut block, mut of_block) = (range.start / rows.max(1), range.start % rows.max(1));
        let mut under = RowOffsets::new();
        for row in range {
            under.clear();
            self.descend(0, of_block, rows, 0, &mut under);
            f(row, block, &under);
            of_block += 1;
            if of_block == rows {
                (block, of_block) = (block + 1, 0);
            }
        }
    }

    /// Appends to `out` the offsets under row `row` of the `rows` rows of the axes from `axis` on.
    fn descend(&self, axis: usize, row: usize, rows: usize, offset: usize, out: &mut RowOffsets) {
        if axis + 1 == self.axes.len() {
            return out.push(offset);
        }
        let a = &self.axes[axis];
        // The last of these axes is the usual case, and divisions would take longer than the row.
        let inner = if axis + 2 == self.axes.len() { 1 } else { rows / a.windows };
        let (window, rest) = if inner == 1 { (row, 0) } else { (row / inner, row % inner) };
        for e in a.taps.iter().filter_map(|tap| tap.at(window)) {
            self.descend(axis + 1, rest, inner, offset + e * a.stride, out);
        }
    }

    /// Returns the offsets of two rows, if they are all that lies under windows of two by two.
    fn pair(&self, under: &[usize]) -> Option<[usize; 2]> {
        let (Some(first), &[a, b]) = (self.pairs, under) else { return None };
        Some([a + first, b + first])
    }

    /// Combines the elements under the windows of the rows in `range`.
    ///
    /// # Safety
    /// The task reduces, and `x` and `to` are the addresses of its buffers, with elements of type
    /// `T`; it has the rows of windows `range`, and no other thread uses their results.
    unsafe fn reduce<T: WindowElement>(
        &self,
        kind: ReduceKind,
        x: Address,
        to: Address,
        range: Range<usize>,
    ) {
        let (x, to) = (x.0.cast::<T>().cast_const(), to.0.cast::<T>());
        let kind = kind.on(self.x.dtype);
        let (start, (combine, combine_pairs, lines), n) =
            (T::identity(kind, self.x.dtype), combine::<T>(kind), self.last().windows);
        self.each(range, |row, block, under| {
            // SAFETY: as promised by the caller; ranges stay inside of the block.
            unsafe {
                let (x, to) = (x.add(block * self.sizes[0]), to.add(row * n));
                if let Some(pair) = self.pair(under) {
                    return combine_pairs(pair.map(|offset| x.add(offset)), to, n);
                }
                let taps = &self.last().taps;
                let is_sum = kind == ReduceKind::Sum && T::IS_ROUNDED;
                if self.has_whole_lines() && (!is_sum || under.len() <= SUM_BLOCK) {
                    return lines(under, x, start, to, n);
                }
                let clear = || (0..n).for_each(|i| *to.add(i) = start);
                clear();
                if !is_sum || under.len() * taps.len() <= SUM_BLOCK {
                    under.iter().for_each(|&offset| {
                        taps.iter().for_each(|run| combine(run, x.add(offset), to))
                    });
                    return;
                }
                let row = StridedMatrix { at: to, steps: [1, n as isize] };
                let mut totals = SumTotals::zeros(n, 1);
                let all = under.iter().flat_map(|&o| taps.iter().map(move |run| (o, run)));
                for (i, (offset, run)) in all.enumerate() {
                    if i % SUM_BLOCK == 0 && i > 0 {
                        totals.add(row);
                        clear();
                    }
                    combine(run, x.add(offset), to);
                }
                totals.add(row);
                totals.store(row);
            }
        });
    }

    /// Finds the indices in the block of the best elements under a row of windows, which has the
    /// rows `under` under it.
    ///
    /// # Safety
    /// `x` is the first element of a block, with elements of type `T`, and `under` is what
    /// [`WindowsTask::each`] gives for a row of windows; `best` and `indices` have room for an
    /// element and an index of each window of a row.
    unsafe fn indices<T: WindowElement, const MAX: bool>(
        &self,
        x: Address,
        under: &[usize],
        best: Address,
        indices: *mut u32,
    ) {
        let (x, best, n) = (x.0.cast::<T>().cast_const(), best.0.cast::<T>(), self.last().windows);
        // SAFETY: as promised by the caller.
        unsafe {
            if let Some(pair) = self.pair(under) {
                return select_pairs::<T, MAX>(x, pair, indices, n);
            }
            (0..n).for_each(|i| (*best.add(i), *indices.add(i)) = (T::ZERO, NO_INDEX));
            under.iter().for_each(|&offset| {
                self.last()
                    .taps
                    .iter()
                    .for_each(|run| select::<T, MAX>(run, x, offset, best, indices))
            });
        }
    }

    /// Calls `f` with every row of windows in `range`, its block, and the indices of the best
    /// elements of its windows.
    ///
    /// # Safety
    /// `x` is the address of the array that windows slide over, and the task has the rows of
    /// windows `range`.
    unsafe fn each_best(
        &self,
        kind: ArgKind,
        x: Address,
        range: Range<usize>,
        f: &mut dyn FnMut(usize, usize, &[u32]),
    ) {
        let n = self.last().windows;
        let bytes = (self.sizes[0] * self.x.dtype.bits() / 8) as isize;
        let mut own = Scratch::new(n * BEST_BYTES);
        let best = own.address();
        let indices: *mut u32 = best.plus(n as isize * 8).0.cast();
        let is_max = kind == ArgKind::Max;
        let find = typed!(self.x.ty, T => {
            if is_max { Self::indices::<T, true> } else { Self::indices::<T, false> }
        });
        self.each(range, |row, block, under| {
            // SAFETY: as promised by the caller.
            unsafe {
                find(self, x.plus(block as isize * bytes), under, best, indices);
                f(row, block, std::slice::from_raw_parts(indices, n));
            }
        });
    }

    /// Gathers the elements of `source` at the best indices under the windows of the rows in
    /// `range`.
    ///
    /// # Safety
    /// The task gathers, and `x`, `source` and `to` are the addresses of its buffers; it has the
    /// rows of windows `range`, and no other thread uses their results.
    unsafe fn gather(
        &self,
        kind: ArgKind,
        x: Address,
        source: Address,
        to: Address,
        range: Range<usize>,
    ) {
        // SAFETY: as promised by the caller; indices lie in the block.
        unsafe {
            typed!(self.source.ty, S => self.each_best(kind, x, range, &mut |row, block, indices| {
                let from = source.0.cast::<S>().add(block * self.sizes[0]);
                let to = to.0.cast::<S>().add(row * indices.len());
                for (i, &p) in indices.iter().enumerate() {
                    *to.add(i) = if p == NO_INDEX { S::ZERO } else { *from.add(p as usize) };
                }
            }));
        }
    }

    /// Scatters the elements of `source` to the best indices under the windows of `blocks`, adding.
    ///
    /// # Safety
    /// The task scatters, and `x`, `source` and `to` are the addresses of its buffers; it has the
    /// blocks `blocks`, and no other thread uses their results.
    unsafe fn scatter(
        &self,
        kind: ArgKind,
        x: Address,
        source: Address,
        to: Address,
        blocks: Range<usize>,
    ) {
        let rows = blocks.start * self.rows()..blocks.end * self.rows();
        let is_bool = self.source.dtype == DType::Bool;
        let size = self.sizes[0];
        let is_long = self.has_long_sums();
        // SAFETY: as promised by the caller; indices lie in the block.
        unsafe {
            typed!(self.source.ty, S => {
                let mut totals = None;
                let to = to.0.cast::<S>();
                if rows.is_empty() {
                    to.add(blocks.start * size).write_bytes(0, blocks.len() * size);
                }
                self.each_best(kind, x, rows, &mut |row, block, indices| {
                    let to = to.add(block * size);
                    if row == block * self.rows() {
                        to.write_bytes(0, size);
                        totals = (S::IS_ROUNDED && is_long).then(|| SumTotals::zeros(size, 1));
                    }
                    let from = source.0.cast::<S>().add(row * indices.len());
                    let all = indices.iter().enumerate().filter(|(_, p)| **p != NO_INDEX);
                    if let Some(totals) = &mut totals {
                        for (i, &p) in all {
                            totals.add_to_row(p as usize, (*from.add(i)).widen());
                        }
                        if row + 1 == (block + 1) * self.rows() {
                            totals.store(StridedMatrix { at: to, steps: [1, size as isize] });
                        }
                        return;
                    }
                    for (i, &p) in all {
                        let (to, x) = (to.add(p as usize), *from.add(i));
                        *to = if is_bool {
                            S::combine(ReduceKind::Or, *to, x)
                        } else {
                            S::combine(ReduceKind::Sum, *to, x)
                        };
                    }
                })
            });
        }
    }
}

/// Returns the loops of `kind`: over a range, and over windows of two by two.
fn combine<T: WindowElement>(
    kind: ReduceKind,
) -> (CombineFn<T>, pairs2x2::CombinePairsFn<T>, CombineLinesFn<T>) {
    macro_rules! pick {
        ($($K:ident),*) => {
            match kind {
                $(ReduceKind::$K => (
                    combine_as::<T, { ReduceKind::$K as usize }>,
                    pairs2x2::combine_pairs::<T, { ReduceKind::$K as usize }>,
                    widest_lines::<T, { ReduceKind::$K as usize }>(),
                )),*
            }
        };
    }
    pick!(Sum, Prod, Max, Min, And, Or, Xor)
}

/// Returns the function for the widest vectors of this CPU; only floats have one for wide ones.
fn widest_lines<T: WindowElement, const KIND: usize>() -> CombineLinesFn<T> {
    #[cfg(target_arch = "x86_64")]
    if T::IS_ROUNDED && std::arch::is_x86_feature_detected!("avx2") {
        return whole_lines::combine_lines_in_avx2::<T, KIND>;
    }
    combine_lines::<T, KIND>
}

/// Returns the number of blocks along the front axes, which have no windows, and the axes behind
/// them; neighbouring axes without windows are merged.
fn axes(
    shape: &[usize],
    counts: &[usize],
    sizes: &[usize],
    slides: &[Slide],
) -> (usize, SmallVec<[WindowAxis; 4]>) {
    let trivial = |i: usize| sizes[i] == 1 && slides[i] == Slide::default();
    let front = (0..shape.len()).take_while(|&i| trivial(i)).count();
    let mut out: SmallVec<[WindowAxis; 4]> = SmallVec::new();
    let mut i = front;
    while i < shape.len() {
        let end = if trivial(i) {
            // empty: all axes behind are trivial.
            (i..shape.len()).find(|&j| !trivial(j)).unwrap_or(shape.len())
        } else {
            i + 1
        };
        let (elements, windows) = (shape[i..end].iter().product(), counts[i..end].iter().product());
        out.push(WindowAxis {
            elements,
            windows,
            taps: TapRange::of_used_taps(&slides[i], elements, sizes[i], windows),
            stride: shape[end..].iter().product(),
        });
        i = end;
    }
    if out.is_empty() {
        out.push(WindowAxis {
            elements: 1,
            windows: 1,
            taps: TapRange::of_taps(&Slide::default(), 1, 1, 1),
            stride: 1,
        });
    }
    (shape[..front].iter().product(), out)
}
