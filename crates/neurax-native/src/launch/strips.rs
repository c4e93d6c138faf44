//! Packing of an operand of a matrix product into strips that the microkernel reads in order.
//!
//! A strip holds a few rows of the left operand, or a panel of columns of the right one: for each
//! step of the depth, the elements across, next to each other.
//!
//! ```text
//! strips of 2 across, depth 3:   a0 a1 a2          a0 b0  a1 b1  a2 b2
//!                                b0 b1 b2    ->    c0 --  c1 --  c2 --
//!                                c0 c1 c2
//! ```
//!
//! The elements behind the last ones across (`--`) are left as they are: the microkernel computes
//! with them what it does not store.

#![allow(unsafe_code, reason = "operands and strips are addresses")]

use super::{pack_rhs::transpose_tile, pool::Pool};
use crate::address::Address;
use crate::tuning::{MATMUL_PART_DEPTH, PACK_GRAIN_ELEMENTS, PACK_TILE};
use std::ops::Range;

/// The packing of an operand into strips.
#[derive(Clone, Copy, Debug)]
pub struct Strips {
    /// The elements of the operand across.
    pub across: usize,
    /// The elements of a strip across.
    pub width: usize,
    /// The depth.
    pub depth: usize,
    /// The strides of the operand along the depth and across, in elements.
    pub steps: [isize; 2],
}

impl Strips {
    /// Packs the operand at `from` into the strips at `to`.
    ///
    /// # Safety
    /// The operand is live and has elements of type `T`; at `to` is room for all strips, which no
    /// other code uses.
    pub unsafe fn pack<T: Copy>(&self, from: Address, to: Address, pool: &Pool) {
        let strips = self.across.div_ceil(self.width);
        let parts = self.depth.div_ceil(MATMUL_PART_DEPTH);
        let each = (PACK_GRAIN_ELEMENTS / (self.width * self.depth.min(MATMUL_PART_DEPTH))).max(1);
        let groups = strips.div_ceil(each);
        pool.run(groups * parts, &|chunk| {
            let (group, part) = (chunk / parts * each, chunk % parts * MATMUL_PART_DEPTH);
            let depths = part..(part + MATMUL_PART_DEPTH).min(self.depth);
            for strip in group..(group + each).min(strips) {
                // SAFETY: as promised by the caller; chunks write different elements.
                unsafe { self.strip::<T>(from, to, strip, depths.clone()) }
            }
        });
    }

    /// Packs the steps `depths` of strip number `strip`.
    ///
    /// # Safety
    /// As [`Strips::pack`]; no other thread packs these elements.
    unsafe fn strip<T: Copy>(
        &self,
        from: Address,
        to: Address,
        strip: usize,
        depths: Range<usize>,
    ) {
        let first = strip * self.width;
        let count = self.width.min(self.across - first);
        let [along, across] = self.steps;
        let from = from.0.cast::<T>().wrapping_offset(first as isize * across);
        let to = to.0.cast::<T>().wrapping_add(first * self.depth);
        let source = |d: usize| from.wrapping_offset(d as isize * along);
        let target = |d: usize| to.wrapping_add(d * self.width);
        // SAFETY: as promised by the caller; all indices are inside of the operand and the strip.
        unsafe {
            if across == 1 {
                depths.for_each(|d| target(d).copy_from_nonoverlapping(source(d), count));
            } else if along == 1 {
                for d in depths.clone().step_by(PACK_TILE) {
                    let deep = PACK_TILE.min(depths.end - d);
                    for c in (0..count).step_by(PACK_TILE) {
                        let from = source(d).wrapping_offset(c as isize * across);
                        let size = [deep, PACK_TILE.min(count - c)];
                        transpose_tile(from, across, target(d).add(c), self.width, size);
                    }
                }
            } else {
                for (d, c) in depths.flat_map(|d| (0..count).map(move |c| (d, c))) {
                    *target(d).add(c) = *source(d).offset(c as isize * across);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_hold_every_element() {
        for (across, depth) in [(3, 3), (64, 600), (70, 33), (13, 1100)] {
            // The depth contiguous, the elements across contiguous, neither.
            for steps in [[1, depth + 2], [across + 1, 1], [2 * across, 2]] {
                let steps = steps.map(|s| s as isize);
                let strips = Strips { across, width: 6, depth, steps };
                let from: Vec<u32> =
                    (0..(across + 2) * (depth + 2) * 2).map(|i| i as u32).collect();
                let mut to = vec![0u32; across.next_multiple_of(6) * depth];
                // SAFETY: both are as large as the sizes say.
                unsafe {
                    let from = Address(from.as_ptr().cast_mut().cast());
                    strips.pack::<u32>(from, Address(to.as_mut_ptr().cast()), Pool::of(2));
                }
                for (c, d) in (0..across).flat_map(|c| (0..depth).map(move |d| (c, d))) {
                    let want = d as isize * steps[0] + c as isize * steps[1];
                    assert_eq!(to[c / 6 * 6 * depth + d * 6 + c % 6], want as u32, "{steps:?}");
                }
            }
        }
    }
}
