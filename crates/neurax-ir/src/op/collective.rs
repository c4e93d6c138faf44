//! Collectives over a named `vmap` axis: `all_reduce` and `axis_index`.

use super::reduce::extremum_tangent;
use super::{
    Axis, Batched, Bound, Primitive, Reduce, ReduceKind, Sample, Tangent, Transposed, rules::*,
};
use crate::graph::attr::attrs;
use crate::{Builder, DType, Eval, Literal, Result, Type, Value, Values};
use std::sync::Arc;

attrs! {
    /// The reduction of the operand over all members of a named axis; every member gets the result.
    ///
    /// A product has no derivative before `vmap` binds the axis: the derivative is the product of
    /// all other members, which no member has. Dividing the whole product by the member's own
    /// factor is only correct where no factor is zero, and counting zeros to fix that yields wrong
    /// second derivatives. Once the axis is bound, the op is a `reduce` and is differentiated like
    /// one. <https://openxla.org/stablehlo/spec#all_reduce>
    pub struct AllReduce = "all_reduce" {
        /// The function that combines members.
        kind: ReduceKind,
        /// The name of the axis.
        axis: Arc<str>,
    }

    /// The index of the member along a named axis, an i32 scalar.
    pub struct AxisIndex = "axis_index" {
        /// The name of the axis.
        axis: Arc<str>,
    }
}

impl Primitive for AllReduce {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        self.kind.check(Self::NAME, &xs[0])?;
        Ok(xs.to_vec())
    }

    fn eval(&self, _: &mut Eval, _: Vec<Literal>) -> Result<Vec<Literal>> {
        unbound(Self::NAME, &self.axis)
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let Some(dx) = dxs[0] else { return Ok(no_tangents(at)) };
        Ok(vec![match self.kind {
            ReduceKind::Sum => Some(b.emit(self.clone(), &[dx])),
            ReduceKind::Max | ReduceKind::Min => {
                let sum = AllReduce { kind: ReduceKind::Sum, axis: self.axis.clone() };
                let sum = |b: &mut Builder, v| b.emit(sum.clone(), &[v]);
                Some(extremum_tangent(b, at.xs[0], at.ys[0], dx, sum))
            }
            ReduceKind::Prod => {
                return no_derivative(
                    Self::NAME,
                    "differentiate outside vmap, or sum logarithms instead of multiplying",
                );
            }
            ReduceKind::And | ReduceKind::Or | ReduceKind::Xor => None,
        }])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        _: &Bound,
        _: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        if self.kind != ReduceKind::Sum {
            return Transposed::NotLinear;
        }
        Transposed::Cotangents(vec![cts[0].map(|ct| b.emit(self.clone(), &[ct]))])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        if axis.name.as_ref() != Some(&self.axis) {
            return Ok((b.emit_n(self.clone(), xs, 1), dims.to_vec()));
        }
        let y = match dims[0] {
            None if axis.size > 0 => self.of_equals(b, xs[0], axis.size),
            dim => {
                let x = if dim.is_none() { b.batched_at_front(xs[0], None, 0) } else { xs[0] };
                b.emit(Reduce { kind: self.kind, axes: vec![dim.unwrap_or(0)] }, &[x])
            }
        };
        Ok((Values::from_slice(&[y]), vec![None]))
    }

    /// Returns rows for the laws that batch first: outside its axis the op has no value.
    fn samples() -> Vec<Sample> {
        let row = |kind: ReduceKind, d: DType, shape: &[usize]| Sample {
            op: AllReduce { kind, axis: "i".into() }.into(),
            inputs: vec![sample(Type::new(d, shape), -2.0, 3.0)],
            smooth: false,
        };
        let of = |&kind: &ReduceKind| {
            DType::ALL.into_iter().filter(move |&d| kind.admits(d)).map(move |d| row(kind, d, &[3]))
        };
        ReduceKind::ALL
            .iter()
            .flat_map(of)
            .chain([row(ReduceKind::Sum, DType::F32, &[0]), row(ReduceKind::Max, DType::F32, &[])])
            .collect()
    }
}

impl AllReduce {
    /// Emits the reduction over `n` members, at least one, that all have the same `x`.
    fn of_equals(&self, b: &mut Builder, x: Value, n: usize) -> Value {
        match self.kind.on(b.dtype(x)) {
            ReduceKind::Sum => b.mul_scalar(x, n as f64),
            ReduceKind::Prod => power(b, x, n),
            ReduceKind::Xor if n.is_multiple_of(2) => b.full_like(x, 0.0),
            ReduceKind::Xor
            | ReduceKind::And
            | ReduceKind::Or
            | ReduceKind::Max
            | ReduceKind::Min => x,
        }
    }
}

/// Emits `x^n`, with `n` at least 1, by repeated squaring: correct for every dtype, also wrapping
/// integers.
fn power(b: &mut Builder, x: Value, n: usize) -> Value {
    if n == 1 {
        return x;
    }
    let half = power(b, x, n / 2);
    let even = b.square(half);
    if n.is_multiple_of(2) { even } else { b.mul(even, x) }
}

impl Primitive for AxisIndex {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 0)?;
        Ok(vec![Type::scalar(DType::I32)])
    }

    fn eval(&self, _: &mut Eval, _: Vec<Literal>) -> Result<Vec<Literal>> {
        unbound(Self::NAME, &self.axis)
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
        axis: &Axis,
        xs: &[Value],
        _: &[Option<usize>],
    ) -> Result<Batched> {
        if axis.name.as_ref() != Some(&self.axis) {
            return Ok((b.emit_n(self.clone(), xs, 1), vec![None]));
        }
        let y = b.iota(Type::new(DType::I32, [axis.size]), 0);
        Ok(at_front(Values::from_slice(&[y])))
    }

    /// Returns a row for the laws that batch first: outside its axis the op has no value.
    fn samples() -> Vec<Sample> {
        vec![Sample { op: AxisIndex { axis: "i".into() }.into(), inputs: vec![], smooth: false }]
    }
}

pub(super) fn unbound<T>(op: &str, axis: &str) -> Result<T> {
    refuse(
        op,
        format!("axis `{axis}` is not bound: {op} works only inside vmap with that axis name"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::{eval, grad, jvp, vmap};
    use crate::{Graph, Op};

    fn graph(op: impl Into<Op>, types: &[Type]) -> Graph {
        let mut b = Builder::new();
        let xs = b.inputs(types);
        let y = b.emit(op, &xs);
        b.finish(&[y]).unwrap()
    }

    fn axis(name: &str, size: usize) -> Axis {
        Axis { size, name: Some(name.into()) }
    }

    fn all(kind: ReduceKind) -> AllReduce {
        AllReduce { kind, axis: "i".into() }
    }

    /// Reduces scalars of dtype `d` over `size` members that have the values `xs`, or all the same.
    fn over(kind: ReduceKind, d: DType, xs: &[f64], size: usize) -> Vec<f64> {
        let many = xs.len() == size;
        let g = vmap(&graph(all(kind), &[Type::scalar(d)]), &[many.then_some(0)], &axis("i", size))
            .unwrap();
        let x = if many { Literal::from_f64s(d, [size], xs) } else { Literal::scalar(d, xs[0]) };
        eval(&g, vec![x]).unwrap()[0].to_f64s()
    }

    #[test]
    fn equal_members_reduce_like_different_ones() {
        for &kind in ReduceKind::ALL {
            for d in [DType::F32, DType::U8, DType::I4, DType::Bool]
                .into_iter()
                .filter(|&d| kind.admits(d))
            {
                for n in [2, 3, 4] {
                    let x = if d == DType::Bool { 1.0 } else { 3.0 };
                    assert_eq!(
                        over(kind, d, &[x], n),
                        over(kind, d, &vec![x; n], n),
                        "{kind:?} of {n} {d}"
                    );
                }
                assert_eq!(over(kind, d, &[1.0], 0), over(kind, d, &[], 0), "{kind:?} of no {d}");
            }
        }
    }

    #[test]
    fn every_member_gets_the_result() {
        assert_eq!(over(ReduceKind::Sum, DType::F32, &[1.0, 2.0, 4.0], 3), [7.0; 3]);
        assert_eq!(over(ReduceKind::Max, DType::I8, &[1.0, -2.0], 2), [1.0; 2]);
    }

    #[test]
    fn an_axis_of_another_name_passes() {
        let g = graph(all(ReduceKind::Sum), &[Type::new(DType::F32, [2])]);
        let g = vmap(&g, &[Some(0)], &axis("j", 3)).unwrap();
        assert_eq!(g.eqns()[0].op, all(ReduceKind::Sum).into());
        let g = vmap(&g, &[Some(2)], &axis("i", 2)).unwrap();
        let x = Literal::from_f64s(
            DType::F32,
            [3, 2, 2],
            &std::array::from_fn::<f64, 12, _>(|i| i as f64),
        );
        assert_eq!(
            eval(&g, vec![x]).unwrap()[0].to_f64s(),
            [1.0, 5.0, 9.0, 13.0, 17.0, 21.0].repeat(2)
        );
    }

    #[test]
    fn members_know_their_index() {
        let g = graph(AxisIndex { axis: "i".into() }, &[]);
        let other = vmap(&g, &[], &axis("j", 2)).unwrap();
        let y = eval(&vmap(&other, &[], &axis("i", 3)).unwrap(), vec![]).unwrap();
        assert_eq!(
            (y[0].ty().to_string(), y[0].to_f64s()),
            ("i32[3, 2]".into(), vec![0.0, 0.0, 1.0, 1.0, 2.0, 2.0])
        );
    }

    #[test]
    fn derivatives_are_taken_before_the_axis_is_bound() {
        let sum = grad(&graph(all(ReduceKind::Sum), &[Type::scalar(DType::F64)]), &[true]).unwrap();
        let g = vmap(&sum, &[Some(0)], &axis("i", 3)).unwrap();
        assert_eq!(
            eval(&g, vec![Literal::from_f64s(DType::F64, [3], &[1.0, 2.0, 3.0])])
                .unwrap()
                .pop()
                .unwrap()
                .to_f64s(),
            [3.0; 3]
        );
        let max = jvp(&graph(all(ReduceKind::Max), &[Type::scalar(DType::F64)]), &[true]).unwrap();
        let g = vmap(&max.graph, &[Some(0), Some(0)], &axis("i", 3)).unwrap();
        let args =
            [[5.0, 2.0, 5.0], [1.0, 10.0, 3.0]].map(|v| Literal::from_f64s(DType::F64, [3], &v));
        assert_eq!(
            eval(&g, args.to_vec()).unwrap()[1].to_f64s(),
            [2.0; 3],
            "shared by the two that reach it"
        );
        let err =
            jvp(&graph(all(ReduceKind::Prod), &[Type::scalar(DType::F64)]), &[true]).unwrap_err();
        assert!(err.to_string().contains("outside vmap"), "{err}");
    }

    #[test]
    fn a_product_is_differentiated_once_its_axis_is_bound() {
        let g = vmap(
            &graph(all(ReduceKind::Prod), &[Type::scalar(DType::F64)]),
            &[Some(0)],
            &axis("i", 3),
        )
        .unwrap();
        let d = jvp(&g, &[true]).unwrap().graph;
        for (x, slope) in [([2.0, 3.0, 4.0], 12.0), ([0.0, 3.0, 4.0], 12.0), ([0.0, 0.0, 4.0], 0.0)]
        {
            let args = [x, [1.0, 0.0, 0.0]].map(|v| Literal::from_f64s(DType::F64, [3], &v));
            assert_eq!(eval(&d, args.to_vec()).unwrap()[1].to_f64s(), [slope; 3]);
        }
    }

    #[test]
    fn outside_its_axis_it_has_no_value() {
        let err = eval(
            &graph(all(ReduceKind::Sum), &[Type::scalar(DType::F32)]),
            vec![Literal::scalar(DType::F32, 1.0)],
        )
        .unwrap_err();
        assert_eq!(
            err.to_string(),
            "all_reduce: axis `i` is not bound: all_reduce works only inside vmap with that axis \
             name"
        );
        let err = all(ReduceKind::Max).infer(&[Type::scalar(DType::C64)]).unwrap_err();
        assert!(err.to_string().contains("take the real part"));
    }
}
