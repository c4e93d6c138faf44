//! A function called by name.

use super::{Axis, Batched, Bound, Primitive, Pruned, Region, Sample, Tangent, Transposed, accepts, batch_body, marked, rules::*, spread_marked, transpose_body};
use crate::{Builder, DType, Eval, Graph, Literal, Op, Result, Type, Value, Values, graph::attr::attrs, transform};
use std::sync::Arc;

attrs! {
    /// Applies a graph to the operands. The name is for readers and profiles.
    pub struct Call = "call" {
        /// The name.
        callee: Arc<str>,
        /// The graph.
        body: Arc<Graph>,
    }
}

impl Call {
    fn of(&self, body: Graph) -> Call {
        Call { callee: self.callee.clone(), body: Arc::new(body) }
    }
}

impl Primitive for Call {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        accepts(Self::NAME, "the called graph", &self.body, xs)?;
        Ok(self.body.output_types())
    }

    fn eval(&self, cx: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        cx.run(&self.body, xs)
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(self.jvp_region(b, at.xs, dxs, false)?.1)
    }

    fn transpose(&self, b: &mut Builder, at: &Bound, linear: &[bool], cts: &[Option<Value>]) -> Transposed {
        transpose_body(b, &self.body, at.xs, linear, cts, |b, body, xs, n| b.emit_n(self.of(body), xs, n))
    }

    fn batch(&self, b: &mut Builder, axis: &Axis, xs: &[Value], dims: &[Option<usize>]) -> Result<Batched> {
        batch_body(b, &self.body, axis, xs, dims, |b, body, xs, n| b.emit_n(self.of(body), xs, n))
    }

    fn samples() -> Vec<Sample> {
        let body = |d: DType| {
            let mut b = Builder::new();
            let (x, y) = (b.input(Type::new(d, [2])), b.input(Type::new(d, [2])));
            let z = b.mul(x, y);
            let w = b.add(z, x);
            b.finish(&[w, z])
        };
        let row = |d: DType| {
            let op = Call { callee: "f".into(), body: Arc::new(body(d).ok()?) };
            let xs = vec![sample(Type::new(d, [2]), 0.5, 2.0), sample(Type::new(d, [2]), 1.0, 2.0)];
            Some(Sample { op: op.into(), inputs: xs, smooth: d == DType::F64 })
        };
        DType::ALL.into_iter().filter_map(row).collect()
    }
}

impl Region for Call {
    fn graphs(&self) -> Vec<Arc<Graph>> {
        vec![self.body.clone()]
    }

    fn map_graphs(&self, f: &mut dyn FnMut(&Graph) -> Result<Graph>) -> Result<Op> {
        Ok(self.of(f(&self.body)?).into())
    }

    fn jvp_region(&self, b: &mut Builder, xs: &[Value], dxs: &[Tangent], for_reverse: bool) -> Result<(Values, Vec<Tangent>)> {
        let active: Vec<bool> = dxs.iter().map(Option::is_some).collect();
        let tangents: Vec<Value> = dxs.iter().flatten().copied().collect();
        let n = self.body.outputs().len();
        if for_reverse {
            let l = transform::linearize(&self.body, &active)?;
            let repeated = l.repeated_inputs();
            let live: Vec<bool> = (0..n + l.residuals).map(|i| i < n || repeated[i - n].is_none()).collect();
            let ys = b.emit_n(self.of(l.primal.restricted(&live, &vec![true; xs.len()])), xs, marked(&live));
            let mut computed = ys[n..].iter().copied();
            let residuals = repeated.iter().filter_map(|r| r.map(|i| xs[i]).or_else(|| computed.next()));
            let args: Vec<Value> = residuals.chain(tangents).collect();
            let dys = b.emit_n(self.of(l.linear), &args, marked(&l.outputs));
            return Ok((Values::from_slice(&ys[..n]), spread_marked(&l.outputs, &dys)));
        }
        let d = transform::jvp(&self.body, &active)?;
        let ys = b.emit_n(self.of(d.graph), &[xs, &tangents].concat(), n + marked(&d.outputs));
        Ok((Values::from_slice(&ys[..n]), spread_marked(&d.outputs, &ys[n..])))
    }

    fn dce(&self, live: &[bool]) -> Option<Pruned> {
        let (body, inputs) = self.body.pruned(live);
        let smaller = inputs.contains(&false) || live.contains(&false);
        smaller.then(|| Pruned { op: self.of(body).into(), inputs, outputs: live.to_vec() })
    }

    fn hoist(&self, _: &mut Builder, _: &[Value]) -> Option<Values> {
        None
    }
}
