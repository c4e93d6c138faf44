//! Products of a sparse matrix with dense operands.
//!
//! The composite is linear in the values and in the dense operand, so its tangents are products
//! again. The cotangent of the dense operand is the product with the transpose, which is the same
//! composite with rows and columns exchanged; that of a value is a sum of products of two gathered
//! rows. A batch of products is one product of a block-diagonal matrix; a batch of dense operands
//! alone has more columns.

use super::{Composite, Derivative, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{
    Axis, Batched, Binary, Bound, Direction, OutOfBounds, Primitive, Sample, Scatter, ScatterKind,
    Tangent, Transposed, rules::*,
};
use crate::{Builder, DType, Literal, Result, Type, Value, Values};

attrs! {
    /// The product of a sparse matrix `[rows, k]` with a dense vector `[k]` or matrix `[k, n]`:
    /// `y[to[i]] += values[i] · dense[from[i]]` for every stored element `i`. The operands are the
    /// values `[nse]`, the integers `to` and `from` `[nse]` (row and column), and the dense one.
    /// Elements with a row or column out of bounds are dropped.
    pub struct SparseDot = "sparse_dot" {
        /// The number of rows of the matrix.
        rows: usize,
    }
}

/// The operands of a product.
struct SparseOperands {
    values: Value,
    to: Value,
    from: Value,
    dense: Value,
}

impl SparseOperands {
    fn of(xs: &[Value]) -> SparseOperands {
        SparseOperands { values: xs[0], to: xs[1], from: xs[2], dense: xs[3] }
    }
}

impl SparseDot {
    /// Emits the cotangents of the values or of the dense operand.
    pub(super) fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let x = SparseOperands::of(at.xs);
        let k = b.ty(x.dense).shape[0];
        let mut out = vec![None; at.xs.len()];
        match (linear[0], linear[3]) {
            (true, true) => return Transposed::NotLinear,
            (true, false) => out[0] = cts[0].map(|ct| values_cotangent(b, at.xs, ct)),
            (false, true) => {
                let swapped = SparseDot { rows: k };
                out[3] = cts[0].map(|ct| b.emit(swapped, &[x.values, x.from, x.to, ct]));
            }
            // empty: no operand varies.
            (false, false) => {}
        }
        Transposed::Cotangents(out)
    }

    /// Applies `vmap`.
    pub(super) fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Batched {
        match dims {
            &[None, None, None, Some(d)] => self.batch_of_columns(b, xs, d),
            _ => {
                let xs = batch_front(b, axis, xs, dims);
                self.block_diagonal(b, &xs)
            }
        }
    }

    /// Emits the product with dense operands that are batched along axis `d`, as more columns.
    fn batch_of_columns(&self, b: &mut Builder, xs: &[Value], d: usize) -> Batched {
        let dense = b.move_axis(xs[3], d, 1);
        let (k, members) = (b.ty(dense).shape[0], b.ty(dense).shape[1..].to_vec());
        let columns = members.iter().product();
        let dense = b.reshape(dense, [k, columns]);
        let y = b.emit(self.clone(), &[xs[0], xs[1], xs[2], dense]);
        let y = b.reshape(y, [&[self.rows], &members[..]].concat());
        (Values::from_slice(&[y]), vec![Some(1)])
    }

    /// Emits the product of operands that all have a batch axis at the front: one product of the
    /// matrix with the members on its diagonal.
    fn block_diagonal(&self, b: &mut Builder, xs: &[Value]) -> Batched {
        let x = SparseOperands::of(xs);
        let dense = b.ty(x.dense).clone();
        let (members, k) = (dense.shape[0], dense.shape[1]);
        let [to, from] = [(x.to, self.rows), (x.from, k)].map(|(v, n)| in_block(b, v, n));
        let stored = b.ty(x.values).size();
        let values = b.reshape(x.values, [stored]);
        let rows = members.saturating_mul(self.rows);
        let tall = [&[members.saturating_mul(k)], &dense.shape[2..]].concat();
        let tall = b.reshape(x.dense, tall);
        let y = b.emit(SparseDot { rows }, &[values, to, from, tall]);
        let y = b.reshape(y, [&[members, self.rows], &dense.shape[2..]].concat());
        at_front(Values::from_slice(&[y]))
    }
}

/// Emits the sum over `n` of the products of row `to[i]` of the cotangent and row `from[i]` of
/// the dense operand.
fn values_cotangent(b: &mut Builder, xs: &[Value], ct: Value) -> Value {
    let x = SparseOperands::of(xs);
    let dtype = b.dtype(ct);
    let [ct, dense] = [ct, x.dense].map(|v| b.convert(v, dtype.at_least_f32()));
    // A dropped element has no cotangent, also beside infinities.
    let from = signed_indices(b, x.from, b.ty(dense).shape[0]);
    let has_column = inside(b, from, b.ty(dense).shape[0]);
    let to = signed_indices(b, x.to, b.ty(ct).shape[0]);
    let has_row = inside(b, to, b.ty(ct).shape[0]);
    let is_stored = b.and(has_row, has_column);
    let [to, from] = [rows_at(b, ct, to), rows_at(b, dense, from)];
    let product = b.mul(to, from);
    let axes: Vec<usize> = (1..b.ty(product).rank()).collect();
    let total = b.sum(product, &axes);
    let total = b.select_or_zero(is_stored, total);
    b.convert(total, dtype)
}

/// Emits the indices `[members, nse]` of members of `size` rows each as indices `[members · nse]`
/// of all their rows; those out of bounds stay out of bounds.
fn in_block(b: &mut Builder, indices: Value, size: usize) -> Value {
    let shape = b.ty(indices).shape.clone();
    let rows = shape[0].saturating_mul(size);
    let indices = signed_indices(b, indices, rows);
    let is_inside = inside(b, indices, size);
    let ty = b.ty(indices).clone();
    let member = b.iota(ty, 0);
    let scale = b.full_like(member, size as f64);
    let start = b.mul(member, scale);
    let moved = b.add(start, indices);
    let outside = b.full_like(moved, -1.0);
    let chosen = b.select(is_inside, moved, outside);
    b.reshape(chosen, [shape.size()])
}

/// Emits the rows of `x` at `indices`, zeros where they are out of bounds.
fn rows_at(b: &mut Builder, x: Value, indices: Value) -> Value {
    let ty = b.ty(x).clone();
    if ty.shape[0] == 0 {
        let shape = [&b.ty(indices).shape[..], &ty.shape[1..]].concat();
        return b.zeros(ty.with_shape(shape));
    }
    let indices = signed_indices(b, indices, ty.shape[0]);
    b.take(x, indices, 0, OutOfBounds::Drop)
}

/// Emits whether signed `indices` are those of one of `size` rows.
fn inside(b: &mut Builder, indices: Value, size: usize) -> Value {
    let (zero, end) = (b.full_like(indices, 0.0), b.full_like(indices, size as f64));
    let from_zero = b.compare(Direction::Ge, indices, zero);
    let below_end = b.compare(Direction::Lt, indices, end);
    b.and(from_zero, below_end)
}

impl Named for SparseDot {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 4)?;
        let [values, to, from, dense] = xs else {
            return refuse(Self::NAME, "expected 4 operands");
        };
        Binary::Mul.infer(&[values.clone(), values.clone()]).map_err(|e| e.inside(Self::NAME))?;
        let are_indices = [to, from].iter().all(|t| t.dtype.is_int() && t.shape == values.shape);
        let fits = matches!(dense.rank(), 1 | 2) && dense.dtype == values.dtype;
        if values.rank() != 1 || !are_indices || !fits {
            let want = "values [nse], integers [nse] twice, and a dense operand [k] or [k, n] of \
                        the dtype of the values";
            return refuse(Self::NAME, format!("expected {want}, got {}", list_types(xs)));
        }
        Ok(vec![dense.with_shape([&[self.rows], &dense.shape[1..]].concat())])
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let x = SparseOperands::of(xs);
        let dense = b.ty(x.dense).clone();
        let rows = rows_at(b, x.dense, x.from);
        let values = match dense.rank() {
            1 => x.values,
            _ => broadcast_along(b, x.values, 1, rows),
        };
        let terms = b.mul(values, rows);
        // A value without a column may be NaN: it is dropped by its row.
        let from = signed_indices(b, x.from, dense.shape[0]);
        let has_column = inside(b, from, dense.shape[0]);
        let to = signed_indices(b, x.to, self.rows);
        let outside = b.full_like(to, -1.0);
        let to = b.select(has_column, to, outside);
        let stored = b.ty(to).size();
        let to = b.reshape(to, [stored, 1]);
        let zeros = b.zeros(dense.with_shape([&[self.rows], &dense.shape[1..]].concat()));
        let op = Scatter {
            kind: ScatterKind::Add,
            window_dims: (1..dense.rank()).collect(),
            inserted: vec![0],
            operand_batch: vec![],
            indices_batch: vec![],
            index_map: vec![0],
            mode: OutOfBounds::Drop,
            unique: false,
        };
        Values::from_slice(&[b.emit(op, &[zeros, to, terms])])
    }

    /// Emits the product with the tangent of each of the two linear operands.
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        let mut total = None;
        for i in [0, 3] {
            let Some(dx) = dxs[i] else { continue };
            let mut xs = at.xs.to_vec();
            xs[i] = dx;
            let term = b.emit(self.clone(), &xs);
            total = b.add_tangents(total, Some(term));
        }
        Some(Ok(vec![total]))
    }

    // Not called: `Composite::batch` calls `SparseDot::batch`.
    fn batched(&self, _: &[usize]) -> Option<Composite> {
        None
    }

    fn samples() -> Vec<Sample> {
        let row = |d: DType, index: DType, dense: &[usize], to: &[f64], from: &[f64]| {
            let indices = |at: &[f64]| Literal::from_f64s(index, [at.len()], at);
            Sample {
                op: SparseDot { rows: 3 }.into(),
                inputs: vec![
                    sample(Type::new(d, [to.len()]), -2.0, 2.0),
                    indices(to),
                    indices(from),
                    sample(Type::new(d, dense), -2.0, 3.0),
                ],
                smooth: d.real() == DType::F64,
            }
        };
        let has_products = |d: &DType| {
            let ty = Type::new(*d, [1]);
            Binary::Mul.infer(&[ty.clone(), ty]).is_ok()
        };
        let (to, from) = ([2.0, 0.0, 2.0, 0.0], [1.0, 3.0, 0.0, 1.0]);
        let mut rows = vec![];
        for d in DType::ALL.into_iter().filter(has_products) {
            rows.push(row(d, DType::I32, &[4], &to, &from));
            rows.push(row(d, DType::I32, &[4, 2], &to, &from));
        }
        for index in DType::ALL.into_iter().filter(|d| d.is_int()) {
            rows.push(row(DType::F32, index, &[4, 3], &to, &from));
        }
        // Indices out of bounds, in ascending order, and operands without elements.
        let ends = ([-1.0, 0.0, 1.0, 1.0, 7.0], [0.0, -2.0, 1.0, 2.0, 0.0]);
        rows.push(row(DType::F64, DType::I32, &[2, 2], &ends.0, &ends.1));
        rows.push(row(DType::F64, DType::I32, &[2], &ends.0, &ends.1));
        rows.push(row(DType::F64, DType::I32, &[2, 2], &[], &[]));
        rows.push(row(DType::F64, DType::I32, &[0, 2], &to, &from));
        rows.push(row(DType::F64, DType::I32, &[4, 0], &to, &from));
        rows
    }
}
