//! Pruning: removes outputs together with the equations and inputs that only they need.

use super::{Eqn, Graph, Value, Values};

impl Graph {
    /// Returns the graph of the `live` outputs, without equations and inputs that only the others
    /// need, and for each input whether it remains. Ops that hold graphs are pruned inside.
    pub fn pruned(&self, live: &[bool]) -> (Graph, Vec<bool>) {
        self.prune(live, &vec![false; self.inputs])
    }

    /// Returns the graph of the `live` outputs. Its signature keeps the inputs marked in `keep`,
    /// which must include all that are needed.
    pub fn restricted(&self, live: &[bool], keep: &[bool]) -> Graph {
        self.prune(live, keep).0
    }

    /// Returns this graph without the equations that no output needs; the signature is unchanged.
    pub(crate) fn without_dead_eqns(&self) -> Graph {
        self.restricted(&vec![true; self.outputs.len()], &vec![true; self.inputs])
    }

    fn prune(&self, live: &[bool], keep: &[bool]) -> (Graph, Vec<bool>) {
        let outputs = marked(&self.outputs, live);
        let mut needed = vec![false; self.types.len()];
        self.inputs().zip(keep).for_each(|(v, &k)| needed[v.index()] = k);
        outputs.iter().for_each(|v| needed[v.index()] = true);
        let mut eqns = Vec::with_capacity(self.eqns.len());
        for e in self.eqns.iter().rev() {
            let live: Vec<bool> = e.outputs.iter().map(|v| needed[v.index()]).collect();
            if !live.contains(&true) {
                continue;
            }
            let eqn = match e.op.region().and_then(|r| r.dce(&live)) {
                Some(p) => Eqn {
                    op: p.op,
                    inputs: marked(&e.inputs, &p.inputs),
                    outputs: marked(&e.outputs, &p.outputs),
                    at: e.at.clone(),
                },
                None => e.clone(),
            };
            eqn.inputs.iter().for_each(|v| needed[v.index()] = true);
            eqns.push(eqn);
        }
        eqns.reverse();
        let kept: Vec<bool> = needed[..self.inputs].to_vec();
        let inputs: Vec<Value> = self.inputs().filter(|v| kept[v.index()]).collect();
        (Graph::renumbered(self.types.clone(), &inputs, eqns, &outputs), kept)
    }
}

fn marked(vs: &[Value], flags: &[bool]) -> Values {
    vs.iter().zip(flags).filter(|(_, f)| **f).map(|(v, _)| *v).collect()
}
