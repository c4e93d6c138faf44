//! Choices among functions, blocks, convolutions, polynomials and associative scans.

use crate::harness::mirrors;
use neurax::{ConvolveMode, Windows, concat, prelude::*};

/// Combines the affine functions `x -> a x + b` of two parts of a scan.
fn compose((a, b): (Tensor, Tensor), (c, d): (Tensor, Tensor)) -> (Tensor, Tensor) {
    (c.matmul(a), einsum("tij,tj->ti", [c.clone(), b]) + d)
}

/// Returns the three parts of a convolution or correlation in a row.
fn all_modes(f: impl Fn(ConvolveMode) -> Tensor) -> Tensor {
    concat([ConvolveMode::Full, ConvolveMode::Same, ConvolveMode::Valid].map(f), 0)
}

mirrors! {
    select_first(x, y, z) => {
        let conditions = [x.gt(1), x.gt(0), x.lt(-1)];
        select_first(conditions, [x.square(), y.square(), z.sin()], 3.0)
    };
    choose(i, x, y, z) => i.choose([x.square(), y.square(), z * x]).square();
    piecewise(x) => {
        x.piecewise([x.gt(0), x.gt(1)], &[&|x| x.sin(), &|x| x.square(), &|x| x.pow(3)])
    };
    apply_along_axis(x) => {
        x.apply_along_axis(1, |v: Tensor| v.outer(v.slice(0, ..2)))
    };
    apply_over_axes(x) => x.square().apply_over_axes([0, 2], |x, axis| x.sum(axis));
    vectorize_matvec(a, x) => {
        let product = vectorize("(m,n),(n)->(m)", |(a, x): (Tensor, Tensor)| a.matmul(x));
        product((a.clone(), x.clone())).square()
    };
    gcd_lcm(i, j) => (i.gcd(j), i.lcm(j));
    mulhi(i, j) => i.mulhi(j);
    block_columns(x, y, z) => {
        let whole = block([[x.square(), y.clone()], [y.t() * 2, z.clone()]]);
        (whole, column_stack([&x.get(0), x]), dstack([x, &x.t()]))
    };
    extremes(x) => {
        let (values, places) = x.square().approx_max_k(2, 0);
        let x = x.gt(0.4).select(f64::NAN, x);
        vec![values, places, x.nanargmax(1), x.nanargmin(0)]
    };
    convolve(x, y) => {
        (all_modes(|mode| x.convolve(y, mode)), y.convolve(x, ConvolveMode::Same))
    };
    correlate(x, y) => {
        (all_modes(|mode| x.correlate(y, mode)), y.correlate(x, ConvolveMode::Full))
    };
    fftconvolve(x, y) => vec![
        x.fftconvolve(y, ConvolveMode::Full),
        x.fftconvolve(y, ConvolveMode::Same),
        y.fftconvolve(x, ConvolveMode::Valid),
    ];
    kaiser(beta) => Tensor::kaiser(6, beta.get(0) * 3);
    patches(x) => {
        let options = Windows::new().strides([1, 2]).padding([(1, 0), (1, 1)]).dilation([2, 1]);
        x.square().patches([2, 3], options)
    };
    associative_scan(a, b) => associative_scan(compose, (a.clone(), b.clone()), 0);
    associative_scan_reverse(x) => {
        associative_scan_reverse(|x: Tensor, y: Tensor| x * y, x.clone(), 1)
    };
    polynomial_arithmetic(p, q) => {
        let (quotient, rest) = p.polydiv(q);
        let all = [p.square().polyadd(q), q.polysub(p), p.polymul(q)];
        (concat(all, 0), quotient, rest)
    };
    polynomial_calculus(p, k) => {
        let squares = p.square();
        concat([squares.polyder(2), squares.polyint(2, k), p.polyint(1, 0)], 0)
    };
    polynomial_of_roots(r) => r.poly();
    polyfit(x, y) => x.polyfit(y, 2);
}
