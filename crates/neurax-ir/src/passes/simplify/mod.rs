//! Local rewrites. Every rule keeps every bit of the value; NaN stays NaN, and zero keeps its sign.

mod control;
mod moving;
mod numbers;

use super::rewriter::{Rewriter, inside};
use crate::{Eqn, Error, Graph, Op, Result, Type, Value, Values};
use std::{borrow::Cow, sync::Arc};

/// What an equation becomes.
enum Rewrite {
    /// Nothing: its results are those values.
    Values(Values),
    /// Another equation, which is looked at again.
    Eqn(Op, Values),
    /// The equations of a graph on those arguments, which are looked at as well.
    Inline(Arc<Graph>, Values),
}

type Rule = fn(&Rewriter, &Eqn) -> Option<Rewrite>;

/// The rules, tried from top to bottom; the law of each stands above its function.
const RULES: &[(&str, Rule)] = &[
    ("call of a small graph", control::small_call),
    ("branch that is known", control::known_branch),
    ("neutral element", numbers::neutral),
    ("absorbing element", numbers::absorbing),
    ("undone at once", numbers::undone),
    ("sum with a negation", numbers::negated),
    ("choice that is known", numbers::known_choice),
    ("conversion to the same", numbers::converted_to_itself),
    ("conversion by way of a wider dtype", numbers::converted_twice),
    ("equal elements moved", moving::equal_elements),
    ("nothing moved", moving::nothing),
    ("reshaped twice", moving::reshaped_twice),
    ("transposed twice", moving::transposed_twice),
    ("broadcast twice", moving::broadcast_twice),
    ("reversed twice", moving::reversed_twice),
    ("unit axes reversed", moving::unit_axes_reversed),
    ("empty operands joined", moving::empty_operands),
];

/// Applies the rules wherever they fit, in nested graphs too.
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
/// When a rule does not keep the type; none does.
pub fn simplify(graph: &Graph) -> Result<Graph> {
    Ok(pass(graph)?.unwrap_or_else(|| graph.clone()))
}

pub(super) fn pass(graph: &Graph) -> Result<Option<Graph>> {
    Rewriter::rewrite(graph, each)
}

fn each(w: &mut Rewriter, e: &Eqn) -> Result<Option<Values>> {
    let nested = inside(&e.op, pass)?;
    let mut e = match nested {
        Some(op) => Cow::Owned(Eqn { op, ..e.clone() }),
        None => Cow::Borrowed(e),
    };
    let Some(first) = rule(w, &e) else {
        return if let Cow::Owned(e) = e { w.emit(e.op, &e.inputs).map(Some) } else { Ok(None) };
    };
    let want = e.op.infer(&w.types_of(&e.inputs))?;
    let mut found = Some(first);
    loop {
        let (name, ys) = match found {
            None => return w.emit(e.op.clone(), &e.inputs).map(Some),
            Some((_, Rewrite::Eqn(op, xs))) => {
                let e = e.to_mut();
                (e.op, e.inputs) = (op, xs);
                found = rule(w, e);
                continue;
            }
            Some((name, Rewrite::Values(ys))) => (name, ys),
            Some((name, Rewrite::Inline(g, xs))) => (name, w.walk(&g, &xs, each)?.into()),
        };
        return if w.types_of(&ys) == want { Ok(Some(ys)) } else { Err(changed(name, &want)) };
    }
}

/// What the first rule that fits makes of an equation, and its name.
fn rule(w: &Rewriter, e: &Eqn) -> Option<(&'static str, Rewrite)> {
    RULES.iter().find_map(|(name, rule)| rule(w, e).map(|r| (*name, r)))
}

fn changed(rule: &str, want: &[Type]) -> Error {
    Error::new(
        "simplify",
        format!("the rule `{rule}` does not keep the type {}", crate::op::rules::list(want)),
    )
}

/// The equation is its operand `i`.
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
