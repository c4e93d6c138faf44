//! [`Compiled`]: a function that was compiled for given types.
//!
//! `jit` looks its trace up in every call. `Compiled` has done this once: a call checks the types,
//! collects addresses and runs. [`Compiled::run_into`] also writes into memory of the caller, so a
//! warm call neither allocates nor locks anything but the list of kept call states.

use crate::{
    Error, Result, Tensor, Tree, TypeSpec,
    debug::watch,
    device::{Device, unless_default},
    dispatch::{Outs, tensors},
    frozen::{FrozenProgram, GraphCompiler, SharedConstants},
    jit::{CachedTrace, TraceKey, is_donated},
    tensor::CallSite,
    trace::is_in_body,
    tree::{AnyTree, first_error, into_vec, map, rebuild, to_vec, visit_leaves},
};
use neurax_ir::{Place, mismatch};
use neurax_runtime::{Buffer, CompiledGraph, ProgramSummary};
use smallvec::SmallVec;
use std::{borrow::Cow, fmt, marker::PhantomData, panic::Location, sync::Arc};

/// A function that was compiled for given types by [`crate::Jit::compile`]. Calls neither trace nor
/// compile.
pub struct Compiled<A, O> {
    core: CompiledCore,
    takes: PhantomData<fn(A) -> O>,
}

/// The part of a [`Compiled`] that does not depend on its types.
pub(crate) struct CompiledCore {
    key: TraceKey,
    entry: Arc<CachedTrace>,
    device: Device,
    /// The graph, whose inputs are the leaves of the argument, then `captures`: the captured
    /// tensors, and what depends on them alone.
    compiled: Arc<CompiledGraph>,
    captures: Vec<Buffer>,
    rewrites: Vec<(&'static str, usize)>,
}

/// The types that a function is compiled for: `types![..]` with one type per tensor (for a
/// `Tensor`, a tuple of tensors or a `Vec` of tensors), or a reference to an argument of the same
/// types.
pub trait Example<A> {
    /// Returns an argument of these types; its values are not read.
    ///
    /// # Errors
    /// When a type has an open dimension.
    fn example(self) -> Result<A>;
}

impl<A: Tree> Example<A> for &A {
    fn example(self) -> Result<A> {
        let placeholder_of = &mut |t: &Tensor| {
            t.ty().map_or_else(Tensor::from_error, |t| Tensor::zeros_of(t.dtype, &t.shape))
        };
        Ok(rebuild(self, map(self, placeholder_of)))
    }
}

/// Returns a tensor of type `t` whose value is not read.
fn placeholder_of(t: &TypeSpec) -> Result<Tensor> {
    let t = t.fixed()?;
    Ok(Tensor::zeros_of(t.dtype, &t.shape))
}

impl Example<Tensor> for [TypeSpec; 1] {
    fn example(self) -> Result<Tensor> {
        let [t] = &self;
        placeholder_of(t)
    }
}

impl<const N: usize> Example<Vec<Tensor>> for [TypeSpec; N] {
    fn example(self) -> Result<Vec<Tensor>> {
        self.iter().map(placeholder_of).collect()
    }
}

macro_rules! tuples {
    ($($n:literal: $($t:ident)*),*) => {$(
        impl Example<($(tuples!(@ $t),)*)> for [TypeSpec; $n] {
            fn example(self) -> Result<($(tuples!(@ $t),)*)> {
                let [$($t),*] = &self;
                Ok(($(placeholder_of($t)?,)*))
            }
        }
    )*};
    (@ $t:ident) => { Tensor };
}

tuples!(1: a, 2: a b, 3: a b c, 4: a b c d, 5: a b c d e, 6: a b c d e f);

impl<A: Tree, O: Tree> Compiled<A, O> {
    pub(crate) fn new(core: CompiledCore) -> Compiled<A, O> {
        Compiled { core, takes: PhantomData }
    }

    /// Runs the function. Arguments that are moved in may be updated in place.
    ///
    /// # Errors
    /// When the arguments have other types than the function was compiled for, or carry an error.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let double = jit(|x: Tensor| x * 2.0).compile(types![f32[2]])?;
    /// assert_eq!(double.run(tensor([1.0, 2.0]))?.to_vec::<f32>()?, [2.0, 4.0]);
    /// assert!(double.run(tensor([1.0, 2.0, 3.0])).is_err(), "it was compiled for another type");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn run(&self, a: A) -> Result<O> {
        let checked = self.core.check("run", &a);
        self.core
            .run(checked, into_vec(a), Location::caller())
            .and_then(|leaves| self.core.entry.result(leaves))
    }

    /// Runs the function and writes the results into `outs`, the leaves of the result in order. An
    /// output keeps its memory if it has the result's type and no other tensor shares it; otherwise
    /// it is replaced by a new one in every call. Any number of threads may call simultaneously.
    /// Warm calls do not allocate, except for matrix products and convolutions of 16,384
    /// multiplications or more, and for ops without machine code.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let double = jit(|x: Tensor| x * 2.0).compile(types![f32[2]])?;
    /// let (x, mut y) = (tensor([1.0, 2.0]), tensor([0.0, 0.0]));
    /// let memory = y.address();
    /// double.run_into(&x, &mut [&mut y])?;
    /// assert_eq!((y.to_vec::<f32>()?, y.address()), (vec![2.0, 4.0], memory));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Compiled::run`], and when `outs` has another length than the result has leaves. The
    /// outputs are then unchanged, unless the device failed while it was writing.
    #[track_caller]
    pub fn run_into(&self, a: &A, outs: &mut [&mut Tensor]) -> Result<()> {
        self.core.run_into(a, outs, Location::caller())
    }

    /// Returns the bytes of memory that a call needs besides its arguments and results, for
    /// intermediate values; `None` if the device does not know. The memory of the first call is
    /// kept for the next ones.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let product = jit(|x: Tensor| x.matmul(&x).exp().matmul(&x)).compile(types![f32[8, 8]])?;
    /// assert!(product.call_bytes().is_none_or(|bytes| bytes >= 4 * 64), "one product is stored");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn call_bytes(&self) -> Option<usize> {
        self.core.compiled.call_bytes()
    }

    /// Returns the names of the rewrites for inference that were applied, and how often each was:
    /// see [`neurax_ir::passes::inference`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let gate = jit(|x: Tensor| &x * x.sigmoid()).compile(types![f32[8]])?;
    /// assert_eq!(gate.rewrites(), [("silu", 1)]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn rewrites(&self) -> &[(&'static str, usize)] {
        &self.core.rewrites
    }

    /// Returns the steps that the function was compiled to, and the constants in them; `None` if
    /// the device does not know.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let f = jit(|x: Tensor| x.matmul(&x).exp()).compile(types![f32[64, 64]])?;
    /// // The exponential is computed for rows of the product while they are in the cache.
    /// assert!(f.summary().is_none_or(|s| s.equations == 2 && s.steps_text() == "1 product"));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn summary(&self) -> Option<ProgramSummary> {
        self.core.compiled.summary()
    }

    /// Returns the bytes of the tensors that the function captures, and of what is computed from
    /// them before all calls, as far as calls read them.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let weights = key(0).normal([64, 64]);
    /// let f = jit(|x: Tensor| x.matmul(&weights)).compile(types![f32[1, 64]])?;
    /// assert_eq!(f.captured_bytes(), 4 * 64 * 64);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn captured_bytes(&self) -> usize {
        let bytes = |x: &Buffer| x.ty().bytes().unwrap_or(usize::MAX);
        self.core.captures.iter().map(bytes).fold(0, usize::saturating_add)
    }
}

impl CompiledCore {
    /// Compiles a trace, found by `key`, for arguments with `leaves`.
    ///
    /// # Errors
    /// The error of compiling, or if the function is traced at the moment.
    pub fn new(
        key: TraceKey,
        entry: Arc<CachedTrace>,
        leaves: &[Tensor],
        compile: GraphCompiler,
        shared: &SharedConstants,
    ) -> Result<CompiledCore> {
        let program = FrozenProgram::new(&entry, leaves, compile, shared)?;
        let FrozenProgram { device, compiled, constants, rewrites } = program;
        Ok(CompiledCore { key, entry, device, compiled, captures: constants, rewrites })
    }

    /// Runs the function on `leaves`, whose types were `checked`. Returns the leaves of the result.
    fn run(&self, checked: Result<()>, leaves: Vec<Tensor>, at: CallSite) -> Result<Outs> {
        checked.and_then(|()| self.run_unplaced(leaves)).map_err(|e| e.at(&Place::Source(at)))
    }

    /// Runs the function as [`CompiledCore::run`] does, with errors that have no source line.
    fn run_unplaced(&self, mut leaves: Vec<Tensor>) -> Result<Outs> {
        if is_in_body() {
            return Ok(self.entry.traced.fill(self.entry.execute(None, leaves, None)?));
        }
        if let Some(watch) = watch() {
            // The graph of the trace is run, since the specialized program has lost equations.
            let compiled = self.device.compile(self.entry.traced.graph()?)?;
            let outs = self.entry.execute_watched(watch, &self.device, &compiled, leaves)?;
            return Ok(self.entry.traced.fill(outs));
        }
        for x in &leaves {
            x.keep_lazy_value(&self.device)?;
        }
        self.compiled.check_memory(&|i| leaves.get(i).is_some_and(is_donated))?;
        let mut args: SmallVec<[Cow<'_, Buffer>; 8]> = SmallVec::new();
        for x in &mut leaves {
            args.push(x.take_arg("run", &self.device)?);
        }
        args.extend(self.captures.iter().map(Cow::Borrowed));
        let results = self.compiled.run_checked(self.compiled.assume_args(&mut args))?;
        Ok(self.entry.traced.fill(tensors(results, unless_default(&self.device))))
    }

    /// Runs the function as [`Compiled::run_into`] does.
    fn run_into(&self, a: &dyn AnyTree, outs: &mut [&mut Tensor], at: CallSite) -> Result<()> {
        self.run_into_unplaced(a, outs).map_err(|e| e.at(&Place::Source(at)))
    }

    /// Runs the function as [`CompiledCore::run_into`] does, with errors that have no source line.
    fn run_into_unplaced(&self, a: &dyn AnyTree, outs: &mut [&mut Tensor]) -> Result<()> {
        if is_in_body() {
            let why = "expected `run` in the closure of a branch, loop, checkpoint or custom rule, \
                       which may never run: `run_into` would write its outputs immediately";
            return Err(Error::new("run_into", why));
        }
        if watch().is_some() {
            return self.run_and_assign(a, outs);
        }
        if let Some(args) = self.matching_buffers(a) {
            return self.write_into(&args, outs);
        }
        // A leaf does not match, or it is computed or moved to the device first.
        self.check("run_into", a)?;
        let mut args: SmallVec<[Cow<'_, Buffer>; 8]> = SmallVec::new();
        let mut failed = None;
        visit_leaves(a, false, &mut |_, x| match x.as_arg("run_into", &self.device) {
            Ok(b) => args.push(b),
            Err(e) => failed = Some(e),
        });
        match failed {
            Some(e) => Err(e),
            None => {
                let args: SmallVec<[&Buffer; 16]> = args.iter().map(|b| &**b).collect();
                self.write_into(&args, outs)
            }
        }
    }

    /// Runs the function with the checks of [`crate::debug`], and assigns the results to `outs`.
    fn run_and_assign(&self, a: &dyn AnyTree, outs: &mut [&mut Tensor]) -> Result<()> {
        self.check("run_into", a)?;
        self.check_outputs(outs)?;
        let results = self.run_unplaced(to_vec(a))?;
        outs.iter_mut().zip(results).for_each(|(out, y)| **out = y);
        Ok(())
    }

    /// Checks that there is one output for each result.
    fn check_outputs(&self, outs: &[&mut Tensor]) -> Result<()> {
        let types = self.compiled.outputs();
        if outs.len() == types.len() {
            return Ok(());
        }
        let why = format!("expected {} outputs, got {}", types.len(), outs.len());
        Err(Error::new("run_into", why))
    }

    /// Returns the buffers of the leaves of `a` if all are on the device, and `a` has the types,
    /// static values and structure that the function was compiled for.
    fn matching_buffers<'a>(&self, a: &'a dyn AnyTree) -> Option<SmallVec<[&'a Buffer; 16]>> {
        let mut args = SmallVec::new();
        let matches = self.key.matches_with(a, &mut |x, ty| match x.buffer_on(&self.device) {
            Some(b) if b.ty() == ty => {
                args.push(b);
                true
            }
            _ => false,
        });
        matches.then_some(args)
    }

    /// Runs the function on `args`, which have its types, and writes the results into `outs`.
    fn write_into(&self, args: &[&Buffer], outs: &mut [&mut Tensor]) -> Result<()> {
        self.check_outputs(outs)?;
        if let Some(mut buffers) = self.matching_outputs(outs) {
            self.compiled.check_memory_into()?;
            let call = self.compiled.assume_call(args, &self.captures, &mut buffers);
            return self.compiled.run_into_checked(call);
        }
        self.run_and_replace(args, outs)
    }

    /// Returns the buffers of `outs` if all have the types of the results and no other tensor
    /// shares their memory.
    fn matching_outputs<'o>(
        &self,
        outs: &'o mut [&mut Tensor],
    ) -> Option<SmallVec<[&'o mut Buffer; 8]>> {
        let mut buffers = SmallVec::new();
        for (out, ty) in outs.iter_mut().zip(self.compiled.outputs()) {
            buffers.push(out.own_buffer(&self.device).filter(|b| b.ty() == ty)?);
        }
        Some(buffers)
    }

    /// Runs the function into `outs`, some of which are replaced by new tensors.
    fn run_and_replace(&self, args: &[&Buffer], outs: &mut [&mut Tensor]) -> Result<()> {
        self.compiled.check_memory(&|_| false)?;
        // Allocate before any output is borrowed, so that a failure leaves all outputs as they
        // were.
        let fresh =
            |ty: &neurax_ir::Type| self.device.upload(neurax_ir::Literal::zeros(ty.clone()));
        let mut fresh =
            self.compiled.outputs().iter().map(fresh).collect::<Result<Vec<Buffer>>>()?;
        let mut buffers: Vec<&mut Buffer> = vec![];
        let mut replaced: Vec<(usize, &mut Tensor)> = vec![];
        for ((o, out), new) in outs.iter_mut().enumerate().zip(&mut fresh) {
            if out.own_buffer(&self.device).is_some_and(|b| b.ty() == new.ty()) {
                buffers.extend(out.own_buffer(&self.device));
            } else {
                buffers.push(new);
                replaced.push((o, out));
            }
        }
        self.compiled.run_into_checked(self.compiled.assume_call(
            args,
            &self.captures,
            &mut buffers,
        ))?;
        for (o, out) in replaced {
            *out = Tensor::concrete(fresh[o].clone(), unless_default(&self.device).cloned());
        }
        Ok(())
    }

    /// Checks that `a` has the types that the function was compiled for.
    ///
    /// # Errors
    /// When it has not, or carries an error.
    fn check(&self, op: &str, a: &dyn AnyTree) -> Result<()> {
        if self.key.matches_argument(a) {
            return Ok(());
        }
        if let Some(e) = first_error(a) {
            return Err(e);
        }
        let mut have = vec![];
        visit_leaves(a, false, &mut |_, t| have.extend(t.type_ref().ok().cloned()));
        let want = self.key.types();
        let e = if have == want {
            let why = "expected the static values and the structure that the function was \
                       compiled for, got others; compile it for these, too";
            Error::new(op, why)
        } else {
            mismatch(op, "the types that the function was compiled for,", want, &have)
        };
        Err(e)
    }
}

impl<A, O> fmt::Debug for Compiled<A, O> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Compiled for {}", self.core.device)
    }
}
