//! Epilogues: kernels that run on tiles of rows of a product's result.
//!
//! A product (or convolution) computes its result in tiles of whole rows. A kernel whose iteration
//! `i` of the outermost loop reads only the `i`th row, or the `i`th part of equal size, can run on
//! each tile right after it is computed, while the rows are in the cache, and on the same thread.
//!
//! ```text
//! %3: f32[64, 32] = dot_general(%0, %1); %4 = tanh(%3 + %2), where %2: f32[32] is a row
//!   step 0: dot_general reads b0, b1; writes b3; epilogue for each tile of rows:
//!       kernel 0 reads b3, b2; writes b4; 64 iterations, parallel
//! ```

use super::{
    expr_graph::ExprGraph,
    kernel_builder::{KernelCall, build_kernel},
};
use crate::kernel::{ArrayOperand, Size, Stride};
use neurax_ir::{OrBug, Result};

/// Returns true if the kernel of `body` reads the result of product `eqn` in order: each iteration
/// of its outermost loop reads one part of equal size, and no other. (If loops were collapsed, a
/// part is an element, not a row.)
///
/// # Errors
/// If the kernel cannot be built, an error of this crate.
pub fn can_be_epilogue(eqn: usize, body: &ExprGraph) -> Result<bool> {
    let analysis = body.analysis;
    let e = &analysis.graph.eqns()[eqn];
    let ty = analysis.graph.ty(e.outputs[0]);
    let buffer = analysis.buffer(e.outputs[0]).or_bug("the result of a product has no buffer")?;
    let call = build_kernel(body, &|_| true)?;
    let total = ty.bytes()? as isize;
    let step = total / call.count.max(1) as isize;
    let own = || call.args.iter().filter(|a| a.buffer == buffer);
    // The access starts in the first row, as a slice of columns may, and moves by one row an
    // iteration.
    let by_rows = own().all(|a| {
        !a.writes
            && a.offset >= 0
            && a.step == step
            && step > 0
            && step * call.count as isize == total
    });
    Ok(call.parallel && total > 0 && by_rows && stays_inside(&call, buffer, step))
}

/// Returns true if the other loops of every access to the buffer, from its offset on, stay inside
/// of one row of `step` bytes.
fn stays_inside(call: &KernelCall, buffer: usize, step: isize) -> bool {
    let size = |s: &Size| match s {
        Size::Fixed(n) => *n as i64,
        Size::Param(p) => call.params[*p as usize],
    };
    let reach = |o: &ArrayOperand| -> i64 {
        let sizes =
            call.kernel.outer.iter().chain(&call.kernel.stages[o.stage as usize].inner).map(size);
        let extent = |(s, times): (&Stride, i64)| match s {
            Stride::Zero => 0,
            Stride::Unit => (times - 1) * o.dtype.bits() as i64 / 8,
            Stride::Param(p) => (times - 1) * call.params[*p as usize].abs(),
        };
        o.strides.iter().zip(sizes).skip(1).map(extent).sum()
    };
    call.kernel
        .operands
        .iter()
        .zip(&call.args)
        .filter(|(_, a)| a.buffer == buffer)
        .all(|(o, a)| a.offset as i64 + reach(o) < step as i64)
}
