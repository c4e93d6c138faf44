//! Generator rules for linear algebra.

use super::generate::{Gen, GenRule};
use neurax_ir::op::*;
use neurax_ir::{DType, Literal, Value};

pub(super) const LINEAR_ALGEBRA_RULES: &[GenRule] =
    &[factors, triangular_solve, eigenvalues, schur];

/// Emits a factorization of a matrix and keeps one of its factors of floats.
fn factors(g: &mut Gen) -> Option<()> {
    let n = 1 + g.rng.below(3);
    let a = matrix(g, DType::F64, n);
    let (op, results): (neurax_ir::Op, usize) = match g.rng.below(5) {
        0 => (Cholesky {}.into(), 1),
        1 => (Lu {}.into(), 3),
        2 => (Qr { full: g.rng.one_in(2) }.into(), 2),
        3 => (Eigh {}.into(), 2),
        _ => (Svd { full: g.rng.one_in(2) }.into(), 3),
    };
    let ys = g.b.emit_n(op, &[a], results);
    let floats: Vec<Value> = ys.into_iter().filter(|&y| g.b.dtype(y) == DType::F64).collect();
    let y = g.rng.pick(&floats);
    g.keep(y, FACTOR_BOUND)
}

/// Emits the eigenvalues of a general matrix, which are real.
fn eigenvalues(g: &mut Gen) -> Option<()> {
    let n = 1 + g.rng.below(3);
    let a = matrix(g, DType::F64, n);
    let w = g.b.emit_n(Eig {}, &[a], 2)[0];
    let w = g.b.real(w);
    g.keep(w, FACTOR_BOUND)
}

/// Emits the eigenvalues by the Schur form, which has no derivative, in single precision.
fn schur(g: &mut Gen) -> Option<()> {
    let n = 1 + g.rng.below(2);
    let a = matrix(g, DType::F32, n);
    let t = g.b.emit_n(Schur {}, &[a], 2)[0];
    let t = g.b.real(t);
    g.keep(t, FACTOR_BOUND)
}

/// Emits the solution of a triangular system.
fn triangular_solve(g: &mut Gen) -> Option<()> {
    let (n, m) = (1 + g.rng.below(3), 1 + g.rng.below(2));
    let a = matrix(g, DType::F64, n);
    let right = g.pick_shaped(DType::F64, &[n, m].as_slice().into());
    let form = g.rng.pick(MatrixForm::ALL);
    let (lower, unit_diagonal) = (g.rng.one_in(2), g.rng.one_in(2));
    let x = g.emit(TriangularSolve { lower, unit_diagonal, form }, &[a, right.v]);
    g.keep(x, 2.0 * right.bound)
}

/// The bound of the elements of factors.
const FACTOR_BOUND: f64 = 10.0;

/// Emits a matrix with the diagonal 2, 4, .. and small other elements: it has well-conditioned
/// factors of all kinds, and the signs of their elements do not change.
fn matrix(g: &mut Gen, dtype: DType, n: usize) -> Value {
    let x = g.pick_shaped(dtype, &[n, n].as_slice().into());
    let x = g.b.tanh(x.v);
    let small = g.b.mul_scalar(x, 0.1);
    let at = |i: usize| if i.is_multiple_of(n + 1) { 2.0 * (i / (n + 1) + 1) as f64 } else { 0.0 };
    let diagonal: Vec<f64> = (0..n * n).map(at).collect();
    let diagonal = g.b.constant(Literal::from_f64s(dtype, [n, n], &diagonal));
    g.b.add(small, diagonal)
}
