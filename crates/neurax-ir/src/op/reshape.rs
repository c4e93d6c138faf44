//! `reshape`: changes the shape, keeping the elements in row-major order.

use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, DType, Eval, Literal, Result, Shape, Type, Value, graph::attr::attrs};

attrs! {
    /// The elements of the operand, in row-major order, in another shape.
    /// <https://openxla.org/stablehlo/spec#reshape>
    pub struct Reshape = "reshape" {
        /// The new shape.
        shape: Shape,
    }
}

impl Primitive for Reshape {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        let (from, to) = (xs[0].size(), self.shape.size());
        if from != to {
            return refuse(
                Self::NAME,
                format!("expected {to} elements for shape {}, got {from}: {}", self.shape, xs[0]),
            );
        }
        Ok(vec![xs[0].with_shape(&self.shape)])
    }

    fn eval(&self, _: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let x = xs.swap_remove(0);
        let ty = x.ty().with_shape(&self.shape);
        Ok(vec![x.with_type(ty)?])
    }

    fn jvp(&self, b: &mut Builder, _: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(vec![dxs[0].map(|dx| b.emit(self.clone(), &[dx]))])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        _: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let from = b.ty(at.xs[0]).shape.clone();
        Transposed::Cotangents(vec![cts[0].map(|ct| b.reshape(ct, from))])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let x = batch_front(b, axis, xs, dims)[0];
        let op = Reshape { shape: self.shape.inserted(0, axis.size) };
        Ok(at_front(b.emit_n(op, &[x], 1)))
    }

    fn samples() -> Vec<Sample> {
        let row = |d: DType, from: &[usize], to: &[usize]| Sample {
            op: Reshape { shape: shape(to) }.into(),
            inputs: vec![sample(Type::new(d, from), -3.0, 4.0)],
            smooth: d == DType::F64,
        };
        let mut rows: Vec<Sample> =
            DType::ALL.into_iter().map(|d| row(d, &[2, 3], &[3, 2])).collect();
        rows.extend([
            row(DType::F64, &[1, 1], &[]),
            row(DType::F64, &[], &[1]),
            row(DType::F64, &[2, 0], &[0, 5]),
            row(DType::F64, &[4], &[4]),
        ]);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_reused() {
        let x = Literal::from_f64s(DType::U4, [3, 1], &[1.0, 2.0, 3.0]);
        let at = x.bytes().address();
        let y =
            Reshape { shape: [3].into() }.eval(&mut Eval::default(), vec![x]).unwrap().remove(0);
        assert_eq!((y.bytes().address(), y.to_f64s()), (at, vec![1.0, 2.0, 3.0]));
    }

    #[test]
    fn sizes_must_agree() {
        let reshape =
            |to: &[usize]| Reshape { shape: to.into() }.infer(&[Type::new(DType::F32, [2, 3])]);
        assert_eq!(
            reshape(&[4]).unwrap_err().to_string(),
            "reshape: expected 4 elements for shape [4], got 6: f32[2, 3]"
        );
        assert!(reshape(&[usize::MAX, usize::MAX]).is_err());
    }
}
