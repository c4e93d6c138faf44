//! `schur`: the Schur form of a general matrix.

use super::evaluate::for_each_matrix;
use super::matrix::Matrix;
use super::schur_form::schur_form;
use super::{batched, samples_of, square};
use crate::op::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// The Schur form of matrices `a` `[.., n, n]`: `a = z · t · zᴴ` with an upper triangular `t`,
    /// whose diagonal are the eigenvalues, and a unitary `z`, both complex. The order of the
    /// eigenvalues is that in which the method finds them.
    ///
    /// It has no derivative: the form is not unique.
    pub struct Schur = "schur" {}
}

impl Primitive for Schur {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        square(Self::NAME, &xs[0])?;
        Ok(vec![xs[0].with_dtype(xs[0].dtype.complex()); 2])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let types = self.infer(&[xs[0].ty().clone()])?;
        Ok(for_each_matrix(&xs, &types, |a| {
            let missing = || Matrix::nan(a[0].rows, a[0].rows);
            schur_form(&a[0]).map_or_else(|| vec![missing(), missing()], |(t, z)| vec![t, z])
        }))
    }

    fn jvp(&self, _: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        match dxs[0] {
            Some(_) => no_derivative(Self::NAME, "take `eig`"),
            None => Ok(no_tangents(at)),
        }
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
        batched(b, self.clone(), axis, xs, dims, 2)
    }

    fn samples() -> Vec<Sample> {
        let mut rows = samples_of(Schur {}, &[&[3, 3], &[2, 2, 2], &[0, 0], &[0, 2, 2]], 0.0);
        rows.iter_mut().for_each(|row| row.smooth = false);
        rows
    }
}
