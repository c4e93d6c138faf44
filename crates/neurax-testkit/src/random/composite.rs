//! Generator rules for named composites.

use super::generate::{BoundedValue, Gen, GenRule, any_shape};
use neurax_ir::composite::{COLUMN_BLOCK, LinearSolve, QuantizedDot};
use neurax_ir::op::*;
use neurax_ir::{Builder, DType, Literal, Sample, Shape};
use std::sync::Arc;

pub(super) const COMPOSITE_RULES: &[GenRule] = &[
    composite,
    cumulative,
    cross_entropy,
    sparse_cross_entropy,
    attention,
    row_norm,
    batch_norm,
    logaddexp,
    hypot,
    linear_solve,
    sparse_dot,
    quantized_dot,
];

/// The composites that are smooth for all operands.
const SMOOTH_COMPOSITES: [&str; 5] = ["softmax", "log_softmax", "logsumexp", "gelu", "silu"];

/// Emits a named composite of one operand, taken from the sample rows.
fn composite(g: &mut Gen) -> Option<()> {
    let fits = |s: &Sample| {
        SMOOTH_COMPOSITES.contains(&s.op.name())
            && s.smooth
            && s.inputs.len() == 1
            && s.inputs[0].dtype() == DType::F64
            && s.inputs[0].ty().size() > 0
    };
    let rows: Vec<Sample> = ROWS.with(|r| r.iter().filter(|s| fits(s)).cloned().collect());
    if rows.is_empty() {
        return None;
    }
    let row = g.rng.pick(&rows);
    let shape =
        if row.op.name() == "gelu" { any_shape(&mut g.rng) } else { row.inputs[0].shape().clone() };
    let BoundedValue { v, bound } = g.pick_shaped(DType::F64, &shape);
    let y = g.emit(row.op, &[v]);
    g.keep(y, 2.0 * bound * shape.size() as f64 + 4.0)
}

fn cumulative(g: &mut Gen) -> Option<()> {
    use neurax_ir::composite::{Cumulative, CumulativeKind};
    let x = g.pick_value(DType::F64);
    let shape = g.ty(x).shape;
    if shape.rank() == 0 {
        return None;
    }
    let kind = g.rng.pick(&[CumulativeKind::Sum, CumulativeKind::Prod, CumulativeKind::LogSumExp]);
    let (axis, reverse) = (g.rng.below(shape.rank()), g.rng.one_in(2));
    let y = g.emit(Composite::from(Cumulative { kind, axis, reverse }), &[x.v]);
    let n = shape[axis] as f64;
    g.keep(
        y,
        if kind == CumulativeKind::Prod { x.bound.max(1.0).powf(n) } else { (x.bound + 2.0) * n },
    )
}

fn cross_entropy(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F64);
    let shape = g.ty(x).shape;
    if shape.last().is_none_or(|&d| d == 0) {
        return None;
    }
    let labels = g.pick_shaped(DType::F64, &shape);
    let y = g.emit(Composite::from(neurax_ir::composite::CrossEntropy {}), &[x.v, labels.v]);
    g.keep(y, (2.0 * x.bound + 2.0) * labels.bound * 4.0)
}

/// Emits attention of the elements of one value to those of another one, both of one head.
fn attention(g: &mut Gen) -> Option<()> {
    use neurax_ir::composite::DotProductAttention;
    let (q, k) = (g.pick_value(DType::F64), g.pick_value(DType::F64));
    let (n, m) = (g.ty(q).size(), g.ty(k).size());
    let (query, key) = (g.b.reshape(q.v, [n, 1, 1]), g.b.reshape(k.v, [m, 1, 1]));
    let after = g.rng.one_in(2).then_some(0);
    let op = DotProductAttention { after, ..DotProductAttention::scaled(0.5) };
    let y = g.emit(Composite::from(op), &[query, key, key]);
    g.keep(y, k.bound)
}

/// Emits layer or RMS normalization with a scale for each row or for all of them.
fn row_norm(g: &mut Gen) -> Option<()> {
    use neurax_ir::composite::{LayerNormalization, RmsNormalization};
    let x = g.pick_value(DType::F64);
    let shape = g.ty(x).shape;
    let (n, epsilon) = (*shape.last().filter(|&&n| n > 0)?, 1.0.into());
    let scale = if g.rng.one_in(3) { shape.clone() } else { Shape::from([n]) };
    let scale = g.pick_shaped(DType::F64, &scale);
    let y = if g.rng.one_in(2) {
        let op = LayerNormalization { epsilon, scale: true, bias: true };
        let bias = g.pick_shaped(DType::F64, &Shape::from([n]));
        g.emit(Composite::from(op), &[x.v, scale.v, bias.v])
    } else {
        g.emit(Composite::from(RmsNormalization { epsilon, scale: true }), &[x.v, scale.v])
    };
    g.keep(y, 2.0 * x.bound * scale.bound + 4.0)
}

/// Emits batch normalization with the statistics of the batch, or with given ones.
fn batch_norm(g: &mut Gen) -> Option<()> {
    use neurax_ir::composite::{BatchNormInference, BatchNormTraining};
    let x = g.pick_value(DType::F64);
    let shape = g.ty(x).shape;
    if shape.rank() == 0 || shape.size() == 0 {
        return None;
    }
    let (axis, batch, epsilon) = (g.rng.below(shape.rank()), 0, 1.0.into());
    let vector = Shape::from([shape[axis]]);
    let [scale, bias, mean] = [0, 1, 2].map(|_| g.pick_shaped(DType::F64, &vector));
    let bound = scale.bound * (x.bound + mean.bound) * 2.0 + bias.bound;
    if g.rng.one_in(2) {
        let var = g.pick_shaped(DType::F64, &vector);
        let var = g.positive(var.v);
        let op = BatchNormInference { axis, batch, epsilon };
        let y = g.emit(Composite::from(op), &[x.v, scale.v, bias.v, mean.v, var]);
        return g.keep(y, bound);
    }
    let op = BatchNormTraining { axis, batch, epsilon };
    let ys = g.b.emit_n(Composite::from(op), &[x.v, scale.v, bias.v], 3);
    g.keep(ys[0], bound)?;
    g.keep(ys[1], x.bound)?;
    g.keep(ys[2], x.bound * x.bound)
}

/// Emits the cross-entropy of labels that are integers of the program, some of them out of range
/// and replaced.
fn sparse_cross_entropy(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F64);
    let shape = g.ty(x).shape;
    let classes = *shape.last().filter(|&&n| n > 0)?;
    let labels = g.pick_shaped(DType::I32, &shape.removed(shape.rank() - 1));
    let classes = g.b.full_like(labels.v, classes as f64);
    let labels = g.b.rem(labels.v, classes);
    let labels = g.b.abs(labels);
    let op = Composite::from(neurax_ir::composite::SparseCrossEntropy {});
    let y = g.emit(op, &[x.v, labels]);
    g.keep(y, 2.0 * x.bound + 4.0)
}

/// Emits the product of a sparse matrix, some of whose elements are out of bounds, with a vector or
/// a matrix.
fn sparse_dot(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F64);
    let shape = g.ty(x).shape;
    if !matches!(shape.rank(), 1 | 2) {
        return None;
    }
    let (rows, stored) = (1 + g.rng.below(4), Shape::from([g.rng.below(6)]));
    let values = g.pick_shaped(DType::F64, &stored);
    let [to, from] = [0, 1].map(|_| g.pick_shaped(DType::I32, &stored));
    let op = Composite::from(neurax_ir::composite::SparseDot { rows });
    let y = g.emit(op, &[values.v, to.v, from.v, x.v]);
    g.keep(y, x.bound * values.bound * stored.size() as f64 + 1.0)
}

fn logaddexp(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F64);
    let shape = g.ty(x).shape;
    let y = g.pick_shaped(DType::F64, &shape);
    let sum = g.emit(Composite::from(neurax_ir::composite::LogAddExp {}), &[x.v, y.v]);
    g.keep(sum, x.bound.max(y.bound) + 1.0)
}

/// Emits `hypot` with one positive operand, as it is not smooth at `(0, 0)`.
fn hypot(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F64);
    let shape = g.ty(x).shape;
    let other = g.pick_shaped(DType::F64, &shape);
    let y = g.positive(other.v);
    let length = g.emit(Composite::from(neurax_ir::composite::Hypot {}), &[x.v, y]);
    g.keep(length, x.bound + 3.0)
}

/// Emits the solution of a diagonal system, which takes other routes than a quotient when it is
/// differentiated.
fn linear_solve(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F64);
    let ty = g.ty(x);
    let other = g.pick_shaped(DType::F64, &ty.shape);
    let diagonal = g.positive(other.v);
    let graph = |op: Binary| {
        let mut b = Builder::new();
        let (p, x) = (b.input(ty.clone()), b.input(ty.clone()));
        let y = b.emit(op, &[x, p]);
        b.finish(&[y]).ok().map(Arc::new)
    };
    let solve = graph(Binary::Div)?;
    let op = LinearSolve {
        captures: 1,
        matvec: graph(Binary::Mul)?,
        transpose_solve: Some(solve.clone()),
        solve,
    };
    let y = g.emit(Composite::from(op), &[diagonal, x.v]);
    g.keep(y, 2.0 * x.bound)
}

thread_local! {
    static ROWS: Vec<Sample> = <Composite as Primitive>::samples();
}

/// Emits a quantized product of constants: a function that rounds has no derivative to compare.
fn quantized_dot(g: &mut Gen) -> Option<()> {
    let [rows, depth, columns] = [2, 3, 2].map(|most| g.rng.between(1, most));
    let weights = [columns.div_ceil(COLUMN_BLOCK), 1, COLUMN_BLOCK, 4];
    let mut constant = |dtype: DType, shape: &[usize], scale: f64| {
        let n = shape.iter().product();
        let x: Vec<f64> = (0..n).map(|_| g.rng.below(100) as f64 * scale).collect();
        g.b.constant(Literal::from_f64s(dtype, shape.to_vec(), &x))
    };
    let operands = [
        constant(DType::U8, &[rows, depth], 1.0),
        constant(DType::I8, &weights, 1.0),
        constant(DType::I32, &[columns], -1.0),
        constant(DType::F32, &[columns], 1e-4),
        constant(DType::F32, &[columns], 1e-2),
    ];
    let op = QuantizedDot { columns, zero_point: 0, dtype: DType::F32 };
    let y = g.emit(Composite::from(op), &operands);
    g.keep(y, 400.0)
}
