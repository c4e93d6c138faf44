//! Windows with one tap along the last axis: whole lines of elements are combined.
//!
//! With features last, the windows of a place read the features of its elements one after the
//! other. Some features of all of these are combined in registers before they are stored.

#![allow(unsafe_code, reason = "elements are read and written by address")]

use super::cell::WindowElement;
use neurax_ir::op::ReduceKind;

/// The elements that are combined in registers.
const SOME: usize = 32;

/// Combines `n` elements behind each offset of `x`, in order, and stores the results.
///
/// # Safety
/// All elements and results are live, and no other thread uses the results.
pub type CombineLinesFn<T> =
    unsafe fn(lines: &[usize], x: *const T, start: T, to: *mut T, n: usize);

/// Combines lines by the reduction of index `KIND`: a [`CombineLinesFn`].
///
/// # Safety
/// As [`CombineLinesFn`].
#[inline(always)]
pub unsafe fn combine_lines<T: WindowElement, const KIND: usize>(
    lines: &[usize],
    x: *const T,
    start: T,
    to: *mut T,
    n: usize,
) {
    let combine = |a: T, b: T| T::combine(ReduceKind::ALL[KIND], a, b);
    let mut first = 0;
    // SAFETY: as promised by the caller.
    unsafe {
        while first + SOME <= n {
            let mut all = [start; SOME];
            for line in lines {
                let some = x.add(line + first).cast::<[T; SOME]>().read_unaligned();
                all.iter_mut().zip(some).for_each(|(a, b)| *a = combine(*a, b));
            }
            to.add(first).cast::<[T; SOME]>().write_unaligned(all);
            first += SOME;
        }
        for i in first..n {
            *to.add(i) = lines.iter().fold(start, |a, line| combine(a, *x.add(line + i)));
        }
    }
}

/// Combines as [`combine_lines`] does, in vectors of 256 bits.
///
/// # Safety
/// As [`CombineLinesFn`]; the CPU has the vectors.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
pub unsafe fn combine_lines_in_avx2<T: WindowElement, const KIND: usize>(
    lines: &[usize],
    x: *const T,
    start: T,
    to: *mut T,
    n: usize,
) {
    // SAFETY: as promised by the caller.
    unsafe { combine_lines::<T, KIND>(lines, x, start, to, n) }
}
