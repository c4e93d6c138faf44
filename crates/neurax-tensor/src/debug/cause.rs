//! The first equation that made NaN or infinity.
//!
//! The problem: a value that is not finite may have come with an operand, and one that is made may
//! never reach a result. The method carries the cause of each such value forward, equation by
//! equation, as a run computes them: the result of an equation has the cause of the operand that
//! explains it, and an equation whose operands explain nothing is a cause itself.
//!
//! | result | an operand has | the cause |
//! |---|---|---|
//! | NaN | NaN | that of the operand |
//! | NaN | infinity, made by an equation | that equation; here the infinity became NaN |
//! | NaN | infinity, from a constant or an argument | this equation |
//! | infinity | infinity | that of the operand |
//! | either | only finite values | this equation, or the one inside of it |
//!
//! Of a `select`, only the operand counts from which the element was taken.
//!
//! Example: `y = exp(x); p = y / sum(y)` with `x = [0, 1000]`. `y` is infinite of finite operands,
//! so `exp` is its cause. `p` has NaN, its operands have infinity: its cause is `exp`, and the
//! infinity became NaN in `divide`.

use super::value_range::{NonFiniteKinds, ValueRange};
use neurax_ir::{Eqn, Error, Graph, Literal, Op, Value};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The cause of a value that is not finite.
#[derive(Clone, Debug)]
pub(super) enum NonFiniteCause {
    /// An equation made it.
    Made(Arc<MadeBy>),
    /// It is an element of a constant; the error names the first equation that took NaN from it.
    Constant(Option<Arc<Error>>),
    /// It came with an argument of the graph, as NaN or as infinity.
    Argument { input: Value, is_nan: bool },
}

/// An equation that made NaN or infinity of finite values.
#[derive(Clone, Debug)]
pub(super) struct MadeBy {
    /// The message, at the place of the equation.
    error: Error,
    /// Says where an infinity became NaN; empty if it did not.
    later: String,
}

impl NonFiniteCause {
    /// Returns the error that tells the user; `None` for a constant that is a result or infinite,
    /// which was written on purpose, and for an argument.
    pub fn error(&self) -> Option<Error> {
        match self {
            NonFiniteCause::Made(made) => {
                Some(made.error.with_message(format!("{}{}", made.error.message(), made.later)))
            }
            NonFiniteCause::Constant(reader) => reader.as_ref().map(|e| (**e).clone()),
            NonFiniteCause::Argument { .. } => None,
        }
    }

    /// Returns the cause as seen by the equation `e` around the graph in which it was found, in
    /// the iteration with index `iteration` if it is a loop.
    fn seen_from(self, e: &Eqn, iteration: usize) -> NonFiniteCause {
        let NonFiniteCause::Made(made) = self else { return self };
        let is_loop = matches!(e.op, Op::Scan(_) | Op::While(_));
        let nth = is_loop.then(|| format!(", in iteration {iteration} of `{}`", e.op.name()));
        let message = format!("{}{}", made.error.message(), nth.unwrap_or_default());
        let error = made.error.with_message(message).at_origin(&e.at);
        NonFiniteCause::Made(Arc::new(MadeBy { error, later: made.later.clone() }))
    }

    /// Returns a number that is lower for what tells a user more.
    fn rank(&self) -> usize {
        match self {
            NonFiniteCause::Made(_) => 0,
            NonFiniteCause::Constant(Some(_)) => 1,
            NonFiniteCause::Argument { is_nan: true, .. } => 2,
            NonFiniteCause::Argument { is_nan: false, .. } => 3,
            NonFiniteCause::Constant(None) => 4,
        }
    }
}

/// A run of a graph: the causes of its values so far.
#[derive(Debug, Default)]
struct GraphRun {
    /// The address of the equation with which a run begins.
    start: usize,
    /// The number of runs before this one: the index of the iteration of a loop.
    index: usize,
    outputs: Vec<Value>,
    causes: FxHashMap<Value, NonFiniteCause>,
}

impl GraphRun {
    /// Returns the cause of the first result that is not finite. That of an argument is known
    /// outside of the graph only.
    fn result(&self) -> Option<(NonFiniteCause, usize)> {
        let causes = self.outputs.iter().filter_map(|v| self.causes.get(v));
        let cause = causes.min_by_key(|cause| cause.rank())?;
        Some((cause.clone(), self.index))
    }
}

/// The runs of the graphs that one equation holds, or that of the whole graph.
#[derive(Debug, Default)]
pub(super) struct NestedRuns {
    runs: FxHashMap<usize, GraphRun>,
    /// The cause in the first run whose results are not finite, and its index.
    first: Option<(NonFiniteCause, usize)>,
}

impl NestedRuns {
    /// Notes an equation of `graph` that was evaluated. `inner` are the runs of the graphs that it
    /// holds.
    pub fn note(
        &mut self,
        graph: &Graph,
        e: &Eqn,
        xs: &[Literal],
        ys: &[Literal],
        inner: Option<NestedRuns>,
    ) {
        let run = self.runs.entry(address(graph)).or_default();
        match run.start {
            0 => (run.start, run.outputs) = (address(e), graph.outputs().to_vec()),
            start if start == address(e) => {
                self.first = self.first.take().or_else(|| run.result());
                run.causes.clear();
                run.index += 1;
            }
            _ => {}
        }
        let inner = inner.and_then(NestedRuns::result);
        for (v, y) in e.outputs.iter().zip(ys) {
            let kinds = NonFiniteKinds::of(y);
            if !kinds.is_finite() {
                let cause = cause(&run.causes, e, xs, (y, kinds), inner.clone());
                run.causes.insert(*v, cause);
            }
        }
    }

    /// Returns the cause of the first result that is not finite, and the index of its run.
    pub fn result(self) -> Option<(NonFiniteCause, usize)> {
        let last = || self.runs.values().find_map(GraphRun::result);
        self.first.clone().or_else(last)
    }
}

/// Returns the cause of the result `y` of the equation `e`.
fn cause(
    causes: &FxHashMap<Value, NonFiniteCause>,
    e: &Eqn,
    xs: &[Literal],
    (y, kinds): (&Literal, NonFiniteKinds),
    inner: Option<(NonFiniteCause, usize)>,
) -> NonFiniteCause {
    if let Some((made @ NonFiniteCause::Made(_), iteration)) = inner {
        return made.seen_from(e, iteration);
    }
    let read = operands_of(e, xs, y);
    let of = |has: fn(NonFiniteKinds) -> bool| {
        let bad = read.iter().filter(|&&i| has(NonFiniteKinds::of(&xs[i])));
        let cause = |i: &usize| {
            let (input, is_nan) = (e.inputs[*i], NonFiniteKinds::of(&xs[*i]).has_nan);
            let known = causes.get(&input).cloned();
            known.unwrap_or(NonFiniteCause::Argument { input, is_nan })
        };
        bad.map(cause).min_by_key(NonFiniteCause::rank)
    };
    let infinite = || of(|x| x.has_infinity);
    let here = || made_by(e, xs, y);
    match (kinds.has_nan, of(|x| x.has_nan).filter(|_| kinds.has_nan)) {
        (true, Some(NonFiniteCause::Constant(None))) => {
            let why = format!("`{}` took NaN from a constant of the program", e.op.name());
            NonFiniteCause::Constant(Some(Arc::new(nan_error(why).at_origin(&e.at))))
        }
        (true, Some(cause)) => cause,
        (true, None) => match infinite() {
            Some(NonFiniteCause::Made(made)) => NonFiniteCause::Made(Arc::new(MadeBy {
                error: made.error.clone(),
                later: became_nan(e),
            })),
            _ if e.inputs.is_empty() => NonFiniteCause::Constant(None),
            _ => here(),
        },
        (false, _) => match infinite() {
            Some(cause) => cause,
            None if e.inputs.is_empty() => NonFiniteCause::Constant(None),
            None => here(),
        },
    }
}

/// Returns the indices of the operands from which elements of `y` that are not finite may have
/// come: all, and of a `select` those that were chosen there.
fn operands_of(e: &Eqn, xs: &[Literal], y: &Literal) -> Vec<usize> {
    let (Op::Select(_), [pred, ..]) = (&e.op, xs) else { return (0..xs.len()).collect() };
    let chosen = NonFiniteKinds::elements(y);
    let is_read =
        |first: bool| pred.bytes().iter().zip(&chosen).any(|(p, bad)| *bad && (*p != 0) == first);
    [(1, true), (2, false)].into_iter().filter(|(_, first)| is_read(*first)).map(|x| x.0).collect()
}

/// Returns the cause that the equation `e` is, whose result `y` is not finite.
fn made_by(e: &Eqn, xs: &[Literal], y: &Literal) -> NonFiniteCause {
    let result = ValueRange::of(y);
    let (what, n) = match (result.nans, result.infinities) {
        (0, 1) => ("an infinity", 1),
        (0, n) => ("infinities", n),
        (n, _) => ("NaN", n),
    };
    let (size, ty) = (result.ty.size(), &result.ty);
    let of = if size == 1 { ty.to_string() } else { format!("{n} of {size} elements of {ty}") };
    // Those of `jvp` compute the values of the function as well.
    let by = if e.at.transform == Some("transpose") { " of the derivative" } else { "" };
    let operands: Vec<String> = xs.iter().map(|x| ValueRange::of(x).to_string()).collect();
    let of_operands = if operands.is_empty() { "" } else { " of " };
    let operands = operands.join(" and ");
    let why = format!("`{}`{by} made {what} ({of}){of_operands}{operands}", e.op.name());
    let error = nan_error(why).at_origin(&e.at);
    NonFiniteCause::Made(Arc::new(MadeBy { error, later: String::new() }))
}

/// Says that an infinity became NaN in `e`, at its place if that can be shown.
fn became_nan(e: &Eqn) -> String {
    let at = e.at.place.shown().map(|place| format!(" at {place}")).unwrap_or_default();
    format!("; it became NaN in `{}`{at}", e.op.name())
}

fn nan_error(why: impl Into<String>) -> Error {
    Error::new("debug::nans", why)
}

/// Returns an address, by which graphs and equations are told apart.
fn address<T>(x: &T) -> usize {
    std::ptr::from_ref(x).addr()
}
