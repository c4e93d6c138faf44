//! `eig`: eigenvalues and eigenvectors of a general matrix.

use super::emit::{self, as_columns, as_rows, matmul, reciprocal_or_zero};
use super::evaluate::for_each_matrix;
use super::lu::solve;
use super::matrix::{Complex64, Matrix, ONE};
use super::phase::column_phase;
use super::schur_form::{eigenvectors, schur_form};
use super::{batched, resized, samples_of, square};
use crate::op::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, Complex, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// The eigenvalues `w` `[.., n]` of matrices `a` `[.., n, n]` and the eigenvectors, the columns
    /// of `v` `[.., n, n]`: `a · v = v · diag(w)`. Both are complex. The vectors have norm 1, and
    /// the first element of a vector that has nearly the largest absolute value is real and
    /// positive. [`eigenvalue_order`] is the order of the values.
    ///
    /// With `x = v⁻¹ · da · v`, the tangent of `w` is the diagonal of `x`, and that of `v` is
    /// `v · (f ∘ x)`, `f[i, j] = 1 / (w[j] - w[i])`, less the part along each vector: Magnus, 1985,
    /// On differentiating eigenvalues and eigenvectors. The derivative of the vectors of equal
    /// eigenvalues does not exist; those elements of `f` are 0.
    pub struct Eig = "eig" {}
}

impl Primitive for Eig {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        let n = square(Self::NAME, &xs[0])?;
        let complex = xs[0].with_dtype(xs[0].dtype.complex());
        Ok(vec![resized(&complex, n, None), complex])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let types = self.infer(&[xs[0].ty().clone()])?;
        Ok(for_each_matrix(&xs, &types, |a| {
            let n = a[0].rows;
            match schur_form(&a[0]) {
                Some((t, z)) => sorted(&t, eigenvectors(&t, &z)),
                None => vec![Matrix::nan(n, 1), Matrix::nan(n, n)],
            }
        }))
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let Some(da) = dxs[0] else { return Ok(no_tangents(at)) };
        let (w, v) = (at.ys[0], at.ys[1]);
        let n = b.ty(w).shape[b.ty(w).rank() - 1];
        let da = b.convert(da, b.dtype(v));
        let moved = matmul(b, da, v);
        let x = solve(b, v, moved);
        let dw = emit::diagonal(b, x);
        let (row, column) = (as_rows(b, w, n), as_columns(b, w, n));
        let differences = b.sub(row, column);
        let f = reciprocal_or_zero(b, differences);
        let x = b.mul(f, x);
        let dv = matmul(b, v, x);
        let dv = across(b, v, dv);
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
        samples_of(Eig {}, &[&[3, 3], &[1, 1], &[2, 2, 2], &[0, 0], &[0, 2, 2]], 0.0)
    }
}

/// Returns the order of eigenvalues: ascending real parts, and ascending imaginary parts where the
/// real parts are equal but for rounding, as those of a conjugate pair are.
///
/// ```
/// use neurax_ir::{Complex, op::eigenvalue_order};
/// let w = [(2.0, 0.0), (1.0 + 1e-16, 3.0), (1.0, -3.0)].map(|(re, im)| Complex { re, im });
/// assert_eq!(eigenvalue_order(&w), [2, 1, 0]);
/// ```
pub fn eigenvalue_order(w: &[Complex<f64>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..w.len()).collect();
    order.sort_by(|&i, &j| w[i].re.total_cmp(&w[j].re));
    let near = w.iter().fold(0.0, |largest: f64, x| x.norm().max(largest)) * NEAR;
    let mut start = 0;
    for end in 1..=order.len() {
        if end == order.len() || w[order[end]].re - w[order[end - 1]].re > near {
            order[start..end].sort_by(|&i, &j| w[i].im.total_cmp(&w[j].im));
            start = end;
        }
    }
    order
}

/// The difference of real parts, as a part of the largest eigenvalue, up to which they are equal.
const NEAR: f64 = 1e-10;

/// Emits the part of the tangents `dv` of columns `v` of norm 1 that keeps their norms.
fn across(b: &mut Builder, v: Value, dv: Value) -> Value {
    let (rank, dtype) = (b.ty(v).rank(), b.dtype(v));
    let rows = b.ty(v).shape[rank - 2];
    let conjugate = b.conj(v);
    let product = b.mul(conjugate, dv);
    let product = b.real(product);
    let along = b.sum(product, &[rank - 2]);
    let along = as_rows(b, along, rows);
    let along = b.convert(along, dtype);
    let along = b.mul(along, v);
    b.sub(dv, along)
}

/// Returns the eigenvalues, the diagonal of `t`, and the vectors in their order and phases.
fn sorted(t: &Matrix, v: Matrix) -> Vec<Matrix> {
    let w: Vec<Complex64> = (0..t.rows).map(|i| t[(i, i)]).collect();
    let order = eigenvalue_order(&w);
    let mut v = v.permuted_columns(&order);
    (0..v.columns).for_each(|j| v.scale_column(j, column_phase(v.column(j)) * ONE));
    vec![Matrix::column_of(order.iter().map(|&i| w[i]).collect()), v]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    fn run(n: usize, a: &[f64]) -> Vec<Vec<Complex64>> {
        let a = Literal::from_slice([n, n], a).unwrap();
        let out = Eig {}.eval(&mut Eval::default(), vec![a]).unwrap();
        out.iter().map(|x| x.load::<Complex64>().to_vec()).collect()
    }

    #[test]
    fn a_rotation_has_a_conjugate_pair() {
        let out = run(2, &[0.0, -2.0, 2.0, 0.0]);
        let h = 0.5f64.sqrt();
        let want_w = [(0.0, -2.0), (0.0, 2.0)];
        let want_v = [(h, 0.0), (h, 0.0), (0.0, h), (0.0, -h)];
        let near = |x: &[Complex64], want: &[(f64, f64)]| {
            x.iter().zip(want).all(|(x, y)| (x - Complex { re: y.0, im: y.1 }).norm() < 1e-14)
        };
        assert!(near(&out[0], &want_w) && near(&out[1], &want_v), "{out:?}");
    }

    #[test]
    fn values_of_a_triangle_are_its_diagonal() {
        let w = &run(3, &[3.0, 5.0, -1.0, 0.0, 1.0, 4.0, 0.0, 0.0, 2.0])[0];
        assert!(w.iter().zip([1.0, 2.0, 3.0]).all(|(x, y)| (x - y).norm() < 1e-14), "{w:?}");
    }

    #[test]
    fn infinity_gives_nan() {
        let a = Literal::from_f64s(DType::F32, [1, 1], &[f64::INFINITY]);
        let out = Eig {}.eval(&mut Eval::default(), vec![a]).unwrap();
        assert!(out.iter().all(|x| x.load::<Complex<f32>>()[0].re.is_nan()));
    }
}
