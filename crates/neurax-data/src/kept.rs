//! Values that are computed once and shared.

use neurax_tensor::Result;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A value that is made at its first use, and again after a failure. Clones share it.
pub(crate) struct Kept<T>(Arc<Mutex<Option<Arc<T>>>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept(Arc::default())
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Kept(self.0.clone())
    }
}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

impl<T> Kept<T> {
    /// Returns the value, or makes it; other threads wait meanwhile.
    ///
    /// # Errors
    /// The errors of `make`.
    pub(crate) fn get(&self, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = &*kept {
            return Ok(value.clone());
        }
        let value = Arc::new(make()?);
        *kept = Some(value.clone());
        Ok(value)
    }

    /// Returns the value if it is made and not being made.
    pub(crate) fn read(&self) -> Option<Arc<T>> {
        self.0.try_lock().ok()?.clone()
    }
}
