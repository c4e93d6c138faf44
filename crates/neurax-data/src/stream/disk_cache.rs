//! `cache_to`: the items of the first epoch, kept in files.
//!
//! A cache is a folder of two files. `items-*.bin` has the items one behind the other, each in the
//! format of [`serialize`]. `index.json` is written last, by renaming, so that an interrupted run
//! leaves no cache: it has the fingerprint, the name of the file of the items, the offset of the
//! end of each item, and the CRC-32 of each item, which is compared when the item is read.
//!
//! A file of items is never changed after it was named in an index: another process, or another
//! stream of this one, may read it. What replaces it has another name. A process that is ended
//! while it writes leaves a file that no index names, and that may be removed.

use super::cache::below;
use super::core::{IndexedItems, Stream};
use crate::json_file::{read_json, unique_text, write_json};
use crate::kept::Kept;
use crate::stacking::check_structure;
use flate2::Crc;
use neurax_tensor::io::{deserialize, open_file, serialize};
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

impl<T: Tree> Stream<T> {
    /// Returns the items of epoch 0 for every epoch, kept in files of the folder `dir`, which is
    /// created: for items that are expensive to compute and do not fit into memory. The result has
    /// random access.
    ///
    /// `fingerprint` says how the items were made: its change, e.g. from `"32x32 v1"` to `"64x64
    /// v1"`, makes the cache again. The whole epoch is written when the first item is used; put a
    /// [`Stream::prefetch`] before `cache_to` to compute it in parallel. A later run reads the
    /// files, and computes only item 0. Several processes may use one folder: one that makes the
    /// cache again does not change the files that others read.
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
    let name = format!("items-{}.bin", unique_text());
    let path = dir.join(&name);
    let written = write_items(stream, &path).and_then(|(ends, checksums, first)| {
        let index = CacheIndex { fingerprint: fingerprint.into(), items: name, ends, checksums };
        write_json(&dir.join(INDEX_FILE), CACHE_KIND, &index)?;
        Ok((index, first))
    });
    if written.is_err() {
        // No index names the file. The error that is returned is that of writing.
        let _ = fs::remove_file(&path);
    }
    written
}

/// Writes all items of epoch 0 to a new file. Returns the end and the checksum of each, and the
/// first item.
fn write_items<T: Tree>(
    stream: &Stream<T>,
    path: &Path,
) -> Result<(Vec<u64>, Vec<u32>, Option<T>)> {
    let mut file = BufWriter::new(File::create_new(path).map_err(|e| failed(path, e))?);
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
mod tests {
    use super::*;
    use neurax_tensor::{Static, Tensor, key};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Returns an empty folder, the path of a test.
    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("neurax-cache-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    /// Returns items of different sizes, and the number of them that were computed.
    fn items() -> (Stream<(Tensor, Tensor)>, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let items = Stream::range(0..6).map(move |i| {
            counter.fetch_add(1, Ordering::Relaxed);
            (Tensor::arange(i), neurax_tensor::tensor(i as i32))
        });
        (items, count)
    }

    fn targets(stream: &Stream<(Tensor, Tensor)>) -> Vec<f64> {
        stream.epoch(0).map(|item| item.unwrap().1.item().unwrap()).collect()
    }

    /// Returns the path of the file with the items of a cache.
    fn items_path(dir: &Path) -> PathBuf {
        dir.join(read_index(dir).unwrap().unwrap().items)
    }

    #[test]
    fn a_later_run_reads_the_files() {
        let dir = folder("runs");
        let (stream, count) = items();
        for run in 1..4 {
            let cached = stream.cache_to(&dir, "v1");
            assert_eq!(targets(&cached), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
            assert_eq!(targets(&cached.shuffle(key(0)).prefetch(2)).len(), 6);
            let (x, _) = cached.epoch_from(0, 3).next().unwrap().unwrap();
            assert_eq!(x.to_vec::<i32>().unwrap(), [0, 1, 2]);
            assert_eq!(count.load(Ordering::Relaxed), 5 + run, "the first item, of every run");
        }
        assert_eq!(targets(&stream.cache_to(&dir, "v2")).len(), 6);
        assert_eq!(count.load(Ordering::Relaxed), 5 + 3 + 6, "another fingerprint");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn changed_files_are_errors_that_name_the_item() {
        let dir = folder("changed");
        let (stream, _) = items();
        targets(&stream.cache_to(&dir, "v1"));
        let path = items_path(&dir);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = stream.cache_to(&dir, "v1").epoch(0).last().unwrap().unwrap_err().to_string();
        assert!(error.contains(".bin: item 5: the bytes were changed"), "{error}");
        fs::write(&path, &whole[1..]).unwrap();
        let error = stream.cache_to(&dir, "v1").epoch(0).last().unwrap().unwrap_err().to_string();
        assert!(error.contains("bytes, got"), "{error}");
        fs::write(dir.join(INDEX_FILE), "{}").unwrap();
        let error = stream.cache_to(&dir, "v1").epoch(0).last().unwrap().unwrap_err().to_string();
        assert!(error.contains("index.json: expected a stream cache"), "{error}");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn items_of_other_tensors_are_errors() {
        let dir = folder("structure");
        let uneven = Stream::range(1..4).map(|n| vec![neurax_tensor::tensor(1.0); n % 3 + 1]);
        for stream in [uneven.clone(), uneven.skip(1)] {
            let error = stream.cache_to(&dir, "v1").epoch(0).next().unwrap().unwrap_err();
            assert!(error.message().contains("item 1: expected the tensors 0, 1"), "{error}");
            assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "no file is left");
        }
        // The source changed, but not the fingerprint.
        let items = |n| Stream::range(0..2).map(move |_| vec![neurax_tensor::tensor(1.0); n]);
        assert_eq!(items(2).cache_to(&dir, "v1").epoch(0).filter(Result::is_ok).count(), 2);
        let error = items(1).cache_to(&dir, "v1").epoch(0).next().unwrap().unwrap_err();
        assert!(error.message().contains("item 0: expected no tensor at `1`"), "{error}");
        let error = items(1).take(0).cache_to(&dir, "v1").epoch(0).next().unwrap().unwrap_err();
        assert!(error.message().contains("with the 2 items of the cache, got none"), "{error}");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn items_of_other_static_values_are_errors() {
        let dir = folder("static");
        let items = |last: &'static str| {
            let names = move |i: usize| if i == 3 { last } else { "cat" };
            Stream::range(0..4).map(move |i| (neurax_tensor::tensor(i as i32), Static(names(i))))
        };
        let error = items("dog").cache_to(&dir, "v1").epoch(0).next().unwrap().unwrap_err();
        let want = "item 3: expected the static value `1.static` to be that of the first item";
        assert!(error.message().contains(want), "{error}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "no file is left");
        for _ in 0..2 {
            let cached = items("cat").cache_to(&dir, "v1");
            let last = cached.epoch_from(0, 3).next().unwrap().unwrap();
            assert_eq!((last.0.item().unwrap(), *last.1), (3.0, "cat"));
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn an_empty_stream_is_an_empty_cache() {
        let dir = folder("empty");
        let nothing = Stream::range(0..0).map(|_| neurax_tensor::tensor(1.0));
        for _ in 0..2 {
            assert_eq!(nothing.cache_to(&dir, "v1").epoch(0).count(), 0);
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_cache_that_is_made_again_does_not_change_what_others_read() {
        let dir = folder("shared");
        let (stream, _) = items();
        let cached = stream.cache_to(&dir, "v1");
        let mut reader = cached.epoch(0);
        assert!(reader.next().unwrap().is_ok());
        let old = items_path(&dir);
        let other = stream.map(|(x, y)| (x, y + 10)).cache_to(&dir, "v2");
        assert_eq!(targets(&other), [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]);
        assert_ne!(items_path(&dir), old);
        let rest: Vec<f64> = reader.map(|item| item.unwrap().1.item().unwrap()).collect();
        assert_eq!(rest, [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "the old items are removed");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn an_index_names_no_file_outside_of_its_folder() {
        let dir = folder("outside");
        fs::create_dir_all(&dir).unwrap();
        for items in ["../items.bin", "/etc/passwd", "", ".."] {
            let (ends, checksums) = (vec![], vec![]);
            let index =
                CacheIndex { fingerprint: "v1".into(), items: items.into(), ends, checksums };
            write_json(&dir.join(INDEX_FILE), CACHE_KIND, &index).unwrap();
            let (stream, _) = self::items();
            let error = stream.cache_to(&dir, "v1").epoch(0).next().unwrap().unwrap_err();
            assert!(error.message().contains("expected the name of a file"), "{error}");
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn an_interrupted_run_leaves_no_cache() {
        let dir = folder("interrupted");
        let (stream, _) = items();
        let broken = stream.try_map(|(x, y)| match y.item()? {
            4.0 => Err(Error::new("decode", "broken")),
            _ => Ok((x, y)),
        });
        assert!(broken.cache_to(&dir, "v1").epoch(0).next().unwrap().is_err());
        assert!(!dir.join(INDEX_FILE).exists());
        assert_eq!(targets(&stream.cache_to(&dir, "v1")).len(), 6);
        fs::remove_dir_all(dir).unwrap();
    }
}
