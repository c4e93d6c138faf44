//! The matrix kernel of the crate `gemm-f32`, called directly: the baseline of the matrix products.

#![allow(unsafe_code, reason = "the crate's only function takes pointers")]

use gemm_common::Parallelism;

/// Returns true if [`multiply`] can use `threads` threads: any number with the feature
/// `rayon`, else 1.
pub fn supports(threads: usize) -> bool {
    threads <= 1 || cfg!(feature = "rayon")
}

/// Computes `out = a b` for square row-major matrices with `n` rows, on `threads` threads.
///
/// # Panics
/// Panics if a slice does not have `n * n` elements, or if `threads` is not supported.
pub fn multiply(n: usize, a: &[f32], b: &[f32], out: &mut [f32], threads: usize) {
    assert!([a.len(), b.len(), out.len()] == [n * n; 3], "expected {n} x {n} matrices");
    assert!(supports(threads), "{threads} threads need the feature `rayon`");
    let side = n as isize;
    #[cfg(feature = "rayon")]
    let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    #[cfg(not(feature = "rayon"))]
    let parallelism = Parallelism::None;
    // The kernel prefers a column-major result: it computes the transposed product.
    let kernel = gemm_f32::gemm::f32::get_gemm_fn();
    let (to, left, right) = (out.as_mut_ptr(), b.as_ptr(), a.as_ptr());
    // SAFETY: each slice has n * n elements, as asserted above, so that all offsets with strides 1
    // and n are in bounds; `out` is borrowed mutably and does not overlap `a` or `b`.
    unsafe {
        kernel(
            n,
            n,
            n,
            to,
            side,
            1,
            false,
            left,
            side,
            1,
            right,
            side,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn products_equal_those_by_hand() {
        let mut out = [0.0; 4];
        super::multiply(2, &[1.0, 2.0, 3.0, 4.0], &[1.0, 10.0, 100.0, 1000.0], &mut out, 1);
        assert_eq!(out, [201.0, 2010.0, 403.0, 4030.0]);
    }
}
