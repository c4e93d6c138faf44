//! Memory-mapped files.

use neurax_ir::Result;
use std::{fs::File, sync::Arc};

/// The bytes of a file, alive while a slice of them is in use.
pub(crate) type MappedFile = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Maps a file read-only. A page is read when it is first used, and shared with other processes.
///
/// # Safety
/// The bytes of the file must not change while the map is in use.
///
/// # Errors
/// When the file cannot be mapped.
#[allow(unsafe_code, reason = "the caller ensures that the file does not change")]
pub(crate) unsafe fn map(file: &File) -> Result<MappedFile> {
    if file.metadata()?.len() == 0 {
        return Ok(Arc::new(Vec::new()));
    }
    // SAFETY: the map is private and read-only, and lives as long as the slices of it, which share
    // its owner. The caller ensures that the file does not change meanwhile.
    let map = unsafe { memmap2::MmapOptions::new().map(file)? };
    Ok(Arc::new(map))
}
