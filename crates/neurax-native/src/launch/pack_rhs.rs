//! Packs a column-strided right operand of a matrix product into row-major order.
//!
//! The right operand of a product with transposed weights has contiguous rows along the depth and
//! strided columns. The matrix kernel would transpose it again for every tile; packed once before,
//! 1024 x 1024 by the transpose of 256 x 1024 went from 160 to 235 GFLOP/s. The transposition works
//! on square tiles of one cache line, so that each line is read once.

#![allow(unsafe_code, reason = "buffers are addresses")]

use super::{frame::ScratchLine, pool::Pool};
use crate::address::Address;
use crate::tuning::{PACK_GRAIN_ELEMENTS, PACK_TILE};

/// The packing of a right operand.
#[derive(Debug)]
pub struct PackRhs {
    /// The rows (depth) and columns of the packed matrix. In the operand, rows are contiguous.
    pub sizes: [usize; 2],
    /// The stride from column to column in the operand, in elements.
    pub across: isize,
    /// True if elements have 8 bytes instead of 4.
    pub is_wide: bool,
}

impl PackRhs {
    /// Returns the bytes of the packed matrix, rounded up to cache lines.
    pub fn size(&self) -> usize {
        (self.sizes[0] * self.sizes[1] * if self.is_wide { 8 } else { 4 })
            .next_multiple_of(size_of::<ScratchLine>())
    }

    /// Packs the operand at `from` into the memory at `to`.
    ///
    /// # Safety
    /// The operand is live; `to` has room for [`PackRhs::size`] bytes, which no other thread uses.
    pub unsafe fn run(&self, from: Address, to: Address, pool: &Pool) {
        let [rows, columns] = self.sizes;
        let pack = if self.is_wide { Self::columns::<u64> } else { Self::columns::<u32> };
        let each = (PACK_GRAIN_ELEMENTS / rows.max(1))
            .max(1)
            .next_multiple_of(PACK_TILE)
            .min(columns)
            .max(1);
        pool.run(columns.div_ceil(each), &|part| {
            let some = part * each..((part + 1) * each).min(columns);
            // SAFETY: as promised by the caller; chunks write different columns.
            unsafe { pack(self, from, to, some) }
        });
    }

    /// Packs the columns `some`.
    ///
    /// # Safety
    /// As [`PackRhs::run`]; elements have the size of `T`, and no other thread packs these columns.
    unsafe fn columns<T: Copy>(&self, from: Address, to: Address, some: std::ops::Range<usize>) {
        let [rows, columns] = self.sizes;
        for j in some.clone().step_by(PACK_TILE) {
            let width = PACK_TILE.min(some.end - j);
            for i in (0..rows).step_by(PACK_TILE) {
                // SAFETY: as promised by the caller of `run`.
                unsafe {
                    let from = from.0.cast::<T>().offset(j as isize * self.across).add(i);
                    let to = to.0.cast::<T>().add(i * columns + j);
                    let size = [PACK_TILE.min(rows - i), width];
                    transpose_tile(from, self.across, to, columns, size);
                }
            }
        }
    }
}

/// Transposes one tile of `rows` by `columns` elements, four by four in registers. Its columns are
/// contiguous at `from` and its rows at `to`.
///
/// # Safety
/// The tile is inside of both live arrays, whose columns are `across` and rows `down` elements
/// apart; no other thread uses the tile at `to`.
pub unsafe fn transpose_tile<T: Copy>(
    from: *const T,
    across: isize,
    to: *mut T,
    down: usize,
    [rows, columns]: [usize; 2],
) {
    let (whole_rows, whole_columns) = (rows / 4 * 4, columns / 4 * 4);
    // SAFETY: the caller gives a tile that is inside of both arrays.
    unsafe {
        for (j, i) in (0..whole_columns)
            .step_by(4)
            .flat_map(|j| (0..whole_rows).step_by(4).map(move |i| (j, i)))
        {
            let column = |c: usize| {
                from.offset((j + c) as isize * across).add(i).cast::<[T; 4]>().read_unaligned()
            };
            let x = [column(0), column(1), column(2), column(3)];
            let row = |r: usize| [x[0][r], x[1][r], x[2][r], x[3][r]];
            (0..4)
                .for_each(|r| to.add((i + r) * down + j).cast::<[T; 4]>().write_unaligned(row(r)));
        }
        let one = |i: usize, j: usize| {
            *to.add(i * down + j) = from.offset(j as isize * across).add(i).read_unaligned()
        };
        (0..whole_columns).for_each(|j| (whole_rows..rows).for_each(|i| one(i, j)));
        (whole_columns..columns).for_each(|j| (0..rows).for_each(|i| one(i, j)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_packed() {
        let pool = Pool::of(2);
        for (rows, columns) in [(1, 16), (17, 33), (40, 1000), (700, 64), (40_000, 35)] {
            let packing =
                PackRhs { sizes: [rows, columns], across: rows as isize + 1, is_wide: false };
            let from: Vec<u32> = (0..(rows + 1) * columns).map(|i| i as u32).collect();
            let mut to = vec![0u32; packing.size() / 4];
            // SAFETY: both are as large as the sizes say.
            unsafe {
                packing.run(
                    Address(from.as_ptr().cast_mut().cast()),
                    Address(to.as_mut_ptr().cast()),
                    pool,
                )
            };
            for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                assert_eq!(to[i * columns + j], (j * (rows + 1) + i) as u32, "{rows} {columns}");
            }
        }
    }
}
