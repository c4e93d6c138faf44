//! Lowering of `dot_general`: to products for the matrix kernel, or to sums of products.
//!
//! A large float product stays a `dot_general`, with axes in the order batch, rows (or columns),
//! depth: the transposes that this takes become strides of its operands. A small product, and a
//! product of integers, is a multiplication over one iteration space and a sum, which fuse with
//! their neighbours like any others. Narrow floats are computed in f32 and rounded once.

use super::state::{Lowering, LoweringEqn};
use crate::{
    kernel::computed_in,
    strided_view::StridedView,
    support::{has_machine_code, is_large_product},
};
use neurax_ir::{Builder, DType, Op, Result, Shape, Type, Value, Values, op::DotGeneral};

/// Lowers a product, and remembers it for [`transposed`].
pub fn product(l: &mut Lowering, e: &LoweringEqn) -> Result<Option<Values>> {
    let Op::DotGeneral(op) = &e.eqn.op else { return Ok(None) };
    Ok(Some([remembered(l, op.clone(), &e.xs)].into_iter().collect()))
}

/// Replaces a product whose rows and columns are transposed, and which has no other reader, by the
/// product of its operands in the other order: `(x y)^T = y^T x^T`.
pub fn transposed(l: &mut Lowering, e: &LoweringEqn) -> Result<Option<Values>> {
    let Op::Transpose(op) = &e.eqn.op else { return Ok(None) };
    let swaps = |(dot, xs): &&(DotGeneral, Values)| {
        let (left, right) = (l.b.ty(xs[0]).rank(), l.b.ty(xs[1]).rank());
        let nb = dot.lhs_batch.len();
        let (nl, nr) = (dot.lhs_free(left).len(), dot.rhs_free(right).len());
        let swapped = (0..nb).chain(nb + nl..nb + nl + nr).chain(nb..nb + nl);
        op.permutation.iter().copied().eq(swapped)
    };
    let found = l.products.get(&e.xs[0]).filter(|_| e.owns_first).filter(swaps);
    let Some((dot, xs)) = found.cloned() else { return Ok(None) };
    Ok(Some([remembered(l, dot.swapped(), &[xs[1], xs[0]])].into_iter().collect()))
}

fn remembered(l: &mut Lowering, op: DotGeneral, xs: &[Value]) -> Value {
    let y = lowered(&mut l.b, &op, xs);
    l.products.insert(y, (op, xs.into()));
    y
}

/// Emits the lowered form of a product.
fn lowered(b: &mut Builder, op: &DotGeneral, xs: &[Value]) -> Value {
    use DType::*;
    let from = b.dtype(xs[0]);
    if op.dtype.is_complex() {
        return complex_product(b, op, xs);
    }
    let paired = op.lhs_batch.len() + op.lhs_contract.len();
    // The loops of a sum of products are axes of its operands.
    let is_deep = b.ty(xs[0]).rank() + b.ty(xs[1]).rank() - paired > Shape::MAX_RANK;
    let is_sum = !matches!(computed_in(op.dtype), F32 | F64);
    if !has_machine_code(from) || !has_machine_code(op.dtype) || is_deep && is_sum {
        return b.emit(op.clone(), xs);
    }
    let within = computed_in(op.dtype);
    let xs: Values = xs.iter().map(|&x| b.convert(x, within)).collect();
    let wide = DotGeneral { dtype: within, ..op.clone() };
    let is_float = matches!(within, F32 | F64);
    let y = if is_float && (is_deep || is_large_product(&wide, b.ty(xs[0]), b.ty(xs[1]))) {
        canonical(b, &wide, &xs)
    } else {
        sum_of_products(b, &wide, &xs)
    };
    b.convert(y, op.dtype)
}

/// Emits the lowered form of a product of complex numbers. A large one runs on the matrix kernel if
/// rows, columns and depth have one stride each; its operands are transposed only if they do not,
/// since a transpose of wide elements may be a copy.
fn complex_product(b: &mut Builder, op: &DotGeneral, xs: &[Value]) -> Value {
    if !is_large_product(op, b.ty(xs[0]), b.ty(xs[1])) {
        return b.emit(op.clone(), xs);
    }
    let xs: Values = xs.iter().map(|&x| b.convert(x, op.dtype)).collect();
    let is_strided =
        [0, 1].into_iter().all(|side| StridedView::of(b.ty(xs[side])).is_operand(op, side));
    if is_strided { b.emit(op.clone(), &xs) } else { canonical(b, op, &xs) }
}

/// Emits the product of operands with axes batch, rows (or columns), depth; the transposes become
/// strides.
fn canonical(b: &mut Builder, op: &DotGeneral, xs: &[Value]) -> Value {
    let (l, r) = (b.ty(xs[0]).rank(), b.ty(xs[1]).rank());
    let (nb, nc) = (op.lhs_batch.len(), op.lhs_contract.len());
    let x = b.transpose(xs[0], &[&op.lhs_batch[..], &op.lhs_free(l), &op.lhs_contract].concat());
    let y = b.transpose(xs[1], &[&op.rhs_batch[..], &op.rhs_free(r), &op.rhs_contract].concat());
    let batch: Vec<usize> = (0..nb).collect();
    let op = DotGeneral {
        lhs_batch: batch.clone(),
        rhs_batch: batch,
        lhs_contract: (l - nc..l).collect(),
        rhs_contract: (r - nc..r).collect(),
        dtype: op.dtype,
    };
    b.emit(op, &[x, y])
}

/// Emits both operands over one iteration space (batch, rows, columns, depth), multiplied and
/// summed.
fn sum_of_products(b: &mut Builder, op: &DotGeneral, xs: &[Value]) -> Value {
    let (tx, ty) = (b.ty(xs[0]).clone(), b.ty(xs[1]).clone());
    let (lf, rf) = (op.lhs_free(tx.rank()), op.rhs_free(ty.rank()));
    let (nb, nl, nr, nc) = (op.lhs_batch.len(), lf.len(), rf.len(), op.lhs_contract.len());
    let at = |t: &Type, axes: &[usize]| axes.iter().map(|&a| t.shape[a]).collect::<Vec<_>>();
    let shape =
        [at(&tx, &op.lhs_batch), at(&tx, &lf), at(&ty, &rf), at(&tx, &op.lhs_contract)].concat();
    let rows: Vec<usize> = (0..nb + nl).chain(nb + nl + nr..nb + nl + nr + nc).collect();
    let columns: Vec<usize> = (0..nb).chain(nb + nl..nb + nl + nr + nc).collect();
    let x = b.transpose(xs[0], &[&op.lhs_batch[..], &lf, &op.lhs_contract].concat());
    let y = b.transpose(xs[1], &[&op.rhs_batch[..], &rf, &op.rhs_contract].concat());
    let (x, y) = (b.broadcast(x, shape.clone(), &rows), b.broadcast(y, shape, &columns));
    let p = b.mul(x, y);
    let depth: Vec<usize> = (nb + nl + nr..nb + nl + nr + nc).collect();
    b.sum(p, &depth)
}
