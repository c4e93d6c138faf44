//! Opening files to read: only regular files, whose size is known before they are read.

use std::fs::{self, File, FileType};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Opens a regular file, or a symbolic link to one. Every reader of this library opens its files
/// here: opening a named pipe would wait for a program that writes to it, and a device such as
/// `/dev/zero` never ends.
///
/// # Errors
/// When there is no such file, it cannot be opened, or it is a directory, a pipe, a socket or a
/// device.
///
/// ```
/// use neurax::io::open_file;
/// let e = open_file(std::env::temp_dir()).unwrap_err();
/// assert_eq!(e.to_string(), "expected a file, got a directory");
/// assert!(open_file("/no/such/file").is_err());
/// ```
pub fn open_file(path: impl AsRef<Path>) -> Result<File> {
    let path = path.as_ref();
    check_regular(fs::metadata(path)?.file_type())?;
    File::open(path)
}

/// Checks that a file is a regular one.
pub(crate) fn check_regular(file: FileType) -> Result<()> {
    if file.is_file() {
        return Ok(());
    }
    let why = format!("expected a file, got {}", name_of(file));
    Err(Error::new(ErrorKind::InvalidInput, why))
}

/// Returns the kind of a file that is not regular, with an article.
fn name_of(file: FileType) -> &'static str {
    if file.is_dir() {
        return "a directory";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if file.is_fifo() {
            return "a named pipe; write its contents to a file first";
        }
        if file.is_socket() {
            return "a socket";
        }
    }
    "a device"
}
