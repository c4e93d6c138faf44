//! The error of a failed check.

use neurax_tensor::Error;

/// Returns the error of a check.
pub(super) fn failed(check: &str, why: String) -> Error {
    Error::new("check", format!("{check}: {why}"))
}
