//! A custom op for random programs.

use neurax_ir::op::{Custom, CustomOp};
use neurax_ir::{
    Axis, Batched, Bound, Builder, DType, Error, Literal, Result, Tangent, Transposed, Type, Value,
};
use std::sync::Arc;

/// The custom op `x * sin(x)` in double precision.
#[derive(Debug)]
pub(super) struct Twist;

impl CustomOp for Twist {
    fn name(&self) -> &str {
        "testkit.twist"
    }

    fn params(&self) -> String {
        String::new()
    }

    fn has_effects(&self) -> bool {
        false
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        match xs {
            [x] if x.dtype == DType::F64 => Ok(vec![x.clone()]),
            _ => Err(Error::new("testkit.twist", "it takes one f64")),
        }
    }

    fn eval(&self, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let twisted: Vec<f64> = xs[0].to_f64s().iter().map(|x| x * x.sin()).collect();
        Ok(vec![Literal::from_f64s(DType::F64, xs[0].shape(), &twisted)])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let Some(dx) = dxs[0] else { return Ok(vec![None]) };
        let (s, c) = (b.sin(at.xs[0]), b.cos(at.xs[0]));
        let c = b.mul(at.xs[0], c);
        let slope = b.add(s, c);
        Ok(vec![Some(b.mul(dx, slope))])
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
        Ok((b.emit_n(Custom(Arc::new(Twist)), xs, 1), dims.to_vec()))
    }
}
