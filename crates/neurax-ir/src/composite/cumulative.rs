//! Running sums, products, extremes.

use super::{Composite, Named, rules::*};
use crate::graph::attr::{attrs, names};
use crate::op::{Binary, Bound, Direction, Sample, Tangent, rules::*};
use crate::{Builder, DType, Op, Result, Type, Value, Values};

names! {
    /// How [`Cumulative`] joins elements.
    pub enum CumulativeKind {
        /// Sum; bool is or.
        Sum = "sum",
        /// Product; bool is and.
        Prod = "prod",
        /// Largest; NaN wins.
        Max = "max",
        /// Smallest; NaN wins.
        Min = "min",
        /// Logarithm of the sum of powers.
        LogSumExp = "logsumexp",
    }
}

attrs! {
    /// Element `i` of the result joins elements `0..=i` of the operand along an axis, or those from
    /// `i` to the end. Joined in a number of steps that is the logarithm of the size: Hillis and
    /// Steele, Data parallel algorithms (<https://doi.org/10.1145/7902.7903>).
    pub struct Cumulative = "cumulative" {
        /// How elements are joined.
        kind: CumulativeKind,
        /// The axis.
        axis: usize,
        /// From the end?
        reverse: bool,
    }
}

impl CumulativeKind {
    /// The op that joins two, except for powers.
    fn binary(self) -> Option<Binary> {
        match self {
            CumulativeKind::Sum => Some(Binary::Add),
            CumulativeKind::Prod => Some(Binary::Mul),
            CumulativeKind::Max => Some(Binary::Max),
            CumulativeKind::Min => Some(Binary::Min),
            CumulativeKind::LogSumExp => None,
        }
    }

    fn join(self, b: &mut Builder, x: Value, y: Value) -> Value {
        match self.binary() {
            Some(op) => b.emit(op, &[x, y]),
            None => log_add_exp(b, x, y),
        }
    }
}

impl Named for Cumulative {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        match self.kind.binary() {
            Some(op) => Op::from(op)
                .infer(&[xs[0].clone(), xs[0].clone()])
                .map_err(|e| e.inside(Self::NAME))?,
            None => vec![one_float(Self::NAME, xs)?.clone()],
        };
        check_axes(Self::NAME, &[self.axis], xs[0].rank())?;
        Ok(xs.to_vec())
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let (mut y, axis) = (xs[0], self.axis);
        let n = b.ty(y).shape[axis];
        let mut step = 1;
        while step < n {
            let (early, late) =
                (b.slice_axis(y, axis, 0, n - step), b.slice_axis(y, axis, step, n));
            let joined = self.kind.join(b, early, late);
            y = if self.reverse {
                let done = b.slice_axis(y, axis, n - step, n);
                b.concat(&[joined, done], axis)
            } else {
                let done = b.slice_axis(y, axis, 0, step);
                b.concat(&[done, joined], axis)
            };
            step *= 2;
        }
        Values::from_slice(&[y])
    }

    /// Sums are linear: their tangent is the same of the tangent.
    fn derivative(
        &self,
        b: &mut Builder,
        at: &Bound,
        dxs: &[Tangent],
    ) -> Option<Result<Vec<Tangent>>> {
        Some(match (self.kind, dxs[0]) {
            (CumulativeKind::Sum, Some(dx)) => Ok(vec![Some(b.emit(self.clone(), &[dx]))]),
            _ => linear_of_body(b, self.clone(), at, dxs),
        })
    }

    /// A sum over what comes before becomes one over what comes after.
    fn transposed(
        &self,
        b: &mut Builder,
        _: &Bound,
        cts: &[Option<Value>],
    ) -> Option<Vec<Option<Value>>> {
        let back = Cumulative { reverse: !self.reverse, ..self.clone() };
        (self.kind == CumulativeKind::Sum).then(|| vec![cts[0].map(|ct| b.emit(back, &[ct]))])
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        Some(Cumulative { axis: self.axis + 1, ..self.clone() }.into())
    }

    fn samples() -> Vec<Sample> {
        let mut rows = vec![];
        for &kind in CumulativeKind::ALL {
            let fits = |d: &DType| {
                Named::infer(&Cumulative { kind, axis: 0, reverse: false }, &[Type::new(*d, [1])])
                    .is_ok()
            };
            for d in DType::ALL.into_iter().filter(fits) {
                for (shape, axis, reverse) in [
                    (vec![2, 5], 1, false),
                    (vec![3, 2], 0, true),
                    (vec![2, 0], 1, false),
                    (vec![1], 0, false),
                ] {
                    let op = Cumulative { kind, axis, reverse }.into();
                    rows.push(Sample {
                        op,
                        inputs: vec![sample(Type::new(d, shape), -2.0, 3.0)],
                        smooth: d == DType::F64,
                    });
                }
            }
        }
        rows
    }
}

/// `log(e^x + e^y)`: the larger, and what the smaller adds to it. Of two infinities of one sign it
/// is their sum.
fn log_add_exp(b: &mut Builder, x: Value, y: Value) -> Value {
    let d = b.sub(x, y);
    let far = b.abs(d);
    let far = b.neg(far);
    let e = b.exp(far);
    let more = b.log1p(e);
    let top = b.max(x, y);
    let joined = b.add(top, more);
    let number = b.compare(Direction::Eq, d, d);
    let sum = b.add(x, y);
    b.select(number, joined, sum)
}
