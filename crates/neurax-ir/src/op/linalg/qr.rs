//! `qr`: an orthonormal basis of the columns of a matrix, by Householder reflections.

use super::emit::{self, MatrixPart, adjoint, matmul};
use super::evaluate::for_each_matrix;
use super::matrix::{Complex64, Matrix, ZERO, inner, phase_to_positive};
use super::triangular_solve::{MatrixForm, TriangularSolve};
use super::{Sizes, batched, matrices, resized, samples_of};
use crate::op::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// The factors of `a = q · r` for matrices `a` `[.., m, n]`: with `k = min(m, n)`, or `k = m`
    /// if `full`, `q` `[.., m, k]` has orthonormal columns and `r` `[.., k, n]` is upper triangular
    /// with a real diagonal that is not negative. LAPACK and NumPy may return other signs.
    ///
    /// The tangents are those of Walter, Lehmann and Lamour, 2012, On evaluating higher-order
    /// derivatives of the QR decomposition.
    pub struct Qr = "qr" {
        /// True if `q` is square.
        full: bool,
    }
}

impl Qr {
    /// Emits the tangents of the factors of matrices that are not wide.
    fn tangents(b: &mut Builder, [q, r]: [Value; 2], da: Value) -> [Value; 2] {
        // da · r⁻¹ is the transpose of r⁻ᵀ · daᵀ.
        let x = emit::transposed(b, da);
        let x = b.emit(TriangularSolve::upper(MatrixForm::Transposed), &[r, x]);
        let x = emit::transposed(b, x);
        let q_adjoint = adjoint(b, q);
        let inside = matmul(b, q_adjoint, x);
        let below = emit::triangle(b, inside, MatrixPart::StrictLower);
        let above = adjoint(b, below);
        let mut turn = b.sub(below, above);
        if b.dtype(turn).is_complex() {
            // The diagonal of dr stays real.
            let (zero, imaginary) = (b.real(inside), b.imag(inside));
            let zero = b.full_like(zero, 0.0);
            let imaginary = b.complex(zero, imaginary);
            let diagonal = emit::triangle(b, imaginary, MatrixPart::Diagonal);
            turn = b.add(turn, diagonal);
        }
        let rest = b.sub(turn, inside);
        let within = matmul(b, q, rest);
        let dq = b.add(within, x);
        let upper = b.neg(rest);
        [dq, matmul(b, upper, r)]
    }
}

impl Primitive for Qr {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        let sizes = matrices(Self::NAME, &xs[0])?;
        let k = if self.full { sizes.rows } else { sizes.smaller() };
        Ok(vec![resized(&xs[0], sizes.rows, Some(k)), resized(&xs[0], k, Some(sizes.columns))])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let types = self.infer(&[xs[0].ty().clone()])?;
        let k = types[0].shape[types[0].rank() - 1];
        Ok(for_each_matrix(&xs, &types, |a| {
            if !a[0].is_finite() {
                return vec![Matrix::nan(a[0].rows, k), Matrix::nan(k, a[0].columns)];
            }
            let (q, r) = factors(&a[0]);
            let r = Matrix::from_fn(k, r.columns, |i, j| r[(i, j)]);
            vec![q.first_columns(k), r]
        }))
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let Some(da) = dxs[0] else { return Ok(no_tangents(at)) };
        let Sizes { rows, columns } = matrices(Self::NAME, b.ty(da))?;
        let (q, r) = (at.ys[0], at.ys[1]);
        if self.full && rows > columns {
            return no_derivative(Self::NAME, "take the reduced factors (`full: false`)");
        }
        if rows >= columns {
            return Ok(Qr::tangents(b, [q, r], da).map(Some).to_vec());
        }
        // The first columns determine q; the others of r are qᴴ · a.
        let last = b.ty(da).rank() - 1;
        let part = |b: &mut Builder, x, from, to| b.slice_axis(x, last, from, to);
        let (first, rest) = (part(b, da, 0, rows), part(b, da, rows, columns));
        let (r_first, r_rest) = (part(b, r, 0, rows), part(b, r, rows, columns));
        let [dq, dr_first] = Qr::tangents(b, [q, r_first], first);
        let (q_adjoint, dq_adjoint) = (adjoint(b, q), adjoint(b, dq));
        let turned = matmul(b, dq_adjoint, q);
        let turned = matmul(b, turned, r_rest);
        let moved = matmul(b, q_adjoint, rest);
        let dr_rest = b.add(turned, moved);
        Ok(vec![Some(dq), Some(b.concat(&[dr_first, dr_rest], last))])
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
        let shapes: [&[usize]; 7] =
            [&[3, 3], &[4, 2], &[2, 4], &[1, 1], &[2, 2, 2], &[0, 2, 2], &[0, 0]];
        let reduced = samples_of(Qr { full: false }, &shapes, 1.0);
        let full = samples_of(Qr { full: true }, &[&[3, 3], &[2, 4]], 1.0);
        reduced.into_iter().chain(full).collect()
    }
}

/// Returns `q`, square, and `r`, of the sizes of `a`, whose diagonal is real and not negative.
fn factors(a: &Matrix) -> (Matrix, Matrix) {
    let (mut q, mut r) = (Matrix::identity(a.rows), a.clone());
    for step in 0..a.columns.min(a.rows) {
        let mut v: Vec<Complex64> = (step..a.rows).map(|i| r[(i, step)]).collect();
        let norm = inner(&v, &v).re.sqrt();
        // The sign that adds to the first element loses no digits.
        let head = phase_to_positive(v[0]).conj() * norm;
        v[0] += head;
        reflect_rows(&mut r, step, &v);
        reflect_columns(&mut q, step, &v);
        (step + 1..a.rows).for_each(|i| r[(i, step)] = ZERO);
        let phase = phase_to_positive(r[(step, step)]);
        (0..a.columns).for_each(|j| r[(step, j)] *= phase);
        q.scale_column(step, phase.conj());
    }
    (q, r)
}

/// Multiplies the rows from `first` on from the left by the reflection along `v`.
pub(super) fn reflect_rows(x: &mut Matrix, first: usize, v: &[Complex64]) {
    let square = inner(v, v).re;
    if square == 0.0 {
        return;
    }
    for j in 0..x.columns {
        let column: Vec<Complex64> = (0..v.len()).map(|i| x[(first + i, j)]).collect();
        let factor = inner(v, &column) * (2.0 / square);
        v.iter().enumerate().for_each(|(i, v)| x[(first + i, j)] -= v * factor);
    }
}

/// Multiplies the columns from `first` on from the right by the reflection along `v`.
pub(super) fn reflect_columns(x: &mut Matrix, first: usize, v: &[Complex64]) {
    let square = inner(v, v).re;
    if square == 0.0 {
        return;
    }
    for i in 0..x.rows {
        let sum: Complex64 = v.iter().enumerate().map(|(k, v)| x[(i, first + k)] * v).sum();
        let factor = sum * (2.0 / square);
        v.iter().enumerate().for_each(|(k, v)| x[(i, first + k)] -= factor * v.conj());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(full: bool, shape: [usize; 2], a: &[f64]) -> [Vec<f64>; 2] {
        let a = Literal::from_slice(shape, a).unwrap();
        let out = Qr { full }.eval(&mut Eval::default(), vec![a]).unwrap();
        [0, 1].map(|i| out[i].to_f64s().iter().map(|x| (x * 1e12).round() / 1e12).collect())
    }

    #[test]
    fn the_diagonal_of_r_is_not_negative() {
        let [q, r] = run(false, [2, 2], &[-3.0, 1.0, 4.0, 2.0]);
        assert_eq!(q, [-0.6, 0.8, 0.8, 0.6]);
        assert_eq!(r, [5.0, 1.0, 0.0, 2.0]);
    }

    #[test]
    fn a_full_basis_is_square_and_dependent_columns_have_zeros() {
        let [q, r] = run(true, [2, 1], &[0.0, 2.0]);
        assert_eq!((q.len(), r), (4, vec![2.0, 0.0]));
        let [_, r] = run(false, [2, 2], &[1.0, 1.0, 0.0, 0.0]);
        assert_eq!(r, [1.0, 1.0, 0.0, 0.0]);
    }
}
