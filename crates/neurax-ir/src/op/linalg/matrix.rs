//! Dense matrices of complex numbers in double precision, for the reference implementations.

use crate::Complex;
use std::ops::{Index, IndexMut};

pub(super) type Complex64 = Complex<f64>;

pub(super) const ZERO: Complex64 = Complex64 { re: 0.0, im: 0.0 };
pub(super) const ONE: Complex64 = Complex64 { re: 1.0, im: 0.0 };
pub(super) const NAN: Complex64 = Complex64 { re: f64::NAN, im: f64::NAN };

/// A matrix in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Matrix {
    pub rows: usize,
    pub columns: usize,
    pub data: Vec<Complex64>,
}

impl Index<(usize, usize)> for Matrix {
    type Output = Complex64;
    fn index(&self, (i, j): (usize, usize)) -> &Complex64 {
        &self.data[i * self.columns + j]
    }
}

impl IndexMut<(usize, usize)> for Matrix {
    fn index_mut(&mut self, (i, j): (usize, usize)) -> &mut Complex64 {
        &mut self.data[i * self.columns + j]
    }
}

impl Matrix {
    pub fn from_fn(rows: usize, columns: usize, f: impl Fn(usize, usize) -> Complex64) -> Matrix {
        let at = |i: usize| f(i / columns.max(1), i % columns.max(1));
        Matrix { rows, columns, data: (0..rows * columns).map(at).collect() }
    }

    pub fn zeros(rows: usize, columns: usize) -> Matrix {
        Matrix { rows, columns, data: vec![ZERO; rows * columns] }
    }

    pub fn identity(n: usize) -> Matrix {
        Matrix::from_fn(n, n, |i, j| if i == j { ONE } else { ZERO })
    }

    /// Returns a matrix of NaN.
    pub fn nan(rows: usize, columns: usize) -> Matrix {
        Matrix { rows, columns, data: vec![NAN; rows * columns] }
    }

    /// Returns a matrix of one column.
    pub fn column_of(data: Vec<Complex64>) -> Matrix {
        Matrix { rows: data.len(), columns: 1, data }
    }

    /// Returns the conjugate transpose.
    pub fn adjoint(&self) -> Matrix {
        Matrix::from_fn(self.columns, self.rows, |i, j| self[(j, i)].conj())
    }

    /// Returns the first `n` columns.
    pub fn first_columns(&self, n: usize) -> Matrix {
        Matrix::from_fn(self.rows, n, |i, j| self[(i, j)])
    }

    /// Returns the columns in another order.
    pub fn permuted_columns(&self, order: &[usize]) -> Matrix {
        Matrix::from_fn(self.rows, order.len(), |i, j| self[(i, order[j])])
    }

    /// Returns column `j`.
    pub fn column(&self, j: usize) -> Vec<Complex64> {
        (0..self.rows).map(|i| self[(i, j)]).collect()
    }

    pub fn scale_column(&mut self, j: usize, by: Complex64) {
        (0..self.rows).for_each(|i| self[(i, j)] *= by);
    }

    pub fn swap_rows(&mut self, i: usize, k: usize) {
        (0..self.columns).for_each(|j| self.data.swap(i * self.columns + j, k * self.columns + j));
    }

    pub fn is_finite(&self) -> bool {
        self.data.iter().all(|x| x.re.is_finite() && x.im.is_finite())
    }

    /// Fills a column with NaN if an element of it is not finite.
    pub fn fill_nan_unless_finite(&mut self, column: usize) {
        let is_finite = |x: Complex64| x.re.is_finite() && x.im.is_finite();
        if !(0..self.rows).all(|row| is_finite(self[(row, column)])) {
            (0..self.rows).for_each(|row| self[(row, column)] = NAN);
        }
    }

    /// Returns the largest absolute value of an element; 0 if there is none.
    pub fn largest(&self) -> f64 {
        self.data.iter().fold(0.0, |largest, x| x.norm().max(largest))
    }

    /// Replaces columns `p` and `q` by `p·a + q·b` and `p·c + q·d`.
    pub fn rotate_columns(&mut self, [p, q]: [usize; 2], [a, b, c, d]: [Complex64; 4]) {
        for i in 0..self.rows {
            let (x, y) = (self[(i, p)], self[(i, q)]);
            self[(i, p)] = x * a + y * b;
            self[(i, q)] = x * c + y * d;
        }
    }
}

/// Returns the sum of `conj(x) · y`.
pub(super) fn inner(x: &[Complex64], y: &[Complex64]) -> Complex64 {
    x.iter().zip(y).map(|(x, y)| x.conj() * y).sum()
}

/// Returns the factor of absolute value 1 that makes `x` real and not negative.
pub(super) fn phase_to_positive(x: Complex64) -> Complex64 {
    match x.norm() {
        0.0 => ONE,
        norm => x.conj() / norm,
    }
}
