//! `cache_to`: the items of the first epoch, kept in files.
//!
//! A cache is a folder of two files. `neurax-items-*.bin` has the items one behind the other, each
//! in the format of [`serialize`]. `index.json` is written last, by renaming, so that an
//! interrupted run leaves no cache: it has the fingerprint, the name of the file of the items, the
//! offset of the end of each item, and the CRC-32 of each item, which is compared when the item is
//! read.
//!
//! A file of items is never changed after it was named in an index: another process, or another
//! stream of this one, may read it. What replaces it has another name. A file is locked from its
//! creation until an index names it. A process that is ended while it writes leaves a file that is
//! not locked and that no index names: the next writer removes it.

use super::cache::below;
use super::core::{IndexedItems, Stream};
use crate::json_file::{read_json, unique_text, write_json};
use crate::kept::Kept;
use crate::stacking::check_structure;
use flate2::Crc;
use neurax_tensor::io::{create_locked, deserialize, open_file, remove_unlocked, serialize};
use neurax_tensor::tree::TreeStructure;
use neurax_tensor::{Error, Result, Tree};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The kind of the file with the index.
const CACHE_KIND: &str = "stream cache";

const INDEX_FILE: &str = "index.json";

/// The start and the end of the names of files of items.
const ITEMS_START: &str = "neurax-items-";
const ITEMS_END: &str = ".bin";

impl<T: Tree> Stream<T> {
    /// Returns the items of epoch 0 for every epoch, kept in files of the folder `dir`, which is
    /// created: for items that are expensive to compute and do not fit into memory. The result has
    /// random access.
    ///
    /// `fingerprint` says how the items were made: its change, e.g. from `"32x32 v1"` to `"64x64
    /// v1"`, makes the cache again. The whole epoch is written when the first item is used; put a
    /// [`Stream::prefetch`] before `cache_to` to compute it in parallel. A later run reads the
    /// files, and computes only item 0. Several processes may use one folder: one that makes the
    /// cache again does not change the files that others read, and removes `neurax-items-*.bin` of
    /// the folder that a killed process left.
    ///
    /// Static values are not written: all items must have the same, and a later run takes those of
    /// item 0. What differs from item to item belongs into tensors.
    ///
    /// # Errors
    /// The first item is an error if the files cannot be written or read, or were changed, or if
    /// the items differ in the paths of their tensors or in static values; the message has the item
    /// that differs from item 0. An item whose bytes were changed is an error that names the file.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let dir = std::env::temp_dir().join(format!("neurax-doc-cache-{}", std::process::id()));
    /// let squares = data::Stream::range(0..5).map(|i| tensor((i * i) as f32));
    /// let cached = squares.cache_to(&dir, "squares 1");
    /// assert_eq!(cached.epoch_from(0, 4).next().unwrap()?.item()?, 16.0);
    /// assert!(dir.join("index.json").exists());
    /// # std::fs::remove_dir_all(&dir)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn cache_to(&self, dir: impl Into<PathBuf>, fingerprint: impl Into<String>) -> Stream<T> {
        let (inner, dir, fingerprint) = (self.clone(), dir.into(), fingerprint.into());
        let kept: Kept<DiskCache<T>> = Kept::default();
        let (counted, shared) = (self.clone(), kept.clone());
        let len = move || shared.read().map(|cache| cache.index.ends.len()).or(counted.len());
        let open = move |_| {
            let cache = kept.get(|| DiskCache::open_or_write(&inner, &dir, &fingerprint))?;
            let len = cache.index.ends.len();
            Ok(IndexedItems { len, at: Arc::new(move |i| cache.item(i)) })
        };
        Stream::indexed(len, open)
    }
}

/// A complete cache.
struct DiskCache<T> {
    path: PathBuf,
    items: Mutex<File>,
    index: CacheIndex,
    /// Item 0, whose structure all have; `None` if there are no items.
    like: Option<T>,
}

/// The contents of `index.json`.
#[derive(Serialize, Deserialize)]
struct CacheIndex {
    fingerprint: String,
    /// The name of the file with the items, in the folder of the index.
    items: String,
    /// The offset in the file behind each item.
    ends: Vec<u64>,
    /// The CRC-32 of the bytes of each item.
    checksums: Vec<u32>,
}

impl<T: Tree> DiskCache<T> {
    /// Opens the cache in `dir`, or writes it if there is none with this fingerprint.
    fn open_or_write(stream: &Stream<T>, dir: &Path, fingerprint: &str) -> Result<DiskCache<T>> {
        let (index, like) = match read_index(dir)? {
            Some(index) if index.fingerprint == fingerprint => {
                let like = stream.epoch(0).next().transpose()?;
                if like.is_none() && !index.ends.is_empty() {
                    let why = format!(
                        "expected a stream with the {} items of the cache, got none; change the \
                         fingerprint, or remove the folder",
                        index.ends.len()
                    );
                    return Err(failed(dir, why));
                }
                (index, like)
            }
            old => {
                let written = write_cache(stream, dir, fingerprint)?;
                if let Some(old) = old {
                    // A reader of the old items has opened them, or fails and may try again.
                    let _ = fs::remove_file(dir.join(old.items));
                }
                written
            }
        };
        let path = dir.join(&index.items);
        let items = open_file(&path).map_err(|e| failed(&path, e))?;
        let (size, want) = (items.metadata()?.len(), index.ends.last().copied().unwrap_or(0));
        if size != want {
            let why = format!("expected {want} bytes, got {size}; remove the folder to write it");
            return Err(failed(&path, why));
        }
        Ok(DiskCache { path, items: Mutex::new(items), index, like })
    }

    /// Reads an item.
    fn item(&self, i: usize) -> Result<T> {
        let CacheIndex { ends, checksums, .. } = &self.index;
        let (Some(&end), Some(&checksum), Some(like)) = (ends.get(i), checksums.get(i), &self.like)
        else {
            return Err(below(ends.len(), i));
        };
        let start = i.checked_sub(1).and_then(|i| ends.get(i)).copied().unwrap_or(0);
        let wrong = |why: String| failed(&self.path, format!("item {i}: {why}"));
        let bytes = self.bytes(start, end).map_err(|e| wrong(e.to_string()))?;
        if checksum_of(&bytes) != checksum {
            return Err(wrong("the bytes were changed; remove the folder to write it".into()));
        }
        let mut leaves = deserialize(&bytes).map_err(|e| wrong(e.message().into()))?;
        let paths = like.leaves().into_iter().map(|(path, _)| {
            let missing = || wrong(format!("expected a tensor at `{path}`, as in item 0"));
            leaves.remove(&path).ok_or_else(missing)
        });
        let tree = like.with_leaves(paths.collect::<Result<Vec<_>>>()?);
        match leaves.keys().next() {
            None => Ok(tree),
            Some(path) => {
                Err(wrong(format!("expected no tensor at `{path}`, as in item 0, got one")))
            }
        }
    }

    fn bytes(&self, start: u64, end: u64) -> std::io::Result<Vec<u8>> {
        let mut file = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(start))?;
        let (mut bytes, size) = (Vec::new(), end.saturating_sub(start));
        let read = (&mut *file).take(size).read_to_end(&mut bytes)?;
        match read as u64 == size {
            true => Ok(bytes),
            false => Err(std::io::Error::other(format!("expected {size} bytes, got {read}"))),
        }
    }
}

/// Reads the index of a cache; `None` if there is none.
fn read_index(dir: &Path) -> Result<Option<CacheIndex>> {
    let path = dir.join(INDEX_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let index: CacheIndex = read_json(&path, CACHE_KIND)
        .map_err(|e| Error::new("cache_to", format!("{}; remove the folder", e.message())))?;
    if !index.ends.is_sorted() || index.ends.len() != index.checksums.len() {
        return Err(failed(&path, "expected ascending offsets with a checksum each"));
    }
    if Path::new(&index.items).file_name() != Some(index.items.as_ref()) {
        let why = format!("expected the name of a file in the folder, got `{}`", index.items);
        return Err(failed(&path, why));
    }
    Ok(Some(index))
}

/// Writes all items of epoch 0. Returns the index and the first item.
fn write_cache<T: Tree>(
    stream: &Stream<T>,
    dir: &Path,
    fingerprint: &str,
) -> Result<(CacheIndex, Option<T>)> {
    fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    remove_leftovers(dir);
    let name = || format!("{ITEMS_START}{}{ITEMS_END}", unique_text());
    let (name, file) = create_locked(dir, name).map_err(|e| failed(dir, e))?;
    let path = dir.join(&name);
    let written = write_items(stream, &path, &file).and_then(|(ends, checksums, first)| {
        let index = CacheIndex { fingerprint: fingerprint.into(), items: name, ends, checksums };
        write_json(&dir.join(INDEX_FILE), CACHE_KIND, &index)?;
        Ok((index, first))
    });
    // The lock ends when the index is there.
    drop(file);
    if written.is_err() {
        // No index names the file. The error that is returned is that of writing.
        let _ = fs::remove_file(&path);
    }
    written
}

/// Removes the files of items in `dir` that no index names and no process writes, i.e. locks. A
/// failure is ignored, as a file takes space only.
fn remove_leftovers(dir: &Path) {
    let Ok(files) = fs::read_dir(dir) else { return };
    for file in files.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let is_file = file.file_type().is_ok_and(|t| t.is_file());
        if is_file && name.starts_with(ITEMS_START) && name.ends_with(ITEMS_END) {
            // The index is read when the file is locked: its writer may just have named it.
            let is_unused = || read_index(dir).is_ok_and(|i| i.is_none_or(|i| i.items != name));
            let _ = remove_unlocked(&file.path(), is_unused);
        }
    }
}

/// Writes all items of epoch 0 to `file`, which is empty. Returns the end and the checksum of each,
/// and the first item.
fn write_items<T: Tree>(
    stream: &Stream<T>,
    path: &Path,
    file: &File,
) -> Result<(Vec<u64>, Vec<u32>, Option<T>)> {
    let mut file = BufWriter::new(file);
    let (mut ends, mut checksums, mut end) = (vec![], vec![], 0);
    let mut first: Option<(T, TreeStructure)> = None;
    for (i, item) in stream.epoch(0).enumerate() {
        let item = item?;
        if let Some((_, structure)) = &first {
            let named = |why| failed(path, format!("item {i}: {why}"));
            check_structure(structure, &item).map_err(named)?;
        }
        let bytes = serialize(&item)?;
        file.write_all(&bytes).map_err(|e| failed(path, e))?;
        end += bytes.len() as u64;
        ends.push(end);
        checksums.push(checksum_of(&bytes));
        first = first.or_else(|| {
            let structure = TreeStructure::of(&item);
            Some((item, structure))
        });
    }
    let file = file.into_inner().map_err(|e| failed(path, e.into_error()))?;
    file.sync_all().map_err(|e| failed(path, e))?;
    Ok((ends, checksums, first.map(|(item, _)| item)))
}

fn checksum_of(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn failed(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new("cache_to", format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests;
