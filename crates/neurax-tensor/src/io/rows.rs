//! The rows of an array in a file, read one by one from a file that may be larger than memory.
//!
//! The readers of the formats ([`npy::rows`](super::npy::rows), [`npz::rows`](super::npz::rows),
//! [`safetensors::rows`](super::safetensors::rows)) read a header and say where the elements are.
//! A row is an entry along axis 0, and takes the same number of bytes as all others:
//!
//! ```text
//! u8[3, 2] behind a header of 4 bytes     h h h h | 1 2 | 3 4 | 5 6
//! row 1, u8[2]                                    3 4, from byte 4 + 1 * 2 on
//! ```
//!
//! The elements of a compressed array are read from the first on, since no byte can be found
//! without those before it.
//!
//! # Invariants
//!
//! - A file is opened once: its rows stay those of this file if another one replaces it.
//! - Readers share the file, and each has a separate position. A lock covers one read.

use super::elements::{byte_swapped, literal, read_bytes};
use super::in_file;
use crate::{Error, Result, Tensor};
use neurax_ir::{Bytes, Type};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A function that decompresses a part of a file.
type OpenDecoder = dyn Fn(BufReader<FilePart>) -> Box<dyn Read + Send> + Send + Sync;

/// The rows of an array in a file, its entries along axis 0. A row is read when it is used; clones
/// share the file.
///
/// The functions `rows` of [`npy`](super::npy::rows), [`npz`](super::npz::rows) and
/// [`safetensors`](super::safetensors::rows) return it.
///
/// ```
/// use neurax::io::npy;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-file-rows.npy");
/// npy::save(&tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), &path)?;
/// let rows = npy::rows(&path)?;
/// assert_eq!((rows.len(), rows.row_type().to_string()), (3, "f32[2]".into()));
/// assert_eq!(rows.row(2)?.to_vec::<f32>()?, [5.0, 6.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct FileRows {
    path: PathBuf,
    /// The type of a row.
    ty: Type,
    /// The number of rows.
    rows: usize,
    /// The number of bytes of a row.
    row_bytes: usize,
    /// True if numbers are in the byte order that this machine does not have.
    is_swapped: bool,
    /// The bytes of the array, compressed ones if there is a decoder.
    part: FilePart,
    /// The number of bytes in front of the first element, in the part or in what it decodes to.
    header_bytes: u64,
    decoder: Option<Arc<OpenDecoder>>,
}

impl FileRows {
    /// Returns the rows of an array of the type `ty`, whose first element is at byte `start` of an
    /// open file.
    ///
    /// # Errors
    /// If the array is a scalar, a row does not take whole bytes, or the sizes overflow.
    #[doc(hidden)]
    pub fn new(path: &Path, file: File, ty: &Type, start: u64) -> Result<FileRows> {
        let Some((&rows, row)) = ty.shape.split_first() else {
            return Err(Error::new("load", format!("expected rows along axis 0, got {ty}")));
        };
        let (row, bytes) = (Type::new(ty.dtype, row.to_vec()), ty.bytes()? as u64);
        if !row.size().saturating_mul(row.dtype.bits()).is_multiple_of(8) {
            let why = format!("expected rows of whole bytes, got {row}; load the whole array");
            return Err(Error::new("load", why));
        }
        let bytes = start..start.saturating_add(bytes);
        let file = Arc::new(Mutex::new(file));
        Ok(FileRows {
            path: path.into(),
            row_bytes: row.bytes()?,
            ty: row,
            rows,
            is_swapped: false,
            part: FilePart { file, bytes },
            header_bytes: 0,
            decoder: None,
        })
    }

    /// Sets whether numbers are in the byte order that this machine does not have.
    #[doc(hidden)]
    pub fn swapped(self, is_swapped: bool) -> FileRows {
        FileRows { is_swapped: is_swapped && self.ty.dtype.bits() > 8, ..self }
    }

    /// Sets that the array is what `decoder` makes of a part of the file, `bytes`: a header of
    /// `header_bytes` and then the elements, with nothing behind them.
    #[doc(hidden)]
    pub fn decoded(
        mut self,
        bytes: Range<u64>,
        header_bytes: u64,
        decoder: impl Fn(BufReader<FilePart>) -> Box<dyn Read + Send> + Send + Sync + 'static,
    ) -> FileRows {
        self.part.bytes = bytes;
        FileRows { header_bytes, decoder: Some(Arc::new(decoder)), ..self }
    }

    /// Returns the number of rows.
    ///
    /// ```
    /// use neurax::io::npy;
    /// use neurax::prelude::*;
    /// # let path = std::env::temp_dir().join("neurax-doc-file-rows-len.npy");
    /// npy::save(&Tensor::zeros([3, 2]), &path)?;
    /// assert_eq!(npy::rows(&path)?.len(), 3);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Returns true if there are no rows.
    ///
    /// ```
    /// use neurax::io::npy;
    /// use neurax::prelude::*;
    /// # let path = std::env::temp_dir().join("neurax-doc-file-rows-empty.npy");
    /// npy::save(&Tensor::zeros([0, 2]), &path)?;
    /// assert!(npy::rows(&path)?.is_empty());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Returns the type of a row.
    ///
    /// ```
    /// use neurax::io::npy;
    /// use neurax::prelude::*;
    /// # let path = std::env::temp_dir().join("neurax-doc-file-rows-type.npy");
    /// npy::save(&Tensor::zeros([3, 2]), &path)?;
    /// assert_eq!(npy::rows(&path)?.row_type().to_string(), "f32[2]");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn row_type(&self) -> &Type {
        &self.ty
    }

    /// Returns true if a row can be read without those before it: the array is not compressed.
    ///
    /// ```
    /// use neurax::io::npz;
    /// use neurax::prelude::*;
    /// # let path = std::env::temp_dir().join("neurax-doc-file-rows-access.npz");
    /// npz::save(&Tensor::zeros([3, 2]), &path)?;
    /// assert!(npz::rows(&path, "arr_0")?.has_random_access());
    /// npz::save_compressed(&Tensor::zeros([3, 2]), &path)?;
    /// assert!(!npz::rows(&path, "arr_0")?.has_random_access());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn has_random_access(&self) -> bool {
        self.decoder.is_none()
    }

    /// Reads a row.
    ///
    /// # Errors
    /// If there is no such row, the array is compressed (see [`FileRows::read_from`]), the file
    /// cannot be read or became shorter, or a byte of a bool is neither 0 nor 1.
    ///
    /// ```
    /// use neurax::io::npy;
    /// use neurax::prelude::*;
    /// # let path = std::env::temp_dir().join("neurax-doc-file-rows-row.npy");
    /// npy::save(&tensor([[1, 2], [3, 4]]), &path)?;
    /// let rows = npy::rows(&path)?;
    /// assert_eq!(rows.row(1)?.to_vec::<i32>()?, [3, 4]);
    /// assert!(rows.row(2).unwrap_err().to_string().contains("expected a row below 2, got 2"));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn row(&self, i: usize) -> Result<Tensor> {
        if i >= self.rows {
            return Err(self.failed(format!("expected a row below {}, got {i}", self.rows)));
        }
        if !self.has_random_access() {
            let why = "the array is compressed; read its rows in their order with `read_from`, or \
                       save it without compression";
            return Err(self.failed(why));
        }
        let mut row = self.part.from(self.offset(i));
        self.read_row(&mut row).map_err(|e| self.in_row(i, &e))
    }

    /// Returns an iterator over the rows from row `first` on. Those before it are decompressed if
    /// the array is compressed, and not read otherwise. An error is the last item.
    ///
    /// The last row of a compressed array is an error if other bytes follow it, or if a checksum of
    /// the file differs.
    ///
    /// # Errors
    /// If the file cannot be read, or the rows in front of `first` are malformed. Errors of an item
    /// are those of [`FileRows::row`].
    ///
    /// ```
    /// use neurax::io::npz;
    /// use neurax::prelude::*;
    /// # let path = std::env::temp_dir().join("neurax-doc-file-rows-from.npz");
    /// npz::save_compressed(&tensor([[1, 2], [3, 4], [5, 6]]), &path)?;
    /// let rows = npz::rows(&path, "arr_0")?.read_from(1)?.collect::<Result<Vec<_>>>()?;
    /// assert_eq!((rows.len(), rows[0].to_vec::<i32>()?), (2, vec![3, 4]));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn read_from(&self, first: usize) -> Result<FileRowsIter> {
        let first = first.min(self.rows);
        let elements: Box<dyn Read + Send> = match &self.decoder {
            None => Box::new(BufReader::new(self.part.from(self.offset(first)))),
            Some(decoder) => {
                let mut decoded = decoder(BufReader::new(self.part.from(0)));
                let skipped = self.header_bytes.saturating_add(self.offset(first));
                let got = io::copy(&mut decoded.by_ref().take(skipped), &mut io::sink());
                let got = got.map_err(|e| self.failed(e))?;
                if got < skipped {
                    let why =
                        format!("expected {skipped} bytes in front of row {first}, got {got}");
                    return Err(self.failed(why + ": it is cut short"));
                }
                decoded
            }
        };
        let mut rows = FileRowsIter { rows: self.clone(), elements, next: first };
        if first == self.rows {
            rows.check_end().map_err(|e| self.failed(e.message()))?;
        }
        Ok(rows)
    }

    /// Returns the offset in bytes of row `i`, which is not behind the last one, from the first.
    fn offset(&self, i: usize) -> u64 {
        i as u64 * self.row_bytes as u64
    }

    /// Reads the next row.
    fn read_row(&self, from: &mut impl Read) -> Result<Tensor> {
        let mut bytes = read_bytes(from, self.row_bytes)?;
        if self.is_swapped {
            bytes = byte_swapped(&bytes, self.ty.dtype);
        }
        Ok(Tensor::from(literal(self.ty.clone(), Bytes::from(bytes))?))
    }

    fn in_row(&self, i: usize, e: &Error) -> Error {
        self.failed(format!("row {i}: {}", e.message()))
    }

    fn failed(&self, why: impl fmt::Display) -> Error {
        in_file("load", &self.path, why)
    }
}

impl fmt::Debug for FileRows {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("FileRows")
            .field("path", &self.path)
            .field("row", &self.ty)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

/// An iterator over the rows of an array: see [`FileRows::read_from`].
#[must_use = "no row is read before `next`"]
pub struct FileRowsIter {
    rows: FileRows,
    /// The elements from the next row on.
    elements: Box<dyn Read + Send>,
    /// The index of the next row; the number of rows after an error.
    next: usize,
}

impl FileRowsIter {
    /// Reads row `i`, the next one.
    fn read(&mut self, i: usize) -> Result<Tensor> {
        let row = self.rows.read_row(&mut self.elements)?;
        if i + 1 == self.rows.rows {
            self.check_end()?;
        }
        Ok(row)
    }

    /// Checks that compressed bytes end here: their end has their checksum.
    fn check_end(&mut self) -> Result<()> {
        let is_plain = self.rows.has_random_access();
        if is_plain || self.elements.by_ref().take(1).read_to_end(&mut Vec::new())? == 0 {
            return Ok(());
        }
        let why = format!("expected the end of the {} rows here, got more", self.rows.rows);
        Err(Error::new("load", why))
    }
}

impl Iterator for FileRowsIter {
    type Item = Result<Tensor>;

    fn next(&mut self) -> Option<Result<Tensor>> {
        let i = self.next;
        if i >= self.rows.rows {
            return None;
        }
        let row = self.read(i).map_err(|e| self.rows.in_row(i, &e));
        self.next = if row.is_ok() { i + 1 } else { self.rows.rows };
        Some(row)
    }
}

impl fmt::Debug for FileRowsIter {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("FileRowsIter").field("next", &self.next).finish_non_exhaustive()
    }
}

/// A part of an open file. Clones share the file and have their own position.
#[doc(hidden)]
#[derive(Clone)]
pub struct FilePart {
    file: Arc<Mutex<File>>,
    /// The bytes of the file that were not read.
    bytes: Range<u64>,
}

impl FilePart {
    /// Returns the rest of the part, without the first `skipped` bytes.
    fn from(&self, skipped: u64) -> FilePart {
        let start = self.bytes.start.saturating_add(skipped);
        FilePart { file: self.file.clone(), bytes: start..self.bytes.end }
    }
}

impl Read for FilePart {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let rest = self.bytes.end.saturating_sub(self.bytes.start);
        let most = usize::try_from(rest).unwrap_or(usize::MAX).min(to.len());
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.bytes.start))?;
        let n = file.read(&mut to[..most])?;
        self.bytes.start += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
