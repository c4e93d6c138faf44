//! Arrays that the chunks of a task share.

#![allow(unsafe_code, reason = "each chunk uses other elements, as it promises")]

use std::ops::Range;

/// The address of an array that chunks share, each using other elements.
#[derive(Clone, Copy)]
pub struct SharedArray<T>(*mut T);

// SAFETY: an address alone accesses nothing; each access says why no other thread conflicts.
unsafe impl<T: Send> Send for SharedArray<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedArray<T> {}

impl<T> SharedArray<T> {
    /// Creates the array that begins at an address.
    pub fn new(first: *mut T) -> SharedArray<T> {
        SharedArray(first)
    }

    /// Returns the address of element `i`.
    #[inline(always)]
    pub fn at(self, i: usize) -> *mut T {
        self.0.wrapping_add(i)
    }

    /// Returns the elements of a range.
    ///
    /// # Safety
    /// They are live, and no other thread uses them.
    pub unsafe fn range<'a>(self, range: Range<usize>) -> &'a mut [T] {
        // SAFETY: as promised by the caller.
        unsafe { std::slice::from_raw_parts_mut(self.at(range.start), range.len()) }
    }
}
