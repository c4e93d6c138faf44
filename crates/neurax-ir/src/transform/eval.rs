//! The meaning of a graph: each equation in turn, every value given up at its last use so that ops
//! may reuse it.

use crate::{Error, Graph, Literal, Result};

/// What evaluation keeps between equations: counters that tests and profiles read.
#[derive(Clone, Debug, Default)]
pub struct Eval {
    /// Equations evaluated so far, those of nested graphs included.
    pub eqns: usize,
    /// Results that were written into an operand's memory.
    pub reused: usize,
}

/// Evaluates a graph.
///
/// # Errors
/// When the arguments do not have the graph's types, or an op has no result, with the op's place.
pub fn eval(graph: &Graph, args: Vec<Literal>) -> Result<Vec<Literal>> {
    let types: Vec<_> = args.iter().map(|x| x.ty()).collect();
    if !types.iter().copied().eq(graph.input_types()) {
        let want = crate::op::rules::list(graph.input_types());
        let have = types.iter().map(|t| t.to_string()).collect::<Vec<_>>().join(", ");
        return Err(Error::new("eval", format!("the graph takes ({want}), not ({have})")));
    }
    Eval::default().run(graph, args)
}

impl Eval {
    /// Evaluates a graph on arguments of its types. A value is moved into the equation that reads
    /// it last.
    ///
    /// # Errors
    /// When an op has no result, with the op's place.
    pub fn run(&mut self, graph: &Graph, args: Vec<Literal>) -> Result<Vec<Literal>> {
        let last = graph.last_uses();
        let mut env: Vec<Option<Literal>> = args.into_iter().map(Some).collect();
        // An argument that nothing reads is dropped now, so that its memory is free while the graph
        // runs.
        env.iter_mut().zip(&last).filter(|(_, l)| l.is_none()).for_each(|(x, _)| *x = None);
        for (i, e) in graph.eqns().iter().enumerate() {
            self.eqns += 1;
            let mut xs = Vec::with_capacity(e.inputs.len());
            for (k, v) in e.inputs.iter().enumerate() {
                let dies = last[v.index()] == Some(i) && !e.inputs[k + 1..].contains(v);
                let slot = &mut env[v.index()];
                xs.push(
                    if dies { slot.take() } else { slot.clone() }
                        .ok_or_else(|| lost(v.0).at_origin(&e.at))?,
                );
            }
            let ys = e.op.eval(self, xs).map_err(|err| err.at_origin(&e.at))?;
            for (y, v) in ys.into_iter().zip(&e.outputs) {
                env.push(last[v.index()].is_some().then_some(y));
            }
        }
        let outs = graph.outputs();
        let take = |(k, v): (usize, &crate::Value)| {
            let slot = &mut env[v.index()];
            let x = if outs[k + 1..].contains(v) { slot.clone() } else { slot.take() };
            x.ok_or_else(|| lost(v.0))
        };
        outs.iter().enumerate().map(take).collect()
    }

    /// Counts a result that was written into its operand's memory.
    pub fn count_reuse(&mut self, inplace: bool) {
        self.reused += inplace as usize;
    }
}

fn lost(v: u32) -> Error {
    Error::new("eval", format!("%{v} has no value; the graph does not verify"))
}
