//! What the ops that apply one graph share.

use super::{
    Axis, Batched, Bound, Op, Primitive, Pruned, Region, Sample, Tangent, Transposed, accepts,
    front_where_batched, marked, select, spread_marked,
};
use crate::{Builder, Eval, Graph, Literal, Result, Type, Value, Values, transform};
use std::sync::Arc;

/// An op that applies one graph to its operands. It answers as the graph does, by the same op
/// holding another graph: the tangents', the transposed, the batched, the pruned one. Such ops
/// differ in what reverse mode keeps and computes.
pub trait Applied: Clone + Into<Op> {
    /// The mnemonic.
    const MNEMONIC: &'static str;

    /// The graph.
    fn body(&self) -> &Arc<Graph>;

    /// The same op holding another graph.
    fn with_body(&self, body: Graph) -> Self;

    /// Emits what reverse mode takes: a primal equation, and a linear one from the tangents of the
    /// `active` operands.
    ///
    /// # Errors
    /// When the graph has no derivative.
    fn parted(
        &self,
        b: &mut Builder,
        xs: &[Value],
        active: &[bool],
        tangents: &[Value],
    ) -> Result<(Values, Vec<Tangent>)>;

    /// Rows for the laws.
    fn rows() -> Vec<Sample>;
}

impl<T: Applied> Primitive for T {
    fn name(&self) -> &'static str {
        T::MNEMONIC
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        accepts(T::MNEMONIC, "the graph", self.body(), xs)?;
        Ok(self.body().output_types())
    }

    fn eval(&self, cx: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        cx.run(self.body(), xs)
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(self.jvp_region(b, at.xs, dxs, false)?.1)
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let given: Vec<bool> = cts.iter().map(Option::is_some).collect();
        let nonlinear: Vec<bool> = linear.iter().map(|l| !l).collect();
        match transform::transpose_graph(self.body(), linear, &given, false) {
            Ok((graph, some)) => {
                let args: Vec<Value> = select(at.xs, &nonlinear)
                    .into_iter()
                    .chain(cts.iter().flatten().copied())
                    .collect();
                let ys = b.emit_n(self.with_body(graph), &args, marked(&some));
                let mut answers = spread_marked(&some, &ys).into_iter();
                Transposed::Cotangents(
                    linear
                        .iter()
                        .map(|&l| if l { answers.next().flatten() } else { None })
                        .collect(),
                )
            }
            Err(e) => {
                b.fail(e);
                Transposed::Cotangents(vec![None; at.xs.len()])
            }
        }
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let batched: Vec<bool> = dims.iter().map(Option::is_some).collect();
        let (graph, outs) = transform::batch_graph(
            self.body(),
            axis,
            &batched,
            &vec![false; self.body().outputs().len()],
        )?;
        let xs = front_where_batched(b, xs, dims, axis.size);
        let ys = b.emit_n(self.with_body(graph), &xs, outs.len());
        Ok((ys, outs.iter().map(|&y| y.then_some(0)).collect()))
    }

    fn samples() -> Vec<Sample> {
        T::rows()
    }
}

impl<T: Applied> Region for T {
    fn graphs(&self) -> Vec<Arc<Graph>> {
        vec![self.body().clone()]
    }

    fn map_graphs(&self, f: &mut dyn FnMut(&Graph) -> Result<Graph>) -> Result<Op> {
        Ok(self.with_body(f(self.body())?).into())
    }

    fn jvp_region(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
        for_reverse: bool,
    ) -> Result<(Values, Vec<Tangent>)> {
        let active: Vec<bool> = dxs.iter().map(Option::is_some).collect();
        let tangents: Vec<Value> = dxs.iter().flatten().copied().collect();
        if for_reverse {
            return self.parted(b, xs, &active, &tangents);
        }
        let n = self.body().outputs().len();
        let d = transform::jvp(self.body(), &active)?;
        let ys =
            b.emit_n(self.with_body(d.graph), &[xs, &tangents].concat(), n + marked(&d.outputs));
        Ok((Values::from_slice(&ys[..n]), spread_marked(&d.outputs, &ys[n..])))
    }

    fn dce(&self, live: &[bool]) -> Option<Pruned> {
        let (body, inputs) = self.body().pruned(live);
        let smaller = inputs.contains(&false) || live.contains(&false);
        smaller.then(|| Pruned { op: self.with_body(body).into(), inputs, outputs: live.to_vec() })
    }

    fn hoist(&self, _: &mut Builder, _: &[Value]) -> Option<Values> {
        None
    }
}
