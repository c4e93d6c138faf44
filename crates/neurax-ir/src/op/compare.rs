//! `compare`: elementwise comparison.

use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, pointwise::*, rules::*};
use crate::graph::attr::{attrs, names};
use crate::{Builder, DType, Eval, Kind, Literal, Result, Type, Value, with_compute};

names! {
    /// A comparison of two operands. NaN is unequal to everything, and neither less nor greater.
    pub enum Direction {
        /// `x == y`
        Eq = "EQ",
        /// `x != y`
        Ne = "NE",
        /// `x < y`
        Lt = "LT",
        /// `x <= y`
        Le = "LE",
        /// `x > y`
        Gt = "GT",
        /// `x >= y`
        Ge = "GE",
    }
}

attrs! {
    /// The elementwise comparison of two operands of the same type, as bools. Complex numbers can
    /// only be compared for equality. <https://openxla.org/stablehlo/spec#compare>
    pub struct Compare = "compare" {
        /// The comparison.
        direction: Direction,
    }
}

use Direction::*;

impl Direction {
    /// Returns the kinds of dtype that the comparison takes.
    pub fn kinds(self) -> &'static [Kind] {
        if matches!(self, Eq | Ne) { COMPUTED } else { ORDERED }
    }
}

impl Primitive for Compare {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 2)?;
        same_type(Self::NAME, &xs[0], &xs[1])?;
        check_kind(
            &format!("{} {}", Self::NAME, self.direction.name()),
            &xs[0],
            self.direction.kinds(),
        )?;
        Ok(vec![xs[0].with_dtype(DType::Bool)])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let (x, y) = (&xs[0], &xs[1]);
        let holds = |out: &mut [u8]| match self.direction {
            Eq => with_compute!(any x.dtype(), C => {
                fill(out, &x.load::<C>(), &y.load::<C>(), |x, y| x == y)
            }),
            Ne => with_compute!(any x.dtype(), C => {
                fill(out, &x.load::<C>(), &y.load::<C>(), |x, y| x != y)
            }),
            Lt => less(out, x, y),
            Gt => less(out, y, x),
            Le => less_or_equal(out, x, y),
            Ge => less_or_equal(out, y, x),
        };
        Ok(vec![bools(x.shape(), holds)?])
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
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        batch(b, self.clone(), 1, axis, xs, dims)
    }

    fn samples() -> Vec<Sample> {
        let rows = |&direction: &Direction| {
            let admits = |d: DType| direction.kinds().contains(&d.kind());
            samples(Compare { direction }, admits, &[-3.0..3.0, -2.0..3.5], true)
        };
        Direction::ALL.iter().flat_map(rows).collect()
    }
}

fn less(out: &mut [u8], x: &Literal, y: &Literal) {
    with_compute!(real x.dtype(), C => {
        fill(out, &x.load::<C>(), &y.load::<C>(), |x, y| x < y)
    }, else {})
}

fn less_or_equal(out: &mut [u8], x: &Literal, y: &Literal) {
    with_compute!(real x.dtype(), C => {
        fill(out, &x.load::<C>(), &y.load::<C>(), |x, y| x <= y)
    }, else {})
}

fn fill<C: Copy>(out: &mut [u8], x: &[C], y: &[C], f: impl Fn(C, C) -> bool) {
    out.iter_mut().zip(x.iter().zip(y)).for_each(|(o, (&x, &y))| *o = f(x, y) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Complex;
    use crate::op::pointwise::testing::*;

    fn ask(x: &Literal, y: &Literal) -> String {
        let answer = |&direction: &Direction| {
            if eval(Compare { direction }, &[x, y]).to_f64s() == [1.0] {
                direction.name()
            } else {
                ""
            }
        };
        Direction::ALL.iter().map(answer).filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_direction() {
        assert_eq!(ask(&vector(&[1.0f32]), &vector(&[2.0f32])), "NE LT LE");
        assert_eq!(ask(&vector(&[2i64]), &vector(&[2i64])), "EQ LE GE");
        assert_eq!(ask(&vector(&[f64::NAN]), &vector(&[f64::NAN])), "NE");
        assert_eq!(ask(&vector(&[0.0f32]), &vector(&[-0.0f32])), "EQ LE GE");
        assert_eq!(ask(&vector(&[true]), &vector(&[false])), "NE GT GE");
        assert_eq!(ask(&vector(&[u64::MAX]), &vector(&[u64::MAX - 1])), "NE GT GE");
        assert_eq!(ask(&of(DType::I2, &[-2.0]), &of(DType::I2, &[1.0])), "NE LT LE");
        assert_eq!(ask(&of(DType::F8E5M2, &[1.0]), &of(DType::F8E5M2, &[1.0])), "EQ LE GE");
    }

    #[test]
    fn complex_numbers_have_no_order() {
        let z = vector(&[Complex::new(1.0f32, 2.0)]);
        assert_eq!(eval(Compare { direction: Eq }, &[&z, &z]).to_f64s(), [1.0]);
        let e = refusal(Compare { direction: Lt }, &[z.ty().clone(), z.ty().clone()]);
        assert!(
            e.starts_with("compare LT: expected a bool")
                && e.ends_with("operand, got c64[1]; convert it first"),
            "{e}"
        );
    }
}
