//! `iota`: indices along an axis.

use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, pointwise::*, rules::*};
use crate::{
    Builder, Compute, DType, Eval, Literal, Result, Type, Value, graph::attr::attrs, with_compute,
};

attrs! {
    /// An array whose elements are their indices along `axis`.
    /// <https://openxla.org/stablehlo/spec#iota>
    pub struct Iota = "iota" {
        /// The type of the result: integers, floats or complex.
        ty: Type,
        /// The axis of the indices.
        axis: usize,
    }
}

impl Primitive for Iota {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 0)?;
        if !NUMBERS.contains(&self.ty.dtype.kind()) {
            return refuse(
                Self::NAME,
                format!("expected a numeric result, got {}; compare numbers to get bool", self.ty),
            );
        }
        check_axes(Self::NAME, &[self.axis], self.ty.rank())?;
        self.ty.bytes()?;
        Ok(vec![self.ty.clone()])
    }

    fn eval(&self, _: &mut Eval, _: Vec<Literal>) -> Result<Vec<Literal>> {
        let inner: usize = self.ty.shape[self.axis + 1..].iter().product();
        let n = self.ty.shape[self.axis];
        Ok(vec![
            with_compute!(any self.ty.dtype, C => Literal::build(self.ty.clone(), |out: &mut [C]| {
                for (i, run) in out.chunks_exact_mut(inner.max(1)).enumerate() {
                    run.fill(C::from_i128((i % n) as i128));
                }
            })),
        ])
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
        let row =
            |ty: Type, axis| Sample { op: Iota { ty, axis }.into(), inputs: vec![], smooth: false };
        let dtypes = DType::ALL.into_iter().filter(|d| NUMBERS.contains(&d.kind()));
        let mut rows: Vec<Sample> = dtypes.map(|d| row(Type::new(d, [2, 5]), 1)).collect();
        rows.extend([
            row(Type::new(DType::I32, [2, 3, 2]), 0),
            row(Type::new(DType::I32, [2, 3, 2]), 1),
            row(Type::new(DType::I32, [2, 0]), 0),
            row(Type::new(DType::I32, [2, 0]), 1),
        ]);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::pointwise::testing::*;

    fn iota(dtype: DType, shape: &[usize], axis: usize) -> Vec<f64> {
        eval(Iota { ty: Type::new(dtype, shape), axis }, &[]).to_f64s()
    }

    #[test]
    fn counts_along_the_axis() {
        assert_eq!(iota(DType::I32, &[2, 3], 0), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(iota(DType::F16, &[2, 3], 1), [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
        assert_eq!(iota(DType::C64, &[2, 2, 2], 1), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(iota(DType::U2, &[6], 0), [0.0, 1.0, 2.0, 3.0, 0.0, 1.0], "it wraps");
        assert_eq!(iota(DType::I8, &[0, 3], 0), []);
        assert_eq!(iota(DType::I8, &[3, 0], 0), []);
    }

    #[test]
    fn wrong_parameters_are_errors() {
        let refused = |ty, axis| refusal(Iota { ty, axis }, &[]);
        assert_eq!(
            refused(Type::new(DType::I32, [2]), 1),
            "iota: axis 1 is out of range for rank 1"
        );
        assert_eq!(
            refused(Type::new(DType::Bool, [2]), 0),
            "iota: expected a numeric result, got bool[2]; compare numbers to get bool"
        );
        assert!(
            refused(Type::new(DType::I32, [usize::MAX, 8]), 0)
                .contains("larger than the address space")
        );
    }
}
