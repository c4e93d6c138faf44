//! `slice`: windows at indices that are constants of the graph.

use super::strided::{View, read};
use super::{Axis, Batched, Bound, Pad, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, DType, Eval, Literal, Result, Shape, Type, Value, graph::attr::attrs};

attrs! {
    /// The elements `start, start + stride, ..` below `limit` of every axis.
    /// <https://openxla.org/stablehlo/spec#slice>
    pub struct Slice = "slice" {
        /// The first index along every axis.
        start: Vec<usize>,
        /// The end along every axis, exclusive.
        limit: Vec<usize>,
        /// The step along every axis, at least 1.
        stride: Vec<usize>,
    }
}

impl Slice {
    /// Returns the shape of the result.
    fn sizes(&self) -> Shape {
        let axis = |((&from, &to), &step): ((&usize, &usize), &usize)| (to - from).div_ceil(step);
        self.start.iter().zip(&self.limit).zip(&self.stride).map(axis).collect()
    }
}

impl Slice {
    /// Emits the cotangent of the operand, whose shape is `whole`: that of the result, with zeros
    /// around and between its elements.
    pub(crate) fn padded(&self, b: &mut Builder, whole: &Shape, ct: Value) -> Value {
        let interior: Vec<usize> = self.stride.iter().map(|s| s - 1).collect();
        let end = |(i, &n): (usize, &usize)| {
            self.start[i] + if n == 0 { 0 } else { 1 + (n - 1) * self.stride[i] }
        };
        let ends: Vec<usize> = self.sizes().iter().enumerate().map(end).collect();
        let high = whole.iter().zip(ends).map(|(&n, end)| (n - end) as i64).collect();
        let low = self.start.iter().map(|&s| s as i64).collect();
        let zero = b.scalar(b.dtype(ct), 0.0);
        b.emit(Pad { low, high, interior }, &[ct, zero])
    }

    /// Returns the axis along which the result is a range of the operand, whose shape is `whole`,
    /// if it has all elements along the others.
    pub(crate) fn only_axis(&self, whole: &Shape) -> Option<usize> {
        let mut parts = (0..whole.len()).filter(|&a| self.start[a] > 0 || self.limit[a] < whole[a]);
        let axis = parts.next()?;
        (parts.next().is_none() && self.stride.iter().all(|&s| s == 1)).then_some(axis)
    }
}

impl Primitive for Slice {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        let x = &xs[0];
        if [&self.start, &self.limit, &self.stride].iter().any(|v| v.len() != x.rank()) {
            let why = format!(
                "expected one entry for each axis of {x}, got start {:?}, limit {:?} and stride \
                 {:?}",
                self.start, self.limit, self.stride
            );
            return refuse(Self::NAME, why);
        }
        for (i, &n) in x.shape.iter().enumerate() {
            let (from, to, step) = (self.start[i], self.limit[i], self.stride[i]);
            if from > to || to > n || step == 0 {
                let why = format!(
                    "expected start <= limit <= {n} and a step of 1 or more on axis {i} of {x}, \
                     got {from}..{to} in steps of {step}"
                );
                return refuse(Self::NAME, why);
            }
        }
        Ok(vec![x.with_shape(self.sizes())])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        Ok(vec![read(
            &xs[0],
            &View::dense(xs[0].shape()).window(&self.start, &self.sizes(), &self.stride),
        )])
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
        let Some(ct) = cts[0] else { return Transposed::Cotangents(vec![None]) };
        let whole = b.ty(at.xs[0]).shape.clone();
        Transposed::Cotangents(vec![Some(self.padded(b, &whole, ct))])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let mut op = self.clone();
        if let Some(d) = dims[0] {
            op.start.insert(d, 0);
            op.limit.insert(d, axis.size);
            op.stride.insert(d, 1);
        }
        Ok((b.emit_n(op, xs, 1), dims.to_vec()))
    }

    fn samples() -> Vec<Sample> {
        let row = |d: DType,
                   shape: &[usize],
                   start: &[usize],
                   limit: &[usize],
                   stride: &[usize]| Sample {
            op: Slice { start: start.to_vec(), limit: limit.to_vec(), stride: stride.to_vec() }
                .into(),
            inputs: vec![sample(Type::new(d, shape), -3.0, 4.0)],
            smooth: d == DType::F64,
        };
        let mut rows: Vec<Sample> =
            DType::ALL.into_iter().map(|d| row(d, &[3, 4], &[1, 0], &[3, 4], &[1, 2])).collect();
        rows.extend([
            row(DType::F64, &[7], &[1], &[6], &[3]),
            row(DType::F64, &[3, 2], &[2, 1], &[2, 2], &[1, 1]),
            row(DType::F64, &[0, 2], &[0, 0], &[0, 1], &[1, 1]),
            row(DType::F64, &[], &[], &[], &[]),
            row(DType::F64, &[5], &[5], &[5], &[2]),
            row(DType::F32, &[5], &[0], &[5], &[7]),
        ]);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(start: &[usize], limit: &[usize], stride: &[usize]) -> Slice {
        Slice { start: start.to_vec(), limit: limit.to_vec(), stride: stride.to_vec() }
    }

    #[test]
    fn windows_with_steps() {
        let x =
            Literal::from_f64s(DType::I8, [3, 4], &std::array::from_fn::<f64, 12, _>(|i| i as f64));
        let y =
            slice(&[0, 1], &[3, 4], &[2, 2]).eval(&mut Eval::default(), vec![x]).unwrap().remove(0);
        assert_eq!(
            (y.ty().to_string(), y.to_f64s()),
            ("i8[2, 2]".into(), vec![1.0, 3.0, 9.0, 11.0])
        );
    }

    #[test]
    fn windows_that_do_not_fit_are_errors() {
        let err = |op: Slice| op.infer(&[Type::new(DType::F32, [3])]).unwrap_err().to_string();
        assert!(
            err(slice(&[1], &[4], &[1])).contains("on axis 0 of f32[3], got 1..4 in steps of 1")
        );
        assert!(err(slice(&[2], &[1], &[1])).contains("2..1"));
        assert!(err(slice(&[0], &[3], &[0])).contains("a step of 1 or more"));
        assert!(err(slice(&[], &[], &[])).contains("one entry for each axis"));
        assert!(slice(&[0], &[3], &[usize::MAX]).infer(&[Type::new(DType::F32, [3])]).is_ok());
    }
}
