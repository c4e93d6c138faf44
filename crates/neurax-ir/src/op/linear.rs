//! `linear`: a linear function given together with its transpose. All custom derivatives are made
//! of it.

use super::{
    Axis, Batched, Bound, Liveness, Needs, Primitive, Region, Sample, Tangent, Transposed,
    pointwise::computed_dtypes, rules::*,
};
use crate::composite::no_jvp_rule;
use crate::{
    Builder, DType, Error, Eval, Graph, Literal, Op, Result, Type, Value, Values,
    graph::attr::attrs, transform,
};
use std::sync::Arc;

attrs! {
    /// A function of operands `(residuals.., xs..)` that is linear in `xs`. `forward(residuals..,
    /// xs..)` computes it. `backward(residuals.., cts..)` is its transpose: it takes one cotangent
    /// per result and returns one per `xs`.
    pub struct Linear = "linear" {
        /// The name, e.g. `softmax`, for texts, backends and export.
        callee: Arc<str>,
        /// The number of residuals.
        residuals: usize,
        /// The function; without it (`custom_vjp`), forward mode is an error.
        forward: Option<Arc<Graph>>,
        /// The transpose; without it, reverse mode is an error.
        backward: Option<Arc<Graph>>,
        /// The types of `xs`, and of the results of `backward`.
        from: Vec<Type>,
        /// The types of the results, and of the cotangents.
        to: Vec<Type>,
    }
}

impl Linear {
    /// Returns the cotangents of `xs` as those of all operands: residuals have none.
    fn cotangents(&self, of_xs: impl IntoIterator<Item = Value>) -> Transposed {
        let residuals = std::iter::repeat_n(None, self.residuals);
        Transposed::Cotangents(residuals.chain(of_xs.into_iter().map(Some)).collect())
    }

    fn check(
        &self,
        g: &Option<Arc<Graph>>,
        residuals: &[Type],
        from: &[Type],
        to: &[Type],
    ) -> Result<()> {
        let Some(g) = g else { return Ok(()) };
        let inputs = [residuals, from].concat();
        if g.input_types() != inputs || g.output_types() != to {
            let (ins, outs) = (list_types(g.input_types()), list_types(&g.output_types()));
            return Err(Error::new(
                &*self.callee,
                format!(
                    "expected a linear graph from ({}) to ({}), got ({ins}) to ({outs})",
                    list_types(&inputs),
                    list_types(to)
                ),
            ));
        }
        Ok(())
    }
}

impl Primitive for Linear {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let Some((residuals, from)) = xs.split_at_checked(self.residuals) else {
            return refuse(
                &self.callee,
                format!("expected {} residuals, got ({})", self.residuals, list_types(xs)),
            );
        };
        if from != self.from {
            return refuse(
                &self.callee,
                format!(
                    "expected linear operands ({}), got ({})",
                    list_types(&self.from),
                    list_types(from)
                ),
            );
        }
        self.check(&self.forward, residuals, &self.from, &self.to)?;
        self.check(&self.backward, residuals, &self.to, &self.from)?;
        Ok(self.to.clone())
    }

    fn eval(&self, cx: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        match &self.forward {
            // Values inside of the function may be large although the results have no elements.
            Some(_) if self.to.iter().all(|t| t.size() == 0) => {
                Ok(self.to.iter().cloned().map(Literal::zeros).collect())
            }
            Some(forward) => cx.run(forward, xs),
            None => Err(no_jvp_rule(&self.callee)),
        }
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
        if linear[..self.residuals].contains(&true) {
            return Transposed::NotLinear;
        }
        if self.backward.is_none() {
            b.fail(Error::new(
                &*self.callee,
                "it has no reverse rule; give one with custom_vjp, or differentiate in forward \
                 mode",
            ));
        }
        let cts: Vec<Value> = cts
            .iter()
            .zip(&self.to)
            .map(|(ct, ty)| ct.unwrap_or_else(|| b.zeros(ty.clone())))
            .collect();
        if let (None, Some(backward)) = (&self.forward, &self.backward) {
            // A user's reverse rule need not be linear (it may clip the gradient), so it is inlined
            // and differentiated like any other code.
            let cotangents = b.inline(backward, &[&at.xs[..self.residuals], &cts].concat());
            return self.cotangents(cotangents);
        }
        let swapped = Linear {
            forward: self.backward.clone(),
            backward: self.forward.clone(),
            from: self.to.clone(),
            to: self.from.clone(),
            ..self.clone()
        };
        let n = swapped.to.len();
        let cotangents = b.emit_n(swapped, &[&at.xs[..self.residuals], &cts].concat(), n);
        self.cotangents(cotangents)
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let xs = batch_front(b, axis, xs, dims);
        let more = |ts: &[Type]| {
            ts.iter().map(|t| t.with_shape(t.shape.inserted(0, axis.size))).collect::<Vec<_>>()
        };
        let all = |g: &Option<Arc<Graph>>| {
            g.as_ref().map(|g| transform::vmap_all(g, axis).map(Arc::new)).transpose()
        };
        let batched = Linear {
            forward: all(&self.forward)?,
            backward: all(&self.backward)?,
            from: more(&self.from),
            to: more(&self.to),
            ..self.clone()
        };
        let n = self.to.len();
        Ok(at_front(b.emit_n(batched, &xs, n)))
    }

    fn samples() -> Vec<Sample> {
        // The function x -> r * x is its own transpose.
        let scale = |ty: &Type| {
            let mut b = Builder::new();
            let (r, x) = (b.input(ty.clone()), b.input(ty.clone()));
            let y = b.mul(r, x);
            b.finish(&[y]).ok().map(Arc::new)
        };
        let row = |d: DType| {
            let ty = Type::new(d, [3]);
            let g = scale(&ty);
            let op = Linear {
                callee: "scale".into(),
                residuals: 1,
                forward: g.clone(),
                backward: g,
                from: vec![ty.clone()],
                to: vec![ty.clone()],
            };
            Sample {
                op: op.into(),
                inputs: vec![sample(ty.clone(), 0.5, 2.0), sample(ty, -1.0, 1.0)],
                smooth: d == DType::F64,
            }
        };
        computed_dtypes().map(row).collect()
    }
}

impl Region for Linear {
    fn graphs(&self) -> Vec<Arc<Graph>> {
        [&self.forward, &self.backward].into_iter().flatten().cloned().collect()
    }

    fn map_graphs(&self, f: &mut dyn FnMut(&Graph) -> Result<Graph>) -> Result<Op> {
        let mut each = |g: &Option<Arc<Graph>>| g.as_ref().map(|g| f(g).map(Arc::new)).transpose();
        Ok(Linear {
            forward: each(&self.forward)?,
            backward: each(&self.backward)?,
            ..self.clone()
        }
        .into())
    }

    fn jvp_region(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
        for_reverse: bool,
    ) -> Result<(Values, Vec<Tangent>)> {
        let n = self.to.len();
        let (residuals, from) = xs.split_at(self.residuals);
        if dxs[..self.residuals].iter().any(Option::is_some) {
            // The op is not linear in the residuals: differentiate the forward graph.
            let forward = self.forward.as_ref().ok_or_else(|| no_jvp_rule(&self.callee))?;
            return transform::jvp_into(b, forward, xs, dxs, for_reverse);
        }
        let ys = b.emit_n(self.clone(), xs, n);
        let tangents: Vec<Value> = dxs[self.residuals..]
            .iter()
            .zip(from)
            .map(|(&t, &x)| b.tangent_or_zero(t, x))
            .collect();
        let dys = b.emit_n(self.clone(), &[residuals, &tangents].concat(), n);
        Ok((ys, dys.into_iter().map(Some).collect()))
    }

    fn needs(&self, _: &[bool], _: &mut [Liveness]) -> Option<Needs> {
        None
    }

    fn pruned(&self, _: &Needs, _: &[Liveness]) -> Op {
        self.clone().into()
    }

    fn hoist(&self, _: &mut Builder, _: &[Value]) -> Option<Values> {
        None
    }
}
