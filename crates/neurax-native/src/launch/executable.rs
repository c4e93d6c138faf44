//! The entry of a call: a program with the memory of its calls.
//!
//! `run` takes arguments by value. An argument whose buffer no other tensor holds is donated: a
//! result may reuse its memory in place, if the memory plan allows it (`MemoryPlan::reuse`). Other
//! results take recycled memory. `run_into` writes into buffers of the caller.
//!
//! Each running call has a [`CallState`], the frame and its block. States of finished calls are
//! kept, so that any number of threads may call one executable, and a warm call allocates nothing.

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
use neurax_runtime::Buffer;
use smallvec::SmallVec;
use std::sync::{Mutex, PoisonError};

/// A program that can be called, with the memory of its calls.
#[derive(Debug)]
pub struct NativeExecutable {
    program: Program,
    types: Vec<Type>,
    pool: &'static Pool,
    /// The memory of finished calls.
    calls: Mutex<Vec<CallState>>,
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
        NativeExecutable {
            program,
            types,
            pool,
            calls: Mutex::new(Vec::with_capacity(MAX_KEPT_CALLS)),
        }
    }

    fn take(&self) -> CallState {
        let kept = self.calls.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| {
            let mut block = CallMemory::new(self.program.plan.block);
            CallState { frame: self.program.frame(block.address()), _block: block }
        })
    }

    fn put(&self, call: CallState) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() < if self.program.plan.block > LARGE_CALL_BYTES { 1 } else { MAX_KEPT_CALLS }
        {
            calls.push(call);
        }
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
        let (mut call, rounds) = (self.take(), rounds.max(1));
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

    /// Runs the program from `args` into `results`, as [`NativeExecutable::run_in`].
    fn compute(
        &self,
        args: impl Iterator<Item = Address>,
        results: impl Iterator<Item = Address>,
    ) -> Result<()> {
        let mut call = self.take();
        let done = self.run_in(&mut call, args, results);
        self.put(call);
        done
    }
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
        let mut args = args.into_iter().map(Buffer::into_literal).collect::<Result<Vec<_>>>()?;
        if !args.iter().map(Literal::ty).eq(&self.types) {
            return Err(Error::new(
                "native",
                "the arguments do not have the types of the graph's inputs",
            ));
        }
        let mut results: Vec<Literal> = Vec::with_capacity(self.program.outputs.len());
        // For each argument, the result that reuses its memory.
        let mut taken: SmallVec<[Option<usize>; 8]> = smallvec::smallvec![None; args.len()];
        for (o, ty) in self.program.outputs.iter().enumerate() {
            let reused = self
                .program
                .plan
                .donations
                .iter()
                .find(|r| r.1 == o && args[r.0].bytes().is_unique());
            results.push(match reused {
                Some(&(i, _)) => {
                    taken[i] = Some(o);
                    std::mem::replace(&mut args[i], Literal::zeros(Type::new(ty.dtype, [0])))
                        .with_type(ty.clone())?
                }
                None => Literal::new(ty.clone(), Bytes::recycled(ty.bytes()?))?,
            });
        }
        let outputs: SmallVec<[Address; 8]> =
            results.iter_mut().filter_map(|r| r.bytes_mut().map(own_address)).collect();
        let inputs = args
            .iter()
            .zip(taken)
            .map(|(a, taken)| taken.map_or_else(|| address(a.bytes()), |o| outputs[o]));
        self.compute(inputs, outputs.iter().copied())?;
        Ok(results.into_iter().map(Buffer::from).collect())
    }

    fn run_into(&self, args: &[&Buffer], held: &[Buffer], outs: &mut [&mut Buffer]) -> Result<()> {
        let all = || args.iter().copied().chain(held);
        if !all().map(Buffer::ty).eq(&self.types)
            || !outs.iter().map(|b| b.ty()).eq(&self.program.outputs)
        {
            return Err(Error::new(
                "native",
                "the arguments or the outputs do not have the types of the graph",
            ));
        }
        // Memory that another tensor holds is not written.
        for out in outs.iter_mut().filter(|o| !o.is_unique()) {
            let ty = out.ty().clone();
            let bytes = Bytes::recycled(ty.bytes()?);
            **out = Literal::new(ty, bytes)?.into();
        }
        self.compute(
            all().filter_map(Buffer::host).map(address),
            outs.iter_mut().filter_map(|o| o.host_mut()).map(own_address),
        )
    }
}
