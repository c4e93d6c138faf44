//! `triangular_solve`: systems of linear equations with a triangular matrix.

use super::emit::{self, MatrixPart, matmul};
use super::evaluate::for_each_matrix;
use super::matrix::{Complex64, Matrix, ONE};
use super::{MATRIX_DTYPES, Sizes, batched, matrices, sample_matrix, square};
use crate::op::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{
    Builder, DType, Eval, Literal, Result, Type, Value,
    graph::attr::{attrs, names},
};

names! {
    /// The matrix of a [`TriangularSolve`], formed from the operand.
    pub enum MatrixForm {
        /// The operand.
        Plain = "plain",
        /// The transpose.
        Transposed = "transposed",
        /// The conjugate transpose.
        Adjoint = "adjoint",
    }
}

attrs! {
    /// The solution `x` of `a · x = b`, where `a` `[.., n, n]` is the first operand's lower or
    /// upper triangle (the other one is not read) in a given form, and `b` `[.., n, m]` the second
    /// operand. The batch axes are equal. A column of `x` that is not finite is NaN, and so are all
    /// if an element of the diagonal is not finite, or zero.
    /// <https://openxla.org/stablehlo/spec#triangular_solve>
    pub struct TriangularSolve = "triangular_solve" {
        /// True if the lower triangle of the operand is read, else the upper one.
        lower: bool,
        /// True if the diagonal is taken as ones, and not read.
        unit_diagonal: bool,
        /// The form of the matrix.
        form: MatrixForm,
    }
}

impl TriangularSolve {
    /// Creates the op of lower triangles in a form.
    pub fn lower(form: MatrixForm) -> TriangularSolve {
        TriangularSolve { lower: true, unit_diagonal: false, form }
    }

    /// Creates the op of upper triangles in a form.
    pub fn upper(form: MatrixForm) -> TriangularSolve {
        TriangularSolve { lower: false, unit_diagonal: false, form }
    }

    /// Emits the product of the tangent `da` of the matrix, in its form, and `x`.
    fn moved(&self, b: &mut Builder, da: Value, x: Value) -> Value {
        let which = if self.lower { MatrixPart::Lower } else { MatrixPart::Upper };
        let mut da = emit::triangle(b, da, which);
        if self.unit_diagonal {
            let diagonal = emit::triangle(b, da, MatrixPart::Diagonal);
            da = b.sub(da, diagonal);
        }
        let da = match self.form {
            MatrixForm::Plain => da,
            MatrixForm::Transposed => emit::transposed(b, da),
            MatrixForm::Adjoint => emit::adjoint(b, da),
        };
        matmul(b, da, x)
    }

    /// Returns the solution.
    fn solve(&self, a: &Matrix, right: &Matrix) -> Matrix {
        let n = a.rows;
        let at = |i: usize, j: usize| match self.form {
            MatrixForm::Plain => a[(i, j)],
            MatrixForm::Transposed => a[(j, i)],
            MatrixForm::Adjoint => a[(j, i)].conj(),
        };
        let is_lower = self.lower == (self.form == MatrixForm::Plain);
        let mut x = right.clone();
        for step in 0..n {
            let i = if is_lower { step } else { n - 1 - step };
            let known = if is_lower { 0..i } else { i + 1..n };
            let pivot = if self.unit_diagonal { ONE } else { at(i, i) };
            for column in 0..x.columns {
                let sum: Complex64 = known.clone().map(|j| at(i, j) * x[(j, column)]).sum();
                x[(i, column)] = (x[(i, column)] - sum) / pivot;
            }
        }
        let has_pivots = self.unit_diagonal
            || (0..n).all(|i| a[(i, i)].re.is_finite() && a[(i, i)].im.is_finite());
        if !has_pivots {
            return Matrix::nan(n, x.columns);
        }
        (0..x.columns).for_each(|column| x.fill_nan_unless_finite(column));
        x
    }
}

impl Primitive for TriangularSolve {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 2)?;
        let n = square(Self::NAME, &xs[0])?;
        let Sizes { rows, .. } = matrices(Self::NAME, &xs[1])?;
        let batch = |x: &Type| x.shape[..x.rank() - 2].to_vec();
        if rows == n && batch(&xs[0]) == batch(&xs[1]) && xs[0].dtype == xs[1].dtype {
            return Ok(vec![xs[1].clone()]);
        }
        let why = "expected a matrix [.., n, n] and right sides [.., n, m] of one dtype";
        refuse(Self::NAME, format!("{why}, got {} and {}", xs[0], xs[1]))
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let types = [xs[1].ty().clone()];
        Ok(for_each_matrix(&xs, &types, |m| vec![self.solve(&m[0], &m[1])]))
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let (a, x) = (at.xs[0], at.ys[0]);
        let moved = dxs[0].map(|da| {
            let product = self.moved(b, da, x);
            b.neg(product)
        });
        let right = b.add_tangents(dxs[1], moved);
        Ok(vec![right.map(|right| b.emit(self.clone(), &[a, right]))])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        if linear[0] {
            return Transposed::NotLinear;
        }
        // The map x = m⁻¹ · b has the transpose m⁻ᵀ · ct.
        let solved = cts[0].map(|ct| {
            let solve = |b: &mut Builder, form, ct| {
                b.emit(TriangularSolve { form, ..self.clone() }, &[at.xs[0], ct])
            };
            match self.form {
                MatrixForm::Plain => solve(b, MatrixForm::Transposed, ct),
                MatrixForm::Transposed => solve(b, MatrixForm::Plain, ct),
                // conj(a)⁻¹ · ct is the conjugate of a⁻¹ · conj(ct).
                MatrixForm::Adjoint => {
                    let ct = emit::conjugate(b, ct);
                    let x = solve(b, MatrixForm::Plain, ct);
                    emit::conjugate(b, x)
                }
            }
        });
        Transposed::Cotangents(vec![None, solved])
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
        let row = |op: TriangularSolve, dtype: DType, batch: &[usize], n: usize, m: usize| Sample {
            op: op.into(),
            inputs: vec![
                sample_matrix(Type::new(dtype, [batch, &[n, n]].concat()), 3.0),
                sample(Type::new(dtype, [batch, &[n, m]].concat()), -2.0, 1.0),
            ],
            smooth: dtype.real() == DType::F64,
        };
        let plain = TriangularSolve::lower(MatrixForm::Plain);
        let mut rows: Vec<Sample> =
            MATRIX_DTYPES.into_iter().map(|d| row(plain.clone(), d, &[], 3, 2)).collect();
        for (lower, unit_diagonal) in [(true, false), (false, true), (false, false)] {
            for &form in MatrixForm::ALL {
                let op = TriangularSolve { lower, unit_diagonal, form };
                rows.push(row(op.clone(), DType::F64, &[2], 3, 1));
                rows.push(row(op, DType::C128, &[], 2, 2));
            }
        }
        rows.extend([
            row(plain.clone(), DType::F64, &[], 0, 2),
            row(plain.clone(), DType::F64, &[], 2, 0),
            row(plain, DType::F64, &[0], 2, 1),
        ]);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_solve_their_systems() {
        let a = Literal::from_slice([2, 2], &[2.0, 9.0, 4.0, 5.0]).unwrap();
        let b = Literal::from_slice([2, 1], &[2.0, 14.0]).unwrap();
        let run = |lower, unit_diagonal, form| {
            let op = TriangularSolve { lower, unit_diagonal, form };
            op.eval(&mut Eval::default(), vec![a.clone(), b.clone()]).unwrap()[0].to_f64s()
        };
        assert_eq!(run(true, false, MatrixForm::Plain), [1.0, 2.0]);
        assert_eq!(run(true, true, MatrixForm::Plain), [2.0, 6.0]);
        assert_eq!(run(true, true, MatrixForm::Transposed), [2.0 - 4.0 * 14.0, 14.0]);
        assert_eq!(run(false, true, MatrixForm::Plain), [2.0 - 9.0 * 14.0, 14.0]);
        assert_eq!(run(false, true, MatrixForm::Adjoint), [2.0, 14.0 - 9.0 * 2.0]);
    }

    #[test]
    fn operands_are_checked() {
        let op = TriangularSolve::lower(MatrixForm::Plain);
        let t = |shape: &[usize]| Type::new(DType::F32, shape);
        let e = op.infer(&[t(&[2, 2]), t(&[3, 1])]).unwrap_err().to_string();
        assert!(
            e.contains("right sides [.., n, m] of one dtype, got f32[2, 2] and f32[3, 1]"),
            "{e}"
        );
        assert!(op.infer(&[t(&[2, 2, 2]), t(&[3, 2, 1])]).is_err());
        assert!(op.infer(&[t(&[2, 2]), t(&[2, 1]).with_dtype(DType::F64)]).is_err());
    }
}
