//! Tensors exchanged with other libraries in one process by DLPack
//! (<https://dmlc.github.io/dlpack/latest/c_api.html>), without a copy (feature `dlpack`).
//!
//! A [`DlpackTensor`] owns a `DLManagedTensorVersioned`: a pointer to elements with shape, strides
//! and dtype, and a deleter that the consumer calls when it needs the elements no more. Tensors of
//! Neurax never change, so that exported ones are marked as read-only; the owner of imported ones
//! must not write into them either.
//!
//! In Python, a capsule called `dltensor_versioned` holds the pointer, which NumPy (from 2.1 on),
//! PyTorch and JAX take and return. `examples/dlpack.py` does so with NumPy.

#![allow(unsafe_code, reason = "the structures of DLPack are shared with C by raw pointers")]

use super::elements::{literal, row_major};
use crate::{DType, Error, Result, Tensor};
use neurax_ir::{Bytes, Literal, Place, Type};
use std::{ffi::c_void, panic::Location, ptr::NonNull, slice, sync::Arc};

/// The version of the structures: 1.0.
const DLPACK_VERSION: DLPackVersion = DLPackVersion { major: 1, minor: 0 };

/// The type of a device with memory of the CPU.
const CPU: i32 = 1;

/// The bit of `flags` that forbids to write.
const READ_ONLY: u64 = 1;

/// The largest number of axes that is imported.
const MAX_DLPACK_AXES: usize = 64;

/// The dtypes of DLPack, each with its code and its bits. Numbers below 8 bits are packed
/// differently by other libraries and are not exchanged.
const DLPACK_DTYPES: [(DType, u8, u8); 23] = [
    (DType::I8, 0, 8),
    (DType::I16, 0, 16),
    (DType::I32, 0, 32),
    (DType::I64, 0, 64),
    (DType::U8, 1, 8),
    (DType::U16, 1, 16),
    (DType::U32, 1, 32),
    (DType::U64, 1, 64),
    (DType::F16, 2, 16),
    (DType::F32, 2, 32),
    (DType::F64, 2, 64),
    (DType::BF16, 4, 16),
    (DType::C64, 5, 64),
    (DType::C128, 5, 128),
    (DType::Bool, 6, 8),
    (DType::F8E3M4, 7, 8),
    (DType::F8E4M3, 8, 8),
    (DType::F8E4M3B11FNUZ, 9, 8),
    (DType::F8E4M3FN, 10, 8),
    (DType::F8E4M3FNUZ, 11, 8),
    (DType::F8E5M2, 12, 8),
    (DType::F8E5M2FNUZ, 13, 8),
    (DType::F8E8M0FNU, 14, 8),
];

/// The version of DLPack by which a structure was made.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DLPackVersion {
    /// The version whose changes break the layout.
    pub major: u32,
    /// The version whose changes do not.
    pub minor: u32,
}

/// The device of the elements.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DLDevice {
    /// The type of the device: 1 is the CPU.
    pub device_type: i32,
    /// The number of the device.
    pub device_id: i32,
}

/// The type of the elements.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DLDataType {
    /// The kind of the numbers.
    pub code: u8,
    /// The bits of a number.
    pub bits: u8,
    /// The numbers of a vector.
    pub lanes: u16,
}

/// A view of elements in memory.
#[repr(C)]
#[derive(Debug)]
pub struct DLTensor {
    /// The address of the memory.
    pub data: *mut c_void,
    /// The device of the memory.
    pub device: DLDevice,
    /// The number of axes.
    pub ndim: i32,
    /// The type of the elements.
    pub dtype: DLDataType,
    /// The sizes of the axes.
    pub shape: *mut i64,
    /// The distances along the axes, in elements; null for row-major order.
    pub strides: *mut i64,
    /// The offset of the first element from `data`, in bytes.
    pub byte_offset: u64,
}

/// Elements with their owner.
#[repr(C)]
#[derive(Debug)]
pub struct DLManagedTensorVersioned {
    /// The version of this structure.
    pub version: DLPackVersion,
    /// The owner, for the deleter.
    pub manager_ctx: *mut c_void,
    /// The function that frees the structure and the elements.
    pub deleter: Option<unsafe extern "C" fn(*mut DLManagedTensorVersioned)>,
    /// Bits that restrict the use of the elements: 1 forbids to write.
    pub flags: u64,
    /// The elements.
    pub dl_tensor: DLTensor,
}

/// An owned `DLManagedTensorVersioned`, whose deleter is called when it is dropped.
///
/// ```
/// use neurax::io::DlpackTensor;
/// use neurax::prelude::*;
/// let x = tensor([[1.0, 2.0], [3.0, 4.0]]);
/// let exported = x.to_dlpack()?;
/// let y = Tensor::from_dlpack(exported)?;
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
/// let address = |x: &Tensor| x.to_literal().map(|x| x.bytes().address());
/// assert_eq!(address(&x)?, address(&y)?, "nothing was copied");
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct DlpackTensor(NonNull<DLManagedTensorVersioned>);

// SAFETY: the structure is owned by this value alone and not changed. `from_raw` demands that the
// deleter may be called by any thread.
unsafe impl Send for DlpackTensor {}
// SAFETY: as above; nothing is written through a shared reference.
unsafe impl Sync for DlpackTensor {}

impl DlpackTensor {
    /// Takes ownership of a structure, e.g. the pointer in a capsule of Python, which must then be
    /// renamed to `used_dltensor_versioned`.
    ///
    /// # Safety
    /// `raw` is null or points to a valid structure that no one else owns, whose major version says
    /// its layout. Its elements do not change until the deleter is called, and any thread may read
    /// them and call the deleter.
    ///
    /// # Errors
    /// When `raw` is null.
    ///
    /// ```
    /// use neurax::io::DlpackTensor;
    /// use neurax::prelude::*;
    /// let raw = tensor([1.0, 2.0]).to_dlpack()?.into_raw();
    /// // SAFETY: the structure was just made, and nothing else owns it.
    /// let owned = unsafe { DlpackTensor::from_raw(raw)? };
    /// assert_eq!(Tensor::from_dlpack(owned)?.to_vec::<f32>()?, [1.0, 2.0]);
    /// // SAFETY: a null pointer is allowed, and refused.
    /// assert!(unsafe { DlpackTensor::from_raw(std::ptr::null_mut()) }.is_err());
    /// # Ok::<(), Error>(())
    /// ```
    pub unsafe fn from_raw(raw: *mut DLManagedTensorVersioned) -> Result<DlpackTensor> {
        let null = || failed("expected a DLManagedTensorVersioned, got a null pointer");
        NonNull::new(raw).map(DlpackTensor).ok_or_else(null)
    }

    /// Returns the structure, whose deleter the caller has to call.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let raw = Tensor::zeros([2, 3]).to_dlpack()?.into_raw();
    /// // SAFETY: the structure was just made, and nothing else owns it.
    /// unsafe {
    ///     assert_eq!((*raw).dl_tensor.ndim, 2);
    ///     (*raw).deleter.map(|delete| delete(raw));
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn into_raw(self) -> *mut DLManagedTensorVersioned {
        let raw = self.0.as_ptr();
        std::mem::forget(self);
        raw
    }

    fn managed(&self) -> &DLManagedTensorVersioned {
        // SAFETY: the structure is valid until `drop`.
        unsafe { self.0.as_ref() }
    }

    /// Returns the type, and the strides in bytes.
    fn layout(&self) -> Result<(Type, Vec<isize>)> {
        let DLTensor { device, ndim, dtype, shape, strides, .. } = self.managed().dl_tensor;
        if device.device_type != CPU {
            let got = device.device_type;
            return Err(failed(format!("expected memory of the CPU (device 1), got device {got}")));
        }
        let known =
            DLPACK_DTYPES.iter().find(|d| (d.1, d.2, 1) == (dtype.code, dtype.bits, dtype.lanes));
        let (dtype, ..) = *known.ok_or_else(|| {
            failed(format!("expected elements of a dtype of Neurax, got {dtype:?}"))
        })?;
        let rank = usize::try_from(ndim).ok().filter(|&n| n <= MAX_DLPACK_AXES);
        let rank = rank.ok_or_else(|| {
            failed(format!("expected at most {MAX_DLPACK_AXES} axes, got {ndim}"))
        })?;
        // SAFETY: the structure is valid: its lists have `ndim` entries.
        let (shape, strides) = unsafe { (list(shape, rank), list(strides, rank)) };
        let sizes = shape.unwrap_or_default().iter().map(|&n| usize::try_from(n));
        let sizes = sizes.collect::<Result<Vec<_>, _>>().ok().filter(|s| s.len() == rank);
        let sizes = sizes.ok_or_else(|| failed(format!("expected {rank} sizes, got {shape:?}")))?;
        let ty = Type::new(dtype, sizes);
        let width = ty.dtype.bits() as isize / 8;
        ty.bytes().map_err(|e| failed(e.message()))?;
        let strides: Vec<isize> = match strides {
            Some(strides) => strides.iter().map(|&s| (s as isize).saturating_mul(width)).collect(),
            None => ty.shape.strides().iter().map(|&s| s as isize * width).collect(),
        };
        Ok((ty, strides))
    }
}

impl Drop for DlpackTensor {
    fn drop(&mut self) {
        if let Some(deleter) = self.managed().deleter {
            // SAFETY: this value owns the structure, and is gone afterwards.
            unsafe { deleter(self.0.as_ptr()) }
        }
    }
}

/// The memory of a foreign tensor: all bytes from its first to its last element.
struct ForeignMemory {
    owner: DlpackTensor,
    /// The offset of the first byte from `data`.
    start: isize,
    bytes: usize,
}

impl AsRef<[u8]> for ForeignMemory {
    fn as_ref(&self) -> &[u8] {
        let data = self.owner.managed().dl_tensor.data.cast::<u8>();
        if self.bytes == 0 || data.is_null() {
            return &[];
        }
        // SAFETY: a valid structure holds every element that its layout names, and they do not
        // change while it lives.
        unsafe { slice::from_raw_parts(data.offset(self.start), self.bytes) }
    }
}

/// An exported tensor: the structure, and what it points to.
struct Exported {
    managed: DLManagedTensorVersioned,
    shape: Vec<i64>,
    strides: Vec<i64>,
    /// The owner of the memory, which lives until the structure is deleted.
    _literal: Literal,
}

impl Tensor {
    /// Returns the tensor for another library, which shares the memory: read-only, in row-major
    /// order.
    ///
    /// # Errors
    /// The error that the tensor carries; when it is being traced; for integers below 8 bits.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let exported = tensor([1, 2]).to_dlpack()?;
    /// assert_eq!(Tensor::from_dlpack(exported)?.to_vec::<i32>()?, [1, 2]);
    /// let e = tensor([1, 2]).to(I4).to_dlpack().unwrap_err();
    /// assert!(e.message().contains("DLPack has no i4"), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn to_dlpack(&self) -> Result<DlpackTensor> {
        let at = Location::caller();
        let literal = self.literal_for("to_dlpack", at)?;
        let ty = literal.ty().clone();
        let known = DLPACK_DTYPES.iter().find(|d| d.0 == ty.dtype);
        let &(_, code, bits) = known.ok_or_else(|| {
            let why = format!("DLPack has no {}; convert it first", ty.dtype);
            Error::new("to_dlpack", why).at(&Place::Source(at))
        })?;
        let signed = |sizes: &[usize]| sizes.iter().map(|&n| n as i64).collect::<Vec<_>>();
        let dl_tensor = DLTensor {
            data: literal.bytes().as_ptr().cast_mut().cast(),
            device: DLDevice { device_type: CPU, device_id: 0 },
            ndim: ty.rank() as i32,
            dtype: DLDataType { code, bits, lanes: 1 },
            shape: std::ptr::null_mut(),
            strides: std::ptr::null_mut(),
            byte_offset: 0,
        };
        let managed = DLManagedTensorVersioned {
            version: DLPACK_VERSION,
            manager_ctx: std::ptr::null_mut(),
            deleter: Some(delete_exported),
            flags: READ_ONLY,
            dl_tensor,
        };
        let (shape, strides) = (signed(&ty.shape), signed(&ty.shape.strides()));
        let exported =
            Box::into_raw(Box::new(Exported { managed, shape, strides, _literal: literal }));
        // SAFETY: the box was just made, and has no other reference.
        let managed = unsafe {
            (*exported).managed.dl_tensor.shape = (*exported).shape.as_mut_ptr();
            (*exported).managed.dl_tensor.strides = (*exported).strides.as_mut_ptr();
            (*exported).managed.manager_ctx = exported.cast();
            NonNull::new_unchecked(&raw mut (*exported).managed)
        };
        Ok(DlpackTensor(managed))
    }

    /// Creates a tensor of one of another library. Aligned elements in row-major order become its
    /// memory, and the deleter is called when the last tensor that shares it is dropped; others are
    /// copied.
    ///
    /// # Errors
    /// When the major version is not 1, the memory is not that of the CPU, or the dtype is not
    /// ours.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 2.0]);
    /// let y = Tensor::from_dlpack(x.to_dlpack()?)?;
    /// assert_eq!((y.to_vec::<f32>()?, y.address()), (vec![1.0, 2.0], x.address()));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn from_dlpack(theirs: DlpackTensor) -> Result<Tensor> {
        let version = theirs.managed().version;
        if version.major != DLPACK_VERSION.major {
            return Err(failed(format!("expected version 1 of DLPack, got {}", version.major)));
        }
        let (ty, strides) = theirs.layout()?;
        let width = ty.dtype.bits() / 8;
        let (low, high) = extent(&ty.shape, &strides)
            .ok_or_else(|| failed(format!("the strides {strides:?} of {ty} overflow")))?;
        let offset = isize::try_from(theirs.managed().dl_tensor.byte_offset)
            .map_err(|e| failed(e.to_string()))?;
        let start = offset.checked_add(low).ok_or_else(|| failed("the offset overflows"))?;
        let bytes = if ty.size() == 0 { 0 } else { high.abs_diff(low) + width };
        let memory = ForeignMemory { owner: theirs, start, bytes };
        let rows = ty.shape.strides();
        let in_order = (0..ty.rank())
            .all(|a| ty.shape[a] <= 1 || strides[a] == rows[a] as isize * width as isize);
        let bytes = if in_order || ty.size() == 0 {
            Bytes::from(Arc::new(memory) as Arc<dyn AsRef<[u8]> + Send + Sync>)
        } else {
            let copied = row_major(memory.as_ref(), low.unsigned_abs(), width, &ty.shape, &strides);
            Bytes::from(copied.ok_or_else(|| failed(format!("not enough memory for {ty}")))?)
        };
        literal(ty, bytes).map(Tensor::from).map_err(|e| failed(e.message()))
    }
}

/// Frees an exported tensor.
///
/// # Safety
/// `managed` is the structure that [`Tensor::to_dlpack`] made, and was not freed.
unsafe extern "C" fn delete_exported(managed: *mut DLManagedTensorVersioned) {
    // SAFETY: the owner is the box of `to_dlpack`.
    unsafe { drop(Box::from_raw((*managed).manager_ctx.cast::<Exported>())) }
}

/// Returns the list at `first`; `None` if it is null.
///
/// # Safety
/// `first` is null or points to `n` numbers that live as long as the result is used.
unsafe fn list<'a>(first: *const i64, n: usize) -> Option<&'a [i64]> {
    match (n, first.is_null()) {
        (0, _) => Some(&[]),
        (_, true) => None,
        // SAFETY: the caller ensures it.
        (n, false) => Some(unsafe { slice::from_raw_parts(first, n) }),
    }
}

/// Returns the smallest and the largest offset of an element, in bytes; `None` if one overflows.
fn extent(shape: &[usize], strides: &[isize]) -> Option<(isize, isize)> {
    let (mut low, mut high) = (0isize, 0isize);
    for (&n, &stride) in shape.iter().zip(strides) {
        let last = stride.checked_mul(isize::try_from(n.saturating_sub(1)).ok()?)?;
        low = low.checked_add(last.min(0))?;
        high = high.checked_add(last.max(0))?;
    }
    high.checked_sub(low)?;
    Some((low, high))
}

fn failed(why: impl Into<String>) -> Error {
    Error::new("from_dlpack", why)
}

#[cfg(test)]
mod tests;
