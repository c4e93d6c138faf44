//! Transforms of lines: complex to complex, real to complex, complex to real.

use super::super::scratch::Scratch;
use crate::{address::Address, tuning::FFT_BLOCK_LINES};
use neurax_ir::{Complex, op::FftKind};
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{FftDirection, FftNum, FftPlanner};
use std::{fmt, ops::Range, sync::Arc};

/// A float in which lines are transformed: f32 or f64.
pub trait Line: FftNum {
    /// Rounds `x`.
    fn rounded(x: f64) -> Self;
}

impl Line for f32 {
    fn rounded(x: f64) -> f32 {
        x as f32
    }
}

impl Line for f64 {
    fn rounded(x: f64) -> f64 {
        x
    }
}

/// The planners of both crates; equal lengths share a plan.
pub struct Planner<T: Line> {
    complex: FftPlanner<T>,
    real: RealFftPlanner<T>,
}

impl<T: Line> Planner<T> {
    pub fn new() -> Planner<T> {
        Planner { complex: FftPlanner::new(), real: RealFftPlanner::new() }
    }
}

/// All lines along an axis: line `i` begins in block `i / inner` at offset `i % inner`, and its
/// entries are `inner` apart.
pub struct Lines<T: Line> {
    plan: Plan<T>,
    /// The length of the transform.
    n: usize,
    /// The stride from one entry to the next, in elements: the number of lines that interleave.
    inner: usize,
    outer: usize,
    /// The factor of the results.
    scale: Option<T>,
}

/// The transform of one line.
enum Plan<T: Line> {
    Complex(Arc<dyn rustfft::Fft<T>>),
    ToComplex(Arc<dyn RealToComplex<T>>),
    ToReal(Arc<dyn ComplexToReal<T>>),
}

impl<T: Line> fmt::Debug for Lines<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kind = match self.plan {
            Plan::Complex(_) => "complex",
            Plan::ToComplex(_) => "real to complex",
            Plan::ToReal(_) => "complex to real",
        };
        write!(f, "{}x{} lines of length {}, {kind}", self.outer, self.inner, self.n)
    }
}

/// The sizes of a group of lines, and its memory.
struct LineGroup<'a, T> {
    /// The index of the first element in the array that is read, and in the one that is written.
    first: [usize; 2],
    /// The number of lines, neighbors of each other.
    width: usize,
    /// Memory for the group, line by line.
    own: &'a mut [Complex<T>],
    /// Memory for the plan.
    spare: &'a mut [Complex<T>],
}

impl<T: Line> Lines<T> {
    /// Creates the transform of kind `kind` and length `n` of `outer` times `inner` lines, whose
    /// results are multiplied by `scale`. Those of a real transform are along the last axis.
    pub fn new(
        planner: &mut Planner<T>,
        kind: FftKind,
        n: usize,
        inner: usize,
        outer: usize,
        scale: Option<f64>,
    ) -> Lines<T> {
        let plan = match kind {
            FftKind::Fft => Plan::Complex(planner.complex.plan_fft(n, FftDirection::Forward)),
            FftKind::Ifft => Plan::Complex(planner.complex.plan_fft(n, FftDirection::Inverse)),
            FftKind::Rfft => Plan::ToComplex(planner.real.plan_fft_forward(n)),
            FftKind::Irfft => Plan::ToReal(planner.real.plan_fft_inverse(n)),
        };
        Lines { plan, n, inner, outer, scale: scale.map(T::rounded) }
    }

    /// Returns the number of lines.
    pub fn count(&self) -> usize {
        self.outer * self.inner
    }

    /// Returns the bytes that [`Lines::run`] allocates.
    pub fn scratch(&self) -> usize {
        let [own, spare] = self.scratch_elements();
        own.saturating_add(spare).saturating_mul(size_of::<Complex<T>>())
    }

    /// Transforms the lines `lines` of the array at `from` into the array at `to`.
    ///
    /// # Safety
    /// The arrays have all lines, `from` may be `to` if both are complex, and no other thread uses
    /// these lines of the result, or writes these lines of the operand.
    pub unsafe fn run(&self, from: Address, to: Address, lines: Range<usize>) {
        let [own, spare] = self.scratch_elements();
        let mut memory = Scratch::new(self.scratch());
        let memory = memory.address().0.cast::<Complex<T>>();
        // SAFETY: the scratch memory has room for both, is aligned to a cache line, and is not
        // used elsewhere; zero bytes are the complex number 0.
        let (own, spare) = unsafe {
            memory.write_bytes(0, own + spare);
            std::slice::from_raw_parts_mut(memory, own + spare).split_at_mut(own)
        };
        let [reads, writes] = self.sizes();
        let mut next = lines.start;
        while next < lines.end {
            let (block, offset) = (next / self.inner, next % self.inner);
            let width = FFT_BLOCK_LINES.min(self.inner - offset).min(lines.end - next);
            let first = [reads, writes].map(|n| block * n * self.inner + offset);
            let group = LineGroup { first, width, own: &mut *own, spare: &mut *spare };
            // SAFETY: as promised by the caller; the group lies in `lines`.
            unsafe { self.group(from, to, group) }
            next += width;
        }
    }

    /// Returns the number of elements of a line that is read, and of one that is written.
    fn sizes(&self) -> [usize; 2] {
        let half = self.n / 2 + 1;
        match self.plan {
            Plan::Complex(_) => [self.n, self.n],
            Plan::ToComplex(_) => [self.n, half],
            Plan::ToReal(_) => [half, self.n],
        }
    }

    /// Returns the scratch memory, in complex numbers: of a group of lines, and of the plan.
    fn scratch_elements(&self) -> [usize; 2] {
        match &self.plan {
            Plan::Complex(f) if self.inner == 1 => [0, f.get_inplace_scratch_len()],
            Plan::Complex(f) => {
                [self.n * FFT_BLOCK_LINES.min(self.inner), f.get_inplace_scratch_len()]
            }
            Plan::ToComplex(f) => [self.n.div_ceil(2), f.get_scratch_len()],
            Plan::ToReal(f) => [self.n / 2 + 1, f.get_scratch_len()],
        }
    }

    /// Transforms a group of lines. Those of a real transform are single and contiguous.
    ///
    /// # Safety
    /// As for [`Lines::run`], for the lines of the group.
    unsafe fn group(&self, from: Address, to: Address, group: LineGroup<T>) {
        let (n, LineGroup { first: [read, write], width, own, spare }) = (self.n, group);
        let half = n / 2 + 1;
        // SAFETY: as promised by the caller. A result may not be initialized before: it is written
        // before it becomes a slice.
        unsafe {
            match &self.plan {
                Plan::Complex(f) if self.inner == 1 => {
                    let (x, y) =
                        (elements::<Complex<T>>(from, read), elements::<Complex<T>>(to, write));
                    std::ptr::copy(x, y, n);
                    let line = std::slice::from_raw_parts_mut(y, n);
                    f.process_with_scratch(line, spare);
                    if let Some(c) = self.scale {
                        line.iter_mut().for_each(|z| *z = *z * c);
                    }
                }
                Plan::Complex(f) => {
                    let (x, y) =
                        (elements::<Complex<T>>(from, read), elements::<Complex<T>>(to, write));
                    let own = &mut own[..n * width];
                    for j in 0..n {
                        (0..width).for_each(|i| own[i * n + j] = *x.add(j * self.inner + i));
                    }
                    f.process_with_scratch(own, spare);
                    if let Some(c) = self.scale {
                        own.iter_mut().for_each(|z| *z = *z * c);
                    }
                    for j in 0..n {
                        (0..width).for_each(|i| *y.add(j * self.inner + i) = own[i * n + j]);
                    }
                }
                Plan::ToComplex(f) => {
                    let (x, y) = (elements::<T>(from, read), elements::<Complex<T>>(to, write));
                    let line = std::slice::from_raw_parts_mut(own.as_mut_ptr().cast::<T>(), n);
                    line.copy_from_slice(std::slice::from_raw_parts(x, n));
                    y.write_bytes(0, half);
                    let y = std::slice::from_raw_parts_mut(y, half);
                    // The lengths fit; nothing else is an error.
                    let _ = f.process_with_scratch(line, y, spare);
                }
                Plan::ToReal(f) => {
                    let (x, y) = (elements::<Complex<T>>(from, read), elements::<T>(to, write));
                    let own = &mut own[..half];
                    own.copy_from_slice(std::slice::from_raw_parts(x, half));
                    own[0].im = T::zero();
                    if n.is_multiple_of(2) {
                        own[half - 1].im = T::zero();
                    }
                    y.write_bytes(0, n);
                    let y = std::slice::from_raw_parts_mut(y, n);
                    // The lengths fit, and the entries above are real.
                    let _ = f.process_with_scratch(own, y, spare);
                    if let Some(c) = self.scale {
                        y.iter_mut().for_each(|z| *z = *z * c);
                    }
                }
            }
        }
    }
}

/// Returns the address of element `i` of an array.
fn elements<E>(array: Address, i: usize) -> *mut E {
    array.0.cast::<E>().wrapping_add(i)
}
