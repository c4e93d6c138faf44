//! Matrix products: tiles over a single-threaded matrix kernel, each followed by its epilogue.
//!
//! A `dot_general` is a batch of matrix products. Transposes in front of it are strides of the
//! operands. The result is divided into tiles, from the shapes alone, and the pool shares the
//! tiles between threads.
//!
//! An *epilogue* is the kernel of what is computed from the result next (bias, activation, a row
//! reduction). If its outermost loop runs over the product's rows, a tile takes whole rows, and
//! the epilogue runs on them while they are in the cache:
//!
//! ```text
//! dot_general 512 x 128 by 128 x 1024, then + bias, GELU:
//!   for each tile of 128 rows: matmul -> epilogue(rows)
//! ```
//!
//! A real product that is no batch is computed in blocks (`blocked`), whose packed operands all
//! tiles share. All others call [`super::matmul`] for each tile.
//!
//! Special cases, each with its measurement in `tuning.rs`: a column-strided right operand of
//! `matmul` is packed once for all tiles (`pack_rhs`); a product with few columns runs its vectors
//! along the rows, block by block, and transposes the blocks; a complex product is four products of
//! real and imaginary parts, with strides of 2.
//!
//! Rejected: tiles of columns for the forward product of a small batch, so that each thread reads
//! half of the weights (no gain). Not tried: packed weights that are kept between calls.

#![allow(unsafe_code, reason = "the matrix kernel takes addresses and strides")]

mod plan;

use super::{
    blocked::{BlockedOperands, BlockedProduct},
    frame::Frame,
    kernel::KernelTask,
    matmul::{MatmulElement, matmul},
    pack_rhs::PackRhs,
    pool::Pool,
    scratch::Scratch,
    strided_matrix::StridedMatrix,
};
use crate::address::Address;
use crate::{
    schedule::BufferId,
    tuning::{MATMUL_NARROW_BLOCK_BYTES, MATMUL_NARROW_COLUMNS},
};
use neurax_ir::DType;
use smallvec::SmallVec;
use std::ops::Neg;

/// The task of a matrix product.
#[derive(Debug)]
pub struct ProductTask {
    /// The dtype.
    dtype: ProductDType,
    /// The left operand, the right operand, the result.
    pub arrays: [BufferId; 3],
    /// The strides of each batch axis in the three buffers, in elements, and the axis's size.
    pub batch: SmallVec<[([isize; 3], usize); 4]>,
    /// The rows, columns and depth.
    pub sizes: [usize; 3],
    /// The strides of the left operand along rows and depth, in elements.
    pub left: [isize; 2],
    /// The strides of the right operand along depth and columns, in elements.
    pub right: [isize; 2],
    /// The product in blocks, if it is computed in blocks.
    blocked: Option<RealProduct>,
    /// The packing of the right operand for [`matmul`], if it is packed; `right` are then the
    /// strides of the packed one.
    pub pack_rhs: Option<PackRhs>,
    /// The kernel that runs on each tile of rows of the result.
    pub epilogue: Option<KernelTask>,
    /// The rows and columns of one tile.
    tile_size: [usize; 2],
    /// True if each tile covers whole iterations of the epilogue, which then runs tile by tile.
    /// Otherwise an iteration could read rows that another thread is still computing.
    epilogue_per_tile: bool,
}

/// A dtype with a matrix kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProductDType {
    F32,
    F64,
    /// Complex numbers of f32.
    C64,
    /// Complex numbers of f64.
    C128,
}

impl ProductDType {
    /// Returns `dtype`, if it has a matrix kernel.
    fn of(dtype: DType) -> Option<ProductDType> {
        match dtype {
            DType::F32 => Some(ProductDType::F32),
            DType::F64 => Some(ProductDType::F64),
            DType::C64 => Some(ProductDType::C64),
            DType::C128 => Some(ProductDType::C128),
            _ => None,
        }
    }

    /// Returns the bytes of an element.
    fn bytes(self) -> usize {
        match self {
            ProductDType::F32 => 4,
            ProductDType::F64 | ProductDType::C64 => 8,
            ProductDType::C128 => 16,
        }
    }

    /// Returns true if the numbers are not complex.
    fn is_real(self) -> bool {
        matches!(self, ProductDType::F32 | ProductDType::F64)
    }
}

/// A product in blocks.
#[derive(Debug)]
enum RealProduct {
    F32(BlockedProduct<f32>),
    F64(BlockedProduct<f64>),
}

/// Evaluates an expression with the product in blocks of either dtype.
macro_rules! with_blocked {
    ($product:expr, $p:ident => $value:expr) => {
        match $product {
            RealProduct::F32($p) => $value,
            RealProduct::F64($p) => $value,
        }
    };
}

impl RealProduct {
    /// As [`BlockedProduct::tile_unit`].
    fn tile_unit(&self) -> [usize; 2] {
        with_blocked!(self, p => p.tile_unit())
    }

    /// As [`BlockedProduct::scratch`].
    fn scratch(&self) -> usize {
        with_blocked!(self, p => p.scratch())
    }

    /// As [`BlockedProduct::pack`].
    unsafe fn pack(&self, from: [Address; 2], scratch: Address, pool: &Pool) -> BlockedOperands {
        // SAFETY: as promised by the caller.
        unsafe { with_blocked!(self, p => p.pack(from, scratch, pool)) }
    }

    /// As [`BlockedProduct::tile`].
    unsafe fn tile(
        &self,
        operands: BlockedOperands,
        to: Address,
        first: [usize; 2],
        size: [usize; 2],
    ) {
        // SAFETY: as promised by the caller.
        unsafe { with_blocked!(self, p => p.tile(operands, to, first, size)) }
    }
}

/// One real product: of all elements, or of the real or imaginary parts of complex elements.
#[derive(Clone, Copy)]
struct ProductTerm {
    /// The stride from one element to the next, in real numbers.
    step: isize,
    /// 0 for the real and 1 for the imaginary part of the left operand, the right one, the result.
    parts: [isize; 3],
    /// True if the product is added to the result.
    adds: bool,
}

/// The product of all elements.
const WHOLE: ProductTerm = ProductTerm { step: 1, parts: [0; 3], adds: false };
/// A complex product as real products; true for those that are subtracted.
const TERMS: [(ProductTerm, bool); 4] = [
    (ProductTerm { step: 2, parts: [0, 0, 0], adds: false }, false),
    (ProductTerm { step: 2, parts: [1, 1, 0], adds: true }, true),
    (ProductTerm { step: 2, parts: [0, 1, 1], adds: false }, false),
    (ProductTerm { step: 2, parts: [1, 0, 1], adds: true }, false),
];

impl ProductTask {
    /// Returns the number of matrix products.
    fn batches(&self) -> usize {
        self.batch.iter().map(|b| b.1).product()
    }

    /// Returns the bytes of scratch memory for packed operands.
    pub fn scratch(&self) -> usize {
        match (&self.blocked, &self.pack_rhs) {
            (Some(blocked), _) => blocked.scratch(),
            (None, Some(pack_rhs)) => pack_rhs.size(),
            (None, None) => 0,
        }
    }

    /// Runs the product, with [`ProductTask::scratch`] bytes of scratch memory.
    ///
    /// # Safety
    /// The slots of the frame hold addresses of the buffers of the task's schedule, and no other
    /// thread uses the results.
    pub unsafe fn run(&self, f: &mut Frame, pool: &Pool, scratch: Address) {
        self.epilogue.iter().for_each(|epilogue| epilogue.operands(&f.slots, &mut f.operands));
        let operands = &f.operands[..];
        let mut arrays = self.arrays.map(|b| f.slots[b]);
        if let Some(pack_rhs) = &self.pack_rhs {
            // SAFETY: the operand is the schedule's, the scratch memory the plan's.
            unsafe { pack_rhs.run(arrays[1], scratch, pool) }
            arrays[1] = scratch;
        }
        let blocked = self.blocked.as_ref().map(|product| {
            // SAFETY: as above.
            (product, unsafe { product.pack([arrays[0], arrays[1]], scratch, pool) })
        });
        let [rows, columns] = self.tile_size;
        let [down, across] = self.tiles();
        let run = |tile: usize| {
            let (b, rest) = (tile / (down * across), tile % (down * across));
            let (row, column) = (rest / across * rows, rest % across * columns);
            let size = [rows.min(self.sizes[0] - row), columns.min(self.sizes[1] - column)];
            // SAFETY: as promised by the caller; tiles are disjoint, and their epilogues run on
            // rows that are computed.
            unsafe {
                match blocked {
                    Some((product, operands)) => {
                        product.tile(operands, arrays[2], [row, column], size)
                    }
                    None => self.tile(&arrays, b, [row, column], size),
                }
                self.run_epilogue_on_rows(operands, b, row, size[0])
            }
        };
        pool.run(self.batches() * down * across, &run);
        if let (Some(epilogue), false) = (&self.epilogue, self.epilogue_per_tile) {
            // SAFETY: as promised by the caller; all rows are computed.
            unsafe { epilogue.run(f, pool) }
        }
    }

    /// Returns the numbers of tiles below and beside each other in each member of the batch.
    fn tiles(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.sizes[axis].div_ceil(self.tile_size[axis]))
    }

    /// Returns true if each tile covers whole iterations of the epilogue.
    fn tiles_hold_iterations(&self) -> bool {
        let [down, across] = self.tiles();
        let parts = if down == 1 { self.batches() } else { self.batches() * self.sizes[0] };
        across == 1 && self.epilogue_splits_into(parts)
    }

    /// Returns true if there is an epilogue whose trip count is a multiple of `parts`.
    fn epilogue_splits_into(&self, parts: usize) -> bool {
        self.epilogue.as_ref().is_some_and(|t| t.count.is_multiple_of(parts))
    }

    /// Computes one tile of the result.
    unsafe fn tile(
        &self,
        arrays: &[Address; 3],
        batch: usize,
        [row, column]: [usize; 2],
        size: [usize; 2],
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
                ProductDType::F32 => self.multiply(arrays, at, size, WHOLE, 1.0f32),
                ProductDType::F64 => self.multiply(arrays, at, size, WHOLE, 1.0f64),
                ProductDType::C64 => self.complex::<f32>(arrays, at, size),
                ProductDType::C128 => self.complex::<f64>(arrays, at, size),
            }
        }
    }

    /// Runs the epilogue on `rows` rows of a batch member, from row `row` on, if it is fused.
    ///
    /// # Safety
    /// These rows of the product are computed, and `operands` are the epilogue's.
    unsafe fn run_epilogue_on_rows(
        &self,
        operands: &[Address],
        batch: usize,
        row: usize,
        rows: usize,
    ) {
        if let (Some(epilogue), true) = (&self.epilogue, self.epilogue_per_tile) {
            // The epilogue's iterations run over the rows of all batch members.
            let total = self.batches() * self.sizes[0];
            let first = batch * self.sizes[0] + row;
            let scale = |r: usize| r * epilogue.count / total;
            // SAFETY: these iterations read only the rows that the caller has computed.
            unsafe { epilogue.run_range(operands, scale(first), scale(first + rows)) }
        }
    }

    /// Computes a tile of complex numbers with parts of type `T`, as four real products.
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

    /// Computes one real product of a tile: `factor` times the operands' parts that `term` names.
    /// `at` are the offsets of the tile in the three buffers, in elements.
    unsafe fn multiply<T: MatmulElement>(
        &self,
        arrays: &[Address; 3],
        at: [isize; 3],
        [rows, columns]: [usize; 2],
        term: ProductTerm,
        factor: T,
    ) {
        let ([_, n, k], ProductTerm { step, parts, adds }) = (self.sizes, term);
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
        let block = (MATMUL_NARROW_BLOCK_BYTES / (columns * size_of::<T>()))
            .max(MATMUL_NARROW_COLUMNS)
            .min(rows);
        let mut scratch = Scratch::new(block * columns * size_of::<T>());
        let transposed = scratch.address().0.cast::<T>();
        for first in (0..rows).step_by(block) {
            let some = block.min(rows - first);
            // SAFETY: as above; the scratch memory has room for a block.
            unsafe {
                let columnwise = StridedMatrix { at: transposed, steps: [1, some as isize] };
                matmul([some, columns, k], columnwise, left.below(first), right, false, factor);
                for (i, j) in (0..some).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                    *to.below(first + i).at.add(j) = *transposed.add(j * some + i);
                }
            }
        }
    }
}
