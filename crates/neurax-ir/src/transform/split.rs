//! Linearization: splits the output of [`super::jvp`] into a primal graph and a linear graph.
//!
//! This is the partial evaluation ("unzipping") of Radul et al., "You Only Linearize Once"
//! (<https://arxiv.org/abs/2204.10923>): the primal inputs are known, the tangents unknown. The
//! primal graph computes the results and the residuals, the known values that the linear graph
//! reads. The linear graph maps tangents to tangents and is what [`super::transpose`] transposes.
//!
//! ```
//! use neurax_ir::{Graph, transform};
//! let graph = Graph::parse("graph(%0: f32[], %1: f32[]) {
//!   %2: f32[] = sine(%0)
//!   %3: f32[] = multiply(%2, %1)
//!   return %3
//! }")?;
//! let l = transform::linearize(&graph, &[true, false])?;
//! // Two residuals, the cosine and the second input.
//! assert_eq!((l.primal.to_string(), l.residuals), ("\
//! graph(%0: f32[], %1: f32[]) {
//!   %2: f32[] = sine(%0)
//!   %3: f32[] = cosine(%0)
//!   %4: f32[] = multiply(%2, %1)
//!   return %4, %3, %1
//! }".to_string(), 2));
//! // (residuals.., tangent) -> tangent
//! assert_eq!(l.linear.to_string(), "\
//! graph(%0: f32[], %1: f32[], %2: f32[]) {
//!   %3: f32[] = multiply(%2, %0)
//!   %4: f32[] = multiply(%3, %1)
//!   return %4
//! }");
//! # Ok::<(), neurax_ir::Error>(())
//! ```
//!
//! Invariants:
//! - An equation is linear if it reads a tangent or the result of a linear equation, and belongs to
//!   the linear graph; all others belong to the primal graph. A primal result that depends on a
//!   tangent is an error.
//! - Constants, and broadcasts of available values, are recomputed in the linear graph instead of
//!   being residuals: the memory of a residual costs more than the fill.
//! - Dead equations are removed first, so that they neither cost residuals nor cause errors.
//! - The linear equation of a `while` computes the values again: the number of residuals would
//!   depend on the number of iterations, which is unknown before the loop runs. It has no
//!   transpose.
//!
//! Rejected: to recompute all cheap elementwise equations instead of storing them. Which of the two
//! costs less depends on what the backend fuses; `checkpoint` leaves the choice to the user. Of the
//! residuals of a loop, those that follow from others are computed again (`op/scan/residuals.rs`).

use super::{Jvp, Memo, jvp_instantiated};
use crate::{Builder, Eqn, Error, Graph, Op, OrBug, Result, Value, Values, visits::visit};

/// The result of [`linearize`].
#[derive(Clone, Debug)]
pub struct Linearized {
    /// `inputs.. -> (outputs.., residuals..)`
    pub primal: Graph,
    /// `(residuals.., tangents of the active inputs..) -> tangents of the outputs marked below..`
    pub linear: Graph,
    /// For each output, true if it has a tangent.
    pub outputs: Vec<bool>,
    /// The number of residuals.
    pub residuals: usize,
}

impl Linearized {
    /// Returns, for each residual that is an input of the graph, the index of that input. Callers
    /// of the primal graph already have the value, and a loop around the call can see that it is
    /// invariant.
    pub(crate) fn repeated_inputs(&self) -> Vec<Option<usize>> {
        let outs = self.primal.outputs();
        let input = |v: &Value| (v.index() < self.primal.input_types().len()).then_some(v.index());
        outs[outs.len() - self.residuals..].iter().map(input).collect()
    }
}

/// Returns a graph and its derivative at the point where it is evaluated: a graph that is linear in
/// the tangents and reads residuals from the evaluation.
///
/// # Errors
/// If `active` has not one flag for each input, or an op has no derivative.
pub fn linearize(g: &Graph, active: &[bool]) -> Result<Linearized> {
    let none = vec![false; g.outputs().len()];
    linearize_instantiated(g, &jvp_instantiated(&Memo::default(), g, active, &none, true)?)
}

/// Splits `d`, the derivative of `g` for reverse mode, like [`linearize`].
pub(crate) fn linearize_instantiated(g: &Graph, d: &Jvp) -> Result<Linearized> {
    // Dead equations must neither cost residuals nor cause errors.
    let live = d.graph.without_dead_eqns();
    split(&live, g.input_types().len(), g.outputs().len(), d.outputs.clone())
}

/// The dependence of a value, ordered by strength.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Dependence {
    /// Depends on nothing; recomputed wherever it is needed.
    Free,
    /// Depends on primal inputs.
    Primal,
    /// Depends on tangents.
    Linear,
}

fn split(
    g: &Graph,
    primal_inputs: usize,
    primal_outputs: usize,
    outputs: Vec<bool>,
) -> Result<Linearized> {
    let dependence = classify(g, primal_inputs);
    let (primal_outs, tangent_outs) = g.outputs().split_at(primal_outputs);
    if primal_outs.iter().any(|v| dependence[v.index()] == Dependence::Linear) {
        let why = "a result depends on a tangent; \
                   a jvp rule must emit values and tangents in separate equations";
        return Err(Error::new("linearize", why));
    }
    let mut linear = HalfGraph::new(g);
    let mut residuals = vec![];
    for (i, v) in g.inputs().enumerate().skip(primal_inputs) {
        linear.env[i] = Some(linear.b.input(g.ty(v).clone()));
    }
    for e in g.eqns().iter().filter(|e| is_linear(e, &dependence)) {
        for &v in &e.inputs {
            linear.fetch(v, &dependence, &mut residuals)?;
        }
        linear.emit(e)?;
    }
    for &v in tangent_outs {
        linear.fetch(v, &dependence, &mut residuals)?;
    }
    // Residuals come first in the signature; the builder numbers inputs in the order of their
    // creation.
    let outs = linear.values(tangent_outs)?;
    let tangents = g.input_types().len() - primal_inputs;
    let order: Vec<usize> = (tangents..tangents + residuals.len()).chain(0..tangents).collect();
    let linear = linear.b.finish(&outs)?.with_input_order(&order);

    let mut primal = HalfGraph::new(g);
    for (i, v) in g.inputs().enumerate().take(primal_inputs) {
        primal.env[i] = Some(primal.b.input(g.ty(v).clone()));
    }
    for e in g.eqns().iter().filter(|e| !is_linear(e, &dependence)) {
        primal.emit(e)?;
    }
    let outs = primal.values(&[primal_outs, &residuals].concat())?;
    Ok(Linearized { primal: primal.b.finish(&outs)?, linear, outputs, residuals: residuals.len() })
}

/// Returns true if `e`, whose results have dependence `kind`, is computed again in the linear
/// graph.
fn can_repeat(e: &Eqn, kind: Dependence) -> bool {
    let is_free = kind == Dependence::Free && !e.op.has_effects();
    is_free || matches!(e.op, Op::Broadcast(_))
}

fn is_linear(e: &Eqn, dependence: &[Dependence]) -> bool {
    e.inputs.iter().any(|v| dependence[v.index()] == Dependence::Linear)
}

fn classify(g: &Graph, primal_inputs: usize) -> Vec<Dependence> {
    let mut dependence: Vec<Dependence> = (0..g.input_types().len())
        .map(|i| if i < primal_inputs { Dependence::Primal } else { Dependence::Linear })
        .collect();
    for e in g.eqns() {
        visit();
        let c = e.inputs.iter().map(|v| dependence[v.index()]).max().unwrap_or(Dependence::Free);
        dependence.extend(e.outputs.iter().map(|_| c));
    }
    dependence
}

/// One of the two graphs under construction, with the map from values of the whole graph to its
/// own.
struct HalfGraph<'g> {
    b: Builder,
    g: &'g Graph,
    env: Vec<Option<Value>>,
    producers: Vec<Option<usize>>,
}

impl<'g> HalfGraph<'g> {
    fn new(g: &'g Graph) -> HalfGraph<'g> {
        let env = vec![None; g.types().len()];
        HalfGraph { b: Builder::new(), g, env, producers: g.producers() }
    }

    fn values(&self, vs: &[Value]) -> Result<Values> {
        let value = |v: &Value| {
            self.env[v.index()].or_bug(format_args!("value %{} is in neither half", v.0))
        };
        vs.iter().map(value).collect()
    }

    fn emit(&mut self, e: &Eqn) -> Result<()> {
        let xs = self.values(&e.inputs)?;
        self.b.set_origin(e.at.clone());
        let ys = self.b.emit_n(e.op.clone(), &xs, e.outputs.len());
        e.outputs.iter().zip(ys).for_each(|(v, y)| self.env[v.index()] = Some(y));
        Ok(())
    }

    /// Makes `v` available in the linear graph: constants and broadcasts are recomputed, other
    /// values become residuals.
    fn fetch(
        &mut self,
        v: Value,
        dependence: &[Dependence],
        residuals: &mut Vec<Value>,
    ) -> Result<()> {
        let g = self.g;
        // A stack instead of recursion: a chain of constants has any length. Each equation is on it
        // twice, before and after its operands.
        let mut stack = vec![(v, false)];
        while let Some((v, has_operands)) = stack.pop() {
            let kind = dependence[v.index()];
            if self.env[v.index()].is_some() || kind == Dependence::Linear {
                continue;
            }
            match self.producers[v.index()].map(|i| &g.eqns()[i]) {
                Some(e) if has_operands => self.emit(e)?,
                Some(e) if can_repeat(e, kind) => {
                    stack.push((v, true));
                    stack.extend(e.inputs.iter().rev().map(|&x| (x, false)));
                }
                _ => {
                    residuals.push(v);
                    self.env[v.index()] = Some(self.b.input(g.ty(v).clone()));
                }
            }
        }
        Ok(())
    }
}
