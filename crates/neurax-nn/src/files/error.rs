//! The errors of files.

use neurax_tensor::Error;
use std::fmt::Display;
use std::path::Path;

/// Returns the error of a file that cannot be loaded or saved.
pub(super) fn failed(path: &Path, why: impl Display) -> Error {
    Error::new("load", format!("{}: {why}", path.display()))
}

/// Returns the error of a malformed file, to which the caller adds the name of the file.
pub(in crate::files) fn malformed(why: String) -> Error {
    Error::new("load", why)
}
