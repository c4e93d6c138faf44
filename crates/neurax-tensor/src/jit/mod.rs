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
//! returns, and `imp`, the interface [`JitFunction`]. **Both point to the same [`JitImpl`]**, which
//! is a function and its [`JitCore`].
//!
//! # Recursion
//!
//! A function that calls its own `Jit` while it is being traced would never end. The cache finds
//! this out for equal types (the key is being computed by the same thread), `ReentrancyGuard` for
//! arguments that carry errors. The call then returns a result with an error in every leaf. Where a
//! result cannot be made of an error alone (it has static parts), unwinding with
//! `UnboundedRecursion` takes the error to the outermost `run`.
//!
//! # Invariants
//!
//! - Everything that can fail without touching the arguments is done before they are moved out, so
//!   [`Jit::try_run`] can give them back.
//! - A program is found by types only, never by values: captures are inputs, not constants.

mod cached_trace;
mod jit_core;
mod trace_key;

pub(crate) use cached_trace::{CachedTrace, LeafRefs, is_donated, refs};
pub(crate) use trace_key::TraceKey;

use crate::{
    Compiled, Error, Example, Failed, Function, Result, Tensor, Tree,
    compiled::CompiledCore,
    device::Device,
    frozen::SharedConstants,
    trace::TraceKind,
    traced_fn::trace_fn,
    tree::{all_errors, into_vec, rebuild, to_vec},
};
use jit_core::JitCore;
use neurax_ir::{Graph, Place};
use neurax_runtime::{Profile, Stages};
use std::{fmt, ops::Deref, panic::Location, sync::Arc};

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
    let imp = Arc::new(JitImpl { f, core: JitCore::new(Location::caller()) });
    let callee = imp.clone();
    Jit { call: Arc::new(move |a| callee.call(a)), imp }
}

/// Traces and compiles `f` for the types of `like` outside of all caches: dropping the result frees
/// the compiled graph. Constants are those of `shared`, if it has them. `at` is the line that
/// errors name. For types that have a cache.
///
/// # Errors
/// As [`Jit::run`].
#[doc(hidden)]
pub fn compile_uncached<A: Tree, O: Tree>(
    f: &dyn Fn(A) -> O,
    like: &A,
    at: &'static Location<'static>,
    shared: &SharedConstants,
) -> Result<Compiled<A, O>> {
    let (traced, out) = trace_fn(f, like, TraceKind::Jit, at);
    let entry = Arc::new(CachedTrace::new(traced, Box::new(out), at));
    entry.traced.check()?;
    let compile = |device: &Device, graph: &Graph| {
        // Logging is without the cache of the device.
        device.compile_logged(graph, &mut Stages::muted())
    };
    let key = TraceKey::of(like);
    CompiledCore::new(key, entry, &to_vec(like), compile, shared).map(Compiled::new)
}

// No bounds on A and O here: if one were not met, method lookup would find the unstable `Fn::call`.
impl<'f, A, O> Jit<'f, A, O> {
    /// Calls the function. Returns the result, or the first error in it. After an error the
    /// arguments are lost; [`Jit::try_run`] gives them back.
    ///
    /// # Errors
    /// The first error among the arguments, of tracing, of compiling, in the result.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let f = jit(|(x, y): (Tensor, Tensor)| x * y);
    /// assert_eq!(f.run((tensor([1.0, 2.0]), tensor(3.0)))?.to_vec::<f32>()?, [3.0, 6.0]);
    /// let e = f.run((tensor([1.0, 2.0]), Tensor::ones(3))).unwrap_err();
    /// assert!(e.message().contains("cannot broadcast f32[2] with f32[3]"), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn run(&self, a: A) -> Result<O> {
        self.imp.try_run(a).map_err(Error::from)
    }

    /// Calls the function. A call that fails before the program starts gives its arguments back.
    ///
    /// # Errors
    /// As [`Jit::run`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let f = jit(|(x, y): (Tensor, Tensor)| x * y);
    /// let failed = f.try_run((tensor([1.0, 2.0]), Tensor::ones(3))).unwrap_err();
    /// let (x, _) = failed.args.expect("the program did not start");
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn try_run(&self, a: A) -> Result<O, Failed<A>> {
        self.imp.try_run(a)
    }

    /// Returns how many times the function was traced.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let f = jit(|x: Tensor| x * 2.0);
    /// let results = [f.run(tensor(1.0))?, f.run(tensor(2.0))?, f.run(tensor([1.0, 2.0]))?];
    /// assert_eq!(f.traces(), 2, "one for each type");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn traces(&self) -> usize {
        self.imp.core().counts().0
    }

    /// Returns the number of argument buffers that were donated, so that their memory could be
    /// reused.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let f = jit(|x: Tensor| x + 1.0);
    /// let x = f.run(tensor([1.0, 2.0]))?;
    /// let address = x.address();
    /// assert_eq!(f.run(x)?.address(), address, "updated in place");
    /// assert_eq!(f.donated(), 2);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn donated(&self) -> usize {
        self.imp.core().counts().1
    }

    /// Returns the number of argument buffers that another tensor still held: an update of one is a
    /// copy. A kept clone is the usual reason.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let f = jit(|x: Tensor| x + 1.0);
    /// let x = tensor([1.0, 2.0]);
    /// let y = f.run(x.clone())?;
    /// assert_eq!((f.donated(), f.copied()), (0, 1));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn copied(&self) -> usize {
        self.imp.core().counts().2
    }

    /// Traces and compiles the function again for arguments of the types of `like`, and logs every
    /// stage: name, time, size, and with `texts` also its result as text (graphs, and the forms of
    /// the backend).
    ///
    /// # Errors
    /// As [`Jit::run`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let stages = jit(|x: Tensor| x.sin()).stages(&tensor([1.0]), true)?;
    /// let mut texts = stages.list().iter().filter_map(|stage| stage.text.as_deref());
    /// assert!(texts.any(|graph| graph.contains("sine")), "{stages:?}");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn stages(&self, like: &A, texts: bool) -> Result<Stages> {
        self.imp.stages(like, texts)
    }

    /// Runs the function on copies of `a` several times and measures its steps: the average time of
    /// each step, and time and bytes by layer, op and source line. A slow function runs twice, a
    /// fast one as often as the time of a slow one allows.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let f = jit(|x: Tensor| (x.exp() + 1.0).log().sum(..));
    /// let profile = f.profile(&Tensor::zeros([1000]))?;
    /// assert!(profile.steps()[0].equations.iter().any(|(op, _)| *op == "exponential"));
    /// assert!(profile.by_line()[0].name.contains(".rs:"), "the line of the source");
    /// println!("{profile}");      // tables of steps, layers, ops and lines
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Jit::run`], and on a device that does not measure steps, such as the reference
    /// interpreter.
    pub fn profile(&self, a: &A) -> Result<Profile> {
        self.imp.profile(a)
    }

    /// Runs the function on copies of `a`, equation by equation, and returns the error of
    /// [`debug::nans`](crate::debug::nans) that names the first equation which made NaN or infinity
    /// that reaches a result; `None` if there is none, as where a sum overflows in the order of the
    /// compiled program only.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let f = jit(|x: Tensor| x.log().mean(..));
    /// assert!(f.nan_cause(&tensor([1.0, 2.0]))?.is_none());
    /// let e = f.nan_cause(&tensor([1.0, -2.0]))?.map(|e| e.to_string()).unwrap_or_default();
    /// let why = "`log` made NaN (1 of 2 elements of f32[2]) of f32[2] from -2 to 1";
    /// assert!(e.contains(why), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Jit::run`].
    pub fn nan_cause(&self, a: &A) -> Result<Option<Error>> {
        self.imp.nan_cause(a)
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
    #[track_caller]
    pub fn compile(&self, types: impl Example<A>) -> Result<Compiled<A, O>> {
        let at = Place::from(Location::caller());
        types.example().and_then(|like| self.imp.compile(&like)).map_err(|e| e.at(&at))
    }

    /// Traces the function for given types, without compiling it. Returns the graph, whose inputs
    /// are the leaves of the argument and then the captured tensors, and the captured tensors:
    /// exporters write both.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let weights = Tensor::from_vec(vec![2.0f32; 100], 100);
    /// let f = jit(|x: Tensor| x * &weights);
    /// let (graph, captured) = f.trace(types![f32[100]])?;
    /// assert_eq!((graph.input_types().len(), captured.len()), (2, 1));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// When a type has an open dimension; the first error of tracing, or in the result.
    #[track_caller]
    pub fn trace(&self, types: impl Example<A>) -> Result<(Graph, Vec<Tensor>)> {
        let at = Place::from(Location::caller());
        types.example().and_then(|like| self.imp.graph(&like)).map_err(|e| e.at(&at))
    }
}

/// The methods of a [`Jit`], without the type of its function.
trait JitFunction<A, O>: Send + Sync {
    fn core(&self) -> &JitCore;
    fn try_run(&self, a: A) -> Result<O, Failed<A>>;
    fn stages(&self, like: &A, texts: bool) -> Result<Stages>;
    fn profile(&self, a: &A) -> Result<Profile>;
    fn nan_cause(&self, a: &A) -> Result<Option<Error>>;
    fn compile(&self, like: &A) -> Result<Compiled<A, O>>;
    fn graph(&self, like: &A) -> Result<(Graph, Vec<Tensor>)>;
}

/// A function with its traces: what depends on its type. All else is in [`JitCore`].
struct JitImpl<F> {
    f: F,
    core: JitCore,
}

impl<F> JitImpl<F> {
    /// Traces the function for the types of `a`.
    fn trace<A: Tree, O: Tree>(&self, a: &A) -> CachedTrace
    where
        F: Function<A, Out = O>,
    {
        let (traced, out) = trace_fn(&|a| self.f.apply(a), a, TraceKind::Jit, self.core.at);
        CachedTrace::new(traced, Box::new(out), self.core.at)
    }

    /// Calls the function; errors travel in the result.
    fn call<A: Tree, O: Tree>(&self, a: A) -> O
    where
        F: Function<A, Out = O>,
    {
        let result = match self.core.find_or_trace(&a, &|| self.trace(&a)) {
            Ok(entry) => entry.result(self.core.call(&entry, into_vec(a))),
            Err(e) => self.recursive_result(&a, &e),
        };
        result.unwrap_or_else(|e| O::of_error(&e).unwrap_or_else(|| self.core.end_recursion(&e)))
    }

    /// Returns the result of a call that the function makes to itself while it is being traced: `e`
    /// in every leaf. There is no trace yet from which to take the structure.
    fn recursive_result<A: Tree, O: Tree>(&self, a: &A, e: &Error) -> Result<O>
    where
        F: Function<A, Out = O>,
    {
        if let Some(out) = O::of_error(e) {
            return Ok(out);
        }
        // A run on an argument that carries the error shows the structure.
        let trace = || self.trace(&all_errors(a, e, self.core.at));
        let entry = self.core.trace_on_error(a, e, &trace)?;
        entry.result(entry.traced.fail(e, self.core.at))
    }
}

impl<A: Tree, O: Tree, F: Function<A, Out = O>> JitFunction<A, O> for JitImpl<F> {
    fn core(&self) -> &JitCore {
        &self.core
    }

    fn try_run(&self, a: A) -> Result<O, Failed<A>> {
        let ready = match self.core.prepare(&a, &|| self.trace(&a)) {
            Ok(ready) => ready,
            Err(error) => return Err(Failed { error, args: Some(a) }),
        };
        // A run that checks values keeps the arguments.
        let kept = ready.watch.map(|_| rebuild(&a, to_vec(&a).into()));
        let leaves = self.core.run(&ready, into_vec(a));
        leaves
            .and_then(|leaves| ready.entry.result(leaves))
            .map_err(|error| Failed { error, args: kept })
    }

    fn stages(&self, like: &A, texts: bool) -> Result<Stages> {
        self.core.stages(like, &|| self.trace(like), texts)
    }

    fn profile(&self, a: &A) -> Result<Profile> {
        self.core.profile(a, &|| self.trace(a))
    }

    fn nan_cause(&self, a: &A) -> Result<Option<Error>> {
        self.core.nan_cause(a, &|| self.trace(a))
    }

    fn compile(&self, like: &A) -> Result<Compiled<A, O>> {
        self.core.compile(like, &|| self.trace(like)).map(Compiled::new)
    }

    fn graph(&self, like: &A) -> Result<(Graph, Vec<Tensor>)> {
        self.core.graph(like, &|| self.trace(like))
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
        let (traces, donated, copied) = self.imp.core().counts();
        write!(f, "Jit({traces} traces, {donated} arguments donated, {copied} copied)")
    }
}
