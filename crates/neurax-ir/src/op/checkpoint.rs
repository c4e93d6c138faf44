//! `checkpoint`: rematerialization, which recomputes residuals instead of storing them.

use super::{
    AppliesGraph, OptimizationBarrier, Sample, Tangent, count_marked, rules::*, spread_marked,
};
use crate::composite::only_in_reverse;
use crate::{Builder, DType, Graph, Result, Type, Value, Values, graph::attr::attrs, transform};
use std::sync::Arc;

attrs! {
    /// The application of a graph whose intermediate values are not stored for the backward pass
    /// but recomputed there. Griewank and Walther, Algorithm 799
    /// (<https://doi.org/10.1145/347837.347846>); Chen et al., <https://arxiv.org/abs/1604.06174>.
    pub struct Checkpoint = "checkpoint" {
        /// The graph to apply.
        body: Arc<Graph>,
    }
}

fn of(body: Graph) -> Checkpoint {
    Checkpoint { body: Arc::new(body) }
}

impl Checkpoint {
    /// Builds `(inputs.., tangents of the active inputs..) -> tangents of the marked outputs..`,
    /// and marks the outputs that have a tangent. The graph recomputes the body behind a barrier,
    /// as CSE would otherwise find the first computation and keep its values.
    fn tangents(&self, active: &[bool]) -> Result<(Graph, Vec<bool>)> {
        let mut b = Builder::new();
        let xs = b.inputs(self.body.input_types());
        let dxs: Vec<Tangent> =
            xs.iter().zip(active).map(|(&x, &a)| a.then(|| b.input(b.ty(x).clone()))).collect();
        let barred = if xs.is_empty() {
            Values::new()
        } else {
            b.emit_n(OptimizationBarrier {}, &xs, xs.len())
        };
        let (_, dys) = transform::jvp_into(&mut b, &self.body, &barred, &dxs, true)?;
        let outs: Vec<Value> = dys.iter().flatten().copied().collect();
        let graph = b.finish(&outs)?;
        let all = vec![true; outs.len()];
        // Recompute only what the tangents need, but keep the signature.
        let (pruned, inputs) = graph.pruned(&all);
        let graph = if inputs.contains(&false) { graph } else { pruned };
        Ok((graph, dys.iter().map(Option::is_some).collect()))
    }

    /// Returns the primal op of reverse mode. Functions that only have a reverse rule are replaced
    /// by the forward half of that rule, since forward mode may be applied to the result.
    fn value(&self, active: &[bool]) -> Result<Checkpoint> {
        if !only_in_reverse(&self.body) {
            return Ok(self.clone());
        }
        let (types, mut b) = (self.body.input_types(), Builder::new());
        let xs = b.inputs(types);
        let dxs: Vec<Tangent> =
            xs.iter().zip(active).map(|(&x, &a)| a.then(|| b.input(b.ty(x).clone()))).collect();
        let (ys, _) = transform::jvp_into(&mut b, &self.body, &xs, &dxs, true)?;
        let (pruned, kept) = b.finish(&ys)?.pruned(&vec![true; ys.len()]);
        let mut b = Builder::new();
        let xs = b.inputs(types);
        let used: Vec<Value> = xs.iter().zip(kept).filter_map(|(&x, k)| k.then_some(x)).collect();
        let ys = b.inline(&pruned, &used);
        Ok(of(b.finish(&ys)?))
    }
}

impl AppliesGraph for Checkpoint {
    const MNEMONIC: &'static str = Self::NAME;

    fn body(&self) -> &Arc<Graph> {
        &self.body
    }

    fn with_body(&self, body: Graph) -> Checkpoint {
        of(body)
    }

    /// Emits the values without residuals; the tangents recompute what they need from the operands.
    fn jvp_for_reverse(
        &self,
        b: &mut Builder,
        xs: &[Value],
        active: &[bool],
        tangents: &[Value],
    ) -> Result<(Values, Vec<Tangent>)> {
        let ys = b.emit_n(self.value(active)?, xs, self.body.outputs().len());
        let (graph, outs) = self.tangents(active)?;
        let dys = b.emit_n(of(graph), &[xs, tangents].concat(), count_marked(&outs));
        Ok((ys, spread_marked(&outs, &dys)))
    }

    fn rows() -> Vec<Sample> {
        let body = |d: DType| {
            let mut b = Builder::new();
            let (x, y) = (b.input(Type::new(d, [2])), b.input(Type::new(d, [2])));
            let s = if d.is_differentiable() { b.sin(x) } else { x };
            let z = b.mul(s, y);
            b.finish(&[z])
        };
        let row = |d: DType| {
            let xs = vec![sample(Type::new(d, [2]), 0.5, 2.0), sample(Type::new(d, [2]), 1.0, 2.0)];
            Some(Sample { op: of(body(d).ok()?).into(), inputs: xs, smooth: d == DType::F64 })
        };
        DType::ALL.into_iter().filter_map(row).collect()
    }
}
