//! `optimization_barrier`: blocks rewrites across it.

use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, DType, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// The operands, unchanged. Passes neither move nor merge equations across it: `checkpoint`
    /// recomputes behind a barrier, so that CSE does not undo it.
    /// <https://openxla.org/stablehlo/spec#optimization_barrier>
    pub struct OptimizationBarrier = "optimization_barrier" {}
}

impl Primitive for OptimizationBarrier {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        Ok(xs.to_vec())
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        Ok(xs)
    }

    fn jvp(&self, b: &mut Builder, _: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(self.through(b, dxs))
    }

    fn transpose(
        &self,
        b: &mut Builder,
        _: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let cts: Vec<_> = cts.iter().zip(linear).map(|(&ct, &l)| ct.filter(|_| l)).collect();
        Transposed::Cotangents(self.through(b, &cts))
    }

    fn batch(
        &self,
        b: &mut Builder,
        _: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        Ok((b.emit_n(self.clone(), xs, xs.len()), dims.to_vec()))
    }

    fn samples() -> Vec<Sample> {
        let row = |d: DType, shapes: &[&[usize]]| Sample {
            op: OptimizationBarrier {}.into(),
            inputs: shapes.iter().map(|&s| sample(Type::new(d, s), -3.0, 4.0)).collect(),
            smooth: d == DType::F64,
        };
        let mut rows: Vec<Sample> =
            DType::ALL.into_iter().map(|d| row(d, &[&[2], &[], &[3, 0]])).collect();
        rows.extend([row(DType::F64, &[&[2]]), row(DType::F32, &[&[0]])]);
        rows
    }
}

impl OptimizationBarrier {
    /// Passes all values that are present through one barrier.
    fn through(&self, b: &mut Builder, xs: &[Option<Value>]) -> Vec<Option<Value>> {
        let present: Vec<Value> = xs.iter().flatten().copied().collect();
        let mut ys = if present.is_empty() {
            Default::default()
        } else {
            b.emit_n(self.clone(), &present, present.len())
        }
        .into_iter();
        xs.iter().map(|x| x.and_then(|_| ys.next())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_pass_in_place() {
        let x = Literal::scalar(DType::F32, 2.0);
        let at = x.bytes().address();
        let y = OptimizationBarrier {}.eval(&mut Eval::default(), vec![x]).unwrap().remove(0);
        assert_eq!((y.to_f64s(), y.bytes().address()), (vec![2.0], at));
    }

    #[test]
    fn missing_tangents_stay_missing() {
        let mut b = Builder::new();
        let xs = b.inputs(&[Type::scalar(DType::F32), Type::scalar(DType::I32)]);
        let dx = b.input(Type::scalar(DType::F32));
        let dys = OptimizationBarrier {}
            .jvp(&mut b, &Bound { xs: &xs, ys: &xs }, &[Some(dx), None])
            .unwrap();
        assert!(dys[0].is_some() && dys[1].is_none());
        assert_eq!(b.eqns().len(), 1);
    }
}
