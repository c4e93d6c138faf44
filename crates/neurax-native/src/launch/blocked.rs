//! Cache-blocked matrix products: packed operands and blocks in registers.
//!
//! The problem: the function of `gemm` packs its operands in every call, so that tiles that share
//! an operand pack it again and again, and each call costs 1 to 2 µs.
//!
//! The method is that of GotoBLAS and BLIS ("Anatomy of High-Performance Matrix Multiplication"):
//! the right operand is divided into *panels*, as wide as the largest block of the microkernel, the
//! left one into *strips*, as high as that block. Panels and strips are packed such that the
//! microkernel reads them from front to end; packing is shared by all tiles. A tile runs its
//! blocks, one part of the depth after the other, so that the part of a panel stays in the
//! second-level cache.
//!
//! ```text
//! 1024 x 256 by 256 x 1024, f32, AVX-512:
//!   pack     16 panels of 256 x 64, on all threads; the rows of the left operand are read in place
//!   tile     192 rows x 512 columns: for each panel, for each strip of 6 rows: one microkernel
//! ```
//!
//! An operand is read in place where that is as fast: the right one for few rows, if its columns
//! are contiguous; the left one if its depth is contiguous, or for few columns.
//!
//! Invariants: the sum of an element runs over the depth in order, in parts of
//! [`MATMUL_PART_DEPTH`], whatever the tiles are: they change no bit.

#![allow(unsafe_code, reason = "operands and packed memory are addresses and strides")]

use super::{
    frame::ScratchLine,
    microkernels::{MicrokernelElement, Microkernels},
    pool::Pool,
    strided_matrix::StridedMatrix,
    strips::Strips,
};
use crate::address::Address;
use crate::tuning::{
    MATMUL_MAX_PACKED_BYTES, MATMUL_MAX_PLAIN_DEPTH, MATMUL_MIN_MULTIPLIES,
    MATMUL_PACK_LEFT_COLUMNS, MATMUL_PACK_RIGHT_ROWS, MATMUL_PART_DEPTH, MATMUL_TILE_MULTIPLE,
};
use std::ops::Range;

/// A matrix product in blocks.
#[derive(Clone, Copy, Debug)]
pub struct BlockedProduct {
    /// The rows, columns and depth.
    sizes: [usize; 3],
    /// The strides of the left operand along rows and depth, in elements.
    left: [isize; 2],
    /// The strides of the right operand along depth and columns, in elements.
    right: [isize; 2],
    /// The rows and columns of the largest block.
    block: [usize; 2],
    /// True if the left and the right operand are packed.
    packs: [bool; 2],
    /// The bytes of an element.
    bytes: usize,
}

/// The operands of a product, as the microkernel reads them.
#[derive(Clone, Copy, Debug)]
pub struct BlockedOperands {
    /// The addresses of the left and the right operand.
    pub at: [Address; 2],
}

impl BlockedProduct {
    /// Returns the product if it is one for the microkernels of `T`: large enough, with operands
    /// that are worth packing or need none.
    pub fn of<T: MicrokernelElement>(
        sizes: [usize; 3],
        left: [isize; 2],
        right: [isize; 2],
    ) -> Option<BlockedProduct> {
        let kernels = *T::microkernels().first()?;
        BlockedProduct::with(kernels, sizes, left, right)
    }

    /// As [`BlockedProduct::of`], for one set of microkernels.
    fn with<T: MicrokernelElement>(
        kernels: &Microkernels<T>,
        sizes: [usize; 3],
        left: [isize; 2],
        right: [isize; 2],
    ) -> Option<BlockedProduct> {
        let [m, n, k] = sizes;
        let is_in_place = right[1] == 1 && n.is_multiple_of(kernels.lanes);
        let packs_right = !is_in_place || m >= MATMUL_PACK_RIGHT_ROWS;
        let packs_left = left[1] != 1 && n > MATMUL_PACK_LEFT_COLUMNS;
        let block = [kernels.rows, kernels.columns];
        let bytes = size_of::<T>();
        let out =
            BlockedProduct { sizes, left, right, block, packs: [packs_left, packs_right], bytes };
        let is_large = m.saturating_mul(n).saturating_mul(k) >= MATMUL_MIN_MULTIPLIES
            && m >= kernels.rows
            && n >= kernels.lanes;
        // A few rows do not make up for packing.
        let pays = is_in_place || m >= MATMUL_PACK_RIGHT_ROWS;
        (is_large
            && pays
            && k <= MATMUL_MAX_PLAIN_DEPTH
            && out.scratch() <= MATMUL_MAX_PACKED_BYTES)
            .then_some(out)
    }

    /// Returns the numbers of which the rows and columns of a tile should be multiples: whole
    /// blocks, and at least two rows of them. Of few rows, half of the tile is often a remainder,
    /// and threads should share them evenly.
    pub fn tile_unit(&self) -> [usize; 2] {
        let is_low = self.sizes[0] < MATMUL_PACK_RIGHT_ROWS;
        [if is_low { MATMUL_TILE_MULTIPLE } else { 2 * self.block[0] }, self.block[1]]
    }

    /// Returns the bytes of the packed operands.
    pub fn scratch(&self) -> usize {
        self.packed(0) + self.packed(1)
    }

    /// Returns the bytes of packed operand `side`, 0 if it is read in place.
    fn packed(&self, side: usize) -> usize {
        if !self.packs[side] {
            return 0;
        }
        let across = self.sizes[side].next_multiple_of(self.block[side]);
        (across * self.sizes[2] * self.bytes).next_multiple_of(size_of::<ScratchLine>())
    }

    /// Packs the operands at `from` that are packed into `scratch`, of [`BlockedProduct::scratch`]
    /// bytes, and returns the addresses at which tiles find the operands.
    ///
    /// # Safety
    /// The operands are live and have the dtype `T` of the product; no other code uses `scratch`.
    pub unsafe fn pack<T: MicrokernelElement>(
        &self,
        from: [Address; 2],
        scratch: Address,
        pool: &Pool,
    ) -> BlockedOperands {
        let [m, n, k] = self.sizes;
        let packed = [scratch, scratch.plus(self.packed(0) as isize)];
        // Along the depth, across.
        let sources = [
            Strips {
                across: m,
                width: self.block[0],
                depth: k,
                steps: [self.left[1], self.left[0]],
            },
            Strips { across: n, width: self.block[1], depth: k, steps: self.right },
        ];
        let mut at = from;
        for side in 0..2 {
            if self.packs[side] {
                // SAFETY: as promised by the caller.
                unsafe { sources[side].pack::<T>(from[side], packed[side], pool) }
                at[side] = packed[side];
            }
        }
        BlockedOperands { at }
    }

    /// Computes the tile of `to`, a row-major matrix of the whole result, that begins at `first`
    /// and has `size` rows and columns. Columns begin at a multiple of the lanes.
    ///
    /// # Safety
    /// `operands` is what [`BlockedProduct::pack`] returned for `T`; the result is live, and no
    /// other code uses the tile.
    pub unsafe fn tile<T: MicrokernelElement>(
        &self,
        operands: BlockedOperands,
        to: Address,
        first: [usize; 2],
        size: [usize; 2],
    ) {
        if let Some(kernels) = T::microkernels().first() {
            // SAFETY: as promised by the caller.
            unsafe { self.tile_with(kernels, operands, to, first, size) }
        }
    }

    /// As [`BlockedProduct::tile`], with one set of microkernels.
    unsafe fn tile_with<T: MicrokernelElement>(
        &self,
        kernels: &Microkernels<T>,
        operands: BlockedOperands,
        to: Address,
        [row, column]: [usize; 2],
        [rows, columns]: [usize; 2],
    ) {
        let [_, n, k] = self.sizes;
        let to = StridedMatrix { at: to.0.cast::<T>(), steps: [n as isize, 1] };
        // Blocks of packed operands are whole strips or panels.
        let origin = |side: usize, first: usize| if self.packs[side] { 0 } else { first };
        let (top, side) = (origin(0, row), origin(1, column));
        for part in (0..k).step_by(MATMUL_PART_DEPTH) {
            let depth = MATMUL_PART_DEPTH.min(k - part);
            for j in blocks(column..column + columns, self.block[1], side) {
                // SAFETY: as promised by the caller.
                let panel = unsafe { self.panel(operands.at[1], j.start, part) };
                for i in blocks(row..row + rows, self.block[0], top) {
                    // SAFETY: as promised by the caller; blocks are inside of the tile.
                    unsafe {
                        let strip = self.strip(operands.at[0], i.start, part);
                        let to = to.below(i.start).right_of(j.start);
                        kernels.block([i.len(), j.len(), depth], to, strip, panel, part > 0);
                    }
                }
            }
        }
    }

    /// Returns the left operand from row `row` and depth `part` on, rows by depth.
    unsafe fn strip<T: MicrokernelElement>(
        &self,
        at: Address,
        row: usize,
        part: usize,
    ) -> StridedMatrix<T> {
        let at = at.0.cast::<T>();
        let (height, k) = (self.block[0], self.sizes[2]);
        if self.packs[0] {
            let steps = [1, height as isize];
            let strip = StridedMatrix { at, steps }.offset((row / height * height * k) as isize);
            return strip.right_of(part).below(row % height);
        }
        StridedMatrix { at, steps: self.left }.below(row).right_of(part)
    }

    /// Returns the right operand from depth `part` and column `column` on, depth by columns.
    unsafe fn panel<T: MicrokernelElement>(
        &self,
        at: Address,
        column: usize,
        part: usize,
    ) -> StridedMatrix<T> {
        let at = at.0.cast::<T>();
        let (width, k) = (self.block[1], self.sizes[2]);
        if self.packs[1] {
            let steps = [width as isize, 1];
            let panel = StridedMatrix { at, steps }.offset((column / width * width * k) as isize);
            return panel.below(part).right_of(column % width);
        }
        StridedMatrix { at, steps: self.right }.right_of(column).below(part)
    }
}

/// Divides `range` at the multiples of `size` from `origin` on.
fn blocks(range: Range<usize>, size: usize, origin: usize) -> impl Iterator<Item = Range<usize>> {
    let mut first = range.start;
    std::iter::from_fn(move || {
        let end = (origin + ((first - origin) / size + 1) * size).min(range.end);
        let block = first..end;
        first = end;
        (!block.is_empty()).then_some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_end_at_multiples_of_the_size() {
        let of = |range, size, origin| blocks(range, size, origin).collect::<Vec<_>>();
        assert_eq!(of(16..30, 6, 0), [16..18, 18..24, 24..30]);
        assert_eq!(of(16..30, 6, 16), [16..22, 22..28, 28..30]);
        assert_eq!(of(4..4, 6, 0), []);
    }

    /// Compares tiles of a product with sums of products, for every set of microkernels.
    fn check<T>(sizes: [usize; 3], is_transposed: [bool; 2], from: fn(i32) -> T)
    where
        T: MicrokernelElement + PartialEq + std::fmt::Debug + Default,
    {
        let [m, n, k] = sizes;
        let digits =
            |count: usize| -> Vec<i32> { (0..count).map(|i| (i * 37 % 11) as i32 - 5).collect() };
        let (l, r) = (digits(m * k), digits(k * n));
        let [left, right] =
            [[m, k], [k, n]].map(|[rows, columns]| [rows as isize, columns as isize]);
        let steps = |[rows, columns]: [isize; 2], is_transposed: bool| {
            if is_transposed { [1, rows] } else { [columns, 1] }
        };
        let (left, right) = (steps(left, is_transposed[0]), steps(right, is_transposed[1]));
        let at = |x: &[i32], s: [isize; 2], i: usize, j: usize| {
            x[(i as isize * s[0] + j as isize * s[1]) as usize]
        };
        let element = |i, j| (0..k).map(|d| at(&l, left, i, d) * at(&r, right, d, j)).sum();
        let want: Vec<T> = (0..m * n).map(|i| from(element(i / n, i % n))).collect();
        let (l, r): (Vec<T>, Vec<T>) =
            (l.iter().map(|&x| from(x)).collect(), r.iter().map(|&x| from(x)).collect());
        for kernels in T::microkernels() {
            let Some(product) = BlockedProduct::with(kernels, sizes, left, right) else {
                panic!("{sizes:?} {is_transposed:?} is not blocked");
            };
            let mut scratch = vec![0u64; product.scratch() / 8 + 1];
            let mut out = vec![T::default(); m * n];
            let address = |x: *const T| Address(x.cast_mut().cast());
            let scratch = Address(scratch.as_mut_ptr().cast());
            // SAFETY: the memory has the sizes of the product.
            unsafe {
                let from = [address(l.as_ptr()), address(r.as_ptr())];
                let operands = product.pack::<T>(from, scratch, Pool::of(2));
                let to = Address(out.as_mut_ptr().cast());
                for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let (row, column) = (m / 2 * i, n / 2 / kernels.lanes * kernels.lanes * j);
                    let rows = if i == 0 { m / 2 } else { m - m / 2 };
                    let half = n / 2 / kernels.lanes * kernels.lanes;
                    let columns = if j == 0 { half } else { n - half };
                    product.tile_with(kernels, operands, to, [row, column], [rows, columns]);
                }
            }
            assert_eq!(out, want, "{sizes:?} {is_transposed:?}");
        }
    }

    #[test]
    fn tiles_are_those_of_the_product() {
        for sizes in [[32, 64, 128], [97, 131, 33], [130, 200, 700], [200, 64, 513]] {
            for transposed in [[false, false], [true, false], [false, true], [true, true]] {
                let needs_packing = transposed[1] || sizes[1] % 16 != 0;
                if needs_packing && sizes[0] < MATMUL_PACK_RIGHT_ROWS {
                    continue;
                }
                check::<f32>(sizes, transposed, |x| x as f32);
                check::<f64>(sizes, transposed, |x| x as f64);
            }
        }
    }
}
