//! A user's function with a derivative of its own: what `custom_jvp` and `custom_vjp` record.

use super::{Composite, Named};
use crate::graph::attr::attrs;
use crate::op::{Axis, Batched, Bound, Linear, Sample, Tangent, rules::*};
use crate::{Builder, Error, Graph, Op, Result, Type, Value, Values, transform};
use std::sync::Arc;

attrs! {
    /// Operands `(captures.., xs..)`: a function with its derivative given as a graph. There is no
    /// closure in it, so it prints, hashes and can be sent.
    pub struct Function = "function" {
        /// The name, for readers.
        callee: Arc<str>,
        /// How many leading operands are captured values: they have no derivative.
        captures: usize,
        /// The value: `(captures.., xs..) -> ys..`
        body: Arc<Graph>,
        /// Forward rule: `(captures.., xs.., tangents of the differentiable xs..) -> (ys..,
        /// tangents of the differentiable ys..)`
        jvp: Option<Arc<Graph>>,
        /// First half of a reverse rule: `(captures.., xs..) -> (ys.., residuals..)`
        forward: Option<Arc<Graph>>,
        /// Second half: `(residuals.., cotangents of the differentiable ys..) -> cotangents of the
        /// differentiable xs..`
        backward: Option<Arc<Graph>>,
    }
}

/// Which outputs of a graph depend on its inputs from number `first` on.
fn depends_on(g: &Graph, first: usize) -> Vec<bool> {
    let mut depends: Vec<bool> = (0..g.input_types().len()).map(|i| i >= first).collect();
    for e in g.eqns() {
        let any = e.inputs.iter().any(|v| depends[v.index()]);
        depends.extend(e.outputs.iter().map(|_| any));
    }
    g.outputs().iter().map(|v| depends[v.index()]).collect()
}

fn differentiable(types: &[Type]) -> impl Iterator<Item = usize> + '_ {
    (0..types.len()).filter(|&i| types[i].dtype.is_differentiable())
}

impl Function {
    pub(super) fn graphs(&self) -> Vec<Arc<Graph>> {
        let rules = [&self.jvp, &self.forward, &self.backward];
        std::iter::once(self.body.clone()).chain(rules.into_iter().flatten().cloned()).collect()
    }

    pub(super) fn map_graphs(
        &self,
        f: &mut dyn FnMut(&Graph) -> Result<Graph>,
    ) -> Result<Function> {
        let mut each = |g: &Option<Arc<Graph>>| g.as_ref().map(|g| f(g).map(Arc::new)).transpose();
        let (jvp, forward, backward) =
            (each(&self.jvp)?, each(&self.forward)?, each(&self.backward)?);
        Ok(Function {
            body: Arc::new(f(&self.body)?),
            jvp,
            forward,
            backward,
            callee: self.callee.clone(),
            captures: self.captures,
        })
    }

    pub(super) fn jvp(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
        for_reverse: bool,
    ) -> Result<(Values, Vec<Tangent>)> {
        if dxs[..self.captures].iter().any(Option::is_some) {
            let why = "it captures a value that is being differentiated; pass that value as an argument, so that the rule can say what its derivative is";
            return Err(Error::new(&*self.callee, why));
        }
        let types = b.types_of(xs);
        let active: Vec<usize> = differentiable(&types).filter(|&i| i >= self.captures).collect();
        let tangents: Vec<Value> =
            active.iter().map(|&i| b.tangent_or_zero(dxs[i], xs[i])).collect();
        let outs = self.body.output_types();
        if let Some(jvp) = &self.jvp {
            let dys = if for_reverse && mixes(jvp, xs.len()) {
                parted(b, jvp, xs, &tangents)?
            } else {
                b.inline(jvp, &[xs, &tangents].concat()).into_iter().map(Some).collect()
            };
            // The values keep the rule, so that second derivatives use it, too.
            let ys = b.emit_n(Composite::from(self.clone()), xs, outs.len());
            // A tangent that no tangent goes into is zero, as a linear function of none;
            // `stop_gradient` is made of that.
            let depends = depends_on(jvp, xs.len());
            let dys: Vec<Tangent> =
                dys.iter().zip(depends).map(|(d, depends)| d.filter(|_| depends)).collect();
            return Ok(self.spread(&outs, &ys, &dys[outs.len()..]));
        }
        let (Some(forward), Some(backward)) = (&self.forward, &self.backward) else {
            return transform::jvp_into(b, &self.body, xs, dxs, for_reverse);
        };
        if !for_reverse {
            return Err(no_forward_rule(&self.callee));
        }
        let all = b.inline(forward, xs);
        let (ys, residuals) = all.split_at(outs.len());
        let to: Vec<Type> = differentiable(&outs).map(|i| outs[i].clone()).collect();
        let linear = Linear {
            callee: self.callee.clone(),
            residuals: residuals.len(),
            forward: None,
            backward: Some(backward.clone()),
            from: b.types_of(&tangents),
            to,
        };
        let count = linear.to.len();
        let dys = b.emit_n(linear, &[residuals, &tangents].concat(), count);
        let dys: Vec<Tangent> = dys.into_iter().map(Some).collect();
        Ok(self.spread(&outs, ys, &dys))
    }

    /// Gives every differentiable result its tangent.
    fn spread(&self, outs: &[Type], ys: &[Value], dys: &[Tangent]) -> (Values, Vec<Tangent>) {
        let mut next = dys.iter().copied();
        let tangent =
            |t: &Type| if t.dtype.is_differentiable() { next.next().flatten() } else { None };
        (Values::from_slice(ys), outs.iter().map(tangent).collect())
    }

    /// Batches all graphs with every argument and result carrying the new axis at the front, so
    /// that the rule still fits.
    pub(super) fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let moved = batch_front(b, axis, xs, dims);
        let all = |g: &Graph| transform::vmap_all(g, axis);
        let batched = self.map_graphs(&mut |g| all(g))?;
        let count = self.body.outputs().len();
        Ok(at_front(b.emit_n(Composite::from(batched), &moved, count)))
    }
}

/// Does an op of a forward rule that holds graphs read tangents? It may compute values and tangents
/// in one loop.
fn mixes(rule: &Graph, primals: usize) -> bool {
    let mut depends: Vec<bool> = (0..rule.input_types().len()).map(|i| i >= primals).collect();
    rule.eqns().iter().any(|e| {
        let d = e.inputs.iter().any(|v| depends[v.index()]);
        depends.extend(e.outputs.iter().map(|_| d));
        d && e.op.region().is_some() && !matches!(e.op, Op::Linear(_))
    })
}

/// A forward rule in a form that splits: it is linear in its tangents, so its derivative with
/// respect to them, at zero, is itself, and that is taken for reverse.
fn parted(b: &mut Builder, rule: &Graph, xs: &[Value], tangents: &[Value]) -> Result<Vec<Tangent>> {
    let zeros: Vec<Value> = tangents.iter().map(|&t| b.full_like(t, 0.0)).collect();
    let directions: Vec<Tangent> =
        xs.iter().map(|_| None).chain(tangents.iter().copied().map(Some)).collect();
    Ok(transform::jvp_into(b, rule, &[xs, &zeros].concat(), &directions, true)?.1)
}

/// Is there a function in it, at any depth, that only has a reverse rule?
pub(crate) fn only_in_reverse(g: &Graph) -> bool {
    g.eqns().iter().any(|e| match &e.op {
        Op::Composite(Composite::Function(f)) if f.jvp.is_none() && f.forward.is_some() => true,
        op => op.region().is_some_and(|r| r.graphs().iter().any(|g| only_in_reverse(g))),
    })
}

/// The error of forward mode over a function that only has a reverse rule.
pub(crate) fn no_forward_rule(callee: &str) -> Error {
    Error::new(
        callee,
        "custom_vjp gives no forward rule, so jvp, linearize and jacobian in forward mode cannot pass it; use reverse mode, or custom_jvp",
    )
}

impl Named for Function {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        if xs != self.body.input_types() {
            return Err(Error::new(
                &*self.callee,
                format!("it takes ({}), not ({})", list(self.body.input_types()), list(xs)),
            ));
        }
        Ok(self.body.output_types())
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        b.inline(&self.body, xs).into()
    }

    fn derivative(
        &self,
        _: &mut Builder,
        _: &Bound,
        _: &[Tangent],
    ) -> Option<Result<Vec<Tangent>>> {
        None
    }

    fn transposed(
        &self,
        _: &mut Builder,
        _: &Bound,
        _: &[Option<Value>],
    ) -> Option<Vec<Option<Value>>> {
        None
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        None
    }

    fn samples() -> Vec<Sample> {
        vec![]
    }
}
