//! Memory-mapped files: the only module of this crate that needs `unsafe`.

use neurax_ir::{Error, Result};
use std::{fs::File, path::Path, sync::Arc};

/// The bytes of a file, alive while a slice of them is in use.
pub(crate) type MappedFile = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Maps a file read-only. A page is read when it is first used, and shared with other processes.
///
/// The bytes must not change while they are mapped: no program may shorten the file or rewrite it
/// in place. Replace a file by renaming a new one over it, as [`super::safetensors::save`] does.
///
/// # Errors
/// When the file cannot be opened or mapped.
#[allow(
    unsafe_code,
    reason = "a map is only as constant as its file: the documentation above says what the user \
              must ensure"
)]
pub(crate) fn map(path: &Path) -> Result<MappedFile> {
    let failed = |e: std::io::Error| Error::new("load", format!("{}: {e}", path.display()));
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() == 0 {
        return Ok(Arc::new(Vec::new()));
    }
    // SAFETY: the map is private and read-only, and lives as long as the slices of it, which share
    // its owner. The user must not shorten the file or rewrite it in place meanwhile.
    let map = unsafe { memmap2::MmapOptions::new().map(&file) };
    Ok(Arc::new(map.map_err(failed)?))
}
