//! `cholesky`: the triangular factor of a positive definite matrix.

use super::emit::{self, adjoint, lower_half, matmul};
use super::evaluate::for_each_matrix;
use super::matrix::{Complex64, Matrix, ZERO};
use super::triangular_solve::{MatrixForm, TriangularSolve};
use super::{batched, samples_of, square};
use crate::op::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// The lower triangular matrix `l` with a positive diagonal of which `l · lᴴ` is the operand, a
    /// Hermitian positive definite matrix `[.., n, n]`; NaN if it is not positive definite. Only
    /// the lower triangle of the operand is read.
    ///
    /// The tangent is `l · Φ(l⁻¹ · da · l⁻ᴴ)`, where `Φ` is the lower triangle with half of the
    /// diagonal: Murray, 2016 (<https://arxiv.org/abs/1602.07527>).
    /// <https://openxla.org/stablehlo/spec#cholesky>
    pub struct Cholesky = "cholesky" {}
}

impl Primitive for Cholesky {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        square(Self::NAME, &xs[0])?;
        Ok(vec![xs[0].clone()])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let types = self.infer(&[xs[0].ty().clone()])?;
        Ok(for_each_matrix(&xs, &types, |a| vec![factor(&a[0])]))
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let Some(da) = dxs[0] else { return Ok(no_tangents(at)) };
        let l = at.ys[0];
        let da = emit::hermitian_of_lower(b, da);
        let left = TriangularSolve::lower(MatrixForm::Plain);
        let x = b.emit(left.clone(), &[l, da]);
        // (l⁻¹ · da) · l⁻ᴴ is the adjoint of l⁻¹ · (l⁻¹ · da)ᴴ.
        let x = adjoint(b, x);
        let x = b.emit(left, &[l, x]);
        let x = adjoint(b, x);
        let half = lower_half(b, x);
        Ok(vec![Some(matmul(b, l, half))])
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
        batched(b, self.clone(), axis, xs, dims, 1)
    }

    fn samples() -> Vec<Sample> {
        samples_of(Cholesky {}, &[&[3, 3], &[2, 1, 1], &[2, 2, 2], &[0, 0], &[0, 2, 2]], 4.0)
    }
}

/// Returns the factor, row by row.
fn factor(a: &Matrix) -> Matrix {
    let n = a.rows;
    let mut l = Matrix::zeros(n, n);
    for i in 0..n {
        for j in 0..=i {
            let sum: Complex64 = (0..j).map(|k| l[(i, k)] * l[(j, k)].conj()).sum();
            if i > j {
                l[(i, j)] = (a[(i, j)] - sum) / l[(j, j)];
                continue;
            }
            let square = a[(i, i)].re - sum.re;
            // Not `square <= 0`, which is false for NaN.
            if !(square > 0.0 && square.is_finite()) {
                return Matrix::nan(n, n);
            }
            l[(i, i)] = Complex64 { re: square.sqrt(), ..ZERO };
        }
    }
    l
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(n: usize, a: &[f64]) -> Vec<f64> {
        let a = Literal::from_slice([n, n], a).unwrap();
        Cholesky {}.eval(&mut Eval::default(), vec![a]).unwrap()[0].to_f64s()
    }

    #[test]
    fn the_square_of_the_factor_is_the_matrix() {
        // The upper triangle is not read.
        assert_eq!(run(2, &[4.0, 77.0, 2.0, 10.0]), [2.0, 0.0, 1.0, 3.0]);
    }

    #[test]
    fn matrices_that_are_not_positive_definite_are_nan() {
        assert!(run(2, &[1.0, 2.0, 2.0, 1.0]).iter().all(|x| x.is_nan()));
        assert!(run(1, &[f64::NAN])[0].is_nan() && run(1, &[0.0])[0].is_nan());
        assert!(run(1, &[f64::INFINITY])[0].is_nan());
    }

    #[test]
    fn operands_are_checked() {
        let infer = |d, s: &[usize]| Cholesky {}.infer(&[Type::new(d, s)]).unwrap_err().to_string();
        let e = infer(crate::DType::F32, &[2, 3]);
        assert_eq!(e, "cholesky: expected square matrices, got f32[2, 3]");
        assert!(infer(crate::DType::F16, &[2, 2]).contains("of f32, f64, c64 or c128, got f16"));
        assert!(infer(crate::DType::F32, &[2]).contains("got f32[2]"));
    }
}
