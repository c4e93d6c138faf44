//! The entry of a call: a program with the memory of its calls.
//!
//! `run_checked` takes owned or borrowed arguments. An owned one whose buffer no other tensor holds
//! is donated: a result may reuse its memory in place, if the memory plan allows it
//! (`MemoryPlan::donations`). Other results take recycled memory. `run_into_checked` writes into
//! buffers of the caller.
//!
//! Each running call has a [`CallState`], the frame and its block. States are kept and locked while
//! a call runs, so that any number of threads may call one executable, and a warm call allocates
//! nothing.
//!
//! Types are compared by [`neurax_runtime::CompiledGraph`] or its caller, once. The `_checked`
//! methods compare sizes in bytes, which is what memory safety needs; machine code reads unaligned
//! memory, too.

#![allow(unsafe_code, reason = "arguments and results are passed by address")]

use super::{
    frame::{CallMemory, Frame},
    pool::Pool,
    program::Program,
    subnormal::with_flush_to_zero,
};
use crate::address::Address;
use crate::tuning::{LARGE_CALL_BYTES, MAX_KEPT_CALLS};
use neurax_ir::{Bytes, Error, Literal, Result, Type};
use neurax_runtime::{Buffer, Results};
use smallvec::SmallVec;
use std::{
    borrow::Cow,
    sync::{Mutex, TryLockError},
};

/// A program that can be called, with the memory of its calls.
#[derive(Debug)]
pub struct NativeExecutable {
    program: Program,
    types: Vec<Type>,
    /// The sizes of the arguments in bytes, which is all that memory safety relies on: types are
    /// compared by the caller of a `_checked` method, but a wrong one must not be undefined
    /// behavior.
    input_bytes: Vec<usize>,
    /// The sizes of the results in bytes.
    output_bytes: Vec<usize>,
    pool: &'static Pool,
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
    pub fn new(program: Program, types: Vec<Type>, pool: &'static Pool) -> NativeExecutable {
        let kept = if program.plan.block > LARGE_CALL_BYTES { 1 } else { MAX_KEPT_CALLS };
        NativeExecutable {
            input_bytes: types.iter().map(bytes_of).collect(),
            output_bytes: program.outputs.iter().map(bytes_of).collect(),
            program,
            types,
            pool,
            calls: (0..kept).map(|_| Mutex::default()).collect(),
        }
    }

    /// Creates the memory of one call.
    fn new_call(&self) -> CallState {
        let mut block = CallMemory::new(self.program.plan.block);
        CallState { frame: self.program.frame(block.address()), _block: block }
    }

    /// Calls `f` with the memory of a call: a kept one that no other thread is using, which stays
    /// locked meanwhile, or else a new one.
    fn with_call<R>(&self, f: impl FnOnce(&mut CallState) -> R) -> R {
        for call in &self.calls {
            match call.try_lock() {
                Ok(mut kept) => return f(kept.get_or_insert_with(|| self.new_call())),
                // A call panicked: its memory is not used again.
                Err(TryLockError::Poisoned(kept)) => {
                    return f(kept.into_inner().insert(self.new_call()));
                }
                Err(TryLockError::WouldBlock) => {}
            }
        }
        f(&mut self.new_call())
    }

    /// Runs the program `rounds` times on `args` and returns the average time of each step as text.
    /// The steps of loops and branches stand below them, with the time of all their runs in a
    /// round.
    ///
    /// The state of this call is not kept, so that other calls measure nothing.
    ///
    /// # Errors
    /// As running the program.
    pub fn profile(&self, args: &[Literal], rounds: u32) -> Result<String> {
        let mut results = self
            .program
            .outputs
            .iter()
            .map(|ty| Ok(Bytes::recycled(ty.bytes()?)))
            .collect::<Result<Vec<_>>>()?;
        let outputs: Vec<Address> =
            results.iter_mut().filter_map(|r| r.get_mut().map(own_address)).collect();
        let inputs = args.iter().map(|a| address(a.bytes()));
        let (mut call, rounds) = (self.new_call(), rounds.max(1));
        for round in 0..=rounds {
            if round <= 1 {
                // The first round warms up.
                self.program.start_profiling(&mut call.frame);
            }
            self.run_in(&mut call, inputs.clone(), outputs.iter().copied())?;
        }
        let mut text = String::new();
        self.program.times(&call.frame, rounds, 0, &mut text);
        Ok(text)
    }

    /// Runs the program in the memory of `call`. Inputs and outputs are addresses of live buffers
    /// of the program's types; no other thread uses the outputs.
    fn run_in(
        &self,
        call: &mut CallState,
        inputs: impl Iterator<Item = Address>,
        outputs: impl Iterator<Item = Address>,
    ) -> Result<()> {
        let (p, f) = (&self.program, &mut call.frame);
        p.set_inputs(f, inputs);
        p.set_outputs(f, outputs);
        let mut done = Ok(());
        // SAFETY: the frame is of this program; the caller promises the rest.
        with_flush_to_zero(&mut || done = unsafe { p.run(f, self.pool) });
        if done.is_ok() {
            // SAFETY: as above.
            f.results
                .iter()
                .enumerate()
                .for_each(|(o, &a)| unsafe { p.copy_aliased_output(f, o, a) });
        }
        done
    }

    /// Checks that arguments have the sizes of the inputs.
    fn check_args<'b>(&self, args: impl ExactSizeIterator<Item = &'b Buffer>) -> Result<()> {
        let is_safe = args.len() == self.input_bytes.len() && fit(args, &self.input_bytes);
        if is_safe { Ok(()) } else { Err(wrong_arguments()) }
    }
}

/// Returns the size of an array in bytes. No buffer has the size `usize::MAX` of an invalid type.
fn bytes_of(ty: &Type) -> usize {
    ty.bytes().unwrap_or(usize::MAX)
}

/// Returns true if the buffers have `sizes` in bytes.
fn fit<'b>(buffers: impl Iterator<Item = &'b Buffer>, sizes: &[usize]) -> bool {
    buffers.zip(sizes).all(|(b, size)| b.host().is_some_and(|bytes| bytes.len() == *size))
}

/// Returns the error of arguments of other types than the inputs.
fn wrong_arguments() -> Error {
    Error::new("native", "the arguments do not have the types of the graph's inputs")
}

/// Returns the address of bytes that are only read.
fn address(b: &Bytes) -> Address {
    Address(b.as_ptr().cast_mut())
}

/// Returns the address of bytes that are written.
fn own_address(b: &mut [u8]) -> Address {
    Address(b.as_mut_ptr())
}

impl neurax_runtime::Executable for NativeExecutable {
    fn run(&self, args: Vec<Buffer>) -> Result<Vec<Buffer>> {
        if !args.iter().map(Buffer::ty).eq(&self.types) {
            return Err(wrong_arguments());
        }
        let mut args: Vec<Cow<'_, Buffer>> = args.into_iter().map(Cow::Owned).collect();
        Ok(self.run_checked(&mut args)?.into_vec())
    }

    fn run_into(
        &self,
        args: &[&Buffer],
        captures: &[Buffer],
        outs: &mut [&mut Buffer],
    ) -> Result<()> {
        if !args.iter().copied().chain(captures).map(Buffer::ty).eq(&self.types)
            || !outs.iter().map(|b| b.ty()).eq(&self.program.outputs)
        {
            return Err(Error::new(
                "native",
                "the arguments or the outputs do not have the types of the graph",
            ));
        }
        self.run_into_checked(args, captures, outs)
    }

    fn run_checked(&self, args: &mut [Cow<'_, Buffer>]) -> Result<Results> {
        self.check_args(args.iter().map(|a| &**a))?;
        let mut results = Results::new();
        // For each argument, the result that reuses its memory.
        let mut taken: SmallVec<[Option<usize>; 8]> = smallvec::smallvec![None; args.len()];
        let donations = &self.program.plan.donations;
        for (o, (ty, bytes)) in self.program.outputs.iter().zip(&self.output_bytes).enumerate() {
            let is_donor = |i: usize| matches!(&args[i], Cow::Owned(b) if b.is_unique());
            let result = match donations.iter().find(|d| d.1 == o && is_donor(d.0)) {
                Some(&(i, _)) => {
                    taken[i] = Some(o);
                    Buffer::take_from(&mut args[i]).into_literal()?.with_type(ty.clone())?
                }
                None => Literal::new(ty.clone(), Bytes::recycled(*bytes))?,
            };
            results.push(result.into());
        }
        let outputs: SmallVec<[Address; 4]> =
            results.iter_mut().filter_map(|r| r.host_mut().map(own_address)).collect();
        let inputs = args.iter().zip(&taken).filter_map(|(a, taken)| match taken {
            Some(o) => Some(outputs[*o]),
            None => a.host().map(address),
        });
        self.with_call(|call| self.run_in(call, inputs, outputs.iter().copied()))?;
        Ok(results)
    }

    fn run_into_checked(
        &self,
        args: &[&Buffer],
        captures: &[Buffer],
        outs: &mut [&mut Buffer],
    ) -> Result<()> {
        let (first, rest) = self.input_bytes.split_at(args.len().min(self.input_bytes.len()));
        let is_safe = first.len() == args.len()
            && rest.len() == captures.len()
            && outs.len() == self.output_bytes.len()
            && fit(args.iter().copied(), first)
            && fit(captures.iter(), rest)
            && fit(outs.iter().map(|b| &**b), &self.output_bytes);
        if !is_safe {
            return Err(wrong_arguments());
        }
        // Memory that another tensor holds is not written.
        for out in outs.iter_mut().filter(|o| !o.is_unique()) {
            let ty = out.ty().clone();
            let bytes = Bytes::recycled(ty.bytes()?);
            **out = Literal::new(ty, bytes)?.into();
        }
        let inputs = args.iter().copied().chain(captures).filter_map(Buffer::host).map(address);
        let outputs = outs.iter_mut().filter_map(|o| o.host_mut()).map(own_address);
        self.with_call(|call| self.run_in(call, inputs, outputs))
    }
}
