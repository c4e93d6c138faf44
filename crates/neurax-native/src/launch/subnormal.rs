//! The CPU's flush-to-zero mode while a program runs: subnormal numbers count as zeros, as in XLA
//! on CPUs.
//!
//! x86-64 takes 10 to 25 times as long for an operation on a subnormal number. A training in which
//! units have died fills Adam's moments with them, as these decay by a factor a step. The mode is a
//! bit of the CPU's control register; it is set around a call in assembly and set back after it,
//! also when the call panics.
//!
//! The reference interpreter keeps subnormal numbers. Ops that fall back to it run in the usual
//! mode.

#![allow(unsafe_code, reason = "the CPU's arithmetic mode is set around a call, and set back")]

use neurax_ir::{OrBug, Result};
use std::{any::Any, panic::AssertUnwindSafe};

/// Runs `f` on this thread with subnormal numbers flushed to zero. On CPUs other than x86-64 and
/// AArch64 the mode stays as it is.
///
/// Rust assumes the usual mode: the compiler may have folded constants by it. That is harmless
/// here, since the work inside is machine code and matrix kernels, whose instructions all execute.
pub fn with_flush_to_zero(f: &mut dyn FnMut()) {
    run(f, true);
}

/// Runs `f` in the usual mode, inside of [`with_flush_to_zero`]: the ops of the reference
/// interpreter keep subnormal numbers.
///
/// # Errors
/// The errors of `f`.
pub fn with_subnormals<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    let (mut f, mut out) = (Some(f), None);
    keep_subnormals(&mut || out = f.take().map(|f| f()));
    out.or_bug("the closure of with_subnormals did not run")?
}

/// Calls `f`, which has no result, with subnormal numbers.
pub fn keep_subnormals(f: &mut dyn FnMut()) {
    run(f, false)
}

fn run(f: &mut dyn FnMut(), flush: bool) {
    let mut task = ModeCall { f, panic: None };
    // SAFETY: `start` takes a `ModeCall`, which outlives the call, and does not unwind.
    unsafe { call(start, (&raw mut task).cast(), flush) }
    if let Some(panic) = task.panic {
        std::panic::resume_unwind(panic);
    }
}

/// A closure on its way through assembly, and the payload of its panic.
struct ModeCall<'a> {
    f: &'a mut dyn FnMut(),
    panic: Option<Box<dyn Any + Send>>,
}

type Trampoline = unsafe extern "C" fn(*mut u8);

/// Runs a [`ModeCall`]. A panic is kept, as it cannot unwind through assembly.
unsafe extern "C" fn start(task: *mut u8) {
    // SAFETY: `run` passes a `ModeCall` and does not use it meanwhile.
    let task = unsafe { &mut *task.cast::<ModeCall>() };
    task.panic = std::panic::catch_unwind(AssertUnwindSafe(|| (task.f)())).err();
}

/// Calls `f(data)` with the two bits of MXCSR set to `flush`: results flush to zero (bit 15), and
/// operands count as zeros (bit 6).
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn call(f: Trampoline, data: *mut u8, flush: bool) {
    let (mut old, mut new) = (0u32, if flush { 0x8040u32 } else { 0 });
    // SAFETY: the block calls a function by its calling convention (the stack is aligned, every
    // register that may change is named), and restores the mode before it ends. Registers r12 to
    // r14 survive the call. The argument is in rdi, on Windows in rcx with 32 bytes of shadow
    // space.
    unsafe {
        std::arch::asm!(
            "stmxcsr [r12]",
            "mov eax, [r12]",
            "and eax, 0xffff7fbf",
            "or [r13], eax",
            "ldmxcsr [r13]",
            "sub rsp, {spare}",
            "call r14",
            "add rsp, {spare}",
            "ldmxcsr [r12]",
            // Elsewhere the stack pointer stays: unwinders, which walk the stack for a panic's
            // message, do not see this change.
            spare = const if cfg!(windows) { 32 } else { 0 },
            in("r12") &raw mut old,
            in("r13") &raw mut new,
            in("r14") f,
            in("rdi") data,
            in("rcx") data,
            clobber_abi("C"),
        );
    }
}

/// Calls `f(data)` with bit 24 of FPCR set to `flush`: operands and results flush to zero.
#[cfg(all(target_arch = "aarch64", not(miri)))]
unsafe fn call(f: Trampoline, data: *mut u8, flush: bool) {
    // SAFETY: as for x86-64. Registers x20 to x22 survive the call.
    unsafe {
        std::arch::asm!(
            "mrs x20, fpcr",
            "bic x9, x20, #0x1000000",
            "orr x9, x9, x22",
            "msr fpcr, x9",
            "blr x21",
            "msr fpcr, x20",
            in("x22") (flush as u64) << 24,
            in("x0") data,
            in("x21") f,
            out("x20") _,
            clobber_abi("C"),
        );
    }
}

#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
unsafe fn call(f: Trampoline, data: *mut u8, _: bool) {
    // SAFETY: as promised by the caller.
    unsafe { f(data) }
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
mod tests {
    use super::{with_flush_to_zero, with_subnormals};
    use std::hint::black_box;

    #[test]
    fn the_mode_holds_inside_and_only_there() {
        let half = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        let mut inside = 1.0;
        let mut usual = 0.0;
        with_flush_to_zero(&mut || {
            usual = with_subnormals(|| Ok(half())).unwrap();
            inside = half();
        });
        assert_eq!(inside, 0.0);
        assert!(usual > 0.0);
        assert!(half() > 0.0);
    }

    #[test]
    fn a_panic_passes_through_and_the_mode_is_set_back() {
        let caught =
            std::panic::catch_unwind(|| with_flush_to_zero(&mut || std::panic::panic_any(7)));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&7));
        assert!(black_box(f32::MIN_POSITIVE) * black_box(0.5) > 0.0);
    }
}
