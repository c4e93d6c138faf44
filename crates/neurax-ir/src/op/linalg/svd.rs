//! `svd`: singular values and vectors of a matrix, by the one-sided method of Jacobi.

use super::eigh::{MAX_SWEEPS, rotation};
use super::emit::{self, adjoint, as_columns, as_rows, matmul, reciprocal_or_zero};
use super::evaluate::for_each_matrix;
use super::matrix::{Complex64, Matrix, NAN, ONE, ZERO, inner};
use super::phase::column_phase;
use super::{Sizes, batched, matrices, resized, samples_of};
use crate::op::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// The factors of `a = u · diag(s) · vᴴ` for matrices `a` `[.., m, n]` with `k = min(m, n)`:
    /// `u` `[.., m, k]` with orthonormal columns, `s` `[.., k]`, real, not negative and in
    /// descending order, and `vᴴ` `[.., k, n]` with orthonormal rows; if `full`, `u` and `vᴴ` are
    /// square. The first element of a column of `v` that has nearly the largest absolute value is
    /// real and positive.
    ///
    /// The tangents are those of Townsend, 2016, Differentiating the Singular Value Decomposition;
    /// those of the vectors of equal singular values do not exist, and their parts are 0.
    pub struct Svd = "svd" {
        /// True if `u` and `vᴴ` are square.
        full: bool,
    }
}

impl Primitive for Svd {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        let Sizes { rows, columns } = matrices(Self::NAME, &xs[0])?;
        let k = rows.min(columns);
        let (left, right) = if self.full { (rows, columns) } else { (k, k) };
        Ok(vec![
            resized(&xs[0], rows, Some(left)),
            resized(&xs[0].with_dtype(xs[0].dtype.real()), k, None),
            resized(&xs[0], right, Some(columns)),
        ])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let types = self.infer(&[xs[0].ty().clone()])?;
        Ok(for_each_matrix(&xs, &types, |a| {
            let (u, s, v) = factors(&a[0], self.full);
            vec![u, Matrix::column_of(s), v.adjoint()]
        }))
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let Some(da) = dxs[0] else { return Ok(no_tangents(at)) };
        let Sizes { rows, columns } = matrices(Self::NAME, b.ty(da))?;
        if self.full && rows != columns {
            return no_derivative(Self::NAME, "take the reduced factors (`full: false`)");
        }
        let (u, s, v) = (at.ys[0], at.ys[1], adjoint(b, at.ys[2]));
        let [mut du, ds, mut dv] = Svd::tangents(b, [u, s, v], da);
        if let Some(rates) = emit::phase_rates(b, v, dv) {
            (du, dv) = (emit::turned(b, u, du, rates), emit::turned(b, v, dv, rates));
        }
        Ok(vec![Some(du), Some(ds), Some(adjoint(b, dv))])
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
        batched(b, self.clone(), axis, xs, dims, 3)
    }

    fn samples() -> Vec<Sample> {
        let shapes: [&[usize]; 7] =
            [&[3, 3], &[4, 2], &[2, 4], &[1, 1], &[2, 2, 2], &[0, 2, 2], &[0, 0]];
        let reduced = samples_of(Svd { full: false }, &shapes, 1.0);
        reduced.into_iter().chain(samples_of(Svd { full: true }, &[&[3, 3]], 1.0)).collect()
    }
}

impl Svd {
    /// Emits the tangents of `u`, `s` and `v`, up to the phases of the vectors.
    fn tangents(b: &mut Builder, [u, s, v]: [Value; 3], da: Value) -> [Value; 3] {
        let k = b.ty(s).shape[b.ty(s).rank() - 1];
        let (dtype, left) = (b.dtype(da), adjoint(b, u));
        let x = matmul(b, left, da);
        let x = matmul(b, x, v);
        let ds = emit::diagonal(b, x);
        let ds = if dtype.is_complex() { b.real(ds) } else { ds };
        let (row, column) = (as_rows(b, s, k), as_columns(b, s, k));
        let (sum, difference) = (b.add(row, column), b.sub(row, column));
        let f = b.mul(sum, difference);
        let f = reciprocal_or_zero(b, f);
        let [f, row, column] = [f, row, column].map(|x| b.convert(x, dtype));
        let turn = |b: &mut Builder, scales: Value| {
            let scaled = b.mul(scales, x);
            let other = adjoint(b, scaled);
            let both = b.add(scaled, other);
            b.mul(f, both)
        };
        let (turn_u, turn_v) = (turn(b, row), turn(b, column));
        let x_adjoint = adjoint(b, x);
        let skew = b.sub(x, x_adjoint);
        let skew = emit::triangle(b, skew, emit::MatrixPart::Diagonal);
        let half = b.mul_scalar(skew, 0.5);
        let inverse = reciprocal_or_zero(b, row);
        let phases = b.mul(half, inverse);
        let turn_u = b.add(turn_u, phases);
        let (du, dv) = (matmul(b, u, turn_u), matmul(b, v, turn_v));
        let du = Svd::with_outside(b, du, [u, v], da, s);
        let da_adjoint = adjoint(b, da);
        [du, ds, Svd::with_outside(b, dv, [v, u], da_adjoint, s)]
    }

    /// Emits the tangent `du` of `u` with its part outside of the space of the columns of `u`,
    /// which a square `u` does not have: `(1 - u·uᴴ) · da · v / s`.
    fn with_outside(b: &mut Builder, du: Value, [u, v]: [Value; 2], da: Value, s: Value) -> Value {
        let shape = b.ty(u).shape.clone();
        let (rows, columns) = (shape[shape.rank() - 2], shape[shape.rank() - 1]);
        if rows <= columns {
            return du;
        }
        let moved = matmul(b, da, v);
        let left = adjoint(b, u);
        let inside = matmul(b, left, moved);
        let inside = matmul(b, u, inside);
        let outside = b.sub(moved, inside);
        let inverse = reciprocal_or_zero(b, s);
        let inverse = as_rows(b, inverse, rows);
        let inverse = b.convert(inverse, b.dtype(u));
        let outside = b.mul(outside, inverse);
        b.add(du, outside)
    }
}

/// Returns `u`, the singular values, and `v`.
fn factors(a: &Matrix, full: bool) -> (Matrix, Vec<Complex64>, Matrix) {
    let k = a.rows.min(a.columns);
    let (left, right) = if full { (a.rows, a.columns) } else { (k, k) };
    if !a.is_finite() {
        return (Matrix::nan(a.rows, left), vec![NAN; k], Matrix::nan(a.columns, right));
    }
    let is_wide = a.columns > a.rows;
    let (tall, s, square) = orthogonal_columns(&if is_wide { a.adjoint() } else { a.clone() });
    let (mut u, mut v) = if is_wide { (square, tall) } else { (tall, square) };
    for j in 0..k {
        let phase = column_phase(v.column(j));
        v.scale_column(j, phase);
        u.scale_column(j, phase);
    }
    (
        completed(&u, left),
        s.into_iter().map(|s| Complex64 { re: s, ..ZERO }).collect(),
        completed(&v, right),
    )
}

/// Returns the left vectors, the singular values in descending order, and the right vectors of a
/// matrix that is not wide. Rotations of pairs of columns make all columns
/// orthogonal; their norms are then the singular values.
fn orthogonal_columns(a: &Matrix) -> (Matrix, Vec<f64>, Matrix) {
    let n = a.columns;
    let (mut x, mut v) = (a.clone(), Matrix::identity(n));
    for _ in 0..MAX_SWEEPS {
        let mut is_done = true;
        for (p, q) in (0..n).flat_map(|q| (0..q).map(move |p| (p, q))) {
            let (first, second) = (x.column(p), x.column(q));
            let (a, b) = (inner(&first, &first).re, inner(&second, &second).re);
            let c = inner(&first, &second);
            if c.norm() <= f64::EPSILON * (a * b).sqrt() {
                continue;
            }
            if let Some(rotation) = rotation(a, b, c) {
                is_done = false;
                x.rotate_columns([p, q], rotation);
                v.rotate_columns([p, q], rotation);
            }
        }
        if is_done {
            break;
        }
    }
    let norm = |j: usize| inner(&x.column(j), &x.column(j)).re.sqrt();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| norm(j).total_cmp(&norm(i)));
    let s: Vec<f64> = order.iter().map(|&j| norm(j)).collect();
    let mut u = x.permuted_columns(&order);
    let tiny = s.first().map_or(0.0, |largest| largest * f64::EPSILON);
    let nonzero = s.iter().take_while(|&&s| s > tiny).count();
    (0..nonzero).for_each(|j| u.scale_column(j, ONE / s[j]));
    (completed(&u.first_columns(nonzero), n), s, v.permuted_columns(&order))
}

/// Returns the orthonormal columns of `u` with further ones, `columns` in all, by the method of
/// Gram and Schmidt from the unit vectors.
fn completed(u: &Matrix, columns: usize) -> Matrix {
    let mut all: Vec<Vec<Complex64>> = (0..u.columns.min(columns)).map(|j| u.column(j)).collect();
    let mut unit = 0;
    while all.len() < columns && unit < u.rows {
        let mut x: Vec<Complex64> =
            (0..u.rows).map(|i| if i == unit { ONE } else { ZERO }).collect();
        // The second pass removes what rounding left.
        for _ in 0..2 {
            for basis in &all {
                let part = inner(basis, &x);
                x.iter_mut().zip(basis).for_each(|(x, y)| *x -= part * y);
            }
        }
        let norm = inner(&x, &x).re.sqrt();
        // One of the unit vectors that remain is at least this far from the space of the others.
        if norm * norm * u.rows as f64 > 0.5 {
            all.push(x.into_iter().map(|x| x / norm).collect());
        }
        unit += 1;
    }
    Matrix::from_fn(u.rows, columns, |i, j| all.get(j).map_or(NAN, |column| column[i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    fn run(full: bool, shape: [usize; 2], a: &[f64]) -> [Vec<f64>; 3] {
        let a = Literal::from_slice(shape, a).unwrap();
        let out = Svd { full }.eval(&mut Eval::default(), vec![a]).unwrap();
        [0, 1, 2].map(|i| out[i].to_f64s().iter().map(|x| (x * 1e12).round() / 1e12).collect())
    }

    #[test]
    fn values_descend_and_right_vectors_have_a_sign() {
        let [u, s, v] = run(false, [2, 2], &[0.0, -2.0, 3.0, 0.0]);
        assert_eq!(
            (u, s, v),
            (vec![0.0, -1.0, 1.0, 0.0], vec![3.0, 2.0], vec![1.0, 0.0, 0.0, 1.0])
        );
    }

    #[test]
    fn a_singular_matrix_has_orthonormal_vectors() {
        let [u, s, _] = run(true, [3, 2], &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(s, [1.0, 0.0]);
        assert_eq!(u, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn nan_gives_nan() {
        let a = Literal::from_f64s(DType::F64, [1, 2], &[f64::NAN, 1.0]);
        let out = Svd { full: false }.eval(&mut Eval::default(), vec![a]).unwrap();
        assert!(out.iter().all(|x| x.to_f64s().iter().all(|x| x.is_nan())));
    }
}
