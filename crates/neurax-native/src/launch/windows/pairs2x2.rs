//! Windows of two by two without overlap, the usual ones: a row of results from two rows of
//! elements at once, in chunks of a constant size, so that they become vectors.

#![allow(unsafe_code, reason = "elements are read and written by address")]

use super::cell::WindowElement;
use neurax_ir::op::ReduceKind;

/// Joins the elements of two rows by twos, and these with each other: `n` results.
///
/// # Safety
/// Twice as many elements in each row, and the results, are live, and nobody else uses the results.
pub type CombinePairsFn<T> = unsafe fn(rows: [*const T; 2], to: *mut T, n: usize);

/// [`CombinePairsFn`] of one kind.
///
/// # Safety
/// As there.
pub unsafe fn combine_pairs<T: WindowElement, const KIND: usize>(
    rows: [*const T; 2],
    to: *mut T,
    n: usize,
) {
    // SAFETY: as promised by the caller.
    unsafe { in_chunks(&CombinedRow::<T, KIND> { rows, to }, n) }
}

/// The places of the best of the elements of two rows, which begin at those places, by twos: `n` of
/// them.
///
/// # Safety
/// As [`CombinePairsFn`].
pub unsafe fn select_pairs<T: WindowElement, const MAX: bool>(
    x: *const T,
    from: [usize; 2],
    places: *mut u32,
    n: usize,
) {
    // SAFETY: as promised by the caller.
    unsafe { in_chunks(&SelectedRow::<T, MAX> { x, from, places }, n) }
}

/// A row of results.
trait RowKernel {
    /// Makes `N` results, from the one at `at` on.
    unsafe fn chunk<const N: usize>(&self, at: usize);
}

/// Makes `n` results; the last chunk begins where it must to end with them.
#[inline(always)]
unsafe fn in_chunks(row: &impl RowKernel, n: usize) {
    let begins = |size: usize| (0..n).step_by(size).map(move |at| at.min(n - size));
    // SAFETY: as promised by the caller: no chunk goes beyond the last one.
    unsafe {
        match n {
            8.. => begins(8).for_each(|at| row.chunk::<8>(at)),
            4.. => begins(4).for_each(|at| row.chunk::<4>(at)),
            _ => begins(1).for_each(|at| row.chunk::<1>(at)),
        }
    }
}

struct CombinedRow<T, const KIND: usize> {
    rows: [*const T; 2],
    to: *mut T,
}

impl<T: WindowElement, const KIND: usize> RowKernel for CombinedRow<T, KIND> {
    #[inline(always)]
    unsafe fn chunk<const N: usize>(&self, at: usize) {
        let combine = |a: T, b: T| T::combine(ReduceKind::ALL[KIND], a, b);
        // SAFETY: as promised by the caller.
        unsafe {
            let [a, b] = self.rows.map(|row| pairs::<T, N>(row.add(2 * at)));
            let mut y = [T::ZERO; N];
            for i in 0..N {
                y[i] = combine(combine(a[i][0], a[i][1]), combine(b[i][0], b[i][1]));
            }
            self.to.add(at).cast::<[T; N]>().write(y);
        }
    }
}

struct SelectedRow<T, const MAX: bool> {
    x: *const T,
    from: [usize; 2],
    places: *mut u32,
}

impl<T: WindowElement, const MAX: bool> RowKernel for SelectedRow<T, MAX> {
    #[inline(always)]
    unsafe fn chunk<const N: usize>(&self, at: usize) {
        // SAFETY: as promised by the caller.
        let [a, b] = self.from.map(|from| unsafe { pairs::<T, N>(self.x.add(from + 2 * at)) });
        let [first, second] = self.from.map(|from| (from + 2 * at) as u32);
        let better = |old: (T, u32), new: (T, u32)| {
            let wins = new.0.beats::<MAX>(old.0);
            (if wins { new.0 } else { old.0 }, if wins { new.1 } else { old.1 })
        };
        let mut y = [0; N];
        for i in 0..N {
            let j = 2 * i as u32;
            let above = better((a[i][0], first + j), (a[i][1], first + j + 1));
            y[i] = better(better(above, (b[i][0], second + j)), (b[i][1], second + j + 1)).1;
        }
        // SAFETY: as promised by the caller.
        unsafe { self.places.add(at).cast::<[u32; N]>().write(y) }
    }
}

/// `N` pairs of neighbours.
#[inline(always)]
unsafe fn pairs<'a, T, const N: usize>(x: *const T) -> &'a [[T; 2]; N] {
    // SAFETY: as promised by the caller, who is done with them before anybody writes them.
    unsafe { &*x.cast::<[[T; 2]; N]>() }
}
