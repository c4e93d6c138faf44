//! The normalization of rows that layer and RMS normalization share.
//!
//! A row is the last axis of the operand `x`, of size `n`. With `c = x - mean(x)` if the rows are
//! centered, and else `c = x`:
//!
//! ```text
//! r = 1 / sqrt(mean(c^2) + epsilon)
//! z = c r                              the normalized row
//! y = z scale + bias
//! dz = r (dx - mean(dx) - z mean(z dx))    without mean(dx) if the rows are not centered
//! ```
//!
//! The map from `dx` to `dz` is its own transpose. It needs `z` and `r`, which are computed again
//! from `x`: in one program with the forward pass, the compiler finds mean and `r` of each row
//! there.

use super::{Composite, Derivative, Named, rules::*};
use crate::op::{Bound, Sample, Tangent, Unary, rules::*};
use crate::{Builder, DType, FloatAttr, Op, Result, Type, Value, Values};

/// A normalization of rows.
pub(super) struct RowNorm {
    pub name: &'static str,
    /// True if the mean of a row is subtracted.
    pub centered: bool,
    pub epsilon: FloatAttr,
    /// True if there is an operand `scale`.
    pub scale: bool,
    /// True if there is an operand `bias`.
    pub bias: bool,
}

/// A composite that normalizes rows.
pub(super) trait NormalizesRows: Clone + Into<Composite> + Into<Op> {
    /// Returns the normalization.
    fn rows(&self) -> RowNorm;

    /// Creates the composite, if it can have these operands.
    fn with(epsilon: FloatAttr, scale: bool, bias: bool) -> Option<Self>;
}

impl<N: NormalizesRows> Named for N {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        self.rows().infer(xs)
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        self.rows().body(b, xs)
    }

    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        Some(self.rows().derivative(b, at, dxs))
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        Some(self.clone().into())
    }

    fn samples() -> Vec<Sample> {
        samples(|scale, bias| Some(N::with(0.1.into(), scale, bias)?.into()))
    }
}

/// The meaning of an operand.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Rows,
    Scale,
    Bias,
}

/// Normalized rows.
struct NormalRows {
    /// The rows, with mean square 1 unless epsilon is large against it.
    rows: Value,
    /// The factor `r` of each row, broadcast to the shape of the rows.
    factor: Value,
}

impl RowNorm {
    /// Returns the meanings of the operands.
    fn roles(&self) -> Vec<Role> {
        let optional = [(Role::Scale, self.scale), (Role::Bias, self.bias)];
        let given = optional.into_iter().filter_map(|(role, given)| given.then_some(role));
        [Role::Rows].into_iter().chain(given).collect()
    }

    /// Returns the type of the result, that of the rows.
    ///
    /// # Errors
    /// If the operands do not fit.
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let roles = self.roles();
        arity(self.name, xs, roles.len())?;
        check_epsilon(self.name, self.epsilon)?;
        let x = one_float(self.name, &xs[..1])?;
        let Some(&n) = x.shape.last() else {
            return refuse(self.name, format!("expected an operand with a last axis, got {x}"));
        };
        for (role, w) in roles.iter().zip(xs).skip(1) {
            let lead = w.rank().checked_sub(1).filter(|&lead| lead < x.rank());
            let fits = |lead| w.shape[..lead] == x.shape[..lead] && w.shape[lead] == n;
            if !is_weight_of(w, x) || !lead.is_some_and(fits) {
                let name = if *role == Role::Scale { "scale" } else { "bias" };
                let want = Type::new(x.dtype, [n]);
                return refuse(self.name, format!("expected a {name} {want} for {x}, got {w}"));
            }
        }
        Ok(vec![x.clone()])
    }

    /// Emits the result.
    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let normal = self.normalize(b, xs[0]);
        let mut y = self.scaled(b, normal.rows, xs);
        if let (true, Some(&bias)) = (self.bias, xs.last()) {
            let bias = broadcast_weight(b, bias, xs[0]);
            y = b.add(y, bias);
        }
        Values::from_slice(&[y])
    }

    /// Emits the tangent in closed form. The residuals are the rows and the scale.
    ///
    /// # Errors
    /// As [`linear`].
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let ranks: Vec<usize> = at.xs.iter().map(|&x| b.ty(x).rank()).collect();
        let of_roles = self.roles().into_iter().zip(ranks).zip(dxs);
        let active: Vec<(Role, usize)> =
            of_roles.filter(|(_, dx)| dx.is_some()).map(|(role, _)| role).collect();
        let forward: LinearMap = &|b, xs, dxs| {
            let normal = self.normalize(b, xs[0]);
            let mut total = None;
            for (&(role, _), &dx) in active.iter().zip(dxs) {
                let term = self.term(b, &normal, xs, role, dx);
                total = b.add_tangents(total, Some(term));
            }
            total.into_iter().collect()
        };
        let backward: LinearMap = &|b, xs, cts| {
            let normal = self.normalize(b, xs[0]);
            let cotangent = |&(role, rank)| self.cotangent(b, &normal, xs, role, rank, cts[0]);
            active.iter().map(cotangent).collect()
        };
        let kept = &at.xs[..1 + self.scale as usize];
        linear(b, self.name, at, kept, dxs, forward, backward)
    }

    /// Emits what the tangent `dx` of an operand adds to that of the result.
    fn term(
        &self,
        b: &mut Builder,
        normal: &NormalRows,
        xs: &[Value],
        role: Role,
        dx: Value,
    ) -> Value {
        if role == Role::Rows {
            let dz = self.slope(b, normal, dx);
            return self.scaled(b, dz, xs);
        }
        let dx = broadcast_weight(b, dx, xs[0]);
        if role == Role::Scale { b.mul(normal.rows, dx) } else { dx }
    }

    /// Emits the cotangent of an operand of `rank` for the cotangent `ct` of the result.
    fn cotangent(
        &self,
        b: &mut Builder,
        normal: &NormalRows,
        xs: &[Value],
        role: Role,
        rank: usize,
        ct: Value,
    ) -> Value {
        if role == Role::Rows {
            let scaled = self.scaled(b, ct, xs);
            return self.slope(b, normal, scaled);
        }
        let each = if role == Role::Scale { b.mul(normal.rows, ct) } else { ct };
        let axes: Vec<usize> = (rank - 1..b.ty(each).rank() - 1).collect();
        b.sum(each, &axes)
    }

    /// Emits the normalized rows.
    fn normalize(&self, b: &mut Builder, x: Value) -> NormalRows {
        let (c, square) = if self.centered {
            centered(b, x)
        } else {
            let square = b.square(x);
            (x, mean(b, square, &[last_axis(b, x)]))
        };
        let factor = inverse_root(b, square, self.epsilon);
        let factor = broadcast_along(b, factor, last_axis(b, x), x);
        NormalRows { rows: b.mul(c, factor), factor }
    }

    /// Emits the map from `dx` to `dz`.
    fn slope(&self, b: &mut Builder, normal: &NormalRows, dx: Value) -> Value {
        let product = b.mul(normal.rows, dx);
        let along = row_mean(b, product);
        let along = b.mul(normal.rows, along);
        let mut d = b.sub(dx, along);
        if self.centered {
            let mean = row_mean(b, dx);
            d = b.sub(d, mean);
        }
        b.mul(normal.factor, d)
    }

    /// Emits `rows` times the scale, if there is one in the operands `xs`.
    fn scaled(&self, b: &mut Builder, rows: Value, xs: &[Value]) -> Value {
        if !self.scale {
            return rows;
        }
        let scale = broadcast_weight(b, xs[1], rows);
        b.mul(rows, scale)
    }
}

/// Returns sample rows. `op` creates the op with or without a scale and a bias.
fn samples(op: impl Fn(bool, bool) -> Option<Op>) -> Vec<Sample> {
    const SHAPES: &[(&[usize], Option<&[usize]>, Option<&[usize]>)] = &[
        (&[2, 4], Some(&[4]), Some(&[4])),
        (&[4], None, None),
        (&[2, 2, 3], Some(&[3]), None),
        (&[2, 2, 3], Some(&[2, 3]), Some(&[3])),
        (&[2, 3], None, Some(&[2, 3])),
        (&[0, 3], Some(&[3]), Some(&[3])),
        (&[2, 0], Some(&[0]), None),
    ];
    let mut rows = vec![];
    for d in DType::ALL.into_iter().filter(|d| d.is_float()) {
        for &(x, scale, bias) in SHAPES {
            let Some(op) = op(scale.is_some(), bias.is_some()) else { continue };
            let shapes = [Some(x), scale, bias].into_iter().flatten();
            let inputs = shapes.map(|shape| sample(Type::new(d, shape), -2.0, 1.5)).collect();
            rows.push(Sample { op, inputs, smooth: d == DType::F64 });
        }
    }
    rows
}

/// Emits the deviations of the elements of each row from their mean, and the variance of each row.
///
/// The sum of the deviations is not zero where the mean is rounded. Its mean is subtracted as well,
/// and its square from the variance: Chan, Golub and LeVeque, Algorithms for computing the sample
/// variance (<https://doi.org/10.1080/00031305.1983.10483115>), the corrected two-pass algorithm.
/// Both sums are over the same elements, so that they take one pass.
fn centered(b: &mut Builder, x: Value) -> (Value, Value) {
    let last = last_axis(b, x);
    let shift = row_mean(b, x);
    let shifted = b.sub(x, shift);
    let rest = mean(b, shifted, &[last]);
    let square = b.square(shifted);
    let square = mean(b, square, &[last]);
    let excess = b.square(rest);
    // An infinite variance stays infinite.
    let finite = b.emit(Unary::IsFinite, &[excess]);
    let excess = b.select_or_zero(finite, excess);
    let variance = b.sub(square, excess);
    let zero = b.full_like(variance, 0.0);
    let variance = b.max(variance, zero);
    let rest = broadcast_along(b, rest, last, x);
    (b.sub(shifted, rest), variance)
}

/// Emits the mean of each row, broadcast to the shape of `x`.
fn row_mean(b: &mut Builder, x: Value) -> Value {
    let last = last_axis(b, x);
    let m = mean(b, x, &[last]);
    broadcast_along(b, m, last, x)
}

/// Broadcasts a weight `[axes .., n]` to the shape `[axes .., .., n]` of `rows`.
fn broadcast_weight(b: &mut Builder, w: Value, rows: Value) -> Value {
    let shape = b.ty(rows).shape.clone();
    let axes: Vec<usize> = (b.ty(w).rank() - 1..shape.rank() - 1).collect();
    b.unreduce(w, shape, &axes)
}
