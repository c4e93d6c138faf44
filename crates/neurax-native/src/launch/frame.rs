//! The memory of one call: a block of intermediate buffers, and the address of every buffer.

#![allow(unsafe_code, reason = "buffers are addresses; the memory plan says what they hold")]

use std::time::Duration;

/// The address of a buffer, as machine code takes it. The steps of one call share it between
/// threads; the memory plan keeps buffers apart that are alive at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Address(pub *mut u8);

// SAFETY: an address alone accesses nothing; each access says why no other thread conflicts.
unsafe impl Send for Address {}
// SAFETY: as above.
unsafe impl Sync for Address {}

impl Address {
    /// Returns the address `bytes` further on.
    pub fn plus(self, bytes: isize) -> Address {
        Address(self.0.wrapping_offset(bytes))
    }

    /// Returns the `len` bytes at the address.
    ///
    /// # Safety
    /// They are live, and no thread writes them while the slice is used.
    pub unsafe fn bytes<'a>(self, len: usize) -> &'a [u8] {
        // SAFETY: as promised by the caller.
        unsafe { std::slice::from_raw_parts(self.0, len) }
    }

    /// Copies `len` bytes from `from`, which may overlap the bytes here.
    ///
    /// # Safety
    /// The bytes are live at both addresses; no other thread uses those here or writes those at
    /// `from`.
    pub unsafe fn copy_from(self, from: Address, len: usize) {
        if self.0 != from.0 {
            // SAFETY: as promised by the caller.
            unsafe { std::ptr::copy(from.0, self.0, len) }
        }
    }

    /// Copies the bytes of `from` to the address.
    ///
    /// # Safety
    /// As many bytes are live here, and no other thread uses them.
    pub unsafe fn write(self, from: &[u8]) {
        // SAFETY: as promised by the caller.
        unsafe { std::ptr::copy(from.as_ptr(), self.0, from.len()) }
    }
}

/// One cache line, the unit in which memory is allocated.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct CacheLine(#[allow(dead_code, reason = "only the size matters")] [u8; 64]);

/// The block of one call: the intermediate buffers of a program and of the programs inside of it.
pub struct CallMemory(Box<[std::mem::MaybeUninit<CacheLine>]>);

impl CallMemory {
    /// Allocates a block of `bytes` bytes, not initialized.
    pub fn new(bytes: usize) -> CallMemory {
        CallMemory(Box::<[CacheLine]>::new_uninit_slice(bytes.div_ceil(64)))
    }

    /// Returns the address of the first byte.
    pub fn address(&mut self) -> Address {
        Address(self.0.as_mut_ptr().cast())
    }
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
    /// The addresses at which the caller wants the results.
    pub results: Vec<Address>,
    /// The time that each step took so far and the number of its runs; empty unless profiling.
    pub step_times: Vec<(Duration, u32)>,
}
