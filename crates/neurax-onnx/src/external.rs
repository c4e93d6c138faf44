//! Elements of tensors in other files ("external data").
//!
//! The problem: a model names files beside it, and a hostile model names any file. A location is
//! resolved against the folder of the path as the user gave it, as links of a cache point to files
//! with other names. It must be relative and without `..`; a link is followed only if its target is
//! in the folder of the model, or of the file that the model's own path links to.
//!
//! Tensors share the bytes of their file, which is read once. A large one is mapped, so that
//! only the pages that a model uses are read. That no other program changes it meanwhile is a
//! condition of safe functions, which the documentation of [`Importer`](crate::Importer) states:
//! `memmap2` and `candle` have an `unsafe` constructor in its place, with which each program that
//! opens a model by its path would promise what it cannot know either. What was rejected: an
//! advisory lock, which no other program asks for; comparing the time of the file, which is too
//! late for a read behind its end; and copying by default, as files may be larger than memory.

use crate::limits::{MAX_DENSE_BYTES, MAX_DENSE_RATIO};
use crate::proto::StringEntry;
use bytes::Bytes;
use neurax_ir::{Error, Result};
use neurax_tensor::io::{FileBytes, read_file};
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// A function that reads a file, or maps it.
pub(crate) type FileReader = fn(&Path) -> std::io::Result<FileBytes>;

/// The source of external data.
#[derive(Debug)]
pub(crate) struct ExternalData {
    /// The path of the model; `None` if it is in memory.
    model: Option<PathBuf>,
    /// The function that reads a file.
    reader: FileReader,
    /// The files by location: those that the user gave, and those that were read.
    files: Mutex<HashMap<String, Bytes>>,
    /// The bytes that the sparse tensors of the model may still take when they are made dense.
    dense_bytes: AtomicUsize,
}

impl ExternalData {
    /// Creates the source of a model at `path`, or of one in memory with the files that are given.
    /// Other files are copied.
    pub(crate) fn new(path: Option<&Path>, files: HashMap<String, Bytes>) -> ExternalData {
        ExternalData {
            model: path.map(Path::to_path_buf),
            reader: |path| read_file(path),
            files: Mutex::new(files),
            dense_bytes: AtomicUsize::new(MAX_DENSE_BYTES),
        }
    }

    /// Takes the bytes of a sparse tensor made dense, of which the file has `stored`.
    ///
    /// # Errors
    /// If the sparse tensors of the model take more than [`MAX_DENSE_BYTES`], besides
    /// [`MAX_DENSE_RATIO`] times what the file has of them.
    pub(crate) fn take_dense(&self, stored: usize, dense: usize) -> Result<()> {
        let earned = stored.saturating_mul(MAX_DENSE_RATIO);
        let left = self.dense_bytes.load(Relaxed).saturating_add(earned);
        let Some(rest) = left.checked_sub(dense) else {
            return Err(invalid(format!(
                "expected sparse tensors that take at most {left} bytes more when they are made \
                 dense, got {dense} for {stored} bytes of values; store the tensor as a dense one"
            )));
        };
        self.dense_bytes.store(rest, Relaxed);
        Ok(())
    }

    /// Reads files by `reader`.
    pub(crate) fn with_reader(self, reader: FileReader) -> ExternalData {
        ExternalData { reader, ..self }
    }

    /// Returns the bytes that the entries of a tensor select; `want` is their number if the entries
    /// have none.
    ///
    /// # Errors
    /// If the location is not allowed, the file cannot be read, or the range is beyond its end.
    pub(crate) fn read(&self, entries: &[StringEntry], want: usize) -> Result<Bytes> {
        let entry = |key: &str| entries.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => text.parse::<usize>().map(Some).map_err(|_| {
                invalid(format!("expected a number for `{key}` of external data, got `{text}`"))
            }),
        };
        let Some(location) = entry("location") else {
            return Err(invalid("external data without a location"));
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?.unwrap_or(want));
        let file = self.file(location)?;
        let end = offset.checked_add(length).filter(|&end| end <= file.len());
        match end {
            Some(end) => Ok(file.slice(offset..end)),
            None => Err(invalid(format!(
                "expected bytes {offset} to {offset} + {length} of `{location}`, which has {}",
                file.len()
            ))),
        }
    }

    /// Returns a file, which is read once.
    fn file(&self, location: &str) -> Result<Bytes> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(location) {
            return Ok(file.clone());
        }
        let Some(model) = &self.model else {
            return Err(invalid(format!(
                "the file `{location}` is missing: a model in memory needs its external data, see \
                 `Importer::file`"
            )));
        };
        let path = allowed_path(model, location)?;
        let bytes = (self.reader)(&path)
            .map_err(|e| invalid(format!("cannot read {}: {e}", path.display())))?;
        let bytes = shared(bytes);
        files.insert(location.to_string(), bytes.clone());
        Ok(bytes)
    }
}

/// Returns the bytes of a file, of which slices share the memory.
pub(crate) fn shared(file: FileBytes) -> Bytes {
    struct Owner(FileBytes);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            (*self.0).as_ref()
        }
    }
    Bytes::from_owner(Owner(file))
}

/// Returns the path of a location beside a model.
pub(crate) fn allowed_path(model: &Path, location: &str) -> Result<PathBuf> {
    let relative = Path::new(location);
    let is_inside =
        relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if !is_inside || location.is_empty() || location.contains('\\') {
        return Err(invalid(format!(
            "expected a relative path without `..` as the location of external data, got \
             `{location}`"
        )));
    }
    let folder = folder_of(model);
    let path = folder.join(relative);
    let resolved = |p: &Path| {
        p.canonicalize().map_err(|e| invalid(format!("cannot read {}: {e}", p.display())))
    };
    let target = resolved(&path)?;
    let folders = [resolved(&folder)?, folder_of(&resolved(model)?)];
    match folders.iter().any(|f| target.starts_with(f)) {
        true => Ok(target),
        false => Err(invalid(format!(
            "the external data `{location}` are a link to {}, outside of the folder of the model",
            target.display()
        ))),
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn invalid(why: impl Into<String>) -> Error {
    Error::new("onnx", why)
}
