//! The matrix kernels of the crates `gemm-f32` and `gemm-f64`, behind one function.
//!
//! The kernels are called directly, without the crate `gemm` around them: that one also builds
//! kernels for complex numbers, a fifth of the time that everything below this crate takes to
//! build. A complex product is four real products here (see `product`).
//!
//! Like `gemm`, [`matmul`] gives a kernel its preferred layout: the result is column-major (the
//! transposed product is computed otherwise), and no stride along a result or along the depth is
//! negative (the traversal starts at the other end otherwise).
//!
//! The kernels add the products of 512 to 1024 depths in registers and these sums in the result,
//! so that the rounding error grows with the depth. A deep product is divided into blocks of the
//! depth, whose results are added in f64.

#![allow(unsafe_code, reason = "the matrix kernels take addresses and strides")]

use super::{
    strided_matrix::StridedMatrix,
    totals::{SumElement, SumTotals},
};
use crate::tuning::{
    MATMUL_DEPTH_BLOCK, MATMUL_MAX_PLAIN_DEPTH, MATMUL_MIN_PANEL_COLUMNS, MATMUL_TOTALS_BYTES,
    MATMUL_VECTOR_DEPTH_BLOCK,
};
use gemm_common::Parallelism;

/// A number with a matrix kernel.
pub trait MatmulElement: SumElement {
    /// The number 1.
    const UNIT: Self;

    /// Computes `to = old * to + new * l * r`, or `to = new * l * r` if `adds` is false.
    ///
    /// # Safety
    /// As [`matmul`]; `to`'s steps and the steps along the depth are not negative.
    unsafe fn kernel(
        sizes: [usize; 3],
        to: StridedMatrix<Self>,
        l: StridedMatrix<Self>,
        r: StridedMatrix<Self>,
        adds: bool,
        factor: Self,
    );
}

macro_rules! matmul_elements {
    ($($t:ident: $kernel:path),*) => {$(
        impl MatmulElement for $t {
            const UNIT: $t = 1.0;

            unsafe fn kernel(
                [m, n, k]: [usize; 3],
                to: StridedMatrix<$t>,
                l: StridedMatrix<$t>,
                r: StridedMatrix<$t>,
                adds: bool,
                factor: $t,
            ) {
                let ([tr, tc], [lr, lc], [rr, rc]) = (to.steps, l.steps, r.steps);
                // SAFETY: as promised by the caller.
                unsafe {
                    $kernel()(
                        m, n, k, to.at, tc, tr, adds, l.at, lc, lr, r.at, rc, rr, 1.0, factor,
                        false, false, false, Parallelism::None,
                    )
                }
            }
        }
    )*};
}

matmul_elements!(
    f32: gemm_f32::gemm::f32::get_gemm_fn,
    f64: gemm_f64::gemm::f64::get_gemm_fn
);

/// Computes `to = factor * l * r`, or adds that to `to` if `adds`. `sizes` are the rows and columns
/// of `to`, and the depth. Runs on the calling thread.
///
/// # Safety
/// All elements of the three matrices can be accessed, and no other code uses those of `to`.
pub unsafe fn matmul<T: MatmulElement>(
    [m, n, k]: [usize; 3],
    to: StridedMatrix<T>,
    l: StridedMatrix<T>,
    r: StridedMatrix<T>,
    adds: bool,
    factor: T,
) {
    let is_row_major = to.steps[1].abs() < to.steps[0].abs();
    let (m, n, mut to, mut l, mut r) = if is_row_major {
        (n, m, to.transposed(), r.transposed(), l.transposed())
    } else {
        (m, n, to, l, r)
    };
    if to.steps[0] < 0 {
        (to, l) = (to.reversed(0, m), l.reversed(0, m));
    }
    if to.steps[1] < 0 {
        (to, r) = (to.reversed(1, n), r.reversed(1, n));
    }
    if l.steps[1] < 0 {
        (l, r) = (l.reversed(1, k), r.reversed(0, k));
    }
    // SAFETY: as promised by the caller: the same elements, in another order.
    unsafe {
        // A product of one row or column adds one product after the other.
        let (most, block) = if m > 1 && n > 1 {
            (MATMUL_MAX_PLAIN_DEPTH, MATMUL_DEPTH_BLOCK)
        } else {
            (MATMUL_VECTOR_DEPTH_BLOCK, MATMUL_VECTOR_DEPTH_BLOCK)
        };
        if k > most {
            deep([m, n, k], to, l, r, adds, factor, k.div_ceil(block))
        } else {
            T::kernel([m, n, k], to, l, r, adds, factor)
        }
    }
}

/// Computes a product in `blocks` blocks of the depth. The result holds that of each block in turn,
/// which is added to its total. Columns are taken a panel at a time, so that the totals stay in
/// the cache.
///
/// # Safety
/// As [`MatmulElement::kernel`].
unsafe fn deep<T: MatmulElement>(
    [m, n, k]: [usize; 3],
    to: StridedMatrix<T>,
    l: StridedMatrix<T>,
    r: StridedMatrix<T>,
    adds: bool,
    factor: T,
    blocks: usize,
) {
    let width = (MATMUL_TOTALS_BYTES / (8 * m.max(1))).max(MATMUL_MIN_PANEL_COLUMNS);
    for first in (0..n).step_by(width) {
        let columns = width.min(n - first);
        let mut totals = SumTotals::zeros(m, columns);
        let (to, r) = (to.right_of(first), r.right_of(first));
        // SAFETY: as promised by the caller; there is a total for each element of the panel.
        unsafe {
            if adds {
                totals.add(to);
            }
            for block in 0..blocks {
                let (from, end) = (block * k / blocks, (block + 1) * k / blocks);
                let (l, r) = (l.right_of(from), r.below(from));
                T::kernel([m, columns, end - from], to, l, r, false, factor);
                totals.add(to);
            }
            totals.store(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A 2 x 3 by 3 x 2 product with the result in every layout, and with a reversed depth.
    #[test]
    fn layouts_and_reversed_axes_agree() {
        let (l, r) = ([1.0f64, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0f64, 0.0, 2.0, 1.0, 0.0, 3.0]);
        let want = [[5.0, 11.0], [14.0, 23.0]];
        let matrix =
            |x: &[f64], at: usize, steps| StridedMatrix { at: x[at..].as_ptr().cast_mut(), steps };
        let forward = (matrix(&l, 0, [3, 1]), matrix(&r, 0, [2, 1]));
        // The depth from its end: the columns of the left operand, the rows of the right one.
        let backward = {
            let (l, r) = ([3.0f64, 2.0, 1.0, 6.0, 5.0, 4.0], [0.0f64, 3.0, 2.0, 1.0, 1.0, 0.0]);
            (l, r)
        };
        let reversed = (matrix(&backward.0, 2, [3, -1]), matrix(&backward.1, 4, [-2, 1]));
        for (l, r) in [forward, reversed] {
            for (first, steps) in [(0, [2, 1]), (0, [1, 2]), (2, [-2, 1]), (1, [2, -1])] {
                let mut out = [1.0f64; 4];
                let at = out[first..].as_mut_ptr();
                let to = StridedMatrix { at, steps };
                // SAFETY: all steps stay inside of the arrays.
                unsafe {
                    matmul([2, 2, 3], to, l, r, false, 1.0);
                    matmul([2, 2, 3], to, l, r, true, -0.5);
                    for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                        let y = *at.offset(i as isize * steps[0] + j as isize * steps[1]);
                        assert_eq!(y, 0.5 * want[i][j], "{steps:?} at {i}, {j}");
                    }
                }
            }
        }
    }
}
