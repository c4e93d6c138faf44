//! A library for C that exchanges tensors by DLPack; `dlpack.py` beside it calls it from Python.

#![allow(unsafe_code, reason = "functions for C")]

use neurax_tensor::{
    Tensor,
    io::{DLManagedTensorVersioned, DlpackTensor},
};

/// Returns the matrix `[[0, 1, 2], [3, 4, 5]]` of f32, or null if it fails.
#[unsafe(no_mangle)]
pub extern "C" fn neurax_export() -> *mut DLManagedTensorVersioned {
    let x = Tensor::arange(6).reshape([2, 3]).to(neurax_tensor::DType::F32);
    x.to_dlpack().map_or(std::ptr::null_mut(), DlpackTensor::into_raw)
}

/// Returns twice the tensor, or null if it fails.
///
/// # Safety
/// As `DlpackTensor::from_raw`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neurax_twice(
    raw: *mut DLManagedTensorVersioned,
) -> *mut DLManagedTensorVersioned {
    // SAFETY: the caller ensures it.
    let x = unsafe { DlpackTensor::from_raw(raw) }.and_then(Tensor::from_dlpack);
    x.and_then(|x| (x * 2.0).to_dlpack()).map_or(std::ptr::null_mut(), DlpackTensor::into_raw)
}
