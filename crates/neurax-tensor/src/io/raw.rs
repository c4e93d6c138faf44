//! Raw elements, without a header: in bytes and in files, as NumPy's `frombuffer`, `tobytes`,
//! `fromfile` and `tofile`. The byte order is little-endian; integers below 8 bits are packed, the
//! first in the lowest bits.

use super::{
    elements::{literal, little_endian, read_bytes},
    in_file, load_file, open_file,
    replace::replace_file,
};
use crate::{DType, Error, IntoShape, Result, Tensor, shape::fixed};
use neurax_ir::{Bytes, Place, Type};
use std::{borrow::Cow, io::Write, panic::Location, path::Path};

impl Tensor {
    /// Creates a tensor of the bytes of its elements, little-endian and in row-major order.
    ///
    /// A `Vec<u8>`, or an `Arc<dyn AsRef<[u8]> + Send + Sync>` around any memory, becomes the
    /// memory of the tensor. It is copied if its address is not a multiple of the size of a number;
    /// if a vector has less than 64 KiB, as a copy then costs less; and on a big-endian machine. A
    /// slice is copied always.
    ///
    /// # Errors
    /// The result carries an error if the number of bytes is not that of the shape and dtype, a
    /// byte of a bool is neither 0 nor 1, or an unused bit behind packed integers is set.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::from_bytes(vec![0, 0, 128, 63, 0, 0, 0, 64], F32, 2);
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0]);
    ///
    /// let bytes = vec![1u8; 1 << 20];
    /// let address = bytes.as_ptr().addr();
    /// let x = Tensor::from_bytes(bytes, I32, [512, 512]);
    /// assert_eq!(x.to_literal()?.bytes().address(), address, "nothing was copied");
    ///
    /// let e = Tensor::from_bytes(vec![0; 7], F32, 2).error().unwrap().to_string();
    /// assert!(e.starts_with("from_bytes: expected 8 bytes for f32[2], got 7"), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn from_bytes(bytes: impl Into<Bytes>, dtype: DType, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        let built = fixed(shape).and_then(|shape| {
            let bytes = native(bytes.into(), dtype);
            literal(Type::new(dtype, shape), bytes).map_err(|e| e.message().to_string())
        });
        built.map_or_else(|why| Tensor::fail("from_bytes", why, at), Tensor::from)
    }

    /// Returns the bytes of the elements, little-endian and in row-major order.
    ///
    /// # Errors
    /// The error that the tensor carries; when it is being traced.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 258]).to_bytes()?, [1, 0, 0, 0, 2, 1, 0, 0]);
    /// assert_eq!(tensor([1, -1, 3]).to(I4).to_bytes()?, [0xf1, 0x03]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let x = self.literal_for("to_bytes", Location::caller())?;
        Ok(little_endian(x.bytes(), x.dtype()).into_owned())
    }

    /// Reads all elements of a file of raw elements, as a vector; reshape it. For integers below 8
    /// bits, all elements that fit into the bytes of the file are read.
    ///
    /// # Errors
    /// When the file cannot be read, is not a regular file, or its size is not a multiple of that
    /// of an element.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let path = std::env::temp_dir().join("neurax-doc-raw");
    /// tensor([[1.0, 2.0], [3.0, 4.0]]).to_file(&path)?;
    /// assert_eq!(Tensor::from_file(&path, F32)?.to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
    /// let e = Tensor::from_file(&path, C128)?.size();
    /// assert_eq!(e, 1, "the dtype is not in the file");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn from_file(path: impl AsRef<Path>, dtype: DType) -> Result<Tensor> {
        let at = Location::caller();
        let read = |path: &Path| {
            let mut file = open_file(path)?;
            let size = file.metadata()?.len();
            let size = usize::try_from(size).map_err(|e| Error::new("load", e.to_string()))?;
            let element = dtype.bits().div_ceil(8);
            if !size.is_multiple_of(element) {
                let why = format!("expected a multiple of {element} bytes for {dtype}, got {size}");
                return Err(Error::new("load", why));
            }
            let bytes = native(Bytes::from(read_bytes(&mut file, size)?), dtype);
            let ty = Type::new(dtype, [size.saturating_mul(8) / dtype.bits()]);
            Ok(Tensor::from(literal(ty, bytes)?))
        };
        load_file(path.as_ref(), read).map_err(|e| e.at(&Place::Source(at)))
    }

    /// Writes the raw elements to a file, little-endian and in row-major order: no dtype and no
    /// shape. An existing file is replaced when the new one is complete.
    ///
    /// # Errors
    /// The error that the tensor carries; when it is being traced, or the file cannot be written.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let path = std::env::temp_dir().join("neurax-doc-to-file.raw");
    /// tensor([1.0, 2.0]).to_file(&path)?;
    /// assert_eq!(std::fs::read(&path)?, [0, 0, 128, 63, 0, 0, 0, 64]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to_file(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let x = self.literal_for("to_file", Location::caller())?;
        let bytes = little_endian(x.bytes(), x.dtype());
        replace_file(path, |file| file.write_all(&bytes)).map_err(|e| in_file("save", path, e))
    }
}

/// Converts little-endian bytes to the byte order of this machine.
fn native(bytes: Bytes, dtype: DType) -> Bytes {
    match little_endian(&bytes, dtype) {
        Cow::Borrowed(_) => bytes,
        Cow::Owned(swapped) => Bytes::copy_of(&swapped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{prelude::*, testing::Draw};
    use std::sync::Arc;

    #[test]
    fn every_dtype_returns_from_its_bytes() {
        let mut draw = Draw::new(1);
        let path = std::env::temp_dir().join("neurax-raw-elements");
        for dtype in DType::ALL {
            let x = draw.tensor(dtype, [2, 5]);
            let bytes = x.to_bytes().unwrap();
            let back = Tensor::from_bytes(&bytes[..], dtype, [2, 5]);
            assert_eq!(back.to_literal().unwrap(), x.to_literal().unwrap(), "{dtype}");
            x.to_file(&path).unwrap();
            let back = Tensor::from_file(&path, dtype).unwrap();
            assert_eq!(back.to_bytes().unwrap(), bytes, "{dtype}");
            assert_eq!(back.size(), bytes.len() * 8 / dtype.bits(), "{dtype}");
        }
    }

    #[test]
    fn aligned_memory_is_not_copied() {
        let owner: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(vec![0u8; 1024]);
        let (memory, address) = (owner.clone(), (*owner).as_ref().as_ptr().addr());
        let x = Tensor::from_bytes(memory, F64, 128);
        assert_eq!(x.to_literal().unwrap().bytes().address(), address);
        drop(x);
        assert_eq!(Arc::strong_count(&owner), 1, "the tensor gave the memory back");

        let shifted = Bytes::borrowed(owner, 1..1017).unwrap();
        let x = Tensor::from_bytes(shifted, F64, 127);
        assert_ne!(x.to_literal().unwrap().bytes().address(), address + 1);
    }

    #[test]
    fn wrong_bytes_are_errors() {
        let message = |x: Tensor| x.error().unwrap().message().to_string();
        let e = message(Tensor::from_bytes(vec![2u8], BOOL, 1));
        assert_eq!(e, "expected bytes of 0 and 1 for bool elements, got others");
        let e = message(Tensor::from_bytes(vec![0u8; 4], F32, dims![_]));
        assert_eq!(e, "expected a size, got `_`");
        let e = message(Tensor::from_bytes(vec![0u8; 4], F32, [usize::MAX, 8]));
        assert!(e.contains("f32[18446744073709551615, 8]"), "{e}");
        let path = std::env::temp_dir().join("neurax-raw-odd");
        std::fs::write(&path, [0; 6]).unwrap();
        let e = Tensor::from_file(&path, F32).unwrap_err().to_string();
        assert!(e.contains("neurax-raw-odd: expected a multiple of 4 bytes for f32, got 6"), "{e}");
    }
}
