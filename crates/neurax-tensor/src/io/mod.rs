//! Tensors in files and bytes: safetensors, NumPy's `.npy` and `.npz`, raw elements, text; trees in
//! bytes; nested vectors and heat maps for readers.

#[cfg(feature = "dlpack")]
mod dlpack;
mod elements;
mod heatmap;
mod map;
#[cfg(feature = "ndarray")]
mod ndarray;
mod nested;
pub mod npy;
pub mod npz;
mod open;
mod raw;
mod replace;
mod rows;
pub mod safetensors;
mod serialize;
pub mod text;

#[cfg(feature = "dlpack")]
pub use dlpack::{
    DLDataType, DLDevice, DLManagedTensorVersioned, DLPackVersion, DLTensor, DlpackTensor,
};
pub use heatmap::HeatmapOptions;
pub use map::{FileBytes, read_file, read_or_map_file};
pub use nested::Nested;
pub use open::open_file;
#[doc(hidden)]
pub use replace::{create_locked, remove_unlocked, replace_file};
#[doc(hidden)]
pub use rows::FilePart;
pub use rows::{FileRows, FileRowsIter};
pub use serialize::{deserialize, deserialize_like, serialize};

use crate::{Error, Result};
use std::path::Path;

/// The largest number of names in a message.
const MAX_SHOWN_NAMES: usize = 20;

/// Returns an error of `op` that names the file.
fn in_file(op: &str, path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(op, format!("{}: {why}", path.display()))
}

/// Returns the first names of a list for a message.
fn first_names(mut names: impl Iterator<Item = String>) -> String {
    let mut shown: Vec<String> = names.by_ref().take(MAX_SHOWN_NAMES).collect();
    shown.extend(names.next().map(|_| "..".into()));
    shown.join(", ")
}

/// Runs `load` on the path of a file; its error names the file.
fn load_file<T>(path: &Path, load: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    load(path).map_err(|e| in_file("load", path, e.message()))
}
