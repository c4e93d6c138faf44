//! Cumulative sums, products and extrema (prefix scans).

use super::{Composite, Derivative, LogAddExp, Named, rules::*};
use crate::graph::attr::{attrs, names};
use crate::op::{Binary, Bound, Sample, Tangent, rules::*};
use crate::{Builder, DType, Op, Result, Type, Value, Values};

names! {
    /// The operation of a [`Cumulative`].
    pub enum CumulativeKind {
        /// Sum; logical or for bool.
        Sum = "sum",
        /// Product; logical and for bool.
        Prod = "prod",
        /// Maximum; NaN if an element is NaN.
        Max = "max",
        /// Minimum; NaN if an element is NaN.
        Min = "min",
        /// Logarithm of the sum of exponentials.
        LogSumExp = "logsumexp",
    }
}

attrs! {
    /// A cumulative reduction: element `i` of the result reduces elements `0..=i` of the operand
    /// along an axis, or those from `i` to the end. Computed in a logarithmic number of steps:
    /// Hillis and Steele, Data parallel algorithms (<https://doi.org/10.1145/7902.7903>).
    pub struct Cumulative = "cumulative" {
        /// The operation.
        kind: CumulativeKind,
        /// The axis.
        axis: usize,
        /// True to accumulate from the end.
        reverse: bool,
    }
}

impl CumulativeKind {
    /// Returns the op that combines two elements.
    fn combine(self) -> Op {
        match self {
            CumulativeKind::Sum => Binary::Add.into(),
            CumulativeKind::Prod => Binary::Mul.into(),
            CumulativeKind::Max => Binary::Max.into(),
            CumulativeKind::Min => Binary::Min.into(),
            CumulativeKind::LogSumExp => LogAddExp {}.into(),
        }
    }
}

impl Cumulative {
    /// Emits the cotangent of a cumulative sum, which accumulates in the opposite direction; `None`
    /// for the other kinds, which are not linear.
    pub(super) fn transpose(
        &self,
        b: &mut Builder,
        cts: &[Option<Value>],
    ) -> Option<Vec<Option<Value>>> {
        let back = Cumulative { reverse: !self.reverse, ..self.clone() };
        (self.kind == CumulativeKind::Sum).then(|| vec![cts[0].map(|ct| b.emit(back, &[ct]))])
    }
}

impl Named for Cumulative {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        let pair = [xs[0].clone(), xs[0].clone()];
        self.kind.combine().infer(&pair).map_err(|e| e.inside(Self::NAME))?;
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
            let combined = b.emit(self.kind.combine(), &[early, late]);
            y = if self.reverse {
                let done = b.slice_axis(y, axis, n - step, n);
                b.concat(&[combined, done], axis)
            } else {
                let done = b.slice_axis(y, axis, 0, step);
                b.concat(&[done, combined], axis)
            };
            step *= 2;
        }
        Values::from_slice(&[y])
    }

    /// Emits the tangent. Sums are linear, so theirs is the cumulative sum of the tangent.
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        Some(match (self.kind, dxs[0]) {
            (CumulativeKind::Sum, Some(dx)) => Ok(vec![Some(b.emit(self.clone(), &[dx]))]),
            _ => linear_of_body(b, self.clone(), at, dxs),
        })
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
