//! Leaves of dtypes that the format lacks: integers of less than a byte, complex numbers of double
//! precision, and some small floats.
//!
//! Such a leaf is stored as the vector of its bytes, U8, and the metadata entry `neurax.types` has
//! its dtype and its shape as JSON. The header of a file with a leaf `w` of the type i4\[3\]:
//!
//! ```text
//! {"__metadata__": {"neurax.types": "{\"w\":{\"dtype\":\"i4\",\"shape\":[3]}}"},
//!  "w": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}
//! ```
//!
//! Other readers see a valid file with u8 vectors. A file without the entry has the types that its
//! header states.
//!
//! # Invariants
//!
//! - Every leaf that the entry names is in the file, as U8, with the bytes of its type.
//! - The entry belongs to this module: callers neither pass nor get it with their metadata.

use super::header::{AxisSizes, LEAF_TYPES, TensorEntry, format_dtype, leaf_name, malformed};
use neurax_ir::{DType, Error, Literal, Result, Type};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The type of a leaf that is stored as bytes.
#[derive(Serialize, Deserialize)]
struct LeafType {
    dtype: String,
    shape: AxisSizes,
}

/// Returns the metadata of a file with the leaves: that of the caller, and the entry with the types
/// of the leaves that are stored as bytes, if there are any.
///
/// # Errors
/// When the metadata of the caller has an entry of this name.
pub(super) fn with_leaf_types(
    metadata: &BTreeMap<String, String>,
    leaves: &[(String, Literal)],
) -> Result<BTreeMap<String, String>> {
    if metadata.contains_key(LEAF_TYPES) {
        let why = format!("an entry of the metadata is called `{LEAF_TYPES}`, which is reserved");
        return Err(Error::new("save", why));
    }
    let as_bytes = leaves.iter().filter(|(_, x)| format_dtype(x.dtype()).is_none());
    let types: BTreeMap<&String, LeafType> =
        as_bytes.map(|(name, x)| (name, leaf_type(x))).collect();
    let mut metadata = metadata.clone();
    if !types.is_empty() {
        let text = serde_json::to_string(&types).map_err(|e| Error::new("save", e.to_string()))?;
        metadata.insert(LEAF_TYPES.into(), text);
    }
    Ok(metadata)
}

/// Gives the tensors that `text`, the entry of the metadata, names their types.
///
/// # Errors
/// When the text is malformed, or names a tensor that is not in the file or has other bytes.
pub(super) fn restore_leaf_types(tensors: &mut [TensorEntry], text: &str) -> Result<()> {
    let mut types: BTreeMap<String, LeafType> = serde_json::from_str(text)
        .map_err(|e| malformed(format!("expected types in the metadata `{LEAF_TYPES}`: {e}")))?;
    for tensor in tensors {
        if let Some(ty) = types.remove(&tensor.name) {
            tensor.ty = restored(tensor, ty).map_err(|why| wrong(&tensor.name, why))?;
        }
    }
    match types.keys().next() {
        None => Ok(()),
        Some(name) => Err(wrong(name, "there is no such tensor")),
    }
}

/// Returns the type of a tensor that is stored as bytes; the error is a text.
fn restored(stored: &TensorEntry, LeafType { dtype, shape }: LeafType) -> Result<Type, String> {
    let dtype = DType::parse(&dtype).ok_or_else(|| format!("expected a dtype, got `{dtype}`"))?;
    let ty = Type::new(dtype, shape.0);
    let (want, got) = (ty.bytes().map_err(|e| e.message().to_string())?, stored.bytes.len());
    match stored.ty.dtype {
        DType::U8 if got == want => Ok(ty),
        DType::U8 => Err(format!("expected {want} bytes for {ty}, got {got}")),
        _ => Err(format!("expected the bytes of {ty} as u8, got {}", stored.ty)),
    }
}

fn leaf_type(x: &Literal) -> LeafType {
    LeafType { dtype: x.dtype().to_string(), shape: AxisSizes(x.shape().to_vec()) }
}

fn wrong(name: &str, why: impl std::fmt::Display) -> Error {
    malformed(format!("{} in the metadata `{LEAF_TYPES}`: {why}", leaf_name(name)))
}
