//! `checkpoint`: rematerialization, which recomputes residuals instead of storing them.

use super::{
    AppliesGraph, OptimizationBarrier, Sample, Tangent, count_marked, rules::*, spread_marked,
};
use crate::composite::only_in_reverse;
use crate::{
    Builder, DType, Graph, Result, Type, Value, Values, graph::attr::attrs, transform::Jvp,
};
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
    /// Builds `(inputs.., tangents of the active inputs..) -> tangents of the marked outputs..`
    /// from the derivative of the body. The graph recomputes the body behind a barrier, as CSE
    /// would otherwise find the first computation and keep its values.
    fn tangents(&self, d: &Jvp) -> Result<Graph> {
        let (n, mut b) = (self.body.input_types().len(), Builder::new());
        let args = b.inputs(d.graph.input_types());
        let (xs, dxs) = args.split_at(n);
        let barred = if xs.is_empty() {
            Values::new()
        } else {
            b.emit_n(OptimizationBarrier {}, xs, xs.len())
        };
        let ys = b.inline(&d.graph, &[&barred[..], dxs].concat());
        let outs = &ys[self.body.outputs().len()..];
        let graph = b.finish(outs)?;
        // Recompute only what the tangents need, but keep the signature.
        let (pruned, inputs) = graph.pruned(&vec![true; outs.len()])?;
        Ok(if inputs.contains(&false) { graph.without_effects()?.into_owned() } else { pruned })
    }

    /// Returns the primal op of reverse mode. Functions that only have a reverse rule are replaced
    /// by the forward half of that rule, since forward mode may be applied to the result.
    fn value(&self, d: &Jvp) -> Checkpoint {
        if !only_in_reverse(&self.body) {
            return self.clone();
        }
        let first = |n: usize, all: usize| (0..all).map(|i| i < n).collect::<Vec<_>>();
        let live = first(self.body.outputs().len(), d.graph.outputs().len());
        let keep = first(self.body.input_types().len(), d.graph.input_types().len());
        of(d.graph.restricted(&live, &keep))
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
        let n = self.body.outputs().len();
        let d = b.memo().jvp(&self.body, active, &vec![false; n], true)?;
        let ys = b.emit_n(self.value(&d), xs, n);
        let args = [xs, tangents].concat();
        let dys = b.emit_n(of(self.tangents(&d)?), &args, count_marked(&d.outputs));
        Ok((ys, spread_marked(&d.outputs, &dys)))
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
