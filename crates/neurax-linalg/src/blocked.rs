//! Factorizations of large matrices, by the crate `faer`.
//!
//! `faer` prefers columns in a row of memory: matrices are copied into its form and back, which
//! takes little time beside a factorization.

use crate::{
    direct,
    number::{MatrixNumber, TriangularSystem},
};
use faer::{
    Conj, Mat, MatMut, MatRef, Par,
    diag::DiagMut,
    dyn_stack::{MemBuffer, MemStack, StackReq},
    linalg::{
        cholesky::llt::factor as llt, evd, householder, lu::partial_pivoting::factor as lu_factor,
        qr::no_pivoting::factor as qr_factor, svd as svd_factor, triangular_solve as triangular,
    },
    traits::ComplexField,
};

/// Computes [`crate::Field::cholesky`].
pub fn cholesky<T: MatrixNumber + ComplexField>(a: &mut [T], n: usize, par: Par) -> Option<()> {
    let mut l = columns_of(a, n, n);
    let request = llt::cholesky_in_place_scratch::<T>(n, par, Default::default());
    let done = llt::cholesky_in_place(
        l.as_mut(),
        Default::default(),
        par,
        MemStack::new(&mut MemBuffer::new(request)),
        Default::default(),
    );
    let is_positive = (0..n).all(|i| l[(i, i)].re() > 0.0 && l[(i, i)].re().is_finite());
    store(a, n, |i, j| if i >= j { l[(i, j)] } else { T::zero() });
    (done.is_ok() && is_positive).then_some(())
}

/// Computes [`crate::Field::triangular_solve`].
pub fn triangular_solve<T: MatrixNumber + ComplexField>(
    a: &[T],
    triangle: TriangularSystem,
    x: &mut [T],
    columns: usize,
    par: Par,
) {
    if columns == 0 {
        return;
    }
    let n = x.len() / columns;
    let a = MatRef::from_row_major_slice(a, n, n);
    let a = if triangle.transposed { a.transpose() } else { a };
    let conj = if triangle.conjugated { Conj::Yes } else { Conj::No };
    let x = MatMut::from_row_major_slice_mut(x, n, columns);
    let solve = match (triangle.lower != triangle.transposed, triangle.unit_diagonal) {
        (true, false) => triangular::solve_lower_triangular_in_place_with_conj,
        (true, true) => triangular::solve_unit_lower_triangular_in_place_with_conj,
        (false, false) => triangular::solve_upper_triangular_in_place_with_conj,
        (false, true) => triangular::solve_unit_upper_triangular_in_place_with_conj,
    };
    solve(a, conj, x, par);
}

/// Computes [`crate::Field::lu`].
pub fn lu<T: MatrixNumber + ComplexField>(
    a: &mut [T],
    columns: usize,
    pivots: &mut [usize],
    par: Par,
) {
    let rows = a.len() / columns;
    let mut lu = columns_of(a, rows, columns);
    let (mut permutation, mut inverse) = (vec![0usize; rows], vec![0usize; rows]);
    let params = Default::default();
    let request = lu_factor::lu_in_place_scratch::<usize, T>(rows, columns, par, params);
    lu_factor::lu_in_place(
        lu.as_mut(),
        &mut permutation,
        &mut inverse,
        par,
        MemStack::new(&mut MemBuffer::new(request)),
        params,
    );
    // faer divides by a pivot of 0, and nothing is then known of the columns behind it.
    if !(0..pivots.len()).all(|i| lu[(i, i)] != T::zero() && lu[(i, i)].is_finite()) {
        return direct::lu(a, columns, pivots);
    }
    exchanges(&permutation, pivots);
    store(a, columns, |i, j| lu[(i, j)]);
}

/// Computes the exchanges of rows that make the rows `0, 1, ..` those of `permutation`.
fn exchanges(permutation: &[usize], pivots: &mut [usize]) {
    let mut row_at: Vec<usize> = (0..permutation.len()).collect();
    let mut place_of = row_at.clone();
    for (i, pivot) in pivots.iter_mut().enumerate() {
        *pivot = place_of[permutation[i]];
        row_at.swap(i, *pivot);
        place_of[row_at[*pivot]] = *pivot;
    }
}

/// Computes [`crate::Field::qr`].
pub fn qr<T: MatrixNumber + ComplexField>(
    a: &[T],
    rows: usize,
    q: &mut [T],
    r: &mut [T],
    par: Par,
) {
    let (columns, k) = (a.len() / rows, q.len() / rows);
    let smaller = rows.min(columns);
    let mut factors = columns_of(a, rows, columns);
    let block = qr_factor::recommended_block_size::<T>(rows, columns);
    let mut heads = Mat::<T>::zeros(block, smaller);
    let params = Default::default();
    let request = StackReq::or(
        qr_factor::qr_in_place_scratch::<T>(rows, columns, block, par, params),
        householder::apply_block_householder_sequence_on_the_left_in_place_scratch::<T>(
            rows, block, k,
        ),
    );
    let mut memory = MemBuffer::new(request);
    qr_factor::qr_in_place(
        factors.as_mut(),
        heads.as_mut(),
        par,
        MemStack::new(&mut memory),
        params,
    );
    let mut basis = Mat::<T>::identity(rows, k);
    householder::apply_block_householder_sequence_on_the_left_in_place_with_conj(
        factors.as_ref().subcols(0, smaller),
        heads.as_ref(),
        Conj::No,
        basis.as_mut(),
        par,
        MemStack::new(&mut memory),
    );
    store(q, k, |i, j| basis[(i, j)]);
    store(r, columns, |i, j| if i <= j { factors[(i, j)] } else { T::zero() });
}

/// Computes [`crate::Field::eigh`].
pub fn eigh<T: MatrixNumber + ComplexField<Real = f64>>(
    a: &[T],
    w: &mut [f64],
    v: &mut [T],
    par: Par,
) -> Option<()> {
    let n = w.len();
    let a = columns_of(a, n, n);
    let (mut values, mut vectors) = (vec![T::zero(); n], Mat::<T>::zeros(n, n));
    let params = Default::default();
    let with = evd::ComputeEigenvectors::Yes;
    let request = evd::self_adjoint_evd_scratch::<T>(n, with, par, params);
    let done = evd::self_adjoint_evd(
        a.as_ref(),
        DiagMut::from_slice_mut(&mut values),
        Some(vectors.as_mut()),
        par,
        MemStack::new(&mut MemBuffer::new(request)),
        params,
    );
    w.iter_mut().zip(&values).for_each(|(w, x)| *w = x.re());
    store(v, n, |i, j| vectors[(i, j)]);
    done.ok()
}

/// Computes [`crate::Field::svd`].
pub fn svd<T: MatrixNumber + ComplexField<Real = f64>>(
    a: &[T],
    rows: usize,
    u: &mut [T],
    s: &mut [f64],
    vh: &mut [T],
    par: Par,
) -> Option<()> {
    let columns = a.len() / rows;
    let (left, right) = (u.len() / rows, vh.len() / columns);
    let a = columns_of(a, rows, columns);
    let mut values = vec![T::zero(); s.len()];
    let (mut u_columns, mut v) = (Mat::<T>::zeros(rows, left), Mat::<T>::zeros(columns, right));
    let params = Default::default();
    let kind = |vectors: usize, size: usize| match vectors == size {
        true => svd_factor::ComputeSvdVectors::Full,
        false => svd_factor::ComputeSvdVectors::Thin,
    };
    let (of_u, of_v) = (kind(left, rows), kind(right, columns));
    let request = svd_factor::svd_scratch::<T>(rows, columns, of_u, of_v, par, params);
    let done = svd_factor::svd(
        a.as_ref(),
        DiagMut::from_slice_mut(&mut values),
        Some(u_columns.as_mut()),
        Some(v.as_mut()),
        par,
        MemStack::new(&mut MemBuffer::new(request)),
        params,
    );
    s.iter_mut().zip(&values).for_each(|(s, x)| *s = x.re());
    store(u, left, |i, j| u_columns[(i, j)]);
    store(vh, columns, |i, j| v[(j, i)].conj());
    done.ok()
}

/// Returns a matrix in the form of `faer`.
pub fn columns_of<T: ComplexField + Copy>(a: &[T], rows: usize, columns: usize) -> Mat<T> {
    let mut out = Mat::zeros(rows, columns);
    in_tiles(rows, columns, |i, j| out[(i, j)] = a[i * columns + j]);
    out
}

/// Writes the elements of a matrix row by row.
pub fn store<T>(out: &mut [T], columns: usize, at: impl Fn(usize, usize) -> T) {
    let rows = out.len().checked_div(columns).unwrap_or(0);
    in_tiles(rows, columns, |i, j| out[i * columns + j] = at(i, j));
}

/// The rows and columns of a tile: its lines of both forms fit into the first-level cache.
const COPIED_TILE: usize = 32;

/// Calls `f` for each element of a matrix, tile by tile: row by row, one of the two forms that a
/// copy reads and writes would touch another line of memory at each step.
fn in_tiles(rows: usize, columns: usize, mut f: impl FnMut(usize, usize)) {
    for top in (0..rows).step_by(COPIED_TILE) {
        for left in (0..columns).step_by(COPIED_TILE) {
            for i in top..(top + COPIED_TILE).min(rows) {
                (left..(left + COPIED_TILE).min(columns)).for_each(|j| f(i, j));
            }
        }
    }
}
