//! User-defined functions with custom derivatives, recorded by `custom_jvp`,
//! `custom_tangent` and `custom_vjp`.

use super::{Composite, Derivative, Named};
use crate::graph::attr::attrs;
use crate::op::{Axis, Batched, Bound, Linear, Sample, Tangent, rules::*};
use crate::{Builder, Error, Graph, Op, Result, Type, Value, Values, transform};
use std::sync::Arc;

attrs! {
    /// A function with its derivative as a graph; operands `(captures.., xs..)`. It contains no
    /// closure, so it can be printed, hashed and sent.
    pub struct CustomFunction = "function" {
        /// The name, for messages and the text form.
        callee: Arc<str>,
        /// The number of leading operands that are captured values and have no derivative.
        captures: usize,
        /// The function: `(captures.., xs..) -> ys..`
        body: Arc<Graph>,
        /// The JVP rule: `(captures.., xs.., tangents of the differentiable xs..) -> (ys..,
        /// tangents of the differentiable ys..)`. A derivative of higher order differentiates
        /// these `ys`, and no longer uses the rule for them.
        jvp: Option<Arc<Graph>>,
        /// The JVP rule of a function that keeps it in derivatives of every order: `(captures..,
        /// xs.., ys.., tangents of the differentiable xs..) -> tangents of the differentiable
        /// ys..`
        tangent: Option<Arc<Graph>>,
        /// The first half of the VJP rule: `(captures.., xs..) -> (ys.., residuals..)`
        forward: Option<Arc<Graph>>,
        /// The second half of the VJP rule: `(residuals.., cotangents of the differentiable ys..)
        /// -> cotangents of the differentiable xs..`
        backward: Option<Arc<Graph>>,
    }
}

/// Returns, for each output, true if it depends on an input from index `first` on.
fn outputs_depending_from(g: &Graph, first: usize) -> Vec<bool> {
    let depends = dependents_from(g, first);
    g.outputs().iter().map(|v| depends[v.index()]).collect()
}

/// Returns, for each value, true if it depends on an input from index `first` on.
fn dependents_from(g: &Graph, first: usize) -> Vec<bool> {
    g.dependents(&(0..g.input_types().len()).map(|i| i >= first).collect::<Vec<_>>())
}

fn differentiable(types: &[Type]) -> impl Iterator<Item = usize> + '_ {
    (0..types.len()).filter(|&i| types[i].dtype.is_differentiable())
}

impl CustomFunction {
    /// Returns true if the function only has a VJP rule.
    fn is_reverse_only(&self) -> bool {
        self.jvp.is_none() && self.tangent.is_none() && self.forward.is_some()
    }

    pub(crate) fn graphs(&self) -> Vec<Arc<Graph>> {
        let rules = [&self.jvp, &self.tangent, &self.forward, &self.backward];
        std::iter::once(self.body.clone()).chain(rules.into_iter().flatten().cloned()).collect()
    }

    pub(super) fn map_graphs(
        &self,
        f: &mut dyn FnMut(&Graph) -> Result<Graph>,
    ) -> Result<CustomFunction> {
        // In the order of `graphs`.
        let body = Arc::new(f(&self.body)?);
        let mut map = |g: &Option<Arc<Graph>>| g.as_ref().map(|g| f(g).map(Arc::new)).transpose();
        Ok(CustomFunction {
            body,
            jvp: map(&self.jvp)?,
            tangent: map(&self.tangent)?,
            forward: map(&self.forward)?,
            backward: map(&self.backward)?,
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
            let why = "it captures a value that is being differentiated; \
                       pass the value as an argument, so that the rule can define its derivative";
            return Err(Error::new(&*self.callee, why));
        }
        let types = b.types_of(xs);
        let active: Vec<usize> = differentiable(&types).filter(|&i| i >= self.captures).collect();
        let tangents: Vec<Value> =
            active.iter().map(|&i| b.tangent_or_zero(dxs[i], xs[i])).collect();
        let outs = self.body.output_types();
        if let Some(rule) = &self.jvp {
            let all = rule_results(b, rule, xs, &tangents, for_reverse)?;
            let (ys, dys) = all.split_at(outs.len());
            // In forward mode, a loop may compute values and tangents together.
            let separate = for_reverse || !mixes_tangents(rule, xs.len());
            if separate && ys.iter().any(|(_, depends)| *depends) {
                let why = "the rule returns a value that depends on the tangents; only its \
                           tangents may";
                return Err(Error::new(&*self.callee, why));
            }
            let ys = ys.iter().map(|(y, _)| *y).collect();
            return Ok(with_tangents(&outs, ys, dys));
        }
        if let Some(rule) = &self.tangent {
            // The values keep the rule, so that derivatives of higher order use it, too.
            let ys = b.emit_n(Composite::from(self.clone()), xs, outs.len());
            let dys = rule_results(b, rule, &[xs, &ys].concat(), &tangents, for_reverse)?;
            return Ok(with_tangents(&outs, ys, &dys));
        }
        let (Some(forward), Some(backward)) = (&self.forward, &self.backward) else {
            return transform::jvp_into(b, &self.body, xs, dxs, for_reverse);
        };
        if !for_reverse {
            return Err(no_jvp_rule(&self.callee));
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
        let dys: Vec<RuleResult> = dys.into_iter().map(|dy| (dy, true)).collect();
        Ok(with_tangents(&outs, Values::from_slice(ys), &dys))
    }

    /// Applies `vmap`: batches the body and all derivative rules, so that the custom derivative is
    /// kept. The batch axis of each argument and result is moved to the front, so that the
    /// signatures of the rules still match.
    pub(super) fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let moved = batch_front(b, axis, xs, dims);
        let batched = self.map_graphs(&mut |g| transform::vmap_all(g, axis))?;
        let count = self.body.outputs().len();
        Ok(at_front(b.emit_n(Composite::from(batched), &moved, count)))
    }
}

/// A result of a JVP rule, and whether it depends on a tangent.
type RuleResult = (Value, bool);

/// Emits a JVP rule on primal operands `xs` and tangents, and returns its results.
fn rule_results(
    b: &mut Builder,
    rule: &Graph,
    xs: &[Value],
    tangents: &[Value],
    for_reverse: bool,
) -> Result<Vec<RuleResult>> {
    if for_reverse && mixes_tangents(rule, xs.len()) {
        return linearized(b, rule, xs, tangents);
    }
    let values = b.inline(rule, &[xs, tangents].concat());
    Ok(values.into_iter().zip(outputs_depending_from(rule, xs.len())).collect())
}

/// Assigns the tangents `dys` to the differentiable results. A tangent that depends on no tangent
/// is zero, as the rule is linear in them; `stop_gradient` is defined that way.
fn with_tangents(outs: &[Type], ys: Values, dys: &[RuleResult]) -> (Values, Vec<Tangent>) {
    let mut next = dys.iter().map(|&(dy, depends)| depends.then_some(dy));
    let tangent = |t: &Type| if t.dtype.is_differentiable() { next.next().flatten() } else { None };
    (ys, outs.iter().map(tangent).collect())
}

/// Returns true if an op of a JVP rule holds graphs and reads tangents: it may compute values
/// and tangents in one loop.
fn mixes_tangents(rule: &Graph, primals: usize) -> bool {
    let depends = dependents_from(rule, primals);
    rule.eqns().iter().any(|e| {
        e.inputs.iter().any(|v| depends[v.index()])
            && e.op.region().is_some()
            && !matches!(e.op, Op::Linear(_) | Op::Composite(Composite::LinearSolve(_)))
    })
}

/// Emits a JVP rule as equations that linearization can split: the results that depend on tangents
/// as tangents. The rule is linear in its tangents, so it equals its own derivative with respect to
/// them at zero.
fn linearized(
    b: &mut Builder,
    rule: &Graph,
    xs: &[Value],
    tangents: &[Value],
) -> Result<Vec<RuleResult>> {
    let zeros: Vec<Value> = tangents.iter().map(|&t| b.full_like(t, 0.0)).collect();
    let directions: Vec<Tangent> =
        xs.iter().map(|_| None).chain(tangents.iter().copied().map(Some)).collect();
    let (ys, dys) = transform::jvp_into(b, rule, &[xs, &zeros].concat(), &directions, true)?;
    Ok(ys.into_iter().zip(dys).map(|(y, dy)| (dy.unwrap_or(y), dy.is_some())).collect())
}

/// Returns true if `g` contains, at any depth, a function that only has a VJP rule.
pub(crate) fn only_in_reverse(g: &Graph) -> bool {
    g.eqns().iter().any(|e| match &e.op {
        Op::Composite(Composite::CustomFunction(f)) if f.is_reverse_only() => true,
        op => op.region().is_some_and(|r| r.graphs().iter().any(|g| only_in_reverse(g))),
    })
}

/// Creates the error of forward mode over a function that only has a VJP rule.
pub(crate) fn no_jvp_rule(callee: &str) -> Error {
    let why = "custom_vjp defines no JVP rule, so it does not support jvp, linearize and \
               forward-mode jacobian; use reverse mode, or define the function with custom_jvp";
    Error::new(callee, why)
}

impl Named for CustomFunction {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        if xs != self.body.input_types() {
            return Err(Error::new(
                &*self.callee,
                format!(
                    "expected operands ({}), got ({})",
                    list_types(self.body.input_types()),
                    list_types(xs)
                ),
            ));
        }
        Ok(self.body.output_types())
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        b.inline(&self.body, xs).into()
    }

    fn derivative(&self, _: &mut Builder, _: &Bound, _: &[Tangent]) -> Derivative {
        None
    }

    // Not called: `Composite::batch` calls `CustomFunction::batch`, which batches the rules, too.
    fn batched(&self, _: &[usize]) -> Option<Composite> {
        None
    }

    fn samples() -> Vec<Sample> {
        vec![]
    }
}
