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

use crate::{
    Compiled, Error, Example, Failed, Function, Result, Tensor, Tree, Type,
    device::{Device, unless_default},
    dispatch::{Outs, apply_graph, device_of, tensors},
    reentrancy::ReentrancyGuard,
    tensor::CallSite,
    trace::{TraceKind, is_in_body},
    traced_fn::{TracedFn, trace_fn},
    tree::{Fixed, all_errors, checked, first_error, into_vec, to_vec, walk},
    tuning::MAX_CACHED_TRACES,
};
use neurax_ir::Place;
use neurax_runtime::{Buffer, Cache, CompiledGraph, RecursionError, Stages};
use rustc_hash::FxHasher;
use smallvec::SmallVec;
use std::{
    borrow::Cow,
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

/// The panic payload that carries the error of an unbounded recursion to the outermost `run`.
struct UnboundedRecursion(Error);

/// The key of a trace: the types and static values of the argument.
pub(crate) struct TraceKey {
    types: Vec<Type>,
    fixed: Vec<Box<dyn Fixed>>,
}

/// One trace, with its compiled graph.
pub(crate) struct CachedTrace<O> {
    pub traced: TracedFn<O>,
    /// The line of the call of `jit`.
    pub at: CallSite,
    /// The device on which it ran first, and the compiled graph there.
    compiled: OnceLock<(Device, Arc<CompiledGraph>)>,
}

/// The arguments of a run.
type Buffers<'a> = SmallVec<[Cow<'a, Buffer>; 8]>;

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
        let trace = |_: &TraceKey| Ok(Arc::new(self.new_trace(a)));
        self.cache
            .get_or_compute(TraceKey::hash_of(a), |k| k.matches(a), || TraceKey::of(a), trace)
            .map_err(|RecursionError| {
                let why = "the function calls itself, directly or through others, while it is \
                           being traced; use scan, while_loop or fori to repeat";
                Error::new("jit", why).at(&Place::Source(self.at))
            })
    }

    /// Traces the function for the types of `a`.
    fn new_trace<A: Tree>(&self, a: &A) -> CachedTrace<O>
    where
        F: Function<A, Out = O>,
    {
        CachedTrace {
            traced: trace_fn(&|a| self.f.apply(a), a, TraceKind::Jit, self.at),
            at: self.at,
            compiled: OnceLock::new(),
        }
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
            let traced = self.new_trace(&a).traced;
            return traced.call(into_vec(a), self.at);
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
        self.new_trace(&all_errors(a, e, self.at)).traced.out.fail(e, self.at)
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

impl<O: Tree> CachedTrace<O> {
    /// Runs the trace on the leaves of an argument.
    ///
    /// # Errors
    /// The error of an operand, of compiling or of running.
    pub fn call(&self, leaves: Vec<Tensor>) -> Result<Outs> {
        let compiled = self.compiled_to_run(leaves.iter())?;
        self.execute(compiled, leaves)
    }

    /// Returns the compiled graph as [`CachedTrace::compiled`] does, after a check of memory, or
    /// `None` if a trace records the call.
    ///
    /// # Errors
    /// The error of tracing or compiling; when there is not enough memory.
    pub fn compiled_to_run<'t>(
        &'t self,
        leaves: impl Iterator<Item = &'t Tensor> + Clone,
    ) -> Result<Option<(Device, Arc<CompiledGraph>)>> {
        if is_in_body() {
            return Ok(None);
        }
        let compiled = self.compiled(leaves)?;
        if let Some((_, compiled)) = &compiled {
            compiled.check_memory().map_err(|e| e.at(&Place::Source(self.at)))?;
        }
        Ok(compiled)
    }

    /// Returns the device on which the trace runs on `leaves`.
    ///
    /// # Errors
    /// As [`crate::default_device`].
    fn device_for<'t>(&'t self, leaves: impl Iterator<Item = &'t Tensor>) -> Result<&'t Device> {
        device_of(leaves.chain(&self.traced.captures))
    }

    /// Returns the compiled graph for the device of the leaves and captures, or `None` if one of
    /// them is traced.
    ///
    /// # Errors
    /// The error of tracing or compiling.
    pub fn compiled<'t>(
        &'t self,
        leaves: impl Iterator<Item = &'t Tensor> + Clone,
    ) -> Result<Option<(Device, Arc<CompiledGraph>)>> {
        if !leaves.clone().chain(&self.traced.captures).all(Tensor::has_value) {
            return Ok(None);
        }
        let device = self.device_for(leaves)?;
        if let Some(compiled) = self.compiled.get().filter(|(d, _)| d == device) {
            return Ok(Some(compiled.clone()));
        }
        let program = self.traced.graph().and_then(|graph| device.compile(graph));
        let program = program.map_err(|e| e.at(&Place::Source(self.at)))?;
        let compiled = (device.clone(), program);
        // Has no effect if there is one for another device.
        let _ = self.compiled.set(compiled.clone());
        Ok(Some(compiled))
    }

    /// Moves the arguments of a run out of `leaves`, and returns them followed by the captures.
    ///
    /// # Errors
    /// The error of an operand, or of moving one to `device`.
    fn buffers<'a>(&'a self, leaves: &'a mut [Tensor], device: &Device) -> Result<Buffers<'a>> {
        let mut args = Buffers::new();
        for (x, _) in leaves.iter_mut().zip(&self.traced.is_input).filter(|(_, i)| **i) {
            args.push(x.take_arg("jit", device)?);
        }
        for x in &self.traced.captures {
            args.push(x.as_arg("jit", device)?);
        }
        Ok(args)
    }

    /// Runs the compiled graph, whose memory the caller has checked. Without one, a trace records
    /// the equations.
    ///
    /// # Errors
    /// The error of an operand or of running.
    pub fn execute(
        &self,
        compiled: Option<(Device, Arc<CompiledGraph>)>,
        mut leaves: Vec<Tensor>,
    ) -> Result<Outs> {
        let Some((device, compiled)) = compiled else {
            return apply_graph(self.traced.graph()?, self.traced.operands(leaves), self.at);
        };
        let args = self.buffers(&mut leaves, &device);
        let mut args = args.map_err(|e| e.at(&Place::Source(self.at)))?;
        // The lookup of the trace has compared the types of the leaves; captures keep theirs.
        let results = compiled.run_checked(compiled.assume_args(&mut args));
        let results = results.map_err(|e| e.at(&Place::Source(self.at)))?;
        Ok(tensors(results, unless_default(&device)))
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
        let entry = self.catch_recursion(|| Ok(self.new_trace(like)))?;
        entry.traced.check()?;
        stages.add("trace", start, entry.traced.graph()?);
        let mut leaves: SmallVec<[&Tensor; 16]> = SmallVec::new();
        like.each_leaf(|x| leaves.push(x));
        let device = entry.device_for(leaves.iter().copied())?;
        device.compile_logged(entry.traced.graph()?, &mut stages)?;
        Ok(stages)
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
