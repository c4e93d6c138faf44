//! Rules for ops that move elements, and that make many of few or few of many.

use super::generate::{Gen, Rule, Slot, any_shape};
use neurax_ir::op::*;
use neurax_ir::{DType, Literal, Shape, Value};

pub(super) const RULES: &[Rule] = &[
    broadcast,
    reshape,
    transpose,
    slice,
    pad,
    concat,
    reverse,
    sum,
    product,
    largest,
    arg_reduce,
    sort_by_floats,
    sort_by_integers,
    dot,
    dot,
    gather,
    scatter_add,
    scatter_unique,
    scatter_integers,
    dynamic_slice,
    dynamic_update_slice,
    composite,
    cumulative,
    cross_entropy,
];

fn broadcast(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.any(dtype);
    let old = g.ty(x).shape;
    let mut shape: Vec<usize> = vec![];
    let mut dims = vec![];
    for &d in old.iter() {
        if g.rng.one_in(3) {
            shape.push(g.rng.between(1, 3));
        }
        dims.push(shape.len());
        shape.push(if d == 1 && g.rng.one_in(2) { g.rng.between(1, 3) } else { d });
    }
    if g.rng.one_in(2) || shape.is_empty() {
        shape.push(g.rng.between(1, 3));
    }
    if g.is_big(&shape) {
        return None;
    }
    let y = g.emit(Broadcast { shape: shape.into(), dims }, &[x.v]);
    g.keep(y, x.bound)
}

fn reshape(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.any(dtype);
    let old = g.ty(x).shape;
    let n = old.size();
    let factors: Vec<usize> = (1..=n).filter(|k| n.is_multiple_of(*k)).collect();
    let shape: Shape = match g.rng.below(3) {
        0 => Shape::from([n]),
        1 => old.inserted(g.rng.below(old.rank() + 1), 1),
        _ if n == 0 => Shape::from([0, 3]),
        _ => {
            let k = g.rng.pick(&factors);
            Shape::from([k, n / k])
        }
    };
    if g.is_big(&shape) {
        return None;
    }
    let y = g.b.reshape(x.v, shape);
    g.keep(y, x.bound)
}

fn transpose(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.any(dtype);
    let permutation = g.rng.permutation(g.b.ty(x.v).rank());
    let y = g.emit(Transpose { permutation }, &[x.v]);
    g.keep(y, x.bound)
}

fn slice(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.any(dtype);
    let (mut start, mut limit, mut stride) = (vec![], vec![], vec![]);
    for &d in g.ty(x).shape.iter() {
        let from = g.rng.below(d);
        start.push(from);
        limit.push(if g.rng.one_in(8) { from } else { g.rng.between(from.min(d), d).max((from + 1).min(d)) });
        stride.push(g.rng.between(1, 3));
    }
    let y = g.emit(Slice { start, limit, stride }, &[x.v]);
    g.keep(y, x.bound)
}

fn pad(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.any(dtype);
    let fill = g.shaped(dtype, &Shape::scalar());
    let (mut low, mut high, mut interior, mut shape) = (vec![], vec![], vec![], vec![]);
    for &d in g.ty(x).shape.iter() {
        let between = g.rng.below(2);
        let wide = (d + between * d.saturating_sub(1)) as i64;
        let before = g.rng.below(4) as i64 - 1;
        let after = (g.rng.below(4) as i64 - 1).max(-wide - before);
        low.push(before);
        high.push(after);
        interior.push(between);
        shape.push((wide + before + after).max(0) as usize);
    }
    if g.is_big(&shape) || low.iter().zip(&high).zip(&g.ty(x).shape[..]).any(|((l, h), &d)| d as i64 + l < 0 || d as i64 + h < 0) {
        return None;
    }
    let y = g.emit(Pad { low, high, interior }, &[x.v, fill.v]);
    g.keep(y, x.bound.max(fill.bound))
}

fn concat(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.any(dtype);
    let mut shape = g.ty(x).shape;
    if shape.rank() == 0 {
        return None;
    }
    let axis = g.rng.below(shape.rank());
    let mut long = shape.clone();
    shape[axis] = g.rng.between(0, 3);
    let y = g.shaped(dtype, &shape);
    long[axis] += shape[axis];
    if g.is_big(&long) {
        return None;
    }
    let z = g.emit(Concatenate { axis }, &[x.v, y.v]);
    g.keep(z, x.bound.max(y.bound))
}

fn axes(g: &mut Gen, rank: usize) -> Vec<usize> {
    let count = g.rng.between(1, rank.max(1)).min(rank);
    g.rng.permutation(rank)[..count].to_vec()
}

fn reverse(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.any(dtype);
    let rank = g.ty(x).rank();
    let axes = axes(g, rank);
    let y = g.emit(Reverse { axes }, &[x.v]);
    g.keep(y, x.bound)
}

fn sum(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.any(dtype);
    let ty = g.ty(x);
    let axes = axes(g, ty.rank());
    let y = g.emit(Reduce { kind: ReduceKind::Sum, axes }, &[x.v]);
    g.keep(y, x.bound * ty.size() as f64)
}

fn product(g: &mut Gen) -> Option<()> {
    let x = g.any(DType::F64);
    let ty = g.ty(x);
    let axes = axes(g, ty.rank());
    let n: usize = axes.iter().map(|&a| ty.shape[a]).product();
    if n > 6 {
        return None;
    }
    let y = g.emit(Reduce { kind: ReduceKind::Prod, axes }, &[x.v]);
    g.keep(y, x.bound.max(1.0).powi(n as i32))
}

/// Of elements that are kept apart in double precision, of any other ones else.
fn largest(g: &mut Gen) -> Option<()> {
    let dtype = g.rng.pick(&[DType::F64, DType::F64, DType::F32, DType::I32]);
    let x = g.any(dtype);
    let ty = g.ty(x);
    let axes = axes(g, ty.rank());
    if axes.iter().any(|&a| ty.shape[a] == 0) {
        return None;
    }
    let kind = g.rng.pick(&[ReduceKind::Max, ReduceKind::Min]);
    let gap = 3.0 * x.bound;
    let (v, bound) = if dtype == DType::F64 {
        let apart = g.apart(&ty.shape, gap);
        (g.b.add(x.v, apart), x.bound + gap * ty.size() as f64)
    } else {
        (x.v, x.bound)
    };
    let y = g.emit(Reduce { kind, axes }, &[v]);
    g.keep(y, bound)
}

fn arg_reduce(g: &mut Gen) -> Option<()> {
    let dtype = g.rng.pick(&[DType::F32, DType::I32]);
    let x = g.any(dtype);
    let shape = g.ty(x).shape;
    let axis = g.rng.below(shape.rank());
    if shape.get(axis).is_none_or(|&d| d == 0) {
        return None;
    }
    let kind = g.rng.pick(ArgKind::ALL);
    let y = g.emit(ArgReduce { kind, axis }, &[x.v]);
    g.keep(y, 4.0)
}

/// Keys in double precision that are kept apart, with another operand taken along.
fn sort_by_floats(g: &mut Gen) -> Option<()> {
    let x = g.any(DType::F64);
    let shape = g.ty(x).shape;
    if shape.rank() == 0 {
        return None;
    }
    let dtype = g.dtype();
    let with = g.shaped(dtype, &shape);
    let gap = 3.0 * x.bound;
    let apart = g.apart(&shape, gap);
    let key = g.b.add(x.v, apart);
    let axis = g.rng.below(shape.rank());
    let ys = g.b.emit_n(Sort { axis, keys: 1 }, &[key, with.v], 2);
    g.keep(ys[0], x.bound + gap * shape.size() as f64)?;
    g.keep(ys[1], with.bound)
}

fn sort_by_integers(g: &mut Gen) -> Option<()> {
    let x = g.any(DType::I32);
    let shape = g.ty(x).shape;
    if shape.rank() == 0 {
        return None;
    }
    let (second, with) = (g.shaped(DType::I32, &shape), g.shaped(DType::F64, &shape));
    let (axis, keys) = (g.rng.below(shape.rank()), g.rng.between(1, 2));
    let ys = g.b.emit_n(Sort { axis, keys }, &[x.v, second.v, with.v], 3);
    g.keep(ys[0], x.bound)?;
    g.keep(ys[2], with.bound)
}

fn dot(g: &mut Gen) -> Option<()> {
    let dtype = g.rng.pick(&[DType::F64, DType::F64, DType::F64, DType::F32, DType::I32, DType::C128]);
    let x = g.any(dtype);
    let shape = g.ty(x).shape;
    let order = g.rng.permutation(shape.rank());
    let batch = g.rng.below(2).min(order.len());
    let contract = g.rng.between(0, 2).min(order.len() - batch);
    let (lhs_batch, lhs_contract) = (order[..batch].to_vec(), order[batch..batch + contract].to_vec());
    // The right operand's axes: those that meet an axis of the left one, and free ones, in random order.
    let mut sizes: Vec<usize> = order[..batch + contract].iter().map(|&a| shape[a]).collect();
    sizes.extend((0..g.rng.below(2)).map(|_| g.rng.between(1, 3)).collect::<Vec<_>>());
    let places = g.rng.permutation(sizes.len());
    let mut rhs: Shape = vec![0; sizes.len()].into();
    sizes.iter().zip(&places).for_each(|(&d, &p)| rhs[p] = d);
    let y = g.shaped(dtype, &rhs);
    let free = order[batch + contract..].iter().map(|&a| shape[a]);
    let out: Vec<usize> = lhs_batch.iter().map(|&a| shape[a]).chain(free).chain(sizes[batch + contract..].iter().copied()).collect();
    if g.is_big(&out) {
        return None;
    }
    let n: usize = lhs_contract.iter().map(|&a| shape[a]).product();
    let op =
        DotGeneral { lhs_batch, rhs_batch: places[..batch].to_vec(), lhs_contract, rhs_contract: places[batch..batch + contract].to_vec(), dtype };
    let z = g.emit(op, &[x.v, y.v]);
    g.keep(z, 2.0 * x.bound * y.bound * n as f64)
}

/// Numbers for a gather from `shape`, and the shapes of its indices and its result.
struct Windows {
    op: Gather,
    indices: Shape,
    out: Shape,
}

fn windows(g: &mut Gen, shape: &Shape) -> Option<Windows> {
    let rank = shape.rank();
    if rank == 0 || shape.contains(&0) {
        return None;
    }
    let order = g.rng.permutation(rank);
    let batch = if rank > 1 && g.rng.one_in(3) { 1 } else { 0 };
    let operand_batch = order[..batch].to_vec();
    let index_map = order[batch..batch + g.rng.between(1, rank - batch)].to_vec();
    let mut sizes = vec![1; rank];
    let mut collapsed = vec![];
    for a in (0..rank).filter(|a| !operand_batch.contains(a)) {
        sizes[a] = g.rng.between(1, shape[a]);
        if sizes[a] == 1 && g.rng.one_in(2) {
            collapsed.push(a);
        }
    }
    let mut indices: Vec<usize> = (0..g.rng.below(2)).map(|_| g.rng.between(1, 3)).collect();
    let indices_batch: Vec<usize> = operand_batch.iter().map(|_| indices.len()).collect();
    indices.extend(operand_batch.iter().map(|&a| shape[a]));
    let window: Vec<usize> = (0..rank).filter(|a| !collapsed.contains(a) && !operand_batch.contains(a)).map(|a| sizes[a]).collect();
    let total = indices.len() + window.len();
    let mut offset_dims = g.rng.permutation(total)[..window.len()].to_vec();
    offset_dims.sort();
    let (mut w, mut i) = (window.iter(), indices.iter());
    let out: Shape = (0..total).filter_map(|k| if offset_dims.contains(&k) { w.next() } else { i.next() }).copied().collect();
    indices.push(index_map.len());
    let mode = g.rng.pick(OutOfBounds::ALL);
    let op = Gather { offset_dims, collapsed, operand_batch, indices_batch, index_map, sizes, mode };
    (!g.is_big(&out)).then(|| Windows { op, indices: indices.into(), out })
}

fn gather(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.any(dtype);
    let w = windows(g, &g.ty(x).shape)?;
    let at = g.shaped(DType::I32, &w.indices);
    let y = g.emit(w.op, &[x.v, at.v]);
    g.keep(y, x.bound)
}

fn mirrored(w: &Gather, kind: ScatterKind, unique: bool) -> Scatter {
    let w = w.clone();
    Scatter {
        kind,
        window_dims: w.offset_dims,
        inserted: w.collapsed,
        operand_batch: w.operand_batch,
        indices_batch: w.indices_batch,
        index_map: w.index_map,
        mode: w.mode,
        unique,
    }
}

fn scatter_add(g: &mut Gen) -> Option<()> {
    let x = g.any(DType::F64);
    let w = windows(g, &g.ty(x).shape)?;
    let at = g.shaped(DType::I32, &w.indices);
    let updates = g.shaped(DType::F64, &w.out);
    let y = g.emit(mirrored(&w.op, ScatterKind::Add, false), &[x.v, at.v, updates.v]);
    g.keep(y, x.bound + updates.bound * w.out.size() as f64)
}

/// Writes rows whose places are different.
fn scatter_unique(g: &mut Gen) -> Option<()> {
    let x = g.any(DType::F64);
    let shape = g.ty(x).shape;
    if shape.rank() == 0 || shape.contains(&0) {
        return None;
    }
    let axis = g.rng.below(shape.rank());
    let count = g.rng.between(1, shape[axis]);
    let rows: Vec<f64> = g.rng.permutation(shape[axis])[..count].iter().map(|&i| i as f64).collect();
    let at = g.b.constant(Literal::from_f64s(DType::I32, [count, 1], &rows));
    let rest = shape.removed(axis);
    let updates = g.shaped(DType::F64, &rest.inserted(0, count));
    let (kind, mode) = (g.rng.pick(&[ScatterKind::Set, ScatterKind::Mul, ScatterKind::Add]), g.rng.pick(OutOfBounds::ALL));
    let op = Scatter {
        kind,
        window_dims: (1..=rest.rank()).collect(),
        inserted: vec![axis],
        operand_batch: vec![],
        indices_batch: vec![],
        index_map: vec![axis],
        mode,
        unique: true,
    };
    let y = g.emit(op, &[x.v, at, updates.v]);
    g.keep(y, (x.bound + updates.bound).max(x.bound * updates.bound))
}

fn scatter_integers(g: &mut Gen) -> Option<()> {
    let x = g.any(DType::I32);
    let w = windows(g, &g.ty(x).shape)?;
    let (at, updates) = (g.shaped(DType::I32, &w.indices), g.shaped(DType::I32, &w.out));
    let kind = g.rng.pick(ScatterKind::ALL);
    let y = g.emit(mirrored(&w.op, kind, false), &[x.v, at.v, updates.v]);
    g.keep(y, 1e9)
}

/// A place as data, or a known one.
fn place(g: &mut Gen, shape: &Shape) -> Value {
    if g.rng.one_in(2) {
        return g.shaped(DType::I32, &Shape::from([shape.rank()])).v;
    }
    let at: Vec<f64> = shape.iter().map(|&d| g.rng.below(d + 1) as f64).collect();
    g.b.constant(Literal::from_f64s(DType::I32, [shape.rank()], &at))
}

fn dynamic_slice(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.any(dtype);
    let shape = g.ty(x).shape;
    let sizes: Vec<usize> = shape.iter().map(|&d| g.rng.between(d.min(1), d)).collect();
    let at = place(g, &shape);
    let y = g.emit(DynamicSlice { sizes }, &[x.v, at]);
    g.keep(y, x.bound)
}

fn dynamic_update_slice(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.any(dtype);
    let shape = g.ty(x).shape;
    let sizes: Shape = shape.iter().map(|&d| g.rng.between(d.min(1), d)).collect();
    let update = g.shaped(dtype, &sizes);
    let at = place(g, &shape);
    let y = g.emit(DynamicUpdateSlice {}, &[x.v, update.v, at]);
    g.keep(y, x.bound.max(update.bound))
}

/// Composites that are smooth for all operands.
const SMOOTH: [&str; 5] = ["softmax", "log_softmax", "logsumexp", "gelu", "silu"];

/// A named composite of one operand, as it stands in the sample rows.
fn composite(g: &mut Gen) -> Option<()> {
    let fits = |s: &Sample| {
        SMOOTH.contains(&s.op.name()) && s.smooth && s.inputs.len() == 1 && s.inputs[0].dtype() == DType::F64 && s.inputs[0].ty().size() > 0
    };
    let rows: Vec<Sample> = ROWS.with(|r| r.iter().filter(|s| fits(s)).cloned().collect());
    if rows.is_empty() {
        return None;
    }
    let row = g.rng.pick(&rows);
    let shape = if row.op.name() == "gelu" { any_shape(&mut g.rng) } else { row.inputs[0].shape().clone() };
    let Slot { v, bound } = g.shaped(DType::F64, &shape);
    let y = g.emit(row.op, &[v]);
    g.keep(y, 2.0 * bound * shape.size() as f64 + 4.0)
}

fn cumulative(g: &mut Gen) -> Option<()> {
    use neurax_ir::composite::{Cumulative, CumulativeKind};
    let x = g.any(DType::F64);
    let shape = g.ty(x).shape;
    if shape.rank() == 0 {
        return None;
    }
    let kind = g.rng.pick(&[CumulativeKind::Sum, CumulativeKind::Prod, CumulativeKind::LogSumExp]);
    let (axis, reverse) = (g.rng.below(shape.rank()), g.rng.one_in(2));
    let y = g.emit(Composite::from(Cumulative { kind, axis, reverse }), &[x.v]);
    let n = shape[axis] as f64;
    g.keep(y, if kind == CumulativeKind::Prod { x.bound.max(1.0).powf(n) } else { (x.bound + 2.0) * n })
}

fn cross_entropy(g: &mut Gen) -> Option<()> {
    let x = g.any(DType::F64);
    let shape = g.ty(x).shape;
    if shape.last().is_none_or(|&d| d == 0) {
        return None;
    }
    let labels = g.shaped(DType::F64, &shape);
    let y = g.emit(Composite::from(neurax_ir::composite::CrossEntropy {}), &[x.v, labels.v]);
    g.keep(y, (2.0 * x.bound + 2.0) * labels.bound * 4.0)
}

thread_local! {
    static ROWS: Vec<Sample> = <Composite as Primitive>::samples();
}
