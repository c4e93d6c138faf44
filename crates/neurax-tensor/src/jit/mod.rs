//! `jit`: traces and compiles a function once for each combination of argument types.
//!
//! A call of [`Jit::run`] goes through these steps:
//!
//! 1. Look up the trace for the argument's types and static values ([`TraceKey`]) in a bounded
//!    cache. If it is missing, trace the function; other threads that ask for it wait.
//! 2. Look up the compiled graph. A trace keeps the one for the device on which it ran first; the
//!    device caches the others by graph.
//! 3. Move the argument's buffers in and run. A buffer that no other tensor holds is donated: the
//!    program may write a result into it.
//! 4. Rebuild the result tree from the output buffers.
//!
//! A call inside of another traced function has no device to run on: the equations of the trace are
//! inlined into the outer one instead. So is a call in the closure of a branch or a loop, even on
//! concrete tensors, since the branch may not be taken.
//!
//! # Two ways to call
//!
//! [`Jit::run`] returns a `Result`. `f(x)` works through `Deref` to a `dyn Fn`, returns the plain
//! result, and lets errors travel in it. A `Jit` therefore holds two `Arc`s: `call`, which `Deref`
//! returns, and `imp`, the interface [`JitFunction`]. **Both point to the same [`JitImpl`]**.
//!
//! # Recursion
//!
//! A function that calls its own `Jit` while it is being traced would never end. The cache finds
//! this out for equal types (the key is being computed by the same thread), [`ReentrancyGuard`] for
//! arguments that carry errors. The call then returns a result with an error in every leaf. Where a
//! result cannot be made of an error alone (it has static parts), unwinding with
//! [`UnboundedRecursion`] takes the error to the outermost `run`.
//!
//! # Invariants
//!
//! - Everything that can fail without touching the arguments is done before they are moved out, so
//!   [`Jit::try_run`] can give them back.
//! - A program is found by types only, never by values: captures are inputs, not constants.

mod cached_trace;

pub(crate) use cached_trace::{CachedTrace, is_donated};

use crate::{
    Compiled, Error, Example, Failed, Function, Result, Tensor, Tree, Type,
    reentrancy::{NestedTrace, ReentrancyGuard},
    tensor::CallSite,
    trace::TraceKind,
    traced_fn::trace_fn,
    tree::{Fixed, all_errors, checked, first_error, into_vec, to_vec, walk},
    tuning::{MAX_CACHED_TRACES, MAX_NESTED_TRACES},
};
use neurax_ir::Place;
use neurax_runtime::{Cache, Profile, RecursionError, Stages};
use rustc_hash::FxHasher;
use smallvec::SmallVec;
use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// A function that is traced and compiled once for each combination of argument types and static
/// values. Any number of threads may run it.
///
/// `f.run(x)` returns a `Result`. `f(x)` lets errors travel in the result, for use inside other
/// functions, where a call is part of the outer trace. Arguments that are moved in may be updated
/// in place. A tensor that the function captures is an extra input of the program: it is never
/// copied, and it lives as long as the `Jit`. A `jit(..)` inside a loop traces again in every
/// iteration: create it outside.
///
/// # Panics
/// A function that calls itself with arguments of the same types would be traced without end; this
/// is an error. `f(x)` panics if the recursion does not depend on the argument and the result has
/// static parts, because then no value can carry the error. `run` returns the error in this case,
/// too.
pub struct Jit<'f, A, O> {
    /// The function that `Deref` returns, so that a `Jit` is callable. The same object as `imp`.
    call: Arc<dyn Fn(A) -> O + Send + Sync + 'f>,
    /// The methods. The same object as `call`.
    imp: Arc<dyn JitFunction<A, O> + 'f>,
}

/// Creates a function that is traced and compiled once for each combination of argument types.
///
/// ```
/// use neurax::prelude::*;
/// let step = jit(|(w, lr): (Tensor, Tensor)| &w - &w * lr);
/// let mut w = tensor([1.0, 2.0]);
/// for i in 0..10 {
///     w = step.run((w, tensor(0.1 * i as f32)))?;    // moved in: updated in place
/// }
/// assert_eq!(step.traces(), 1);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn jit<'f, A: Tree, O: Tree, F: Function<A, Out = O> + 'f>(f: F) -> Jit<'f, A, O> {
    let imp = Arc::new(JitImpl {
        f,
        cache: Cache::new(MAX_CACHED_TRACES),
        at: Location::caller(),
        on_error_args: ReentrancyGuard::default(),
        in_run: ReentrancyGuard::default(),
        donated: AtomicUsize::new(0),
        copied: AtomicUsize::new(0),
    });
    let callee = imp.clone();
    Jit { call: Arc::new(move |a| callee.call(a)), imp }
}

// No bounds on A and O here: if one were not met, method lookup would find the unstable `Fn::call`.
impl<'f, A, O> Jit<'f, A, O> {
    /// Calls the function. Returns the result, or the first error in it. After an error the
    /// arguments are lost; [`Jit::try_run`] gives them back.
    ///
    /// # Errors
    /// The first error among the arguments, of tracing, of compiling, in the result.
    pub fn run(&self, a: A) -> Result<O> {
        self.imp.try_run(a).map_err(Error::from)
    }

    /// Calls the function. A call that fails before the program starts gives its arguments back.
    ///
    /// # Errors
    /// As [`Jit::run`].
    pub fn try_run(&self, a: A) -> Result<O, Failed<A>> {
        self.imp.try_run(a)
    }

    /// Returns how many times the function was traced.
    pub fn traces(&self) -> usize {
        self.imp.counts().0
    }

    /// Returns the number of argument buffers that were donated, so that their memory could be
    /// reused.
    pub fn donated(&self) -> usize {
        self.imp.counts().1
    }

    /// Returns the number of argument buffers that another tensor still held: an update of one is a
    /// copy. A kept clone is the usual reason.
    pub fn copied(&self) -> usize {
        self.imp.counts().2
    }

    /// Traces and compiles the function again for arguments of the types of `like`, and logs every
    /// stage: name, time, size, and with `texts` also its result as text (graphs, and the forms of
    /// the backend).
    ///
    /// # Errors
    /// As [`Jit::run`].
    pub fn stages(&self, like: &A, texts: bool) -> Result<Stages> {
        self.imp.stages(like, texts)
    }

    /// Runs the function on copies of `a` several times and measures its steps: the average time of
    /// each step, layer and source line. A slow function runs three times, a fast one as often as
    /// the time of a slow one allows.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let f = jit(|x: Tensor| (x.exp() + 1.0).log().sum(..));
    /// let profile = f.profile(&Tensor::zeros([1000]))?;
    /// assert!(profile.steps()[0].equations.iter().any(|(op, _)| *op == "exponential"));
    /// assert!(profile.by_line()[0].0.contains(".rs:"), "the line of the source");
    /// println!("{profile}");      // tables of steps, layers and lines
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Jit::run`], and on a device that does not measure steps, such as the reference
    /// interpreter.
    pub fn profile(&self, a: &A) -> Result<Profile> {
        self.imp.profile(a)
    }

    /// Traces and compiles the function for given types.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let f = jit(|x: Tensor| x.sin()).compile(types![f32[2]])?;
    /// assert_eq!(f.run(tensor([0.0, 0.0]))?.to_vec::<f32>()?, [0.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// When a type has an open dimension; else as [`Jit::run`].
    pub fn compile(&self, types: impl Example<A>) -> Result<Compiled<A, O>> {
        self.imp.compile(&types.example()?)
    }
}

/// The methods of a [`Jit`], without the type of its function.
trait JitFunction<A, O>: Send + Sync {
    fn try_run(&self, a: A) -> Result<O, Failed<A>>;
    /// Returns the numbers of traces, donated arguments and copied arguments.
    fn counts(&self) -> (usize, usize, usize);
    fn stages(&self, like: &A, texts: bool) -> Result<Stages>;
    fn profile(&self, a: &A) -> Result<Profile>;
    fn compile(&self, like: &A) -> Result<Compiled<A, O>>;
}

/// A function with its traces.
struct JitImpl<F, O> {
    f: F,
    cache: Cache<TraceKey, Arc<CachedTrace<O>>>,
    /// The line of the call of `jit`.
    at: CallSite,
    /// The threads that run the function on an argument that carries an error.
    on_error_args: ReentrancyGuard,
    /// The threads inside a method that returns a `Result`, to which an error can unwind.
    in_run: ReentrancyGuard,
    donated: AtomicUsize,
    copied: AtomicUsize,
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

/// The key of a trace: the types and static values of the argument.
pub(crate) struct TraceKey {
    types: Vec<Type>,
    fixed: Vec<Box<dyn Fixed>>,
}

impl TraceKey {
    /// Creates the key of an argument.
    pub fn of<A: Tree>(a: &A) -> TraceKey {
        let (mut types, mut fixed) = (vec![], vec![]);
        walk(a, &mut |t| types.extend(t.ty()), &mut |x| fixed.push(x.boxed()));
        TraceKey { types, fixed }
    }

    /// Returns the hash of the types of an argument. Static values are compared, not hashed.
    pub fn hash_of<A: Tree>(a: &A) -> u64 {
        let mut h = FxHasher::default();
        a.each_leaf(|t| t.type_ref().ok().hash(&mut h));
        h.finish()
    }

    /// Returns true if `a` has the types, static values and number of leaves of the key.
    pub fn matches<A: Tree>(&self, a: &A) -> bool {
        self.matches_with(a, &mut |x, ty| x.type_ref().is_ok_and(|t| t == ty))
    }

    /// Returns true if `a` has the static values and number of leaves of the key, and `matches` is
    /// true for each leaf and the type of the key.
    pub fn matches_with<'t, A: Tree>(
        &self,
        a: &'t A,
        matches: &mut dyn FnMut(&'t Tensor, &Type) -> bool,
    ) -> bool {
        let (mut types, mut fixed, mut statics) = (self.types.iter(), self.fixed.iter(), true);
        let mut leaves = true;
        walk(
            a,
            &mut |x| leaves = leaves && types.next().is_some_and(|ty| matches(x, ty)),
            &mut |x| statics &= fixed.next().is_some_and(|y| (**y).same(x.any())),
        );
        leaves && statics && types.next().is_none() && fixed.next().is_none()
    }

    /// Returns the types of the leaves.
    pub fn types(&self) -> &[Type] {
        &self.types
    }
}

impl<F, O: Tree> JitImpl<F, O> {
    /// Returns the trace for the types of `a`, which is made if it is missing.
    fn entry<A: Tree>(&self, a: &A) -> Result<Arc<CachedTrace<O>>>
    where
        F: Function<A, Out = O>,
    {
        let trace = |_: &TraceKey| Ok(Arc::new(self.new_trace(a)?));
        self.cache
            .get_or_compute(TraceKey::hash_of(a), |k| k.matches(a), || TraceKey::of(a), trace)
            .map_err(|e: TraceError| e.of_jit(self.at))
    }

    /// Traces the function for the types of `a`.
    ///
    /// # Errors
    /// If too many functions are being traced, each called by the one before.
    fn new_trace<A: Tree>(&self, a: &A) -> Result<CachedTrace<O>, TraceError>
    where
        F: Function<A, Out = O>,
    {
        let _nested = NestedTrace::start().ok_or(TraceError::TooDeep)?;
        Ok(CachedTrace {
            traced: trace_fn(&|a| self.f.apply(a), a, TraceKind::Jit, self.at),
            at: self.at,
            compiled: OnceLock::new(),
        })
    }

    /// Calls the function; errors travel in the result.
    fn call<A: Tree>(&self, a: A) -> O
    where
        F: Function<A, Out = O>,
    {
        if let Some(e) = first_error(&a) {
            let Some(_running) = self.on_error_args.enter(TraceKey::of(&a).fixed) else {
                return O::of_error(&e).unwrap_or_else(|| self.end_recursion(&e));
            };
            // Some leaves of the result may not depend on the error: the function decides.
            return match self.new_trace(&a) {
                Ok(trace) => trace.traced.call(into_vec(a), self.at),
                Err(_) => O::of_error(&e).unwrap_or_else(|| self.end_recursion(&e)),
            };
        }
        match self.entry(&a) {
            Ok(entry) => {
                let outs = entry.call(self.count_donations(into_vec(a)));
                entry.traced.out.fill_or_fail(outs, self.at)
            }
            Err(e) => self.recursive_result(&a, &e),
        }
    }

    /// Returns the result of a call that the function makes to itself while it is being traced: `e`
    /// in every leaf. There is no trace yet from which to take the structure.
    fn recursive_result<A: Tree>(&self, a: &A, e: &Error) -> O
    where
        F: Function<A, Out = O>,
    {
        if let Some(out) = O::of_error(e) {
            return out;
        }
        // A run on an argument that carries the error shows the structure.
        let Some(_running) = self.on_error_args.enter(TraceKey::of(a).fixed) else {
            self.end_recursion(e)
        };
        match self.new_trace(&all_errors(a, e, self.at)) {
            Ok(trace) => trace.traced.out.fail(e, self.at),
            Err(_) => self.end_recursion(e),
        }
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
    fn end_recursion(&self, e: &Error) -> ! {
        if self.in_run.contains_current() {
            resume_unwind(Box::new(UnboundedRecursion(e.clone())));
        }
        panic!(
            "{e} (it never ends, and a result with static parts cannot carry this error: \
             call it by `run`)"
        )
    }

    /// Calls `f`, which traces the function. An unbounded recursion is returned as its error.
    fn catch_recursion<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let _in_run = self.in_run.enter(vec![]);
        let out = catch_unwind(AssertUnwindSafe(f));
        out.unwrap_or_else(|payload| match payload.downcast::<UnboundedRecursion>() {
            Ok(recursion) => Err(recursion.0),
            Err(other) => resume_unwind(other),
        })
    }

    /// Counts the arguments that are donated or copied.
    fn count_donations(&self, leaves: Vec<Tensor>) -> Vec<Tensor> {
        for x in &leaves {
            match x.is_unshared() {
                Some(true) => self.donated.fetch_add(1, Relaxed),
                Some(false) => self.copied.fetch_add(1, Relaxed),
                None => 0,
            };
        }
        leaves
    }
}

impl<A: Tree, O: Tree, F: Function<A, Out = O>> JitFunction<A, O> for JitImpl<F, O> {
    fn try_run(&self, a: A) -> Result<O, Failed<A>> {
        let ready = || -> Result<_> {
            if let Some(e) = first_error(&a) {
                return Err(e);
            }
            let entry = self.catch_recursion(|| self.entry(&a))?;
            entry.traced.check()?;
            let mut leaves: SmallVec<[&Tensor; 16]> = SmallVec::new();
            a.each_leaf(|x| leaves.push(x));
            let compiled = entry.compiled_to_run(leaves.iter().copied())?;
            Ok((entry, compiled))
        };
        let (entry, compiled) = match ready() {
            Ok(x) => x,
            Err(error) => return Err(Failed { error, args: Some(a) }),
        };
        let outs = entry
            .execute(compiled, self.count_donations(into_vec(a)))
            .map_err(|error| Failed { error, args: None })?;
        checked(entry.traced.out.fill(outs)).map_err(|error| Failed { error, args: None })
    }

    fn counts(&self) -> (usize, usize, usize) {
        (self.cache.computed(), self.donated.load(Relaxed), self.copied.load(Relaxed))
    }

    fn stages(&self, like: &A, texts: bool) -> Result<Stages> {
        let mut stages = if texts { Stages::with_texts() } else { Stages::new() };
        let start = stages.start();
        let trace = || self.new_trace(like).map_err(|e| e.of_jit(self.at));
        let entry = self.catch_recursion(trace)?;
        entry.traced.check()?;
        stages.add("trace", start, entry.traced.graph()?);
        let mut leaves: SmallVec<[&Tensor; 16]> = SmallVec::new();
        like.each_leaf(|x| leaves.push(x));
        let device = entry.device_for(leaves.iter().copied())?;
        device.compile_logged(entry.traced.graph()?, &mut stages)?;
        Ok(stages)
    }

    fn profile(&self, a: &A) -> Result<Profile> {
        if let Some(e) = first_error(a) {
            return Err(e);
        }
        let entry = self.catch_recursion(|| self.entry(a))?;
        entry.traced.check()?;
        entry.profile(to_vec(a)).map_err(|e| e.at(&Place::Source(self.at)))
    }

    fn compile(&self, like: &A) -> Result<Compiled<A, O>> {
        if let Some(e) = first_error(like) {
            return Err(e);
        }
        let entry = self.catch_recursion(|| self.entry(like))?;
        entry.traced.check()?;
        Compiled::new(TraceKey::of(like), entry, &to_vec(like))
    }
}

impl<A, O> Clone for Jit<'_, A, O> {
    fn clone(&self) -> Self {
        Jit { call: self.call.clone(), imp: self.imp.clone() }
    }
}

impl<'f, A, O> Deref for Jit<'f, A, O> {
    type Target = dyn Fn(A) -> O + Send + Sync + 'f;
    fn deref(&self) -> &Self::Target {
        &*self.call
    }
}

impl<A, O> fmt::Debug for Jit<'_, A, O> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (traces, donated, copied) = self.imp.counts();
        write!(f, "Jit({traces} traces, {donated} arguments donated, {copied} copied)")
    }
}
