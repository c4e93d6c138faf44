//! Tensors in NumPy's `.npy` files, as `numpy.save` and `numpy.load`
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).
//!
//! A file is the magic bytes, a version, the length of the header, the header, and the elements.
//! The header is a dictionary of Python as text:
//!
//! ```text
//! {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
//! ```
//!
//! Files of all versions (1.0, 2.0, 3.0), both byte orders and both orders of elements are read;
//! written is version 1.0, little-endian, row-major. The dtypes that NumPy has are bool, the
//! integers of 8 to 64 bits, f16, f32, f64, c64 and c128.

pub(super) mod header;

use super::{
    elements::{byte_swapped, literal, little_endian, read_bytes, row_major},
    in_file, load_file, open_file,
    replace::replace_file,
    rows::FileRows,
};
use crate::{Error, Result, Tensor};
use header::NpyHeader;
use neurax_ir::{Bytes, Literal, OrBug};
use std::{
    io::{BufReader, Cursor, Read, Write},
    path::Path,
};

/// Reads a tensor from a file. Elements in Fortran order are reordered, those in the other byte
/// order are swapped.
///
/// # Errors
/// When the file cannot be read, is not a regular file, is cut short or holds more than one array;
/// its header is malformed; or its dtype is not one of ours (strings, dates, Python objects, f128,
/// structures). The sizes of the header are compared with the file before memory is allocated.
///
/// ```
/// use neurax::io::npy;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-load.npy");
/// npy::save(&tensor([[1.0, 2.0], [3.0, 4.0]]), &path)?;
/// assert_eq!(npy::load(&path)?.to_string(), "f32[2, 2]\n[[1.0, 2.0],\n [3.0, 4.0]]");
/// # Ok::<(), Error>(())
/// ```
pub fn load(path: impl AsRef<Path>) -> Result<Tensor> {
    load_file(path.as_ref(), |path| {
        let file = open_file(path)?;
        let size = file.metadata()?.len();
        read(&mut BufReader::new(file), Some(size))
    })
}

/// Opens a file to read its rows, entries along axis 0, one by one: for an array that is larger
/// than memory.
///
/// # Errors
/// As [`load`], and when the array is a scalar or in Fortran order, in which rows are not
/// contiguous.
///
/// ```
/// use neurax::io::npy;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-rows.npy");
/// npy::save(&tensor([[1.0, 2.0], [3.0, 4.0]]), &path)?;
/// assert_eq!(npy::rows(&path)?.row(1)?.to_vec::<f32>()?, [3.0, 4.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn rows(path: impl AsRef<Path>) -> Result<FileRows> {
    load_file(path.as_ref(), |path| {
        let mut file = open_file(path)?;
        let size = file.metadata()?.len();
        let header = header::read(&mut file)?;
        header.check_size(size)?;
        header.check_rows()?;
        let rows = FileRows::new(path, file, &header.ty, header.length as u64)?;
        Ok(rows.swapped(header.swapped))
    })
}

/// Writes a tensor to a file, as [`crate::io::safetensors::save`] does: an existing file is
/// replaced when the new one is complete.
///
/// # Errors
/// When the tensor carries an error or is being traced; NumPy lacks its dtype (bf16, f8, integers
/// below 8 bits); or the file cannot be written.
///
/// ```
/// use neurax::io::npy;
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join("neurax-doc-save.npy");
/// npy::save(&Tensor::arange(3), &path)?;
/// assert_eq!(npy::load(&path)?.to_vec::<i32>()?, [0, 1, 2]);
/// let e = npy::save(&tensor(1.0).to(BF16), &path).unwrap_err().to_string();
/// assert!(e.contains("NumPy has no bf16; convert it first, e.g. with `.to(F32)`"), "{e}");
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn save(x: &Tensor, path: impl AsRef<Path>) -> Result<()> {
    let (path, x) = (path.as_ref(), x.to_literal()?);
    let header = header_of(&x).map_err(|e| in_file("save", path, e.message()))?;
    replace_file(path, |file| write(file, &header, &x)).map_err(|e| in_file("save", path, e))
}

/// Reads a tensor from the bytes of a file, as [`load`] does.
///
/// # Errors
/// As [`load`].
///
/// ```
/// use neurax::io::npy;
/// use neurax::prelude::*;
/// let bytes = npy::to_bytes(&tensor([1.5, 2.5]))?;
/// assert_eq!(npy::from_bytes(&bytes)?.to_vec::<f32>()?, [1.5, 2.5]);
/// assert!(npy::from_bytes(&bytes[..bytes.len() - 1]).is_err());
/// # Ok::<(), Error>(())
/// ```
pub fn from_bytes(bytes: &[u8]) -> Result<Tensor> {
    read(&mut Cursor::new(bytes), Some(bytes.len() as u64))
}

/// Returns the bytes of a file that holds the tensor, as [`save`] writes them.
///
/// # Errors
/// As [`save`].
///
/// ```
/// use neurax::io::npy;
/// use neurax::prelude::*;
/// let bytes = npy::to_bytes(&tensor([1.5, 2.5]))?;
/// assert!(bytes.starts_with(b"\x93NUMPY") && bytes.ends_with(&2.5f32.to_le_bytes()));
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn to_bytes(x: &Tensor) -> Result<Vec<u8>> {
    let x = x.to_literal()?;
    let mut bytes = Vec::new();
    write(&mut bytes, &header_of(&x)?, &x)?;
    Ok(bytes)
}

/// Returns the header of a file that holds `x`.
pub(super) fn header_of(x: &Literal) -> Result<Vec<u8>> {
    header::text(x.ty()).map_err(|why| Error::new("save", why))
}

/// Writes the header and the elements.
pub(super) fn write(to: &mut impl Write, header: &[u8], x: &Literal) -> std::io::Result<()> {
    to.write_all(header)?;
    to.write_all(&little_endian(x.bytes(), x.dtype()))
}

/// Reads a tensor. `size` is the number of bytes of `from`, if it is known.
pub(super) fn read(from: &mut impl Read, size: Option<u64>) -> Result<Tensor> {
    let header = header::read(from)?;
    if let Some(size) = size {
        header.check_size(size)?;
    }
    let NpyHeader { ty, swapped, fortran_order, .. } = header;
    let bytes = ty.bytes()?;
    let mut elements = read_bytes(from, bytes)?;
    if size.is_none() && from.read(&mut [0])? > 0 {
        return Err(Error::new("load", format!("expected {bytes} bytes for {ty}, got more")));
    }
    if swapped {
        elements = byte_swapped(&elements, ty.dtype);
    }
    if fortran_order && ty.rank() > 1 {
        let width = ty.dtype.bits() / 8;
        let mut stride = width;
        let strides: Vec<isize> = ty
            .shape
            .iter()
            .map(|&n| {
                let this = stride as isize;
                stride = stride.saturating_mul(n);
                this
            })
            .collect();
        elements = row_major(&elements, 0, width, &ty.shape, &strides)
            .or_bug("the elements lie within their bytes")?;
    }
    Ok(Tensor::from(literal(ty, Bytes::from(elements))?))
}

#[cfg(test)]
mod tests;
