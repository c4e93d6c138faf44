//! The IDX format of MNIST: a header with the element type and the sizes, then the elements in
//! big-endian byte order.
//!
//! Every byte of a file is untrusted: the product of the sizes is checked for overflow, and memory
//! is allocated only for elements that were really read. An uncompressed file must have the size
//! that follows from its header; of a compressed one, no more than that is decompressed.

use crate::readers::row_stream;
use crate::stream::Stream;
use crate::tuning::{IDX_CHUNK_ELEMENTS, MAX_IDX_AXES, MAX_IDX_BYTES};
use flate2::read::MultiGzDecoder;
use neurax_tensor::io::{FileRows, open_file};
use neurax_tensor::{DType, Element, Error, Result, Tensor, Tree, Type};
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

/// The first two bytes of gzip (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads an IDX file, plain or compressed with gzip, into a tensor of the file's dtype and shape.
///
/// The format is described at <http://yann.lecun.com/exdb/mnist/>. Its elements are u8, i8, i16,
/// i32, f32 or f64. [`idx_rows`] reads files that are larger than memory.
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
    let path = path.as_ref();
    IdxFile::open(path).and_then(IdxFile::tensor).map_err(|e| in_file(e, path))
}

/// Returns the rows of an IDX file, entries along axis 0, in the dtype of the file. A row is read
/// when it is used, so that the file may be larger than memory.
///
/// The rows of a plain file have random access. Those of a file that is compressed with gzip are
/// decompressed from the first on, and an epoch that begins at another row decompresses those
/// before it; a changed checksum is an error at the last row.
///
/// # Errors
/// If the file cannot be read, is not a regular file, the header is not an IDX header, the array is
/// a scalar, a row takes more than 2 GiB, or a plain file is shorter or longer than the header
/// declares. An item is an error if a compressed file is.
///
/// ```
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-rows.idx");
/// std::fs::write(&path, [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])?;
/// let rows = data::idx_rows(&path)?;
/// assert_eq!(rows.len(), Some(2));
/// assert_eq!(rows.epoch_from(0, 1).next().unwrap()?.to_vec::<u8>()?, [4, 5, 6]);
/// # Ok::<(), Error>(())
/// ```
pub fn idx_rows(path: impl AsRef<Path>) -> Result<Stream<Tensor>> {
    Ok(row_stream(idx_file_rows(path.as_ref())?))
}

/// Opens a file to read its rows: see [`idx_rows`].
pub(crate) fn idx_file_rows(path: &Path) -> Result<FileRows> {
    IdxFile::open(path).and_then(|file| file.rows(path)).map_err(|e| in_file(e, path))
}

/// An open file.
struct IdxFile {
    file: File,
    /// The number of bytes at the beginning; no more are read, should the file grow.
    size: u64,
    is_compressed: bool,
}

impl IdxFile {
    fn open(path: &Path) -> Result<IdxFile> {
        let opened = || {
            let mut file = open_file(path)?;
            let size = file.metadata()?.len();
            let mut start = Vec::with_capacity(GZIP_MAGIC.len());
            file.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start)?;
            file.rewind()?;
            Ok(IdxFile { file, size, is_compressed: start == GZIP_MAGIC })
        };
        opened().map_err(|e: std::io::Error| Error::new("idx", e.to_string()))
    }

    /// Returns the bytes from the position of the file on, decompressed.
    fn bytes(self) -> Box<dyn Read> {
        let whole = BufReader::new(self.file.take(self.size));
        if self.is_compressed { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) }
    }

    /// Reads the whole array.
    fn tensor(self) -> Result<Tensor> {
        let size = (!self.is_compressed).then_some(self.size);
        let mut bytes = self.bytes();
        let header = IdxHeader::read(&mut bytes)?;
        let whole = header.element_bytes(&header.ty)?;
        if let Some(size) = size {
            header.check_size(size)?;
        }
        match header.ty.dtype {
            DType::U8 => header.elements(bytes, whole, u8::from_be_bytes),
            DType::I8 => header.elements(bytes, whole, i8::from_be_bytes),
            DType::I16 => header.elements(bytes, whole, i16::from_be_bytes),
            DType::I32 => header.elements(bytes, whole, i32::from_be_bytes),
            DType::F32 => header.elements(bytes, whole, f32::from_be_bytes),
            DType::F64 => header.elements(bytes, whole, f64::from_be_bytes),
            other => Err(Error::bug(format!("expected a dtype of IDX, got {other}"))),
        }
    }

    /// Returns the rows of the array.
    fn rows(self, path: &Path) -> Result<FileRows> {
        let (size, is_compressed) = (self.size, self.is_compressed);
        let file = self.file.try_clone()?;
        let header = IdxHeader::read(&mut self.bytes())?;
        let row = header.ty.shape.iter().skip(1).copied().collect::<Vec<usize>>();
        header.element_bytes(&Type::new(header.ty.dtype, row))?;
        if !is_compressed {
            header.check_size(size)?;
        }
        let failed = |e: Error| Error::new("idx", e.message());
        let rows = FileRows::new(path, file, &header.ty, header.bytes()).map_err(failed)?;
        let rows = rows.swapped(cfg!(target_endian = "little"));
        Ok(match is_compressed {
            false => rows,
            true => {
                rows.decoded(0..size, header.bytes(), |from| Box::new(MultiGzDecoder::new(from)))
            }
        })
    }
}

/// The header of a file: the type of the array.
struct IdxHeader {
    ty: Type,
}

impl IdxHeader {
    /// Reads the header.
    fn read(r: &mut impl Read) -> Result<IdxHeader> {
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
        let dtype = match code {
            0x08 => DType::U8,
            0x09 => DType::I8,
            0x0b => DType::I16,
            0x0c => DType::I32,
            0x0d => DType::F32,
            0x0e => DType::F64,
            _ => {
                let why = "expected an element code of 0x08, 0x09 or 0x0b to 0x0e";
                return Err(Error::new("idx", format!("{why}, got {code:#04x}")));
            }
        };
        Ok(IdxHeader { ty: Type::new(dtype, shape) })
    }

    /// Returns the number of bytes of the header.
    fn bytes(&self) -> u64 {
        4 + 4 * self.ty.rank() as u64
    }

    /// Returns the number of bytes of the elements of `ty`, the array or a row of it.
    ///
    /// # Errors
    /// If there are more than are read.
    fn element_bytes(&self, ty: &Type) -> Result<usize> {
        let bytes = ty.bytes().ok().filter(|&bytes| bytes as u64 <= MAX_IDX_BYTES);
        bytes.ok_or_else(|| {
            let (declared, most) = (self.declared(), MAX_IDX_BYTES >> 30);
            Error::new("idx", format!("{declared}, larger than the limit of {most} GiB"))
        })
    }

    /// Checks that the elements take the rest of a plain file of `size` bytes.
    fn check_size(&self, size: u64) -> Result<()> {
        let (want, got) = (self.ty.bytes()? as u64, size.saturating_sub(self.bytes()));
        match got.cmp(&want) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less => Err(self.differs(&got.to_string())),
            std::cmp::Ordering::Greater => Err(self.differs("more")),
        }
    }

    fn declared(&self) -> String {
        format!("the header declares {}{:?}", self.ty.dtype, &self.ty.shape[..])
    }

    /// Returns the error of a file with `got` bytes of elements.
    fn differs(&self, got: &str) -> Error {
        let why = match self.ty.bytes() {
            Ok(bytes) => format!("expected {bytes} bytes of elements, got {got}"),
            Err(e) => e.message().to_string(),
        };
        Error::new("idx", format!("{}: {why}", self.declared()))
    }

    /// Reads the elements, `bytes` bytes, up to the end of the file.
    fn elements<T: Element, const N: usize>(
        &self,
        mut r: Box<dyn Read>,
        bytes: usize,
        from: fn([u8; N]) -> T,
    ) -> Result<Tensor> {
        let out = numbers(&mut r, bytes / N, from)?;
        if out.len() < bytes / N {
            return Err(self.differs(&format!("{}", out.len() * N)));
        }
        // One byte more than declared, to detect trailing bytes.
        let more = r.take(1).read_to_end(&mut Vec::new());
        if more.map_err(|e| Error::new("idx", e.to_string()))? > 0 {
            return Err(self.differs("more"));
        }
        Tensor::from_vec(out, self.ty.shape.to_vec()).ok()
    }
}

fn four(r: &mut impl Read) -> Result<[u8; 4]> {
    let mut bytes = [0; 4];
    r.read_exact(&mut bytes)
        .map_err(|e| Error::new("idx", format!("the header is truncated ({e})")))?;
    Ok(bytes)
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

/// Returns the error of a file with its path.
pub(crate) fn in_file(e: Error, path: &Path) -> Error {
    Error::new(e.op(), format!("{}: {}", path.display(), e.message()))
}

#[cfg(test)]
pub(crate) mod tests;
