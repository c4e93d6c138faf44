//! The rules shared by ops that apply one graph to their operands.

use super::{
    Axis, Batched, Bound, Liveness, Needs, Op, Primitive, Region, Sample, Tangent, Transposed,
    accepts, count_marked, front_where_batched, select, spread_marked,
};
use crate::{Builder, Eval, Graph, Literal, Result, Type, Value, Values, transform};
use std::sync::Arc;

/// An op that applies one graph to its operands.
///
/// The derivative, the transpose, the batched and the pruned form are the same op applied to the
/// transformed graph. Such ops differ only in what reverse mode stores and recomputes.
pub trait AppliesGraph: Clone + Into<Op> {
    /// The mnemonic.
    const MNEMONIC: &'static str;

    /// Returns the graph.
    fn body(&self) -> &Arc<Graph>;

    /// Returns the op applied to another graph.
    fn with_body(&self, body: Graph) -> Self;

    /// Emits the op for reverse mode: a primal equation, and an equation that is linear in
    /// `tangents`, those of the `active` operands. Returns the results and their tangents.
    ///
    /// # Errors
    /// If the graph has no derivative.
    fn jvp_for_reverse(
        &self,
        b: &mut Builder,
        xs: &[Value],
        active: &[bool],
        tangents: &[Value],
    ) -> Result<(Values, Vec<Tangent>)>;

    /// Returns the sample rows of the op.
    fn rows() -> Vec<Sample>;
}

impl<T: AppliesGraph> Primitive for T {
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
                let mut args = select(at.xs, &nonlinear);
                args.extend(cts.iter().flatten());
                let ys = b.emit_n(self.with_body(graph), &args, count_marked(&some));
                let mut cotangents = spread_marked(&some, &ys).into_iter();
                let of = |&l: &bool| if l { cotangents.next().flatten() } else { None };
                Transposed::Cotangents(linear.iter().map(of).collect())
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
        let none_forced = vec![false; self.body().outputs().len()];
        let many = b.memo().batch(self.body(), axis, &batched, &none_forced)?;
        let (graph, outs) = &*many;
        let xs = front_where_batched(b, xs, dims, axis.size);
        let ys = b.emit_n(self.with_body(graph.clone()), &xs, outs.len());
        Ok((ys, outs.iter().map(|&y| y.then_some(0)).collect()))
    }

    fn samples() -> Vec<Sample> {
        T::rows()
    }
}

impl<T: AppliesGraph> Region for T {
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
            return self.jvp_for_reverse(b, xs, &active, &tangents);
        }
        let n = self.body().outputs().len();
        let d = b.memo().jvp(self.body(), &active, &vec![false; n], false)?;
        let results = n + count_marked(&d.outputs);
        let ys = b.emit_n(self.with_body(d.graph.clone()), &[xs, &tangents].concat(), results);
        Ok((Values::from_slice(&ys[..n]), spread_marked(&d.outputs, &ys[n..])))
    }

    fn needs(&self, live: &[bool], inside: &mut [Liveness]) -> Option<Needs> {
        let inputs = inside[0].add(self.body(), live);
        Needs::unless_all(inputs, live.to_vec())
    }

    fn pruned(&self, needs: &Needs, inside: &[Liveness]) -> Op {
        self.with_body(inside[0].restrict(self.body(), &needs.outputs, &needs.inputs)).into()
    }

    fn hoist(&self, _: &mut Builder, _: &[Value]) -> Option<Values> {
        None
    }
}
