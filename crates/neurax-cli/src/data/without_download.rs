//! `neurax data get` in a build without the feature `download`.

use super::catalog::{CatalogSet, DATA_OP};
use neurax::{Error, Result};
use neurax_report::shell_command;
use std::path::PathBuf;

/// Returns the error that says how to build the command with downloads, or without it.
pub fn get(set: &CatalogSet, dir: Option<PathBuf>, from: Option<&str>) -> Result<()> {
    let files: Vec<String> = set.files.iter().map(|file| set.url(file, from)).collect();
    let dir = dir.map(|dir| dir.display().to_string());
    let given = |name: &str, value: Option<String>| {
        value.into_iter().flat_map(|value| [format!("--{name}"), value]).collect::<Vec<_>>()
    };
    let mut arguments = vec![set.name.to_string()];
    arguments.extend(given("dir", dir));
    arguments.extend(given("from", from.map(str::to_string)));
    let why = format!(
        "this program was built without downloads; run `cargo run --release -p neurax-cli \
         --features download -- data get {}`, or fetch {} and check the SHA-256 that `neurax data \
         list` shows",
        shell_command(&arguments),
        files.join(", ")
    );
    Err(Error::new(DATA_OP, why))
}
