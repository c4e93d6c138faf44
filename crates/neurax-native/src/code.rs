//! Machine code in executable memory. Memory is written first and made executable then, never both.

use crate::{
    address::Address,
    library::{LIBRARY, Library},
};
use neurax_ir::{Error, Result};

/// A compiled kernel.
#[derive(Debug)]
pub struct Code {
    memory: memmap2::Mmap,
}

/// The signature of a kernel: addresses of operands, parameters, library, and the range of the
/// outermost loop.
type KernelFn = unsafe extern "C" fn(*const *mut u8, *const i64, *const Library, i64, i64);

impl Code {
    /// Copies `code` to executable memory.
    ///
    /// # Errors
    /// If the system refuses executable memory.
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
    /// The code is a kernel's; `operands` are the addresses of its operands and `params` its
    /// parameters, such that all accesses of these iterations stay inside of live memory. No other
    /// thread writes that memory, or reads what the kernel writes.
    #[allow(unsafe_code, reason = "this is what runs machine code")]
    pub unsafe fn call(&self, operands: &[Address], params: &[i64], begin: usize, end: usize) {
        // SAFETY: the memory holds a function with this signature, from `CodegenTarget::compile`.
        let entry = unsafe { std::mem::transmute::<*const u8, KernelFn>(self.memory.as_ptr()) };
        // SAFETY: as promised by the caller.
        unsafe {
            entry(operands.as_ptr().cast(), params.as_ptr(), &LIBRARY, begin as i64, end as i64)
        }
    }
}
