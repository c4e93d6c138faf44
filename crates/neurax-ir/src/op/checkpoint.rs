//! Recomputing instead of keeping.

use super::{
    Axis, Batched, Bound, OptimizationBarrier, Primitive, Pruned, Region, Sample, Tangent, Transposed, accepts, batch_body, marked, rules::*, spread_marked,
    transpose_body,
};
use crate::composite::only_in_reverse;
use crate::{Builder, DType, Eval, Graph, Literal, Op, Result, Type, Value, Values, graph::attr::attrs, transform};
use std::sync::Arc;

attrs! {
    /// Applies a graph whose intermediate values are not kept for the backward pass, but computed again there.
    /// Griewank and Walther, Algorithm 799 (<https://doi.org/10.1145/347837.347846>); Chen et al., <https://arxiv.org/abs/1604.06174>.
    pub struct Checkpoint = "checkpoint" {
        /// The graph.
        body: Arc<Graph>,
    }
}

fn of(body: Graph) -> Checkpoint {
    Checkpoint { body: Arc::new(body) }
}

impl Checkpoint {
    /// `(inputs.., tangents of the active inputs..) -> tangents of the marked outputs..`: computes the body again, behind a
    /// barrier, so that CSE does not find the first computation and keep its values after all.
    fn tangents(&self, active: &[bool]) -> Result<(Graph, Vec<bool>)> {
        let mut b = Builder::new();
        let xs = b.inputs(self.body.input_types());
        let dxs: Vec<Tangent> = xs.iter().zip(active).map(|(&x, &a)| a.then(|| b.input(b.ty(x).clone()))).collect();
        let walled = if xs.is_empty() { Values::new() } else { b.emit_n(OptimizationBarrier {}, &xs, xs.len()) };
        let (_, dys) = transform::jvp_into(&mut b, &self.body, &walled, &dxs, true)?;
        let outs: Vec<Value> = dys.iter().flatten().copied().collect();
        let graph = b.finish(&outs)?;
        let all = vec![true; outs.len()];
        // Only what the tangents need is computed again, but the signature stays.
        let (pruned, inputs) = graph.pruned(&all);
        let graph = if inputs.contains(&false) { graph } else { pruned };
        Ok((graph, dys.iter().map(Option::is_some).collect()))
    }
}

impl Checkpoint {
    /// The value under reverse mode. Functions that only have a reverse rule are replaced by its first half, as forward mode may come behind.
    fn value(&self, active: &[bool]) -> Result<Checkpoint> {
        if !only_in_reverse(&self.body) {
            return Ok(self.clone());
        }
        let (types, mut b) = (self.body.input_types(), Builder::new());
        let xs = b.inputs(types);
        let dxs: Vec<Tangent> = xs.iter().zip(active).map(|(&x, &a)| a.then(|| b.input(b.ty(x).clone()))).collect();
        let (ys, _) = transform::jvp_into(&mut b, &self.body, &xs, &dxs, true)?;
        let (pruned, kept) = b.finish(&ys)?.pruned(&vec![true; ys.len()]);
        let mut b = Builder::new();
        let xs = b.inputs(types);
        let used: Vec<Value> = xs.iter().zip(kept).filter_map(|(&x, k)| k.then_some(x)).collect();
        let ys = b.inline(&pruned, &used);
        Ok(of(b.finish(&ys)?))
    }
}

impl Primitive for Checkpoint {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        accepts(Self::NAME, "the graph", &self.body, xs)?;
        Ok(self.body.output_types())
    }

    fn eval(&self, cx: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        cx.run(&self.body, xs)
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(self.jvp_region(b, at.xs, dxs, false)?.1)
    }

    fn transpose(&self, b: &mut Builder, at: &Bound, linear: &[bool], cts: &[Option<Value>]) -> Transposed {
        transpose_body(b, &self.body, at.xs, linear, cts, |b, body, xs, n| b.emit_n(of(body), xs, n))
    }

    fn batch(&self, b: &mut Builder, axis: &Axis, xs: &[Value], dims: &[Option<usize>]) -> Result<Batched> {
        batch_body(b, &self.body, axis, xs, dims, |b, body, xs, n| b.emit_n(of(body), xs, n))
    }

    fn samples() -> Vec<Sample> {
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

impl Region for Checkpoint {
    fn graphs(&self) -> Vec<Arc<Graph>> {
        vec![self.body.clone()]
    }

    fn map_graphs(&self, f: &mut dyn FnMut(&Graph) -> Result<Graph>) -> Result<Op> {
        Ok(of(f(&self.body)?).into())
    }

    fn jvp_region(&self, b: &mut Builder, xs: &[Value], dxs: &[Tangent], for_reverse: bool) -> Result<(Values, Vec<Tangent>)> {
        let active: Vec<bool> = dxs.iter().map(Option::is_some).collect();
        let tangents: Vec<Value> = dxs.iter().flatten().copied().collect();
        let args = [xs, &tangents].concat();
        let n = self.body.outputs().len();
        if for_reverse {
            let ys = b.emit_n(self.value(&active)?, xs, n);
            let (graph, outs) = self.tangents(&active)?;
            let dys = b.emit_n(of(graph), &args, marked(&outs));
            return Ok((ys, spread_marked(&outs, &dys)));
        }
        let d = transform::jvp(&self.body, &active)?;
        let ys = b.emit_n(of(d.graph), &args, n + marked(&d.outputs));
        Ok((Values::from_slice(&ys[..n]), spread_marked(&d.outputs, &ys[n..])))
    }

    fn dce(&self, live: &[bool]) -> Option<Pruned> {
        let (body, inputs) = self.body.pruned(live);
        let smaller = inputs.contains(&false) || live.contains(&false);
        smaller.then(|| Pruned { op: of(body).into(), inputs, outputs: live.to_vec() })
    }

    fn hoist(&self, _: &mut Builder, _: &[Value]) -> Option<Values> {
        None
    }
}
