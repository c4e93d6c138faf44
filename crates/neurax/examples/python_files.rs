//! Reads the files of NumPy and PyTorch in a folder and writes their arrays again, for
//! `scripts/python-files.sh`, which compares them.
//!
//! ```text
//! cargo run -p neurax --example python_files -- IN OUT
//! ```
//!
//! `.npy` and `.npz` become files of the same name, `.pt` becomes `.safetensors`.

use neurax::io::{npy, npz, safetensors};
use neurax::prelude::*;
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    let paths: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    let [from, to] = &paths[..] else {
        return Err(Error::new("python_files", "expected two folders, IN and OUT"));
    };
    std::fs::create_dir_all(to)?;
    let mut count = 0;
    for entry in std::fs::read_dir(from)? {
        copy(&entry?.path(), to)?;
        count += 1;
    }
    println!("{count} files read and written again");
    Ok(())
}

/// Reads a file and writes its arrays into a folder.
fn copy(path: &Path, to: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default();
    match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => npy::save(&npy::load(path)?, to.join(name)),
        Some("npz") => npz::save(&npz::load(path)?, to.join(name)),
        Some("pt") => {
            safetensors::save(&nn::load_tensors(path)?, to.join(name).with_extension("safetensors"))
        }
        _ => Err(Error::new("python_files", format!("{}: expected an array", path.display()))),
    }
}
