//! Windows of two by two without overlap: a row of results from two rows of elements, in chunks of
//! a constant size, which rustc vectorizes.

#![allow(unsafe_code, reason = "elements are read and written by address")]

use super::cell::WindowElement;
use neurax_ir::op::ReduceKind;

/// Combines the elements of two rows in squares of two by two: `n` results.
///
/// # Safety
/// `2 n` elements of each row and `n` results are live, and no other thread uses the results.
pub type CombinePairsFn<T> = unsafe fn(rows: [*const T; 2], to: *mut T, n: usize);

/// Combines squares by the reduction of index `KIND`: a [`CombinePairsFn`].
///
/// # Safety
/// As [`CombinePairsFn`].
pub unsafe fn combine_pairs<T: WindowElement, const KIND: usize>(
    rows: [*const T; 2],
    to: *mut T,
    n: usize,
) {
    // SAFETY: as promised by the caller.
    unsafe { in_chunks(&CombinedRow::<T, KIND> { rows, to }, n) }
}

/// Writes the indices of the best elements of `n` squares to `indices`. The two rows begin at the
/// indices `from`.
///
/// # Safety
/// As [`CombinePairsFn`].
pub unsafe fn select_pairs<T: WindowElement, const MAX: bool>(
    x: *const T,
    from: [usize; 2],
    indices: *mut u32,
    n: usize,
) {
    // SAFETY: as promised by the caller.
    unsafe { in_chunks(&SelectedRow::<T, MAX> { x, from, indices }, n) }
}

/// A loop body that computes a row of results.
trait RowKernel {
    /// Computes results `at..at + N`.
    ///
    /// # Safety
    /// The row has results `at..at + N` and the elements of their squares, and no other thread uses
    /// these results.
    unsafe fn chunk<const N: usize>(&self, at: usize);
}

/// Computes `n` results. The last chunk overlaps the one before it, so that it ends with them.
///
/// # Safety
/// As [`RowKernel::chunk`], for the results `0..n`.
#[inline(always)]
unsafe fn in_chunks(row: &impl RowKernel, n: usize) {
    let begins = |size: usize| (0..n).step_by(size).map(move |at| at.min(n - size));
    // SAFETY: as promised by the caller: no chunk ends after the last result.
    unsafe {
        match n {
            8.. => begins(8).for_each(|at| row.chunk::<8>(at)),
            4.. => begins(4).for_each(|at| row.chunk::<4>(at)),
            // other: fewer than 4 results.
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
    indices: *mut u32,
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
        unsafe { self.indices.add(at).cast::<[u32; N]>().write(y) }
    }
}

/// Returns `N` pairs of neighbouring elements.
///
/// # Safety
/// `2 N` elements at `x` are live, and nothing writes them while the reference is used.
#[inline(always)]
unsafe fn pairs<'a, T, const N: usize>(x: *const T) -> &'a [[T; 2]; N] {
    // SAFETY: as promised by the caller, who drops the reference before anything writes there.
    unsafe { &*x.cast::<[[T; 2]; N]>() }
}
