//! Liveness: the values that the live outputs of a graph need, also in the graphs that its ops
//! hold.
//!
//! The operands that a loop needs are a fixed point: a carry that the body reads keeps the
//! equations alive that compute it. If the body holds loops, each round of the outer fixed point
//! computes the inner ones. They start where the last round ended, as flags are only ever added,
//! so a graph is walked once for each time that a flag of its outputs is added, however deeply it
//! is nested.
//!
//! Equations with effects are needed, whatever reads their results, and so is all that they read.
//! A graph of values alone ([`Liveness::of_values`]) has no effects of its equations, unless these
//! compute a value that is needed.

use super::{Eqn, Graph, Value, Values};
use crate::{op::Needs, visits::visit};

/// The values of a graph that are needed, as far as was asked. Flags are only ever added.
#[derive(Clone, Debug, Default)]
pub struct Liveness {
    /// A flag for each value; empty before anything was needed.
    needed: Vec<bool>,
    /// For each equation that holds graphs and is needed, what it needs.
    regions: Vec<Option<RegionLiveness>>,
    /// True if equations with effects are needed only for their results.
    is_of_values: bool,
}

/// The liveness of the graphs that an op holds.
#[derive(Clone, Debug)]
struct RegionLiveness {
    /// Flags of the live results.
    live: Vec<bool>,
    /// The operands and results that remain; `None` if all do.
    needs: Option<Needs>,
    /// The liveness of each graph.
    inside: Vec<Liveness>,
}

impl Liveness {
    /// Creates the liveness of a graph whose effects are not needed.
    pub fn of_values() -> Liveness {
        Liveness { is_of_values: true, ..Liveness::default() }
    }

    /// Marks what the outputs of `g` marked in `live` need, and returns flags of the needed inputs.
    pub fn add(&mut self, g: &Graph, live: &[bool]) -> Vec<bool> {
        self.needed.resize(g.types.len(), false);
        let mut is_new = self.is_first_walk(g);
        for v in marked(&g.outputs, live) {
            is_new |= !std::mem::replace(&mut self.needed[v.index()], true);
        }
        if is_new {
            self.walk(g);
        }
        self.needed[..g.inputs].to_vec()
    }

    /// Returns true if `g` has effects that are needed and was not walked yet.
    fn is_first_walk(&self, g: &Graph) -> bool {
        g.has_effects() && !self.is_of_values && self.regions.len() < g.eqns.len()
    }

    /// Returns true if the effects of `e` are needed.
    fn needs_effects(&self, e: &Eqn) -> bool {
        !self.is_of_values && e.op.has_effects()
    }

    /// Marks what the needed values of `g` need.
    fn walk(&mut self, g: &Graph) {
        self.regions.resize(g.eqns.len(), None);
        for (i, e) in g.eqns.iter().enumerate().rev() {
            let live: Vec<bool> = e.outputs.iter().map(|v| self.needed[v.index()]).collect();
            if !live.contains(&true) && !self.needs_effects(e) {
                continue;
            }
            visit();
            match self.needs(i, e, live) {
                Some(n) => marked(&e.inputs, &n.inputs).iter().for_each(|v| self.mark(*v)),
                None => e.inputs.iter().for_each(|v| self.mark(*v)),
            }
        }
    }

    /// Returns what equation `i` needs for its `live` results; `None` if it is all of it. A loop
    /// or branch with effects is kept as a whole.
    fn needs(&mut self, i: usize, e: &Eqn, live: Vec<bool>) -> Option<Needs> {
        let region = e.op.region().filter(|_| !self.needs_effects(e))?;
        let new = Liveness { is_of_values: self.is_of_values, ..Liveness::default() };
        let known = self.regions[i].get_or_insert_with(|| {
            let inside = vec![new; region.graphs().len()];
            RegionLiveness { live: vec![], needs: None, inside }
        });
        if known.live != live {
            known.needs = region.needs(&live, &mut known.inside);
            known.live = live;
        }
        known.needs.clone()
    }

    fn mark(&mut self, v: Value) {
        self.needed[v.index()] = true;
    }

    /// Returns true if all equations of `g` are needed, with all operands and results.
    pub fn is_whole(&self, g: &Graph) -> bool {
        g.eqns.iter().all(|e| self.is_needed(e))
            && self.regions.iter().flatten().all(|r| r.needs.is_none())
    }

    /// Returns true if `e` is needed.
    fn is_needed(&self, e: &Eqn) -> bool {
        // empty: nothing is needed.
        let is_read = e.outputs.iter().any(|v| self.needed.get(v.index()) == Some(&true));
        is_read || self.needs_effects(e)
    }

    /// Returns the graph of the needed equations of `g`, with the outputs marked in `outputs` and
    /// the inputs marked in `inputs`, which must include all that are needed.
    pub fn restrict(&self, g: &Graph, outputs: &[bool], inputs: &[bool]) -> Graph {
        let eqns = g.eqns.iter().enumerate().filter_map(|(i, e)| self.restricted_eqn(i, e));
        let inputs = marked(&g.inputs().collect::<Values>(), inputs);
        let outputs = marked(&g.outputs, outputs);
        Graph::renumbered(g.types.clone(), &inputs, eqns.collect(), &outputs)
    }

    /// Returns what remains of equation `i`; `None` if it is not needed.
    fn restricted_eqn(&self, i: usize, e: &Eqn) -> Option<Eqn> {
        if !self.is_needed(e) {
            return None;
        }
        let known = self.regions.get(i).and_then(Option::as_ref);
        let (Some(known), Some(region)) = (known, e.op.region()) else { return Some(e.clone()) };
        let Some(needs) = &known.needs else { return Some(e.clone()) };
        Some(Eqn {
            op: region.pruned(needs, &known.inside),
            inputs: marked(&e.inputs, &needs.inputs),
            outputs: marked(&e.outputs, &needs.outputs),
            at: e.at.clone(),
        })
    }
}

/// Returns the values whose flag is set.
fn marked(vs: &[Value], flags: &[bool]) -> Values {
    vs.iter().zip(flags).filter(|(_, f)| **f).map(|(v, _)| *v).collect()
}
