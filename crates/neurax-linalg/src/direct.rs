//! Factorizations of small matrices by direct loops, row by row.
//!
//! A factorization of a matrix of few rows takes less time than an allocation, so these functions
//! work in place.

use crate::number::{MatrixNumber, TriangularSystem};

/// The largest number of rows for which direct loops are used. At 4 rows they are many times faster
/// than blocks, at 64 rows slower; between 12 and 32 the times are close.
pub const MAX_ROWS: usize = 16;

/// Computes [`crate::Field::cholesky`].
pub fn cholesky<T: MatrixNumber>(a: &mut [T], n: usize) -> Option<()> {
    for i in 0..n {
        for j in 0..i {
            let mut x = a[i * n + j];
            for k in 0..j {
                x -= a[i * n + k] * a[j * n + k].conj();
            }
            a[i * n + j] = x / a[j * n + j];
            a[j * n + i] = T::zero();
        }
        let mut square = a[i * n + i].re();
        for k in 0..i {
            let x = a[i * n + k];
            square -= (x * x.conj()).re();
        }
        // Not `square <= 0`, which is false for NaN.
        if !(square > 0.0 && square.is_finite()) {
            return None;
        }
        a[i * n + i] = T::from_parts(square.sqrt(), 0.0);
    }
    Some(())
}

/// Computes [`crate::Field::triangular_solve`].
pub fn triangular_solve<T: MatrixNumber>(
    a: &[T],
    triangle: TriangularSystem,
    x: &mut [T],
    columns: usize,
) {
    let n = x.len().checked_div(columns).unwrap_or(0);
    let at = |i: usize, j: usize| {
        let a = if triangle.transposed { a[j * n + i] } else { a[i * n + j] };
        if triangle.conjugated { a.conj() } else { a }
    };
    let is_lower = triangle.lower != triangle.transposed;
    for step in 0..n {
        let i = if is_lower { step } else { n - 1 - step };
        for j in if is_lower { 0..i } else { i + 1..n } {
            let factor = at(i, j);
            for column in 0..columns {
                let known = x[j * columns + column];
                x[i * columns + column] -= factor * known;
            }
        }
        if !triangle.unit_diagonal {
            let pivot = at(i, i);
            for x in &mut x[i * columns..(i + 1) * columns] {
                *x = *x / pivot;
            }
        }
    }
}

/// Computes [`crate::Field::lu`].
pub fn lu<T: MatrixNumber>(a: &mut [T], columns: usize, pivots: &mut [usize]) {
    let rows = a.len().checked_div(columns).unwrap_or(0);
    for step in 0..pivots.len() {
        let mut pivot = step;
        for i in step + 1..rows {
            if a[i * columns + step].l1_norm() > a[pivot * columns + step].l1_norm() {
                pivot = i;
            }
        }
        pivots[step] = pivot;
        exchange_rows(a, columns, step, pivot);
        let head = a[step * columns + step];
        for i in step + 1..rows {
            let (done, rest) = a.split_at_mut(i * columns);
            let (row, row_of_pivot) = (&mut rest[..columns], &done[step * columns..]);
            if head != T::zero() {
                row[step] = row[step] / head;
            }
            let factor = row[step];
            for (x, y) in row.iter_mut().zip(row_of_pivot).take(columns).skip(step + 1) {
                *x -= factor * *y;
            }
        }
    }
}

fn exchange_rows<T: MatrixNumber>(a: &mut [T], columns: usize, i: usize, k: usize) {
    if i != k {
        (0..columns).for_each(|j| a.swap(i * columns + j, k * columns + j));
    }
}
