//! Graphs without what only people and other backends need: calls and composites become their
//! bodies, and ops that are made of others become those.

use crate::{kernel::computed_in, schedule, split};
use neurax_ir::{
    Builder, DType, Eqn, Graph, Op, Result, Type, Value, Values,
    op::{ArgKind, ArgReduce, Convolution, DotGeneral, Linear, ReduceKind, Threefry, Transpose},
    passes,
};
use rustc_hash::FxHashMap;

/// The graph in the ops that are scheduled. Loops and branches keep their graphs, which are
/// compiled on their own.
///
/// # Errors
/// When an op has no value, such as a linear map without one.
pub fn lower(graph: &Graph) -> Result<Graph> {
    let mut l = Lowering { b: Builder::new(), products: FxHashMap::default() };
    let xs = l.b.inputs(graph.input_types());
    let ys = l.inline(graph, &xs)?;
    passes::optimise(&l.b.finish(&ys)?, &mut |_, _| {})
}

struct Lowering {
    b: Builder,
    /// Products so far, as they were before lowering.
    products: FxHashMap<Value, (DotGeneral, Values)>,
}

impl Lowering {
    fn inline(&mut self, graph: &Graph, args: &[Value]) -> Result<Vec<Value>> {
        let mut env: Vec<Value> = args.to_vec();
        let mut uses = vec![0; graph.types().len()];
        let read = graph.eqns().iter().flat_map(|e| &e.inputs).chain(graph.outputs());
        read.for_each(|v| uses[v.index()] += 1);
        for e in graph.eqns() {
            let xs: Values = e.inputs.iter().map(|v| env[v.index()]).collect();
            self.b.set_origin(e.at.clone());
            let once = e.inputs.first().is_some_and(|v| uses[v.index()] == 1);
            let ys = self.equation(e, &xs, once)?;
            env.extend(ys);
        }
        Ok(graph.outputs().iter().map(|v| env[v.index()]).collect())
    }

    /// An equation; `once` if nobody else reads its first operand.
    fn equation(&mut self, e: &Eqn, xs: &[Value], once: bool) -> Result<Vec<Value>> {
        let b = &mut self.b;
        Ok(match &e.op {
            Op::Call(op) => self.inline(&op.body, xs)?,
            Op::Checkpoint(op) => self.inline(&op.body, xs)?,
            Op::Composite(op) => {
                let types: Vec<Type> = xs.iter().map(|&x| b.ty(x).clone()).collect();
                self.inline(&op.graph(&types)?, xs)?
            }
            Op::Linear(Linear { forward: Some(forward), .. }) => self.inline(forward, xs)?,
            Op::Threefry(_) => Threefry::expanded(b, xs).to_vec(),
            Op::ArgReduce(op) => vec![arg_reduce(b, op, xs[0])],
            Op::Reduce(op) => vec![split::reduce(b, op, xs[0])],
            Op::DotGeneral(op) => vec![self.product(op.clone(), xs)],
            Op::Convolution(op) => vec![convolution(b, op, xs)],
            Op::ReduceWindow(_) | Op::SelectAndGather(_) | Op::SelectAndScatter(_) => {
                vec![windows(b, &e.op, xs)]
            }
            Op::Transpose(op) if once => vec![self.transposed(op, xs[0])],
            op => b.emit_n(op.clone(), xs, e.outputs.len()).to_vec(),
        })
    }

    fn product(&mut self, op: DotGeneral, xs: &[Value]) -> Value {
        let y = product(&mut self.b, &op, xs);
        self.products.insert(y, (op, xs.into()));
        y
    }

    /// A product whose rows and columns change places is the product of its operands in the other
    /// order.
    fn transposed(&mut self, op: &Transpose, x: Value) -> Value {
        let swapped = self.products.get(&x).filter(|(dot, xs)| {
            let (l, r) = (self.b.ty(xs[0]).rank(), self.b.ty(xs[1]).rank());
            let (nb, nl, nr) = (dot.lhs_batch.len(), dot.lhs_free(l).len(), dot.rhs_free(r).len());
            op.permutation
                .iter()
                .copied()
                .eq((0..nb).chain(nb + nl..nb + nl + nr).chain(nb..nb + nl))
        });
        match swapped.cloned() {
            Some((dot, xs)) => self.product(dot.swapped(), &[xs[1], xs[0]]),
            None => self.b.transpose(x, &op.permutation),
        }
    }
}

/// The least index at which the extremum stands; NaN is equal to itself here.
fn arg_reduce(b: &mut Builder, op: &ArgReduce, x: Value) -> Value {
    use neurax_ir::op::Direction::{Eq, Ne};
    let ty = b.ty(x).clone();
    if ty.size() == 0 || ty.dtype.is_complex() {
        return b.emit(op.clone(), &[x]);
    }
    let kind = if op.kind == ArgKind::Max { ReduceKind::Max } else { ReduceKind::Min };
    let y = b.reduce(kind, x, &[op.axis]);
    let y = b.unreduce(y, ty.shape.clone(), &[op.axis]);
    let mut here = b.compare(Eq, x, y);
    if ty.dtype.is_float() {
        let (p, q) = (b.compare(Ne, x, x), b.compare(Ne, y, y));
        let both = b.mul(p, q);
        here = b.add(here, both);
    }
    let index = b.iota(ty.with_dtype(DType::I32), op.axis);
    let far = b.full_like(index, i32::MAX as f64);
    let found = b.select(here, index, far);
    b.reduce(ReduceKind::Min, found, &[op.axis])
}

/// Products of that much work, in multiplications, are left to matrix kernels; smaller ones are
/// loops like any other.
const LARGE: usize = 16_384;

/// A product as it is computed: narrow floats in f32; small ones, and those of integers, as a sum
/// of products.
fn product(b: &mut Builder, op: &DotGeneral, xs: &[Value]) -> Value {
    use DType::*;
    let from = b.dtype(xs[0]);
    let float = |d| matches!(d, F32 | F64);
    if op.dtype.is_complex() {
        return complex_product(b, op, xs);
    }
    if !schedule::is_native(from) || !schedule::is_native(op.dtype) {
        return b.emit(op.clone(), xs);
    }
    let within = computed_in(op.dtype);
    let xs: Values = xs.iter().map(|&x| b.convert(x, within)).collect();
    let wide = DotGeneral { dtype: within, ..op.clone() };
    let y = if float(within) && is_large(&wide, b.ty(xs[0]), b.ty(xs[1])) {
        canonical(b, &wide, &xs)
    } else {
        sum_of_products(b, &wide, &xs)
    };
    b.convert(y, op.dtype)
}

/// A product of complex numbers: a large one reads rows and columns through one stride each.
/// Transposes of wide ones are copies, so that there are none if there is no need.
fn complex_product(b: &mut Builder, op: &DotGeneral, xs: &[Value]) -> Value {
    if !is_large(op, b.ty(xs[0]), b.ty(xs[1])) {
        return b.emit(op.clone(), xs);
    }
    let xs: Values = xs.iter().map(|&x| b.convert(x, op.dtype)).collect();
    let walks = [0, 1]
        .into_iter()
        .all(|side| schedule::StridedView::of(b.ty(xs[side])).is_operand(op, side));
    if walks { b.emit(op.clone(), &xs) } else { canonical(b, op, &xs) }
}

/// A convolution as it is computed: narrow floats in f32, operands in the dtype of the sums.
fn convolution(b: &mut Builder, op: &Convolution, xs: &[Value]) -> Value {
    if !schedule::is_native(b.dtype(xs[0]))
        || !schedule::is_native(op.dtype)
        || op.dtype == DType::Bool
    {
        return b.emit(op.clone(), xs);
    }
    let within = computed_in(op.dtype);
    let xs: Values = xs.iter().map(|&x| b.convert(x, within)).collect();
    let y = b.emit(Convolution { dtype: within, ..op.clone() }, &xs);
    b.convert(y, op.dtype)
}

/// Windows over narrow floats are computed in f32.
fn windows(b: &mut Builder, op: &Op, xs: &[Value]) -> Value {
    let dtypes: Vec<DType> = xs.iter().map(|&x| b.dtype(x)).collect();
    let wide = |d: DType| if d.is_float() && schedule::is_native(d) { computed_in(d) } else { d };
    let xs: Values = xs.iter().zip(&dtypes).map(|(&x, &d)| b.convert(x, wide(d))).collect();
    let y = b.emit_n(op.clone(), &xs, 1)[0];
    dtypes.last().map_or(y, |&d| b.convert(y, d))
}

/// The sizes of a product: batch, rows, columns, depth.
pub fn sizes(op: &DotGeneral, x: &Type, y: &Type) -> [usize; 4] {
    let over = |t: &Type, axes: &[usize]| axes.iter().map(|&a| t.shape[a]).product::<usize>();
    [
        over(x, &op.lhs_batch),
        over(x, &op.lhs_free(x.rank())),
        over(y, &op.rhs_free(y.rank())),
        over(x, &op.lhs_contract),
    ]
}

/// Is a product worth a matrix kernel? Those of complex numbers are four, and no loops otherwise.
pub fn is_large(op: &DotGeneral, x: &Type, y: &Type) -> bool {
    let [batch, m, n, k] = sizes(op, x, y);
    let work = m.saturating_mul(n).saturating_mul(k);
    batch > 0
        && if op.dtype.is_complex() { work >= LARGE / 4 } else { m > 2 && n > 2 && work >= LARGE }
}

/// The product of operands whose axes are batch, rows (or columns), depth: what moves them there is
/// strides later on.
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

/// Both operands over one space (batch, rows, columns, depth), multiplied and summed.
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
