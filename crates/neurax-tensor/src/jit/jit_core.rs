//! [`JitCore`]: the part of a jitted function that does not depend on its types.
//!
//! A user's program calls `jit` for many types. What is generic in them is compiled again in the
//! user's crate for each, so that it is kept small: tracing the function, moving the leaves out of
//! the argument, and rebuilding the result. The cache, the checks and the calls are here, compiled
//! once, and see trees as [`AnyTree`].

use super::{CachedTrace, LeafRefs, TraceKey, refs};
use crate::{
    Error, Result, Tensor,
    compiled::CompiledCore,
    debug::{ValueWatch, watch},
    device::Device,
    dispatch::Outs,
    frozen::SharedConstants,
    reentrancy::{NestedTrace, ReentrancyGuard},
    tensor::CallSite,
    tree::{AnyTree, first_error, to_vec, visit_leaves},
    tuning::{MAX_CACHED_TRACES, MAX_NESTED_TRACES},
};
use neurax_ir::{Graph, Place};
use neurax_runtime::{Cache, CompiledGraph, Profile, RecursionError, Stages};
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// Traces the function for an argument that the closure holds.
pub(super) type TraceArgument<'a> = &'a dyn Fn() -> CachedTrace;

/// The traces of a function.
pub(super) struct JitCore {
    cache: Cache<TraceKey, Arc<CachedTrace>>,
    /// The line of the call of `jit`.
    pub at: CallSite,
    /// The threads that run the function on an argument that carries an error.
    on_error_args: ReentrancyGuard,
    /// The threads inside a method that returns a `Result`, to which an error can unwind.
    in_run: ReentrancyGuard,
    donated: AtomicUsize,
    copied: AtomicUsize,
}

/// A trace that is ready to run on the argument for which it was looked up.
pub(super) struct ReadyTrace {
    pub entry: Arc<CachedTrace>,
    /// `None` if a trace records the call.
    compiled: Option<(Device, Arc<CompiledGraph>)>,
    /// The checks that the call makes.
    pub watch: Option<ValueWatch>,
}

/// The reason why a function is not traced.
enum TraceError {
    /// It is being traced, and calls itself.
    Recursion,
    /// Too many functions are being traced, each called by the one before.
    TooDeep,
}

impl From<RecursionError> for TraceError {
    fn from(_: RecursionError) -> TraceError {
        TraceError::Recursion
    }
}

impl TraceError {
    /// Returns the error of the function that was jitted at `at`.
    fn of_jit(self, at: CallSite) -> Error {
        let why = match self {
            TraceError::Recursion => {
                "the function calls itself, directly or through others, while it is being traced; \
                 use scan, while_loop or fori to repeat"
                    .into()
            }
            TraceError::TooDeep => format!(
                "expected at most {MAX_NESTED_TRACES} functions to be traced one inside of the \
                 other, got more: the function calls itself, directly or through others, with ever \
                 new types or static values; use scan, while_loop or fori to repeat"
            ),
        };
        Error::new("jit", why).at(&Place::Source(at))
    }
}

/// The panic payload that carries the error of an unbounded recursion to the outermost `run`.
struct UnboundedRecursion(Error);

impl JitCore {
    /// Creates the core of a function that was jitted at `at`.
    pub fn new(at: CallSite) -> JitCore {
        JitCore {
            cache: Cache::new(MAX_CACHED_TRACES),
            at,
            on_error_args: ReentrancyGuard::default(),
            in_run: ReentrancyGuard::default(),
            donated: AtomicUsize::new(0),
            copied: AtomicUsize::new(0),
        }
    }

    /// Returns the numbers of traces, donated arguments and copied arguments.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.cache.computed(), self.donated.load(Relaxed), self.copied.load(Relaxed))
    }

    /// Returns the trace for the types of `a`, which is made if it is missing. If a leaf carries an
    /// error the function is traced for this call alone: some leaves of the result may not depend
    /// on the error, which the function decides.
    ///
    /// # Errors
    /// When the function calls itself while it is being traced.
    pub fn find_or_trace(&self, a: &dyn AnyTree, trace: TraceArgument) -> Result<Arc<CachedTrace>> {
        match first_error(a) {
            Some(e) => self.trace_on_error(a, &e, trace),
            None => self.entry(a, trace),
        }
    }

    /// Traces the function on an argument that carries `e`, with the static values of `a`.
    ///
    /// # Errors
    /// `e`, if the function calls itself.
    pub fn trace_on_error(
        &self,
        a: &dyn AnyTree,
        e: &Error,
        trace: TraceArgument,
    ) -> Result<Arc<CachedTrace>> {
        let running = self.on_error_args.enter(TraceKey::of(a).fixed);
        let _running = running.ok_or_else(|| e.clone())?;
        new_trace(trace).map(Arc::new).map_err(|_| e.clone())
    }

    /// Calls a trace with the leaves of an argument. Returns the leaves of the result, in which
    /// errors travel.
    pub fn call(&self, entry: &CachedTrace, leaves: Vec<Tensor>) -> Outs {
        if leaves.iter().all(|x| x.error().is_none()) {
            self.count_donations(&leaves);
        }
        entry.call(leaves, self.at)
    }

    /// Prepares a call: does what can fail while the argument `a` can still be given back.
    ///
    /// # Errors
    /// The first error among the arguments, of tracing, of compiling.
    pub fn prepare(&self, a: &dyn AnyTree, trace: TraceArgument) -> Result<ReadyTrace> {
        let entry = self.checked_entry(a, trace)?;
        let mut leaves = LeafRefs::new();
        visit_leaves(a, false, &mut |_, x| leaves.push(x));
        let compiled = entry.compiled_to_run(&leaves)?;
        Ok(ReadyTrace { entry, compiled, watch: watch() })
    }

    /// Runs a trace on the leaves of the argument for which it was prepared. Returns the leaves of
    /// the result.
    ///
    /// # Errors
    /// The error of running, or the first one in the result.
    pub fn run(&self, ready: &ReadyTrace, leaves: Vec<Tensor>) -> Result<Outs> {
        self.count_donations(&leaves);
        let ReadyTrace { entry, compiled, watch } = ready;
        let outs = entry.traced.fill(entry.execute(compiled.as_ref(), leaves, *watch)?);
        match outs.iter().find_map(Tensor::error) {
            Some(e) => Err(e.clone()),
            None => Ok(outs),
        }
    }

    /// Traces and compiles the function for `like`, and logs every stage.
    ///
    /// # Errors
    /// As [`crate::Jit::run`].
    pub fn stages(&self, like: &dyn AnyTree, trace: TraceArgument, texts: bool) -> Result<Stages> {
        let mut stages = if texts { Stages::with_texts() } else { Stages::new() };
        let start = stages.start();
        let entry =
            self.catch_recursion(|| new_trace(trace).map(Arc::new).map_err(|e| e.of_jit(self.at)))?;
        entry.traced.check()?;
        stages.add("trace", start, entry.traced.graph()?);
        let leaves = to_vec(like);
        let device = entry.device_for(&refs(&leaves))?;
        device.compile_logged(entry.traced.graph()?, &mut stages)?;
        Ok(stages)
    }

    /// Measures the steps of the function on copies of `a`.
    ///
    /// # Errors
    /// As [`crate::Jit::profile`].
    pub fn profile(&self, a: &dyn AnyTree, trace: TraceArgument) -> Result<Profile> {
        let entry = self.checked_entry(a, trace)?;
        entry.profile(to_vec(a)).map_err(|e| e.at(&Place::Source(self.at)))
    }

    /// Returns the error that names what made the first NaN or infinity in a call on copies of `a`.
    ///
    /// # Errors
    /// As [`crate::Jit::nan_cause`].
    pub fn nan_cause(&self, a: &dyn AnyTree, trace: TraceArgument) -> Result<Option<Error>> {
        let entry = self.checked_entry(a, trace)?;
        let cause = entry.nan_cause(to_vec(a)).map_err(|e| e.at(&Place::Source(self.at)))?;
        Ok(cause.map(|e| e.at(&Place::Source(self.at))))
    }

    /// Traces and compiles the function for the types of `like`.
    ///
    /// # Errors
    /// As [`crate::Jit::compile`].
    pub fn compile(&self, like: &dyn AnyTree, trace: TraceArgument) -> Result<CompiledCore> {
        let entry = self.checked_entry(like, trace)?;
        let shared = SharedConstants::default();
        CompiledCore::new(TraceKey::of(like), entry, &to_vec(like), Device::compile, &shared)
    }

    /// Returns the graph of the function for the types of `like`, and its captures.
    ///
    /// # Errors
    /// As [`crate::Jit::trace`].
    pub fn graph(&self, like: &dyn AnyTree, trace: TraceArgument) -> Result<(Graph, Vec<Tensor>)> {
        let entry = self.checked_entry(like, trace)?;
        Ok((entry.traced.graph()?.clone(), entry.traced.captures.clone()))
    }

    /// Ends a recursion that does not depend on the argument, where no result can carry the error.
    /// Unwinds to the outermost `run` of this thread, which returns the error.
    ///
    /// # Panics
    /// When there is no such `run`.
    #[expect(
        clippy::panic,
        reason = "a plain Rust function would overflow the stack; `run` returns an error"
    )]
    pub fn end_recursion(&self, e: &Error) -> ! {
        if self.in_run.contains_current() {
            resume_unwind(Box::new(UnboundedRecursion(e.clone())));
        }
        panic!(
            "{e} (it never ends, and a result with static parts cannot carry this error: \
             call it by `run`)"
        )
    }

    /// Returns the trace for the types of `a`, which carries no error and neither does the result.
    ///
    /// # Errors
    /// The first error of the argument, or of tracing.
    fn checked_entry(&self, a: &dyn AnyTree, trace: TraceArgument) -> Result<Arc<CachedTrace>> {
        if let Some(e) = first_error(a) {
            return Err(e);
        }
        let entry = self.catch_recursion(|| self.entry(a, trace))?;
        entry.traced.check()?;
        Ok(entry)
    }

    /// Returns the trace for the types of `a`, which is made if it is missing.
    fn entry(&self, a: &dyn AnyTree, trace: TraceArgument) -> Result<Arc<CachedTrace>> {
        self.cache
            .get_or_compute(
                TraceKey::hash_of(a),
                |k| k.matches(a),
                || TraceKey::of(a),
                |_| new_trace(trace).map(Arc::new),
            )
            .map_err(|e: TraceError| e.of_jit(self.at))
    }

    /// Calls `f`, which traces the function. An unbounded recursion is returned as its error.
    fn catch_recursion(
        &self,
        f: impl FnOnce() -> Result<Arc<CachedTrace>>,
    ) -> Result<Arc<CachedTrace>> {
        let _in_run = self.in_run.enter(vec![]);
        let out = catch_unwind(AssertUnwindSafe(f));
        out.unwrap_or_else(|payload| match payload.downcast::<UnboundedRecursion>() {
            Ok(recursion) => Err(recursion.0),
            Err(other) => resume_unwind(other),
        })
    }

    /// Counts the arguments that are donated or copied.
    fn count_donations(&self, leaves: &[Tensor]) {
        for x in leaves {
            match x.is_unshared() {
                Some(true) => self.donated.fetch_add(1, Relaxed),
                Some(false) => self.copied.fetch_add(1, Relaxed),
                None => 0,
            };
        }
    }
}

/// Traces the function.
///
/// # Errors
/// If too many functions are being traced, each called by the one before.
fn new_trace(trace: TraceArgument) -> Result<CachedTrace, TraceError> {
    let _nested = NestedTrace::start().ok_or(TraceError::TooDeep)?;
    Ok(trace())
}
