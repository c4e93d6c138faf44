//! [`ValueWatch`]: runs of programs that check values.
//!
//! A run under [`nans`](super::nans) is that of the compiled program, whose results are looked at.
//! To find the cause, and under [`checks`](super::checks), a run goes through the equations of the
//! graph before its passes, in order: each is compiled on its own for the device, as an eager
//! operation is, and the graphs of loops, branches and composites are run in the same way.

use super::cause::{NestedRuns, NonFiniteCause};
use super::value_range::NonFiniteKinds;
use crate::{Error, Result, device::Device};
use neurax_ir::{
    Builder, Eqn, EqnEvaluator, Eval, Graph, Literal, Op, Value, Values, op::out_of_bounds,
};
use neurax_runtime::{Buffer, CompiledGraph};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU8, Ordering::Relaxed},
};

/// The bit of [`nans`](super::nans) in [`WATCHED`].
pub(super) const NANS: u8 = 1;
/// The bit of [`checks`](super::checks) in [`WATCHED`].
pub(super) const CHECKS: u8 = 2;

/// The bits of the checks that are on.
static WATCHED: AtomicU8 = AtomicU8::new(0);

/// Starts or ends the checks of `bit`.
pub(super) fn set(bit: u8, on: bool) {
    if on {
        WATCHED.fetch_or(bit, Relaxed);
    } else {
        WATCHED.fetch_and(!bit, Relaxed);
    }
}

/// The checks of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValueWatch {
    nans: bool,
    checks: bool,
}

/// Returns the checks that runs have to make; `None` if there are none.
#[inline]
pub(crate) fn watch() -> Option<ValueWatch> {
    let bits = WATCHED.load(Relaxed);
    (bits != 0).then_some(ValueWatch { nans: bits & NANS != 0, checks: bits & CHECKS != 0 })
}

/// The arguments of a watched run, for the message about one that has NaN.
#[derive(Clone, Copy)]
pub(crate) enum WatchedArgs {
    /// The operands of an eager operation, which may have NaN: it is not the one that made it.
    Operands,
    /// This number of leaves of the argument of a function, followed by captured tensors.
    Leaves(usize),
}

impl ValueWatch {
    /// Runs `graph`, whose compiled form is `compiled`, on `args`, and checks it.
    ///
    /// # Errors
    /// The findings of the checks; the errors of the run.
    pub fn run(
        self,
        device: &Device,
        graph: &Graph,
        compiled: &CompiledGraph,
        args: Vec<Buffer>,
        kind: WatchedArgs,
    ) -> Result<Vec<Buffer>> {
        if self.checks {
            return self.run_by_equation(device, graph, &args, kind);
        }
        let outs = compiled.run(args.clone())?;
        for y in &outs {
            if !NonFiniteKinds::of(&device.download(y)?).is_finite() {
                self.find_cause(device, graph, &args, kind)?;
                break;
            }
        }
        Ok(outs)
    }

    /// Runs `graph` equation by equation, and checks it.
    ///
    /// # Errors
    /// As [`ValueWatch::run`].
    pub fn run_by_equation(
        self,
        device: &Device,
        graph: &Graph,
        args: &[Buffer],
        kind: WatchedArgs,
    ) -> Result<Vec<Buffer>> {
        let (outs, cause) = self.by_equation(device, graph, args, false)?;
        check_cause(graph, cause, kind)?;
        outs.into_iter().map(|y| device.upload(y)).collect()
    }

    /// Runs the graph again to find the cause of a result that is not finite.
    ///
    /// # Errors
    /// The cause, unless the result was infinite before the call.
    fn find_cause(
        self,
        device: &Device,
        graph: &Graph,
        args: &[Buffer],
        kind: WatchedArgs,
    ) -> Result<()> {
        let found = self.by_equation(device, graph, args, true).map_err(|e| {
            let why = "the results have NaN or infinity, and the run that should find the cause \
                       failed";
            Error::new("debug::nans", format!("{why}: {e}"))
        })?;
        match found {
            (_, Some(cause)) => check_cause(graph, Some(cause), kind),
            (outs, None) if outs.iter().all(|y| NonFiniteKinds::of(y).is_finite()) => {
                let why = "the results have NaN or infinity, which they do not have if the \
                           function runs equation by equation: a sum overflowed in the order of \
                           the compiled program, or a function of the host answered differently";
                Err(Error::new("debug::nans", why))
            }
            // A result is an argument.
            (outs, None) => check_passed(graph, &outs, kind),
        }
    }

    /// Runs the graph equation by equation. Returns its results, and the cause of the first of them
    /// that is not finite, if an equation computes it.
    fn by_equation(
        self,
        device: &Device,
        graph: &Graph,
        args: &[Buffer],
        is_repeated: bool,
    ) -> Result<(Vec<Literal>, Option<NonFiniteCause>)> {
        let walker = Arc::new(Walker {
            watch: self,
            device: device.clone(),
            is_repeated,
            levels: Mutex::new(vec![NestedRuns::default()]),
        });
        let args = args.iter().map(|x| device.download(x)).collect::<Result<Vec<_>>>()?;
        let outs = Eval::with(walker.clone()).run(graph, args)?;
        let runs = walker.levels().pop();
        Ok((outs, runs.and_then(NestedRuns::result).map(|(cause, _)| cause)))
    }
}

/// Runs `graph` a second time, equation by equation, and returns the error that
/// [`nans`](super::nans) would have found.
///
/// # Errors
/// The error of the run.
pub(crate) fn nan_cause(
    device: &Device,
    graph: &Graph,
    args: &[Buffer],
    kind: WatchedArgs,
) -> Result<Option<Error>> {
    let watch = ValueWatch { nans: true, checks: false };
    let (outs, cause) = watch.by_equation(device, graph, args, true)?;
    let found = match cause {
        Some(cause) => check_cause(graph, Some(cause), kind),
        None => check_passed(graph, &outs, kind),
    };
    Ok(found.err())
}

/// Returns the error of a cause, if it is one that a user has to know.
fn check_cause(graph: &Graph, cause: Option<NonFiniteCause>, kind: WatchedArgs) -> Result<()> {
    match cause {
        None => Ok(()),
        Some(NonFiniteCause::Argument { input, is_nan: true }) => {
            check_argument(graph, input, kind)
        }
        Some(cause) => cause.error().map_or(Ok(()), Err),
    }
}

/// Checks the results that are arguments, which no equation computes.
fn check_passed(graph: &Graph, outs: &[Literal], kind: WatchedArgs) -> Result<()> {
    let has_nan = |(_, y): &(&Value, &Literal)| NonFiniteKinds::of(y).has_nan;
    match graph.outputs().iter().zip(outs).find(has_nan) {
        Some((v, _)) => check_argument(graph, *v, kind),
        None => Ok(()),
    }
}

/// Returns the error of an argument of a function whose NaN reached a result.
fn check_argument(graph: &Graph, v: Value, kind: WatchedArgs) -> Result<()> {
    let WatchedArgs::Leaves(leaves) = kind else { return Ok(()) };
    let what = match v.index() {
        i if i < leaves => format!("the leaf {i} of the argument"),
        _ => "a captured tensor".into(),
    };
    let why = format!("{what}, {}, had NaN before the call", graph.ty(v));
    Err(Error::new("debug::nans", why))
}

/// Evaluates the equations of a run and notes the causes of values that are not finite.
#[derive(Debug)]
struct Walker {
    watch: ValueWatch,
    device: Device,
    /// True if the program has run before: calls of the host without a result are not repeated.
    is_repeated: bool,
    /// The runs of the outer graph, and of the graphs of the equations that are being evaluated.
    levels: Mutex<Vec<NestedRuns>>,
}

impl EqnEvaluator for Walker {
    fn eval_eqn(
        &self,
        cx: &mut Eval,
        graph: &Graph,
        e: &Eqn,
        xs: Vec<Literal>,
    ) -> Result<Vec<Literal>> {
        if self.watch.checks
            && let Some(fault) = out_of_bounds(&e.op, &xs)
        {
            return Err(Error::new(e.op.name(), fault.to_string()));
        }
        if !self.watch.nans {
            return self.evaluate(cx, e, xs);
        }
        let has_graphs = e.op.region().is_some();
        if has_graphs {
            self.levels().push(NestedRuns::default());
        }
        let ys = self.evaluate(cx, e, xs.clone())?;
        let mut levels = self.levels();
        let inner = has_graphs.then(|| levels.pop()).flatten();
        if let Some(level) = levels.last_mut() {
            level.note(graph, e, &xs, &ys, inner);
        }
        Ok(ys)
    }
}

impl Walker {
    /// Returns the results of an equation: those of the op compiled for the device, of a loop, a
    /// branch or a composite by walking through its graph.
    fn evaluate(&self, cx: &mut Eval, e: &Eqn, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let is_custom = matches!(e.op, Op::Custom(_));
        if is_custom && self.is_repeated && e.op.has_effects() && e.outputs.is_empty() {
            return Ok(vec![]);
        }
        if is_custom || e.inputs.is_empty() || e.op.region().is_some() {
            return e.op.eval(cx, xs);
        }
        let types = xs.iter().map(Literal::ty);
        let compiled = self.device.op(&e.op, types.clone(), false, || {
            let mut b = Builder::new();
            let inputs: Values = types.clone().map(|t| b.input(t.clone())).collect();
            let outputs = b.try_emit(e.op.clone(), &inputs)?;
            b.finish(&outputs)
        })?;
        let args = xs.into_iter().map(|x| self.device.upload(x)).collect::<Result<_>>()?;
        compiled.run(args)?.iter().map(|y| self.device.download(y)).collect()
    }

    fn levels(&self) -> MutexGuard<'_, Vec<NestedRuns>> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
