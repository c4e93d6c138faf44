//! The binary files of CIFAR-10 and CIFAR-100 (<https://www.cs.toronto.edu/~kriz/cifar.html>).
//!
//! A file is a sequence of records: one byte with the class (two in CIFAR-100: the coarse and the
//! fine class), then 3,072 bytes of pixels: 32 rows of 32 columns of red, then of green and blue.

use super::mnist::scaled;
use super::rows::row_stream;
use crate::split::Split;
use crate::stream::{Stream, StreamFold};
use crate::tuning::MAX_CIFAR_BYTES;
use crate::{Dataset, one_hot, one_hot_row};
use neurax_tensor::io::{FileRows, open_file};
use neurax_tensor::ir::OrBug;
use neurax_tensor::{DType, Error, Result, Tensor, Type};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The bytes of pixels of an image.
const IMAGE_BYTES: usize = 3 * 32 * 32;

/// The variants of the data set.
#[derive(Clone, Copy)]
struct Variant {
    name: &'static str,
    /// The bytes in front of the pixels; the last one is the class.
    label_bytes: usize,
    classes: usize,
    /// The names of the files to train on.
    train: &'static [&'static str],
    /// The name of the file to test on.
    test: &'static str,
}

const CIFAR10: Variant = Variant {
    name: "cifar10",
    label_bytes: 1,
    classes: 10,
    train: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    test: "test_batch.bin",
};
const CIFAR100: Variant = Variant {
    name: "cifar100",
    label_bytes: 2,
    classes: 100,
    train: &["train.bin"],
    test: "test.bin",
};

/// Reads CIFAR-10 from `folder`, the unpacked `cifar-10-binary.tar.gz`: `data_batch_1.bin` to
/// `data_batch_5.bin`, and `test_batch.bin` to test on.
///
/// The images are f32[n, 3, 32, 32] in 0..=1 (red, green, blue), the labels one-hot f32[n, 10]. The
/// 50,000 images to train on take 614 MB.
///
/// # Errors
/// If a file is missing, its size is not that of whole records, or a class is out of range: the
/// message has the offset of the byte.
///
/// ```no_run
/// use neurax::prelude::*;
/// let cifar = data::cifar10("data/cifar-10-batches-bin")?;
/// println!("{} images to train on", cifar.train.len());
/// # Ok::<(), Error>(())
/// ```
pub fn cifar10(folder: impl AsRef<Path>) -> Result<Split> {
    read(CIFAR10, folder.as_ref())
}

/// Returns the examples of CIFAR-10 one by one, with random access: the image, f32[3, 32, 32] in
/// 0..=1, and its label, one-hot f32\[10\]. An image is read when it is used, so that the files may
/// be larger than memory; otherwise as [`cifar10`].
///
/// # Errors
/// As [`cifar10`]; a class that is out of range is an error of its item.
///
/// ```no_run
/// use neurax::prelude::*;
/// let cifar = data::cifar10_stream("data/cifar-10-batches-bin")?;
/// let batches = cifar.train.shuffle(key(0)).batch(32).prefetch(2);
/// # Ok::<(), Error>(())
/// ```
pub fn cifar10_stream(folder: impl AsRef<Path>) -> Result<StreamFold<(Tensor, Tensor)>> {
    stream(CIFAR10, folder.as_ref())
}

/// Reads CIFAR-100 from `folder`, the unpacked `cifar-100-binary.tar.gz`: `train.bin` and
/// `test.bin`. The classes are the 100 fine ones; otherwise as [`cifar10`].
///
/// # Errors
/// As [`cifar10`].
///
/// ```no_run
/// use neurax::prelude::*;
/// let cifar = data::cifar100("data/cifar-100-binary")?;
/// assert_eq!(cifar.train.y.shape(), [50_000, 100]);
/// # Ok::<(), Error>(())
/// ```
pub fn cifar100(folder: impl AsRef<Path>) -> Result<Split> {
    read(CIFAR100, folder.as_ref())
}

/// Returns the examples of CIFAR-100 one by one, as [`cifar10_stream`] does; the files and the
/// classes are those of [`cifar100`].
///
/// # Errors
/// As [`cifar10_stream`].
///
/// ```no_run
/// use neurax::prelude::*;
/// let cifar = data::cifar100_stream("data/cifar-100-binary")?;
/// assert_eq!(cifar.train.len(), Some(50_000));
/// # Ok::<(), Error>(())
/// ```
pub fn cifar100_stream(folder: impl AsRef<Path>) -> Result<StreamFold<(Tensor, Tensor)>> {
    stream(CIFAR100, folder.as_ref())
}

fn read(variant: Variant, folder: &Path) -> Result<Split> {
    let mut all = Images::default();
    for name in variant.train {
        all.append(variant, &folder.join(name))?;
    }
    let mut rest = Images::default();
    rest.append(variant, &folder.join(variant.test))?;
    Ok(Split { train: all.dataset(variant)?, test: rest.dataset(variant)? })
}

fn stream(variant: Variant, folder: &Path) -> Result<StreamFold<(Tensor, Tensor)>> {
    let examples = |name: &&str| variant.examples(folder.join(name));
    let files = variant.train.iter().map(examples).collect::<Result<Vec<_>>>()?;
    let train = files.into_iter().reduce(|all, file| all.chain(&file));
    let train = train.or_bug("a variant has files to train on")?;
    Ok(StreamFold { train, test: examples(&variant.test)? })
}

impl Variant {
    /// Returns the number of bytes of a record.
    fn record_bytes(self) -> usize {
        self.label_bytes + IMAGE_BYTES
    }

    /// Returns the number of records in a file of `size` bytes.
    fn records(self, path: &Path, size: u64) -> Result<usize> {
        let record = self.record_bytes() as u64;
        if size == 0 || !size.is_multiple_of(record) {
            let why = format!("expected records of {record} bytes each, got {size} bytes");
            return Err(self.failed(path, why));
        }
        usize::try_from(size / record).map_err(|e| self.failed(path, e))
    }

    /// Returns the class and the pixels of record `i` of a file.
    fn parts<'a>(self, path: &Path, i: usize, record: &'a [u8]) -> Result<(usize, &'a [u8])> {
        let (label, pixels) = record.split_at(self.label_bytes);
        let class = label.last().copied().map_or(0, usize::from);
        if class < self.classes {
            return Ok((class, pixels));
        }
        let (at, most) = (i * record.len() + self.label_bytes - 1, self.classes - 1);
        let why = format!("byte {at}: expected a class of 0 to {most}, got {class}");
        Err(self.failed(path, why))
    }

    /// Returns the examples of a file.
    fn examples(self, path: PathBuf) -> Result<Stream<(Tensor, Tensor)>> {
        let opened = || {
            let file = open_file(&path)?;
            let size = file.metadata()?.len();
            Ok((file, size))
        };
        let (file, size) = opened().map_err(|e: std::io::Error| self.failed(&path, e))?;
        let records = [self.records(&path, size)?, self.record_bytes()];
        let rows = FileRows::new(&path, file, &Type::new(DType::U8, records), 0)?;
        Ok(row_stream(rows).map_indexed(move |i, record| {
            let record = record.to_vec::<u8>()?;
            let (class, pixels) = self.parts(&path, i, &record)?;
            let pixels = Tensor::from_vec(pixels.to_vec(), [3, 32, 32]);
            Ok((scaled(&pixels)?, one_hot_row(class, self.classes)?))
        }))
    }

    fn failed(self, path: &Path, why: impl std::fmt::Display) -> Error {
        Error::new(self.name, format!("{}: {why}", path.display()))
    }
}

/// The images of the files that were read so far.
#[derive(Default)]
struct Images {
    pixels: Vec<u8>,
    labels: Vec<usize>,
}

impl Images {
    /// Reads a file.
    fn append(&mut self, variant: Variant, path: &Path) -> Result<()> {
        let bytes = file_bytes(path).map_err(|e| variant.failed(path, e))?;
        variant.records(path, bytes.len() as u64)?;
        if self.pixels.try_reserve(bytes.len()).is_err() {
            let why = format!("not enough memory for {} bytes", bytes.len());
            return Err(variant.failed(path, why));
        }
        for (i, record) in bytes.chunks_exact(variant.record_bytes()).enumerate() {
            let (class, pixels) = variant.parts(path, i, record)?;
            self.labels.push(class);
            self.pixels.extend_from_slice(pixels);
        }
        Ok(())
    }

    fn dataset(self, variant: Variant) -> Result<Dataset> {
        let pixels = Tensor::from_vec(self.pixels, [self.labels.len(), 3, 32, 32]);
        Dataset::new(pixels.to(DType::F32) / 255.0, one_hot(self.labels, variant.classes))
    }
}

/// Reads a file whose size is that of a data set.
fn file_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = open_file(path)?;
    let size = file.metadata()?.len();
    if size > MAX_CIFAR_BYTES {
        let why = format!("expected at most {MAX_CIFAR_BYTES} bytes, got {size}");
        return Err(std::io::Error::other(why));
    }
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a record with the label bytes and pixels of one value for each color.
    fn record(label: &[u8], colors: [u8; 3]) -> Vec<u8> {
        let pixels = colors.into_iter().flat_map(|c| [c; 1024]);
        label.iter().copied().chain(pixels).collect()
    }

    fn folder(name: &str, files: &[(&str, Vec<u8>)]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("neurax-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        files.iter().for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes).unwrap());
        folder
    }

    #[test]
    fn images_have_their_colors_in_channels() {
        let test = [record(&[9], [0, 51, 255]), record(&[1], [255, 0, 0])].concat();
        let names: Vec<String> = (1..=5).map(|i| format!("data_batch_{i}.bin")).collect();
        let mut files: Vec<(&str, Vec<u8>)> =
            names.iter().enumerate().map(|(i, n)| (&n[..], record(&[i as u8], [0; 3]))).collect();
        files.push(("test_batch.bin", test));
        let set = cifar10(folder("cifar10", &files)).unwrap();
        assert_eq!(set.train.y.argmax(-1).to_vec::<i32>().unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(set.test.x.shape(), [2, 3, 32, 32]);
        let means = set.test.x.mean([2, 3]).to_vec::<f32>().unwrap();
        let want = [0.0, 0.2, 1.0, 1.0, 0.0, 0.0];
        assert!(means.iter().zip(want).all(|(x, y)| (x - y).abs() < 1e-5), "{means:?}");
    }

    #[test]
    fn a_stream_has_the_examples_of_the_set() {
        let mut files: Vec<(&str, Vec<u8>)> =
            CIFAR10.train.iter().map(|&n| (n, record(&[n.len() as u8 % 10], [1, 2, 3]))).collect();
        let test = (0..3).flat_map(|i| record(&[i], [i * 50, 7, 255 - i]));
        files.push(("test_batch.bin", test.collect()));
        let path = folder("cifar10stream", &files);
        let (set, streams) = (cifar10(&path).unwrap(), cifar10_stream(&path).unwrap());
        for (set, stream) in [(set.train, streams.train), (set.test, streams.test)] {
            assert_eq!((stream.len(), stream.has_random_access()), (Some(set.len()), true));
            let batch = stream.batch(10).epoch(0).next().unwrap().unwrap();
            for (have, want) in [(batch.x, set.x), (batch.y, set.y)] {
                assert_eq!(have.to_literal().unwrap(), want.to_literal().unwrap());
            }
        }
    }

    #[test]
    fn the_fine_class_is_the_second_byte() {
        let files =
            [("train.bin", record(&[3, 42], [0; 3])), ("test.bin", record(&[200, 99], [0; 3]))];
        let set = cifar100(folder("cifar100", &files)).unwrap();
        assert_eq!(set.train.y.argmax(-1).to_vec::<i32>().unwrap(), [42]);
        assert_eq!(set.test.y.argmax(-1).to_vec::<i32>().unwrap(), [99]);
    }

    #[test]
    fn malformed_files_are_errors_with_the_byte() {
        let good = record(&[0, 0], [0; 3]);
        let bad = [good.clone(), record(&[0, 100], [0; 3])].concat();
        let path = folder("cifarbad", &[("train.bin", good.clone()), ("test.bin", bad)]);
        let error = cifar100(&path).unwrap_err().to_string();
        assert!(error.ends_with("byte 3075: expected a class of 0 to 99, got 100"), "{error}");
        let late = cifar100_stream(&path).unwrap().test.epoch(0).last().unwrap().unwrap_err();
        let why = "test.bin: byte 3075: expected a class of 0 to 99, got 100";
        assert!(late.to_string().ends_with(why), "{late}");
        std::fs::write(path.join("test.bin"), &good[1..]).unwrap();
        let error = cifar100_stream(&path).unwrap_err().to_string();
        assert!(error.ends_with("records of 3074 bytes each, got 3073 bytes"), "{error}");
        let error = cifar100(&path).unwrap_err().to_string();
        assert!(error.ends_with("records of 3074 bytes each, got 3073 bytes"), "{error}");
        std::fs::remove_file(path.join("train.bin")).unwrap();
        let error = cifar100(&path).unwrap_err().to_string();
        assert!(error.contains("train.bin"), "{error}");
    }
}
