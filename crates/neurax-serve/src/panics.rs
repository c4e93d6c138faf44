//! Panics of the user's code: they become errors, or are ignored, but never end a thread.

use neurax_tensor::ir::OrBug;
use neurax_tensor::{Error, Result};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `f`, a function of the user that `what` names. Its panic is an error.
pub(crate) fn caught<R>(what: &str, f: impl FnOnce() -> Result<R>) -> Result<R> {
    let (mut f, mut result) = (Some(f), None);
    catching(what, &mut || result = f.take().map(|f| f()))?;
    result.or_bug("a function has returned nothing")?
}

/// Calls `f` as [`caught`] does. The part without type parameters: it is compiled once.
fn catching(what: &str, f: &mut dyn FnMut()) -> Result<()> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let message = panic_message(&*payload).unwrap_or("without a message").to_string();
        drop_payload(payload);
        Error::new("serving", format!("{what} panicked: {message}"))
    })
}

/// Calls `f`, whose panic has no caller who could be told.
pub(crate) fn ignoring_panic(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        drop_payload(payload);
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Drops the value of a panic, which is a value of the user: its drop may panic as well.
fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // A chain of such panics may be endless: it ends here, at the cost of a leak.
        std::mem::forget(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::panic_any;

    /// A value that panics when it is dropped.
    struct PanickingDrop;

    impl Drop for PanickingDrop {
        fn drop(&mut self) {
            panic_any(PanickingDrop);
        }
    }

    #[test]
    fn panics_are_errors_whatever_their_value_is() {
        let message = |f: fn() -> Result<()>| caught("it", f).unwrap_err().message().to_string();
        assert_eq!(message(|| panic!("a {}", 1)), "it panicked: a 1");
        assert_eq!(message(|| panic!("text")), "it panicked: text");
        let why = "it panicked: without a message";
        assert_eq!(message(|| panic_any(PanickingDrop)), why);
        ignoring_panic(|| panic_any(PanickingDrop));
    }
}
