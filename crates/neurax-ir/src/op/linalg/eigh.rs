//! `eigh`: eigenvalues and eigenvectors of a Hermitian matrix, by the method of Jacobi.

use super::emit::{self, adjoint, as_columns, as_rows, matmul, reciprocal_or_zero};
use super::evaluate::for_each_matrix;
use super::matrix::{Complex64, Matrix, NAN, ONE, ZERO};
use super::phase::column_phase;
use super::{batched, resized, samples_of, square};
use crate::op::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// The eigenvalues `w` `[.., n]` of Hermitian matrices `a` `[.., n, n]`, real and in ascending
    /// order, and the orthonormal eigenvectors, the columns of `v` `[.., n, n]`:
    /// `a = v · diag(w) · vᴴ`. Only the lower triangle is read. The first element of a vector that
    /// has nearly the largest absolute value is real and positive.
    ///
    /// The tangent of `w` is the diagonal of `x = vᴴ · da · v`, that of `v` is `v · (f ∘ x)` with
    /// `f[i, j] = 1 / (w[j] - w[i])`. The derivative of the vectors of equal eigenvalues does not
    /// exist; those elements of `f` are 0.
    pub struct Eigh = "eigh" {}
}

impl Primitive for Eigh {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        let n = square(Self::NAME, &xs[0])?;
        Ok(vec![resized(&xs[0].with_dtype(xs[0].dtype.real()), n, None), xs[0].clone()])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let types = self.infer(&[xs[0].ty().clone()])?;
        Ok(for_each_matrix(&xs, &types, |a| {
            let (w, v) = eigen(&a[0]);
            vec![Matrix::column_of(w), v]
        }))
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let Some(da) = dxs[0] else { return Ok(no_tangents(at)) };
        let (w, v) = (at.ys[0], at.ys[1]);
        let da = emit::hermitian_of_lower(b, da);
        let left = adjoint(b, v);
        let x = matmul(b, left, da);
        let x = matmul(b, x, v);
        let dw = emit::diagonal(b, x);
        let dw = if b.dtype(dw).is_complex() { b.real(dw) } else { dw };
        let n = b.ty(w).shape[b.ty(w).rank() - 1];
        let (row, column) = (as_rows(b, w, n), as_columns(b, w, n));
        let differences = b.sub(row, column);
        let f = reciprocal_or_zero(b, differences);
        let f = b.convert(f, b.dtype(x));
        let x = b.mul(f, x);
        let dv = matmul(b, v, x);
        let dv = match emit::phase_rates(b, v, dv) {
            Some(rates) => emit::turned(b, v, dv, rates),
            None => dv,
        };
        Ok(vec![Some(dw), Some(dv)])
    }

    fn transpose(&self, _: &mut Builder, _: &Bound, _: &[bool], _: &[Option<Value>]) -> Transposed {
        Transposed::NotLinear
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        batched(b, self.clone(), axis, xs, dims, 2)
    }

    fn samples() -> Vec<Sample> {
        samples_of(Eigh {}, &[&[3, 3], &[1, 1], &[2, 2, 2], &[0, 0], &[0, 2, 2]], 0.0)
    }
}

/// Returns the eigenvalues in ascending order and the vectors. Each rotation makes one element of
/// the matrix zero; after a few sweeps over all elements, the matrix is diagonal.
fn eigen(a: &Matrix) -> (Vec<Complex64>, Matrix) {
    let n = a.rows;
    let at = |i: usize, j: usize| match i.cmp(&j) {
        std::cmp::Ordering::Greater => a[(i, j)],
        std::cmp::Ordering::Equal => Complex64 { re: a[(i, i)].re, ..ZERO },
        std::cmp::Ordering::Less => a[(j, i)].conj(),
    };
    let mut d = Matrix::from_fn(n, n, at);
    if !d.is_finite() {
        return (vec![NAN; n], Matrix::nan(n, n));
    }
    let mut v = Matrix::identity(n);
    let tiny = d.largest() * f64::EPSILON * 1e-3;
    for _ in 0..MAX_SWEEPS {
        let pairs = (0..n).flat_map(|q| (0..q).map(move |p| [p, q]));
        let large: Vec<[usize; 2]> = pairs.filter(|&[p, q]| d[(p, q)].norm() > tiny).collect();
        if large.is_empty() {
            break;
        }
        large.into_iter().for_each(|pair| rotate(&mut d, &mut v, pair));
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| d[(i, i)].re.total_cmp(&d[(j, j)].re));
    let w = order.iter().map(|&i| Complex64 { re: d[(i, i)].re, ..ZERO }).collect();
    let mut v = v.permuted_columns(&order);
    (0..n).for_each(|j| v.scale_column(j, column_phase(v.column(j))));
    (w, v)
}

/// The number of sweeps after which the method stops; it converges quadratically, in about 10.
pub(super) const MAX_SWEEPS: usize = 60;

/// Makes the elements `(p, q)` and `(q, p)` of `d` zero by a rotation of columns and rows, which is
/// appended to `v`.
fn rotate(d: &mut Matrix, v: &mut Matrix, [p, q]: [usize; 2]) {
    let Some(rotation) = rotation(d[(p, p)].re, d[(q, q)].re, d[(p, q)]) else { return };
    d.rotate_columns([p, q], rotation);
    v.rotate_columns([p, q], rotation);
    let mut rows = d.adjoint();
    rows.rotate_columns([p, q], rotation);
    *d = rows.adjoint();
    (d[(p, q)], d[(q, p)]) = (ZERO, ZERO);
}

/// Returns the rotation of two columns that diagonalizes the Hermitian matrix with the diagonal
/// `a`, `b` and the upper element `c`: new columns `x·r[0] + y·r[1]` and `x·r[2] + y·r[3]`; `None`
/// if `c` is 0.
pub(super) fn rotation(a: f64, b: f64, c: Complex64) -> Option<[Complex64; 4]> {
    let norm = c.norm();
    if norm == 0.0 {
        return None;
    }
    let ratio = (b - a) / (2.0 * norm);
    let sign = if ratio < 0.0 { -1.0 } else { 1.0 };
    let tangent = sign / (ratio.abs() + ratio.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let (cosine, sine) = (ONE * cosine, c / norm * (tangent * cosine));
    Some([cosine, -sine.conj(), sine, cosine])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn values_ascend_and_vectors_have_a_sign() {
        let a = Literal::from_slice([2, 2], &[2.0, 99.0, 1.0, 2.0]).unwrap();
        let out = Eigh {}.eval(&mut Eval::default(), vec![a]).unwrap();
        let near = |x: &Literal, want: &[f64]| {
            x.to_f64s().iter().zip(want).all(|(x, y)| (x - y).abs() < 1e-14)
        };
        let h = 0.5f64.sqrt();
        assert!(near(&out[0], &[1.0, 3.0]) && near(&out[1], &[h, h, -h, h]), "{out:?}");
    }

    #[test]
    fn a_complex_matrix_is_restored() {
        let i = Complex64 { re: 0.0, im: 1.0 };
        let a = Matrix { rows: 2, columns: 2, data: vec![ONE, -i * 2.0, i * 2.0, ONE * 3.0] };
        let (w, v) = eigen(&a);
        for (j, w) in w.iter().enumerate() {
            for row in 0..2 {
                let product: Complex64 = (0..2).map(|k| a[(row, k)] * v[(k, j)]).sum();
                assert!((product - v[(row, j)] * w).norm() < 1e-14);
            }
        }
    }

    #[test]
    fn nan_and_infinity_give_nan() {
        let a = Literal::from_f64s(DType::F32, [1, 1], &[f64::INFINITY]);
        let out = Eigh {}.eval(&mut Eval::default(), vec![a]).unwrap();
        assert!(out.iter().all(|x| x.to_f64s()[0].is_nan()));
    }
}
