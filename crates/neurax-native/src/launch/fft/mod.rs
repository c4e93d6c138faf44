//! Discrete Fourier transforms: passes along one axis after the other, by the crates `rustfft` and
//! `realfft`.
//!
//! A pass transforms every line along its axis. Lines along the last axis are contiguous. Those
//! along another axis are copied to scratch memory, a few neighbors at a time, so that whole cache
//! lines are read and written. Chunks of lines run in parallel; a single long line is transformed
//! by one thread.
//!
//! ```text
//! rfft  [2, 3, 8]: operand -> result along the last axis, then result -> result along axis 1
//! irfft [2, 3, 8]: operand -> spare memory along axis 1, then spare -> result along the last axis
//! ```
//!
//! Invariants: the plan of each length is made once, when the program is compiled; a line is read
//! completely before it is written, so that a complex transform may run in place.

#![allow(unsafe_code, reason = "buffers are read and written by address")]

mod lines;

use super::pool::Pool;
use crate::{
    address::Address,
    schedule::BufferId,
    tuning::{FFT_GRAIN_ELEMENTS, FFT_MAX_CHUNKS},
};
use lines::{Line, Lines, Planner};
use neurax_ir::{
    Complex, DType, Eqn, Graph, Type,
    op::{Fft, FftKind},
};

/// The task of a discrete Fourier transform.
#[derive(Debug)]
pub struct FftTask {
    from: BufferId,
    to: BufferId,
    /// True if operand and result have the same type.
    in_place: bool,
    /// The bytes of the complex numbers between the passes of an `irfft`.
    spare: usize,
    passes: Passes,
}

#[derive(Debug)]
enum Passes {
    F32(Box<[AxisPass<f32>]>),
    F64(Box<[AxisPass<f64>]>),
}

/// The transform of all lines along an axis.
#[derive(Debug)]
struct AxisPass<T: Line> {
    lines: Lines<T>,
    from: FftArray,
    to: FftArray,
    chunks: usize,
}

/// The array that a pass reads or writes.
#[derive(Clone, Copy, Debug)]
enum FftArray {
    Operand,
    Result,
    Spare,
}

impl FftTask {
    /// Creates the task of equation `e`, which reads the buffer `from` and writes the buffer `to`.
    pub fn new(graph: &Graph, e: &Eqn, op: &Fft, from: BufferId, to: BufferId) -> FftTask {
        let (x, y) = (graph.ty(e.inputs[0]), graph.ty(e.outputs[0]));
        let is_double = x.dtype.real() == DType::F64;
        let element = if is_double { size_of::<Complex<f64>>() } else { size_of::<Complex<f32>>() };
        let has_spare = op.kind == FftKind::Irfft && op.lengths.len() > 1;
        let spare = if has_spare { x.size().saturating_mul(element) } else { 0 };
        let passes = match is_double {
            true => Passes::F64(passes(op, x, y)),
            false => Passes::F32(passes(op, x, y)),
        };
        FftTask { from, to, in_place: x == y, spare, passes }
    }

    /// Returns the operand and the result if they may share memory.
    pub fn in_place(&self) -> Vec<(BufferId, BufferId)> {
        self.in_place.then_some((self.from, self.to)).into_iter().collect()
    }

    /// Returns the bytes of memory that [`FftTask::run`] takes from the plan.
    pub fn spare(&self) -> usize {
        self.spare
    }

    /// Returns the bytes that the task allocates on `threads` threads.
    pub fn scratch(&self, threads: usize) -> usize {
        match &self.passes {
            Passes::F32(passes) => scratch(passes, threads),
            Passes::F64(passes) => scratch(passes, threads),
        }
    }

    /// Runs the transform.
    ///
    /// # Safety
    /// The slots hold addresses of the buffers of the task's schedule, `spare` has the bytes that
    /// the task asked for, and no other thread uses that memory or the result.
    pub unsafe fn run(&self, slots: &[Address], pool: &Pool, spare: Address) {
        let at = |place| match place {
            FftArray::Operand => slots[self.from],
            FftArray::Result => slots[self.to],
            FftArray::Spare => spare,
        };
        // SAFETY: as promised by the caller.
        unsafe {
            match &self.passes {
                Passes::F32(passes) => passes.iter().for_each(|p| p.run(&at, pool)),
                Passes::F64(passes) => passes.iter().for_each(|p| p.run(&at, pool)),
            }
        }
    }
}

/// Returns the bytes that the passes allocate at most at a time on `threads` threads.
fn scratch<T: Line>(passes: &[AxisPass<T>], threads: usize) -> usize {
    let of = |p: &AxisPass<T>| p.lines.scratch().saturating_mul(p.chunks.min(threads));
    passes.iter().map(of).fold(0, usize::max)
}

/// Returns the passes of `op` from an operand of type `x` to a result of type `y`.
fn passes<T: Line>(op: &Fft, x: &Type, y: &Type) -> Box<[AxisPass<T>]> {
    let (rank, axes) = (x.rank(), op.lengths.len());
    let mut planner = Planner::new();
    let is_irfft = op.kind == FftKind::Irfft;
    // Next to the real side of a transform, only the pass along the last axis reads or writes it.
    let mut order: Vec<usize> = (rank - axes..rank).collect();
    if !is_irfft {
        order.reverse();
    }
    let scale = op.kind.is_inverse().then(|| op.lengths.iter().map(|&n| 1.0 / n as f64).product());
    let mut at = FftArray::Operand;
    let mut out = vec![];
    for (i, &axis) in order.iter().enumerate() {
        let is_end = i + 1 == axes;
        let kind = match op.kind {
            FftKind::Rfft if axis + 1 < rank => FftKind::Fft,
            FftKind::Irfft if axis + 1 < rank => FftKind::Ifft,
            kind => kind,
        };
        // The lines are those of the complex side.
        let complex = if is_irfft { x } else { y };
        let inner = complex.shape[axis + 1..].iter().product();
        let outer: usize = complex.shape[..axis].iter().product();
        let to = if is_irfft && !is_end { FftArray::Spare } else { FftArray::Result };
        let n = op.lengths[axis + axes - rank];
        let lines = Lines::new(&mut planner, kind, n, inner, outer, scale.filter(|_| is_end));
        let work = outer.saturating_mul(inner).saturating_mul(n) / FFT_GRAIN_ELEMENTS;
        let chunks = work.clamp(1, FFT_MAX_CHUNKS).min((outer * inner).max(1));
        out.push(AxisPass { lines, from: at, to, chunks });
        at = to;
    }
    out.into()
}

impl<T: Line> AxisPass<T> {
    /// Runs the pass over the arrays at the addresses `at`.
    ///
    /// # Safety
    /// As for [`FftTask::run`].
    unsafe fn run(&self, at: &impl Fn(FftArray) -> Address, pool: &Pool) {
        let (from, to, count) = (at(self.from), at(self.to), self.lines.count());
        let each = count.div_ceil(self.chunks);
        let run = |part: usize| {
            let lines = (part * each).min(count)..((part + 1) * each).min(count);
            // SAFETY: as promised by the caller; chunks have different lines.
            unsafe { self.lines.run(from, to, lines) }
        };
        if self.chunks == 1 { run(0) } else { pool.run(self.chunks, &run) }
    }
}
