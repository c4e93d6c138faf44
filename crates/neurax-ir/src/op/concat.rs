//! `concatenate`: concatenates arrays along an axis.

use super::strided::{View, write};
use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, DType, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// The concatenation of one or more operands along an axis.
    /// <https://openxla.org/stablehlo/spec#concatenate>
    pub struct Concatenate = "concatenate" {
        /// The axis along which the operands are concatenated.
        axis: usize,
    }
}

impl Primitive for Concatenate {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let Some(first) = xs.first() else {
            return refuse(Self::NAME, "expected at least one operand, got none");
        };
        if self.axis >= first.rank() {
            return refuse(
                Self::NAME,
                format!("{first} has no axis {}; reshape it to have one", self.axis),
            );
        }
        let other = |x: &&Type| {
            x.dtype != first.dtype
                || x.rank() != first.rank()
                || x.shape.removed(self.axis) != first.shape.removed(self.axis)
        };
        if let Some(x) = xs.iter().find(other) {
            return refuse(
                Self::NAME,
                format!("{first} and {x} differ in more than the size of axis {}", self.axis),
            );
        }
        let mut shape = first.shape.clone();
        shape[self.axis] = xs.iter().fold(0, |n, x| n.saturating_add(x.shape[self.axis]));
        Ok(vec![first.with_shape(shape)])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let types: Vec<Type> = xs.iter().map(|x| x.ty().clone()).collect();
        let mut out = Literal::zeros(self.infer(&types)?.swap_remove(0));
        let whole = View::dense(out.shape());
        let mut start = vec![0; out.shape().rank()];
        let step = vec![1; start.len()];
        for x in &xs {
            let window = whole.clone().window(&start, x.shape(), &step);
            out = write(out, &window, x, &View::dense(x.shape())).0;
            start[self.axis] += x.shape()[self.axis];
        }
        Ok(vec![out])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let dxs: Vec<Value> =
            dxs.iter().zip(at.xs).map(|(&dx, &x)| b.tangent_or_zero(dx, x)).collect();
        Ok(vec![Some(b.emit(self.clone(), &dxs))])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let mut from = 0;
        let part = |(&x, &linear): (&Value, &bool)| {
            let to = from + b.ty(x).shape[self.axis];
            let start = std::mem::replace(&mut from, to);
            cts[0].filter(|_| linear).map(|ct| b.slice_axis(ct, self.axis, start, to))
        };
        Transposed::Cotangents(at.xs.iter().zip(linear).map(part).collect())
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let xs = batch_front(b, axis, xs, dims);
        Ok(at_front(b.emit_n(Concatenate { axis: self.axis + 1 }, &xs, 1)))
    }

    fn samples() -> Vec<Sample> {
        let row = |d: DType, axis: usize, shapes: &[&[usize]]| Sample {
            op: Concatenate { axis }.into(),
            inputs: shapes.iter().map(|&s| sample(Type::new(d, s), -3.0, 4.0)).collect(),
            smooth: d == DType::F64,
        };
        let mut rows: Vec<Sample> =
            DType::ALL.into_iter().map(|d| row(d, 1, &[&[2, 3], &[2, 1], &[2, 2]])).collect();
        rows.extend([
            row(DType::F64, 0, &[&[2], &[0], &[3]]),
            row(DType::F64, 0, &[&[1, 2], &[2, 2], &[1, 2]]),
            row(DType::F64, 0, &[&[3]]),
            row(DType::F32, 1, &[&[0, 2], &[0, 3]]),
        ]);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_concatenated_in_order() {
        for d in [DType::F32, DType::U4, DType::C128] {
            let x = Literal::from_f64s(d, [2, 1], &[1.0, 2.0]);
            let y = Literal::from_f64s(d, [2, 2], &[3.0, 4.0, 5.0, 6.0]);
            let z =
                Concatenate { axis: 1 }.eval(&mut Eval::default(), vec![x, y]).unwrap().remove(0);
            assert_eq!(z.to_f64s(), [1.0, 3.0, 4.0, 2.0, 5.0, 6.0], "{d}");
        }
    }

    #[test]
    fn operands_that_do_not_fit_are_errors() {
        let infer = |axis, xs: &[Type]| Concatenate { axis }.infer(xs).unwrap_err().to_string();
        let (x, y) = (Type::new(DType::F32, [2, 3]), Type::new(DType::F32, [3, 3]));
        assert!(infer(1, &[x.clone(), y]).contains("f32[2, 3] and f32[3, 3] differ"));
        assert!(infer(1, &[x.clone(), x.with_dtype(DType::F64)]).contains("f64[2, 3]"));
        assert!(infer(2, &[x]).contains("no axis 2"));
        assert!(infer(0, &[]).contains("at least one"));
        assert!(infer(0, &[Type::scalar(DType::F32)]).contains("no axis 0"));
    }
}
