//! External data that two models share.

use super::replaced_file::ReplacedFile;
use crate::external::allowed_path;
use neurax_ir::{Error, Result};
use std::path::{Path, PathBuf};

/// Copies files of external data of the model `original` beside the model `new`, unless they are
/// there. Errors are those of `op`.
///
/// # Errors
/// If a location is not allowed, or a file cannot be read or written.
pub(super) fn copy_data<'l>(
    op: &'static str,
    locations: impl IntoIterator<Item = &'l String>,
    original: &Path,
    new: &Path,
) -> Result<()> {
    for location in locations {
        let from = allowed_path(original, location)?;
        let to: PathBuf = new.with_file_name(location);
        if to.canonicalize().is_ok_and(|to| to == from) {
            continue;
        }
        let copied = to.parent().map_or(Ok(()), std::fs::create_dir_all);
        let copied = copied.and_then(|()| {
            let mut from = std::fs::File::open(&from)?;
            ReplacedFile::write(&to, |file| std::io::copy(&mut from, file).map(drop))?.rename()
        });
        copied.map_err(|e| Error::new(op, format!("cannot write {}: {e}", to.display())))?;
    }
    Ok(())
}
