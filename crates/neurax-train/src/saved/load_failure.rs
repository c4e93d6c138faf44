//! The reasons for which a state cannot be read.

use neurax_tensor::Error;
use std::io::ErrorKind;
use std::path::Path;

/// The reason for which a state cannot be read.
#[derive(Debug)]
pub(crate) enum LoadFailure {
    /// A file is missing, cut off or changed: the state is lost.
    Damaged(Error),
    /// Another reason, such as a permission or another version: the state may be whole.
    Unreadable(Error),
}

impl LoadFailure {
    /// Returns the failure of a file that could not be read.
    pub fn of(kind: ErrorKind, error: Error) -> LoadFailure {
        match kind {
            // The last one: bytes that are no text.
            ErrorKind::NotFound | ErrorKind::InvalidData => LoadFailure::Damaged(error),
            _ => LoadFailure::Unreadable(error),
        }
    }

    /// Returns the failure, whose message names a file.
    pub fn in_path(self, path: &Path) -> LoadFailure {
        match self {
            LoadFailure::Damaged(e) => LoadFailure::Damaged(in_path(path, &e)),
            LoadFailure::Unreadable(e) => LoadFailure::Unreadable(in_path(path, &e)),
        }
    }
}

impl From<Error> for LoadFailure {
    fn from(e: Error) -> LoadFailure {
        LoadFailure::Unreadable(e)
    }
}

impl From<LoadFailure> for Error {
    fn from(failure: LoadFailure) -> Error {
        match failure {
            LoadFailure::Damaged(e) | LoadFailure::Unreadable(e) => e,
        }
    }
}

/// Returns an error that names a file or a folder.
pub(super) fn in_path(path: &Path, e: &Error) -> Error {
    Error::new("load", format!("{}: {}", path.display(), e.message()))
}
