//! Checkpoints in several safetensors files with an index, as Hugging Face writes them:
//!
//! ```text
//! model.safetensors.index.json      {"weight_map": {"a.weight": "model-00001-of-..", ..}}
//! model-00001-of-00002.safetensors  the tensors that the index assigns to this file
//! ```

use super::error::failed;
use neurax_tensor::{Result, Tensor, Tree, io::safetensors};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

#[derive(Serialize, Deserialize)]
struct ShardIndex {
    #[serde(default)]
    metadata: ShardMetadata,
    weight_map: BTreeMap<String, String>,
}

#[derive(Default, Serialize, Deserialize)]
struct ShardMetadata {
    #[serde(default)]
    total_size: u64,
    /// The paths of frozen parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    frozen: Vec<String>,
}

/// Reads the tensors of all files of an index.
pub(super) fn load(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let index = index(path)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut all = BTreeMap::new();
    for file in index.weight_map.values().collect::<BTreeSet<_>>() {
        check_name(path, file)?;
        let mut tensors = safetensors::load(directory.join(file))?;
        for (name, _) in index.weight_map.iter().filter(|(_, of)| *of == file) {
            let tensor = tensors.remove(name).ok_or_else(|| {
                failed(path, format!("expected the tensor `{name}` in {file}, got none"))
            })?;
            all.insert(name.clone(), tensor);
        }
    }
    Ok(all)
}

fn index(path: &Path) -> Result<ShardIndex> {
    let text = std::fs::read(path).map_err(|e| failed(path, e))?;
    serde_json::from_slice(&text).map_err(|e| {
        failed(path, format!("expected the index of a checkpoint with a `weight_map`: {e}"))
    })
}

/// Reads the paths of frozen parameters from an index.
pub(super) fn load_frozen(path: &Path) -> Result<Vec<String>> {
    Ok(index(path)?.metadata.frozen)
}

/// Checks that the name of a part is that of a file beside the index.
fn check_name(path: &Path, file: &str) -> Result<()> {
    let parts: Vec<Component> = Path::new(file).components().collect();
    match parts[..] {
        [Component::Normal(_)] => Ok(()),
        _ => Err(failed(path, format!("expected names of files beside the index, got `{file}`"))),
    }
}

/// Writes the leaves of a tree to files of at most `bytes` bytes of elements each. `frozen` are the
/// paths of frozen parameters.
pub(crate) fn save_sharded(
    tree: &impl Tree,
    frozen: Vec<String>,
    directory: &Path,
    bytes: usize,
) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(|e| failed(directory, e))?;
    let (parts, total) = parts(tree, bytes)?;
    let mut index = ShardIndex {
        metadata: ShardMetadata { total_size: total as u64, frozen },
        weight_map: BTreeMap::new(),
    };
    for (i, part) in parts.iter().enumerate() {
        let file = format!("model-{:05}-of-{:05}.safetensors", i + 1, parts.len());
        index.weight_map.extend(part.keys().map(|name| (name.clone(), file.clone())));
        safetensors::save(part, directory.join(&file))?;
    }
    // The index is written last: one that exists has all of its files.
    let path = directory.join("model.safetensors.index.json");
    let text = serde_json::to_vec_pretty(&index).map_err(|e| failed(&path, e))?;
    std::fs::write(&path, text).map_err(|e| failed(&path, e))
}

/// Distributes the leaves among files, in order, and returns the bytes of all.
fn parts(tree: &impl Tree, bytes: usize) -> Result<(Vec<BTreeMap<String, Tensor>>, usize)> {
    let (mut parts, mut room, mut total) = (vec![BTreeMap::new()], bytes, 0);
    for (name, t) in tree.leaves() {
        let size = t.ty()?.bytes()?;
        if size > room && parts.last().is_some_and(|p| !p.is_empty()) {
            parts.push(BTreeMap::new());
            room = bytes;
        }
        room = room.saturating_sub(size);
        total += size;
        if let Some(part) = parts.last_mut() {
            part.insert(name, t.clone());
        }
    }
    Ok((parts, total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vars;
    use neurax_tensor::tensor;

    fn directory(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("neurax-sharded-{}-{name}", std::process::id()))
    }

    #[test]
    fn every_variable_is_in_one_file_and_frozen_ones_are_written() {
        let mut vars = Vars::default();
        for i in 0..5 {
            let layer = vars.params.entry(format!("layer_{i}")).or_default();
            layer.insert("kernel".into(), tensor([i as f32, 1.0]));
        }
        vars.freeze("layer_2.*").unwrap();
        let directory = directory("parts");
        vars.save_sharded(&directory, 16).unwrap();
        let files = std::fs::read_dir(&directory).unwrap().count();
        assert_eq!(files, 4);
        let back = Vars::load(&directory).unwrap();
        assert_eq!((back.trainable().len(), back.frozen()), (4, vars.frozen()));
        assert_eq!(Vars::load_unfrozen(&directory).unwrap().trainable().len(), 5);
        assert_eq!(back.get("layer_4.kernel").unwrap().to_vec::<f32>().unwrap(), [4.0, 1.0]);
    }

    #[test]
    fn an_index_that_leaves_its_directory_or_lacks_a_tensor_is_an_error() {
        let directory = directory("index");
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("x.safetensors.index.json");
        let message = |text: &str| {
            std::fs::write(&path, text).unwrap();
            load(&path).unwrap_err().message().to_string()
        };
        let outside = message(r#"{"weight_map": {"a": "../other.safetensors"}}"#);
        assert!(outside.contains("beside the index, got `../other.safetensors`"), "{outside}");
        assert!(message("{}").contains("`weight_map`"));
        safetensors::save(&tensor(1.0), directory.join("one.safetensors")).unwrap();
        let lacks = message(r#"{"weight_map": {"a": "one.safetensors"}}"#);
        assert!(lacks.contains("expected the tensor `a` in one.safetensors"), "{lacks}");
    }
}
