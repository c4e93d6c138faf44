//! The memory that the reference interpreter needs, computed from types before it runs: an
//! allocation that fails in the middle of an evaluation could not be reported.
//!
//! The estimate is an upper bound: every result gets separate memory, as if no operand could be
//! updated in place, and an op the scratch memory that its `eval` asks for at most.

use super::eval::has_no_iterations;
use crate::op::{Convolution, DotGeneral, Slide};
use crate::{DType, Graph, Op, Shape, Type};

/// Returns the bytes that an evaluation of `graph` allocates at most at a time, besides its
/// arguments.
///
/// ```
/// use neurax_ir::{Graph, transform};
/// let graph = Graph::parse("graph(%0: f32[1000]) {
///   %1: f32[1000] = sine(%0)
///   %2: f32[1000] = cosine(%1)
///   return %2
/// }")?;
/// // The operand and the result of `cosine`, and its elements in f64, where it is computed.
/// assert_eq!(transform::peak_bytes(&graph), 24000);
/// # Ok::<(), neurax_ir::Error>(())
/// ```
pub fn peak_bytes(graph: &Graph) -> usize {
    let last = graph.last_uses();
    let inputs = graph.input_types().len();
    let (mut live, mut peak) = (0usize, 0);
    for (i, e) in graph.eqns().iter().enumerate() {
        let types = |vs: &[crate::Value]| vs.iter().map(|&v| graph.ty(v).clone()).collect();
        let (xs, ys): (Vec<Type>, Vec<Type>) = (types(&e.inputs), types(&e.outputs));
        let all = live.saturating_add(eval_bytes(&e.op, &xs, &ys));
        peak = all.max(peak);
        live = live.saturating_add(ys.iter().map(bytes).fold(0, usize::saturating_add));
        let mut freed: Vec<_> = e.inputs.iter().chain(&e.outputs).collect();
        freed.sort_unstable();
        freed.dedup();
        for v in freed.into_iter().filter(|v| v.index() >= inputs) {
            if last[v.index()].is_none_or(|l| l == i) {
                live = live.saturating_sub(bytes(graph.ty(*v)));
            }
        }
    }
    peak
}

/// Returns the bytes that the `eval` of `op` allocates at most at a time, for operands of the types
/// `xs` and results of the types `ys`: the results, copies of elements in the type that they are
/// computed in, and scratch memory.
pub fn eval_bytes(op: &Op, xs: &[Type], ys: &[Type]) -> usize {
    let all = |f: fn(&Type) -> usize, types: &[Type]| types.iter().map(f).fold(0, add);
    let results = all(bytes, ys);
    if matches!(op, Op::Reshape(_) | Op::OptimizationBarrier(_) | Op::Constant(_)) {
        return 0;
    }
    if has_no_iterations(op, ys.iter()) {
        return results;
    }
    let moves = matches!(
        op,
        Op::Broadcast(_)
            | Op::Transpose(_)
            | Op::Slice(_)
            | Op::DynamicSlice(_)
            | Op::DynamicUpdateSlice(_)
            | Op::Pad(_)
            | Op::Concatenate(_)
            | Op::Reverse(_)
    );
    let converted = if moves { 0 } else { add(all(unpacked, xs), all(unpacked, ys)) };
    add(add(results, converted), scratch(op, xs, ys))
}

/// Returns the bytes of scratch memory.
fn scratch(op: &Op, xs: &[Type], ys: &[Type]) -> usize {
    let size = |types: &[Type], i: usize| types.get(i).map_or(0, Type::size);
    let times = |n: usize, bytes: usize| n.saturating_mul(bytes);
    match op {
        // Accumulators of 16 bytes: of the result, or of what the first of several runs of axes
        // leaves.
        Op::Reduce(_) => times(size(xs, 0).min(times(size(ys, 0), 64)), 16),
        // The keys as integers, the order, and one row of both.
        Op::Sort(s) => times(size(xs, 0), 8 * (2 * s.keys + 1) + 16),
        // Complex numbers of 16 bytes in two arrays, and a few lines with their roots of unity.
        Op::Fft(f) if size(ys, 0) > 0 => {
            let line = f.lengths.iter().copied().max().unwrap_or(0);
            add(times(size(xs, 0).max(size(ys, 0)), 32), times(line, 8 * 16))
        }
        Op::DotGeneral(d) => product(d, xs),
        Op::Convolution(c) => convolution(c, xs, ys),
        Op::ReduceWindow(w) => windows(&w.sizes, &xs[0].shape, &ys[0].shape),
        Op::SelectAndGather(w) => windows(&w.sizes, &xs[0].shape, &ys[0].shape),
        Op::SelectAndScatter(w) => {
            let sums = times(size(ys, 0), 16);
            add(sums, windows(&w.sizes, &xs[0].shape, &xs[1].shape))
        }
        // The indices, the start of each window, and the runs of a window.
        Op::Gather(_) => add(times(size(xs, 1), 64), times(size(ys, 0), 32)),
        Op::Scatter(_) => add(times(size(xs, 1), 64), times(size(xs, 2), 32)),
        Op::Threefry(_) => times(size(ys, 0), 8),
        Op::Unary(_) | Op::Binary(_) => match xs.first() {
            // The elements in f64, where a function is computed there.
            Some(t) if t.dtype.is_float() => times(t.size(), 16),
            _ => 0,
        },
        Op::Scan(s) => {
            let rows = s.body.input_types().iter().map(bytes).fold(0, add);
            add(rows, peak_bytes(&s.body))
        }
        op => op.graphs().iter().map(|g| peak_bytes(g)).fold(0, usize::max),
    }
}

/// Returns the scratch memory of a product: the offsets of both operands, and the sums of a member
/// of the batch.
fn product(op: &DotGeneral, xs: &[Type]) -> usize {
    let [x, y] = xs else { return 0 };
    let over =
        |t: &Type, axes: &[usize]| axes.iter().fold(1, |n: usize, &a| n.saturating_mul(t.shape[a]));
    let (m, n) = (over(x, &op.lhs_free(x.rank())), over(y, &op.rhs_free(y.rank())));
    let (batch, k) = (over(x, &op.lhs_batch), over(x, &op.lhs_contract));
    let offsets = add(add(m, n), add(batch, k).saturating_mul(2)).saturating_mul(8);
    let packed = m.min(n).min(4).saturating_mul(k);
    add(offsets, add(m.saturating_mul(n), packed).saturating_mul(16))
}

/// Returns the scratch memory of a convolution: the operand with its padding, the offsets of
/// windows and taps, and the sums of a group of a member of the batch.
fn convolution(op: &Convolution, xs: &[Type], ys: &[Type]) -> usize {
    let ([x, w], [y]) = (xs, ys) else { return 0 };
    let padded = |(i, s): (usize, &Slide)| {
        let taps = w.shape[i + 2].saturating_mul(y.shape[i + 2]);
        s.padded_len(x.shape[i + 2]).min(taps).max(x.shape[i + 2])
    };
    let axes: Vec<usize> = op.slides.iter().enumerate().map(padded).collect();
    let elements =
        axes.iter().fold(x.shape[0].saturating_mul(x.shape[1]), |n, &d| n.saturating_mul(d));
    let lists = axes.iter().fold(0, |n, &d| add(n, d.saturating_mul(16)));
    let offsets = add(add(y.size(), w.size()), x.shape[0].saturating_mul(op.groups));
    let sums = y.size().saturating_mul(16);
    add(add(elements.saturating_mul(32), lists), add(offsets.saturating_mul(16), sums))
}

/// Returns the scratch memory of windows: the elements as accumulators or positions, before and
/// after an axis, and the elements under each window of an axis.
fn windows(sizes: &[usize], from: &Shape, to: &Shape) -> usize {
    let elements = add(from.size(), from.size().max(to.size())).saturating_mul(16);
    let under = |i: usize| to[i].saturating_mul(24 + sizes[i].min(from[i]).saturating_mul(8));
    (0..from.rank()).map(under).fold(elements, add)
}

/// Returns the bytes of a copy of a value in the type that it is computed in; 0 if its memory is
/// used directly.
fn unpacked(t: &Type) -> usize {
    let each = match t.dtype {
        // A copy of the stored numbers, and of their values.
        DType::F16 | DType::BF16 => 6,
        d if d != d.compute_dtype() => d.compute_dtype().bits() / 8,
        _ => 0,
    };
    t.size().saturating_mul(each)
}

/// Returns the bytes of a value; of a type that is too large, the largest number.
fn bytes(t: &Type) -> usize {
    t.bytes().unwrap_or(usize::MAX)
}

fn add(a: usize, b: usize) -> usize {
    a.saturating_add(b)
}
