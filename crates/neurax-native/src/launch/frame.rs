//! The memory of one call: a block for what is computed on the way, and the address of every array.

#![allow(unsafe_code, reason = "arrays are addresses; what lies there is the plan's business")]

use std::time::Duration;

/// The address of an array, as machine code takes it. Steps of one call share it between threads;
/// the plan keeps those that write apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Address(pub *mut u8);

// SAFETY: an address alone does nothing; whoever reads or writes there says why nobody else does.
unsafe impl Send for Address {}
// SAFETY: as above.
unsafe impl Sync for Address {}

impl Address {
    /// So many bytes further on.
    pub fn plus(self, bytes: isize) -> Address {
        Address(self.0.wrapping_offset(bytes))
    }

    /// The bytes there.
    ///
    /// # Safety
    /// That many bytes are live and nobody writes them while the slice is used.
    pub unsafe fn bytes<'a>(self, len: usize) -> &'a [u8] {
        // SAFETY: as promised by the caller.
        unsafe { std::slice::from_raw_parts(self.0, len) }
    }

    /// Copies bytes, which may overlap.
    ///
    /// # Safety
    /// That many bytes are live in both places, and nobody else uses those here or writes those
    /// there.
    pub unsafe fn copy_from(self, from: Address, len: usize) {
        if self.0 != from.0 {
            // SAFETY: as promised by the caller.
            unsafe { std::ptr::copy(from.0, self.0, len) }
        }
    }

    /// Writes bytes.
    ///
    /// # Safety
    /// As many bytes are live here, and nobody else uses them.
    pub unsafe fn write(self, from: &[u8]) {
        // SAFETY: as promised by the caller.
        unsafe { std::ptr::copy(from.as_ptr(), self.0, from.len()) }
    }
}

/// One cache line, the unit of memory.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct CacheLine(#[allow(dead_code, reason = "it is the size that matters")] [u8; 64]);

/// The block of one call: what a program, and those in it, compute on the way.
pub struct CallMemory(Box<[std::mem::MaybeUninit<CacheLine>]>);

impl CallMemory {
    /// A block of that many bytes.
    pub fn new(bytes: usize) -> CallMemory {
        CallMemory(Box::<[CacheLine]>::new_uninit_slice(bytes.div_ceil(64)))
    }

    /// Where it begins.
    pub fn address(&mut self) -> Address {
        Address(self.0.as_mut_ptr().cast())
    }
}

impl std::fmt::Debug for CallMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} bytes", 64 * self.0.len())
    }
}

/// Where the arrays of one call of a program are, and of the programs in it.
#[derive(Debug)]
pub struct Frame {
    /// Where the program's part of the block begins.
    pub base: Address,
    /// The address of every array.
    pub slots: Vec<Address>,
    /// Frames of the programs of loops and branches.
    pub inner: Vec<Frame>,
    /// The operands of the kernel that is running.
    pub operands: Vec<Address>,
    /// Where the caller wants the results.
    pub results: Vec<Address>,
    /// How long each step has taken so far, and how often it ran, if somebody wants to know.
    pub step_times: Vec<(Duration, u32)>,
}
