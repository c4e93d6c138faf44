//! Generator rules for ops that move, repeat or reduce elements.

use super::generate::{Gen, GenRule};
use neurax_ir::op::*;
use neurax_ir::{DType, Shape};

pub(super) const MOVEMENT_RULES: &[GenRule] = &[
    broadcast,
    reshape,
    transpose,
    slice,
    pad,
    concat,
    reverse,
    reduce_sum,
    reduce_product,
    extremum,
    arg_reduce,
    sort_by_floats,
    sort_by_integers,
    fft,
    dot,
    dot,
];

fn broadcast(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.pick_value(dtype);
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
    if g.is_too_large(&shape) {
        return None;
    }
    let y = g.emit(Broadcast { shape: shape.into(), dims }, &[x.v]);
    g.keep(y, x.bound)
}

fn reshape(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.pick_value(dtype);
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
    if g.is_too_large(&shape) {
        return None;
    }
    let y = g.b.reshape(x.v, shape);
    g.keep(y, x.bound)
}

fn transpose(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.pick_value(dtype);
    let permutation = g.rng.permutation(g.b.ty(x.v).rank());
    let y = g.emit(Transpose { permutation }, &[x.v]);
    g.keep(y, x.bound)
}

fn slice(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.pick_value(dtype);
    let (mut start, mut limit, mut stride) = (vec![], vec![], vec![]);
    for &d in g.ty(x).shape.iter() {
        let from = g.rng.below(d);
        start.push(from);
        limit.push(if g.rng.one_in(8) {
            from
        } else {
            g.rng.between(from.min(d), d).max((from + 1).min(d))
        });
        stride.push(g.rng.between(1, 3));
    }
    let y = g.emit(Slice { start, limit, stride }, &[x.v]);
    g.keep(y, x.bound)
}

fn pad(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.pick_value(dtype);
    let fill = g.pick_shaped(dtype, &Shape::scalar());
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
    if g.is_too_large(&shape)
        || low
            .iter()
            .zip(&high)
            .zip(&g.ty(x).shape[..])
            .any(|((l, h), &d)| d as i64 + l < 0 || d as i64 + h < 0)
    {
        return None;
    }
    let y = g.emit(Pad { low, high, interior }, &[x.v, fill.v]);
    g.keep(y, x.bound.max(fill.bound))
}

fn concat(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.pick_value(dtype);
    let mut shape = g.ty(x).shape;
    if shape.rank() == 0 {
        return None;
    }
    let axis = g.rng.below(shape.rank());
    let mut long = shape.clone();
    shape[axis] = g.rng.between(0, 3);
    let y = g.pick_shaped(dtype, &shape);
    long[axis] += shape[axis];
    if g.is_too_large(&long) {
        return None;
    }
    let z = g.emit(Concatenate { axis }, &[x.v, y.v]);
    g.keep(z, x.bound.max(y.bound))
}

fn pick_axes(g: &mut Gen, rank: usize) -> Vec<usize> {
    let count = g.rng.between(1, rank.max(1)).min(rank);
    g.rng.permutation(rank)[..count].to_vec()
}

fn reverse(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.pick_value(dtype);
    let rank = g.ty(x).rank();
    let axes = pick_axes(g, rank);
    let y = g.emit(Reverse { axes }, &[x.v]);
    g.keep(y, x.bound)
}

fn reduce_sum(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.pick_value(dtype);
    let ty = g.ty(x);
    let axes = pick_axes(g, ty.rank());
    let y = g.emit(Reduce { kind: ReduceKind::Sum, axes }, &[x.v]);
    g.keep(y, x.bound * ty.size() as f64)
}

fn reduce_product(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F64);
    let ty = g.ty(x);
    let axes = pick_axes(g, ty.rank());
    let n: usize = axes.iter().map(|&a| ty.shape[a]).product();
    if n > 6 {
        return None;
    }
    let y = g.emit(Reduce { kind: ReduceKind::Prod, axes }, &[x.v]);
    g.keep(y, x.bound.max(1.0).powi(n as i32))
}

/// Emits a maximum or minimum, in double precision of elements that are kept apart.
fn extremum(g: &mut Gen) -> Option<()> {
    let dtype = g.rng.pick(&[DType::F64, DType::F64, DType::F32, DType::I32]);
    let x = g.pick_value(dtype);
    let ty = g.ty(x);
    let axes = pick_axes(g, ty.rank());
    if axes.iter().any(|&a| ty.shape[a] == 0) {
        return None;
    }
    let kind = g.rng.pick(&[ReduceKind::Max, ReduceKind::Min]);
    let gap = 3.0 * x.bound;
    let (v, bound) = if dtype == DType::F64 {
        let apart = g.distinct(&ty.shape, gap);
        (g.b.add(x.v, apart), x.bound + gap * ty.size() as f64)
    } else {
        (x.v, x.bound)
    };
    let y = g.emit(Reduce { kind, axes }, &[v]);
    g.keep(y, bound)
}

fn arg_reduce(g: &mut Gen) -> Option<()> {
    let dtype = g.rng.pick(&[DType::F32, DType::I32]);
    let x = g.pick_value(dtype);
    let shape = g.ty(x).shape;
    let axis = g.rng.below(shape.rank());
    if shape.get(axis).is_none_or(|&d| d == 0) {
        return None;
    }
    let kind = g.rng.pick(ArgKind::ALL);
    let y = g.emit(ArgReduce { kind, axis }, &[x.v]);
    g.keep(y, 4.0)
}

/// Sorts keys in double precision that are kept apart, with another operand.
fn sort_by_floats(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F64);
    let shape = g.ty(x).shape;
    if shape.rank() == 0 {
        return None;
    }
    let dtype = g.dtype();
    let with = g.pick_shaped(dtype, &shape);
    let gap = 3.0 * x.bound;
    let apart = g.distinct(&shape, gap);
    let key = g.b.add(x.v, apart);
    let axis = g.rng.below(shape.rank());
    let ys = g.b.emit_n(Sort { axis, keys: 1 }, &[key, with.v], 2);
    g.keep(ys[0], x.bound + gap * shape.size() as f64)?;
    g.keep(ys[1], with.bound)
}

fn sort_by_integers(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::I32);
    let shape = g.ty(x).shape;
    if shape.rank() == 0 {
        return None;
    }
    let (second, with) = (g.pick_shaped(DType::I32, &shape), g.pick_shaped(DType::F64, &shape));
    let (axis, keys) = (g.rng.below(shape.rank()), g.rng.between(1, 2));
    let ys = g.b.emit_n(Sort { axis, keys }, &[x.v, second.v, with.v], 3);
    g.keep(ys[0], x.bound)?;
    g.keep(ys[2], with.bound)
}

/// Transforms the last axes of a value; those of an inverse real transform have no other sizes.
fn fft(g: &mut Gen) -> Option<()> {
    let kind = g.rng.pick(FftKind::ALL);
    let x = g.pick_value(if kind == FftKind::Rfft { DType::F64 } else { DType::C128 });
    let shape = g.ty(x).shape;
    if shape.rank() == 0 {
        return None;
    }
    let axes = g.rng.between(1, shape.rank());
    let mut lengths = shape[shape.rank() - axes..].to_vec();
    if let (FftKind::Irfft, Some(n)) = (kind, lengths.last_mut()) {
        // One entry is that of one number: no length of 0 has an entry.
        *n = if *n > 1 { 2 * *n - g.rng.between(1, 2) } else { *n };
    }
    let terms: usize = lengths.iter().product();
    let sum = if kind.is_inverse() { 2.0 } else { 2.0 * terms as f64 };
    let y = g.emit(Fft { kind, lengths }, &[x.v]);
    g.keep(y, x.bound * sum)
}

fn dot(g: &mut Gen) -> Option<()> {
    let dtype =
        g.rng.pick(&[DType::F64, DType::F64, DType::F64, DType::F32, DType::I32, DType::C128]);
    let x = g.pick_value(dtype);
    let shape = g.ty(x).shape;
    let order = g.rng.permutation(shape.rank());
    let batch = g.rng.below(2).min(order.len());
    let contract = g.rng.between(0, 2).min(order.len() - batch);
    let (lhs_batch, lhs_contract) =
        (order[..batch].to_vec(), order[batch..batch + contract].to_vec());
    // The right operand's axes: those paired with an axis of the left one, and free ones, in random
    // order.
    let mut sizes: Vec<usize> = order[..batch + contract].iter().map(|&a| shape[a]).collect();
    sizes.extend((0..g.rng.below(2)).map(|_| g.rng.between(1, 3)).collect::<Vec<_>>());
    let places = g.rng.permutation(sizes.len());
    let mut rhs: Shape = vec![0; sizes.len()].into();
    sizes.iter().zip(&places).for_each(|(&d, &p)| rhs[p] = d);
    let y = g.pick_shaped(dtype, &rhs);
    let free = order[batch + contract..].iter().map(|&a| shape[a]);
    let out: Vec<usize> = lhs_batch
        .iter()
        .map(|&a| shape[a])
        .chain(free)
        .chain(sizes[batch + contract..].iter().copied())
        .collect();
    if g.is_too_large(&out) {
        return None;
    }
    let n: usize = lhs_contract.iter().map(|&a| shape[a]).product();
    let op = DotGeneral {
        lhs_batch,
        rhs_batch: places[..batch].to_vec(),
        lhs_contract,
        rhs_contract: places[batch..batch + contract].to_vec(),
        dtype,
    };
    let z = g.emit(op, &[x.v, y.v]);
    g.keep(z, 2.0 * x.bound * y.bound * n as f64)
}
