//! Machine code in memory: written, then made executable, never both at once.

use crate::{emit::Library, launch::Address};
use neurax_ir::{Error, Result};

/// A compiled kernel.
#[derive(Debug)]
pub struct Code {
    memory: memmap2::Mmap,
}

/// What a kernel is called with: addresses of operands, parameters, the library, and the part of
/// the outermost loop.
type Entry = unsafe extern "C" fn(*const *mut u8, *const i64, *const Library, i64, i64);

impl Code {
    /// Code in memory of its own.
    ///
    /// # Errors
    /// When the system gives no executable memory.
    pub fn new(code: &[u8]) -> Result<Code> {
        let refused = |e: std::io::Error| {
            Error::new(
                "native",
                format!(
                    "the system gives no memory for machine code: {e}; use NEURAX_DEVICE=interp"
                ),
            )
        };
        let mut memory = memmap2::MmapMut::map_anon(code.len().max(1)).map_err(refused)?;
        memory[..code.len()].copy_from_slice(code);
        Ok(Code { memory: memory.make_exec().map_err(refused)? })
    }

    /// Runs iterations `begin..end` of the outermost loop.
    ///
    /// # Safety
    /// The code is that of a kernel; `operands` holds the address of every operand and `params`
    /// every parameter of it, so that all places that those iterations reach are inside live
    /// memory, which nobody else writes meanwhile, nor reads if it is written.
    #[allow(unsafe_code, reason = "this is what runs machine code")]
    pub unsafe fn call(&self, operands: &[Address], params: &[i64], begin: usize, end: usize) {
        // SAFETY: the memory holds a whole function with this signature: `Target::compile` made it
        // so.
        let entry = unsafe { std::mem::transmute::<*const u8, Entry>(self.memory.as_ptr()) };
        // SAFETY: as promised by the caller.
        unsafe {
            entry(
                operands.as_ptr().cast(),
                params.as_ptr(),
                &crate::emit::LIBRARY,
                begin as i64,
                end as i64,
            )
        }
    }
}

/// Copies a run of bytes for machine code: the system's copy keeps more memory on the way than a
/// loop over vectors of 16 bytes does.
///
/// # Safety
/// The bytes are live in both places, and nobody else uses those that are written.
#[allow(unsafe_code, reason = "this is called by machine code, with addresses")]
pub unsafe extern "C" fn copy_run(to: *mut u8, from: *const u8, bytes: usize) {
    // SAFETY: as promised by the caller.
    unsafe { std::ptr::copy(from, to, bytes) }
}
