//! JSON files with a format and a version.

use crate::saved::file_size;
use crate::saved::folder::replace_file;
use crate::tuning::MAX_DOCUMENT_BYTES;
use neurax_tensor::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::Path;

/// The version of the formats. A change that older programs would read wrongly increases it.
const RUN_FILES_VERSION: u32 = 1;

/// A file: its content, beside what it is.
#[derive(Serialize, Deserialize)]
struct RunDocument<T> {
    format: String,
    version: u32,
    #[serde(flatten)]
    content: T,
}

/// The fields by which a file is recognized before the rest is read.
#[derive(Deserialize)]
struct DocumentHead {
    format: String,
    version: u32,
}

/// Replaces a file by one with this content.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write<T: Serialize>(path: &Path, format: &str, content: &T) -> Result<()> {
    replace(path, serde_json::to_string_pretty(&document(format, content)))
}

/// Replaces a file by one with this content on one line: for contents of many numbers.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write_compact<T: Serialize>(path: &Path, format: &str, content: &T) -> Result<()> {
    replace(path, serde_json::to_string(&document(format, content)))
}

fn document<T>(format: &str, content: T) -> RunDocument<T> {
    RunDocument { format: format.into(), version: RUN_FILES_VERSION, content }
}

fn replace(path: &Path, text: serde_json::Result<String>) -> Result<()> {
    let text = text.map_err(|e| Error::new("save", format!("{}: {e}", path.display())))?;
    replace_file(path, format!("{text}\n").as_bytes())
}

/// Reads the content of a file; `None` if there is none.
///
/// # Errors
/// If it cannot be read, has another format or version, or is damaged.
pub(super) fn read<T: DeserializeOwned>(path: &Path, format: &str) -> Result<Option<T>> {
    let failed = |why: String| Error::new("load", format!("{}: {why}", path.display()));
    let bytes = match file_size(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(|e| failed(e.to_string()))?,
    };
    if bytes > MAX_DOCUMENT_BYTES {
        return Err(failed(format!("expected at most {MAX_DOCUMENT_BYTES} bytes, got {bytes}")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    let damaged = |e: serde_json::Error| failed(format!("expected a file `{format}`: {e}"));
    let head: DocumentHead = serde_json::from_str(&text).map_err(damaged)?;
    if head.format != format {
        return Err(failed(format!("expected a file `{format}`, got `{}`", head.format)));
    }
    if head.version != RUN_FILES_VERSION {
        let advice = "use the version of Neurax that wrote it";
        let got = head.version;
        return Err(failed(format!("expected version {RUN_FILES_VERSION}, got {got}; {advice}")));
    }
    let document: RunDocument<T> = serde_json::from_str(&text).map_err(damaged)?;
    Ok(Some(document.content))
}
