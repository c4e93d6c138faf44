//! Trees of tensors in NumPy's `.npz` files, as `numpy.savez`, `numpy.savez_compressed` and
//! `numpy.load`: zip archives of `.npy` files, whose names are the paths of the leaves.

use super::rows::{FilePart, FileRows};
use super::{
    first_names, in_file, load_file, npy, npy::header::NpyHeader, open_file, replace::replace_file,
};
use crate::{Error, Result, Tensor, Tree};
use flate2::{CrcReader, read::DeflateDecoder};
use neurax_ir::{Literal, OrBug};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    ops::Range,
    path::Path,
};
use zip::{CompressionMethod, ZipArchive, ZipWriter, read::ZipFile, write::SimpleFileOptions};

/// The ending of the names of arrays in an archive.
const ENDING: &str = ".npy";

/// The name of a leaf without a path, as of the first positional argument of `numpy.savez`.
const LONE_LEAF: &str = "arr_0";

/// Arrays of at least this number of bytes get sizes of 64 bits in the archive.
const MIN_LARGE_BYTES: usize = u32::MAX as usize - (1 << 20);

/// Reads the tensors of a file and returns them by name, without the ending `.npy`. Files of the
/// archive with another ending are skipped.
///
/// # Errors
/// When the file cannot be read or is not a zip archive, or an array is malformed: the message
/// names it; see [`crate::io::npy::load`].
///
/// ```
/// use neurax::io::npz;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-load.npz");
/// npz::save(&(tensor([1.0, 2.0]), tensor(3)), &path)?;
/// let arrays = npz::load(&path)?;
/// assert_eq!(arrays.keys().collect::<Vec<_>>(), ["0", "1"]);
/// assert_eq!(arrays["1"].item()?, 3.0);
/// # Ok::<(), Error>(())
/// ```
pub fn load(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>> {
    load_file(path.as_ref(), |path| {
        let mut archive = open(path)?;
        let mut arrays = BTreeMap::new();
        for i in 0..archive.len() {
            let mut file = archive.by_index(i).map_err(|e| malformed(e.to_string()))?;
            let name = file.name().map_err(|e| malformed(e.to_string()))?.to_string();
            let Some(name) = name.strip_suffix(ENDING) else { continue };
            let array = npy::read(&mut file, None)
                .map_err(|e| malformed(format!("{name}: {}", e.message())))?;
            if arrays.insert(name.to_string(), array).is_some() {
                return Err(malformed(format!("expected one array `{name}`, got two")));
            }
        }
        Ok(arrays)
    })
}

/// Opens a file to read the rows of the array `name`, entries along axis 0, one by one: for an
/// array that is larger than memory. The rows of a file of `numpy.savez` have random access; those
/// of `numpy.savez_compressed` are decompressed in their order.
///
/// The checksum of a compressed array is compared behind its last row, that of an uncompressed
/// array is not.
///
/// # Errors
/// When the file cannot be read, is not a zip archive or has no such array; or the array is
/// malformed, a scalar, or in Fortran order, in which rows are not contiguous.
///
/// ```
/// use neurax::io::npz;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-rows.npz");
/// npz::save(&(tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([5, 6])), &path)?;
/// assert_eq!(npz::rows(&path, "0")?.row(1)?.to_vec::<f32>()?, [3.0, 4.0]);
/// let error = npz::rows(&path, "x").unwrap_err().to_string();
/// assert!(error.contains("expected one of the arrays 0, 1, got `x`"), "{error}");
/// # Ok::<(), Error>(())
/// ```
pub fn rows(path: impl AsRef<Path>, name: &str) -> Result<FileRows> {
    load_file(path.as_ref(), |path| {
        let mut archive = open(path)?;
        let named = |e: Error| malformed(format!("{name}: {}", e.message()));
        let Some(index) = archive.index_for_name(&format!("{name}{ENDING}")) else {
            return Err(missing(&archive, name));
        };
        let file = archive.by_index(index).map_err(|e| malformed(e.to_string()));
        let stored = file.and_then(|mut file| StoredArray::read(&mut file)).map_err(named)?;
        stored.rows(path, archive.into_inner().into_inner()).map_err(named)
    })
}

/// Returns a tree with the structure of `like` and the arrays of the same paths in the file.
///
/// # Errors
/// As [`load`], and when a leaf is not in the file or has another type there.
///
/// ```
/// use neurax::io::npz;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-like.npz");
/// npz::save(&(tensor([1.0, 2.0]), tensor(3)), &path)?;
/// let (x, n) = npz::load_like(&(Tensor::zeros(2), tensor(0)), &path)?;
/// assert_eq!((x.to_vec::<f32>()?, n.item()?), (vec![1.0, 2.0], 3.0));
/// # Ok::<(), Error>(())
/// ```
pub fn load_like<T: Tree>(like: &T, path: impl AsRef<Path>) -> Result<T> {
    let path = path.as_ref();
    let mut arrays = load(path)?;
    let leaves = like.leaves().into_iter().map(|(leaf, old)| {
        let (name, want) = (array_name(&leaf), old.ty()?);
        let wrong = |got: String| {
            in_file("load", path, format!("expected `{name}` to be {want}, got {got}"))
        };
        let found = arrays.remove(name).ok_or_else(|| wrong("no such array".into()))?;
        let ty = found.ty()?;
        if ty == want { Ok(found) } else { Err(wrong(ty.to_string())) }
    });
    Ok(like.with_leaves(leaves.collect::<Result<Vec<_>>>()?))
}

/// Writes every leaf of a tree under its path; a lone tensor is called `arr_0`. An existing file is
/// replaced when the new one is complete.
///
/// # Errors
/// When a leaf carries an error or is being traced; NumPy lacks its dtype; two leaves have one
/// name; or the file cannot be written.
///
/// ```
/// use neurax::io::npz;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-save.npz");
/// npz::save(&tensor([1.0, 2.0]), &path)?;
/// assert_eq!(npz::load(&path)?["arr_0"].to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn save(tree: &impl Tree, path: impl AsRef<Path>) -> Result<()> {
    save_by(CompressionMethod::Stored, tree.leaves(), path.as_ref())
}

/// Writes every leaf as [`save`] does, compressed with deflate, as `numpy.savez_compressed`.
///
/// # Errors
/// As [`save`].
///
/// ```
/// use neurax::io::npz;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-compressed.npz");
/// npz::save_compressed(&Tensor::zeros(100_000), &path)?;
/// assert!(std::fs::metadata(&path)?.len() < 4_000);
/// assert_eq!(npz::load(&path)?["arr_0"].shape(), [100_000]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn save_compressed(tree: &impl Tree, path: impl AsRef<Path>) -> Result<()> {
    save_by(CompressionMethod::Deflated, tree.leaves(), path.as_ref())
}

#[track_caller]
fn save_by(method: CompressionMethod, leaves: Vec<(String, &Tensor)>, path: &Path) -> Result<()> {
    let mut names = BTreeSet::new();
    let mut arrays = vec![];
    for (leaf, x) in leaves {
        let name = array_name(&leaf).to_string();
        let x = x.to_literal()?;
        let failed = |why: &str| in_file("save", path, format!("`{name}`: {why}"));
        let header = npy::header_of(&x).map_err(|e| failed(e.message()))?;
        if !names.insert(name.clone()) {
            return Err(failed("two leaves have this name"));
        }
        arrays.push((name, header, x));
    }
    replace_file(path, |file| write(file, method, &arrays)).map_err(|e| in_file("save", path, e))
}

/// Opens the archive.
fn open(path: &Path) -> Result<ZipArchive<BufReader<File>>> {
    ZipArchive::new(BufReader::new(open_file(path)?))
        .map_err(|e| malformed(format!("expected a .npz file, a zip archive: {e}")))
}

/// Returns the error of an archive without the array `name`, which lists those that there are.
fn missing(archive: &ZipArchive<BufReader<File>>, name: &str) -> Error {
    let names = archive.file_names().filter_map(|file| {
        let name = file.ok()?.strip_suffix(ENDING)?.to_string();
        Some(name)
    });
    malformed(format!("expected one of the arrays {}, got `{name}`", first_names(names)))
}

/// An array in an archive.
struct StoredArray {
    header: NpyHeader,
    /// The bytes of its file in the archive.
    bytes: Range<u64>,
    method: CompressionMethod,
    checksum: u32,
}

impl StoredArray {
    /// Reads the header of the array in a file of the archive, and compares it with the size.
    fn read(file: &mut ZipFile<'_, BufReader<File>>) -> Result<StoredArray> {
        let header = npy::header::read(file)?;
        let start = file.data_start().or_bug("the start of a file that is read is known")?;
        let (size, method) = (file.compressed_size(), file.compression());
        header.check_size(if method == CompressionMethod::Stored { size } else { file.size() })?;
        header.check_rows()?;
        let bytes = start..start.saturating_add(size);
        Ok(StoredArray { header, bytes, method, checksum: file.crc32() })
    }

    /// Returns the rows of the array in the file of the archive.
    fn rows(self, path: &Path, file: File) -> Result<FileRows> {
        let StoredArray { header, bytes, method, checksum } = self;
        let length = header.length as u64;
        let rows = FileRows::new(path, file, &header.ty, bytes.start.saturating_add(length))?;
        let rows = rows.swapped(header.swapped);
        match method {
            CompressionMethod::Stored => Ok(rows),
            CompressionMethod::Deflated => Ok(rows.decoded(bytes, length, move |from| {
                let bytes = CrcReader::new(DeflateDecoder::new(from));
                Box::new(CheckedBytes { bytes, checksum })
            })),
            other => {
                let why = "expected an array without compression or with deflate";
                Err(malformed(format!("{why}, got {other}")))
            }
        }
    }
}

/// Decompressed bytes, whose checksum is compared at their end.
struct CheckedBytes {
    bytes: CrcReader<DeflateDecoder<BufReader<FilePart>>>,
    checksum: u32,
}

impl Read for CheckedBytes {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.bytes.read(to)?;
        let is_end = n == 0 && !to.is_empty();
        if is_end && self.bytes.crc().sum() != self.checksum {
            return Err(io::Error::other("the bytes were changed: their checksum differs"));
        }
        Ok(n)
    }
}

/// Writes the archive.
fn write(
    file: &mut File,
    method: CompressionMethod,
    arrays: &[(String, Vec<u8>, Literal)],
) -> std::io::Result<()> {
    let mut archive = ZipWriter::new(BufWriter::new(file));
    for (name, header, x) in arrays {
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .large_file(x.bytes().len() >= MIN_LARGE_BYTES);
        archive.start_file(format!("{name}{ENDING}"), options)?;
        npy::write(&mut archive, header, x)?;
    }
    archive.finish()?.flush()
}

/// Returns the name in the archive of the leaf at `path`.
fn array_name(path: &str) -> &str {
    if path.is_empty() { LONE_LEAF } else { path }
}

fn malformed(why: String) -> Error {
    Error::new("load", why)
}
