//! Rules for ops that hold graphs.

use super::{Rewrite, Rewriter};
use crate::tuning::MAX_INLINED_EQNS;
use crate::{Eqn, Op, Values};

/// Inlines a call: it equals its graph on the operands. Larger graphs stay shared.
pub(super) fn inline_small_call(_: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    match &e.op {
        Op::Call(c) if c.body.count_eqns() <= MAX_INLINED_EQNS => {
            Some(Rewrite::Inline(c.body.clone(), e.inputs.clone()))
        }
        _ => None,
    }
}

/// Replaces `case(k, args)` by branch `k`, clamped into range, if `k` is constant or there is one
/// branch.
pub(super) fn known_branch(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let Op::Cond(c) = &e.op else { return None };
    let last = c.branches.len().checked_sub(1)?;
    let k = match w.splat(*e.inputs.first()?) {
        Some(k) => k.to_vec::<i32>().ok()?.first().map(|&k| (k.max(0) as usize).min(last))?,
        None if last == 0 => 0,
        None => return None,
    };
    Some(Rewrite::Inline(c.branches[k].clone(), Values::from_slice(&e.inputs[1..])))
}
