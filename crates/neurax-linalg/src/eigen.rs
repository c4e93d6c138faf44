//! Eigenvalues and eigenvectors of a general complex matrix: the Hessenberg form by reflections,
//! then the QR algorithm with several shifts, by the crate `faer`.

use crate::blocked::{columns_of, store};
use faer::{
    Mat, Par,
    diag::DiagMut,
    dyn_stack::{MemBuffer, MemStack},
    linalg::evd,
};
use num_complex::Complex;

/// Computes [`crate::eig`].
pub fn eig(
    a: &[Complex<f64>],
    w: &mut [Complex<f64>],
    v: &mut [Complex<f64>],
    par: Par,
) -> Option<()> {
    let n = w.len();
    let a = columns_of(a, n, n);
    let mut vectors = Mat::<Complex<f64>>::zeros(n, n);
    let (params, with) = (Default::default(), evd::ComputeEigenvectors::Yes);
    let without = evd::ComputeEigenvectors::No;
    let request = evd::evd_scratch::<Complex<f64>>(n, without, with, par, params);
    let done = evd::evd_cplx(
        a.as_ref(),
        DiagMut::from_slice_mut(w),
        None,
        Some(vectors.as_mut()),
        par,
        MemStack::new(&mut MemBuffer::new(request)),
        params,
    );
    store(v, n, |i, j| vectors[(i, j)]);
    done.ok()
}
