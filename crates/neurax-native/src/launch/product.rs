//! Products of arrays by the `gemm` crate, cut into blocks of rows by us: each block is followed by
//! what is done with its rows.

#![allow(unsafe_code, reason = "the matrix kernel takes addresses and strides")]

use super::{
    frame::{Address, Frame},
    kernel::{self, KernelTask},
    matmul::{MatmulElement, StridedMatrix, matmul},
    pack_rhs::PackRhs,
    pool::Pool,
    scratch::Scratch,
};
use crate::schedule::{BufferId, StridedView};
use neurax_ir::{DType, Eqn, Error, Graph, Result, op::DotGeneral};
use smallvec::SmallVec;
use std::ops::Neg;

/// A product of a program.
#[derive(Debug)]
pub struct ProductTask {
    /// f32, f64, or complex numbers of these.
    pub dtype: DType,
    /// The left operand, the right one, the result.
    pub arrays: [BufferId; 3],
    /// How one step along each batch axis moves in them, in elements, and its size.
    pub batch: SmallVec<[([isize; 3], usize); 4]>,
    /// Rows, columns, depth.
    pub sizes: [usize; 3],
    /// The steps of the left operand along rows and depth.
    pub left: [isize; 2],
    /// The steps of the right operand along depth and columns.
    pub right: [isize; 2],
    /// How the right operand is turned before; its steps above are then those of what is made.
    pub turn: Option<PackRhs>,
    /// What is done with the rows of the result.
    pub epilogue: Option<KernelTask>,
}

/// Multiplications in one part, at least.
const GRAIN: usize = 1 << 18;
/// Parts, at most.
const PARTS: usize = 16;
/// Bytes of the result in one part, at most, where something is done with them.
const CACHED: usize = 1 << 19;
/// A right operand of more bytes than this is packed by the matrix kernel for each part: parts
/// should then have as many rows as ..
const LARGE: usize = 1 << 19;
/// .. these.
const MANY: usize = 128;

/// A product of all numbers, or of parts of complex ones.
#[derive(Clone, Copy)]
struct Term {
    /// From one element to the next.
    step: isize,
    /// Which part: of the left operand, of the right one, of the result.
    parts: [isize; 3],
    /// Is it added to what is there?
    adds: bool,
}

/// With fewer columns the matrix kernel leaves most of its vectors empty, unless they run along the
/// rows ..
const NARROW: usize = 16;
/// .. of a block of so many bytes, which is turned while it is near.
const BLOCK: usize = 1 << 16;

/// The product of all numbers.
const WHOLE: Term = Term { step: 1, parts: [0; 3], adds: false };
/// A complex product as products of real numbers, with their signs.
const TERMS: [(Term, bool); 4] = [
    (Term { step: 2, parts: [0, 0, 0], adds: false }, false),
    (Term { step: 2, parts: [1, 1, 0], adds: true }, true),
    (Term { step: 2, parts: [0, 1, 1], adds: false }, false),
    (Term { step: 2, parts: [1, 0, 1], adds: true }, false),
];

impl ProductTask {
    fn batches(&self) -> usize {
        self.batch.iter().map(|b| b.1).product()
    }

    /// The rows and columns of one part: cut from the shapes alone.
    fn part_size(&self) -> [usize; 2] {
        let [m, n, k] = self.sizes;
        let batches = self.batches();
        let own = batches.saturating_mul(m).saturating_mul(n).saturating_mul(k) / GRAIN;
        let after = self.epilogue.as_ref().map_or(0, |t| t.work / kernel::GRAIN);
        let wanted = own.saturating_add(after).clamp(1, PARTS).div_ceil(batches).max(1);
        let least = if self.is_narrow() {
            4 * NARROW
        } else if n * k * self.bytes() > LARGE {
            MANY
        } else if self.right[1] != 1 {
            // Columns that do not lie side by side are packed, too.
            MANY / 2
        } else {
            // A call of the matrix kernel has its price, too.
            (GRAIN / 4).div_ceil((n * k).max(1)).next_multiple_of(16)
        };
        let rows = |parts: usize| m.div_ceil(parts).next_multiple_of(16).max(least).min(m).max(1);
        if self.follows_in(batches * m) {
            // What follows takes whole rows.
            let cached = CACHED / (n * self.bytes()).max(1);
            return [rows(wanted).min(cached.max(32)), n];
        }
        let columns = |parts: usize| n.div_ceil(parts).next_multiple_of(16).min(n).max(1);
        // Every part packs its rows and columns: the less in all, the better.
        let packed = |&[r, c]: &[usize; 2]| m.div_ceil(r) * n.div_ceil(c) * (r + c);
        let cuts = (1..=wanted).map(|i| [rows(i), columns(wanted.div_ceil(i))]);
        cuts.rev().min_by_key(packed).unwrap_or([m, n])
    }

    /// Has it few columns, and rows side by side on the left?
    fn is_narrow(&self) -> bool {
        self.sizes[1] < NARROW && self.left[0] == 1 && self.sizes[0] >= NARROW
    }

    fn bytes(&self) -> usize {
        self.dtype.bits() / 8
    }

    /// Bytes of scratch memory that it wants.
    pub fn scratch(&self) -> usize {
        self.turn.as_ref().map_or(0, PackRhs::size)
    }

    /// Runs it, with scratch memory as it wants.
    ///
    /// # Errors
    /// For dtypes that have no matrix kernel.
    ///
    /// # Safety
    /// The slots of the frame hold addresses of arrays of the schedule that this was made for, and
    /// nobody else uses the results.
    pub unsafe fn run(&self, f: &mut Frame, pool: &Pool, scratch: Address) -> Result<()> {
        if !matches!(self.dtype, DType::F32 | DType::F64 | DType::C64 | DType::C128) {
            return Err(Error::new(
                "dot_general",
                format!("there is no matrix kernel for {}", self.dtype),
            ));
        }
        self.epilogue.iter().for_each(|epilogue| epilogue.operands(&f.slots, &mut f.operands));
        let operands = &f.operands[..];
        let mut arrays = self.arrays.map(|b| f.slots[b]);
        if let Some(turn) = &self.turn {
            // SAFETY: the operand is that of the schedule, the scratch memory the plan's.
            unsafe { turn.run(arrays[1], scratch, pool) }
            arrays[1] = scratch;
        }
        let [rows, columns] = self.part_size();
        let (down, across) = (self.sizes[0].div_ceil(rows), self.sizes[1].div_ceil(columns));
        let follows = self.follows(down, across);
        let run = |part: usize| {
            let (b, rest) = (part / (down * across), part % (down * across));
            let (row, column) = (rest / across * rows, rest % across * columns);
            let size = [rows.min(self.sizes[0] - row), columns.min(self.sizes[1] - column)];
            // SAFETY: as promised by the caller; parts write different blocks.
            unsafe { self.part(&arrays, operands, b, [row, column], size, follows) }
        };
        pool.run(self.batches() * down * across, &run);
        if let (Some(epilogue), false) = (&self.epilogue, follows) {
            // SAFETY: as promised by the caller; all rows are there.
            unsafe { epilogue.run(f, pool) }
        }
        Ok(())
    }

    /// Is a part, of which there are so many below and beside each other for each member of the
    /// batch, made of whole iterations of what follows? Otherwise another thread may be at work on
    /// what an iteration reads.
    fn follows(&self, down: usize, across: usize) -> bool {
        across == 1
            && self.follows_in(if down == 1 {
                self.batches()
            } else {
                self.batches() * self.sizes[0]
            })
    }

    /// Is something done with the result that falls into so many parts?
    fn follows_in(&self, parts: usize) -> bool {
        self.epilogue.as_ref().is_some_and(|t| t.count.is_multiple_of(parts))
    }

    unsafe fn part(
        &self,
        arrays: &[Address; 3],
        operands: &[Address],
        batch: usize,
        [row, column]: [usize; 2],
        size: [usize; 2],
        follows: bool,
    ) {
        let mut at = [0isize; 3];
        let mut rest = batch;
        for (steps, size) in self.batch.iter().rev() {
            let i = (rest % size) as isize;
            rest /= size;
            at.iter_mut().zip(steps).for_each(|(a, s)| *a += i * s);
        }
        let [_, n, _] = self.sizes;
        at[0] += row as isize * self.left[0];
        at[1] += column as isize * self.right[1];
        at[2] += (row * n + column) as isize;
        // SAFETY: as promised by the caller.
        unsafe {
            match self.dtype {
                DType::F32 => self.multiply(arrays, at, size, WHOLE, 1.0f32),
                DType::F64 => self.multiply(arrays, at, size, WHOLE, 1.0f64),
                DType::C64 => self.complex::<f32>(arrays, at, size),
                _ => self.complex::<f64>(arrays, at, size),
            }
        }
        if let (Some(epilogue), true) = (&self.epilogue, follows) {
            // Rows of all batches, one after the other, are the kernel's iterations, or parts of
            // them.
            let total = self.batches() * self.sizes[0];
            let first = batch * self.sizes[0] + row;
            let scale = |r: usize| r * epilogue.count / total;
            // SAFETY: these iterations read only the rows that were just written.
            unsafe { epilogue.range(operands, scale(first), scale(first + size[0])) }
        }
    }

    /// Multiplies complex numbers whose parts are `T`, as four products of their parts.
    unsafe fn complex<T: MatmulElement + Neg<Output = T>>(
        &self,
        arrays: &[Address; 3],
        at: [isize; 3],
        size: [usize; 2],
    ) {
        for (term, is_negative) in TERMS {
            let sign = if is_negative { -T::UNIT } else { T::UNIT };
            // SAFETY: as promised by the caller; a complex number is its two parts.
            unsafe { self.multiply(arrays, at, size, term, sign) }
        }
    }

    /// Multiplies those parts by the matrix kernel; 1 and the sign of the product are in their
    /// dtype.
    unsafe fn multiply<T: MatmulElement>(
        &self,
        arrays: &[Address; 3],
        at: [isize; 3],
        [rows, columns]: [usize; 2],
        term: Term,
        factor: T,
    ) {
        let ([_, n, k], Term { step, parts, adds }) = (self.sizes, term);
        let bytes = size_of::<T>() as isize;
        let address = |i: usize| arrays[i].plus((at[i] * step + parts[i]) * bytes).0.cast::<T>();
        let matrix = |i: usize, steps: [isize; 2]| StridedMatrix {
            at: address(i),
            steps: steps.map(|s| s * step),
        };
        let (left, right, to) =
            (matrix(0, self.left), matrix(1, self.right), matrix(2, [n as isize, 1]));
        if adds || step > 1 || !self.is_narrow() {
            // SAFETY: strides and sizes are those of the arrays, as promised by the caller.
            return unsafe { matmul([rows, columns, k], to, left, right, adds, factor) };
        }
        let block = (BLOCK / (columns * size_of::<T>())).max(NARROW).min(rows);
        let mut scratch = Scratch::new(block * columns * size_of::<T>());
        let turned = scratch.address().0.cast::<T>();
        for first in (0..rows).step_by(block) {
            let some = block.min(rows - first);
            // SAFETY: as above; the scratch memory holds a block.
            unsafe {
                let columnwise = StridedMatrix { at: turned, steps: [1, some as isize] };
                matmul([some, columns, k], columnwise, left.below(first), right, false, factor);
                for (i, j) in (0..some).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                    *to.below(first + i).at.add(j) = *turned.add(j * some + i);
                }
            }
        }
    }
}

impl ProductTask {
    /// The task of an equation: transposes in front of it are strides.
    ///
    /// # Errors
    /// When an operand's axes cannot be walked with one stride each, which the schedule has made
    /// sure of.
    pub fn new(
        graph: &Graph,
        e: &Eqn,
        op: &DotGeneral,
        reads: &[BufferId],
        write: BufferId,
        epilogue: Option<KernelTask>,
    ) -> Result<ProductTask> {
        let side = |i| {
            StridedView::operand(graph, e, i)
                .map_or_else(|| StridedView::dense(graph, e.inputs[i]), |w| w.0)
        };
        let (l, r) = (side(0), side(1));
        let (lf, rf) = (op.lhs_free(l.sizes.len()), op.rhs_free(r.sizes.len()));
        let lost = || {
            Error::new("dot_general", "the operand's axes have no common stride").at_origin(&e.at)
        };
        let (m, rows) = l.joined(&lf).ok_or_else(lost)?;
        let (n, columns) = r.joined(&rf).ok_or_else(lost)?;
        let (k, down) = l.joined(&op.lhs_contract).ok_or_else(lost)?;
        let (_, across) = r.joined(&op.rhs_contract).ok_or_else(lost)?;
        let mut step = (m * n) as isize;
        let mut batch = SmallVec::new();
        for (&i, &j) in op.lhs_batch.iter().zip(&op.rhs_batch).rev() {
            batch.insert(0, ([l.strides[i], r.strides[j], step], l.sizes[i]));
            step *= l.sizes[i] as isize;
        }
        let arrays = [reads[0], reads[1], write];
        let (left, right) = ([rows, down], [across, columns]);
        let mut task = ProductTask {
            dtype: op.dtype,
            arrays,
            batch,
            sizes: [m, n, k],
            left,
            right,
            turn: None,
            epilogue,
        };
        task.turn_right();
        Ok(task)
    }

    /// Has the right operand turned, if its columns lie apart, many rows use it, and parts would
    /// share it. With more columns than depth each part has some columns of its own, mostly.
    fn turn_right(&mut self) {
        let [m, n, k] = self.sizes;
        let is_real = matches!(self.dtype, DType::F32 | DType::F64);
        let lies_apart = self.right[0] == 1 && self.right[1] != 1;
        if is_real && lies_apart && self.batch.is_empty() && m >= MANY && n >= NARROW && k >= n {
            self.turn = Some(PackRhs { sizes: [k, n], across: self.right[1], bytes: self.bytes() });
            self.right = [n as isize, 1];
        }
    }
}
