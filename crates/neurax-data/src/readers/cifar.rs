//! The binary files of CIFAR-10 and CIFAR-100 (<https://www.cs.toronto.edu/~kriz/cifar.html>).
//!
//! A file is a sequence of records: one byte with the class (two in CIFAR-100: the coarse and the
//! fine class), then 3,072 bytes of pixels: 32 rows of 32 columns of red, then of green and blue.

use crate::split::Split;
use crate::tuning::MAX_CIFAR_BYTES;
use crate::{Dataset, one_hot};
use neurax_tensor::io::open_file;
use neurax_tensor::{DType, Error, Result, Tensor};
use std::io::Read;
use std::path::Path;

/// The bytes of pixels of an image.
const IMAGE_BYTES: usize = 3 * 32 * 32;

/// The variants of the data set.
#[derive(Clone, Copy)]
struct Variant {
    name: &'static str,
    /// The bytes in front of the pixels; the last one is the class.
    label_bytes: usize,
    classes: usize,
}

const CIFAR10: Variant = Variant { name: "cifar10", label_bytes: 1, classes: 10 };
const CIFAR100: Variant = Variant { name: "cifar100", label_bytes: 2, classes: 100 };

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
    let train = (1..=5).map(|i| format!("data_batch_{i}.bin")).collect();
    read(CIFAR10, folder.as_ref(), train, "test_batch.bin")
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
    read(CIFAR100, folder.as_ref(), vec!["train.bin".into()], "test.bin")
}

fn read(variant: Variant, folder: &Path, train: Vec<String>, test: &str) -> Result<Split> {
    let mut all = Images::default();
    for name in train {
        all.append(variant, &folder.join(name))?;
    }
    let mut rest = Images::default();
    rest.append(variant, &folder.join(test))?;
    Ok(Split { train: all.dataset(variant)?, test: rest.dataset(variant)? })
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
        let failed = |why: String| Error::new(variant.name, format!("{}: {why}", path.display()));
        let bytes = file_bytes(path).map_err(|e| failed(e.to_string()))?;
        let record = variant.label_bytes + IMAGE_BYTES;
        if bytes.is_empty() || bytes.len() % record != 0 {
            let got = bytes.len();
            return Err(failed(format!(
                "expected records of {record} bytes each, got {got} bytes"
            )));
        }
        if self.pixels.try_reserve(bytes.len()).is_err() {
            return Err(failed(format!("not enough memory for {} bytes", bytes.len())));
        }
        for (i, record) in bytes.chunks_exact(record).enumerate() {
            let (label, pixels) = record.split_at(variant.label_bytes);
            let class = label.last().copied().map_or(0, usize::from);
            if class >= variant.classes {
                let at = i * record.len() + variant.label_bytes - 1;
                let most = variant.classes - 1;
                return Err(failed(format!(
                    "byte {at}: expected a class of 0 to {most}, got {class}"
                )));
            }
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
    use std::path::PathBuf;

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
        std::fs::write(path.join("test.bin"), &good[1..]).unwrap();
        let error = cifar100(&path).unwrap_err().to_string();
        assert!(error.ends_with("records of 3074 bytes each, got 3073 bytes"), "{error}");
        std::fs::remove_file(path.join("train.bin")).unwrap();
        let error = cifar100(&path).unwrap_err().to_string();
        assert!(error.contains("train.bin"), "{error}");
    }
}
