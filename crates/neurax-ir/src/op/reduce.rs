//! Reductions along axes: `reduce` and `arg_reduce`.

mod combine;
pub(super) mod eval;

use super::{
    Axis, Batched, Binary, Bound, Direction, Primitive, Sample, Tangent, Transposed,
    pointwise::{BITS, ORDERED, check_kind},
    rules::*,
};
use crate::graph::attr::{attrs, names};
use crate::{Builder, DType, Eval, Kind, Literal, Result, Type, Value};

pub use combine::Combine;

names! {
    /// The associative function that a reduction combines elements with.
    pub enum ReduceKind {
        /// Sum; the or of bools.
        Sum = "sum",
        /// Product; the and of bools.
        Prod = "prod",
        /// Maximum; NaN wins. The identity element is the least value of the dtype.
        Max = "max",
        /// Minimum; NaN wins. The identity element is the greatest value of the dtype.
        Min = "min",
        /// Bitwise and.
        And = "and",
        /// Bitwise or.
        Or = "or",
        /// Bitwise exclusive or.
        Xor = "xor",
    }
}

names! {
    /// The extremum that [`ArgReduce`] looks for.
    pub enum ArgKind {
        /// The index of the maximum.
        Max = "max",
        /// The index of the minimum.
        Min = "min",
    }
}

attrs! {
    /// The reduction of all elements along `axes`, which are removed. Narrow floats accumulate in a
    /// wider type and are rounded once. <https://openxla.org/stablehlo/spec#reduce>
    pub struct Reduce = "reduce" {
        /// The function that combines elements.
        kind: ReduceKind,
        /// The reduced axes, each once, in any order.
        axes: Vec<usize>,
    }

    /// The i32 index of the largest or smallest element along an axis, which is removed; the first
    /// of equals, and NaN wins. An axis of size zero is an error.
    pub struct ArgReduce = "arg_reduce" {
        /// The extremum to look for.
        kind: ArgKind,
        /// The reduced axis.
        axis: usize,
    }
}

impl ReduceKind {
    /// Returns true if elements of `dtype` can be reduced by this kind.
    pub fn admits(self, dtype: DType) -> bool {
        match self {
            ReduceKind::Sum | ReduceKind::Prod => !dtype.is_storage(),
            ReduceKind::Max | ReduceKind::Min => ORDERED.contains(&dtype.kind()),
            ReduceKind::And | ReduceKind::Or | ReduceKind::Xor => BITS.contains(&dtype.kind()),
        }
    }

    /// Returns the kind that reduces `dtype` as this one does: for bools, sums and maxima are ors,
    /// products and minima are ands.
    ///
    /// ```
    /// use neurax_ir::{DType, op::ReduceKind};
    /// assert_eq!(ReduceKind::Sum.on(DType::Bool), ReduceKind::Or);
    /// assert_eq!(ReduceKind::Sum.on(DType::U8), ReduceKind::Sum);
    /// ```
    pub fn on(self, dtype: DType) -> ReduceKind {
        match self {
            kind if dtype != DType::Bool => kind,
            ReduceKind::Sum | ReduceKind::Max => ReduceKind::Or,
            ReduceKind::Prod | ReduceKind::Min => ReduceKind::And,
            kind => kind,
        }
    }

    /// Returns the elementwise op that combines two elements.
    pub fn binary(self) -> Binary {
        match self {
            ReduceKind::Sum => Binary::Add,
            ReduceKind::Prod => Binary::Mul,
            ReduceKind::Max => Binary::Max,
            ReduceKind::Min => Binary::Min,
            ReduceKind::And => Binary::And,
            ReduceKind::Or => Binary::Or,
            ReduceKind::Xor => Binary::Xor,
        }
    }

    /// Returns the identity element as a scalar of `dtype`: the reduction of no elements at all.
    pub fn identity_element(self, dtype: DType) -> Literal {
        eval::reduce(self, &Literal::zeros(Type::new(dtype, [0])), &[0], Type::scalar(dtype))
    }

    /// Checks that [`ReduceKind::admits`] the dtype of `x`.
    ///
    /// # Errors
    /// In the name of `op`, if it does not.
    pub(crate) fn check(self, op: &str, x: &Type) -> Result<()> {
        if self.admits(x.dtype) {
            return Ok(());
        }
        let instead = match x.dtype.kind() {
            Kind::Complex => "take the real part or the modulus first",
            Kind::Storage => "convert it to f32 first",
            _ => "convert it to an integer or bool first",
        };
        refuse(op, format!("{} is not defined for {x}; {instead}", self.name()))
    }
}

impl Primitive for Reduce {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        check_axes(Self::NAME, &self.axes, xs[0].rank())?;
        self.kind.check(Self::NAME, &xs[0])?;
        Ok(vec![xs[0].with_shape(xs[0].shape.without(&self.axes))])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let ty = xs[0].ty().with_shape(xs[0].shape().without(&self.axes));
        Ok(vec![eval::reduce(self.kind, &xs[0], &self.axes, ty)])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let (x, y, Some(dx)) = (at.xs[0], at.ys[0], dxs[0]) else { return Ok(no_tangents(at)) };
        let shape = b.ty(x).shape.clone();
        let empty = self.axes.iter().any(|&a| shape[a] == 0);
        Ok(vec![match self.kind {
            ReduceKind::Sum => Some(b.emit(self.clone(), &[dx])),
            _ if empty => None,
            ReduceKind::Max | ReduceKind::Min => {
                let y = b.unreduce(y, shape, &self.axes);
                Some(extremum_tangent(b, x, y, dx, |b, v| b.sum(v, &self.axes)))
            }
            ReduceKind::Prod => Some(self.product_tangent(b, x, dx)),
            ReduceKind::And | ReduceKind::Or | ReduceKind::Xor => None,
        }])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        _: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        if self.kind != ReduceKind::Sum {
            return Transposed::NotLinear;
        }
        let shape = b.ty(at.xs[0]).shape.clone();
        Transposed::Cotangents(vec![cts[0].map(|ct| b.unreduce(ct, shape, &self.axes))])
    }

    fn batch(
        &self,
        b: &mut Builder,
        _: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let Some(d) = dims[0] else { return Ok((b.emit_n(self.clone(), xs, 1), vec![None])) };
        let mut axes = self.axes.clone();
        shift_axes_from(&mut axes, d);
        let to = d - axes.iter().filter(|&&a| a < d).count();
        Ok((b.emit_n(Reduce { kind: self.kind, axes }, xs, 1), vec![Some(to)]))
    }

    fn samples() -> Vec<Sample> {
        let row = |kind: ReduceKind, d: DType, shape: &[usize], axes: &[usize]| Sample {
            op: Reduce { kind, axes: axes.to_vec() }.into(),
            inputs: vec![sample(Type::new(d, shape), -2.0, 3.0)],
            // The extremum of an empty axis is infinite: finite differences do not apply.
            smooth: d == DType::F64
                && (matches!(kind, ReduceKind::Sum | ReduceKind::Prod)
                    || axes.iter().all(|&a| shape[a] > 0)),
        };
        let mut rows = vec![];
        for &kind in ReduceKind::ALL {
            rows.extend(
                DType::ALL
                    .into_iter()
                    .filter(|&d| kind.admits(d))
                    .map(|d| row(kind, d, &[2, 3], &[1])),
            );
            let d = if kind.admits(DType::F64) { DType::F64 } else { DType::U16 };
            rows.extend([
                row(kind, d, &[3, 2], &[0]),
                row(kind, d, &[2, 3, 2], &[2, 0]),
                row(kind, d, &[5], &[0]),
                row(kind, d, &[2, 2], &[]),
                row(kind, d, &[1, 3], &[0]),
                row(kind, d, &[0, 2], &[0]),
                row(kind, d, &[0, 2], &[1]),
            ]);
        }
        rows
    }
}

impl Reduce {
    /// Emits the tangent of a product: halves the reduced axes repeatedly, applying the product
    /// rule in each step. There is no division, so zeros are harmless and every step can be
    /// differentiated again.
    fn product_tangent(&self, b: &mut Builder, x: Value, dx: Value) -> Value {
        let rank = b.ty(x).rank();
        let kept: Vec<usize> = (0..rank).filter(|i| !self.axes.contains(i)).collect();
        let order = [&self.axes[..], &kept].concat();
        let shape = b.ty(x).shape.without(&self.axes);
        let n = self.axes.iter().map(|&a| b.ty(x).shape[a]).product();
        let flat = |b: &mut Builder, v| {
            let v = b.transpose(v, &order);
            b.reshape(v, shape.inserted(0, n))
        };
        let (mut x, mut dx, mut n) = (flat(b, x), flat(b, dx), n);
        while n > 1 {
            (x, dx) = halve(b, x, dx, n);
            n = n.div_ceil(2);
        }
        b.reshape(dx, shape)
    }
}

/// Multiplies the first half of axis 0 with the second half, and returns the products and their
/// tangents. If `n` is odd, the last element is kept as it is.
fn halve(b: &mut Builder, x: Value, dx: Value, n: usize) -> (Value, Value) {
    let k = n / 2;
    let mut part = |v, i: usize, to: usize| b.slice_axis(v, 0, i, to);
    let (p, q, dp, dq) = (part(x, 0, k), part(x, k, 2 * k), part(dx, 0, k), part(dx, k, 2 * k));
    let (y, left, right) = (b.mul(p, q), b.mul(dp, q), b.mul(p, dq));
    let dy = b.add(left, right);
    if n == 2 * k {
        return (y, dy);
    }
    let (rest, drest) = (b.slice_axis(x, 0, n - 1, n), b.slice_axis(dx, 0, n - 1, n));
    (b.concat(&[y, rest], 0), b.concat(&[dy, drest], 0))
}

/// Emits the tangent of an extremum `y` of `x`: the mean of the tangents of all elements that reach
/// it. `sum` sums over the elements that the extremum was taken over.
pub(super) fn extremum_tangent(
    b: &mut Builder,
    x: Value,
    y: Value,
    dx: Value,
    sum: impl Fn(&mut Builder, Value) -> Value,
) -> Value {
    let reached = b.compare(Direction::Eq, x, y);
    let weight = b.convert(reached, b.dtype(x));
    let (count, moved) = (sum(b, weight), b.mul(weight, dx));
    let total = sum(b, moved);
    b.div(total, count)
}

impl Primitive for ArgReduce {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        let x = &xs[0];
        check_axes(Self::NAME, &[self.axis], x.rank())?;
        if x.dtype.is_complex() {
            return refuse(
                Self::NAME,
                format!(
                    "complex numbers ({x}) have no order; take the real part or the modulus first"
                ),
            );
        }
        check_kind(Self::NAME, x, ORDERED)?;
        match x.shape[self.axis] {
            0 => refuse(
                Self::NAME,
                format!("axis {} of {x} is empty: it has no {}", self.axis, self.kind.name()),
            ),
            n if n > i32::MAX as usize => refuse(
                Self::NAME,
                format!("axis {} of {x} is too long for an i32 index", self.axis),
            ),
            _ => Ok(vec![Type::new(DType::I32, x.shape.removed(self.axis))]),
        }
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        Ok(vec![eval::arg_reduce(self.kind, &xs[0], self.axis)])
    }

    fn jvp(&self, _: &mut Builder, at: &Bound, _: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(no_tangents(at))
    }

    fn transpose(&self, _: &mut Builder, _: &Bound, _: &[bool], _: &[Option<Value>]) -> Transposed {
        Transposed::NotLinear
    }

    fn batch(
        &self,
        b: &mut Builder,
        _: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let Some(d) = dims[0] else { return Ok((b.emit_n(self.clone(), xs, 1), vec![None])) };
        let axis = self.axis + (self.axis >= d) as usize;
        let to = d - (axis < d) as usize;
        Ok((b.emit_n(ArgReduce { kind: self.kind, axis }, xs, 1), vec![Some(to)]))
    }

    fn samples() -> Vec<Sample> {
        let row = |kind: ArgKind, d: DType, shape: &[usize], axis: usize| Sample {
            op: ArgReduce { kind, axis }.into(),
            inputs: vec![sample(Type::new(d, shape), -2.0, 3.0)],
            smooth: false,
        };
        let mut rows = vec![];
        for &kind in ArgKind::ALL {
            rows.extend(
                DType::ALL
                    .into_iter()
                    .filter(|d| ORDERED.contains(&d.kind()))
                    .map(|d| row(kind, d, &[2, 3], 1)),
            );
            rows.extend([
                row(kind, DType::F32, &[3, 2], 0),
                row(kind, DType::I8, &[2, 3, 2], 1),
                row(kind, DType::F32, &[0, 2], 1),
            ]);
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::{eval, grad, jvp};

    fn run(kind: ReduceKind, x: &Literal, axes: &[usize]) -> Literal {
        let op = Reduce { kind, axes: axes.to_vec() };
        let y = op.eval(&mut Eval::default(), vec![x.clone()]).unwrap().remove(0);
        assert_eq!(op.infer(&[x.ty().clone()]).unwrap(), [y.ty().clone()]);
        y
    }

    fn arg(kind: ArgKind, x: &Literal, axis: usize) -> Vec<i32> {
        ArgReduce { kind, axis }.eval(&mut Eval::default(), vec![x.clone()]).unwrap()[0]
            .to_vec()
            .unwrap()
    }

    #[test]
    fn axes_at_every_position() {
        let x = Literal::from_slice([2, 3, 2], &std::array::from_fn::<f32, 12, _>(|i| i as f32))
            .unwrap();
        for (axes, want) in [
            (&[0][..], &[6.0, 8.0, 10.0, 12.0, 14.0, 16.0][..]),
            (&[1], &[6.0, 9.0, 24.0, 27.0]),
            (&[2], &[1.0, 5.0, 9.0, 13.0, 17.0, 21.0]),
            (&[2, 0], &[14.0, 22.0, 30.0]),
            (&[0, 1], &[30.0, 36.0]),
            (&[0, 1, 2], &[66.0]),
        ] {
            assert_eq!(run(ReduceKind::Sum, &x, axes).to_f64s(), want, "{axes:?}");
        }
        assert_eq!(run(ReduceKind::Sum, &x, &[]), x);
    }

    #[test]
    fn long_runs_use_every_element_once() {
        for n in [7, 8, 9, 100] {
            let v: Vec<i64> = (1..=n).collect();
            let x = Literal::from_slice([n as usize], &v).unwrap();
            assert_eq!(run(ReduceKind::Sum, &x, &[0]).to_vec::<i64>().unwrap(), [n * (n + 1) / 2]);
            assert_eq!(
                run(ReduceKind::Xor, &x, &[0]).to_vec::<i64>().unwrap(),
                [v.iter().fold(0, |a, b| a ^ b)]
            );
            assert_eq!(run(ReduceKind::Max, &x, &[0]).to_vec::<i64>().unwrap(), [n]);
        }
    }

    #[test]
    fn floats_accumulate_in_f64_and_integers_wrap() {
        let x = Literal::from_slice([3], &[1e8f32, 1.0, -1e8]).unwrap();
        assert_eq!(run(ReduceKind::Sum, &x, &[0]).to_f64s(), [1.0]);
        let rows = Literal::from_slice([2, 1, 2], &[1e8f32, 1.0, 1.0, -1e8]).unwrap();
        assert_eq!(
            run(ReduceKind::Sum, &rows, &[0, 2]).to_f64s(),
            [2.0],
            "no rounding between the axes"
        );
        // Just above the tie between 1 and the next bf16; rounded to f32 first it would be the tie.
        let x =
            Literal::from_f64s(DType::BF16, [3], &[1.0, f64::powi(2.0, -8), f64::powi(2.0, -40)]);
        assert_eq!(
            run(ReduceKind::Sum, &x, &[0]).to_f64s(),
            [1.0 + f64::powi(2.0, -7)],
            "rounded once"
        );
        let x = Literal::from_slice([2], &[200u8, 100]).unwrap();
        assert_eq!(run(ReduceKind::Sum, &x, &[0]).to_f64s(), [44.0]);
        let x = Literal::from_f64s(DType::I4, [2], &[7.0, 2.0]);
        assert_eq!(run(ReduceKind::Sum, &x, &[0]).to_f64s(), [-7.0]);
        assert_eq!(run(ReduceKind::Prod, &x, &[0]).to_f64s(), [-2.0]);
    }

    #[test]
    fn bools_reduce_as_bits() {
        let x = Literal::from_slice([2, 3], &[true, false, true, true, true, true]).unwrap();
        let want = |kind| match kind {
            ReduceKind::Sum | ReduceKind::Max | ReduceKind::Or => [true, true],
            ReduceKind::Prod | ReduceKind::Min | ReduceKind::And => [false, true],
            ReduceKind::Xor => [false, true],
        };
        for &kind in ReduceKind::ALL {
            assert_eq!(run(kind, &x, &[1]).to_vec::<bool>().unwrap(), want(kind), "{kind:?}");
        }
    }

    #[test]
    fn nan_wins() {
        let x = Literal::from_slice([3, 2], &[1.0f32, 2.0, f32::NAN, -5.0, 3.0, 9.0]).unwrap();
        for (kind, second) in [(ReduceKind::Max, 9.0), (ReduceKind::Min, -5.0)] {
            let y = run(kind, &x, &[0]).to_f64s();
            assert!(y[0].is_nan() && y[1] == second, "{kind:?}");
        }
        let signs = Literal::from_slice([2], &[f64::NEG_INFINITY, f64::NAN]).unwrap();
        assert!(run(ReduceKind::Max, &signs, &[0]).to_f64s()[0].is_nan());
    }

    #[test]
    fn empty_axes_give_the_identity_element() {
        let of = |kind, d| run(kind, &Literal::zeros(Type::new(d, [2, 0])), &[1]).to_f64s();
        assert_eq!(of(ReduceKind::Sum, DType::F32), [0.0; 2]);
        assert_eq!(of(ReduceKind::Prod, DType::C64), [1.0; 2]);
        assert_eq!(of(ReduceKind::Max, DType::F16), [f64::NEG_INFINITY; 2]);
        assert_eq!(of(ReduceKind::Max, DType::F8E4M3FN), [-448.0; 2], "it has no infinity");
        assert_eq!(of(ReduceKind::Max, DType::I4), [-8.0; 2]);
        assert_eq!(of(ReduceKind::Min, DType::I2), [1.0; 2]);
        assert_eq!(of(ReduceKind::Min, DType::U4), [15.0; 2]);
        assert_eq!(of(ReduceKind::Max, DType::I64), [i64::MIN as f64; 2]);
        assert_eq!(of(ReduceKind::And, DType::U8), [255.0; 2]);
        assert_eq!(of(ReduceKind::And, DType::Bool), [1.0; 2]);
        assert_eq!(of(ReduceKind::Or, DType::Bool), [0.0; 2]);
        assert_eq!(of(ReduceKind::Min, DType::Bool), [1.0; 2]);
        assert_eq!(
            run(ReduceKind::Max, &Literal::zeros(Type::new(DType::F32, [2, 0])), &[0])
                .ty()
                .to_string(),
            "f32[0]"
        );
    }

    #[test]
    fn ties_go_to_the_first_and_nan_wins() {
        let x = Literal::from_slice([2, 4], &[1.0f32, 3.0, 3.0, 1.0, 2.0, f32::NAN, 5.0, f32::NAN])
            .unwrap();
        assert_eq!(arg(ArgKind::Max, &x, 1), [1, 1]);
        assert_eq!(arg(ArgKind::Min, &x, 1), [0, 1]);
        assert_eq!(arg(ArgKind::Max, &x, 0), [1, 1, 1, 1]);
        let empty = Literal::zeros(Type::new(DType::F32, [0, 3]));
        assert!(arg(ArgKind::Max, &empty, 1).is_empty());
        assert_eq!(
            arg(ArgKind::Min, &Literal::from_f64s(DType::I4, [3], &[1.0, -8.0, 7.0]), 0),
            [1]
        );
    }

    #[test]
    fn a_product_with_a_zero_has_both_derivatives() {
        let mut b = Builder::new();
        let x = b.input(Type::new(DType::F64, [3]));
        let y = b.reduce(ReduceKind::Prod, x, &[0]);
        let first = grad(&b.finish(&[y]).unwrap(), &[true]).unwrap();
        let second = jvp(&first, &[true]).unwrap();
        let args =
            [[2.0, 0.0, 3.0], [1.0, 0.0, 0.0]].map(|v| Literal::from_f64s(DType::F64, [3], &v));
        let ys = eval(&second.graph, args.to_vec()).unwrap();
        assert_eq!(ys[1].to_f64s(), [0.0, 6.0, 0.0], "the other two multiplied");
        assert_eq!(ys.last().unwrap().to_f64s(), [0.0, 3.0, 0.0], "of those, by the first");
    }

    #[test]
    fn ties_share_the_gradient() {
        let mut b = Builder::new();
        let x = b.input(Type::new(DType::F32, [4]));
        let y = b.reduce(ReduceKind::Max, x, &[0]);
        let g = grad(&b.finish(&[y]).unwrap(), &[true]).unwrap();
        let ys =
            eval(&g, vec![Literal::from_f64s(DType::F32, [4], &[1.0, 5.0, 5.0, 2.0])]).unwrap();
        assert_eq!(ys[1].to_f64s(), [0.0, 0.5, 0.5, 0.0]);
    }

    #[test]
    fn undefined_reductions_are_errors() {
        let of = |op: Reduce, d| op.infer(&[Type::new(d, [2])]).map_err(|e| e.to_string());
        let max = |axes: &[usize]| Reduce { kind: ReduceKind::Max, axes: axes.to_vec() };
        assert!(of(max(&[0]), DType::C64).unwrap_err().contains("max is not defined for c64[2]"));
        assert!(
            of(Reduce { kind: ReduceKind::Or, axes: vec![0] }, DType::F32)
                .unwrap_err()
                .contains("convert it")
        );
        assert!(of(max(&[1]), DType::F32).unwrap_err().contains("out of range"));
        assert!(of(max(&[0, 0]), DType::F32).unwrap_err().contains("expected different axes"));
        let arg = ArgReduce { kind: ArgKind::Max, axis: 0 };
        assert!(
            arg.infer(&[Type::new(DType::F32, [0])])
                .unwrap_err()
                .to_string()
                .contains("is empty: it has no max")
        );
        assert!(arg.infer(&[Type::scalar(DType::F32)]).is_err());
    }
}
