//! `jit`: traced and compiled once per input types.

use crate::{
    Compiled, Error, Example, Failed, Function, Result, Tensor, Tree, Type,
    closed::{Closed, Mode, place, trace},
    device::{Device, default_device, or_default},
    emit::{Outs, apply},
    running::Threads,
    tensor::At,
    tree::{Fixed, all_errors, checked, first_error, into_vec, to_vec, walk},
};
use neurax_runtime::{Buffer, Cache, Program, Stages};
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

/// How many traces one `Jit` keeps; beyond that the one unused for longest is traced again when it
/// is needed.
const TRACES: usize = 256;

/// A function that is traced and compiled once for each combination of argument types and static
/// values. Any number of threads may run it.
///
/// `f.run(x)` gives a `Result`; `f(x)` lets errors travel in the result, for use inside other
/// functions, where a call is part of the outer trace. Arguments that are moved in may be updated
/// in place. What the function captures is an extra input of the program: it is never copied into
/// it, and it lives as long as the `Jit`. A `jit(..)` inside a loop traces anew in every round:
/// make it outside.
///
/// A function that calls itself with arguments of the same types would be traced without end: that
/// is an error. Only if it does so whatever it gets, its result has static parts, and it was called
/// as `f(x)`, is there nothing that could carry the error: then it panics.
pub struct Jit<'f, A, O> {
    call: Arc<dyn Fn(A) -> O + Send + Sync + 'f>,
    core: Arc<dyn Calls<A, O> + 'f>,
}

/// Compiles a function.
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
    let core = Arc::new(Core {
        f,
        cache: Cache::new(TRACES),
        at: Location::caller(),
        on_errors: Threads::default(),
        answering: Threads::default(),
        donated: AtomicUsize::new(0),
        copied: AtomicUsize::new(0),
    });
    let inner = core.clone();
    Jit { call: Arc::new(move |a| inner.call(a)), core }
}

// No bounds on A and O here: a missing one would send method look-up on to the unstable `Fn::call`.
impl<'f, A, O> Jit<'f, A, O> {
    /// Calls it: the result, or the first error in it. After an error the arguments are gone;
    /// [`Jit::try_run`] gives them back.
    ///
    /// # Errors
    /// The first error among the arguments, of tracing, of compiling, in the result.
    pub fn run(&self, a: A) -> Result<O> {
        self.core.try_run(a).map_err(Error::from)
    }

    /// Calls it; a call that fails before the program starts gives its arguments back.
    ///
    /// # Errors
    /// As [`Jit::run`].
    pub fn try_run(&self, a: A) -> Result<O, Failed<A>> {
        self.core.try_run(a)
    }

    /// How often it was traced.
    pub fn traces(&self) -> usize {
        self.core.counts().0
    }

    /// How many argument buffers were given away, so that their memory could be reused.
    pub fn donated(&self) -> usize {
        self.core.counts().1
    }

    /// How many argument buffers somebody else still held: an update of one is a copy. A kept clone
    /// is the usual reason.
    pub fn copied(&self) -> usize {
        self.core.counts().2
    }

    /// Traces and compiles it anew for arguments like these, and logs every stage: name, time,
    /// size, and on request what it left as text: graphs, and whatever the backend makes of them.
    ///
    /// # Errors
    /// As [`Jit::run`].
    pub fn stages(&self, like: &A, texts: bool) -> Result<Stages> {
        self.core.stages(like, texts)
    }

    /// Traces and compiles it for given types.
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
        self.core.compile(&types.example()?)
    }
}

/// What a [`Jit`] does, without the type of its function.
trait Calls<A, O>: Send + Sync {
    fn try_run(&self, a: A) -> Result<O, Failed<A>>;
    fn counts(&self) -> (usize, usize, usize);
    fn stages(&self, like: &A, texts: bool) -> Result<Stages>;
    fn compile(&self, like: &A) -> Result<Compiled<A, O>>;
}

struct Core<F, O> {
    f: F,
    cache: Cache<Key, Arc<Entry<O>>>,
    at: At,
    /// Who is running the function on an argument that carries an error.
    on_errors: Threads,
    /// Who began with a call that can answer with an error.
    answering: Threads,
    donated: AtomicUsize,
    copied: AtomicUsize,
}

/// Carries the error of a function that calls itself without end to the call that it began with.
struct Endless(Error);

/// What one trace is for: types and static values.
pub(crate) struct Key {
    types: Vec<Type>,
    fixed: Vec<Box<dyn Fixed>>,
}

/// One trace, and its program on the device where it ran first.
pub(crate) struct Entry<O> {
    pub closed: Closed<O>,
    pub at: At,
    program: OnceLock<(Device, Arc<Program>)>,
}

impl Key {
    pub fn of<A: Tree>(a: &A) -> Key {
        let (mut types, mut fixed) = (vec![], vec![]);
        walk(a, &mut |t| types.extend(t.ty()), &mut |x| fixed.push(x.boxed()));
        Key { types, fixed }
    }

    pub fn hash_of<A: Tree>(a: &A) -> u64 {
        let mut h = FxHasher::default();
        a.each_leaf(|t| t.type_ref().ok().hash(&mut h));
        h.finish()
    }

    pub fn fits<A: Tree>(&self, a: &A) -> bool {
        let (mut types, mut fixed, mut statics) = (self.types.iter(), self.fixed.iter(), true);
        let mut leaves = true;
        walk(a, &mut |t| leaves &= types.next() == t.type_ref().ok(), &mut |x| {
            statics &= fixed.next().is_some_and(|y| (**y).same(x.any()))
        });
        leaves && statics && types.next().is_none() && fixed.next().is_none()
    }

    /// The types, for messages.
    pub fn types(&self) -> &[Type] {
        &self.types
    }
}

impl<F, O: Tree> Core<F, O> {
    fn entry<A: Tree>(&self, a: &A) -> Result<Arc<Entry<O>>>
    where
        F: Function<A, Out = O>,
    {
        let make = |_: &Key| Ok(Arc::new(self.trace(a)));
        self.cache
            .get_or_compute(Key::hash_of(a), |k| k.fits(a), || Key::of(a), make)
            .map_err(|e| e.at(&place(self.at)))
    }

    fn trace<A: Tree>(&self, a: &A) -> Entry<O>
    where
        F: Function<A, Out = O>,
    {
        Entry {
            closed: trace(&|a| self.f.apply(a), a, Mode::Program, self.at),
            at: self.at,
            program: OnceLock::new(),
        }
    }

    /// The call inside other functions: errors travel.
    fn call<A: Tree>(&self, a: A) -> O
    where
        F: Function<A, Out = O>,
    {
        if let Some(e) = first_error(&a) {
            let Some(_running) = self.on_errors.enter(Key::of(&a).fixed) else {
                return O::of_error(&e).unwrap_or_else(|| self.endless(&e));
            };
            // Other leaves of the result may be good: the function decides.
            let closed = self.trace(&a).closed;
            return closed.call(into_vec(a), self.at);
        }
        match self.entry(&a) {
            Ok(entry) => {
                let outs = entry.call(self.count(into_vec(a)));
                entry.closed.out.fill_or_fail(outs, self.at)
            }
            Err(e) => self.within_itself(&a, &e),
        }
    }

    /// The result of a call that the function itself makes while it is being traced: there is no
    /// trace yet to take the structure from.
    fn within_itself<A: Tree>(&self, a: &A, e: &Error) -> O
    where
        F: Function<A, Out = O>,
    {
        if let Some(out) = O::of_error(e) {
            return out;
        }
        // What it makes of arguments that carry the error shows the structure.
        let Some(_running) = self.on_errors.enter(Key::of(a).fixed) else { self.endless(e) };
        self.trace(&all_errors(a, e, self.at)).closed.out.fail(e, self.at)
    }

    /// The function calls itself whatever its argument is, and a result with static parts cannot be
    /// made of an error alone: there is no value to go on with. The `run` that it began with ends
    /// in the error.
    #[expect(
        clippy::panic,
        reason = "as a plain Rust function it would overflow the stack; `run` gives an error"
    )]
    fn endless(&self, e: &Error) -> ! {
        if self.answering.hold_me() {
            resume_unwind(Box::new(Endless(e.clone())));
        }
        panic!(
            "{e} (it never ends, and a result with static parts cannot carry this error: call it by `run`)"
        )
    }

    /// What `f` gives, which traces the function; an error if that never ends.
    fn answer<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let _answering = self.answering.enter(vec![]);
        let out = catch_unwind(AssertUnwindSafe(f));
        out.unwrap_or_else(|payload| match payload.downcast::<Endless>() {
            Ok(endless) => Err(endless.0),
            Err(other) => resume_unwind(other),
        })
    }

    /// Counts which arguments could be reused.
    fn count(&self, leaves: Vec<Tensor>) -> Vec<Tensor> {
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

impl<O: Tree> Entry<O> {
    /// Calls it with the leaves of the argument.
    pub fn call(&self, leaves: Vec<Tensor>) -> Result<Outs> {
        let program = self.program(&mut leaves.iter())?;
        self.execute(program, leaves)
    }

    /// The program for the device of the leaves and captures; `None` if one of them is traced.
    pub fn program<'t>(
        &'t self,
        leaves: &mut dyn Iterator<Item = &'t Tensor>,
    ) -> Result<Option<(Device, Arc<Program>)>> {
        let mut device = None;
        for x in leaves.chain(&self.closed.captures) {
            if !x.has_value() {
                return Ok(None);
            }
            device = device.or(x.own_device());
        }
        let device = or_default(device)?;
        let compile = || Ok::<_, Error>((device.clone(), device.compile(self.closed.graph()?)?));
        if let Some((d, p)) = self.program.get() {
            return if d == device {
                Ok(Some((d.clone(), p.clone())))
            } else {
                compile().map(Some)
            };
        }
        let made = compile().map_err(|e| e.at(&place(self.at)))?;
        Ok(Some(self.program.get_or_init(|| made).clone()))
    }

    /// Runs the program; without one, the equations become part of the trace that the operands
    /// belong to.
    pub fn execute(
        &self,
        program: Option<(Device, Arc<Program>)>,
        leaves: Vec<Tensor>,
    ) -> Result<Outs> {
        let operands = self.closed.operands(leaves);
        let Some((device, program)) = program else {
            return apply(self.closed.graph()?, operands, self.at);
        };
        let args = operands
            .into_iter()
            .map(|x| x.into_buffer("jit", &device))
            .collect::<Result<Vec<Buffer>>>()?;
        let outs = program.run(args).map_err(|e| e.at(&place(self.at)))?;
        let own = default_device().is_ok_and(|d| *d != device).then_some(device);
        Ok(outs.into_iter().map(|b| Tensor::concrete(b, own.clone())).collect())
    }
}

impl<A: Tree, O: Tree, F: Function<A, Out = O>> Calls<A, O> for Core<F, O> {
    fn try_run(&self, a: A) -> Result<O, Failed<A>> {
        let ready = || -> Result<_> {
            if let Some(e) = first_error(&a) {
                return Err(e);
            }
            let entry = self.answer(|| self.entry(&a))?;
            entry.closed.check()?;
            let mut leaves: SmallVec<[&Tensor; 16]> = SmallVec::new();
            a.each_leaf(|x| leaves.push(x));
            let program = entry.program(&mut leaves.into_iter())?;
            if let Some((_, program)) = &program {
                program.check_memory().map_err(|e| e.at(&place(self.at)))?;
            }
            Ok((entry, program))
        };
        let (entry, program) = match ready() {
            Ok(x) => x,
            Err(error) => return Err(Failed { error, args: Some(a) }),
        };
        let outs = entry
            .execute(program, self.count(into_vec(a)))
            .map_err(|error| Failed { error, args: None })?;
        checked(entry.closed.out.fill(outs)).map_err(|error| Failed { error, args: None })
    }

    fn counts(&self) -> (usize, usize, usize) {
        (self.cache.computed(), self.donated.load(Relaxed), self.copied.load(Relaxed))
    }

    fn stages(&self, like: &A, texts: bool) -> Result<Stages> {
        let mut stages = if texts { Stages::with_texts() } else { Stages::new() };
        let start = stages.start();
        let entry = self.answer(|| Ok(self.trace(like)))?;
        entry.closed.check()?;
        stages.add("trace", start, entry.closed.graph()?);
        let mut device = default_device()?;
        like.each_leaf(|x| device = x.own_device().unwrap_or(device));
        device.compile_logged(entry.closed.graph()?, &mut stages)?;
        Ok(stages)
    }

    fn compile(&self, like: &A) -> Result<Compiled<A, O>> {
        if let Some(e) = first_error(like) {
            return Err(e);
        }
        let entry = self.answer(|| self.entry(like))?;
        entry.closed.check()?;
        Compiled::new(Key::of(like), entry, &to_vec(like))
    }
}

impl<A, O> Clone for Jit<'_, A, O> {
    fn clone(&self) -> Self {
        Jit { call: self.call.clone(), core: self.core.clone() }
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
        let (traces, donated, copied) = self.core.counts();
        write!(f, "Jit({traces} traces, {donated} arguments donated, {copied} copied)")
    }
}
