//! `sort`: a stable sort along an axis, by one or more keys.

use super::pointwise::{COMPUTED, check_kind, computed_dtypes};
use super::select::as_codes;
use super::strided::by_width;
use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{
    Builder, Compute, DType, Eval, Kind, Literal, Result, Shape, Type, Value, graph::attr::attrs,
    with_compute,
};

attrs! {
    /// The operands, all of the same shape, sorted together along an axis. The order is ascending
    /// and lexicographic by the first `keys` operands; NaN is last, -0 equals 0, and complex
    /// numbers compare by real, then imaginary part. The sort is stable.
    /// <https://openxla.org/stablehlo/spec#sort>
    pub struct Sort = "sort" {
        /// The axis to sort along.
        axis: usize,
        /// The number of operands that are keys.
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
                    "expected at least one of the operands as key, got {} keys of {} operands",
                    self.keys,
                    xs.len()
                ),
            );
        }
        xs[..self.keys].iter().try_for_each(|x| check_kind(Self::NAME, x, COMPUTED))?;
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
        let columns: Vec<Vec<u64>> = xs[..self.keys].iter().flat_map(key_columns).collect();
        let order = sorted_order(xs[0].shape(), self.axis, &columns);
        xs.iter().map(|x| permute(x, &order)).collect()
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        // The indices of the elements are sorted along with the keys, and the tangents gathered.
        let x = b.ty(at.xs[0]).clone();
        let dtype = if x.shape[self.axis] < i32::MAX as usize { DType::I32 } else { DType::I64 };
        let indices = b.iota(x.with_dtype(dtype), self.axis);
        let operands = [&at.xs[..self.keys], &[indices]].concat();
        let sorted = b.emit_n(self.clone(), &operands, operands.len());
        let indices = sorted[self.keys];
        Ok(dxs.iter().map(|dx| dx.map(|dx| b.take_along_axis(dx, indices, self.axis))).collect())
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
            // The values of each operand are in another order.
            inputs: types
                .iter()
                .enumerate()
                .map(|(i, t)| sample(t.clone(), -3.0 - i as f64 / 3.0, 4.0))
                .collect(),
            smooth: types.iter().all(|t| t.dtype == DType::F64),
        };
        let t = |d: DType, s: &[usize]| Type::new(d, s);
        let mut rows: Vec<Sample> =
            computed_dtypes().map(|d| row(1, 1, &[t(d, &[2, 3])])).collect();
        rows.extend(computed_dtypes().map(|d| row(0, 2, &[t(d, &[4]), t(d, &[4]), t(d, &[4])])));
        let stored = DType::ALL.into_iter().filter(|d| d.is_storage());
        rows.extend(stored.map(|d| row(0, 1, &[t(DType::I32, &[4]), t(d, &[4]), t(d, &[4])])));
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

/// Converts a key to unsigned integers that are ordered like its elements. A complex key has two
/// columns: real and imaginary parts.
fn key_columns(x: &Literal) -> Vec<Vec<u64>> {
    with_compute!(any x.dtype(), C => {
        let xs = x.load::<C>();
        let column = |f: fn(&C) -> u64| xs.iter().map(f).collect::<Vec<u64>>();
        match x.dtype().kind() {
            Kind::Complex => vec![
                column(|v| float_order(v.parts().0)),
                column(|v| float_order(v.parts().1)),
            ],
            Kind::Float | Kind::Storage => vec![column(|v| float_order(v.to_f64()))],
            Kind::Signed => vec![column(|v| v.to_i128() as u64 ^ SIGN_BIT)],
            Kind::Bool | Kind::Unsigned => vec![column(|v| v.to_i128() as u64)],
        }
    })
}

/// The sign bit of a 64-bit number.
const SIGN_BIT: u64 = 1 << 63;

/// Maps a float to an integer that is ordered like it, NaN last.
fn float_order(x: f64) -> u64 {
    // Adding 0 maps -0 to 0.
    let bits = (x + 0.0).to_bits();
    match x.is_nan() {
        true => u64::MAX,
        false if bits & SIGN_BIT != 0 => !bits,
        false => bits | SIGN_BIT,
    }
}

/// Returns, for every element of the result, the offset of the operand's element.
fn sorted_order(shape: &Shape, axis: usize, columns: &[Vec<u64>]) -> Vec<usize> {
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
        // The sort is stable because offsets are compared last.
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

/// Returns the elements of `x` at the offsets `order`.
///
/// # Errors
/// [`Error::bug`](crate::Error::bug) if the type does not fit the bytes.
fn permute(x: &Literal, order: &[usize]) -> Result<Literal> {
    let bits = x.dtype().bits();
    if bits < 8 {
        let codes = as_codes(x.clone())?;
        let from = codes.load::<u8>();
        let moved = Literal::build(codes.ty().clone(), |to: &mut [u8]| {
            to.iter_mut().zip(order).for_each(|(o, &i)| *o = from[i])
        });
        return moved.with_type(x.ty().clone());
    }
    let copy = |to: &mut [u8]| {
        by_width!(bits, N => {
            let (to, from) = (to.as_chunks_mut::<N>().0, x.bytes().as_chunks::<N>().0);
            to.iter_mut().zip(order).for_each(|(o, &i)| *o = from[i]);
        })
    };
    Ok(Literal::zeros(x.ty().clone()).edit_bytes(copy).0)
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
    fn packed_floats_are_moved_as_they_are() {
        let keys = Literal::from_slice([3], &[2i32, 0, 1]).unwrap();
        let x = Literal::from_f64s(DType::F4E2M1FN, [3], &[0.5, -1.5, 6.0]);
        assert_eq!(sort(0, 1, vec![keys, x])[1].to_f64s(), [-1.5, 6.0, 0.5]);
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
    fn operands_that_do_not_fit_are_errors() {
        let t = |s: &[usize]| Type::new(DType::F32, s);
        let say = |axis, keys, xs: &[Type]| Sort { axis, keys }.infer(xs).unwrap_err().to_string();
        assert!(say(0, 0, &[t(&[2])]).contains("at least one"));
        assert!(say(0, 2, &[t(&[2])]).contains("2 keys of 1 operands"));
        assert!(say(0, 1, &[]).contains("keys of 0 operands"));
        assert!(say(0, 1, &[t(&[2]), t(&[3])]).contains("f32[2] and f32[3] differ in shape"));
        assert!(say(0, 1, &[t(&[])]).contains("out of range"));
    }
}
