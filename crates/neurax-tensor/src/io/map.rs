//! Files mapped into memory: the one place of this crate that needs `unsafe`.

use neurax_ir::{Error, Result};
use std::{fs::File, path::Path, sync::Arc};

/// The bytes of a file, kept alive by whoever holds a piece of them.
pub(crate) type MappedFile = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Maps a file read-only. Nothing is read before it is used, and pages are shared with other
/// processes.
///
/// A file that another program shortens or rewrites in place while it is mapped breaks what was
/// promised here, as with every mapped file: replace such files by renaming a new one over them,
/// which is how [`super::safetensors::save`] writes.
#[allow(
    unsafe_code,
    reason = "a map is only as constant as its file: the documentation above says what the user must see to"
)]
pub(crate) fn map(path: &Path) -> Result<MappedFile> {
    let failed = |e: std::io::Error| Error::new("load", format!("{}: {e}", path.display()));
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() == 0 {
        return Ok(Arc::new(Vec::new()));
    }
    // SAFETY: the map is private and read-only, and lives as long as the slices handed out, which
    // share its owner. What stays with the user is not to shorten or rewrite the file in place
    // meanwhile.
    let map = unsafe { memmap2::MmapOptions::new().map(&file) };
    Ok(Arc::new(map.map_err(failed)?))
}
