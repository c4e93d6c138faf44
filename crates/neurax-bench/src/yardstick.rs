//! The `gemm` crate, called directly: what products are held to.

#![allow(unsafe_code, reason = "the crate's only function takes pointers")]

use gemm::Parallelism;

/// `out = a b`, square matrices of side `n`, row by row.
pub fn multiply(n: usize, a: &[f32], b: &[f32], out: &mut [f32], threads: usize) {
    assert!([a.len(), b.len(), out.len()] == [n * n; 3], "matrices of side {n} were promised");
    let rows = n as isize;
    let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    // SAFETY: each pointer is to n * n numbers, as was just checked, and strides 1 and n stay
    // within them; `out` is borrowed alone.
    unsafe {
        gemm::gemm(
            n,
            n,
            n,
            out.as_mut_ptr(),
            1,
            rows,
            false,
            a.as_ptr(),
            1,
            rows,
            b.as_ptr(),
            1,
            rows,
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
    fn it_multiplies() {
        let mut out = [0.0; 4];
        super::multiply(2, &[1.0, 2.0, 3.0, 4.0], &[1.0, 10.0, 100.0, 1000.0], &mut out, 1);
        assert_eq!(out, [201.0, 2010.0, 403.0, 4030.0]);
    }
}
