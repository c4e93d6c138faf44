//! Trees of tensors in safetensors files (<https://huggingface.co/docs/safetensors>): a JSON header
//! of names, types and offsets, then the elements in little-endian byte order.

mod header;

use super::{
    elements::little_endian,
    in_file,
    map::{FileBytes, map},
    open_file,
    replace::replace,
};
use crate::{Tensor, Tree};
use header::{DTYPES, MAX_HEADER_BYTES, MAX_TENSORS, METADATA, TensorEntry, leaf_name, malformed};
use neurax_ir::{Bytes, DType, Error, Literal, OrBug, Result};
use safetensors::{Dtype, tensor::TensorInfo};
use serde_json::Map;
use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Cursor, Read, Seek, SeekFrom, Write},
    ops::Range,
    path::Path,
};

/// Writes every leaf of a tree under its path. An existing file is replaced atomically when the new
/// one is complete and on the disk: a failure leaves the old one unchanged, and tensors mapped from
/// it stay valid. The permissions of the old file stay; if `path` is a symbolic link, the file that
/// it names is replaced. Incomplete files `<name>.<process>-<number>.part`, which a program that
/// was stopped has left beside it, are removed.
///
/// # Errors
/// When a leaf carries an error, has a dtype that the format does not know (u2, u4, i2, i4, c128)
/// or is called `__metadata__`, a name that the format reserves; when two leaves have one name, the
/// header would be larger than 100 MB, or the file cannot be written.
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
    save_leaves(tree.leaves(), &BTreeMap::new(), path.as_ref())
}

/// Writes every leaf of a tree as [`save`] does, and metadata: names with strings, which
/// [`load_metadata`] returns and other readers ignore.
///
/// # Errors
/// As [`save`].
///
/// ```
/// use neurax::io::safetensors;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-metadata.safetensors");
/// let metadata = [("license".to_string(), "MIT".to_string())].into();
/// safetensors::save_with_metadata(&tensor([1.0, 2.0]), &metadata, &path)?;
/// assert_eq!(safetensors::load_metadata(&path)?, metadata);
/// assert_eq!(safetensors::load(&path)?[""].to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn save_with_metadata(
    tree: &impl Tree,
    metadata: &BTreeMap<String, String>,
    path: impl AsRef<Path>,
) -> Result<()> {
    save_leaves(tree.leaves(), metadata, path.as_ref())
}

/// Reads the metadata of a file, without its tensors: none, if the file was written by [`save`].
///
/// # Errors
/// When the file cannot be read, is not a regular file, or its header is malformed, larger than
/// 100 MB, or has more than 65536 entries of metadata.
///
/// ```
/// use neurax::io::safetensors;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-load-metadata.safetensors");
/// let metadata = [("license".to_string(), "MIT".to_string())].into();
/// safetensors::save_with_metadata(&tensor(1.0), &metadata, &path)?;
/// assert_eq!(safetensors::load_metadata(&path)?["license"], "MIT");
/// # Ok::<(), Error>(())
/// ```
pub fn load_metadata(path: impl AsRef<Path>) -> Result<BTreeMap<String, String>> {
    metadata_of(path.as_ref())
}

fn metadata_of(path: &Path) -> Result<BTreeMap<String, String>> {
    let load = || -> Result<BTreeMap<String, String>> {
        let mut file = open_file(path)?;
        let size = file.metadata()?.len();
        header::read_metadata(&mut file, size)
    };
    load().map_err(|e| in_file("load", path, e.message()))
}

/// Writes the leaves of a tree.
fn save_leaves(
    leaves: Vec<(String, &Tensor)>,
    metadata: &BTreeMap<String, String>,
    path: &Path,
) -> Result<()> {
    let leaves = leaves.into_iter().map(|(name, t)| stored(name, t));
    let leaves = sorted(leaves.collect::<Result<_>>()?);
    let header = header_of(&leaves, metadata)?;
    replace(path, |file| write(file, &header, &leaves)).map_err(|e| in_file("save", path, e))
}

/// Reads the tensors of a file and returns them by name. The file may change afterwards;
/// [`load_mapped`] copies no elements, and demands that it does not.
///
/// # Errors
/// When the file cannot be read, is not a regular file, or its header does not match its contents:
/// the message names the tensor. A header of more than 100 MB, or of more than 2^20 tensors, is not
/// read.
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
    load_from(path.as_ref(), |file| Ok(Elements::Copied(file)))
}

/// Maps the tensors of a file and returns them by name. No element is copied: a page of the file is
/// read when an element of it is first used, and its memory is shared with other processes. Each
/// tensor keeps the file open.
///
/// [`load`] copies the elements and requires nothing.
///
/// # Safety
/// The bytes of the file must not change while one of the tensors is in use: no program may shorten
/// the file or rewrite it in place. A change shows in tensors that are taken for constant, and a
/// read beyond the new end of a shortened file ends the program by a signal (`SIGBUS`). Replacing
/// the file by renaming another one over it is allowed; [`save`] does so.
///
/// # Errors
/// As [`load`].
///
/// ```
/// use neurax::io::safetensors;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-mapped.safetensors");
/// safetensors::save(&tensor([1.0, 2.0]), &path)?;
/// // SAFETY: this program owns the file, and replaces it by `save` only.
/// let leaves = unsafe { safetensors::load_mapped(&path)? };
/// assert_eq!(leaves[""].to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
#[allow(unsafe_code, reason = "a map is only as constant as its file, which the caller ensures")]
pub unsafe fn load_mapped(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>> {
    load_from(path.as_ref(), |file| {
        // SAFETY: the caller ensures that the file does not change.
        Ok(Elements::Mapped(unsafe { map(&file)? }))
    })
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
    let mut leaves = load_leaves(like.leaves(), path.as_ref())?.into_iter();
    Ok(like.rebuild(&mut || {
        leaves.next().unwrap_or_else(|| {
            Tensor::from_error(Error::new("load", "the tree has more leaves than it named"))
        })
    }))
}

/// Reads a tensor for each of `like`, which must have its type.
fn load_leaves(like: Vec<(String, &Tensor)>, path: &Path) -> Result<Vec<Tensor>> {
    let mut stored = load(path)?;
    let mut leaves = Vec::new();
    for (name, leaf) in like {
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
    Ok(leaves)
}

/// A leaf that is written to a file.
pub(super) struct Stored {
    name: String,
    dtype: Dtype,
    literal: Literal,
}

impl Stored {
    /// Returns the leaf `x` in the dtype of the format; `None` if the format lacks it.
    pub(super) fn new(name: String, literal: Literal) -> Option<Stored> {
        let (_, dtype) = *DTYPES.iter().find(|(ours, _)| *ours == literal.dtype())?;
        Some(Stored { name, dtype, literal })
    }

    /// Returns a leaf of bytes, u8.
    pub(super) fn bytes(name: String, literal: Literal) -> Stored {
        Stored { name, dtype: Dtype::U8, literal }
    }
}

/// Returns the leaf `t` in the dtype of the format.
///
/// # Errors
/// When the leaf carries an error or the format lacks its dtype.
fn stored(name: String, t: &Tensor) -> Result<Stored> {
    let literal = t.to_literal()?;
    let what = format!("{} is {}", leaf_name(&name), literal.ty());
    Stored::new(name, literal).ok_or_else(|| {
        let why = "which safetensors files cannot hold; convert it first, e.g. with `.to(F32)`, \
                   or use `io::serialize`";
        Error::new("save", format!("{what}, {why}"))
    })
}

/// Returns the bytes of a file that holds the leaves.
///
/// # Errors
/// As [`save`].
pub(super) fn encode(leaves: Vec<Stored>, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let leaves = sorted(leaves);
    let header = header_of(&leaves, metadata)?;
    let mut bytes = Vec::new();
    write(&mut bytes, &header, &leaves)?;
    Ok(bytes)
}

/// Returns the tensors and the metadata of the bytes of a file.
///
/// # Errors
/// As [`load`].
pub(super) fn decode(bytes: &[u8]) -> Result<(BTreeMap<String, Tensor>, BTreeMap<String, String>)> {
    let (entries, metadata) = header::read_all(&mut &bytes[..], bytes.len() as u64)?;
    let mut elements = Elements::Copied(Cursor::new(bytes));
    let tensors = entries.into_iter().map(|entry| tensor(&mut elements, entry));
    Ok((tensors.collect::<Result<_>>()?, metadata))
}

/// Sorts the widest elements to the front: each tensor then starts at a multiple of its element
/// size and can be mapped without a copy.
fn sorted(mut leaves: Vec<Stored>) -> Vec<Stored> {
    leaves.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
    leaves
}

/// Returns the header's JSON, padded with spaces to a multiple of 8 bytes.
///
/// # Errors
/// When [`load`] would not read the header.
fn header_of(leaves: &[Stored], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    if leaves.len() > MAX_TENSORS {
        let why = format!("expected at most {MAX_TENSORS} leaves, got {}", leaves.len());
        return Err(Error::new("save", why));
    }
    let (mut header, mut at) = (Map::new(), 0);
    let failed = |e: serde_json::Error| Error::new("save", e.to_string());
    if !metadata.is_empty() {
        header.insert(METADATA.into(), serde_json::to_value(metadata).map_err(failed)?);
    }
    for Stored { name, dtype, literal } in leaves {
        if name == METADATA {
            let why = format!("a leaf is called `{METADATA}`, which safetensors files reserve");
            return Err(Error::new("save", why));
        }
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
    if text.len() as u64 > MAX_HEADER_BYTES {
        let why = format!(
            "the names and types take {} bytes, at most {MAX_HEADER_BYTES} fit into \
                           a safetensors file; use shorter names or several files",
            text.len()
        );
        return Err(Error::new("save", why));
    }
    Ok(text)
}

fn write(file: impl Write, header: &[u8], leaves: &[Stored]) -> std::io::Result<()> {
    let mut file = BufWriter::new(file);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header)?;
    for leaf in leaves {
        file.write_all(&little_endian(leaf.literal.bytes(), leaf.literal.dtype()))?;
    }
    file.flush()
}

/// The source of the elements of tensors.
enum Elements<F> {
    /// Copied from this file.
    Copied(F),
    /// Borrowed from a mapped file.
    Mapped(FileBytes),
}

/// Reads the header of a file and returns its tensors, with the elements that `elements` opens.
fn load_from(
    path: &Path,
    elements: fn(File) -> Result<Elements<File>>,
) -> Result<BTreeMap<String, Tensor>> {
    let load = || -> Result<BTreeMap<String, Tensor>> {
        let mut file = open_file(path)?;
        let size = file.metadata()?.len();
        let entries = header::read(&mut file, size)?;
        let mut elements = elements(file)?;
        entries.into_iter().map(|entry| tensor(&mut elements, entry)).collect()
    };
    load().map_err(|e| in_file("load", path, e.message()))
}

/// Returns the name and the value of a tensor.
fn tensor(
    elements: &mut Elements<impl Read + Seek>,
    entry: TensorEntry,
) -> Result<(String, Tensor)> {
    let TensorEntry { name, ty, bytes } = entry;
    let bytes = elements.bytes(bytes, ty.dtype, &leaf_name(&name))?;
    Ok((name, Tensor::from(Literal::new(ty, bytes)?)))
}

impl<F: Read + Seek> Elements<F> {
    /// Returns the bytes in `range` of the file as elements of `dtype`, in the byte order of this
    /// machine. `name` is the [`leaf_name`] of the tensor.
    fn bytes(&mut self, range: Range<usize>, dtype: DType, name: &str) -> Result<Bytes> {
        let bytes = match self {
            Elements::Copied(file) => read_bytes(file, range, name)?,
            Elements::Mapped(file) => Bytes::borrowed(file.clone(), range)
                .ok_or_else(|| malformed(format!("{name} lies outside of the file")))?,
        };
        let bytes = match little_endian(&bytes, dtype) {
            Cow::Borrowed(_) => bytes,
            Cow::Owned(swapped) => Bytes::copy_of(&swapped),
        };
        if dtype == DType::Bool && bytes.iter().any(|&b| b > 1) {
            return Err(malformed(format!("{name} is bool, but holds other bytes than 0 and 1")));
        }
        Ok(bytes)
    }
}

/// Reads the bytes in `range` of a file, which is larger.
fn read_bytes(file: &mut (impl Read + Seek), range: Range<usize>, name: &str) -> Result<Bytes> {
    let mut bytes = Bytes::try_recycled(range.len())?;
    let to = bytes.get_mut().or_bug("new memory has one owner")?;
    let read = file.seek(SeekFrom::Start(range.start as u64)).and_then(|_| file.read_exact(to));
    read.map_err(|e| malformed(format!("{name}: {e}; did the file change while it was read?")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
