//! The bytes of files: copied, or mapped into memory.

use super::open_file;
use crate::tuning::MAPPED_FILE_BYTES;
use std::{fs::File, io, io::Read, path::Path, sync::Arc};

/// The bytes of a file, alive while a slice of them is in use.
pub type FileBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Reads a file. It may change afterwards.
///
/// # Errors
/// When the file cannot be read, or is not a regular file.
///
/// ```
/// use neurax::io::read_file;
/// let path = std::env::temp_dir().join("neurax-doc-read-file");
/// std::fs::write(&path, [1, 2, 3])?;
/// assert_eq!((*read_file(&path)?).as_ref(), [1, 2, 3]);
/// assert!(read_file("/no/such/file").is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn read_file(path: impl AsRef<Path>) -> io::Result<FileBytes> {
    copied(open_file(path)?)
}

/// Reads a file of weights, or maps it if it has at least 1 GiB. A page of a mapped file is read
/// when it is first used, its memory is shared with other processes, and the system may take it
/// back: the file may be larger than memory.
///
/// A file that is mapped must not be changed in place or shortened while its bytes are in use, and
/// tensors that are made of them use them: a change shows in tensors that are taken for constant,
/// and a read behind the new end of a shortened file ends the program by the signal `SIGBUS`.
/// Replacing the file by renaming another one over it is allowed; the functions of this library
/// that write files do so. [`read_file`] copies files of every size.
///
/// # Errors
/// When the file cannot be read, or is not a regular file.
///
/// ```
/// use neurax::io::read_or_map_file;
/// let path = std::env::temp_dir().join("neurax-doc-map-file");
/// std::fs::write(&path, [1, 2, 3])?;
/// assert_eq!((*read_or_map_file(&path)?).as_ref(), [1, 2, 3]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[allow(unsafe_code, reason = "large files of weights are mapped")]
pub fn read_or_map_file(path: impl AsRef<Path>) -> io::Result<FileBytes> {
    let file = open_file(path)?;
    if file.metadata()?.len() < MAPPED_FILE_BYTES {
        return copied(file);
    }
    // SAFETY: no program may change the file meanwhile, as the documentation says. That this is a
    // condition of a safe function is an exception, as of other readers of large models: a program
    // that opens a model by its path cannot prove it, and most files never change.
    unsafe { map(&file) }
}

/// Maps a file read-only. A page is read when it is first used, and shared with other processes.
///
/// # Safety
/// The bytes of the file must not change while the map is in use.
///
/// # Errors
/// When the file cannot be mapped.
#[allow(unsafe_code, reason = "the caller ensures that the file does not change")]
pub(crate) unsafe fn map(file: &File) -> io::Result<FileBytes> {
    if file.metadata()?.len() == 0 {
        return Ok(Arc::new(Vec::new()));
    }
    // SAFETY: the map is private and read-only, and lives as long as the slices of it, which share
    // its owner. The caller ensures that the file does not change meanwhile.
    let map = unsafe { memmap2::MmapOptions::new().map(file)? };
    Ok(Arc::new(map))
}

fn copied(mut file: File) -> io::Result<FileBytes> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Arc::new(bytes))
}
