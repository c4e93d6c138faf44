//! `neurax data get`: the files of a data set in its folder.

use super::catalog::{CatalogFile, CatalogSet, DATA_OP};
use super::checked_file::{ExpectedFile, data_error};
use super::fetch::{Fetched, fetch};
use super::unpack::unpack;
use crate::output::print_line;
use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};
use neurax::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Downloads, checks and unpacks a data set into a folder with its name in `dir`, by default in the
/// folder of caches. The files are fetched from the folder `from`, if it is given.
///
/// # Errors
/// If a file cannot be fetched or has other contents, or the folder cannot be written.
pub fn get(set: &CatalogSet, dir: Option<PathBuf>, from: Option<&str>) -> Result<()> {
    let folder = dir.map_or_else(cache_folder, Ok)?.join(set.name);
    fs::create_dir_all(&folder).map_err(|e| data_error(&folder, e))?;
    for file in set.files {
        get_file(set, file, &folder, from)?;
    }
    // Inside of a literal of Rust, where the backslashes of Windows are escaped.
    let literal = folder.display().to_string().escape_debug().to_string();
    let reader = set.reader.replace("FOLDER", &literal);
    print_line(format!("read it with `{reader}`; terms: {}", set.page))
}

fn get_file(set: &CatalogSet, file: &CatalogFile, folder: &Path, from: Option<&str>) -> Result<()> {
    let url = set.url(file, from);
    let path = folder.join(file.name);
    let expected = ExpectedFile { bytes: file.bytes, sha256: file.sha256 };
    let state = match fetch(&url, &path, expected)? {
        Fetched::Kept => "is already there",
        Fetched::Downloaded => "downloaded",
    };
    print_line(format!("{} {state}, SHA-256 correct", path.display()))?;
    if file.name.ends_with(".tar.gz") {
        let files = unpack(&path)?;
        print_line(format!("{} files unpacked, {} already there", files.written, files.kept))?;
    }
    Ok(())
}

/// Returns the folder `neurax` in the folder of caches of this system: `$XDG_CACHE_HOME` or
/// `~/.cache` on Linux, `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows.
fn cache_folder() -> Result<PathBuf> {
    let why = |e| format!("no folder of caches is known ({e}); name a folder with `--dir`");
    let folders = choose_native_strategy().map_err(|e| Error::new(DATA_OP, why(e)))?;
    Ok(folders.cache_dir().join("neurax"))
}
