//! Layer and RMS normalization of the last axis.
//!
//! With the row mean `m`, the variance `v` (or the mean square, if the rows are not centered) and
//! the factor `r` of each row:
//!
//! ```text
//! m = sum(x) / n                     or sum(x) * (1 / n)
//! v = mean((x - m)^2)                or max(mean(x^2) - m^2, 0): JAX
//! r = 1 / sqrt(v + epsilon)          by `sqrt` and a division, by `rsqrt`
//! y = (x - m) r scale + bias         PyTorch, in any order of the factors
//! y = x (r scale) + (bias - m (r scale))                                    Keras, TensorFlow
//! ```
//!
//! Epsilon is a number above 0; scale and bias are vectors along the last axis, numbers or missing.

use super::search::{PatternSearch, Replacement, as_vector, composite_by, is_about};
use crate::composite::{Composite, LayerNormalization, RmsNormalization};
use crate::op::{Binary, ReduceKind, Unary};
use crate::{Builder, Eqn, Op, Type, Value};

/// A scale or a bias.
#[derive(Clone, Copy)]
enum RowWeight {
    Missing,
    Number(f64),
    /// A value of the size of the last axis, or a number.
    Vector(Value),
}

/// Normalized rows.
struct NormalizedRows {
    x: Value,
    /// True if the mean was subtracted.
    is_centered: bool,
    epsilon: f64,
    scale: RowWeight,
}

/// The factor of each row, `1 / sqrt(spread + epsilon)`.
struct RowFactor {
    /// The variance or the mean square.
    spread: Value,
    epsilon: f64,
}

/// Recognizes layer normalization with a bias.
pub(super) fn layer_norm_with_bias(s: &mut PatternSearch, e: &Eqn) -> Option<Replacement> {
    let Op::Binary(Binary::Add) = e.op else { return None };
    let sums = [e.inputs[0], e.inputs[1]];
    let found = s.in_any_order(sums, |s, y, bias| {
        let bias = s.weight(bias)?;
        let product = s.enter(y)?;
        let rows = s.normalized(product)?;
        rows.is_centered.then_some((rows, bias))
    });
    let (rows, bias) = found.or_else(|| s.in_any_order(sums, PatternSearch::expanded))?;
    let ty = s.ty(e.outputs[0]);
    rows.replacement(s, ty, bias)
}

/// Recognizes layer and RMS normalization without a bias.
pub(super) fn row_norm(s: &mut PatternSearch, e: &Eqn) -> Option<Replacement> {
    let rows = s.normalized(e)?;
    let ty = s.ty(e.outputs[0]);
    rows.replacement(s, ty, RowWeight::Missing)
}

impl RowWeight {
    fn is_given(self) -> bool {
        !matches!(self, RowWeight::Missing)
    }

    /// Returns the value that is read.
    fn value(self) -> Option<Value> {
        match self {
            RowWeight::Vector(v) => Some(v),
            RowWeight::Number(_) | RowWeight::Missing => None,
        }
    }

    /// Emits the weight as a vector of type `ty`; `value` is the next value that a weight reads.
    fn operand(
        self,
        b: &mut Builder,
        ty: &Type,
        mut value: impl FnMut() -> Option<Value>,
    ) -> Option<Value> {
        match self {
            RowWeight::Missing => None,
            RowWeight::Number(c) => Some(b.full(ty.clone(), c)),
            RowWeight::Vector(_) => value().map(|v| as_vector(b, v, ty.size())),
        }
    }
}

impl NormalizedRows {
    /// Returns the composite, with a bias if `bias` is true.
    fn composite(&self, bias: bool) -> Composite {
        let (epsilon, scale) = (self.epsilon.into(), self.scale.is_given());
        match self.is_centered {
            true => LayerNormalization { epsilon, scale, bias }.into(),
            false => RmsNormalization { epsilon, scale }.into(),
        }
    }

    /// Returns the replacement of a value of type `ty`, if the types are those of the composite.
    fn replacement(self, s: &PatternSearch, ty: &Type, bias: RowWeight) -> Option<Replacement> {
        let weights = [self.scale, bias];
        let values: Vec<Value> = weights.iter().filter_map(|w| w.value()).collect();
        let vector = Type::new(ty.dtype, [*ty.shape.last()?]);
        let fits = values.iter().all(|v| s.ty(*v).dtype == ty.dtype);
        if s.ty(self.x) != ty || vector.size() == 0 || !fits {
            return None;
        }
        let composite = self.composite(bias.is_given());
        let op = Op::Composite(composite.clone());
        composite_by(composite, &[&[self.x], &values[..]].concat(), move |b, xs| {
            let mut given = xs.iter().copied();
            let mut operands: Vec<Value> = given.next().into_iter().collect();
            for weight in weights {
                operands.extend(weight.operand(b, &vector, || given.next()));
            }
            b.emit(op.clone(), &operands)
        })
    }
}

impl PatternSearch<'_> {
    /// Returns the last axis of `v`.
    fn last_axis(&self, v: Value) -> Option<usize> {
        self.ty(v).rank().checked_sub(1)
    }

    /// Returns a scale or bias that is broadcast to rows.
    fn weight(&self, v: Value) -> Option<RowWeight> {
        match self.number(v) {
            Some(c) => Some(RowWeight::Number(c)),
            None => self.vector_along_last(v).map(RowWeight::Vector),
        }
    }

    /// Returns the rows that the product `e` normalizes and scales.
    fn normalized(&mut self, e: &Eqn) -> Option<NormalizedRows> {
        let list = self.factors(e)?;
        for (i, &(root, divides)) in list.factors.iter().enumerate() {
            let found = self.attempt(|s| {
                let factor = s.row_factor(root, divides)?;
                let mut others = list.factors.clone();
                others.remove(i);
                s.rows_times(factor, &others, list.coefficient)
            });
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Returns the normalization by `factor` of one of `others`, of which another one is the scale.
    fn rows_times(
        &mut self,
        factor: RowFactor,
        others: &[(Value, bool)],
        coefficient: f64,
    ) -> Option<NormalizedRows> {
        if others.len() > 2 || others.iter().any(|(_, divides)| *divides) {
            return None;
        }
        (0..others.len()).find_map(|i| {
            let scale = others.iter().enumerate().find(|(j, _)| *j != i).map(|(_, x)| x.0);
            let scale = match scale {
                Some(v) if coefficient == 1.0 => self.weight(v)?,
                Some(_) => return None,
                None if coefficient == 1.0 => RowWeight::Missing,
                None => RowWeight::Number(coefficient),
            };
            self.attempt(|s| s.rows_of(&factor, others[i].0, scale))
        })
    }

    /// Returns the normalization of `rows` by `factor`: of centered rows, of `x - mean(x)`, or else
    /// of the rows themselves.
    fn rows_of(
        &mut self,
        factor: &RowFactor,
        rows: Value,
        scale: RowWeight,
    ) -> Option<NormalizedRows> {
        let epsilon = factor.epsilon;
        let centered = self.attempt(|s| {
            let [x, mean] = s.binary(rows, Binary::Sub)?;
            let axis = s.last_axis(x)?;
            let mean = s.repeated(mean, axis)?;
            (s.mean(mean)? == x).then_some(())?;
            s.is_variance(factor.spread, x, mean)?;
            Some(NormalizedRows { x, is_centered: true, epsilon, scale })
        });
        centered.or_else(|| {
            self.attempt(|s| {
                let square = s.mean(factor.spread)?;
                (s.square(square)? == rows).then_some(())?;
                Some(NormalizedRows { x: rows, is_centered: false, epsilon, scale })
            })
        })
    }

    /// Returns the normalization, and its bias, that the sum of `x f` and `bias - m f` is, with
    /// `f = r scale`.
    fn expanded(&mut self, scaled: Value, rest: Value) -> Option<(NormalizedRows, RowWeight)> {
        let both = self.binary(scaled, Binary::Mul)?;
        self.in_any_order(both, |s, x, factor| {
            let (mean, bias) = s.subtracted_mean(rest, factor, s.last_axis(x)?)?;
            (s.mean(mean)? == x).then_some(())?;
            let (factor, scale) = s.scaled_factor(factor)?;
            s.is_variance(factor.spread, x, mean)?;
            let rows = NormalizedRows { x, is_centered: true, epsilon: factor.epsilon, scale };
            Some((rows, bias))
        })
    }

    /// Returns the mean `m` and the bias of `bias - m factor`, spelled as a difference or as a sum
    /// with the negated mean.
    fn subtracted_mean(
        &mut self,
        v: Value,
        factor: Value,
        axis: usize,
    ) -> Option<(Value, RowWeight)> {
        let difference = self.attempt(|s| {
            let [bias, product] = s.binary(v, Binary::Sub)?;
            let bias = s.weight(bias)?;
            Some((s.repeated_factor(product, factor, axis)?, bias))
        });
        let of_sum = |s: &mut Self| {
            let sum = s.attempt(|s| {
                let both = s.binary(v, Binary::Add)?;
                s.in_any_order(both, |s, product, bias| Some((product, s.weight(bias)?)))
            });
            let (product, bias) = sum.unwrap_or((v, RowWeight::Missing));
            let negated = s.repeated_factor(product, factor, axis)?;
            let mean = s.unary(negated, Unary::Neg)?;
            Some((s.without_unit_moves(mean), bias))
        };
        difference.or_else(|| self.attempt(of_sum))
    }

    /// Returns the value of each row in the product of `factor` and this value, repeated.
    fn repeated_factor(&mut self, v: Value, factor: Value, axis: usize) -> Option<Value> {
        let both = self.binary(v, Binary::Mul)?;
        self.in_any_order(both, |s, x, own| if own == factor { s.repeated(x, axis) } else { None })
    }

    /// Returns the factor of each row in `r scale`, and the scale.
    fn scaled_factor(&mut self, v: Value) -> Option<(RowFactor, RowWeight)> {
        let plain = self.attempt(|s| s.row_factor(v, false)).map(|f| (f, RowWeight::Missing));
        plain.or_else(|| {
            let both = self.binary(v, Binary::Mul)?;
            self.in_any_order(both, |s, r, scale| Some((s.row_factor(r, false)?, s.weight(scale)?)))
        })
    }

    /// Returns the factor of each row that `v`, or its reciprocal, repeats.
    fn row_factor(&mut self, v: Value, is_reciprocal: bool) -> Option<RowFactor> {
        let axis = self.last_axis(v)?;
        let v = self.repeated(v, axis)?;
        let sum = match is_reciprocal {
            true => self.unary(v, Unary::Sqrt)?,
            false => self.attempt(|s| s.unary(v, Unary::Rsqrt)).or_else(|| {
                let [one, root] = self.binary(v, Binary::Div)?;
                self.is_number(one, 1.0).then_some(())?;
                let root = self.without_unit_moves(root);
                self.unary(root, Unary::Sqrt)
            })?,
        };
        let sum = self.without_unit_moves(sum);
        let both = self.binary(sum, Binary::Add)?;
        self.in_any_order(both, |s, spread, epsilon| {
            let epsilon = s.number(epsilon).filter(|e| *e > 0.0)?;
            Some(RowFactor { spread: s.without_unit_moves(spread), epsilon })
        })
    }

    /// Returns the operand of the mean along the last axis.
    fn mean(&mut self, v: Value) -> Option<Value> {
        self.attempt(|s| {
            let v = s.without_unit_moves(v);
            let (factor, sum) = s.multiple(v);
            let sum = s.without_unit_moves(sum);
            let reduce = s.producer(sum)?;
            let axis = s.last_axis(*reduce.inputs.first()?)?;
            let x = s.reduced(sum, ReduceKind::Sum, axis)?;
            let n = s.ty(x).shape[axis] as f64;
            // In a narrow float, the factor of an unbiased variance, `1 / (n - 1)`, is near, too.
            let is_own = (factor * n - 1.0).abs() < 0.5 / n;
            (is_own && is_about(s.ty(x).dtype, factor, 1.0 / n)).then_some(x)
        })
    }

    /// Returns a value if `spread` is the variance of the rows of `x`, whose mean is `mean`.
    fn is_variance(&mut self, spread: Value, x: Value, mean: Value) -> Option<()> {
        let of_deviations = self.attempt(|s| {
            let square = s.mean(spread)?;
            let deviation = s.square(square)?;
            let [own, shift] = s.binary(deviation, Binary::Sub)?;
            let axis = s.last_axis(x)?;
            (own == x && s.repeated(shift, axis)? == mean).then_some(())
        });
        of_deviations.or_else(|| {
            self.attempt(|s| {
                let both = s.binary(spread, Binary::Max)?;
                let difference = s.in_any_order(both, |s, d, zero| {
                    (s.number(zero)? == 0.0).then(|| s.without_unit_moves(d))
                })?;
                let [square, of_mean] = s.binary(difference, Binary::Sub)?;
                let of_mean = s.without_unit_moves(of_mean);
                let own = s.square(of_mean)?;
                (s.without_unit_moves(own) == mean).then_some(())?;
                let square = s.mean(square)?;
                (s.square(square)? == x).then_some(())
            })
        })
    }
}
