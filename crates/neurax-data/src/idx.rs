//! The IDX format of MNIST: a header with the element type and the sizes, then the elements in
//! big-endian byte order.
//!
//! Every byte of a file is untrusted: the product of the sizes is checked for overflow, and memory
//! is allocated only for elements that were really read. An uncompressed file must have the size
//! that follows from its header; of a compressed one, no more than that is decompressed.

use crate::split::Split;
use crate::tuning::{IDX_CHUNK_ELEMENTS, MAX_IDX_AXES, MAX_IDX_BYTES};
use crate::{Dataset, is_affordable, one_hot};
use flate2::read::MultiGzDecoder;
use neurax_tensor::io::open_file;
use neurax_tensor::{DType, Element, Error, Result, Tensor, Tree};
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

/// The first two bytes of gzip (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads an IDX file, plain or compressed with gzip, into a tensor of the file's dtype and shape.
///
/// The format is described at <http://yann.lecun.com/exdb/mnist/>. Its elements are u8, i8, i16,
/// i32, f32 or f64.
///
/// # Errors
/// If the file cannot be read, is not a regular file, the header is not an IDX header, the elements
/// take more than 2 GiB or more than there is memory, there are more than 64 axes, or the file is
/// shorter or longer than the header declares.
///
/// ```
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc.idx");
/// // magic: two zeros, 0x08 for u8, two axes; then the sizes 2 and 3; then six elements
/// std::fs::write(&path, [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])?;
/// let x = data::idx(&path)?;
/// assert_eq!(x.ty()?.to_string(), "u8[2, 3]");
/// assert_eq!(x.to_vec::<u8>()?, [1, 2, 3, 4, 5, 6]);
/// # Ok::<(), Error>(())
/// ```
pub fn idx(path: impl AsRef<Path>) -> Result<Tensor> {
    idx_at(path.as_ref())
}

/// Reads a file as [`idx`] does.
fn idx_at(path: &Path) -> Result<Tensor> {
    parse(open(path)?).map_err(|e| in_file(e, path))
}

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
    mnist_in(folder.as_ref())
}

/// Reads a data set as [`mnist`] does.
fn mnist_in(folder: &Path) -> Result<Split> {
    let (train_labels, test_labels) = (labels(folder, "train")?, labels(folder, "t10k")?);
    let classes = train_labels.iter().chain(&test_labels).max().map_or(0, |&c| c as usize + 1);
    let subset = |name, labels: &[u8]| {
        if !is_affordable(labels.len(), classes) {
            let why = format!("{} labels of {classes} classes are too many", labels.len());
            return Err(in_file(Error::new("mnist", why), &find(folder, name, "labels", 1)?));
        }
        Dataset::new(images(folder, name)?, one_hot(labels.iter().map(|&c| c as usize), classes))
    };
    Ok(Split { train: subset("train", &train_labels)?, test: subset("t10k", &test_labels)? })
}

fn images(folder: &Path, subset: &str) -> Result<Tensor> {
    let path = find(folder, subset, "images", 3)?;
    let x = idx(&path)?;
    if x.shape().len() != 3 {
        return Err(in_file(
            Error::new("mnist", format!("expected images with 3 axes, got {}", x.ty()?)),
            &path,
        ));
    }
    if x.dtype() != DType::U8 {
        let why = format!("expected images of u8, got {}", x.ty()?);
        return Err(in_file(Error::new("mnist", why), &path));
    }
    (x.to(DType::F32) / 255.0).ok().map_err(|e| in_file(e, &path))
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

/// The bytes of a file, decompressed.
struct IdxBytes {
    bytes: Box<dyn Read>,
    /// The number of bytes, if they are not compressed.
    size: Option<u64>,
}

fn open(path: &Path) -> Result<IdxBytes> {
    let opened = || {
        let mut file = open_file(path)?;
        let size = file.metadata()?.len();
        let mut start = Vec::with_capacity(GZIP_MAGIC.len());
        file.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start)?;
        file.rewind()?;
        // No more than the size of now, should the file grow while it is read.
        let whole = BufReader::new(file.take(size));
        Ok(if start == GZIP_MAGIC {
            IdxBytes { bytes: Box::new(MultiGzDecoder::new(whole)), size: None }
        } else {
            IdxBytes { bytes: Box::new(whole), size: Some(size) }
        })
    };
    opened().map_err(|e: std::io::Error| in_file(Error::new("idx", format!("{e}")), path))
}

fn parse(mut source: IdxBytes) -> Result<Tensor> {
    let r = &mut source.bytes;
    let [zero, zero_too, code, rank] = four(r)?;
    if zero != 0 || zero_too != 0 {
        return Err(Error::new(
            "idx",
            format!(
                "not an IDX file: expected two zero bytes at the start, \
                 got {zero:#04x} {zero_too:#04x}"
            ),
        ));
    }
    if rank > MAX_IDX_AXES {
        let why = format!("the header declares {rank} axes, at most {MAX_IDX_AXES} are read");
        return Err(Error::new("idx", why));
    }
    let shape = (0..rank)
        .map(|_| Ok(u32::from_be_bytes(four(r)?) as usize))
        .collect::<Result<Vec<usize>>>()?;
    match code {
        0x08 => elements(source, shape, u8::from_be_bytes),
        0x09 => elements(source, shape, i8::from_be_bytes),
        0x0b => elements(source, shape, i16::from_be_bytes),
        0x0c => elements(source, shape, i32::from_be_bytes),
        0x0d => elements(source, shape, f32::from_be_bytes),
        0x0e => elements(source, shape, f64::from_be_bytes),
        _ => Err(Error::new(
            "idx",
            format!("expected an element code of 0x08, 0x09 or 0x0b to 0x0e, got {code:#04x}"),
        )),
    }
}

fn four(r: &mut impl Read) -> Result<[u8; 4]> {
    let mut bytes = [0; 4];
    r.read_exact(&mut bytes)
        .map_err(|e| Error::new("idx", format!("the header is truncated ({e})")))?;
    Ok(bytes)
}

fn elements<T: Element, const N: usize>(
    source: IdxBytes,
    shape: Vec<usize>,
    from: fn([u8; N]) -> T,
) -> Result<Tensor> {
    let declared = || format!("the header declares {}{shape:?}", T::DTYPE);
    let count = shape.iter().try_fold(N as u64, |n, &d| n.checked_mul(d as u64));
    let Some(bytes) = count.filter(|&n| n <= MAX_IDX_BYTES) else {
        return Err(Error::new(
            "idx",
            format!("{}, larger than the limit of {} GiB", declared(), MAX_IDX_BYTES >> 30),
        ));
    };
    let differs = |got: String| {
        let why = format!("{}: expected {bytes} bytes of elements, got {got}", declared());
        Error::new("idx", why)
    };
    let header = 4 + 4 * shape.len() as u64;
    if let Some(size) = source.size.filter(|&size| size < header + bytes) {
        return Err(differs(size.saturating_sub(header).to_string()));
    }
    let mut r = source.bytes;
    let out = numbers(&mut r, bytes as usize / N, from)?;
    if out.len() < bytes as usize / N {
        return Err(differs(format!("{}", out.len() * N)));
    }
    // One byte more than declared, to detect trailing bytes.
    if r.take(1).read_to_end(&mut Vec::new()).map_err(|e| Error::new("idx", e.to_string()))? > 0 {
        return Err(differs("more".into()));
    }
    Tensor::from_vec(out, shape).ok()
}

/// Reads at most `count` numbers; fewer at the end of the file. The memory grows with the numbers
/// that were read, so that a wrong header allocates nothing.
fn numbers<T, const N: usize>(
    r: &mut impl Read,
    count: usize,
    from: fn([u8; N]) -> T,
) -> Result<Vec<T>> {
    let (mut out, mut chunk) = (Vec::new(), Vec::new());
    while out.len() < count {
        let wanted = (count - out.len()).min(IDX_CHUNK_ELEMENTS);
        chunk.clear();
        r.by_ref().take((wanted * N) as u64).read_to_end(&mut chunk).map_err(|e| {
            let read = out.len() * N + chunk.len();
            Error::new("idx", format!("{e}, after {read} of {} bytes", count * N))
        })?;
        let read = chunk.as_chunks::<N>().0;
        if out.capacity() - out.len() < read.len() {
            let more = (count - out.len()).min(out.len().max(IDX_CHUNK_ELEMENTS));
            out.try_reserve_exact(more).map_err(|_| {
                Error::new("idx", format!("not enough memory for {} bytes", count * size_of::<T>()))
            })?;
        }
        out.extend(read.iter().map(|&b| from(b)));
        if read.len() < wanted {
            break;
        }
    }
    Ok(out)
}

fn in_file(e: Error, path: &Path) -> Error {
    Error::new(e.op(), format!("{}: {}", path.display(), e.message()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn file(name: &str, bytes: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("neurax-idx-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn header(code: u8, dims: &[u32]) -> Vec<u8> {
        let mut out = vec![0, 0, code, dims.len() as u8];
        dims.iter().for_each(|d| out.extend(d.to_be_bytes()));
        out
    }

    fn zip(bytes: &[u8]) -> Vec<u8> {
        let mut z = GzEncoder::new(Vec::new(), Compression::fast());
        z.write_all(bytes).unwrap();
        z.finish().unwrap()
    }

    fn error(name: &str, bytes: &[u8]) -> String {
        let e = idx(file(name, bytes)).unwrap_err().to_string();
        assert!(e.contains(name), "expected the file name in: {e}");
        e
    }

    #[test]
    fn every_element_type_is_big_endian() {
        let x = idx(file("i16", &[header(0x0b, &[2]), vec![0xff, 0xfe, 1, 0]].concat())).unwrap();
        assert_eq!(x.to_vec::<i16>().unwrap(), [-2, 256]);
        let x =
            idx(file("f64", &[header(0x0e, &[]), 0.5f64.to_be_bytes().to_vec()].concat())).unwrap();
        assert_eq!(x.to_vec::<f64>().unwrap(), [0.5]);
        let x = idx(file("none", &header(0x08, &[3, 0]))).unwrap();
        assert_eq!(x.shape(), [3, 0]);
    }

    #[test]
    fn gzip_is_detected_by_its_first_bytes() {
        let bytes = [header(0x08, &[2]), vec![7, 9]].concat();
        assert_eq!(idx(file("zip", &zip(&bytes))).unwrap().to_vec::<u8>().unwrap(), [7, 9]);
    }

    #[test]
    fn malformed_files_are_errors_that_name_file_and_reason() {
        assert!(error("empty", &[]).contains("the header is truncated"));
        assert!(error("text", b"pixel,pixel").contains("not an IDX file"));
        assert!(error("code", &header(0x07, &[1])).contains("got 0x07"));
        assert!(error("dims", &[0, 0, 8, 3, 0, 0, 0, 1]).contains("the header is truncated"));
        assert!(
            error("short", &[header(8, &[4]), vec![1, 2, 3]].concat())
                .contains("expected 4 bytes of elements, got 3")
        );
        assert!(
            error("long", &[header(8, &[2]), vec![1, 2, 3]].concat())
                .contains("expected 2 bytes of elements, got more")
        );
        let whole =
            zip(&[header(8, &[2000]), (0..2000u32).map(|i| ((i * i) >> 3) as u8).collect()]
                .concat());
        assert!(error("cutzip", &whole[..whole.len() / 2]).contains("of 2000 bytes"));
    }

    #[test]
    fn sizes_that_are_only_declared_allocate_nothing() {
        assert!(error("overflow", &header(0x0e, &[u32::MAX; 4])).contains("the limit of 2 GiB"));
        assert!(
            error("large", &zip(&header(8, &[3 << 10, 1 << 10, 1 << 10])))
                .contains("the limit of 2 GiB")
        );
        assert!(
            error("claims", &header(8, &[60_000, 100, 100])).contains("bytes of elements, got 0")
        );
        assert!(
            error("rank", &[header(8, &[]), vec![]].concat()).contains("bytes of elements, got 0")
        );
        assert!(error("axes", &header(8, &[0; 65])).contains("declares 65 axes, at most 64"));
    }

    #[test]
    fn a_compressed_file_is_read_no_further_than_its_header_declares() {
        // The zeros take a thousandth of their size, and an invalid header follows them.
        let mut z = GzEncoder::new(Vec::new(), Compression::fast());
        z.write_all(&header(8, &[3])).unwrap();
        (0..16).for_each(|_| z.write_all(&[0; 1 << 20]).unwrap());
        let mut bytes = z.finish().unwrap();
        bytes.extend([0x1f, 0x8b, 1, 2, 3]);
        assert!(error("bomb", &bytes).contains("expected 3 bytes of elements, got more"));
    }

    #[test]
    fn only_regular_files_are_read() {
        let e = idx(std::env::temp_dir()).unwrap_err().to_string();
        assert!(e.contains("expected a file, got a directory"), "{e}");
        #[cfg(unix)]
        {
            let e = idx("/dev/zero").unwrap_err().to_string();
            assert_eq!(e, "idx: /dev/zero: expected a file, got a device");
            let e = crate::csv("/dev/zero").table().unwrap_err().to_string();
            assert_eq!(e, "csv: /dev/zero: expected a file, got a device");
        }
    }

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
        write("t10k-images.idx3-ubyte", [header(9, &[1, 1, 2]), vec![255, 0]].concat());
        assert!(mnist(&folder).unwrap_err().to_string().contains("expected images of u8, got i8"));
        write("t10k-images.idx3-ubyte", [header(8, &[1, 1, 2]), vec![255, 0]].concat());
        write("t10k-labels.idx1-ubyte", [header(8, &[2]), vec![2, 2]].concat());
        assert!(mnist(&folder).unwrap_err().to_string().contains("rows"));
    }
}
