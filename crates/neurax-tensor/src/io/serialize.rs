//! Trees of tensors as bytes: a safetensors file in memory.
//!
//! The format lacks u2, u4, i2, i4 and c128. A leaf of such a dtype is stored as the vector of its
//! bytes, and the metadata entry `neurax.types` has its dtype and shape as JSON. Other readers see
//! a valid file with u8 vectors; [`deserialize`] returns every dtype.

use super::safetensors::{Stored, decode, encode};
use crate::{DType, Error, Result, Tensor, Tree};
use neurax_ir::{Literal, Shape, Type};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of the metadata entry with the types of the leaves that are stored as bytes.
const TYPES: &str = "neurax.types";

/// The type of a leaf that is stored as bytes.
#[derive(Serialize, Deserialize)]
struct LeafType {
    dtype: String,
    shape: Vec<usize>,
}

/// Returns a tree of tensors as bytes: names, types and elements of the leaves, of every dtype. The
/// bytes are those of a safetensors file, except that dtypes which the format lacks (u2, u4, i2,
/// i4, c128) are stored as bytes, with their types in the metadata.
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
    let mut types = BTreeMap::new();
    let mut leaves = vec![];
    for (name, x) in tree.leaves() {
        let x = x.to_literal().map_err(|e| e.inside("serialize"))?;
        leaves.push(match Stored::new(name.clone(), x.clone()) {
            Some(leaf) => leaf,
            None => {
                let LeafType { dtype, shape } = leaf_type(x.ty());
                types.insert(name.clone(), LeafType { dtype, shape });
                let bytes = Type::new(DType::U8, [x.bytes().len()]);
                Stored::bytes(name, x.with_type(bytes)?)
            }
        });
    }
    let mut metadata = BTreeMap::new();
    if !types.is_empty() {
        let text = serde_json::to_string(&types).map_err(|e| failed(e.to_string()))?;
        metadata.insert(TYPES.to_string(), text);
    }
    encode(leaves, &metadata).map_err(|e| failed_as("serialize", e))
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
    let (mut leaves, metadata) = decode(bytes).map_err(|e| failed(e.message()))?;
    let Some(text) = metadata.get(TYPES) else { return Ok(leaves) };
    let types: BTreeMap<String, LeafType> = serde_json::from_str(text)
        .map_err(|e| failed(format!("expected types in the metadata `{TYPES}`: {e}")))?;
    for (name, LeafType { dtype, shape }) in types {
        let wrong = |why: String| failed(format!("`{name}` in the metadata `{TYPES}`: {why}"));
        let stored = leaves.get_mut(&name).ok_or_else(|| wrong("there is no such leaf".into()))?;
        let bytes = stored.to_literal()?;
        let dtype = DType::parse(&dtype)
            .ok_or_else(|| wrong(format!("expected a dtype, got `{dtype}`")))?;
        let ty = Type::new(dtype, Shape::from(&shape[..]));
        let leaf = retyped(bytes, ty).map_err(|e| wrong(e.message().into()))?;
        *stored = Tensor::from(leaf);
    }
    Ok(leaves)
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

fn leaf_type(ty: &Type) -> LeafType {
    LeafType { dtype: ty.dtype.to_string(), shape: ty.shape.to_vec() }
}

/// Returns the literal of type `ty` with the same bytes.
fn retyped(bytes: Literal, ty: Type) -> Result<Literal> {
    super::elements::literal(ty, bytes.into_bytes())
}

fn failed(why: impl Into<String>) -> Error {
    Error::new("deserialize", why)
}

/// Returns the error with another operation.
fn failed_as(op: &str, e: Error) -> Error {
    Error::new(op, e.message())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{io::safetensors, prelude::*, testing::Draw};

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
        assert_eq!(loaded["1"].to_vec::<u8>().unwrap(), [0x21, 0x03]);
        let types = &safetensors::load_metadata(&path).unwrap()[TYPES];
        assert_eq!(types, r#"{"1":{"dtype":"u4","shape":[3]}}"#);
    }

    #[test]
    fn malformed_bytes_are_errors() {
        let bytes = serialize(&tensor([1, 2, 3]).to(I4)).unwrap();
        let damaged = |from: &str, to: &str| {
            let text: String = bytes.iter().map(|&b| b as char).collect();
            let text = text.replace(from, to);
            deserialize(&text.chars().map(|c| c as u8).collect::<Vec<_>>()).unwrap_err().to_string()
        };
        let at = "deserialize: `` in the metadata `neurax.types`: ";
        assert_eq!(damaged("i4", "x4"), format!("{at}expected a dtype, got `x4`"));
        assert!(damaged("[3]", "[9]").starts_with(&format!("{at}expected 5 bytes for i4[9]")));
        let e = deserialize(&bytes[..20]).unwrap_err().to_string();
        assert!(e.starts_with("deserialize: says its header is"), "{e}");
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
