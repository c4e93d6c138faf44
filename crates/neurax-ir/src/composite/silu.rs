//! The sigmoid linear unit (SiLU).

use super::{Composite, Derivative, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Bound, Sample, Tangent};
use crate::{Builder, Result, Type, Value, Values};

attrs! {
    /// `x / (1 + e^-x)`, elementwise; also called swish, ONNX's `Swish`. Elfwing et al.,
    /// Sigmoid-Weighted Linear Units (<https://arxiv.org/abs/1702.03118>).
    pub struct Silu = "silu" {}
}

impl Named for Silu {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        Ok(vec![one_float(Self::NAME, xs)?.clone()])
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let p = b.logistic(xs[0]);
        Values::from_slice(&[b.mul(xs[0], p)])
    }

    /// Emits `dy = p (1 + x (1 - p)) dx` with `p` the logistic function of `x`, which is its own
    /// transpose.
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        let slope: LinearMap = &|b, x, d| {
            let p = b.logistic(x[0]);
            let one = b.full_like(p, 1.0);
            let complement = b.sub(one, p);
            let curved = b.mul(x[0], complement);
            let curved = b.mul(curved, p);
            let slope = b.add(p, curved);
            vec![b.mul(slope, d[0])]
        };
        Some(linear(b, Self::NAME, at, at.xs, dxs, slope, slope))
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        Some(self.clone().into())
    }

    fn samples() -> Vec<Sample> {
        let op = || Silu {}.into();
        float_rows(&[(op(), &[2, 3]), (op(), &[0]), (op(), &[])])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Literal, Op, transform};

    #[test]
    fn is_linear_far_from_zero() {
        let mut b = Builder::new();
        let x = b.input(Type::new(DType::F64, [5]));
        let y = b.emit(Op::from(Silu {}), &[x]);
        let total = b.sum(y, &[0]);
        let g = b.finish(&[total]).unwrap();
        let p = 1.0 / (1.0 + (-1f64).exp());
        let x = Literal::from_slice([5], &[0.0, 1.0, -1.0, 1e300, -1e300]).unwrap();
        let [value, slope] =
            &transform::eval(&transform::grad(&g, &[true]).unwrap(), vec![x]).unwrap()[..]
        else {
            panic!()
        };
        assert_eq!(value.to_f64s(), [1e300]);
        let want = [0.5, p * (2.0 - p), (1.0 - p) * (1.0 - p), 1.0, 0.0];
        for (have, want) in slope.to_f64s().iter().zip(want) {
            assert!((have - want).abs() < 1e-15, "{have}, not {want}");
        }
        let e = Named::infer(&Silu {}, &[Type::scalar(DType::I32)]).unwrap_err().to_string();
        assert_eq!(e, "silu: expected a floating-point operand, got i32[]; convert it first");
    }
}
