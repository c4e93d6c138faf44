//! Solutions and determinants by the LU factorization, with derivatives in closed form.
//!
//! The derivative of the factors is never taken: a solution is differentiated as the system
//! `a · x = b`, and a determinant by Jacobi's formula,
//!
//! ```text
//! dx = a⁻¹ · (db - da · x)        d log det(a) = trace(a⁻¹ · da)
//! ```
//!
//! so that derivatives of every order use the factors of `a` that the value has computed.

use super::common::{located, with_batch};
use crate::{
    DType, Function, Shape, Tensor, custom_linear_solve, custom_tangent, dispatch::dispatch,
    stop_gradient, tensor::CallSite,
};
use neurax_ir::op::{MatrixForm, TriangularSolve};

/// The compact factors of `a[permutation] = l · u`, the pivots, and the permutation. They are
/// constants of derivatives.
#[derive(Clone)]
pub(super) struct Factors {
    lu: Tensor,
    pivots: Tensor,
    permutation: Tensor,
}

/// A matrix, then the three tensors of its factors.
type Factored = (Tensor, Tensor, Tensor, Tensor);

impl Factors {
    #[track_caller]
    pub(super) fn of(a: &Tensor) -> Factors {
        let (lu, pivots, permutation) = stop_gradient(a).lu_factor();
        Factors { lu, pivots, permutation }
    }

    fn with(&self, a: &Tensor) -> Factored {
        (a.clone(), self.lu.clone(), self.pivots.clone(), self.permutation.clone())
    }

    /// Computes the solution `x` of `a · x = b`, `[.., n, m]`, for the matrices `a` of these
    /// factors, whose batch axes broadcast to those of `b`.
    #[track_caller]
    pub(super) fn solution(&self, a: &Tensor, b: &Tensor, at: CallSite) -> Tensor {
        if let Some(e) = self.lu.error() {
            return Tensor::error_at(e.clone(), at);
        }
        let batch = Shape::from(&b.shape()[..b.rank() - 2]);
        let rows = [&batch[..], &[b.dim(-2)]].concat();
        let (lu, permutation) =
            (&with_batch(&self.lu, &batch, at), &self.permutation.broadcast_at(rows, at));
        // Values that are not traced have no derivative.
        if !a.is_traced() && !b.is_traced() {
            return permuted_solution(lu, permutation, b, at);
        }
        custom_linear_solve(
            |x: Tensor| located(at, &[&x], || a.matmul(&x)),
            b.clone(),
            |_, b| located(at, &[&b], || permuted_solution(lu, permutation, &b, at)),
            |_, c| located(at, &[&c], || transposed_solution(lu, permutation, &c, at)),
        )
    }

    /// Computes the trace of `a⁻¹ · da`.
    #[track_caller]
    fn trace_of_solution(&self, a: &Tensor, da: &Tensor, at: CallSite) -> Tensor {
        self.solution(a, da, at).diagonal(0, -2, -1).sum(-1)
    }

    /// Computes the determinant of the matrices `a` of these factors.
    #[track_caller]
    pub(super) fn determinant(&self, a: &Tensor, at: CallSite) -> Tensor {
        let value = |(_, lu, pivots, _): Factored| {
            let product = || sign_of_pivots(&pivots, &lu, at) * lu.diagonal(0, -2, -1).prod(-1);
            located(at, &[&lu], product)
        };
        let tangent = |(of, y, (da, ..)): (Factored, Tensor, Factored)| {
            let (a, factors) = parts(of);
            located(at, &[&a], || y * factors.trace_of_solution(&a, &da, at))
        };
        custom_tangent(value, tangent).apply(self.with(a))
    }

    /// Computes the sign and the logarithm of the absolute value of the determinant of the matrices
    /// `a` of these factors.
    #[track_caller]
    pub(super) fn sign_and_log(&self, a: &Tensor, at: CallSite) -> (Tensor, Tensor) {
        let value =
            |(_, lu, pivots, _): Factored| located(at, &[&lu], || of_diagonal(&lu, &pivots, at));
        let tangent = |(of, (sign, log), (da, ..)): (Factored, (Tensor, Tensor), Factored)| {
            let (a, factors) = parts(of);
            located(at, &[&a], || {
                let trace = factors.trace_of_solution(&a, &da, at);
                if !trace.dtype().is_complex() {
                    return (sign.zeros_like(), trace);
                }
                // The imaginary part turns the sign.
                let turn = log.zeros_like().complex(trace.imag());
                (turn * sign, trace.real())
            })
        };
        custom_tangent(value, tangent).apply(self.with(a))
    }
}

/// Returns the matrix and its factors.
fn parts((a, lu, pivots, permutation): Factored) -> (Tensor, Factors) {
    (a, Factors { lu, pivots, permutation })
}

/// Computes the sign and the logarithm of the absolute value of a determinant.
#[track_caller]
fn of_diagonal(lu: &Tensor, pivots: &Tensor, at: CallSite) -> (Tensor, Tensor) {
    let diagonal = lu.diagonal(0, -2, -1);
    let sign = sign_of_pivots(pivots, lu, at) * diagonal.sign().prod(-1);
    (sign, diagonal.abs().log().sum(-1))
}

/// Computes the solution of a system from the compact LU factors.
#[track_caller]
pub(super) fn permuted_solution(
    lu: &Tensor,
    permutation: &Tensor,
    b: &Tensor,
    at: CallSite,
) -> Tensor {
    let b = b.take_along_axis(&permutation.expand_dims(-1), -2);
    let y = dispatch(unit_lower(MatrixForm::Plain), [lu.clone(), b], at);
    dispatch(TriangularSolve::upper(MatrixForm::Plain), [lu.clone(), y], at)
}

/// Computes the solution of the transposed system, `uᵀ · lᵀ · x[permutation] = c`.
#[track_caller]
fn transposed_solution(lu: &Tensor, permutation: &Tensor, c: &Tensor, at: CallSite) -> Tensor {
    let y = dispatch(TriangularSolve::upper(MatrixForm::Transposed), [lu.clone(), c.clone()], at);
    let x = dispatch(unit_lower(MatrixForm::Transposed), [lu.clone(), y], at);
    x.take_along_axis(&permutation.argsort(-1).expand_dims(-1), -2)
}

fn unit_lower(form: MatrixForm) -> TriangularSolve {
    TriangularSolve { unit_diagonal: true, ..TriangularSolve::lower(form) }
}

/// Computes the determinant of the permutation that the pivots of a factorization make, 1 or -1.
#[track_caller]
fn sign_of_pivots(pivots: &Tensor, lu: &Tensor, at: CallSite) -> Tensor {
    if pivots.error().is_some() {
        return pivots.clone();
    }
    let exchanges = pivots.not_equal(Tensor::arange(pivots.dim(-1))).to(DType::I32).sum(-1);
    let odd = exchanges.convert(DType::F64, at) % 2.0;
    (1.0 - odd * 2.0).convert(lu.dtype(), at)
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    /// Returns the number of factorizations in the compiled form of `f`.
    fn factorizations<A: Tree>(f: impl Function<A, Out = A> + 'static, like: &A) -> usize {
        text(f, like).matches(" = lu").count()
    }

    /// Returns the compiled form of `f` as a graph.
    fn text<A: Tree, O: Tree>(f: impl Function<A, Out = O> + 'static, like: &A) -> String {
        let stages = jit(f).stages(like, true).unwrap();
        let last = stages.list().iter().rev().find(|s| s.is_graph()).unwrap();
        last.text.clone().unwrap()
    }

    #[test]
    fn derivatives_take_one_factorization() {
        let (a, b) = (key(0).normal([5, 5]) + Tensor::eye(5) * 4, key(1).normal([5, 2]));
        let solution = |(a, b): (Tensor, Tensor)| a.solve(b).square().sum(..);
        assert_eq!(factorizations(grad(solution), &(a.clone(), b)), 1);
        assert_eq!(factorizations(grad(|a: Tensor| a.slogdet().1), &a), 1);
        assert_eq!(factorizations(grad(|a: Tensor| a.det()), &a), 1);
    }

    #[test]
    fn one_matrix_of_many_right_sides_is_factored_once() {
        let (a, b) = (key(0).normal([5, 5]) + Tensor::eye(5) * 4, key(1).normal([3, 5, 2]));
        let batch = |(a, b): (Tensor, Tensor)| a.solve(b);
        let mapped = |(a, b): (Tensor, Tensor)| vmap(|b: Tensor| a.solve(b))(b);
        let slope = grad(|(a, b): (Tensor, Tensor)| a.solve(b).square().sum(..));
        let both = (a.clone(), b.clone());
        for text in [text(batch, &both), text(mapped, &both), text(slope, &both)] {
            assert_eq!(text.matches(" = lu").count(), 1, "{text}");
            let line = text.lines().find(|l| l.contains(" = lu")).unwrap();
            assert!(line.contains(": f32[5, 5], "), "{text}");
        }
        let x = a.solve(&b);
        assert!(a.matmul(&x).allclose(&b, 1e-4, 1e-4).item().unwrap() == 1.0);
        // An infinite right side spoils one member alone.
        let bad = b.at(1).set(f32::INFINITY);
        let ok = a.solve(bad).is_finite().all([1, 2]).to_vec::<bool>().unwrap();
        assert_eq!(ok, [true, false, true]);
    }

    #[test]
    fn the_gradient_of_the_logarithm_is_the_transposed_inverse() {
        let a = key(0).normal_of(F64, [2, 4, 4]);
        let slope = grad(|a: Tensor| a.slogdet().1.sum(..)).run(a.clone()).unwrap();
        assert!(slope.allclose(a.inv().t(), 1e-9, 1e-9).item().unwrap() == 1.0);
        let slope = grad(|a: Tensor| a.det().sum(..)).run(a.clone()).unwrap();
        let want = a.inv().t() * a.det().reshape([2, 1, 1]);
        assert!(slope.allclose(want, 1e-9, 1e-9).item().unwrap() == 1.0);
    }
}
