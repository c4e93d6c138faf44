//! The reference semantics: evaluates a graph equation by equation.
//!
//! An op's `eval` defines what the op means; each backend is tested against this walker. It is
//! written for clarity, but it reuses memory: a value is moved into the equation that reads it
//! last, so that the op may write its result in place, and memory that no equation will read is
//! freed early. For `%2 = sine(%0); %3 = multiply(%2, %0)`, `%0` is copied by reference for the
//! first equation and moved into the second; `%2` is moved, so the product is written in the memory
//! of `%2`. Without that, a loop that updates one element of its carry per iteration would copy the
//! carry each time (tested in `neurax-testkit/tests/cost.rs`).
//!
//! Invariants: the arguments have the graph's types; the results are equal whether or not memory is
//! reused (a law of `neurax-testkit`); an error carries the origin of the equation that failed.

use crate::error::check_len;
use crate::{Eqn, Error, Graph, Literal, Op, OrBug, Result, Type, Value, check_types};
use std::{fmt, sync::Arc};

/// The state of an evaluation: counters for tests and profiles, and an evaluator of equations.
#[derive(Clone, Debug, Default)]
pub struct Eval {
    /// The number of equations evaluated so far, including those of nested graphs.
    pub eqns: usize,
    /// The number of results that were written into the memory of an operand.
    pub reused: usize,
    /// The evaluator of equations; `None` for the `eval` of their ops.
    evaluator: Option<Arc<dyn EqnEvaluator>>,
}

/// Evaluates the equations of an [`Eval`] in place of the `eval` of their ops, which it may call:
/// for tools that look at the values between equations.
pub trait EqnEvaluator: fmt::Debug + Send + Sync {
    /// Returns the results of the equation `e` of `graph` on its operands.
    ///
    /// # Errors
    /// As the `eval` of the op; others end the evaluation as well.
    fn eval_eqn(
        &self,
        cx: &mut Eval,
        graph: &Graph,
        e: &Eqn,
        xs: Vec<Literal>,
    ) -> Result<Vec<Literal>>;
}

/// Evaluates a graph.
///
/// # Errors
/// If the arguments do not have the graph's types, or an op fails; the error carries the op's
/// origin.
pub fn eval(graph: &Graph, args: Vec<Literal>) -> Result<Vec<Literal>> {
    check_types("eval", "arguments", graph.input_types(), args.iter().map(Literal::ty))?;
    Eval::default().run(graph, args)
}

impl Eval {
    /// Creates the state of an evaluation whose equations, those of nested graphs as well,
    /// `evaluator` evaluates.
    pub fn with(evaluator: Arc<dyn EqnEvaluator>) -> Eval {
        Eval { evaluator: Some(evaluator), ..Eval::default() }
    }

    /// Evaluates a graph on arguments of its types. Each value is moved into the equation that
    /// reads it last.
    ///
    /// # Errors
    /// If there is not one argument for each input, or an op fails; the error carries the op's
    /// origin.
    pub fn run(&mut self, graph: &Graph, args: Vec<Literal>) -> Result<Vec<Literal>> {
        check_len("eval", "argument", "input", graph.input_types().len(), args.len())?;
        let last = graph.last_uses();
        let mut env: Vec<Option<Literal>> = args.into_iter().map(Some).collect();
        // Unused arguments are dropped now, so that their memory is free while the graph runs.
        env.iter_mut().zip(&last).filter(|(_, l)| l.is_none()).for_each(|(x, _)| *x = None);
        for (i, e) in graph.eqns().iter().enumerate() {
            self.eqns += 1;
            let mut xs = Vec::with_capacity(e.inputs.len());
            for (k, v) in e.inputs.iter().enumerate() {
                let dies = last[v.index()] == Some(i) && !e.inputs[k + 1..].contains(v);
                let slot = &mut env[v.index()];
                let x = if dies { slot.take() } else { slot.clone() };
                xs.push(x.or_bug(no_value(*v)).map_err(|err| err.at_origin(&e.at))?);
            }
            let ys = self.eval_eqn(graph, e, xs).map_err(|err| err.at_origin(&e.at))?;
            for (y, v) in ys.into_iter().zip(&e.outputs) {
                env.push(last[v.index()].is_some().then_some(y));
            }
        }
        let outs = graph.outputs();
        let take = |(k, v): (usize, &Value)| {
            let slot = &mut env[v.index()];
            let x = if outs[k + 1..].contains(v) { slot.clone() } else { slot.take() };
            x.or_bug(no_value(*v))
        };
        outs.iter().enumerate().map(take).collect()
    }

    /// Evaluates an equation on its operands. One whose results have no elements does nothing: its
    /// loops could be long nevertheless, as one of them has no iterations.
    ///
    /// # Errors
    /// If the op fails, or has another number of results than the equation.
    fn eval_eqn(&mut self, graph: &Graph, e: &Eqn, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let types = || e.outputs.iter().map(|&v| graph.ty(v));
        if has_no_iterations(&e.op, types()) {
            return Ok(types().map(|t| Literal::zeros(t.clone())).collect());
        }
        let ys = match self.evaluator.clone() {
            Some(evaluator) => evaluator.eval_eqn(self, graph, e, xs)?,
            None => e.op.eval(self, xs)?,
        };
        match (ys.len(), e.outputs.len()) {
            (got, want) if got == want => Ok(ys),
            (got, want) => {
                let name = e.op.name();
                Err(Error::bug(format_args!("expected {want} results of {name}, got {got}")))
            }
        }
    }

    /// Counts a result if it was written into the memory of its operand.
    pub fn count_reuse(&mut self, inplace: bool) {
        self.reused += inplace as usize;
    }
}

/// Returns true if `op`, whose results have `types`, computes no element and has no effects. The
/// graphs of other ops than loops are evaluated, and so are the ops of users, as they may fail.
pub(crate) fn has_no_iterations<'t>(op: &Op, mut types: impl Iterator<Item = &'t Type>) -> bool {
    let runs_anyway = match op {
        Op::Custom(_) => true,
        Op::Scan(_) | Op::While(_) => op.has_effects(),
        op => op.region().is_some(),
    };
    !runs_anyway && types.all(|t| t.shape.contains(&0))
}

fn no_value(v: Value) -> impl std::fmt::Display {
    std::fmt::from_fn(move |f| write!(f, "value %{} is read before it is computed", v.0))
}
