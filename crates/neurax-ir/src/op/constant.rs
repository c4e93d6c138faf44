//! `constant`: small constants in the graph. Large values are captured as inputs instead.

use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, DType, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// A constant that is part of the program.
    /// <https://openxla.org/stablehlo/spec#constant>
    pub struct Constant = "constant" {
        /// The value.
        value: Literal,
    }
}

impl Primitive for Constant {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 0)?;
        Ok(vec![self.value.ty().clone()])
    }

    fn eval(&self, _: &mut Eval, _: Vec<Literal>) -> Result<Vec<Literal>> {
        Ok(vec![self.value.clone()])
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
        _: &[Value],
        _: &[Option<usize>],
    ) -> Result<Batched> {
        Ok((b.emit_n(self.clone(), &[], 1), vec![None]))
    }

    fn samples() -> Vec<Sample> {
        let row = |d: DType| Sample {
            op: Constant { value: sample(Type::new(d, [2, 3]), 0.0, 2.0) }.into(),
            inputs: vec![],
            smooth: false,
        };
        DType::ALL.into_iter().map(row).collect()
    }
}
