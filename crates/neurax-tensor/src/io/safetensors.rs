//! Trees of tensors in safetensors files (<https://huggingface.co/docs/safetensors>): a JSON header
//! of names, types and offsets, then the elements in little-endian byte order. Dtypes that the
//! format lacks are stored as bytes, with their types in the metadata.

mod header;
mod leaf_types;

use super::{
    elements::{literal, little_endian},
    in_file, load_file,
    map::{FileBytes, map},
    open_file,
    replace::replace_file,
    rows::FileRows,
};
use crate::{Tensor, Tree};
use header::{
    MAX_HEADER_BYTES, MAX_TENSORS, METADATA, TensorEntry, format_dtype, leaf_name, malformed,
};
use leaf_types::{restore_leaf_types, with_leaf_types};
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
/// Every dtype is kept. The format lacks integers of less than a byte, c128 and some small floats:
/// leaves of such dtypes are stored as vectors of their bytes, which other readers see as u8, and
/// their types in the metadata, which [`load`] reads.
///
/// # Errors
/// When a leaf carries an error or is called `__metadata__`, a name that the format reserves; when
/// two leaves have one name, the header would be larger than 100 MB, or the file cannot be written.
///
/// ```
/// use neurax::io::safetensors;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-save.safetensors");
/// safetensors::save(&(tensor([1.0, 2.0]), vec![Tensor::eye(2)]), &path)?;
/// let leaves = safetensors::load(&path)?;
/// assert_eq!(leaves.keys().collect::<Vec<_>>(), ["0", "1.0"]);
///
/// safetensors::save(&tensor([3, -4]).to(I4), &path)?;
/// assert_eq!(safetensors::load(&path)?[""].to_string(), "i4[2] [ 3, -4]");
/// # Ok::<(), Error>(())
/// ```
pub fn save(tree: &impl Tree, path: impl AsRef<Path>) -> Result<()> {
    save_leaves(tree.leaves(), &BTreeMap::new(), path.as_ref())
}

/// Writes every leaf of a tree as [`save`] does, and metadata: names with strings, which
/// [`load_metadata`] returns and other readers ignore.
///
/// # Errors
/// As [`save`], and when an entry is called `neurax.types`, a name that this library reserves.
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
    let leaves = leaves.into_iter().map(|(name, t)| Ok((name, t.to_literal()?)));
    let leaves = sorted(leaves.collect::<Result<_>>()?);
    let header = header_of(&leaves, metadata)?;
    replace_file(path, |file| write(file, &header, &leaves)).map_err(|e| in_file("save", path, e))
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

/// Opens a file to read the rows of the tensor `name`, entries along axis 0, one by one: for a
/// tensor that is larger than memory. A lone tensor has the empty name.
///
/// # Errors
/// As [`load`], and when there is no such tensor, it is a scalar, or its rows do not take whole
/// bytes, such as `i4[3]`.
///
/// ```
/// use neurax::io::safetensors;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-rows.safetensors");
/// safetensors::save(&(tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([5, 6])), &path)?;
/// assert_eq!(safetensors::rows(&path, "0")?.row(1)?.to_vec::<f32>()?, [3.0, 4.0]);
/// let error = safetensors::rows(&path, "x").unwrap_err().to_string();
/// assert!(error.contains("expected one of the tensors `0`, `1`, got `x`"), "{error}");
/// # Ok::<(), Error>(())
/// ```
pub fn rows(path: impl AsRef<Path>, name: &str) -> Result<FileRows> {
    load_file(path.as_ref(), |path| {
        let mut file = open_file(path)?;
        let size = file.metadata()?.len();
        let entries = entries(&mut file, size)?;
        let TensorEntry { ty, bytes, .. } = header::find(&entries, name)?;
        let rows = FileRows::new(path, file, ty, bytes.start as u64)
            .map_err(|e| malformed(format!("{}: {}", leaf_name(name), e.message())))?;
        Ok(rows.swapped(cfg!(target_endian = "big")))
    })
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

/// Returns the bytes of a file that holds the leaves.
///
/// # Errors
/// As [`save`].
pub(super) fn encode(leaves: Vec<(String, Literal)>) -> Result<Vec<u8>> {
    let leaves = sorted(leaves);
    let header = header_of(&leaves, &BTreeMap::new())?;
    let mut bytes = Vec::new();
    write(&mut bytes, &header, &leaves)?;
    Ok(bytes)
}

/// Returns the tensors of the bytes of a file.
///
/// # Errors
/// As [`load`].
pub(super) fn decode(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let entries = entries(&mut &bytes[..], bytes.len() as u64)?;
    let mut elements = Elements::Copied(Cursor::new(bytes));
    entries.into_iter().map(|entry| tensor(&mut elements, entry)).collect()
}

/// Sorts the widest elements to the front: each tensor then starts at a multiple of its element
/// size and can be mapped without a copy.
fn sorted(mut leaves: Vec<(String, Literal)>) -> Vec<(String, Literal)> {
    // By the dtype of the format as well, so that files of one tree are equal in every version.
    let width = |x: &Literal| (x.dtype().bits(), format_dtype(x.dtype()));
    leaves.sort_by(|(a, x), (b, y)| width(y).cmp(&width(x)).then_with(|| a.cmp(b)));
    leaves
}

/// Returns the header's JSON, padded with spaces to a multiple of 8 bytes.
///
/// # Errors
/// When [`load`] would not read the header.
fn header_of(leaves: &[(String, Literal)], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    if leaves.len() > MAX_TENSORS {
        let why = format!("expected at most {MAX_TENSORS} leaves, got {}", leaves.len());
        return Err(Error::new("save", why));
    }
    let (mut header, mut at) = (Map::new(), 0);
    let failed = |e: serde_json::Error| Error::new("save", e.to_string());
    let metadata = with_leaf_types(metadata, leaves)?;
    if !metadata.is_empty() {
        header.insert(METADATA.into(), serde_json::to_value(metadata).map_err(failed)?);
    }
    for (name, literal) in leaves {
        if name == METADATA {
            let why = format!("a leaf is called `{METADATA}`, which safetensors files reserve");
            return Err(Error::new("save", why));
        }
        let (size, shape) = (literal.bytes().len(), literal.shape().to_vec());
        let end = at + size;
        let (dtype, shape) = match format_dtype(literal.dtype()) {
            Some(dtype) => (dtype, shape),
            None => (Dtype::U8, vec![size]),
        };
        let info = TensorInfo { dtype, shape, data_offsets: (at, end) };
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

fn write(file: impl Write, header: &[u8], leaves: &[(String, Literal)]) -> std::io::Result<()> {
    let mut file = BufWriter::new(file);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header)?;
    for (_, literal) in leaves {
        file.write_all(&little_endian(literal.bytes(), literal.dtype()))?;
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
        let entries = entries(&mut file, size)?;
        let mut elements = elements(file)?;
        entries.into_iter().map(|entry| tensor(&mut elements, entry)).collect()
    };
    load().map_err(|e| in_file("load", path, e.message()))
}

/// Reads the header of a file of `size` bytes, and returns the tensors with their own types.
fn entries(file: &mut impl Read, size: u64) -> Result<Vec<TensorEntry>> {
    let (mut entries, types) = header::read(file, size)?;
    if let Some(types) = types {
        restore_leaf_types(&mut entries, &types)?;
    }
    Ok(entries)
}

/// Returns the name and the value of a tensor.
fn tensor(
    elements: &mut Elements<impl Read + Seek>,
    entry: TensorEntry,
) -> Result<(String, Tensor)> {
    let TensorEntry { name, ty, bytes } = entry;
    let shown = leaf_name(&name);
    let bytes = elements.bytes(bytes, ty.dtype, &shown)?;
    let leaf = literal(ty, bytes).map_err(|e| malformed(format!("{shown}: {}", e.message())))?;
    Ok((name, Tensor::from(leaf)))
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
        Ok(match little_endian(&bytes, dtype) {
            Cow::Borrowed(_) => bytes,
            Cow::Owned(swapped) => Bytes::copy_of(&swapped),
        })
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
