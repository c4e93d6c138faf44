//! Rewrites for inference and export: patterns of exporters become composites, and transposes
//! cancel.
//!
//! The problem: a file of an older operator set has no layer normalization, GELU or attention, but
//! the steps of them, in the spelling of its exporter. As composites they are known to backends and
//! to the ONNX export, and computed in the form that is best there: the square of a deviation is a
//! product instead of a power, the hyperbolic tangent of GELU a logistic function.
//! The method is pattern matching on the graph: each rule looks backwards from an equation, the
//! last ones first, so that the largest pattern wins. What a rule found replaces the equation if
//! nothing else reads the values inside.
//!
//! | rule | rewrites |
//! |---|---|
//! | `gelu_tanh` | `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2` to `gelu` |
//! | `gelu_erf` | `x (1 + erf(x / sqrt(2))) / 2` to `gelu` |
//! | `silu` | `x * logistic(x)` to `silu` |
//! | `softmax` | `e / sum(e)` with `e = exp(x - max(x))` to `softmax` |
//! | `log_softmax` | `d - log(sum(exp(d)))` with `d = x - max(x)` to `log_softmax` |
//! | `logsumexp` | `log(sum(exp(x - m))) + m` to `logsumexp`, if `m` is 0 for infinite maxima |
//! | `softmax_of_reshape` | the softmax of a matrix, reshaped before and behind, to `softmax` |
//! | `layer_norm_with_bias` | `(x - mean) / sqrt(var + epsilon) * scale + bias` to `layer_norm` |
//! | `row_norm` | the same without a bias, and `x / sqrt(mean(x^2) + epsilon)` to `rms_norm` |
//! | `small_power` | `x^2` and `x^3` to products |
//! | `attention` | `softmax(scale q k^T) v` to `dot_product_attention` |
//! | `transpose_across` | a transpose that merges with others behind elementwise ops |
//! | `transpose_behind_reduction` | a reduced transpose to a reduction, and a smaller transpose |
//! | `transpose_into_product` | a product with batch axes of a transpose to one of its operand |
//!
//! ```
//! use neurax_ir::{Graph, passes};
//! let graph = Graph::parse("graph(%0: f32[8]) {
//!   %1: f32[8] = logistic(%0)
//!   %2: f32[8] = multiply(%1, %0)
//!   return %2
//! }")?;
//! let found = passes::inference(&graph)?;
//! assert_eq!(found.graph.to_string(), "\
//! graph(%0: f32[8]) {
//!   %1: f32[8] = silu(%0)
//!   return %1
//! }");
//! assert_eq!(found.applied, [("silu", 1)]);
//! # Ok::<(), neurax_ir::Error>(())
//! ```
//!
//! [`inference`] applies the rules whose results are no slower: not `gelu_erf`, as the composite
//! computes by `erfc`, which is precise far below zero and takes half as long again as `erf`; and
//! no attention with a mask, which the composite applies twice. [`recognize`] only finds the
//! composites that its caller wants.
//!
//! # Invariants
//!
//! - The signature is kept, and the value but for rounding: constants of a pattern may differ from
//!   the exact ones by a few units in the last place of their dtype, as exporters round them.
//! - Numbers must be literals: parameters, whose values may change, match no constant.
//! - No value is computed twice.

mod activations;
mod attention;
mod product;
mod row_norm;
mod search;
mod softmax;
mod transposes;

use super::{cse, dce, simplify};
use crate::composite::Composite;
use crate::{Builder, Eqn, Error, Graph, Op, Result, Value, Values};
use search::{PatternSearch, Replacement};
use std::collections::BTreeMap;

/// A graph after rewrites.
#[derive(Clone, Debug)]
pub struct RewrittenGraph {
    /// The graph.
    pub graph: Graph,
    /// The names of the rules that were applied, in alphabetical order, and how often each was.
    pub applied: Vec<(&'static str, usize)>,
}

/// A rule: returns the replacement of the single result of an equation.
type PatternRule = fn(&mut PatternSearch, &Eqn) -> Option<Replacement>;

/// A rule and its name.
type NamedRule = (&'static str, PatternRule);

/// The rules for functions that others are made of.
const FUNCTION_RULES: &[NamedRule] = &[
    ("gelu_tanh", activations::gelu_tanh),
    ("gelu_erf", activations::gelu_erf),
    ("silu", activations::silu),
    ("softmax", softmax::softmax),
    ("log_softmax", softmax::log_softmax),
    ("logsumexp", softmax::logsumexp),
    ("layer_norm_with_bias", row_norm::layer_norm_with_bias),
    ("row_norm", row_norm::row_norm),
    ("small_power", activations::small_power),
];

/// The rules for what is made of these functions.
const BLOCK_RULES: &[NamedRule] = &[
    ("softmax_of_reshape", softmax::softmax_of_reshape),
    ("attention", attention::attention),
    ("transpose_across", transposes::transpose_across),
    ("transpose_behind_reduction", transposes::transpose_behind_reduction),
    ("transpose_into_product", transposes::transpose_into_product),
];

/// The rules in the order in which they are applied: to the graph, then to the result, and so on.
const RULE_GROUPS: &[&[NamedRule]] = &[FUNCTION_RULES, BLOCK_RULES, BLOCK_RULES];

/// Rewrites a graph, with those of its loops and branches, for programs that compute its values
/// often: patterns become composites where these are no slower, and transposes cancel. The value is
/// kept but for rounding.
///
/// # Errors
/// If the graph is invalid; not the case for a graph that verifies.
pub fn inference(graph: &Graph) -> Result<RewrittenGraph> {
    rewrite(graph, &|composite| match composite {
        Some(Composite::Gelu(op)) => op.approximate,
        Some(Composite::DotProductAttention(op)) => !op.mask,
        _ => true,
    })
}

/// Replaces patterns by the composites that `is_wanted` admits, also in the graphs of loops and
/// branches. The value is kept but for rounding.
///
/// ```
/// use neurax_ir::{Graph, composite::Composite, passes};
/// let graph = Graph::parse("graph(%0: f32[8]) {
///   %1: f32[8] = logistic(%0)
///   %2: f32[8] = multiply(%1, %0)
///   return %2
/// }")?;
/// let found = passes::recognize(&graph, &|op| matches!(op, Composite::Silu(_)))?;
/// assert_eq!(found.graph.eqns()[0].op.name(), "silu");
/// let found = passes::recognize(&graph, &|_| false)?;
/// assert_eq!(found.graph, graph);
/// # Ok::<(), neurax_ir::Error>(())
/// ```
///
/// # Errors
/// If the graph is invalid; not the case for a graph that verifies.
pub fn recognize(graph: &Graph, is_wanted: &dyn Fn(&Composite) -> bool) -> Result<RewrittenGraph> {
    rewrite(graph, &|composite| composite.is_some_and(is_wanted))
}

/// Applies the rules whose result `is_wanted` admits: a composite, or something else.
fn rewrite(
    graph: &Graph,
    is_wanted: &dyn Fn(Option<&Composite>) -> bool,
) -> Result<RewrittenGraph> {
    let mut counts = BTreeMap::new();
    let mut graph = graph.clone();
    for rules in RULE_GROUPS {
        let mut rewriting = Rewriting { rules, is_wanted, counts: &mut counts };
        if let Some(new) = rewriting.graph(&graph)? {
            graph = dce(&cse(&simplify(&new)?)?)?;
        }
    }
    Ok(RewrittenGraph { graph, applied: counts.into_iter().collect() })
}

/// One application of rules.
struct Rewriting<'r> {
    rules: &'static [NamedRule],
    is_wanted: &'r dyn Fn(Option<&Composite>) -> bool,
    /// The number of applications of each rule.
    counts: &'r mut BTreeMap<&'static str, usize>,
}

/// A replacement and the name of its rule.
type NamedReplacement = (&'static str, Replacement);

impl Rewriting<'_> {
    /// Applies the rules to a graph; `None` if none applies.
    fn graph(&mut self, graph: &Graph) -> Result<Option<Graph>> {
        let found = self.replacements(graph);
        let inside = graph.eqns().iter().map(|e| self.inside(&e.op));
        let inside = inside.collect::<Result<Vec<_>>>()?;
        if found.iter().all(Option::is_none) && inside.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut b = Builder::new();
        let mut env: Vec<Value> = b.inputs(graph.input_types());
        for ((e, found), op) in graph.eqns().iter().zip(found).zip(inside) {
            b.set_origin(e.at.clone());
            let of = |v: &Value| env[v.index()];
            let Some((name, found)) = found else {
                let inputs: Values = e.inputs.iter().map(of).collect();
                env.extend(b.try_emit(op.unwrap_or_else(|| e.op.clone()), &inputs)?);
                continue;
            };
            let inputs: Values = found.inputs.iter().map(of).collect();
            let y = (found.emit)(&mut b, &inputs);
            check(&b, name, graph, e, y)?;
            *self.counts.entry(name).or_insert(0) += 1;
            env.push(y);
        }
        let outputs: Vec<Value> = graph.outputs().iter().map(|v| env[v.index()]).collect();
        b.finish(&outputs).map(Some)
    }

    /// Applies the rules to the graphs of loops, branches and calls.
    fn inside(&mut self, op: &Op) -> Result<Option<Op>> {
        let has_graphs = matches!(
            op,
            Op::Call(_) | Op::Cond(_) | Op::While(_) | Op::Scan(_) | Op::Checkpoint(_)
        );
        let Some(region) = op.region().filter(|_| has_graphs) else { return Ok(None) };
        let mut is_changed = false;
        let new = region.map_graphs(&mut |g| {
            let new = self.graph(g)?;
            is_changed |= new.is_some();
            Ok(new.unwrap_or_else(|| g.clone()))
        })?;
        Ok(is_changed.then_some(new))
    }

    /// Returns the replacements by equation: the largest patterns, for the last equations first.
    /// Equations inside of them are left out.
    fn replacements(&self, graph: &Graph) -> Vec<Option<NamedReplacement>> {
        let mut search = PatternSearch::new(graph);
        let mut is_read = vec![false; graph.types().len()];
        graph.outputs().iter().for_each(|v| is_read[v.index()] = true);
        let mut all: Vec<Option<NamedReplacement>> = vec![];
        for (i, e) in graph.eqns().iter().enumerate().rev() {
            if !e.op.has_effects() && !e.outputs.iter().any(|v| is_read[v.index()]) {
                all.push(None);
                continue;
            }
            let found = if e.outputs.len() == 1 { self.replacement(&mut search, i) } else { None };
            let inputs = found.as_ref().map_or(&e.inputs, |(_, found)| &found.inputs);
            inputs.iter().for_each(|v| is_read[v.index()] = true);
            all.push(found);
        }
        all.reverse();
        all
    }

    /// Returns the replacement of equation `i` by the first rule that applies.
    fn replacement(&self, search: &mut PatternSearch, i: usize) -> Option<NamedReplacement> {
        let is_wanted = |found: &Replacement| (self.is_wanted)(found.composite.as_ref());
        self.rules.iter().find_map(|(name, rule)| {
            search.find(i, rule).filter(is_wanted).map(|found| (*name, found))
        })
    }
}

/// Checks that a rule kept the type of the result.
fn check(b: &Builder, rule: &str, graph: &Graph, e: &Eqn, y: Value) -> Result<()> {
    let want = graph.ty(e.outputs[0]);
    if b.error().is_some() || b.ty(y) == want {
        return Ok(());
    }
    let have = b.ty(y);
    let what = format!("the rule `{rule}` turned {want} into {have}");
    Err(Error::bug(what).at_origin(&e.at))
}

#[cfg(test)]
mod tests;
