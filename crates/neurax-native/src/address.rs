//! Addresses of buffers.

#![allow(unsafe_code, reason = "addresses are read and written; the caller promises they are live")]

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
    /// The bytes that are written are live, and no other thread uses them.
    pub unsafe fn write(self, from: &[u8]) {
        // SAFETY: as promised by the caller.
        unsafe { std::ptr::copy(from.as_ptr(), self.0, from.len()) }
    }
}
