//! Fitted trees of tensors in files.

use neurax_tensor::io::safetensors;
use neurax_tensor::{Error, Result, Tree};
use std::path::Path;

/// Reads the tensors of a tree with the structure of `like`, of any types.
///
/// # Errors
/// If the file cannot be read or lacks a tensor: the message names both.
pub(super) fn load_fitted<T: Tree>(like: &T, path: &Path) -> Result<T> {
    let mut stored = safetensors::load(path)?;
    let leaves = like.leaves().into_iter().map(|(name, _)| {
        let why = || format!("{}: expected a tensor `{name}`, got none", path.display());
        stored.remove(&name).ok_or_else(|| Error::new("load", why()))
    });
    Ok(like.with_leaves(leaves.collect::<Result<Vec<_>>>()?))
}
