//! `all_gather`: the operands of all members of a named `vmap` axis.

use super::collective::{AllReduce, AxisIndex, unbound};
use super::{
    Axis, Batched, Bound, Direction, DynamicSlice, Primitive, ReduceKind, Sample, Tangent,
    Transposed, rules::*,
};
use crate::graph::attr::attrs;
use crate::{Builder, DType, Eval, Literal, Result, Type, Value, Values};
use std::sync::Arc;

attrs! {
    /// The operands of all members of a named axis, stacked along a new axis 0; every member gets
    /// all of them. The other collectives that exchange values are this op and a slice of its
    /// result, which is computed once for all members.
    /// <https://openxla.org/stablehlo/spec#all_gather>
    pub struct AllGather = "all_gather" {
        /// The name of the axis.
        axis: Arc<str>,
        /// The number of members.
        size: usize,
    }
}

impl Primitive for AllGather {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        Ok(vec![xs[0].with_shape(xs[0].shape.inserted(0, self.size))])
    }

    fn eval(&self, _: &mut Eval, _: Vec<Literal>) -> Result<Vec<Literal>> {
        unbound(Self::NAME, &self.axis)
    }

    fn jvp(&self, b: &mut Builder, _: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(vec![dxs[0].map(|dx| b.emit(self.clone(), &[dx]))])
    }

    /// Emits the sum over all members, of which a member gets the part at its index.
    fn transpose(
        &self,
        b: &mut Builder,
        _: &Bound,
        _: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let own = cts[0].map(|ct| {
            let sum = AllReduce { kind: ReduceKind::Sum, axis: self.axis.clone() };
            let sum = b.emit(sum, &[ct]);
            let index = b.emit(AxisIndex { axis: self.axis.clone() }, &[]);
            let shape = b.ty(sum).shape.clone();
            let is_first = b.iota(Type::new(DType::I32, [shape.rank()]), 0);
            let zero = b.full_like(is_first, 0.0);
            let is_first = b.compare(Direction::Eq, is_first, zero);
            let index = b.broadcast(index, [shape.rank()], &[]);
            let start = b.select(is_first, index, zero);
            let mut sizes = shape.to_vec();
            sizes[0] = 1;
            let part = b.emit(DynamicSlice { sizes }, &[sum, start]);
            b.reshape(part, shape.removed(0))
        });
        Transposed::Cotangents(vec![own])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        if axis.name.as_ref() != Some(&self.axis) {
            let dim = dims[0].map(|d| d + 1);
            return Ok((b.emit_n(self.clone(), xs, 1), vec![dim]));
        }
        if axis.size != self.size {
            let (name, want, have) = (&self.axis, self.size, axis.size);
            return refuse(
                Self::NAME,
                format!(
                    "expected {want} members of axis `{name}`, as when it was traced, got {have}"
                ),
            );
        }
        let all = b.batched_at_front(xs[0], dims[0], axis.size);
        Ok((Values::from_slice(&[all]), vec![None]))
    }

    /// Returns rows for the laws that batch first: outside its axis the op has no value.
    fn samples() -> Vec<Sample> {
        let row = |d: DType, shape: &[usize]| Sample {
            op: AllGather { axis: "i".into(), size: 3 }.into(),
            inputs: vec![sample(Type::new(d, shape), -2.0, 3.0)],
            smooth: false,
        };
        let dtypes = DType::ALL.into_iter().map(|d| row(d, &[3]));
        dtypes.chain([row(DType::F64, &[]), row(DType::F64, &[2, 0])]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::{eval, grad, vmap};
    use crate::{Graph, Op};

    fn graph(f: impl FnOnce(&mut Builder, Value) -> Value, ty: Type) -> Graph {
        let mut b = Builder::new();
        let x = b.input(ty);
        let y = f(&mut b, x);
        b.finish(&[y]).unwrap()
    }

    fn axis(name: &str, size: usize) -> Axis {
        Axis { size, name: Some(name.into()) }
    }

    fn gather() -> Op {
        AllGather { axis: "i".into(), size: 3 }.into()
    }

    fn f64s(shape: &[usize], xs: &[f64]) -> Literal {
        Literal::from_f64s(DType::F64, shape, xs)
    }

    #[test]
    fn every_member_gets_all() {
        let g = graph(|b, x| b.emit(gather(), &[x]), Type::new(DType::F64, [2]));
        let g = vmap(&g, &[Some(1)], &axis("i", 3)).unwrap();
        let y = eval(&g, vec![f64s(&[2, 3], &[0.0, 1.0, 2.0, 10.0, 11.0, 12.0])]).unwrap();
        assert_eq!(y[0].ty().to_string(), "f64[3, 3, 2]");
        assert_eq!(y[0].to_f64s(), [0.0, 10.0, 1.0, 11.0, 2.0, 12.0].repeat(3));
    }

    #[test]
    fn an_axis_of_another_name_passes() {
        let g = graph(|b, x| b.emit(gather(), &[x]), Type::scalar(DType::F64));
        let g = vmap(&g, &[Some(0)], &axis("j", 2)).unwrap();
        let g = vmap(&g, &[Some(0)], &axis("i", 3)).unwrap();
        let y = eval(&g, vec![f64s(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]).unwrap();
        assert_eq!(y[0].ty().to_string(), "f64[3, 2, 3]");
        assert_eq!(y[0].to_f64s(), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0].repeat(3));
    }

    #[test]
    fn the_gradient_sums_over_the_readers() {
        // Member i computes the sum of (i + 1) · all members.
        let f = |b: &mut Builder, x: Value| {
            let all = b.emit(gather(), &[x]);
            let index = b.emit(AxisIndex { axis: "i".into() }, &[]);
            let index = b.convert(index, DType::F64);
            let weight = b.add_scalar(index, 1.0);
            let sum = b.sum(all, &[0]);
            b.mul(sum, weight)
        };
        let g = grad(&graph(f, Type::scalar(DType::F64)), &[true]).unwrap();
        let g = vmap(&g, &[Some(0)], &axis("i", 3)).unwrap();
        let out = eval(&g, vec![f64s(&[3], &[1.0, 2.0, 4.0])]).unwrap();
        assert_eq!(out[0].to_f64s(), [7.0, 14.0, 21.0]);
        assert_eq!(out[1].to_f64s(), [6.0; 3]);
    }

    #[test]
    fn another_number_of_members_is_an_error() {
        let g = graph(|b, x| b.emit(gather(), &[x]), Type::scalar(DType::F64));
        let e = vmap(&g, &[Some(0)], &axis("i", 2)).unwrap_err().to_string();
        assert!(e.contains("expected 3 members of axis `i`, as when it was traced, got 2"), "{e}");
        let e = eval(&g, vec![f64s(&[], &[1.0])]).unwrap_err().to_string();
        assert!(e.contains("axis `i` is not bound"), "{e}");
    }
}
