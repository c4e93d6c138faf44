//! `regularized_incomplete_beta`: the distribution function of the beta distribution.

use super::{
    Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, Unary, pointwise::*, rules::*,
    special,
};
use crate::{
    Builder, Compute, Eval, Literal, Result, Type, Value, graph::attr::attrs, with_compute,
};

attrs! {
    /// The elementwise regularized incomplete beta function of operands `(a, b, x)`, floats of the
    /// same type: NaN for negative `a` or `b`, and for `x` outside of 0 to 1. It has no derivative
    /// with respect to `a` and `b`.
    pub struct IncompleteBeta = "regularized_incomplete_beta" {}
}

impl Primitive for IncompleteBeta {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 3)?;
        same_type(Self::NAME, &xs[0], &xs[1])?;
        same_type(Self::NAME, &xs[1], &xs[2])?;
        check_kind(Self::NAME, &xs[0], FLOATS)?;
        Ok(vec![xs[0].clone()])
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let x = xs.swap_remove(2);
        let (out, inplace) = with_compute!(float x.dtype(), C => {
            let (a, b) = (xs[0].load::<C>(), xs[1].load::<C>());
            x.edit(|out: &mut [C]| {
                for (x, (a, b)) in out.iter_mut().zip(a.iter().zip(b.iter())) {
                    let y = special::betainc(a.parts().0, b.parts().0, x.parts().0);
                    *x = C::from_parts(y, 0.0);
                }
            })
        }, else return no_evaluation(Self::NAME, x.dtype()));
        cx.count_reuse(inplace);
        Ok(vec![out])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        if dxs[0].is_some() || dxs[1].is_some() {
            return no_derivative(
                Self::NAME,
                "it is implemented for its third operand only; use stop_gradient around the \
                 parameters",
            );
        }
        let dx = dxs[2].map(|dx| {
            let density = density(b, at.xs[0], at.xs[1], at.xs[2]);
            b.mul(dx, density)
        });
        Ok(vec![dx])
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
        batch(b, self.clone(), 1, axis, xs, dims)
    }

    fn samples() -> Vec<Sample> {
        let admits = |d: crate::DType| FLOATS.contains(&d.kind());
        // Without derivatives by the parameters, the laws cannot differentiate.
        samples(IncompleteBeta {}, admits, &[0.5..4.0, 0.3..3.0, 0.05..0.95], false)
    }
}

/// Emits the density of the beta distribution, `x^(a-1) (1-x)^(b-1) gamma(a+b) / (gamma(a)
/// gamma(b))`.
fn density(b: &mut Builder, p: Value, q: Value, x: Value) -> Value {
    let minus = b.neg(x);
    let (log, log_rest) = (b.log(x), b.log1p(minus));
    let (left, right) = (power(b, p, log), power(b, q, log_rest));
    let sum = b.add(p, q);
    let [p, q, sum] = [p, q, sum].map(|x| b.emit(Unary::Lgamma, &[x]));
    let (powers, norm) = (b.add(left, right), b.add(p, q));
    let norm = b.sub(sum, norm);
    let log = b.add(powers, norm);
    b.exp(log)
}

/// Emits `(p - 1) log`, and 0 for `p = 1` where the logarithm is infinite.
fn power(b: &mut Builder, p: Value, log: Value) -> Value {
    let less = b.add_scalar(p, -1.0);
    let zero = b.full_like(less, 0.0);
    let is_constant = b.compare(super::Direction::Eq, less, zero);
    let product = b.mul(less, log);
    b.select(is_constant, zero, product)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::pointwise::testing::*;
    use crate::{DType, Op};

    fn types(dtype: DType) -> Vec<Type> {
        vec![Type::scalar(dtype); 3]
    }

    #[test]
    fn the_slope_is_the_density() {
        let mut b = Builder::new();
        let xs = b.inputs(&types(DType::F64));
        let (ys, one) = (b.emit_n(IncompleteBeta {}, &xs, 1), b.scalar(DType::F64, 1.0));
        let at = Bound { xs: &xs, ys: &ys };
        let op = Op::from(IncompleteBeta {});
        let d = op.jvp(&mut b, &at, &[None, None, Some(one)]).unwrap()[0].unwrap();
        let e = op.jvp(&mut b, &at, &[Some(one), None, None]).unwrap_err().to_string();
        assert!(e.starts_with("regularized_incomplete_beta: it has no derivative; "), "{e}");
        let graph = b.finish(&[d]).unwrap();
        for (a, b, x, want) in
            [(2.0, 3.0, 0.25, 1.6875), (1.0, 1.0, 0.0, 1.0), (1.0, 2.0, 0.0, 2.0)]
        {
            let xs = [a, b, x].map(|x| Literal::scalar(DType::F64, x)).to_vec();
            let have = crate::transform::eval(&graph, xs).unwrap()[0].to_f64s()[0];
            assert!((have - want).abs() < 1e-14, "{a} {b} {x}: {have}");
        }
    }

    #[test]
    fn half_precision_is_computed_wide() {
        let of = |d: DType| {
            let [a, b, x] = [1.5, 2.5, 0.25].map(|x| Literal::scalar(d, x));
            eval(IncompleteBeta {}, &[&a, &b, &x]).to_f64s()[0]
        };
        let want = of(DType::F64);
        assert!((of(DType::F32) - want).abs() < 3e-8 && (of(DType::F16) - want).abs() < 2.5e-4);
    }

    #[test]
    fn wrong_operands_are_errors() {
        let mut xs = types(DType::F32);
        xs[1] = Type::scalar(DType::F64);
        assert!(refusal(IncompleteBeta {}, &xs).contains("differ in dtype"));
        assert!(refusal(IncompleteBeta {}, &types(DType::I32)).contains("got i32[]"));
    }
}
