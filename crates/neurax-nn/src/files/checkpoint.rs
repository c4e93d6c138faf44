//! Reading the tensors of a checkpoint, whatever its format.

use super::error::failed;
use super::{pytorch, sharded};
use neurax_tensor::{Result, Tensor, io::safetensors};
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
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let is = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if is(&[".json"]) {
        sharded::load(path)
    } else if is(&[".pt", ".pth", ".bin", ".ckpt"]) {
        pytorch::load(path)
    } else {
        safetensors::load(path)
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
