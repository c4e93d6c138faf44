//! Radix sort of a long row of unsigned integers, from the least significant digit to the most
//! significant one (LSD radix sort; Knuth, The Art of Computer Programming, volume 3, 5.2.5).
//!
//! A pass sorts by one digit of 11 bits. Each chunk of the row counts its digits; the sums of the
//! counts, by digit and then by chunk, are the places of the first element of each digit of each
//! chunk; and each chunk moves its elements there. The passes alternate between two arrays. A digit
//! that is the same in all elements is skipped.
//!
//! ```text
//! 3 1 2 | 1 3   counts 0 1 1 1 | 0 1 0 1   places of 1: 0 | 1, of 2: 2, of 3: 3 | 4
//! 1 1 2 3 3
//! ```
//!
//! Invariants: elements with the same digits stay in order; the result is the same for any chunks.

#![allow(unsafe_code, reason = "chunks write to places all over an array, each to others")]

use super::super::{pool::Pool, scratch::Scratch, shared_array::SharedArray};
use crate::tuning::{RADIX_CHUNK_ELEMENTS, RADIX_MAX_CHUNKS};
use std::ops::Range;

/// The bits of a digit: three digits for 32 bits, and counts that fit into the first-level cache.
const DIGIT_BITS: u32 = 11;

const DIGIT_VALUES: usize = 1 << DIGIT_BITS;

/// An unsigned integer that is sorted.
pub trait RadixWord: Copy + Ord + Send + Sync + 'static {
    /// Returns the low digit of the integer without its low `shift` bits.
    fn digit(self, shift: u32) -> usize;
}

macro_rules! words {
    ($($t:ident),*) => {$(
        impl RadixWord for $t {
            #[inline(always)]
            fn digit(self, shift: u32) -> usize {
                (self >> shift) as usize & (DIGIT_VALUES - 1)
            }
        }
    )*};
}

words!(u8, u16, u32, u64, u128);

/// Returns the number of chunks of a row of `n` elements.
fn chunks(n: usize) -> usize {
    (n / RADIX_CHUNK_ELEMENTS).clamp(1, RADIX_MAX_CHUNKS)
}

/// Returns the bytes that [`sort`] allocates for a row of `n` elements.
pub fn scratch(n: usize) -> usize {
    chunks(n) * size_of::<[u32; DIGIT_VALUES]>()
}

/// Runs `f` on each chunk of a row of `n` elements, with the number of the chunk, in parallel.
pub fn in_chunks(n: usize, pool: &Pool, f: impl Fn(usize, Range<usize>) + Sync) {
    let chunks = chunks(n);
    let each = n.div_ceil(chunks);
    pool.run(chunks, &|i| f(i, (i * each).min(n)..((i + 1) * each).min(n)));
}

/// Sorts `n` elements by `bits` of their bits, those from `first` on, and returns the array that
/// holds the result: `a`, which holds the elements before, or `b`. The sort is stable.
///
/// # Safety
/// Both arrays have `n` elements, fewer than 2³², and no other thread uses them.
pub unsafe fn sort<T: RadixWord>(
    mut a: SharedArray<T>,
    mut b: SharedArray<T>,
    n: usize,
    Range { start: first, end }: Range<u32>,
    pool: &Pool,
) -> SharedArray<T> {
    let chunks = chunks(n);
    let mut own = Scratch::new(scratch(n));
    let counts = SharedArray::new(own.address().0.cast::<[u32; DIGIT_VALUES]>());
    for shift in (first..end).step_by(DIGIT_BITS as usize) {
        in_chunks(n, pool, |i, range| {
            // SAFETY: the scratch memory has counts for each chunk, which it writes alone; the
            // elements are only read.
            unsafe {
                let counts = counts.at(i);
                counts.write([0; DIGIT_VALUES]);
                count(&*a.range(range), shift, &mut *counts)
            }
        });
        // SAFETY: all chunks have written their counts.
        let counted = unsafe { counts.range(0..chunks) };
        if to_places(counted, n) {
            in_chunks(n, pool, |i, range| {
                // SAFETY: the places of a chunk are below `n`, and no other chunk has them.
                unsafe { scatter(&*a.range(range), shift, &mut *counts.at(i), b) }
            });
            (a, b) = (b, a);
        }
    }
    a
}

/// Counts the digits of `x`.
fn count<T: RadixWord>(x: &[T], shift: u32, counts: &mut [u32; DIGIT_VALUES]) {
    x.iter().for_each(|x| counts[x.digit(shift)] += 1);
}

/// Returns true if not all of the `n` elements have the same digit, and replaces the counts of all
/// chunks by the places of the first element of each digit.
fn to_places(counts: &mut [[u32; DIGIT_VALUES]], n: usize) -> bool {
    let mut place = 0;
    let mut is_one_digit = false;
    for digit in 0..DIGIT_VALUES {
        let first = place;
        for counts in counts.iter_mut() {
            let count = counts[digit];
            counts[digit] = place;
            place += count;
        }
        is_one_digit |= (place - first) as usize == n;
    }
    !is_one_digit
}

/// Moves the elements `x` to the places of their digits.
///
/// # Safety
/// `places` are those of `x` in the array `to`, and no other thread uses these elements.
unsafe fn scatter<T: RadixWord>(
    x: &[T],
    shift: u32,
    places: &mut [u32; DIGIT_VALUES],
    to: SharedArray<T>,
) {
    for &x in x {
        let place = &mut places[x.digit(shift)];
        // SAFETY: as promised by the caller.
        unsafe { to.at(*place as usize).write(x) }
        *place += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sorts the integers of a sequence of pseudorandom numbers by the bits `bits`.
    fn check<T: RadixWord + std::fmt::Debug>(n: usize, bits: Range<u32>, of: impl Fn(u64) -> T) {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            of(state)
        };
        let x: Vec<T> = (0..n).map(|_| next()).collect();
        let mut want = x.clone();
        let digits =
            |x: &T| bits.clone().step_by(11).map(|shift| x.digit(shift)).rev().collect::<Vec<_>>();
        want.sort_by_key(digits);
        let (mut a, mut b) = (x.clone(), x);
        // SAFETY: both arrays have `n` elements.
        let sorted = unsafe {
            let [a, b] = [&mut a, &mut b].map(|x| SharedArray::new(x.as_mut_ptr()));
            sort(a, b, n, bits.clone(), Pool::of(3)).range(0..n).to_vec()
        };
        assert_eq!(sorted, want);
    }

    #[test]
    fn elements_are_in_order_and_equal_ones_stay_in_order() {
        for n in [0, 1, 2, 5000, 3 * RADIX_CHUNK_ELEMENTS + 7] {
            check(n, 0..32, |x| (x >> 32) as u32);
            // Ties, and digits that are the same everywhere.
            check(n, 32..64, |x| (x & 0x3ff) << 50 | x >> 40);
        }
        check(10_000, 0..8, |x| (x >> 40) as u8);
        check(10_000, 0..16, |x| (x >> 40) as u16);
        check(10_000, 32..128, |x| (x as u128) << 61 | (x >> 32) as u128);
    }
}
