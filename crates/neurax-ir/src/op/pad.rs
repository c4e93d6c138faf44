//! `pad`: pads, crops and dilates arrays.

use super::strided::{View, read, write};
use super::{Axis, Batched, Bound, Primitive, Sample, Slice, Tangent, Transposed, rules::*};
use crate::{Builder, DType, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// `x` with padding before, after and between the elements of every axis: operands `(x,
    /// value)`, where the scalar `value` is the padding. Negative padding at the edges crops.
    /// <https://openxla.org/stablehlo/spec#pad>
    pub struct Pad = "pad" {
        /// The padding before each axis, in elements; negative padding crops.
        low: Vec<i64>,
        /// The padding after each axis, in elements; negative padding crops.
        high: Vec<i64>,
        /// The padding between consecutive elements of each axis, in elements.
        interior: Vec<usize>,
    }
}

impl Primitive for Pad {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 2)?;
        let (x, value) = (&xs[0], &xs[1]);
        if *value != Type::scalar(x.dtype) {
            return refuse(
                Self::NAME,
                format!("expected a padding value of type {}[] for {x}, got {value}", x.dtype),
            );
        }
        if [self.low.len(), self.high.len(), self.interior.len()] != [x.rank(); 3] {
            let why = format!(
                "expected one entry for each axis of {x}, got low {:?}, high {:?} and interior \
                 {:?}",
                self.low, self.high, self.interior
            );
            return refuse(Self::NAME, why);
        }
        let sizes = x
            .shape
            .iter()
            .enumerate()
            .map(|(i, &n)| self.size(i, n, x))
            .collect::<Result<Vec<_>>>()?;
        Ok(vec![x.with_shape(sizes)])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let (x, value) = (&xs[0], &xs[1]);
        let ty = self.infer(&[x.ty().clone(), value.ty().clone()])?.swap_remove(0);
        let out = read(value, &View::dense(value.shape()).broadcast(&ty.shape, &[]));
        let ranges: Vec<KeptRange> =
            (0..ty.rank()).map(|i| self.kept(i, x.shape()[i], ty.shape[i])).collect();
        let all = |f: fn(&KeptRange) -> usize| ranges.iter().map(f).collect::<Vec<_>>();
        let (sizes, ones) = (all(|k| k.count), all(|_| 1));
        let from = View::dense(x.shape()).window(&all(|k| k.first), &sizes, &ones);
        let at = View::dense(&ty.shape).window(&all(|k| k.target), &sizes, &self.steps());
        Ok(vec![write(out, &at, x, &from).0])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let [dx, dv] = [0, 1].map(|i| b.tangent_or_zero(dxs[i], at.xs[i]));
        Ok(vec![Some(b.emit(self.clone(), &[dx, dv]))])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let Some(ct) = cts[0] else { return Transposed::Cotangents(vec![None; 2]) };
        let of_x = linear[0].then(|| self.unpad(b, ct));
        let of_value = linear[1].then(|| {
            let padding = self.padding(b, at.xs[0]);
            let ct = b.select_or_zero(padding, ct);
            let axes: Vec<usize> = (0..self.low.len()).collect();
            b.sum(ct, &axes)
        });
        Transposed::Cotangents(vec![of_x, of_value])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        if dims[1].is_none() {
            let op = dims[0].map_or(self.clone(), |d| self.with_axis(d));
            return Ok((b.emit_n(op, xs, 1), vec![dims[0]]));
        }
        let (x, op) = (b.batched_at_front(xs[0], dims[0], axis.size), self.with_axis(0));
        let zero = b.scalar(b.dtype(x), 0.0);
        let y = b.emit(op.clone(), &[x, zero]);
        let (padding, shape) = (op.padding(b, x), b.ty(y).shape.clone());
        let value = b.broadcast(xs[1], shape, &[0]);
        let y = b.select(padding, value, y);
        Ok(at_front([y].as_slice().into()))
    }

    fn samples() -> Vec<Sample> {
        let row =
            |d: DType, shape: &[usize], low: &[i64], high: &[i64], interior: &[usize]| Sample {
                op: Pad { low: low.to_vec(), high: high.to_vec(), interior: interior.to_vec() }
                    .into(),
                inputs: vec![
                    sample(Type::new(d, shape), -3.0, 4.0),
                    sample(Type::scalar(d), 0.0, 2.0),
                ],
                smooth: d == DType::F64,
            };
        let mut rows: Vec<Sample> =
            DType::ALL.into_iter().map(|d| row(d, &[2, 2], &[1, 0], &[0, 1], &[0, 1])).collect();
        rows.extend([
            row(DType::F64, &[4], &[-1], &[2], &[0]),
            row(DType::F64, &[4], &[-2], &[-1], &[2]),
            row(DType::F64, &[3], &[1], &[-2], &[1]),
            row(DType::F64, &[3], &[-3], &[0], &[0]),
            row(DType::F64, &[2], &[-2], &[3], &[0]),
            row(DType::F64, &[0, 2], &[1, 0], &[1, 1], &[3, 0]),
            row(DType::F64, &[0], &[-1], &[2], &[1]),
            row(DType::F64, &[0], &[0], &[0], &[0]),
            row(DType::F64, &[], &[], &[], &[]),
        ]);
        rows
    }
}

/// The elements of an axis that are not cropped.
struct KeptRange {
    /// The index of the first one.
    first: usize,
    count: usize,
    /// The index of the first one in the result.
    target: usize,
}

impl Pad {
    /// Returns the size of axis `i`, of `n` elements, after padding.
    fn size(&self, i: usize, n: usize, x: &Type) -> Result<usize> {
        let between = (n.saturating_sub(1) as i128).checked_mul(self.interior[i] as i128);
        let size = between.map(|m| m + n as i128 + self.low[i] as i128 + self.high[i] as i128);
        match size.and_then(|s| usize::try_from(s).ok()) {
            Some(size) => Ok(size),
            None => {
                let why = format!(
                    "the size of axis {i} of {x} with low {}, high {} and interior {}",
                    self.low[i], self.high[i], self.interior[i]
                );
                refuse(Self::NAME, format!("{why} is negative or too large"))
            }
        }
    }

    fn steps(&self) -> Vec<usize> {
        self.interior.iter().map(|n| n.saturating_add(1)).collect()
    }

    /// Returns the elements of axis `i` that are kept, where `n` is its size before padding and
    /// `size` after. Element `k` is moved to `low + k * step` if that is within `0..size`.
    fn kept(&self, i: usize, n: usize, size: usize) -> KeptRange {
        let (low, step) = (self.low[i] as i128, self.interior[i] as i128 + 1);
        let first = if low < 0 { (-low + step - 1) / step } else { 0 };
        let end =
            (size as i128 - low + step - 1).div_euclid(step).clamp(first, first.max(n as i128));
        let count = (end - first) as usize;
        // The target of an empty range is meaningless and may be out of bounds.
        if count == 0 {
            KeptRange { first: 0, count, target: 0 }
        } else {
            KeptRange { first: first as usize, count, target: (low + first * step) as usize }
        }
    }

    /// Emits the transpose with respect to `x`: pads the cropped edges with zeros, then slices
    /// every `step`-th element.
    fn unpad(&self, b: &mut Builder, ct: Value) -> Value {
        let rank = self.low.len();
        let back = |edge: &[i64]| edge.iter().map(|&e| e.saturating_neg()).collect::<Vec<_>>();
        let zero = b.scalar(b.dtype(ct), 0.0);
        let whole = b.emit(
            Pad { low: back(&self.low), high: back(&self.high), interior: vec![0; rank] },
            &[ct, zero],
        );
        let limit = b.ty(whole).shape.to_vec();
        b.emit(Slice { start: vec![0; rank], limit, stride: self.steps() }, &[whole])
    }

    /// Emits a mask of the padding in the result.
    fn padding(&self, b: &mut Builder, x: Value) -> Value {
        let inside = b.zeros(b.ty(x).with_dtype(DType::Bool));
        let outside = b.scalar(DType::Bool, 1.0);
        b.emit(self.clone(), &[inside, outside])
    }

    /// Returns the op with one more axis, which is not padded.
    fn with_axis(&self, axis: usize) -> Pad {
        let mut op = self.clone();
        op.low.insert(axis, 0);
        op.high.insert(axis, 0);
        op.interior.insert(axis, 0);
        op
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(n: usize, low: i64, high: i64, interior: usize) -> Vec<f64> {
        let x = Literal::from_f64s(DType::F32, [n], &(1..=n).map(|i| i as f64).collect::<Vec<_>>());
        let op = Pad { low: vec![low], high: vec![high], interior: vec![interior] };
        op.eval(&mut Eval::default(), vec![x, Literal::scalar(DType::F32, 9.0)]).unwrap()[0]
            .to_f64s()
    }

    #[test]
    fn edges_and_gaps() {
        assert_eq!(run(2, 1, 2, 0), [9.0, 1.0, 2.0, 9.0, 9.0]);
        assert_eq!(run(3, 0, 0, 1), [1.0, 9.0, 2.0, 9.0, 3.0]);
        assert_eq!(run(0, 2, 0, 5), [9.0, 9.0]);
    }

    #[test]
    fn negative_edges_crop_the_dilated_axis() {
        assert_eq!(run(3, -1, 0, 0), [2.0, 3.0]);
        assert_eq!(run(3, -1, 0, 1), [9.0, 2.0, 9.0, 3.0]);
        assert_eq!(run(3, 1, -2, 1), [9.0, 1.0, 9.0, 2.0]);
        assert_eq!(run(2, -3, 5, 0), [9.0; 4], "both elements cropped, then padded");
        assert_eq!(run(2, 5, -3, 0), [9.0; 4]);
        assert!(run(3, -2, -1, 0).is_empty());
        assert_eq!(run(0, -1, 3, 2), [9.0; 2]);
    }

    #[test]
    fn packed_elements_are_padded() {
        let x = Literal::from_f64s(DType::U2, [2, 1], &[1.0, 2.0]);
        let op = Pad { low: vec![0, 1], high: vec![1, 0], interior: vec![0, 0] };
        let y = op.eval(&mut Eval::default(), vec![x, Literal::scalar(DType::U2, 3.0)]).unwrap();
        assert_eq!(y[0].to_f64s(), [3.0, 1.0, 3.0, 2.0, 3.0, 3.0]);
    }

    #[test]
    fn invalid_sizes_are_errors() {
        let x = Type::new(DType::F32, [3]);
        let of = |low, high, interior, v: Type| {
            Pad { low: vec![low], high: vec![high], interior: vec![interior] }
                .infer(&[x.clone(), v])
        };
        let scalar = Type::scalar(DType::F32);
        assert!(
            of(-2, -2, 0, scalar.clone())
                .unwrap_err()
                .to_string()
                .contains("negative or too large")
        );
        assert!(of(i64::MAX, i64::MAX, usize::MAX, scalar.clone()).is_err());
        assert!(
            of(0, 0, 0, scalar.with_dtype(DType::F64))
                .unwrap_err()
                .to_string()
                .contains("expected a padding value of type f32[]")
        );
        assert!(
            Pad { low: vec![], high: vec![0], interior: vec![0] }
                .infer(&[x.clone(), scalar])
                .unwrap_err()
                .to_string()
                .contains("one entry for each axis")
        );
    }
}
