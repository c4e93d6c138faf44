//! `reverse`: reverses the order of the elements along axes.

use super::strided::{View, read};
use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, DType, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// The operand with the order of the elements reversed along `axes`.
    /// <https://openxla.org/stablehlo/spec#reverse>
    pub struct Reverse = "reverse" {
        /// The reversed axes.
        axes: Vec<usize>,
    }
}

impl Primitive for Reverse {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        check_axes(Self::NAME, &self.axes, xs[0].rank())?;
        Ok(vec![xs[0].clone()])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        Ok(vec![read(&xs[0], &View::dense(xs[0].shape()).reverse(&self.axes))])
    }

    fn jvp(&self, b: &mut Builder, _: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(vec![dxs[0].map(|dx| b.emit(self.clone(), &[dx]))])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        _: &Bound,
        _: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        Transposed::Cotangents(vec![cts[0].map(|ct| b.emit(self.clone(), &[ct]))])
    }

    fn batch(
        &self,
        b: &mut Builder,
        _: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let mut op = self.clone();
        dims[0].inspect(|&d| shift_axes_from(&mut op.axes, d));
        Ok((b.emit_n(op, xs, 1), dims.to_vec()))
    }

    fn samples() -> Vec<Sample> {
        let row = |d: DType, shape: &[usize], axes: &[usize]| Sample {
            op: Reverse { axes: axes.to_vec() }.into(),
            inputs: vec![sample(Type::new(d, shape), -3.0, 4.0)],
            smooth: d == DType::F64,
        };
        let mut rows: Vec<Sample> = DType::ALL.into_iter().map(|d| row(d, &[2, 3], &[1])).collect();
        rows.extend([
            row(DType::F64, &[2, 3, 2], &[2, 0]),
            row(DType::F64, &[2, 2], &[]),
            row(DType::F64, &[], &[]),
            row(DType::F64, &[0, 3], &[0, 1]),
            row(DType::F64, &[1, 4], &[0, 1]),
        ]);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_axes_run_backwards() {
        let x = Literal::from_slice([2, 3], &[1u8, 2, 3, 4, 5, 6]).unwrap();
        let run = |axes: &[usize]| {
            Reverse { axes: axes.to_vec() }.eval(&mut Eval::default(), vec![x.clone()]).unwrap()[0]
                .to_f64s()
        };
        assert_eq!(run(&[1]), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
        assert_eq!(run(&[0]), [4.0, 5.0, 6.0, 1.0, 2.0, 3.0]);
        assert_eq!(run(&[0, 1]), [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
    }

    #[test]
    fn axes_are_checked() {
        let of =
            |axes: &[usize]| Reverse { axes: axes.to_vec() }.infer(&[Type::new(DType::F32, [2])]);
        assert!(of(&[1]).is_err() && of(&[0, 0]).is_err());
    }
}
