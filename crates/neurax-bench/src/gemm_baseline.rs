//! The matrix kernel of the crate `gemm-f32`, called directly: the baseline of the matrix products.

#![allow(unsafe_code, reason = "the crate's only function takes pointers")]

use gemm_common::Parallelism;

/// Computes `out = a b` for square row-major matrices of side `n`, on `threads` threads.
///
/// The kernel prefers a column-major result, so it computes the transposed product, as the crate
/// `gemm` would.
pub fn multiply(n: usize, a: &[f32], b: &[f32], out: &mut [f32], threads: usize) {
    assert!([a.len(), b.len(), out.len()] == [n * n; 3], "matrices of side {n} were promised");
    let side = n as isize;
    let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    let kernel = gemm_f32::gemm::f32::get_gemm_fn();
    let (to, left, right) = (out.as_mut_ptr(), b.as_ptr(), a.as_ptr());
    // SAFETY: each pointer is to n * n numbers, as was just checked, and strides 1 and n stay
    // within them; `out` is borrowed exclusively.
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
