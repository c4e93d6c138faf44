//! Reductions, products, shapes and indices of complex numbers.

use crate::harness::{mirrors, packed};
use neurax::{ConvolveMode, prelude::*};

mirrors! {
    complex_sum(x, y) => packed(&x.complex(y).square().sum(0));
    complex_sum_all(x, y) => packed(&x.complex(y).square().sum(..));
    complex_mean(x, y) => packed(&x.complex(y).square().mean(keep(-1)));
    complex_prod(x, y) => packed(&x.complex(y).prod(1));
    complex_variance(x, y) => x.complex(y).var(1, 0);
    complex_deviation(x, y) => x.complex(y).std(0, 1);
    complex_norm(x, y) => x.complex(y).norm(1);
    complex_norm_one(x, y) => x.complex(y).norm_of_order(1.0, 0);
    complex_cumsum(x, y) => packed(&x.complex(y).square().cumsum(1));
    complex_cumprod(x, y) => packed(&x.complex(y).cumprod(0));
    complex_cumsum_reverse(x, y) => {
        packed(&x.complex(y).square().cumsum_with(0, CumulativeOptions::new().reverse()))
    };
    complex_diff(x, y) => packed(&x.complex(y).square().diff(1, 1));
    complex_trapezoid(x, y) => packed(&x.complex(y).square().trapezoid(0.5, 1));
    complex_nansum(x, y) => packed(&x.complex(y).square().nansum(0));
    complex_sum_where(x, y) => {
        packed(&x.complex(y).sum_with(1, ReduceOptions::new().where_(x.gt(0))))
    };
    complex_transpose(x, y) => packed(&x.complex(y).t().square());
    complex_adjoint(x, y) => packed(&x.complex(y).square().adjoint());
    complex_reshape_flip(x, y) => packed(&x.complex(y).square().reshape([2, 6]).flip(1));
    complex_roll(x, y) => packed(&x.complex(y).square().roll(1, 1));
    complex_tile(x, y) => packed(&x.complex(y).square().tile([1, 2]));
    complex_repeat(x, y) => packed(&x.complex(y).square().repeat(2, 0));
    complex_triangle(x, y) => packed(&x.complex(y).square().tril(1));
    complex_pad(x, y) => packed(&x.complex(y).square().pad([(1, 0), (0, 2)], 3));
    complex_pad_reflect(x, y) => {
        packed(&x.complex(y).square().pad_with([(1, 0), (0, 2)], neurax::PadMode::Reflect))
    };
    complex_slice(x, y) => packed(&x.complex(y).square().index((1.., step(0..4, 2))));
    complex_concatenate(x, y) => packed(&concat([x.complex(y), x.complex(y).square()], 1));
    complex_stack(x, y) => packed(&stack([x.complex(y), x.complex(y).square()], 1));
    complex_trace(x, y) => packed(&x.complex(y).square().trace(1));
    complex_diagonal(x, y) => packed(&x.complex(y).square().diagonal(0, 0, 1).diag(0));
    complex_scan(x, y) => {
        packed(&scan(x.get(0).ones_like().complex(0), x.complex(y), |c, z| (&c * z + 1, c)).1)
    };
    complex_reduce_outer(x, y) => packed(&x.complex(y).get(0).outer(x.complex(y).get(1)));
    complex_vander(x, y) => packed(&x.complex(y).get(0).vander(3, false));
    complex_poly(x, y) => packed(&x.complex(y).get(0).poly());
    complex_take(x, y, z) => packed(&x.complex(y).take(z, 0).square());
    complex_take_along_axis(x, y, z) => packed(&x.complex(y).square().take_along_axis(z, 1));
    complex_scatter_add(x, y, z, w) => packed(&x.complex(y).at(z).add(w.square()).square());
    complex_scatter_set(x, y, z, w) => {
        packed(&x.complex(y).at(z).set(w.complex(w.square())).square())
    };
    complex_scatter_multiply(x, y, z, w) => packed(&x.complex(y).at(z).unique().mul(w).square());
    complex_segment_sum(x, y, z) => packed(&x.complex(y).square().segment_sum(z, 3));
    complex_dynamic_slice(x, y, z) => {
        packed(&x.complex(y).square().dynamic_slice(z.reshape([1]), [3]))
    };
    complex_dot(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&a.dot(b))
    };
    complex_vdot(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&a.vdot(b))
    };
    complex_inner(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&a.inner(b))
    };
    complex_matmul(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&a.matmul(b))
    };
    complex_matmul_batched(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&a.matmul(b))
    };
    complex_matvec(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&a.matmul(b))
    };
    complex_tensordot(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&a.tensordot(b, [0, 1], [0, 1]))
    };
    complex_einsum(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&einsum("ij,ji->i", [a, b]))
    };
    complex_kron(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&a.kron(b))
    };
    complex_cross(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&a.cross(b))
    };
    complex_convolve(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&a.convolve(&b, ConvolveMode::Same))
    };
    complex_correlate(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&a.correlate(&b, ConvolveMode::Full))
    };
    complex_polymul(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&a.polymul(&b))
    };
    complex_average(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&a.average(b + 5, 0))
    };
    complex_conv(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&a.conv(&b, Windows::new()))
    };
}
