//! Reading the tensors of a checkpoint, whatever its format.

use super::error::failed;
use super::{pytorch, sharded};
use neurax_tensor::{Error, Result, Tensor, io::safetensors};
use std::collections::BTreeMap;
use std::path::Path;

/// Reads the tensors of a checkpoint by name. The path is one of
///
/// - a safetensors file;
/// - the index of a checkpoint in several safetensors files, `*.safetensors.index.json`, as Hugging
///   Face writes it;
/// - a state dict that `torch.save` wrote (PyTorch 1.6 or later): `.pt`, `.pth`, `.bin`, `.ckpt`.
///   It is read without executing anything that it contains. Tensors of nested dicts have dotted
///   names, `model.conv.weight`; everything but tensors is left out;
/// - a directory with `model.safetensors.index.json`, `model.safetensors` or `pytorch_model.bin`.
///
/// ```
/// use neurax::prelude::*;
/// let vars = nn::input("x", dims![_, 3]).dense(2).init(key(0), &types![f32[_, 3]])?;
/// # let path = std::env::temp_dir().join("neurax-doc-load-tensors.safetensors");
/// vars.save(&path)?;
/// let tensors = nn::load_tensors(&path)?;
/// assert_eq!(tensors.keys().collect::<Vec<_>>(), ["params.dense.bias", "params.dense.kernel"]);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// If a file cannot be read or is malformed; the message names the file.
pub fn load_tensors(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>> {
    load(path.as_ref())
}

fn load(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    if path.is_dir() {
        return load(&in_directory(path)?);
    }
    match format_of(path) {
        Format::Index => sharded::load(path),
        Format::Pytorch => pytorch::load(path),
        Format::Safetensors => safetensors::load(path),
    }
}

/// The metadata of a safetensors file that lists the paths of frozen parameters, as JSON.
const FROZEN_METADATA: &str = "frozen";

/// Returns the metadata of a file with frozen parameters.
pub(crate) fn metadata_of(frozen: &[String]) -> Result<BTreeMap<String, String>> {
    if frozen.is_empty() {
        return Ok(BTreeMap::new());
    }
    let paths = serde_json::to_string(frozen).map_err(|e| Error::new("save", e.to_string()))?;
    Ok([(FROZEN_METADATA.into(), paths)].into())
}

/// Returns the paths of the parameters that were frozen when the checkpoint was written.
pub(crate) fn load_frozen(path: &Path) -> Result<Vec<String>> {
    let path = &if path.is_dir() { in_directory(path)? } else { path.to_path_buf() };
    match format_of(path) {
        Format::Index => sharded::load_frozen(path),
        Format::Pytorch => Ok(vec![]),
        Format::Safetensors => {
            let metadata = safetensors::load_metadata(path)?;
            let Some(paths) = metadata.get(FROZEN_METADATA) else { return Ok(vec![]) };
            serde_json::from_str(paths).map_err(|e| {
                failed(
                    path,
                    format!("expected a list of paths in the metadata `{FROZEN_METADATA}`: {e}"),
                )
            })
        }
    }
}

/// The format of a file of a checkpoint.
enum Format {
    Index,
    Pytorch,
    Safetensors,
}

/// Returns the format that the name of a file states.
fn format_of(path: &Path) -> Format {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let is = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if is(&[".json"]) {
        Format::Index
    } else if is(&[".pt", ".pth", ".bin", ".ckpt"]) {
        Format::Pytorch
    } else {
        Format::Safetensors
    }
}

/// Returns the checkpoint in a directory.
fn in_directory(path: &Path) -> Result<std::path::PathBuf> {
    let names = ["model.safetensors.index.json", "model.safetensors", "pytorch_model.bin"];
    let mut candidates = names.iter().map(|name| path.join(name));
    candidates.find(|p| p.is_file()).ok_or_else(|| {
        let want = format!("expected a directory with one of {}", names.join(", "));
        failed(path, format!("{want}; name another file itself"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_a_checkpoint_is_an_error() {
        let e = load_tensors(env!("CARGO_MANIFEST_DIR")).unwrap_err();
        assert!(e.message().contains("model.safetensors.index.json"), "{e}");
    }
}
