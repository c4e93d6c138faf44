//! Data sets in the format of MNIST: four files of images and labels.

use super::rows::row_stream;
use crate::idx::{idx, idx_file_rows, in_file};
use crate::split::Split;
use crate::stream::{Stream, StreamFold};
use crate::{Dataset, is_affordable, one_hot, one_hot_row};
use neurax_tensor::{DType, Error, Result, Tensor, Tree};
use std::path::{Path, PathBuf};

/// Reads a data set in the format of MNIST from `folder`: `train-images-idx3-ubyte`,
/// `train-labels-idx1-ubyte` and the two `t10k-` files, each plain or with `.gz`. Fashion-MNIST,
/// KMNIST and EMNIST have the same format.
///
/// The images are f32[n, rows, columns] in 0..=1, the labels one-hot f32[n, classes].
///
/// # Errors
/// If a file is missing or malformed, or if the numbers of images and labels differ.
///
/// ```no_run
/// use neurax::prelude::*;
/// let mnist = data::mnist("data/mnist")?;
/// println!("{} images to train on", mnist.train.len());
/// # Ok::<(), Error>(())
/// ```
pub fn mnist(folder: impl AsRef<Path>) -> Result<Split> {
    let folder = folder.as_ref();
    let MnistLabels { train, test, classes } = MnistLabels::read(folder)?;
    let subset = |name, labels: &[u8]| {
        if !is_affordable(labels.len(), classes) {
            let why = format!("{} labels of {classes} classes are too many", labels.len());
            return Err(in_file(Error::new("mnist", why), &find(folder, name, "labels", 1)?));
        }
        Dataset::new(images(folder, name)?, one_hot(labels.iter().map(|&c| c as usize), classes))
    };
    Ok(Split { train: subset("train", &train)?, test: subset("t10k", &test)? })
}

/// Returns the examples of a data set in the format of MNIST one by one: the image, f32[rows,
/// columns] in 0..=1, and its label, one-hot `f32[classes]`. The labels are read; an image is read
/// when it is used, so that the files may be larger than memory. Plain files have random access,
/// files with `.gz` are decompressed from the first image on.
///
/// # Errors
/// As [`mnist`]; if a compressed file of images is malformed behind its header, or a file became
/// shorter, the error is that of an item.
///
/// ```no_run
/// use neurax::prelude::*;
/// let mnist = data::mnist_stream("data/mnist")?;
/// let batches = mnist.train.shuffle_buffer(key(0), 1000).batch(32).prefetch(2);
/// # Ok::<(), Error>(())
/// ```
pub fn mnist_stream(folder: impl AsRef<Path>) -> Result<StreamFold<(Tensor, Tensor)>> {
    let folder = folder.as_ref();
    let MnistLabels { train, test, classes } = MnistLabels::read(folder)?;
    let subset = |name, labels: Vec<u8>| -> Result<Stream<(Tensor, Tensor)>> {
        let path = find(folder, name, "images", 3)?;
        let images = idx_file_rows(&path)?;
        check_images(&path, images.row_type().rank() + 1, images.row_type().dtype)?;
        if images.len() != labels.len() {
            let why = format!("expected {} images, as labels, got {}", labels.len(), images.len());
            return Err(in_file(Error::new("mnist", why), &path));
        }
        let labels =
            Stream::from_vec(labels).map_indexed(move |_, c| one_hot_row(c.into(), classes));
        Ok(row_stream(images).map_indexed(|_, image| scaled(&image)).zip(&labels))
    };
    Ok(StreamFold { train: subset("train", train)?, test: subset("t10k", test)? })
}

/// Returns pixels of u8 as f32 in 0..=1.
pub(super) fn scaled(pixels: &Tensor) -> Result<Tensor> {
    let scaled = pixels.to_vec::<u8>()?.into_iter().map(|pixel| f32::from(pixel) / 255.0);
    Tensor::from_vec(scaled.collect(), pixels.shape().to_vec()).ok()
}

/// The labels of the two parts of a data set.
struct MnistLabels {
    train: Vec<u8>,
    test: Vec<u8>,
    classes: usize,
}

impl MnistLabels {
    fn read(folder: &Path) -> Result<MnistLabels> {
        let (train, test) = (labels(folder, "train")?, labels(folder, "t10k")?);
        let classes = train.iter().chain(&test).max().map_or(0, |&c| c as usize + 1);
        Ok(MnistLabels { train, test, classes })
    }
}

fn images(folder: &Path, subset: &str) -> Result<Tensor> {
    let path = find(folder, subset, "images", 3)?;
    let x = idx(&path)?;
    check_images(&path, x.shape().len(), x.dtype())?;
    (x.to(DType::F32) / 255.0).ok().map_err(|e| in_file(e, &path))
}

/// Checks the number of axes and the dtype of the images in a file.
fn check_images(path: &Path, axes: usize, dtype: DType) -> Result<()> {
    if (axes, dtype) == (3, DType::U8) {
        return Ok(());
    }
    let why = format!("expected images of u8 with 3 axes, got {dtype} with {axes} axes");
    Err(in_file(Error::new("mnist", why), path))
}

fn labels(folder: &Path, subset: &str) -> Result<Vec<u8>> {
    let path = find(folder, subset, "labels", 1)?;
    let y = idx(&path)?;
    if y.shape().len() != 1 {
        return Err(in_file(
            Error::new("mnist", format!("expected labels with 1 axis, got {}", y.ty()?)),
            &path,
        ));
    }
    y.to_vec().map_err(|e| in_file(e, &path))
}

/// Returns the path of a file of `subset`, under one of the four names that are in use.
fn find(folder: &Path, subset: &str, what: &str, axes: usize) -> Result<PathBuf> {
    let names = ["-", "."].map(|dot| format!("{subset}-{what}{dot}idx{axes}-ubyte"));
    let candidates = names.iter().flat_map(|n| [folder.join(n), folder.join(format!("{n}.gz"))]);
    candidates.into_iter().find(|p| p.is_file()).ok_or_else(|| {
        let (shown, name) = (folder.display(), &names[0]);
        let why = match folder.is_dir() {
            true => format!("expected {name} or {name}.gz in {shown}"),
            false => format!("expected a folder with the four files: there is no folder {shown}"),
        };
        let help = "`neurax data get mnist` downloads the files and prints their folder";
        Error::new("mnist", format!("{why}; {help}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idx::tests::{header, zip};

    #[test]
    fn a_folder_of_four_files_is_a_split() {
        let folder = std::env::temp_dir().join(format!("neurax-mnist-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, bytes: Vec<u8>| std::fs::write(folder.join(name), bytes).unwrap();
        write(
            "train-images-idx3-ubyte.gz",
            zip(&[header(8, &[2, 1, 2]), vec![0, 255, 51, 102]].concat()),
        );
        write("train-labels-idx1-ubyte", [header(8, &[2]), vec![1, 0]].concat());
        let e = mnist(&folder).unwrap_err().to_string();
        assert!(e.contains("t10k-labels-idx1-ubyte") && e.contains("neurax data get mnist"), "{e}");
        let e = mnist("/no/such/folder").unwrap_err().to_string();
        assert!(e.contains("there is no folder /no/such/folder; `neurax data get"), "{e}");
        write("t10k-images.idx3-ubyte", [header(8, &[1, 1, 2]), vec![255, 0]].concat());
        write("t10k-labels.idx1-ubyte", [header(8, &[1]), vec![2]].concat());
        let set = mnist(&folder).unwrap();
        assert_eq!(set.train.x.shape(), [2, 1, 2]);
        assert_eq!(set.train.x.to_vec::<f32>().unwrap(), [0.0, 1.0, 0.2, 0.4]);
        assert_eq!(set.train.y.to_vec::<f32>().unwrap(), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(set.test.y.shape(), [1, 3]);
        let streams = mnist_stream(&folder).unwrap();
        for (stream, set) in [(streams.train, &set.train), (streams.test, &set.test)] {
            let batch = stream.batch(10).epoch(0).next().unwrap().unwrap();
            assert_eq!(batch.x.to_string(), set.x.to_string());
            assert_eq!(batch.y.to_string(), set.y.to_string());
        }
        write("t10k-images.idx3-ubyte", [header(9, &[1, 1, 2]), vec![255, 0]].concat());
        assert!(
            mnist(&folder)
                .unwrap_err()
                .to_string()
                .contains("expected images of u8 with 3 axes, got i8")
        );
        write("t10k-images.idx3-ubyte", [header(8, &[1, 1, 2]), vec![255, 0]].concat());
        write("t10k-labels.idx1-ubyte", [header(8, &[2]), vec![2, 2]].concat());
        assert!(mnist(&folder).unwrap_err().to_string().contains("rows"));
        let e = mnist_stream(&folder).unwrap_err().to_string();
        assert!(e.ends_with("expected 2 images, as labels, got 1"), "{e}");
    }
}
