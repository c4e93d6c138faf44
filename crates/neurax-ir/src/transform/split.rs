//! Parts a differentiated graph into what is free of tangents and what is linear in them.

use super::jvp_instantiated;
use crate::{Builder, Eqn, Error, Graph, Op, Result, Value, Values};

/// The answer of [`linearize`].
#[derive(Clone, Debug)]
pub struct Linearized {
    /// `inputs.. -> (outputs.., residuals..)`
    pub primal: Graph,
    /// `(residuals.., tangents of the active inputs..) -> tangents of the outputs marked below..`
    pub linear: Graph,
    /// Which outputs have a tangent.
    pub outputs: Vec<bool>,
    /// How many residuals.
    pub residuals: usize,
}

impl Linearized {
    /// For each residual, the input of the graph that it merely repeats, if it does: who calls the
    /// primal half has that value already, and a loop around the call sees that it does not change.
    pub(crate) fn repeated_inputs(&self) -> Vec<Option<usize>> {
        let outs = self.primal.outputs();
        let input = |v: &Value| (v.index() < self.primal.input_types().len()).then_some(v.index());
        outs[outs.len() - self.residuals..].iter().map(input).collect()
    }
}

/// A graph and its derivative at the point where it is evaluated: the derivative is a graph that is
/// linear in its tangents and reads residuals from the evaluation.
///
/// # Errors
/// When an op has no derivative, or one that cannot be parted (`while`).
pub fn linearize(g: &Graph, active: &[bool]) -> Result<Linearized> {
    linearize_instantiated(g, active, &vec![false; g.outputs().len()])
}

/// Like [`linearize`], but outputs in `force` get a tangent even if it is zero.
pub(crate) fn linearize_instantiated(
    g: &Graph,
    active: &[bool],
    force: &[bool],
) -> Result<Linearized> {
    let d = jvp_instantiated(g, active, force, true)?;
    // What no result reads must not cost residuals, nor be refused.
    let live = d
        .graph
        .restricted(&vec![true; d.graph.outputs().len()], &vec![true; d.graph.input_types().len()]);
    split(&live, g.input_types().len(), g.outputs().len(), d.outputs)
}

/// What a value depends on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// On nothing: computed again wherever it is needed.
    Free,
    /// On the inputs.
    Primal,
    /// On tangents.
    Linear,
}

fn split(
    g: &Graph,
    primal_inputs: usize,
    primal_outputs: usize,
    outputs: Vec<bool>,
) -> Result<Linearized> {
    let class = classify(g, primal_inputs)?;
    let (primal_outs, tangent_outs) = g.outputs().split_at(primal_outputs);
    if primal_outs.iter().any(|v| class[v.index()] == Class::Linear) {
        return Err(Error::new("linearize", "a result cannot be parted from its tangent"));
    }
    let mut linear = Half::new(g);
    let mut residuals = vec![];
    for (i, v) in g.inputs().enumerate().skip(primal_inputs) {
        linear.env[i] = Some(linear.b.input(g.ty(v).clone()));
    }
    for e in g.eqns().iter().filter(|e| is_linear(e, &class)) {
        for &v in &e.inputs {
            linear.fetch(v, &class, &mut residuals);
        }
        linear.emit(e);
    }
    tangent_outs.iter().for_each(|&v| linear.fetch(v, &class, &mut residuals));
    // Residuals come first in the signature; the builder numbers inputs as they were asked for.
    let outs: Vec<Value> = tangent_outs.iter().filter_map(|v| linear.env[v.index()]).collect();
    let (tangents, all) = (
        g.input_types().len() - primal_inputs,
        g.input_types().len() - primal_inputs + residuals.len(),
    );
    let order: Vec<usize> = (tangents..all).chain(0..tangents).collect();
    let linear = linear.b.finish(&outs)?.with_input_order(&order);

    let mut primal = Half::new(g);
    for (i, v) in g.inputs().enumerate().take(primal_inputs) {
        primal.env[i] = Some(primal.b.input(g.ty(v).clone()));
    }
    g.eqns().iter().filter(|e| !is_linear(e, &class)).for_each(|e| primal.emit(e));
    let outs: Vec<Value> =
        primal_outs.iter().chain(&residuals).filter_map(|v| primal.env[v.index()]).collect();
    Ok(Linearized { primal: primal.b.finish(&outs)?, linear, outputs, residuals: residuals.len() })
}

fn is_linear(e: &Eqn, class: &[Class]) -> bool {
    e.inputs.iter().any(|v| class[v.index()] == Class::Linear)
}

fn classify(g: &Graph, primal_inputs: usize) -> Result<Vec<Class>> {
    let mut class: Vec<Class> = (0..g.input_types().len())
        .map(|i| if i < primal_inputs { Class::Primal } else { Class::Linear })
        .collect();
    for e in g.eqns() {
        let c = e.inputs.iter().map(|v| class[v.index()]).max().unwrap_or(Class::Free);
        if c == Class::Linear && matches!(e.op, Op::While(_)) {
            return Err(no_reverse_loop(e));
        }
        class.extend(e.outputs.iter().map(|_| c));
    }
    Ok(class)
}

/// The error of reverse mode over `while`.
pub(super) fn no_reverse_loop(e: &Eqn) -> Error {
    let why = "a loop whose number of steps is only known at run time has no reverse mode; use scan, or fori with a fixed range";
    Error::new("while", why).at_origin(&e.at)
}

/// One of the two graphs in the making, and where the values of the whole are in it.
struct Half<'g> {
    b: Builder,
    g: &'g Graph,
    env: Vec<Option<Value>>,
    maker: Vec<Option<usize>>,
}

impl<'g> Half<'g> {
    fn new(g: &'g Graph) -> Half<'g> {
        let mut maker = vec![None; g.types().len()];
        for (i, e) in g.eqns().iter().enumerate() {
            e.outputs.iter().for_each(|v| maker[v.index()] = Some(i));
        }
        Half { b: Builder::new(), g, env: vec![None; g.types().len()], maker }
    }

    fn emit(&mut self, e: &Eqn) {
        let xs: Option<Values> = e.inputs.iter().map(|v| self.env[v.index()]).collect();
        if let Some(xs) = xs {
            self.b.set_origin(e.at.clone());
            let ys = self.b.emit_n(e.op.clone(), &xs, e.outputs.len());
            e.outputs.iter().zip(ys).for_each(|(v, y)| self.env[v.index()] = Some(y));
        }
    }

    /// Makes a value available in the linear half: what is free or a mere repetition is computed
    /// again, the rest is a residual.
    fn fetch(&mut self, v: Value, class: &[Class], residuals: &mut Vec<Value>) {
        if self.env[v.index()].is_some() || class[v.index()] == Class::Linear {
            return;
        }
        let g = self.g;
        match self.maker[v.index()].map(|i| &g.eqns()[i]) {
            Some(e) if class[v.index()] == Class::Free || matches!(e.op, Op::Broadcast(_)) => {
                e.inputs.iter().for_each(|&x| self.fetch(x, class, residuals));
                self.emit(e);
            }
            _ => {
                residuals.push(v);
                self.env[v.index()] = Some(self.b.input(g.ty(v).clone()));
            }
        }
    }
}
