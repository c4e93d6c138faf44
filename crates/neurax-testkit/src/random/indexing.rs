//! Generator rules for ops that read or write at indices, constant or computed.

use super::generate::{Gen, GenRule};
use neurax_ir::op::*;
use neurax_ir::{DType, Literal, Shape, Value};

pub(super) const INDEXING_RULES: &[GenRule] =
    &[gather, scatter_add, scatter_unique, scatter_integers, dynamic_slice, dynamic_update_slice];

/// A gather and the shapes of its indices and its result.
struct GatherSpec {
    op: Gather,
    indices: Shape,
    out: Shape,
}

fn gather_spec(g: &mut Gen, shape: &Shape) -> Option<GatherSpec> {
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
    let window: Vec<usize> = (0..rank)
        .filter(|a| !collapsed.contains(a) && !operand_batch.contains(a))
        .map(|a| sizes[a])
        .collect();
    let total = indices.len() + window.len();
    let mut offset_dims = g.rng.permutation(total)[..window.len()].to_vec();
    offset_dims.sort();
    let (mut w, mut i) = (window.iter(), indices.iter());
    let out: Shape = (0..total)
        .filter_map(|k| if offset_dims.contains(&k) { w.next() } else { i.next() })
        .copied()
        .collect();
    indices.push(index_map.len());
    let mode = g.rng.pick(OutOfBounds::ALL);
    let op =
        Gather { offset_dims, collapsed, operand_batch, indices_batch, index_map, sizes, mode };
    (!g.is_too_large(&out)).then(|| GatherSpec { op, indices: indices.into(), out })
}

fn gather(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.pick_value(dtype);
    let w = gather_spec(g, &g.ty(x).shape)?;
    let at = g.pick_shaped(DType::I32, &w.indices);
    let y = g.emit(w.op, &[x.v, at.v]);
    g.keep(y, x.bound)
}

fn scatter_like(w: &Gather, kind: ScatterKind, unique: bool) -> Scatter {
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
    let x = g.pick_value(DType::F64);
    let w = gather_spec(g, &g.ty(x).shape)?;
    let at = g.pick_shaped(DType::I32, &w.indices);
    let updates = g.pick_shaped(DType::F64, &w.out);
    let y = g.emit(scatter_like(&w.op, ScatterKind::Add, false), &[x.v, at.v, updates.v]);
    g.keep(y, x.bound + updates.bound * w.out.size() as f64)
}

/// Emits a scatter with distinct indices.
fn scatter_unique(g: &mut Gen) -> Option<()> {
    let x = g.pick_value(DType::F64);
    let shape = g.ty(x).shape;
    if shape.rank() == 0 || shape.contains(&0) {
        return None;
    }
    let axis = g.rng.below(shape.rank());
    let count = g.rng.between(1, shape[axis]);
    let rows: Vec<f64> =
        g.rng.permutation(shape[axis])[..count].iter().map(|&i| i as f64).collect();
    let at = g.b.constant(Literal::from_f64s(DType::I32, [count, 1], &rows));
    let rest = shape.removed(axis);
    let updates = g.pick_shaped(DType::F64, &rest.inserted(0, count));
    let (kind, mode) = (
        g.rng.pick(&[ScatterKind::Set, ScatterKind::Mul, ScatterKind::Add]),
        g.rng.pick(OutOfBounds::ALL),
    );
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
    let x = g.pick_value(DType::I32);
    let w = gather_spec(g, &g.ty(x).shape)?;
    let (at, updates) = (g.pick_shaped(DType::I32, &w.indices), g.pick_shaped(DType::I32, &w.out));
    let kind = g.rng.pick(ScatterKind::ALL);
    let y = g.emit(scatter_like(&w.op, kind, false), &[x.v, at.v, updates.v]);
    g.keep(y, 1e9)
}

/// Picks computed or constant start indices for `shape`.
fn start_indices(g: &mut Gen, shape: &Shape) -> Value {
    if g.rng.one_in(2) {
        return g.pick_shaped(DType::I32, &Shape::from([shape.rank()])).v;
    }
    let at: Vec<f64> = shape.iter().map(|&d| g.rng.below(d + 1) as f64).collect();
    g.b.constant(Literal::from_f64s(DType::I32, [shape.rank()], &at))
}

fn dynamic_slice(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.pick_value(dtype);
    let shape = g.ty(x).shape;
    let sizes: Vec<usize> = shape.iter().map(|&d| g.rng.between(d.min(1), d)).collect();
    let at = start_indices(g, &shape);
    let y = g.emit(DynamicSlice { sizes }, &[x.v, at]);
    g.keep(y, x.bound)
}

fn dynamic_update_slice(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.pick_value(dtype);
    let shape = g.ty(x).shape;
    let sizes: Shape = shape.iter().map(|&d| g.rng.between(d.min(1), d)).collect();
    let update = g.pick_shaped(dtype, &sizes);
    let at = start_indices(g, &shape);
    let y = g.emit(DynamicUpdateSlice {}, &[x.v, update.v, at]);
    g.keep(y, x.bound.max(update.bound))
}
