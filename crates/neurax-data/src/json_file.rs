//! Values in files as JSON, with the kind of the value and the version of its format.

use neurax_tensor::io::{open_file, replace_file};
use neurax_tensor::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The version of the formats.
const JSON_VERSION: u32 = 1;

/// The contents of a file.
#[derive(Serialize, Deserialize)]
struct JsonFile<T> {
    /// The kind of the value, e.g. `string lookup`.
    kind: String,
    version: u32,
    value: T,
}

/// Writes a value. An existing file is replaced when the new one is complete.
///
/// # Errors
/// If the file cannot be written; the message names it.
pub(crate) fn write_json(path: &Path, kind: &str, value: &impl Serialize) -> Result<()> {
    let file = JsonFile { kind: kind.into(), version: JSON_VERSION, value };
    let text = serde_json::to_string(&file).map_err(|e| in_file("save", path, e))?;
    replace_text(path, &text)
}

/// Writes a text. An existing file is replaced when the new one is complete.
///
/// # Errors
/// If the file cannot be written; the message names it.
pub(crate) fn replace_text(path: &Path, text: &str) -> Result<()> {
    replace_file(path, |file| file.write_all(text.as_bytes())).map_err(|e| in_file("save", path, e))
}

/// Returns a text for the name of a file that no other process or thread writes.
pub(crate) fn unique_text() -> String {
    static TEXTS: AtomicUsize = AtomicUsize::new(0);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let number = TEXTS.fetch_add(1, Ordering::Relaxed);
    format!("{}-{time:x}-{number}", std::process::id())
}

/// Reads a value.
///
/// # Errors
/// If the file cannot be read, or holds a value of another kind or version.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, kind: &str) -> Result<T> {
    let mut text = String::new();
    let read = open_file(path).and_then(|mut file| file.read_to_string(&mut text));
    read.map_err(|e| in_file("load", path, e))?;
    let file: JsonFile<serde_json::Value> = serde_json::from_str(&text)
        .map_err(|e| in_file("load", path, format!("expected a {kind}: {e}")))?;
    if (&file.kind[..], file.version) != (kind, JSON_VERSION) {
        let (got, version) = (file.kind, file.version);
        let why = format!("expected a {kind} of version {JSON_VERSION}, got a {got} of {version}");
        return Err(in_file("load", path, why));
    }
    serde_json::from_value(file.value)
        .map_err(|e| in_file("load", path, format!("expected a {kind}: {e}")))
}

fn in_file(op: &str, path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(op, format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn values_of_another_kind_or_version_are_errors() {
        let path = std::env::temp_dir().join(format!("neurax-json-file-{}", std::process::id()));
        write_json(&path, "list", &vec![1, 2]).unwrap();
        assert_eq!(read_json::<Vec<i32>>(&path, "list").unwrap(), [1, 2]);
        let e = read_json::<Vec<i32>>(&path, "table").unwrap_err().to_string();
        assert!(e.ends_with("expected a table of version 1, got a list of 1"), "{e}");
        assert!(read_json::<String>(&path, "list").is_err());
        fs::write(&path, "{\"kind\": \"list\", \"version\": 7, \"value\": []}").unwrap();
        assert!(
            read_json::<Vec<i32>>(&path, "list").unwrap_err().message().ends_with("a list of 7")
        );
        fs::write(&path, "[1, 2").unwrap();
        assert!(read_json::<Vec<i32>>(&path, "list").is_err());
    }
}
