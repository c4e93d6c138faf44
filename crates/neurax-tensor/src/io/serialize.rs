//! Trees of tensors as bytes: a safetensors file in memory, of every dtype.

use super::safetensors::{decode, encode};
use crate::{Error, Result, Tensor, Tree};
use std::collections::BTreeMap;

/// Returns a tree of tensors as bytes: names, types and elements of the leaves, of every dtype. The
/// bytes are those of a file that [`crate::io::safetensors::save`] writes.
///
/// # Errors
/// When a leaf carries an error or is being traced, is called `__metadata__`, or two leaves have
/// one name.
///
/// ```
/// use neurax::io::{deserialize, deserialize_like, serialize};
/// use neurax::prelude::*;
/// let tree = (tensor([1.0, 2.0]), vec![tensor([3, -4]).to(I4)]);
/// let bytes = serialize(&tree)?;
/// let leaves = deserialize(&bytes)?;
/// assert_eq!(leaves["1.0"].to_string(), "i4[2] [ 3, -4]");
/// let like = (Tensor::zeros(2), vec![Tensor::zeros(2).to(I4)]);
/// assert_eq!(deserialize_like(&like, &bytes)?.0.to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn serialize(tree: &impl Tree) -> Result<Vec<u8>> {
    let leaves = tree.leaves().into_iter().map(|(name, x)| {
        let x = x.to_literal().map_err(|e| e.inside("serialize"))?;
        Ok((name, x))
    });
    encode(leaves.collect::<Result<_>>()?).map_err(|e| Error::new("serialize", e.message()))
}

/// Returns the leaves of a tree that [`serialize`] wrote, by name; or those of the bytes of any
/// safetensors file.
///
/// # Errors
/// When the bytes are malformed, as in [`crate::io::safetensors::load`].
///
/// ```
/// use neurax::io::{deserialize, serialize};
/// use neurax::prelude::*;
/// let leaves = deserialize(&serialize(&(tensor(1.0), tensor([2, 3]).to(I4)))?)?;
/// assert_eq!(leaves["1"].ty()?.to_string(), "i4[2]");
/// assert!(deserialize(b"no tree").is_err());
/// # Ok::<(), Error>(())
/// ```
pub fn deserialize(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    decode(bytes).map_err(|e| failed(e.message()))
}

/// Returns a tree with the structure of `like` and the leaves of the same paths in the bytes.
///
/// # Errors
/// As [`deserialize`], and when a leaf is not in the bytes or has another type there.
///
/// ```
/// use neurax::io::{deserialize_like, serialize};
/// use neurax::prelude::*;
/// let bytes = serialize(&(tensor(1.5), tensor([2, 3])))?;
/// let (x, y) = deserialize_like(&(tensor(0.0), tensor([0, 0])), &bytes)?;
/// assert_eq!((x.item()?, y.to_vec::<i32>()?), (1.5, vec![2, 3]));
/// # Ok::<(), Error>(())
/// ```
pub fn deserialize_like<T: Tree>(like: &T, bytes: &[u8]) -> Result<T> {
    let mut stored = deserialize(bytes)?;
    let leaves = like.leaves().into_iter().map(|(name, leaf)| {
        let want = leaf.ty()?;
        let wrong = |got: String| failed(format!("expected `{name}` to be {want}, got {got}"));
        let found = stored.remove(&name).ok_or_else(|| wrong("no such tensor".into()))?;
        let ty = found.ty()?;
        if ty == want { Ok(found) } else { Err(wrong(ty.to_string())) }
    });
    Ok(like.with_leaves(leaves.collect::<Result<Vec<_>>>()?))
}

fn failed(why: impl Into<String>) -> Error {
    Error::new("deserialize", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, io::safetensors, prelude::*, testing::Draw};

    #[test]
    fn every_dtype_returns_from_its_tree() {
        let mut draw = Draw::new(2);
        let tree: BTreeMap<String, Tensor> =
            DType::ALL.into_iter().map(|d| (d.to_string(), draw.tensor(d, [3, 3]))).collect();
        let bytes = serialize(&tree).unwrap();
        let back = deserialize(&bytes).unwrap();
        assert_eq!(back.len(), tree.len());
        for (name, x) in &tree {
            assert_eq!(back[name].to_literal().unwrap(), x.to_literal().unwrap(), "{name}");
        }
        deserialize_like(&tree, &bytes).unwrap();
    }

    #[test]
    fn the_bytes_are_a_safetensors_file() {
        let tree = (tensor([1.0, 2.0]), tensor([1, 2, 3]).to(U4));
        let path = std::env::temp_dir().join("neurax-serialized.safetensors");
        std::fs::write(&path, serialize(&tree).unwrap()).unwrap();
        let loaded = safetensors::load(&path).unwrap();
        assert_eq!(loaded["0"].to_vec::<f32>().unwrap(), [1.0, 2.0]);
        assert_eq!(loaded["1"].to_string(), "u4[3] [1, 2, 3]");
    }

    #[test]
    fn malformed_bytes_are_errors() {
        let bytes = serialize(&tensor([1, 2, 3]).to(I4)).unwrap();
        let e = deserialize(&bytes[..20]).unwrap_err().to_string();
        assert!(e.starts_with("deserialize: says its header is"), "{e}");
        let e = deserialize(&bytes[..bytes.len() - 1]).unwrap_err().to_string();
        assert!(e.starts_with("deserialize: the tensor ends at byte 2"), "{e}");
    }

    #[test]
    fn leaves_of_another_type_are_errors() {
        let bytes = serialize(&(tensor(1.0), tensor(2))).unwrap();
        let e = deserialize_like(&(tensor(1.0), tensor(2.0)), &bytes).unwrap_err().to_string();
        assert_eq!(e, "deserialize: expected `1` to be f32[], got i32[]");
        let e = deserialize_like(&vec![tensor(1.0); 3], &bytes).unwrap_err().to_string();
        assert_eq!(e, "deserialize: expected `1` to be f32[], got i32[]");
    }
}
