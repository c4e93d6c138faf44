//! The memory of one call: a block of intermediate buffers, and the address of every buffer.

#![allow(unsafe_code, reason = "buffers are addresses; the memory plan says what they hold")]

use crate::address::Address;
use neurax_ir::{Error, Result};
use std::{mem::MaybeUninit, time::Duration};

/// One cache line, the unit in which memory is allocated.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct ScratchLine(#[allow(dead_code, reason = "only the size matters")] [u8; 64]);

/// The block of one call: the intermediate buffers of a program and of the programs inside of it.
pub struct CallMemory(Box<[MaybeUninit<ScratchLine>]>);

impl CallMemory {
    /// Allocates a block of `bytes` bytes, not initialized.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(bytes: usize) -> Result<CallMemory> {
        Ok(CallMemory(uninitialized(bytes)?))
    }

    /// Returns the address of the first byte.
    pub fn address(&mut self) -> Address {
        Address(self.0.as_mut_ptr().cast())
    }
}

/// Allocates `bytes` bytes, not initialized.
///
/// # Errors
/// If there is not enough memory.
pub(super) fn uninitialized(bytes: usize) -> Result<Box<[MaybeUninit<ScratchLine>]>> {
    let lines = bytes.div_ceil(size_of::<ScratchLine>());
    let mut memory: Vec<MaybeUninit<ScratchLine>> = vec![];
    if memory.try_reserve_exact(lines).is_err() {
        let why = format!("not enough memory for {bytes} bytes; use smaller shapes or batches");
        return Err(Error::new("memory", why));
    }
    // SAFETY: the capacity is at least `lines`, and the elements need no initialization.
    unsafe { memory.set_len(lines) };
    Ok(memory.into_boxed_slice())
}

impl std::fmt::Debug for CallMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} bytes", 64 * self.0.len())
    }
}

/// The addresses of one call of a program, and of the programs inside of it.
#[derive(Debug)]
pub struct Frame {
    /// The start of the program's region of the block.
    pub base: Address,
    /// The address of every buffer, by [`crate::schedule::BufferId`].
    pub slots: Vec<Address>,
    /// The frames of the programs of loops and branches.
    pub inner: Vec<Frame>,
    /// The operands of the kernel that is running.
    pub operands: Vec<Address>,
    /// The time that each step took so far and the number of its runs; empty unless profiling.
    pub step_times: Vec<(Duration, u32)>,
}
