//! The Schur form of a matrix, for the reference implementations: the Hessenberg form by
//! Householder reflections, then the QR algorithm.
//!
//! The QR algorithm subtracts a shift near an eigenvalue from the diagonal, factors `t = q · r` by
//! rotations, and continues with `r · q` plus the shift: Francis, 1961. The elements below the
//! diagonal converge to 0 from the last row to the first. The shift is that of Wilkinson; every
//! tenth step takes another one, which breaks cycles.
//!
//! Invariant: `z · t · zᴴ` is the operand after every step, but for rounding.

use super::matrix::{Complex64, Matrix, ONE, ZERO, inner, phase_to_positive};
use super::qr::{reflect_columns, reflect_rows};

/// Returns the upper triangular `t` and the unitary `z` of `a = z · t · zᴴ`; `None` if an element
/// is not finite or the method does not converge.
pub(super) fn schur_form(a: &Matrix) -> Option<(Matrix, Matrix)> {
    if !a.is_finite() {
        return None;
    }
    let (mut t, mut z) = hessenberg(a);
    let mut end = a.rows;
    let mut steps = 0;
    while end > 1 {
        let start = decoupled(&mut t, end);
        if start + 1 == end {
            (end, steps) = (start, 0);
            continue;
        }
        steps += 1;
        if steps > MAX_STEPS {
            return None;
        }
        let shift = shift(&t, end, steps);
        step(&mut t, &mut z, start, end, shift);
    }
    (0..a.rows).for_each(|i| (0..i).for_each(|j| t[(i, j)] = ZERO));
    Some((t, z))
}

/// Returns the eigenvectors of a matrix with the Schur form `t`, `z`, as columns of norm 1, by back
/// substitution.
pub(super) fn eigenvectors(t: &Matrix, z: &Matrix) -> Matrix {
    let n = t.rows;
    let tiny = (t.largest() * f64::EPSILON).max(f64::MIN_POSITIVE);
    let mut v = Matrix::zeros(n, n);
    for k in 0..n {
        let mut y = vec![ZERO; n];
        y[k] = ONE;
        for i in (0..k).rev() {
            let sum: Complex64 = (i + 1..=k).map(|j| t[(i, j)] * y[j]).sum();
            let difference = t[(k, k)] - t[(i, i)];
            // Equal eigenvalues: the vector of a matrix nearby.
            let is_equal = difference.norm() < tiny;
            y[i] = sum / if is_equal { ONE * tiny } else { difference };
        }
        let column: Vec<Complex64> =
            (0..n).map(|i| (0..=k).map(|j| z[(i, j)] * y[j]).sum()).collect();
        let largest = column.iter().fold(0.0, |largest: f64, x| x.norm().max(largest));
        let scaled: Vec<Complex64> = column.iter().map(|x| x / largest).collect();
        let norm = inner(&scaled, &scaled).re.sqrt();
        (0..n).for_each(|i| v[(i, k)] = scaled[i] / norm);
    }
    v
}

/// The steps for one eigenvalue after which the method stops; it usually takes 2 or 3.
const MAX_STEPS: usize = 300;

/// Returns the matrix with zeros below the first subdiagonal, and the reflections that make it.
fn hessenberg(a: &Matrix) -> (Matrix, Matrix) {
    let n = a.rows;
    let (mut t, mut z) = (a.clone(), Matrix::identity(n));
    for step in 0..n.saturating_sub(2) {
        let mut v: Vec<Complex64> = (step + 1..n).map(|i| t[(i, step)]).collect();
        let norm = inner(&v, &v).re.sqrt();
        // The sign that adds to the first element loses no digits.
        let head = phase_to_positive(v[0]).conj() * norm;
        v[0] += head;
        reflect_rows(&mut t, step + 1, &v);
        reflect_columns(&mut t, step + 1, &v);
        reflect_columns(&mut z, step + 1, &v);
        (step + 2..n).for_each(|i| t[(i, step)] = ZERO);
    }
    (t, z)
}

/// Returns the first row of the last block of rows up to `end` that the others do not depend on,
/// and sets the negligible element in front of it to 0.
fn decoupled(t: &mut Matrix, end: usize) -> usize {
    for i in (1..end).rev() {
        let size = t[(i, i)].norm() + t[(i - 1, i - 1)].norm();
        if t[(i, i - 1)].norm() <= f64::EPSILON * size.max(f64::MIN_POSITIVE) {
            t[(i, i - 1)] = ZERO;
            return i;
        }
    }
    0
}

/// Returns the eigenvalue of the last two rows before `end` that is nearer to the last element.
fn shift(t: &Matrix, end: usize, steps: usize) -> Complex64 {
    let (i, k) = (end - 2, end - 1);
    if steps.is_multiple_of(10) {
        return t[(k, k)] + ONE * t[(k, i)].norm();
    }
    let half = (t[(i, i)] - t[(k, k)]) / 2.0;
    let product = t[(i, k)] * t[(k, i)];
    let root = (half * half + product).sqrt();
    // The sign that adds loses no digits.
    let sum = if (half.conj() * root).re >= 0.0 { half + root } else { half - root };
    if sum == ZERO { t[(k, k)] } else { t[(k, k)] - product / sum }
}

/// Applies one step of the QR algorithm to the rows `start..end`.
fn step(t: &mut Matrix, z: &mut Matrix, start: usize, end: usize, shift: Complex64) {
    let n = t.rows;
    (0..n).for_each(|i| t[(i, i)] -= shift);
    let mut rotations = Vec::with_capacity(end - start);
    for k in start..end - 1 {
        let (x, y) = (t[(k, k)], t[(k + 1, k)]);
        let norm = x.norm().hypot(y.norm());
        let (c, s) = if norm == 0.0 { (ONE, ZERO) } else { (x / norm, y / norm) };
        for j in k..n {
            let (x, y) = (t[(k, j)], t[(k + 1, j)]);
            t[(k, j)] = c.conj() * x + s.conj() * y;
            t[(k + 1, j)] = c * y - s * x;
        }
        rotations.push([c, s, -s.conj(), c.conj()]);
    }
    for (k, rotation) in (start..).zip(rotations) {
        t.rotate_columns([k, k + 1], rotation);
        z.rotate_columns([k, k + 1], rotation);
    }
    (0..n).for_each(|i| t[(i, i)] += shift);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(x: &Matrix, y: &Matrix) -> Matrix {
        Matrix::from_fn(x.rows, y.columns, |i, j| {
            (0..x.columns).map(|k| x[(i, k)] * y[(k, j)]).sum()
        })
    }

    fn distance(x: &Matrix, y: &Matrix) -> f64 {
        x.data.iter().zip(&y.data).fold(0.0, |far, (x, y)| (x - y).norm().max(far))
    }

    /// Numbers without a pattern.
    fn example(n: usize) -> Matrix {
        let at = |i: usize, j: usize| ((i * 37 + j * 101 + i * j * 13) % 64) as f64 / 32.0 - 1.0;
        Matrix::from_fn(n, n, |i, j| Complex64 { re: at(i, j), im: at(j, i + 3) * 0.5 })
    }

    #[test]
    fn the_factors_give_the_matrix() {
        for n in 0..9 {
            let a = example(n);
            let (t, z) = schur_form(&a).unwrap();
            assert!(
                distance(&product(&product(&z, &t), &z.adjoint()), &a) < 1e-13 * (n + 1) as f64
            );
            assert!(distance(&product(&z, &z.adjoint()), &Matrix::identity(n)) < 1e-13);
        }
    }

    #[test]
    fn a_cyclic_matrix_converges() {
        // All eigenvalues have the same absolute value: without other shifts, steps do nothing.
        let a = Matrix::from_fn(4, 4, |i, j| if (i + 1) % 4 == j { ONE } else { ZERO });
        let (t, z) = schur_form(&a).unwrap();
        assert!(distance(&product(&product(&z, &t), &z.adjoint()), &a) < 1e-13);
    }

    #[test]
    fn vectors_are_those_of_the_matrix() {
        let a = example(6);
        let (t, z) = schur_form(&a).unwrap();
        let v = eigenvectors(&t, &z);
        let scaled = Matrix::from_fn(6, 6, |i, j| v[(i, j)] * t[(j, j)]);
        assert!(distance(&product(&a, &v), &scaled) < 1e-12);
        let norms = (0..6).map(|j| inner(&v.column(j), &v.column(j)).re);
        assert!(norms.into_iter().all(|x| (x - 1.0).abs() < 1e-14));
    }

    #[test]
    fn a_matrix_without_a_basis_of_vectors_has_finite_ones() {
        let a = Matrix { rows: 2, columns: 2, data: vec![ONE, ONE, ZERO, ONE] };
        let (t, z) = schur_form(&a).unwrap();
        assert!(eigenvectors(&t, &z).is_finite());
    }
}
