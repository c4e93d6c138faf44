//! The rows of a `.npy` file, read one by one from a file that may be larger than memory.
//!
//! A file is a header, a Python dictionary as text, and the elements; see
//! [`npy`](neurax_tensor::io::npy). A row is read as a file as well: a header with the shape of a
//! row and the bytes of the row are given to the reader of whole files, which checks them.
//!
//! ```text
//! header of the file:  {'descr': '<f4', 'fortran_order': False, 'shape': (1000, 28, 28), }
//! header of a row:     {'descr': '<f4', 'fortran_order': False, 'shape': (28, 28,), }
//! ```
//!
//! Invariant: the elements take the same number of bytes for each row, and fill the file.

use crate::stream::Stream;
use crate::tuning::MAX_ROW_HEADER_BYTES;
use neurax_tensor::io::{npy, open_file};
use neurax_tensor::{Error, Result, Tensor};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The first bytes of a file.
const NPY_MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Returns the rows of a `.npy` file, entries along axis 0, with random access. A row is read when
/// it is used, so that the file may be larger than memory; [`npy`](crate::npy()) reads whole files.
///
/// # Errors
/// If the file cannot be read or is malformed, its elements are in Fortran order, or it holds a
/// scalar. An item is an error if the file changed meanwhile.
///
/// ```
/// use neurax::{io::npy, prelude::*};
/// # let dir = std::env::temp_dir();
/// # let (x, y) = (dir.join("neurax-doc-rows-x.npy"), dir.join("neurax-doc-rows-y.npy"));
/// npy::save(&tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), &x)?;
/// npy::save(&tensor([0, 1, 2]), &y)?;
/// let examples = data::npy_rows(&x)?.zip(&data::npy_rows(&y)?);
/// assert_eq!(examples.len(), Some(3));
/// let batch = examples.batch(2).epoch_from(0, 1).next().unwrap()?;
/// assert_eq!(batch.x.to_vec::<f32>()?, [5.0, 6.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn npy_rows(path: impl AsRef<Path>) -> Result<Stream<Tensor>> {
    let file = NpyRows::open(path.as_ref())?;
    Ok(Stream::from_index(file.rows, move |i| file.row(i)))
}

/// An open file.
struct NpyRows {
    path: PathBuf,
    file: Mutex<File>,
    /// The header of a file that holds a row.
    header: Vec<u8>,
    /// The offset of the first element in bytes.
    start: u64,
    /// The number of rows.
    rows: usize,
    /// The number of bytes of a row.
    row_bytes: usize,
}

impl NpyRows {
    /// Opens a file and checks its header and size.
    fn open(path: &Path) -> Result<NpyRows> {
        let mut file = open_file(path).map_err(|e| failed(path, e))?;
        let size = file.metadata().map_err(|e| failed(path, e))?.len();
        let text = header_text(&mut file).map_err(|why| failed(path, why))?;
        let start = file.stream_position().map_err(|e| failed(path, e))?;
        let (rows, header) = row_header(&text).map_err(|why| failed(path, why))?;
        let elements = size.saturating_sub(start);
        let row_bytes = match rows as u64 {
            0 => 0,
            rows if elements % rows == 0 => elements / rows,
            rows => {
                let why = format!("expected {rows} rows of equal size, got {elements} bytes");
                return Err(failed(path, why));
            }
        };
        let row_bytes = usize::try_from(row_bytes).map_err(|e| failed(path, e))?;
        let file = Mutex::new(file);
        let opened = NpyRows { path: path.into(), file, header, start, rows, row_bytes };
        if rows > 0 {
            // The reader of whole files compares the bytes of a row with its type.
            opened.row(0).map(drop)?;
        }
        Ok(opened)
    }

    /// Reads a row.
    fn row(&self, i: usize) -> Result<Tensor> {
        let mut bytes = self.header.clone();
        self.append(i, &mut bytes).map_err(|e| failed(&self.path, format!("row {i}: {e}")))?;
        npy::from_bytes(&bytes).map_err(|e| failed(&self.path, format!("row {i}: {}", e.message())))
    }

    fn append(&self, i: usize, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let size = self.row_bytes as u64;
        file.seek(SeekFrom::Start(self.start + i as u64 * size))?;
        (&mut *file).take(size).read_to_end(bytes)?;
        Ok(())
    }
}

/// Reads the header of a file up to its first element. The text of the error says what is wrong.
fn header_text(file: &mut File) -> Result<String, String> {
    let mut fixed = [0; 8];
    let truncated = |e: std::io::Error| format!("the header is truncated ({e})");
    file.read_exact(&mut fixed).map_err(truncated)?;
    if !fixed.starts_with(NPY_MAGIC) {
        return Err("expected a .npy file, got other first bytes".into());
    }
    let length = match fixed[6] {
        1 => {
            let mut length = [0; 2];
            file.read_exact(&mut length).map_err(truncated)?;
            usize::from(u16::from_le_bytes(length))
        }
        2 | 3 => {
            let mut length = [0; 4];
            file.read_exact(&mut length).map_err(truncated)?;
            u32::from_le_bytes(length) as usize
        }
        version => return Err(format!("expected version 1, 2 or 3, got {version}")),
    };
    if length > MAX_ROW_HEADER_BYTES {
        let most = MAX_ROW_HEADER_BYTES;
        return Err(format!("expected a header of at most {most} bytes, got {length}"));
    }
    let mut text = vec![0; length];
    file.read_exact(&mut text).map_err(truncated)?;
    String::from_utf8(text).map_err(|_| "expected a header of text, got other bytes".into())
}

/// Returns the number of rows and the header of a file that holds one, from the text of a header.
fn row_header(text: &str) -> Result<(usize, Vec<u8>), String> {
    let malformed = || format!("expected a dictionary with a shape, got {}", text.trim_end());
    let (_, order) = split_behind_key(text, "fortran_order").ok_or_else(malformed)?;
    if order.trim_start().starts_with("True") {
        return Err("the rows are not contiguous (Fortran order); read it with `npy`".into());
    }
    let (before, rest) = split_behind_key(text, "shape").ok_or_else(malformed)?;
    let (open, rest) = rest.split_once('(').ok_or_else(malformed)?;
    let (shape, after) = rest.split_once(')').ok_or_else(malformed)?;
    let mut sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
    let rows = sizes.next().ok_or("expected rows along axis 0, got a scalar")?;
    let rows = rows.parse().map_err(|_| malformed())?;
    let row: String = sizes.map(|size| format!("{size}, ")).collect();
    let text = format!("{before}{open}({row}){after}");
    let length = u32::try_from(text.len()).map_err(|_| malformed())?;
    let version = [2, 0];
    let header = [NPY_MAGIC, &version[..], &length.to_le_bytes(), text.as_bytes()].concat();
    Ok((rows, header))
}

/// Divides a dictionary as text behind the colon of a key, with any quotes and spaces.
fn split_behind_key<'a>(text: &'a str, key: &str) -> Option<(&'a str, &'a str)> {
    let quoted = ['\'', '"'].map(|quote| format!("{quote}{key}{quote}"));
    let end = quoted.iter().find_map(|key| Some(text.find(&key[..])? + key.len()))?;
    let rest = text.get(end..)?.trim_start().strip_prefix(':')?;
    text.split_at_checked(text.len() - rest.len())
}

fn failed(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new("npy_rows", format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{DType, key};

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("neurax-npy-rows-{}-{name}", std::process::id()))
    }

    #[test]
    fn rows_are_those_of_the_array() {
        let path = path("rows");
        for shape in [&[5, 2, 3][..], &[5], &[5, 0], &[0, 4]] {
            let count = shape.iter().product::<usize>();
            let x = Tensor::arange(count).to(DType::F16).reshape(shape.to_vec());
            npy::save(&x, &path).unwrap();
            let rows = npy_rows(&path).unwrap();
            assert_eq!(rows.len(), Some(shape[0]));
            for (i, row) in rows.epoch(0).enumerate() {
                assert_eq!(row.unwrap().to_string(), x.take(i as i64, 0).to_string());
            }
        }
    }

    #[test]
    fn a_file_of_many_empty_rows_takes_no_memory() {
        let path = path("claims");
        let bytes = npy::to_bytes(&Tensor::zeros([5, 0])).unwrap();
        let header = String::from_utf8_lossy(&bytes[10..]).replace("(5, 0)", "(1099511627776, 0)");
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        std::fs::write(&path, [&bytes[..8], &length, header.as_bytes()].concat()).unwrap();
        let rows = npy_rows(&path).unwrap();
        assert_eq!(rows.len(), Some(1 << 40));
        let row = rows.cache().epoch_from(0, 1 << 39).next().unwrap().unwrap();
        assert_eq!(row.shape(), [0]);
        let shuffled = rows.shuffle(key(0)).epoch(0).next().unwrap().unwrap_err().to_string();
        assert!(shuffled.contains("expected at most 2147483647 examples"), "{shuffled}");
    }

    #[test]
    fn headers_have_any_spaces_and_quotes() {
        let path = path("spaces");
        let file = |header: &str| {
            let length = u16::try_from(header.len()).unwrap().to_le_bytes();
            let elements: Vec<u8> = (0..6i32).flat_map(i32::to_le_bytes).collect();
            let start = [&NPY_MAGIC[..], &[1, 0], &length, header.as_bytes()].concat();
            std::fs::write(&path, [start, elements].concat()).unwrap();
            npy_rows(&path)
        };
        for header in [
            "{'descr': '<i4', 'fortran_order': False, 'shape' : ( 3 ,2 ) }",
            "{'shape':(3,2),'descr':'<i4','fortran_order':False}",
            "{\"shape\": (3, 2), \"descr\": \"<i4\", \"fortran_order\": False}",
        ] {
            let row = file(header).unwrap().epoch_from(0, 1).next().unwrap().unwrap();
            assert_eq!(row.to_vec::<i32>().unwrap(), [2, 3], "{header}");
        }
        let e = file("{'descr':'<i4','fortran_order' :True,'shape':(3,2)}").unwrap_err();
        assert!(e.message().contains("Fortran order"), "{e}");
    }

    #[test]
    fn rows_are_shuffled_by_several_threads() {
        let path = path("threads");
        npy::save(&Tensor::arange(100), &path).unwrap();
        let rows = npy_rows(&path).unwrap().shuffle(key(0));
        let one: Vec<i32> = rows.epoch(1).map(|x| x.unwrap().item().unwrap() as i32).collect();
        let ahead = rows.prefetch(4);
        let four: Vec<i32> = ahead.epoch(1).map(|x| x.unwrap().item().unwrap() as i32).collect();
        assert_eq!((one.len(), &one), (100, &four));
    }

    #[test]
    fn malformed_files_are_errors() {
        let path = path("malformed");
        let error = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            npy_rows(&path).unwrap_err().to_string()
        };
        assert!(error(b"\x93NUM").contains("the header is truncated"));
        assert!(error(b"no array at all").contains("expected a .npy file"));
        let whole = npy::to_bytes(&Tensor::arange(6)).unwrap();
        let short = error(&whole[..whole.len() - 1]);
        assert!(short.contains("expected 6 rows of equal size, got 23 bytes"), "{short}");
        let other = error(&whole[..whole.len() - 6]);
        assert!(other.contains("row 0: "), "{other}");
        let fortran = String::from_utf8_lossy(&whole[10..128]).replace("False", "True ");
        let fortran = [&whole[..10], fortran.as_bytes(), &whole[128..]].concat();
        assert!(error(&fortran).contains("Fortran order"));
        let mut huge = NPY_MAGIC.to_vec();
        huge.extend([2, 0, 255, 255, 255, 255]);
        assert!(error(&huge).contains("expected a header of at most"));
        let scalar = npy::to_bytes(&neurax_tensor::tensor(1.0)).unwrap();
        assert!(error(&scalar).contains("got a scalar"));
    }
}
