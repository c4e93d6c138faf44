//! The entry point of calls: a program and its reusable call frames.
//!
//! `call` takes owned or borrowed arguments. An owned one whose buffer no other tensor holds is
//! donated: a result may reuse its memory in place, if the memory plan allows it
//! (`MemoryPlan::donations`). Other results take recycled memory. `call_into` writes into buffers
//! of the caller.
//!
//! Each running call has a [`CallState`], the frame and its block. States are kept and locked while
//! a call runs, so that any number of threads may call one executable, and a warm call allocates
//! nothing.
//!
//! Types are compared once, by [`neurax_runtime::CompiledGraph`] or its caller. A call compares
//! sizes and alignments, which is what memory safety needs: a wrong type must not be undefined
//! behavior.

#![allow(unsafe_code, reason = "arguments and results are passed by address")]

use super::{
    frame::{CallMemory, Frame},
    pool::{Pool, PoolLease},
    program::Program,
    subnormal::with_flush_to_zero,
};
use crate::address::Address;
use crate::tuning::{LARGE_CALL_BYTES, MAX_KEPT_CALLS};
use neurax_ir::{Bytes, Error, Literal, OrBug, Result, Type, check_types, mismatch};
use neurax_runtime::{
    Buffer, CheckedArgs, CheckedCall, Profile, ProgramSummary, Results, ThreadShare,
};
use smallvec::SmallVec;
use std::{
    alloc::Layout,
    borrow::Cow,
    sync::{Mutex, TryLockError},
};

/// A program that can be called, with the memory of its calls.
#[derive(Debug)]
pub struct NativeExecutable {
    program: Program,
    types: Vec<Type>,
    inputs: Vec<Layout>,
    outputs: Vec<Layout>,
    pool: &'static Pool,
    /// The bytes that the tasks of a call allocate at most at a time.
    scratch: usize,
    /// The memory of calls, kept for the next ones. The lock is held while a call runs.
    calls: Box<[Mutex<Option<CallState>>]>,
}

/// The memory of one call.
#[derive(Debug)]
struct CallState {
    frame: Frame,
    /// The memory that the frame's addresses point into.
    _block: CallMemory,
}

impl NativeExecutable {
    /// Creates an executable of `program`, whose arguments have `types`, on the threads of `pool`.
    ///
    /// # Errors
    /// If a type is larger than memory can be.
    pub fn new(
        program: Program,
        types: Vec<Type>,
        pool: &'static Pool,
    ) -> Result<NativeExecutable> {
        let kept = if program.plan.block > LARGE_CALL_BYTES { 1 } else { MAX_KEPT_CALLS };
        Ok(NativeExecutable {
            inputs: types.iter().map(layout).collect::<Result<_>>()?,
            outputs: program.outputs.iter().map(layout).collect::<Result<_>>()?,
            scratch: program.scratch(pool.threads()),
            program,
            types,
            pool,
            calls: (0..kept).map(|_| Mutex::default()).collect(),
        })
    }

    /// Creates the memory of one call.
    ///
    /// # Errors
    /// If there is not enough memory.
    fn new_call(&self) -> Result<CallState> {
        let mut block = CallMemory::new(self.program.plan.block)?;
        Ok(CallState { frame: self.program.frame(block.address()), _block: block })
    }

    /// Calls `f` with the memory of a call: a kept one that no other thread is using, which stays
    /// locked meanwhile, or else a new one.
    ///
    /// # Errors
    /// If there is not enough memory for a new one; the errors of `f`.
    fn with_call<R>(&self, f: impl FnOnce(&mut CallState) -> Result<R>) -> Result<R> {
        for call in &self.calls {
            let mut kept = match call.try_lock() {
                Ok(kept) => kept,
                // A call panicked: its memory is not used again.
                Err(TryLockError::Poisoned(kept)) => {
                    call.clear_poison();
                    let mut kept = kept.into_inner();
                    *kept = None;
                    kept
                }
                Err(TryLockError::WouldBlock) => continue,
            };
            let state = match &mut *kept {
                Some(state) => state,
                empty => empty.insert(self.new_call()?),
            };
            return f(state);
        }
        f(&mut self.new_call()?)
    }

    /// Returns true if the memory of a call is kept that no other call is using now.
    fn has_free_call(&self) -> bool {
        self.calls.iter().any(|call| call.try_lock().is_ok_and(|kept| kept.is_some()))
    }

    /// Runs the program `rounds` times on `args` and returns the average time of each step. The
    /// steps of loops and branches are listed below them, with the time of all their runs in a
    /// round.
    ///
    /// The state of this call is not kept, so that profiling stays off for other calls.
    ///
    /// # Errors
    /// The errors of a run; and if `args` have other types than the inputs.
    pub fn profile(&self, args: &[Buffer], rounds: u32) -> Result<Profile> {
        check_types("profile", "arguments", &self.types, args.iter().map(Buffer::ty))?;
        let results = self.outputs.iter().map(|o| Bytes::try_recycled(o.size()));
        let mut results = results.collect::<Result<Vec<_>>>()?;
        let outputs = results
            .iter_mut()
            .map(|r| Ok(own_address(r.get_mut().or_bug("fresh memory has another owner")?)))
            .collect::<Result<Addresses>>()?;
        let inputs = self.arguments(args.iter(), args.len())?;
        let (mut call, rounds) = (self.new_call()?, rounds.max(1));
        for round in 0..=rounds {
            if round <= 1 {
                // The first round warms up.
                self.program.start_profiling(&mut call.frame);
            }
            // SAFETY: the arguments have the program's types, and the results are fresh memory.
            unsafe { self.run_in(&mut call, &inputs, &outputs)? }
        }
        let mut steps = vec![];
        self.program.times(&call.frame, rounds, 0, &mut steps)?;
        Ok(Profile::new(steps, rounds))
    }

    /// Runs the program in the memory of `call`.
    ///
    /// # Errors
    /// The errors of an op that runs on the reference interpreter.
    ///
    /// # Safety
    /// `inputs` and `outputs` are the addresses of live arrays with the layouts of the program's
    /// inputs and outputs, all of them; no other thread uses the outputs or writes the inputs.
    unsafe fn run_in(
        &self,
        call: &mut CallState,
        inputs: &[Address],
        outputs: &[Address],
    ) -> Result<()> {
        let (p, f) = (&self.program, &mut call.frame);
        p.set_inputs(f, inputs);
        p.set_outputs(f, outputs);
        let mut done = Ok(());
        ThreadShare::with_current(|share| {
            // other: the threads are not divided, or another backend has divided them.
            let pool = share.and_then(|share| pool_of(share, self.pool)).unwrap_or(self.pool);
            // SAFETY: the frame is of this program; the caller promises the rest.
            with_flush_to_zero(&mut || done = unsafe { p.run(f, pool) });
        });
        if done.is_ok() {
            // SAFETY: as above.
            outputs
                .iter()
                .enumerate()
                .for_each(|(o, &a)| unsafe { p.copy_aliased_output(f, o, a) });
        }
        done
    }

    /// Returns the addresses of the arguments, which have the layouts of the inputs.
    ///
    /// # Errors
    /// If they have not.
    fn arguments<'b>(
        &self,
        args: impl Iterator<Item = &'b Buffer> + Clone,
        count: usize,
    ) -> Result<Addresses> {
        let found = addresses(args.clone(), &self.inputs).filter(|_| count == self.inputs.len());
        found.ok_or_else(|| mismatch("run", "arguments", &self.types, args.map(Buffer::ty)))
    }
}

/// Returns the pool of a share of the threads of `all`, which is kept with the share.
fn pool_of(share: &ThreadShare, all: &Pool) -> Option<&'static Pool> {
    let lease = share.threads(|| PoolLease::new(share.threads_of(all.threads())))?;
    Some(lease.pool())
}

/// The addresses of the arguments or the results of a call.
type Addresses = SmallVec<[Address; 8]>;

/// Returns the size and the alignment of an array of type `ty`, in bytes.
fn layout(ty: &Type) -> Result<Layout> {
    Layout::from_size_align(ty.bytes()?, ty.dtype.align())
        .map_err(|_| Error::new("native", format!("{ty} is larger than memory can be")))
}

/// Returns the addresses of buffers, which are only read, if the memory of each has its layout. The
/// memory of a buffer is looked up once: what is checked is what the program reads.
fn addresses<'b>(
    buffers: impl Iterator<Item = &'b Buffer>,
    layouts: &[Layout],
) -> Option<Addresses> {
    let address = |(b, layout): (&Buffer, &Layout)| {
        let bytes: &[u8] = b.host()?;
        let is_aligned = bytes.as_ptr().addr().is_multiple_of(layout.align());
        (bytes.len() == layout.size() && is_aligned).then_some(Address(bytes.as_ptr().cast_mut()))
    };
    buffers.zip(layouts).map(address).collect()
}

/// Returns the address of the memory of `b`, which is written.
fn output_address(b: &mut Buffer) -> Result<Address> {
    Ok(own_address(b.host_mut().or_bug("the memory of a result has another owner")?))
}

/// Returns the address of bytes that are written.
fn own_address(b: &mut [u8]) -> Address {
    Address(b.as_mut_ptr())
}

impl neurax_runtime::Executable for NativeExecutable {
    fn run(&self, args: Vec<Buffer>) -> Result<Vec<Buffer>> {
        check_types("run", "arguments", &self.types, args.iter().map(Buffer::ty))?;
        let mut args: Vec<Cow<'_, Buffer>> = args.into_iter().map(Cow::Owned).collect();
        Ok(self.call(&mut args)?.into_vec())
    }

    fn run_into(
        &self,
        args: &[&Buffer],
        captures: &[Buffer],
        outs: &mut [&mut Buffer],
    ) -> Result<()> {
        let types = args.iter().copied().chain(captures).map(Buffer::ty);
        check_types("run", "arguments", &self.types, types)?;
        check_types("run", "outputs", &self.program.outputs, outs.iter().map(|b| b.ty()))?;
        self.call_into(args, captures, outs)
    }

    fn memory(&self, own: bool, is_donated: &dyn Fn(usize) -> bool) -> Option<usize> {
        let block = if self.has_free_call() { 0 } else { self.program.plan.block };
        let fresh = |(o, layout): (usize, &Layout)| {
            if own || self.donor(o).is_some_and(is_donated) { 0 } else { layout.size() }
        };
        let results = self.outputs.iter().enumerate().map(fresh).fold(0, usize::saturating_add);
        Some(block.saturating_add(results).saturating_add(self.scratch))
    }

    fn summary(&self) -> Option<ProgramSummary> {
        let mut summary = ProgramSummary::default();
        self.program.summarize(&mut summary);
        Some(summary)
    }

    fn profile(&self, args: &[Buffer], calls: u32) -> Result<Profile> {
        self.profile(args, calls)
    }

    fn run_checked(&self, args: CheckedArgs) -> Result<Results> {
        self.call(args.into_inner())
    }

    fn run_into_checked(&self, call: CheckedCall) -> Result<()> {
        let (args, captures, outs) = call.into_parts();
        self.call_into(args, captures, outs)
    }
}

impl NativeExecutable {
    /// Runs the program on arguments of its layouts; owned ones may be donated.
    fn call(&self, args: &mut [Cow<'_, Buffer>]) -> Result<Results> {
        let mut inputs = self.arguments(args.iter().map(|a| &**a), args.len())?;
        // For each argument, the result that reuses its memory.
        let mut taken: SmallVec<[Option<usize>; 8]> = smallvec::smallvec![None; args.len()];
        let mut results = self.results(args, &mut taken)?;
        let outputs = results.iter_mut().map(output_address).collect::<Result<Addresses>>()?;
        for (input, o) in inputs.iter_mut().zip(&taken) {
            if let Some(o) = o {
                *input = outputs[*o];
            }
        }
        // SAFETY: the arguments have the layouts of the inputs; the results have their types, and
        // this call is their only owner.
        self.with_call(|call| unsafe { self.run_in(call, &inputs, &outputs) })?;
        Ok(results)
    }

    /// Returns the argument whose memory result `o` may reuse.
    fn donor(&self, o: usize) -> Option<usize> {
        // They are in the order of the results.
        let donations = &self.program.plan.donations;
        donations.binary_search_by_key(&o, |d| d.1).ok().map(|d| donations[d].0)
    }

    /// Returns the memory of the results: of arguments that are donated, else fresh memory. Sets
    /// `taken[i]` to the result that reuses argument `i`.
    fn results(
        &self,
        args: &mut [Cow<'_, Buffer>],
        taken: &mut [Option<usize>],
    ) -> Result<Results> {
        let mut results = Results::new();
        for (o, (ty, layout)) in self.program.outputs.iter().zip(&self.outputs).enumerate() {
            let is_donor = |i: usize| matches!(&args[i], Cow::Owned(b) if b.is_unique());
            let result = match self.donor(o).filter(|&i| is_donor(i)) {
                Some(i) => {
                    taken[i] = Some(o);
                    Buffer::take_from(&mut args[i]).into_literal()?.with_type(ty.clone())?
                }
                None => Literal::new(ty.clone(), Bytes::try_recycled(layout.size())?)?,
            };
            results.push(result.into());
        }
        Ok(results)
    }

    /// Runs the program on arguments and into outputs of its layouts.
    fn call_into(
        &self,
        args: &[&Buffer],
        captures: &[Buffer],
        outs: &mut [&mut Buffer],
    ) -> Result<()> {
        let all = args.iter().copied().chain(captures);
        let inputs = self.arguments(all, args.len() + captures.len())?;
        let have = outs.iter().map(|b| &**b);
        if outs.len() != self.outputs.len() || addresses(have.clone(), &self.outputs).is_none() {
            return Err(mismatch("run", "outputs", &self.program.outputs, have.map(Buffer::ty)));
        }
        // Memory that another tensor holds is not written.
        for out in outs.iter_mut().filter(|o| !o.is_unique()) {
            let ty = out.ty().clone();
            let bytes = Bytes::try_recycled(ty.bytes()?)?;
            **out = Literal::new(ty, bytes)?.into();
        }
        let outputs = outs.iter_mut().map(|o| output_address(o)).collect::<Result<Addresses>>()?;
        // SAFETY: arguments and outputs have the layouts of the program's, and the outputs have no
        // other owner.
        self.with_call(|call| unsafe { self.run_in(call, &inputs, &outputs) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Native;
    use neurax_ir::{Builder, DType, op::Sort};
    use neurax_runtime::Stages;
    use std::sync::Arc;

    /// Memory at an odd address.
    struct Odd(Vec<u8>);

    impl AsRef<[u8]> for Odd {
        fn as_ref(&self) -> &[u8] {
            let begin = self.0.as_ptr().align_offset(2) + 1;
            &self.0[begin..begin + 32]
        }
    }

    #[test]
    fn a_program_runs_on_the_threads_of_the_share_of_its_caller() {
        let mut b = Builder::new();
        let x = b.input(Type::new(DType::F32, [8]));
        let y = b.emit(Sort { axis: 0, keys: 1 }, &[x]);
        let graph = b.finish(&[y]).unwrap();
        let native = Native::new().unwrap().with_threads(5);
        let program = native.executable(&graph, &mut Stages::muted()).unwrap();
        let x = Literal::from_f64s(DType::F32, [8], &[3.0, 1.0, 2.0, 0.0, 7.0, 6.0, 5.0, 4.0]);
        let run = || program.call(&mut [Cow::Owned(x.clone().into())]).unwrap();
        let expected = run()[0].clone().into_literal().unwrap();
        for (share, threads) in ThreadShare::divide(2).iter().zip([3, 2]) {
            let y = share.run(run)[0].clone().into_literal().unwrap();
            assert_eq!(y.bytes(), expected.bytes());
            let lease: &PoolLease = share.threads(|| PoolLease::new(1)).unwrap();
            assert_eq!(lease.pool().threads(), threads);
        }
    }

    #[test]
    fn wrong_types_are_found_by_their_layout_at_the_latest() {
        let mut b = Builder::new();
        let x = b.input(Type::new(DType::F32, [8]));
        let y = b.emit(Sort { axis: 0, keys: 1 }, &[x]);
        let graph = b.finish(&[y]).unwrap();
        let program = Native::new().unwrap().executable(&graph, &mut Stages::muted()).unwrap();
        let call = |x: Literal| program.call(&mut [Cow::Owned(x.into())]);
        let bytes = |n: usize| Type::new(DType::U8, [n]);
        assert!(call(Literal::zeros(bytes(32))).is_ok(), "the same layout");
        let odd = Bytes::borrowed(Arc::new(Odd(vec![0; 40])), 0..32).unwrap();
        for x in [Literal::new(bytes(32), odd).unwrap(), Literal::zeros(bytes(31))] {
            let e = call(x).unwrap_err();
            assert!(e.message().starts_with("expected arguments (f32[8]), got (u8["), "{e}");
        }
        let e = program.call(&mut []).unwrap_err();
        assert_eq!(e.message(), "expected arguments (f32[8]), got ()");
    }
}
