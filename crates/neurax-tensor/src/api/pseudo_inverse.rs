//! Pseudo-inverses by singular values.
//!
//! A pseudo-inverse `p` of `a` is differentiated in closed form, not as its factors, whose
//! derivatives do not exist where singular values are equal (Golub and Pereyra, 1973, The
//! differentiation of pseudo-inverses):
//!
//! ```text
//! dp = -p · da · p  +  p · pᴴ · daᴴ · (1 - a · p)  +  (1 - p · a) · daᴴ · pᴴ · p
//! ```
//!
//! The formula holds where the rank does not change: singular values that count as 0 are constant.

use super::common::located;
use crate::{
    DType, Function, RankOptions, Tensor, Type, custom_tangent, dispatch::common_shape, keep,
    stop_gradient, tensor::CallSite,
};

/// Returns the relative bound up to which singular values count as 0, in the dtype of the singular
/// values, with a last axis for them. The default is `factor · max(m, n) · epsilon`.
#[track_caller]
pub(super) fn bound(
    x: &Tensor,
    op: &str,
    options: &RankOptions,
    factor: f64,
    at: CallSite,
) -> Result<Tensor, Tensor> {
    let (m, n) = x.matrix_size(op, at)?;
    if options.is_hermitian {
        x.square_size(op, at)?;
    }
    let (x, _) = x.clone().float(at).wide(at);
    let dtype = x.dtype().real();
    let Some(given) = &options.bound else {
        return Ok(Tensor::scalar(dtype, factor * tolerance(&x, m, n)));
    };
    let ty = given.type_or_error()?;
    let batch = Type::new(dtype, &x.shape()[..x.rank() - 2]);
    let common = common_shape(op, &[batch.clone(), ty.with_dtype(dtype)]);
    let fits = common.is_ok_and(|shape| shape == batch.shape);
    if ty.dtype.is_complex() || !fits {
        let why = format!("expected a real bound that broadcasts to {batch}, got {ty}");
        return Err(Tensor::fail(op, why, at));
    }
    Ok(given.convert(dtype, at).expand_dims(-1))
}

/// Returns the fraction of the largest singular value of matrices `[.., m, n]` below which rounding
/// determines the others.
fn tolerance(x: &Tensor, m: usize, n: usize) -> f64 {
    let epsilon = match x.dtype().real() {
        DType::F64 => f64::EPSILON,
        _ => f32::EPSILON as f64,
    };
    epsilon * m.max(n) as f64
}

/// The singular values of matrices, and the pseudo-inverse.
pub(super) struct PseudoInverse {
    /// The pseudo-inverse, `[.., n, m]`.
    pub matrix: Tensor,
    /// The singular values, in descending order.
    pub values: Tensor,
    /// The singular values that do not count as 0, a mask.
    pub is_kept: Tensor,
}

impl PseudoInverse {
    /// Computes the pseudo-inverse of matrices of at least single precision.
    #[track_caller]
    pub(super) fn of(
        x: &Tensor,
        bound: &Tensor,
        is_hermitian: bool,
        at: CallSite,
    ) -> PseudoInverse {
        let x = &if is_hermitian { (x + x.adjoint()) * 0.5 } else { x.clone() };
        let [u, s, vh] = if is_hermitian { by_eigenvalues(x) } else { x.svd().into() };
        let largest = if s.dim(-1) == 0 { s.sum(keep(-1)) } else { s.max(keep(-1)) };
        let is_kept = stop_gradient(&s).gt(stop_gradient(&(largest * bound)));
        let (left, right) = (stop_gradient(&u).adjoint(), stop_gradient(&vh).adjoint());
        let inverse = is_kept.select(1.0 / is_kept.select(stop_gradient(&s), 1.0), 0.0);
        let inverse = inverse.convert(x.dtype(), at).expand_dims(-2);
        let value = (right * inverse).matmul(left);
        if !x.is_traced() {
            return PseudoInverse { matrix: value, values: s, is_kept };
        }
        let rule = custom_tangent(
            |(_, value): (Tensor, Tensor)| value,
            |((a, _), p, (da, _)): ((Tensor, Tensor), Tensor, (Tensor, Tensor))| {
                located(at, &[&a, &p], || tangent(&a, &p, &da))
            },
        );
        PseudoInverse { matrix: rule.apply((x.clone(), value)), values: s, is_kept }
    }
}

/// Computes the tangent of the pseudo-inverse `p` of `a`.
#[track_caller]
fn tangent(a: &Tensor, p: &Tensor, da: &Tensor) -> Tensor {
    let (q, turned) = (p.adjoint(), da.adjoint());
    let inner = p.matmul(da).matmul(p);
    let first = p.matmul(&q).matmul(&turned);
    let second = turned.matmul(q).matmul(p);
    let outside = (&first - first.matmul(a).matmul(p)) + (&second - p.matmul(a).matmul(&second));
    outside - inner
}

/// Computes the singular value decomposition `u · diag(s) · vh` of Hermitian matrices.
#[track_caller]
fn by_eigenvalues(x: &Tensor) -> [Tensor; 3] {
    let (w, v) = x.eigh();
    let order = (-w.abs()).argsort(-1);
    let w = w.take_along_axis(&order, -1);
    let v = v.take_along_axis(&order.expand_dims(-2), -1);
    let signs = w.ge(0).select(1.0, -1.0).to(v.dtype());
    [&v * signs.expand_dims(-2), w.abs(), v.adjoint()]
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    fn close(x: &Tensor, y: &Tensor) -> bool {
        x.allclose(y, 1e-9, 1e-9).item().unwrap() == 1.0
    }

    #[test]
    fn pseudo_inverses_of_equal_singular_values_have_derivatives() {
        let a = Tensor::eye_of(3, 3, 0).to(F64) * 2.0;
        let da = key(0).normal_of(F64, [3, 3]);
        for options in [RankOptions::new(), RankOptions::new().relative(1e-3)] {
            let f = |a: Tensor| a.pinv_with(options.clone());
            assert!(close(&jvp(f, a.clone(), da.clone()).1, &(&da * -0.25)));
            let second = |a: Tensor| jvp(f, a, da.clone()).1;
            assert!(close(&jvp(second, a.clone(), da.clone()).1, &(da.matmul(&da) * 0.25)));
        }
        let part = (&da + da.t()) * 0.5;
        let f = |a: Tensor| a.pinv_with(RankOptions::new().hermitian());
        assert!(close(&jvp(f, a, da).1, &(part * -0.25)));
    }

    #[test]
    fn pseudo_inverses_of_constant_rank_have_derivatives() {
        // Matrices of rank 2.
        let (left, right) = (key(0).normal_of(F64, [4, 2]), key(1).normal_of(F64, [2, 3]));
        let f = |(l, r): (Tensor, Tensor)| {
            l.matmul(r).pinv_with(RankOptions::new().relative(1e-6)).square().sum(..)
        };
        crate::testing::check_grads(f, &(left, right)).unwrap();
    }
}
