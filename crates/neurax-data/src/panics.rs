//! Panics of code that is not ours, as errors.

use neurax_tensor::{Error, Result};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Returns the result of `f`, a function of the user or of another library, or the error of its
/// panic, which is one of `op`. For the crates of Neurax that call other libraries.
#[doc(hidden)]
pub fn caught<R>(op: &str, f: impl FnOnce() -> R) -> Result<R> {
    catch_unwind(AssertUnwindSafe(f))
        .map_err(|panic| Error::new(op, format!("a function panicked: {}", panic_message(&*panic))))
}

/// Returns the text of a panic.
fn panic_message(panic: &(dyn Any + Send)) -> &str {
    match panic.downcast_ref::<&str>() {
        Some(text) => text,
        None => panic.downcast_ref::<String>().map_or("unknown reason", String::as_str),
    }
}
