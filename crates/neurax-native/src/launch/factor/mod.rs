//! Factorizations of matrices and triangular systems, by `neurax-linalg`.
//!
//! The matrices of a batch run in chunks, in parallel, each on one thread; a large matrix that is
//! alone is shared by the threads of `neurax-linalg`. Elements in another than double precision are
//! copied, factored, and rounded into the result, so that f32 and c64 lose no digits on the way.
//!
//! ```text
//! f32[1000, 4, 4] -> chunks of matrices -> 16 f64 -> cholesky -> 16 f64 -> f32[1000, 4, 4]
//! ```
//!
//! Invariants: whether a matrix is shared follows from the shapes alone. As in the reference, a
//! matrix without a factorization has results of NaN, and signs and phases follow the docs of the
//! ops. Subnormal numbers are kept: with them as zeros, faer's eigenvalues of some matrices of
//! three rows are wrong by tens of percent.

#![allow(unsafe_code, reason = "buffers are read and written by address")]

mod of_matrix;

use super::{pool::Pool, subnormal::keep_subnormals};
use crate::{
    address::Address,
    schedule::BufferId,
    tuning::{FACTOR_GRAIN_OPERATIONS, FACTOR_MAX_CHUNKS, FACTOR_SHARED_OPERATIONS},
};
use neurax_ir::{Complex, Compute, DType, Eqn, Graph, OrBug, Result, Type, Value, with_compute};
use neurax_linalg::{Division, Field, with_threads};
use of_matrix::{FactorSizes, Factorization};
use std::{ops::Range, slice};

/// The task of a factorization.
#[derive(Debug)]
pub struct FactorTask {
    op: Factorization,
    sizes: FactorSizes,
    operands: Box<[BatchBuffer]>,
    results: Box<[BatchBuffer]>,
    /// The number of matrices.
    count: usize,
    chunks: usize,
    /// True if the operands or results are complex.
    is_complex: bool,
}

/// A buffer of matrices, vectors or numbers, one for each matrix of the batch.
#[derive(Debug)]
struct BatchBuffer {
    buffer: BufferId,
    dtype: DType,
    /// The number of elements for one matrix.
    len: usize,
}

impl FactorTask {
    /// Creates the task of equation `e`, which reads the buffers `reads` and writes the buffers
    /// `writes`.
    ///
    /// # Errors
    /// If the op is no factorization, a bug.
    pub fn new(
        graph: &Graph,
        e: &Eqn,
        reads: &[BufferId],
        writes: &[BufferId],
    ) -> Result<FactorTask> {
        let op = Factorization::of(&e.op).or_bug("the op of a factorization is another one")?;
        let x = graph.ty(e.inputs[0]);
        let count: usize = x.shape[..x.rank() - 2].iter().product();
        let buffers = |buffers: &[BufferId], values: &[Value]| -> Box<[BatchBuffer]> {
            let of = |(&b, &v): (&BufferId, &Value)| BatchBuffer::new(b, graph.ty(v), count);
            buffers.iter().zip(values).map(of).collect()
        };
        let last = graph.ty(e.inputs[e.inputs.len() - 1]);
        let sizes = FactorSizes {
            rows: x.shape[x.rank() - 2],
            columns: x.shape[x.rank() - 1],
            right: last.shape[last.rank() - 1],
        };
        let work = sizes.operations().saturating_mul(count) / FACTOR_GRAIN_OPERATIONS;
        Ok(FactorTask {
            op,
            sizes,
            operands: buffers(reads, &e.inputs),
            results: buffers(writes, &e.outputs),
            count,
            chunks: work.clamp(1, FACTOR_MAX_CHUNKS).min(count.max(1)),
            is_complex: e.outputs.iter().any(|&y| graph.ty(y).dtype.is_complex()),
        })
    }

    /// Returns the bytes that the task allocates on `threads` threads: its own copies, and about as
    /// much again for each matrix of the method.
    pub fn scratch(&self, threads: usize) -> usize {
        let larger = self.sizes.rows.max(self.sizes.columns);
        let matrix = larger.saturating_mul(larger).saturating_mul(size_of::<Complex<f64>>());
        matrix.saturating_mul(METHOD_MATRICES).saturating_mul(self.chunks.min(threads))
    }

    /// Runs the factorization.
    ///
    /// # Safety
    /// The slots hold addresses of the buffers of the task's schedule, and no other thread uses the
    /// results.
    pub unsafe fn run(&self, slots: &[Address], pool: &Pool) {
        if self.count == 1 && self.sizes.operations() >= FACTOR_SHARED_OPERATIONS {
            // Linux gives a thread the mode of the one that starts it, here that of the first call;
            // the thread that runs `f` sets it itself.
            return keep_subnormals(&mut || {
                // SAFETY: as promised by the caller.
                let run = |division| unsafe { self.run_matrices(slots, 0..1, division) };
                with_threads(pool.threads(), run)
            });
        }
        let each = self.count.div_ceil(self.chunks);
        let run = |part: usize| {
            let matrices = (part * each).min(self.count)..((part + 1) * each).min(self.count);
            // SAFETY: as promised by the caller; chunks have different matrices.
            unsafe { self.run_matrices(slots, matrices, Division::Whole) }
        };
        if self.chunks == 1 { run(0) } else { pool.run(self.chunks, &run) }
    }

    /// Factors some matrices of the batch, whose numbers are complex or not.
    ///
    /// # Safety
    /// As for [`FactorTask::run`]; no other thread writes the results of these matrices.
    unsafe fn run_matrices(&self, slots: &[Address], matrices: Range<usize>, division: Division) {
        keep_subnormals(&mut || {
            // SAFETY: as promised by the caller.
            unsafe {
                match self.is_complex {
                    true => self.run_chunk::<Complex<f64>>(slots, matrices.clone(), division),
                    false => self.run_chunk::<f64>(slots, matrices.clone(), division),
                }
            }
        })
    }

    /// Factors some matrices of the batch.
    ///
    /// # Safety
    /// As for [`FactorTask::run`]; no other thread writes the results of these matrices.
    unsafe fn run_chunk<T: Field>(
        &self,
        slots: &[Address],
        matrices: Range<usize>,
        division: Division,
    ) {
        let memory = |buffers: &[BatchBuffer]| -> Vec<Vec<T>> {
            let len = |b: &BatchBuffer| if b.holds::<T>() { 0 } else { b.len };
            buffers.iter().map(|b| vec![T::zero(); len(b)]).collect()
        };
        let (mut xs, mut ys) = (memory(&self.operands), memory(&self.results));
        for i in matrices {
            // SAFETY: as promised by the caller.
            unsafe {
                let operands = xs.iter_mut().zip(&self.operands).map(|(x, b)| b.load(slots, i, x));
                let results = ys.iter_mut().zip(&self.results);
                let results = results.map(|(y, b)| b.elements(slots, i, y));
                let (xs, mut ys): (Vec<_>, Vec<_>) = (operands.collect(), results.collect());
                self.op.factor(self.sizes, &xs, &mut ys, division);
                ys.iter().zip(&self.results).for_each(|(y, b)| b.store(slots, i, y));
            }
        }
    }
}

/// The matrices that a method allocates at most, the copies of operands and results among them.
const METHOD_MATRICES: usize = 8;

impl BatchBuffer {
    fn new(buffer: BufferId, ty: &Type, count: usize) -> BatchBuffer {
        BatchBuffer { buffer, dtype: ty.dtype, len: ty.size() / count.max(1) }
    }

    /// Returns true if the elements have the type `T`, which is then read and written in place.
    fn holds<T: Field>(&self) -> bool {
        let dtype = if size_of::<T>() == size_of::<f64>() { DType::F64 } else { DType::C128 };
        self.dtype == dtype
    }

    /// Returns the elements of matrix `i` of a result if they have the type `T`, else `copy`.
    ///
    /// # Safety
    /// As for [`BatchBuffer::load`]; no other thread uses these elements.
    unsafe fn elements<'a, T: Field>(
        &self,
        slots: &'a [Address],
        i: usize,
        copy: &'a mut [T],
    ) -> &'a mut [T] {
        if !self.holds::<T>() {
            return copy;
        }
        let first = slots[self.buffer].0.cast::<T>().wrapping_add(i * self.len);
        // SAFETY: as promised by the caller.
        unsafe { slice::from_raw_parts_mut(first, self.len) }
    }

    /// Returns the elements of matrix `i`, which are converted to `copy` if they have another type.
    ///
    /// # Safety
    /// The slots hold the address of the buffer, which has more than `i` matrices.
    unsafe fn load<'a, T: Field>(
        &self,
        slots: &'a [Address],
        i: usize,
        copy: &'a mut [T],
    ) -> &'a [T] {
        if self.holds::<T>() {
            let first = slots[self.buffer].0.cast::<T>().wrapping_add(i * self.len);
            // SAFETY: as promised by the caller.
            return unsafe { slice::from_raw_parts(first, self.len) };
        }
        with_compute!(any self.dtype, C => {
            let from = slots[self.buffer].0.cast::<C>().wrapping_add(i * self.len);
            // SAFETY: as promised by the caller.
            let from = unsafe { slice::from_raw_parts(from, self.len) };
            for (x, from) in copy.iter_mut().zip(from) {
                let (re, im) = from.parts();
                *x = T::from_parts(re, im);
            }
        });
        copy
    }

    /// Writes the elements of matrix `i`, rounded to the dtype, if `copy` has them.
    ///
    /// # Safety
    /// As for [`BatchBuffer::load`]; no other thread uses these elements.
    unsafe fn store<T: Field>(&self, slots: &[Address], i: usize, copy: &[T]) {
        if self.holds::<T>() {
            return;
        }
        with_compute!(any self.dtype, C => {
            let to = slots[self.buffer].0.cast::<C>().wrapping_add(i * self.len);
            // SAFETY: as promised by the caller.
            let to = unsafe { slice::from_raw_parts_mut(to, self.len) };
            let of_parts = |y: &T| <C as Compute>::from_parts(y.re(), y.im());
            to.iter_mut().zip(copy).for_each(|(to, y)| *to = of_parts(y));
        })
    }
}
