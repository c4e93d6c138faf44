//! Panics of the user's code as errors.

use neurax_tensor::{Error, Result};
use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls the user's code; `who` names it in the error.
///
/// The state of a training run is whole after a panic, since steps do not run inside of `f`: a
/// handler that panics may only have made half of its changes.
///
/// # Errors
/// If `f` panics.
pub(crate) fn guarded<T>(who: impl Display, f: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f))
        .map_err(|panic| Error::new("train", format!("{who} panicked: {}", message(&*panic))))
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
