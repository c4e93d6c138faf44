//! Trees of tensors in safetensors files (<https://huggingface.co/docs/safetensors>): a JSON header
//! of names, types and offsets, then the elements. Reading maps the file; no element is copied.

use super::map::{MappedFile, map};
use crate::{Tensor, Tree};
use neurax_ir::{Bytes, DType, Error, Literal, Result, Type};
use safetensors::{Dtype, tensor::TensorInfo};
use serde_json::{Map, Value};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write},
    ops::Range,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

/// The largest header in bytes that is read, as in the reference implementation.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The dtypes of the format, each with its name there.
const DTYPES: [(DType, Dtype); 16] = [
    (DType::Bool, Dtype::BOOL),
    (DType::U8, Dtype::U8),
    (DType::U16, Dtype::U16),
    (DType::U32, Dtype::U32),
    (DType::U64, Dtype::U64),
    (DType::I8, Dtype::I8),
    (DType::I16, Dtype::I16),
    (DType::I32, Dtype::I32),
    (DType::I64, Dtype::I64),
    (DType::F8E4M3FN, Dtype::F8_E4M3),
    (DType::F8E5M2, Dtype::F8_E5M2),
    (DType::F16, Dtype::F16),
    (DType::BF16, Dtype::BF16),
    (DType::F32, Dtype::F32),
    (DType::F64, Dtype::F64),
    (DType::C64, Dtype::C64),
];

/// Writes every leaf of a tree under its path. An existing file is replaced atomically when the new
/// one is complete: a failure leaves the old one unchanged, and tensors mapped from it stay valid.
///
/// # Errors
/// When a leaf carries an error or has a dtype that the format does not know (u2, u4, i2, i4,
/// c128), or the file cannot be written.
///
/// ```
/// use neurax::io::safetensors;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-save.safetensors");
/// safetensors::save(&(tensor([1.0, 2.0]), vec![Tensor::eye(2)]), &path)?;
/// let leaves = safetensors::load(&path)?;
/// assert_eq!(leaves.keys().collect::<Vec<_>>(), ["0", "1.0"]);
/// # Ok::<(), Error>(())
/// ```
pub fn save(tree: &impl Tree, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let mut leaves =
        tree.leaves().into_iter().map(|(name, t)| stored(name, t)).collect::<Result<Vec<_>>>()?;
    // The widest elements first: each tensor then starts at a multiple of its element size and can
    // be mapped without a copy.
    leaves.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
    let header = header_of(&leaves)?;
    let temporary = temporary_beside(path);
    let written = write(&temporary, &header, &leaves).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|e| {
        // The error of removing the incomplete file would hide the first one.
        let _ = fs::remove_file(&temporary);
        in_file("save", path, e)
    })
}

/// Maps the tensors of a file and returns them by name. Each keeps the file open; its elements are
/// read when they are first used.
///
/// # Errors
/// When the file cannot be read, or its header does not match its contents; the message names the
/// tensor.
///
/// ```
/// use neurax::io::safetensors;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-load.safetensors");
/// safetensors::save(&tensor([1.0, 2.0]), &path)?;
/// assert_eq!(safetensors::load(&path)?[""].to_vec::<f32>()?, [1.0, 2.0]);
///
/// std::fs::write(&path, b"not a safetensors file")?;
/// assert!(safetensors::load(&path).is_err());
/// # Ok::<(), Error>(())
/// ```
pub fn load(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>> {
    let path = path.as_ref();
    let file = map(path)?;
    read(&file).map_err(|e| in_file("load", path, e.message()))
}

/// Returns a tree with the structure of `like` and the tensors of the same paths in the file.
///
/// # Errors
/// As [`load`], and when a leaf is not in the file or has another type there.
///
/// ```
/// use neurax::io::safetensors;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-like.safetensors");
/// safetensors::save(&(tensor([1.0, 2.0]), tensor(3.0)), &path)?;
/// let (a, b) = safetensors::load_like(&(Tensor::zeros(2), tensor(0.0)), &path)?;
/// assert_eq!((a.to_vec::<f32>()?, b.to_vec::<f32>()?), (vec![1.0, 2.0], vec![3.0]));
/// let e = safetensors::load_like(&(Tensor::zeros(3), tensor(0.0)), &path).unwrap_err();
/// assert!(e.to_string().contains("expected `0` to be f32[3], got f32[2]"), "{e}");
/// # Ok::<(), Error>(())
/// ```
pub fn load_like<T: Tree>(like: &T, path: impl AsRef<Path>) -> Result<T> {
    let path = path.as_ref();
    let mut stored = load(path)?;
    let mut leaves = Vec::new();
    for (name, leaf) in like.leaves() {
        let (want, found) = (leaf.ty()?, stored.remove(&name));
        let name = leaf_name(&name);
        let found = found.ok_or_else(|| {
            in_file("load", path, format!("expected {name} to be {want}, got no such tensor"))
        })?;
        let ty = found.ty()?;
        if ty != want {
            return Err(in_file("load", path, format!("expected {name} to be {want}, got {ty}")));
        }
        leaves.push(found);
    }
    let mut leaves = leaves.into_iter();
    Ok(like.rebuild(&mut || {
        leaves.next().unwrap_or_else(|| {
            Tensor::from_error(Error::new("load", "the tree has more leaves than it named"))
        })
    }))
}

/// Returns the name of the leaf at `path` for messages. A tree that is a single tensor has one
/// leaf, whose path is empty.
fn leaf_name(path: &str) -> String {
    if path.is_empty() { "the tensor".into() } else { format!("`{path}`") }
}

/// Returns an error of `op` that names the file.
fn in_file(op: &str, path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(op, format!("{}: {why}", path.display()))
}

/// A leaf that is written to a file.
struct Stored {
    name: String,
    dtype: Dtype,
    literal: Literal,
}

/// Returns the leaf `t` in the dtype of the format.
///
/// # Errors
/// When the leaf carries an error or the format lacks its dtype.
fn stored(name: String, t: &Tensor) -> Result<Stored> {
    let literal = t.to_literal()?;
    match DTYPES.iter().find(|(ours, _)| *ours == literal.dtype()) {
        Some(&(_, dtype)) => Ok(Stored { name, dtype, literal }),
        None => {
            let why = "which safetensors files cannot hold; convert it first, e.g. with `.to(F32)`";
            Err(Error::new("save", format!("{} is {}, {why}", leaf_name(&name), literal.ty())))
        }
    }
}

/// Returns the header's JSON, padded with spaces to a multiple of 8 bytes.
fn header_of(leaves: &[Stored]) -> Result<Vec<u8>> {
    let (mut header, mut at) = (Map::new(), 0);
    let failed = |e: serde_json::Error| Error::new("save", e.to_string());
    for Stored { name, dtype, literal } in leaves {
        let end = at + literal.bytes().len();
        let info =
            TensorInfo { dtype: *dtype, shape: literal.shape().to_vec(), data_offsets: (at, end) };
        if header.insert(name.clone(), serde_json::to_value(info).map_err(failed)?).is_some() {
            return Err(Error::new(
                "save",
                format!("two leaves are called `{name}`; in a file each needs its own name"),
            ));
        }
        at = end;
    }
    let mut text = serde_json::to_vec(&header).map_err(failed)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok(text)
}

/// Returns a unique file name in the folder of `path`.
fn temporary_beside(path: &Path) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}-{}.part", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

fn write(path: &Path, header: &[u8], leaves: &[Stored]) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header)?;
    for leaf in leaves {
        file.write_all(&little_endian(leaf.literal.bytes(), leaf.literal.dtype()))?;
    }
    file.flush()
}

fn read(file: &MappedFile) -> Result<BTreeMap<String, Tensor>> {
    let bytes = (**file).as_ref();
    let (header, start) = header(bytes)?;
    let mut entries = Vec::new();
    for (name, value) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
        let info: TensorInfo = serde_json::from_value(value)
            .map_err(|e| malformed(format!("{}: {e}", leaf_name(&name))))?;
        entries.push((name, info));
    }
    check_cover(&mut entries, bytes.len() - start)?;
    entries
        .into_iter()
        .map(|(name, info)| tensor(file, start, &leaf_name(&name), info).map(|t| (name, t)))
        .collect()
}

fn malformed(why: impl Into<String>) -> Error {
    Error::new("load", why)
}

/// Returns the header and the offset of the elements in bytes.
fn header(bytes: &[u8]) -> Result<(Map<String, Value>, usize)> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(malformed(
            "is shorter than the 8 bytes that every safetensors file starts with",
        ));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        return Err(malformed(format!(
            "says its header is {length} bytes long; at most {MAX_HEADER_BYTES} are read: is it a \
             safetensors file?"
        )));
    }
    let Some(text) = rest.get(..length as usize) else {
        return Err(malformed(format!(
            "says its header is {length} bytes long, but only {} follow: it is cut short",
            rest.len()
        )));
    };
    let header = serde_json::from_slice(text)
        .map_err(|e| malformed(format!("its header is not JSON: {e}")))?;
    Ok((header, 8 + length as usize))
}

/// Checks that the tensors cover the rest of the file without holes and without overlap.
fn check_cover(entries: &mut [(String, TensorInfo)], size: usize) -> Result<()> {
    entries.sort_by_key(|(_, info)| info.data_offsets);
    let mut at = 0;
    for (name, TensorInfo { data_offsets: (from, to), .. }) in entries.iter() {
        let name = leaf_name(name);
        if *to > size {
            return Err(malformed(format!(
                "{name} ends at byte {to}, but the file holds only {size} bytes of elements: it \
                 is cut short"
            )));
        }
        if *from != at || to < from {
            return Err(malformed(format!(
                "{name} takes bytes {from}..{to}, but the tensor before it ends at {at}"
            )));
        }
        at = *to;
    }
    if at != size {
        return Err(malformed(format!(
            "holds {size} bytes of elements, but its tensors take {at}"
        )));
    }
    Ok(())
}

/// Returns one tensor of the file, whose elements begin at `start`. `name` is its [`leaf_name`].
fn tensor(file: &MappedFile, start: usize, name: &str, info: TensorInfo) -> Result<Tensor> {
    let (from, to) = info.data_offsets;
    let known = DTYPES.iter().find(|(_, theirs)| *theirs == info.dtype);
    let &(dtype, _) = known.ok_or_else(|| {
        malformed(format!("{name} has elements of type {}, which Neurax does not know", info.dtype))
    })?;
    let ty = Type::new(dtype, info.shape);
    if ty.bytes().map_err(|e| malformed(format!("{name}: {}", e.message())))? != to - from {
        return Err(malformed(format!("{name} is {ty}, but takes {} bytes", to - from)));
    }
    let bytes = window(file, start + from..start + to, dtype, name)?;
    Ok(Tensor::from(Literal::new(ty, bytes)?))
}

/// Returns the bytes in `range` of the file as elements of `dtype`, mapped if their byte order is
/// that of this machine.
fn window(file: &MappedFile, range: Range<usize>, dtype: DType, name: &str) -> Result<Bytes> {
    let bytes = Bytes::borrowed(file.clone(), range);
    let bytes = bytes.ok_or_else(|| malformed(format!("{name} lies outside of the file")))?;
    let bytes = match little_endian(&bytes, dtype) {
        Cow::Borrowed(_) => bytes,
        Cow::Owned(swapped) => Bytes::copy_of(&swapped),
    };
    if dtype == DType::Bool && bytes.iter().any(|&b| b > 1) {
        return Err(malformed(format!("{name} is bool, but holds other bytes than 0 and 1")));
    }
    Ok(bytes)
}

/// Converts the bytes of elements between the byte order of this machine and little-endian, the
/// order of the files.
fn little_endian(bytes: &[u8], dtype: DType) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytes)
    } else {
        Cow::Owned(byte_swapped(bytes, dtype))
    }
}

/// Returns the bytes with those of every number in reverse order.
fn byte_swapped(bytes: &[u8], dtype: DType) -> Vec<u8> {
    let numbers = if dtype.is_complex() { 2 } else { 1 };
    let width = (dtype.bits() / 8 / numbers).max(1);
    bytes.chunks(width).flat_map(|number| number.iter().rev().copied()).collect()
}

#[cfg(test)]
mod tests;
