//! Leaving out what nobody needs.

use super::{Builder, Graph, Value, Values};

impl Graph {
    /// The graph of the live outputs only, without the equations and inputs that only dead ones
    /// need. Answers also which inputs it still takes. Ops that hold graphs are pruned inside.
    pub fn pruned(&self, live: &[bool]) -> (Graph, Vec<bool>) {
        let all = self.keep(live, &vec![false; self.inputs]);
        all.unwrap_or_else(|| (self.clone(), vec![true; self.inputs]))
    }

    /// Like [`Graph::pruned`], with the inputs marked in `keep` in the signature whether they are
    /// needed or not; those that are needed must be among them.
    pub fn restricted(&self, live: &[bool], keep: &[bool]) -> Graph {
        self.keep(live, keep).map_or_else(|| self.clone(), |(g, _)| g)
    }

    /// `None` if a graph that was built before cannot be built again, which does not happen.
    fn keep(&self, live: &[bool], keep: &[bool]) -> Option<(Graph, Vec<bool>)> {
        let mut needed = vec![false; self.types.len()];
        self.inputs().zip(keep).filter(|(_, k)| **k).for_each(|(v, _)| needed[v.index()] = true);
        self.outputs
            .iter()
            .zip(live)
            .filter(|(_, l)| **l)
            .for_each(|(v, _)| needed[v.index()] = true);
        let mut kept = Vec::with_capacity(self.eqns.len());
        for e in self.eqns.iter().rev() {
            let outs: Vec<bool> = e.outputs.iter().map(|v| needed[v.index()]).collect();
            if !outs.contains(&true) {
                continue;
            }
            let pruned = e.op.region().and_then(|r| r.dce(&outs));
            let reads = |i: usize| pruned.as_ref().is_none_or(|p| p.inputs[i]);
            (0..e.inputs.len())
                .filter(|&i| reads(i))
                .for_each(|i| needed[e.inputs[i].index()] = true);
            kept.push((e, pruned));
        }
        let mut b = Builder::with_room_for(self);
        let mut env: Vec<Option<Value>> = vec![None; self.types.len()];
        let inputs: Vec<bool> = self.inputs().map(|v| needed[v.index()]).collect();
        for v in self.inputs().filter(|v| needed[v.index()]) {
            env[v.index()] = Some(b.input(self.ty(v).clone()));
        }
        for (e, pruned) in kept.into_iter().rev() {
            b.set_origin(e.at.clone());
            let read = |vs: &Values| vs.iter().filter_map(|v| env[v.index()]).collect::<Values>();
            let (outs, ys) = match pruned {
                Some(p) => {
                    let outs = marked(&e.outputs, &p.outputs);
                    let ys = b.emit_n(p.op, &read(&marked(&e.inputs, &p.inputs)), outs.len());
                    (outs, ys)
                }
                None => {
                    let types = e.outputs.iter().map(|&v| self.ty(v).clone()).collect();
                    (e.outputs.clone(), b.emit_typed(e.op.clone(), read(&e.inputs), types))
                }
            };
            outs.iter().zip(ys).for_each(|(v, y)| env[v.index()] = Some(y));
        }
        let outs: Vec<Value> =
            marked(&self.outputs, live).iter().filter_map(|v| env[v.index()]).collect();
        Some((b.finish(&outs).ok()?, inputs))
    }
}

fn marked(vs: &[Value], flags: &[bool]) -> Values {
    vs.iter().zip(flags).filter(|(_, f)| **f).map(|(v, _)| *v).collect()
}
