//! The factorization of one matrix, with the signs and the NaN that the ops promise.

use neurax_ir::{
    Complex, Op,
    op::{MatrixForm, TriangularSolve, column_phase, eigenvalue_order},
};
use neurax_linalg::{Division, Field, TriangularSystem};

/// A factorization that has native code.
#[derive(Clone, Copy, Debug)]
pub enum Factorization {
    Cholesky,
    TriangularSolve(TriangularSystem),
    Lu,
    Qr,
    Eig,
    Eigh,
    Svd,
}

/// The sizes of the matrices of an op.
#[derive(Clone, Copy, Debug)]
pub struct FactorSizes {
    pub rows: usize,
    pub columns: usize,
    /// The columns of the last operand: of the right sides, if there are any.
    pub right: usize,
}

impl FactorSizes {
    pub fn smaller(self) -> usize {
        self.rows.min(self.columns)
    }

    /// Returns about the number of additions and multiplications for one matrix.
    pub fn operations(self) -> usize {
        self.rows.saturating_mul(self.columns).saturating_mul(self.smaller().max(self.right))
    }
}

impl Factorization {
    /// Returns the factorization that an op is; `None` if it is another op.
    pub fn of(op: &Op) -> Option<Factorization> {
        Some(match op {
            Op::Cholesky(_) => Factorization::Cholesky,
            Op::TriangularSolve(op) => Factorization::TriangularSolve(triangle(op)),
            Op::Lu(_) => Factorization::Lu,
            Op::Qr(_) => Factorization::Qr,
            Op::Eig(_) => Factorization::Eig,
            Op::Eigh(_) => Factorization::Eigh,
            Op::Svd(_) => Factorization::Svd,
            _ => return None,
        })
    }

    /// Computes the results `ys` of the operands `xs`.
    pub fn factor<T: Field>(
        self,
        sizes: FactorSizes,
        xs: &[&[T]],
        ys: &mut [&mut [T]],
        division: Division,
    ) {
        let done = match (self, xs, &mut *ys) {
            (Factorization::Cholesky, [a], [l]) => {
                l.copy_from_slice(a);
                T::cholesky(l, sizes.rows, division)
            }
            (Factorization::TriangularSolve(triangle), [a, right], [x]) => {
                x.copy_from_slice(right);
                T::triangular_solve(a, triangle, x, sizes.right, division);
                let mut diagonal = a.iter().step_by(sizes.columns + 1);
                let has_pivots = triangle.unit_diagonal || diagonal.all(|x| x.is_finite());
                (0..sizes.right).for_each(|j| fill_nan_unless_finite(x, sizes.right, j));
                has_pivots.then_some(())
            }
            (Factorization::Lu, [a], [lu, pivots, permutation]) => {
                lu.copy_from_slice(a);
                factor_rows(sizes, lu, pivots, permutation, division);
                return;
            }
            (Factorization::Qr, [a], [q, r]) => qr(sizes, a, q, r, division),
            (Factorization::Eig, [a], [w, v]) => eig(a, w, v, division),
            (Factorization::Eigh, [a], [w, v]) => eigh(a, w, v, division),
            (Factorization::Svd, [a], [u, s, vh]) => svd(sizes, a, u, s, vh, division),
            // Another number of operands or results, which `infer` refuses.
            _ => None,
        };
        if done.is_none() {
            ys.iter_mut().for_each(|y| fill_nan(y));
        }
    }
}

/// Returns the triangle that the op solves with.
fn triangle(op: &TriangularSolve) -> TriangularSystem {
    TriangularSystem {
        lower: op.lower,
        unit_diagonal: op.unit_diagonal,
        transposed: op.form != MatrixForm::Plain,
        conjugated: op.form == MatrixForm::Adjoint,
    }
}

fn fill_nan<T: Field>(y: &mut [T]) {
    y.fill(T::from_parts(f64::NAN, f64::NAN));
}

/// Fills column `j` of `x` with NaN if an element of it is not finite.
fn fill_nan_unless_finite<T: Field>(x: &mut [T], columns: usize, j: usize) {
    let column = || (j..x.len()).step_by(columns);
    if !column().all(|i| x[i].is_finite()) {
        column().for_each(|i| x[i] = T::from_parts(f64::NAN, f64::NAN));
    }
}

fn all_finite<T: Field>(a: &[T]) -> bool {
    a.iter().all(|x| x.is_finite())
}

/// Factors `lu`, and writes the exchanges of rows and the order of rows that they give.
fn factor_rows<T: Field>(
    sizes: FactorSizes,
    lu: &mut [T],
    exchanges: &mut [T],
    order: &mut [T],
    division: Division,
) {
    let mut pivots: Vec<usize> = (0..sizes.smaller()).collect();
    T::lu(lu, sizes.columns, &mut pivots, division);
    if !all_finite(lu) {
        fill_nan(lu);
        pivots.iter_mut().enumerate().for_each(|(i, pivot)| *pivot = i);
    }
    order.iter_mut().enumerate().for_each(|(i, row)| *row = T::from_parts(i as f64, 0.0));
    for (i, &pivot) in pivots.iter().enumerate() {
        exchanges[i] = T::from_parts(pivot as f64, 0.0);
        order.swap(i, pivot);
    }
}

/// Factors `a` so that the diagonal of `r` is real and not negative.
fn qr<T: Field>(
    sizes: FactorSizes,
    a: &[T],
    q: &mut [T],
    r: &mut [T],
    division: Division,
) -> Option<()> {
    if !all_finite(a) {
        return None;
    }
    T::qr(a, sizes.rows, q, r, division);
    let k = q.len() / sizes.rows;
    for i in 0..sizes.smaller() {
        let phase = column_phase([complex(r[i * sizes.columns + i])]);
        r[i * sizes.columns..(i + 1) * sizes.columns].iter_mut().for_each(|x| turn(x, phase));
        turn_column(q, k, i, phase.conj());
    }
    Some(())
}

/// Computes eigenvalues and vectors with the phases of the op.
fn eigh<T: Field>(a: &[T], w: &mut [T], v: &mut [T], division: Division) -> Option<()> {
    let n = w.len();
    let mut values = vec![0.0; n];
    // The diagonal of a Hermitian matrix is real.
    let mut a = a.to_vec();
    (0..n).for_each(|i| a[i * n + i] = T::from_parts(a[i * n + i].re(), 0.0));
    let is_finite = (0..n).all(|i| all_finite(&a[i * n..=i * n + i]));
    if !is_finite {
        return None;
    }
    T::eigh(&a, &mut values, v, division)?;
    w.iter_mut().zip(values).for_each(|(w, x)| *w = T::from_parts(x, 0.0));
    for j in 0..n {
        let phase = column_phase((0..n).map(|i| complex(v[i * n + j])));
        turn_column(v, n, j, phase);
    }
    Some(())
}

/// Computes eigenvalues and vectors in the order, with the norms and phases of the op. The matrix
/// and the results are complex.
fn eig<T: Field>(a: &[T], w: &mut [T], v: &mut [T], division: Division) -> Option<()> {
    if !all_finite(a) {
        return None;
    }
    let n = w.len();
    let a: Vec<Complex<f64>> = a.iter().map(|&x| complex(x)).collect();
    let (mut values, mut vectors) = (vec![Complex::default(); n], vec![Complex::default(); n * n]);
    neurax_linalg::eig(&a, &mut values, &mut vectors, division)?;
    for (to, from) in eigenvalue_order(&values).into_iter().enumerate() {
        w[to] = T::from_parts(values[from].re, values[from].im);
        let column = (0..n).map(|i| vectors[i * n + from]);
        let norm = column.clone().map(|x| x.norm_sqr()).sum::<f64>().sqrt();
        let factor = column_phase(column.clone()) / norm;
        for (i, x) in column.enumerate() {
            v[i * n + to] = T::from_parts((x * factor).re, (x * factor).im);
        }
    }
    Some(())
}

/// Computes singular values and vectors with the phases of the op.
fn svd<T: Field>(
    sizes: FactorSizes,
    a: &[T],
    u: &mut [T],
    s: &mut [T],
    vh: &mut [T],
    division: Division,
) -> Option<()> {
    if !all_finite(a) {
        return None;
    }
    let mut values = vec![0.0; s.len()];
    T::svd(a, sizes.rows, u, &mut values, vh, division)?;
    s.iter_mut().zip(values).for_each(|(s, x)| *s = T::from_parts(x, 0.0));
    let k = u.len() / sizes.rows;
    for j in 0..sizes.smaller() {
        let row = &mut vh[j * sizes.columns..(j + 1) * sizes.columns];
        // The rows are those of the adjoint.
        let phase = column_phase(row.iter().map(|&x| complex(x).conj()));
        row.iter_mut().for_each(|x| turn(x, phase.conj()));
        turn_column(u, k, j, phase);
    }
    Some(())
}

fn complex<T: Field>(x: T) -> Complex<f64> {
    Complex { re: x.re(), im: x.im() }
}

/// Multiplies by a number of absolute value 1; for a real number, 1 or -1.
fn turn<T: Field>(x: &mut T, phase: Complex<f64>) {
    *x *= T::from_parts(phase.re, phase.im);
}

fn turn_column<T: Field>(a: &mut [T], columns: usize, j: usize, phase: Complex<f64>) {
    a.iter_mut().skip(j).step_by(columns).for_each(|x| turn(x, phase));
}
