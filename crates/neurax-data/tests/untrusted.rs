//! Files with random changes are read, or are errors; none panics or takes much memory.

use flate2::{Compression, write::GzEncoder};
use neurax::data::{self, EmptyCells};
use neurax::io::{npy, npz, safetensors};
use neurax::prelude::*;
use neurax_tensor::ir::rng::Rng;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The number of changed files for each reader.
const FILES: u64 = 400;

/// Writes files that differ from `bytes` at random, and reads each.
fn read_changed(name: &str, bytes: &[u8], read: impl Fn(&Path) -> Result<()>) {
    let path = path(name);
    std::fs::write(&path, bytes).unwrap();
    read(&path).unwrap();
    for seed in 0..FILES {
        let mut rng = Rng::new(seed);
        let mut changed = bytes.to_vec();
        for _ in 0..rng.between(1, 4) {
            let at = rng.below(changed.len());
            match rng.below(4) {
                0 => changed.truncate(at.max(1)),
                1 => changed.insert(at, rng.pick(b"0,\"\n{[(\xff")),
                2 => changed[at] = rng.bits() as u8,
                _ => drop(changed.remove(at)),
            }
            if changed.is_empty() {
                changed.push(b' ');
            }
        }
        std::fs::write(&path, &changed).unwrap();
        if let Err(e) = read(&path) {
            assert!(!e.message().contains("panicked"), "{name}, seed {seed}: {e}");
            assert!(e.message().contains(path.to_str().unwrap()), "{name}, seed {seed}: {e}");
        }
    }
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("neurax-untrusted-{}-{name}", std::process::id()))
}

/// Reads all items of an epoch.
fn all<T: Send + 'static>(stream: data::Stream<T>) -> Result<()> {
    stream.epoch(0).try_for_each(|item| item.map(drop))
}

#[test]
fn csv_files() {
    let text = b"a,b,k,y\n1,2.5,red,0\n-3e5,,blue,1\n7,\"8\",red,0\n";
    read_changed("csv", text, |path| {
        let file = data::csv(path).categories(["k"]).empty(EmptyCells::Mean).classes("y");
        file.read().map(drop)?;
        all(file.stream(2).prefetch(2))
    });
}

#[test]
fn json_lines() {
    let text = b"{\"x\": [[1, 2], [3, 4]], \"y\": true}\n{\"x\": [[5, 6], [7, 8]], \"y\": 0.5}\n";
    read_changed("jsonl", text, |path| all(data::json_tensors(path, ["x", "y"])));
}

#[test]
fn text_lines() {
    read_changed("txt", "one\ntwö\r\nthree".as_bytes(), |path| all(data::text_lines(path)));
}

#[test]
fn rows_of_arrays() {
    let bytes = npy::to_bytes(&Tensor::arange(12).reshape([4, 3])).unwrap();
    read_changed("npy", &bytes, |path| all(data::npy_rows(path)?));
}

#[test]
fn rows_of_archives_and_of_safetensors() {
    let x = Tensor::arange(12).reshape([4, 3]);
    let path = path("whole");
    let saved = || std::fs::read(&path).unwrap();
    npz::save(&x, &path).unwrap();
    read_changed("npz", &saved(), |path| all(data::npz_rows(path, "arr_0")?));
    npz::save_compressed(&x, &path).unwrap();
    read_changed("z.npz", &saved(), |path| all(data::npz_rows(path, "arr_0")?));
    safetensors::save(&x, &path).unwrap();
    read_changed("safetensors", &saved(), |path| all(data::safetensors_rows(path, "")?));
}

#[test]
fn rows_of_idx_and_records_of_cifar() {
    let bytes = [&[0, 0, 8, 2, 0, 0, 0, 4, 0, 0, 0, 3][..], &[7; 12]].concat();
    read_changed("idx", &bytes, |path| all(data::idx_rows(path)?));
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(&bytes).unwrap();
    read_changed("idx.gz", &zipped.finish().unwrap(), |path| all(data::idx_rows(path)?));
    let folder = path("cifar-folder");
    std::fs::create_dir_all(&folder).unwrap();
    let record = [5; 3074];
    std::fs::write(folder.join("train.bin"), record).unwrap();
    let test = folder.join("test.bin");
    read_changed("cifar", &record.repeat(2), |path| {
        std::fs::copy(path, &test).unwrap();
        let read = data::cifar100_stream(&folder).and_then(|cifar| all(cifar.test));
        read.map_err(|e| Error::new("cifar", format!("{}: {}", path.display(), e.message())))
    });
}

#[test]
fn csv_files_of_one_column() {
    read_changed("single", "\u{feff}a\r\n1\n\n\"3\"\n".as_bytes(), |path| {
        data::csv(path).empty(EmptyCells::Value(0.0)).table().map(drop)
    });
}
