//! `broadcast_in_dim`: repeats elements along new or unit axes.

use super::strided::{View, read};
use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, DType, Eval, Literal, Result, Shape, Type, Value, graph::attr::attrs};

attrs! {
    /// The operand broadcast to `shape`: axis `i` of the operand becomes axis `dims[i]` of the
    /// result, and axes of size 1 are repeated.
    /// <https://openxla.org/stablehlo/spec#broadcast_in_dim>
    pub struct Broadcast = "broadcast_in_dim" {
        /// The shape of the result.
        shape: Shape,
        /// For each axis of the operand, the axis of the result; strictly increasing.
        dims: Vec<usize>,
    }
}

impl Primitive for Broadcast {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        let x = &xs[0];
        if self.dims.len() != x.rank() {
            return refuse(
                Self::NAME,
                format!(
                    "expected {} dims, one for each axis of {x}, got {:?}",
                    x.rank(),
                    self.dims
                ),
            );
        }
        check_axes(Self::NAME, &self.dims, self.shape.rank())?;
        if !self.dims.is_sorted() {
            return refuse(
                Self::NAME,
                format!("dims {:?} must increase; transpose {x} first", self.dims),
            );
        }
        for (&n, &d) in x.shape.iter().zip(&self.dims) {
            if n != 1 && n != self.shape[d] {
                let why = format!(
                    "cannot broadcast {x} to {} with dims {:?}: expected size {} or 1, got {n}",
                    self.shape, self.dims, self.shape[d]
                );
                return refuse(Self::NAME, why);
            }
        }
        Ok(vec![x.with_shape(&self.shape)])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        Ok(vec![read(&xs[0], &View::dense(xs[0].shape()).broadcast(&self.shape, &self.dims))])
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
        let kept = |a: usize| {
            self.dims.iter().position(|&d| d == a).is_some_and(|i| from[i] == self.shape[a])
        };
        let axes: Vec<usize> = (0..self.shape.rank()).filter(|&a| !kept(a)).collect();
        let back = |ct| {
            let sum = b.sum(ct, &axes);
            b.reshape(sum, from)
        };
        Transposed::Cotangents(vec![cts[0].map(back)])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let Some(d) = dims[0] else { return Ok((b.emit_n(self.clone(), xs, 1), vec![None])) };
        // The new axis directly follows the image of the operand's preceding axis, so that `dims`
        // is still increasing without a transposition.
        let to = if d == 0 { 0 } else { self.dims[d - 1] + 1 };
        let mut dims = self.dims.clone();
        shift_axes_from(&mut dims, to);
        dims.insert(d, to);
        let op = Broadcast { shape: self.shape.inserted(to, axis.size), dims };
        Ok((b.emit_n(op, xs, 1), vec![Some(to)]))
    }

    fn samples() -> Vec<Sample> {
        let row = |d: DType, from: &[usize], to: &[usize], dims: &[usize]| Sample {
            op: Broadcast { shape: shape(to), dims: dims.to_vec() }.into(),
            inputs: vec![sample(Type::new(d, from), -3.0, 4.0)],
            smooth: d == DType::F64,
        };
        let mut rows: Vec<Sample> =
            DType::ALL.into_iter().map(|d| row(d, &[2, 1], &[2, 2, 3], &[0, 2])).collect();
        rows.extend([
            row(DType::F64, &[], &[3], &[]),
            row(DType::F64, &[], &[], &[]),
            row(DType::F64, &[1, 3], &[4, 3], &[0, 1]),
            row(DType::F64, &[1], &[0, 2], &[0]),
            row(DType::F32, &[0, 2], &[3, 0, 2], &[1, 2]),
        ]);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(x: Literal, shape: &[usize], dims: &[usize]) -> Literal {
        Broadcast { shape: shape.into(), dims: dims.to_vec() }
            .eval(&mut Eval::default(), vec![x])
            .unwrap()
            .remove(0)
    }

    #[test]
    fn unit_axes_and_new_axes_repeat() {
        let x = Literal::from_slice([2, 1], &[1.0f32, 2.0]).unwrap();
        let y = run(x, &[2, 2, 3], &[1, 2]);
        assert_eq!(y.to_f64s(), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        assert_eq!(run(Literal::scalar(DType::I4, -3.0), &[3], &[]).to_f64s(), [-3.0; 3]);
    }

    #[test]
    fn operands_that_do_not_fit_are_errors() {
        let x = [Type::new(DType::F32, [2, 3])];
        let err = |shape: &[usize], dims: &[usize]| {
            Broadcast { shape: shape.into(), dims: dims.to_vec() }
                .infer(&x)
                .unwrap_err()
                .to_string()
        };
        assert!(err(&[2, 4], &[0, 1]).contains("expected size 4 or 1, got 3"));
        assert!(err(&[3, 2], &[1, 0]).contains("must increase"));
        assert!(err(&[2, 3], &[1]).contains("expected 2 dims"));
        assert!(err(&[2, 3], &[0, 2]).contains("out of range"));
    }
}
