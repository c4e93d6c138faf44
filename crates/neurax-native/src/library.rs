//! The library of scalar functions that machine code calls through a table.

use neurax_ir::op::{Binary, Unary};

/// The table of functions that machine code calls, in the order of [`LibraryFn`].
#[repr(C)]
#[derive(Debug)]
pub struct Library {
    unary_f32: extern "C" fn(u32, f32) -> f32,
    unary_f64: extern "C" fn(u32, f64) -> f64,
    binary_f32: extern "C" fn(u32, f32, f32) -> f32,
    binary_f64: extern "C" fn(u32, f64, f64) -> f64,
    binary_i64: extern "C" fn(u32, i64, i64) -> i64,
    binary_u64: extern "C" fn(u32, u64, u64) -> u64,
    copy: unsafe extern "C" fn(*mut u8, *const u8, usize),
}

/// The index of a function in the library.
#[derive(Clone, Copy)]
pub enum LibraryFn {
    /// A unary function of f32.
    UnaryF32,
    /// A unary function of f64.
    UnaryF64,
    /// A binary function of f32.
    BinaryF32,
    /// A binary function of f64.
    BinaryF64,
    /// A binary function of i64.
    BinaryI64,
    /// A binary function of u64.
    BinaryU64,
    /// A copy of bytes.
    Copy,
}

/// The library of this process.
pub static LIBRARY: Library = Library {
    unary_f32,
    unary_f64,
    binary_f32,
    binary_f64,
    binary_i64,
    binary_u64,
    copy: copy_run,
};

/// Calls the function at index `f` of `all`, as `emit` writes it. Machine code cannot be unwound:
/// an index that `emit` does not write yields `none`, NaN or 0.
fn call<F: Copy, T>(all: &[F], f: u32, none: T, call: impl FnOnce(F) -> T) -> T {
    match all.get(f as usize) {
        Some(&f) => call(f),
        None => none,
    }
}

extern "C" fn unary_f32(f: u32, x: f32) -> f32 {
    call(Unary::ALL, f, f32::NAN, |f| f.of_f32(x))
}

extern "C" fn unary_f64(f: u32, x: f64) -> f64 {
    call(Unary::ALL, f, f64::NAN, |f| f.of_f64(x))
}

extern "C" fn binary_f32(f: u32, x: f32, y: f32) -> f32 {
    call(Binary::ALL, f, f32::NAN, |f| f.of_f32(x, y))
}

extern "C" fn binary_f64(f: u32, x: f64, y: f64) -> f64 {
    call(Binary::ALL, f, f64::NAN, |f| f.of_f64(x, y))
}

extern "C" fn binary_i64(f: u32, x: i64, y: i64) -> i64 {
    call(Binary::ALL, f, 0, |f| f.of_i64(x, y))
}

extern "C" fn binary_u64(f: u32, x: u64, y: u64) -> u64 {
    call(Binary::ALL, f, 0, |f| f.of_u64(x, y))
}

/// Copies a run of bytes: the system's copy moves more bytes an instruction than 16-byte vectors.
///
/// # Safety
/// The bytes are live at both addresses, and no other thread uses those that are written.
#[allow(unsafe_code, reason = "this is called by machine code, with addresses")]
unsafe extern "C" fn copy_run(to: *mut u8, from: *const u8, bytes: usize) {
    // SAFETY: as promised by the caller.
    unsafe { std::ptr::copy(from, to, bytes) }
}
