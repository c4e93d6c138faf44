//! `neurax data get` in a build without the feature `download`.

use super::catalog::{CatalogSet, DATA_OP};
use crate::features::without_feature;
use neurax::Result;
use std::path::PathBuf;

/// Returns the error that says how to build the command with downloads, or without it.
pub fn get(set: &CatalogSet, dir: Option<PathBuf>, from: Option<&str>) -> Result<()> {
    let files: Vec<String> = set.files.iter().map(|file| set.url(file, from)).collect();
    let dir = dir.map(|dir| dir.display().to_string());
    let given = |name: &str, value: Option<String>| {
        value.into_iter().flat_map(|value| [format!("--{name}"), value]).collect::<Vec<_>>()
    };
    let mut arguments = ["data", "get", set.name].map(String::from).to_vec();
    arguments.extend(given("dir", dir));
    arguments.extend(given("from", from.map(str::to_string)));
    let instead = format!(
        "or fetch {} and check the SHA-256 that `neurax data list` shows",
        files.join(", ")
    );
    Err(without_feature(DATA_OP, "download", &arguments, &instead))
}
