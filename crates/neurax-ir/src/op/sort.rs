//! Sorting.

use super::strided::by_width;
use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{
    Builder, Compute, DType, Eval, Kind, Literal, Result, Shape, Type, Value, graph::attr::attrs,
    with_compute,
};

attrs! {
    /// Sorts any number of operands of one shape together along an axis: ascending by the first
    /// `keys` operands in turn, NaN last, -0 equal to 0, complex numbers by real, then imaginary
    /// part, equals in their order (stable). <https://openxla.org/stablehlo/spec#sort>
    pub struct Sort = "sort" {
        /// The axis.
        axis: usize,
        /// How many operands are keys.
        keys: usize,
    }
}

impl Primitive for Sort {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        if self.keys == 0 || self.keys > xs.len() {
            return refuse(
                Self::NAME,
                format!(
                    "{} of {} operands cannot be keys; take at least one of them",
                    self.keys,
                    xs.len()
                ),
            );
        }
        if let Some(x) = xs.iter().find(|x| x.shape != xs[0].shape) {
            return refuse(
                Self::NAME,
                format!("the operands {} and {x} differ in shape; they are sorted together", xs[0]),
            );
        }
        check_axes(Self::NAME, &[self.axis], xs[0].rank())?;
        Ok(xs.to_vec())
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let columns: Vec<Vec<u64>> = xs[..self.keys].iter().flat_map(columns).collect();
        let order = order(xs[0].shape(), self.axis, &columns);
        Ok(xs.iter().map(|x| reordered(x, &order)).collect())
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        // The places of the elements are sorted along with the keys; tangents are read from there.
        let x = b.ty(at.xs[0]).clone();
        let dtype = if x.shape[self.axis] < i32::MAX as usize { DType::I32 } else { DType::I64 };
        let places = b.iota(x.with_dtype(dtype), self.axis);
        let operands = [&at.xs[..self.keys], &[places]].concat();
        let sorted = b.emit_n(self.clone(), &operands, operands.len());
        let places = sorted[self.keys];
        Ok(dxs.iter().map(|dx| dx.map(|dx| b.take_along_axis(dx, places, self.axis))).collect())
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
        if let Some(d) = dims[0]
            && dims.iter().all(|&e| e == Some(d))
        {
            let op = Sort { axis: self.axis + (d <= self.axis) as usize, ..*self };
            return Ok((b.emit_n(op, xs, xs.len()), dims.to_vec()));
        }
        let xs = batch_front(b, axis, xs, dims);
        Ok(at_front(b.emit_n(Sort { axis: self.axis + 1, ..*self }, &xs, xs.len())))
    }

    fn samples() -> Vec<Sample> {
        let row = |axis, keys, types: &[Type]| Sample {
            op: Sort { axis, keys }.into(),
            // Each operand in another order.
            inputs: types
                .iter()
                .enumerate()
                .map(|(i, t)| sample(t.clone(), -3.0 - i as f64 / 3.0, 4.0))
                .collect(),
            smooth: types.iter().all(|t| t.dtype == DType::F64),
        };
        let t = |d: DType, s: &[usize]| Type::new(d, s);
        let mut rows: Vec<Sample> =
            DType::ALL.into_iter().map(|d| row(1, 1, &[t(d, &[2, 3])])).collect();
        rows.extend(DType::ALL.map(|d| row(0, 2, &[t(d, &[4]), t(d, &[4]), t(d, &[4])])));
        rows.extend([
            row(0, 1, &[t(DType::F64, &[5])]),
            row(0, 1, &[t(DType::F64, &[3, 2]), t(DType::F64, &[3, 2])]),
            row(
                1,
                2,
                &[t(DType::F64, &[2, 3, 2]), t(DType::F64, &[2, 3, 2]), t(DType::F64, &[2, 3, 2])],
            ),
            row(0, 2, &[t(DType::U2, &[6]), t(DType::F32, &[6]), t(DType::U4, &[6])]),
            row(0, 1, &[t(DType::C128, &[4]), t(DType::Bool, &[4])]),
            row(1, 1, &[t(DType::F64, &[2, 0])]),
            row(0, 1, &[t(DType::F64, &[2, 0]), t(DType::I32, &[2, 0])]),
        ]);
        rows
    }
}

/// A key as unsigned integers in the same order; a complex key is two: real and imaginary parts.
fn columns(x: &Literal) -> Vec<Vec<u64>> {
    with_compute!(any x.dtype(), C => {
        let x = (x.dtype().kind(), x.load::<C>());
        match x.0 {
            Kind::Complex => vec![x.1.iter().map(|v| float_order(v.parts().0)).collect(), x.1.iter().map(|v| float_order(v.parts().1)).collect()],
            Kind::Float => vec![x.1.iter().map(|v| float_order(v.to_f64())).collect()],
            Kind::Signed => vec![x.1.iter().map(|v| v.to_i128() as u64 ^ SIGN).collect()],
            Kind::Bool | Kind::Unsigned => vec![x.1.iter().map(|v| v.to_i128() as u64).collect()],
        }
    })
}

const SIGN: u64 = 1 << 63;

/// The bits of a float, turned so that they are ordered as the numbers are, NaN last.
fn float_order(x: f64) -> u64 {
    // -0 + 0 is 0.
    let bits = (x + 0.0).to_bits();
    match x.is_nan() {
        true => u64::MAX,
        false if bits & SIGN != 0 => !bits,
        false => bits | SIGN,
    }
}

/// For every element of the result, the place of the element that comes there.
fn order(shape: &Shape, axis: usize, columns: &[Vec<u64>]) -> Vec<usize> {
    let mut order = vec![0; shape.size()];
    let n = shape[axis];
    if order.is_empty() {
        return order;
    }
    let inner: usize = shape[axis + 1..].iter().product();
    let mut line: Vec<(u64, usize)> = Vec::with_capacity(n);
    for first in (0..order.len()).filter(|i| (i / inner).is_multiple_of(n)) {
        line.clear();
        line.extend((0..n).map(|i| first + i * inner).map(|at| (columns[0][at], at)));
        // Equals stay in order because places are compared last.
        match columns {
            [_] => line.sort_unstable(),
            [_, more @ ..] => line.sort_by(|a, b| {
                a.0.cmp(&b.0)
                    .then_with(|| more.iter().map(|c| c[a.1]).cmp(more.iter().map(|c| c[b.1])))
            }),
            [] => {}
        }
        line.iter().enumerate().for_each(|(i, l)| order[first + i * inner] = l.1);
    }
    order
}

/// The elements of `x` in that order.
fn reordered(x: &Literal, order: &[usize]) -> Literal {
    let bits = x.dtype().bits();
    if bits < 8 {
        let from = x.load::<u8>();
        return Literal::build(x.ty().clone(), |to: &mut [u8]| {
            to.iter_mut().zip(order).for_each(|(o, &i)| *o = from[i])
        });
    }
    let copy = |to: &mut [u8]| {
        by_width!(bits, N => {
            let (to, from) = (to.as_chunks_mut::<N>().0, x.bytes().as_chunks::<N>().0);
            to.iter_mut().zip(order).for_each(|(o, &i)| *o = from[i]);
        })
    };
    Literal::zeros(x.ty().clone()).edit_bytes(copy).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(axis: usize, keys: usize, xs: Vec<Literal>) -> Vec<Literal> {
        Sort { axis, keys }.eval(&mut Eval::default(), xs).unwrap()
    }

    #[test]
    fn nan_is_last_and_zeros_are_equal() {
        let x =
            Literal::from_slice([6], &[f32::NAN, 1.0, 0.0, f32::NEG_INFINITY, -0.0, f32::INFINITY])
                .unwrap();
        let i = Literal::from_slice([6], &[0i32, 1, 2, 3, 4, 5]).unwrap();
        let ys = sort(0, 1, vec![x, i]);
        assert_eq!(ys[1].to_f64s(), [3.0, 2.0, 4.0, 1.0, 5.0, 0.0]);
        assert!(ys[0].to_f64s()[1].is_sign_positive() && ys[0].to_f64s()[2].is_sign_negative());
    }

    #[test]
    fn integers_of_every_width() {
        let x = Literal::from_slice([3], &[u64::MAX, 0, 1 << 63]).unwrap();
        assert_eq!(sort(0, 1, vec![x])[0].to_vec::<u64>().unwrap(), [0, 1 << 63, u64::MAX]);
        let x = Literal::from_slice([3], &[i64::MAX, i64::MIN, -1]).unwrap();
        assert_eq!(sort(0, 1, vec![x])[0].to_vec::<i64>().unwrap(), [i64::MIN, -1, i64::MAX]);
        let x = Literal::from_f64s(DType::I2, [4], &[1.0, -2.0, 0.0, -1.0]);
        assert_eq!(sort(0, 1, vec![x])[0].to_f64s(), [-2.0, -1.0, 0.0, 1.0]);
    }

    #[test]
    fn keys_in_turn_then_the_old_order() {
        let a = Literal::from_slice([5], &[true, false, true, false, false]).unwrap();
        let z = [(2.0, 1.0), (0.0, 5.0), (1.0, 9.0), (0.0, -5.0), (0.0, 5.0)]
            .map(|(re, im)| crate::Complex::new(re, im));
        let z = Literal::from_slice([5], &z).unwrap();
        let i = Literal::from_slice([5], &[0u8, 1, 2, 3, 4]).unwrap();
        let ys = sort(0, 2, vec![a, z, i]);
        assert_eq!(ys[2].to_f64s(), [3.0, 1.0, 4.0, 2.0, 0.0]);
        assert_eq!(ys[0].to_f64s(), [0.0, 0.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn any_axis() {
        let x = || Literal::from_slice([2, 3], &[3i8, 1, 2, 0, 5, -4]).unwrap();
        assert_eq!(sort(1, 1, vec![x()])[0].to_f64s(), [1.0, 2.0, 3.0, -4.0, 0.0, 5.0]);
        assert_eq!(sort(0, 1, vec![x()])[0].to_f64s(), [0.0, 1.0, -4.0, 3.0, 5.0, 2.0]);
        let none = Literal::zeros(Type::new(DType::F32, [0, 3]));
        assert_eq!(sort(0, 1, vec![none.clone()]), [none]);
    }

    #[test]
    fn errors_name_what_does_not_fit() {
        let t = |s: &[usize]| Type::new(DType::F32, s);
        let say = |axis, keys, xs: &[Type]| Sort { axis, keys }.infer(xs).unwrap_err().to_string();
        assert!(say(0, 0, &[t(&[2])]).contains("at least one"));
        assert!(say(0, 2, &[t(&[2])]).contains("2 of 1 operands"));
        assert!(say(0, 1, &[]).contains("of 0 operands"));
        assert!(say(0, 1, &[t(&[2]), t(&[3])]).contains("f32[2] and f32[3] differ in shape"));
        assert!(say(0, 1, &[t(&[])]).contains("out of range"));
    }
}
