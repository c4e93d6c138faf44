//! The length of a vector of two components.

use super::{Composite, Derivative, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Binary, Bound, Direction, Sample, Tangent, rules::*};
use crate::{Builder, DType, Op, Result, Type, Value, Values};

attrs! {
    /// `sqrt(x^2 + y^2)` of operands `(x, y)` of one real floating-point type, elementwise, without
    /// overflow. It is infinite if an operand is, even if the other is NaN. The derivatives are the
    /// operands divided by the result, and 0 at `(0, 0)`.
    pub struct Hypot = "hypot" {}
}

impl Named for Hypot {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 2)?;
        one_float(Self::NAME, &xs[..1])?;
        Op::from(Binary::Add).infer(xs).map_err(|e| e.inside(Self::NAME))
    }

    /// Emits the larger absolute value `h` times `sqrt((l / h)^2 + 1)` with the smaller one `l`.
    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let (x, y) = (b.abs(xs[0]), b.abs(xs[1]));
        let first = b.compare(Direction::Gt, x, y);
        let (high, low) = (b.select(first, x, y), b.select(first, y, x));
        let (zero, infinity) = (b.full_like(high, 0.0), b.full_like(high, f64::INFINITY));
        let (x_infinite, y_infinite) =
            (b.compare(Direction::Eq, x, infinity), b.compare(Direction::Eq, y, infinity));
        let infinite = b.or(x_infinite, y_infinite);
        let none = b.compare(Direction::Eq, high, zero);
        let divisor = one_where(b, none, high);
        let ratio = b.div(low, divisor);
        let square = b.square(ratio);
        let sum = b.add_scalar(square, 1.0);
        let root = b.sqrt(sum);
        let length = b.mul(high, root);
        Values::from_slice(&[b.select(infinite, infinity, length)])
    }

    /// Emits `p dx + q dy` with the slopes `p` and `q` of the operands that have a tangent; the
    /// transpose is `(p ct, q ct)`.
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        Some(linear_by_slopes(b, Self::NAME, at, dxs, slopes, None))
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        Some(Hypot {}.into())
    }

    fn samples() -> Vec<Sample> {
        let row = |d: DType, shape: &[usize]| Sample {
            op: Hypot {}.into(),
            inputs: vec![
                sample(Type::new(d, shape), -2.0, 2.0),
                sample(Type::new(d, shape), 1.0, 3.0),
            ],
            smooth: d == DType::F64,
        };
        let floats = DType::ALL.into_iter().filter(|d| d.is_float());
        floats.flat_map(|d| [row(d, &[2, 3]), row(d, &[]), row(d, &[0])]).collect()
    }
}

/// Emits `x`, and 1 where `at` is true.
fn one_where(b: &mut Builder, at: Value, x: Value) -> Value {
    let one = b.full_like(x, 1.0);
    b.select(at, one, x)
}

/// Emits the derivatives by the active operands, `x / h` and `y / h`.
fn slopes(b: &mut Builder, xs: &[Value], active: [bool; 2]) -> Vec<Value> {
    let h = b.emit(Hypot {}, xs);
    let zero = b.full_like(h, 0.0);
    let none = b.compare(Direction::Eq, h, zero);
    let h = one_where(b, none, h);
    let operands = xs.iter().zip(active).filter(|(_, active)| *active);
    operands.map(|(&x, _)| b.div(x, h)).collect()
}
