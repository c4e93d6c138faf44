//! Reads the files of NumPy and PyTorch in a folder and writes their arrays again, for
//! `scripts/python-files.sh`, which compares them.
//!
//! ```text
//! cargo run -p neurax --example python_files -- IN OUT
//! ```
//!
//! `.npy` and `.npz` become files of the same name, `.pt` becomes `.safetensors`. The rows of
//! arrays of NumPy are also read one by one, and compared with the whole arrays.

use neurax::io::{FileRows, npy, npz, safetensors};
use neurax::prelude::*;
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    let paths: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    let [from, to] = &paths[..] else {
        return Err(Error::new("python_files", "expected two folders, IN and OUT"));
    };
    std::fs::create_dir_all(to)?;
    let (mut count, mut by_rows) = (0, 0);
    for entry in std::fs::read_dir(from)? {
        by_rows += copy(&entry?.path(), to)?;
        count += 1;
    }
    println!("{count} files read and written again, {by_rows} arrays read by rows");
    Ok(())
}

/// Reads a file and writes its arrays into a folder. Returns the number of arrays that were also
/// read by rows.
fn copy(path: &Path, to: &Path) -> Result<usize> {
    let name = path.file_name().unwrap_or_default();
    match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => {
            let array = npy::load(path)?;
            npy::save(&array, to.join(name))?;
            Ok(usize::from(has_equal_rows(&array, npy::rows(path))?))
        }
        Some("npz") => {
            let arrays = npz::load(path)?;
            npz::save(&arrays, to.join(name))?;
            let rows = |(name, array): (&String, &Tensor)| {
                has_equal_rows(array, npz::rows(path, name)).map(usize::from)
            };
            arrays.iter().map(rows).sum()
        }
        Some("pt") => {
            let to = to.join(name).with_extension("safetensors");
            safetensors::save(&nn::load_tensors(path)?, to).map(|()| 0)
        }
        _ => Err(Error::new("python_files", format!("{}: expected an array", path.display()))),
    }
}

/// Returns true if an array has rows that are contiguous, which must be those of the whole array.
fn has_equal_rows(array: &Tensor, rows: Result<FileRows>) -> Result<bool> {
    let rows = match rows {
        Ok(rows) => rows,
        Err(e) if array.shape().is_empty() || e.message().contains("Fortran") => return Ok(false),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    for row in rows.read_from(0)? {
        bytes.extend(row?.to_bytes()?);
    }
    match bytes == array.to_bytes()? {
        true => Ok(true),
        false => Err(Error::new("python_files", format!("other rows than those of {array}"))),
    }
}
