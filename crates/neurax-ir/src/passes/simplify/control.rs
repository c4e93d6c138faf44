//! Rules for ops that hold graphs.

use super::{Rewrite, Rewriter};
use crate::{Eqn, Op, Values};

/// The largest graph whose calls are written out: beyond it one copy that is called is cheaper to
/// compile.
const SMALL: usize = 64;

/// A call is its graph on the operands.
pub(super) fn small_call(_: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    match &e.op {
        Op::Call(c) if c.body.count_eqns() <= SMALL => {
            Some(Rewrite::Inline(c.body.clone(), e.inputs.clone()))
        }
        _ => None,
    }
}

/// `case(k, args)` is branch `k`, clamped into range; of one branch there is no choice.
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
