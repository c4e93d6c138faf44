//! `neurax data get` in a build without the feature `download`.

use super::catalog::{CatalogSet, DATA_OP};
use neurax::{Error, Result};
use std::path::PathBuf;

/// Returns the error that says how to build the command with downloads, or without it.
pub fn get(set: &CatalogSet, _: Option<PathBuf>, from: Option<&str>) -> Result<()> {
    let files: Vec<String> = set.files.iter().map(|file| set.url(file, from)).collect();
    let why = format!(
        "this program was built without downloads; run `cargo run --release -p neurax-cli \
         --features download -- data get {}`, or fetch {} and check the SHA-256 that `neurax data \
         list` shows",
        set.name,
        files.join(", ")
    );
    Err(Error::new(DATA_OP, why))
}
