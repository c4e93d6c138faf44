//! `transpose`: permutes the axes.

use super::strided::{View, read};
use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, DType, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// The operand with its axes permuted: axis `i` of the result is axis `permutation[i]` of the
    /// operand. <https://openxla.org/stablehlo/spec#transpose>
    pub struct Transpose = "transpose" {
        /// For each axis of the result, the axis of the operand.
        permutation: Vec<usize>,
    }
}

impl Transpose {
    /// Returns the inverse permutation.
    pub fn inverse(&self) -> Vec<usize> {
        let mut out = vec![0; self.permutation.len()];
        self.permutation.iter().enumerate().for_each(|(i, &p)| out[p] = i);
        out
    }
}

impl Primitive for Transpose {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        let x = &xs[0];
        if self.permutation.len() != x.rank() {
            return refuse(
                Self::NAME,
                format!(
                    "expected a permutation of the {} axes of {x}, got {:?}; name every axis once",
                    x.rank(),
                    self.permutation
                ),
            );
        }
        check_axes(Self::NAME, &self.permutation, x.rank())?;
        Ok(vec![x.with_shape(self.permutation.iter().map(|&p| x.shape[p]).collect::<Vec<_>>())])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        Ok(vec![read(&xs[0], &View::dense(xs[0].shape()).transpose(&self.permutation))])
    }

    fn jvp(&self, b: &mut Builder, _: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(vec![dxs[0].map(|dx| b.emit(self.clone(), &[dx]))])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        _: &Bound,
        _: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        Transposed::Cotangents(vec![cts[0].map(|ct| b.transpose(ct, &self.inverse()))])
    }

    fn batch(
        &self,
        b: &mut Builder,
        _: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let Some(d) = dims[0] else { return Ok((b.emit_n(self.clone(), xs, 1), vec![None])) };
        let mut permutation = self.permutation.clone();
        shift_axes_from(&mut permutation, d);
        permutation.insert(0, d);
        let y = b.transpose(xs[0], &permutation);
        Ok(at_front([y].as_slice().into()))
    }

    fn samples() -> Vec<Sample> {
        let row = |d: DType, from: &[usize], permutation: &[usize]| Sample {
            op: Transpose { permutation: permutation.to_vec() }.into(),
            inputs: vec![sample(Type::new(d, from), -3.0, 4.0)],
            smooth: d == DType::F64,
        };
        let mut rows: Vec<Sample> =
            DType::ALL.into_iter().map(|d| row(d, &[2, 3], &[1, 0])).collect();
        rows.extend([
            row(DType::F64, &[2, 1, 3], &[1, 2, 0]),
            row(DType::F64, &[2, 2, 3], &[2, 0, 1]),
            row(DType::F64, &[], &[]),
            row(DType::F64, &[3, 0], &[1, 0]),
            row(DType::F64, &[2, 2], &[0, 1]),
        ]);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_move_where_the_permutation_says() {
        let x = Literal::from_slice([1, 2, 3], &[1i32, 2, 3, 4, 5, 6]).unwrap();
        let op = Transpose { permutation: vec![2, 0, 1] };
        let y = op.eval(&mut Eval::default(), vec![x]).unwrap().remove(0);
        assert_eq!(y.ty().to_string(), "i32[3, 1, 2]");
        assert_eq!(y.to_vec::<i32>().unwrap(), [1, 4, 2, 5, 3, 6]);
        assert_eq!(op.inverse(), [1, 2, 0]);
    }

    #[test]
    fn a_permutation_names_every_axis_once() {
        let err = |p: &[usize]| {
            Transpose { permutation: p.to_vec() }
                .infer(&[Type::new(DType::F32, [2, 3])])
                .unwrap_err()
                .to_string()
        };
        assert!(err(&[0]).contains("name every axis once"));
        assert!(err(&[0, 0]).contains("expected different axes"));
        assert!(err(&[0, 2]).contains("out of range"));
    }
}
