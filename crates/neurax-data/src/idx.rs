//! IDX, the format of MNIST: a header with the element type and the sizes, then the elements,
//! big-endian.
//!
//! Every byte of a file is untrusted: sizes are multiplied with checks, and memory grows with what
//! was really read.

use crate::split::Split;
use crate::{Dataset, one_hot};
use flate2::read::MultiGzDecoder;
use neurax_tensor::{Element, Error, Result, Tensor, Tree};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The first two bytes of gzip (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The most bytes of elements that are read: three times what the largest set in this format has
/// (EMNIST), and what any machine can hold, as a gzip file may grow a thousandfold.
const LIMIT: u64 = 1 << 31;

/// Reads an IDX file, plain or compressed with gzip, as a tensor of the file's own dtype and shape.
///
/// The format: <http://yann.lecun.com/exdb/mnist/>. u8, i8, i16, i32, f32 and f64 elements.
///
/// # Errors
/// When the file cannot be read, the header is not one of IDX, the elements take more than 2 GiB,
/// or the file is shorter or longer than the header says.
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
    let path = path.as_ref();
    parse(open(path)?).map_err(|e| in_file(e, path))
}

/// The MNIST-format set in a folder: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the
/// two `t10k-` files, each plain or with `.gz`. Fashion-MNIST, KMNIST and EMNIST come in the same
/// form.
///
/// Pictures are f32[n, rows, columns] in 0..1, labels one-hot f32[n, classes].
///
/// # Errors
/// When a file is missing or malformed, or pictures and labels differ in number.
///
/// ```no_run
/// use neurax::prelude::*;
/// let mnist = data::mnist("data/mnist")?;
/// println!("{} pictures to learn from", mnist.train.len());
/// # Ok::<(), Error>(())
/// ```
pub fn mnist(folder: impl AsRef<Path>) -> Result<Split> {
    let folder = folder.as_ref();
    let (train_labels, test_labels) = (labels(folder, "train")?, labels(folder, "t10k")?);
    let classes = train_labels.iter().chain(&test_labels).max().map_or(0, |&c| c as usize + 1);
    let part = |name, labels: &[u8]| {
        Dataset::new(pictures(folder, name)?, one_hot(labels.iter().map(|&c| c as usize), classes))
    };
    Ok(Split { train: part("train", &train_labels)?, test: part("t10k", &test_labels)? })
}

fn pictures(folder: &Path, part: &str) -> Result<Tensor> {
    let path = find(folder, part, "images", 3)?;
    let x = idx(&path)?;
    if x.shape().len() != 3 {
        return Err(in_file(
            Error::new("mnist", format!("pictures have 3 axes, but this file holds {}", x.ty()?)),
            &path,
        ));
    }
    let pixels: Vec<f32> = x
        .to_vec::<u8>()
        .map_err(|e| in_file(e, &path))?
        .into_iter()
        .map(|p| p as f32 / 255.0)
        .collect();
    Tensor::from_vec(pixels, x.shape()).ok()
}

fn labels(folder: &Path, part: &str) -> Result<Vec<u8>> {
    let path = find(folder, part, "labels", 1)?;
    let y = idx(&path)?;
    if y.shape().len() != 1 {
        return Err(in_file(
            Error::new("mnist", format!("labels have 1 axis, but this file holds {}", y.ty()?)),
            &path,
        ));
    }
    y.to_vec().map_err(|e| in_file(e, &path))
}

/// The file of that part, under one of the four names that are in use.
fn find(folder: &Path, part: &str, what: &str, axes: usize) -> Result<PathBuf> {
    let names = ["-", "."].map(|dot| format!("{part}-{what}{dot}idx{axes}-ubyte"));
    let candidates = names.iter().flat_map(|n| [folder.join(n), folder.join(format!("{n}.gz"))]);
    candidates.into_iter().find(|p| p.is_file()).ok_or_else(|| {
        Error::new(
            "mnist",
            format!(
                "{} holds neither {} nor {1}.gz; download the four files of the set into it",
                folder.display(),
                names[0]
            ),
        )
    })
}

fn open(path: &Path) -> Result<Box<dyn Read>> {
    let file = |e| in_file(Error::new("idx", format!("{e}")), path);
    let mut start = Vec::with_capacity(2);
    File::open(path).map_err(file)?.take(2).read_to_end(&mut start).map_err(file)?;
    let whole = BufReader::new(File::open(path).map_err(file)?);
    Ok(if start == GZIP { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}

fn parse(mut r: Box<dyn Read>) -> Result<Tensor> {
    let [zero, zero_too, code, rank] = four(&mut r)?;
    if zero != 0 || zero_too != 0 {
        return Err(Error::new(
            "idx",
            format!(
                "not an IDX file: it starts with bytes {zero:#04x} {zero_too:#04x}, not with two zeros"
            ),
        ));
    }
    let shape = (0..rank)
        .map(|_| Ok(u32::from_be_bytes(four(&mut r)?) as usize))
        .collect::<Result<Vec<usize>>>()?;
    match code {
        0x08 => elements(r, shape, u8::from_be_bytes),
        0x09 => elements(r, shape, i8::from_be_bytes),
        0x0b => elements(r, shape, i16::from_be_bytes),
        0x0c => elements(r, shape, i32::from_be_bytes),
        0x0d => elements(r, shape, f32::from_be_bytes),
        0x0e => elements(r, shape, f64::from_be_bytes),
        _ => Err(Error::new(
            "idx",
            format!("element code {code:#04x} is not one of 0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e"),
        )),
    }
}

fn four(r: &mut dyn Read) -> Result<[u8; 4]> {
    let mut bytes = [0; 4];
    r.read_exact(&mut bytes)
        .map_err(|e| Error::new("idx", format!("the header is cut short ({e})")))?;
    Ok(bytes)
}

fn elements<T: Element, const N: usize>(
    r: Box<dyn Read>,
    shape: Vec<usize>,
    from: fn([u8; N]) -> T,
) -> Result<Tensor> {
    let says = || format!("the header says {}{shape:?}", T::DTYPE);
    let count =
        shape.iter().try_fold(N as u64, |n, &d| n.checked_mul(d as u64)).filter(|&n| n <= LIMIT);
    let Some(count) = count else {
        return Err(Error::new(
            "idx",
            format!("{}, more than the {} GiB that are read", says(), LIMIT >> 30),
        ));
    };
    let mut bytes = Vec::new();
    // One byte more than needed tells whether anything follows; the vector grows with what is
    // there.
    r.take(count + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::new("idx", format!("{e}, after {} of {count} bytes", bytes.len())))?;
    if bytes.len() as u64 != count {
        let rest = if (bytes.len() as u64) < count {
            format!("only {}", bytes.len())
        } else {
            "more".into()
        };
        return Err(Error::new(
            "idx",
            format!("{}, which is {count} bytes of elements, but {rest} follow", says()),
        ));
    }
    Tensor::from_vec(bytes.as_chunks::<N>().0.iter().map(|&b| from(b)).collect(), shape).ok()
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
        assert!(e.contains(name), "names the file: {e}");
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
    fn gzip_is_seen_by_its_first_bytes() {
        let bytes = [header(0x08, &[2]), vec![7, 9]].concat();
        assert_eq!(idx(file("zip", &zip(&bytes))).unwrap().to_vec::<u8>().unwrap(), [7, 9]);
    }

    #[test]
    fn malformed_files_are_errors_that_name_file_and_reason() {
        assert!(error("empty", &[]).contains("the header is cut short"));
        assert!(error("text", b"pixel,pixel").contains("not an IDX file"));
        assert!(error("code", &header(0x07, &[1])).contains("element code 0x07"));
        assert!(error("dims", &[0, 0, 8, 3, 0, 0, 0, 1]).contains("the header is cut short"));
        assert!(
            error("short", &[header(8, &[4]), vec![1, 2, 3]].concat())
                .contains("but only 3 follow")
        );
        assert!(
            error("long", &[header(8, &[2]), vec![1, 2, 3]].concat()).contains("but more follow")
        );
        let whole =
            zip(&[header(8, &[2000]), (0..2000u32).map(|i| ((i * i) >> 3) as u8).collect()]
                .concat());
        assert!(error("cutzip", &whole[..whole.len() / 2]).contains("of 2000 bytes"));
    }

    #[test]
    fn absurd_sizes_allocate_nothing() {
        assert!(error("overflow", &header(0x0e, &[u32::MAX; 4])).contains("more than the 2 GiB"));
        assert!(
            error("large", &zip(&header(8, &[3 << 10, 1 << 10, 1 << 10])))
                .contains("more than the 2 GiB")
        );
        assert!(error("claims", &header(8, &[60_000, 100, 100])).contains("but only 0 follow"));
        assert!(error("rank", &[header(8, &[]), vec![]].concat()).contains("but only 0 follow"));
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
        assert!(mnist(&folder).unwrap_err().to_string().contains("t10k-labels-idx1-ubyte"));
        write("t10k-images.idx3-ubyte", [header(8, &[1, 1, 2]), vec![255, 0]].concat());
        write("t10k-labels.idx1-ubyte", [header(8, &[1]), vec![2]].concat());
        let set = mnist(&folder).unwrap();
        assert_eq!(set.train.x.shape(), [2, 1, 2]);
        assert_eq!(set.train.x.to_vec::<f32>().unwrap(), [0.0, 1.0, 0.2, 0.4]);
        assert_eq!(set.train.y.to_vec::<f32>().unwrap(), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(set.test.y.shape(), [1, 3]);
        write("t10k-labels.idx1-ubyte", [header(8, &[2]), vec![2, 2]].concat());
        assert!(mnist(&folder).unwrap_err().to_string().contains("rows"));
    }
}
