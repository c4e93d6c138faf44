//! Pruning: removes outputs together with the equations and inputs that only they need. The order
//! of the equations that are needed.

use super::{Eqn, Graph, Liveness, Value};
use crate::{Error, Op, OrBug, Result};
use std::borrow::Cow;

impl Graph {
    /// Extracts the computation of the `live` outputs: returns the graph without equations and
    /// inputs that only the others need, and for each input whether it remains. Ops that hold
    /// graphs are pruned inside. Equations that have effects and no results are left out, as the
    /// values are computed besides this graph, which has the effects.
    ///
    /// # Errors
    /// If an op cannot be rebuilt with changed nested graphs; not the case for a graph that
    /// verifies.
    pub fn pruned(&self, live: &[bool]) -> Result<(Graph, Vec<bool>)> {
        let values = self.without_effects()?;
        let mut needed = Liveness::of_values();
        let inputs = needed.add(&values, live);
        Ok((needed.restrict(&values, live, &inputs), inputs))
    }

    /// Returns the graph without the equations that have effects and no results, also in nested
    /// graphs.
    ///
    /// # Errors
    /// If an op cannot be rebuilt with changed nested graphs; not the case for a graph that
    /// verifies.
    pub(crate) fn without_effects(&self) -> Result<Cow<'_, Graph>> {
        if !self.has_effects() {
            return Ok(Cow::Borrowed(self));
        }
        let mut eqns = vec![];
        for e in &self.eqns {
            let has_effects = e.op.has_effects();
            if has_effects && e.outputs.is_empty() {
                continue;
            }
            let op = match e.op.region().filter(|_| has_effects) {
                Some(r) => r.map_graphs(&mut |g| Ok(g.without_effects()?.into_owned()))?,
                None => e.op.clone(),
            };
            eqns.push(Eqn { op, ..e.clone() });
        }
        let inputs: Vec<Value> = self.inputs().collect();
        Ok(Cow::Owned(Graph::renumbered(self.types.clone(), &inputs, eqns, &self.outputs)))
    }

    /// Splits off the equation that computes output `i` from a single operand: returns its op, and
    /// the graph of the operand, which has all inputs of this one. `None` if the output is an input
    /// or computed in another way.
    pub fn without_last(&self, i: usize) -> Option<(Op, Graph)> {
        let y = *self.outputs().get(i)?;
        let last = self.eqns().iter().find(|e| e.outputs[..] == [y])?;
        let [x] = last.inputs[..] else { return None };
        let operand = Graph { outputs: vec![x], ..self.clone() };
        let inputs = vec![true; self.input_types().len()];
        Some((last.op.clone(), operand.restricted(&[true], &inputs)))
    }

    /// Returns the graph of the `live` outputs. Its signature keeps the inputs marked in `keep`,
    /// which must include all that are needed.
    pub fn restricted(&self, live: &[bool], keep: &[bool]) -> Graph {
        let mut needed = Liveness::default();
        let reads = needed.add(self, live);
        let inputs: Vec<bool> = reads.iter().zip(keep).map(|(r, k)| r | k).collect();
        needed.restrict(self, live, &inputs)
    }

    /// Returns this graph without the equations that no output needs; the signature is unchanged.
    pub(crate) fn without_dead_eqns(&self) -> Graph {
        self.restricted(&vec![true; self.outputs.len()], &vec![true; self.inputs])
    }

    /// Returns the indices of the equations that have effects or that the outputs need, depth-first
    /// from the effects in their order, then from the outputs, operands from left to right: a
    /// topological order that does not depend on the order of the equations without effects. Uses
    /// an explicit stack, as graphs may be deeper than the thread's stack.
    ///
    /// ```
    /// use neurax_ir::Graph;
    /// let graph = Graph::parse("graph(%0: f32[]) {
    ///   %1: f32[] = cosine(%0)
    ///   %2: f32[] = tanh(%0)
    ///   %3: f32[] = sine(%0)
    ///   %4: f32[] = add(%3, %1)
    ///   return %4
    /// }")?;
    /// assert_eq!(graph.depth_first_eqns(), [2, 0, 3]);
    /// # Ok::<(), neurax_ir::Error>(())
    /// ```
    pub fn depth_first_eqns(&self) -> Vec<usize> {
        let (eqns, producers) = (&self.eqns, self.producers());
        let mut seen = vec![false; eqns.len()];
        let mut order = Vec::with_capacity(eqns.len());
        let effects = (0..eqns.len()).filter(|&i| self.has_effects() && eqns[i].op.has_effects());
        let roots = effects.chain(self.outputs.iter().filter_map(|v| producers[v.index()]));
        for root in roots {
            let enter = |i: usize, seen: &mut Vec<bool>| {
                Some(i).filter(|&i| !std::mem::replace(&mut seen[i], true))
            };
            // The path from the root: equations, each with the index of the operand to visit next.
            let mut stack: Vec<(usize, usize)> = vec![];
            stack.extend(enter(root, &mut seen).map(|i| (i, 0)));
            while let Some((i, next)) = stack.pop() {
                match eqns[i].inputs.get(next) {
                    Some(&v) => {
                        stack.push((i, next + 1));
                        let producer = producers[v.index()];
                        stack.extend(producer.and_then(|j| enter(j, &mut seen)).map(|j| (j, 0)));
                    }
                    None => order.push(i),
                }
            }
        }
        order
    }

    /// Returns the graph of the inputs and equations of this graph with the indices `inputs` and
    /// `eqns`, in these orders.
    ///
    /// # Errors
    /// If an equation or output reads a value that is not defined before it, or an index is out of
    /// range.
    pub fn reordered(&self, inputs: &[usize], eqns: &[usize]) -> Result<Graph> {
        let inputs: Vec<Value> = inputs.iter().map(|&i| Value(i as u32)).collect();
        let eqn =
            |&i: &usize| self.eqns.get(i).cloned().or_bug(format!("there is no equation {i}"));
        let eqns = eqns.iter().map(eqn).collect::<Result<_>>()?;
        let new = Graph::renumbered(self.types.clone(), &inputs, eqns, &self.outputs);
        // Values are numbered in the order of their definition.
        let mut defined = new.inputs;
        for e in &new.eqns {
            check_defined(&e.inputs, defined)?;
            defined += e.outputs.len();
        }
        check_defined(&new.outputs, defined)?;
        Ok(new)
    }
}

/// Checks that the values `vs` are among the first `defined` ones.
fn check_defined(vs: &[Value], defined: usize) -> Result<()> {
    match vs.iter().all(|v| v.index() < defined) {
        true => Ok(()),
        false => Err(Error::bug("a reordered graph reads a value before it is defined")),
    }
}

#[cfg(test)]
mod tests {
    use crate::Graph;

    #[test]
    fn reordering_keeps_definitions_before_uses() {
        let g = Graph::parse(
            "graph(%0: f32[], %1: f32[]) {
               %2: f32[] = sine(%0)
               %3: f32[] = cosine(%1)
               %4: f32[] = add(%2, %3)
               return %4
             }",
        )
        .unwrap();
        let new = g.reordered(&[1, 0], &[1, 0, 2]).unwrap();
        assert_eq!(
            new.to_string(),
            "graph(%0: f32[], %1: f32[]) {\n  %2: f32[] = cosine(%0)\n  %3: f32[] = sine(%1)\n  \
             %4: f32[] = add(%3, %2)\n  return %4\n}"
        );
        for (inputs, eqns) in [(&[0][..], &[0, 1, 2][..]), (&[0, 1], &[2, 0, 1]), (&[0, 1], &[0])] {
            let e = g.reordered(inputs, eqns).unwrap_err().to_string();
            assert!(e.starts_with("internal error: a reordered graph reads"), "{e}");
        }
    }
}
