//! Tests of `cache_to`.

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
fn what_killed_writers_left_is_removed_by_the_next_one() {
    let dir = folder("leftovers");
    let (stream, _) = items();
    targets(&stream.cache_to(&dir, "v1"));
    let named = items_path(&dir);
    let file = |name: &str| dir.join(name);
    for name in ["neurax-items-1-2-3.bin", "items-2024.bin", "items-notes.txt"] {
        fs::write(file(name), "a part").unwrap();
    }
    let (written, lock) = create_locked(&dir, || "neurax-items-4-5-6.bin".to_string()).unwrap();
    // A reader removes nothing, and neither does a failed writer what the index names.
    assert_eq!(targets(&stream.cache_to(&dir, "v1")).len(), 6);
    assert!(file("neurax-items-1-2-3.bin").exists());
    let broken = stream.try_map(|_| Err::<Tensor, _>(Error::new("decode", "broken")));
    assert!(broken.cache_to(&dir, "v2").epoch(0).next().unwrap().is_err());
    assert!(!file("neurax-items-1-2-3.bin").exists() && named.exists());
    targets(&stream.cache_to(&dir, "v3"));
    assert!(!named.exists() && items_path(&dir).exists());
    assert!(file(&written).exists(), "its writer holds a lock");
    assert!(file("items-notes.txt").exists() && file("items-2024.bin").exists());
    drop(lock);
    targets(&stream.cache_to(&dir, "v4"));
    assert!(!file(&written).exists());
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn an_index_names_no_file_outside_of_its_folder() {
    let dir = folder("outside");
    fs::create_dir_all(&dir).unwrap();
    for items in ["../items.bin", "/etc/passwd", "", ".."] {
        let (ends, checksums) = (vec![], vec![]);
        let index = CacheIndex { fingerprint: "v1".into(), items: items.into(), ends, checksums };
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
