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
#[derive(Debug)]
pub struct BlockedProduct<T: 'static> {
    kernels: &'static Microkernels<T>,
    /// The rows, columns and depth.
    sizes: [usize; 3],
    /// The left and the right operand.
    sides: [BlockedSide; 2],
}

/// An operand of a product in blocks.
#[derive(Clone, Copy, Debug)]
struct BlockedSide {
    /// The rows of a left, or the columns of a right operand.
    across: usize,
    /// The strides across and along the depth, in elements.
    steps: [isize; 2],
    /// The size of the largest block across.
    block: usize,
    /// True if the operand is packed.
    packs: bool,
}

/// The operands of a product, as the microkernel reads them: the addresses of the left and the
/// right one.
pub type BlockedOperands = [Address; 2];

impl<T: MicrokernelElement> BlockedProduct<T> {
    /// Returns the product if it is one for the microkernels: large enough, with operands that are
    /// worth packing or need none. `left` are strides along rows and depth, `right` along depth and
    /// columns, in elements.
    pub fn of(sizes: [usize; 3], left: [isize; 2], right: [isize; 2]) -> Option<BlockedProduct<T>> {
        let kernels = *T::microkernels().first()?;
        BlockedProduct::with(kernels, sizes, left, right)
    }

    /// As [`BlockedProduct::of`], for one set of microkernels.
    fn with(
        kernels: &'static Microkernels<T>,
        sizes: [usize; 3],
        left: [isize; 2],
        right: [isize; 2],
    ) -> Option<BlockedProduct<T>> {
        let [m, n, k] = sizes;
        let is_in_place = right[1] == 1 && n.is_multiple_of(kernels.lanes);
        let is_high = m >= MATMUL_PACK_RIGHT_ROWS;
        let left = BlockedSide {
            across: m,
            steps: left,
            block: kernels.rows,
            packs: left[1] != 1 && n > MATMUL_PACK_LEFT_COLUMNS,
        };
        let right = BlockedSide {
            across: n,
            steps: [right[1], right[0]],
            block: kernels.columns,
            packs: !is_in_place || is_high,
        };
        let out = BlockedProduct { kernels, sizes, sides: [left, right] };
        let is_large = m.saturating_mul(n).saturating_mul(k) >= MATMUL_MIN_MULTIPLIES
            && m >= kernels.rows
            && n >= kernels.lanes;
        (is_large
            && (is_in_place || is_high)
            && k <= MATMUL_MAX_PLAIN_DEPTH
            && out.scratch() <= MATMUL_MAX_PACKED_BYTES)
            .then_some(out)
    }

    /// Returns the numbers of which the rows and columns of a tile should be multiples: whole
    /// blocks, two of them below each other. Tiles of few rows are a multiple of a smaller number,
    /// so that two threads share 32 rows evenly.
    pub fn tile_unit(&self) -> [usize; 2] {
        let [left, right] = &self.sides;
        [if right.packs { 2 * left.block } else { MATMUL_TILE_MULTIPLE }, right.block]
    }

    /// Returns the bytes of the packed operands.
    pub fn scratch(&self) -> usize {
        self.sides.iter().map(|side| self.packed(side)).sum()
    }

    /// Returns the bytes of a packed operand, 0 if it is read in place.
    fn packed(&self, side: &BlockedSide) -> usize {
        if !side.packs {
            return 0;
        }
        let elements = side.across.next_multiple_of(side.block) * self.sizes[2];
        (elements * size_of::<T>()).next_multiple_of(size_of::<ScratchLine>())
    }

    /// Packs the operands at `from` that are packed into `scratch`, of [`BlockedProduct::scratch`]
    /// bytes, and returns the addresses at which tiles find the operands.
    ///
    /// # Safety
    /// The operands are live; no other code uses `scratch`.
    pub unsafe fn pack(
        &self,
        from: [Address; 2],
        scratch: Address,
        pool: &Pool,
    ) -> BlockedOperands {
        let (mut at, mut free) = (from, scratch);
        for (side, at) in self.sides.iter().zip(&mut at).filter(|(side, _)| side.packs) {
            let [across, along] = side.steps;
            let strips = Strips {
                across: side.across,
                width: side.block,
                depth: self.sizes[2],
                steps: [along, across],
            };
            // SAFETY: as promised by the caller.
            unsafe { strips.pack::<T>(*at, free, pool) }
            *at = free;
            free = free.plus(self.packed(side) as isize);
        }
        at
    }

    /// Computes the tile of `to`, a row-major matrix of the whole result, that begins at `first`
    /// and has `size` rows and columns. Columns begin at a multiple of the lanes.
    ///
    /// # Safety
    /// `operands` is what [`BlockedProduct::pack`] returned; the result is live, and no other code
    /// uses the tile.
    pub unsafe fn tile(
        &self,
        operands: BlockedOperands,
        to: Address,
        [row, column]: [usize; 2],
        [rows, columns]: [usize; 2],
    ) {
        let ([left, right], [_, n, k]) = (&self.sides, self.sizes);
        let to = StridedMatrix { at: to.0.cast::<T>(), steps: [n as isize, 1] };
        for part in (0..k).step_by(MATMUL_PART_DEPTH) {
            let depth = MATMUL_PART_DEPTH.min(k - part);
            for j in right.blocks(column..column + columns) {
                let panel = right.part(operands[1], j.start, part, k);
                for i in left.blocks(row..row + rows) {
                    let strip = left.part(operands[0], i.start, part, k);
                    let to = to.below(i.start).right_of(j.start);
                    let size = [i.len(), j.len(), depth];
                    // SAFETY: as promised by the caller; blocks are inside of the tile.
                    unsafe { self.kernels.block(size, to, strip, panel, part > 0) }
                }
            }
        }
    }
}

impl BlockedSide {
    /// Divides `range` into blocks: whole strips of a packed operand.
    fn blocks(&self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let origin = if self.packs { 0 } else { range.start };
        blocks(range, self.block, origin)
    }

    /// Returns the operand at `at`, of depth `k`, from `across` and depth `part` on, across by
    /// depth.
    fn part<T: Copy>(&self, at: Address, across: usize, part: usize, k: usize) -> StridedMatrix<T> {
        let (at, width) = (at.0.cast::<T>(), self.block);
        if !self.packs {
            return StridedMatrix { at, steps: self.steps }.below(across).right_of(part);
        }
        let strip = StridedMatrix { at, steps: [1, width as isize] };
        strip.offset((across / width * width * k) as isize).right_of(part).below(across % width)
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
                let operands = product.pack(from, scratch, Pool::of(2));
                let to = Address(out.as_mut_ptr().cast());
                for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let (row, column) = (m / 2 * i, n / 2 / kernels.lanes * kernels.lanes * j);
                    let rows = if i == 0 { m / 2 } else { m - m / 2 };
                    let half = n / 2 / kernels.lanes * kernels.lanes;
                    let columns = if j == 0 { half } else { n - half };
                    product.tile(operands, to, [row, column], [rows, columns]);
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

    // The sums of these numbers round, in the same order in all tiles.
    #[test]
    fn tiles_change_no_bit() {
        let (m, n, k) = (200, 192, 1100);
        let numbers: Vec<f32> = (0..2 * m * k).map(|i| (i as f32 * 0.7).sin()).collect();
        let end = numbers.as_ptr().wrapping_add(m * k);
        for left in [[k as isize, 1], [-(k as isize), 1], [1, -(m as isize)], [0, 1]] {
            let product = BlockedProduct::<f32>::of([m, n, k], left, [n as isize, 1]);
            let Some(product) = product else { continue };
            let mut scratch = vec![0u64; product.scratch() / 8 + 1];
            let address = |x: *const f32| Address(x.cast_mut().cast());
            let run = |scratch: Address, [rows, columns]: [usize; 2]| {
                let mut out = vec![0f32; m * n];
                // SAFETY: the operands are inside of the numbers, which continue on both sides.
                unsafe {
                    let from = [address(end), address(numbers.as_ptr())];
                    let operands = product.pack(from, scratch, Pool::of(2));
                    let to = Address(out.as_mut_ptr().cast());
                    for row in (0..m).step_by(rows) {
                        for column in (0..n).step_by(columns) {
                            let size = [rows.min(m - row), columns.min(n - column)];
                            product.tile(operands, to, [row, column], size);
                        }
                    }
                }
                out
            };
            let scratch = Address(scratch.as_mut_ptr().cast());
            let whole = run(scratch, [m, n]);
            for size in [[16, 64], [12, 192], [50, 128], [200, 64]] {
                assert!(run(scratch, size) == whole, "{left:?} {size:?}");
            }
        }
    }
}
