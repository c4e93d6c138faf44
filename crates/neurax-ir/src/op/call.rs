//! `call`: a named function applied to operands.

use super::{AppliesGraph, Sample, Tangent, count_marked, rules::*, spread_marked};
use crate::{Builder, DType, Graph, Result, Type, Value, Values, graph::attr::attrs};
use std::sync::Arc;

attrs! {
    /// The application of a graph to the operands. The name is only shown in texts and profiles.
    pub struct Call = "call" {
        /// The name of the function.
        callee: Arc<str>,
        /// The graph of the function.
        body: Arc<Graph>,
    }
}

impl AppliesGraph for Call {
    const MNEMONIC: &'static str = Self::NAME;

    fn body(&self) -> &Arc<Graph> {
        &self.body
    }

    fn with_body(&self, body: Graph) -> Call {
        Call { callee: self.callee.clone(), body: Arc::new(body) }
    }

    /// Emits a call that also returns the residuals of the tangents, except residuals that are just
    /// operands: the linear call takes those from the caller.
    fn jvp_for_reverse(
        &self,
        b: &mut Builder,
        xs: &[Value],
        active: &[bool],
        tangents: &[Value],
    ) -> Result<(Values, Vec<Tangent>)> {
        let n = self.body.outputs().len();
        let l = b.memo().linearize(&self.body, active, &vec![false; n])?;
        let repeated = l.repeated_inputs();
        let live: Vec<bool> =
            (0..n + l.residuals).map(|i| i < n || repeated[i - n].is_none()).collect();
        let ys = b.emit_n(
            self.with_body(l.primal.restricted(&live, &vec![true; xs.len()])),
            xs,
            count_marked(&live),
        );
        let mut computed = ys[n..].iter().copied();
        let residuals =
            repeated.iter().filter_map(|r| r.map(|i| xs[i]).or_else(|| computed.next()));
        let args: Vec<Value> = residuals.chain(tangents.iter().copied()).collect();
        let dys = b.emit_n(self.with_body(l.linear.clone()), &args, count_marked(&l.outputs));
        Ok((Values::from_slice(&ys[..n]), spread_marked(&l.outputs, &dys)))
    }

    fn rows() -> Vec<Sample> {
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
