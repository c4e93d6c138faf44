//! Which kernels can follow a product block by block: those that read it row by row.

use super::{
    expr_graph::ExprGraph,
    kernel_builder::{KernelCall, nest},
};
use crate::kernel::{Operand, Size, Stride};

/// Does the kernel of those expressions read the result of product `eqn` in rows, each needing one
/// part of its outermost loop?
pub fn can_be_epilogue(eqn: usize, body: &ExprGraph) -> bool {
    let analysis = body.analysis;
    let e = &analysis.graph.eqns()[eqn];
    let (ty, Some(buffer)) = (analysis.graph.ty(e.outputs[0]), analysis.buffer(e.outputs[0]))
    else {
        return false;
    };
    let n = nest(body, &|_| true);
    let total = ty.bytes().unwrap_or(0) as isize;
    let step = total / n.count.max(1) as isize;
    let own = || n.args.iter().filter(|a| a.buffer == buffer);
    // One iteration reads its own part and nothing else: the place moves by that part, and starts
    // at the beginning.
    let by_rows = own().all(|a| {
        !a.writes && a.offset == 0 && a.step == step && step > 0 && step * n.count as isize == total
    });
    n.parallel && total > 0 && by_rows && stays_inside(&n, buffer, step)
}

/// Do the other loops of every access to the array stay inside one part?
fn stays_inside(n: &KernelCall, buffer: usize, step: isize) -> bool {
    let size = |s: &Size| match s {
        Size::Fixed(n) => *n as i64,
        Size::Param(p) => n.params[*p as usize],
    };
    let reach = |o: &Operand| -> i64 {
        let sizes = n.kernel.outer.iter().chain(&n.kernel.stages[o.stage as usize].inner).map(size);
        let far = |(s, times): (&Stride, i64)| match s {
            Stride::Zero => 0,
            Stride::Unit => (times - 1) * o.dtype.bits() as i64 / 8,
            Stride::Param(p) => (times - 1) * n.params[*p as usize].abs(),
        };
        o.strides.iter().zip(sizes).skip(1).map(far).sum()
    };
    n.kernel
        .operands
        .iter()
        .zip(&n.args)
        .filter(|(_, a)| a.buffer == buffer)
        .all(|(o, _)| reach(o) < step as i64)
}
