//! Programs that can be called: with memory for their calls, and the memory of arguments that are
//! moved in taken over.

#![allow(unsafe_code, reason = "arguments and results are handed over by address")]

use super::{
    frame::{Address, CallMemory, Frame},
    pool::Pool,
    program::Program,
    subnormal::with_flush_to_zero,
};
use crate::tuning::{LARGE_CALL_BYTES, MAX_KEPT_CALLS};
use neurax_ir::{Bytes, Error, Literal, Result, Type};
use neurax_runtime::Buffer;
use smallvec::SmallVec;
use std::sync::{Mutex, PoisonError};

/// A program with memory for its calls.
#[derive(Debug)]
pub struct NativeExecutable {
    program: Program,
    types: Vec<Type>,
    pool: &'static Pool,
    /// Memory of calls that are done.
    calls: Mutex<Vec<CallState>>,
}

/// The memory of one call.
#[derive(Debug)]
struct CallState {
    frame: Frame,
    /// What the frame's addresses point into.
    _block: CallMemory,
}

impl NativeExecutable {
    /// A program that can be called, with the threads that run it.
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

    /// Runs it some times on those arguments, and says how long each step took on average, also
    /// those of loops and branches: these over all iterations of a round. The memory of that call
    /// is not kept: other calls take no times.
    ///
    /// # Errors
    /// As running it.
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

    /// Runs it in the memory of a call, on live arguments in memory, into results of the caller's
    /// own, all of the right types.
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
        // SAFETY: the frame is this program's; arguments and results are as the caller promises.
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

    /// Runs it on arguments into results that nobody else holds, all of the right types.
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

/// Where bytes are that are only read.
fn address(b: &Bytes) -> Address {
    Address(b.as_ptr().cast_mut())
}

/// Where bytes are that are written.
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
        // The result that has taken an argument's memory over.
        let mut taken: SmallVec<[Option<usize>; 8]> = smallvec::smallvec![None; args.len()];
        for (o, ty) in self.program.outputs.iter().enumerate() {
            let reused =
                self.program.plan.reuse.iter().find(|r| r.1 == o && args[r.0].bytes().is_unique());
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
        // Memory that somebody else holds is not written.
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
