//! Algebraic simplification: local rewrite rules (peephole optimization), applied to a fixed point
//! at each equation.
//!
//! Each rule is a function from an equation to its replacement; the law that justifies it is the
//! comment above the function. A rule must preserve every bit of the value, including signed zeros;
//! NaN stays NaN. `x + 0.0` is therefore not `x` (for `x = -0.0` it is `0.0`), but `x + -0.0` is.
//!
//! | rule | rewrites |
//! |---|---|
//! | `inline_small_call` | a call of a graph of at most 64 equations to its body |
//! | `known_branch` | a `case` with a constant index or one branch to that branch |
//! | `identity_operand` | `x + -0.0`, `x - 0`, `x * 1`, `x / 1`, `x \| 0`, .. to `x` |
//! | `absorbing_operand` | `x * 0`, `x & 0`, `x \| -1` of integers and bools to the constant |
//! | `involution` | `-(-x)`, `!!x`, `conj(conj(x))` to `x` |
//! | `add_of_negation` | `x + -y` to `x - y`, `x - -y` to `x + y` |
//! | `known_select` | `select` with a constant predicate or equal branches to the branch |
//! | `convert_to_same` | a conversion to the operand's dtype to the operand |
//! | `convert_of_convert` | a conversion through a wider dtype to a direct one |
//! | `convert_of_limited` | a conversion of limited integers through a narrower dtype to one |
//! | `move_of_splat` | a reshaped, transposed, sliced, .. scalar broadcast to a direct broadcast |
//! | `identity_move` | reshapes, transposes, slices, pads, .. that change nothing to the operand |
//! | `reshape_of_reshape` | to the last reshape |
//! | `transpose_of_transpose` | to one transpose |
//! | `broadcast_of_broadcast` | to one broadcast |
//! | `reverse_of_reverse` | to one reverse |
//! | `reverse_of_unit_axes` | drops reversed axes of size 0 or 1 |
//! | `empty_concat_operands` | drops concatenated operands of size 0 |
//!
//! ```
//! use neurax_ir::{Graph, passes};
//! let graph = Graph::parse("graph(%0: f32[2, 3]) {
//!   %1: f32[3, 2] = transpose[permutation=[1, 0]](%0)
//!   %2: f32[2, 3] = transpose[permutation=[1, 0]](%1)
//!   %3: f32[2, 3] = negate(%2)
//!   %4: f32[2, 3] = add(%2, %3)
//!   return %4
//! }")?;
//! // The results of the first three equations are unused now; `dce` removes them.
//! assert_eq!(passes::dce(&passes::simplify(&graph)?)?.to_string(), "\
//! graph(%0: f32[2, 3]) {
//!   %1: f32[2, 3] = subtract(%0, %0)
//!   return %1
//! }");
//! # Ok::<(), neurax_ir::Error>(())
//! ```

mod control;
mod elementwise;
mod movement;

use super::rewriter::{Rewriter, apply, apply_inside};
use crate::{Eqn, Error, Graph, Op, Result, Type, Value, Values};
use std::{borrow::Cow, sync::Arc};

/// The replacement of an equation.
enum Rewrite {
    /// Values that replace the results.
    Values(Values),
    /// Another equation, to which the rules are applied again.
    Eqn(Op, Values),
    /// A graph and its arguments; the rules are applied to its equations.
    Inline(Arc<Graph>, Values),
}

type RewriteRule = fn(&Rewriter, &Eqn) -> Option<Rewrite>;

/// The rules, tried from top to bottom. The law of each is stated at its function.
const RULES: &[(&str, RewriteRule)] = &[
    ("inline_small_call", control::inline_small_call),
    ("known_branch", control::known_branch),
    ("identity_operand", elementwise::identity_operand),
    ("absorbing_operand", elementwise::absorbing_operand),
    ("involution", elementwise::involution),
    ("add_of_negation", elementwise::add_of_negation),
    ("known_select", elementwise::known_select),
    ("convert_to_same", elementwise::convert_to_same),
    ("convert_of_convert", elementwise::convert_of_convert),
    ("convert_of_limited", elementwise::convert_of_limited),
    ("move_of_splat", movement::move_of_splat),
    ("identity_move", movement::identity_move),
    ("reshape_of_reshape", movement::reshape_of_reshape),
    ("transpose_of_transpose", movement::transpose_of_transpose),
    ("broadcast_of_broadcast", movement::broadcast_of_broadcast),
    ("reverse_of_reverse", movement::reverse_of_reverse),
    ("reverse_of_unit_axes", movement::reverse_of_unit_axes),
    ("empty_concat_operands", movement::empty_concat_operands),
];

/// Applies the rewrite rules to all equations, also in nested graphs.
///
/// ```
/// use neurax_ir::{Builder, DType, Type, passes};
/// let mut b = Builder::new();
/// let x = b.input(Type::new(DType::F32, [2, 3]));
/// let y = b.transpose(x, &[1, 0]);
/// let z = b.transpose(y, &[1, 0]);
/// let graph = passes::simplify(&b.finish(&[z])?)?;
/// assert_eq!(graph.outputs(), [x]);
/// # Ok::<(), neurax_ir::Error>(())
/// ```
///
/// # Errors
/// An internal error if a rule changes the type of a value.
pub fn simplify(graph: &Graph) -> Result<Graph> {
    apply(pass, graph)
}

pub(super) fn pass(graph: &Graph) -> Result<Option<Graph>> {
    Rewriter::rewrite(graph, rewrite_eqn)
}

fn rewrite_eqn(w: &mut Rewriter, e: &Eqn) -> Result<Option<Values>> {
    let nested = apply_inside(&e.op, pass)?;
    let mut e = match nested {
        Some(op) => Cow::Owned(Eqn { op, ..e.clone() }),
        None => Cow::Borrowed(e),
    };
    let Some(first) = first_rewrite(w, &e) else {
        return match e {
            Cow::Owned(e) => w.emit(e.op, &e.inputs).map(Some),
            Cow::Borrowed(_) => Ok(None),
        };
    };
    let want = e.op.infer(&w.types_of(&e.inputs))?;
    let mut found = Some(first);
    loop {
        let (name, ys) = match found {
            None => return w.emit(e.op.clone(), &e.inputs).map(Some),
            Some((_, Rewrite::Eqn(op, xs))) => {
                let e = e.to_mut();
                (e.op, e.inputs) = (op, xs);
                found = first_rewrite(w, e);
                continue;
            }
            Some((name, Rewrite::Values(ys))) => (name, ys),
            Some((name, Rewrite::Inline(g, xs))) => (name, w.inline(&g, &xs, rewrite_eqn)?.into()),
        };
        return if w.types_of(&ys) == want { Ok(Some(ys)) } else { Err(type_changed(name, &want)) };
    }
}

/// Returns the name and the replacement of the first rule that applies.
fn first_rewrite(w: &Rewriter, e: &Eqn) -> Option<(&'static str, Rewrite)> {
    RULES.iter().find_map(|(name, rule)| rule(w, e).map(|r| (*name, r)))
}

fn type_changed(rule: &str, want: &[Type]) -> Error {
    let types = crate::list_types(want);
    Error::bug(format_args!("the rule `{rule}` does not preserve the type {types}"))
}

/// Replaces the equation by its operand `i`.
fn operand(e: &Eqn, i: usize) -> Option<Rewrite> {
    e.inputs.get(i).map(|&v| value(v))
}

fn value(v: Value) -> Rewrite {
    Rewrite::Values(Values::from_slice(&[v]))
}

fn eqn(op: impl Into<Op>, xs: &[Value]) -> Rewrite {
    Rewrite::Eqn(op.into(), Values::from_slice(xs))
}

#[cfg(test)]
mod tests;
